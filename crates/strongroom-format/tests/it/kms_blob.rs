// SPDX-License-Identifier: Apache-2.0

use strongroom_format::{
    EncryptionContext, KMS_BLOB_BYTES_MAX, KMS_BLOB_OVERHEAD_BYTES, KeyMaterial, KmsBlobHeader,
    KmsBlobRandom, OpenError, SealError, kms_blob_open, kms_blob_parse, kms_blob_seal,
};

use crate::vectors::load;

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    let mut context = EncryptionContext::new();
    for (name, value) in pairs {
        context.insert(*name, *value).unwrap();
    }
    context
}

fn seal(plain: &[u8], ctx: &EncryptionContext) -> Result<Vec<u8>, SealError> {
    let material = KeyMaterial::from_bytes([1; 32]);
    kms_blob_seal(
        &material,
        [2; 16],
        3,
        &KmsBlobRandom { n: [4; 16] },
        plain,
        ctx,
    )
}

fn open(blob: &[u8], ctx: &EncryptionContext) -> Option<Vec<u8>> {
    kms_blob_open(&KeyMaterial::from_bytes([1; 32]), blob, ctx)
        .ok()
        .map(|plain| plain.to_vec())
}

#[test]
fn vectors_of_blobs() {
    for v in load("kms-blob.json", "blobs") {
        let material = KeyMaterial::from_bytes(v.array("material"));
        let mut ctx = EncryptionContext::new();
        for (name, value) in v.pairs("context") {
            ctx.insert(name, value).unwrap();
        }
        let blob = v.bytes("blob");
        let parsed = kms_blob_parse(&blob);
        let opened = kms_blob_open(&material, &blob, &ctx);
        assert_eq!(parsed.is_err(), v.expect() == "parse", "{}", v.name());
        match v.expect() {
            "ok" => {
                assert_eq!(
                    opened.unwrap().to_vec(),
                    v.bytes("plaintext"),
                    "{}",
                    v.name()
                );
                let version = u32::try_from(v.number("version")).unwrap();
                let header = KmsBlobHeader {
                    key_uid: v.array("key_uid"),
                    version,
                };
                assert_eq!(parsed, Ok(header));
                assert_eq!(ctx.digest().to_vec(), v.bytes("context_sha384"));
            }
            "open" | "parse" => assert_eq!(opened.err(), Some(OpenError), "{}", v.name()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_is_sealed_opens() {
    let ctx = context(&[("a", "1")]);
    for len in [
        0,
        1,
        32,
        4_096,
        KMS_BLOB_BYTES_MAX - KMS_BLOB_OVERHEAD_BYTES,
    ] {
        let plain = vec![7; len];
        let blob = seal(&plain, &ctx).unwrap();
        assert_eq!(blob.len(), len + KMS_BLOB_OVERHEAD_BYTES);
        assert_eq!(
            kms_blob_parse(&blob),
            Ok(KmsBlobHeader {
                key_uid: [2; 16],
                version: 3
            })
        );
        assert_eq!(open(&blob, &ctx), Some(plain));
    }
    let too_long = vec![7; KMS_BLOB_BYTES_MAX - KMS_BLOB_OVERHEAD_BYTES + 1];
    assert_eq!(
        seal(&too_long, &ctx),
        Err(SealError::TooLong { field: "plaintext" })
    );
}

#[test]
fn every_bit_and_every_cut_of_a_blob_counts() {
    let ctx = context(&[("a", "1")]);
    let blob = seal(b"0123456789", &ctx).unwrap();
    for bit in 0..blob.len() * 8 {
        let mut damaged = blob.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&damaged, &ctx), None, "bit {bit}");
    }
    for len in 0..blob.len() {
        assert_eq!(open(&blob[..len], &ctx), None);
        assert_eq!(
            kms_blob_parse(&blob[..len]).is_ok(),
            len >= KMS_BLOB_OVERHEAD_BYTES
        );
    }
    assert_eq!(open(&[blob.as_slice(), b"\0"].concat(), &ctx), None);
}

#[test]
fn a_blob_opens_only_in_its_context() {
    let ctx = context(&[("a", "1"), ("b", "2")]);
    let blob = seal(b"x", &ctx).unwrap();
    assert!(open(&blob, &context(&[("b", "2"), ("a", "1")])).is_some());
    for other in [
        context(&[]),
        context(&[("a", "1")]),
        context(&[("a", "1"), ("b", "2"), ("c", "")]),
        context(&[("a", "2"), ("b", "1")]),
        context(&[("A", "1"), ("b", "2")]),
        context(&[("a1", ""), ("b", "2")]),
    ] {
        assert_eq!(open(&blob, &other), None);
    }
}

#[test]
fn two_blobs_of_one_plaintext_share_nothing_secret() {
    let ctx = context(&[]);
    let (first, second) = (seal(&[0; 64], &ctx).unwrap(), seal(&[0; 64], &ctx).unwrap());
    assert_ne!(
        first[38..50],
        second[38..50],
        "nonces are fresh even with the same n"
    );
    assert_ne!(first[50..], second[50..]);
}
