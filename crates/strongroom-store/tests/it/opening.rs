// SPDX-License-Identifier: Apache-2.0
//! Which drives are opened and which are refused.

use std::sync::Arc;

use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::layout::UnitLayout;
use strongroom_store::{AtRest, BlobId, Error, Store, StoreOptions};
use strongroom_testkit::{SimDrive, TestSealer};

use crate::stage;

fn superblock() -> DrivePath {
    DrivePath::fixed(Folder::Top, "superblock")
}

async fn refused(drive: &SimDrive) -> String {
    let error = stage::open(Arc::new(drive.clone())).await.unwrap_err();
    assert!(matches!(error, Error::DriveRefused { .. }), "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_keeps_its_identity() {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    let (cluster, status) = (store.cluster_id(), store.status());
    assert_eq!(status.facility, "main");
    store.close().await.unwrap();
    drop(store);
    let store = stage::open(Arc::new(drive.crash())).await.unwrap();
    assert_eq!(store.cluster_id(), cluster);
    assert_eq!(store.status().drive_uid, status.drive_uid);
    let other = stage::open(Arc::new(SimDrive::new(1))).await.unwrap();
    assert_ne!(other.cluster_id(), cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_superblock_is_refused() {
    let drive = SimDrive::new(1);
    stage::open(Arc::new(drive.clone()))
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    let len = drive.contents(&superblock()).unwrap().len();
    for at in 0..len {
        drive.rot(&superblock(), at, 0x40);
        refused(&drive).await;
        drive.rot(&superblock(), at, 0x40);
    }
    stage::open(Arc::new(drive)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_superblock_is_refused() {
    for bytes in [&b""[..], b"x", b"another program's file, of some length"] {
        let drive = SimDrive::new(1);
        drive.plant(&superblock(), bytes);
        let message = refused(&drive).await;
        assert!(
            message.contains("not one of a Strongroom drive"),
            "{message}"
        );
        assert_eq!(
            drive.contents(&superblock()).unwrap(),
            bytes,
            "and left alone"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_a_superblock_is_refused() {
    for path in [
        DrivePath::blob(BlobId([9; 16])),
        DrivePath::numbered(Folder::Log, "journal", 1),
        DrivePath::numbered(Folder::Audit, "audit", 1),
        DrivePath::vault([9; 16]),
    ] {
        let drive = SimDrive::new(1);
        drive.plant(&path, b"x");
        let message = refused(&drive).await;
        assert!(
            message.contains("holds data but no superblock"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_unit_length_is_refused() {
    let drive = SimDrive::new(1);
    stage::open(Arc::new(drive.clone()))
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(1));
    let mut options = StoreOptions::default();
    options.blobs.layout = UnitLayout::PRODUCT;
    let error = Store::open(Arc::new(drive), at_rest, options)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another unit length"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_opens_nothing() {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    stage::put(&store, BlobId([1; 16]), b"bytes").await;
    store.close().await.unwrap();
    drop(store);
    let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(2));
    let mut options = StoreOptions::default();
    options.blobs.layout = stage::layout();
    Store::open(Arc::new(drive.clone()), at_rest, options)
        .await
        .unwrap_err();
    let store = stage::open(Arc::new(drive)).await.unwrap();
    assert_eq!(
        store.catalogue(None, 10).unwrap().len(),
        1,
        "and harms nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_illegal_facility_is_refused() {
    for facility in ["", "Main Hall", "a/b"] {
        let drive = SimDrive::new(1);
        let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(1));
        let options = StoreOptions {
            facility: facility.to_owned(),
            ..StoreOptions::default()
        };
        let error = Store::open(Arc::new(drive.clone()), at_rest, options)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::DriveRefused { .. }), "{error}");
        assert!(drive.files().is_empty());
    }
}

/// Log and index of a drive were lost, or taken away in order to put a backup back, and the server
/// was started: it made empty tables, and the collection of orphans removed every body.
#[tokio::test]
async fn dur_d7_tables_that_are_gone_are_not_made_anew_over_what_they_stood_for() {
    for kept in ["blobs", "audit", "vault"] {
        let drive = SimDrive::new(70);
        let shared: Arc<dyn Drive> = Arc::new(drive.clone());
        let store = stage::open(Arc::clone(&shared)).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let path = match kept {
            "blobs" => DrivePath::blob(BlobId([9; 16])),
            "audit" => DrivePath::numbered(Folder::Audit, "events", 1),
            _ => DrivePath::vault([9; 16]),
        };
        drive.plant(&path, b"what the tables stood for");
        for log in drive.list(Folder::Log).unwrap() {
            drive.remove(&log).unwrap();
        }
        for _ in 0..2 {
            let refused = stage::open(Arc::clone(&shared)).await.unwrap_err();
            let text = refused.to_string();
            assert!(text.contains("tables"), "{kept}: {text}");
            assert!(text.contains("restore"), "{kept}: {text}");
        }
        assert!(drive.contents(&path).is_some(), "{kept}");
    }
    // A start that was cut short before there were tables is no such thing.
    let drive = SimDrive::new(71);
    let shared: Arc<dyn Drive> = Arc::new(drive.clone());
    stage::open(Arc::clone(&shared))
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    for log in drive.list(Folder::Log).unwrap() {
        drive.remove(&log).unwrap();
    }
    stage::open(shared).await.unwrap();
}
