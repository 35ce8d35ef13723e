// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask sim`: stories of simulated stores, each told by a number.

use crate::step::{self, Outcome};

/// `args`: a seed to tell again (`c` in front of it for a story of a cluster), `--seeds N`, or
/// `--soak N`; without any, what CI runs.
pub(crate) fn run(args: &[String]) -> Outcome {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => seeds(SEEDS, FIRST),
        ["--seeds", count] => seeds(count, FIRST),
        ["--soak", count] => seeds(count, &fresh()?),
        [seed] if !seed.starts_with('-') => tell(&["seed", seed]),
        _ => Err("say SEED, --seeds N or --soak N".to_owned()),
    }
}

/// So many stories of each kind.
fn seeds(count: &str, first: &str) -> Outcome {
    let single = ["seeds", count, "--first", first];
    tell(&single)?;
    tell(&[single.as_slice(), &["--clusters"]].concat())
}

fn tell(told: &[&str]) -> Outcome {
    let mut command = step::cargo(&[
        "run",
        "--release",
        "--locked",
        "--quiet",
        "--package",
        "strongroom-sim",
        "--",
    ]);
    step::run("sim", command.args(told))
}

/// Stories that nobody has told yet: numbered from the time of day.
fn fresh() -> Result<String, String> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.map_err(|error| error.to_string())?;
    Ok(since.as_millis().to_string())
}

/// A thousand stories of each kind, of a thousand operations each.
const SEEDS: &str = "1000";
const FIRST: &str = "1";
