// SPDX-License-Identifier: Apache-2.0
//! Lifecycle rules carried out, with the clock in the test's hands.

use strongroom_object::{
    BucketVersioning, Compat, CreateMultipartUpload, DAY_MS, EncryptionRequest, Error, Expiration,
    LifecycleConfiguration, LifecycleFilter, LifecycleReport, LifecycleRule, LifecycleWorker,
    ListMultipartUploads, ListObjectVersions, ListedVersion, NoncurrentExpiration, Properties,
    StorageClass, Transition, TransitionMinimum, VersionId, When,
};
use strongroom_store::TableId;
use strongroom_store::drive::{Access, Folder};
use strongroom_testkit::{SimDrive, poll_once};

use crate::binding::put_row;
use crate::harness::*;

const BUCKETS: TableId = TableId(20);

const BIG: usize = 200_000;

pub(crate) fn rule(id: &str) -> LifecycleRule {
    LifecycleRule {
        id: id.to_owned(),
        enabled: true,
        filter: LifecycleFilter::default(),
        expiration: None,
        transitions: Vec::new(),
        noncurrent_expiration: None,
        noncurrent_transitions: Vec::new(),
        abort_days: None,
    }
}

fn expiring(days: u32) -> LifecycleRule {
    LifecycleRule {
        expiration: Some(Expiration::At(When::Days(days))),
        ..rule("end")
    }
}

pub(crate) fn moving(days: u32, class: StorageClass) -> LifecycleRule {
    let when = When::Days(days);
    LifecycleRule {
        transitions: vec![Transition { when, class }],
        ..rule("move")
    }
}

impl House {
    pub(crate) async fn rules(&self, bucket: &str, rules: Vec<LifecycleRule>) {
        let minimum = TransitionMinimum::AllClasses;
        let rules = LifecycleConfiguration::new(rules, minimum, Compat::Ceph, String::new);
        let put = self
            .objects
            .put_bucket_lifecycle(self.request().scope(), bucket, rules.unwrap())
            .await;
        put.unwrap();
    }

    async fn store(&self, name: &str, bytes: &[u8]) -> Option<VersionId> {
        let stored = self.put("bucket", name, bytes, EncryptionRequest::S3).await;
        stored.unwrap().version_id
    }

    pub(crate) async fn versioned(&self, status: BucketVersioning) {
        self.objects
            .put_bucket_versioning(self.request().scope(), "bucket", status)
            .await
            .unwrap();
    }

    pub(crate) fn days_pass(&self, days: u64) {
        self.clock.advance_ms(days * DAY_MS);
    }

    /// All entries: name, id, whether a delete marker.
    async fn entries(&self) -> Vec<(String, VersionId, bool)> {
        let input = ListObjectVersions {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            delimiter: String::new(),
            after: None,
            after_version: None,
            max_keys: 10_000,
        };
        let page = self
            .objects
            .list_object_versions(self.request().scope(), input)
            .await
            .unwrap();
        let entries = page.versions.into_iter().map(|entry| match entry {
            ListedVersion::Object { id, object, .. } => (object.object_key, id, false),
            ListedVersion::DeleteMarker { id, object_key, .. } => (object_key, id, true),
        });
        entries.collect()
    }

    /// The audit log.
    pub(crate) async fn events(&self) -> Vec<serde_json::Value> {
        self.audit.flush().await.unwrap();
        let mut lines = Vec::new();
        for path in self.drive.list(Folder::Audit).unwrap() {
            let file = self.drive.open(&path, Access::Read).unwrap().unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            let read = file.read_at(0, &mut bytes).unwrap();
            assert_eq!(read, bytes.len());
            let events = bytes.split(|byte| *byte == b'\n');
            lines.extend(events.filter_map(|line| serde_json::from_slice(line).ok()));
        }
        lines
    }

    async fn names(&self) -> Vec<String> {
        let entries = self.entries().await;
        entries.into_iter().map(|(name, _, _)| name).collect()
    }
}

/// Steps until there is nothing to do.
pub(crate) async fn pass(worker: &mut LifecycleWorker) -> LifecycleReport {
    let mut all = LifecycleReport::default();
    while let Some(report) = worker.step().await.unwrap() {
        assert!(report.failed.is_empty(), "{:?}", report.failed.lines());
        all.add(&report);
    }
    all
}

async fn world() -> (House, LifecycleWorker) {
    let house = house().await;
    house.bucket("bucket").await;
    let worker = LifecycleWorker::new(&house.objects, &house.audit);
    (house, worker)
}

#[tokio::test]
async fn objects_go_on_their_day_and_not_before() {
    let (house, mut worker) = world().await;
    house.store("logs/a", b"a").await;
    house.store("logs/b", &pattern(BIG)).await;
    house.store("kept", b"k").await;
    let mut logs = expiring(3);
    logs.filter.prefix = Some("logs/".to_owned());
    house.rules("bucket", vec![logs]).await;
    for _ in 0..3 {
        assert_eq!(pass(&mut worker).await.done(), 0);
        house.days_pass(1);
    }
    house.store("logs/new", b"n").await;
    house.days_pass(1);
    let done = pass(&mut worker).await;
    assert_eq!((done.expired, done.done()), (2, 2));
    assert_eq!(house.names().await, ["kept", "logs/new"]);
    // Nothing is left of their bytes.
    assert!(house.store.catalogue(None, 10).unwrap().is_empty());
    // A pass is made once a day.
    assert!(worker.step().await.unwrap().is_none());
    let events = house.events().await;
    let expired: Vec<_> = events
        .iter()
        .filter(|event| event["eventName"] == "ExpireObject")
        .collect();
    assert_eq!(expired.len(), 2);
    let of_a = |event: &&&serde_json::Value| event["requestParameters"]["key"] == "logs/a";
    let first = *expired.iter().find(of_a).unwrap();
    assert_eq!(first["eventType"], "AwsServiceEvent");
    assert_eq!(first["userIdentity"]["type"], "AWSService");
    assert_eq!(first["userIdentity"]["invokedBy"], "s3.amazonaws.com");
    assert_eq!(first["requestParameters"]["key"], "logs/a");
    assert_eq!(first["additionalEventData"]["lifecycleRule"], "end");
    assert_eq!(
        first["additionalEventData"]["operation"],
        "S3.EXPIRE.OBJECT"
    );
}

#[tokio::test]
async fn rules_that_are_set_act_without_waiting_for_a_day() {
    let (house, mut worker) = world().await;
    house.store("k", b"k").await;
    house.rules("bucket", vec![expiring(1)]).await;
    house.days_pass(2);
    let mut off = expiring(1);
    off.enabled = false;
    house.rules("bucket", vec![off]).await;
    assert_eq!(pass(&mut worker).await.done(), 0);
    house.rules("bucket", vec![expiring(1)]).await;
    let none = house
        .objects
        .delete_bucket_lifecycle(house.request().scope(), "bucket")
        .await;
    none.unwrap();
    assert_eq!(pass(&mut worker).await.done(), 0, "rules that were deleted");
    house.rules("bucket", vec![expiring(1)]).await;
    assert_eq!(pass(&mut worker).await.expired, 1);
}

/// A clock that leaps ahead says that everything is due.
#[tokio::test]
async fn sec_a_clock_that_leaps_deletes_nothing() {
    let (house, mut worker) = world().await;
    house.store("k", b"k").await;
    house.rules("bucket", vec![expiring(30)]).await;
    pass(&mut worker).await;
    house.clock.set_ms(NOW_MS + 400 * DAY_MS);
    assert_eq!(pass(&mut worker).await.done(), 0);
    house.days_pass(1);
    assert_eq!(pass(&mut worker).await.done(), 0);
    assert_eq!(house.names().await, ["k"]);
    // Somebody says that the clock is right.
    house.kms.confirm_clock().await.unwrap();
    house.days_pass(1);
    assert_eq!(pass(&mut worker).await.expired, 1);
}

#[tokio::test]
async fn versions_end_as_s3_ends_them() {
    let (house, mut worker) = world().await;
    house.versioned(BucketVersioning::Enabled).await;
    house.store("k", b"1").await;
    house.days_pass(1);
    let second = house.store("k", b"2").await.unwrap();
    let mut both = expiring(10);
    both.noncurrent_expiration = Some(NoncurrentExpiration {
        days: 5,
        newer: None,
    });
    house.rules("bucket", vec![both]).await;
    house.days_pass(6);
    let done = pass(&mut worker).await;
    assert_eq!((done.versions_removed, done.done()), (1, 1));
    assert_eq!(house.entries().await, [("k".to_owned(), second, false)]);
    house.days_pass(6);
    let done = pass(&mut worker).await;
    assert_eq!((done.markers_made, done.done()), (1, 1));
    let entries = house.entries().await;
    assert!(
        entries[0].2 && entries[1].1 == second,
        "a marker in front of it"
    );
    assert!(matches!(
        house.get("bucket", "k", None).await,
        Err(Error::DeleteMarker { named: false, .. })
    ));
    // The version behind the marker counts its days from when the marker came.
    house.days_pass(4);
    assert_eq!(pass(&mut worker).await.done(), 0);
    house.days_pass(2);
    assert_eq!(pass(&mut worker).await.versions_removed, 1);
    // The marker hides nothing now, and goes when it has the age of the rule.
    house.days_pass(1);
    assert_eq!(pass(&mut worker).await.done(), 0);
    house.days_pass(5);
    assert_eq!(pass(&mut worker).await.markers_removed, 1);
    assert!(house.entries().await.is_empty());
}

#[tokio::test]
async fn newer_noncurrent_versions_keep_older_ones() {
    let (house, mut worker) = world().await;
    house.versioned(BucketVersioning::Enabled).await;
    let mut ids = Vec::new();
    for n in 0..700_u32 {
        ids.push(house.store("k", &n.to_be_bytes()).await.unwrap());
    }
    house.store("l", b"l").await;
    let mut keep = rule("keep");
    keep.noncurrent_expiration = Some(NoncurrentExpiration {
        days: 1,
        newer: Some(600),
    });
    house.rules("bucket", vec![keep]).await;
    house.days_pass(2);
    // The name is longer than a page, and the place in it is not forgotten between two.
    let done = pass(&mut worker).await;
    assert_eq!((done.versions_removed, done.done()), (99, 99));
    let entries = house.entries().await;
    assert_eq!(entries.len(), 602);
    let oldest = &entries[600];
    assert_eq!((oldest.0.as_str(), oldest.1), ("k", ids[99]));
}

/// A pass that is cut off goes on where it was, and what it knew of a name is found out again.
#[tokio::test]
async fn dur_d1_a_pass_goes_on_after_a_stop() {
    let (house, mut worker) = world().await;
    house.versioned(BucketVersioning::Enabled).await;
    for n in 0..300_u32 {
        house.store("k", &n.to_be_bytes()).await;
    }
    for n in 0..300_u32 {
        house.store(&format!("z{n:03}"), b"z").await;
    }
    let mut keep = expiring(5);
    keep.noncurrent_expiration = Some(NoncurrentExpiration {
        days: 1,
        newer: Some(290),
    });
    house.rules("bucket", vec![keep]).await;
    house.days_pass(7);
    let mut done = LifecycleReport::default();
    let mut steps = 0;
    // What was not done as a whole is begun again from the first of a name.
    while !done.finished {
        let step = worker.step().await.unwrap();
        done.add(&step.unwrap());
        steps += 1;
        if steps % 3 == 0 {
            worker.save().await.unwrap();
            worker = LifecycleWorker::new(&house.objects, &house.audit);
        }
        assert!(steps < 50);
    }
    assert!(steps > 3, "it was stopped on its way");
    assert_eq!(done.versions_removed, 9);
    assert_eq!(done.markers_made, 301);
}

#[tokio::test]
async fn suspended_buckets_lose_what_has_no_version() {
    let (house, mut worker) = world().await;
    house.store("k", b"null").await;
    house.versioned(BucketVersioning::Enabled).await;
    house.store("v", b"version").await;
    house.versioned(BucketVersioning::Suspended).await;
    house.rules("bucket", vec![expiring(1)]).await;
    house.days_pass(2);
    let done = pass(&mut worker).await;
    assert_eq!((done.markers_made, done.done()), (2, 2));
    let entries = house.entries().await;
    let shown: Vec<_> = entries
        .iter()
        .map(|(name, id, marker)| (name.as_str(), id.is_null(), *marker))
        .collect();
    assert_eq!(
        shown,
        [("k", true, true), ("v", true, true), ("v", false, false)]
    );
}

#[tokio::test]
async fn objects_change_their_class_and_nothing_else() {
    let (house, mut worker) = world().await;
    let key = || customer(7);
    house.sse_c_bucket("locked").await;
    let bytes = pattern(BIG);
    let before = house
        .put("locked", "k", &bytes, EncryptionRequest::Customer(key()))
        .await
        .unwrap();
    house.store("small", b"small").await;
    house.store("big", &bytes).await;
    for bucket in ["bucket", "locked"] {
        house
            .rules(bucket, vec![moving(1, StorageClass::Glacier)])
            .await;
    }
    house.days_pass(2);
    let done = pass(&mut worker).await;
    assert_eq!((done.moved, done.done()), (2, 2), "small objects stay");
    for (bucket, name, customer) in [("bucket", "big", None), ("locked", "k", Some(key()))] {
        assert!(matches!(
            house.get(bucket, name, customer).await,
            Err(Error::Archived {
                class: StorageClass::Glacier,
                copy_source: false
            })
        ));
    }
    let head = house
        .objects
        .head_object(
            house.request().scope(),
            get_input("locked", "k", Some(key())),
        )
        .await;
    let (head, _) = head.unwrap();
    assert_eq!(head.storage_class, StorageClass::Glacier);
    assert_eq!(head.etag, before.etag);
    assert_eq!(head.last_modified_ms, NOW_MS);
    // A rule further down moves them on, and no rule moves them back.
    house
        .rules("bucket", vec![moving(1, StorageClass::StandardIa)])
        .await;
    assert_eq!(pass(&mut worker).await.done(), 0);
    house
        .rules("bucket", vec![moving(1, StorageClass::DeepArchive)])
        .await;
    assert_eq!(pass(&mut worker).await.moved, 1);
    let events = house.events().await;
    let moves: Vec<_> = events
        .iter()
        .filter(|event| event["eventName"] == "TransitionObject")
        .map(|event| event["additionalEventData"]["operation"].clone())
        .collect();
    assert_eq!(
        moves,
        [
            "S3.TRANSITION.OBJECT",
            "S3.TRANSITION.OBJECT",
            "S3.TRANSITION_GDA.OBJECT"
        ]
    );
}

#[tokio::test]
async fn uploads_that_stay_open_are_aborted() {
    let (house, mut worker) = world().await;
    let create = |name: &str| CreateMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: name.to_owned(),
        properties: Properties::default(),
        encryption: EncryptionRequest::S3,
        storage_class: StorageClass::Glacier,
        checksum_algorithm: None,
        checksum_type: None,
    };
    let mut abort = rule("abort");
    abort.abort_days = Some(3);
    abort.filter.prefix = Some("in/".to_owned());
    house.rules("bucket", vec![abort]).await;
    let open = async |name| {
        let request = house.request();
        let made = house
            .objects
            .create_multipart_upload(request.scope(), create(name));
        made.await.unwrap()
    };
    let told = open("in/old").await.abort.unwrap();
    assert_eq!(told.rule_id, "abort");
    assert_eq!(told.at_ms, (NOW_MS / DAY_MS + 4) * DAY_MS);
    assert!(open("out").await.abort.is_none());
    house.days_pass(2);
    open("in/new").await;
    assert_eq!(pass(&mut worker).await.done(), 0);
    house.days_pass(2);
    let done = pass(&mut worker).await;
    assert_eq!((done.uploads_aborted, done.done()), (1, 1));
    let list = ListMultipartUploads {
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: None,
        upload_id_marker: None,
        max_uploads: 10,
    };
    let open = house
        .objects
        .list_multipart_uploads(house.request().scope(), list)
        .await
        .unwrap();
    let names: Vec<_> = open.uploads.iter().map(|u| u.object_key.as_str()).collect();
    assert_eq!(names, ["in/new", "out"]);
    assert_eq!(open.uploads[0].storage_class, StorageClass::Glacier);
    let events = house.events().await;
    let aborted = events
        .iter()
        .filter(|event| event["eventName"] == "DeleteUpload");
    assert_eq!(aborted.count(), 1);
}

#[tokio::test]
async fn rules_outlive_the_process_and_go_with_their_bucket() {
    let drive: std::sync::Arc<dyn strongroom_store::drive::Drive> =
        std::sync::Arc::new(SimDrive::new(3));
    let keyring = new_keyring();
    {
        let house = house_of(drive.clone(), keyring.clone(), keyring.at_rest())
            .await
            .unwrap();
        house.bucket("bucket").await;
        house.store("k", b"k").await;
        house.bucket("gone").await;
        for bucket in ["bucket", "gone"] {
            house.rules(bucket, vec![expiring(2)]).await;
        }
        house
            .objects
            .delete_bucket(house.request().scope(), "gone")
            .await
            .unwrap();
        house.audit.close().await.unwrap();
        house.store.close().await.unwrap();
    }
    let house = house_of(drive, keyring.clone(), keyring.at_rest())
        .await
        .unwrap();
    let head = house
        .objects
        .head_object(house.request().scope(), get_input("bucket", "k", None))
        .await;
    let (head, _) = head.unwrap();
    let expiry = head.expiry.unwrap();
    assert_eq!(expiry.at_ms, (NOW_MS / DAY_MS + 3) * DAY_MS);
    house.bucket("gone").await;
    let none = house
        .objects
        .get_bucket_lifecycle(house.request().scope(), "gone")
        .await;
    assert!(matches!(none, Err(Error::NoLifecycle { .. })));
    let mut worker = LifecycleWorker::new(&house.objects, &house.audit);
    house.kms.confirm_clock().await.unwrap();
    house.days_pass(3);
    assert_eq!(pass(&mut worker).await.expired, 1);
}

/// The client goes away while its rules are stored: what is stored and what answers say and rules
/// do would be two things until the next start.
#[tokio::test]
async fn rules_whose_client_went_away_are_stored_and_in_force() {
    let (house, mut worker) = world().await;
    house.store("k", b"k").await;
    house.rules("bucket", vec![expiring(1)]).await;
    let when = async || {
        let request = house.request();
        let head = house
            .objects
            .head_object(request.scope(), get_input("bucket", "k", None));
        head.await.unwrap().0.expiry.map(|expiry| expiry.at_ms)
    };
    let day = |days: u64| Some((NOW_MS / DAY_MS + 1 + days) * DAY_MS);
    assert_eq!(when().await, day(1));
    {
        let request = house.request();
        let minimum = TransitionMinimum::AllClasses;
        let later = vec![expiring(100)];
        let later = LifecycleConfiguration::new(later, minimum, Compat::Aws, String::new);
        let put = house
            .objects
            .put_bucket_lifecycle(request.scope(), "bucket", later.unwrap());
        let mut put = std::pin::pin!(put);
        assert!(poll_once(put.as_mut()).is_pending());
    }
    until(async || when().await == day(100)).await;
    house.days_pass(50);
    assert_eq!(pass(&mut worker).await.done(), 0);
    {
        let request = house.request();
        let delete = house
            .objects
            .delete_bucket_lifecycle(request.scope(), "bucket");
        let mut delete = std::pin::pin!(delete);
        assert!(poll_once(delete.as_mut()).is_pending());
    }
    until(async || when().await.is_none()).await;
    house.days_pass(100);
    assert_eq!(pass(&mut worker).await.done(), 0);
    assert_eq!(house.names().await, ["k"]);
}

/// Waits for what must come.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let limit = std::time::Instant::now() + std::time::Duration::from_mins(2);
    while !holds().await {
        assert!(std::time::Instant::now() < limit, "it does not come");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A clock stood years back when a newer version came: the older one was noncurrent since then, and
/// due as soon as the clock was right.
#[tokio::test]
async fn dur_d11_a_clock_set_back_makes_nothing_noncurrent_before_it_was_made() {
    let (house, mut worker) = world().await;
    house.versioned(BucketVersioning::Enabled).await;
    house.store("k", b"1").await;
    let mut end = rule("end");
    end.noncurrent_expiration = Some(NoncurrentExpiration {
        days: 30,
        newer: None,
    });
    house.rules("bucket", vec![end]).await;
    house.clock.set_ms(NOW_MS - 3_650 * DAY_MS);
    house.store("k", b"2").await;
    house.clock.set_ms(NOW_MS);
    for days in [1, 20] {
        house.days_pass(days);
        assert_eq!(pass(&mut worker).await.done(), 0);
    }
    house.days_pass(11);
    assert_eq!(pass(&mut worker).await.versions_removed, 1);
}

/// The row of one bucket is damaged: the rules of all that come behind it did not act any more.
#[tokio::test]
async fn rules_go_on_behind_a_damaged_bucket() {
    let (house, mut worker) = world().await;
    let names: Vec<String> = (0..6).map(|number| format!("bucket-{number}")).collect();
    for name in &names {
        house.bucket(name).await;
        let put = house.put(name, "k", b"k", EncryptionRequest::S3);
        put.await.unwrap();
        house.rules(name, vec![expiring(1)]).await;
    }
    for damaged in &names[..2] {
        put_row(&house, BUCKETS, damaged.as_bytes(), b"damaged").await;
    }
    house.days_pass(3);
    let mut all = LifecycleReport::default();
    let mut failed = 0;
    while let Some(report) = worker.step().await.unwrap() {
        failed += report.failed.lines().len();
        all.add(&report);
    }
    assert!(all.finished);
    assert_eq!((all.expired, failed), (4, 2));
}
