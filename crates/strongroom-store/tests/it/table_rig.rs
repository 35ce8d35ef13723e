// SPDX-License-Identifier: Apache-2.0
//! What the table tests have in common: opening, a reference model, and an index that keeps the
//! least that an index may keep.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use strongroom_store::drive::Drive;
use strongroom_store::table::{
    Engine, Index, IndexMoment, IndexOp, IndexRow, MemoryIndex, ReleasedBlobs, TableOptions,
};
use strongroom_store::{
    AtRest, Batch, CommitError, CommitSeq, Error, Precondition, TableId, Write,
};
use strongroom_testkit::{SimDrive, SimRng, TestSealer};

pub(crate) const T: TableId = TableId(20);
pub(crate) const U: TableId = TableId(21);

/// Small files and no threads, so that a short story meets every case.
pub(crate) fn small() -> TableOptions {
    TableOptions {
        log_file_bytes: 4 << 10,
        checkpoint_bytes: 16 << 10,
        retain_log_files: 1,
        background_checkpoints: false,
        index_cache_bytes: 1 << 20,
        inline: false,
    }
}

pub(crate) fn sealer() -> Arc<dyn AtRest> {
    Arc::new(TestSealer::new(1))
}

pub(crate) fn ignore_released() -> ReleasedBlobs {
    Arc::new(|_| {})
}

/// Opens a simulated drive with the index that the product would use on it.
pub(crate) fn open(drive: &SimDrive) -> Result<Engine, Error> {
    let drive: Arc<dyn Drive> = Arc::new(drive.clone());
    let index = Arc::new(MemoryIndex::open(Arc::clone(&drive))?);
    Engine::open(drive, sealer(), index, small(), ignore_released())
}

/// Opens a simulated drive with a given index.
pub(crate) fn open_with(drive: &SimDrive, index: &LossyIndex) -> Result<Engine, Error> {
    let index = Arc::new(index.clone());
    Engine::open(
        Arc::new(drive.clone()),
        sealer(),
        index,
        small(),
        ignore_released(),
    )
}

pub(crate) fn put(table: TableId, key: &[u8], value: &[u8]) -> Write {
    Write::Put {
        table,
        key: key.to_vec(),
        value: value.to_vec(),
    }
}

pub(crate) fn delete(table: TableId, key: &[u8]) -> Write {
    Write::Delete {
        table,
        key: key.to_vec(),
    }
}

pub(crate) fn writes(writes: Vec<Write>) -> Batch {
    Batch {
        preconditions: Vec::new(),
        writes,
    }
}

pub(crate) fn when(precondition: Precondition, write: Write) -> Batch {
    Batch {
        preconditions: vec![precondition],
        writes: vec![write],
    }
}

/// Commits one batch as a group of its own.
pub(crate) fn commit(engine: &mut Engine, batch: Batch) -> Result<CommitSeq, CommitError> {
    engine.commit_group(vec![batch]).pop().unwrap()
}

/// All rows of a table.
pub(crate) fn all(engine: &Engine, table: TableId) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
    let rows = engine
        .scan(table, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)
        .unwrap();
    rows.into_iter()
        .map(|(key, row)| (key, row.value, row.seq))
        .collect()
}

/// What a batch is in the model: the same without blobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelBatch {
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) writes: Vec<ModelWrite>,
}

#[derive(Clone, Debug)]
pub(crate) enum ModelWrite {
    Put(TableId, Vec<u8>, Vec<u8>),
    Delete(TableId, Vec<u8>),
    Stamped(TableId, Vec<u8>, Vec<u8>),
}

impl ModelBatch {
    pub(crate) fn to_batch(&self) -> Batch {
        let writes = self.writes.iter().map(|write| match write.clone() {
            ModelWrite::Put(table, key, value) => Write::Put { table, key, value },
            ModelWrite::Delete(table, key) => Write::Delete { table, key },
            ModelWrite::Stamped(table, prefix, value) => Write::PutStamped {
                table,
                prefix,
                value,
            },
        });
        Batch {
            preconditions: self.preconditions.clone(),
            writes: writes.collect(),
        }
    }
}

/// The tables as they ought to be: obviously right, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) rows: BTreeMap<(TableId, Vec<u8>), (Vec<u8>, u64)>,
    pub(crate) seq: u64,
}

impl Model {
    /// Commits, or tells which precondition does not hold.
    pub(crate) fn commit(&mut self, batch: &ModelBatch) -> Result<u64, usize> {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            let holds = match precondition.clone() {
                Precondition::Absent { table, key } => !self.rows.contains_key(&(table, key)),
                Precondition::Present { table, key } => self.rows.contains_key(&(table, key)),
                Precondition::SeqIs { table, key, seq } => {
                    self.rows.get(&(table, key)).is_some_and(|row| row.1 == seq)
                }
                Precondition::RangeEmpty { table, start, end } => {
                    start >= end
                        || self
                            .rows
                            .range((table, start)..(table, end))
                            .next()
                            .is_none()
                }
            };
            if !holds {
                return Err(index);
            }
        }
        if batch.writes.is_empty() {
            return Ok(self.seq);
        }
        self.seq += 1;
        for write in batch.writes.clone() {
            match write {
                ModelWrite::Put(table, key, value) => {
                    self.rows.insert((table, key), (value, self.seq));
                }
                ModelWrite::Delete(table, key) => {
                    self.rows.remove(&(table, key));
                }
                ModelWrite::Stamped(table, mut key, value) => {
                    key.extend_from_slice(&(u64::MAX - self.seq).to_be_bytes());
                    self.rows.insert((table, key), (value, self.seq));
                }
            }
        }
        Ok(self.seq)
    }

    /// The model of what an engine shows.
    pub(crate) fn of(engine: &Engine) -> Self {
        let mut rows = BTreeMap::new();
        for table in [T, U] {
            for (key, value, seq) in all(engine, table) {
                rows.insert((table, key), (value, seq));
            }
        }
        Self {
            rows,
            seq: engine.last_commit().0,
        }
    }
}

/// An index that outlives its process as badly as an index may: of what was applied after the
/// last persist, any part may be gone after [`LossyIndex::restart`]. Clones are the same index.
#[derive(Clone, Debug, Default)]
pub(crate) struct LossyIndex {
    state: Arc<Mutex<LossyState>>,
}

#[derive(Clone, Debug, Default)]
struct LossyState {
    rows: BTreeMap<Vec<u8>, Bytes>,
    persisted: BTreeMap<Vec<u8>, Bytes>,
    since: Vec<Vec<IndexOp>>,
}

impl LossyIndex {
    /// The index that the next process finds: each batch since the last persist is there or not.
    pub(crate) fn restart(&self, rng: &mut SimRng) -> Self {
        let state = self.state.lock().unwrap();
        let mut next = LossyState {
            rows: state.persisted.clone(),
            ..LossyState::default()
        };
        let kept_of_four = rng.below(5);
        for batch in &state.since {
            if rng.below(4) < kept_of_four {
                apply(&mut next.rows, batch.clone());
                next.since.push(batch.clone());
            }
        }
        next.persisted.clone_from(&state.persisted);
        Self {
            state: Arc::new(Mutex::new(next)),
        }
    }

    /// A copy as it is now.
    pub(crate) fn copy(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.state.lock().unwrap().clone())),
        }
    }

    /// The stored rows, to be damaged.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut BTreeMap<Vec<u8>, Bytes>)) {
        edit(&mut self.state.lock().unwrap().rows);
    }
}

impl Index for LossyIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.state.lock().unwrap().rows.get(key).cloned())
    }

    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error> {
        let state = self.state.lock().unwrap();
        let after_start = |key: &[u8]| match start {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        };
        let before_end = |key: &[u8]| match end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        let mut rows: Vec<IndexRow> = state
            .rows
            .iter()
            .filter(|(key, _)| after_start(key) && before_end(key))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        if reverse {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        apply(&mut state.rows, ops.clone());
        state.since.push(ops);
        Ok(())
    }

    fn persist(&self) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        state.persisted = state.rows.clone();
        state.since.clear();
        Ok(())
    }

    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        Ok(Box::new(Rows(self.state.lock().unwrap().rows.clone())))
    }
}

struct Rows(BTreeMap<Vec<u8>, Bytes>);

impl IndexMoment for Rows {
    fn rows(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<IndexRow>, Error> {
        let behind = |key: &[u8]| after.is_none_or(|after| key > after);
        let rows = self.0.iter().filter(|(key, _)| behind(key)).take(limit);
        Ok(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }
}

fn apply(rows: &mut BTreeMap<Vec<u8>, Bytes>, ops: Vec<IndexOp>) {
    for op in ops {
        match op {
            IndexOp::Put { key, row } => rows.insert(key, row),
            IndexOp::Delete { key } => rows.remove(&key),
        };
    }
}
