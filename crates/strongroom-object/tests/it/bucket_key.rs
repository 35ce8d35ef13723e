// SPDX-License-Identifier: Apache-2.0
//! Objects whose keys come from a bucket key: what their rows say, and what changed rows do.

use std::ops::Bound;

use strongroom_format::EncryptionContext;
use strongroom_kms::DisableKeyInput;
use strongroom_object::{Encryption, EncryptionRequest, Error};
use strongroom_store::{Batch, Row, TableId, Write};

use crate::harness::*;

const VERSIONS: TableId = TableId(21);

fn with_bucket_key() -> EncryptionRequest {
    with_pairs(&[])
}

fn with_pairs(pairs: &[(&str, &str)]) -> EncryptionRequest {
    let mut context = EncryptionContext::new();
    for (name, value) in pairs {
        context.insert(*name, *value).unwrap();
    }
    EncryptionRequest::Kms {
        key_id: None,
        context,
        bucket_key: Some(true),
    }
}

fn says_so(encryption: &Encryption) -> bool {
    matches!(
        encryption,
        Encryption::Kms {
            bucket_key: true,
            ..
        }
    )
}

fn versions(house: &House) -> Vec<(Vec<u8>, Row)> {
    let tables = house.store.tables();
    tables
        .scan(VERSIONS, Bound::Unbounded, Bound::Unbounded, 100, false)
        .unwrap()
}

async fn put_row(house: &House, key: &[u8], value: &[u8]) {
    let write = Write::Put {
        table: VERSIONS,
        key: key.to_vec(),
        value: value.to_vec(),
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    house.store.tables().commit(batch).await.unwrap();
}

#[tokio::test]
async fn objects_say_so_and_are_read_again() {
    let house = house().await;
    house.bucket("bucket").await;
    for (name, bytes) in [("none", 0), ("small", 10), ("large", 300_000)] {
        let bytes = pattern(bytes);
        let put = house.put("bucket", name, &bytes, with_bucket_key()).await;
        assert!(says_so(&put.unwrap().encryption));
        let got = house.get_output("bucket", name, None).await.unwrap();
        assert!(says_so(&got.head.encryption));
        assert_eq!(collect(got).await.unwrap(), bytes);
        let shown = house.objects.inspect("bucket", name, None).await.unwrap();
        assert!(shown.bucket_key);
        let arn = ("aws:s3:arn".to_owned(), "arn:aws:s3:::bucket".to_owned());
        assert_eq!(shown.encryption_context, [arn]);
    }
    let request = house.request();
    let report = house.objects.verify(request.scope(), &|_| {}).await;
    let report = report.unwrap();
    assert!(report.damaged.is_empty(), "{:?}", report.damaged);
    let put = house.put("bucket", "plain", b"x", kms()).await.unwrap();
    assert!(!says_so(&put.encryption));
    let impact = house
        .objects
        .kms_impact(&kms_arn(&put.encryption), &|_| {})
        .await
        .unwrap();
    assert_eq!(impact["bucket"].versions, 4);
}

fn kms_arn(encryption: &Encryption) -> String {
    match encryption {
        Encryption::Kms { key_arn, .. } => key_arn.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_disabled_key_stops_the_next_read_and_write() {
    let house = house().await;
    house.bucket("bucket").await;
    let request = house.request();
    let key = house
        .kms
        .create_key(
            request.scope().caller,
            request.scope().receipt,
            strongroom_kms::CreateKeyInput::default(),
        )
        .await
        .unwrap();
    let with = || EncryptionRequest::Kms {
        key_id: Some(key.key_id.clone()),
        context: EncryptionContext::new(),
        bucket_key: Some(true),
    };
    house.put("bucket", "k", b"text", with()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"text");
    }
    let input = DisableKeyInput {
        key_id: key.key_id.clone(),
    };
    house
        .kms
        .disable_key(request.scope().caller, request.scope().receipt, input)
        .await
        .unwrap();
    let refused = house.get("bucket", "k", None).await;
    assert!(matches!(refused, Err(Error::Kms(_))));
    let refused = house.put("bucket", "j", b"text", with()).await;
    assert!(matches!(refused, Err(Error::Kms(_))));
}

#[tokio::test]
async fn the_arn_in_a_context_is_that_of_the_bucket() {
    let house = house().await;
    house.bucket("bucket").await;
    let put = |context| house.put("bucket", "k", b"x", context);
    let right = with_pairs(&[("aws:s3:arn", "arn:aws:s3:::bucket"), ("a", "b")]);
    put(right).await.unwrap();
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"x");
    for wrong in ["arn:aws:s3:::bucket/k", "arn:aws:s3:::other", "", "*"] {
        let refused = put(with_pairs(&[("aws:s3:arn", wrong)])).await;
        assert!(
            matches!(refused, Err(Error::InvalidEncryptionContext { .. })),
            "{wrong}"
        );
    }
    let arn = "arn:aws:s3:::bucket";
    let wrong: [&[(&str, &str)]; 6] = [
        &[("aws:other", "x")],
        &[("AWS:S3:ARN", arn)],
        &[("aws:s3:ARN", arn), ("aws:s3:arn", arn)],
        &[("Aws:", "x")],
        &[("team", "red"), ("Team", "blue")],
        &[("team", "red"), ("TEAM", "red")],
    ];
    for pairs in wrong {
        for bucket_key in [None, Some(false), Some(true)] {
            let mut context = EncryptionContext::new();
            for (name, value) in pairs {
                context.insert(*name, *value).unwrap();
            }
            let request = match bucket_key {
                // Under two layers.
                None => EncryptionRequest::Dsse {
                    key_id: None,
                    context,
                },
                Some(_) => EncryptionRequest::Kms {
                    key_id: None,
                    context,
                    bucket_key,
                },
            };
            let refused = put(request).await;
            assert!(
                matches!(refused, Err(Error::InvalidEncryptionContext { .. })),
                "{pairs:?}"
            );
        }
    }
}

#[tokio::test]
async fn swapped_rows_of_one_bucket_key_are_refused() {
    let house = house().await;
    house.bucket("bucket").await;
    for (name, text) in [("a", b"aaaa"), ("b", b"bbbb")] {
        let put = house.put("bucket", name, text, with_bucket_key());
        put.await.unwrap();
    }
    let [(key_a, row_a), (key_b, row_b)] = versions(&house).try_into().unwrap();
    put_row(&house, &key_a, &row_b.value).await;
    put_row(&house, &key_b, &row_a.value).await;
    for name in ["a", "b"] {
        let refused = house.get("bucket", name, None).await;
        assert!(matches!(refused, Err(Error::Corrupted { .. })), "{name}");
    }
}

#[tokio::test]
async fn every_changed_byte_of_a_record_is_refused() {
    let house = house().await;
    house.bucket("bucket").await;
    let put = house.put("bucket", "k", b"text", with_bucket_key());
    put.await.unwrap();
    let (key, row) = versions(&house).pop().unwrap();
    let magic = row.value.windows(4).position(|four| four == b"OSK1");
    let start = magic.unwrap();
    // Record with its reference: 134 bytes, version, salt, KMS ciphertext of 98.
    for at in start..start + 134 + 33 + 98 {
        let mut value = row.value.clone();
        value[at] ^= 1;
        put_row(&house, &key, &value).await;
        let refused = house.get("bucket", "k", None).await;
        let refused = matches!(refused, Err(Error::Corrupted { .. } | Error::Kms(_)));
        assert!(refused, "byte {}", at - start);
    }
    put_row(&house, &key, &row.value).await;
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"text");
}
