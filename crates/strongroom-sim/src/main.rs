// SPDX-License-Identifier: Apache-2.0
//! The whole store on simulated drives, told by a seed; and the judge of concurrent histories.
//!
//! A story that goes wrong is told again, word for word, by its number: `cargo xtask sim SEED`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a tool for tests: it ends with a message when something is wrong"
)]

mod history;
mod model;
mod story;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::story::{Story, Told};

/// Simulated worlds told by a seed, and the judge of concurrent histories.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells one story, step by step.
    Seed {
        /// Its number.
        seed: u64,
        /// Operations on the store, at least.
        #[arg(long, default_value_t = OPERATIONS)]
        operations: u64,
    },
    /// Tells many stories.
    Seeds {
        /// How many.
        count: u64,
        /// The number of the first.
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// Operations of each, at least.
        #[arg(long, default_value_t = OPERATIONS)]
        operations: u64,
    },
    /// Judges a history of concurrent requests.
    Linear {
        /// JSON, one request a line.
        file: PathBuf,
    },
}

/// A thousand stories come to a million operations.
const OPERATIONS: u64 = 1_000;
/// So many stories of a run are told twice, to see that a seed tells everything.
const TOLD_TWICE: u64 = 20;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Seed { seed, operations } => one(seed, operations),
        Command::Seeds {
            count,
            first,
            operations,
        } => many(first, count, operations),
        Command::Linear { file } => history::judge(&file),
    };
    match done {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn one(seed: u64, operations: u64) -> Result<String, String> {
    let told = tell(seed, operations, true)?;
    Ok(format!("seed {seed}: {told}"))
}

fn many(first: u64, count: u64, operations: u64) -> Result<String, String> {
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Told::default());
    let wrong = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first.saturating_add(count) || !wrong.lock().unwrap().is_empty() {
                return;
            }
            match tell(seed, operations, false) {
                Ok(told) => {
                    if seed < first.saturating_add(TOLD_TWICE)
                        && tell(seed, operations, false) != Ok(told)
                    {
                        let two = format!("seed {seed} does not tell the same story twice");
                        wrong.lock().unwrap().push(two);
                    }
                    sum.lock().unwrap().add(&told);
                }
                Err(message) => wrong.lock().unwrap().push(message),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let (told, seconds) = (sum.into_inner().unwrap(), start.elapsed().as_secs());
    Ok(format!("{count} stories: {told}, {seconds} s"))
}

/// Tells a story; what goes wrong comes with the words that tell it again.
fn tell(seed: u64, operations: u64, aloud: bool) -> Result<Told, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let tell = || runtime.block_on(Story::new(seed, aloud).tell(operations));
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell));
    let wrong = |message: &str| format!("seed {seed}: {message}\nagain: cargo xtask sim {seed}");
    match told {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(message)) => Err(wrong(&message)),
        Err(_) => Err(wrong("panicked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(story: Story) -> Result<Told, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(story.tell(OPERATIONS))
    }

    #[test]
    fn dur_d1_d6_d7_d8_stories_come_out_as_the_model_says() {
        for seed in 1..=25 {
            if let Err(message) = tell(seed, OPERATIONS, false) {
                panic!("{message}");
            }
        }
    }

    /// Every story ends so: all drives are back, and what has enough shards has all of them.
    #[test]
    fn dur_d9_d12_d13_full_redundancy_returns_when_faults_stop() {
        for seed in 501..=525 {
            if let Err(message) = tell(seed, OPERATIONS, false) {
                panic!("{message}");
            }
        }
    }

    #[test]
    fn a_seed_tells_the_same_story_twice() {
        for seed in 100..110 {
            let twice = [0; 2].map(|_| told(Story::new(seed, false)).unwrap());
            assert_eq!(twice[0], twice[1]);
        }
    }

    #[test]
    fn drives_that_lie_are_found_out() {
        let found_out = (1..=25).filter(|seed| told(Story::with_lies(*seed)).is_err());
        let count = found_out.count();
        assert!(count > 15, "{count} of 25");
    }
}
