// SPDX-License-Identifier: Apache-2.0
//! Keys of the object tables: order-preserving, prefix-free encodings.
//!
//! ```text
//! versions   bucket_uid 16 | esc(object name) | 00 01 | be64(!commit seq)   newest first
//! uploads    bucket_uid 16 | esc(object name) | 00 01 | upload uid 16
//! parts      upload uid 16 | be16 part number
//! bodies     part uid 16
//! part_tables  version uid 16
//! bucket_encryption  bucket_uid 16
//! lifecycle  bucket_uid 16
//! ```
//!
//! `esc` writes a NUL byte as `00 FF`, so that the terminator `00 01` sorts before every longer
//! name and the order of keys is the byte order of names.

use strongroom_store::TableId;

/// Buckets by name.
pub(crate) const BUCKETS: TableId = TableId(20);
/// Object versions.
pub(crate) const VERSIONS: TableId = TableId(21);
/// Open multipart uploads.
pub(crate) const UPLOADS: TableId = TableId(22);
/// Parts of open uploads.
pub(crate) const PARTS: TableId = TableId(23);
/// Sealed bodies that are small enough to live in the tables.
pub(crate) const BODIES: TableId = TableId(24);
/// Part tables of multipart objects.
pub(crate) const PART_TABLES: TableId = TableId(25);

/// Default encryption of buckets that were given one, by bucket uid.
///
/// Not in the bucket's own row: uploads under way hold on to that one, and a new default must not
/// disturb them.
pub(crate) const BUCKET_ENCRYPTION: TableId = TableId(28);

/// Lifecycle configurations, by bucket uid; not in the bucket's own row for the same reason.
pub(crate) const LIFECYCLE: TableId = TableId(32);
/// How far the lifecycle rules were carried out: one row.
pub(crate) const LIFECYCLE_PROGRESS: TableId = TableId(33);

const TERMINATOR: [u8; 2] = [0x00, 0x01];

/// The prefix of all rows of an object name in a bucket.
pub(crate) fn object_prefix(bucket_uid: &[u8; 16], object_key: &str) -> Vec<u8> {
    let mut key = name_prefix(bucket_uid, object_key);
    key.extend_from_slice(&TERMINATOR);
    key
}

/// The prefix of all rows whose object name starts with `name`.
pub(crate) fn name_prefix(bucket_uid: &[u8; 16], name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + name.len() + 2);
    key.extend_from_slice(bucket_uid);
    for byte in name.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xFF);
        }
    }
    key
}

/// The object name in a row key of `versions` or `uploads`, and what follows its terminator.
pub(crate) fn split_object_key(key: &[u8]) -> Option<(String, &[u8])> {
    let mut name = Vec::with_capacity(key.len());
    let mut rest = key.get(16..)?;
    loop {
        match rest {
            [0x00, 0x01, tail @ ..] => return Some((String::from_utf8(name).ok()?, tail)),
            [0x00, 0xFF, tail @ ..] => {
                name.push(0);
                rest = tail;
            }
            [0x00, ..] | [] => return None,
            [byte, tail @ ..] => {
                name.push(*byte);
                rest = tail;
            }
        }
    }
}

/// The first key after every key that starts with `prefix`; `None` when there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// The end of the key of a version row: newer ones come first.
pub(crate) fn stamp_tail(stamp: u64) -> [u8; 8] {
    (u64::MAX - stamp).to_be_bytes()
}

/// Key of a version row.
pub(crate) fn version(bucket_uid: &[u8; 16], object_key: &str, stamp: u64) -> Vec<u8> {
    let mut key = object_prefix(bucket_uid, object_key);
    key.extend_from_slice(&stamp_tail(stamp));
    key
}

/// The object name and the stamp in the key of a version row.
pub(crate) fn split_version_key(key: &[u8]) -> Option<(String, u64)> {
    let (name, tail) = split_object_key(key)?;
    let tail: [u8; 8] = tail.try_into().ok()?;
    Some((name, u64::MAX - u64::from_be_bytes(tail)))
}

/// Key of an open upload.
pub(crate) fn upload(bucket_uid: &[u8; 16], object_key: &str, upload_uid: &[u8; 16]) -> Vec<u8> {
    let mut key = object_prefix(bucket_uid, object_key);
    key.extend_from_slice(upload_uid);
    key
}

/// Key of a part of an open upload.
pub(crate) fn part(upload_uid: &[u8; 16], part_number: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(18);
    key.extend_from_slice(upload_uid);
    key.extend_from_slice(&part_number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_is_the_byte_order_of_names() {
        let uid = [7; 16];
        let mut names = [
            "a",
            "a\u{1}",
            "a!",
            "a/b",
            "aa",
            "b",
            "\u{e9}",
            "\u{1F600}",
            "z",
            "a\u{7f}",
        ];
        let mut keys: Vec<_> = names.iter().map(|n| object_prefix(&uid, n)).collect();
        names.sort_by_key(|n| n.as_bytes().to_vec());
        keys.sort();
        let decoded: Vec<_> = keys
            .iter()
            .map(|k| split_object_key(k).unwrap().0)
            .collect();
        assert_eq!(decoded, names);
    }

    #[test]
    fn one_name_is_never_a_prefix_of_another_rows_key() {
        let uid = [7; 16];
        let a = object_prefix(&uid, "a");
        assert!(!object_prefix(&uid, "ab").starts_with(&a));
        assert!(!object_prefix(&uid, "a\u{1}").starts_with(&a));
    }

    #[test]
    fn damaged_keys_have_no_name() {
        assert!(split_object_key(&[0; 10]).is_none());
        assert!(split_object_key(&[1; 20]).is_none());
        let mut key = vec![0; 16];
        key.extend([b'a', 0, 2]);
        assert!(split_object_key(&key).is_none());
        let mut key = vec![0; 16];
        key.extend([0xC3, 0x28, 0, 1]);
        assert!(split_object_key(&key).is_none());
    }

    #[test]
    fn newer_versions_come_first_and_their_stamps_come_back() {
        let uid = [7; 16];
        let keys = [u64::MAX, 500, 256, 255, 1, 0].map(|stamp| version(&uid, "k", stamp));
        assert!(keys.is_sorted());
        assert_eq!(
            split_version_key(&keys[1]),
            Some(("k".to_owned(), 500)),
            "a stamp"
        );
        for short in 1..8 {
            let key = &keys[0][..keys[0].len() - short];
            assert_eq!(split_version_key(key), None);
        }
        let mut long = keys[0].clone();
        long.push(0);
        assert_eq!(split_version_key(&long), None);
    }

    #[test]
    fn prefix_end_is_the_next_key() {
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 0xFF]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xFF, 0xFF]), None);
        assert_eq!(prefix_end(&[]), None);
    }
}
