// SPDX-License-Identifier: Apache-2.0
//! The index on `fjall`, a log-structured merge tree.
//!
//! What is relied upon, and what is not:
//!
//! - One keyspace holds every table and the tables' own mark of what was applied. A memtable is
//!   flushed as a whole, so what a keyspace has on drive is always a prefix of what was applied;
//!   two keyspaces could be flushed to different moments.
//! - Sorted tables on drive are checksummed per data block and synced before they count.
//! - fjall's own journal is *not* relied upon: damage in its middle is taken for a torn tail by
//!   fjall, and what follows is lost without a word. So [`Index::persist`] does not sync that
//!   journal but flushes the memtable into sorted tables, and our log is replayed from there
//!   whatever the journal brought back. A journal that fjall refuses is emptied.
//! - Nor are its manifests, which fjall believes without looking at their checksum, nor that it
//!   refuses a database of which a part is missing: see [`super::fjall_manifest`].
//! - Nor is the making of a database: fjall makes its first files one by one and does not open a
//!   directory in which a crash left only some. It works beside the directory, which is then
//!   renamed.
//! - Reads go through snapshots: a plain `get` or `range` of fjall can see half of a batch.
//! - No key-value separation, no `clear()`, no FIFO compaction. Nothing is compressed: values
//!   are ciphertext.

use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::config::CompressionPolicy;
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvPair, PersistMode,
    Readable,
};

use super::{Index, IndexMoment, IndexRow, fjall_manifest, is_empty_range};
use crate::drive::small_file::{begin_dir, empty_files, finish_dir, remove_dir};
use crate::error::Error;
use crate::table::body::IndexOp;

/// The index of a local drive.
pub struct FjallIndex {
    database: Database,
    rows: Keyspace,
}

impl fmt::Debug for FjallIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallIndex").finish_non_exhaustive()
    }
}

impl FjallIndex {
    /// Opens or makes the index in `dir`.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let failed = |source| Error::from_io("make", "index", source);
        if let Some(new) = begin_dir(dir).map_err(failed)? {
            drop(Self::open_or_make(&new, cache_bytes)?);
            finish_dir(&new, dir).map_err(failed)?;
        }
        // INVARIANT: before fjall sees it, which removes what it does not find whole.
        fjall_manifest::check(dir)?;
        Self::open_or_make(dir, cache_bytes)
    }

    /// Removes the index in `dir`, which nobody has open, and begins an empty one.
    pub fn renew(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        remove_dir(dir).map_err(|source| Error::from_io("remove", "index", source))?;
        Self::open(dir, cache_bytes)
    }

    fn open_or_make(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let database = match open_database(dir, cache_bytes) {
            // Nothing in that journal is needed: the log is replayed from the last checkpoint.
            // Emptied and not removed, since without the files fjall forgets where it was.
            Err(fjall::Error::JournalRecovery(damage)) => {
                tracing::warn!(
                    ?damage,
                    "the index's own journal is damaged; doing without it"
                );
                empty_files(dir, "jnl")
                    .map_err(|source| Error::from_io("empty the journals of", "index", source))?;
                open_database(dir, cache_bytes)
            }
            opened => opened,
        };
        let database = database.map_err(|error| refused(&error))?;
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES_MAX)
                .data_block_compression_policy(CompressionPolicy::disabled())
                .index_block_compression_policy(CompressionPolicy::disabled())
        };
        let rows = database
            .keyspace("rows", options)
            .map_err(|error| refused(&error))?;
        Ok(Self { database, rows })
    }
}

impl Index for FjallIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let row = self.database.snapshot().get(&self.rows, key);
        Ok(row
            .map_err(|error| refused(&error))?
            .map(|row| Bytes::copy_from_slice(&row)))
    }

    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error> {
        if is_empty_range(start, end) {
            return Ok(Vec::new());
        }
        let range = self
            .database
            .snapshot()
            .range::<&[u8], _>(&self.rows, (start, end));
        if reverse {
            range
                .rev()
                .take(limit)
                .map(|row| copy(row.into_inner()))
                .collect()
        } else {
            range
                .take(limit)
                .map(|row| copy(row.into_inner()))
                .collect()
        }
    }

    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
        let mut batch = self.database.batch();
        for op in ops {
            match op {
                IndexOp::Put { key, row } => batch.insert(&self.rows, key, row.as_ref()),
                IndexOp::Delete { key } => batch.remove(&self.rows, key),
            }
        }
        batch.commit().map_err(|error| refused(&error))
    }

    fn persist(&self) -> Result<(), Error> {
        let Some(applied) = self.rows.tree.get_highest_seqno() else {
            return Ok(());
        };
        self.rows
            .rotate_memtable()
            .map_err(|error| refused(&error))?;
        let start = Instant::now();
        // Either tells that the work is done, and each alone can keep silent: writers may seal one
        // memtable after another, and a merge right after the flush may drop the last number with
        // the deletion that bore it.
        while self.rows.tree.sealed_memtable_count() > 0
            && self.rows.tree.get_highest_persisted_seqno() < Some(applied)
        {
            // Asked for its error alone: a flush that failed poisons the database, and nobody
            // would ever do the work that is waited for here.
            self.database
                .persist(PersistMode::Buffer)
                .map_err(|error| refused(&error))?;
            if start.elapsed() > FLUSH_TIME_MAX {
                return Err(Error::Index {
                    detail: "a flush does not end".to_owned(),
                });
            }
            thread::sleep(FLUSH_POLL);
        }
        Ok(())
    }

    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        Ok(Box::new(FjallMoment {
            snapshot: self.database.snapshot(),
            rows: self.rows.clone(),
        }))
    }
}

/// A snapshot of the database.
struct FjallMoment {
    snapshot: fjall::Snapshot,
    rows: Keyspace,
}

impl IndexMoment for FjallMoment {
    fn rows(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<IndexRow>, Error> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self
            .snapshot
            .range::<&[u8], _>(&self.rows, (start, Bound::Unbounded));
        range
            .take(limit)
            .map(|row| copy(row.into_inner()))
            .collect()
    }
}

fn copy(row: fjall::Result<KvPair>) -> Result<IndexRow, Error> {
    let (key, row) = row.map_err(|error| refused(&error))?;
    Ok((key.to_vec(), Bytes::copy_from_slice(&row)))
}

fn open_database(dir: &Path, cache_bytes: u64) -> fjall::Result<Database> {
    Database::builder(dir)
        .cache_size(cache_bytes)
        .journal_compression(CompressionType::None)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(WORKER_THREADS)
        .open()
}

fn refused(error: &fjall::Error) -> Error {
    use fjall::{Error as Fjall, LsmError as Lsm};
    match error {
        Fjall::Storage(
            Lsm::ChecksumMismatch { .. }
            | Lsm::Unrecoverable
            | Lsm::InvalidTag(_)
            | Lsm::InvalidTrailer
            | Lsm::InvalidHeader(_),
        ) => {
            let place = "table index".to_owned();
            Error::Corrupted {
                place,
                reason: "its checksum does not hold",
            }
        }
        error => Error::Index {
            detail: format!("{error:?}"),
        },
    }
}

/// How much is kept in memory before it becomes a sorted table. Two can exist at a time.
const MEMTABLE_BYTES_MAX: u64 = 16 << 20;
/// fjall's journal; larger than what can gather between two checkpoints.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;
const WORKER_THREADS: usize = 2;
const FLUSH_TIME_MAX: Duration = Duration::from_mins(2);
const FLUSH_POLL: Duration = Duration::from_millis(2);
