// SPDX-License-Identifier: Apache-2.0
//! UpdateObjectEncryption: another key around the object key, one row changed, no body touched.

use std::ops::Bound;
use std::sync::Arc;

use strongroom_format::{EncryptionContext, SealedKeyRecord, SseMode};
use strongroom_kms::{CreateKeyInput, DisableKeyInput};
use strongroom_object::{
    ChecksumAlgorithm, ChecksumRequest, Encryption, EncryptionRequest, Error, GetObjectAttributes,
    KmsKeyArn, PartsPage, UpdateObjectEncryption,
};
use strongroom_store::drive::Folder;
use strongroom_store::{Batch, TableId, Write};
use strongroom_testkit::{FaultPlan, SimDrive};

use crate::harness::*;
use crate::multipart::{complete, completed, create, create_with, part};

const VERSIONS: u16 = 21;
const BODIES: u16 = 24;
const CATALOGUE: u16 = 30;
const PART_TABLES: u16 = 25;
const MIB5: usize = 5 << 20;

async fn key(house: &House) -> String {
    let input = CreateKeyInput::default();
    let request = house.request();
    let scope = request.scope();
    let made = house.kms.create_key(scope.caller, scope.receipt, input);
    made.await.unwrap().arn
}

fn input(name: &str, key_arn: &str) -> UpdateObjectEncryption {
    UpdateObjectEncryption {
        bucket: "bucket".to_owned(),
        object_key: name.to_owned(),
        version_id: None,
        key_arn: KmsKeyArn::parse(key_arn).unwrap(),
        bucket_key: false,
    }
}

async fn update(house: &House, name: &str, key_arn: &str) -> Result<(), Error> {
    update_as(house, input(name, key_arn)).await
}

async fn update_as(house: &House, input: UpdateObjectEncryption) -> Result<(), Error> {
    let request = house.request();
    let objects = &house.objects;
    objects
        .update_object_encryption(request.scope(), input)
        .await
}

/// The rows of a table, as the store gives them.
fn rows(house: &House, table: u16) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = Bound::Unbounded;
    let tables = house.store.tables();
    let rows = tables
        .scan(TableId(table), all, all, 10_000, false)
        .unwrap();
    rows.into_iter()
        .map(|(key, row)| (key, row.value))
        .collect()
}

fn row(house: &House) -> Vec<u8> {
    let [(_, value)] = rows(house, VERSIONS).try_into().unwrap();
    value
}

async fn put_row(house: &House, value: Vec<u8>) {
    let [(key, _)] = rows(house, VERSIONS).try_into().unwrap();
    let table = TableId(VERSIONS);
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![Write::Put { table, key, value }],
    };
    house.store.tables().commit(batch).await.unwrap();
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// The record in a version row: it begins with its magic and ends where it parses.
fn record(row: &[u8]) -> SealedKeyRecord {
    let at = row.windows(4).position(|w| w == b"OSK1").unwrap();
    (at..=row.len())
        .rev()
        .find_map(|end| SealedKeyRecord::parse(&row[at..end]).ok())
        .unwrap()
}

fn kms_under(key_arn: &str, pairs: &[(&str, &str)]) -> EncryptionRequest {
    let mut context = EncryptionContext::new();
    for (name, value) in pairs {
        context.insert(*name, *value).unwrap();
    }
    EncryptionRequest::Kms {
        key_id: Some(key_arn.to_owned()),
        context,
        bucket_key: None,
    }
}

async fn put_summed(house: &House, name: &str, bytes: &[u8], encryption: EncryptionRequest) {
    let mut input = put_input("bucket", name, bytes, encryption);
    input.checksum = ChecksumRequest {
        algorithm: Some(ChecksumAlgorithm::Sha256),
        ..ChecksumRequest::default()
    };
    let request = house.request();
    let put = house.objects.put_object(request.scope(), input);
    put.await.unwrap();
}

#[tokio::test]
async fn every_size_goes_from_sse_s3_to_kms_and_on_to_another_key() {
    let house = house().await;
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    for size in [0, 1, 100, 200_000, 1_200_000] {
        let bytes = pattern(size);
        put_summed(&house, "k", &bytes, EncryptionRequest::S3).await;
        let before = house.get_output("bucket", "k", None).await.unwrap().head;
        let bodies = (rows(&house, BODIES), rows(&house, CATALOGUE));
        for key_arn in [&keys[0], &keys[1], &keys[0], &keys[0]] {
            let old = record(&row(&house));
            update(&house, "k", key_arn).await.unwrap();
            let new = row(&house);
            assert_eq!(record(&new).mode(), SseMode::Kms);
            assert!(!has(&new, old.ek_ref()), "the old data key is gone");
            assert!(!has(&new, &old.to_bytes()), "the old record is gone");
            let got = house.get_output("bucket", "k", None).await.unwrap();
            let wanted = Encryption::Kms {
                key_arn: key_arn.clone(),
                context: None,
                bucket_key: false,
            };
            assert_eq!(got.head.encryption, wanted);
            assert_eq!(got.head.etag, before.etag);
            assert_eq!(got.head.last_modified_ms, before.last_modified_ms);
            assert_eq!(got.head.properties, before.properties);
            assert_eq!(got.head.checksum, before.checksum);
            assert!(got.head.checksum.is_some());
            assert_eq!(collect(got).await.unwrap(), bytes);
        }
        assert_eq!((rows(&house, BODIES), rows(&house, CATALOGUE)), bodies);
    }
}

/// What makes it take as long for 5 GiB as for 5 bytes.
#[tokio::test]
async fn no_byte_of_a_body_is_read_or_written() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    let id = create(&house, EncryptionRequest::S3).await;
    let bytes = [pattern(MIB5), pattern(MIB5 + 1), pattern(50_000)];
    let mut named = Vec::new();
    for (number, bytes) in (1_u16..).zip(&bytes) {
        let made = part(&house, &id, number, bytes, None).await.unwrap();
        named.push(completed(u32::from(number), &made));
    }
    complete(&house, &id, named, None).await.unwrap();
    house.tidied().await;
    let bodies = |folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary);
    drive.set_plan(FaultPlan::new([]).within(bodies));
    for key_arn in [&keys[0], &keys[1], &keys[1]] {
        update(&house, "k", key_arn).await.unwrap();
    }
    assert_eq!((drive.reads(), drive.operations()), (0, 0));
    let got = house.get("bucket", "k", None).await.unwrap();
    assert_eq!(got, bytes.concat());
    assert!(drive.reads() > 0, "reads are counted");
}

#[tokio::test]
async fn clear_checksum_is_sealed() {
    let house = house().await;
    house.bucket("bucket").await;
    let key_arn = key(&house).await;
    put_summed(&house, "k", b"data", EncryptionRequest::S3).await;
    let got = house.get_output("bucket", "k", None).await.unwrap();
    let sum = got.head.checksum.unwrap();
    assert!(has(&row(&house), &sum.value), "SSE-S3 keeps it in clear");
    update(&house, "k", &key_arn).await.unwrap();
    assert!(!has(&row(&house), &sum.value));
    let got = house.get_output("bucket", "k", None).await.unwrap();
    assert_eq!(got.head.checksum, Some(sum));
}

#[tokio::test]
async fn clear_checksums_of_parts_are_sealed() {
    let house = house().await;
    house.bucket("bucket").await;
    let key_arn = key(&house).await;
    let sha = Some(ChecksumAlgorithm::Sha256);
    let id = create_with(&house, EncryptionRequest::S3, sha, None)
        .await
        .unwrap();
    let done = part(&house, &id, 1, &pattern(70_000), None).await.unwrap();
    let sum = done.checksum.clone().unwrap();
    let mut named = completed(1, &done);
    named.checksum = Some((sum.algorithm, sum.value.clone()));
    complete(&house, &id, vec![named], None).await.unwrap();
    let table = || {
        let [(_, value)] = rows(&house, PART_TABLES).try_into().unwrap();
        value
    };
    let listed = async || {
        let input = GetObjectAttributes {
            bucket: "bucket".to_owned(),
            object_key: "k".to_owned(),
            version_id: None,
            customer_key: None,
            checksum: true,
            parts: Some(PartsPage {
                marker: 0,
                max_parts: 10,
            }),
        };
        let request = house.request();
        let asked = house.objects.get_object_attributes(request.scope(), input);
        let told = asked.await.unwrap();
        (told.checksum.unwrap(), told.parts.unwrap().page.remove(0))
    };
    let (whole, of_part) = listed().await;
    assert_eq!(of_part.checksum.value, sum.value);
    assert!(has(&table(), &sum.value), "SSE-S3 keeps it in clear");
    update(&house, "k", &key_arn).await.unwrap();
    assert!(!has(&table(), &sum.value));
    let (now, of_part) = listed().await;
    assert_eq!((now, of_part.checksum.value), (whole, sum.value));
}

#[tokio::test]
async fn parts_stay_and_the_context_of_the_caller_stays() {
    let house = house().await;
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    let pairs = [("project", "x"), ("aws:s3:arn", "arn:aws:s3:::bucket/k")];
    for request in [EncryptionRequest::S3, kms_under(&keys[0], &pairs)] {
        let with_context = !matches!(request, EncryptionRequest::S3);
        let id = create(&house, request).await;
        let (one, two) = (pattern(MIB5 + 3), pattern(70_001));
        let first = part(&house, &id, 1, &one, None).await.unwrap();
        let second = part(&house, &id, 2, &two, None).await.unwrap();
        let parts = vec![completed(1, &first), completed(2, &second)];
        let made = complete(&house, &id, parts, None).await.unwrap();
        let untouched = || {
            let tables = [BODIES, CATALOGUE, PART_TABLES];
            tables.map(|table| rows(&house, table))
        };
        let before = untouched();
        update(&house, "k", &keys[1]).await.unwrap();
        assert_eq!(untouched(), before);
        assert!(record(&row(&house)).flags().multipart);
        assert_eq!(has(&row(&house), b"project"), with_context);
        let whole = [one.as_slice(), &two].concat();
        assert_eq!(house.get("bucket", "k", None).await.unwrap(), whole);
        for (number, bytes) in [(1, &one), (2, &two)] {
            let mut wish = get_input("bucket", "k", None);
            wish.part_number = Some(number);
            let request = house.request();
            let get = house.objects.get_object(request.scope(), wish);
            let got = get.await.unwrap();
            assert_eq!(got.head.etag, made.etag);
            assert_eq!(got.head.parts_count, Some(2));
            assert_eq!(&collect(got).await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn bucket_keys_come_and_go_with_the_arn_in_the_context() {
    let house = house().await;
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    let object_arn = "arn:aws:s3:::bucket/k";
    let pairs = [("project", "x"), ("aws:s3:arn", object_arn)];
    for request in [EncryptionRequest::S3, kms_under(&keys[0], &pairs)] {
        let with_context = !matches!(request, EncryptionRequest::S3);
        put_summed(&house, "k", &pattern(70_000), request).await;
        let before = house.get_output("bucket", "k", None).await.unwrap().head;
        for (key_arn, bucket_key) in [
            (&keys[0], true),
            (&keys[0], false),
            (&keys[0], true),
            (&keys[1], true),
            (&keys[1], false),
        ] {
            let wish = UpdateObjectEncryption {
                bucket_key,
                ..input("k", key_arn)
            };
            update_as(&house, wish).await.unwrap();
            assert_eq!(record(&row(&house)).flags().bucket_key, bucket_key);
            let shown = house.objects.inspect("bucket", "k", None).await.unwrap();
            let arn = if bucket_key {
                "arn:aws:s3:::bucket"
            } else {
                object_arn
            };
            let mut wanted = vec![("aws:s3:arn".to_owned(), arn.to_owned())];
            if with_context {
                wanted.push(("project".to_owned(), "x".to_owned()));
            }
            assert_eq!(shown.encryption_context, wanted);
            let got = house.get_output("bucket", "k", None).await.unwrap();
            let encryption = Encryption::Kms {
                key_arn: key_arn.clone(),
                context: None,
                bucket_key,
            };
            assert_eq!(got.head.encryption, encryption);
            assert_eq!(got.head.etag, before.etag);
            assert_eq!(got.head.checksum, before.checksum);
            assert_eq!(collect(got).await.unwrap(), pattern(70_000));
        }
    }
}

#[tokio::test]
async fn parts_under_a_bucket_key_stay() {
    let house = house().await;
    house.bucket("bucket").await;
    let key_arn = key(&house).await;
    let request = EncryptionRequest::Kms {
        key_id: Some(key_arn.clone()),
        context: EncryptionContext::new(),
        bucket_key: Some(true),
    };
    let id = create(&house, request).await;
    let (one, two) = (pattern(MIB5), pattern(12));
    let first = part(&house, &id, 1, &one, None).await.unwrap();
    let second = part(&house, &id, 2, &two, None).await.unwrap();
    let parts = vec![completed(1, &first), completed(2, &second)];
    complete(&house, &id, parts, None).await.unwrap();
    assert!(record(&row(&house)).flags().bucket_key);
    for bucket_key in [false, true] {
        let wish = UpdateObjectEncryption {
            bucket_key,
            ..input("k", &key_arn)
        };
        update_as(&house, wish).await.unwrap();
        let flags = record(&row(&house)).flags();
        assert_eq!((flags.bucket_key, flags.multipart), (bucket_key, true));
        let whole = [one.as_slice(), &two].concat();
        assert_eq!(house.get("bucket", "k", None).await.unwrap(), whole);
    }
}

#[tokio::test]
async fn sec_n71_sources_and_targets_that_cannot_be() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let key_arn = key(&house).await;
    let customer_key = EncryptionRequest::Customer(customer(1));
    let put = house.put("bucket", "k", b"data", customer_key);
    put.await.unwrap();
    let before = row(&house);
    let refused = update(&house, "k", &key_arn).await;
    assert!(matches!(
        refused,
        Err(Error::EncryptionNotChangeable { mode: "SSE-C" })
    ));
    assert_eq!(row(&house), before);

    let put = house.put("bucket", "k", b"data", EncryptionRequest::S3);
    put.await.unwrap();
    let before = row(&house);
    assert!(matches!(
        update(&house, "other", &key_arn).await,
        Err(Error::NoSuchKey { .. })
    ));
    let absent = "arn:aws:kms:us-east-1:000000000000:key/11112222-3333-4444-8555-666677778888";
    assert!(matches!(
        update(&house, "k", absent).await,
        Err(Error::Kms(strongroom_kms::Error::NotFound(_)))
    ));
    assert!(matches!(
        update(&house, "k", &key_arn.replace("us-east-1", "eu-west-1")).await,
        Err(Error::Kms(strongroom_kms::Error::NotFound(_)))
    ));
    assert!(matches!(
        update(&house, "k", &key_arn.replace(ACCOUNT, "123456789012")).await,
        Err(Error::KmsKeyOfAnotherAccount)
    ));
    let wish = UpdateObjectEncryption {
        version_id: strongroom_object::VersionId::parse(&"A".repeat(32)),
        ..input("k", &key_arn)
    };
    let refused = update_as(&house, wish).await;
    assert!(matches!(refused, Err(Error::NoSuchVersion { .. })));
    let in_clear = caller(false);
    let request = house.audit.begin(in_clear.facts().clone());
    let scope = strongroom_object::Scope {
        caller: &in_clear,
        receipt: &request,
    };
    let refused = house
        .objects
        .update_object_encryption(scope, input("k", &key_arn));
    assert!(matches!(
        refused.await,
        Err(Error::KmsNeedsSecureTransport { two_layers: false })
    ));
    request.finish_recorded();
    assert_eq!(row(&house), before);
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"data");
}

#[tokio::test]
async fn disabled_keys_on_either_side_change_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    let put = house.put("bucket", "k", b"data", kms_under(&keys[0], &[]));
    put.await.unwrap();
    let disable = async |key_arn: &str| {
        let request = house.request();
        let scope = request.scope();
        let input = DisableKeyInput {
            key_id: key_arn.to_owned(),
        };
        let disabled = house.kms.disable_key(scope.caller, scope.receipt, input);
        disabled.await.unwrap();
    };
    let disabled = |result: Result<(), Error>, arn: &str| match result {
        Err(Error::Kms(strongroom_kms::Error::Disabled { arn: told })) => assert_eq!(told, arn),
        other => panic!("{other:?}"),
    };
    let before = row(&house);
    disable(&keys[1]).await;
    disabled(update(&house, "k", &keys[1]).await, &keys[1]);
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"data");
    disable(&keys[0]).await;
    let third = key(&house).await;
    disabled(update(&house, "k", &third).await, &keys[0]);
    assert_eq!(row(&house), before);
}

#[tokio::test]
async fn every_bit_of_the_new_row_matters() {
    every_bit_matters(false).await;
}

#[tokio::test]
async fn every_bit_of_the_new_row_matters_with_a_bucket_key() {
    every_bit_matters(true).await;
}

async fn every_bit_matters(bucket_key: bool) {
    let house = house().await;
    house.bucket("bucket").await;
    let key_arn = key(&house).await;
    let put = house.put("bucket", "k", b"data", EncryptionRequest::S3);
    let etag = put.await.unwrap().etag;
    let old = row(&house);
    let wish = UpdateObjectEncryption {
        bucket_key,
        ..input("k", &key_arn)
    };
    update_as(&house, wish).await.unwrap();
    let new = row(&house);
    for bit in 0..new.len() * 8 {
        let mut value = new.clone();
        value[bit / 8] ^= 1 << (bit % 8);
        put_row(&house, value).await;
        let Ok(got) = house.get_output("bucket", "k", None).await else {
            continue;
        };
        assert_eq!(got.head.etag, etag, "bit {bit}");
        assert_eq!(got.head.size, 4, "bit {bit}");
        assert_eq!(collect(got).await.unwrap(), b"data", "bit {bit}");
    }
    // The record of before in the row of now: another BIND, another key.
    let (before, after) = (record(&old).to_bytes(), record(&new).to_bytes());
    let at = new.windows(after.len()).position(|w| w == after).unwrap();
    let mut spliced = new.clone();
    let same = before.len().min(after.len());
    spliced[at..at + same].copy_from_slice(&before[..same]);
    put_row(&house, spliced).await;
    assert!(house.get("bucket", "k", None).await.is_err());
    let damaged = row(&house);
    assert!(update(&house, "k", &key_arn).await.is_err());
    assert_eq!(row(&house), damaged, "damage is not given a fresh seal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_meanwhile_win_and_readers_always_read() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    let first = pattern(40_000);
    house
        .put("bucket", "k", &first, EncryptionRequest::S3)
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for number in 0..24_usize {
        let (house, keys) = (Arc::clone(&house), keys.clone());
        tasks.push(tokio::spawn(async move {
            if number % 6 == 0 {
                let bytes = vec![number as u8; 40_000];
                let put = house.put("bucket", "k", &bytes, EncryptionRequest::S3);
                put.await.unwrap();
                return;
            }
            match update(&house, "k", &keys[number % 2]).await {
                Ok(()) | Err(Error::ConditionalConflict) => {}
                Err(other) => panic!("{other}"),
            }
            let got = house.get("bucket", "k", None).await.unwrap();
            assert_eq!(got.len(), 40_000);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(rows(&house, VERSIONS).len(), 1);
    let got = house.get("bucket", "k", None).await.unwrap();
    assert_eq!(got.len(), 40_000);
}

/// The checksums of the parts are in a row of their own: one that another request had sealed in the
/// meantime was called damage.
#[tokio::test]
async fn several_at_once_take_turns_also_where_parts_have_checksums() {
    let house = house().await;
    house.bucket("bucket").await;
    let keys = [key(&house).await, key(&house).await];
    let sha = Some(ChecksumAlgorithm::Sha256);
    let bytes = pattern(70_000);
    for round in 0..8 {
        let id = create_with(&house, EncryptionRequest::S3, sha, None)
            .await
            .unwrap();
        let done = part(&house, &id, 1, &bytes, None).await.unwrap();
        let sum = done.checksum.clone().unwrap();
        let mut named = completed(1, &done);
        named.checksum = Some((sum.algorithm, sum.value));
        complete(&house, &id, vec![named], None).await.unwrap();
        let all = (0..4).map(|number| update(&house, "k", &keys[number % 2]));
        let outcomes = futures_util::future::join_all(all).await;
        for outcome in &outcomes {
            let fine = matches!(outcome, Ok(()) | Err(Error::ConditionalConflict));
            assert!(fine, "round {round}: {outcome:?}");
        }
        assert!(outcomes.iter().any(Result::is_ok));
        assert_eq!(house.get("bucket", "k", None).await.unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn delete_meanwhile_is_not_undone() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    let key_arn = key(&house).await;
    for _ in 0..20 {
        let put = house.put("bucket", "k", b"data", EncryptionRequest::S3);
        put.await.unwrap();
        let task = {
            let (house, key_arn) = (Arc::clone(&house), key_arn.clone());
            tokio::spawn(async move { update(&house, "k", &key_arn).await })
        };
        let request = house.request();
        let delete = house
            .objects
            .delete_object(request.scope(), delete_input("bucket", "k"));
        delete.await.unwrap();
        match task.await.unwrap() {
            Ok(()) | Err(Error::NoSuchKey { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(rows(&house, VERSIONS).is_empty());
        assert!(rows(&house, BODIES).is_empty());
    }
}
