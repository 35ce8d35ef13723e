// SPDX-License-Identifier: Apache-2.0
//! Copies that stand on the bodies of their source: what is shared, what never is, and that the
//! bodies go with the last that needs them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use strongroom_format::EncryptionContext;
use strongroom_kms::CreateKeyInput;
use strongroom_object::{
    BucketVersioning, ChecksumAlgorithm, ChecksumType, CompletedPart, CopyObject, CopyObjectOutput,
    CopySource, CustomerKey, DeleteObject, Encryption, EncryptionRequest, Error,
    GetObjectAttributes, KmsKeyArn, PartsPage, Properties, PropertiesDirective, ReadConditions,
    UpdateObjectEncryption, UploadPart, VersionId, WriteConditions,
};
use strongroom_store::drive::{Drive, Folder};
use strongroom_store::{Batch, Row, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, SimRng};

use crate::harness::*;
use crate::multipart::{complete, completed, create, create_with, part};

const VERSIONS: TableId = TableId(21);
const BODIES: TableId = TableId(24);
const MIB5: usize = 5 << 20;

type Ask<'a> = Box<dyn Fn() -> EncryptionRequest + 'a>;
/// Mode, algorithm of the checksum, whether a copy has to read for a digest, customer key.
type Upload = (
    fn() -> EncryptionRequest,
    Option<ChecksumAlgorithm>,
    bool,
    Option<u8>,
);

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
        context: EncryptionContext::new(),
        bucket_key: None,
    }
}

pub(crate) fn copy_input(
    from: (&str, &str),
    to: (&str, &str),
    encryption: EncryptionRequest,
) -> CopyObject {
    CopyObject {
        source: CopySource {
            bucket: from.0.to_owned(),
            object_key: from.1.to_owned(),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        },
        bucket: to.0.to_owned(),
        object_key: to.1.to_owned(),
        directive: PropertiesDirective::Copy,
        encryption,
        storage_class: None,
        conditions: WriteConditions::default(),
        checksum_algorithm: None,
    }
}

async fn copy_as(house: &House, input: CopyObject) -> Result<CopyObjectOutput, Error> {
    let request = house.request();
    house.objects.copy_object(request.scope(), input).await
}

/// Copies within `bucket`.
async fn copy(
    house: &House,
    from: &str,
    to: &str,
    encryption: EncryptionRequest,
) -> CopyObjectOutput {
    let input = copy_input(("bucket", from), ("bucket", to), encryption);
    copy_as(house, input).await.unwrap()
}

async fn delete(house: &House, name: &str) {
    let request = house.request();
    let deleted = house
        .objects
        .delete_object(request.scope(), delete_input("bucket", name));
    deleted.await.unwrap();
}

/// References of each body, ascending.
fn refs(house: &House) -> Vec<u32> {
    let mut all = house.store.catalogue(None, 10_000).unwrap();
    all.retain(|entry| entry.location.sealed_bytes > 0);
    let mut refs: Vec<u32> = all.iter().map(|entry| entry.refs).collect();
    refs.sort_unstable();
    refs
}

fn rows(house: &House, table: TableId) -> Vec<(Vec<u8>, Row)> {
    let all = Bound::Unbounded;
    let tables = house.store.tables();
    tables.scan(table, all, all, 10_000, false).unwrap()
}

async fn write_row(house: &House, write: Write) {
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    house.store.tables().commit(batch).await.unwrap();
}

async fn assert_sound(house: &House) {
    let request = house.request();
    let report = house.objects.verify(request.scope(), &|_| {}).await;
    let report = report.unwrap();
    let (damaged, lost) = (report.damaged.lines(), report.unreferred.lines());
    assert!(
        damaged.is_empty() && lost.is_empty(),
        "{damaged:?} {lost:?}"
    );
}

fn in_blobs(folder: Folder) -> bool {
    matches!(folder, Folder::Blobs(_) | Folder::Temporary)
}

#[tokio::test]
async fn copy_in_the_same_mode_under_the_same_key_touches_no_body() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.sse_c_bucket("bucket").await;
    house.sse_c_bucket("other").await;
    let key = new_key(&house).await;
    let requests: [(&str, Ask<'_>, Option<u8>); 4] = [
        ("s3", Box::new(|| EncryptionRequest::S3), None),
        ("aws/s3", Box::new(kms), None),
        ("kms", Box::new(|| under(&key)), None),
        (
            "c",
            Box::new(|| EncryptionRequest::Customer(customer(7))),
            Some(7),
        ),
    ];
    for (name, request, held) in requests {
        let bytes = pattern(1_200_000);
        let customer_key = || held.map(customer);
        let put = house.put("bucket", name, &bytes, request()).await.unwrap();
        for to in [("bucket", "copy"), ("other", "copy")] {
            house.tidied().await;
            drive.set_plan(FaultPlan::new([]).within(in_blobs));
            let mut input = copy_input(("bucket", name), to, request());
            input.source.customer_key = customer_key();
            let made = copy_as(&house, input).await.unwrap();
            let touched = (drive.reads(), drive.operations());
            assert_eq!(touched, (0, 0), "{name}: reads and changes of bodies");
            if name == "s3" {
                assert_eq!(made.etag, put.etag, "the MD5");
            } else {
                assert_ne!(made.etag, put.etag, "equal bytes must not show");
                assert_eq!(made.etag.len(), 32);
            }
            assert_eq!(made.checksum, put.checksum);
            let got = house.get_output(to.0, to.1, customer_key()).await.unwrap();
            assert_eq!(got.head.etag, made.etag);
            assert_eq!(got.head.checksum, put.checksum);
            assert_eq!(collect(got).await.unwrap(), bytes);
        }
        assert_eq!(refs(&house), [3], "{name}");
        assert_sound(&house).await;
        delete(&house, name).await;
        assert_eq!(refs(&house), [2]);
        delete(&house, "copy").await;
        let left = house.get("other", "copy", customer_key()).await.unwrap();
        assert_eq!(left, bytes, "{name}");
        let last = delete_input("other", "copy");
        let request = house.request();
        let deleted = house.objects.delete_object(request.scope(), last);
        deleted.await.unwrap();
        house.tidied().await;
        assert!(refs(&house).is_empty());
        let files = drive.files();
        assert!(!files.iter().any(|path| in_blobs(path.folder())), "{name}");
    }
}

#[tokio::test]
async fn copy_under_another_key_or_mode_has_a_body_of_its_own() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let keys = [new_key(&house).await, new_key(&house).await];
    let bytes = pattern(300_000);
    let c = |byte| EncryptionRequest::Customer(customer(byte));
    let cases: [(EncryptionRequest, Option<u8>, EncryptionRequest, Option<u8>); 8] = [
        (EncryptionRequest::S3, None, under(&keys[0]), None),
        (under(&keys[0]), None, EncryptionRequest::S3, None),
        (
            under(&keys[0]),
            None,
            EncryptionRequest::Default { bucket_key: None },
            None,
        ),
        (under(&keys[0]), None, under(&keys[1]), None),
        (under(&keys[0]), None, kms(), None),
        (c(1), Some(1), c(2), Some(2)),
        (c(1), Some(1), EncryptionRequest::S3, None),
        (EncryptionRequest::S3, None, c(1), Some(1)),
    ];
    for (number, (from, source_key, to, target_key)) in cases.into_iter().enumerate() {
        house.put("bucket", "k", &bytes, from).await.unwrap();
        let mut input = copy_input(("bucket", "k"), ("bucket", "copy"), to);
        input.source.customer_key = source_key.map(customer);
        copy_as(&house, input).await.unwrap();
        assert_eq!(refs(&house), [1, 1], "case {number}");
        let got = house.get("bucket", "copy", target_key.map(customer)).await;
        assert_eq!(got.unwrap(), bytes, "case {number}");
    }
    assert_sound(&house).await;
}

/// The files of a body that was put under another KMS key keep what the first key wrapped: a copy
/// that stood on them did not end with its key, as one does that was written under it.
#[tokio::test]
async fn copy_of_what_was_put_under_another_key_has_a_body_of_its_own() {
    let house = house().await;
    house.bucket("bucket").await;
    let key_arn = new_key(&house).await;
    let bytes = pattern(300_000);
    house
        .put("bucket", "k", &bytes, EncryptionRequest::S3)
        .await
        .unwrap();
    let input = UpdateObjectEncryption {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        version_id: None,
        key_arn: KmsKeyArn::parse(&key_arn).unwrap(),
        bucket_key: false,
    };
    let request = house.request();
    let updated = house
        .objects
        .update_object_encryption(request.scope(), input);
    updated.await.unwrap();
    copy(&house, "k", "copy", under(&key_arn)).await;
    assert_eq!(refs(&house), [1, 1], "under one key, and yet two bodies");
    // The copy was written under its key, and so are its own copies.
    copy(&house, "copy", "another", under(&key_arn)).await;
    assert_eq!(refs(&house), [1, 2]);
    for name in ["k", "copy", "another"] {
        assert_eq!(house.get("bucket", name, None).await.unwrap(), bytes);
    }
    assert_sound(&house).await;
}

#[tokio::test]
async fn small_bodies_are_never_shared() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    for size in [0, 1, 20_000] {
        let bytes = pattern(size);
        let put = house.put("bucket", "k", &bytes, EncryptionRequest::S3);
        put.await.unwrap();
        copy(&house, "k", "copy", EncryptionRequest::S3).await;
        assert!(refs(&house).is_empty());
        assert_eq!(rows(&house, BODIES).len(), 2);
        delete(&house, "k").await;
        assert_eq!(house.get("bucket", "copy", None).await.unwrap(), bytes);
        delete(&house, "copy").await;
        assert!(rows(&house, BODIES).is_empty());
    }
}

/// Uploads `k` in parts under a fixed checksum algorithm and names their checksums at the end.
async fn upload(
    house: &House,
    encryption: EncryptionRequest,
    algorithm: Option<ChecksumAlgorithm>,
    parts: &[&[u8]],
    key: Option<u8>,
) {
    let checksum_type = None;
    let id = create_with(house, encryption, algorithm, checksum_type);
    let id = id.await.unwrap();
    let mut named = Vec::new();
    for (number, bytes) in (1..).zip(parts) {
        let input = UploadPart {
            bucket: "bucket".to_owned(),
            object_key: "k".to_owned(),
            upload_id: id.clone(),
            part_number: number,
            customer_key: key.map(customer),
            content_length: bytes.len() as u64,
            checksum: strongroom_object::ChecksumRequest {
                algorithm,
                ..strongroom_object::ChecksumRequest::default()
            },
            body: body(bytes),
        };
        let request = house.request();
        let output = house.objects.upload_part(request.scope(), input).await;
        let output = output.unwrap();
        named.push(CompletedPart {
            part_number: u32::from(number),
            etag: output.etag.clone(),
            checksum: algorithm.and(
                output
                    .checksum
                    .as_ref()
                    .map(|sum| (sum.algorithm, sum.value.clone())),
            ),
        });
    }
    complete(house, &id, named, key.map(customer))
        .await
        .unwrap();
}

/// What the copy of an object says of its checksum is what a plain PUT of its bytes says.
async fn put_checksum(
    house: &House,
    bytes: &[u8],
    algorithm: Option<ChecksumAlgorithm>,
) -> Option<strongroom_object::Checksum> {
    let mut input = put_input("bucket", "plain", bytes, EncryptionRequest::S3);
    input.checksum.algorithm = algorithm;
    let request = house.request();
    let put = house.objects.put_object(request.scope(), input).await;
    delete(house, "plain").await;
    put.unwrap().checksum
}

#[tokio::test]
async fn copy_of_parts_is_one_object_on_the_same_bodies() {
    use ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256};
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.sse_c_bucket("bucket").await;
    let (one, two, tail) = (pattern(MIB5 + 3), pattern(MIB5), pattern(9_000));
    let bytes = [one.as_slice(), &two, &tail].concat();
    let parts: [&[u8]; 3] = [&one, &two, &tail];
    let c = || EncryptionRequest::Customer(customer(1));
    let cases: [Upload; 7] = [
        (|| EncryptionRequest::S3, None, true, None),
        (kms, None, false, None),
        (kms, Some(Crc32), false, None),
        (kms, Some(Crc64Nvme), false, None),
        (kms, Some(Sha256), true, None),
        // No checksum is kept of such an upload.
        (c, None, true, Some(1)),
        (c, Some(Crc32), false, Some(1)),
    ];
    for (number, (request, algorithm, reads, key)) in cases.into_iter().enumerate() {
        upload(&house, request(), algorithm, &parts, key).await;
        house.tidied().await;
        drive.set_plan(FaultPlan::new([]).within(in_blobs));
        let mut input = copy_input(("bucket", "k"), ("bucket", "copy"), request());
        input.source.customer_key = key.map(customer);
        let made = copy_as(&house, input).await.unwrap();
        assert_eq!(drive.reads() > 0, reads, "case {number}");
        assert_eq!(drive.operations(), 0, "case {number}: no body is written");
        assert_eq!(refs(&house), [2, 2], "case {number}");
        assert_eq!(rows(&house, BODIES).len(), 2, "each has its own tail");
        assert_eq!(made.etag.len(), 32, "no `-N`");
        if number == 0 {
            assert_eq!(made.etag, hex::encode(Md5::digest(&bytes)));
        }
        let wanted = put_checksum(&house, &bytes, algorithm).await;
        assert_eq!(made.checksum, wanted, "case {number}");
        let got = house.get_output("bucket", "copy", key.map(customer)).await;
        let got = got.unwrap();
        assert_eq!(got.head.parts_count, None);
        assert_eq!(got.head.checksum, wanted);
        assert_eq!(collect(got).await.unwrap(), bytes, "case {number}");

        // One object, whatever it stands on.
        for (wanted, len) in [(1, Some(bytes.len() as u64)), (2, None), (3, None)] {
            let mut input = get_input("bucket", "copy", key.map(customer));
            input.part_number = Some(wanted);
            let request = house.request();
            match house.objects.head_object(request.scope(), input).await {
                Ok((_, served)) => assert_eq!(Some(served.len), len),
                Err(Error::InvalidPartNumber { actual_count, .. }) => {
                    assert_eq!((len, actual_count), (None, 1));
                }
                Err(other) => panic!("{other}"),
            }
        }
        let attributes = GetObjectAttributes {
            bucket: "bucket".to_owned(),
            object_key: "copy".to_owned(),
            version_id: None,
            customer_key: key.map(customer),
            checksum: true,
            parts: Some(PartsPage {
                marker: 0,
                max_parts: 10,
            }),
        };
        let said = house
            .objects
            .get_object_attributes(house.request().scope(), attributes)
            .await
            .unwrap();
        assert!(said.parts.is_none());
        assert_eq!(said.checksum, wanted);

        // A range over a border of bodies, from a copy of the copy without its source.
        delete(&house, "k").await;
        let mut input = copy_input(("bucket", "copy"), ("bucket", "second"), request());
        input.source.customer_key = key.map(customer);
        copy_as(&house, input).await.unwrap();
        delete(&house, "copy").await;
        assert_eq!(refs(&house), [1, 1]);
        assert_sound(&house).await;
        let mut input = get_input("bucket", "second", key.map(customer));
        let (from, to) = (MIB5 as u64 - 5, 2 * MIB5 as u64 + 100);
        input.range = Some(strongroom_object::ByteRange::FromTo(from, to));
        let request = house.request();
        let got = house.objects.get_object(request.scope(), input).await;
        let got = collect(got.unwrap()).await.unwrap();
        assert_eq!(got, bytes[from as usize..=to as usize]);
        delete(&house, "second").await;
        house.tidied().await;
        assert!(refs(&house).is_empty() && rows(&house, BODIES).is_empty());
    }
}

#[tokio::test]
async fn upload_completed_without_its_customer_key_is_copied_with_it() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let id = create(&house, EncryptionRequest::Customer(customer(1))).await;
    let (one, two) = (pattern(MIB5), pattern(70_000));
    let first = part(&house, &id, 1, &one, Some(customer(1))).await.unwrap();
    let second = part(&house, &id, 2, &two, Some(customer(1))).await.unwrap();
    let named = vec![completed(1, &first), completed(2, &second)];
    complete(&house, &id, named, None).await.unwrap();
    let c = EncryptionRequest::Customer(customer(1));
    let mut input = copy_input(("bucket", "k"), ("bucket", "copy"), c);
    input.source.customer_key = Some(customer(1));
    let made = copy_as(&house, input).await.unwrap();
    let bytes = [one, two].concat();
    let wanted = put_checksum(&house, &bytes, None).await;
    assert_eq!(made.checksum, wanted, "the source has none");
    delete(&house, "k").await;
    let got = house.get("bucket", "copy", Some(customer(1))).await;
    assert_eq!(got.unwrap(), bytes);
    assert_sound(&house).await;
}

#[tokio::test]
async fn asking_for_another_checksum_reads_but_does_not_write() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(700_000);
    house.put("bucket", "k", &bytes, kms()).await.unwrap();
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Sha256] {
        house.tidied().await;
        drive.set_plan(FaultPlan::new([]).within(in_blobs));
        let mut input = copy_input(("bucket", "k"), ("bucket", "copy"), kms());
        input.checksum_algorithm = Some(algorithm);
        let made = copy_as(&house, input).await.unwrap();
        assert!(drive.reads() > 0);
        assert_eq!(drive.operations(), 0);
        assert_eq!(
            made.checksum,
            put_checksum(&house, &bytes, Some(algorithm)).await
        );
        let sum = made.checksum.unwrap();
        assert_eq!(sum.checksum_type, ChecksumType::FullObject);
        assert_eq!(refs(&house), [2]);
    }
}

#[tokio::test]
async fn copy_onto_itself_keeps_the_body_it_stands_on() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(300_000);
    house.put("bucket", "k", &bytes, kms()).await.unwrap();
    for round in 0..3 {
        let mut input = copy_input(("bucket", "k"), ("bucket", "k"), kms());
        let mut properties = Properties::default();
        properties
            .user
            .insert("round".to_owned(), round.to_string());
        input.directive = PropertiesDirective::Replace(properties.clone());
        copy_as(&house, input).await.unwrap();
        house.tidied().await;
        assert_eq!(refs(&house), [1]);
        let got = house.get_output("bucket", "k", None).await.unwrap();
        assert_eq!(got.head.properties, properties);
        assert_eq!(collect(got).await.unwrap(), bytes);
    }
    let request = house.request();
    let enabled = BucketVersioning::Enabled;
    let changed = house
        .objects
        .put_bucket_versioning(request.scope(), "bucket", enabled);
    changed.await.unwrap();
    copy(&house, "k", "k", kms()).await;
    assert_eq!(refs(&house), [2], "a version more");
    assert_sound(&house).await;
}

#[tokio::test]
async fn copy_has_a_record_of_its_own_bound_to_its_own_place() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(100_000);
    for request in [|| EncryptionRequest::S3, kms] {
        house.put("bucket", "a", &bytes, request()).await.unwrap();
        copy(&house, "a", "b", request()).await;
        let [(a, one), (b, two)] = rows(&house, VERSIONS).try_into().unwrap();
        assert_ne!(one.value, two.value);
        // The row of either under the name of the other.
        for (key, value, name) in [(&a, &two.value, "a"), (&b, &one.value, "b")] {
            let before = if name == "a" { &one.value } else { &two.value };
            let put = |value: &Vec<u8>| Write::Put {
                table: VERSIONS,
                key: key.clone(),
                value: value.clone(),
            };
            write_row(&house, put(value)).await;
            let refused = house.get("bucket", name, None).await;
            assert!(
                matches!(refused, Err(Error::Corrupted { .. } | Error::Kms(_))),
                "{name}: {refused:?}"
            );
            write_row(&house, put(before)).await;
            assert_eq!(house.get("bucket", name, None).await.unwrap(), bytes);
        }
        // Its record is gone with it.
        let record = |row: &Row| {
            let at = row.value.windows(4).position(|w| w == b"OSK1").unwrap();
            row.value[at..at + 132].to_vec()
        };
        delete(&house, "a").await;
        let [(_, left)] = rows(&house, VERSIONS).try_into().unwrap();
        assert_eq!(record(&left), record(&two));
        assert_ne!(record(&left), record(&one));
        delete(&house, "b").await;
    }
}

#[tokio::test]
async fn damage_of_a_shared_body_is_told_for_each_that_stands_on_it() {
    let drive = SimDrive::new(1);
    let house = house_on(Arc::new(drive.clone())).await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(300_000);
    let put = house.put("bucket", "a", &bytes, EncryptionRequest::S3);
    put.await.unwrap();
    copy(&house, "a", "b", EncryptionRequest::S3).await;
    let files = drive.files();
    let blob = files
        .iter()
        .find(|p| matches!(p.folder(), Folder::Blobs(_)));
    assert!(drive.rot(blob.unwrap(), 70_000, 1));
    for name in ["a", "b"] {
        assert!(house.get("bucket", name, None).await.is_err(), "{name}");
    }
    let request = house.request();
    let report = house.objects.verify(request.scope(), &|_| {}).await;
    let report = report.unwrap();
    let lines = report.damaged.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("s3://bucket/a:"), "{lines:?}");
    assert!(lines[1].starts_with("s3://bucket/b:"), "{lines:?}");
}

#[tokio::test]
async fn verify_compares_references_with_those_that_are_counted() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(300_000);
    let put = house.put("bucket", "a", &bytes, EncryptionRequest::S3);
    put.await.unwrap();
    copy(&house, "a", "b", EncryptionRequest::S3).await;
    assert_sound(&house).await;
    // A row that went without giving its reference back.
    let [_, (key, row)] = rows(&house, VERSIONS).try_into().unwrap();
    let table = VERSIONS;
    let gone = Write::Delete {
        table,
        key: key.clone(),
    };
    write_row(&house, gone).await;
    let verify = || async {
        let request = house.request();
        let report = house.objects.verify(request.scope(), &|_| {}).await;
        report.unwrap()
    };
    let report = verify().await;
    let lines = report.unreferred.lines();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("1 references, but 2 counted"),
        "{lines:?}"
    );
    assert!(report.damaged.is_empty());
    // A row more than references: deleting one would take the bytes of the other away.
    let value = row.value;
    write_row(&house, Write::Put { table, key, value }).await;
    assert_sound(&house).await;
    let [(key, row), _] = rows(&house, VERSIONS).try_into().unwrap();
    let mut third = key;
    third[16] = b'A';
    let value = row.value;
    let key = third;
    write_row(&house, Write::Put { table, key, value }).await;
    let report = verify().await;
    let lines = report.damaged.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].contains("3 references, but 2 counted"),
        "{lines:?}"
    );
}

/// What each name must hold, newest first: the version, and the number of the body it stands on
/// with its bytes. `None` is a delete marker.
type Entries = Vec<(Option<VersionId>, Option<(u64, Vec<u8>)>)>;
type Model = BTreeMap<&'static str, Entries>;

fn add(
    model: &mut Model,
    versioned: bool,
    name: &'static str,
    id: Option<VersionId>,
    object: Option<(u64, Vec<u8>)>,
) {
    let entries = model.entry(name).or_default();
    if !versioned {
        entries.clear();
    }
    entries.insert(0, (id, object));
}

/// How many stand on each body, ascending.
fn counts(model: &Model) -> Vec<u32> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for (_, object) in model.values().flatten() {
        if let Some((body, _)) = object {
            *counts.entry(*body).or_default() += 1;
        }
    }
    let mut counts: Vec<u32> = counts.into_values().collect();
    counts.sort_unstable();
    counts
}

/// Random puts, copies, deletes of names and of versions, against what each name must hold.
#[tokio::test]
async fn references_follow_a_model() {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    for seed in 0..6 {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let versioned = seed % 2 == 1;
        if versioned {
            let request = house.request();
            let enabled = BucketVersioning::Enabled;
            let changed = house
                .objects
                .put_bucket_versioning(request.scope(), "bucket", enabled);
            changed.await.unwrap();
        }
        let mut rng = SimRng::new(seed);
        // Newest first; each object says which body it stands on.
        let mut model = Model::new();
        for step in 0..60_u64 {
            let name = NAMES[rng.index(NAMES.len())];
            let other = NAMES[rng.index(NAMES.len())];
            let newest = |model: &Model, name: &str| {
                let first = model.get(name).and_then(|entries| entries.first().cloned());
                first.and_then(|(_, object)| object)
            };
            match rng.below(8) {
                0..=2 => {
                    let bytes = vec![u8::try_from(step).unwrap(); 40_000];
                    let put = house.put("bucket", name, &bytes, kms()).await.unwrap();
                    add(
                        &mut model,
                        versioned,
                        name,
                        put.version_id,
                        Some((step, bytes)),
                    );
                }
                3..=5 => {
                    let input = copy_input(("bucket", other), ("bucket", name), kms());
                    let copied = copy_as(&house, input).await;
                    let source = newest(&model, other);
                    assert_eq!(copied.is_ok(), source.is_some(), "{copied:?}");
                    if let (Ok(made), Some(object)) = (copied, source) {
                        add(&mut model, versioned, name, made.version_id, Some(object));
                    }
                }
                6 => {
                    let request = house.request();
                    let input = delete_input("bucket", name);
                    let deleted = house.objects.delete_object(request.scope(), input);
                    let deleted = deleted.await.unwrap();
                    if versioned {
                        add(&mut model, versioned, name, deleted.version_id, None);
                    } else {
                        model.remove(name);
                    }
                }
                _ => {
                    let entries = model.entry(name).or_default();
                    if entries.is_empty() {
                        continue;
                    }
                    let (id, _) = entries.remove(rng.index(entries.len()));
                    let input = DeleteObject {
                        version_id: Some(id.unwrap_or(VersionId::NULL)),
                        ..delete_input("bucket", name)
                    };
                    let request = house.request();
                    let deleted = house.objects.delete_object(request.scope(), input);
                    deleted.await.unwrap();
                }
            }
            assert_eq!(refs(&house), counts(&model), "seed {seed}, step {step}");
        }
        for (name, entries) in &model {
            for (id, object) in entries {
                let Some((_, bytes)) = object else { continue };
                let mut input = get_input("bucket", name, None);
                input.version_id = *id;
                let request = house.request();
                let got = house.objects.get_object(request.scope(), input).await;
                assert_eq!(&collect(got.unwrap()).await.unwrap(), bytes);
            }
        }
        assert_sound(&house).await;
    }
}

/// Copies while their source is overwritten and deleted: each is a whole object of one of the
/// bodies that were there, shared or not, and nothing is counted wrongly.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_meet_overwrites_and_deletes_of_their_source() {
    let house = Arc::new(house().await);
    house.sse_c_bucket("bucket").await;
    let mut tasks = Vec::new();
    for number in 0..2_u8 {
        let house = Arc::clone(&house);
        tasks.push(tokio::spawn(async move {
            for round in 0..40_u8 {
                let bytes = vec![number * 100 + round; 40_000];
                house.put("bucket", "k", &bytes, kms()).await.unwrap();
                if round % 5 == 4 {
                    delete(&house, "k").await;
                }
            }
        }));
    }
    for number in 0..3_u8 {
        let house = Arc::clone(&house);
        tasks.push(tokio::spawn(async move {
            for round in 0..40_u8 {
                let name = format!("{number}/{}", round % 4);
                let input = copy_input(("bucket", "k"), ("bucket", &name), kms());
                match copy_as(&house, input).await {
                    Ok(_) => {
                        let got = house.get("bucket", &name, None).await.unwrap();
                        assert_eq!(got.len(), 40_000);
                        assert!(got.iter().all(|byte| *byte == got[0]));
                    }
                    Err(Error::NoSuchKey { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_sound(&house).await;
}

#[tokio::test]
async fn read_under_way_outlives_the_last_reference() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(3_000_000);
    house.put("bucket", "a", &bytes, kms()).await.unwrap();
    copy(&house, "a", "b", kms()).await;
    let reading = house.get_output("bucket", "b", None).await.unwrap();
    delete(&house, "b").await;
    delete(&house, "a").await;
    assert!(refs(&house).is_empty());
    assert_eq!(collect(reading).await.unwrap(), bytes);
    house.tidied().await;
}

/// The power fails at each operation of a put, a copy and the removal of the source. Whoever was
/// told of a copy finds it, rows and references agree, and no file is left that nobody needs.
#[tokio::test]
async fn power_fails_anywhere_between_copy_and_removal() {
    let bytes = pattern(100_000);
    let mut fails_at = 0;
    loop {
        let keyring = new_keyring();
        let drive = SimDrive::new(fails_at);
        let at_rest = keyring.at_rest();
        let house = house_of(Arc::new(drive.clone()), Arc::clone(&keyring), at_rest);
        let house = house.await.unwrap();
        house.sse_c_bucket("bucket").await;
        drive.set_plan(FaultPlan::new([Fault::CrashAt(fails_at)]));
        let (mut copied, mut deleted) = (false, false);
        let s3 = || EncryptionRequest::S3;
        let put = house.put("bucket", "k", &bytes, s3()).await.is_ok();
        if put {
            let input = copy_input(("bucket", "k"), ("bucket", "copy"), s3());
            copied = copy_as(&house, input).await.is_ok();
        }
        if copied {
            let input = delete_input("bucket", "k");
            let request = house.request();
            let gone = house.objects.delete_object(request.scope(), input).await;
            deleted = gone.is_ok();
            house.store.blobs().reclaimed().await.ok();
        }
        let crashed = drive.has_crashed();
        let next: Arc<dyn Drive> = Arc::new(drive.crash());
        drop(house);
        let at_rest = keyring.at_rest();
        let house = house_of(next, keyring, at_rest).await.unwrap();
        house.tidied().await;
        let note = format!("crash at {fails_at}");
        match house.get("bucket", "copy", None).await {
            Ok(got) => assert_eq!(got, bytes, "{note}"),
            Err(Error::NoSuchKey { .. }) => assert!(!copied, "{note}"),
            Err(other) => panic!("{note}: {other}"),
        }
        match house.get("bucket", "k", None).await {
            Ok(got) => assert!(got == bytes && !deleted, "{note}"),
            Err(Error::NoSuchKey { .. }) => assert!(!put || copied, "{note}"),
            Err(other) => panic!("{note}: {other}"),
        }
        assert_sound(&house).await;
        if !crashed {
            assert!(deleted && fails_at > 3, "{note}");
            return;
        }
        fails_at += 1;
    }
}

#[tokio::test]
async fn customer_key_counts_only_if_it_is_the_one_of_the_source() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let c = |byte| EncryptionRequest::Customer(customer(byte));
    house
        .put("bucket", "k", &pattern(100_000), c(1))
        .await
        .unwrap();
    let with = |key: Option<CustomerKey>, byte| {
        let mut input = copy_input(("bucket", "k"), ("bucket", "copy"), c(byte));
        input.source.customer_key = key;
        copy_as(&house, input)
    };
    let refused = with(None, 1).await;
    assert!(matches!(refused, Err(Error::CustomerKeyRequired)));
    let refused = with(Some(customer(2)), 1).await;
    assert!(matches!(refused, Err(Error::CustomerKeyWrong)));
    let refused = with(Some(customer(2)), 2).await;
    assert!(matches!(refused, Err(Error::CustomerKeyWrong)));
    assert_eq!(refs(&house), [1]);
    let made = with(Some(customer(1)), 1).await.unwrap();
    assert!(matches!(made.encryption, Encryption::Customer { .. }));
    assert_eq!(refs(&house), [2]);
}
