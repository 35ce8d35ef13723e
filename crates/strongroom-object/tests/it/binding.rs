// SPDX-License-Identifier: Apache-2.0
//! Rows that were changed, swapped or put back: refused before a byte leaves.
//!
//! The attacker of these tests can write rows through the store itself (so the rows are sealed
//! and authenticated as rows): what stops them is the record's binding to the object.

use std::ops::Bound;

use strongroom_object::{EncryptionRequest, Error, Properties};
use strongroom_store::{Batch, Row, TableId, Write};

use crate::harness::*;

pub(crate) const VERSIONS: TableId = TableId(21);
pub(crate) const BODIES: TableId = TableId(24);

pub(crate) fn rows(house: &House, table: TableId) -> Vec<(Vec<u8>, Row)> {
    house
        .store
        .tables()
        .scan(table, Bound::Unbounded, Bound::Unbounded, 100, false)
        .unwrap()
}

pub(crate) async fn put_row(house: &House, table: TableId, key: &[u8], value: &[u8]) {
    let write = Write::Put {
        table,
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
async fn two_objects_rows_swapped() {
    for request in [|| EncryptionRequest::S3, kms] {
        let house = house().await;
        house.bucket("bucket").await;
        house.put("bucket", "a", b"aaaa", request()).await.unwrap();
        house.put("bucket", "b", b"bbbb", request()).await.unwrap();
        let found = rows(&house, VERSIONS);
        let [(key_a, row_a), (key_b, row_b)] = found.try_into().unwrap();
        put_row(&house, VERSIONS, &key_a, &row_b.value).await;
        put_row(&house, VERSIONS, &key_b, &row_a.value).await;
        for name in ["a", "b"] {
            let refused = house.get("bucket", name, None).await;
            assert!(
                matches!(refused, Err(Error::Corrupted { .. } | Error::Kms(_))),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn every_bit_of_a_version_row_matters() {
    for request in [
        || EncryptionRequest::S3,
        || EncryptionRequest::Customer(customer(1)),
    ] {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let output = house.put("bucket", "k", b"data", request()).await.unwrap();
        let (key, row) = rows(&house, VERSIONS).pop().unwrap();
        for bit in 0..row.value.len() * 8 {
            let mut value = row.value.clone();
            value[bit / 8] ^= 1 << (bit % 8);
            put_row(&house, VERSIONS, &key, &value).await;
            let customer_key =
                matches!(request(), EncryptionRequest::Customer(_)).then(|| customer(1));
            let Ok(got) = house.get_output("bucket", "k", customer_key).await else {
                continue;
            };
            // Bits that change neither the meaning of the encoding nor the object may pass: what
            // is served must then be the object, in every word that an answer says about it.
            assert_eq!(got.head.etag, output.etag, "bit {bit}");
            assert_eq!(got.head.size, 4, "bit {bit}");
            assert_eq!(got.head.properties, Properties::default(), "bit {bit}");
            assert_eq!(collect(got).await.unwrap(), b"data", "bit {bit}");
        }
    }
}

#[tokio::test]
async fn every_bit_of_a_small_body_matters() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .put("bucket", "k", b"small", EncryptionRequest::S3)
        .await
        .unwrap();
    let (key, row) = rows(&house, BODIES).pop().unwrap();
    for bit in 0..row.value.len() * 8 {
        let mut value = row.value.clone();
        value[bit / 8] ^= 1 << (bit % 8);
        put_row(&house, BODIES, &key, &value).await;
        let refused = house.get("bucket", "k", None).await;
        assert!(matches!(refused, Err(Error::Corrupted { .. })), "bit {bit}");
    }
    for wrong in [
        &row.value[..row.value.len() - 1],
        &[],
        &[row.value.as_slice(), &[0]].concat(),
    ] {
        put_row(&house, BODIES, &key, wrong).await;
        assert!(house.get("bucket", "k", None).await.is_err());
    }
    put_row(&house, BODIES, &key, &row.value).await;
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"small");
}

#[tokio::test]
async fn an_older_version_put_back_does_not_open_the_new_body() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .put("bucket", "k", b"old!", EncryptionRequest::S3)
        .await
        .unwrap();
    let (_, old) = rows(&house, VERSIONS).pop().unwrap();
    house
        .put("bucket", "k", b"new!", EncryptionRequest::S3)
        .await
        .unwrap();
    let (key, _) = rows(&house, VERSIONS).pop().unwrap();
    put_row(&house, VERSIONS, &key, &old.value).await;
    assert!(matches!(
        house.get("bucket", "k", None).await,
        Err(Error::Corrupted { .. })
    ));
}

#[tokio::test]
async fn a_bucket_of_the_same_name_revives_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .put("bucket", "k", b"data", EncryptionRequest::S3)
        .await
        .unwrap();
    let version = rows(&house, VERSIONS).pop().unwrap();
    let body = rows(&house, BODIES).pop().unwrap();
    house
        .objects
        .delete_object(house.request().scope(), delete_input("bucket", "k"))
        .await
        .unwrap();
    house
        .objects
        .delete_bucket(house.request().scope(), "bucket")
        .await
        .unwrap();
    house.bucket("bucket").await;
    house
        .put("bucket", "k", b"data", EncryptionRequest::S3)
        .await
        .unwrap();
    let (key, _) = rows(&house, VERSIONS).pop().unwrap();
    put_row(&house, VERSIONS, &key, &version.1.value).await;
    put_row(&house, BODIES, &body.0, &body.1.value).await;
    assert!(house.get("bucket", "k", None).await.is_err());
}
