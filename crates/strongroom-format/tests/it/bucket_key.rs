// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use strongroom_format::{BucketKeyRef, EK_REF_BYTES_MAX, ParseError, SealError};

use crate::vectors::load;

#[test]
fn vectors_of_bucket_keys() {
    let mut keys = BTreeSet::new();
    for v in load("osk1.json", "bucket_keys") {
        let ek_ref = v.bytes("ek_ref");
        let Ok(parsed) = BucketKeyRef::parse(&ek_ref) else {
            assert_eq!(v.expect(), "parse", "{}", v.name());
            continue;
        };
        assert_eq!(v.expect(), "ok", "{}", v.name());
        assert_eq!(parsed.to_bytes(), ek_ref);
        assert_eq!(parsed.blob().to_vec(), v.bytes("blob"));
        let ek = parsed.external_key(&v.array("bucket_key"), &v.array("bucket_uid"));
        assert_eq!(ek.expose_secret().to_vec(), v.bytes("ek"), "{}", v.name());
        keys.insert(*ek.expose_secret());
    }
    // `object`, and the two that differ from it in the ciphertext alone, share one key.
    assert_eq!(keys.len(), 4);
}

#[test]
fn what_is_made_is_read_again() {
    for len in [1, 98, EK_REF_BYTES_MAX - 33] {
        let blob = vec![7; len];
        let made = BucketKeyRef::new([9; 32], &blob).unwrap();
        let bytes = made.to_bytes();
        assert_eq!(bytes.len(), 33 + len);
        assert_eq!(BucketKeyRef::parse(&bytes), Ok(made));
    }
}

#[test]
fn what_cannot_be_stored_is_not_made() {
    let field = "ek_ref";
    let none = BucketKeyRef::new([9; 32], b"");
    assert_eq!(none, Err(SealError::NotAllowed { field }));
    let long = vec![7; EK_REF_BYTES_MAX - 32];
    let long = BucketKeyRef::new([9; 32], &long);
    assert_eq!(long, Err(SealError::TooLong { field }));
}

#[test]
fn other_forms_are_refused() {
    let good = BucketKeyRef::new([9; 32], b"b").unwrap().to_bytes();
    for version in (0..=255).filter(|version| *version != 1) {
        let mut other = good.clone();
        other[0] = version;
        assert_eq!(
            BucketKeyRef::parse(&other),
            Err(ParseError::Version(version))
        );
    }
    for len in 0..good.len() {
        assert_eq!(
            BucketKeyRef::parse(&good[..len]),
            Err(ParseError::Truncated)
        );
    }
    let mut long = vec![7; EK_REF_BYTES_MAX + 1];
    long[0] = 1;
    assert_eq!(BucketKeyRef::parse(&long), Err(ParseError::TooLong));
}

#[test]
fn every_bit_of_salt_bucket_key_and_bucket_gives_another_key() {
    let (key, uid) = ([1; 32], [2; 16]);
    let of = |salt, key, uid| {
        let made = BucketKeyRef::new(salt, b"b").unwrap();
        *made.external_key(&key, &uid).expose_secret()
    };
    let mut seen = BTreeSet::from([of([3; 32], key, uid), key]);
    let mut new = |ek| assert!(seen.insert(ek));
    for bit in 0..256 {
        let flipped = |mut bytes: [u8; 32]| {
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        new(of(flipped([3; 32]), key, uid));
        new(of([3; 32], flipped(key), uid));
        if bit < 128 {
            let mut other = uid;
            other[bit / 8] ^= 1 << (bit % 8);
            new(of([3; 32], key, other));
        }
    }
}
