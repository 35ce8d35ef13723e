// SPDX-License-Identifier: Apache-2.0
//! Entries for fuzzing: each calls one parser of client text with any text.

pub use crate::edge::fuzz_address as address;

use crate::query::Query;
use crate::s3::{conditions, copy_source, range};

/// A query string: decoded pairs or an error.
pub fn query(raw: &str) {
    if let Ok(query) = Query::parse(raw) {
        let names: Vec<_> = query.iter().map(|(name, _)| name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(names.len(), unique.len(), "a parameter is there twice");
    }
}

/// A Range header.
pub fn byte_range(text: &str) {
    if let Some(strongroom_object::ByteRange::FromTo(first, last)) = range::parse(text) {
        assert!(first <= last, "a range ends before it begins");
    }
    let _ = range::parse_copy_source(text);
}

/// A copy source.
pub fn source(text: &str) {
    if let Some(address) = copy_source::parse(text) {
        assert!(!address.bucket.contains('/'), "a bucket with a slash");
        assert!(!address.object_key.is_empty(), "no object key");
    }
}

/// A list of ETags.
pub fn etags(text: &str) {
    let _ = conditions::parse_etags(text);
}
