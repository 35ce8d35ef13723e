// SPDX-License-Identifier: Apache-2.0
//! The one front door: everything that CI runs, a developer runs with the same words.

mod bench;
mod check;
mod e2e;
mod install;
mod policy;
mod sim;
mod step;
mod tidy;
mod vectors;

use std::process::ExitCode;

use step::Outcome;

const HELP: &str = "\
cargo xtask COMMAND

  check          formatting, clippy with warnings denied, tidy
  tidy           the rules of the house: floors, file length, words, banned calls, licences, what only
                 tests may have, the public interface of the client library
  api            writes down that interface anew, after a change of it that was meant
  test [ARGS]    all Rust tests; ARGS go to cargo test, e.g. `-p strongroom-format`
  vectors        recomputes the test vectors from the specification, without the Rust code
  policy [COUNT [SEED]]  compares decisions of policies with an independent simulator of IAM
  sim            1,000 stories of simulated stores and 1,000 of clusters against a model; `sim SEED`
                 tells one again, `sim --seeds N` the first N, `sim --soak N` as many new ones
  e2e [ARGS]     builds the server and drives it with real clients; ARGS go to pytest
  bench [ARGS]   builds the server and prints the table of measurements
  ci             all that CI runs, in this order: check, test, vectors, policy, sim, e2e, a short bench

`test`, `vectors`, `policy`, `e2e` and `ci` install what they need: Debian packages when run as root or with
sudo, a Python environment under e2e/.venv, and packages of npm under e2e/policy.
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        "check" => check::run(),
        "tidy" => tidy::run(),
        "api" => tidy::api::write(),
        "test" => test(&rest),
        "e2e" => e2e::run(&rest),
        "vectors" => vectors::run(),
        "policy" => policy::run(&rest),
        "sim" => sim::run(&rest),
        "bench" => bench::run(&rest),
        "ci" => ci(),
        "" | "help" | "--help" | "-h" => {
            step::say(HELP);
            return ExitCode::SUCCESS;
        }
        other => Err(format!(
            "there is no command `{other}`; try `cargo xtask help`"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            step::say(&format!("\nxtask {command}: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn test(args: &[String]) -> Outcome {
    install::for_tests()?;
    let mut command = step::cargo(&["test", "--locked"]);
    if args.is_empty() {
        command.arg("--workspace");
    }
    command.args(args);
    step::run("test", &mut command)
}

/// What a run of everything writes from a clean clone, in GiB, with the drives of its tests and some to spare.
const ROOM_FOR_CI: u64 = 20;

/// A full disk is better said at once than by a linker after ten minutes.
fn room() -> Outcome {
    let mut df = step::command("df", &["--output=avail", "--block-size=1G", "."]);
    let output = df.output().map_err(|error| format!("df: {error}"))?;
    let free = String::from_utf8_lossy(&output.stdout)
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse::<u64>().ok())
        .ok_or("df: an answer that is not understood")?;
    let built = step::root().join("target/release/strongroom").exists();
    step::say(&format!("disk: {free} GiB free"));
    if free < ROOM_FOR_CI && !built {
        return Err(format!(
            "{free} GiB are free where this project lies, and a clean run needs {ROOM_FOR_CI}"
        ));
    }
    Ok(())
}

fn ci() -> Outcome {
    room()?;
    step::timed("check", check::run)?;
    step::timed("test", || test(&[]))?;
    step::timed("vectors", vectors::run)?;
    step::timed("policy", || policy::run(&[]))?;
    step::timed("sim", || sim::run(&[]))?;
    step::timed("e2e", || e2e::run(&[]))?;
    step::timed("bench", || bench::run(&["--smoke".to_owned()]))?;
    step::say("\nci: all steps passed");
    Ok(())
}
