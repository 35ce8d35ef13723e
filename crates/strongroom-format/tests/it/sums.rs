// SPDX-License-Identifier: Apache-2.0

use strongroom_format::{ObjectDataId, ObjectKey, OpenError, SumsKey};

use crate::vectors::load;

#[test]
fn vectors_of_sums() {
    for v in load("sums.json", "sums") {
        let key = ObjectKey::from_bytes(v.array("oek")).sums_key(&ObjectDataId(v.array("odi")));
        let opened = key.open(&v.bytes("sealed"), &v.bytes("aad"));
        match v.expect() {
            "ok" => assert_eq!(opened.unwrap(), v.bytes("plaintext"), "{}", v.name()),
            "open" => assert_eq!(opened, Err(OpenError), "{}", v.name()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn every_bit_and_every_cut_of_a_sealed_sum_counts() {
    let key = SumsKey::from_bytes([1; 32]);
    let sealed = key.seal(b"0123456789", b"sha256").unwrap();
    assert_eq!(sealed.len(), 39);
    assert_eq!(key.open(&sealed, b"sha256").unwrap(), b"0123456789");
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.open(&damaged, b"sha256"), Err(OpenError), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert_eq!(key.open(&sealed[..len], b"sha256"), Err(OpenError));
    }
    assert!(
        key.open(&[sealed.as_slice(), b"x"].concat(), b"sha256")
            .is_err()
    );
}

#[test]
fn a_sum_opens_only_for_its_use_and_object() {
    let key = SumsKey::from_bytes([1; 32]);
    let sealed = key.seal(b"value", b"a").unwrap();
    for aad in [b"".as_slice(), b"b", b"a\0", b"aa"] {
        assert!(key.open(&sealed, aad).is_err());
    }
    assert!(SumsKey::from_bytes([2; 32]).open(&sealed, b"a").is_err());
    assert_ne!(
        key.seal(b"value", b"a").unwrap(),
        sealed,
        "nonces are fresh"
    );
}
