// SPDX-License-Identifier: Apache-2.0
//! Storage classes on several drives: where the shards of each lie, and how objects come from one to
//! another: the same sealed bytes, nobody's key, one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strongroom_kms::root::Keyring;
use strongroom_object::{
    BucketVersioning, Compat, CreateMultipartUpload, CustomerKey, EncryptionRequest, Error,
    LifecycleConfiguration, LifecycleWorker, ListObjectVersions, ListedVersion,
    NoncurrentTransition, ObjectHead, Properties, RestoreTier, StorageClass, TransitionMinimum,
    UploadPart,
};
use strongroom_store::blob::Keeping;
use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveSet, Folder, SetMember};
use strongroom_store::layout::{BlobPolicy, DriveUid, Redundancy};
use strongroom_store::{BlobId, CatalogueEntry};
use strongroom_testkit::{FaultPlan, SimDrive, SimPower};

use crate::at_rest::contains;
use crate::harness::*;
use crate::lifecycle::{moving, pass};
use crate::multipart::{complete, completed};

const BIG: usize = 200_000;
const MIB5: usize = 5 << 20;
const HALF_DAY_MS: u64 = 12 * 60 * 60 * 1_000;

pub(crate) type Mode = (fn() -> EncryptionRequest, fn() -> Option<CustomerKey>);

pub(crate) const MODES: [Mode; 4] = [
    (|| EncryptionRequest::S3, || None),
    (kms, || None),
    (dsse, || None),
    (
        || EncryptionRequest::Customer(customer(3)),
        || Some(customer(3)),
    ),
];

/// Nine drives in three facilities: 4+2, 1+2 in one facility, 6+3.
pub(crate) struct Rig {
    pub(crate) drives: Vec<SimDrive>,
    set: DriveSet,
    pub(crate) house: House,
}

fn set_of(drives: &[SimDrive]) -> DriveSet {
    let members = drives.iter().zip(0_u8..).map(|(drive, number)| {
        let facility = format!("f{}", number / 3);
        let drive: Arc<dyn Drive> = Arc::new(drive.clone());
        SetMember::online(
            DriveNo(u16::from(number)),
            DriveUid([number; 16]),
            facility,
            drive,
        )
    });
    DriveSet::new(members.collect()).unwrap()
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let rig = Self::on((0..9).map(SimDrive::new).collect(), new_keyring()).await;
        rig.house.sse_c_bucket("bucket").await;
        rig
    }

    pub(crate) async fn on(drives: Vec<SimDrive>, keyring: Arc<Keyring>) -> Self {
        let set = set_of(&drives);
        let first: Arc<dyn Drive> = Arc::new(drives[0].clone());
        let usual = Redundancy::for_drives(9);
        let house = house_over_with(set.clone(), first, usual, keyring).await;
        Self { drives, set, house }
    }

    pub(crate) fn worker(&self) -> LifecycleWorker {
        LifecycleWorker::new(&self.house.objects, &self.house.audit)
    }

    pub(crate) fn entries(&self) -> BTreeMap<BlobId, CatalogueEntry> {
        let all = self.house.store.catalogue(None, 10_000).unwrap();
        all.into_iter()
            .map(|entry| (entry.location.blob, entry))
            .collect()
    }

    /// Those that have units: no notes.
    fn bodies(&self) -> BTreeMap<BlobId, CatalogueEntry> {
        let mut bodies = self.entries();
        bodies.retain(|_, entry| entry.location.sealed_bytes > 0);
        bodies
    }

    fn policies(&self) -> Vec<BlobPolicy> {
        let entries = self.bodies().into_values();
        entries.map(|entry| entry.keeping.policy).collect()
    }

    /// Every file of a blob is in the catalogue, every blob in an object, and everything opens.
    pub(crate) async fn assert_sound(&self) {
        self.house.tidied().await;
        let request = self.house.request();
        let report = self.house.objects.verify(request.scope(), &|_| {}).await;
        let report = report.unwrap();
        let (damaged, lost) = (report.damaged.lines(), report.unreferred.lines());
        assert!(
            damaged.is_empty() && lost.is_empty(),
            "{damaged:?} {lost:?}"
        );
        let mut wanted = BTreeSet::new();
        for (blob, entry) in self.entries() {
            for (_, drive) in entry.keeping.placement.each() {
                wanted.insert((usize::from(drive.0), DrivePath::blob(blob)));
            }
        }
        let mut found = BTreeSet::new();
        for (number, drive) in self.drives.iter().enumerate() {
            let files = drive.files().into_iter();
            let files = files.filter(|path| in_blobs(path.folder()));
            found.extend(files.map(|path| (number, path)));
        }
        assert_eq!(found, wanted);
    }

    /// Rules for objects of any size.
    pub(crate) async fn rule_for_all(&self, days: u32, class: StorageClass) {
        let rules = vec![moving(days, class)];
        let minimum = TransitionMinimum::ByClass;
        let rules = LifecycleConfiguration::new(rules, minimum, Compat::Ceph, String::new);
        let objects = &self.house.objects;
        let request = self.house.request();
        let put = objects.put_bucket_lifecycle(request.scope(), "bucket", rules.unwrap());
        put.await.unwrap();
    }

    /// A rule for noncurrent versions of any size.
    pub(crate) async fn noncurrent_rule(&self, days: u32, class: StorageClass) {
        let mut rule = moving(days, class);
        rule.transitions.clear();
        rule.noncurrent_transitions = vec![NoncurrentTransition {
            days,
            newer: None,
            class,
        }];
        let minimum = TransitionMinimum::ByClass;
        let rules = vec![rule];
        let rules = LifecycleConfiguration::new(rules, minimum, Compat::Ceph, String::new);
        let objects = &self.house.objects;
        let request = self.house.request();
        let put = objects.put_bucket_lifecycle(request.scope(), "bucket", rules.unwrap());
        put.await.unwrap();
    }

    /// An upload of the name `k`, of a part of 5 MiB and the rest.
    pub(crate) async fn upload(&self, mode: &Mode, class: StorageClass, rest: usize) -> Vec<u8> {
        let create = CreateMultipartUpload {
            bucket: "bucket".to_owned(),
            object_key: "k".to_owned(),
            properties: Properties::default(),
            encryption: mode.0(),
            storage_class: class,
            checksum_algorithm: None,
            checksum_type: None,
        };
        let objects = &self.house.objects;
        let request = self.house.request();
        let created = objects.create_multipart_upload(request.scope(), create);
        let upload_id = created.await.unwrap().upload_id;
        let whole = pattern(MIB5 + rest);
        let mut parts = Vec::new();
        for (number, bytes) in (1_u16..).zip(whole.chunks(MIB5)) {
            let part = UploadPart {
                bucket: "bucket".to_owned(),
                object_key: "k".to_owned(),
                upload_id: upload_id.clone(),
                part_number: number,
                customer_key: mode.1(),
                content_length: bytes.len() as u64,
                checksum: strongroom_object::ChecksumRequest::default(),
                body: body(bytes),
            };
            let stored = objects
                .upload_part(self.house.request().scope(), part)
                .await;
            parts.push(completed(u32::from(number), &stored.unwrap()));
        }
        complete(&self.house, &upload_id, parts, mode.1())
            .await
            .unwrap();
        whole
    }
}

/// What a blob is kept like is what its policy promises.
fn assert_kept(keeping: &Keeping, note: &str) {
    let redundancy = keeping.stripes.redundancy();
    let mut spread = BTreeMap::<u16, u8>::new();
    for (_, drive) in keeping.placement.each() {
        *spread.entry(drive.0 / 3).or_default() += 1;
    }
    let shape = (redundancy.data(), redundancy.parity());
    assert!(keeping.owed.is_empty(), "{note}");
    match keeping.policy {
        BlobPolicy::Standard => assert_eq!(shape, (4, 2), "{note}"),
        BlobPolicy::OneFacility => {
            assert_eq!((shape, spread.len()), ((1, 2), 1), "{note}");
            return;
        }
        BlobPolicy::Archive => assert_eq!(shape, (6, 3), "{note}"),
    }
    assert!(spread.values().all(|count| *count <= shape.1), "{note}");
}

fn in_blobs(folder: Folder) -> bool {
    matches!(folder, Folder::Blobs(_) | Folder::Temporary)
}

/// All that a client could tell of an object but its class.
pub(crate) fn told(head: ObjectHead) -> impl PartialEq + std::fmt::Debug {
    (
        head.etag,
        head.size,
        head.last_modified_ms,
        format!("{:?}", head.properties),
        head.encryption,
        head.checksum,
        head.parts_count,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_lie_as_their_class_promises_in_every_mode() {
    let rig = Rig::new().await;
    let bytes = pattern(BIG);
    for class in StorageClass::ALL {
        let policy = match class {
            StorageClass::Standard | StorageClass::StandardIa => BlobPolicy::Standard,
            StorageClass::OneZoneIa => BlobPolicy::OneFacility,
            StorageClass::Glacier | StorageClass::DeepArchive => BlobPolicy::Archive,
        };
        for (number, (request, key)) in MODES.iter().enumerate() {
            let name = format!("{}/{number}", class.name());
            let before = rig.bodies();
            let stored = rig.house.put_class(&name, &bytes, request(), class).await;
            stored.unwrap();
            let small = format!("{name}/small");
            let stored = rig.house.put_class(&small, b"small", request(), class);
            stored.await.unwrap();
            let mut new = rig.bodies();
            new.retain(|blob, _| !before.contains_key(blob));
            assert_eq!(new.len(), 1, "{name}: small bodies lie in the tables");
            for entry in new.values() {
                assert_eq!(entry.keeping.policy, policy, "{name}");
                assert_kept(&entry.keeping, &name);
            }
            if !class.is_archive() {
                let read = rig.house.get("bucket", &name, key()).await.unwrap();
                assert_eq!(read, bytes, "{name}");
            }
        }
    }
    rig.assert_sound().await;
    for drive in &rig.drives {
        for path in drive.files() {
            let bytes = drive.contents(&path).unwrap();
            assert!(!contains(&bytes, b"Plaintext-Marker"), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_move_sealed_bytes_without_keys_and_change_nothing_else() {
    let rig = Rig::new().await;
    let house = &rig.house;
    let mut wanted = Vec::new();
    for (number, mode) in MODES.iter().enumerate() {
        let name = format!("put/{number}");
        let bytes = pattern(BIG + number);
        house.put("bucket", &name, &bytes, mode.0()).await.unwrap();
        wanted.push((name, mode, bytes));
    }
    let whole = rig.upload(&MODES[3], StorageClass::Standard, 900).await;
    wanted.push(("k".to_owned(), &MODES[3], whole));
    house
        .copy_class("put/0", "shares", Some(StorageClass::StandardIa))
        .await
        .unwrap();
    assert_eq!(rig.bodies().len(), 5);
    let mut before = Vec::new();
    for (name, mode, _) in &wanted {
        before.push(told(house.head(name, mode.1()).await));
    }
    let asked = |events: &[serde_json::Value]| {
        let of_kms = |event: &&serde_json::Value| event["eventSource"] == "kms.amazonaws.com";
        events.iter().filter(of_kms).count()
    };
    for (days, class) in [(1, StorageClass::OneZoneIa), (2, StorageClass::Glacier)] {
        let used = asked(&house.events().await);
        rig.rule_for_all(days, class).await;
        house.days_pass(2);
        let done = pass(&mut rig.worker()).await;
        assert_eq!(done.moved, 6, "{class:?}");
        assert_eq!(asked(&house.events().await), used, "no key was used");
        assert!(house.store.owed(None, 10).unwrap().is_empty());
        for entry in rig.bodies().values() {
            let policy = entry.keeping.policy;
            let wanted = match class {
                StorageClass::OneZoneIa => BlobPolicy::OneFacility,
                _ => BlobPolicy::Archive,
            };
            assert_eq!((policy, entry.refs), (wanted, 1), "{class:?}");
            assert_kept(&entry.keeping, class.name());
        }
        // Those who shared a body have one each: the shared one is gone with the last.
        assert_eq!(rig.bodies().len(), 6);
        rig.assert_sound().await;
        if class.is_archive() {
            for (name, ..) in &wanted {
                house.restore(name, 1, RestoreTier::Standard).await.unwrap();
            }
            house.clock.advance_ms(HALF_DAY_MS);
        }
        for ((name, mode, bytes), before) in wanted.iter().zip(&before) {
            let head = house.head(name, mode.1()).await;
            assert_eq!(head.storage_class, class, "{name}");
            assert!(told(head) == *before, "{name}: changed by its move");
            let read = house.get("bucket", name, mode.1()).await.unwrap();
            assert!(read == *bytes, "{name}");
        }
        let locked = house.get("bucket", "put/3", Some(customer(4))).await;
        assert!(matches!(locked, Err(Error::CustomerKeyWrong)));
    }
    // What is done is not done again.
    house.days_pass(1);
    let kept: Vec<BlobId> = rig.bodies().into_keys().collect();
    assert_eq!(pass(&mut rig.worker()).await.moved, 0);
    assert_eq!(rig.bodies().into_keys().collect::<Vec<_>>(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_share_within_a_policy_and_get_their_own_sealed_bytes_across() {
    let rig = Rig::new().await;
    let house = &rig.house;
    let bytes = pattern(BIG);
    let put = house.put("bucket", "k1", &bytes, kms()).await;
    put.unwrap();
    let original = *rig.bodies().keys().next().unwrap();
    let copy = async |from: &str, to: &str, class| {
        house.copy_class(from, to, Some(class)).await.unwrap();
        rig.bodies()
    };
    // A key and a mode of its own: the bucket's default is SSE-S3, so this is sealed anew.
    let entries = copy("k1", "s3", StorageClass::Standard).await;
    assert_eq!(entries.len(), 2);
    let source = *entries.keys().find(|blob| **blob != original).unwrap();
    let entries = copy("s3", "same", StorageClass::StandardIa).await;
    assert_eq!((entries.len(), entries[&source].refs), (2, 2), "shared");
    for (name, class, policy) in [
        ("one", StorageClass::OneZoneIa, BlobPolicy::OneFacility),
        ("cold", StorageClass::DeepArchive, BlobPolicy::Archive),
    ] {
        let before = rig.bodies();
        let mut entries = copy("s3", name, class).await;
        assert_eq!(entries[&source].refs, 2, "{name}: not shared");
        entries.retain(|blob, _| !before.contains_key(blob));
        let (blob, entry) = entries.pop_first().unwrap();
        assert!(entries.is_empty());
        assert_eq!((entry.keeping.policy, entry.refs), (policy, 1), "{name}");
        assert_kept(&entry.keeping, name);
        // The same sealed bytes: nothing was sealed again.
        let sealed = async |blob: BlobId| {
            let location = rig.bodies()[&blob].location;
            let units = location.layout.unit_count(location.sealed_bytes);
            let units = u32::try_from(units).unwrap();
            let read = house.store.blobs().read(&location, 0, units).await.unwrap();
            let slots = 0..read.capacity_units();
            slots
                .flat_map(|slot| read.slot(slot).to_vec())
                .collect::<Vec<u8>>()
        };
        assert_eq!(sealed(blob).await, sealed(source).await, "{name}");
    }
    // Another copy of the copy shares again.
    let entries = copy("one", "two", StorageClass::OneZoneIa).await;
    assert_eq!(entries.len(), 4);
    // Onto itself, into another class: the old body goes.
    let before = rig.bodies();
    let entries = copy("two", "two", StorageClass::Standard).await;
    assert_eq!(entries.len(), before.len() + 1);
    rig.assert_sound().await;
    for name in ["s3", "k1", "same"] {
        let request = house.request();
        let deleted = house
            .objects
            .delete_object(request.scope(), delete_input("bucket", name));
        deleted.await.unwrap();
    }
    house
        .restore("cold", 1, RestoreTier::Standard)
        .await
        .unwrap();
    house.clock.advance_ms(HALF_DAY_MS);
    house
        .copy_class("cold", "cold", Some(StorageClass::Standard))
        .await
        .unwrap();
    for name in ["one", "two", "cold"] {
        assert_eq!(
            house.get("bucket", name, None).await.unwrap(),
            bytes,
            "{name}"
        );
    }
    rig.assert_sound().await;
    let mut policies = rig.policies();
    policies.sort_by_key(|policy| policy.number());
    let (standard, one) = (BlobPolicy::Standard, BlobPolicy::OneFacility);
    assert_eq!(policies, [standard, standard, one]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_lie_as_the_class_that_they_were_opened_with() {
    let rig = Rig::new().await;
    let class = StorageClass::OneZoneIa;
    let whole = rig.upload(&MODES[0], class, 100_000).await;
    assert_eq!(rig.policies(), [BlobPolicy::OneFacility; 2]);
    assert_eq!(rig.house.get("bucket", "k", None).await.unwrap(), whole);
    rig.house
        .copy_class("k", "cold", Some(StorageClass::Glacier))
        .await
        .unwrap();
    let mut policies = rig.policies();
    policies.sort_by_key(|policy| policy.number());
    assert_eq!(policies[..2], [BlobPolicy::OneFacility; 2]);
    assert_eq!(policies[2..], [BlobPolicy::Archive; 2], "part by part");
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d7_what_is_damaged_or_away_stays_where_it_is_and_is_named() {
    let rig = Rig::new().await;
    let house = &rig.house;
    let bytes = pattern(BIG);
    let mut blobs = BTreeMap::new();
    for name in ["damaged", "mended", "whole"] {
        let before = rig.bodies();
        let put = house.put("bucket", name, &bytes, kms()).await;
        put.unwrap();
        let new = rig.bodies().into_keys();
        let mut new = new.filter(|blob| !before.contains_key(blob));
        blobs.insert(name, new.next().unwrap());
    }
    let rot = |name: &str, shards: usize| {
        let blob = blobs[name];
        let places = rig.bodies()[&blob].keeping.placement;
        for (_, drive) in places.each().take(shards) {
            let drive = &rig.drives[usize::from(drive.0)];
            assert!(drive.rot(&DrivePath::blob(blob), 64 + 100, 1));
        }
    };
    rot("damaged", 3);
    rot("mended", 2);
    rig.rule_for_all(1, StorageClass::Glacier).await;
    house.days_pass(2);
    let mut worker = rig.worker();
    let mut failed = Vec::new();
    let mut moved = 0;
    while let Some(report) = worker.step().await.unwrap() {
        failed.extend(report.failed.lines().to_vec());
        moved += report.moved;
    }
    assert_eq!(moved, 2);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].starts_with("s3://bucket/damaged: "), "{failed:?}");
    let head = house.head("damaged", None).await;
    assert_eq!(head.storage_class, StorageClass::Standard);
    let entry = &rig.bodies()[&blobs["damaged"]];
    assert_eq!(
        (entry.refs, entry.keeping.policy),
        (1, BlobPolicy::Standard)
    );
    assert!(house.get("bucket", "damaged", None).await.is_err());
    for name in ["mended", "whole"] {
        let head = house.head(name, None).await;
        assert_eq!(head.storage_class, StorageClass::Glacier);
        house.restore(name, 1, RestoreTier::Standard).await.unwrap();
    }
    house.clock.advance_ms(HALF_DAY_MS);
    for name in ["mended", "whole"] {
        assert_eq!(house.get("bucket", name, None).await.unwrap(), bytes);
    }
    // Drives that are away are no damage, and no reason to stop: the next pass finds them back.
    let put = house.put("bucket", "later", &bytes, kms()).await;
    put.unwrap();
    let gone: Vec<usize> = (3..9).collect();
    for number in &gone {
        rig.set
            .set_drive(DriveNo(u16::try_from(*number).unwrap()), None);
    }
    house.days_pass(2);
    let mut failed = Vec::new();
    while let Some(report) = worker.step().await.unwrap() {
        failed.extend(report.failed.lines().to_vec());
        assert_eq!(report.moved, 0);
    }
    assert!(
        failed.iter().any(|line| line.contains("/later: ")),
        "{failed:?}"
    );
    for number in &gone {
        let drive: Arc<dyn Drive> = Arc::new(rig.drives[*number].clone());
        rig.set
            .set_drive(DriveNo(u16::try_from(*number).unwrap()), Some(drive));
    }
    house.days_pass(1);
    let mut moved = 0;
    while let Some(report) = worker.step().await.unwrap() {
        moved += report.moved;
    }
    assert_eq!(moved, 1);
    let head = house.head("later", None).await;
    assert_eq!(head.storage_class, StorageClass::Glacier);
}

/// A server that stops gives up bodies on their way; what a page had found out about versions is
/// not forgotten by that. Before, the page was looked at again as if a noncurrent version at its
/// beginning were the current one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_up_what_is_on_its_way_and_loses_no_place() {
    let rig = Rig::new().await;
    let house = &rig.house;
    house.versioned(BucketVersioning::Enabled).await;
    // More versions than one page has rows.
    for _ in 0..270 {
        let put = house.put("bucket", "many", b"small", EncryptionRequest::S3);
        put.await.unwrap();
    }
    let bytes = pattern(BIG);
    let put = house.put("bucket", "next", &bytes, EncryptionRequest::S3);
    put.await.unwrap();
    rig.rule_for_all(1, StorageClass::Glacier).await;
    house.days_pass(2);
    let (stop, stops) = tokio::sync::watch::channel(false);
    let mut worker = rig.worker().until(stops);
    assert_eq!(worker.step().await.unwrap().unwrap().moved, 1);
    let before = rig.bodies();
    stop.send_replace(true);
    let stopped = worker.step().await.unwrap_err();
    assert!(
        matches!(stopped, Error::Store(strongroom_store::Error::Closed)),
        "{stopped}"
    );
    assert_eq!(rig.bodies(), before);
    rig.assert_sound().await;
    stop.send_replace(false);
    assert_eq!(pass(&mut worker).await.moved, 1);
    let list = ListObjectVersions {
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        after_version: None,
        max_keys: 1_000,
    };
    let listed = house
        .objects
        .list_object_versions(house.request().scope(), list)
        .await
        .unwrap();
    let archived = listed.versions.iter().filter(|entry| match entry {
        ListedVersion::Object { object, .. } => object.storage_class.is_archive(),
        ListedVersion::DeleteMarker { .. } => false,
    });
    assert_eq!((archived.count(), listed.versions.len()), (2, 271));
}

/// The power of all drives fails while an upload goes over, part by part. Whatever was committed
/// by then, the object is what it was, and the next pass goes on where that one was.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d1_power_loss_while_parts_go_over() {
    let mut outcomes = BTreeSet::new();
    for after in [0, 12, 25, 45, 65, 80, 90, 95, 100, 110, 130, 400] {
        let note = format!("after {after} operations");
        let keyring = new_keyring();
        let drives: Vec<SimDrive> = (0..9).map(|n| SimDrive::new(after * 10 + n)).collect();
        let rig = Rig::on(drives, Arc::clone(&keyring)).await;
        rig.house.sse_c_bucket("bucket").await;
        let standard = StorageClass::Standard;
        let whole = rig.upload(&MODES[0], standard, 100_000).await;
        rig.rule_for_all(1, StorageClass::Glacier).await;
        rig.house.days_pass(2);
        let before = told(rig.house.head("k", None).await);
        let power = SimPower::default();
        for drive in &rig.drives {
            drive.set_plan(FaultPlan::default());
            drive.plug_in(&power);
        }
        power.fail_after(after);
        let mut worker = rig.worker().committing_after(1);
        while let Ok(Some(_)) = worker.step().await {}
        let next: Vec<SimDrive> = rig.drives.iter().map(SimDrive::crash).collect();
        drop(worker);
        drop(rig);
        let rig = Rig::on(next, keyring).await;
        rig.house.days_pass(3);
        let mut policies = rig.policies();
        policies.sort_by_key(|policy| policy.number());
        let class = rig.house.head("k", None).await.storage_class;
        outcomes.insert((
            policies.iter().map(|of| of.number()).collect::<Vec<_>>(),
            class,
        ));
        assert!(told(rig.house.head("k", None).await) == before, "{note}");
        rig.assert_sound().await;
        let mut worker = rig.worker();
        while worker.step().await.unwrap().is_some() {}
        assert_eq!(rig.policies(), [BlobPolicy::Archive; 2], "{note}");
        rig.house
            .restore("k", 1, RestoreTier::Standard)
            .await
            .unwrap();
        rig.house.clock.advance_ms(HALF_DAY_MS);
        let read = rig.house.get("bucket", "k", None).await.unwrap();
        assert!(read == whole, "{note}");
        rig.assert_sound().await;
    }
    let both = |outcome: &(Vec<u8>, StorageClass)| outcome.0.len() == 2;
    assert!(outcomes.iter().all(both), "{outcomes:?}");
    assert!(
        outcomes.contains(&(vec![0, 0], StorageClass::Standard)),
        "{outcomes:?}"
    );
    assert!(
        outcomes.contains(&(vec![2, 2], StorageClass::Glacier)),
        "{outcomes:?}"
    );
}
