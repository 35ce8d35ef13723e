// SPDX-License-Identifier: Apache-2.0
//! Entries for fuzzing: each calls one parser of client text with any text.

pub use crate::edge::fuzz_address as address;

use crate::query::Query;
use crate::s3::{conditions, copy_source, range};
use crate::{kms, s3};

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

/// The texts of a request's head, one a line: host, path, query, range, copy source, ETags.
pub fn s3_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    address(next(), next());
    query(next());
    byte_range(next());
    source(next());
    etags(next());
}

/// A request document of S3.
pub fn s3_xml(body: &[u8]) {
    s3::fuzz_documents(body);
}

/// The policy of an upload form, before base64.
pub fn post_policy(document: &[u8]) {
    s3::post_policy::fuzz(document);
}

/// A request document of the key service.
pub fn kms_json(body: &[u8]) {
    kms::fuzz_documents(body);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Replays the seeds of a target, cut and changed forms of them too.
    fn replay(target: &str, body: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(target);
        let mut seeds = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            body(&seed);
            for at in 0..seed.len().min(300) {
                body(&seed[..at]);
                let mut changed = seed.clone();
                for value in [0, b'<', b'&', b'"', 0x7f, 0xff] {
                    changed[at] = value;
                    body(&changed);
                }
            }
            seeds += 1;
        }
        assert!(seeds > 0, "{} holds no seed", folder.display());
    }

    #[test]
    fn s3_request() {
        replay("s3_request", super::s3_request);
    }

    #[test]
    fn s3_xml() {
        replay("s3_xml", super::s3_xml);
    }

    #[test]
    fn post_policy() {
        replay("post_policy", super::post_policy);
    }

    #[test]
    fn kms_json() {
        replay("kms_json", super::kms_json);
    }
}
