// SPDX-License-Identifier: Apache-2.0
//! The real program, started on port 0 in a temporary directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod admin;
mod commands;
mod first_start;
mod limits;
mod refusals;
mod rig;
mod root;
mod secret_types;
mod secrets;
mod stop;
mod tls;
