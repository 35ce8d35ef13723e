// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeMap;

use strongroom_format::{
    Bind, BindDigest, EK_REF_BYTES_MAX, ExternalKey, ObjectDataId, ObjectKey, OpenError,
    ParseError, RecordFlags, SealError, SealedKeyRecord, SseMode, UnwrapError, commitment_matches,
    unwrap_object_key, wrap_object_key,
};

use crate::bind::digest_of;
use crate::vectors::load;

const PLAIN: RecordFlags = RecordFlags {
    bucket_key: false,
    multipart: false,
    pending: false,
};

fn digest(object_key: &[u8]) -> BindDigest {
    Bind {
        cluster_id: &[1; 16],
        bucket_uid: &[2; 16],
        object_key,
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
    }
    .digest()
    .unwrap()
}

fn ek(byte: u8) -> ExternalKey {
    ExternalKey::from_bytes([byte; 32])
}

fn wrapped(mode: SseMode, flags: RecordFlags, ek_ref: &[u8]) -> Result<SealedKeyRecord, SealError> {
    let oek = ObjectKey::from_bytes([0x77; 32]);
    wrap_object_key(&ek(1), &oek, mode, flags, ek_ref, &digest(b"k"), [5; 32])
}

fn flag_byte(flags: RecordFlags) -> u64 {
    u64::from(flags.bucket_key) | u64::from(flags.multipart) << 1 | u64::from(flags.pending) << 2
}

fn outcome(
    parsed: Result<SealedKeyRecord, ParseError>,
    ek: &ExternalKey,
    bind: &BindDigest,
) -> &'static str {
    match parsed.map(|record| unwrap_object_key(ek, &record, bind)) {
        Err(_) => "parse",
        Ok(Err(UnwrapError::WrongKey)) => "wrong_key",
        Ok(Err(UnwrapError::Open(OpenError))) => "open",
        Ok(Ok(_)) => "ok",
    }
}

#[test]
fn vectors_of_records() {
    let binds: BTreeMap<_, _> = load("bind.json", "binds")
        .into_iter()
        .filter_map(|v| Some((v.name().to_owned(), digest_of(&v).ok()?)))
        .collect();
    for v in load("osk1.json", "records") {
        let bind = &binds[v.text("bind")];
        assert_eq!(bind.as_bytes().to_vec(), v.bytes("bind_sha384"));
        let ek = ExternalKey::from_bytes(v.array("ek"));
        let bytes = v.bytes("record");
        let parsed = SealedKeyRecord::parse(&bytes);
        if let Ok(record) = &parsed {
            assert_eq!(record.to_bytes(), bytes, "{}", v.name());
            assert_eq!(
                commitment_matches(&ek, record),
                v.expect() != "wrong_key",
                "{}",
                v.name()
            );
        }
        assert_eq!(
            outcome(parsed.clone(), &ek, bind),
            v.expect(),
            "{}",
            v.name()
        );
        if v.has("oek") {
            let record = parsed.unwrap();
            let oek = unwrap_object_key(&ek, &record, bind).unwrap();
            assert_eq!(oek.expose_secret().to_vec(), v.bytes("oek"), "{}", v.name());
            assert_eq!(record.mode() as u64, v.number("mode"));
            assert_eq!(flag_byte(record.flags()), v.number("flags"));
            assert_eq!(record.ek_ref().to_vec(), v.bytes("ek_ref"));
        }
    }
}

#[test]
fn what_is_wrapped_unwraps_from_its_bytes() {
    let multipart = RecordFlags {
        multipart: true,
        ..PLAIN
    };
    let bucket_key = RecordFlags {
        bucket_key: true,
        pending: true,
        ..PLAIN
    };
    for (mode, flags, ek_ref) in [
        (SseMode::S3, PLAIN, b"x".as_slice()),
        (SseMode::S3, multipart, b"id and version"),
        (SseMode::Kms, PLAIN, &[3; EK_REF_BYTES_MAX]),
        (SseMode::Kms, bucket_key, &[1; EK_REF_BYTES_MAX]),
        (SseMode::C, multipart, b""),
    ] {
        let record = wrapped(mode, flags, ek_ref).unwrap();
        let bytes = record.to_bytes();
        assert_eq!(bytes.len(), 134 + ek_ref.len());
        let parsed = SealedKeyRecord::parse(&bytes).unwrap();
        assert_eq!(parsed, record);
        assert_eq!(
            (parsed.mode(), parsed.flags(), parsed.ek_ref()),
            (mode, flags, ek_ref)
        );
        let oek = unwrap_object_key(&ek(1), &parsed, &digest(b"k")).unwrap();
        assert_eq!(oek.expose_secret(), &[0x77; 32]);
    }
}

#[test]
fn every_bit_of_a_record_counts() {
    let bucket_key = RecordFlags {
        bucket_key: true,
        ..PLAIN
    };
    for (mode, flags, ek_ref) in [
        (SseMode::Kms, PLAIN, [6; 20].as_slice()),
        (SseMode::Kms, bucket_key, &[1; 50]),
        (SseMode::C, PLAIN, b""),
    ] {
        let bytes = wrapped(mode, flags, ek_ref).unwrap().to_bytes();
        let bind = digest(b"k");
        assert_eq!(outcome(SealedKeyRecord::parse(&bytes), &ek(1), &bind), "ok");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let got = outcome(SealedKeyRecord::parse(&damaged), &ek(1), &bind);
            assert_ne!(got, "ok", "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(
                outcome(SealedKeyRecord::parse(&bytes[..len]), &ek(1), &bind),
                "parse"
            );
        }
    }
}

#[test]
fn every_bit_of_the_external_key_counts_and_is_told_apart_from_damage() {
    let record = wrapped(SseMode::C, PLAIN, b"").unwrap();
    for bit in 0..256 {
        let mut bytes = [1; 32];
        bytes[bit / 8] ^= 1 << (bit % 8);
        let key = ExternalKey::from_bytes(bytes);
        let got = unwrap_object_key(&key, &record, &digest(b"k"));
        assert_eq!(got.err(), Some(UnwrapError::WrongKey));
        assert!(!commitment_matches(&key, &record));
    }
    let got = unwrap_object_key(&ek(1), &record, &digest(b"other"));
    assert_eq!(got.err(), Some(UnwrapError::Open(OpenError)));
    assert!(commitment_matches(&ek(1), &record));
}

#[test]
fn records_of_two_objects_cannot_be_swapped() {
    let wrap = |name: &[u8]| {
        let oek = ObjectKey::from_bytes([0x77; 32]);
        let bind = digest(name);
        wrap_object_key(&ek(1), &oek, SseMode::Kms, PLAIN, b"ref", &bind, [5; 32]).unwrap()
    };
    let (a, b) = (wrap(b"a"), wrap(b"b"));
    assert!(unwrap_object_key(&ek(1), &a, &digest(b"a")).is_ok());
    assert!(unwrap_object_key(&ek(1), &a, &digest(b"b")).is_err());
    assert!(unwrap_object_key(&ek(1), &b, &digest(b"a")).is_err());
}

#[test]
fn reference_of_another_record_is_refused() {
    let bytes = wrapped(SseMode::Kms, PLAIN, &[6; 20]).unwrap().to_bytes();
    for other in [[7; 20].as_slice(), &[6; 19], &[6; 21], &[6]] {
        let len = u16::try_from(other.len()).unwrap().to_be_bytes();
        let spliced = [&bytes[..132], &len, other].concat();
        assert_eq!(
            outcome(SealedKeyRecord::parse(&spliced), &ek(1), &digest(b"k")),
            "open"
        );
    }
}

#[test]
fn combinations_without_meaning_are_neither_wrapped_nor_parsed() {
    let bucket_key = RecordFlags {
        bucket_key: true,
        ..PLAIN
    };
    let too_long = [0; EK_REF_BYTES_MAX + 1];
    for (mode, flags, ek_ref, field) in [
        (SseMode::C, PLAIN, b"x".as_slice(), "ek_ref"),
        (SseMode::C, bucket_key, b"", "flags"),
        (SseMode::S3, bucket_key, &[1; 34], "flags"),
        (SseMode::Kms, bucket_key, &[1; 33], "ek_ref"),
        (SseMode::Kms, bucket_key, &[2; 34], "ek_ref"),
        (SseMode::Kms, bucket_key, b"", "ek_ref"),
        (SseMode::Kms, PLAIN, b"", "ek_ref"),
        (SseMode::S3, PLAIN, b"", "ek_ref"),
        (SseMode::Kms, PLAIN, &too_long, "ek_ref"),
        (SseMode::S3, PLAIN, &too_long, "ek_ref"),
        (SseMode::Dsse, PLAIN, b"x", "sse_mode"),
    ] {
        assert_eq!(
            wrapped(mode, flags, ek_ref),
            Err(SealError::NotAllowed { field })
        );
        let mut bytes = wrapped(SseMode::S3, PLAIN, b"x").unwrap().to_bytes();
        bytes[6] = mode as u8;
        bytes[7] = u8::from(flags.bucket_key);
        let len = u16::try_from(ek_ref.len()).unwrap().to_be_bytes();
        let spliced = [&bytes[..132], &len, ek_ref].concat();
        assert_eq!(
            SealedKeyRecord::parse(&spliced),
            Err(ParseError::Value { field })
        );
    }
}

#[test]
fn rewrapping_keeps_the_object_key_and_shares_no_bytes() {
    let old = wrapped(SseMode::S3, PLAIN, b"x").unwrap();
    let oek = unwrap_object_key(&ek(1), &old, &digest(b"k")).unwrap();
    let new = wrap_object_key(
        &ek(2),
        &oek,
        SseMode::Kms,
        PLAIN,
        b"y",
        &digest(b"k"),
        [6; 32],
    )
    .unwrap();
    let again = unwrap_object_key(&ek(2), &new, &digest(b"k")).unwrap();
    assert_eq!(again.expose_secret(), oek.expose_secret());
    assert!(unwrap_object_key(&ek(1), &new, &digest(b"k")).is_err());
    assert_ne!(old.to_bytes()[8..132], new.to_bytes()[8..132]);
}

#[test]
fn debug_of_a_record_holds_no_object_key() {
    let record = wrapped(SseMode::S3, PLAIN, b"x").unwrap();
    assert!(!format!("{record:?}").contains("119, 119, 119"));
}

#[test]
fn vectors_of_completion_tags() {
    let binds: BTreeMap<_, _> = load("bind.json", "binds")
        .into_iter()
        .filter_map(|v| Some((v.name().to_owned(), digest_of(&v).ok()?)))
        .collect();
    for v in load("osk1.json", "completion_tags") {
        let bind = &binds[v.text("bind")];
        let odi = ObjectDataId(v.array("odi"));
        let key = ObjectKey::from_bytes(v.array("oek")).completion_key(&odi);
        let verified = key.verify(bind, &v.bytes("tag"));
        match v.expect() {
            "ok" => {
                assert_eq!(verified, Ok(()), "{}", v.name());
                assert_eq!(key.expose_secret().to_vec(), v.bytes("ck"));
                assert_eq!(key.tag(bind), v.bytes("tag"));
            }
            "open" => assert_eq!(verified, Err(OpenError), "{}", v.name()),
            other => panic!("{other}"),
        }
    }
}
