// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask sim`: stories of simulated stores, each told by a number.

use crate::step::{self, Outcome};

/// `args`: a seed to tell again, `--seeds N`, or `--soak N`; without any, what CI runs.
pub(crate) fn run(args: &[String]) -> Outcome {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let told: Vec<String> = match words.as_slice() {
        [] => seeds(SEEDS, FIRST),
        ["--seeds", count] => seeds(count, FIRST),
        ["--soak", count] => seeds(count, &fresh()?),
        [seed] if !seed.starts_with('-') => vec!["seed".to_owned(), (*seed).to_owned()],
        _ => return Err("say SEED, --seeds N or --soak N".to_owned()),
    };
    let mut command = step::cargo(&[
        "run",
        "--locked",
        "--quiet",
        "--package",
        "strongroom-sim",
        "--",
    ]);
    step::run("sim", command.args(told))
}

fn seeds(count: &str, first: &str) -> Vec<String> {
    ["seeds", count, "--first", first]
        .map(str::to_owned)
        .to_vec()
}

/// Stories that nobody has told yet: numbered from the time of day.
fn fresh() -> Result<String, String> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.map_err(|error| error.to_string())?;
    Ok(since.as_millis().to_string())
}

/// A thousand stories of a thousand operations each.
const SEEDS: &str = "1000";
const FIRST: &str = "1";
