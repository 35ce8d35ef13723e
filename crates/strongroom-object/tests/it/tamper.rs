// SPDX-License-Identifier: Apache-2.0
//! Every field of every row of an object, changed one byte at a time, in every mode and shape.
//!
//! `binding.rs` flips bits of small rows and lets pass what means the same. Here the rows are taken
//! apart: what is changed is a value and never its encoding, so nothing may pass.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use strongroom_format::EncryptionContext;
use strongroom_object::{
    ChecksumAlgorithm, CustomerKey, EncryptionRequest, Error, GetObjectAttributes, PartsPage,
};
use strongroom_store::drive::{DrivePath, Folder};
use strongroom_testkit::SimDrive;

use crate::binding::{BODIES, VERSIONS, put_row, rows};
use crate::harness::*;
use crate::multipart::{complete, completed, create, create_with, part};
use strongroom_store::TableId;

const PART_TABLES: TableId = TableId(25);
const MIB5: usize = 5 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    S3,
    Kms,
    C,
    Dsse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Inline,
    Blob,
    Multipart,
    /// With a checksum that is composed of those of its parts.
    Composed,
}

const MODES: [Mode; 4] = [Mode::S3, Mode::Kms, Mode::C, Mode::Dsse];

impl Mode {
    fn request(self) -> EncryptionRequest {
        match self {
            Self::S3 => EncryptionRequest::S3,
            Self::C => EncryptionRequest::Customer(customer(1)),
            Self::Dsse => dsse(),
            Self::Kms => {
                let mut context = EncryptionContext::new();
                context.insert("team".to_owned(), "red".to_owned()).unwrap();
                EncryptionRequest::Kms {
                    key_id: None,
                    context,
                    bucket_key: None,
                }
            }
        }
    }

    fn key(self) -> Option<CustomerKey> {
        (self == Self::C).then(|| customer(1))
    }
}

/// Stores `k` and says what is in it.
async fn store(house: &House, mode: Mode, shape: Shape) -> Vec<u8> {
    let bytes = match shape {
        Shape::Inline => pattern(1_000),
        Shape::Blob => pattern(300_000),
        Shape::Multipart => {
            let upload = create(house, mode.request()).await;
            let (one, two) = (pattern(MIB5), pattern(70_000));
            let first = part(house, &upload, 1, &one, mode.key()).await.unwrap();
            let second = part(house, &upload, 2, &two, mode.key()).await.unwrap();
            let parts = vec![completed(1, &first), completed(2, &second)];
            // Without the customer key, so that the completion tag is there to be changed.
            complete(house, &upload, parts, None).await.unwrap();
            return [one, two].concat();
        }
        Shape::Composed => {
            let sha = Some(ChecksumAlgorithm::Sha256);
            let upload = create_with(house, mode.request(), sha, None).await.unwrap();
            let (one, two) = (pattern(MIB5), pattern(70_000));
            let mut parts = Vec::new();
            for (number, bytes) in [(1, &one), (2, &two)] {
                let done = part(house, &upload, number, bytes, mode.key())
                    .await
                    .unwrap();
                let mut named = completed(u32::from(number), &done);
                named.checksum = done.checksum.map(|sum| (sum.algorithm, sum.value));
                parts.push(named);
            }
            complete(house, &upload, parts, mode.key()).await.unwrap();
            return [one, two].concat();
        }
    };
    let mut input = put_input("bucket", "k", &bytes, mode.request());
    input.checksum.algorithm = Some(ChecksumAlgorithm::Crc32);
    input.properties.content_type = Some("text/plain".to_owned());
    input.properties.user.insert("a".to_owned(), "b".to_owned());
    let scope = house.request();
    house
        .objects
        .put_object(scope.scope(), input)
        .await
        .unwrap();
    bytes
}

/// What a client got.
enum Read {
    Refused(Error),
    /// Broken off, after these bytes.
    Broken(Vec<u8>),
    Whole(Vec<u8>),
}

async fn read(house: &House, mode: Mode) -> Read {
    let mut output = match house.get_output("bucket", "k", mode.key()).await {
        Ok(output) => output,
        Err(error) => return Read::Refused(error),
    };
    let mut bytes = Vec::new();
    while let Some(piece) = output.body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => return Read::Broken(bytes),
        }
    }
    match attributes(house, mode).await {
        Ok(()) => Read::Whole(bytes),
        Err(error) => Read::Refused(error),
    }
}

/// Asks for everything that is said about the object.
async fn attributes(house: &House, mode: Mode) -> Result<(), Error> {
    let input = GetObjectAttributes {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        version_id: None,
        customer_key: mode.key(),
        checksum: true,
        parts: Some(PartsPage {
            marker: 0,
            max_parts: 1_000,
        }),
    };
    let request = house.request();
    let asked = house.objects.get_object_attributes(request.scope(), input);
    asked.await.map(|_| ())
}

/// Whether a verification names the object.
async fn named(house: &House) -> bool {
    is_told(house, "s3://bucket/k: ").await
}

/// Whether it names the object's note.
async fn note_named(house: &House) -> bool {
    is_told(house, "s3://bucket/k is whole, its note is not: ").await
}

async fn is_told(house: &House, beginning: &str) -> bool {
    let request = house.request();
    let report = house
        .objects
        .verify(request.scope(), &|_| {})
        .await
        .unwrap();
    let lines = report.damaged.lines();
    lines.iter().any(|line| line.starts_with(beginning))
}

/// A value in an encoded row: the numbers of the fields that lead to it, and its bytes.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    pub(crate) bytes: Range<usize>,
}

/// The values of a row: the bytes of strings, the last byte of numbers and truth values.
pub(crate) fn leaves(row: &[u8]) -> Vec<Leaf> {
    let mut found = Vec::new();
    assert_eq!(walk(row, 0, "", &mut found), row.len());
    found
}

fn walk(row: &[u8], at: usize, path: &str, found: &mut Vec<Leaf>) -> usize {
    let (major, info) = (row[at] >> 5, row[at] & 31);
    let extra = match info {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => panic!("of indefinite length"),
    };
    let mut next = at + 1 + extra;
    let count = row[at + 1..next]
        .iter()
        .fold(0, |value, byte| (value << 8) | usize::from(*byte));
    let count = if extra == 0 { usize::from(info) } else { count };
    let mut leaf = |bytes| {
        let path = path.to_owned();
        found.push(Leaf { path, bytes });
    };
    match major {
        0 => leaf(next - 1..next),
        7 if info == 22 => {}
        7 => leaf(at..at + 1),
        2 | 3 => {
            leaf(next..next + count);
            next += count;
        }
        4 => {
            for item in 0..count {
                next = walk(row, next, &format!("{path}[{item}]"), found);
            }
        }
        5 => {
            for _ in 0..count {
                let mut inner = path.to_owned();
                if row[next] >> 5 == 0 {
                    assert!(row[next] < 24);
                    write!(inner, ".{}", row[next]).unwrap();
                    next += 1;
                } else {
                    inner.push_str(".name");
                    next = walk(row, next, &inner, found);
                }
                next = walk(row, next, &inner, found);
            }
        }
        _ => panic!("major type {major}"),
    }
    next
}

/// Changes each byte of each value of the only row of a table.
async fn change_every_value(house: &House, table: TableId, mode: Mode, whole: &[u8]) {
    let (key, row) = rows(house, table).pop().unwrap();
    let leaves = leaves(&row.value);
    assert!(leaves.len() > 5, "{leaves:?}");
    let mut passed = Vec::new();
    for leaf in leaves {
        for at in leaf.bytes.clone() {
            let mut value = row.value.clone();
            value[at] ^= 1;
            put_row(house, table, &key, &value).await;
            let what = format!("{} byte {}", leaf.path, at - leaf.bytes.start);
            // The class is not bound (ADR 0033): rules change it without the object's key. On the
            // drive it is under the seal of the row (`storage_class.rs`); who writes rows through
            // the store, as here, can tell another class and no other bytes.
            if table == VERSIONS && leaf.path == "[1][0].12" {
                let served = read(house, mode).await;
                assert!(
                    matches!(served, Read::Whole(bytes) if bytes == whole),
                    "{what}"
                );
                continue;
            }
            // Nor is whether its bodies are older than its key: it decides whether a copy stands on
            // them, and nothing about the object.
            // Nor is which upload it was: that is for who completes it once more, with the parts that
            // the object has (`completed_before.rs`).
            let is_told_apart = leaf.path == "[1][0].15" || leaf.path.starts_with("[1][0].16");
            if table == VERSIONS && is_told_apart {
                let served = read(house, mode).await;
                assert!(
                    matches!(served, Read::Whole(bytes) if bytes == whole),
                    "{what}"
                );
                continue;
            }
            // Nor is where its note is: nothing is read from that while there are tables, and what
            // is no note is not released as one (`notes.rs`). A verification tells.
            if table == VERSIONS && leaf.path.starts_with("[1][0].14") {
                match read(house, mode).await {
                    Read::Whole(bytes) if bytes == whole => {}
                    Read::Refused(Error::Corrupted { .. }) => continue,
                    _ => passed.push(format!("{what}: served otherwise")),
                }
                if at == leaf.bytes.start && !note_named(house).await {
                    passed.push(format!("{what}: not named"));
                }
                continue;
            }
            match read(house, mode).await {
                Read::Refused(Error::Corrupted { .. } | Error::Kms(_) | Error::Store(_)) => {}
                Read::Refused(Error::CustomerKeyWrong) if mode == Mode::C => {}
                Read::Refused(error) => passed.push(format!("{what}: {error:?}")),
                // Where a later part lies shows when the answer gets there.
                Read::Broken(bytes) if table == PART_TABLES && whole.starts_with(&bytes) => {}
                Read::Broken(_) => passed.push(format!("{what}: broken off")),
                Read::Whole(_) => passed.push(format!("{what}: served")),
            }
            // Without the customer's key a verification can only check the sealed bytes.
            if at == leaf.bytes.start && mode != Mode::C && !named(house).await {
                passed.push(format!("{what}: not named"));
            }
        }
    }
    assert!(passed.is_empty(), "{mode:?} {table:?}: {passed:#?}");
    put_row(house, table, &key, &row.value).await;
    assert!(matches!(read(house, mode).await, Read::Whole(bytes) if bytes == whole));
    assert!(!named(house).await);
}

#[tokio::test]
async fn sec_every_value_of_a_small_objects_row() {
    for mode in MODES {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let whole = store(&house, mode, Shape::Inline).await;
        change_every_value(&house, VERSIONS, mode, &whole).await;
    }
}

#[tokio::test]
async fn sec_every_value_of_a_large_objects_row() {
    for mode in MODES {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let whole = store(&house, mode, Shape::Blob).await;
        change_every_value(&house, VERSIONS, mode, &whole).await;
    }
}

#[tokio::test]
async fn sec_every_value_of_a_multipart_objects_rows() {
    for mode in MODES {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let whole = store(&house, mode, Shape::Multipart).await;
        change_every_value(&house, VERSIONS, mode, &whole).await;
        change_every_value(&house, PART_TABLES, mode, &whole).await;
    }
}

#[tokio::test]
async fn sec_every_value_of_an_objects_rows_with_the_checksums_of_its_parts() {
    for mode in MODES {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let whole = store(&house, mode, Shape::Composed).await;
        change_every_value(&house, VERSIONS, mode, &whole).await;
        change_every_value(&house, PART_TABLES, mode, &whole).await;
    }
}

#[tokio::test]
async fn sec_small_bodies_changed_cut_and_grown() {
    for mode in MODES {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let whole = store(&house, mode, Shape::Inline).await;
        let (key, row) = rows(&house, BODIES).pop().unwrap();
        for wrong in wrong_bytes(&row.value, 97) {
            put_row(&house, BODIES, &key, &wrong).await;
            let got = read(&house, mode).await;
            assert!(matches!(got, Read::Refused(Error::Corrupted { .. })));
            assert!(mode == Mode::C || named(&house).await);
        }
        put_row(&house, BODIES, &key, &row.value).await;
        assert!(matches!(read(&house, mode).await, Read::Whole(bytes) if bytes == whole));
    }
}

#[tokio::test]
async fn sec_blobs_changed_cut_and_grown() {
    for mode in MODES {
        let drive = SimDrive::new(1);
        let house = house_on(Arc::new(drive.clone())).await;
        house.sse_c_bucket("bucket").await;
        let whole = store(&house, mode, Shape::Blob).await;
        let file = blob_files(&drive).pop().unwrap();
        let sound = drive.contents(&file).unwrap();
        for wrong in wrong_bytes(&sound, 30_011) {
            drive.plant(&file, &wrong);
            match read(&house, mode).await {
                Read::Refused(_) => {}
                Read::Broken(bytes) => assert!(whole.starts_with(&bytes)),
                // Room between units and after the end means nothing.
                Read::Whole(bytes) => assert_eq!(bytes, whole),
            }
            assert!(named(&house).await, "{mode:?}");
        }
        drive.plant(&file, &sound);
        assert!(matches!(read(&house, mode).await, Read::Whole(bytes) if bytes == whole));
        assert!(!named(&house).await);
    }
}

/// Bytes changed at every step, cut and grown.
fn wrong_bytes(sound: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut wrong: Vec<_> = (0..sound.len())
        .step_by(step)
        .chain([sound.len() - 1])
        .map(|at| {
            let mut bytes = sound.to_vec();
            bytes[at] ^= 0x10;
            bytes
        })
        .collect();
    for len in [0, 1, sound.len() / 2, sound.len() - 1] {
        wrong.push(sound[..len].to_vec());
    }
    wrong.push([sound, &[0]].concat());
    wrong.push([sound, sound].concat());
    wrong
}

fn blob_files(drive: &SimDrive) -> Vec<DrivePath> {
    let files = drive.files().into_iter();
    files
        .filter(|path| matches!(path.folder(), Folder::Blobs(_)))
        .collect()
}
