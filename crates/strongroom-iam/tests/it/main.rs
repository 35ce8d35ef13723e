// SPDX-License-Identifier: Apache-2.0
//! Tests of the public face of the crate, over a real store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod authenticate;
mod credential;
mod damage;
mod events;
mod user_policy;
mod users;
mod world;
