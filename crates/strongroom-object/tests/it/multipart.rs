// SPDX-License-Identifier: Apache-2.0
//! Multipart uploads: parts in any order, attempts that replace each other, ends that meet.

use std::ops::Bound;

use strongroom_object::{
    ChecksumAlgorithm, ChecksumRequest, ChecksumType, CompleteMultipartUpload, CompletedPart,
    CreateMultipartUpload, CustomerKey, EncryptionRequest, Error, ListParts, Properties,
    PutObjectOutput, UploadPart, UploadPartOutput, WriteConditions,
};
use strongroom_store::drive::Folder;
use strongroom_store::{Batch, TableId, Write};

use crate::harness::*;

type Request = fn() -> EncryptionRequest;
type Key = fn() -> Option<CustomerKey>;
/// What Complete names, and whether an error is the expected one.
type Refusal = (Vec<CompletedPart>, fn(&Error) -> bool);

const MIB5: usize = 5 * 1024 * 1024;

pub(crate) async fn create(house: &House, encryption: EncryptionRequest) -> String {
    create_with(house, encryption, None, None).await.unwrap()
}

pub(crate) async fn create_with(
    house: &House,
    encryption: EncryptionRequest,
    checksum_algorithm: Option<ChecksumAlgorithm>,
    checksum_type: Option<ChecksumType>,
) -> Result<String, Error> {
    let input = CreateMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        properties: Properties::default(),
        encryption,
        storage_class: strongroom_object::StorageClass::default(),
        checksum_algorithm,
        checksum_type,
    };
    let output = house
        .objects
        .create_multipart_upload(house.request().scope(), input)
        .await?;
    Ok(output.upload_id)
}

/// A part, announced as a client does that knows how the upload was created: composite checksums
/// are made of what parts bring.
pub(crate) async fn part(
    house: &House,
    upload_id: &str,
    part_number: u16,
    bytes: &[u8],
    customer_key: Option<CustomerKey>,
) -> Result<UploadPartOutput, Error> {
    // Keys are not copied; those of tests are known by their numbers.
    let number = customer_key.map(|key| key.md5_base64["md5-".len()..].parse().unwrap());
    let key = || number.map(customer);
    let sent = part_with(house, upload_id, part_number, bytes, key(), None).await;
    match sent {
        Err(Error::ChecksumAlgorithmMismatch {
            expected,
            actual: None,
        }) => part_with(house, upload_id, part_number, bytes, key(), expected).await,
        sent => sent,
    }
}

async fn part_with(
    house: &House,
    upload_id: &str,
    part_number: u16,
    bytes: &[u8],
    customer_key: Option<CustomerKey>,
    algorithm: Option<ChecksumAlgorithm>,
) -> Result<UploadPartOutput, Error> {
    let input = UploadPart {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        upload_id: upload_id.to_owned(),
        part_number,
        customer_key,
        content_length: bytes.len() as u64,
        checksum: ChecksumRequest {
            algorithm,
            ..ChecksumRequest::default()
        },
        body: body(bytes),
    };
    house
        .objects
        .upload_part(house.request().scope(), input)
        .await
}

pub(crate) fn completed(part_number: u32, output: &UploadPartOutput) -> CompletedPart {
    CompletedPart {
        part_number,
        etag: output.etag.clone(),
        checksum: None,
    }
}

/// All that Complete has to say.
pub(crate) fn complete_input(upload_id: &str, parts: &[CompletedPart]) -> CompleteMultipartUpload {
    CompleteMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        upload_id: upload_id.to_owned(),
        parts: parts.to_vec(),
        checksum: None,
        checksum_parts: None,
        checksum_type: None,
        object_size: None,
        conditions: WriteConditions::default(),
        customer_key: None,
    }
}

pub(crate) async fn complete(
    house: &House,
    upload_id: &str,
    parts: Vec<CompletedPart>,
    customer_key: Option<CustomerKey>,
) -> Result<PutObjectOutput, Error> {
    let input = CompleteMultipartUpload {
        customer_key,
        ..complete_input(upload_id, &parts)
    };
    house
        .objects
        .complete_multipart_upload(house.request().scope(), input)
        .await
}

#[tokio::test]
async fn every_mode_with_and_without_the_key_at_complete() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let (one, two) = (pattern(MIB5 + 3), pattern(70_001));
    let whole = [one.as_slice(), &two].concat();
    let key = || Some(customer(1));
    let none = || None;
    let modes: [(Request, Key, Key); 4] = [
        (|| EncryptionRequest::S3, none, none),
        (kms, none, none),
        (|| EncryptionRequest::Customer(customer(1)), key, key),
        (|| EncryptionRequest::Customer(customer(1)), key, none),
    ];
    for (request, key, key_at_complete) in modes {
        let upload = create(&house, request()).await;
        let second = part(&house, &upload, 7, &two, key()).await.unwrap();
        let discarded = part(&house, &upload, 2, &pattern(100_000), key())
            .await
            .unwrap();
        let first = part(&house, &upload, 2, &one, key()).await.unwrap();
        part(&house, &upload, 9, &pattern(50_000), key())
            .await
            .unwrap();
        assert_ne!(discarded.etag, first.etag);
        let parts = vec![completed(2, &first), completed(7, &second)];
        let done = complete(&house, &upload, parts, key_at_complete())
            .await
            .unwrap();
        assert!(done.etag.ends_with("-2"), "{}", done.etag);
        let output = house.get_output("bucket", "k", key()).await.unwrap();
        assert_eq!(output.head.parts_count, Some(2));
        assert_eq!(collect(output).await.unwrap(), whole);
        // Ranges across the seam of the parts, and parts by number.
        let mut range = get_input("bucket", "k", key());
        let seam = one.len() as u64;
        range.range = Some(strongroom_object::ByteRange::FromTo(seam - 10, seam + 9));
        let output = house
            .objects
            .get_object(house.request().scope(), range)
            .await
            .unwrap();
        assert_eq!(
            collect(output).await.unwrap(),
            &whole[one.len() - 10..one.len() + 10]
        );
        let mut by_number = get_input("bucket", "k", key());
        by_number.part_number = Some(2);
        let output = house
            .objects
            .get_object(house.request().scope(), by_number)
            .await
            .unwrap();
        assert_eq!(collect(output).await.unwrap(), two);
        let again = complete(&house, &upload, vec![completed(2, &first)], None).await;
        assert!(matches!(again, Err(Error::NoSuchUpload { .. })));
        house.tidied().await;
        assert_eq!(
            blobs(&house),
            3,
            "two parts and a note; parts that were replaced or not chosen are gone"
        );
        house
            .objects
            .delete_object(house.request().scope(), delete_input("bucket", "k"))
            .await
            .unwrap();
    }
    house.tidied().await;
    assert_eq!(blobs(&house), 0);
    house
        .objects
        .delete_bucket(house.request().scope(), "bucket")
        .await
        .unwrap();
}

#[tokio::test]
async fn sec_n72_parts_with_another_key_or_none() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let upload = create(&house, EncryptionRequest::Customer(customer(1))).await;
    let none = part(&house, &upload, 1, b"x", None).await;
    assert!(matches!(none, Err(Error::MultipartEncryptionMissing)));
    let other = part(&house, &upload, 1, b"x", Some(customer(2))).await;
    assert!(matches!(other, Err(Error::MultipartEncryptionMismatch)));
    let first = part(&house, &upload, 1, b"x", Some(customer(1)))
        .await
        .unwrap();
    let parts = vec![completed(1, &first)];
    let other = complete(&house, &upload, parts.clone(), Some(customer(2))).await;
    assert!(matches!(other, Err(Error::MultipartEncryptionMismatch)));
    complete(&house, &upload, parts, None).await.unwrap();
    let upload = create(&house, EncryptionRequest::S3).await;
    let needless = part(&house, &upload, 1, b"x", Some(customer(1))).await;
    assert!(matches!(needless, Err(Error::MultipartEncryptionMissing)));
}

#[tokio::test]
async fn sec_n76_complete_refuses_and_changes_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    let upload = create(&house, EncryptionRequest::S3).await;
    let first = part(&house, &upload, 1, &pattern(MIB5), None)
        .await
        .unwrap();
    let small = part(&house, &upload, 2, b"small", None).await.unwrap();
    let last = part(&house, &upload, 3, b"last", None).await.unwrap();
    let (a, b, c) = (
        completed(1, &first),
        completed(2, &small),
        completed(3, &last),
    );
    let wrong = CompletedPart {
        etag: last.etag.clone(),
        ..a.clone()
    };
    let absent = CompletedPart {
        part_number: 4,
        ..c.clone()
    };
    let many = (1..=10_001)
        .map(|n| CompletedPart {
            part_number: n,
            ..a.clone()
        })
        .collect();
    let cases: Vec<Refusal> = vec![
        (vec![], |e| matches!(e, Error::InvalidPartList)),
        (many, |e| matches!(e, Error::InvalidPartList)),
        (vec![b.clone(), a.clone()], |e| {
            matches!(e, Error::InvalidPartOrder { .. })
        }),
        (vec![a.clone(), a.clone()], |e| {
            matches!(e, Error::InvalidPartOrder { .. })
        }),
        (vec![wrong], |e| matches!(e, Error::InvalidPart { .. })),
        (vec![a.clone(), absent], |e| {
            matches!(e, Error::InvalidPart { .. })
        }),
        (vec![a.clone(), b, c.clone()], |e| {
            matches!(e, Error::EntityTooSmall { .. })
        }),
    ];
    for (parts, expected) in cases {
        let error = complete(&house, &upload, parts, None).await.unwrap_err();
        assert!(expected(&error), "{error}");
    }
    for id in ["", "nonsense", &"0".repeat(32), "../../x"] {
        let foreign = complete(&house, id, vec![a.clone()], None).await;
        assert!(matches!(foreign, Err(Error::NoSuchUpload { .. })));
    }
    assert!(matches!(
        house.get("bucket", "k", None).await,
        Err(Error::NoSuchKey { .. })
    ));
    complete(&house, &upload, vec![a, c], None).await.unwrap();
    assert_eq!(
        house.get("bucket", "k", None).await.unwrap().len(),
        MIB5 + 4
    );
}

#[tokio::test]
async fn checksums_of_uploads() {
    let house = house().await;
    house.bucket("bucket").await;
    let (one, two) = (pattern(MIB5), pattern(9));
    // Without an algorithm the object gets CRC64NVME over all of it.
    let upload = create(&house, kms()).await;
    let first = part(&house, &upload, 1, &one, None).await.unwrap();
    let second = part(&house, &upload, 2, &two, None).await.unwrap();
    let parts = vec![completed(1, &first), completed(2, &second)];
    let done = complete(&house, &upload, parts, None).await.unwrap();
    let whole = [one.as_slice(), &two].concat();
    let single = house
        .put("bucket", "single", &whole, EncryptionRequest::S3)
        .await
        .unwrap();
    assert_eq!(done.checksum, single.checksum);
    assert_eq!(
        house
            .get_output("bucket", "k", None)
            .await
            .unwrap()
            .head
            .checksum,
        done.checksum
    );
    // A composite checksum wants the checksum of each part.
    let sha = Some(ChecksumAlgorithm::Sha256);
    let upload = create_with(&house, EncryptionRequest::S3, sha, None)
        .await
        .unwrap();
    let without = part_with(&house, &upload, 1, &two, None, None).await;
    assert!(matches!(
        without,
        Err(Error::ChecksumAlgorithmMismatch { actual: None, .. })
    ));
    let first = part(&house, &upload, 1, &two, None).await.unwrap();
    let refused = complete(&house, &upload, vec![completed(1, &first)], None).await;
    assert!(matches!(
        refused,
        Err(Error::ChecksumMissingForPart { part_number: 1, .. })
    ));
    let sum = first.checksum.clone().unwrap();
    let named = CompletedPart {
        checksum: Some((sum.algorithm, sum.value.clone())),
        ..completed(1, &first)
    };
    let wrong = CompletedPart {
        checksum: Some((sum.algorithm, vec![0; 32])),
        ..named.clone()
    };
    let refused = complete(&house, &upload, vec![wrong], None).await;
    assert!(matches!(refused, Err(Error::InvalidPart { .. })));
    let done = complete(&house, &upload, vec![named], None)
        .await
        .unwrap()
        .checksum
        .unwrap();
    assert_eq!(
        (done.checksum_type, done.parts),
        (ChecksumType::Composite, Some(1))
    );
    for (algorithm, checksum_type) in [
        (ChecksumAlgorithm::Sha1, ChecksumType::FullObject),
        (ChecksumAlgorithm::Sha256, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::Composite),
    ] {
        let refused = create_with(
            &house,
            EncryptionRequest::S3,
            Some(algorithm),
            Some(checksum_type),
        )
        .await;
        assert!(matches!(
            refused,
            Err(Error::ChecksumTypeUnsupported { .. })
        ));
    }
}

#[tokio::test]
async fn abort_takes_everything_away() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let upload = create(&house, EncryptionRequest::Customer(customer(1))).await;
    for number in [1, 2, 9_999, 10_000] {
        part(
            &house,
            &upload,
            number,
            &pattern(100_000),
            Some(customer(1)),
        )
        .await
        .unwrap();
    }
    let refused = house
        .objects
        .delete_bucket(house.request().scope(), "bucket")
        .await;
    assert!(
        matches!(refused, Err(Error::BucketNotEmpty { .. })),
        "open uploads keep a bucket"
    );
    let request = house.request();
    let abort = || {
        house
            .objects
            .abort_multipart_upload(request.scope(), "bucket", "k", &upload)
    };
    abort().await.unwrap();
    assert!(matches!(abort().await, Err(Error::NoSuchUpload { .. })));
    let late = part(&house, &upload, 3, b"late", Some(customer(1))).await;
    assert!(matches!(late, Err(Error::NoSuchUpload { .. })));
    house.tidied().await;
    assert_eq!(blobs(&house), 0);
    for table in 22..=25 {
        let rows = house
            .store
            .tables()
            .scan(
                TableId(table),
                Bound::Unbounded,
                Bound::Unbounded,
                10,
                false,
            )
            .unwrap();
        assert!(rows.is_empty(), "table {table}");
    }
}

/// An abort, a completion or a delete of thousands of parts is one commit: its removals must not
/// run into the bound on the rows that a commit writes.
#[tokio::test]
async fn thousands_of_parts_end_in_one_commit() {
    let house = house().await;
    house.bucket("bucket").await;
    let upload = create(&house, EncryptionRequest::S3).await;
    for number in 1..=4_200 {
        part(&house, &upload, number, b"x", None).await.unwrap();
    }
    let request = house.request();
    let abort = house
        .objects
        .abort_multipart_upload(request.scope(), "bucket", "k", &upload);
    abort.await.unwrap();
    house
        .objects
        .delete_bucket(house.request().scope(), "bucket")
        .await
        .unwrap();
}

#[tokio::test]
async fn parts_are_listed_in_pages() {
    let house = house().await;
    house.bucket("bucket").await;
    let upload = create(&house, EncryptionRequest::S3).await;
    for number in [3, 1, 10_000, 2] {
        part(&house, &upload, number, &pattern(usize::from(number)), None)
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut part_number_marker = 0;
    loop {
        let input = ListParts {
            bucket: "bucket".to_owned(),
            object_key: "k".to_owned(),
            upload_id: upload.clone(),
            part_number_marker,
            max_parts: 2,
            customer_key: None,
        };
        let page = house
            .objects
            .list_parts(house.request().scope(), input)
            .await
            .unwrap();
        seen.extend(page.parts.iter().map(|part| (part.part_number, part.size)));
        match page.next_marker {
            Some(next) => part_number_marker = next,
            None => break,
        }
    }
    assert_eq!(seen, [(1, 1), (2, 2), (3, 3), (10_000, 10_000)]);
}

/// The part table is bound: parts swapped, dropped or repeated in it are refused.
#[tokio::test]
async fn the_part_table_is_bound_to_the_record() {
    for key in [None, Some(1)] {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let request = match key {
            None => EncryptionRequest::S3,
            Some(byte) => EncryptionRequest::Customer(customer(byte)),
        };
        let upload = create(&house, request).await;
        let first = part(&house, &upload, 1, &pattern(MIB5), key.map(customer))
            .await
            .unwrap();
        let second = part(&house, &upload, 2, &pattern(MIB5), key.map(customer))
            .await
            .unwrap();
        let parts = vec![completed(1, &first), completed(2, &second)];
        complete(&house, &upload, parts, None).await.unwrap();
        let table = TableId(25);
        let rows = house
            .store
            .tables()
            .scan(table, Bound::Unbounded, Bound::Unbounded, 10, false)
            .unwrap();
        let (row_key, row) = rows.into_iter().next().unwrap();
        let mut refused = 0;
        for bit in 0..row.value.len() * 8 {
            let mut value = row.value.clone();
            value[bit / 8] ^= 1 << (bit % 8);
            let write = Write::Put {
                table,
                key: row_key.clone(),
                value,
            };
            let batch = Batch {
                preconditions: Vec::new(),
                writes: vec![write],
            };
            house.store.tables().commit(batch).await.unwrap();
            match house.get("bucket", "k", key.map(customer)).await {
                Ok(bytes) => assert_eq!(bytes, pattern(MIB5).repeat(2), "bit {bit}"),
                Err(_) => refused += 1,
            }
        }
        assert!(
            refused > row.value.len() * 7,
            "{refused} of {} bits",
            row.value.len() * 8
        );
    }
}

fn blobs(house: &House) -> usize {
    (0..=u8::MAX)
        .map(|shelf| {
            house
                .drive
                .list(Folder::Blobs(shelf))
                .map_or(0, |files| files.len())
        })
        .sum()
}

/// A writer that meets another may find the row of a version and no more its part table. That is
/// no damage, and must neither fail the request nor raise an alarm.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_writers_over_a_multipart_object_report_no_damage() {
    let house = std::sync::Arc::new(house().await);
    house.bucket("bucket").await;
    let mut tasks = Vec::new();
    for task in 0..6_u8 {
        let house = std::sync::Arc::clone(&house);
        tasks.push(tokio::spawn(async move {
            for _ in 0..25 {
                if task == 0 {
                    let scope = house.request();
                    house
                        .objects
                        .delete_object(scope.scope(), delete_input("bucket", "k"))
                        .await
                        .unwrap();
                    continue;
                }
                let upload_id = create(&house, EncryptionRequest::S3).await;
                let only = part(&house, &upload_id, 1, &[task; 100], None)
                    .await
                    .unwrap();
                complete(&house, &upload_id, vec![completed(1, &only)], None)
                    .await
                    .unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
