// SPDX-License-Identifier: Apache-2.0
//! The store from outside, on real and simulated drives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod backup;
mod blob;
mod blob_drives;
mod blob_slow;
mod care_faults;
mod codec;
mod crash;
mod drive;
mod drive_changes;
mod drive_members;
mod drive_set;
mod found_by_stories;
mod give_up;
mod heal;
mod inline;
mod layout;
mod manifests;
mod mirror;
mod mirror_crash;
mod mirror_hang;
mod mirror_online;
mod mirror_open;
mod mirror_rig;
mod notes;
mod opening;
mod place;
mod scrub;
mod soak;
mod stage;
mod stripe;
mod survey;
mod table_changes;
mod table_commit;
mod table_crash;
mod table_damage;
mod table_index;
mod table_model;
mod table_rig;
mod table_threads;
mod transcribe;
mod vault;
