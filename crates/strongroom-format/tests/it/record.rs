// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeMap;

use strongroom_format::{
    Bind, BindDigest, EK_REF_BYTES_MAX, ExternalKey, Layer, ObjectDataId, ObjectKey, OpenError,
    OuterObjectKey, ParseError, RecordFlags, SealError, SealedKeyRecord, SseMode, UnwrapError,
    commitment_matches, unwrap_object_key, unwrap_outer_object_key, wrap_object_key,
    wrap_outer_object_key,
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

fn wrapped_outer(flags: RecordFlags, ek_ref: &[u8]) -> Result<SealedKeyRecord, SealError> {
    let oek = OuterObjectKey::from_bytes([0x66; 32]);
    wrap_outer_object_key(&ek(1), &oek, flags, ek_ref, &digest(b"k"), [5; 32])
}

fn flag_byte(record: &SealedKeyRecord) -> u64 {
    let flags = record.flags();
    u64::from(flags.bucket_key)
        | u64::from(flags.multipart) << 1
        | u64::from(flags.pending) << 2
        | u64::from(record.layer() == Layer::Outer) << 3
}

/// The object key of whichever layer.
fn unwrapped(
    ek: &ExternalKey,
    record: &SealedKeyRecord,
    bind: &BindDigest,
) -> Result<[u8; 32], UnwrapError> {
    match record.layer() {
        Layer::Inner => unwrap_object_key(ek, record, bind).map(|oek| *oek.expose_secret()),
        Layer::Outer => unwrap_outer_object_key(ek, record, bind).map(|oek| *oek.expose_secret()),
    }
}

fn outcome(
    parsed: Result<SealedKeyRecord, ParseError>,
    ek: &ExternalKey,
    bind: &BindDigest,
) -> &'static str {
    match parsed.map(|record| unwrapped(ek, &record, bind)) {
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
            let oek = unwrapped(&ek, &record, bind).unwrap();
            assert_eq!(oek.to_vec(), v.bytes("oek"), "{}", v.name());
            assert_eq!(record.mode() as u64, v.number("mode"));
            assert_eq!(flag_byte(&record), v.number("flags"));
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
        (SseMode::Dsse, multipart, b"blob"),
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
fn an_outer_record_comes_back_and_each_unwraps_as_its_own_layer_only() {
    let inner = wrapped(SseMode::Dsse, PLAIN, b"blob").unwrap();
    let outer = wrapped_outer(PLAIN, b"reference").unwrap();
    let bind = digest(b"k");
    for (record, layer) in [(&inner, Layer::Inner), (&outer, Layer::Outer)] {
        let parsed = SealedKeyRecord::parse(&record.to_bytes()).unwrap();
        assert_eq!(&parsed, record);
        assert_eq!((parsed.mode(), parsed.layer()), (SseMode::Dsse, layer));
    }
    assert_eq!(unwrapped(&ek(1), &inner, &bind), Ok([0x77; 32]));
    assert_eq!(unwrapped(&ek(1), &outer, &bind), Ok([0x66; 32]));
    let refused = Some(UnwrapError::Open(OpenError));
    assert_eq!(
        unwrap_outer_object_key(&ek(1), &inner, &bind).err(),
        refused
    );
    assert_eq!(unwrap_object_key(&ek(1), &outer, &bind).err(), refused);
    assert_eq!(
        unwrap_outer_object_key(&ek(2), &outer, &bind).err(),
        Some(UnwrapError::WrongKey)
    );
    // One key and one salt, two layers: nothing that is derived is the same.
    let other = wrapped_outer(PLAIN, b"blob").unwrap();
    assert_ne!(other.to_bytes()[40..72], inner.to_bytes()[40..72]);
    let kms = wrapped(SseMode::Kms, PLAIN, b"blob").unwrap();
    assert_ne!(kms.to_bytes()[40..72], inner.to_bytes()[40..72]);
}

#[test]
fn every_bit_of_an_outer_record_counts() {
    let multipart = RecordFlags {
        multipart: true,
        ..PLAIN
    };
    let bytes = wrapped_outer(multipart, &[6; 20]).unwrap().to_bytes();
    let bind = digest(b"k");
    assert_eq!(outcome(SealedKeyRecord::parse(&bytes), &ek(1), &bind), "ok");
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let got = outcome(SealedKeyRecord::parse(&damaged), &ek(1), &bind);
        assert_ne!(got, "ok", "bit {bit}");
    }
    for len in 0..bytes.len() {
        let got = outcome(SealedKeyRecord::parse(&bytes[..len]), &ek(1), &bind);
        assert_eq!(got, "parse");
    }
}

#[test]
fn outer_records_without_meaning_are_not_wrapped() {
    let bucket_key = RecordFlags {
        bucket_key: true,
        ..PLAIN
    };
    for (flags, ek_ref, field) in [
        (PLAIN, b"".as_slice(), "ek_ref"),
        (PLAIN, &[1; EK_REF_BYTES_MAX + 1], "ek_ref"),
        (bucket_key, &[1; 34], "flags"),
    ] {
        let refused = Err(SealError::NotAllowed { field });
        assert_eq!(wrapped_outer(flags, ek_ref), refused);
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
        (SseMode::Dsse, PLAIN, b"", "ek_ref"),
        (SseMode::Dsse, bucket_key, &[1; 34], "flags"),
        (SseMode::Dsse, PLAIN, &too_long, "ek_ref"),
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
