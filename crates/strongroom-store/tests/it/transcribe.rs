// SPDX-License-Identifier: Apache-2.0
//! A blob's bytes in another blob under another policy: the same bytes, placed by the other rule,
//! out of whatever is left of the source, and never two owners or none, whenever the power fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use strongroom_store::blob::{Keeping, Patience};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveSet, Folder};
use strongroom_store::layout::{BlobPolicy, Redundancy};
use strongroom_store::{
    Batch, BlobId, BlobLocation, CommitError, Error, Precondition, Store, TableId, Write,
};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, SimPower};

use crate::stage::{self, UNIT};

use BlobPolicy::{Archive, OneFacility, Standard};

const OLD: BlobId = BlobId([0x10; 16]);
const NEW: BlobId = BlobId([0x20; 16]);
const OTHER: BlobId = BlobId([0x30; 16]);
const ROWS: TableId = TableId(1);
const ROW: &[u8] = b"row";

/// A store over simulated drives, three in each facility.
struct Rig {
    drives: Vec<SimDrive>,
    set: DriveSet,
    store: Store,
}

fn code(data: u8, parity: u8) -> Redundancy {
    Redundancy::new(data, parity).unwrap()
}

impl Rig {
    async fn new(drives: u64) -> Self {
        let drives = (0..drives).map(SimDrive::new).collect();
        Self::on(drives, false).await.unwrap()
    }

    async fn on(drives: Vec<SimDrive>, inline: bool) -> Result<Self, Error> {
        let shared: Vec<Arc<dyn Drive>> = drives
            .iter()
            .map(|drive| Arc::new(drive.clone()) as Arc<dyn Drive>)
            .collect();
        let set = stage::set_of(&shared, 3);
        // No drive of these tests is slow, however slow the machine is.
        let long = Duration::from_mins(5);
        let patience = Patience {
            write: long,
            quorum: long,
            read: long,
            avoid: Duration::ZERO,
            care: long,
        };
        let usual = Redundancy::for_drives(drives.len());
        let store = stage::open_on(set.clone(), usual, patience, inline).await?;
        store.orphans_collected().await.unwrap();
        Ok(Self { drives, set, store })
    }

    fn keeping(&self, blob: BlobId) -> Keeping {
        self.store.catalogued(blob).unwrap().unwrap().keeping
    }

    fn take_away(&self, drive: usize) {
        let number = DriveNo(u16::try_from(drive).unwrap());
        self.set.set_drive(number, None);
    }

    /// How many shards each facility has.
    fn spread(&self, blob: BlobId) -> BTreeMap<usize, usize> {
        let mut spread = BTreeMap::new();
        for (_, drive) in self.keeping(blob).placement.each() {
            *spread.entry(usize::from(drive.0) / 3).or_default() += 1;
        }
        spread
    }

    async fn put(&self, policy: BlobPolicy, bytes: &[u8]) -> BlobLocation {
        let layout = stage::layout();
        let proof = stage::write_as(&self.store, policy, OLD, layout, bytes, 8).await;
        let proof = proof.unwrap();
        let location = proof.location();
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::AdoptBlob(proof), row(OLD)],
        };
        self.store.tables().commit(batch).await.unwrap();
        location
    }

    /// Moves the blob of the row, as whoever owns the row does. `false`: it is moved already.
    async fn move_on(&self, policy: BlobPolicy, len: usize) -> Result<bool, Option<Error>> {
        let tables = self.store.tables();
        let row_now = tables.get(ROWS, ROW).map_err(Some)?.unwrap();
        let from = BlobId(row_now.value.as_slice().try_into().unwrap());
        let blobs = self.store.blobs();
        let pin = blobs.pin(vec![from]);
        if blobs.lies_as(from, policy).map_err(Some)? {
            return Ok(false);
        }
        let to = if from == OLD { NEW } else { OTHER };
        let proof = blobs
            .transcribe(&location(from, len), to, policy, Vec::new())
            .await;
        let batch = Batch {
            preconditions: vec![Precondition::SeqIs {
                table: ROWS,
                key: ROW.to_vec(),
                seq: row_now.seq,
            }],
            writes: vec![
                Write::AdoptBlob(proof.map_err(Some)?),
                row(to),
                Write::ReleaseBlob(from),
            ],
        };
        let done = tables.commit(batch).await;
        drop(pin);
        match done {
            Ok(_) => Ok(true),
            Err(CommitError::Store(error)) => Err(Some(error)),
            Err(_) => Err(None),
        }
    }

    /// The files of blobs, finished or not, by drive.
    fn files(&self) -> BTreeSet<(usize, DrivePath)> {
        let mut files = BTreeSet::new();
        for (number, drive) in self.drives.iter().enumerate() {
            for path in drive.files() {
                if matches!(path.folder(), Folder::Blobs(_) | Folder::Temporary) {
                    files.insert((number, path));
                }
            }
        }
        files
    }

    /// The files that the catalogue says there are.
    fn catalogued_files(&self) -> BTreeSet<(usize, DrivePath)> {
        let mut files = BTreeSet::new();
        for entry in self.store.catalogue(None, 1000).unwrap() {
            let Keeping {
                placement, owed, ..
            } = entry.keeping;
            for (_, drive) in placement.each().filter(|(shard, _)| !owed.has(*shard)) {
                files.insert((usize::from(drive.0), DrivePath::blob(entry.location.blob)));
            }
        }
        files
    }

    /// What the row names is there, alone, and has these bytes.
    async fn check(&self, bytes: &[u8], note: &str) -> BlobId {
        let row = self.store.tables().get(ROWS, ROW).unwrap().unwrap();
        let blob = BlobId(row.value.as_slice().try_into().unwrap());
        let all = self.store.catalogue(None, 100).unwrap();
        assert_eq!(all.len(), 1, "{note}: one owner, one body");
        assert_eq!((all[0].location.blob, all[0].refs), (blob, 1), "{note}");
        let location = all[0].location;
        let read = stage::read_all(&self.store, &location).await.unwrap();
        assert_eq!(read, bytes, "{note}");
        self.store.blobs().verify(&location).await.unwrap();
        assert_eq!(self.files(), self.catalogued_files(), "{note}");
        blob
    }
}

fn row(blob: BlobId) -> Write {
    Write::Put {
        table: ROWS,
        key: ROW.to_vec(),
        value: blob.0.to_vec(),
    }
}

fn location(blob: BlobId, len: usize) -> BlobLocation {
    BlobLocation {
        blob,
        sealed_bytes: u64::try_from(len).unwrap(),
        layout: stage::layout(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_to_every_other_gives_the_same_bytes_in_other_places() {
    let sizes = [1, UNIT, 6 * UNIT - 1, 8 * UNIT, 40 * UNIT + 5];
    for (drives, standard, archive) in [(9, (4, 2), (6, 3)), (12, (8, 4), (8, 3))] {
        for from in [Standard, OneFacility, Archive] {
            for to in [Standard, OneFacility, Archive] {
                let rig = Rig::new(drives).await;
                for len in sizes {
                    let note = format!("{drives} drives, {from:?} to {to:?}, {len} bytes");
                    let bytes = stage::bytes(7, len);
                    rig.put(from, &bytes).await;
                    let moved = rig.move_on(to, len).await.unwrap();
                    assert_eq!(moved, from != to, "{note}");
                    rig.store.blobs().reclaimed().await.unwrap();
                    let blob = rig.check(&bytes, &note).await;
                    assert!(!rig.move_on(to, len).await.unwrap(), "{note}: once");
                    let keeping = rig.keeping(blob);
                    let (data, parity) = match to {
                        Standard => standard,
                        Archive => archive,
                        // As many as three drives can hold.
                        OneFacility => (1, 2),
                    };
                    assert_eq!(keeping.stripes.redundancy(), code(data, parity), "{note}");
                    assert_eq!((keeping.policy, keeping.owed.len()), (to, 0), "{note}");
                    let spread = rig.spread(blob);
                    if to == OneFacility {
                        assert_eq!(spread.len(), 1, "{note}");
                    } else {
                        let most = spread.values().max().copied().unwrap();
                        assert!(most <= usize::from(parity), "{note}: {spread:?}");
                    }
                    let released = Batch {
                        preconditions: Vec::new(),
                        writes: vec![Write::ReleaseBlob(blob)],
                    };
                    rig.store.tables().commit(released).await.unwrap();
                    rig.store.blobs().reclaimed().await.unwrap();
                    assert_eq!(rig.files(), BTreeSet::new(), "{note}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_drive_every_policy_is_the_same() {
    let rig = Rig::new(1).await;
    let bytes = stage::bytes(1, 9 * UNIT);
    for policy in [Standard, OneFacility, Archive] {
        rig.put(policy, &bytes).await;
        assert_eq!(rig.keeping(OLD).policy, Standard);
        // Of bodies: whatever the tables do behind an answer counts for nothing.
        let bodies = |folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary);
        rig.drives[0].set_plan(FaultPlan::new([]).within(bodies));
        for to in [Standard, OneFacility, Archive] {
            assert!(!rig.move_on(to, bytes.len()).await.unwrap());
        }
        let asked = (rig.drives[0].operations(), rig.drives[0].reads());
        assert_eq!(asked, (0, 0), "nothing is read or written");
        stage::commit(&rig.store, Write::ReleaseBlob(OLD)).await;
        rig.store.blobs().reclaimed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units_of_two_layers_go_over_too() {
    let rig = Rig::new(9).await;
    let layout = stage::layout().wider().unwrap();
    let bytes = stage::bytes(3, 9 * 96 + 17);
    let proof = stage::write_units(&rig.store, OLD, layout, &bytes, 8).await;
    let proof = proof.unwrap();
    let from = proof.location();
    stage::commit(&rig.store, Write::AdoptBlob(proof)).await;
    let moved = rig
        .store
        .blobs()
        .transcribe(&from, NEW, Archive, Vec::new())
        .await;
    let moved = moved.unwrap();
    let to = moved.location();
    assert_eq!((to.layout, to.sealed_bytes), (layout, from.sealed_bytes));
    stage::commit(&rig.store, Write::AdoptBlob(moved)).await;
    assert_eq!(stage::read_all(&rig.store, &to).await.unwrap(), bytes);
    let still = stage::read_all(&rig.store, &from).await.unwrap();
    assert_eq!(still, bytes, "the source is as it was");
}

/// What is left of the source decides: within the tolerance of its code the copy is whole, beyond
/// it there is none, and the source stays what it is.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d7_a_damaged_source_is_made_whole_or_not_moved() {
    let len = 21 * UNIT + 9;
    let bytes = stage::bytes(5, len);
    for damaged in 0..=3 {
        for is_away in [false, true] {
            let note = format!("{damaged} shards, away: {is_away}");
            let rig = Rig::new(9).await;
            rig.put(Standard, &bytes).await;
            let shards: Vec<_> = rig.keeping(OLD).placement.each().collect();
            let lost = shards.iter().map(|(_, drive)| usize::from(drive.0));
            // The first drive has the tables.
            let lost: Vec<usize> = lost.filter(|drive| *drive != 0).take(damaged).collect();
            for drive in &lost {
                if is_away {
                    rig.take_away(*drive);
                } else {
                    // A unit in every shard's first row: together beyond what can be computed.
                    let path = DrivePath::blob(OLD);
                    assert!(rig.drives[*drive].rot(&path, 64 + 5, 0x40), "{note}");
                }
            }
            let before = rig.files();
            match rig.move_on(Archive, len).await {
                Ok(moved) => {
                    assert!(moved && damaged <= 2, "{note}");
                    let read = stage::read_all(&rig.store, &location(NEW, len)).await;
                    assert_eq!(read.unwrap(), bytes, "{note}");
                    let keeping = rig.keeping(NEW);
                    assert_eq!(keeping.policy, Archive);
                    assert!(rig.store.catalogued(OLD).unwrap().is_none(), "{note}");
                }
                Err(error) => {
                    assert_eq!(damaged, 3, "{note}");
                    let error = error.unwrap();
                    assert_eq!(error.is_corruption(), !is_away, "{note}: {error}");
                    rig.store.blobs().reclaimed().await.unwrap();
                    assert_eq!(rig.files(), before, "{note}: nothing stays behind");
                    assert_eq!(rig.keeping(OLD).policy, Standard, "{note}");
                    assert!(rig.store.catalogued(NEW).unwrap().is_none());
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_refused() {
    let rig = Rig::new(9).await;
    let len = 5 * UNIT;
    rig.put(Standard, &stage::bytes(5, len)).await;
    let blobs = rig.store.blobs();
    let unknown = blobs
        .transcribe(&location(OTHER, len), NEW, Archive, Vec::new())
        .await;
    assert!(matches!(unknown, Err(Error::BlobNotFound { blob: OTHER })));
    assert!(matches!(
        blobs.lies_as(OTHER, Archive),
        Err(Error::BlobNotFound { blob: OTHER })
    ));
    let longer = location(OLD, len + UNIT);
    let longer = blobs.transcribe(&longer, NEW, Archive, Vec::new()).await;
    assert!(matches!(longer, Err(Error::CorruptedShard { .. })));
    let first = blobs
        .transcribe(&location(OLD, len), NEW, Archive, Vec::new())
        .await;
    let twice = blobs
        .transcribe(&location(OLD, len), NEW, Archive, Vec::new())
        .await;
    assert!(matches!(twice, Err(Error::BlobExists { blob: NEW })));
    drop(first);
    blobs.reclaimed().await.unwrap();
    assert_eq!(rig.files(), rig.catalogued_files());
    // Too few drives for the write quorum of any code.
    for drive in 1..9 {
        rig.take_away(drive);
    }
    let alone = blobs
        .transcribe(&location(OLD, len), NEW, Archive, Vec::new())
        .await;
    let alone = alone.unwrap_err();
    assert!(
        matches!(
            alone,
            Error::TooFewShards { .. } | Error::TooFewDrives { .. }
        ),
        "{alone}"
    );
}

/// One given up in the middle, as when a server stops.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_given_up_leaves_nothing() {
    let rig = Rig::new(9).await;
    let len = 200 * UNIT;
    let bytes = stage::bytes(5, len);
    rig.put(Standard, &bytes).await;
    for polls in 0..20 {
        let from = location(OLD, len);
        let mut work = Box::pin(
            rig.store
                .blobs()
                .transcribe(&from, NEW, Archive, Vec::new()),
        );
        let mut left = polls;
        let given_up = std::future::poll_fn(|cx| {
            let done = work.as_mut().poll(cx).map(|done| drop(done.unwrap()));
            if left == 0 {
                return std::task::Poll::Ready(());
            }
            left -= 1;
            done
        });
        given_up.await;
        drop(work);
        rig.store.blobs().reclaimed().await.unwrap();
        rig.check(&bytes, &format!("after {polls} polls")).await;
    }
    assert!(rig.move_on(Archive, len).await.unwrap());
    rig.store.blobs().reclaimed().await.unwrap();
    assert_eq!(rig.check(&bytes, "at last").await, NEW);
}

/// Drives fail in the middle: up to the quorum of the new code it goes on, and is owed shards.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d4_a_drive_that_fails_costs_a_shard_or_nothing() {
    let len = 21 * UNIT + 9;
    let bytes = stage::bytes(5, len);
    for failing in [&[4][..], &[1, 5], &[1, 2, 4, 5, 7]] {
        for at in [0, 1, 2, 4, 5, 6] {
            let note = format!("drives {failing:?} at {at}");
            let rig = Rig::new(9).await;
            rig.put(Standard, &bytes).await;
            for drive in failing {
                let plan = FaultPlan::new([Fault::FailAt(at)]);
                rig.drives[*drive].set_plan(
                    plan.within(|folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary)),
                );
            }
            let moved = rig.move_on(Archive, len).await;
            rig.store.blobs().reclaimed().await.unwrap();
            let (blob, gone) = if let Ok(moved) = &moved {
                assert!(*moved, "{note}");
                (NEW, OLD)
            } else {
                assert!(failing.len() > 1, "{note}: the quorum is there");
                (OLD, NEW)
            };
            let keeping = rig.keeping(blob);
            assert!(keeping.owed.len() <= keeping.stripes.redundancy().parity());
            match stage::read_all(&rig.store, &location(blob, len)).await {
                Ok(read) => assert_eq!(read, bytes, "{note}"),
                // Failed flushes took more drives out of service than may be lost.
                Err(Error::TooFewShards { .. }) => assert!(failing.len() > 2, "{note}"),
                Err(other) => panic!("{note}: {other}"),
            }
            assert!(rig.store.catalogued(gone).unwrap().is_none(), "{note}");
        }
    }
}

/// The power of all drives fails at every operation of a move; what was not flushed comes out
/// differently for each seed. Afterwards the body is under one of the policies, whole, alone; and
/// the same move, begun again, comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d1_power_loss_at_every_operation_of_a_move() {
    let len = 13 * UNIT + 3;
    let bytes = stage::bytes(9, len);
    let drives = |seed: u64| (0..9).map(|n| SimDrive::new(seed * 100 + n)).collect();
    let mut outcomes = BTreeSet::new();
    for (from, to) in [
        (Standard, Archive),
        (OneFacility, Archive),
        (Archive, OneFacility),
    ] {
        let mut at = 0;
        loop {
            let note = format!("{from:?} to {to:?}, operation {at}");
            let rig = Rig::on(drives(at), true).await.unwrap();
            rig.put(from, &bytes).await;
            let power = SimPower::default();
            for drive in &rig.drives {
                drive.plug_in(&power);
            }
            power.fail_after(at);
            let moved = rig.move_on(to, len).await;
            let was_cut = power.is_off();
            let next: Vec<SimDrive> = rig.drives.iter().map(SimDrive::crash).collect();
            drop(rig);
            let rig = Rig::on(next, true).await.unwrap();
            let blob = rig.check(&bytes, &note).await;
            outcomes.insert((blob == NEW, moved.is_ok()));
            assert!(
                moved.is_err() || blob == NEW,
                "{note}: it was said to be moved"
            );
            let again = rig.move_on(to, len).await.unwrap();
            assert_eq!(again, blob == OLD, "{note}");
            rig.store.blobs().reclaimed().await.unwrap();
            assert_eq!(rig.check(&bytes, &note).await, NEW, "{note}: begun again");
            assert_eq!(rig.keeping(NEW).policy, to);
            if !was_cut {
                assert!(at > 30, "{at} operations");
                break;
            }
            at += 1;
        }
    }
    let all = BTreeSet::from([(false, false), (true, false), (true, true)]);
    assert_eq!(outcomes, all, "before, unknown and after");
}

/// Two move the same body, or one overwrites it meanwhile: one wins, and the other changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_changes_nothing() {
    let rig = Rig::new(9).await;
    let len = 30 * UNIT;
    let bytes = stage::bytes(5, len);
    rig.put(Standard, &bytes).await;
    let tables = rig.store.tables();
    let seq = tables.get(ROWS, ROW).unwrap().unwrap().seq;
    let (from, blobs) = (location(OLD, len), rig.store.blobs());
    let proof = blobs
        .transcribe(&from, OTHER, OneFacility, Vec::new())
        .await;
    let proof = proof.unwrap();
    assert!(rig.move_on(Archive, len).await.unwrap());
    let batch = Batch {
        preconditions: vec![Precondition::SeqIs {
            table: ROWS,
            key: ROW.to_vec(),
            seq,
        }],
        writes: vec![Write::AdoptBlob(proof), row(OTHER), Write::ReleaseBlob(OLD)],
    };
    let second = tables.commit(batch).await.unwrap_err();
    assert!(matches!(second, CommitError::Precondition { index: 0, .. }));
    drop(second);
    rig.store.blobs().reclaimed().await.unwrap();
    assert_eq!(rig.check(&bytes, "the first won").await, NEW);
}
