// SPDX-License-Identifier: Apache-2.0
//! The conductor over a real store, key service and audit log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]

mod at_rest;
mod binding;
mod bodies;
mod bucket_key;
mod class_policies;
mod completed_before;
mod dsse;
mod harness;
mod lifecycle;
mod listing;
mod model;
mod multipart;
mod notes;
mod part_checksums;
mod races;
mod rebuild;
mod rewrap;
mod rewrap_bucket;
mod several_drives;
mod shared_bodies;
mod storage_class;
mod tamper;
mod update_encryption;
mod verify;
mod versions;
