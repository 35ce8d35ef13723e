// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask e2e`: the real server, driven by real clients.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use crate::install;
use crate::step::{self, Outcome};

/// The whole run is two processes beside each other, since one of them leaves a core idle.
const SHARES: [&str; 2] = ["s3", "rest"];

pub(crate) fn run(args: &[String]) -> Outcome {
    let python = install::for_e2e()?;
    let build = [
        "build",
        "--locked",
        "--release",
        "--package",
        "strongroom-server",
    ];
    step::run("build", &mut step::cargo(&build))?;
    // The judge of histories.
    let judge = [
        "build",
        "--locked",
        "--release",
        "--package",
        "strongroom-sim",
    ];
    step::run("build", &mut step::cargo(&judge))?;
    if args.is_empty() || args == ["--write-compat"] {
        return in_shares(&python, args);
    }
    let mut pytest = pytest(&python, args);
    if !args.iter().any(|arg| arg.starts_with("e2e/")) {
        pytest.arg("e2e");
    }
    step::run("pytest", &mut pytest)
}

fn pytest(python: &str, args: &[String]) -> Command {
    let mut pytest = step::command(python, &["-m", "pytest", "-q", "--color=no"]);
    pytest.args(args);
    pytest.env(
        "STRONGROOM_BIN",
        step::root().join("target/release/strongroom"),
    );
    pytest
}

/// All shares at once; each runs to its end whatever the others do, and all failures are said.
fn in_shares(python: &str, args: &[String]) -> Outcome {
    let commands = SHARES.map(|share| {
        let mut pytest = pytest(python, args);
        // A pipe would hold what is printed back until there is much of it.
        pytest.args(["--share", share, "e2e"]);
        pytest.env("PYTHONUNBUFFERED", "1");
        (share, pytest)
    });
    let failures: Vec<String> = thread::scope(|scope| {
        let running = commands.map(|(share, pytest)| scope.spawn(move || labelled(share, pytest)));
        running
            .into_iter()
            .filter_map(|one| match one.join() {
                Ok(outcome) => outcome.err(),
                Err(_) => Some("a share's thread panicked".to_owned()),
            })
            .collect()
    });
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

/// One command whose lines are printed behind the name of its share.
fn labelled(share: &str, mut command: Command) -> Outcome {
    let failed = |why: String| format!("pytest of share `{share}` failed ({why})");
    step::say(&format!("+ pytest --share {share}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || stdout.map(|pipe| print_lines(share, pipe)));
        scope.spawn(move || stderr.map(|pipe| print_lines(share, pipe)));
    });
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(status.to_string()))
    }
}

fn print_lines(share: &str, pipe: impl Read) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        step::say(&format!(
            "{share}| {}",
            String::from_utf8_lossy(&line).trim_end()
        ));
        line.clear();
    }
}
