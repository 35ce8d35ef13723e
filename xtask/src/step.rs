// SPDX-License-Identifier: Apache-2.0
//! Running commands and saying what is being run.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// What every command of the front door comes to: nothing, or what went wrong.
pub(crate) type Outcome = Result<(), String>;

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}

/// A cargo command in the project's folder.
pub(crate) fn cargo(args: &[&str]) -> Command {
    command(
        &std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
        args,
    )
}

/// A command in the project's folder.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Run a command; its failure is ours.
pub(crate) fn run(name: &str, command: &mut Command) -> Outcome {
    say(&format!("+ {}", shown(command)));
    let status = command
        .status()
        .map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} failed ({status})"))
    }
}

/// Run a step and say how long it took.
pub(crate) fn timed(name: &str, step: impl FnOnce() -> Outcome) -> Outcome {
    say(&format!("\n=== {name}"));
    let start = Instant::now();
    let outcome = step();
    say(&format!("=== {name}: {} s", start.elapsed().as_secs()));
    outcome
}

/// One line to the terminal.
#[expect(clippy::print_stdout, reason = "this program's output is its purpose")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
