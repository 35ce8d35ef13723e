// SPDX-License-Identifier: Apache-2.0
//! Verification: what it reads, what it finds, and that traffic is no damage.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use strongroom_object::{
    CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, EncryptionRequest, Properties,
    UploadPart, VerifyProgress, VerifyReport, VerifyStage, WriteConditions,
};
use strongroom_store::drive::{Drive, Folder};
use strongroom_store::{AtRest, AtRestError, Batch, Row, TableId, Write};
use strongroom_testkit::SimDrive;
use tokio::task::JoinHandle;

use crate::harness::*;

const KMS_KEYS: TableId = TableId(1);
const BUCKETS: TableId = TableId(20);
const VERSIONS: TableId = TableId(21);
const PARTS: TableId = TableId(23);
const BODIES: TableId = TableId(24);

fn rows(house: &House, table: TableId) -> Vec<(Vec<u8>, Row)> {
    house
        .store
        .tables()
        .scan(table, Bound::Unbounded, Bound::Unbounded, 100, false)
        .unwrap()
}

async fn commit(house: &House, write: Write) {
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    house.store.tables().commit(batch).await.unwrap();
}

async fn put_row(house: &House, table: TableId, key: &[u8], value: &[u8]) {
    let (key, value) = (key.to_vec(), value.to_vec());
    commit(house, Write::Put { table, key, value }).await;
}

async fn verify(house: &House) -> VerifyReport {
    let request = house.request();
    house
        .objects
        .verify(request.scope(), &|_| {})
        .await
        .unwrap()
}

async fn put(house: &House, object_key: &str, bytes: &[u8]) {
    let encryption = EncryptionRequest::S3;
    house
        .put("bucket", object_key, bytes, encryption)
        .await
        .unwrap();
}

async fn upload(house: &House, object_key: &str) -> String {
    let input = CreateMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: object_key.to_owned(),
        properties: Properties::default(),
        encryption: EncryptionRequest::S3,
        storage_class: strongroom_object::StorageClass::default(),
        checksum_algorithm: None,
        checksum_type: None,
    };
    let request = house.request();
    let output = house
        .objects
        .create_multipart_upload(request.scope(), input);
    output.await.unwrap().upload_id
}

async fn part(house: &House, object_key: &str, upload_id: &str, bytes: &[u8]) -> String {
    let input = UploadPart {
        bucket: "bucket".to_owned(),
        object_key: object_key.to_owned(),
        upload_id: upload_id.to_owned(),
        part_number: 1,
        customer_key: None,
        content_length: bytes.len() as u64,
        checksum: strongroom_object::ChecksumRequest::default(),
        body: body(bytes),
    };
    let request = house.request();
    let output = house.objects.upload_part(request.scope(), input);
    output.await.unwrap().etag
}

async fn complete(house: &House, object_key: &str, upload_id: &str, etag: String) {
    let input = CompleteMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: object_key.to_owned(),
        upload_id: upload_id.to_owned(),
        parts: vec![CompletedPart {
            part_number: 1,
            etag,
            checksum: None,
        }],
        checksum: None,
        checksum_parts: None,
        checksum_type: None,
        object_size: None,
        conditions: WriteConditions::default(),
        customer_key: None,
    };
    let request = house.request();
    let output = house
        .objects
        .complete_multipart_upload(request.scope(), input);
    output.await.unwrap();
}

#[tokio::test]
async fn verify_names_what_is_damaged() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    house
        .put("bucket", "good", b"good", EncryptionRequest::S3)
        .await
        .unwrap();
    house
        .put("bucket", "large", &pattern(300_000), kms())
        .await
        .unwrap();
    let sealed = EncryptionRequest::Customer(customer(1));
    house
        .put("bucket", "sealed", &pattern(300_000), sealed)
        .await
        .unwrap();
    let report = house
        .objects
        .verify(house.request().scope(), &|_| {})
        .await
        .unwrap();
    assert_eq!((report.objects, report.unopened), (3, 1));
    assert!(report.damaged.is_empty(), "{:?}", report.damaged);
    house
        .put("bucket", "bad", b"bad!", EncryptionRequest::S3)
        .await
        .unwrap();
    let good = rows(&house, BODIES);
    for (key, row) in good {
        if row.value.len() == 36 {
            let mut value = row.value;
            value[20] ^= 1;
            put_row(&house, BODIES, &key, &value).await;
        }
    }
    let report = house
        .objects
        .verify(house.request().scope(), &|_| {})
        .await
        .unwrap();
    let mut damaged = report.damaged.lines().to_vec();
    damaged.sort();
    assert_eq!(report.damaged.total(), 2, "{damaged:?}");
    assert!(damaged[0].starts_with("s3://bucket/bad:"), "{damaged:?}");
    assert!(damaged[1].starts_with("s3://bucket/good:"), "{damaged:?}");
}

#[tokio::test]
async fn progress_knows_the_end_before_the_first_body() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    put(&house, "small", b"small").await;
    put(&house, "large", &pattern(3_000_000)).await;
    let sealed = EncryptionRequest::Customer(customer(1));
    house
        .put("bucket", "sealed", &pattern(300_000), sealed)
        .await
        .unwrap();
    let id = upload(&house, "open").await;
    part(&house, "open", &id, &pattern(200_000)).await;

    let told = Mutex::new(Vec::<VerifyProgress>::new());
    let request = house.request();
    let tell = |now| told.lock().unwrap().push(now);
    let report = house.objects.verify(request.scope(), &tell).await.unwrap();
    let told = told.into_inner().unwrap();

    let total = 5 + 3_000_000 + 300_000 + 200_000;
    let bodies: Vec<_> = told
        .iter()
        .filter(|now| now.stage == VerifyStage::Bodies)
        .collect();
    for now in &bodies {
        assert_eq!((now.objects_total, now.bytes_total), (3, Some(total)));
        assert!(now.bytes <= total && now.objects <= 3);
    }
    assert_eq!(bodies[0].bytes, 0);
    assert_eq!(
        bodies.last().map(|now| (now.bytes, now.objects)),
        Some((total, 3))
    );
    assert!(
        bodies.len() > 8,
        "progress within an object: {}",
        bodies.len()
    );
    assert!(bodies.is_sorted_by_key(|now| now.bytes));
    let mut stages: Vec<_> = told.iter().map(|now| now.stage).collect();
    stages.dedup();
    assert_eq!(
        stages,
        [
            VerifyStage::Counting,
            VerifyStage::Bodies,
            VerifyStage::Rows,
            VerifyStage::Log,
            VerifyStage::Blobs,
        ]
    );
    assert_eq!((report.objects, report.open_parts, report.blobs), (3, 1, 3));
    assert_eq!(report.bytes, 5 + 3_000_000 + 300_000);
    assert!(report.rows >= 9 && report.row_bytes > 0, "{report:?}");
    assert_eq!(report.commits, house.store.tables().last_commit().0);
    assert!(report.log_bytes > 0);
    assert!(
        report.damaged.is_empty() && report.unreferred.is_empty(),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_blob_that_no_row_refers_to() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.bucket("bucket").await;
    put(&house, "kept", &pattern(100_000)).await;
    put(&house, "lost", &pattern(200_000)).await;
    let (key, row) = rows(&house, VERSIONS).pop().unwrap();
    let table = VERSIONS;
    commit(
        &house,
        Write::Delete {
            table,
            key: key.clone(),
        },
    )
    .await;
    let report = verify(&house).await;
    assert!(report.damaged.is_empty(), "{:?}", report.damaged);
    assert_eq!((report.blobs, report.unreferred.total()), (2, 1));
    assert!(
        report.unreferred.lines()[0].contains("no object"),
        "{report:?}"
    );

    // Its bytes are read all the same.
    let lost = report.unreferred.lines()[0].clone();
    let file = blob_files(&drive)
        .into_iter()
        .find(|path| lost.contains(path.name()))
        .unwrap();
    assert!(drive.rot(&file, 100_000, 4));
    let report = verify(&house).await;
    assert_eq!((report.damaged.total(), report.unreferred.total()), (1, 1));
    assert!(drive.rot(&file, 100_000, 4));

    put_row(&house, VERSIONS, &key, &row.value).await;
    let report = verify(&house).await;
    assert!(
        report.damaged.is_empty() && report.unreferred.is_empty(),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_blob_that_is_not_in_the_catalogue() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "k", &pattern(100_000)).await;
    let entry = house.store.catalogue(None, 10).unwrap().pop().unwrap();
    // Keeps the file, as if only the catalogue's row were gone.
    let _pin = house.store.blobs().pin(vec![entry.location.blob]);
    commit(&house, Write::ReleaseBlob(entry.location.blob)).await;
    let report = verify(&house).await;
    assert_eq!(report.damaged.total(), 1);
    let line = &report.damaged.lines()[0];
    assert!(
        line.starts_with("s3://bucket/k: ") && line.contains("catalogue"),
        "{line}"
    );
}

#[tokio::test]
async fn a_bucket_whose_record_is_gone() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "k", &pattern(100_000)).await;
    commit(
        &house,
        Write::Delete {
            table: BUCKETS,
            key: b"bucket".to_vec(),
        },
    )
    .await;
    let report = verify(&house).await;
    assert_eq!(report.damaged.total(), 1, "{report:?}");
    assert!(report.damaged.lines()[0].starts_with("an object `k` of no bucket: "));
}

#[tokio::test]
async fn a_damaged_log_is_found_before_a_start_needs_it() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.bucket("bucket").await;
    put(&house, "k", b"small").await;
    let files = drive.list(Folder::Log).unwrap();
    let log = files.iter().find(|path| path.number("journal").is_some());
    assert!(drive.rot(log.unwrap(), 200, 1));
    let report = verify(&house).await;
    assert_eq!(report.damaged.total(), 1, "{report:?}");
    assert!(
        report.damaged.lines()[0].contains("log/journal-"),
        "{report:?}"
    );
    assert!(drive.rot(log.unwrap(), 200, 1));
    assert!(verify(&house).await.damaged.is_empty());
}

/// A sealer under which chosen rows do not open any more, as if their bytes had changed.
struct Rotten {
    sound: Arc<dyn AtRest>,
    rotten: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AtRest for Rotten {
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
        self.sound.seal(stream, aad, plain)
    }

    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let rotten = self.rotten.lock().unwrap();
        if rotten.iter().any(|key| aad.ends_with(key)) {
            return Err(AtRestError::Open);
        }
        self.sound.open(stream, aad, sealed)
    }
}

#[tokio::test]
async fn rows_that_do_not_open_are_named_once_and_hide_nothing() {
    let rotten = Arc::new(Mutex::new(Vec::new()));
    let house = {
        let rotten = Arc::clone(&rotten);
        house_sealed_by(Arc::new(SimDrive::new(1)), |sound| {
            Arc::new(Rotten { sound, rotten })
        })
    }
    .await;
    house.bucket("bucket").await;
    put(&house, "a", b"a").await;
    put(&house, "b", b"b").await;
    house.put("bucket", "c", b"c", kms()).await.unwrap();
    let id = upload(&house, "open").await;
    part(&house, "open", &id, b"part").await;
    let key_of = |table: TableId, at: usize| {
        let key = rows(&house, table)[at].0.clone();
        [&table.0.to_be_bytes()[..], &key].concat()
    };
    let cases = [
        (key_of(VERSIONS, 1), "s3://bucket/b: ".to_owned()),
        (key_of(BODIES, 0), "table 24,".to_owned()),
        (key_of(PARTS, 0), format!("part 1 of open upload {id}: ")),
        (key_of(BUCKETS, 0), "table 20".to_owned()),
        (key_of(KMS_KEYS, 0), "table 1,".to_owned()),
    ];
    for (key, names) in cases {
        rotten.lock().unwrap().push(key.clone());
        let report = verify(&house).await;
        rotten.lock().unwrap().clear();
        let lines = report.damaged.lines();
        assert!(lines.iter().any(|line| line.contains(&names)), "{lines:?}");
        let about = |line: &&String| line.contains("table ");
        assert_eq!(
            lines.iter().filter(about).count(),
            1,
            "told once: {lines:?}"
        );
        assert_eq!((report.objects, report.open_parts), (3, 1), "{lines:?}");
    }
    assert!(verify(&house).await.damaged.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn traffic_is_no_damage() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for number in 0..4_u8 {
        let (house, stop) = (Arc::clone(&house), Arc::clone(&stop));
        tasks.push(tokio::spawn(async move {
            let mut turn = 0_usize;
            while turn == 0 || !stop.load(Ordering::Relaxed) {
                let name = format!("k{}", (turn + usize::from(number)) % 7);
                let bytes = pattern(if turn.is_multiple_of(2) { 50_000 } else { 100 });
                put(&house, &name, &bytes).await;
                let id = upload(&house, &name).await;
                let etag = part(&house, &name, &id, &bytes).await;
                complete(&house, &name, &id, etag).await;
                if turn.is_multiple_of(3) {
                    let request = house.request();
                    let deleted = house
                        .objects
                        .delete_object(request.scope(), delete_input("bucket", &name));
                    deleted.await.unwrap();
                }
                let bucket = format!("bucket-{number}");
                house.bucket(&bucket).await;
                let request = house.request();
                house
                    .put(&bucket, "k", &bytes, EncryptionRequest::S3)
                    .await
                    .unwrap();
                let deleted = house
                    .objects
                    .delete_object(request.scope(), delete_input(&bucket, "k"));
                deleted.await.unwrap();
                house
                    .objects
                    .delete_bucket(request.scope(), &bucket)
                    .await
                    .unwrap();
                turn += 1;
            }
            turn
        }));
    }
    let (mut times, mut objects) = (0, 0);
    while times < 200 || (objects == 0 && !tasks.iter().any(JoinHandle::is_finished)) {
        let report = verify(&house).await;
        assert!(report.damaged.is_empty(), "{:?}", report.damaged);
        assert!(report.unreferred.is_empty(), "{:?}", report.unreferred);
        (times, objects) = (times + 1, objects + report.objects);
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
    assert!(objects > 0);
}

fn blob_files(drive: &SimDrive) -> Vec<strongroom_store::drive::DrivePath> {
    let files = drive.files().into_iter();
    files
        .filter(|path| matches!(path.folder(), Folder::Blobs(_)))
        .collect()
}
