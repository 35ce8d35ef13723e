// SPDX-License-Identifier: Apache-2.0
//! A store without threads: what a simulation stands on.

use std::sync::Arc;

use strongroom_store::blob::BlobOptions;
use strongroom_store::drive::DrivePath;
use strongroom_store::table::TableOptions;
use strongroom_store::{
    AtRest, Batch, BlobId, CommitError, Error, Store, StoreOptions, TableId, Write,
};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, TestSealer};

use crate::stage::{self, UNIT};

async fn open(drive: &SimDrive) -> Result<Store, Error> {
    let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(1));
    let options = StoreOptions {
        blobs: BlobOptions {
            layout: stage::layout(),
            inline: true,
            ..BlobOptions::default()
        },
        tables: TableOptions {
            inline: true,
            ..TableOptions::default()
        },
        ..StoreOptions::default()
    };
    Store::open(Arc::new(drive.clone()), at_rest, options).await
}

fn row() -> Write {
    Write::Put {
        table: TableId(1),
        key: b"key".to_vec(),
        value: b"value".to_vec(),
    }
}

/// Everything a drive is asked for, in numbers, after each step of a short story.
async fn story(crash_at: Option<u64>) -> (Vec<(u64, u64)>, Vec<DrivePath>) {
    let drive = SimDrive::new(1);
    let mut counts = Vec::new();
    let store = open(&drive).await.unwrap();
    drive.set_plan(FaultPlan::new(crash_at.map(Fault::CrashAt)));
    for number in 0..6 {
        let blob = BlobId([number; 16]);
        let bytes = stage::bytes(u64::from(number), 5 * UNIT + 3);
        if let Ok(proof) = stage::write(&store, blob, &bytes, 2).await {
            counts.push((drive.operations(), drive.reads()));
            let mut writes = vec![Write::AdoptBlob(proof), row()];
            if number > 1 {
                writes.push(Write::ReleaseBlob(BlobId([number - 2; 16])));
            }
            let batch = Batch {
                preconditions: Vec::new(),
                writes,
            };
            let _ = store.tables().commit(batch).await;
        }
        counts.push((drive.operations(), drive.reads()));
    }
    let _ = store.close().await;
    counts.push((drive.operations(), drive.reads()));
    drop(store);
    (counts, drive.crash().files())
}

#[tokio::test(flavor = "current_thread")]
async fn the_same_steps_ask_the_drive_for_the_same() {
    let (first, _) = story(None).await;
    let operations = first.last().unwrap().0;
    assert!(operations > 60, "{operations}");
    for crash_at in (0..=operations).map(Some).chain([None]) {
        assert_eq!(story(crash_at).await, story(crash_at).await, "{crash_at:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn files_go_before_the_call_returns() {
    let drive = SimDrive::new(2);
    let store = open(&drive).await.unwrap();
    let (first, second) = (BlobId([1; 16]), BlobId([2; 16]));
    let proof = stage::write(&store, first, &stage::bytes(1, 3 * UNIT), 1).await;
    assert!(drive.contents(&DrivePath::blob(first)).is_some());
    drop(proof.unwrap());
    assert!(drive.contents(&DrivePath::blob(first)).is_none());

    let location = stage::put(&store, second, &stage::bytes(2, 3 * UNIT)).await;
    let pin = store.blobs().pin(vec![second]);
    stage::commit(&store, Write::ReleaseBlob(second)).await;
    assert_eq!(
        stage::read_all(&store, &location).await.unwrap(),
        stage::bytes(2, 3 * UNIT)
    );
    drop(pin);
    assert!(drive.contents(&DrivePath::blob(second)).is_none());
    store.blobs().reclaimed().await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn orphans_are_gone_when_the_store_is_open() {
    let drive = SimDrive::new(3);
    drop(open(&drive).await.unwrap());
    let orphan = DrivePath::blob(BlobId([9; 16]));
    drive.plant(&orphan, b"whatever");
    let store = open(&drive).await.unwrap();
    assert!(drive.contents(&orphan).is_none());
    assert_eq!(store.orphans_collected().await.unwrap().removed, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn commits_behind_the_end_are_refused() {
    let drive = SimDrive::new(4);
    let store = open(&drive).await.unwrap();
    stage::commit(&store, row()).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let late = Batch {
        preconditions: Vec::new(),
        writes: vec![row()],
    };
    let refused = store.tables().commit(late).await.unwrap_err();
    assert!(matches!(refused, CommitError::Store(Error::Closed)));
    // Nothing is replayed: the end took a checkpoint.
    drop(store);
    let store = open(&drive).await.unwrap();
    assert_eq!(store.tables().last_commit().0, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_flush_is_an_unknown_outcome_here_too() {
    let drive = SimDrive::new(5);
    let store = open(&drive).await.unwrap();
    stage::commit(&store, row()).await;
    drive.set_plan(FaultPlan::new((0..4).map(Fault::FailAt)));
    let batch = || Batch {
        preconditions: Vec::new(),
        writes: vec![row()],
    };
    let failed = store.tables().commit(batch()).await.unwrap_err();
    assert!(matches!(failed, CommitError::Unknown), "{failed}");
    assert!(!store.tables().is_in_service());
    assert!(store.tables().commit(batch()).await.is_err());
}
