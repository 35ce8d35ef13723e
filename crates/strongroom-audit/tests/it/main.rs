// SPDX-License-Identifier: Apache-2.0
//! The audit log as its users see it, on simulated drives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod chain;
mod clip;
mod crash;
mod failing;
mod mirror;
mod owed;
mod record;
mod rotation;
mod verify_log;
mod world;
