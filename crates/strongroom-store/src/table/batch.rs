// SPDX-License-Identifier: Apache-2.0
//! What a commit asks for: conditions that must hold, and changes that happen together.

use std::fmt;

use super::limits::{COMMIT_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, WRITES_PER_COMMIT_MAX};
use super::row::INDEX_TABLE;
use crate::blob::{BlobProof, Placement, ShardSet};
use crate::error::Error;
use crate::layout::BlobId;

/// Names a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableId(pub u16);

impl TableId {
    /// The blobs that rows refer to; written only through [`Write::AdoptBlob`],
    /// [`Write::ShareBlob`], [`Write::ReleaseBlob`] and [`Write::MoveShards`].
    pub const BLOB_CATALOGUE: Self = Self(30);
    /// The blobs that have not all of their shards, by how many more they can lose; written along
    /// with the catalogue.
    pub const OWED_SHARDS: Self = Self(26);
}

/// The place of a commit in the one order of all commits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommitSeq(pub u64);

/// A row as it was committed.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The value.
    pub value: Vec<u8>,
    /// The commit that wrote it.
    pub seq: u64,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be wrapped keys or user data: a log must not show them.
        f.debug_struct("Row")
            .field("bytes", &self.value.len())
            .field("seq", &self.seq)
            .finish()
    }
}

/// Something that must hold at the moment of the commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// There is no such row.
    Absent {
        /// The table.
        table: TableId,
        /// The row's key.
        key: Vec<u8>,
    },
    /// There is such a row.
    Present {
        /// The table.
        table: TableId,
        /// The row's key.
        key: Vec<u8>,
    },
    /// The row is there and was written by this commit.
    SeqIs {
        /// The table.
        table: TableId,
        /// The row's key.
        key: Vec<u8>,
        /// What [`Row::seq`] must be.
        seq: u64,
    },
    /// There is no row with `start <= key < end`.
    RangeEmpty {
        /// The table.
        table: TableId,
        /// First key of the range.
        start: Vec<u8>,
        /// First key behind the range.
        end: Vec<u8>,
    },
}

/// A change.
pub enum Write {
    /// The row gets this value, whether it was there or not.
    Put {
        /// The table.
        table: TableId,
        /// The row's key.
        key: Vec<u8>,
        /// The new value.
        value: Vec<u8>,
    },
    /// The row vanishes; nothing happens when it was not there.
    Delete {
        /// The table.
        table: TableId,
        /// The row's key.
        key: Vec<u8>,
    },
    /// A new row at `prefix || be64(u64::MAX - commit sequence)`: within the prefix the newest
    /// comes first. One commit can write one such row for a prefix.
    PutStamped {
        /// The table.
        table: TableId,
        /// The start of the row's key.
        prefix: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// The blob becomes part of the store; the proof says that all its bytes are durable.
    AdoptBlob(BlobProof),
    /// One more row stands on the blob, which must be part of the store. Obligation of the caller:
    /// a precondition on the row by which the blob is known, so that a last reference that goes
    /// meanwhile refuses the commit instead of failing it.
    ShareBlob(BlobId),
    /// The blob loses a reference; without any it is removed after the commit is durable.
    ReleaseBlob(BlobId),
    /// Shards of the blob lie elsewhere now, or are owed. Refused with [`Error::ShardsChanged`]
    /// when they do not lie as `expected` any more. Obligation of the caller: the shards that are
    /// not owed are durable where they are said to be. Files on drives that the blob leaves are
    /// removed after the commit is durable.
    MoveShards {
        /// The blob.
        blob: BlobId,
        /// Where its shards lie, and which are owed.
        expected: (Placement, ShardSet),
        /// Where they lie from now on, and which are owed.
        to: (Placement, ShardSet),
    },
    /// Puts the list of blobs that are owed shards right at this key, whatever stands there: the
    /// blob that the key names is listed if, and as, its catalogue row says. For rows of the list
    /// that do not open, or are missing.
    RelistOwed {
        /// A key of [`TableId::OWED_SHARDS`].
        key: Vec<u8>,
    },
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { table, value, .. } => write!(f, "Put({table:?}, {} bytes)", value.len()),
            Self::Delete { table, .. } => write!(f, "Delete({table:?})"),
            Self::PutStamped { table, value, .. } => {
                write!(f, "PutStamped({table:?}, {} bytes)", value.len())
            }
            Self::AdoptBlob(proof) => write!(f, "AdoptBlob({})", proof.location().blob),
            Self::ShareBlob(blob) => write!(f, "ShareBlob({blob})"),
            Self::ReleaseBlob(blob) => write!(f, "ReleaseBlob({blob})"),
            Self::MoveShards { blob, .. } => write!(f, "MoveShards({blob})"),
            Self::RelistOwed { key } => write!(f, "RelistOwed({} bytes)", key.len()),
        }
    }
}

/// A commit: everything in it happens, or nothing does. Writes take effect in order, so the last
/// one of a key counts.
#[derive(Debug, Default)]
pub struct Batch {
    /// All must hold; they are judged before any of the writes.
    pub preconditions: Vec<Precondition>,
    /// What changes.
    pub writes: Vec<Write>,
}

/// Why a commit did not happen, or is not known to have happened.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A precondition did not hold; nothing changed.
    #[error("precondition {index} does not hold")]
    Precondition {
        /// Which one, counted from 0.
        index: usize,
        /// The batch as it was given, blob proofs and all, to be tried again on other conditions.
        batch: Box<Batch>,
    },
    /// The commit was on its way to the drive when the drive failed. It may be there after the
    /// next start, or not; until then the store is out of service.
    #[error("the drive failed while committing: the outcome is unknown")]
    Unknown,
    /// Nothing changed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a batch costs; made only by [`Batch::measure`], which also refuses what is out of bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchCost {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Batch {
    /// Measures the batch against the limits of the tables.
    pub(crate) fn measure(&self) -> Result<BatchCost, Error> {
        for precondition in &self.preconditions {
            match precondition {
                Precondition::Absent { table, key }
                | Precondition::Present { table, key }
                | Precondition::SeqIs { table, key, .. } => check_key(*table, key.len())?,
                Precondition::RangeEmpty { table, start, end } => {
                    check_key(*table, start.len())?;
                    check_key(*table, end.len())?;
                }
            }
        }
        let mut bytes = 0_usize;
        for write in &self.writes {
            let (table, key_len, value_len) = match write {
                Write::Put { table, key, value } => (*table, key.len(), value.len()),
                Write::Delete { table, key } => (*table, key.len(), 0),
                Write::PutStamped {
                    table,
                    prefix,
                    value,
                } => (*table, prefix.len().saturating_add(8), value.len()),
                Write::AdoptBlob(_)
                | Write::ShareBlob(_)
                | Write::ReleaseBlob(_)
                | Write::MoveShards { .. } => {
                    bytes = bytes.saturating_add(CATALOGUE_BYTES_MAX);
                    continue;
                }
                Write::RelistOwed { key } => {
                    check_key(TableId::OWED_SHARDS, key.len())?;
                    bytes = bytes
                        .saturating_add(CATALOGUE_BYTES_MAX)
                        .saturating_add(key.len());
                    continue;
                }
            };
            if table == TableId::BLOB_CATALOGUE || table == TableId::OWED_SHARDS {
                return Err(Error::InvalidBatch {
                    reason: "the blob catalogue is not written directly",
                });
            }
            check_key(table, key_len)?;
            if value_len > VALUE_BYTES_MAX {
                return Err(Error::TooLarge {
                    what: "a row's value",
                });
            }
            bytes = bytes.saturating_add(key_len).saturating_add(value_len);
        }
        let rows = self.writes.len();
        if bytes > COMMIT_BYTES_MAX || rows > WRITES_PER_COMMIT_MAX {
            return Err(Error::TooLarge { what: "a commit" });
        }
        Ok(BatchCost { rows, bytes })
    }
}

/// Bytes of a catalogue row and of what lists the blob as owed shards, at most.
const CATALOGUE_BYTES_MAX: usize = 192;

fn check_key(table: TableId, len: usize) -> Result<(), Error> {
    if table == INDEX_TABLE {
        return Err(Error::InvalidBatch {
            reason: "the table is reserved",
        });
    }
    if len > KEY_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "a row's key",
        });
    }
    Ok(())
}
