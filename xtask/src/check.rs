// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask check`: formatting, lints, the rules of the house.

use crate::step::{self, Outcome};
use crate::tidy;

pub(crate) fn run() -> Outcome {
    step::run("fmt", &mut step::cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    let clippy = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    step::run("clippy", &mut step::cargo(&clippy))?;
    let mut doc = step::cargo(&["doc", "--locked", "--workspace", "--no-deps", "--quiet"]);
    step::run("doc", doc.env("RUSTDOCFLAGS", RUSTDOC))
}

/// Links to private items are for those who read the code.
const RUSTDOC: &str = "-D warnings -A rustdoc::private_intra_doc_links";
