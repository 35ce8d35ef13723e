// SPDX-License-Identifier: Apache-2.0
//! Which copies there are, and what one operation on all of them comes to.
//!
//! ```text
//!   state        event                          next
//!   Live         an operation failed on it      Fenced        the ledger first, then here
//!   Fenced       its drive is there again       CatchingUp
//!   CatchingUp   level with the others          Live          the ledger first, then here
//!   CatchingUp   anything failed                Fenced
//! ```
//!
//! INVARIANT: an operation succeeds when every live copy carried it out. A copy that did not is
//! fenced in the ledger, durably, before anybody hears of success; otherwise it could later pass
//! for a whole copy without what was acknowledged. When the ledger cannot fence, because no
//! majority is left to remember it, changes are refused from then on and reads go on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::crew::Crew;
use super::{CopyLedger, CopyState};
use crate::drive::{Drive, DriveNo, DrivePath, HealthState};
use crate::error::Error;
use crate::table::Index;

/// Everything that is known about the copies.
pub(crate) struct Copies {
    view: RwLock<Arc<View>>,
    /// Held shared by every operation that changes something, alone by whoever needs them all to
    /// be over.
    gate: RwLock<()>,
    /// Held while the state of a copy changes.
    changing_state: Mutex<()>,
    ledger: Arc<dyn CopyLedger>,
    refuses_changes: AtomicBool,
    has_threads: bool,
    generations: AtomicU64,
}

/// The copies at one moment.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) slots: Vec<Slot>,
}

/// One copy.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) no: DriveNo,
    pub(crate) state: CopyState,
    /// Changes whenever the copy gets a drive: files opened before belong to another one.
    pub(crate) generation: u64,
    /// `None` while the copy is fenced, so that its drive can be let go.
    pub(crate) drive: Option<Arc<dyn Drive>>,
    /// The copy's index, as far as it is level.
    pub(crate) index: Option<Arc<dyn Index>>,
    pub(crate) touched: Option<Arc<Mutex<Touched>>>,
    crew: Option<Arc<Crew>>,
}

/// What changed while a copy was catching up: files, and from which byte on.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) files: BTreeMap<DrivePath, u64>,
}

impl Touched {
    pub(crate) fn note(&mut self, path: &DrivePath, from: u64) {
        let first = self.files.entry(path.clone()).or_insert(from);
        *first = (*first).min(from);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("no", &self.no)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies")
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

impl Slot {
    /// A copy that has no part in anything.
    pub(crate) fn fenced(no: DriveNo) -> Self {
        Self {
            no,
            state: CopyState::Fenced,
            generation: 0,
            drive: None,
            index: None,
            touched: None,
            crew: None,
        }
    }

    pub(crate) fn drive(&self) -> Result<&dyn Drive, Error> {
        self.drive.as_deref().ok_or(Error::WorkerGone)
    }

    pub(crate) fn label(&self) -> String {
        let drive = self.drive.as_ref();
        drive.map_or_else(|| format!("drive {}", self.no.0), |drive| drive.label())
    }
}

impl View {
    /// The copies that count.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Slot> {
        self.slots
            .iter()
            .filter(|slot| slot.state == CopyState::Live)
    }

    pub(crate) fn label(&self) -> String {
        let labels: Vec<_> = self.slots.iter().map(Slot::label).collect();
        labels.join(", ")
    }
}

impl Copies {
    pub(crate) fn new(ledger: Arc<dyn CopyLedger>, has_threads: bool) -> Self {
        Self {
            view: RwLock::default(),
            gate: RwLock::default(),
            changing_state: Mutex::default(),
            ledger,
            refuses_changes: AtomicBool::new(false),
            has_threads,
            generations: AtomicU64::new(1),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        // Replaced as a whole.
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a copy in its place among the others, by its number.
    pub(crate) fn set(&self, slot: Slot) {
        let _one = self.state_lock();
        self.put(slot);
    }

    /// Takes a copy out of the set.
    pub(crate) fn forget(&self, no: DriveNo) {
        let _one = self.state_lock();
        let mut slots = self.view().slots.clone();
        slots.retain(|slot| slot.no != no);
        self.replace_view(slots);
    }

    /// A copy that has a drive, with threads where threads are wanted.
    pub(crate) fn slot(
        &self,
        no: DriveNo,
        drive: Arc<dyn Drive>,
        state: CopyState,
        index: Option<Arc<dyn Index>>,
    ) -> Result<Slot, Error> {
        let crew = self.has_threads.then(Crew::start).transpose()?;
        let touched = (state == CopyState::CatchingUp).then(Arc::default);
        Ok(Slot {
            no,
            state,
            generation: self.generations.fetch_add(1, Ordering::AcqRel),
            drive: Some(drive),
            index,
            touched,
            crew: crew.map(Arc::new),
        })
    }

    /// Waits until no operation that changes something is under way, and lets none begin.
    pub(crate) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_lock(&self) -> MutexGuard<'_, ()> {
        self.changing_state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, slot: Slot) {
        let mut slots = self.view().slots.clone();
        match slots.iter_mut().find(|known| known.no == slot.no) {
            Some(known) => *known = slot,
            None => slots.push(slot),
        }
        self.replace_view(slots);
    }

    fn replace_view(&self, slots: Vec<Slot>) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        *view = Arc::new(View { slots });
    }

    /// Whether changes are refused because no majority of copies is left.
    pub(crate) fn refuses_changes(&self) -> bool {
        self.refuses_changes.load(Ordering::Acquire)
    }

    pub(crate) fn refusal(&self) -> Error {
        Error::DriveOutOfService {
            drive: self.view().label(),
        }
    }

    pub(crate) fn health(&self) -> HealthState {
        let view = self.view();
        let serves = |slot: &Slot| {
            let drive = slot.drive.as_ref();
            drive.is_some_and(|drive| drive.health() == HealthState::Online)
        };
        if self.refuses_changes() || !view.live().any(serves) {
            return HealthState::OutOfService;
        }
        HealthState::Online
    }

    /// Changes something on every live copy, one after the other: for what needs no wait.
    pub(crate) fn change_in_turn<T>(
        &self,
        touched: &[(&DrivePath, u64)],
        mut change: impl FnMut(&Slot) -> Result<T, Error>,
    ) -> Result<Vec<(Slot, T)>, Error> {
        let _pass = self.pass();
        self.check()?;
        let view = self.view();
        let mut done = Vec::with_capacity(view.slots.len());
        for slot in view.live() {
            done.push((slot.clone(), change(slot)));
        }
        note(&view, touched);
        self.settle(done)
    }

    /// Changes something on every live copy, all at the same time: for what waits for a medium.
    pub(crate) fn change_at_once<T: Send + 'static>(
        &self,
        touched: &[(&DrivePath, u64)],
        change: impl Fn(&Slot) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Vec<(Slot, T)>, Error> {
        let _pass = self.pass();
        self.check()?;
        let view = self.view();
        let done = run_at_once(&view, change);
        note(&view, touched);
        self.settle(done)
    }

    /// Reads from the first live copy that answers; `None` counts only when all of them say so.
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(&Slot) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let mut failure = None;
        for slot in self.view().live() {
            match read(slot) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, copy = slot.label(), "a copy does not read");
                    metrics::counter!("strongroom_copy_read_failures_total").increment(1);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None if self.view().live().next().is_none() => Err(self.refusal()),
            None => Ok(None),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.refuses_changes() {
            return Err(self.refusal());
        }
        Ok(())
    }

    /// What an operation came to, by what each copy answered.
    pub(crate) fn settle<T>(
        &self,
        done: Vec<(Slot, Result<T, Error>)>,
    ) -> Result<Vec<(Slot, T)>, Error> {
        let mut succeeded = Vec::with_capacity(done.len());
        let mut failed = Vec::new();
        for (slot, outcome) in done {
            match outcome {
                Ok(value) => succeeded.push((slot, value)),
                Err(error) => failed.push((slot, error)),
            }
        }
        if succeeded.is_empty() {
            // Nobody carried it out, so nobody fell behind.
            let first = failed.into_iter().next();
            return Err(first.map_or_else(|| self.refusal(), |(_, error)| error));
        }
        for (slot, error) in failed {
            self.fence(&slot, &error)?;
        }
        Ok(succeeded)
    }

    /// Takes a copy out of service, in the ledger first.
    pub(crate) fn fence(&self, slot: &Slot, cause: &Error) -> Result<(), Error> {
        let _one = self.state_lock();
        self.check()?;
        let view = self.view();
        let is_known = |known: &Slot| known.no == slot.no && known.generation == slot.generation;
        let Some(known) = view.live().find(|known| is_known(known)) else {
            // Another operation met the same failure before.
            return Ok(());
        };
        let copy = known.label();
        if let Err(error) = self.ledger.fence(&[slot.no]) {
            self.refuses_changes.store(true, Ordering::Release);
            tracing::error!(%cause, %error, copy, "a copy of the tables failed and no majority is left: changes are refused");
            return Err(self.refusal());
        }
        tracing::error!(%cause, copy, "a copy of the tables is fenced; the others go on");
        metrics::counter!("strongroom_copies_fenced_total").increment(1);
        self.put(Slot::fenced(slot.no));
        Ok(())
    }

    /// Makes a copy count that was catching up, in the ledger first. The caller has paused
    /// everything.
    pub(crate) fn admit(&self, slot: Slot) -> Result<(), Error> {
        let _one = self.state_lock();
        self.check()?;
        self.ledger.caught_up(slot.no)?;
        self.put(Slot {
            state: CopyState::Live,
            touched: None,
            ..slot
        });
        Ok(())
    }
}

/// Runs `job` for every live copy: the first on this thread, the others on theirs.
fn run_at_once<T: Send + 'static>(
    view: &View,
    job: impl Fn(&Slot) -> Result<T, Error> + Send + Sync + 'static,
) -> Vec<(Slot, Result<T, Error>)> {
    let job = Arc::new(job);
    let mut live = view.live();
    let Some(first) = live.next() else {
        return Vec::new();
    };
    let others: Vec<_> = live
        .map(|slot| {
            let (answer, outcome) = channel();
            if let Some(crew) = &slot.crew {
                let (job, theirs) = (Arc::clone(&job), slot.clone());
                // Nobody left to do it means no answer, which is told below.
                let _ = crew.run(move || {
                    let outcome = job(&theirs);
                    // Whoever hears the answer may count on the drive being let go.
                    drop((job, theirs));
                    let _ = answer.send(outcome);
                });
            }
            (slot, outcome)
        })
        .collect();
    let mut done = vec![(first.clone(), job(first))];
    for (slot, outcome) in others {
        let outcome = if slot.crew.is_some() {
            outcome.recv().unwrap_or(Err(Error::WorkerGone))
        } else {
            job(slot)
        };
        done.push((slot.clone(), outcome));
    }
    done
}

/// INVARIANT: noted after the change was made and before the gate is left, so that whoever takes
/// the notes either sees the change already or finds its note later.
fn note(view: &View, touched: &[(&DrivePath, u64)]) {
    for notes in view.slots.iter().filter_map(|slot| slot.touched.as_ref()) {
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, from) in touched {
            notes.note(path, *from);
        }
    }
}
