// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use proptest::prelude::*;
use strongroom_format::{
    Bind, BindChecksum, BindDigest, ObjectDataId, SealError, properties_digest,
};

use crate::vectors::{Vector, load};

/// The digest of an entry of `bind.json`.
pub(crate) fn digest_of(v: &Vector) -> Result<BindDigest, SealError> {
    let sums: Vec<_> = v.list("checksums");
    let sums: Vec<_> = sums
        .iter()
        .map(|sum| {
            (
                sum.number("alg") as u8,
                sum.number("type") as u8,
                sum.bytes("bytes"),
            )
        })
        .collect();
    let sums: Vec<_> = sums
        .iter()
        .map(|(algorithm, kind, bytes)| BindChecksum {
            algorithm: *algorithm,
            kind: *kind,
            bytes,
        })
        .collect();
    Bind {
        cluster_id: &v.array("cluster_id"),
        bucket_uid: &v.array("bucket_uid"),
        object_key: &v.bytes("object_key"),
        version_uid: &v.array("version_uid"),
        null_version: v.flag("null_version"),
        odi: &ObjectDataId(v.array("odi")),
        plain_size: v.number("plain_size"),
        created_ms: v.number("created_ms"),
        etag: &v.bytes("etag"),
        checksums: &sums,
        parts: u16::try_from(v.number("parts")).unwrap(),
        part_table_sha384: v.array("part_table_sha384"),
        properties_sha384: v.array("properties_sha384"),
        kms_arn: v.text("kms_arn"),
        context_sha384: v.array("context_sha384"),
    }
    .digest()
}

const BASE: Bind<'static> = Bind {
    cluster_id: &[1; 16],
    bucket_uid: &[2; 16],
    object_key: b"key",
    version_uid: &[3; 16],
    null_version: false,
    odi: &ObjectDataId([4; 16]),
    plain_size: 5,
    created_ms: 6,
    etag: b"etag",
    checksums: &[],
    parts: 0,
    part_table_sha384: [7; 48],
    properties_sha384: [8; 48],
    kms_arn: "arn",
    context_sha384: [9; 48],
};

#[test]
fn vectors_of_bind() {
    let mut digests = BTreeSet::new();
    for v in load("bind.json", "binds") {
        let digest = digest_of(&v);
        match v.expect() {
            "ok" => {
                let digest = digest.unwrap();
                assert_eq!(
                    digest.as_bytes().to_vec(),
                    v.bytes("sha384"),
                    "{}",
                    v.name()
                );
                assert!(
                    digests.insert(*digest.as_bytes()),
                    "{} equals another",
                    v.name()
                );
            }
            "error" => assert!(digest.is_err(), "{}", v.name()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn vectors_of_properties() {
    for v in load("bind.json", "properties") {
        let pairs = v.list("pairs");
        let pairs: Vec<_> = pairs
            .iter()
            .map(Vector::texts)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        assert_eq!(
            properties_digest(&pairs).to_vec(),
            v.bytes("sha384"),
            "{}",
            v.name()
        );
    }
}

#[test]
fn a_field_too_long_for_its_length_is_an_error() {
    let long = vec![b'a'; 65_536];
    let text = String::from_utf8(long.clone()).unwrap();
    let sum = |bytes| {
        [BindChecksum {
            algorithm: 1,
            kind: 1,
            bytes,
        }]
    };
    let field_of = |bind: Bind<'_>| match bind.digest() {
        Err(SealError::TooLong { field }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        field_of(Bind {
            object_key: &long,
            ..BASE
        }),
        "object_key"
    );
    assert_eq!(
        field_of(Bind {
            etag: &long[..256],
            ..BASE
        }),
        "etag"
    );
    assert_eq!(
        field_of(Bind {
            kms_arn: &text,
            ..BASE
        }),
        "kms_arn"
    );
    assert_eq!(
        field_of(Bind {
            checksums: &sum(&long),
            ..BASE
        }),
        "checksums"
    );
    let many: Vec<_> = (0..=255)
        .map(|n| BindChecksum {
            algorithm: n,
            kind: 1,
            bytes: b"",
        })
        .collect();
    assert_eq!(
        field_of(Bind {
            checksums: &many,
            ..BASE
        }),
        "checksums"
    );
    assert!(
        Bind {
            checksums: &many[..255],
            ..BASE
        }
        .digest()
        .is_ok()
    );
    assert!(
        Bind {
            object_key: &long[..65_535],
            etag: &long[..255],
            ..BASE
        }
        .digest()
        .is_ok()
    );
}

#[test]
fn order_of_checksums_does_not_matter_and_a_repeated_one_is_an_error() {
    let a = BindChecksum {
        algorithm: 1,
        kind: 1,
        bytes: b"a",
    };
    let b = BindChecksum {
        algorithm: 5,
        kind: 2,
        bytes: b"b",
    };
    let digest = |sums: &[BindChecksum<'_>]| {
        Bind {
            checksums: sums,
            ..BASE
        }
        .digest()
    };
    assert_eq!(digest(&[a, b]), digest(&[b, a]));
    assert_ne!(digest(&[a, b]), digest(&[a]));
    assert_eq!(
        digest(&[a, b, a]),
        Err(SealError::Duplicate { field: "checksums" })
    );
}

#[test]
fn bytes_do_not_move_between_neighbouring_fields() {
    let digest = |object_key: &[u8], etag: &[u8], kms_arn: &str| {
        Bind {
            object_key,
            etag,
            kms_arn,
            ..BASE
        }
        .digest()
        .unwrap()
    };
    let all = [
        digest(b"ab", b"c", "d"),
        digest(b"a", b"bc", "d"),
        digest(b"abc", b"", "d"),
        digest(b"ab", b"cd", ""),
        digest(b"", b"", "abcd"),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(all[at + 1..].iter().all(|other| other != one));
    }
}

proptest! {
    #[test]
    fn every_bit_of_every_field_counts(field in 0_usize..9, bit in 0_usize..128) {
        let flip = |bytes: [u8; 16]| {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let digest48 = |byte: u8| {
            let mut bytes = [byte; 48];
            bytes[bit * 3 / 8] ^= 1 << (bit % 8);
            bytes
        };
        let (a, b, c) = (flip([1; 16]), flip([2; 16]), flip([3; 16]));
        let odi = ObjectDataId(flip([4; 16]));
        let changed = match field {
            0 => Bind { cluster_id: &a, ..BASE },
            1 => Bind { bucket_uid: &b, ..BASE },
            2 => Bind { version_uid: &c, ..BASE },
            3 => Bind { odi: &odi, ..BASE },
            4 => Bind { plain_size: 5 ^ (1 << (bit % 64)), ..BASE },
            5 => Bind { created_ms: 6 ^ (1 << (bit % 64)), ..BASE },
            6 => Bind { part_table_sha384: digest48(7), ..BASE },
            7 => Bind { properties_sha384: digest48(8), ..BASE },
            _ => Bind { context_sha384: digest48(9), ..BASE },
        };
        prop_assert_ne!(changed.digest().unwrap(), BASE.digest().unwrap());
    }

    #[test]
    fn properties_ignore_order_and_nothing_else(pairs in proptest::collection::vec(("[a-c]{0,3}", "[a-c]{0,3}"), 0..5)) {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let digest = properties_digest(&pairs);
        let mut reversed = pairs.clone();
        reversed.reverse();
        prop_assert_eq!(properties_digest(&reversed), digest);
        let mut longer = pairs.clone();
        longer.push(("", ""));
        prop_assert_ne!(properties_digest(&longer), digest);
        if let Some(((name, value), rest)) = pairs.split_first() {
            prop_assert_ne!(properties_digest(rest), digest);
            if name != value {
                let mut swapped = rest.to_vec();
                swapped.push((value, name));
                let mut multiset = pairs.clone();
                multiset.sort_unstable();
                swapped.sort_unstable();
                if multiset != swapped {
                    prop_assert_ne!(properties_digest(&swapped), digest);
                }
            }
        }
    }
}
