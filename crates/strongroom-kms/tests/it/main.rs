// SPDX-License-Identifier: Apache-2.0
//! The key service over a real store in a temporary directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod alias;
mod at_rest;
mod audit_event;
mod authorize;
mod bucket_key;
mod conditions;
mod create_key;
mod data_key_pair;
mod decision;
mod decrypt;
mod deletion;
mod derive_shared_secret;
mod encrypt;
mod generate_data_key;
mod generate_random;
mod get_public_key;
mod grant;
mod import;
mod interleaved;
mod key_id;
mod key_policy;
mod key_usage;
mod keyring;
mod last_use;
mod list_keys;
mod mac;
mod many;
mod material;
mod opened_rows;
mod patience;
mod re_encrypt;
mod recovery;
mod rewrap;
mod rotation;
mod rsa;
mod s3;
mod sec_damage;
mod secrets;
mod seen_time;
mod sign;
mod state;
mod tags;
mod users;
mod vault;
mod vectors;
mod verify_vault;
mod world;
