// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask bench`: one table, measured in one run.

use crate::step::{self, Outcome};

pub(crate) fn run(args: &[String]) -> Outcome {
    let server = [
        "build",
        "--locked",
        "--release",
        "--package",
        "strongroom-server",
    ];
    step::run("build", &mut step::cargo(&server))?;
    let bench = [
        "build",
        "--locked",
        "--release",
        "--package",
        "strongroom-bench",
    ];
    step::run("build", &mut step::cargo(&bench))?;
    let root = step::root();
    let program = root
        .join("target/release/strongroom-bench")
        .display()
        .to_string();
    let mut command = step::command(&program, &[]);
    command
        .arg("--server")
        .arg(root.join("target/release/strongroom"));
    command.arg("--out").arg(root.join("bench-results"));
    command
        .arg("--python")
        .arg(root.join("e2e/.venv/bin/python"));
    step::run("bench", command.args(args))
}
