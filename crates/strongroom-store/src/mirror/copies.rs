// SPDX-License-Identifier: Apache-2.0
//! Which copies there are, and what one operation on all of them comes to.
//!
//! ```text
//!   state        event                          next
//!   Live         an operation failed on it      Fenced        the ledger first, then here
//!   Fenced       its drive is there again       CatchingUp
//!   CatchingUp   level with the others          Live          the ledger first, then here
//!   CatchingUp   anything failed                Fenced
//!   Live         it failed, no majority left    Failed        nothing is changed any more
//!   Live         late, and nobody else did it   Failed        nothing is changed any more
//!   Failed       level with the others          Live          the ledger first, for all of them
//! ```
//!
//! INVARIANT: an operation succeeds when every live copy carried it out. A copy that did not is
//! fenced in the ledger, durably, before anybody hears of success; otherwise it could later pass
//! for a whole copy without what was acknowledged. When the ledger cannot fence, because no
//! majority is left to remember it, changes are refused from then on and reads go on, until
//! enough copies are level again ([`super::revive`]).
//!
//! A copy whose drive does not answer is waited for as long as nobody is ahead of it, and
//! [`Patience`] longer; then it has failed. What it does late harms nobody: it is fenced, and
//! nothing begins to make it level while an operation of its time as a live copy is under way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::thread;
use std::time::{Duration, Instant};

use super::crew::{Crew, hangs, is_late};
use super::{CopyLedger, CopyState, Patience};
use crate::drive::{Drive, DriveNo, DrivePath, HealthState};
use crate::error::Error;
use crate::haste::Haste;
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
    /// Changes are refused although nobody fell behind: which copies go on is for a start to say,
    /// unless all of them can be made level.
    needs_all: AtomicBool,
    has_threads: bool,
    patience: Patience,
    /// Copies that are waited for less long than the others.
    pub(crate) haste: Haste,
    generations: AtomicU64,
    /// Copies that do not count any more, and whether somebody still works on them as if.
    leaving: Mutex<Vec<(DriveNo, Weak<()>)>>,
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
    haste: Haste,
    /// Held by everybody who knows the copy with its drive.
    in_use: Arc<()>,
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
            haste: Haste::default(),
            in_use: Arc::default(),
        }
    }

    /// A copy that failed while no majority was left to remember it.
    pub(crate) fn failed(no: DriveNo) -> Self {
        Self {
            state: CopyState::Failed,
            ..Self::fenced(no)
        }
    }

    /// Its threads, where copies have any.
    pub(crate) fn crew(&self) -> Option<Arc<Crew>> {
        self.crew.clone()
    }

    /// Has something done for this copy that must not hold up whoever asks for ever.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match &self.crew {
            None => job(self),
            Some(crew) => {
                let slot = self.clone();
                let limit = self.at_most(limit);
                crew.ask(limit, || self.label(), move || job(&slot))
            }
        }
    }

    /// How long this copy is waited for when the usual is `limit`.
    pub(crate) fn at_most(&self, limit: Duration) -> Duration {
        self.haste.of(self.no, limit)
    }

    /// Closes an index that was made for the copy and does not count, without waiting for it.
    pub(crate) fn let_go_of(&self, index: Arc<dyn Index>) {
        let mut slot = self.clone();
        slot.index = Some(index);
        close_later(slot);
    }

    pub(crate) fn drive(&self) -> Result<&dyn Drive, Error> {
        self.drive.as_deref().ok_or(Error::WorkerGone)
    }

    pub(crate) fn index(&self) -> Result<&Arc<dyn Index>, Error> {
        self.index.as_ref().ok_or(Error::WorkerGone)
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

    /// The part that a copy has.
    pub(crate) fn state(&self, no: DriveNo) -> Option<CopyState> {
        let slot = self.slots.iter().find(|slot| slot.no == no);
        slot.map(|slot| slot.state)
    }

    pub(crate) fn label(&self) -> String {
        let labels: Vec<_> = self.slots.iter().map(Slot::label).collect();
        labels.join(", ")
    }
}

impl Copies {
    pub(crate) fn new(ledger: Arc<dyn CopyLedger>, has_threads: bool, patience: Patience) -> Self {
        Self {
            view: RwLock::default(),
            gate: RwLock::default(),
            changing_state: Mutex::default(),
            ledger,
            refuses_changes: AtomicBool::new(false),
            needs_all: AtomicBool::new(false),
            has_threads,
            patience,
            haste: Haste::default(),
            generations: AtomicU64::new(1),
            leaving: Mutex::default(),
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
            haste: self.haste.clone(),
            in_use: Arc::default(),
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
            Some(known) => {
                if known.drive.is_some() && !Arc::ptr_eq(&known.in_use, &slot.in_use) {
                    let mut leaving = self.leaving();
                    leaving.retain(|(_, in_use)| in_use.strong_count() > 0);
                    leaving.push((known.no, Arc::downgrade(&known.in_use)));
                    // INVARIANT: only one closes a copy, since each waits to be the last.
                    if self.has_threads && known.index.is_some() {
                        close_later(known.clone());
                    }
                }
                *known = slot;
            }
            None => slots.push(slot),
        }
        self.replace_view(slots);
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<(DriveNo, Weak<()>)>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody works any more on what the copy was before it was fenced: a write that
    /// comes late must not fall into what is made level, nor an index be open twice.
    pub(crate) fn let_go(&self, no: DriveNo) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            let is_held =
                |(of, in_use): &(DriveNo, Weak<()>)| *of == no && in_use.strong_count() > 0;
            if !self.leaving().iter().any(is_held) {
                return Ok(());
            }
            if !self.has_threads || since.elapsed() > self.haste.of(no, self.patience.hang) {
                return Err(hangs(format!("drive {}", no.0)));
            }
            thread::sleep(LET_GO_POLL);
        }
    }

    /// Whether copies have threads of their own.
    pub(crate) fn has_threads(&self) -> bool {
        self.has_threads
    }

    /// How long is waited for a single operation of a copy.
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Whether there is a second copy, so that one need not be waited for.
    pub(crate) fn is_several(&self) -> bool {
        self.has_threads && self.view().live().count() > 1
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
        let done = self.run_at_once(&view, self.patience.hang, change);
        note(&view, touched);
        self.settle(done)
    }

    /// Runs `job` for every live copy at the same time, on the copies' own threads when there are
    /// several. A copy is given up when it answers so much later than others did that are enough
    /// to go on; while they are not, only after much longer.
    pub(crate) fn run_at_once<T: Send + 'static>(
        &self,
        view: &View,
        limit: Duration,
        job: impl Fn(&Slot) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Vec<(Slot, Result<T, Error>)> {
        let live: Vec<Slot> = view.live().cloned().collect();
        if !self.has_threads || live.len() < 2 {
            let run = |slot: Slot| {
                let outcome = job(&slot);
                (slot, outcome)
            };
            return live.into_iter().map(run).collect();
        }
        let job = Arc::new(job);
        let (answer, answers) = channel();
        for (at, slot) in live.iter().enumerate() {
            if let Some(crew) = &slot.crew {
                let (job, theirs, answer) = (Arc::clone(&job), slot.clone(), answer.clone());
                // Nobody left to do it means no answer, which is told below.
                let _ = crew.run(move || {
                    let outcome = job(&theirs);
                    // Whoever hears the answer may count on the drive being let go.
                    drop((job, theirs));
                    let _ = answer.send((at, outcome));
                });
            }
        }
        drop((answer, job));
        let mut outcomes: Vec<Option<Result<T, Error>>> = live.iter().map(|_| None).collect();
        // As long as nobody answers, nobody is slower than the others.
        let (mut first, mut ahead): (Option<Instant>, Option<Instant>) = (None, None);
        // Until when a copy is waited for.
        let deadline_of = |slot: &Slot, first: Instant, ahead: Option<Instant>| {
            let limit = slot.at_most(limit);
            let at = first + limit.saturating_mul(LONGER_WITHOUT_OTHERS);
            ahead.map_or(at, |ahead| at.min(ahead + limit))
        };
        let late = loop {
            let out = live.iter().zip(&outcomes).filter(|of| of.1.is_none());
            let deadline =
                first.and_then(|first| out.map(|of| deadline_of(of.0, first, ahead)).max());
            let answer = match deadline {
                None => answers.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => answers.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match answer {
                Ok((at, outcome)) => {
                    if let Some(slot) = outcomes.get_mut(at) {
                        *slot = Some(outcome);
                    }
                }
                Err(RecvTimeoutError::Timeout) => break true,
                Err(RecvTimeoutError::Disconnected) => break false,
            }
            if outcomes.iter().all(Option::is_some) {
                break false;
            }
            let now = Instant::now();
            first.get_or_insert(now);
            let done = outcomes
                .iter()
                .filter(|of| matches!(of, Some(Ok(_))))
                .count();
            if done.saturating_mul(2) >= view.slots.len() {
                ahead.get_or_insert(now);
            }
        };
        let outcome = |(slot, outcome): (Slot, Option<Result<T, Error>>)| {
            let missing = || {
                if late {
                    Err(hangs(slot.label()))
                } else {
                    Err(Error::WorkerGone)
                }
            };
            let outcome = outcome.unwrap_or_else(missing);
            (slot, outcome)
        };
        live.into_iter().zip(outcomes).map(outcome).collect()
    }

    /// The next live copy to ask that was not asked yet. Whoever may wait for one copy for ever
    /// holds on to that one alone.
    pub(crate) fn next_live(&self, asked: &[(DriveNo, u64)]) -> Option<Slot> {
        let is_new = |slot: &&Slot| !asked.contains(&(slot.no, slot.generation));
        self.view().live().find(is_new).cloned()
    }

    /// Reads from the first live copy that answers; `None` counts only when all of them say so.
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(&Slot) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let mut failure = None;
        let mut asked = Vec::new();
        while let Some(slot) = self.next_live(&asked) {
            asked.push((slot.no, slot.generation));
            match read(&slot) {
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
            None if asked.is_empty() => Err(self.refusal()),
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
            return Err(self.settle_failure(failed));
        }
        let mut refused = Ok(());
        for (slot, error) in failed {
            // All of them, so that none is read from that lacks what the others have.
            refused = refused.and(self.fence(&slot, &error));
        }
        refused.map(|()| succeeded)
    }

    /// Nobody carried it out, so nobody fell behind. But who did not answer may still carry it out,
    /// at any time: while that is so it must not count, since others may undo it meanwhile.
    ///
    /// The ledger is left as it is: those that are late are as whole as the one that answered with
    /// an error, and it would be wrong to remember that one as the only truth.
    fn settle_failure(&self, failed: Vec<(Slot, Error)>) -> Error {
        let are_several = failed.len() > 1;
        let mut first = None;
        for (slot, error) in failed {
            if are_several && is_late(&error) {
                self.suspend(&slot, &error);
            }
            first.get_or_insert(error);
        }
        first.unwrap_or_else(|| self.refusal())
    }

    /// Takes a copy out of use in memory only, and refuses changes.
    fn suspend(&self, slot: &Slot, cause: &Error) {
        let _one = self.state_lock();
        self.refuses_changes.store(true, Ordering::Release);
        self.needs_all.store(true, Ordering::Release);
        let view = self.view();
        let is_known = |known: &Slot| known.no == slot.no && known.generation == slot.generation;
        if view.live().any(is_known) && view.live().count() > 1 {
            let copy = slot.label();
            tracing::error!(%cause, copy, "no copy of the tables carried a change out, and this one may do so late: changes are refused");
            self.put(Slot::failed(slot.no));
        }
    }

    /// Whether changes are refused until every copy is level again, or until a start.
    pub(crate) fn needs_all(&self) -> bool {
        self.needs_all.load(Ordering::Acquire)
    }

    /// Takes a copy out of service that failed, in the ledger first.
    pub(crate) fn fence(&self, slot: &Slot, cause: &Error) -> Result<(), Error> {
        let _one = self.state_lock();
        let view = self.view();
        let is_known = |known: &Slot| known.no == slot.no && known.generation == slot.generation;
        let Some(known) = view.live().find(|known| is_known(known)) else {
            // Another operation met the same failure before.
            return Ok(());
        };
        let copy = known.label();
        let remembered = self.check().and_then(|()| self.ledger.fence(&[slot.no]));
        if let Err(error) = remembered {
            self.refuses_changes.store(true, Ordering::Release);
            tracing::error!(%cause, %error, copy, "a copy of the tables failed and no majority is left: changes are refused");
            if view.live().count() > 1 {
                self.put(Slot::failed(slot.no));
            }
            return Err(self.refusal());
        }
        tracing::error!(%cause, copy, "a copy of the tables is fenced; the others go on");
        metrics::counter!("strongroom_copies_fenced_total").increment(1);
        self.put(Slot::fenced(slot.no));
        Ok(())
    }

    /// Takes a copy out of use that has not failed. Without a majority it stays.
    pub(crate) fn release(&self, no: DriveNo) -> Result<(), Error> {
        let _one = self.state_lock();
        self.check()?;
        if !self.view().live().any(|slot| slot.no == no) {
            return Ok(());
        }
        self.ledger.fence(&[no])?;
        tracing::warn!(drive = %no, "a copy of the tables is fenced; the others go on");
        metrics::counter!("strongroom_copies_fenced_total").increment(1);
        self.put(Slot::fenced(no));
        Ok(())
    }

    /// Ends the time of refusals: copies that are level count together with those that never
    /// failed, in the ledger first, and no other does. The caller has paused everything. After an
    /// error they have no part.
    pub(crate) fn revive(&self, level: Vec<Slot>) -> Result<(), Error> {
        let _one = self.state_lock();
        let view = self.view();
        let mut counting: Vec<DriveNo> = view.live().map(|slot| slot.no).collect();
        counting.extend(level.iter().map(|slot| slot.no));
        let remembered = self.ledger.only(&counting);
        for slot in level {
            self.put(match remembered {
                Ok(()) => Slot {
                    state: CopyState::Live,
                    touched: None,
                    ..slot
                },
                Err(_) => Slot::failed(slot.no),
            });
        }
        remembered?;
        for slot in &view.slots {
            if slot.state == CopyState::Failed && !counting.contains(&slot.no) {
                self.put(Slot::fenced(slot.no));
            }
        }
        self.needs_all.store(false, Ordering::Release);
        self.refuses_changes.store(false, Ordering::Release);
        tracing::info!(
            ?counting,
            "a majority of the copies of the tables is whole again"
        );
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

/// Closes what a copy had open that does not count any more, when nobody works on it. Closing an
/// index waits for its own threads, and they may wait for the drive: nobody else is to.
fn close_later(slot: Slot) {
    let close = move || {
        while Arc::strong_count(&slot.in_use) > 1 {
            thread::sleep(CLOSE_POLL);
        }
        drop(slot);
    };
    let builder = thread::Builder::new().name("strongroom-copy-end".to_owned());
    // Without a thread, whoever has it last closes it.
    drop(builder.spawn(close));
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

const LET_GO_POLL: Duration = Duration::from_millis(2);
const CLOSE_POLL: Duration = Duration::from_millis(5);
/// How much longer a copy is waited for when changes would be refused without it.
const LONGER_WITHOUT_OTHERS: u32 = 6;
