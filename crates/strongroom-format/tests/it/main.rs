// SPDX-License-Identifier: Apache-2.0
//! Tests of the public interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::similar_names,
    missing_docs,
    reason = "tests"
)]

mod bind;
mod body;
mod bucket_key;
mod context;
mod dual;
mod kms_blob;
mod part_table;
mod range;
mod record;
mod secrets;
mod sums;
mod vectors;
