// SPDX-License-Identifier: Apache-2.0
//! Tests of the public face of the crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

#[expect(dead_code, reason = "more tests will ask")]
mod ask;
mod decisions;
#[path = "../cases/generate.rs"]
mod generate;
mod naive;
mod property;
