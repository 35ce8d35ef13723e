// SPDX-License-Identifier: Apache-2.0
//! Tables and vault into one file and back.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use strongroom_store::backup::{BackupFile, restore};
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::layout::UnitLayout;
use strongroom_store::table::TableOptions;
use strongroom_store::{AtRest, Batch, BlobLocation, Error, Store, StoreOptions, TableId, Write};
use strongroom_testkit::{SimDrive, TestSealer, UnsealedUnits};

const TABLE: TableId = TableId(20);
const KEYRING: &[u8] = b"the keyring, sealed by its root key";

fn sealer() -> Arc<dyn AtRest> {
    Arc::new(TestSealer::new(1))
}

async fn open(drive: &SimDrive) -> Store {
    let drive: Arc<dyn Drive> = Arc::new(drive.clone());
    Store::open(drive, sealer(), StoreOptions::default())
        .await
        .unwrap()
}

fn put(key: &str, value: &[u8]) -> Write {
    Write::Put {
        table: TABLE,
        key: key.as_bytes().to_vec(),
        value: value.to_vec(),
    }
}

async fn commit(store: &Store, writes: Vec<Write>) -> u64 {
    let batch = Batch {
        preconditions: Vec::new(),
        writes,
    };
    store.tables().commit(batch).await.unwrap().0
}

async fn blob(store: &Store, id: u8) -> BlobLocation {
    let blobs = store.blobs();
    let layout = blobs.layout();
    let mut writer = blobs
        .create(strongroom_store::BlobId([id; 16]), layout, UnsealedUnits)
        .await
        .unwrap();
    let mut buffer = blobs.buffer(layout, 1);
    buffer.slot_mut(0).fill(id);
    writer.write_end(buffer, 1).await.unwrap();
    let proof = writer.finish().await.unwrap();
    let location = proof.location();
    commit(store, vec![Write::AdoptBlob(proof)]).await;
    location
}

fn backup(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    let files = [("root-credential.sealed", b"sealed".to_vec())];
    let report = store
        .backup(
            sealer().as_ref(),
            KEYRING.to_vec(),
            7,
            &files,
            &mut out,
            |_| ControlFlow::Continue(()),
        )
        .unwrap();
    assert_eq!(report.bytes, u64::try_from(out.len()).unwrap());
    out
}

fn put_back(drive: &SimDrive, bytes: &[u8]) -> Result<strongroom_store::backup::Restored, Error> {
    let drive: Arc<dyn Drive> = Arc::new(drive.clone());
    let mut file = BackupFile::open(Cursor::new(bytes.to_vec()))?;
    assert_eq!(file.head().keyring, KEYRING);
    restore(
        &drive,
        &sealer(),
        UnitLayout::PRODUCT,
        TableOptions::default(),
        &mut file,
    )
}

fn rows(store: &Store) -> BTreeMap<Vec<u8>, (Vec<u8>, u64)> {
    store
        .tables()
        .scan(TABLE, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)
        .unwrap()
        .into_iter()
        .map(|(key, row)| (key, (row.value, row.seq)))
        .collect()
}

/// A drive that lost its tables and vault but not its shards.
fn lose_tables(drive: &SimDrive) {
    for folder in [Folder::Log, Folder::Vault] {
        for path in drive.list(folder).unwrap() {
            drive.remove(&path).unwrap();
        }
    }
}

#[tokio::test]
async fn dur_d15_tables_come_back_with_their_numbers() {
    let drive = SimDrive::new(1);
    let store = open(&drive).await;
    for number in 0..300_u32 {
        let value = vec![u8::try_from(number % 251).unwrap(); 5_000];
        commit(&store, vec![put(&format!("row {number}"), &value)]).await;
    }
    let kept = blob(&store, 1).await;
    store
        .vault()
        .put([3; 16], [4; 16], b"a sealed secret")
        .await
        .unwrap();
    let cluster = store.cluster_id();
    let before = rows(&store);
    let last = store.tables().last_commit();
    let bytes = backup(&store);
    // What comes later is not in it.
    commit(&store, vec![put("later", b"x"), put("row 0", b"changed")]).await;
    let later = blob(&store, 2).await;
    store.close().await.unwrap();
    drop(store);
    lose_tables(&drive);

    let restored = put_back(&drive, &bytes).unwrap();
    assert_eq!((restored.secrets, restored.files.len()), (1, 1));
    let store = open(&drive).await;
    assert_eq!(store.cluster_id(), cluster);
    assert_eq!(rows(&store), before);
    assert_eq!(store.tables().last_commit(), last);
    assert!(store.blobs().verify(&kept).await.is_ok());
    assert_eq!(
        store.vault().get([3; 16], [4; 16]).unwrap().as_deref(),
        Some(b"a sealed secret".as_slice())
    );
    // The shard of a blob that the backup does not know is kept until the operator says so.
    assert!(store.is_restored().unwrap());
    store.orphans_collected().await;
    let file = DrivePath::blob(later.blob);
    let is_there = || drive.list(file.folder()).unwrap().contains(&file);
    assert!(is_there());
    assert_eq!(commit(&store, vec![put("next", b"y")]).await, last.0 + 1);
    assert!(
        store
            .tables()
            .verify_log(|_| ControlFlow::Continue(()))
            .unwrap()
            .damaged
            .is_empty()
    );
    store.close().await.unwrap();
    drop(store);
    let store = open(&drive).await;
    assert_eq!(rows(&store).len(), before.len() + 1);
    assert!(store.finish_restore().unwrap() && !store.finish_restore().unwrap());
    store.close().await.unwrap();
    drop(store);
    let store = open(&drive).await;
    assert_eq!(store.orphans_collected().await.unwrap().removed, 1);
    assert!(!is_there());
    assert!(store.blobs().verify(&kept).await.is_ok());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_is_of_one_moment() {
    let drive = SimDrive::new(2);
    let store = open(&drive).await;
    for number in 0..2_000_u32 {
        commit(&store, vec![put(&format!("{number:05}"), b"old")]).await;
    }
    let mut out = Vec::new();
    let last = store.tables().last_commit();
    let handle = tokio::runtime::Handle::current();
    let copy = store.clone();
    let done = tokio::task::spawn_blocking(move || {
        let report = copy.backup(
            sealer().as_ref(),
            KEYRING.to_vec(),
            7,
            &[],
            &mut out,
            |_| {
                // Between two looks everything changes.
                handle.block_on(commit(
                    &copy,
                    vec![
                        put("00000", b"new"),
                        put("01999", b"new"),
                        put("zz", b"new"),
                    ],
                ));
                ControlFlow::Continue(())
            },
        );
        (report.unwrap(), out)
    });
    let (report, bytes) = done.await.unwrap();
    assert_eq!(report.seq, last.0);
    store.close().await.unwrap();
    let empty = SimDrive::new(3);
    put_back(&empty, &bytes).unwrap();
    let store = open(&empty).await;
    let rows = rows(&store);
    assert!(rows.len() == 2_000 && rows.values().all(|(value, _)| value == b"old"));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_shows_nothing_in_clear() {
    let drive = SimDrive::new(4);
    let store = open(&drive).await;
    commit(
        &store,
        vec![put("a very secret name", b"a very secret value")],
    )
    .await;
    let bytes = backup(&store);
    for text in ["secret name", "secret value", "root-credential"] {
        let found = bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes());
        assert!(!found, "{text}");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn every_changed_byte_every_cut_every_addition_is_refused() {
    let drive = SimDrive::new(5);
    let store = open(&drive).await;
    for number in 0..5 {
        commit(&store, vec![put(&format!("row {number}"), b"value")]).await;
    }
    store
        .vault()
        .put([3; 16], [4; 16], b"a sealed secret")
        .await
        .unwrap();
    let good = backup(&store);
    store.close().await.unwrap();
    let refused = |bytes: &[u8], what: &str| {
        let empty = SimDrive::new(6);
        let drive: Arc<dyn Drive> = Arc::new(empty.clone());
        let result = BackupFile::open(Cursor::new(bytes.to_vec())).and_then(|mut file| {
            restore(
                &drive,
                &sealer(),
                UnitLayout::PRODUCT,
                TableOptions::default(),
                &mut file,
            )
        });
        let error = result.expect_err(what);
        assert!(error.is_corruption(), "{what}: {error}");
        assert!(
            empty.list(Folder::Log).unwrap().is_empty(),
            "{what}: something was changed"
        );
    };
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        refused(&bad, &format!("byte {byte}"));
    }
    for len in 0..good.len() {
        refused(&good[..len], &format!("cut to {len}"));
    }
    refused(&[good.as_slice(), &[0]].concat(), "longer");
    refused(&[good.as_slice(), &good].concat(), "twice");
    put_back(&SimDrive::new(7), &good).unwrap();
}

#[tokio::test]
async fn drives_that_take_no_backup() {
    let drive = SimDrive::new(8);
    let store = open(&drive).await;
    commit(&store, vec![put("row", b"value")]).await;
    let bytes = backup(&store);
    store.close().await.unwrap();
    drop(store);
    let refusal = |drive: &SimDrive| put_back(drive, &bytes).unwrap_err().to_string();
    assert!(
        refusal(&drive).contains("it has tables"),
        "its own tables are there"
    );
    let other = SimDrive::new(9);
    let store = open(&other).await;
    store.close().await.unwrap();
    drop(store);
    lose_tables(&other);
    assert!(refusal(&other).contains("another cluster"));
    let strange = SimDrive::new(10);
    let path = DrivePath::numbered(Folder::Audit, "events", 1);
    strange.create(&path).unwrap();
    assert!(refusal(&strange).contains("no superblock"));
    // The key of another store.
    let empty: Arc<dyn Drive> = Arc::new(SimDrive::new(11));
    let mut file = BackupFile::open(Cursor::new(bytes.clone())).unwrap();
    let wrong: Arc<dyn AtRest> = Arc::new(TestSealer::new(2));
    let done = restore(
        &empty,
        &wrong,
        UnitLayout::PRODUCT,
        TableOptions::default(),
        &mut file,
    );
    assert!(done.unwrap_err().is_corruption());
}

/// The power fails at every operation of a restore: the next one goes on, or there are tables.
#[tokio::test]
async fn a_restore_that_was_broken_off_is_begun_again() {
    use strongroom_testkit::{Fault, FaultPlan};
    let drive = SimDrive::new(12);
    let store = open(&drive).await;
    for number in 0..20 {
        commit(&store, vec![put(&format!("row {number}"), b"value")]).await;
    }
    store
        .vault()
        .put([3; 16], [4; 16], b"a sealed secret")
        .await
        .unwrap();
    let before = rows(&store);
    let bytes = backup(&store);
    store.close().await.unwrap();
    let mut broken_off = 0;
    for at in 0.. {
        let target = SimDrive::new(100 + at);
        target.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
        let done = put_back(&target, &bytes);
        let next = target.crash();
        match &done {
            Err(_) => {
                broken_off += 1;
                match put_back(&next, &bytes) {
                    Ok(_) => {}
                    // The last operation had been carried out.
                    Err(error) => assert!(error.to_string().contains("it has tables"), "{error}"),
                }
            }
            Ok(_) => assert!(target.operations() <= at),
        }
        let store = open(&next).await;
        assert_eq!(rows(&store), before, "crash at {at}");
        assert!(store.vault().get([3; 16], [4; 16]).unwrap().is_some());
        store.close().await.unwrap();
        if done.is_ok() {
            break;
        }
    }
    assert!(broken_off >= 6, "{broken_off}");
}
