// SPDX-License-Identifier: Apache-2.0
//! The adapters over a whole server in one process: signed requests in, answers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::type_complexity,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod audit_events;
mod audit_parameters;
mod bodies;
mod buckets;
mod delete_objects;
mod encryption;
mod harness;
mod kms;
mod kms_cryptography;
mod lifecycle;
mod listings;
mod multipart;
mod objects;
mod permissions;
mod post_object;
mod reads;
mod request_rules;
mod routing;
mod signatures;
mod upload_conditions;
