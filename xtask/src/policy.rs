// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask policy`: our policy decisions against an independent simulator of IAM.

use std::process::Stdio;

use crate::install;
use crate::step::{self, Outcome};

/// `args`: how many cases, and the seed they are made from.
pub(crate) fn run(args: &[String]) -> Outcome {
    let folder = install::for_policy()?;
    let count = args.first().map_or(COUNT, String::as_str);
    let seed = args.get(1).map_or(SEED, String::as_str);
    let mut cases = step::cargo(&[
        "run",
        "--locked",
        "--quiet",
        "--package",
        "strongroom-policy",
        "--example",
        "policy_cases",
        "--",
        count,
        seed,
    ]);
    let mut cases = cases
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("policy_cases: {error}"))?;
    let lines = cases.stdout.take().map_or(Stdio::null(), Stdio::from);
    let mut compare = step::command("node", &["compare.mjs"]);
    if args.is_empty() {
        compare.arg(COMPARED_MIN);
    } else {
        compare.arg("0");
    }
    let compared = step::run("compare", compare.current_dir(folder).stdin(lines));
    // Its end of the pipe: without it a comparison that stops early leaves the writer waiting.
    drop(compare);
    let made = cases
        .wait()
        .map_err(|error| format!("policy_cases: {error}"))?;
    compared?;
    if made.success() {
        Ok(())
    } else {
        Err(format!("policy_cases failed ({made})"))
    }
}

const COUNT: &str = "100000";
const SEED: &str = "1";
/// As many have to be compared without any exception.
const COMPARED_MIN: &str = "50000";
