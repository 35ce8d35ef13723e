// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask e2e`: the real server, driven by real clients.

use crate::install;
use crate::step::{self, Outcome};

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
    let mut pytest = step::command(&python, &["-m", "pytest", "-q", "--color=no"]);
    if !args.iter().any(|arg| arg.starts_with("e2e/")) {
        pytest.arg("e2e");
    }
    pytest.args(args);
    pytest.env(
        "STRONGROOM_BIN",
        step::root().join("target/release/strongroom"),
    );
    step::run("pytest", &mut pytest)
}
