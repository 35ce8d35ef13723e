// SPDX-License-Identifier: Apache-2.0
//! The power fails at every operation of a blob's life, and what the unflushed bytes became is
//! drawn anew for every seed. Afterwards: what was acknowledged is there byte for byte, everything
//! else is all or nothing, and no file is without its catalogue row.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::{Batch, BlobId, BlobLocation, Error, Store, Write};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::blob_drives::{Cluster, code};
use crate::stage::{self, UNIT};

const OLD: BlobId = BlobId([0x01; 16]);
const NEW: BlobId = BlobId([0x02; 16]);
const LAST: BlobId = BlobId([0x03; 16]);

/// How sure the client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fact {
    Yes,
    No,
    Unknown,
}

struct Told {
    new_adopted: Fact,
    old_released: Fact,
    last_adopted: Fact,
}

async fn adopt(store: &Store, blob: BlobId, bytes: &[u8], and: Option<Write>) -> Fact {
    let Ok(proof) = stage::write(store, blob, bytes, 2).await else {
        return Fact::No;
    };
    let mut batch = Batch {
        preconditions: Vec::new(),
        writes: vec![Write::AdoptBlob(proof)],
    };
    batch.writes.extend(and);
    match store.tables().commit(batch).await {
        Ok(_) => Fact::Yes,
        Err(_) => Fact::Unknown,
    }
}

/// An overwrite (adopt the new blob, release the old one) and one more upload.
async fn work(store: &Store) -> Told {
    let bytes = |blob: BlobId| stage::bytes(u64::from(blob.0[0]), 5 * UNIT + 3);
    let new_adopted = adopt(store, NEW, &bytes(NEW), Some(Write::ReleaseBlob(OLD))).await;
    let last_adopted = adopt(store, LAST, &bytes(LAST), None).await;
    Told {
        new_adopted,
        old_released: new_adopted,
        last_adopted,
    }
}

async fn check(store: &Store, told: &Told, drive: &SimDrive, note: &str) {
    let report = store.orphans_collected().await;
    assert!(report.is_some(), "{note}: orphan collection failed");
    let holds = |blob: BlobId| store.catalogued(blob).unwrap().map(|entry| entry.location);
    for (blob, fact) in [
        (NEW, told.new_adopted),
        (LAST, told.last_adopted),
        (
            OLD,
            match told.old_released {
                Fact::Yes => Fact::No,
                Fact::No => Fact::Yes,
                Fact::Unknown => Fact::Unknown,
            },
        ),
    ] {
        let found = holds(blob);
        assert!(
            fact == Fact::Unknown || found.is_some() == (fact == Fact::Yes),
            "{note}: {blob}"
        );
        if let Some(location) = found {
            let expected = stage::bytes(u64::from(blob.0[0]), 5 * UNIT + 3);
            assert_eq!(
                stage::read_all(store, &location).await.unwrap(),
                expected,
                "{note}"
            );
            store.blobs().verify(&location).await.unwrap();
        }
    }
    assert_eq!(
        holds(NEW).is_some(),
        holds(OLD).is_none(),
        "{note}: half an overwrite"
    );
    let catalogued: BTreeSet<_> = store
        .catalogue(None, 100)
        .unwrap()
        .into_iter()
        .map(|entry| DrivePath::blob(entry.location.blob))
        .collect();
    let of_blobs = |path: &DrivePath| matches!(path.folder(), Folder::Blobs(_) | Folder::Temporary);
    let files: BTreeSet<_> = drive.files().into_iter().filter(of_blobs).collect();
    assert_eq!(files, catalogued, "{note}: files and catalogue differ");
}

async fn begin(seed: u64) -> (SimDrive, Store) {
    let drive = SimDrive::new(seed);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    stage::put(
        &store,
        OLD,
        &stage::bytes(u64::from(OLD.0[0]), 5 * UNIT + 3),
    )
    .await;
    store.orphans_collected().await.unwrap();
    drive.set_plan(FaultPlan::default());
    (drive, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_at_every_operation() {
    let (drive, store) = begin(0).await;
    let told = work(&store).await;
    store.blobs().reclaimed().await.unwrap();
    assert!(told.new_adopted == Fact::Yes && told.last_adopted == Fact::Yes);
    let operations = drive.operations();
    assert!(operations > 20, "{operations}");
    check(&store, &told, &drive, "without a crash").await;
    for seed in 0..12 {
        for at in 0..=operations {
            let note = format!("seed {seed}, operation {at}");
            let (drive, store) = begin(seed).await;
            drive.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
            let told = work(&store).await;
            let after = drive.crash();
            drop(store);
            let store = stage::open(Arc::new(after.clone())).await.unwrap();
            check(&store, &told, &after, &note).await;
            // And again: the second start finds nothing to do.
            store.close().await.unwrap();
            drop(store);
            let store = stage::open(Arc::new(after.clone())).await.unwrap();
            assert_eq!(
                store.orphans_collected().await.unwrap().removed,
                0,
                "{note}"
            );
            check(&store, &told, &after, &note).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_operation() {
    let (drive, store) = begin(0).await;
    work(&store).await;
    store.blobs().reclaimed().await.unwrap();
    for at in 0..=drive.operations() {
        let note = format!("operation {at}");
        let (drive, store) = begin(1).await;
        drive.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
        let told = work(&store).await;
        let after = drive.kill();
        drop(store);
        let store = stage::open(Arc::new(after.clone())).await.unwrap();
        check(&store, &told, &after, &note).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_while_orphans_are_collected() {
    for at in 0..4 {
        let (drive, store) = begin(7).await;
        let orphan = BlobId([0x77; 16]);
        let proof = stage::write(&store, orphan, &stage::bytes(1, 10), 1)
            .await
            .unwrap();
        let after = drive.crash();
        drop(proof);
        drop(store);
        drive_plan(&after, at);
        if let Ok(store) = stage::open(Arc::new(after.clone())).await {
            store.orphans_collected().await;
        }
        let last = after.crash();
        let store = stage::open(Arc::new(last.clone())).await.unwrap();
        let told = Told {
            new_adopted: Fact::No,
            old_released: Fact::No,
            last_adopted: Fact::No,
        };
        check(&store, &told, &last, &format!("operation {at}")).await;
    }
}

fn drive_plan(drive: &SimDrive, crash_at: u64) {
    drive.set_plan(FaultPlan::new([Fault::CrashAt(crash_at)]));
}

/// A drive may report a flush that it did not make. No store survives that; but what is damaged is
/// told as damage, never handed out, and what was really flushed stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_lying_flush_never_gives_wrong_bytes() {
    let bytes = stage::bytes(u64::from(NEW.0[0]), 5 * UNIT + 3);
    let (mut damaged, mut missing, mut intact) = (0, 0, 0);
    for seed in 0..60 {
        // create, header, three buffers, trailer, rename; then the flushes of file and folder.
        for flush in [7, 8] {
            let (drive, store) = begin(seed).await;
            let lie = FaultPlan::new([Fault::LoseFlushAt(flush)]);
            drive.set_plan(
                lie.within(|folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary)),
            );
            let proof = stage::write(&store, NEW, &bytes, 2).await.unwrap();
            let location = proof.location();
            stage::commit(&store, Write::AdoptBlob(proof)).await;
            let after = drive.crash();
            drop(store);
            let store = stage::open(Arc::new(after)).await.unwrap();
            match stage::read_all(&store, &location).await {
                Ok(read) => {
                    assert_eq!(read, bytes);
                    intact += 1;
                }
                Err(Error::BlobNotFound { .. }) => missing += 1,
                Err(error) => {
                    assert!(error.is_corruption(), "{error}");
                    damaged += 1;
                }
            }
            let old = store.catalogued(OLD).unwrap().unwrap();
            store.blobs().verify(&old.location).await.unwrap();
        }
    }
    assert!(
        damaged > 10 && missing > 10 && intact > 10,
        "{damaged} {missing} {intact}"
    );
}

/// Blobs over several drives: one drive, some, or all of them lose their power at an operation of
/// an upload; then the machine goes, too. All or nothing, and no file that no row stands for.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d1_power_loss_at_every_operation_over_several_drives() {
    for (count, data, parity) in [(3_usize, 2, 1), (4, 2, 2), (6, 4, 2)] {
        let redundancy = code(data, parity);
        let bytes = stage::bytes(77, 17 * UNIT + 3);
        let begin = |seed: u64| {
            let base = seed * 100;
            let drives = (base..).take(count).map(SimDrive::new).collect::<Vec<_>>();
            async move { Cluster::on(drives, redundancy, false).await.unwrap() }
        };
        let upload = |cluster: &Cluster| {
            let (store, bytes) = (cluster.store.clone(), bytes.clone());
            async move {
                let Ok(proof) = stage::write(&store, NEW, &bytes, 8).await else {
                    return Fact::No;
                };
                let batch = Batch {
                    preconditions: Vec::new(),
                    writes: vec![Write::AdoptBlob(proof)],
                };
                match store.tables().commit(batch).await {
                    Ok(_) => Fact::Yes,
                    Err(_) => Fact::Unknown,
                }
            }
        };
        let cluster = begin(0).await;
        for drive in &cluster.drives {
            drive.set_plan(FaultPlan::default());
        }
        assert_eq!(upload(&cluster).await, Fact::Yes);
        let longest = cluster.drives.iter().map(SimDrive::operations).max();
        let (mut there, mut gone) = (0, 0);
        for at in 0..=longest.unwrap() {
            for hit in [1, parity.into(), count] {
                let note = format!("{redundancy}, {hit} drives at operation {at}");
                let seed = at * 7 + u64::try_from(hit).unwrap() + 1;
                let cluster = begin(seed).await;
                // The last ones; the first one has the tables, too.
                for drive in cluster.drives.iter().rev().take(hit) {
                    drive.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
                }
                let fact = upload(&cluster).await;
                let after: Vec<SimDrive> = cluster.drives.iter().map(SimDrive::crash).collect();
                drop(cluster);
                let cluster = Cluster::on(after, redundancy, false).await.unwrap();
                let found = cluster.store.catalogued(NEW).unwrap();
                assert!(
                    fact == Fact::Unknown || found.is_some() == (fact == Fact::Yes),
                    "{note}"
                );
                if let Some(entry) = found {
                    let read = stage::read_all(&cluster.store, &entry.location).await;
                    assert!(read.unwrap() == bytes, "{note}");
                    cluster.store.blobs().verify(&entry.location).await.unwrap();
                    there += 1;
                } else {
                    gone += 1;
                }
                assert_eq!(cluster.files(), cluster.catalogued_files(), "{note}");
            }
        }
        assert!(there > 0 && gone > 0, "{there} {gone}");
    }
}

/// Files of other programs in our folders are none of our business.
#[tokio::test(flavor = "multi_thread")]
async fn orphan_collection_removes_nothing_else() {
    let (drive, store) = begin(3).await;
    store.close().await.unwrap();
    drop(store);
    let foreign = DrivePath::listed(Folder::Blobs(0x01), "notes.txt".to_owned());
    let misplaced = DrivePath::listed(Folder::Blobs(0x02), "01".repeat(16));
    for path in [&foreign, &misplaced, &DrivePath::blob(LAST)] {
        drive.plant(path, b"something");
    }
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    assert_eq!(store.orphans_collected().await.unwrap().removed, 1);
    assert!(drive.contents(&foreign).is_some() && drive.contents(&misplaced).is_some());
    assert!(drive.contents(&DrivePath::blob(LAST)).is_none());
    assert!(drive.contents(&DrivePath::blob(OLD)).is_some());
}

/// Uploads run while the collection of the last process' orphans runs: none is taken for one.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_during_orphan_collection_are_safe() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5_u8 {
        let drive: Arc<dyn Drive> = Arc::new(strongroom_testkit::local_drive(dir.path()).unwrap());
        let store = stage::open(drive).await.unwrap();
        let mut written: Vec<(BlobLocation, Vec<u8>)> = Vec::new();
        for number in 0..40_u8 {
            let blob = BlobId([
                round,
                number,
                number.wrapping_mul(73),
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                1,
            ]);
            let bytes = stage::bytes(u64::from(number), 3 * UNIT);
            written.push((stage::put(&store, blob, &bytes).await, bytes));
        }
        assert_eq!(store.orphans_collected().await.unwrap().removed, 0);
        for (location, bytes) in written {
            assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
        }
        store.close().await.unwrap();
    }
}
