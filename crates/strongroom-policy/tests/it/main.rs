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

mod ask;
mod decisions;
#[path = "../cases/generate.rs"]
mod generate;
mod naive;
mod operators;
mod property;
mod sec_documents;
mod sec_elements;
mod sec_hostile;
mod sec_principals;
