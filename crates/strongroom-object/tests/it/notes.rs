// SPDX-License-Identifier: Apache-2.0
//! Objects in parts, and bodies that went over into other blobs, out of their files alone.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use strongroom_kms::root::Keyring;
use strongroom_object::{
    BucketVersioning, ChecksumAlgorithm, EncryptionRequest, Error, GetObjectAttributes, PartsPage,
    RebuildReport, Rebuilder, RestoreTier, StorageClass, VersionId,
};
use strongroom_store::blob::{SurveyedBlob, survey};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, Folder};
use strongroom_store::rebuild::Rebuild;
use strongroom_store::table::TableOptions;
use strongroom_store::{BlobId, BlobLocation, TableId};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::binding::{VERSIONS, put_row, rows};
use crate::class_policies::{MODES, Mode, Rig, told};
use crate::harness::*;
use crate::lifecycle::pass;
use crate::multipart::{complete, completed, create, create_with, part};
use crate::rebuild::{Built, built, surveyed};

const MIB5: usize = 5 << 20;
const DAY: u64 = 24 * 60 * 60 * 1_000;
const BODIES: TableId = TableId(24);

/// An upload of the name `k`: three of the parts that were sent (3, 5 and 8; with checksums they have
/// to be 1, 2 and 3), the last one small enough to live in the tables if so wished.
async fn upload(house: &House, mode: &Mode, rest: usize, composed: bool) -> Vec<u8> {
    let sums = composed.then_some(ChecksumAlgorithm::Sha256);
    let upload = create_with(house, mode.0(), sums, None).await.unwrap();
    let numbers = if composed { [1, 2, 3] } else { [3, 5, 8] };
    let bodies = [
        (numbers[0], pattern(MIB5 + 3)),
        (numbers[1], pattern(MIB5 + 70_001)),
        (numbers[2], pattern(rest)),
    ];
    // One that is replaced, and one that is not chosen.
    let left_out = if composed { 4 } else { 6 };
    for (number, bytes) in [(numbers[1], 90_000), (left_out, 80_000)] {
        let bytes = pattern(bytes);
        let sent = part(house, &upload, number, &bytes, mode.1());
        sent.await.unwrap();
    }
    let mut parts = Vec::new();
    for (number, bytes) in &bodies {
        let done = part(house, &upload, *number, bytes, mode.1())
            .await
            .unwrap();
        let mut named = completed(u32::from(*number), &done);
        if composed {
            named.checksum = done.checksum.map(|sum| (sum.algorithm, sum.value));
        }
        parts.push(named);
    }
    // Without the customer's key where that is allowed.
    let key = mode.1().filter(|_| composed);
    complete(house, &upload, parts, key).await.unwrap();
    house.tidied().await;
    bodies.map(|(_, bytes)| bytes).concat()
}

async fn attributes(house: &House, mode: &Mode) -> String {
    let input = GetObjectAttributes {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        version_id: None,
        customer_key: mode.1(),
        checksum: true,
        parts: Some(PartsPage {
            marker: 0,
            max_parts: 1_000,
        }),
    };
    let request = house.request();
    let asked = house.objects.get_object_attributes(request.scope(), input);
    format!("{:?}", asked.await.unwrap())
}

async fn assert_sound(house: &House) {
    house.tidied().await;
    let request = house.request();
    let report = house.objects.verify(request.scope(), &|_| {}).await;
    let report = report.unwrap();
    let (damaged, lost) = (report.damaged.lines(), report.unreferred.lines());
    assert!(
        damaged.is_empty() && lost.is_empty(),
        "{damaged:?} {lost:?}"
    );
}

fn is_note(blob: &SurveyedBlob) -> bool {
    blob.sealed_bytes == 0
}

fn in_blobs(folder: Folder) -> bool {
    matches!(folder, Folder::Blobs(_) | Folder::Temporary)
}

fn files(drive: &SimDrive) -> usize {
    let files = drive.files().into_iter();
    files.filter(|path| in_blobs(path.folder())).count()
}

async fn delete(house: &House, name: &str) {
    let request = house.request();
    let deleted = house
        .objects
        .delete_object(request.scope(), delete_input("bucket", name));
    deleted.await.unwrap();
}

/// What rebuilding of these blobs would come to.
fn report_of(built: &Built, blobs: Vec<SurveyedBlob>) -> RebuildReport {
    let mut rebuilder = Rebuilder::new(&built.keyring, built.house.store.cluster_id());
    for blob in blobs {
        rebuilder.take(blob);
    }
    rebuilder.plan().unwrap().report().clone()
}

#[tokio::test]
async fn dur_d15_completed_uploads_come_back_as_the_objects_they_were() {
    for (number, mode) in MODES.iter().enumerate() {
        for (rest, composed) in [(900, false), (40_000, true)] {
            let note = format!("mode {number}, last part of {rest}");
            let built = built().await;
            let house = &built.house;
            house.sse_c_bucket("bucket").await;
            let whole = upload(house, mode, rest, composed).await;
            let (head, said) = (
                told(house.head("k", mode.1()).await),
                attributes(house, mode).await,
            );
            let (built, report) = built.rebuilt().await;
            let house = &built.house;
            assert_eq!(
                (report.objects, report.object_bytes),
                (1, whole.len() as u64)
            );
            assert!(
                report.uploads.is_empty() && report.skipped.is_empty(),
                "{note}: {report:?}"
            );
            assert!(report.possible_returns.is_empty(), "{note}");
            assert!(told(house.head("k", mode.1()).await) == head, "{note}");
            assert_eq!(attributes(house, mode).await, said, "{note}");
            let read = house.get("bucket", "k", mode.1()).await.unwrap();
            assert!(read == whole, "{note}");
            assert_sound(house).await;
            // And again, from what the first left.
            let (built, report) = built.rebuilt().await;
            assert_eq!((report.objects, report.uploads.len()), (1, 0), "{note}");
            let house = &built.house;
            assert!(house.get("bucket", "k", mode.1()).await.unwrap() == whole);
            // All of it goes with the object.
            delete(house, "k").await;
            house.tidied().await;
            assert_eq!(files(&built.drive), 0, "{note}");
            assert!(house.store.catalogue(None, 10).unwrap().is_empty());
            assert!(rows(house, BODIES).is_empty(), "{note}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_not_completed_is_open_again_and_can_be() {
    for (number, mode) in MODES.iter().enumerate() {
        let built = built().await;
        let house = &built.house;
        house.sse_c_bucket("bucket").await;
        let upload = create(house, mode.0()).await;
        let (one, two) = (pattern(MIB5 + 3), pattern(70_001));
        let first = part(house, &upload, 1, &one, mode.1()).await.unwrap();
        // Replaced: its file goes.
        part(house, &upload, 2, &pattern(90_000), mode.1())
            .await
            .unwrap();
        let second = part(house, &upload, 2, &two, mode.1()).await.unwrap();
        house.tidied().await;
        let (built, report) = built.rebuilt().await;
        let house = &built.house;
        assert_eq!((report.objects, report.skipped.len()), (0, 0), "{number}");
        assert_eq!(report.uploads.len(), 1);
        assert_eq!(report.uploads[0].upload_id, upload);
        let lengths = [(1, one.len() as u64), (2, two.len() as u64)];
        assert_eq!(report.uploads[0].parts, lengths);
        let none = house.get("bucket", "k", mode.1()).await;
        assert!(matches!(none, Err(Error::NoSuchKey { .. })), "{number}");
        // What the bucket allowed is not known any more.
        let rule = strongroom_object::PutBucketEncryption {
            bucket: "bucket".to_owned(),
            algorithm: None,
            kms_key_id: None,
            bucket_key: false,
            block_customer_keys: Some(false),
        };
        let request = house.request();
        let put = house.objects.put_bucket_encryption(request.scope(), rule);
        put.await.unwrap();
        let named = vec![completed(1, &first), completed(2, &second)];
        complete(house, &upload, named, mode.1()).await.unwrap();
        let read = house.get("bucket", "k", mode.1()).await.unwrap();
        assert!(read == [one, two].concat(), "{number}");
        // Its manifest was made by another store than its note, and both count.
        let (built, report) = built.rebuilt().await;
        assert_eq!((report.objects, report.uploads.len()), (1, 0), "{number}");
        assert_sound(&built.house).await;
    }
}

#[tokio::test]
async fn sec_a_note_that_is_not_authentic_makes_no_object() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    house.versioned(BucketVersioning::Enabled).await;
    upload(house, &MODES[1], 900, true).await;
    upload(house, &MODES[0], 900, false).await;
    let (notes, parts): (Vec<_>, Vec<_>) = surveyed(&built.drive).into_iter().partition(is_note);
    let [one, other] = notes.as_slice() else {
        panic!("two uploads have two notes");
    };
    assert_eq!(parts.len(), 4);
    let told = |note: &SurveyedBlob| {
        let report = report_of(&built, [parts.clone(), vec![note.clone()]].concat());
        assert_eq!(report.objects + report.uploads.len() as u64, 2);
        let lines = report.skipped.iter();
        let line = lines.map(|skipped| (skipped.blob, skipped.reason)).next();
        (report.objects, line)
    };
    assert_eq!(told(one), (1, None));
    assert_eq!(told(other), (1, None));
    let with = |manifest: &[u8]| SurveyedBlob {
        manifest: manifest.to_vec(),
        ..one.clone()
    };
    let refused = |note: SurveyedBlob, reason: &'static str| {
        assert_eq!(told(&note), (0, Some((note.blob, reason))));
    };
    let not_authentic = "its manifest is not authentic";
    for at in 0..one.manifest.len() {
        let mut bad = one.manifest.clone();
        bad[at] ^= 1 << (at % 8);
        refused(with(&bad), not_authentic);
    }
    for cut in (1..one.manifest.len()).step_by(7) {
        refused(with(&one.manifest[..cut]), not_authentic);
    }
    refused(with(&[]), "it has no manifest");
    refused(with(&other.manifest), not_authentic);
    refused(with(&parts[0].manifest), not_authentic);
    let renamed = SurveyedBlob {
        blob: BlobId([9; 16]),
        ..one.clone()
    };
    refused(renamed, not_authentic);
    let longer = SurveyedBlob {
        sealed_bytes: 65_568,
        ..one.clone()
    };
    refused(
        longer,
        "its shards have another length than its manifest says",
    );
}

/// Nothing is guessed: an object of which something is missing is none.
#[tokio::test]
async fn an_object_of_which_a_part_is_gone_is_not_back_and_the_rest_is_an_upload() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    upload(house, &MODES[0], 40_000, false).await;
    let all = surveyed(&built.drive);
    let note = all.iter().find(|blob| is_note(blob)).unwrap().blob;
    assert_eq!(all.len(), 4);
    for gone in all.iter().filter(|blob| !is_note(blob)) {
        let mut left = all.clone();
        left.retain(|blob| blob.blob != gone.blob);
        let report = report_of(&built, left);
        assert_eq!((report.objects, report.uploads.len()), (0, 1));
        assert_eq!(report.uploads[0].parts.len(), 2);
        let [skipped] = report.skipped.as_slice() else {
            panic!("{:?}", report.skipped);
        };
        assert_eq!(skipped.blob, note);
        assert_eq!(skipped.reason, "some of its parts are not there");
    }
    // Without its note, for whatever reason, it is an upload as ever.
    let mut left = all.clone();
    left.retain(|blob| !is_note(blob));
    let report = report_of(&built, left);
    assert_eq!((report.objects, report.skipped.len()), (0, 0));
    assert_eq!(report.uploads[0].parts.len(), 3);
}

#[tokio::test]
async fn a_part_that_was_left_out_makes_no_upload_of_what_was_completed() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let upload = create(house, kms()).await;
    let chosen = part(house, &upload, 1, &pattern(90_000), None).await;
    part(house, &upload, 2, &pattern(80_000), None)
        .await
        .unwrap();
    let before = surveyed(&built.drive);
    let named = vec![completed(1, &chosen.unwrap())];
    complete(house, &upload, named, None).await.unwrap();
    house.tidied().await;
    let mut all = surveyed(&built.drive);
    let left_out = before.iter().find(|blob| !all.contains(blob)).unwrap();
    all.push(left_out.clone());
    let report = report_of(&built, all);
    assert_eq!((report.objects, report.uploads.len()), (1, 0));
    let [skipped] = report.skipped.as_slice() else {
        panic!("{:?}", report.skipped);
    };
    assert_eq!(skipped.blob, left_out.blob);
    assert!(skipped.reason.contains("left out"), "{}", skipped.reason);
}

#[tokio::test]
async fn null_versions_in_parts_give_way_to_newer_ones_and_versions_keep_their_order() {
    let built = built().await;
    let house = &built.house;
    house.sse_c_bucket("bucket").await;
    let s3 = || EncryptionRequest::S3;
    let first = upload(house, &MODES[0], 900, false).await;
    let kept: Vec<_> = surveyed(&built.drive);
    house
        .put("bucket", "k", &pattern(70_000), s3())
        .await
        .unwrap();
    house.tidied().await;
    // Files of what was replaced, on a drive that was away then.
    let newer = surveyed(&built.drive);
    assert_eq!((kept.len(), newer.len()), (3, 1));
    let report = report_of(&built, [kept, newer].concat());
    assert_eq!((report.objects, report.uploads.len()), (1, 0));
    assert_eq!(report.skipped.len(), 3, "{:?}", report.skipped);
    for skipped in &report.skipped {
        assert_eq!(skipped.reason, "a newer one took its place");
    }
    house.versioned(BucketVersioning::Enabled).await;
    let second = upload(house, &MODES[0], 40_000, false).await;
    house
        .put("bucket", "k", &pattern(50_000), s3())
        .await
        .unwrap();
    let third = upload(house, &MODES[3], 900, false).await;
    assert_ne!(first.len(), second.len());
    let (built, report) = built.rebuilt().await;
    assert_eq!((report.objects, report.skipped.len()), (4, 0));
    assert_eq!(report.without_markers, ["bucket"]);
    let house = &built.house;
    let newest = house.get("bucket", "k", MODES[3].1()).await.unwrap();
    assert!(newest == third);
    let mut null = get_input("bucket", "k", None);
    null.version_id = Some(VersionId::NULL);
    let request = house.request();
    let found = house.objects.get_object(request.scope(), null).await;
    assert_eq!(collect(found.unwrap()).await.unwrap(), pattern(70_000));
    assert_sound(house).await;
}

/// Where a note is, the record does not bind. Whoever could write rows through the store must not
/// get a body of another object removed by it.
#[tokio::test]
async fn sec_a_row_whose_note_is_another_blob_takes_no_body_away() {
    let replace = |row: &[u8], from: &[u8], to: &[u8]| {
        let at = row.windows(from.len()).position(|at| at == from).unwrap();
        [&row[..at], to, &row[at + from.len()..]].concat()
    };
    let encoded = |of: &BlobLocation| minicbor::to_vec(of).unwrap();
    for case in 0..4 {
        let built = built().await;
        let house = &built.house;
        house.bucket("bucket").await;
        let bytes = pattern(70_000);
        let s3 = EncryptionRequest::S3;
        house.put("bucket", "victim", &bytes, s3).await.unwrap();
        let victim = house.store.catalogue(None, 10).unwrap().remove(0).location;
        upload(house, &MODES[0], 900, false).await;
        let all = house.store.catalogue(None, 10).unwrap();
        let mut notes = all.iter().filter(|entry| entry.location.sealed_bytes == 0);
        let note = notes.next().unwrap().location;
        let (key, row) = rows(house, VERSIONS)
            .into_iter()
            .find(|(_, row)| row.value.windows(16).any(|at| at == note.blob.0))
            .unwrap();
        let wrong = match case {
            0 => victim,
            1 => BlobLocation {
                sealed_bytes: 0,
                ..victim
            },
            2 => BlobLocation {
                blob: BlobId([9; 16]),
                ..note
            },
            _ => note,
        };
        let bad = replace(&row.value, &encoded(&note), &encoded(&wrong));
        put_row(house, VERSIONS, &key, &bad).await;
        delete(house, "k").await;
        let gone = house.get("bucket", "k", None).await;
        assert!(matches!(gone, Err(Error::NoSuchKey { .. })));
        house.tidied().await;
        assert_eq!(house.get("bucket", "victim", None).await.unwrap(), bytes);
        // What it should have released is left over, and named.
        let request = house.request();
        let report = house.objects.verify(request.scope(), &|_| {}).await;
        let report = report.unwrap();
        assert!(report.damaged.is_empty(), "{:?}", report.damaged.lines());
        let left_over = u64::from(case < 3);
        assert_eq!(report.unreferred.total(), left_over, "case {case}");
        assert_eq!(files(&built.drive), 1 + usize::from(case < 3));
    }
}

/// The drives of a cluster, and what is to be known to rebuild it.
struct Cluster {
    rig: Rig,
    keyring: Arc<Keyring>,
}

fn surveyed_all(drives: &[SimDrive]) -> Vec<SurveyedBlob> {
    let numbered = drives.iter().zip(0_u16..);
    let shared: Vec<(DriveNo, Arc<dyn Drive>)> = numbered
        .map(|(drive, number)| (DriveNo(number), Arc::new(drive.clone()) as Arc<dyn Drive>))
        .collect();
    let mut found = Vec::new();
    let report = survey(&shared, |blob| {
        found.push(blob);
        Ok::<_, Infallible>(())
    });
    let report = report.unwrap();
    assert!(report.damaged.is_empty() && report.unreadable.is_empty());
    found
}

impl Cluster {
    async fn new() -> Self {
        let keyring = new_keyring();
        let drives = (0..9).map(SimDrive::new).collect();
        let rig = Rig::on(drives, Arc::clone(&keyring)).await;
        rig.house.sse_c_bucket("bucket").await;
        Self { rig, keyring }
    }

    fn rebuilder(&self) -> Rebuilder<'_> {
        Rebuilder::new(&self.keyring, self.rig.house.store.cluster_id())
    }

    /// Stops, loses the tables, and makes them again.
    async fn rebuilt(self) -> (Self, RebuildReport) {
        let Self { rig, keyring } = self;
        let cluster_id = rig.house.store.cluster_id();
        let now_ms = rig.house.objects_now();
        rig.house.audit.close().await.unwrap();
        rig.house.store.close().await.unwrap();
        let drives = rig.drives.clone();
        drop(rig);
        for path in drives[0].list(Folder::Log).unwrap() {
            drives[0].remove(&path).unwrap();
        }
        let mut rebuilder = Rebuilder::new(&keyring, cluster_id);
        for blob in surveyed_all(&drives) {
            rebuilder.take(blob);
        }
        let plan = rebuilder.plan().unwrap();
        let report = plan.report().clone();
        let shared: Arc<dyn Drive> = Arc::new(drives[0].clone());
        let at_rest = keyring.at_rest();
        let tables = Rebuild::begin(&shared, &at_rest, TableOptions::default()).unwrap();
        plan.put(tables).unwrap();
        let rig = Rig::on(drives, Arc::clone(&keyring)).await;
        rig.house.clock.advance_ms(now_ms - NOW_MS);
        (Self { rig, keyring }, report)
    }
}

impl House {
    fn objects_now(&self) -> u64 {
        use strongroom_store::env::Clock;
        self.clock.now_ms()
    }

    /// A restored copy of an archived object, if it is one.
    async fn readable(&self, name: &str, class: StorageClass) {
        if class.is_archive() {
            self.restore(name, 1, RestoreTier::Standard).await.unwrap();
            self.clock.advance_ms(DAY / 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d15_what_was_moved_to_another_class_comes_back_in_it() {
    let cluster = Cluster::new().await;
    let rig = &cluster.rig;
    let house = &rig.house;
    let mut wanted: Vec<(String, &Mode, Vec<u8>)> = Vec::new();
    for (number, mode) in MODES.iter().enumerate() {
        let name = format!("put/{number}");
        let bytes = pattern(200_000 + number);
        house.put("bucket", &name, &bytes, mode.0()).await.unwrap();
        wanted.push((name, mode, bytes));
    }
    // Two parts in blobs, and one in the tables.
    let whole = upload(house, &MODES[1], 900, true).await;
    wanted.push(("k".to_owned(), &MODES[1], whole));
    let mut before = BTreeMap::new();
    for (name, mode, _) in &wanted {
        before.insert(name.clone(), told(house.head(name, mode.1()).await));
    }
    let moved = [(1, StorageClass::OneZoneIa), (2, StorageClass::Glacier)];
    let mut cluster = cluster;
    for (days, class) in moved {
        let rig = &cluster.rig;
        let old = surveyed_all(&rig.drives);
        rig.rule_for_all(days, class).await;
        rig.house.days_pass(2);
        let done = pass(&mut rig.worker().committing_after(1)).await;
        assert_eq!(done.moved, 5, "{class:?}");
        rig.assert_sound().await;
        let new = surveyed_all(&rig.drives);
        assert_eq!(new.len(), 7);
        assert!(new.iter().all(|blob| !blob.manifest.is_empty()));
        assert!(!new.iter().any(|blob| old.contains(blob)));
        // Old files were still on drives that were away.
        let mut both = cluster.rebuilder();
        for blob in old.iter().chain(&new) {
            both.take(blob.clone());
        }
        let report = both.plan().unwrap().report().clone();
        assert_eq!((report.objects, report.uploads.len()), (5, 0));
        assert_eq!(report.skipped.len(), 7, "{:?}", report.skipped);
        for skipped in &report.skipped {
            assert!(old.iter().any(|blob| blob.blob == skipped.blob));
        }
        let (after, report) = cluster.rebuilt().await;
        cluster = after;
        assert_eq!((report.objects, report.uploads.len()), (5, 0));
        assert!(report.skipped.is_empty(), "{:?}", report.skipped);
        let house = &cluster.rig.house;
        // What the bucket allowed is not known any more; reading does not need it.
        for (name, mode, bytes) in &wanted {
            let head = house.head(name, mode.1()).await;
            assert_eq!(head.storage_class, class, "{name}");
            assert!(told(head) == before[name], "{name}: changed");
            house.readable(name, class).await;
            let read = house.get("bucket", name, mode.1()).await.unwrap();
            assert!(read == *bytes, "{name}");
        }
        cluster.rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_manifests_of_moved_bodies_are_as_good_as_the_first() {
    let cluster = Cluster::new().await;
    let house = &cluster.rig.house;
    house
        .put("bucket", "one", &pattern(90_000), kms())
        .await
        .unwrap();
    cluster.rig.rule_for_all(1, StorageClass::Glacier).await;
    house.days_pass(2);
    assert_eq!(pass(&mut cluster.rig.worker()).await.moved, 1);
    house.tidied().await;
    let [blob] = surveyed_all(&cluster.rig.drives).try_into().unwrap();
    let outcome = |blob: &SurveyedBlob| {
        let mut rebuilder = cluster.rebuilder();
        rebuilder.take(blob.clone());
        let report = rebuilder.plan().unwrap().report().clone();
        (report.objects, report.skipped.first().map(|of| of.reason))
    };
    assert_eq!(outcome(&blob), (1, None));
    let not_authentic = (0, Some("its manifest is not authentic"));
    for at in 0..blob.manifest.len() {
        let mut bad = blob.clone();
        bad.manifest[at] ^= 1 << (at % 8);
        assert_eq!(outcome(&bad), not_authentic, "byte {at}");
    }
    let mut renamed = blob.clone();
    renamed.blob = BlobId([9; 16]);
    assert_eq!(outcome(&renamed), not_authentic);
    let mut longer = blob.clone();
    longer.sealed_bytes += 1;
    assert_eq!(
        outcome(&longer),
        (
            0,
            Some("its shards have another length than its manifest says")
        )
    );
    for drive in &cluster.rig.drives {
        let Some(file) = drive.contents(&DrivePath::blob(blob.blob)) else {
            continue;
        };
        let shows = |what: &[u8]| file.windows(what.len()).any(|at| at == what);
        assert!(!shows(b"bucket") && !shows(b"arn:aws") && !shows(b"Plaintext-Marker"));
    }
}

/// An older version that is moved after a newer one was written became the newest by it.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d15_versions_that_were_moved_keep_their_place() {
    let cluster = Cluster::new().await;
    let house = &cluster.rig.house;
    house.versioned(BucketVersioning::Enabled).await;
    let s3 = || EncryptionRequest::S3;
    house
        .put("bucket", "k", &pattern(170_000), s3())
        .await
        .unwrap();
    house.days_pass(1);
    house
        .put("bucket", "k", &pattern(180_000), s3())
        .await
        .unwrap();
    let kept = surveyed_all(&cluster.rig.drives);
    cluster
        .rig
        .noncurrent_rule(1, StorageClass::OneZoneIa)
        .await;
    house.days_pass(3);
    assert_eq!(pass(&mut cluster.rig.worker()).await.moved, 1);
    house.tidied().await;
    let moved = surveyed_all(&cluster.rig.drives);
    assert_eq!(moved.iter().filter(|blob| kept.contains(blob)).count(), 1);
    // Where the old file is there, too, the version is back once.
    let mut both = cluster.rebuilder();
    for blob in kept.iter().filter(|blob| !moved.contains(blob)) {
        both.take(blob.clone());
    }
    for blob in &moved {
        both.take(blob.clone());
    }
    let report = both.plan().unwrap().report().clone();
    assert_eq!((report.objects, report.skipped.len()), (2, 1));
    let (cluster, report) = cluster.rebuilt().await;
    assert_eq!((report.objects, report.skipped.len()), (2, 0));
    let house = &cluster.rig.house;
    let newest = house.get("bucket", "k", None).await.unwrap();
    assert_eq!(newest.len(), 180_000);
    assert_eq!(
        house.head("k", None).await.storage_class,
        StorageClass::Standard
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_with_bodies_of_their_own_come_back_and_those_without_do_not() {
    let cluster = Cluster::new().await;
    let house = &cluster.rig.house;
    let bytes = pattern(90_000);
    let s3 = || EncryptionRequest::S3;
    house.put("bucket", "one", &bytes, s3()).await.unwrap();
    let whole = upload(house, &MODES[0], 900, false).await;
    for (from, to, class) in [
        ("one", "one/cold", StorageClass::OneZoneIa),
        ("one", "one/same", StorageClass::StandardIa),
        ("k", "k/cold", StorageClass::OneZoneIa),
        ("k", "k/same", StorageClass::StandardIa),
    ] {
        house.copy_class(from, to, Some(class)).await.unwrap();
    }
    let cold = told(house.head("k/cold", None).await);
    cluster.rig.assert_sound().await;
    // The source of a copy is deleted: the copy has all that it needs, and the other one nothing.
    for name in ["k", "one"] {
        delete(house, name).await;
    }
    house.tidied().await;
    let (cluster, report) = cluster.rebuilt().await;
    let house = &cluster.rig.house;
    // What was deleted is back where another stands on its bytes: nobody can tell.
    assert_eq!(report.objects, 3, "{report:?}");
    assert_eq!(report.uploads.len(), 1);
    for (name, wanted) in [("one", &bytes), ("one/cold", &bytes), ("k/cold", &whole)] {
        let read = house.get("bucket", name, None).await.unwrap();
        assert!(read == *wanted, "{name}");
    }
    assert!(told(house.head("k/cold", None).await) == cold);
    for name in ["one/same", "k/same", "k"] {
        let none = house.get("bucket", name, None).await;
        assert!(matches!(none, Err(Error::NoSuchKey { .. })), "{name}");
    }
    cluster.rig.assert_sound().await;
    delete(house, "k/cold").await;
    cluster.rig.assert_sound().await;
}

/// Files that are missing without a reason are what a deletion leaves behind that a drive missed.
#[tokio::test(flavor = "multi_thread")]
async fn what_lacks_files_without_a_reason_may_have_been_deleted() {
    let cluster = Cluster::new().await;
    let house = &cluster.rig.house;
    let s3 = || EncryptionRequest::S3;
    house
        .put("bucket", "one", &pattern(90_000), s3())
        .await
        .unwrap();
    upload(house, &MODES[0], 900, false).await;
    let all = surveyed_all(&cluster.rig.drives);
    let note = all.iter().find(|blob| is_note(blob)).unwrap().blob;
    let report = |gone: usize, away: usize, damaged: usize| {
        let mut rebuilder = cluster.rebuilder();
        rebuilder.drives_away(away);
        for blob in &all {
            let mut blob = blob.clone();
            if blob.blob == note {
                blob.drives.iter_mut().take(gone).for_each(Vec::clear);
            }
            rebuilder.take(blob);
        }
        (0..damaged).for_each(|_| rebuilder.damaged_file(note));
        let report = rebuilder.plan().unwrap().report().clone();
        assert_eq!(report.objects, 2);
        let told = report.possible_returns.into_iter();
        told.map(|back| (back.of, back.files, back.files_once))
            .collect::<Vec<_>>()
    };
    assert!(report(0, 0, 0).is_empty());
    let told = |files| vec![("s3://bucket/k".to_owned(), files, 18)];
    assert_eq!(report(1, 0, 0), told(17));
    assert_eq!(report(5, 0, 0), told(13));
    assert_eq!(report(5, 2, 2), told(13));
    assert!(report(1, 1, 0).is_empty());
    assert!(report(1, 0, 1).is_empty());
    assert!(report(3, 2, 1).is_empty());
}

/// No upload is refused because its note finds no room.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_completed_without_a_note_where_the_drives_are_full() {
    let built = built().await;
    let house = &built.house;
    house.bucket("bucket").await;
    let upload = create(house, EncryptionRequest::S3).await;
    let bytes = pattern(90_000);
    let one = part(house, &upload, 1, &bytes, None).await.unwrap();
    let used = |path: &DrivePath| built.drive.contents(path).unwrap().len() as u64;
    let bodies = built.drive.files().into_iter();
    let bodies = bodies.filter(|path| in_blobs(path.folder()));
    let full = Fault::Capacity(bodies.map(|path| used(&path)).sum());
    built
        .drive
        .set_plan(FaultPlan::new([full]).within(in_blobs));
    let named = vec![completed(1, &one)];
    complete(house, &upload, named, None).await.unwrap();
    built.drive.set_plan(FaultPlan::default());
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), bytes);
    // What was begun of the note is removed behind the answer.
    house.tidied().await;
    assert_eq!(files(&built.drive), 1);
    assert_sound(house).await;
    let (built, report) = built.rebuilt().await;
    assert_eq!((report.objects, report.uploads.len()), (0, 1));
    drop(built);
}
