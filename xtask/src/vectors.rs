// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask vectors`: every test vector recomputed from the specification, without our code.

use crate::install;
use crate::step::{self, Outcome};

pub(crate) fn run() -> Outcome {
    let python = install::for_e2e()?;
    step::run(
        "vectors",
        &mut step::command(&python, &["vectors/reproduce.py"]),
    )
}
