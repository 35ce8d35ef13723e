// SPDX-License-Identifier: Apache-2.0
//! The client's library from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::items_after_statements,
    clippy::default_trait_access,
    missing_docs,
    reason = "tests"
)]

mod content;
mod envelope;
mod negative;
mod own;
mod recorded;
mod world;
