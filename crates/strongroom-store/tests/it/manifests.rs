// SPDX-License-Identifier: Apache-2.0
//! What writers leave in front of the trailers, and what becomes of drives without tables.

use std::sync::Arc;

use strongroom_store::blob::ShardTrailer;
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::env::Clock;
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_store::{BlobId, Store, UnitBuffer, Write};
use strongroom_testkit::{SimClock, SimDrive, UnsealedUnits};

use crate::blob_drives::{Cluster, code};
use crate::stage::{self, UNIT};

/// One whose files have a manifest.
const BLOB: BlobId = BlobId([7; 16]);

async fn scrub_and_heal(store: &Store) -> u64 {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1_700_000_000_000));
    let options = ScrubOptions::default();
    let mut scrubber = Scrubber::new(store, Arc::clone(&clock), options).unwrap();
    let found = scrubber.run_pass().await.unwrap().totals.damaged_shards;
    let mut healer = Healer::new(store, clock, HealOptions::default());
    healer.run().await.unwrap();
    store.blobs().reclaimed().await.unwrap();
    found
}

/// The file with another manifest, or none, and a trailer that says so.
fn with_manifest(file: &[u8], sealed_bytes: u64, manifest: &[u8]) -> Vec<u8> {
    let old = stage::manifest(BLOB).len() + 64;
    let mut other = file[..file.len() - old].to_vec();
    other.extend(manifest);
    let trailer = ShardTrailer::new(BLOB, stage::layout(), sealed_bytes, manifest);
    other.extend(trailer.unwrap().to_bytes());
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_without_the_manifest_of_the_others_gets_it() {
    let cluster = Cluster::new(3, code(2, 1)).await;
    let store = &cluster.store;
    let bytes = stage::bytes(1, 5 * UNIT);
    let location = stage::put(store, BLOB, &bytes).await;
    store.blobs().reclaimed().await.unwrap();
    assert!(!stage::manifest(BLOB).is_empty());
    let path = DrivePath::blob(BLOB);
    for drive in &cluster.drives {
        let good = drive.contents(&path).unwrap();
        let without = with_manifest(&good, location.sealed_bytes, &[]);
        drive.plant(&path, &without);
        // It is a whole file, and what is read from it is right.
        assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
        let refused = store.blobs().verify(&location).await.unwrap_err();
        assert!(refused.is_corruption());
        assert_eq!(scrub_and_heal(store).await, 1);
        assert_eq!(drive.contents(&path).unwrap(), good);
        store.blobs().verify(&location).await.unwrap();
    }
    // Where no shard has one, none is missed.
    for drive in &cluster.drives {
        let good = drive.contents(&path).unwrap();
        drive.plant(&path, &with_manifest(&good, location.sealed_bytes, &[]));
    }
    assert_eq!(scrub_and_heal(store).await, 0);
    store.blobs().verify(&location).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_shard_comes_back_with_the_manifest_that_most_have() {
    let cluster = Cluster::new(5, code(2, 2)).await;
    let store = &cluster.store;
    let location = stage::put(store, BLOB, &stage::bytes(1, 5 * UNIT)).await;
    store.blobs().reclaimed().await.unwrap();
    let path = DrivePath::blob(BLOB);
    let with: Vec<_> = cluster
        .drives
        .iter()
        .filter(|drive| drive.contents(&path).is_some())
        .collect();
    let [lost, strange, ..] = with.as_slice() else {
        panic!("four shards");
    };
    let good = lost.contents(&path).unwrap();
    let other = strange.contents(&path).unwrap();
    strange.plant(
        &path,
        &with_manifest(&other, location.sealed_bytes, b"something else"),
    );
    let told = store.blobs().verify(&location).await.unwrap_err();
    assert!(told.is_corruption());
    assert!(lost.remove(&path).unwrap());
    assert_eq!(scrub_and_heal(store).await, 1);
    assert_eq!(lost.contents(&path).unwrap(), good);
}

#[tokio::test]
async fn a_manifest_that_is_too_long_is_left_out() {
    let store = stage::open(Arc::new(SimDrive::new(1))).await.unwrap();
    for (len, kept) in [(16 << 10, 16 << 10), ((16 << 10) + 1, 0_u64)] {
        let blob = BlobId([u8::try_from(kept % 251).unwrap(); 16]);
        let layout = store.blobs().layout();
        let writer = store.blobs().create(blob, layout, UnsealedUnits).await;
        let mut writer = writer.unwrap();
        let buffer: UnitBuffer = store.blobs().buffer(layout, 1);
        writer.write_end(buffer, 1).await.unwrap();
        let proof = writer.finish_with(vec![1; len]).await.unwrap();
        let location = proof.location();
        stage::commit(&store, Write::AdoptBlob(proof)).await;
        store.blobs().verify(&location).await.unwrap();
        let file = store.home().list(DrivePath::blob(blob).folder()).unwrap();
        assert_eq!(file.len(), 1);
        let access = strongroom_store::drive::Access::Read;
        let open = store.home().open(&file[0], access).unwrap().unwrap();
        let bytes = 128 + UNIT as u64 + 8 + kept;
        assert_eq!(open.len().unwrap(), bytes);
    }
}

#[tokio::test]
async fn dur_d2_drives_whose_tables_are_gone_are_not_taken_for_new() {
    for what in ["a body", "a secret"] {
        let drive = SimDrive::new(1);
        let shared: Arc<dyn Drive> = Arc::new(drive.clone());
        let store = stage::open(Arc::clone(&shared)).await.unwrap();
        if what == "a body" {
            stage::put(&store, BLOB, &stage::bytes(1, 5 * UNIT)).await;
        } else {
            let put = store.vault().put([3; 16], [4; 16], b"sealed").await;
            put.unwrap();
        }
        store.close().await.unwrap();
        drop(store);
        let kept = || -> Vec<_> {
            let folders = (0..=u8::MAX).map(Folder::Blobs).chain([Folder::Vault]);
            folders.flat_map(|of| drive.list(of).unwrap()).collect()
        };
        let before = kept();
        assert_eq!(before.len(), 1);
        let log = drive.list(Folder::Log).unwrap();
        let saved: Vec<_> = log
            .iter()
            .map(|path| (path.clone(), drive.contents(path).unwrap()))
            .collect();
        for path in &log {
            drive.remove(path).unwrap();
        }
        for _ in 0..2 {
            let refused = stage::open(Arc::clone(&shared)).await.unwrap_err();
            assert!(refused.to_string().contains("its tables are gone"));
            assert_eq!(kept(), before, "{what}");
        }
        for (path, bytes) in saved {
            drive.plant(&path, &bytes);
        }
        let store = stage::open(Arc::clone(&shared)).await.unwrap();
        assert_eq!(kept(), before, "{what}");
        store.close().await.unwrap();
    }
}
