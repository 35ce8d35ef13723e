// SPDX-License-Identifier: Apache-2.0
//! What the tests of mirrored tables have in common: a world of simulated drives with one switch
//! for the power, a ledger that keeps the rules, and indexes that outlive their process badly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom_store::Error;
use strongroom_store::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder, HealthState};
use strongroom_store::mirror::{
    CopyLedger, CopyState, FileJudge, Indexes, Mirror, MirrorCopies, MirrorOptions, Patience,
    Soundness,
};
use strongroom_store::table::{Engine, Index};
use strongroom_testkit::{SimDrive, SimRng};

use crate::table_rig::{LossyIndex, ignore_released, sealer, small};

/// A ledger in memory that nothing destroys, with a witness when the number of copies is even.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    live: Mutex<BTreeSet<DriveNo>>,
    copies: usize,
    power: Arc<Power>,
    pub(crate) fenced: Mutex<Vec<DriveNo>>,
}

impl Ledger {
    pub(crate) fn new(copies: usize, power: Arc<Power>) -> Self {
        Self {
            live: Mutex::new((0..copies).map(no).collect()),
            copies,
            power,
            fenced: Mutex::default(),
        }
    }

    pub(crate) fn is_live(&self, copy: DriveNo) -> bool {
        self.live.lock().unwrap().contains(&copy)
    }
}

impl CopyLedger for Ledger {
    fn fence(&self, copies: &[DriveNo]) -> Result<(), Error> {
        self.power.check()?;
        let mut live = self.live.lock().unwrap();
        let left = live.iter().filter(|known| !copies.contains(known)).count();
        let witness = usize::from(self.copies.is_multiple_of(2));
        if (left + witness) * 2 <= self.copies + witness {
            return Err(Error::DriveOutOfService {
                drive: "the majority".to_owned(),
            });
        }
        live.retain(|known| !copies.contains(known));
        self.fenced.lock().unwrap().extend(copies);
        Ok(())
    }

    fn caught_up(&self, copy: DriveNo) -> Result<(), Error> {
        self.power.check()?;
        self.live.lock().unwrap().insert(copy);
        Ok(())
    }

    fn only(&self, copies: &[DriveNo]) -> Result<(), Error> {
        self.power.check()?;
        let witness = usize::from(self.copies.is_multiple_of(2));
        if (copies.len() + witness) * 2 <= self.copies + witness {
            return Err(Error::NoMajority);
        }
        *self.live.lock().unwrap() = copies.iter().copied().collect();
        Ok(())
    }
}

/// The power of all drives: it can fail at the n-th change of any of them.
#[derive(Debug, Default)]
pub(crate) struct Power {
    fails_at: Option<u64>,
    completes_last: bool,
    changes: AtomicU64,
    is_off: AtomicBool,
}

impl Power {
    pub(crate) fn failing_at(at: u64) -> Arc<Self> {
        Arc::new(Self {
            fails_at: Some(at),
            completes_last: at.is_multiple_of(2),
            ..Self::default()
        })
    }

    pub(crate) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_off() {
            return Err(Error::DriveOutOfService {
                drive: "dark".to_owned(),
            });
        }
        Ok(())
    }

    fn change<T>(&self, change: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.check()?;
        if Some(self.changes.fetch_add(1, Ordering::SeqCst)) == self.fails_at {
            if self.completes_last {
                let _ = change();
            }
            self.is_off.store(true, Ordering::SeqCst);
            self.check()?;
            unreachable!();
        }
        change()
    }
}

/// A simulated drive on that power.
#[derive(Debug)]
struct Powered {
    inner: Arc<dyn Drive>,
    power: Arc<Power>,
}

#[derive(Debug)]
struct PoweredFile {
    inner: Arc<dyn DriveFile>,
    power: Arc<Power>,
}

impl Powered {
    fn file(&self, inner: Arc<dyn DriveFile>) -> Arc<dyn DriveFile> {
        Arc::new(PoweredFile {
            inner,
            power: Arc::clone(&self.power),
        })
    }
}

impl Drive for Powered {
    fn label(&self) -> String {
        self.inner.label()
    }
    fn health(&self) -> HealthState {
        self.inner.health()
    }
    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        let made = self.power.change(|| self.inner.create(path))?;
        Ok(self.file(made))
    }
    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        self.power.check()?;
        Ok(self.inner.open(path, access)?.map(|file| self.file(file)))
    }
    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.power.change(|| self.inner.rename(from, to))
    }
    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.power.change(|| self.inner.rename_over(from, to))
    }
    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        self.power.change(|| self.inner.remove(path))
    }
    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.power.check()?;
        self.inner.list(folder)
    }
    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.power.change(|| self.inner.sync_folder(folder))
    }
    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.power.check()?;
        self.inner.read_small(path)
    }
    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        self.power.change(|| self.inner.replace(path, bytes))
    }
    fn index_dir(&self) -> Option<PathBuf> {
        None
    }
}

impl DriveFile for PoweredFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        self.power.check()?;
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.power.change(|| self.inner.write_at(offset, bytes))
    }
    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.power.change(|| self.inner.truncate(len))
    }
    fn sync(&self) -> Result<(), Error> {
        self.power.change(|| self.inner.sync())
    }
    fn len(&self) -> Result<u64, Error> {
        self.power.check()?;
        self.inner.len()
    }
}

/// The indexes of the copies, by their drives.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestIndexes {
    pub(crate) of: Arc<Mutex<BTreeMap<DriveNo, LossyIndex>>>,
}

impl Indexes for TestIndexes {
    fn open(&self, copy: DriveNo, _: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error> {
        Ok(Arc::new(self.of(copy)))
    }

    fn renew(&self, copy: DriveNo, _: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error> {
        self.of.lock().unwrap().insert(copy, LossyIndex::default());
        Ok(Arc::new(self.of(copy)))
    }
}

impl TestIndexes {
    pub(crate) fn of(&self, copy: DriveNo) -> LossyIndex {
        self.of.lock().unwrap().entry(copy).or_default().clone()
    }
}

/// For tests: every byte of these files is a number one higher than the byte before.
#[derive(Debug)]
pub(crate) struct Counting;

impl FileJudge for Counting {
    fn judge(&self, _: &DrivePath, file: &dyn DriveFile) -> Result<Soundness, Error> {
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap()];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(filled as u64, &mut bytes[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        let sound = bytes[..filled]
            .iter()
            .enumerate()
            .take_while(|(at, byte)| **byte == counting(*at));
        let plausible = sound.count() as u64;
        Ok(Soundness {
            proven: plausible.saturating_sub(1),
            plausible,
        })
    }
}

pub(crate) fn counting(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap() + 1
}

/// Drives, indexes and what is remembered of them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) drives: Vec<SimDrive>,
    pub(crate) indexes: TestIndexes,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) power: Arc<Power>,
    pub(crate) inline: bool,
}

/// Longer than any test takes: no copy is given up, however slow the machine is, but one of which a test
/// says so.
pub(crate) const PATIENCE: Patience = Patience {
    hang: Duration::from_mins(5),
    persist: Duration::from_mins(10),
};

pub(crate) fn no(at: usize) -> DriveNo {
    DriveNo(u16::try_from(at).unwrap())
}

impl World {
    pub(crate) fn new(copies: usize, seed: u64) -> Self {
        Self::with_power(copies, seed, Arc::default())
    }

    pub(crate) fn with_power(copies: usize, seed: u64, power: Arc<Power>) -> Self {
        Self {
            drives: (0..copies)
                .map(|at| SimDrive::new(seed * 7 + at as u64))
                .collect(),
            indexes: TestIndexes::default(),
            ledger: Arc::new(Ledger::new(copies, Arc::clone(&power))),
            power,
            inline: true,
        }
    }

    pub(crate) fn drive(&self, at: usize) -> Arc<dyn Drive> {
        Arc::new(Powered {
            inner: Arc::new(self.drives[at].clone()),
            power: Arc::clone(&self.power),
        })
    }

    /// The copies of these drives; the others are not there.
    pub(crate) fn copies(&self, there: &[usize]) -> MirrorCopies {
        let mut copies = MirrorCopies::default();
        for at in 0..self.drives.len() {
            match (self.ledger.is_live(no(at)), there.contains(&at)) {
                (true, true) => copies.live.push((no(at), self.drive(at))),
                (true, false) => copies.absent.push(no(at)),
                (false, _) => copies.fenced.push(no(at)),
            }
        }
        copies
    }

    pub(crate) fn options(&self) -> MirrorOptions {
        MirrorOptions {
            ledger: Arc::<Ledger>::clone(&self.ledger),
            indexes: Arc::new(self.indexes.clone()),
            audit: Some(Arc::new(Counting)),
            inline: self.inline,
            patience: PATIENCE,
        }
    }

    /// The mirror of all live copies.
    pub(crate) fn mirror(&self) -> Result<Mirror, Error> {
        let all: Vec<usize> = (0..self.drives.len()).collect();
        Mirror::open(self.copies(&all), sealer(), self.options())
    }

    pub(crate) fn open(&self) -> Result<(Mirror, Engine), Error> {
        let mirror = self.mirror()?;
        let engine = engine(&mirror)?;
        Ok((mirror, engine))
    }

    /// What the next process finds after the power came back. What each drive had not flushed,
    /// and each index not persisted, is there or not on its own.
    pub(crate) fn after_power_loss(&self, rng: &mut SimRng) -> Self {
        let indexes = TestIndexes::default();
        for (no, index) in self.indexes.of.lock().unwrap().iter() {
            let next = index.restart(rng);
            indexes.of.lock().unwrap().insert(*no, next);
        }
        self.next(self.drives.iter().map(SimDrive::crash).collect(), indexes)
    }

    /// What the next process finds after a kill: everything that was written.
    pub(crate) fn after_kill(&self) -> Self {
        let indexes = TestIndexes::default();
        for (no, index) in self.indexes.of.lock().unwrap().iter() {
            indexes.of.lock().unwrap().insert(*no, index.copy());
        }
        self.next(self.drives.iter().map(SimDrive::kill).collect(), indexes)
    }

    fn next(&self, drives: Vec<SimDrive>, indexes: TestIndexes) -> Self {
        let power = Arc::<Power>::default();
        let ledger = Ledger {
            live: Mutex::new(self.ledger.live.lock().unwrap().clone()),
            copies: self.ledger.copies,
            power: Arc::clone(&power),
            fenced: Mutex::default(),
        };
        Self {
            drives,
            indexes,
            ledger: Arc::new(ledger),
            power,
            inline: self.inline,
        }
    }

    /// Gives the world another switch.
    pub(crate) fn set_power(&mut self, power: Arc<Power>) {
        let ledger = Ledger {
            live: Mutex::new(self.ledger.live.lock().unwrap().clone()),
            copies: self.ledger.copies,
            power: Arc::clone(&power),
            fenced: Mutex::default(),
        };
        self.ledger = Arc::new(ledger);
        self.power = power;
    }

    /// Files that the live copies have in common, by name: the same on each of them.
    pub(crate) fn assert_level(&self, story: &str) {
        let live: Vec<usize> = (0..self.drives.len())
            .filter(|at| self.ledger.is_live(no(*at)))
            .collect();
        let first = common_files(&self.drives[live[0]]);
        for at in &live[1..] {
            let other = common_files(&self.drives[*at]);
            assert_eq!(
                first.keys().collect::<Vec<_>>(),
                other.keys().collect::<Vec<_>>(),
                "{story}: copy {at} has other files"
            );
            for (path, bytes) in &first {
                assert!(
                    other[path] == *bytes,
                    "{story}: {path} differs on copy {at}"
                );
            }
        }
    }

    pub(crate) fn state_of(mirror: &Mirror, at: usize) -> CopyState {
        let status = mirror.status();
        status
            .iter()
            .find(|copy| copy.drive == no(at))
            .unwrap()
            .state
    }
}

pub(crate) fn engine(mirror: &Mirror) -> Result<Engine, Error> {
    Engine::open(
        mirror.drive(),
        sealer(),
        mirror.index(),
        small(),
        ignore_released(),
    )
}

/// Everything of a copy but its index.
pub(crate) fn common_files(drive: &SimDrive) -> BTreeMap<DrivePath, Vec<u8>> {
    let index = DrivePath::fixed(Folder::Log, "index");
    drive
        .files()
        .into_iter()
        .filter(|path| *path != index)
        .map(|path| (path.clone(), drive.contents(&path).unwrap()))
        .collect()
}
