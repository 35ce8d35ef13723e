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
use super::row::{index_key, open_or_mend, seal_row};
use crate::at_rest::AtRest;
use crate::blob::{BlobProof, CatalogRow, Departure, parse_owed_key};
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
    /// Files that nothing refers to once the group is durable.
    pub(crate) released: Vec<Departure>,
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
    released: Vec<Departure>,
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
        Ok(Some(
            open_or_mend(self.index, self.at_rest, &key, &stored)?.seq,
        ))
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
                    let blob = location.blob;
                    if self.catalogued(&changes, blob)?.is_some() {
                        return Err(Error::BlobExists { blob });
                    }
                    let row = CatalogRow::adopted(location, proof.keeping(), seq);
                    changes.catalogue(blob, None, Some(&row));
                    changes.adopted.push(proof);
                }
                Write::ShareBlob(blob) => {
                    let row = self.known(&changes, blob)?;
                    let shared = row.shared().ok_or(Error::TooLarge {
                        what: "the number of references to a blob",
                    })?;
                    changes.catalogue(blob, Some(&row), Some(&shared));
                }
                Write::ReleaseBlob(blob) => {
                    let row = self.known(&changes, blob)?;
                    let after = row.released();
                    changes.catalogue(blob, Some(&row), after.as_ref());
                    if after.is_none() {
                        changes.released.push(Departure::Blob { blob, row });
                    }
                }
                Write::MoveShards { blob, expected, to } => {
                    let row = self.known(&changes, blob)?;
                    if (row.placement, row.owed) != (expected.0, expected.1.bits()) {
                        return Err(Error::ShardsChanged { blob });
                    }
                    let moved = row.moved(to.0, to.1);
                    if moved.keeping().is_none() {
                        return Err(Error::InvalidBatch {
                            reason: "shards moved that do not fit the blob's redundancy",
                        });
                    }
                    changes.catalogue(blob, Some(&row), Some(&moved));
                    let left = |(_, drive)| to.0.shard_on(drive).is_none().then_some(drive);
                    let drives: Vec<_> = row.placement.each().filter_map(left).collect();
                    if !drives.is_empty() {
                        changes.released.push(Departure::Shards { blob, drives });
                    }
                }
                Write::RelistOwed { key } => self.relist(&mut changes, &key)?,
            }
        }
        Ok(changes)
    }

    /// Lists the blob that a key of the list of owed shards names as the catalogue has it, whatever
    /// stands at that key.
    fn relist(&self, changes: &mut Changes, key: &[u8]) -> Result<(), Error> {
        let owed = match parse_owed_key(key) {
            Some((_, blob)) => self
                .catalogued(changes, blob)?
                .and_then(|row| row.owed_key(blob)),
            None => None,
        };
        let key = index_key(TableId::OWED_SHARDS, key);
        changes.by_key.insert(key, Change::Gone);
        if let Some(owed) = owed {
            let key = index_key(TableId::OWED_SHARDS, &owed);
            let listed = Change::Value(OWED_ROW.to_vec());
            changes.by_key.insert(key, listed);
        }
        Ok(())
    }

    /// The catalogue row of a blob that must be there.
    fn known(&self, changes: &Changes, blob: BlobId) -> Result<CatalogRow, Error> {
        self.catalogued(changes, blob)?
            .ok_or(Error::BlobNotFound { blob })
    }

    /// The catalogue row of a blob as the batch sees it.
    fn catalogued(&self, changes: &Changes, blob: BlobId) -> Result<Option<CatalogRow>, Error> {
        let key = index_key(TableId::BLOB_CATALOGUE, &blob.0);
        match changes.by_key.get(&key) {
            Some(Change::Value(value)) => CatalogRow::decode(blob, value).map(Some),
            Some(Change::Gone) => Ok(None),
            None => {
                let Some(stored) = self.stored(&key)? else {
                    return Ok(None);
                };
                let row = open_or_mend(self.index, self.at_rest, &key, &stored)?;
                CatalogRow::decode(blob, &row.value).map(Some)
            }
        }
    }
}

impl Changes {
    /// Puts a blob's catalogue row in the place of the one before, and its place in the list of
    /// owed shards.
    ///
    /// INVARIANT: the only place where the two are written, so they never differ.
    fn catalogue(&mut self, blob: BlobId, before: Option<&CatalogRow>, after: Option<&CatalogRow>) {
        let owed = |row: Option<&CatalogRow>| row.and_then(|row| row.owed_key(blob));
        let (listed, list) = (owed(before), owed(after));
        if listed != list {
            if let Some(key) = listed {
                let key = index_key(TableId::OWED_SHARDS, &key);
                self.by_key.insert(key, Change::Gone);
            }
            if let Some(key) = list {
                let key = index_key(TableId::OWED_SHARDS, &key);
                self.by_key.insert(key, Change::Value(OWED_ROW.to_vec()));
            }
        }
        let change = after.map_or(Change::Gone, |row| Change::Value(row.encode()));
        let key = index_key(TableId::BLOB_CATALOGUE, &blob.0);
        self.by_key.insert(key, change);
    }
}

/// What every row of the table of owed shards holds: its key says everything.
pub(crate) const OWED_ROW: [u8; 1] = [1];
