// SPDX-License-Identifier: Apache-2.0
//! Blobs over several drives: what is lost, damaged or in the wrong place is read around, told to
//! whoever heals, and never handed out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use strongroom_store::blob::{
    BlobOptions, Damage, DamageKind, Keeping, Patience, Placement, ShardSet, write_quorum,
};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveSet, DriveState, Folder, Standing};
use strongroom_store::layout::{Redundancy, ShardIndex};
use strongroom_store::{Batch, BlobId, BlobLocation, CommitError, Error, Store, Write};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::stage::{self, UNIT};

const BLOB: BlobId = BlobId([0xB0; 16]);
const OTHER: BlobId = BlobId([0x0B; 16]);

/// A store over simulated drives.
pub(crate) struct Cluster {
    pub(crate) drives: Vec<SimDrive>,
    pub(crate) set: DriveSet,
    pub(crate) store: Store,
}

pub(crate) fn code(data: u8, parity: u8) -> Redundancy {
    Redundancy::new(data, parity).unwrap()
}

impl Cluster {
    pub(crate) async fn new(drives: u64, redundancy: Redundancy) -> Self {
        Self::on((0..drives).map(SimDrive::new).collect(), redundancy, false)
            .await
            .unwrap()
    }

    pub(crate) async fn on(
        drives: Vec<SimDrive>,
        redundancy: Redundancy,
        inline: bool,
    ) -> Result<Self, Error> {
        let shared: Vec<Arc<dyn Drive>> = drives
            .iter()
            .map(|drive| Arc::new(drive.clone()) as Arc<dyn Drive>)
            .collect();
        // Two facilities: no limit but one shard for each drive.
        let set = stage::set_of(&shared, shared.len().div_ceil(2));
        // No drive of these tests is slow, however slow the machine is.
        let long = Duration::from_mins(5);
        let patience = Patience {
            write: long,
            quorum: long,
            read: long,
            avoid: Duration::ZERO,
            care: long,
        };
        let store = stage::open_on(set.clone(), redundancy, patience, inline).await?;
        store.orphans_collected().await.unwrap();
        Ok(Self { drives, set, store })
    }

    pub(crate) fn keeping(&self, blob: BlobId) -> Keeping {
        self.store.catalogued(blob).unwrap().unwrap().keeping
    }

    /// The drive of a shard.
    fn of_shard(&self, blob: BlobId, shard: u8) -> (DriveNo, &SimDrive) {
        let number = self
            .keeping(blob)
            .placement
            .drive(ShardIndex(shard))
            .unwrap();
        (number, &self.drives[usize::from(number.0)])
    }

    /// Takes drives away, or puts them back.
    fn set_there(&self, lost: &BTreeSet<usize>) {
        for (number, drive) in self.drives.iter().enumerate() {
            let there =
                (!lost.contains(&number)).then(|| Arc::new(drive.clone()) as Arc<dyn Drive>);
            self.set
                .set_drive(DriveNo(u16::try_from(number).unwrap()), there);
        }
    }

    /// Every file of a blob, finished or not, with the drive it is on.
    pub(crate) fn files(&self) -> BTreeSet<(usize, DrivePath)> {
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
    pub(crate) fn catalogued_files(&self) -> BTreeSet<(usize, DrivePath)> {
        let mut files = BTreeSet::new();
        for entry in self.store.catalogue(None, 1000).unwrap() {
            let Keeping {
                placement, owed, ..
            } = entry.keeping;
            for (shard, drive) in placement.each() {
                if !owed.has(shard) {
                    files.insert((usize::from(drive.0), DrivePath::blob(entry.location.blob)));
                }
            }
        }
        files
    }

    async fn commit(&self, write: Write) -> Result<(), CommitError> {
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![write],
        };
        self.store.tables().commit(batch).await.map(|_| ())
    }
}

/// Every set of `count` numbers below `below`.
fn subsets(below: usize, count: usize) -> Vec<BTreeSet<usize>> {
    (0_u32..1 << below)
        .filter(|bits| bits.count_ones() as usize == count)
        .map(|bits| (0..below).filter(|bit| bits & (1 << bit) != 0).collect())
        .collect()
}

/// More than two stripes; every shard has units, the last one short.
fn long(redundancy: Redundancy) -> usize {
    let data = usize::from(redundancy.data());
    let stripe = data * (8 / data).max(1);
    (2 * stripe + data) * UNIT - 11
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_comes_back_under_every_code() {
    for (data, parity) in [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 2),
        (4, 2),
        (5, 3),
        (8, 4),
    ] {
        let redundancy = code(data, parity);
        let cluster = Cluster::new(u64::from(redundancy.shards()), redundancy).await;
        let store = &cluster.store;
        let stripe = usize::from(data) * (8 / usize::from(data)).max(1);
        let mut number = 0_u8;
        for size in [
            0,
            1,
            UNIT - 1,
            UNIT,
            UNIT + 1,
            usize::from(data) * UNIT,
            stripe * UNIT - 1,
            stripe * UNIT,
            stripe * UNIT + 1,
            3 * stripe * UNIT + 5 * UNIT + 7,
        ] {
            for units_per_buffer in [1, 3, 8, stripe, 2 * stripe + 1] {
                number += 1;
                let note = format!("{redundancy}, {size} bytes by {units_per_buffer}");
                let bytes = stage::bytes(u64::from(number), size);
                let blob = BlobId([number; 16]);
                let proof = stage::write(store, blob, &bytes, units_per_buffer)
                    .await
                    .unwrap();
                assert!(proof.keeping().owed.is_empty(), "{note}");
                let location = proof.location();
                stage::commit(store, Write::AdoptBlob(proof)).await;
                assert_eq!(
                    stage::read_all(store, &location).await.unwrap(),
                    bytes,
                    "{note}"
                );
                let report = store.blobs().verify(&location).await.unwrap();
                assert_eq!(
                    (report.shards, report.away),
                    (redundancy.shards(), 0),
                    "{note}"
                );
                assert_eq!(report.sealed_bytes, size as u64);
                store.blobs().verify_trailer(&location).await.unwrap();
            }
        }
        assert_eq!(cluster.files(), cluster.catalogued_files());
        assert!(store.blobs().damage().is_empty());
        assert!(store.owed(None, 10).unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_range_comes_back_with_and_without_a_drive() {
    let redundancy = code(3, 2);
    let cluster = Cluster::new(5, redundancy).await;
    let bytes = stage::bytes(3, 14 * UNIT + 9);
    let location = stage::put(&cluster.store, BLOB, &bytes).await;
    for lost in [BTreeSet::new(), BTreeSet::from([1]), BTreeSet::from([0, 4])] {
        cluster.set_there(&lost);
        for first in 0..17_u64 {
            for units in 0..17_u32 {
                let start = usize::try_from(first).unwrap() * UNIT;
                let end = start + usize::try_from(units).unwrap() * UNIT;
                let read = stage::read(&cluster.store, &location, first, units).await;
                if units > 0 && first + u64::from(units) <= 15 {
                    assert_eq!(
                        read.unwrap(),
                        bytes[start..end.min(bytes.len())],
                        "{lost:?}"
                    );
                } else {
                    assert!(matches!(read.unwrap_err(), Error::OutOfRange { .. }));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_range_asks_one_drive() {
    let cluster = Cluster::new(6, code(4, 2)).await;
    let location = stage::put(&cluster.store, BLOB, &stage::bytes(3, 16 * UNIT)).await;
    for unit in 0..16 {
        let before: Vec<_> = cluster.drives.iter().map(SimDrive::reads).collect();
        stage::read(&cluster.store, &location, unit, 1)
            .await
            .unwrap();
        let asked: Vec<_> = cluster
            .drives
            .iter()
            .zip(before)
            .enumerate()
            // The first drive has the tables, too.
            .filter(|(_, (drive, before))| drive.reads() != *before)
            .map(|(number, _)| DriveNo(u16::try_from(number).unwrap()))
            .filter(|number| *number != DriveNo(0))
            .collect();
        let shard = u8::try_from(unit % 8 / 2).unwrap();
        let (expected, _) = cluster.of_shard(BLOB, shard);
        assert!(
            asked.iter().all(|number| *number == expected),
            "unit {unit} asked {asked:?}"
        );
    }
}

/// All of C(n, <= m) for n <= 8: any drives that may be lost are; one more is a clean error.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d8_every_pattern_of_lost_drives_reads_back_and_one_more_is_a_clean_error() {
    for drives in 2..=8_u8 {
        for parity in 1..drives {
            let redundancy = code(drives - parity, parity);
            let cluster = Cluster::new(u64::from(drives), redundancy).await;
            let bytes = stage::bytes(u64::from(drives), long(redundancy));
            let location = stage::put(&cluster.store, BLOB, &bytes).await;
            for count in 0..=usize::from(parity) {
                for lost in subsets(usize::from(drives), count) {
                    cluster.set_there(&lost);
                    let read = stage::read_all(&cluster.store, &location).await.unwrap();
                    assert!(read == bytes, "{redundancy} without {lost:?}");
                }
            }
            for lost in subsets(usize::from(drives), usize::from(parity) + 1) {
                cluster.set_there(&lost);
                let error = stage::read_all(&cluster.store, &location)
                    .await
                    .unwrap_err();
                assert!(
                    matches!(error, Error::TooFewShards { .. }),
                    "{redundancy} without {lost:?}: {error}"
                );
                assert!(cluster.store.blobs().verify(&location).await.is_err());
            }
            cluster.set_there(&BTreeSet::new());
            assert_eq!(
                stage::read_all(&cluster.store, &location).await.unwrap(),
                bytes
            );
            assert!(
                cluster.store.blobs().damage().is_empty(),
                "away is no damage"
            );
        }
    }
}

/// The same with files that are gone from drives that are there: that is damage.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d7_every_pattern_of_damaged_shards_reads_back_and_one_more_is_damage() {
    for (data, parity) in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2), (3, 3)] {
        let redundancy = code(data, parity);
        let cluster = Cluster::new(u64::from(redundancy.shards()), redundancy).await;
        let store = &cluster.store;
        let bytes = stage::bytes(5, long(redundancy));
        let location = stage::put(store, BLOB, &bytes).await;
        let path = DrivePath::blob(BLOB);
        let good: Vec<_> = cluster
            .drives
            .iter()
            .map(|drive| drive.contents(&path).unwrap())
            .collect();
        for count in 1..=usize::from(parity) + 1 {
            for lost in subsets(usize::from(redundancy.shards()), count) {
                for (drive, good) in cluster.drives.iter().zip(&good) {
                    drive.plant(&path, good);
                }
                for number in &lost {
                    let mut bad = good[*number].clone();
                    match number % 3 {
                        0 => bad.fill(0),
                        1 => bad.truncate(bad.len() - 1),
                        _ => bad[64 + 3] ^= 4,
                    }
                    cluster.drives[*number].plant(&path, &bad);
                }
                let read = stage::read_all(store, &location).await;
                if count <= usize::from(parity) {
                    assert!(read.unwrap() == bytes, "{redundancy}, {lost:?}");
                } else {
                    let error = match read {
                        // A unit lost in one row only, another in another: still enough.
                        Ok(read) => {
                            assert!(read == bytes);
                            continue;
                        }
                        Err(error) => error,
                    };
                    assert!(error.is_corruption(), "{redundancy}, {lost:?}: {error}");
                }
                let data_lost = lost.iter().any(|number| {
                    let drive = DriveNo(u16::try_from(*number).unwrap());
                    let shard = cluster.keeping(BLOB).placement.shard_on(drive).unwrap();
                    redundancy.is_data(shard)
                });
                let queued = store.blobs().damage().take(100);
                assert_eq!(!queued.is_empty(), data_lost, "{redundancy}, {lost:?}");
                for damage in queued {
                    assert!(lost.contains(&usize::from(damage.drive.0)), "{damage:?}");
                }
            }
        }
    }
}

/// Every byte of every shard: header, units, checksums, trailer.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d7_any_byte_of_any_shard_flipped_is_read_around_and_queued() {
    let redundancy = code(2, 1);
    let cluster = Cluster::new(3, redundancy).await;
    let store = &cluster.store;
    let bytes = stage::bytes(4, 5 * UNIT + 9);
    let location = stage::put(store, BLOB, &bytes).await;
    let path = DrivePath::blob(BLOB);
    for shard in 0..3 {
        let (number, drive) = cluster.of_shard(BLOB, shard);
        let len = drive.contents(&path).unwrap().len();
        for at in 0..len {
            assert!(drive.rot(&path, at, 1 << (at % 8)));
            let read = stage::read_all(store, &location).await.unwrap();
            assert!(read == bytes, "byte {at} of shard {shard}");
            let queued = store.blobs().damage().take(9);
            let kind = if at < 64 {
                DamageKind::File
            } else {
                DamageKind::Unit
            };
            let expected = Damage {
                blob: BLOB,
                shard: ShardIndex(shard),
                drive: number,
                kind,
            };
            // Reads look at data shards up to the trailer; the rest is the work of verify.
            if shard < 2 && at < len - 64 {
                assert_eq!(queued, [expected], "byte {at} of shard {shard}");
            } else {
                assert_eq!(queued, [], "byte {at} of shard {shard}");
            }
            let found = store.blobs().verify(&location).await.unwrap_err();
            assert!(found.is_corruption(), "byte {at} of shard {shard}: {found}");
            let queued = store.blobs().damage().take(9);
            assert!(matches!(queued.as_slice(), [Damage { shard: found, .. }] if found.0 == shard));
            drive.rot(&path, at, 1 << (at % 8));
        }
    }
    store.blobs().verify(&location).await.unwrap();
}

/// Files that lie on the wrong drive, are those of another blob, or of an earlier one.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d7_swapped_foreign_and_stale_shards_are_read_around() {
    let cluster = Cluster::new(4, code(2, 2)).await;
    let store = &cluster.store;
    let bytes = stage::bytes(4, 9 * UNIT + 9);
    let location = stage::put(store, BLOB, &bytes).await;
    let other = stage::put(store, OTHER, &stage::bytes(7, 9 * UNIT + 9)).await;
    let (path, foreign) = (DrivePath::blob(BLOB), DrivePath::blob(OTHER));
    let contents = |shard: u8, of: &DrivePath| {
        let (_, drive) = cluster.of_shard(BLOB, shard);
        drive.contents(of).unwrap()
    };
    let (one, two) = (contents(0, &path), contents(1, &path));
    cluster.of_shard(BLOB, 0).1.plant(&path, &two);
    cluster.of_shard(BLOB, 1).1.plant(&path, &one);
    assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
    assert_eq!(store.blobs().damage().take(9).len(), 2);
    // Put right, and then the file of another blob in the place of one.
    cluster.of_shard(BLOB, 0).1.plant(&path, &one);
    cluster.of_shard(BLOB, 1).1.plant(&path, &two);
    store.blobs().verify(&location).await.unwrap();
    for shard in 0..4 {
        let (_, drive) = cluster.of_shard(BLOB, shard);
        let good = drive.contents(&path).unwrap();
        drive.plant(&path, &drive.contents(&foreign).unwrap());
        assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
        assert!(
            store
                .blobs()
                .verify(&location)
                .await
                .unwrap_err()
                .is_corruption()
        );
        drive.plant(&path, &good);
    }
    assert_eq!(
        stage::read_all(store, &other).await.unwrap(),
        stage::bytes(7, 9 * UNIT + 9)
    );
    let wrong = BlobLocation {
        sealed_bytes: other.sealed_bytes - 1,
        ..other
    };
    assert!(
        store
            .blobs()
            .open(&wrong)
            .await
            .unwrap_err()
            .is_corruption()
    );
}

/// Parity that fits its checksum and not the data: only comparing finds it.
#[tokio::test(flavor = "multi_thread")]
async fn parity_of_other_data_is_found_by_verify() {
    let cluster = Cluster::new(3, code(2, 1)).await;
    let store = &cluster.store;
    stage::put(store, BLOB, &stage::bytes(1, 4 * UNIT)).await;
    let (_, parity) = cluster.of_shard(BLOB, 2);
    let stale = parity.contents(&DrivePath::blob(BLOB)).unwrap();
    let number = cluster.of_shard(BLOB, 2).0;
    cluster.commit(Write::ReleaseBlob(BLOB)).await.unwrap();
    store.blobs().reclaimed().await.unwrap();
    // The same id again, with other bytes; until the placement is the same, too.
    let bytes = stage::bytes(2, 4 * UNIT);
    let location = stage::put(store, BLOB, &bytes).await;
    assert_eq!(cluster.of_shard(BLOB, 2).0, number, "placed by its id");
    cluster
        .of_shard(BLOB, 2)
        .1
        .plant(&DrivePath::blob(BLOB), &stale);
    let found = store.blobs().verify(&location).await.unwrap_err();
    assert!(found.is_corruption(), "{found}");
    let queued = store.blobs().damage().take(9);
    assert!(matches!(
        queued.as_slice(),
        [Damage {
            shard: ShardIndex(2),
            ..
        }]
    ));
    assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d4_a_drive_that_fails_a_write_leaves_the_blob_owed_a_shard() {
    let redundancy = code(4, 2);
    let bytes = stage::bytes(2, 16 * UNIT);
    // create, header, two writes, trailer, rename; then the flushes of file and folder.
    for operation in 0..8 {
        let cluster = Cluster::new(6, redundancy).await;
        let store = &cluster.store;
        cluster.drives[3].set_plan(
            FaultPlan::new([Fault::FailAt(operation)])
                .within(|folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary)),
        );
        let proof = stage::write(store, BLOB, &bytes, 8).await.unwrap();
        let shard = proof.keeping().placement.shard_on(DriveNo(3)).unwrap();
        assert_eq!(
            proof.keeping().owed,
            ShardSet::EMPTY.with(shard),
            "operation {operation}"
        );
        let location = proof.location();
        stage::commit(store, Write::AdoptBlob(proof)).await;
        store.blobs().reclaimed().await.unwrap();
        assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
        let report = store.blobs().verify(&location).await.unwrap();
        assert_eq!((report.shards, report.away), (5, 1));
        let owed = store.owed(None, 10).unwrap();
        assert_eq!((owed[0].blob, owed[0].spare_shards), (BLOB, 1));
        let is_out = cluster.set.view().state(DriveNo(3)) == DriveState::OutOfService;
        assert_eq!(is_out, operation >= 6, "operation {operation}");
        if !is_out {
            assert_eq!(cluster.files(), cluster.catalogued_files());
        }
        assert!(store.blobs().damage().is_empty(), "owed is no damage");
        cluster.drives[3].set_plan(FaultPlan::default());
        // And away it goes, with what is listed of it.
        cluster.commit(Write::ReleaseBlob(BLOB)).await.unwrap();
        assert!(store.owed(None, 10).unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_quorum_a_write_fails_and_leaves_nothing() {
    for (data, parity) in [(1, 1), (1, 2), (2, 2), (4, 2), (3, 3)] {
        let redundancy = code(data, parity);
        let shards = usize::from(redundancy.shards());
        let may_fail = shards - usize::from(write_quorum(redundancy));
        for failing in 0..=shards {
            let cluster = Cluster::new(u64::from(redundancy.shards()), redundancy).await;
            for drive in cluster.drives.iter().rev().take(failing) {
                drive.set_plan(
                    FaultPlan::new((0..40).map(Fault::FailAt))
                        .within(|folder| folder == Folder::Temporary),
                );
            }
            let bytes = stage::bytes(2, long(redundancy));
            let written = stage::write(&cluster.store, BLOB, &bytes, 4).await;
            assert_eq!(
                written.is_ok(),
                failing <= may_fail,
                "{redundancy}, {failing}"
            );
            match written {
                Ok(proof) => assert_eq!(usize::from(proof.keeping().owed.len()), failing),
                Err(error) => {
                    assert!(matches!(error, Error::TooFewDrives { .. }), "{error}");
                }
            }
            for drive in &cluster.drives {
                drive.set_plan(FaultPlan::default());
            }
            cluster.store.blobs().reclaimed().await.unwrap();
            assert_eq!(cluster.files(), BTreeSet::new(), "{redundancy}, {failing}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d5_a_full_drive_gets_no_shard_and_when_all_are_full_that_is_said() {
    let redundancy = code(2, 2);
    let cluster = Cluster::new(4, redundancy).await;
    let store = &cluster.store;
    let full = || {
        FaultPlan::new([Fault::Capacity(0)])
            .within(|folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary))
    };
    cluster.drives[2].set_plan(full());
    let bytes = stage::bytes(2, 9 * UNIT);
    let location = stage::put(store, BLOB, &bytes).await;
    let full_shard = cluster
        .keeping(BLOB)
        .placement
        .shard_on(DriveNo(2))
        .unwrap();
    assert_eq!(cluster.keeping(BLOB).owed, ShardSet::EMPTY.with(full_shard));
    assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
    // From now on it is not asked: a narrower code, with as much parity, and nothing owed.
    stage::put(store, OTHER, &bytes).await;
    let keeping = cluster.keeping(OTHER);
    assert_eq!(keeping.placement.shard_on(DriveNo(2)), None);
    assert_eq!(
        (keeping.stripes.redundancy(), keeping.owed),
        (code(1, 2), ShardSet::EMPTY)
    );
    for drive in &cluster.drives[1..] {
        drive.set_plan(full());
    }
    // What was left of the first one goes in the background.
    store.blobs().reclaimed().await.unwrap();
    let before = cluster.files();
    let error = stage::write(store, BlobId([3; 16]), &bytes, 4)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(cluster.files(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_drops_and_refused_commits_leave_nothing_on_any_drive() {
    let cluster = Cluster::new(5, code(3, 2)).await;
    let store = &cluster.store;
    let bytes = stage::bytes(2, 20 * UNIT);
    let location = stage::put(store, BLOB, &bytes).await;
    assert_eq!(cluster.files().len(), 5);
    drop(stage::write(store, OTHER, &bytes, 4).await.unwrap());
    let mut writer = store
        .blobs()
        .create(
            BlobId([1; 16]),
            stage::layout(),
            strongroom_testkit::UnsealedUnits,
        )
        .await
        .unwrap();
    writer
        .write(store.blobs().buffer(stage::layout(), 8), 8)
        .await
        .unwrap();
    drop(writer);
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(cluster.files(), cluster.catalogued_files());
    // An answer is on its way: the files stay, and what was not open yet is found.
    let pin = store.blobs().pin(vec![BLOB]);
    cluster.commit(Write::ReleaseBlob(BLOB)).await.unwrap();
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(store.catalogued(BLOB).unwrap(), None);
    assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
    drop(pin);
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(cluster.files(), BTreeSet::new());
    let gone = store.blobs().open(&location).await.unwrap_err();
    assert!(matches!(gone, Error::BlobNotFound { blob: BLOB }));
}

/// Writes one shard anew on another drive, as heal does.
async fn rewrite(cluster: &Cluster, location: BlobLocation, shard: u8, to: DriveNo) -> Placement {
    let store = cluster.store.clone();
    let keeping = cluster.keeping(location.blob);
    let shard = ShardIndex(shard);
    let moved = keeping.placement.moved(shard, to).unwrap();
    let written = tokio::task::spawn_blocking(move || {
        let blobs = store.blobs();
        let from = blobs.open_shard(location, &keeping, shard).unwrap();
        let units = usize::try_from(from.units()).unwrap();
        let mut buffer = blobs.buffer(location.layout, units);
        let last = from.units().checked_sub(1).unwrap();
        buffer.set_last_len(from.unit_len(last).unwrap());
        from.read(0, &mut buffer).unwrap();
        let mut writer = blobs
            .rewrite_shard(location.blob, &keeping, shard, to)
            .unwrap();
        assert!(
            blobs
                .rewrite_shard(location.blob, &keeping, shard, to)
                .is_none()
        );
        writer.write_units(0, buffer.as_ref()).unwrap();
        writer.finish(location.sealed_bytes, &[]).unwrap();
        writer
    });
    let written = written.await.unwrap();
    let keeping = cluster.keeping(location.blob);
    cluster
        .commit(Write::MoveShards {
            blob: location.blob,
            expected: (keeping.placement, keeping.owed),
            to: (moved, keeping.owed.without(shard)),
        })
        .await
        .unwrap();
    written.keep();
    moved
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_moves_to_another_drive_under_readers() {
    let cluster = Cluster::new(5, code(2, 1)).await;
    let store = &cluster.store;
    let bytes = stage::bytes(2, 20 * UNIT + 3);
    let location = stage::put(store, BLOB, &bytes).await;
    let before = cluster.keeping(BLOB);
    let free = (0..5).map(DriveNo);
    let free = free
        .filter(|number| before.placement.shard_on(*number).is_none())
        .collect::<Vec<_>>();
    // Opened before, read after.
    let reader = store.blobs().open(&location).await.unwrap();
    rewrite(&cluster, location, 0, free[0]).await;
    let moved = rewrite(&cluster, location, 1, free[1]).await;
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(cluster.keeping(BLOB).placement, moved);
    assert_eq!(cluster.files(), cluster.catalogued_files());
    let unit = reader.read(5, 1).await.unwrap();
    assert_eq!(unit.slot(0), &bytes[5 * UNIT..6 * UNIT]);
    assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
    store.blobs().verify(&location).await.unwrap();
    assert!(store.blobs().damage().is_empty(), "moved is no damage");
    // Who goes by what was is refused, and nothing changes.
    let stale = cluster
        .commit(Write::MoveShards {
            blob: BLOB,
            expected: (before.placement, before.owed),
            to: (before.placement, before.owed),
        })
        .await
        .unwrap_err();
    assert!(matches!(
        stale,
        CommitError::Store(Error::ShardsChanged { blob: BLOB })
    ));
    // As is what cannot be: more shards than there are, or one nowhere that is not owed.
    let two = Placement::new(&[DriveNo(0), DriveNo(1)]).unwrap();
    let nowhere = moved.moved(ShardIndex(2), DriveNo::NOWHERE).unwrap();
    for to in [
        (two, ShardSet::EMPTY),
        (moved, ShardSet::EMPTY.with(ShardIndex(3))),
        (nowhere, ShardSet::EMPTY),
    ] {
        let refused = cluster
            .commit(Write::MoveShards {
                blob: BLOB,
                expected: (moved, ShardSet::EMPTY),
                to,
            })
            .await
            .unwrap_err();
        assert!(matches!(
            refused,
            CommitError::Store(Error::InvalidBatch { .. })
        ));
    }
    let gone = cluster
        .commit(Write::MoveShards {
            blob: OTHER,
            expected: (moved, ShardSet::EMPTY),
            to: (moved, ShardSet::EMPTY),
        })
        .await
        .unwrap_err();
    assert!(matches!(
        gone,
        CommitError::Store(Error::BlobNotFound { blob: OTHER })
    ));
    // Owed and listed, and not any more.
    let owed = ShardSet::EMPTY.with(ShardIndex(2));
    let note = |expected, to| Write::MoveShards {
        blob: BLOB,
        expected: (moved, expected),
        to: (moved, to),
    };
    cluster.commit(note(ShardSet::EMPTY, owed)).await.unwrap();
    assert_eq!(store.owed(None, 9).unwrap().len(), 1);
    cluster.commit(note(owed, ShardSet::EMPTY)).await.unwrap();
    assert!(store.owed(None, 9).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_owed_shards_is_written_with_the_catalogue_only() {
    use strongroom_store::TableId;
    let cluster = Cluster::new(2, code(1, 1)).await;
    for table in [TableId::OWED_SHARDS, TableId::BLOB_CATALOGUE] {
        let key = vec![0; 17];
        let put = Write::Put {
            table,
            key: key.clone(),
            value: vec![1],
        };
        for write in [put, Write::Delete { table, key }] {
            let refused = cluster.commit(write).await.unwrap_err();
            assert!(matches!(
                refused,
                CommitError::Store(Error::InvalidBatch { .. })
            ));
        }
    }
}

/// Files of blobs that are not meant to be on a drive go; those of others stay.
#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_collected_drive_by_drive() {
    let cluster = Cluster::new(5, code(2, 1)).await;
    let store = &cluster.store;
    let location = stage::put(store, BLOB, &stage::bytes(2, 20 * UNIT)).await;
    let keeping = cluster.keeping(BLOB);
    let good = cluster.files();
    let path = DrivePath::blob(BLOB);
    for number in 0..5_u16 {
        let drive = &cluster.drives[usize::from(number)];
        if keeping.placement.shard_on(DriveNo(number)).is_none() {
            drive.plant(&path, b"misplaced");
        }
        drive.plant(&DrivePath::blob(OTHER), b"orphan");
        drive.plant(&DrivePath::blob_in_writing(OTHER), b"unfinished");
    }
    for number in 0..5 {
        let report = store.blobs().drive_returned(DriveNo(number)).await.unwrap();
        let misplaced = keeping.placement.shard_on(DriveNo(number)).is_none();
        assert_eq!(report.removed, 1 + u64::from(misplaced), "drive {number}");
    }
    assert_eq!(cluster.files(), good);
    // An answer is read from a blob that was released: no orphan.
    let pin = store.blobs().pin(vec![BLOB]);
    cluster.commit(Write::ReleaseBlob(BLOB)).await.unwrap();
    store.blobs().reclaimed().await.unwrap();
    for number in 0..5 {
        let report = store.blobs().drive_returned(DriveNo(number)).await.unwrap();
        assert_eq!(report.removed, 0, "pinned");
    }
    store.blobs().read(&location, 0, 1).await.unwrap();
    drop(pin);
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(cluster.files(), BTreeSet::new());
}

/// A drive that was away holds the shards of blobs that were released meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d9_a_drive_that_returns_loses_what_was_released_meanwhile() {
    let cluster = Cluster::new(3, code(2, 1)).await;
    let store = &cluster.store;
    stage::put(store, BLOB, &stage::bytes(2, 20 * UNIT)).await;
    stage::put(store, OTHER, &stage::bytes(3, 20 * UNIT)).await;
    cluster.set_there(&BTreeSet::from([1]));
    cluster.commit(Write::ReleaseBlob(BLOB)).await.unwrap();
    store.blobs().reclaimed().await.unwrap();
    assert!(cluster.drives[1].contents(&DrivePath::blob(BLOB)).is_some());
    cluster.set_there(&BTreeSet::new());
    let report = store.blobs().drive_returned(DriveNo(1)).await.unwrap();
    assert_eq!((report.examined, report.removed), (2, 1));
    assert_eq!(cluster.files(), cluster.catalogued_files());
}

#[tokio::test(flavor = "multi_thread")]
async fn inspection_says_where_shards_lie() {
    let cluster = Cluster::new(3, code(2, 1)).await;
    stage::put(&cluster.store, BLOB, &stage::bytes(2, 20 * UNIT)).await;
    cluster.set_there(&BTreeSet::from([2]));
    let files = cluster.store.blobs().files(BLOB);
    assert_eq!(files.len(), 3);
    let path = DrivePath::blob(BLOB).to_string();
    assert!(files.iter().all(|file| file.contains(&path)), "{files:?}");
    assert!(files[0].contains("shard 0 of 2+1, data"), "{files:?}");
    assert!(files[2].contains("shard 2 of 2+1, parity"), "{files:?}");
    let away = files.iter().filter(|file| file.contains("not there"));
    assert_eq!(away.count(), 1, "{files:?}");
    let header = cluster.store.blobs().header(BLOB).await.unwrap();
    assert_eq!(header.layout.redundancy(), code(2, 1));
}

/// Without threads: the same operations on every drive, run for run.
#[tokio::test]
async fn without_threads_the_same_happens_every_time() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let drives = (0..4).map(SimDrive::new).collect();
        let cluster = Cluster::on(drives, code(2, 2), true).await.unwrap();
        let store = &cluster.store;
        let bytes = stage::bytes(2, 20 * UNIT + 3);
        cluster.drives[3].set_plan(FaultPlan::new([Fault::FailAt(3)]));
        let location = stage::put(store, BLOB, &bytes).await;
        assert_eq!(cluster.keeping(BLOB).owed.len(), 1);
        assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
        store.blobs().verify(&location).await.unwrap();
        stage::put(store, OTHER, &bytes).await;
        cluster.commit(Write::ReleaseBlob(BLOB)).await.unwrap();
        store.blobs().reclaimed().await.unwrap();
        assert_eq!(cluster.files(), cluster.catalogued_files());
        let counts: Vec<_> = cluster
            .drives
            .iter()
            .map(|drive| (drive.operations(), drive.reads()))
            .collect();
        runs.push(counts);
        store.close().await.unwrap();
    }
    assert_eq!(runs[0], runs[1]);
    assert!(!BlobOptions::default().inline);
}

/// An upload began, all its drives were drained and removed, and it ended: it was acknowledged
/// with every shard on drives that the store does not look at any more.
#[tokio::test(flavor = "multi_thread")]
async fn shards_on_drives_that_were_given_up_meanwhile_do_not_count() {
    for standing in [Standing::Lost, Standing::Removed] {
        for given_up in 0..=2_u8 {
            let cluster = Cluster::new(6, code(4, 2)).await;
            let store = &cluster.store;
            let bytes = stage::bytes(2, 8 * UNIT);
            let mut writer = store
                .blobs()
                .create(BLOB, stage::layout(), strongroom_testkit::UnsealedUnits)
                .await
                .unwrap();
            let mut buffer = store.blobs().buffer(stage::layout(), 8);
            for (slot, unit) in bytes.chunks(UNIT).enumerate() {
                buffer.slot_mut(slot).copy_from_slice(unit);
            }
            writer.write(buffer, 8).await.unwrap();
            for number in 0..given_up {
                let number = DriveNo(u16::from(number));
                cluster.set.set_standing(number, standing);
            }
            let finished = writer.finish().await;
            if given_up == 2 {
                let refused = finished.unwrap_err();
                let is_too_few = matches!(
                    refused,
                    Error::TooFewDrives {
                        there: 4,
                        needed: 5
                    }
                );
                assert!(is_too_few, "{refused}");
                store.blobs().reclaimed().await.unwrap();
                let files = cluster.files();
                assert!(files.iter().all(|(drive, _)| *drive < 2), "{files:?}");
                continue;
            }
            let proof = finished.unwrap();
            assert_eq!(proof.keeping().owed.len(), given_up, "{standing:?}");
            let location = proof.location();
            stage::commit(store, Write::AdoptBlob(proof)).await;
            assert_eq!(stage::read_all(store, &location).await.unwrap(), bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heal_hears_of_a_blob_that_was_written_without_a_drive() {
    let cluster = Cluster::new(4, code(2, 2)).await;
    let store = &cluster.store;
    let heard = async |patience| {
        let added = store.blobs().damage().added();
        tokio::time::timeout(patience, added).await.is_ok()
    };
    stage::put(store, OTHER, &stage::bytes(2, 20 * UNIT)).await;
    assert!(!heard(Duration::from_millis(1)).await, "nothing is owed");
    cluster.drives[3].set_plan(FaultPlan::new([Fault::FailAt(3)]));
    stage::put(store, BLOB, &stage::bytes(3, 20 * UNIT)).await;
    assert_eq!(cluster.keeping(BLOB).owed.len(), 1);
    assert!(heard(Duration::from_mins(2)).await);
}
