// SPDX-License-Identifier: Apache-2.0
//! A bucket goes under another KMS key: which versions come, which are left, and that a run that
//! was ended anywhere is taken up again.

use std::sync::Arc;
use std::sync::Mutex;

use strongroom_kms::{CreateKeyInput, DisableKeyInput};
use strongroom_object::{
    BucketVersioning, Encryption, EncryptionRequest, Error, KmsKeyArn, RewrapBucket,
    RewrapBucketReport,
};
use strongroom_store::drive::{Drive, Folder};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::harness::*;
use crate::multipart::{complete, completed, create, part};

async fn new_key(house: &House) -> String {
    let request = house.request();
    let scope = request.scope();
    let input = CreateKeyInput::default();
    let made = house.kms.create_key(scope.caller, scope.receipt, input);
    made.await.unwrap().arn
}

fn under(key_arn: &str) -> EncryptionRequest {
    EncryptionRequest::Kms {
        key_id: Some(key_arn.to_owned()),
        context: strongroom_format::EncryptionContext::new(),
        bucket_key: None,
    }
}

fn asked(key_arn: &str, prefix: &str) -> RewrapBucket {
    RewrapBucket {
        bucket: "bucket".to_owned(),
        prefix: prefix.to_owned(),
        key_arn: KmsKeyArn::parse(key_arn).unwrap(),
        dry_run: false,
    }
}

async fn rewrap(house: &House, input: RewrapBucket) -> Result<RewrapBucketReport, Error> {
    let told = Mutex::new((0, 0));
    let tell = |done: u64, total: u64| {
        let mut told = told.lock().unwrap();
        assert!(done > told.0 && done <= total);
        *told = (done, total);
    };
    let request = house.request();
    let done = house
        .objects
        .rewrap_bucket(request.scope(), input, &tell)
        .await;
    if done.is_ok() {
        let (done, total) = *told.lock().unwrap();
        assert_eq!(done, total, "the bar ends full");
    }
    done
}

fn counts(report: &RewrapBucketReport) -> (u64, u64, u64, u64) {
    let left = report.left.total();
    (report.seen, report.rewrapped, report.current, left)
}

async fn key_of(house: &House, name: &str) -> Option<String> {
    let mut input = get_input("bucket", name, None);
    input.checksum_mode = false;
    let request = house.request();
    let (head, _) = house
        .objects
        .head_object(request.scope(), input)
        .await
        .unwrap();
    match head.encryption {
        Encryption::Kms { key_arn, .. } => Some(key_arn),
        _ => None,
    }
}

#[tokio::test]
async fn all_that_may_come_comes_and_the_rest_is_named() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.sse_c_bucket("bucket").await;
    let keys = [new_key(&house).await, new_key(&house).await];
    let gone = new_key(&house).await;
    let bytes = pattern(3_000_000);
    let put = |name, encryption| house.put("bucket", name, &bytes, encryption);
    put("a/s3", EncryptionRequest::S3).await.unwrap();
    put("a/kms", under(&keys[0])).await.unwrap();
    put("a/there", under(&keys[1])).await.unwrap();
    put("a/gone", under(&gone)).await.unwrap();
    put("b/c", EncryptionRequest::Customer(customer(1)))
        .await
        .unwrap();
    let id = create(&house, under(&keys[0])).await;
    let first = part(&house, &id, 1, &bytes, None).await.unwrap();
    complete(&house, &id, vec![completed(1, &first)], None)
        .await
        .unwrap();
    let request = house.request();
    let scope = request.scope();
    let input = DisableKeyInput {
        key_id: gone.clone(),
    };
    house
        .kms
        .disable_key(scope.caller, scope.receipt, input)
        .await
        .unwrap();

    let dry = RewrapBucket {
        dry_run: true,
        ..asked(&keys[1], "")
    };
    let report = rewrap(&house, dry).await.unwrap();
    assert_eq!(counts(&report), (6, 4, 1, 1));
    assert_eq!(key_of(&house, "a/s3").await, None, "nothing was done");

    house.tidied().await;
    drive
        .set_plan(FaultPlan::new([]).within(|f| matches!(f, Folder::Blobs(_) | Folder::Temporary)));
    let report = rewrap(&house, asked(&keys[1], "a/")).await.unwrap();
    assert_eq!(counts(&report), (4, 2, 1, 1));
    let lines = report.left.lines();
    assert!(lines[0].starts_with("s3://bucket/a/gone: "), "{lines:?}");
    assert!(lines[0].contains(&gone), "{lines:?}");
    let before = key_of(&house, "k").await;
    assert_eq!(before.as_deref(), Some(keys[0].as_str()), "another prefix");
    drive
        .set_plan(FaultPlan::new([]).within(|f| matches!(f, Folder::Blobs(_) | Folder::Temporary)));
    let report = rewrap(&house, asked(&keys[1], "")).await.unwrap();
    let touched = (drive.reads(), drive.operations());
    assert_eq!(touched, (0, 0), "reads and changes of bodies");
    assert_eq!(counts(&report), (6, 1, 3, 2));
    let lines = report.left.lines();
    assert!(
        lines[1].starts_with("s3://bucket/b/c: under a customer key"),
        "{lines:?}"
    );
    for name in ["a/s3", "a/kms", "a/there", "k"] {
        assert_eq!(
            key_of(&house, name).await.as_ref(),
            Some(&keys[1]),
            "{name}"
        );
        assert_eq!(house.get("bucket", name, None).await.unwrap(), bytes);
    }
    let got = house.get("bucket", "b/c", Some(customer(1))).await;
    assert_eq!(got.unwrap(), bytes);
    let again = rewrap(&house, asked(&keys[1], "")).await.unwrap();
    assert_eq!(counts(&again), (6, 0, 4, 2), "a second run changes nothing");
}

#[tokio::test]
async fn bucket_keys_stay_in_use() {
    let house = house().await;
    house.bucket("bucket").await;
    let keys = [new_key(&house).await, new_key(&house).await];
    for (name, wanted) in [("with", true), ("without", false)] {
        let request = EncryptionRequest::Kms {
            key_id: Some(keys[0].clone()),
            context: strongroom_format::EncryptionContext::new(),
            bucket_key: Some(wanted),
        };
        house.put("bucket", name, b"data", request).await.unwrap();
    }
    let report = rewrap(&house, asked(&keys[1], "")).await.unwrap();
    assert_eq!(counts(&report), (2, 2, 0, 0));
    for (name, wanted) in [("with", true), ("without", false)] {
        let got = house.get_output("bucket", name, None).await.unwrap();
        let now = Encryption::Kms {
            key_arn: keys[1].clone(),
            context: None,
            bucket_key: wanted,
        };
        assert_eq!(got.head.encryption, now, "{name}");
        assert_eq!(collect(got).await.unwrap(), b"data");
    }
}

#[tokio::test]
async fn every_version_comes_and_markers_are_passed_over() {
    let house = house().await;
    house.bucket("bucket").await;
    let key = new_key(&house).await;
    house
        .put("bucket", "k", b"null", EncryptionRequest::S3)
        .await
        .unwrap();
    let request = house.request();
    let enabled = BucketVersioning::Enabled;
    let changed = house
        .objects
        .put_bucket_versioning(request.scope(), "bucket", enabled);
    changed.await.unwrap();
    house
        .put("bucket", "k", b"one", EncryptionRequest::S3)
        .await
        .unwrap();
    house.put("bucket", "k", b"two", kms()).await.unwrap();
    let request = house.request();
    let deleted = house
        .objects
        .delete_object(request.scope(), delete_input("bucket", "k"));
    deleted.await.unwrap();
    house
        .put("bucket", "l", b"other", EncryptionRequest::S3)
        .await
        .unwrap();
    let report = rewrap(&house, asked(&key, "")).await.unwrap();
    assert_eq!(counts(&report), (4, 4, 0, 0));
    let report = rewrap(&house, asked(&key, "")).await.unwrap();
    assert_eq!(counts(&report), (4, 0, 4, 0));
    assert_eq!(house.get("bucket", "l", None).await.unwrap(), b"other");
}

#[tokio::test]
async fn key_that_cannot_be_used_ends_the_run_before_anything_changed() {
    let house = house().await;
    house.bucket("bucket").await;
    let key = new_key(&house).await;
    house
        .put("bucket", "k", b"data", EncryptionRequest::S3)
        .await
        .unwrap();
    let request = house.request();
    let scope = request.scope();
    let input = DisableKeyInput {
        key_id: key.clone(),
    };
    house
        .kms
        .disable_key(scope.caller, scope.receipt, input)
        .await
        .unwrap();
    let refused = rewrap(&house, asked(&key, "")).await;
    assert!(matches!(refused, Err(Error::Kms(_))), "{refused:?}");
    let foreign = key.replace("000000000000", "111122223333");
    let refused = rewrap(&house, asked(&foreign, "")).await;
    assert!(matches!(refused, Err(Error::KmsKeyOfAnotherAccount)));
    let mut input = asked(&key, "");
    input.bucket = "nowhere".to_owned();
    let refused = rewrap(&house, input).await;
    assert!(matches!(refused, Err(Error::NoSuchBucket { .. })));
    assert_eq!(key_of(&house, "k").await, None);
}

/// The power fails at every operation of a run. The next run finds each version whole under one
/// of the two keys, and brings the rest.
#[tokio::test]
async fn run_that_was_ended_anywhere_is_taken_up_again() {
    // More than are under way at once.
    const COUNT: u64 = 36;
    let names = || (0..COUNT).map(|number| number.to_string());
    let bytes = pattern(1_000);
    let (mut fails_at, mut taken_up) = (0, 0);
    loop {
        let keyring = new_keyring();
        let drive = SimDrive::new(fails_at);
        let at_rest = keyring.at_rest();
        let house = house_of(Arc::new(drive.clone()), Arc::clone(&keyring), at_rest);
        let house = house.await.unwrap();
        house.bucket("bucket").await;
        let key = new_key(&house).await;
        for name in names() {
            let put = house.put("bucket", &name, &bytes, EncryptionRequest::S3);
            put.await.unwrap();
        }
        drive.set_plan(FaultPlan::new([Fault::CrashAt(fails_at)]));
        let ended = rewrap(&house, asked(&key, "")).await;
        let crashed = drive.has_crashed();
        assert!(crashed || ended.is_ok());
        let next: Arc<dyn Drive> = Arc::new(drive.crash());
        drop(house);
        let at_rest = keyring.at_rest();
        let house = house_of(next, keyring, at_rest).await.unwrap();
        let note = format!("crash at {fails_at}");
        let mut there = 0;
        for name in names() {
            assert_eq!(
                house.get("bucket", &name, None).await.unwrap(),
                bytes,
                "{note}"
            );
            there += u64::from(key_of(&house, &name).await.is_some());
        }
        let report = rewrap(&house, asked(&key, "")).await.unwrap();
        assert_eq!(counts(&report), (COUNT, COUNT - there, there, 0), "{note}");
        taken_up += u64::from(there > 0 && there < COUNT);
        for name in names() {
            assert_eq!(key_of(&house, &name).await, Some(key.clone()), "{note}");
            assert_eq!(
                house.get("bucket", &name, None).await.unwrap(),
                bytes,
                "{note}"
            );
        }
        let request = house.request();
        let found = house
            .objects
            .verify(request.scope(), &|_| {})
            .await
            .unwrap();
        assert!(
            found.damaged.is_empty() && found.unreferred.is_empty(),
            "{note}"
        );
        if !crashed {
            assert!(fails_at > 4 && taken_up > 0, "some run was ended halfway");
            return;
        }
        fails_at += 1;
    }
}
