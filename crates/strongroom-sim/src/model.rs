// SPDX-License-Identifier: Apache-2.0
//! The store as it ought to be: obviously right, and nothing else.

use std::collections::BTreeMap;

use strongroom_store::{BlobId, Precondition, TableId};
use strongroom_testkit::SimRng;

/// The table of the stories' rows.
pub(crate) const ROWS: TableId = TableId(60);

/// A blob that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Blob {
    /// Its bytes are the sequence of this seed.
    pub(crate) seed: u64,
    pub(crate) len: usize,
    /// How many rows stand on it.
    pub(crate) refs: u32,
}

/// A row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) value: Vec<u8>,
    pub(crate) seq: u64,
    pub(crate) blob: Option<BlobId>,
}

/// What a commit changes, in the model's words.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
        blob: Option<BlobId>,
    },
    Delete {
        key: Vec<u8>,
    },
    Adopt {
        blob: BlobId,
        seed: u64,
        len: usize,
    },
    Share(BlobId),
    Release(BlobId),
}

/// All rows and blobs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Model {
    pub(crate) rows: BTreeMap<Vec<u8>, Row>,
    pub(crate) blobs: BTreeMap<BlobId, Blob>,
    pub(crate) seq: u64,
}

impl Model {
    /// Which precondition does not hold.
    pub(crate) fn refuses(&self, preconditions: &[Precondition]) -> Option<usize> {
        preconditions.iter().position(|one| !match one {
            Precondition::Absent { key, .. } => !self.rows.contains_key(key),
            Precondition::Present { key, .. } => self.rows.contains_key(key),
            Precondition::SeqIs { key, seq, .. } => {
                self.rows.get(key).is_some_and(|row| row.seq == *seq)
            }
            Precondition::RangeEmpty { start, end, .. } => {
                start >= end || self.rows.range(start.clone()..end.clone()).next().is_none()
            }
        })
    }

    /// The model after a commit.
    pub(crate) fn after(&self, changes: &[Change]) -> Self {
        let mut after = self.clone();
        if changes.is_empty() {
            return after;
        }
        after.seq += 1;
        for change in changes {
            after.apply(change);
        }
        after
    }

    fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Put { key, value, blob } => {
                let seq = self.seq;
                self.rows.insert(key, Row { value, seq, blob });
            }
            Change::Delete { key } => {
                self.rows.remove(&key);
            }
            Change::Adopt { blob, seed, len } => {
                self.blobs.insert(blob, Blob { seed, len, refs: 1 });
            }
            Change::Share(blob) => self.blobs.get_mut(&blob).unwrap().refs += 1,
            Change::Release(blob) => {
                let of = self.blobs.get_mut(&blob).unwrap();
                of.refs -= 1;
                if of.refs == 0 {
                    self.blobs.remove(&blob);
                }
            }
        }
    }
}

impl Blob {
    /// What was written.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        bytes(self.seed, self.len)
    }
}

/// The bytes of a seed.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SimRng::new(seed).fill(&mut bytes);
    bytes
}
