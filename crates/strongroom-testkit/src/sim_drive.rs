// SPDX-License-Identifier: Apache-2.0
//! A drive in memory that fails by plan.
//!
//! Operations that change something are counted from 0, reads from 0 on their own; a
//! [`FaultPlan`] says which of them fail, and how. [`SimDrive::crash`] is the power loss: it
//! gives the drive that the next process finds. The same seed and the same operations give the
//! same drive.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_store::Error;
use strongroom_store::drive::{
    Access, Drive, DriveFile, DrivePath, Folder, Health, HealthEvent, HealthState,
};

use crate::sim_clock::SimClock;
use crate::sim_image::Image;
use crate::sim_rng::SimRng;

/// One thing that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The power fails in the middle of this operation; nothing answers after it.
    CrashAt(u64),
    /// This operation fails with an I/O error: a write, a rename, a removal. A flush that fails
    /// so takes the drive out of service.
    FailAt(u64),
    /// This operation, when it is a flush, reports success and does nothing.
    LoseFlushAt(u64),
    /// This operation, when it is a write into a file, goes to another place of the drive: another
    /// file, or another position of the same one. It reports success.
    MisdirectAt(u64),
    /// This operation, when it is a write into a file, reports success and does nothing.
    LoseWriteAt(u64),
    /// Every flush fails with an I/O error and takes the drive out of service, whatever was asked of
    /// the drive before it.
    FailFlushes,
    /// This read fails with an I/O error.
    FailReadAt(u64),
    /// Files take no more than this many bytes together.
    Capacity(u64),
}

/// What goes wrong, altogether.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    faults: Vec<Fault>,
    counts: fn(Folder) -> bool,
}

/// The power of a machine, which all of its drives have in common: it fails within one operation
/// of one of them.
#[derive(Clone, Debug, Default)]
pub struct SimPower {
    /// Changing operations until it fails; 0 when it does not.
    left: Arc<AtomicU64>,
    is_off: Arc<AtomicBool>,
}

/// A simulated drive. Clones are the same drive.
#[derive(Clone, Debug)]
pub struct SimDrive {
    state: Arc<Mutex<State>>,
    health: Arc<Health>,
    hold: Arc<Hold>,
}

/// Where changes wait while the drive is held.
#[derive(Debug, Default)]
struct Hold {
    held: Mutex<Held>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    is_on: bool,
    waiting: u64,
}

#[derive(Debug)]
struct State {
    image: Image,
    plan: FaultPlan,
    rng: SimRng,
    operations: u64,
    reads: u64,
    crashed: bool,
    /// Nothing answers, but the power is there.
    is_dead: bool,
    /// Whoever asks has lost patience before there is an answer.
    hangs: bool,
    /// Replacements of these files report success and do nothing.
    stuck: Vec<DrivePath>,
    pace: Option<(Arc<SimClock>, u64)>,
    power: SimPower,
    /// A sum over everything that was asked for.
    trace: u64,
}

#[derive(Debug)]
struct SimFile {
    drive: SimDrive,
    path: DrivePath,
    file: u64,
    access: Access,
}

/// What the plan says about one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Goes,
    /// The change is made, the power fails before it is durable.
    Crashes,
    /// A flush that does nothing.
    Lost,
    /// A write that goes elsewhere, or nowhere.
    Misdirected,
    LostWrite,
    /// The change is made, and whoever asked does not hear of it.
    Unheard,
}

impl SimPower {
    /// The power fails within the operation after so many others, whichever drive is asked for it.
    pub fn fail_after(&self, operations: u64) {
        self.left
            .store(operations.saturating_add(1), Ordering::Release);
    }

    /// Whether it has failed.
    pub fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Acquire)
    }

    /// Back again, for the machine's next start.
    pub fn restore(&self) {
        self.left.store(0, Ordering::Release);
        self.is_off.store(false, Ordering::Release);
    }

    /// One operation. `true` when the power fails within it.
    fn is_used_up(&self) -> bool {
        let left = self.left.load(Ordering::Acquire);
        self.left.store(left.saturating_sub(1), Ordering::Release);
        if left == 1 {
            self.is_off.store(true, Ordering::Release);
        }
        left == 1
    }
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let mut held = self.lock();
        if !held.is_on {
            return;
        }
        held.waiting = held.waiting.saturating_add(1);
        self.moved.notify_all();
        let mut held = self
            .moved
            .wait_while(held, |held| held.is_on)
            .unwrap_or_else(PoisonError::into_inner);
        held.waiting = held.waiting.saturating_sub(1);
    }
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self::new([])
    }
}

impl FaultPlan {
    /// These faults.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            faults: faults.into_iter().collect(),
            counts: |_| true,
        }
    }

    /// Counts, and spoils, only operations in the folders that `counts` selects: for tests that
    /// must not depend on what other threads do elsewhere.
    #[must_use]
    pub fn within(self, counts: fn(Folder) -> bool) -> Self {
        Self { counts, ..self }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn capacity(&self) -> Option<u64> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Capacity(bytes) => Some(*bytes),
            _ => None,
        })
    }
}

impl SimDrive {
    /// An empty drive without faults.
    pub fn new(seed: u64) -> Self {
        Self::with_image(Image::default(), SimRng::new(seed))
    }

    /// Sets what goes wrong from now on; counting starts again at 0.
    pub fn set_plan(&self, plan: FaultPlan) {
        let mut state = self.state();
        state.plan = plan;
        state.operations = 0;
        state.reads = 0;
    }

    /// Changing operations since the plan was set.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Reads since the plan was set.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Whether the planned crash has happened.
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// A number that two drives have in common when they were asked for the same, in the same
    /// order: names, positions and lengths, not the bytes.
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// From now on every operation fails with an I/O error, until [`Self::revive`]. A flush that
    /// fails so takes the drive out of service, as any other.
    pub fn die(&self) {
        self.state().is_dead = true;
    }

    /// The drive answers again; if a flush failed meanwhile it stays out of service.
    pub fn revive(&self) {
        self.state().is_dead = false;
    }

    /// From now on every operation takes longer than whoever asks has patience: the answer is that
    /// of a wait that was given up, and what was asked for is done all the same, or not, by seeded
    /// choice. Until [`Self::answer_again`].
    pub fn hang(&self) {
        self.state().hangs = true;
    }

    /// The drive answers again. What it was asked for meanwhile is over.
    pub fn answer_again(&self) {
        self.state().hangs = false;
    }

    /// From now on whoever changes something waits, until [`Self::let_go`]. Reads do not.
    pub fn hold(&self) {
        self.hold.lock().is_on = true;
    }

    /// Whoever waited goes on.
    pub fn let_go(&self) {
        self.hold.lock().is_on = false;
        self.hold.moved.notify_all();
    }

    /// Waits until somebody waits for the drive that is held. Blocks for two minutes at most.
    ///
    /// # Errors
    ///
    /// Nobody came.
    pub fn wait_for_somebody(&self) -> Result<(), Error> {
        let (held, _) = self
            .hold
            .moved
            .wait_timeout_while(self.hold.lock(), PATIENCE, |held| held.waiting == 0)
            .unwrap_or_else(PoisonError::into_inner);
        if held.waiting == 0 {
            let nobody = io::Error::from(io::ErrorKind::TimedOut);
            return Err(Error::from_io("wait at", "a drive that is held", nobody));
        }
        Ok(())
    }

    /// From now on whoever replaces this file is told that it is done, and it is not.
    pub fn lose_replacements_of(&self, path: &DrivePath) {
        self.state().stuck.push(path.clone());
    }

    /// Every operation takes this long by `clock`; 0 for no time at all.
    pub fn set_pace(&self, clock: &Arc<SimClock>, ms_each: u64) {
        self.state().pace = (ms_each > 0).then(|| (Arc::clone(clock), ms_each));
    }

    /// Puts the drive into a machine.
    pub fn plug_in(&self, power: &SimPower) {
        self.state().power = power.clone();
    }

    /// A drive of its own with what this one holds now, durable or not: the copy that somebody
    /// puts back later.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        Self::with_image(state.image.clone(), state.rng.clone())
    }

    /// The power loss: this drive answers nothing any more, and the drive that the next process
    /// finds is returned. Of what was not synced, each piece is there or not by seeded choice.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut state = self.state();
        state.crashed = true;
        let mut rng = state.rng.clone();
        let image = state.image.survivor(&mut rng);
        Self::with_image(image, rng)
    }

    /// The end of the process without power loss (a kill): the kernel keeps everything written.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.state();
        state.crashed = true;
        Self::with_image(state.image.clone(), state.rng.clone())
    }

    /// Flips bits of one byte of a file. `false` when there is no such byte.
    pub fn rot(&self, path: &DrivePath, offset: usize, mask: u8) -> bool {
        self.state().image.rot(path, offset, mask)
    }

    /// Cuts a file, on the medium too; whoever has it open finds it so. `false` when there is none.
    pub fn cut(&self, path: &DrivePath, len: usize) -> bool {
        self.state().image.cut(path, len)
    }

    /// The present bytes of a file.
    pub fn contents(&self, path: &DrivePath) -> Option<Vec<u8>> {
        let state = self.state();
        state
            .image
            .find(path)
            .map(|file| state.image.bytes(file).to_vec())
    }

    /// Puts a file there, durably, outside of any plan.
    pub fn plant(&self, path: &DrivePath, bytes: &[u8]) {
        let mut state = self.state();
        state.image.replace(path, bytes);
        state.image.sync_folder(path.folder());
    }

    /// All files.
    pub fn files(&self) -> Vec<DrivePath> {
        self.state().image.all()
    }

    fn with_image(image: Image, rng: SimRng) -> Self {
        let plan = FaultPlan::default();
        let state = State {
            image,
            plan,
            rng,
            operations: 0,
            reads: 0,
            crashed: false,
            is_dead: false,
            hangs: false,
            stuck: Vec::new(),
            pace: None,
            power: SimPower::default(),
            trace: 0,
        };
        let health = Arc::new(Health::new("simulated".to_owned()));
        Self {
            state: Arc::new(Mutex::new(state)),
            health,
            hold: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a changing operation.
    fn change(
        &self,
        action: &'static str,
        path: &DrivePath,
    ) -> Result<(MutexGuard<'_, State>, Fate), Error> {
        self.hold.pass();
        self.health.serving()?;
        let mut state = self.state();
        state.note(action, path, 0);
        if state.crashed || state.power.is_off() {
            return Err(power_loss(action, path));
        }
        if state.is_dead {
            if action == FLUSH || action == REPLACE {
                self.health.record(HealthEvent::FlushFailed);
            }
            return Err(io_failure(action, path));
        }
        if state.hangs {
            if state.rng.one_in(2) {
                return Ok((state, Fate::Unheard));
            }
            return Err(late(action, path));
        }
        if state.power.is_used_up() {
            return Ok((state, Fate::Crashes));
        }
        if !(state.plan.counts)(path.folder()) {
            return Ok((state, Fate::Goes));
        }
        let at = state.operations;
        state.operations = at.saturating_add(1);
        let flushes = action == FLUSH || action == REPLACE;
        if state.plan.has(Fault::FailAt(at)) || flushes && state.plan.has(Fault::FailFlushes) {
            if flushes {
                self.health.record(HealthEvent::FlushFailed);
            }
            return Err(io_failure(action, path));
        }
        let fate = if state.plan.has(Fault::CrashAt(at)) {
            state.crashed = true;
            Fate::Crashes
        } else if action == FLUSH && state.plan.has(Fault::LoseFlushAt(at)) {
            Fate::Lost
        } else if action == WRITE && state.plan.has(Fault::MisdirectAt(at)) {
            Fate::Misdirected
        } else if action == WRITE && state.plan.has(Fault::LoseWriteAt(at)) {
            Fate::LostWrite
        } else {
            Fate::Goes
        };
        Ok((state, fate))
    }

    /// Begins a reading operation.
    fn look(&self, action: &'static str, path: &DrivePath) -> Result<MutexGuard<'_, State>, Error> {
        self.health.serving()?;
        let mut state = self.state();
        state.note(action, path, 0);
        if state.crashed || state.power.is_off() {
            return Err(power_loss(action, path));
        }
        if state.is_dead {
            return Err(io_failure(action, path));
        }
        if state.hangs {
            return Err(late(action, path));
        }
        if !(state.plan.counts)(path.folder()) {
            return Ok(state);
        }
        let at = state.reads;
        state.reads = at.saturating_add(1);
        if state.plan.has(Fault::FailReadAt(at)) {
            return Err(io_failure(action, path));
        }
        Ok(state)
    }

    fn open_file(&self, path: &DrivePath, file: u64, access: Access) -> Arc<dyn DriveFile> {
        Arc::new(SimFile {
            drive: self.clone(),
            path: path.clone(),
            file,
            access,
        })
    }
}

impl SimDrive {
    fn rename_file(&self, from: &DrivePath, to: &DrivePath, is_over: bool) -> Result<(), Error> {
        let (mut state, fate) = self.change(RENAME, to)?;
        if !is_over && state.image.find(to).is_some() {
            return Err(taken(RENAME, to));
        }
        if state.image.find(from).is_none() {
            return Err(Error::from_io(RENAME, from, io::ErrorKind::NotFound.into()));
        }
        state.image.rename(from, to);
        fate.answer(RENAME, to)?;
        Ok(())
    }
}

impl Drive for SimDrive {
    fn label(&self) -> String {
        "simulated".to_owned()
    }

    fn health(&self) -> HealthState {
        self.health.state()
    }

    fn lasting_health(&self) -> Option<Arc<Health>> {
        Some(Arc::clone(&self.health))
    }

    fn is_present(&self) -> bool {
        let state = self.state();
        !state.crashed && !state.is_dead
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        let (mut state, fate) = self.change("create", path)?;
        if state.image.find(path).is_some() {
            return Err(taken("create", path));
        }
        let file = state.image.create(path);
        fate.answer("create", path)?;
        drop(state);
        Ok(self.open_file(path, file, Access::ReadWrite))
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        let found = self.look("open", path)?.image.find(path);
        Ok(found.map(|file| self.open_file(path, file, access)))
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.rename_file(from, to, false)
    }

    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.rename_file(from, to, true)
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        let (mut state, fate) = self.change("remove", path)?;
        let found = state.image.find(path).is_some();
        if found {
            state.image.remove(path);
        }
        fate.answer("remove", path)?;
        Ok(found)
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        let path = DrivePath::fixed(folder, "");
        Ok(self.look("list", &path)?.image.list(folder))
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        let path = DrivePath::fixed(folder, "");
        let (mut state, fate) = self.change(FLUSH, &path)?;
        if !matches!(fate, Fate::Lost | Fate::Crashes) {
            state.image.sync_folder(folder);
        }
        fate.answer(FLUSH, &path)
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        let state = self.look("read", path)?;
        Ok(state
            .image
            .find(path)
            .map(|file| state.image.bytes(file).to_vec()))
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        let (mut state, fate) = self.change(REPLACE, path)?;
        if state.stuck.contains(path) {
            return fate.answer(REPLACE, path);
        }
        state.image.replace(path, bytes);
        if fate == Fate::Crashes {
            return Err(power_loss(REPLACE, path));
        }
        state.image.sync_folder(path.folder());
        fate.answer(REPLACE, path)
    }

    fn index_dir(&self) -> Option<PathBuf> {
        None
    }
}

impl DriveFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let state = self.drive.look("read", &self.path)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = state
            .image
            .bytes(self.file)
            .get(start..)
            .unwrap_or_default();
        let read = rest.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.writable()?;
        let (mut state, fate) = self.drive.change(WRITE, &self.path)?;
        state.note(WRITE, &self.path, offset);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let before = state.image.bytes(self.file).len();
        let growth = start.saturating_add(bytes.len()).saturating_sub(before);
        let limit = state.plan.capacity();
        let room = limit
            .filter(|_| (state.plan.counts)(self.path.folder()))
            .map(|capacity| {
                let used = state.image.used_bytes(state.plan.counts);
                capacity.saturating_sub(used)
            });
        if let Some(room) = room.filter(|room| u64::try_from(growth).is_ok_and(|by| by > *room)) {
            // As the kernel does it: what fits is written.
            let fits = bytes.len().saturating_sub(growth);
            let fits = fits.saturating_add(usize::try_from(room).unwrap_or(0));
            state
                .image
                .write(self.file, start, bytes.get(..fits).unwrap_or_default());
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(Error::from_io("write", &self.path, full));
        }
        let State {
            image, rng, plan, ..
        } = &mut *state;
        if fate == Fate::LostWrite {
            return Ok(());
        }
        if fate == Fate::Misdirected {
            let (file, start) = image.elsewhere(self.file, start, plan.counts, rng);
            image.write(file, start, bytes);
            return Ok(());
        }
        image.write(self.file, start, bytes);
        fate.answer(WRITE, &self.path)
    }

    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.writable()?;
        let (mut state, fate) = self.drive.change("truncate", &self.path)?;
        state
            .image
            .truncate(self.file, usize::try_from(len).unwrap_or(usize::MAX));
        fate.answer("truncate", &self.path)
    }

    fn sync(&self) -> Result<(), Error> {
        let (mut state, fate) = self.drive.change(FLUSH, &self.path)?;
        if !matches!(fate, Fate::Lost | Fate::Crashes) {
            state.image.sync(self.file);
        }
        fate.answer(FLUSH, &self.path)
    }

    fn len(&self) -> Result<u64, Error> {
        let state = self.drive.look("measure", &self.path)?;
        Ok(u64::try_from(state.image.bytes(self.file).len()).unwrap_or(u64::MAX))
    }
}

impl State {
    /// One operation: time passes, and it becomes part of the trace.
    fn note(&mut self, action: &'static str, path: &DrivePath, number: u64) {
        if let Some((clock, ms_each)) = &self.pace {
            clock.advance_ms(*ms_each);
        }
        let words = [action, "/", path.name()];
        let bytes = words.into_iter().flat_map(str::bytes);
        for byte in bytes.chain(number.to_le_bytes()) {
            // FNV-1a.
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

impl Fate {
    /// What whoever asked hears of a change that was made.
    fn answer(self, action: &'static str, path: &DrivePath) -> Result<(), Error> {
        match self {
            Self::Crashes => Err(power_loss(action, path)),
            Self::Unheard => Err(late(action, path)),
            Self::Goes | Self::Lost | Self::Misdirected | Self::LostWrite => Ok(()),
        }
    }
}

impl SimFile {
    fn writable(&self) -> Result<(), Error> {
        if self.access == Access::ReadWrite {
            return Ok(());
        }
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        Err(Error::from_io("write", &self.path, denied))
    }
}

const PATIENCE: Duration = Duration::from_mins(2);
const WRITE: &str = "write";
const FLUSH: &str = "flush";
const RENAME: &str = "rename";
const REPLACE: &str = "replace";

fn power_loss(action: &'static str, path: &DrivePath) -> Error {
    Error::from_io(
        action,
        path.to_string(),
        io::Error::other("simulated power loss"),
    )
}

fn io_failure(action: &'static str, path: &DrivePath) -> Error {
    Error::from_io(
        action,
        path.to_string(),
        io::Error::other("simulated I/O error"),
    )
}

fn late(action: &'static str, path: &DrivePath) -> Error {
    Error::from_io(action, path, io::ErrorKind::TimedOut.into())
}

fn taken(action: &'static str, path: &DrivePath) -> Error {
    Error::from_io(action, path, io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "word";

    fn path() -> DrivePath {
        DrivePath::fixed(Folder::Log, WORD)
    }

    fn is_late(error: &Error) -> bool {
        matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::TimedOut)
    }

    #[test]
    fn what_a_hanging_drive_is_asked_for_is_done_or_not_and_nobody_hears_of_it() {
        let mut done = 0;
        for seed in 0..100 {
            let drive = SimDrive::new(seed);
            drive.hang();
            assert!(is_late(&drive.replace(&path(), b"new").unwrap_err()));
            assert!(is_late(&drive.read_small(&path()).unwrap_err()));
            drive.answer_again();
            done += usize::from(drive.read_small(&path()).unwrap().is_some());
            assert_eq!(drive.health(), HealthState::Online);
        }
        assert!((20..80).contains(&done), "{done} of 100");
    }

    #[test]
    fn a_drive_that_is_held_makes_no_change_and_is_read() {
        let drive = SimDrive::new(1);
        drive.hold();
        std::thread::scope(|scope| {
            let change = scope.spawn(|| drive.replace(&path(), b"new"));
            drive.wait_for_somebody().unwrap();
            assert_eq!(drive.read_small(&path()).unwrap(), None);
            drive.let_go();
            change.join().unwrap().unwrap();
        });
        assert!(drive.read_small(&path()).unwrap().is_some());
    }

    #[test]
    fn flushes_fail_whatever_came_before() {
        for writes in 0..3 {
            let drive = SimDrive::new(1);
            let file = drive.create(&path()).unwrap();
            drive.set_plan(FaultPlan::new([Fault::FailFlushes]));
            for at in 0..writes {
                file.write_at(at, b"x").unwrap();
            }
            file.sync().unwrap_err();
            assert_eq!(drive.health(), HealthState::OutOfService);
        }
    }

    #[test]
    fn lost_writes_and_replacements_report_success() {
        let drive = SimDrive::new(1);
        let file = drive.create(&path()).unwrap();
        drive.set_plan(FaultPlan::new([Fault::LoseWriteAt(1)]));
        for at in 0..3 {
            file.write_at(at, b"x").unwrap();
        }
        assert_eq!(drive.contents(&path()).unwrap(), b"x\0x");
        drive.lose_replacements_of(&path());
        drive.replace(&path(), b"new").unwrap();
        assert_eq!(drive.contents(&path()).unwrap(), b"x\0x");
        // The next process has another drive.
        let drive = drive.kill();
        drive.replace(&path(), b"new").unwrap();
        assert_eq!(drive.contents(&path()).unwrap(), b"new");
    }

    #[test]
    fn a_file_that_was_cut_stays_so() {
        let drive = SimDrive::new(1);
        let file = drive.create(&path()).unwrap();
        file.write_at(0, b"abc").unwrap();
        drive.sync_folder(Folder::Log).unwrap();
        assert!(drive.cut(&path(), 1));
        assert_eq!(file.len().unwrap(), 1);
        assert_eq!(drive.crash().contents(&path()).unwrap(), b"a");
    }
}
