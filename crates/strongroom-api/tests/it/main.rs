// SPDX-License-Identifier: Apache-2.0
//! The adapters over a whole server in one process: signed requests in, answers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod audit_events;
mod bodies;
mod encryption;
mod harness;
mod objects;
mod reads;
mod routing;
mod signatures;
