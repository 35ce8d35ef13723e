// SPDX-License-Identifier: Apache-2.0
//! An upload that is completed a second time: whoever did not hear the answer hears it then.

use std::sync::Arc;

use strongroom_kms::DisableKeyInput;
use strongroom_object::{
    BucketVersioning, ChecksumAlgorithm, ChecksumType, CompleteMultipartUpload, CompletedPart,
    EncryptionRequest, Error, PutObjectOutput, WriteConditions,
};

use crate::dsse::new_key;
use crate::harness::*;
use crate::multipart::{complete_input as input, completed, create, create_with, part};

/// A customer key, or none.
type Key = fn() -> Option<strongroom_object::CustomerKey>;

const MIB5: usize = 5 * 1024 * 1024;

async fn complete(house: &House, input: CompleteMultipartUpload) -> Result<PutObjectOutput, Error> {
    house
        .objects
        .complete_multipart_upload(house.request().scope(), input)
        .await
}

fn is_unknown(done: &Result<PutObjectOutput, Error>) -> bool {
    matches!(done, Err(Error::NoSuchUpload { .. }))
}

fn assert_same(one: &PutObjectOutput, other: &PutObjectOutput) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

/// An upload of two parts, numbered 2 and 7, under a customer key or none.
async fn two_parts(house: &House, upload: &str, key: Key) -> Vec<CompletedPart> {
    let one = part(house, upload, 2, &pattern(MIB5), key()).await.unwrap();
    let two = part(house, upload, 7, b"the end", key()).await.unwrap();
    vec![completed(2, &one), completed(7, &two)]
}

#[tokio::test]
async fn sec_n76_completed_again_is_answered_as_before_in_each_mode() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let customer_1 = || Some(customer(1));
    let none = || None;
    for versioned in [false, true] {
        if versioned {
            let on = BucketVersioning::Enabled;
            let request = house.request();
            let put = house
                .objects
                .put_bucket_versioning(request.scope(), "bucket", on);
            put.await.unwrap();
        }
        let modes: [(EncryptionRequest, Key, Key); 5] = [
            (EncryptionRequest::S3, none, none),
            (kms(), none, none),
            (dsse(), none, none),
            (
                EncryptionRequest::Customer(customer(1)),
                customer_1,
                customer_1,
            ),
            (EncryptionRequest::Customer(customer(1)), customer_1, none),
        ];
        for (request, key, key_at_complete) in modes {
            let upload = create(&house, request).await;
            let parts = two_parts(&house, &upload, key).await;
            let asked = || CompleteMultipartUpload {
                customer_key: key_at_complete(),
                ..input(&upload, &parts)
            };
            let first = complete(&house, asked()).await.unwrap();
            assert_eq!(first.version_id.is_some(), versioned);
            for _ in 0..3 {
                assert_same(&complete(&house, asked()).await.unwrap(), &first);
            }
            // Its own object is there now, which is no reason to refuse what was asked then.
            let new_only = CompleteMultipartUpload {
                conditions: WriteConditions {
                    if_none_match_any: true,
                    ..WriteConditions::default()
                },
                ..asked()
            };
            assert_same(&complete(&house, new_only).await.unwrap(), &first);
            let whole = [pattern(MIB5), b"the end".to_vec()].concat();
            assert_eq!(house.get("bucket", "k", key()).await.unwrap(), whole);
        }
    }
}

#[tokio::test]
async fn sec_n76_completed_again_with_anything_else_is_refused() {
    let house = house().await;
    house.bucket("bucket").await;
    let algorithm = Some(ChecksumAlgorithm::Crc32);
    let upload = create_with(
        &house,
        EncryptionRequest::S3,
        algorithm,
        Some(ChecksumType::FullObject),
    );
    let upload = upload.await.unwrap();
    let parts = two_parts(&house, &upload, || None).await;
    let first = complete(&house, input(&upload, &parts)).await.unwrap();
    let sum = first.checksum.clone().unwrap();

    let [one, two] = parts.as_slice() else {
        panic!("two parts");
    };
    let numbered = |part_number| CompletedPart {
        part_number,
        ..two.clone()
    };
    let tagged = |etag: String| CompletedPart {
        etag,
        ..two.clone()
    };
    for others in [
        vec![one.clone()],
        vec![two.clone()],
        vec![two.clone(), one.clone()],
        vec![one.clone(), numbered(8)],
        vec![one.clone(), tagged(one.etag.clone())],
        vec![one.clone(), tagged(String::new())],
        vec![one.clone(), tagged("x".repeat(32))],
        vec![
            tagged(format!("{}{}", one.etag, two.etag)),
            tagged(String::new()),
        ],
        vec![],
    ] {
        let done = complete(&house, input(&upload, &others)).await;
        assert!(is_unknown(&done), "{others:?}: {done:?}");
    }
    for id in ["", "x", &"0".repeat(32), &upload.to_uppercase()] {
        let done = complete(&house, input(id, &parts)).await;
        assert!(is_unknown(&done), "{id}");
    }
    let elsewhere = CompleteMultipartUpload {
        object_key: "l".to_owned(),
        ..input(&upload, &parts)
    };
    assert!(is_unknown(&complete(&house, elsewhere).await));

    let size = |object_size| CompleteMultipartUpload {
        object_size: Some(object_size),
        ..input(&upload, &parts)
    };
    assert_same(&complete(&house, size(first.size)).await.unwrap(), &first);
    let refused = complete(&house, size(first.size + 1)).await;
    assert!(
        matches!(refused, Err(Error::MultipartSizeMismatch { .. })),
        "{refused:?}"
    );
    let summed = |algorithm, value: &[u8]| CompleteMultipartUpload {
        checksum: Some((algorithm, value.to_vec())),
        ..input(&upload, &parts)
    };
    let right = complete(&house, summed(sum.algorithm, &sum.value)).await;
    assert_same(&right.unwrap(), &first);
    for (algorithm, value) in [
        (sum.algorithm, [0; 4].as_slice()),
        (ChecksumAlgorithm::Crc32c, &sum.value),
    ] {
        let refused = complete(&house, summed(algorithm, value)).await;
        assert!(
            matches!(refused, Err(Error::ChecksumMismatch { .. })),
            "{refused:?}"
        );
    }
    // A customer key for an object that has none.
    let with_key = CompleteMultipartUpload {
        customer_key: Some(customer(1)),
        ..input(&upload, &parts)
    };
    let refused = complete(&house, with_key).await;
    assert!(
        matches!(refused, Err(Error::MultipartEncryptionMissing)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn sec_n76_what_it_became_is_gone() {
    let house = house().await;
    house.bucket("bucket").await;
    let upload = create(&house, EncryptionRequest::S3).await;
    let parts = two_parts(&house, &upload, || None).await;
    complete(&house, input(&upload, &parts)).await.unwrap();
    house
        .put("bucket", "k", b"another", EncryptionRequest::S3)
        .await
        .unwrap();
    assert!(is_unknown(&complete(&house, input(&upload, &parts)).await));
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"another");
}

#[tokio::test]
async fn sec_n76_other_versions_before_it_do_not_hide_it() {
    let house = house().await;
    house.bucket("bucket").await;
    let on = BucketVersioning::Enabled;
    let scope = house.request();
    let put = house
        .objects
        .put_bucket_versioning(scope.scope(), "bucket", on);
    put.await.unwrap();
    let upload = create(&house, kms()).await;
    let parts = two_parts(&house, &upload, || None).await;
    let first = complete(&house, input(&upload, &parts)).await.unwrap();
    for _ in 0..5 {
        let put = house.put("bucket", "k", b"newer", EncryptionRequest::S3);
        put.await.unwrap();
    }
    let delete = delete_input("bucket", "k");
    let request = house.request();
    let deleted = house.objects.delete_object(request.scope(), delete);
    deleted.await.unwrap();
    let again = complete(&house, input(&upload, &parts)).await.unwrap();
    assert_same(&again, &first);
    // Bounded: not all of a name's versions are read for a word of the client's.
    for _ in 0..32 {
        let put = house.put("bucket", "k", b"newer", EncryptionRequest::S3);
        put.await.unwrap();
    }
    assert!(is_unknown(&complete(&house, input(&upload, &parts)).await));
}

#[tokio::test]
async fn sec_n76_completed_again_needs_the_key_again() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let key_id = new_key(&house).await;
    let under = EncryptionRequest::Kms {
        key_id: Some(key_id.clone()),
        context: strongroom_format::EncryptionContext::new(),
        bucket_key: None,
    };
    let upload = create(&house, under).await;
    let parts = two_parts(&house, &upload, || None).await;
    complete(&house, input(&upload, &parts)).await.unwrap();
    let request = house.request();
    let scope = request.scope();
    let disable = DisableKeyInput { key_id };
    let disabled = house.kms.disable_key(scope.caller, scope.receipt, disable);
    disabled.await.unwrap();
    let refused = complete(&house, input(&upload, &parts)).await;
    assert!(matches!(refused, Err(Error::Kms(_))), "{refused:?}");

    let under = EncryptionRequest::Customer(customer(1));
    let algorithm = Some(ChecksumAlgorithm::Crc64Nvme);
    let upload = create_with(&house, under, algorithm, None).await.unwrap();
    let parts = two_parts(&house, &upload, || Some(customer(1))).await;
    let with = |key| CompleteMultipartUpload {
        customer_key: key,
        ..input(&upload, &parts)
    };
    let first = complete(&house, with(Some(customer(1)))).await.unwrap();
    assert!(first.checksum.is_some());
    let refused = complete(&house, with(Some(customer(2)))).await;
    assert!(
        matches!(refused, Err(Error::MultipartEncryptionMismatch)),
        "{refused:?}"
    );
    // It has a checksum, which is sealed under it.
    let refused = complete(&house, with(None)).await;
    assert!(
        matches!(refused, Err(Error::CustomerKeyRequired)),
        "{refused:?}"
    );
    assert_same(
        &complete(&house, with(Some(customer(1)))).await.unwrap(),
        &first,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n76_asked_twice_at_a_time_both_are_told_of_one_object() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    for round in 0..8 {
        let upload = create(&house, kms()).await;
        let parts = two_parts(&house, &upload, || None).await;
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let (house, upload, parts) = (Arc::clone(&house), upload.clone(), parts.clone());
            tasks.push(tokio::spawn(async move {
                let asked = CompleteMultipartUpload {
                    conditions: WriteConditions {
                        if_none_match_any: round % 2 == 1,
                        ..WriteConditions::default()
                    },
                    ..input(&upload, &parts)
                };
                complete(&house, asked).await.unwrap()
            }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        for answer in &answers {
            assert_same(answer, &answers[0]);
        }
        house
            .objects
            .delete_object(house.request().scope(), delete_input("bucket", "k"))
            .await
            .unwrap();
    }
}

/// Of parts only composites keep checksums; those of a whole object are told by what they give together.
#[tokio::test]
async fn sec_n76_checksums_of_parts_are_compared_once_more() {
    let house = house().await;
    house.bucket("bucket").await;
    let (crc32, crc64) = (ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc64Nvme);
    for (algorithm, kind, request) in [
        (crc32, ChecksumType::Composite, EncryptionRequest::S3),
        (crc32, ChecksumType::FullObject, kms()),
        (crc64, ChecksumType::FullObject, EncryptionRequest::S3),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite, kms()),
    ] {
        let upload = create_with(&house, request, Some(algorithm), Some(kind));
        let upload = upload.await.unwrap();
        let mut parts = Vec::new();
        // Numbered from 1: S3 wants that of parts with checksums.
        for (number, bytes) in [(1, pattern(MIB5)), (2, b"the end".to_vec())] {
            let done = part(&house, &upload, number, &bytes, None).await.unwrap();
            parts.push(CompletedPart {
                checksum: done.checksum.clone().map(|sum| (sum.algorithm, sum.value)),
                ..completed(u32::from(number), &done)
            });
        }
        let first = complete(&house, input(&upload, &parts)).await.unwrap();
        let again = complete(&house, input(&upload, &parts)).await.unwrap();
        assert_same(&again, &first);
        assert_eq!(first.checksum.as_ref().unwrap().checksum_type, kind);

        let composite = kind == ChecksumType::Composite;
        for at in 0..2 {
            let mut wrong = parts.clone();
            wrong[at].checksum.as_mut().unwrap().1[0] ^= 1;
            let refused = complete(&house, input(&upload, &wrong)).await;
            assert!(
                matches!(refused, Err(Error::InvalidPart { .. })),
                "{refused:?}"
            );
            let mut unnamed = parts.clone();
            unnamed[at].checksum = None;
            let done = complete(&house, input(&upload, &unnamed)).await;
            if composite {
                let missing = matches!(done, Err(Error::ChecksumMissingForPart { .. }));
                assert!(missing, "{done:?}");
            } else {
                assert_same(&done.unwrap(), &first);
            }
        }
        let other = if composite {
            ChecksumType::FullObject
        } else {
            ChecksumType::Composite
        };
        let typed = |kind| CompleteMultipartUpload {
            checksum_type: Some(kind),
            ..input(&upload, &parts)
        };
        assert_same(&complete(&house, typed(kind)).await.unwrap(), &first);
        let refused = complete(&house, typed(other)).await;
        let is_other =
            matches!(refused, Err(Error::ChecksumTypeMismatch { expected }) if expected == kind);
        assert!(is_other, "{refused:?}");
        let sum = first.checksum.clone().unwrap();
        let counted = CompleteMultipartUpload {
            checksum: Some((sum.algorithm, sum.value)),
            checksum_parts: Some(2),
            ..input(&upload, &parts)
        };
        let done = complete(&house, counted).await;
        if composite {
            assert_same(&done.unwrap(), &first);
        } else {
            assert!(
                matches!(done, Err(Error::ChecksumOfParts { .. })),
                "{done:?}"
            );
        }
    }
}

/// What is read meanwhile goes away: that is no damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n76_completed_again_against_overwrites() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    for _ in 0..8 {
        let upload = create(&house, kms()).await;
        let parts = two_parts(&house, &upload, || None).await;
        let first = complete(&house, input(&upload, &parts)).await.unwrap();
        let asking = {
            let (house, first) = (Arc::clone(&house), first);
            tokio::spawn(async move {
                loop {
                    let again = complete(&house, input(&upload, &parts)).await;
                    if is_unknown(&again) {
                        return;
                    }
                    assert_same(&again.unwrap(), &first);
                }
            })
        };
        tokio::task::yield_now().await;
        house
            .put("bucket", "k", b"newer", EncryptionRequest::S3)
            .await
            .unwrap();
        asking.await.unwrap();
    }
}
