// SPDX-License-Identifier: Apache-2.0
//! Blobs come back as they were written, or not at all.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use strongroom_store::drive::{Access, Drive, DriveFile, DrivePath, Folder, HealthState};
use strongroom_store::layout::UnitLayout;
use strongroom_store::{AtRest, BlobId, BlobLocation, Error, Store, StoreOptions, Write};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, TestSealer, UnsealedUnits};

use crate::stage::{self, UNIT};

const BLOB: BlobId = BlobId([0xB0; 16]);
const OTHER: BlobId = BlobId([0x0B; 16]);

async fn simulated() -> (SimDrive, Store) {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    (drive, store)
}

/// A plan for blob files only: the tables write when they find time.
fn plan(fault: Fault) -> FaultPlan {
    FaultPlan::new([fault]).within(of_blobs)
}

fn of_blobs(folder: Folder) -> bool {
    matches!(folder, Folder::Blobs(_) | Folder::Temporary)
}

/// Every file of the drive that belongs to a blob, finished or not.
fn blob_files(drive: &SimDrive) -> Vec<DrivePath> {
    drive
        .files()
        .into_iter()
        .filter(|path| of_blobs(path.folder()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_comes_back() {
    let (_, store) = simulated().await;
    let sizes = [
        0,
        1,
        7,
        UNIT - 1,
        UNIT,
        UNIT + 1,
        2 * UNIT,
        3 * UNIT + 5,
        48 * UNIT,
        49 * UNIT + 1,
    ];
    let mut number = 0_u8;
    for size in sizes {
        for units_per_buffer in [1, 3, 16] {
            number += 1;
            let bytes = stage::bytes(u64::from(number), size);
            let blob = BlobId([number; 16]);
            let proof = stage::write(&store, blob, &bytes, units_per_buffer)
                .await
                .unwrap();
            let location = proof.location();
            assert_eq!(location.sealed_bytes, u64::try_from(size).unwrap());
            stage::commit(&store, Write::AdoptBlob(proof)).await;
            assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
            let report = store.blobs().verify(&location).await.unwrap();
            assert_eq!(report.sealed_bytes, location.sealed_bytes);
        }
    }
    let listed = store.catalogue(None, 1000).unwrap();
    assert_eq!(listed.len(), usize::from(number));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_range_comes_back_and_no_other_is_read() {
    let (_, store) = simulated().await;
    let bytes = stage::bytes(3, 5 * UNIT + 9);
    let location = stage::put(&store, BLOB, &bytes).await;
    for first in 0..8_u64 {
        for units in 0..8_u32 {
            let start = usize::try_from(first).unwrap() * UNIT;
            let end = start + usize::try_from(units).unwrap() * UNIT;
            let read = stage::read(&store, &location, first, units).await;
            if units > 0 && first + u64::from(units) <= 6 {
                assert_eq!(read.unwrap(), bytes[start..end.min(bytes.len())]);
            } else {
                assert!(matches!(read.unwrap_err(), Error::OutOfRange { .. }));
            }
        }
    }
    let huge = stage::read(&store, &location, u64::MAX, 1)
        .await
        .unwrap_err();
    assert!(matches!(huge, Error::OutOfRange { .. }));
    let huge = stage::read(&store, &location, 0, u32::MAX)
        .await
        .unwrap_err();
    assert!(matches!(huge, Error::TooLarge { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn product_units_on_a_local_drive() {
    let dir = tempfile::tempdir().unwrap();
    let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(1));
    let bytes = stage::bytes(9, 40 * 65_568 + 17);
    let location = {
        let drive = Arc::new(strongroom_testkit::local_drive(dir.path()).unwrap());
        let store = Store::open(drive, Arc::clone(&at_rest), StoreOptions::default())
            .await
            .unwrap();
        let location = stage::put(&store, BLOB, &bytes).await;
        assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
        assert_eq!(
            stage::read(&store, &location, 40, 1).await.unwrap().len(),
            17
        );
        store.close().await.unwrap();
        location
    };
    let drive = Arc::new(strongroom_testkit::local_drive(dir.path()).unwrap());
    let store = Store::open(drive, at_rest, StoreOptions::default())
        .await
        .unwrap();
    assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
    assert_eq!(store.orphans_collected().await.unwrap().removed, 0);
    let path = dir.path().join(store.blobs().files(BLOB).first().unwrap());
    assert_eq!(
        path.metadata().unwrap().len(),
        64 + 64 + 41 * 8 + location.sealed_bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bit_flipped_is_found_and_never_returned() {
    let (drive, store) = simulated().await;
    let bytes = stage::bytes(4, 2 * UNIT + 11);
    let location = stage::put(&store, BLOB, &bytes).await;
    let path = DrivePath::blob(BLOB);
    let file_bytes = drive.contents(&path).unwrap().len();
    assert_eq!(file_bytes, 64 + 64 + 3 * 8 + bytes.len());
    for at in 0..file_bytes {
        for bit in 0..8 {
            assert!(drive.rot(&path, at, 1 << bit));
            let found = store.blobs().verify(&location).await.unwrap_err();
            assert!(found.is_corruption(), "byte {at} bit {bit}: {found}");
            match stage::read_all(&store, &location).await {
                // Only the trailer is not looked at by reads.
                Ok(read) => assert!(read == bytes && at >= file_bytes - 64, "byte {at}"),
                Err(error) => assert!(error.is_corruption()),
            }
            drive.rot(&path, at, 1 << bit);
        }
    }
    store.blobs().verify(&location).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_damaged_unit_is_named_and_the_others_still_read() {
    let (drive, store) = simulated().await;
    let bytes = stage::bytes(4, 4 * UNIT);
    let location = stage::put(&store, BLOB, &bytes).await;
    drive.rot(&DrivePath::blob(BLOB), 64 + 2 * (UNIT + 8) + 5, 0x10);
    let found = stage::read_all(&store, &location).await.unwrap_err();
    assert!(
        matches!(
            found,
            Error::CorruptedUnit {
                blob: BLOB,
                unit: 2
            }
        ),
        "{found}"
    );
    assert_eq!(
        stage::read(&store, &location, 0, 2).await.unwrap(),
        bytes[..2 * UNIT]
    );
    assert_eq!(
        stage::read(&store, &location, 3, 1).await.unwrap(),
        bytes[3 * UNIT..]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_or_extended_anywhere() {
    let (drive, store) = simulated().await;
    let bytes = stage::bytes(5, 2 * UNIT + 3);
    let location = stage::put(&store, BLOB, &bytes).await;
    let path = DrivePath::blob(BLOB);
    let good = drive.contents(&path).unwrap();
    for len in (0..good.len()).chain([good.len() + 1, good.len() + 8, good.len() + UNIT + 8]) {
        let mut bad = good.clone();
        bad.resize(len, 0);
        drive.plant(&path, &bad);
        // What is behind the units, readers do not look at.
        match stage::read_all(&store, &location).await {
            Ok(read) => assert_eq!(read, bytes, "length {len}"),
            Err(found) => assert!(found.is_corruption(), "length {len}: {found}"),
        }
        let verified = store.blobs().verify(&location).await;
        assert!(verified.unwrap_err().is_corruption(), "length {len}");
        let trailer = store.blobs().verify_trailer(&location).await;
        assert!(trailer.unwrap_err().is_corruption(), "length {len}");
    }
    drive.plant(&path, &good);
    store.blobs().verify(&location).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_of_one_length_swapped() {
    let (drive, store) = simulated().await;
    let first = stage::put(&store, BLOB, &stage::bytes(6, 2 * UNIT)).await;
    let second = stage::put(&store, OTHER, &stage::bytes(7, 2 * UNIT)).await;
    let (one, two) = (DrivePath::blob(BLOB), DrivePath::blob(OTHER));
    let (a, b) = (drive.contents(&one).unwrap(), drive.contents(&two).unwrap());
    drive.plant(&one, &b);
    drive.plant(&two, &a);
    for location in [first, second] {
        assert!(
            stage::read_all(&store, &location)
                .await
                .unwrap_err()
                .is_corruption()
        );
    }
    // The same under the right headers: a write that went to the wrong file.
    drive.plant(&one, &[&a[..64], &b[64..]].concat());
    let found = stage::read_all(&store, &first).await.unwrap_err();
    assert!(
        matches!(found, Error::CorruptedUnit { unit: 0, .. }),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn units_swapped_or_repeated_within_a_file() {
    let (drive, store) = simulated().await;
    let location = stage::put(&store, BLOB, &stage::bytes(8, 3 * UNIT)).await;
    let path = DrivePath::blob(BLOB);
    let good = drive.contents(&path).unwrap();
    let slot = |unit: usize| good[64 + unit * (UNIT + 8)..64 + (unit + 1) * (UNIT + 8)].to_vec();
    for order in [[1, 0, 2], [0, 2, 1], [0, 0, 2], [2, 2, 2]] {
        let slots: Vec<u8> = order.into_iter().flat_map(slot).collect();
        drive.plant(
            &path,
            &[&good[..64], &slots, &good[64 + slots.len()..]].concat(),
        );
        assert!(
            stage::read_all(&store, &location)
                .await
                .unwrap_err()
                .is_corruption(),
            "{order:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_is_not_the_blobs() {
    let (_, store) = simulated().await;
    let location = stage::put(&store, BLOB, &stage::bytes(8, 3 * UNIT)).await;
    for sealed_bytes in [
        0,
        1,
        location.sealed_bytes - 1,
        location.sealed_bytes + 1,
        u64::MAX,
    ] {
        let wrong = BlobLocation {
            sealed_bytes,
            ..location
        };
        let found = store.blobs().open(&wrong).await.unwrap_err();
        assert!(found.is_corruption(), "{sealed_bytes}: {found}");
    }
    let missing = BlobLocation {
        blob: OTHER,
        ..location
    };
    let found = store.blobs().open(&missing).await.unwrap_err();
    assert!(matches!(found, Error::BlobNotFound { blob: OTHER }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_with_wider_units_comes_back_and_survives_a_start() {
    let (drive, store) = simulated().await;
    let wide = stage::layout().wider().unwrap();
    let unit = usize::try_from(wide.unit_bytes()).unwrap();
    for (at, len) in (0_u8..).zip([1, unit - 1, unit, unit + 1, 5 * unit + 7]) {
        let blob = BlobId([at; 16]);
        let bytes = stage::bytes(u64::from(at), len);
        let proof = stage::write_units(&store, blob, wide, &bytes, 3)
            .await
            .unwrap();
        let location = proof.location();
        assert_eq!(location.layout, wide);
        stage::commit(&store, Write::AdoptBlob(proof)).await;
        assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
        assert_eq!(store.tables().blob(blob).unwrap(), Some(location));
        let report = store.blobs().verify(&location).await.unwrap();
        assert_eq!(report.units, wide.unit_count(location.sealed_bytes));
        assert_eq!(
            store.blobs().header(blob).await.unwrap().layout.unit(),
            wide
        );
    }
    store.close().await.unwrap();
    let again = stage::open(Arc::new(drive.clone())).await.unwrap();
    let location = again.tables().blob(BlobId([4; 16])).unwrap().unwrap();
    assert_eq!(location.layout, wide);
    let bytes = stage::bytes(4, 5 * unit + 7);
    assert_eq!(stage::read_all(&again, &location).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn unit_lengths_that_the_store_does_not_have_are_refused() {
    let (_, store) = simulated().await;
    let wide = stage::layout().wider().unwrap();
    for layout in [
        UnitLayout::new(8).unwrap(),
        UnitLayout::new(stage::layout().unit_bytes() + 8).unwrap(),
        wide.wider().unwrap(),
        UnitLayout::new(1 << 24).unwrap(),
    ] {
        let refused = store.blobs().create(BLOB, layout, UnsealedUnits).await;
        assert!(matches!(refused, Err(Error::Misuse { .. })), "{layout:?}");
    }
    let mut writer = store
        .blobs()
        .create(BLOB, wide, UnsealedUnits)
        .await
        .unwrap();
    let narrow = store.blobs().buffer(stage::layout(), 1);
    let refused = writer.write(narrow, 1).await.unwrap_err();
    assert!(matches!(refused, Error::Misuse { .. }), "{refused}");
}

/// A row that says another unit length than the file has: the bytes of one unit would be taken
/// for those of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_location_with_another_unit_length_is_damage() {
    let (_, store) = simulated().await;
    let wide = stage::layout().wider().unwrap();
    let narrow = stage::put(&store, BLOB, &stage::bytes(8, 3 * UNIT)).await;
    let proof = stage::write_units(&store, OTHER, wide, &stage::bytes(9, 3 * UNIT), 3)
        .await
        .unwrap();
    let other = proof.location();
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    for (right, layout) in [
        (narrow, wide),
        (narrow, wide.wider().unwrap()),
        (narrow, UnitLayout::new(8).unwrap()),
        (other, stage::layout()),
        (other, wide.wider().unwrap()),
    ] {
        let wrong = BlobLocation { layout, ..right };
        let found = store.blobs().open(&wrong).await.unwrap_err();
        assert!(found.is_corruption(), "{layout:?}: {found}");
        assert!(
            store
                .blobs()
                .verify(&wrong)
                .await
                .unwrap_err()
                .is_corruption()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_writers_and_proofs_leave_nothing() {
    let (drive, store) = simulated().await;
    let mut writer = store
        .blobs()
        .create(BLOB, stage::layout(), UnsealedUnits)
        .await
        .unwrap();
    writer
        .write(store.blobs().buffer(stage::layout(), 4), 4)
        .await
        .unwrap();
    writer
        .write(store.blobs().buffer(stage::layout(), 4), 4)
        .await
        .unwrap();
    drop(writer);
    let proof = stage::write(&store, OTHER, &stage::bytes(1, 100), 1)
        .await
        .unwrap();
    assert_eq!(
        blob_files(&drive)
            .iter()
            .filter(|path| path.blob_id() == Some(OTHER))
            .count(),
        1
    );
    drop(proof);
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(blob_files(&drive), []);
    // The ids are free again.
    stage::put(&store, BLOB, b"again").await;
}

/// The story: a client went away while a write was on its way to the drive. `reclaimed` answered
/// before that write had ended, and its file was still there.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_its_way_is_waited_for_when_its_writer_is_gone() {
    let sim = SimDrive::new(1);
    let gate = Arc::new(Gate::default());
    let drive = Gated {
        drive: sim.clone(),
        gate: Arc::clone(&gate),
    };
    let store = stage::open(Arc::new(drive)).await.unwrap();
    gate.shut();
    let mut writer = store
        .blobs()
        .create(BLOB, stage::layout(), UnsealedUnits)
        .await
        .unwrap();
    writer
        .write(store.blobs().buffer(stage::layout(), 4), 4)
        .await
        .unwrap();
    drop(writer);
    // A writer that goes on is not waited for.
    let other = store
        .blobs()
        .create(OTHER, stage::layout(), UnsealedUnits)
        .await
        .unwrap();
    let blobs = store.blobs().clone();
    let mut reclaimed = tokio::spawn(async move { blobs.reclaimed().await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut reclaimed).await;
    assert!(early.is_err(), "answered while the write was on its way");
    gate.open();
    reclaimed.await.unwrap().unwrap();
    assert_eq!(blob_files(&sim), []);
    drop(other);
    stage::put(&store, BLOB, b"again").await;
}

/// A drive on which nothing is written to a blob while the gate is shut.
#[derive(Debug)]
struct Gated {
    drive: SimDrive,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    is_shut: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn shut(&self) {
        *self.is_shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.is_shut.lock().unwrap() = false;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let shut = self.is_shut.lock().unwrap();
        drop(self.moved.wait_while(shut, |shut| *shut).unwrap());
    }
}

impl Drive for Gated {
    fn label(&self) -> String {
        self.drive.label()
    }

    fn health(&self) -> HealthState {
        self.drive.health()
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        self.drive.create(path)
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        self.drive.open(path, access)
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.drive.rename(from, to)
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        self.drive.remove(path)
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.drive.list(folder)
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.drive.sync_folder(folder)
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.drive.read_small(path)
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        self.drive.replace(path, bytes)
    }

    /// Asked before each write of a blob.
    fn has_room(&self) -> Result<bool, Error> {
        self.gate.pass();
        self.drive.has_room()
    }

    fn index_dir(&self) -> Option<PathBuf> {
        self.drive.index_dir()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_commit_leaves_nothing() {
    use strongroom_store::{Batch, Precondition, TableId};
    let (drive, store) = simulated().await;
    let proof = stage::write(&store, BLOB, &stage::bytes(1, 100), 1)
        .await
        .unwrap();
    let missing = Precondition::Present {
        table: TableId(21),
        key: b"no such row".to_vec(),
    };
    let batch = Batch {
        preconditions: vec![missing],
        writes: vec![Write::AdoptBlob(proof)],
    };
    store.tables().commit(batch).await.unwrap_err();
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(blob_files(&drive), []);
    assert_eq!(store.catalogued(BLOB).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_blob_is_read_to_its_end_by_who_has_it_open() {
    let (drive, store) = simulated().await;
    let bytes = stage::bytes(2, 4 * UNIT);
    let location = stage::put(&store, BLOB, &bytes).await;
    let reader = store.blobs().open(&location).await.unwrap();
    stage::commit(&store, Write::ReleaseBlob(BLOB)).await;
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(blob_files(&drive), []);
    assert_eq!(reader.read(3, 1).await.unwrap().slot(0), &bytes[3 * UNIT..]);
    let gone = store.blobs().open(&location).await.unwrap_err();
    assert!(matches!(gone, Error::BlobNotFound { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn misuse_is_refused() {
    let (_, store) = simulated().await;
    let mut writer = store
        .blobs()
        .create(BLOB, stage::layout(), UnsealedUnits)
        .await
        .unwrap();
    let twice = store
        .blobs()
        .create(BLOB, stage::layout(), UnsealedUnits)
        .await
        .unwrap_err();
    assert!(matches!(twice, Error::BlobExists { blob: BLOB }));
    let more = writer
        .write(store.blobs().buffer(stage::layout(), 2), 3)
        .await
        .unwrap_err();
    assert!(matches!(more, Error::Misuse { .. }));
    let mut short = store.blobs().buffer(stage::layout(), 1);
    short.set_last_len(5);
    writer.write(short, 1).await.unwrap();
    writer
        .write(store.blobs().buffer(stage::layout(), 1), 1)
        .await
        .unwrap();
    let behind_short = writer.finish().await.unwrap_err();
    assert!(
        matches!(behind_short, Error::Misuse { .. }),
        "{behind_short}"
    );
    let mut empty = store.blobs().buffer(stage::layout(), 1);
    empty.set_last_len(0);
    let mut writer = store
        .blobs()
        .create(OTHER, stage::layout(), UnsealedUnits)
        .await
        .unwrap();
    writer.write(empty, 1).await.unwrap();
    assert!(matches!(
        writer.finish().await.unwrap_err(),
        Error::Misuse { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_space_leaves_nothing() {
    let (drive, store) = simulated().await;
    let kept = stage::put(&store, OTHER, &stage::bytes(1, 100)).await;
    let used: usize = blob_files(&drive)
        .iter()
        .map(|path| drive.contents(path).unwrap().len())
        .sum();
    for room in 0..64 + 64 + 3 * (UNIT + 8) {
        let capacity = u64::try_from(used + room).unwrap();
        drive.set_plan(plan(Fault::Capacity(capacity)));
        let full = stage::write(&store, BLOB, &stage::bytes(2, 3 * UNIT), 1)
            .await
            .unwrap_err();
        assert!(matches!(full, Error::NoSpace { .. }), "room {room}: {full}");
        store.blobs().reclaimed().await.unwrap();
        assert_eq!(blob_files(&drive), [DrivePath::blob(OTHER)], "room {room}");
    }
    drive.set_plan(FaultPlan::default());
    stage::put(&store, BLOB, &stage::bytes(2, 3 * UNIT)).await;
    store.blobs().verify(&kept).await.unwrap();
    assert_eq!(store.status().health, HealthState::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_leaves_nothing() {
    let (drive, store) = simulated().await;
    stage::put(&store, OTHER, &stage::bytes(1, 100)).await;
    let bytes = stage::bytes(2, 3 * UNIT);
    // create, header, three units, trailer, rename; then the flushes of file and folder.
    for operation in 0..7 {
        drive.set_plan(plan(Fault::FailAt(operation)));
        let failed = stage::write(&store, BLOB, &bytes, 1).await.unwrap_err();
        assert!(
            matches!(failed, Error::Io { .. }),
            "operation {operation}: {failed}"
        );
        store.blobs().reclaimed().await.unwrap();
        assert_eq!(blob_files(&drive), [DrivePath::blob(OTHER)]);
        assert_eq!(store.status().health, HealthState::Online);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_flush_ends_the_service() {
    let bytes = stage::bytes(2, 3 * UNIT);
    for operation in [7, 8] {
        let (drive, store) = simulated().await;
        let kept = stage::put(&store, OTHER, &stage::bytes(1, 100)).await;
        drive.set_plan(plan(Fault::FailAt(operation)));
        let failed = stage::write(&store, BLOB, &bytes, 1).await.unwrap_err();
        assert!(matches!(failed, Error::Io { .. }), "{failed}");
        assert_eq!(store.status().health, HealthState::OutOfService);
        drive.set_plan(FaultPlan::default());
        let out = |error: Error| assert!(matches!(error, Error::DriveOutOfService { .. }));
        out(stage::write(&store, BlobId([1; 16]), &bytes, 1)
            .await
            .unwrap_err());
        out(stage::read_all(&store, &kept).await.unwrap_err());
        let after = drive.kill();
        drop(store);
        let store = stage::open(Arc::new(after.clone())).await.unwrap();
        store.orphans_collected().await.unwrap();
        assert_eq!(blob_files(&after), [DrivePath::blob(OTHER)]);
        store.blobs().verify(&kept).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_read_is_an_error_and_passes() {
    let (drive, store) = simulated().await;
    let bytes = stage::bytes(2, 3 * UNIT);
    let location = stage::put(&store, BLOB, &bytes).await;
    // open, length, header, units.
    for read in 0..4 {
        drive.set_plan(plan(Fault::FailReadAt(read)));
        let failed = stage::read_all(&store, &location).await.unwrap_err();
        assert!(matches!(failed, Error::Io { .. }), "read {read}: {failed}");
    }
    drive.set_plan(FaultPlan::default());
    assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_goes_back_to_the_pool() {
    let (_, store) = simulated().await;
    let location = stage::put(&store, BLOB, &stage::bytes(2, 16 * UNIT)).await;
    store.blobs().verify(&location).await.unwrap();
    let before = store.status().pooled_bytes;
    for _ in 0..50 {
        let buffer = store.blobs().read(&location, 0, 16).await.unwrap();
        let bytes = buffer.into_bytes();
        assert!(store.status().pooled_bytes < before.max(1));
        drop(bytes);
        assert_eq!(
            store.status().pooled_bytes,
            before,
            "the same memory serves every read"
        );
    }
}
