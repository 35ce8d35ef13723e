// SPDX-License-Identifier: Apache-2.0
//! The last resort: tables made of what the files of bodies say.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use strongroom_kms::root::{self, Keyring, KeyringFile, RootKey, Rotation};
use strongroom_kms::{CreateKeyInput, EnableKeyInput, ScheduleKeyDeletionInput};
use strongroom_object::{
    BodyError, BodySource, BucketVersioning, ChecksumAlgorithm, CopyObject, CopySource,
    EncryptionRequest, Error, Properties, PropertiesDirective, RebuildReport, Rebuilder,
};
use strongroom_store::blob::{SurveyedBlob, survey};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, Folder};
use strongroom_store::rebuild::Rebuild;
use strongroom_store::table::TableOptions;
use strongroom_store::{Batch, BlobId, TableId, Write};
use strongroom_testkit::SimDrive;

use crate::harness::*;

const MIB: usize = 1 << 20;

/// A way to ask for encryption, and whether reading takes the customer's key.
type Mode = (&'static str, fn() -> EncryptionRequest, bool);

/// A house that can lose its tables.
pub(crate) struct Built {
    pub(crate) drive: SimDrive,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) house: House,
}

pub(crate) async fn built() -> Built {
    let (drive, keyring) = (SimDrive::new(1), new_keyring());
    let house = open(&drive, &keyring).await;
    Built {
        drive,
        keyring,
        house,
    }
}

async fn open(drive: &SimDrive, keyring: &Arc<Keyring>) -> House {
    let shared: Arc<dyn Drive> = Arc::new(drive.clone());
    let at_rest = keyring.at_rest();
    house_of(shared, Arc::clone(keyring), at_rest)
        .await
        .unwrap()
}

pub(crate) fn surveyed(drive: &SimDrive) -> Vec<SurveyedBlob> {
    let shared: Arc<dyn Drive> = Arc::new(drive.clone());
    let mut found = Vec::new();
    let report = survey(&[(DriveNo::FIRST, shared)], |blob| {
        found.push(blob);
        Ok::<_, Infallible>(())
    });
    assert!(report.unwrap().damaged.is_empty());
    found
}

fn lose_tables(drive: &SimDrive) {
    for path in drive.list(Folder::Log).unwrap() {
        drive.remove(&path).unwrap();
    }
}

impl Built {
    /// Stops, loses the tables, and makes them again.
    pub(crate) async fn rebuilt(self) -> (Self, RebuildReport) {
        let Self {
            drive,
            keyring,
            house,
        } = self;
        let cluster_id = house.store.cluster_id();
        house.audit.close().await.unwrap();
        house.store.close().await.unwrap();
        drop(house);
        lose_tables(&drive);
        let mut rebuilder = Rebuilder::new(&keyring, cluster_id);
        for blob in surveyed(&drive) {
            rebuilder.take(blob);
        }
        let plan = rebuilder.plan().unwrap();
        let report = plan.report().clone();
        let shared: Arc<dyn Drive> = Arc::new(drive.clone());
        let at_rest = keyring.at_rest();
        let tables = Rebuild::begin(&shared, &at_rest, TableOptions::default()).unwrap();
        assert!(plan.put(tables).unwrap() > 0);
        let house = open(&drive, &keyring).await;
        let built = Self {
            drive,
            keyring,
            house,
        };
        (built, report)
    }
}

#[tokio::test]
async fn dur_d15_objects_of_every_mode_come_back_byte_for_byte() {
    let built = built().await;
    let house = &built.house;
    house.sse_c_bucket("bucket").await;
    let key = || Some(customer(1));
    let modes: [Mode; 4] = [
        ("s3", || EncryptionRequest::S3, false),
        ("kms", kms, false),
        ("dsse", dsse, false),
        ("c", || EncryptionRequest::Customer(customer(1)), true),
    ];
    let sizes = [32 * 1024 - 31, 65_536, 65_537, MIB, 3 * MIB + 5];
    let mut before = Vec::new();
    for (mode, request, customer_key) in modes {
        for size in sizes {
            let name = format!("{mode}/{size}");
            let bytes = pattern(size);
            let put = house.put("bucket", &name, &bytes, request()).await.unwrap();
            before.push((name, bytes, put.etag, customer_key));
        }
    }
    let (built, report) = built.rebuilt().await;
    assert_eq!(report.objects, 20);
    assert_eq!(report.buckets, ["bucket"]);
    assert!(report.skipped.is_empty() && report.uploads.is_empty());
    assert_eq!(report.kms_keys.len(), 1, "the key aws/s3");
    assert!(report.kms_keys[0].is_enabled);
    for (name, bytes, etag, customer_key) in before {
        let customer_key = key().filter(|_| customer_key);
        let house = &built.house;
        let output = house.get_output("bucket", &name, customer_key).await;
        let output = output.unwrap();
        assert_eq!(output.head.etag, etag, "{name}");
        assert_eq!(collect(output).await.unwrap(), bytes, "{name}");
    }
    let house = &built.house;
    let wrong = house.get("bucket", "c/65536", Some(customer(2))).await;
    assert!(matches!(wrong, Err(Error::CustomerKeyWrong)));
    // And it is a store like any other.
    house
        .put("bucket", "new", &pattern(MIB), kms())
        .await
        .unwrap();
    assert_eq!(
        house.get("bucket", "new", None).await.unwrap(),
        pattern(MIB)
    );
    let again = house.store.is_restored().unwrap();
    assert!(again, "files that no row stands for are kept");
    // A second loss, with bodies of before and after the first.
    let (built, report) = built.rebuilt().await;
    assert_eq!(report.objects, 21);
    let read = built.house.get("bucket", "dsse/1048576", None).await;
    assert_eq!(read.unwrap(), pattern(MIB));
}

#[tokio::test]
async fn what_was_removed_or_is_small_is_not_back_and_the_newest_null_version_is() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let s3 = || EncryptionRequest::S3;
    house.put("bucket", "small", b"small", s3()).await.unwrap();
    house
        .put("bucket", "gone", &pattern(MIB), s3())
        .await
        .unwrap();
    for size in [70_000, 80_000, 90_000] {
        house
            .put("bucket", "over", &pattern(size), s3())
            .await
            .unwrap();
    }
    let gone = delete_input("bucket", "gone");
    let scope = house.request();
    house
        .objects
        .delete_object(scope.scope(), gone)
        .await
        .unwrap();
    house.tidied().await;
    let (built, report) = built.rebuilt().await;
    assert_eq!((report.objects, report.skipped.len()), (1, 0));
    let house = &built.house;
    let over = house.get("bucket", "over", None).await.unwrap();
    assert_eq!(over, pattern(90_000));
    for name in ["small", "gone"] {
        let found = house.get("bucket", name, None).await;
        assert!(matches!(found, Err(Error::NoSuchKey { .. })), "{name}");
    }
}

#[tokio::test]
async fn versions_come_back_in_the_order_of_their_commits_whatever_the_clock_said() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let s3 = || EncryptionRequest::S3;
    house
        .put("bucket", "k", &pattern(40_000), s3())
        .await
        .unwrap();
    let enable = |state| {
        let objects = house.objects.clone();
        let request = house.request();
        async move {
            let scope = request.scope();
            let done = objects.put_bucket_versioning(scope, "bucket", state).await;
            done.unwrap();
        }
    };
    enable(BucketVersioning::Enabled).await;
    for size in [50_000, 60_000] {
        house
            .put("bucket", "k", &pattern(size), s3())
            .await
            .unwrap();
    }
    enable(BucketVersioning::Suspended).await;
    house
        .put("bucket", "k", &pattern(70_000), s3())
        .await
        .unwrap();
    enable(BucketVersioning::Enabled).await;
    house
        .put("bucket", "k", &pattern(80_000), s3())
        .await
        .unwrap();
    house.tidied().await;
    let (built, report) = built.rebuilt().await;
    // The first null version was replaced by the one of the suspended bucket.
    assert_eq!((report.objects, report.skipped.len()), (4, 0));
    let house = &built.house;
    let newest = house.get("bucket", "k", None).await.unwrap();
    assert_eq!(newest, pattern(80_000));
    // The null version is found behind it, and gives way to the next one.
    let mut null = get_input("bucket", "k", None);
    null.version_id = Some(strongroom_object::VersionId::NULL);
    let request = house.request();
    let found = house.objects.get_object(request.scope(), null).await;
    assert_eq!(collect(found.unwrap()).await.unwrap(), pattern(70_000));
}

/// A keyring that gets new epochs.
struct Epochs {
    keyring: Arc<Keyring>,
    file: Vec<u8>,
}

impl Epochs {
    fn new() -> Self {
        let (keyring, file) = root::create(&Self::secret(), NOW_MS).unwrap();
        let keyring = Arc::new(keyring);
        Self { keyring, file }
    }

    fn secret() -> RootKey {
        RootKey::from_bytes(&[9; 32]).unwrap()
    }

    fn rotate(&mut self) {
        let file = KeyringFile::parse(&self.file).unwrap();
        let mut open = file.open(&Self::secret()).unwrap();
        let both = Rotation {
            domain: true,
            sse_s3: true,
        };
        open.rotate(both, NOW_MS).unwrap();
        self.file = open.seal().unwrap();
        self.keyring.install(&open).unwrap();
    }
}

fn kms_under(key_id: &str) -> EncryptionRequest {
    EncryptionRequest::Kms {
        key_id: Some(key_id.to_owned()),
        context: strongroom_format::EncryptionContext::new(),
        bucket_key: None,
    }
}

impl House {
    async fn new_kms_key(&self) -> String {
        let (request, input) = (self.request(), CreateKeyInput::default());
        let scope = request.scope();
        let made = self.kms.create_key(scope.caller, scope.receipt, input);
        made.await.unwrap().key_id
    }

    async fn enable_kms_key(&self, key_id: &str) {
        let request = self.request();
        let scope = request.scope();
        let key_id = key_id.to_owned();
        let input = EnableKeyInput { key_id };
        let enabled = self.kms.enable_key(scope.caller, scope.receipt, input);
        enabled.await.unwrap();
    }
}

/// `strongroom rewrap` wrapped key material under new secrets of the vault and destroyed the old
/// ones, which manifests name: after a rebuild no object under a KMS key opened, though all were
/// said to be back.
#[tokio::test]
async fn dur_d15_objects_open_whose_key_material_was_wrapped_again_since() {
    let mut epochs = Epochs::new();
    let drive = SimDrive::new(1);
    let house = open(&drive, &epochs.keyring).await;
    house.bucket("bucket").await;
    let (kept, destroyed) = (house.new_kms_key().await, house.new_kms_key().await);
    for (name, request) in [
        ("aws", kms()),
        ("kept", kms_under(&kept)),
        ("dsse", dsse_under(Some(kept.clone()))),
        ("destroyed", kms_under(&destroyed)),
    ] {
        let bytes = pattern(70_000);
        house.put("bucket", name, &bytes, request).await.unwrap();
    }
    for _ in 0..2 {
        epochs.rotate();
        let report = house.kms.rewrap(&|_, _| ()).await.unwrap();
        assert_eq!((report.rewrapped, report.damaged), (3, 0));
    }
    {
        let request = house.request();
        let scope = request.scope();
        let input = ScheduleKeyDeletionInput {
            key_id: destroyed.clone(),
            pending_window_in_days: Some(7),
        };
        let scheduled = house
            .kms
            .schedule_key_deletion(scope.caller, scope.receipt, input);
        scheduled.await.unwrap();
        house.clock.advance_ms(7 * strongroom_object::DAY_MS);
        let done = house.kms.run_due(scope.receipt).await.unwrap();
        assert_eq!(done.destroyed, 1);
    }
    let keyring = Arc::clone(&epochs.keyring);
    let built = Built {
        drive,
        keyring,
        house,
    };
    let (built, report) = built.rebuilt().await;
    assert_eq!((report.objects, report.kms_keys.len()), (4, 3));
    let house = &built.house;
    for key in [&kept, &destroyed] {
        house.enable_kms_key(key).await;
    }
    for name in ["aws", "kept", "dsse"] {
        let read = house.get("bucket", name, None).await.unwrap();
        assert_eq!(read, pattern(70_000), "{name}");
    }
    // What was destroyed stays so, and is named.
    assert!(house.get("bucket", "destroyed", None).await.is_err());
    let vault = house.kms.verify_vault().await.unwrap();
    let [damage] = vault.damaged.as_slice() else {
        panic!("one key does not open: {:?}", vault.damaged);
    };
    assert!(damage.contains(&destroyed), "{damage}");
    // It is as it would be without the loss: nothing is left to be settled, and it comes forward.
    epochs.rotate();
    let again = house.kms.rewrap(&|_, _| ()).await.unwrap();
    assert_eq!((again.rewrapped, again.damaged), (2, 1));
    assert_eq!(
        house.get("bucket", "kept", None).await.unwrap(),
        pattern(70_000)
    );
}

/// A body in whose middle something happens.
struct Interrupted {
    pieces: VecDeque<Bytes>,
    meanwhile: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl BodySource for Interrupted {
    fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.pieces.len() == 1
            && let Some(work) = self.meanwhile.as_mut()
        {
            ready!(work.as_mut().poll(cx));
            self.meanwhile = None;
        }
        Poll::Ready(self.pieces.pop_front().map(Ok))
    }

    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)> {
        None
    }
}

/// Its name, whether the body is stored, and what happens to the key and its material meanwhile.
type Case = (&'static str, bool, fn(Vec<u8>, Vec<u8>) -> Vec<Write>);

fn damage(table: TableId, key: Vec<u8>) -> Write {
    let value = b"damaged".to_vec();
    Write::Put { table, key, value }
}

fn delete(table: TableId, key: Vec<u8>) -> Write {
    Write::Delete { table, key }
}

/// Whatever kept the key service from telling of a key, the manifest was sealed without it, and
/// nobody heard that the object could never be rebuilt.
#[tokio::test]
async fn a_body_whose_key_cannot_be_read_any_more_is_refused_and_one_whose_key_is_gone_is_not() {
    const KEYS: TableId = TableId(1);
    const MATERIALS: TableId = TableId(2);
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let uid_of = |key: &str| hex::decode(key.replace('-', "")).unwrap();
    let material_of = |uid: &[u8]| [uid, &1_u32.to_be_bytes()].concat();
    let cases: [Case; 5] = [
        ("nothing happens", true, |_, _| Vec::new()),
        ("damaged key", false, |key, _| vec![damage(KEYS, key)]),
        ("damaged material", false, |_, material| {
            vec![damage(MATERIALS, material)]
        }),
        ("lost material", false, |_, material| {
            vec![delete(MATERIALS, material)]
        }),
        ("destroyed", true, |key, material| {
            vec![delete(KEYS, key), delete(MATERIALS, material)]
        }),
    ];
    for (case, is_stored, writes) in cases {
        let key = house.new_kms_key().await;
        let uid = uid_of(&key);
        let batch = Batch {
            preconditions: Vec::new(),
            writes: writes(uid.clone(), material_of(&uid)),
        };
        let tables = house.store.tables().clone();
        let bytes = pattern(90_000);
        let mut input = put_input("bucket", case, &bytes, kms_under(&key));
        input.body = Box::pin(Interrupted {
            pieces: bytes.chunks(50_000).map(Bytes::copy_from_slice).collect(),
            meanwhile: Some(Box::pin(async move {
                if !batch.writes.is_empty() {
                    tables.commit(batch).await.unwrap();
                }
            })),
        });
        let request = house.request();
        let stored = house.objects.put_object(request.scope(), input).await;
        assert_eq!(stored.is_ok(), is_stored, "{case}: {stored:?}");
        let found = house.get("bucket", case, None).await;
        let is_there = !matches!(found, Err(Error::NoSuchKey { .. }));
        assert_eq!(is_there, is_stored, "{case}");
    }
    house.tidied().await;
    assert_eq!(surveyed(&built.drive).len(), 2, "refused bodies are gone");
}

/// A vault that was lost brings nothing back, and that of another key opens nothing.
#[tokio::test]
async fn sec_d15_without_its_secret_in_the_vault_material_stays_shut() {
    let mut epochs = Epochs::new();
    let drive = SimDrive::new(1);
    let house = open(&drive, &epochs.keyring).await;
    house.bucket("bucket").await;
    let (one, other) = (house.new_kms_key().await, house.new_kms_key().await);
    for (name, key) in [("one", &one), ("other", &other)] {
        let bytes = pattern(70_000);
        house
            .put("bucket", name, &bytes, kms_under(key))
            .await
            .unwrap();
    }
    epochs.rotate();
    house.kms.rewrap(&|_, _| ()).await.unwrap();
    let uid = hex::decode(one.replace('-', "")).unwrap();
    for entry in house.store.vault().list().unwrap() {
        if entry.owner.unwrap().as_slice() == uid {
            assert!(house.store.vault().destroy(entry.id).await.unwrap());
        }
    }
    let keyring = Arc::clone(&epochs.keyring);
    let built = Built {
        drive,
        keyring,
        house,
    };
    let (built, _) = built.rebuilt().await;
    let house = &built.house;
    for key in [&one, &other] {
        house.enable_kms_key(key).await;
    }
    assert!(house.get("bucket", "one", None).await.is_err());
    let read = house.get("bucket", "other", None).await.unwrap();
    assert_eq!(read, pattern(70_000));
    // The secret of the other key is no secret of this one.
    let vault = house.kms.verify_vault().await.unwrap();
    assert_eq!(vault.damaged.len(), 1, "{:?}", vault.damaged);
}

#[tokio::test]
async fn sec_a_manifest_that_is_not_authentic_brings_nothing_back() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    for name in ["a", "b"] {
        let bytes = pattern(70_000);
        house.put("bucket", name, &bytes, kms()).await.unwrap();
    }
    let cluster_id = house.store.cluster_id();
    let blobs = surveyed(&built.drive);
    let [one, other] = blobs.as_slice() else {
        panic!("two bodies have two files");
    };
    let outcome = |keyring: &Keyring, cluster_id, blob: &SurveyedBlob| {
        let mut rebuilder = Rebuilder::new(keyring, cluster_id);
        rebuilder.take(blob.clone());
        let plan = rebuilder.plan().unwrap();
        let report = plan.report();
        match report.skipped.as_slice() {
            [] => Ok(report.objects),
            [skipped] => {
                assert_eq!((skipped.blob, report.objects), (blob.blob, 0));
                assert!(report.buckets.is_empty() && report.kms_keys.is_empty());
                Err(skipped.reason)
            }
            _ => panic!("one blob is skipped once"),
        }
    };
    let is_refused = |blob: &SurveyedBlob| outcome(&built.keyring, cluster_id, blob).unwrap_err();
    assert_eq!(outcome(&built.keyring, cluster_id, one), Ok(1));
    let not_authentic = "its manifest is not authentic";
    let with = |manifest: &[u8]| SurveyedBlob {
        manifest: manifest.to_vec(),
        ..one.clone()
    };
    for at in 0..one.manifest.len() {
        let mut bad = one.manifest.clone();
        bad[at] ^= 1 << (at % 8);
        assert_eq!(is_refused(&with(&bad)), not_authentic, "byte {at}");
    }
    for cut in 1..one.manifest.len() {
        assert_eq!(is_refused(&with(&one.manifest[..cut])), not_authentic);
    }
    assert_eq!(is_refused(&with(&[])), "it has no manifest");
    let longer = [one.manifest.as_slice(), &[0]].concat();
    assert_eq!(is_refused(&with(&longer)), not_authentic);
    // Of another body, another cluster, another keyring.
    assert_eq!(is_refused(&with(&other.manifest)), not_authentic);
    let renamed = SurveyedBlob {
        blob: BlobId([9; 16]),
        ..one.clone()
    };
    assert_eq!(is_refused(&renamed), not_authentic);
    assert_eq!(
        outcome(&built.keyring, [9; 16], one),
        Err(not_authentic),
        "another cluster"
    );
    let strange = root::create(
        &root::RootSecret::Key(RootKey::from_bytes(&[8; 32]).unwrap()),
        NOW_MS,
    );
    assert_eq!(
        outcome(&strange.unwrap().0, cluster_id, one),
        Err(not_authentic)
    );
    // Authentic, but the shards tell another length.
    let shorter = SurveyedBlob {
        sealed_bytes: one.sealed_bytes - 1,
        ..one.clone()
    };
    let other_length = "its shards have another length than its manifest says";
    assert_eq!(is_refused(&shorter), other_length);
}

/// Checksums of shards have no key: who writes one of two mirrored drives can tell another story
/// of every blob, and had them all left out.
#[tokio::test]
async fn sec_of_two_stories_about_a_blob_the_authentic_one_is_taken() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let bytes = pattern(70_000);
    house.put("bucket", "k", &bytes, kms()).await.unwrap();
    let cluster_id = house.store.cluster_id();
    let right = surveyed(&built.drive).remove(0);
    let forged = |change: fn(&mut SurveyedBlob)| {
        let mut forged = right.clone();
        change(&mut forged);
        forged
    };
    let other_manifest = || forged(|of| of.manifest[40] ^= 1);
    let none = || forged(|of| of.manifest.clear());
    let longer = || forged(|of| of.sealed_bytes += 1);
    let objects = |accounts: Vec<SurveyedBlob>| {
        let mut rebuilder = Rebuilder::new(&built.keyring, cluster_id);
        rebuilder.take_one_of(accounts);
        let plan = rebuilder.plan().unwrap();
        let report = plan.report();
        assert_eq!(report.objects as usize + report.skipped.len(), 1);
        report.objects
    };
    for forged in [other_manifest(), none(), longer()] {
        assert_eq!(objects(vec![forged.clone(), right.clone()]), 1);
        assert_eq!(objects(vec![right.clone(), forged]), 1);
    }
    assert_eq!(objects(vec![other_manifest(), longer()]), 0);
    assert_eq!(objects(vec![none(), other_manifest(), none()]), 0);
    // Nothing says which of these shards are the blob's.
    assert_eq!(objects(vec![right.clone(), right.clone()]), 0);
}

#[tokio::test]
async fn sec_files_show_neither_names_nor_properties_nor_bytes() {
    let built = built().await;
    let house = &built.house;
    house.bucket("telling-bucket-name").await;
    let mut lengths = Vec::new();
    for name in ["telling-object-name", "telling-object-name-that-is-longer"] {
        let bytes = pattern(70_000);
        let mut input = put_input("telling-bucket-name", name, &bytes, kms());
        let user = [("telling-property".to_owned(), "telling-value".to_owned())];
        input.properties = Properties {
            content_type: Some("application/telling-type".to_owned()),
            user: user.into(),
            ..Properties::default()
        };
        let request = house.request();
        let put = house.objects.put_object(request.scope(), input).await;
        put.unwrap();
    }
    for blob in surveyed(&built.drive) {
        let file = built.drive.contents(&DrivePath::blob(blob.blob)).unwrap();
        for shown in ["telling", "Plaintext-Marker", "arn:aws", "aws/s3"] {
            let found = file.windows(shown.len()).any(|at| at == shown.as_bytes());
            assert!(!found, "{shown}");
        }
        lengths.push(blob.manifest.len());
    }
    assert_eq!(lengths[0], lengths[1], "the length of a name does not show");
}

#[tokio::test]
async fn a_manifest_that_does_not_fit_is_left_out_and_the_object_is_as_ever() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let bytes = pattern(70_000);
    let mut input = put_input("bucket", "k", &bytes, EncryptionRequest::S3);
    let user = [("long".to_owned(), "x".repeat(20_000))];
    input.properties.user = user.into();
    let request = house.request();
    let put = house.objects.put_object(request.scope(), input).await;
    put.unwrap();
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), bytes);
    let blobs = surveyed(&built.drive);
    assert!(blobs[0].manifest.is_empty());
    let mut rebuilder = Rebuilder::new(&built.keyring, house.store.cluster_id());
    rebuilder.take(blobs[0].clone());
    let plan = rebuilder.plan().unwrap();
    assert_eq!(plan.report().skipped[0].reason, "it has no manifest");
}

#[tokio::test]
async fn a_copy_that_stands_on_the_bytes_of_its_source_is_not_back() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let bytes = pattern(MIB);
    let s3 = || EncryptionRequest::S3;
    house.put("bucket", "source", &bytes, s3()).await.unwrap();
    let copy = CopyObject {
        bucket: "bucket".to_owned(),
        object_key: "copy".to_owned(),
        source: CopySource {
            bucket: "bucket".to_owned(),
            object_key: "source".to_owned(),
            version_id: None,
            customer_key: None,
            conditions: strongroom_object::ReadConditions::default(),
        },
        directive: PropertiesDirective::Copy,
        encryption: s3(),
        storage_class: None,
        checksum_algorithm: None,
        conditions: strongroom_object::WriteConditions::default(),
    };
    let request = house.request();
    house
        .objects
        .copy_object(request.scope(), copy)
        .await
        .unwrap();
    let (built, report) = built.rebuilt().await;
    assert_eq!((report.objects, report.skipped.len()), (1, 0));
    let house = &built.house;
    assert_eq!(house.get("bucket", "source", None).await.unwrap(), bytes);
    assert!(house.get("bucket", "copy", None).await.is_err());
}
