// SPDX-License-Identifier: Apache-2.0
//! The indexes of all copies, as one.
//!
//! Changes go to all; reads come from the first that answers. One that is being built for a copy
//! that catches up has everything up to its cursor: what changes there is changed in it too, the
//! rest comes with the rows that are still to be copied.

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::copies::{Copies, Slot};
use crate::at_rest::AtRest;
use crate::error::Error;
use crate::table::{Index, IndexMoment, IndexOp, IndexRow, row_opens};

/// One index that is several.
pub(crate) struct MirroredIndex {
    copies: Arc<Copies>,
    /// Held while changes are applied, so that a copy is level or not, never in between.
    applying: Mutex<Vec<Building>>,
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
            applying: Mutex::default(),
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
        generation: u64,
        index: &Arc<dyn Index>,
        at_rest: &dyn AtRest,
    ) -> Result<(), Error> {
        self.lock().push(Building {
            generation,
            index: Arc::clone(index),
            cursor: None,
            is_whole: false,
            failure: None,
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
        let start = building
            .cursor
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.range(start, Bound::Unbounded, BUILD_ROWS, false)?;
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
        building.index.apply(ops)?;
        building.cursor = Some(last);
        Ok(false)
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

    /// Whether the index that was built is still level with the others.
    pub(crate) fn built(&self, generation: u64) -> Result<(), Error> {
        let mut all = self.lock();
        let building = all
            .iter_mut()
            .find(|building| building.generation == generation)
            .ok_or(Error::WorkerGone)?;
        match building.failure.take() {
            Some(failure) => Err(failure),
            None if building.is_whole => Ok(()),
            None => Err(Error::WorkerGone),
        }
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

    fn on_each<T>(
        &self,
        mut job: impl FnMut(&dyn Index) -> Result<T, Error>,
    ) -> Result<Vec<(Slot, T)>, Error> {
        let view = self.copies.view();
        let with_index = |slot: &Slot| {
            let index = slot.index.clone();
            index.ok_or(Error::WorkerGone)
        };
        let done = view
            .live()
            .map(|slot| {
                let outcome = with_index(slot).and_then(|index| job(index.as_ref()));
                (slot.clone(), outcome)
            })
            .collect();
        self.copies.settle(done)
    }
}

impl Index for MirroredIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        first_answer(&self.copies, |index| index.get(key))
    }

    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error> {
        first_answer(&self.copies, |index| {
            index.range(start, end, limit, reverse)
        })
    }

    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
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
                && let Err(error) = building.index.apply(theirs)
            {
                building.failure = Some(error);
            }
        }
        self.on_each(|index| index.apply(ops.clone())).map(drop)
    }

    fn persist(&self) -> Result<(), Error> {
        self.on_each(Index::persist).map(drop)
    }

    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        first_answer(&self.copies, Index::moment)
    }

    fn others(&self, key: &[u8], row: &Bytes) -> Vec<Bytes> {
        let mut found = Vec::new();
        for index in self
            .copies
            .view()
            .live()
            .filter_map(|slot| slot.index.as_ref())
        {
            // A copy that does not answer has nothing to offer.
            if let Ok(Some(other)) = index.get(key)
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
        self.on_each(|index| {
            // A commit may have put another row there since.
            if index.get(key)?.as_ref() != Some(bad) {
                return Ok(());
            }
            index.apply(vec![IndexOp::Put {
                key: key.to_vec(),
                row: good.clone(),
            }])
        })
        .map(drop)
    }
}

fn first_answer<T>(
    copies: &Copies,
    mut ask: impl FnMut(&dyn Index) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut failure = None;
    for slot in copies.view().live() {
        let Some(index) = &slot.index else {
            continue;
        };
        match ask(index.as_ref()) {
            Ok(found) => return Ok(found),
            Err(error) => {
                tracing::warn!(%error, copy = slot.label(), "a copy of the index does not answer");
                metrics::counter!("strongroom_copy_read_failures_total").increment(1);
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| copies.refusal()))
}

const BUILD_ROWS: usize = 64;
