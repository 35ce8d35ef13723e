// SPDX-License-Identifier: Apache-2.0
//! `EncryptedS3` against stores in memory, good and bad ones.
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

mod faulty;
mod interrupted;
mod keys;
mod nonces;
mod object_store;
mod operations;
mod outcomes;
mod ranges;
mod reading;
mod resuming;
mod threads;
mod wire;
mod writing;
