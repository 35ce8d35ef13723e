// SPDX-License-Identifier: Apache-2.0
//! A drive that stops answering: writes go on without it, and reads around it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use strongroom_store::blob::{Patience, ShardSet};
use strongroom_store::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder, HealthState};
use strongroom_store::layout::{Redundancy, ShardIndex};
use strongroom_store::{BlobId, Error, Store, Write};
use strongroom_testkit::{SimDrive, UnsealedUnits};

use crate::stage::{self, UNIT};

const BLOB: BlobId = BlobId([0xB0; 16]);
/// Buffers of a blob that is longer than what may gather.
const RUNS: usize = 24;

/// Short, and far longer than any drive of these tests takes that answers.
const PATIENCE: Patience = Patience {
    write: Duration::from_millis(400),
    quorum: Duration::from_mins(1),
    read: Duration::from_millis(200),
    avoid: Duration::from_mins(10),
    care: Duration::from_mins(5),
};

/// A drive that hangs in operations on blobs while the gate is shut.
#[derive(Clone, Debug)]
pub(crate) struct Hanging {
    pub(crate) drive: SimDrive,
    gate: Arc<Gate>,
    has_no_folders: Arc<AtomicBool>,
}

#[derive(Debug)]
struct HangingFile {
    file: Arc<dyn DriveFile>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    is_shut: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.is_shut.lock().unwrap() = shut;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let shut = self.is_shut.lock().unwrap();
        drop(self.moved.wait_while(shut, |shut| *shut).unwrap());
    }

    fn pass_blobs(&self, folder: Folder) {
        if matches!(folder, Folder::Blobs(_) | Folder::Temporary) {
            self.pass();
        }
    }
}

impl Hanging {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            drive: SimDrive::new(seed),
            gate: Arc::default(),
            has_no_folders: Arc::default(),
        }
    }

    /// From now on no folder with blobs can be read.
    pub(crate) fn lose_folders(&self) {
        self.has_no_folders.store(true, Ordering::SeqCst);
    }

    /// Whether operations on blobs wait.
    pub(crate) fn hang(&self, hangs: bool) {
        self.gate.set(hangs);
    }

    fn wrap(&self, file: Arc<dyn DriveFile>, folder: Folder) -> Arc<dyn DriveFile> {
        if matches!(folder, Folder::Blobs(_) | Folder::Temporary) {
            let gate = Arc::clone(&self.gate);
            return Arc::new(HangingFile { file, gate });
        }
        file
    }

    pub(crate) fn has_files(&self) -> bool {
        let of_blobs =
            |path: &DrivePath| matches!(path.folder(), Folder::Blobs(_) | Folder::Temporary);
        self.drive.files().iter().any(of_blobs)
    }
}

impl Drive for Hanging {
    fn label(&self) -> String {
        self.drive.label()
    }

    fn health(&self) -> HealthState {
        self.drive.health()
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        self.gate.pass_blobs(path.folder());
        Ok(self.wrap(self.drive.create(path)?, path.folder()))
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        self.gate.pass_blobs(path.folder());
        let file = self.drive.open(path, access)?;
        Ok(file.map(|file| self.wrap(file, path.folder())))
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.gate.pass_blobs(to.folder());
        self.drive.rename(from, to)
    }

    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.gate.pass_blobs(to.folder());
        self.drive.rename_over(from, to)
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        self.gate.pass_blobs(path.folder());
        self.drive.remove(path)
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.gate.pass_blobs(folder);
        if matches!(folder, Folder::Blobs(_)) && self.has_no_folders.load(Ordering::SeqCst) {
            return Err(Error::DriveOutOfService {
                drive: "without folders".to_owned(),
            });
        }
        self.drive.list(folder)
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.gate.pass_blobs(folder);
        self.drive.sync_folder(folder)
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.drive.read_small(path)
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        self.drive.replace(path, bytes)
    }

    fn index_dir(&self) -> Option<PathBuf> {
        None
    }
}

impl DriveFile for HangingFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        self.gate.pass();
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.gate.pass();
        self.file.write_at(offset, bytes)
    }

    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.file.truncate(len)
    }

    fn sync(&self) -> Result<(), Error> {
        self.gate.pass();
        self.file.sync()
    }

    fn len(&self) -> Result<u64, Error> {
        self.gate.pass();
        self.file.len()
    }
}

async fn open(drives: &[Hanging], redundancy: Redundancy) -> Store {
    let shared: Vec<Arc<dyn Drive>> = drives
        .iter()
        .map(|drive| Arc::new(drive.clone()) as Arc<dyn Drive>)
        .collect();
    let set = stage::set_of(&shared, shared.len());
    let store = stage::open_on(set, redundancy, PATIENCE, false)
        .await
        .unwrap();
    store.orphans_collected().await.unwrap();
    store
}

fn code(data: u8, parity: u8) -> Redundancy {
    Redundancy::new(data, parity).unwrap()
}

/// A write does not end before the hanging drive would have: it ends at all.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d10_a_hanging_drive_stops_no_write_and_its_shard_is_owed() {
    for (data, parity) in [(1, 1), (2, 2), (4, 2)] {
        let redundancy = code(data, parity);
        let drives: Vec<_> = (0..u64::from(redundancy.shards()))
            .map(Hanging::new)
            .collect();
        let store = open(&drives, redundancy).await;
        let slow = &drives[1];
        slow.gate.set(true);
        let bytes = stage::bytes(1, 40 * UNIT + 3);
        for number in 0..20_u8 {
            let blob = BlobId([number; 16]);
            let proof = stage::write(&store, blob, &bytes, 8).await.unwrap();
            let shard = proof.keeping().placement.shard_on(DriveNo(1)).unwrap();
            assert_eq!(
                proof.keeping().owed,
                ShardSet::EMPTY.with(shard),
                "{redundancy}"
            );
            let location = proof.location();
            stage::commit(&store, Write::AdoptBlob(proof)).await;
            assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
        }
        assert_eq!(store.owed(None, 100).unwrap().len(), 20);
        // It answers again: what it was about to write goes, some time soon.
        slow.gate.set(false);
        let start = Instant::now();
        while slow.has_files() {
            let waited = start.elapsed();
            assert!(waited < Duration::from_mins(2), "{:?}", slow.drive.files());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for number in 0..20 {
            let entry = store.catalogued(BlobId([number; 16])).unwrap().unwrap();
            let read = stage::read_all(&store, &entry.location).await.unwrap();
            assert_eq!(read, bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d10_a_hanging_drive_stops_no_read() {
    for (data, parity) in [(1, 1), (2, 1), (4, 2)] {
        let redundancy = code(data, parity);
        let drives: Vec<_> = (0..u64::from(redundancy.shards()))
            .map(Hanging::new)
            .collect();
        let store = open(&drives, redundancy).await;
        let bytes = stage::bytes(1, 40 * UNIT + 3);
        let location = stage::put(&store, BLOB, &bytes).await;
        let keeping = store.catalogued(BLOB).unwrap().unwrap().keeping;
        // Opened before; one file of it, too.
        let reader = store.blobs().open(&location).await.unwrap();
        reader.read(0, 1).await.unwrap();
        let first = keeping.placement.drive(ShardIndex(0)).unwrap();
        let slow = &drives[usize::from(first.0)];
        slow.gate.set(true);
        for unit in 0..40 {
            let read = reader.read(u64::try_from(unit).unwrap(), 1).await.unwrap();
            assert_eq!(read.slot(0), &bytes[unit * UNIT..(unit + 1) * UNIT]);
        }
        assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
        assert!(store.blobs().damage().is_empty(), "late is no damage");
        slow.gate.set(false);
        assert_eq!(stage::read_all(&store, &location).await.unwrap(), bytes);
    }
}

/// While a write is on its way others gather behind it, so many and no more; then they are written,
/// in order.
#[tokio::test(flavor = "multi_thread")]
async fn writes_gather_behind_one_that_is_late_and_memory_stays_bounded() {
    // So many hang that a write has to wait for them.
    for (data, parity, hanging) in [(1, 0, 1), (2, 1, 2)] {
        let redundancy = code(data, parity);
        let drives: Vec<_> = (0..u64::from(redundancy.shards()))
            .map(Hanging::new)
            .collect();
        let store = open(&drives, redundancy).await;
        let run = stage::bytes(1, 1024 * UNIT);
        let created = store.blobs().create(BLOB, stage::layout(), UnsealedUnits);
        let mut writer = created.await.unwrap();
        drives[..hanging].iter().for_each(|drive| drive.hang(true));
        let taken = Arc::new(AtomicUsize::new(0));
        let writing = tokio::spawn({
            let (taken, run, blobs) = (Arc::clone(&taken), run.clone(), store.blobs().clone());
            async move {
                for number in 0..u8::try_from(RUNS).unwrap() {
                    let mut buffer = blobs.buffer(stage::layout(), 1024);
                    for (slot, unit) in run.chunks(UNIT).enumerate() {
                        buffer.slot_mut(slot).copy_from_slice(unit);
                        buffer.slot_mut(slot)[0] = number;
                    }
                    writer.write(buffer, 1024).await.unwrap();
                    taken.fetch_add(1, Ordering::SeqCst);
                }
                writer.finish().await.unwrap()
            }
        });
        // One on its way and 512 KiB behind it, of 64 KiB and their checksums each.
        let start = Instant::now();
        while taken.load(Ordering::SeqCst) < 4 {
            assert!(start.elapsed() < Duration::from_mins(2), "nothing gathers");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let held = taken.load(Ordering::SeqCst);
        assert!((4..=9).contains(&held), "{held} buffers are in memory");
        drives[..hanging].iter().for_each(|drive| drive.hang(false));
        let proof = writing.await.unwrap();
        let location = proof.location();
        stage::commit(&store, Write::AdoptBlob(proof)).await;
        let reader = store.blobs().open(&location).await.unwrap();
        assert_eq!(
            location.sealed_bytes,
            u64::try_from(RUNS * run.len()).unwrap()
        );
        for (at, wanted) in (0..RUNS).flat_map(|_| run.chunks(UNIT)).enumerate() {
            let read = reader.read(u64::try_from(at).unwrap(), 1).await.unwrap();
            // Each run has its number in its units: so they are in order.
            let (mark, rest) = read.slot(0).split_first().unwrap();
            let number = u8::try_from(at / 1024).unwrap();
            assert_eq!((*mark, rest), (number, &wanted[1..]), "unit {at}");
        }
    }
}

/// Without a shard to spare the answer comes when the drive answers, and is right.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_shard_is_waited_for_when_there_is_no_other() {
    let drives: Vec<_> = (0..3).map(Hanging::new).collect();
    let store = open(&drives, code(2, 1)).await;
    let bytes = stage::bytes(1, 20 * UNIT);
    let location = stage::put(&store, BLOB, &bytes).await;
    let placement = store.catalogued(BLOB).unwrap().unwrap().keeping.placement;
    let of = |shard| &drives[usize::from(placement.drive(ShardIndex(shard)).unwrap().0)];
    assert!(of(2).drive.rot(&DrivePath::blob(BLOB), 64 + 5, 1));
    of(0).gate.set(true);
    let blobs = store.blobs().clone();
    let mut read = tokio::spawn(async move { blobs.read(&location, 0, 1).await });
    let early = tokio::time::timeout(Duration::from_millis(900), &mut read).await;
    assert!(early.is_err(), "there was nothing to answer with");
    of(0).gate.set(false);
    assert_eq!(read.await.unwrap().unwrap().slot(0), &bytes[..UNIT]);
}

/// A shard moved off a drive, and before its file was removed there another one was moved onto it:
/// the removal that was still to come took the new file. No new file is begun before.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_does_not_move_back_before_its_old_file_is_gone() {
    let drives: Vec<_> = (0..4).map(Hanging::new).collect();
    let store = open(&drives, code(2, 1)).await;
    stage::put(&store, BLOB, &stage::bytes(1, 20 * UNIT)).await;
    store.blobs().reclaimed().await.unwrap();
    let before = store.catalogued(BLOB).unwrap().unwrap().keeping;
    let left = before.placement.drive(ShardIndex(0)).unwrap();
    let mut free = (0..4).map(DriveNo);
    let free = free.find(|number| before.placement.shard_on(*number).is_none());
    let slow = &drives[usize::from(left.0)];
    slow.gate.set(true);
    let moved = before.placement.moved(ShardIndex(0), free.unwrap());
    let to = (moved.unwrap(), ShardSet::EMPTY.with(ShardIndex(0)));
    let write = Write::MoveShards {
        blob: BLOB,
        expected: (before.placement, before.owed),
        to,
    };
    stage::commit(&store, write).await;
    let now = store.catalogued(BLOB).unwrap().unwrap().keeping;
    let again = || store.blobs().rewrite_shard(BLOB, &now, ShardIndex(0), left);
    assert!(slow.has_files());
    assert!(again().is_none(), "what is there is still to be removed");
    slow.gate.set(false);
    store.blobs().reclaimed().await.unwrap();
    assert!(!slow.has_files());
    assert!(again().is_some());
}
