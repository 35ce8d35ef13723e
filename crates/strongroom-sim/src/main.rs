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

mod cluster;
mod history;
mod model;
mod story;
mod world;

use std::fmt;
use std::num::ParseIntError;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::cluster::ClusterStory;
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
        /// Its number; `c` in front of it for a story of a cluster.
        seed: Seed,
        #[command(flatten)]
        measure: Measure,
    },
    /// Tells many stories.
    Seeds {
        /// How many.
        count: u64,
        /// Those of clusters, whose tables lie on several drives.
        #[arg(long)]
        clusters: bool,
        /// The number of the first.
        #[arg(long, default_value_t = 1)]
        first: u64,
        #[command(flatten)]
        measure: Measure,
        /// Goes on after stories that went wrong, to name them all.
        #[arg(long)]
        all: bool,
    },
    /// Judges a history of concurrent requests.
    Linear {
        /// JSON, one request a line.
        file: PathBuf,
    },
}

/// How much of a story is told.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Measure {
    /// Operations on each store, at least.
    #[arg(long, default_value_t = OPERATIONS)]
    operations: u64,
    /// In stories of clusters only the first so many kinds of steps, to find out what a story needs
    /// to go wrong.
    #[arg(long, default_value_t = cluster::KINDS)]
    kinds: usize,
}

/// A thousand stories come to a million operations.
const OPERATIONS: u64 = 1_000;
/// So many stories of a run are told twice, to see that a seed tells everything.
const TOLD_TWICE: u64 = 20;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Seed { seed, measure } => one(seed, measure),
        Command::Seeds {
            count,
            clusters,
            first,
            measure,
            all,
        } => many(clusters, first..first.saturating_add(count), measure, all),
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

/// The number of a story.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seed {
    /// Of one with its tables on one drive.
    Single(u64),
    /// Of one with its tables on several.
    Cluster(u64),
}

impl FromStr for Seed {
    type Err = ParseIntError;

    fn from_str(word: &str) -> Result<Self, ParseIntError> {
        match word.strip_prefix('c') {
            Some(number) => number.parse().map(Self::Cluster),
            None => word.parse().map(Self::Single),
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(number) => write!(f, "{number}"),
            Self::Cluster(number) => write!(f, "c{number}"),
        }
    }
}

fn one(seed: Seed, measure: Measure) -> Result<String, String> {
    // With what the store itself has to say.
    tracing_subscriber::fmt()
        .without_time()
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let told = tell(seed, measure, true)?;
    Ok(format!("seed {seed}: {told}"))
}

fn many(
    clusters: bool,
    numbers: Range<u64>,
    measure: Measure,
    all: bool,
) -> Result<String, String> {
    let start = Instant::now();
    let next = AtomicU64::new(numbers.start);
    let sum = Mutex::new(Told::default());
    let wrong = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end || (!all && !wrong.lock().unwrap().is_empty()) {
                return;
            }
            let seed = if clusters {
                Seed::Cluster(number)
            } else {
                Seed::Single(number)
            };
            match tell(seed, measure, false) {
                Ok(told) => {
                    if number < numbers.start.saturating_add(TOLD_TWICE)
                        && tell(seed, measure, false) != Ok(told)
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
    let count = numbers.end.saturating_sub(numbers.start);
    if !wrong.is_empty() {
        let words = wrong.join("\n");
        return Err(format!("{words}\n{} stories went wrong", wrong.len()));
    }
    let (told, seconds) = (sum.into_inner().unwrap(), start.elapsed().as_secs());
    let of = if clusters { " of clusters" } else { "" };
    Ok(format!("{count} stories{of}: {told}, {seconds} s"))
}

/// Tells a story; what goes wrong comes with the words that tell it again.
fn tell(seed: Seed, measure: Measure, aloud: bool) -> Result<Told, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let tell = || match seed {
        Seed::Single(number) => {
            runtime.block_on(Story::new(number, aloud).tell(measure.operations))
        }
        Seed::Cluster(number) => {
            let story = ClusterStory::new(number, aloud).limited(measure.kinds);
            runtime.block_on(story.tell(measure.operations))
        }
    };
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
    use crate::cluster::Lies;

    const ALL: Measure = Measure {
        operations: OPERATIONS,
        kinds: cluster::KINDS,
    };

    fn told(story: Story) -> Result<Told, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(story.tell(OPERATIONS))
    }

    #[test]
    fn dur_d1_d6_d7_d8_stories_come_out_as_the_model_says() {
        for seed in 1..=25 {
            if let Err(message) = tell(Seed::Single(seed), ALL, false) {
                panic!("{message}");
            }
        }
    }

    #[test]
    fn dur_d1_d6_d8_d9_stories_of_clusters_come_out_as_the_model_says() {
        for seed in 1..=25 {
            if let Err(message) = tell(Seed::Cluster(seed), ALL, false) {
                panic!("{message}");
            }
        }
    }

    /// Every story ends so: all drives are back, and what has enough shards has all of them.
    #[test]
    fn dur_d9_d12_d13_full_redundancy_returns_when_faults_stop() {
        for seed in 501..=525 {
            if let Err(message) = tell(Seed::Single(seed), ALL, false) {
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

    fn found_out(lies: Lies) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let is_found_out = |seed: &u64| {
            let story = ClusterStory::with_lies(*seed, lies).limited(cluster::KINDS);
            runtime.block_on(story.tell(OPERATIONS)).is_err()
        };
        (1..=40).filter(is_found_out).count()
    }

    #[test]
    fn lying_flushes_of_the_log_are_found_out_in_clusters() {
        let count = found_out(Lies::Flushes);
        assert!(count > 15, "{count} of 40");
    }

    #[test]
    fn forgotten_fences_are_found_out() {
        let count = found_out(Lies::Fences);
        assert!(count > 5, "{count} of 40");
    }

    #[test]
    fn a_seed_of_a_cluster_tells_the_same_story_twice() {
        for number in 100..110 {
            let twice = [0; 2].map(|_| tell(Seed::Cluster(number), ALL, false));
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
