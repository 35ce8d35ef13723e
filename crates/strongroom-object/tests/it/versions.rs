// SPDX-License-Identifier: Apache-2.0
//! Versions against the obvious model: for each name, a list of entries, newest first.

use std::collections::BTreeMap;
use std::ops::Bound;

use strongroom_object::{
    BucketVersioning, DeleteObject, EncryptionRequest, Error, ListObjectVersions, ListObjects,
    ListedVersion, VersionId, WriteConditions,
};
use strongroom_store::TableId;
use strongroom_testkit::SimRng;

use crate::harness::*;

const VERSIONS: TableId = TableId(21);
const BODIES: TableId = TableId(24);
const PART_TABLES: TableId = TableId(25);

#[derive(Debug, Clone)]
struct Entry {
    id: VersionId,
    /// `None`: a delete marker.
    bytes: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Model {
    versioning: Option<BucketVersioning>,
    names: BTreeMap<String, Vec<Entry>>,
}

impl Model {
    fn name(&mut self, name: &str) -> &mut Vec<Entry> {
        self.names.entry(name.to_owned()).or_default()
    }

    /// What a write or a delete puts at the head; the null version is unique.
    fn add(&mut self, name: &str, id: Option<VersionId>, bytes: Option<Vec<u8>>) {
        let enabled = self.versioning == Some(BucketVersioning::Enabled);
        let id = id.unwrap_or(VersionId::NULL);
        assert_eq!(id.is_null(), !enabled, "an id of the other kind");
        let entries = self.name(name);
        entries.retain(|entry| entry.id != id);
        entries.insert(0, Entry { id, bytes });
    }

    /// All entries in the order of the listing: name, id, whether newest, size.
    fn listed(&self) -> Vec<(String, VersionId, bool, Option<u64>)> {
        let mut all = Vec::new();
        for (name, entries) in &self.names {
            for (index, entry) in entries.iter().enumerate() {
                let size = entry.bytes.as_ref().map(|bytes| bytes.len() as u64);
                all.push((name.clone(), entry.id, index == 0, size));
            }
        }
        all
    }
}

impl House {
    async fn versioning(&self, status: BucketVersioning) {
        let request = self.request();
        let changed = self
            .objects
            .put_bucket_versioning(request.scope(), "bucket", status);
        changed.await.unwrap();
    }

    async fn get_version(&self, name: &str, id: Option<VersionId>) -> Result<Vec<u8>, Error> {
        let mut input = get_input("bucket", name, None);
        input.version_id = id;
        let request = self.request();
        collect(self.objects.get_object(request.scope(), input).await?).await
    }

    async fn delete_version(&self, name: &str, id: VersionId) -> bool {
        let input = DeleteObject {
            version_id: Some(id),
            ..delete_input("bucket", name)
        };
        let request = self.request();
        let deleted = self.objects.delete_object(request.scope(), input).await;
        deleted.unwrap().delete_marker
    }

    /// The names of the plain listing.
    async fn all_names(&self) -> Vec<String> {
        let input = ListObjects {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            delimiter: String::new(),
            after: None,
            max_keys: 1000,
        };
        let request = self.request();
        let page = self.objects.list_objects(request.scope(), input).await;
        let objects = page.unwrap().objects.into_iter();
        objects.map(|object| object.object_key).collect()
    }

    /// Every page, and never more in one than asked for.
    async fn all_versions(&self, max_keys: u32) -> Vec<(String, VersionId, bool, Option<u64>)> {
        let mut all = Vec::new();
        let mut position = (None, None);
        loop {
            let input = ListObjectVersions {
                bucket: "bucket".to_owned(),
                prefix: String::new(),
                delimiter: String::new(),
                after: position.0,
                after_version: position.1,
                max_keys,
            };
            let request = self.request();
            let page = self
                .objects
                .list_object_versions(request.scope(), input)
                .await
                .unwrap();
            assert!(page.versions.len() <= max_keys as usize);
            all.extend(page.versions.into_iter().map(|version| match version {
                ListedVersion::Object {
                    id,
                    is_latest,
                    object,
                } => (object.object_key, id, is_latest, Some(object.size)),
                ListedVersion::DeleteMarker {
                    id,
                    is_latest,
                    object_key,
                    ..
                } => (object_key, id, is_latest, None),
            }));
            match page.next_after {
                Some((name, id)) => position = (Some(name), id),
                None => return all,
            }
        }
    }
}

/// Reads of one name, current and by every id that it ever had.
async fn check_name(house: &House, model: &mut Model, name: &str, gone: &[(String, VersionId)]) {
    let entries = model.name(name).clone();
    match (house.get_version(name, None).await, entries.first()) {
        (Ok(got), Some(Entry { bytes, .. })) => assert_eq!(Some(&got), bytes.as_ref()),
        (Err(Error::NoSuchKey { .. }), None) => {}
        (
            Err(Error::DeleteMarker {
                named, version_id, ..
            }),
            Some(Entry { bytes: None, id }),
        ) => assert!(!named && version_id == *id),
        (got, expected) => panic!("{name}: {got:?} {expected:?}"),
    }
    for Entry { id, bytes } in &entries {
        match (house.get_version(name, Some(*id)).await, bytes) {
            (Ok(got), Some(bytes)) => assert_eq!(&got, bytes),
            (Err(Error::DeleteMarker { named: true, .. }), None) => {}
            (got, _) => panic!("{name} {id}: {got:?}"),
        }
    }
    for (name, id) in gone.iter().rev().filter(|(of, _)| of == name).take(4) {
        if entries.iter().all(|entry| entry.id != *id) {
            let got = house.get_version(name, Some(*id)).await;
            assert!(matches!(got, Err(Error::NoSuchVersion { .. })), "{got:?}");
        }
    }
}

#[tokio::test]
async fn random_operations_on_versions_match_the_model() {
    for seed in 1..=6 {
        let house = house().await;
        house.bucket("bucket").await;
        let mut rng = SimRng::new(seed);
        let mut model = Model::default();
        let mut gone: Vec<(String, VersionId)> = Vec::new();
        for _ in 0..700 {
            let name = format!("n{}", rng.below(4));
            match rng.below(20) {
                0..=6 => {
                    let bound = if rng.one_in(20) { 100_000 } else { 200 };
                    let mut bytes = vec![0; rng.index(bound)];
                    rng.fill(&mut bytes);
                    let mode = if rng.one_in(3) {
                        kms()
                    } else {
                        EncryptionRequest::S3
                    };
                    let put = house.put("bucket", &name, &bytes, mode).await.unwrap();
                    assert_eq!(put.version_id.is_none(), model.versioning.is_none());
                    model.add(&name, put.version_id, Some(bytes));
                }
                7..=9 => {
                    let request = house.request();
                    let input = delete_input("bucket", &name);
                    let deleted = house.objects.delete_object(request.scope(), input);
                    let deleted = deleted.await.unwrap();
                    assert_eq!(deleted.delete_marker, model.versioning.is_some());
                    if model.versioning.is_some() {
                        model.add(&name, deleted.version_id, None);
                    } else {
                        assert_eq!(deleted.version_id, None);
                        model.name(&name).clear();
                    }
                }
                10..=13 => {
                    let entries = model.name(&name);
                    let at = rng.index(entries.len() + 1);
                    let id = entries.get(at).map_or(VersionId::NULL, |entry| entry.id);
                    let was = entries.iter().position(|entry| entry.id == id);
                    let was = was.map(|at| entries.remove(at));
                    let marker = house.delete_version(&name, id).await;
                    let is_marker = was.is_some_and(|entry| entry.bytes.is_none());
                    assert_eq!(marker, is_marker);
                    gone.push((name.clone(), id));
                }
                14 if rng.one_in(2) => {
                    let status = if rng.one_in(2) {
                        BucketVersioning::Enabled
                    } else {
                        BucketVersioning::Suspended
                    };
                    house.versioning(status).await;
                    model.versioning = Some(status);
                }
                15..=17 => check_name(&house, &mut model, &name, &gone).await,
                _ => {
                    let max_keys = 1 + u32::try_from(rng.below(6)).unwrap();
                    assert_eq!(house.all_versions(max_keys).await, model.listed());
                    let listed = house.all_names().await.into_iter();
                    let newest = model.listed().into_iter();
                    let newest = newest.filter(|(_, _, newest, size)| *newest && size.is_some());
                    assert!(listed.eq(newest.map(|(name, ..)| name)));
                }
            }
        }
        let names: Vec<String> = model.names.keys().cloned().collect();
        for name in names {
            check_name(&house, &mut model, &name, &gone).await;
            for (_, id, ..) in house.all_versions(1000).await {
                house.delete_version(&name, id).await;
            }
            model.name(&name).clear();
        }
        // Nothing is left of what was deleted: no row, no body, no part table.
        for table in [VERSIONS, BODIES, PART_TABLES] {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let left = house.store.tables().scan(table, all.0, all.1, 10, false);
            assert!(left.unwrap().is_empty(), "{table:?}");
        }
        let request = house.request();
        let deleted = house.objects.delete_bucket(request.scope(), "bucket");
        deleted.await.unwrap();
    }
}

#[tokio::test]
async fn ids_of_other_names_buckets_and_rows_find_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    house.versioning(BucketVersioning::Enabled).await;
    let put = |name: &'static str| house.put("bucket", name, b"x", EncryptionRequest::S3);
    let a = put("a").await.unwrap().version_id.unwrap();
    let b = put("b").await.unwrap().version_id.unwrap();
    for (name, id) in [("a", b), ("b", a), ("c", a), ("a", VersionId::NULL)] {
        let got = house.get_version(name, Some(id)).await;
        assert!(matches!(got, Err(Error::NoSuchVersion { .. })), "{got:?}");
        assert!(!house.delete_version(name, id).await);
    }
    // The right place with another uid: the stamp of `a`, and the rest of `b`.
    let forged = format!("{}{}", &a.to_string()[..11], &b.to_string()[11..]);
    let forged = VersionId::parse(&forged).unwrap();
    for name in ["a", "b"] {
        let got = house.get_version(name, Some(forged)).await;
        assert!(matches!(got, Err(Error::NoSuchVersion { .. })), "{got:?}");
        house.delete_version(name, forged).await;
    }
    assert_eq!(house.get_version("a", Some(a)).await.unwrap(), b"x");
    assert_eq!(house.get_version("b", Some(b)).await.unwrap(), b"x");
}

#[tokio::test]
async fn sec_n74_deletes_keep_their_conditions() {
    let house = house().await;
    house.bucket("bucket").await;
    let delete = async |if_match: &str| {
        let input = DeleteObject {
            conditions: WriteConditions {
                if_match: Some(if_match.to_owned()),
                ..WriteConditions::default()
            },
            ..delete_input("bucket", "k")
        };
        let request = house.request();
        house.objects.delete_object(request.scope(), input).await
    };
    let refused = |result| matches!(result, Err(Error::PreconditionFailed { .. }));
    assert!(refused(delete("*").await));
    assert!(refused(delete("e").await));
    for status in [None, Some(BucketVersioning::Enabled)] {
        if let Some(status) = status {
            house.versioning(status).await;
        }
        let put = house.put("bucket", "k", b"x", EncryptionRequest::S3).await;
        assert!(refused(delete("another").await));
        house.get_version("k", None).await.unwrap();
        delete(&put.unwrap().etag).await.unwrap();
        // Nothing is there any more, or a delete marker, which has no ETag.
        assert!(refused(delete("*").await));
    }
}

#[tokio::test]
async fn writers_and_a_change_of_the_bucket_meet() {
    let house = std::sync::Arc::new(house().await);
    house.bucket("bucket").await;
    let mut tasks = Vec::new();
    for number in 0..6_u8 {
        let house = std::sync::Arc::clone(&house);
        tasks.push(tokio::spawn(async move {
            for turn in 0..30_u8 {
                let bytes = [number, turn];
                match (number, turn % 3) {
                    (0, 0) => house.versioning(BucketVersioning::Enabled).await,
                    (0, _) => house.versioning(BucketVersioning::Suspended).await,
                    (1, _) => {
                        let request = house.request();
                        let input = delete_input("bucket", "k");
                        let deleted = house.objects.delete_object(request.scope(), input);
                        deleted.await.unwrap();
                    }
                    (2, _) => drop(house.delete_version("k", VersionId::NULL).await),
                    _ => drop(
                        house
                            .put("bucket", "k", &bytes, EncryptionRequest::S3)
                            .await
                            .unwrap(),
                    ),
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let all = house.all_versions(7).await;
    let nulls = all.iter().filter(|(_, id, ..)| id.is_null()).count();
    assert!(nulls <= 1, "{nulls} null versions");
    for (_, id, _, size) in &all {
        let got = house.get_version("k", Some(*id)).await;
        assert_eq!(got.is_ok(), size.is_some(), "{got:?}");
    }
    let null = house.get_version("k", Some(VersionId::NULL)).await;
    let missing = matches!(null, Err(Error::NoSuchVersion { .. }));
    assert_eq!(missing, nulls == 0);
}
