// SPDX-License-Identifier: Apache-2.0
//! The indexes of all copies, as one.
//!
//! Changes go to all; reads come from the first that answers. One that is being built for a copy
//! that catches up has everything up to its cursor: what changes there is changed in it too, the
//! rest comes with the rows that are still to be copied.

use std::ops::Bound;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::copies::{Copies, Slot};
use super::crew::{Crew, hangs};
use crate::at_rest::AtRest;
use crate::error::Error;
use crate::table::{
    Changes, ChangesOfTables, Index, IndexMoment, IndexOp, IndexRow, PatientReads, ReadJob,
    row_opens,
};

/// One index that is several. Clones are the same one.
#[derive(Clone)]
pub(crate) struct MirroredIndex {
    copies: Arc<Copies>,
    /// Held while changes are applied, so that a copy is level or not, never in between.
    applying: Arc<Mutex<Vec<Building>>>,
    /// Which copy is being asked, and since when, where somebody watches that.
    asking: Option<Arc<Asking>>,
    /// Reads wait only so long for a copy, and then ask another.
    reads_in_time: bool,
    /// Counts what is done beside commits, though it should change nothing that readers see: which
    /// copies are asked, and rows that are put right.
    changes: ChangesOfTables,
}

/// The copy that a watched reader waits for.
type Asking = Mutex<Option<(Slot, Instant)>>;

/// Runs reads on a thread, and fences a copy that does not answer.
struct WatchedReads {
    index: MirroredIndex,
    crew: Mutex<Option<Arc<Crew>>>,
}

/// An index that is being built.
#[derive(Debug)]
struct Building {
    generation: u64,
    index: Arc<dyn Index>,
    /// The last key it has everything up to; `None` before the first.
    cursor: Option<Vec<u8>>,
    is_whole: bool,
    failure: Option<Error>,
    /// Of the copy that it is built for.
    slot: Slot,
}

impl Building {
    /// Changes the index in time: whoever calls holds up all changes meanwhile.
    fn apply(&self, ops: Vec<IndexOp>, limit: Duration) -> Result<(), Error> {
        let index = Arc::clone(&self.index);
        self.slot.ask(limit, move |_| index.apply(ops))
    }
}

impl std::fmt::Debug for MirroredIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirroredIndex").finish_non_exhaustive()
    }
}

impl MirroredIndex {
    pub(crate) fn new(copies: Arc<Copies>) -> Self {
        Self {
            copies,
            applying: Arc::default(),
            asking: None,
            reads_in_time: false,
            changes: ChangesOfTables::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Building>> {
        // What is half applied after a panic is fenced or out of service with whoever panicked.
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds `index` from the others while they go on, until it is level with them; from then on
    /// it gets every change, until [`Self::end_building`].
    pub(crate) fn build(
        &self,
        slot: &Slot,
        index: &Arc<dyn Index>,
        at_rest: &dyn AtRest,
    ) -> Result<(), Error> {
        let generation = slot.generation;
        self.lock().push(Building {
            generation,
            index: Arc::clone(index),
            cursor: None,
            is_whole: false,
            failure: None,
            slot: slot.clone(),
        });
        while !self.build_more(generation, at_rest)? {}
        Ok(())
    }

    /// Copies the next rows; `true` when there are none left.
    fn build_more(&self, generation: u64, at_rest: &dyn AtRest) -> Result<bool, Error> {
        let mut all = self.lock();
        let building = all
            .iter_mut()
            .find(|building| building.generation == generation)
            .ok_or(Error::WorkerGone)?;
        if let Some(failure) = building.failure.take() {
            return Err(failure);
        }
        let rows = self.rows_behind(building.cursor.as_deref())?;
        let Some((last, _)) = rows.last() else {
            building.is_whole = true;
            return Ok(true);
        };
        let last = last.clone();
        let mut ops = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let row = self.sound_row(at_rest, &key, row);
            ops.push(IndexOp::Put { key, row });
        }
        building.apply(ops, self.copies.patience().hang)?;
        building.cursor = Some(last);
        Ok(false)
    }

    /// The next rows of a copy that answers in time: changes wait meanwhile.
    fn rows_behind(&self, cursor: Option<&[u8]>) -> Result<Vec<IndexRow>, Error> {
        let limit = self.copies.patience().hang;
        let mut failure = None;
        let mut asked = Vec::new();
        while let Some(slot) = self.copies.next_live(&asked) {
            asked.push((slot.no, slot.generation));
            let cursor = cursor.map(<[u8]>::to_vec);
            let page = slot.ask(limit, move |slot| {
                let start = cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                slot.index()?
                    .range(start, Bound::Unbounded, BUILD_ROWS, false)
            });
            match page {
                Ok(rows) => return Ok(rows),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| self.copies.refusal()))
    }

    /// The row if it opens, else that of another copy that does. A row that opens nowhere is
    /// copied as it is: its readers hear of it.
    fn sound_row(&self, at_rest: &dyn AtRest, key: &[u8], row: Bytes) -> Bytes {
        if row_opens(at_rest, key, &row) {
            return row;
        }
        let others = self.others(key, &row);
        let sound = others
            .into_iter()
            .find(|other| row_opens(at_rest, key, other));
        sound.unwrap_or(row)
    }

    /// Runs `act` if the index that was built is still level with the others; nothing is applied
    /// meanwhile, so that it is when it counts. It gets its changes as one of those that count then,
    /// unless it `goes_on` as one that is being built.
    pub(crate) fn when_built<T>(
        &self,
        generation: u64,
        goes_on: bool,
        act: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut all = self.lock();
        let building = all
            .iter_mut()
            .find(|building| building.generation == generation)
            .ok_or(Error::WorkerGone)?;
        let done = match building.failure.take() {
            Some(failure) => Err(failure),
            None if building.is_whole => self.changes.while_any_may_change(act),
            None => Err(Error::WorkerGone),
        };
        if done.is_ok() && !goes_on {
            all.retain(|building| building.generation != generation);
        }
        done
    }

    /// Runs `act` for those copies whose indexes are still level with the others, and lets go of all
    /// that were built; nothing is applied meanwhile.
    pub(crate) fn when_still_built<T>(
        &self,
        slots: Vec<Slot>,
        act: impl FnOnce(Vec<Slot>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut all = self.lock();
        let is_level = |slot: &Slot| {
            let mut of_slot = all.iter().filter(|of| of.generation == slot.generation);
            of_slot.any(|of| of.is_whole && of.failure.is_none())
        };
        let (level, failed): (Vec<_>, Vec<_>) = slots.into_iter().partition(is_level);
        for slot in failed {
            self.copies.set(Slot::failed(slot.no));
            if let Some(index) = slot.index.clone() {
                slot.let_go_of(index);
            }
        }
        let done = self.changes.while_any_may_change(|| act(level));
        all.clear();
        done
    }

    /// Lets go of an index that counts now, or never will.
    pub(crate) fn end_building(&self, generation: u64) {
        self.lock()
            .retain(|building| building.generation != generation);
    }

    /// Runs `look` while nothing is applied.
    pub(crate) fn while_at_rest<T>(&self, look: impl FnOnce() -> T) -> T {
        let _held = self.lock();
        look()
    }

    /// Runs what puts a row right in a copy.
    pub(crate) fn while_mending<T>(&self, mend: impl FnOnce() -> T) -> T {
        self.changes.while_any_may_change(mend)
    }

    fn on_each<T: Send + 'static>(
        &self,
        limit: Duration,
        job: impl Fn(&dyn Index) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Vec<(Slot, T)>, Error> {
        let view = self.copies.view();
        let on_one = move |slot: &Slot| job(slot.index()?.as_ref());
        let done = self.copies.run_at_once(&view, limit, on_one);
        drop(view);
        self.copies.settle(done)
    }
}

impl Index for MirroredIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        if self.asks_in_time() {
            let key = key.to_vec();
            return self.first_in_time(move |index| index.get(&key));
        }
        self.first_answer(|index| index.get(key))
    }

    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error> {
        if self.asks_in_time() {
            let (start, end) = (start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec));
            return self.first_in_time(move |index| {
                let (start, end) = (start.as_ref(), end.as_ref());
                let (start, end) = (start.map(Vec::as_slice), end.map(Vec::as_slice));
                index.range(start, end, limit, reverse)
            });
        }
        self.first_answer(|index| index.range(start, end, limit, reverse))
    }

    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
        let limit = self.copies.patience().hang;
        let mut buildings = self.lock();
        for building in buildings.iter_mut().filter(|one| one.failure.is_none()) {
            let reached = |op: &&IndexOp| {
                building.is_whole
                    || building
                        .cursor
                        .as_deref()
                        .is_some_and(|cursor| op.key() <= cursor)
            };
            let theirs: Vec<_> = ops.iter().filter(reached).cloned().collect();
            if !theirs.is_empty()
                && let Err(error) = building.apply(theirs, limit)
            {
                building.failure = Some(error);
            }
        }
        self.on_each(limit, move |index| index.apply(ops.clone()))
            .map(drop)
    }

    fn count_changes(&self, changes: &Arc<Changes>) {
        self.changes.set(changes);
    }

    fn persist(&self) -> Result<(), Error> {
        let limit = self.copies.patience().persist;
        self.on_each(limit, Index::persist).map(drop)
    }

    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        let mut failure = None;
        let mut asked = Vec::new();
        while let Some(copy) = self.copies.next_live(&asked) {
            asked.push((copy.no, copy.generation));
            match copy.index().and_then(|index| index.moment()) {
                Ok(moment) => {
                    return Ok(Box::new(HeldMoment {
                        moment,
                        _copy: copy,
                    }));
                }
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| self.copies.refusal()))
    }

    fn patient(&self) -> Option<Arc<dyn PatientReads>> {
        Some(Arc::new(WatchedReads {
            index: self.clone(),
            crew: Mutex::default(),
        }))
    }

    fn in_time(&self) -> Option<Arc<dyn Index>> {
        Some(Arc::new(Self {
            reads_in_time: true,
            ..self.clone()
        }))
    }

    fn patience(&self) -> Option<Duration> {
        self.asks_in_time().then(|| self.copies.patience().persist)
    }

    fn others(&self, key: &[u8], row: &Bytes) -> Vec<Bytes> {
        let limit = self.copies.patience().hang;
        let mut found = Vec::new();
        let mut asked = Vec::new();
        while let Some(slot) = self.copies.next_live(&asked) {
            asked.push((slot.no, slot.generation));
            let theirs = key.to_vec();
            // A copy that does not answer has nothing to offer.
            if let Ok(Some(other)) = slot.ask(limit, move |slot| slot.index()?.get(&theirs))
                && other != row
                && !found.contains(&other)
            {
                found.push(other);
            }
        }
        found
    }

    fn mend(&self, key: &[u8], bad: &Bytes, good: &Bytes) -> Result<(), Error> {
        let _held = self.lock();
        let limit = self.copies.patience().hang;
        let (key, bad, good) = (key.to_vec(), bad.clone(), good.clone());
        let mend = move |index: &dyn Index| {
            // A commit may have put another row there since.
            if index.get(&key)?.as_ref() != Some(&bad) {
                return Ok(());
            }
            index.apply(vec![IndexOp::Put {
                key: key.clone(),
                row: good.clone(),
            }])
        };
        self.changes
            .while_any_may_change(|| self.on_each(limit, mend))
            .map(drop)
    }
}

/// A moment of one copy, which is in use as long as somebody reads from it: its index is not made
/// anew under the reader.
struct HeldMoment {
    moment: Box<dyn IndexMoment>,
    _copy: Slot,
}

impl IndexMoment for HeldMoment {
    fn rows(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<IndexRow>, Error> {
        self.moment.rows(after, limit)
    }
}

impl PatientReads for WatchedReads {
    fn run(&self, job: ReadJob) -> bool {
        let copies = &self.index.copies;
        if !copies.is_several() {
            job(&self.index);
            return true;
        }
        // An option is replaced as a whole.
        let mut known = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        let crew = match known.take().map_or_else(|| Crew::of(1).map(Arc::new), Ok) {
            Ok(crew) => crew,
            Err(error) => {
                tracing::warn!(%error, "reads are not watched");
                job(&self.index);
                return true;
            }
        };
        let asking = Arc::<Asking>::default();
        let index = MirroredIndex {
            asking: Some(Arc::clone(&asking)),
            ..self.index.clone()
        };
        let (answer, ended) = channel();
        crew.run(move || {
            job(&index);
            // Nobody listening any more: it was given up.
            let _ = answer.send(());
        });
        let limit = copies.patience().hang;
        let mut wait = copies.haste.least(limit);
        loop {
            match ended.recv_timeout(wait) {
                Ok(()) => {
                    *known = Some(crew);
                    return true;
                }
                // The job panicked, and told so itself.
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let asked = asking
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let Some((slot, since)) = asked else {
                continue;
            };
            let left = slot.at_most(limit).saturating_sub(since.elapsed());
            wait = left.min(copies.haste.least(limit));
            if left.is_zero() {
                // An error means that changes are refused from now on.
                let _ = copies.fence(&slot, &hangs(slot.label()));
                return false;
            }
        }
    }
}

impl MirroredIndex {
    fn asks_in_time(&self) -> bool {
        self.reads_in_time && self.copies.is_several()
    }

    /// What the first copy says that answers in time. One that does not is left to whoever changes
    /// something next, and has to wait for it.
    fn first_in_time<T: Send + 'static>(
        &self,
        ask: impl Fn(&dyn Index) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let limit = self.copies.patience().hang;
        let ask = Arc::new(ask);
        let mut failure = None;
        let mut asked = Vec::new();
        while let Some(slot) = self.copies.next_live(&asked) {
            asked.push((slot.no, slot.generation));
            let ask = Arc::clone(&ask);
            match slot.ask(limit, move |slot| ask(slot.index()?.as_ref())) {
                Ok(found) => return Ok(found),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| self.copies.refusal()))
    }

    fn first_answer<T>(
        &self,
        mut ask: impl FnMut(&dyn Index) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut failure = None;
        let mut asked = Vec::new();
        while let Some(slot) = self.copies.next_live(&asked) {
            asked.push((slot.no, slot.generation));
            let Some(index) = &slot.index else {
                continue;
            };
            self.now_asking(Some(&slot));
            let answer = ask(index.as_ref());
            self.now_asking(None);
            match answer {
                Ok(found) => return Ok(found),
                Err(error) => {
                    tracing::warn!(%error, copy = slot.label(), "a copy of the index does not answer");
                    metrics::counter!("strongroom_copy_read_failures_total").increment(1);
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| self.copies.refusal()))
    }

    fn now_asking(&self, slot: Option<&Slot>) {
        if let Some(asking) = &self.asking {
            let since = slot.map(|slot| (slot.clone(), Instant::now()));
            *asking.lock().unwrap_or_else(PoisonError::into_inner) = since;
        }
    }
}

const BUILD_ROWS: usize = 64;
