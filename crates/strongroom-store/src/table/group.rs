// SPDX-License-Identifier: Apache-2.0
//! Decides a group of commits: which may happen, under which numbers, and what they change.
//!
//! Pure but for reads of the index. The commits of a group are judged one after the other, each
//! against the index *and* what the commits before it in the group change (the overlay), so the
//! result is the same as if each had been committed alone.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::batch::{Batch, CommitError, CommitSeq, Precondition, TableId, Write};
use super::body::{self, IndexOp};
use super::index::Index;
use super::limits::{ROWS_PER_COMMIT_MAX, SEQ_MAX};
use super::row::{index_key, open_row, seal_row};
use crate::at_rest::AtRest;
use crate::blob::{BlobProof, CatalogRow};
use crate::error::Error;
use crate::layout::BlobId;

/// What a group came to.
#[derive(Debug)]
pub(crate) struct Group {
    /// Commits that happen.
    pub(crate) count: u32,
    /// The plaintext of the record.
    pub(crate) body: Vec<u8>,
    /// The changes of the index, in order.
    pub(crate) ops: Vec<IndexOp>,
    /// Blobs that belong to the store once the group is durable.
    pub(crate) adopted: Vec<BlobProof>,
    /// Blobs that nothing refers to once the group is durable.
    pub(crate) released: Vec<BlobId>,
}

/// Takes the commits of one group in order.
pub(crate) struct Planner<'a> {
    index: &'a dyn Index,
    at_rest: &'a dyn AtRest,
    next_seq: u64,
    /// What the group changes so far: the stored row, or `None` for a deletion.
    overlay: BTreeMap<Vec<u8>, Option<Bytes>>,
    group: Group,
}

/// What one batch does to one index key, in the end.
enum Change {
    Value(Vec<u8>),
    Gone,
}

/// The changes of one batch, by index key.
#[derive(Default)]
struct Changes {
    by_key: BTreeMap<Vec<u8>, Change>,
    adopted: Vec<BlobProof>,
    released: Vec<BlobId>,
}

impl<'a> Planner<'a> {
    /// Starts a group whose first commit will be `next_seq`.
    pub(crate) fn new(index: &'a dyn Index, at_rest: &'a dyn AtRest, next_seq: u64) -> Self {
        let group = Group {
            count: 0,
            body: body::begin(),
            ops: Vec::new(),
            adopted: Vec::new(),
            released: Vec::new(),
        };
        Self {
            index,
            at_rest,
            next_seq,
            overlay: BTreeMap::new(),
            group,
        }
    }

    /// Judges a batch and takes it into the group if it may happen. Refused batches leave no
    /// trace; their blob proofs go back with the answer or are dropped.
    pub(crate) fn add(&mut self, batch: Batch) -> Result<CommitSeq, CommitError> {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            if !self.holds(precondition)? {
                return Err(CommitError::Precondition {
                    index,
                    batch: Box::new(batch),
                });
            }
        }
        let seq = self.next_seq;
        if batch.writes.is_empty() {
            // Only a question: the answer stands for the moment after the commit before.
            return Ok(CommitSeq(seq.saturating_sub(1)));
        }
        if seq > SEQ_MAX {
            return Err(Error::TooLarge {
                what: "the number of commits",
            }
            .into());
        }
        let changes = self.resolve(batch.writes, seq)?;
        let sealed = changes
            .by_key
            .values()
            .filter(|change| matches!(change, Change::Value(_)));
        if u64::try_from(sealed.count()).map_or(true, |rows| rows > ROWS_PER_COMMIT_MAX) {
            return Err(Error::TooLarge { what: "a commit" }.into());
        }
        let mut ops = Vec::with_capacity(changes.by_key.len());
        for (key, change) in changes.by_key {
            ops.push(match change {
                Change::Value(value) => {
                    let row = seal_row(self.at_rest, &key, seq, &value)?;
                    IndexOp::Put { key, row }
                }
                Change::Gone => IndexOp::Delete { key },
            });
        }
        let body_len = self.group.body.len();
        if body::push_commit(&mut self.group.body, &ops).is_none() {
            self.group.body.truncate(body_len);
            return Err(Error::TooLarge { what: "a commit" }.into());
        }
        for op in &ops {
            let (key, row) = match op {
                IndexOp::Put { key, row } => (key, Some(row.clone())),
                IndexOp::Delete { key } => (key, None),
            };
            self.overlay.insert(key.clone(), row);
        }
        self.group.ops.append(&mut ops);
        self.group.adopted.extend(changes.adopted);
        self.group.released.extend(changes.released);
        self.group.count = self.group.count.saturating_add(1);
        self.next_seq = seq.saturating_add(1);
        Ok(CommitSeq(seq))
    }

    /// The group as it stands.
    pub(crate) fn finish(self) -> Group {
        self.group
    }

    fn holds(&self, precondition: &Precondition) -> Result<bool, Error> {
        match precondition {
            Precondition::Absent { table, key } => {
                Ok(self.stored(&index_key(*table, key))?.is_none())
            }
            Precondition::Present { table, key } => Ok(self.seq_of(*table, key)?.is_some()),
            Precondition::SeqIs { table, key, seq } => Ok(self.seq_of(*table, key)? == Some(*seq)),
            Precondition::RangeEmpty { table, start, end } => {
                self.is_range_empty(&index_key(*table, start), &index_key(*table, end))
            }
        }
    }

    /// The number of the commit that wrote a row. Rows from the index are authenticated first: a
    /// damaged one must not decide a commit.
    fn seq_of(&self, table: TableId, key: &[u8]) -> Result<Option<u64>, Error> {
        let key = index_key(table, key);
        let Some(stored) = self.stored(&key)? else {
            return Ok(None);
        };
        Ok(Some(open_row(self.at_rest, &key, &stored)?.seq))
    }

    fn stored(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.overlay.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.index.get(key),
        }
    }

    fn is_range_empty(&self, start: &[u8], end: &[u8]) -> Result<bool, Error> {
        if start >= end {
            return Ok(true);
        }
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let mut deleted = 0_usize;
        for change in self
            .overlay
            .range::<[u8], _>(bounds)
            .map(|(_, change)| change)
        {
            match change {
                Some(_) => return Ok(false),
                None => deleted = deleted.saturating_add(1),
            }
        }
        // One row more than the group deletes in the range is enough to find one that stays.
        let rows = self
            .index
            .range(bounds.0, bounds.1, deleted.saturating_add(1), false)?;
        Ok(rows.iter().all(|(key, _)| self.overlay.contains_key(key)))
    }

    fn resolve(&self, writes: Vec<Write>, seq: u64) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        for write in writes {
            match write {
                Write::Put { table, key, value } => {
                    changes
                        .by_key
                        .insert(index_key(table, &key), Change::Value(value));
                }
                Write::Delete { table, key } => {
                    changes.by_key.insert(index_key(table, &key), Change::Gone);
                }
                Write::PutStamped {
                    table,
                    mut prefix,
                    value,
                } => {
                    prefix.extend_from_slice(&(u64::MAX - seq).to_be_bytes());
                    let key = index_key(table, &prefix);
                    if changes.by_key.insert(key, Change::Value(value)).is_some() {
                        let reason = "two stamped rows with the same prefix";
                        return Err(Error::InvalidBatch { reason });
                    }
                }
                Write::AdoptBlob(proof) => {
                    let location = proof.location();
                    let key = index_key(TableId::BLOB_CATALOGUE, &location.blob.0);
                    if self.catalogued(&changes, &key, location.blob)?.is_some() {
                        return Err(Error::BlobExists {
                            blob: location.blob,
                        });
                    }
                    let row = CatalogRow::adopted(location, seq);
                    changes.by_key.insert(key, Change::Value(row.encode()));
                    changes.adopted.push(proof);
                }
                Write::ShareBlob(blob) => {
                    let key = index_key(TableId::BLOB_CATALOGUE, &blob.0);
                    let row = self
                        .catalogued(&changes, &key, blob)?
                        .ok_or(Error::BlobNotFound { blob })?;
                    let row = row.shared().ok_or(Error::TooLarge {
                        what: "the number of references to a blob",
                    })?;
                    changes.by_key.insert(key, Change::Value(row.encode()));
                }
                Write::ReleaseBlob(blob) => {
                    let key = index_key(TableId::BLOB_CATALOGUE, &blob.0);
                    let row = self
                        .catalogued(&changes, &key, blob)?
                        .ok_or(Error::BlobNotFound { blob })?;
                    let change = if let Some(row) = row.released() {
                        Change::Value(row.encode())
                    } else {
                        changes.released.push(blob);
                        Change::Gone
                    };
                    changes.by_key.insert(key, change);
                }
            }
        }
        Ok(changes)
    }

    /// The catalogue row of a blob as the batch sees it.
    fn catalogued(
        &self,
        changes: &Changes,
        key: &[u8],
        blob: BlobId,
    ) -> Result<Option<CatalogRow>, Error> {
        match changes.by_key.get(key) {
            Some(Change::Value(value)) => CatalogRow::decode(blob, value).map(Some),
            Some(Change::Gone) => Ok(None),
            None => {
                let Some(stored) = self.stored(key)? else {
                    return Ok(None);
                };
                let row = open_row(self.at_rest, key, &stored)?;
                CatalogRow::decode(blob, &row.value).map(Some)
            }
        }
    }
}
