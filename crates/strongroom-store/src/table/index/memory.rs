// SPDX-License-Identifier: Apache-2.0
//! An index in memory, for drives that have no directory to give (a simulated drive, a remote
//! one). [`Index::persist`] writes the whole of it as one small file, so it is for small stores.
//!
//! ```text
//! file = "SRJINDX1" || (key_len (4) || key || row_len (4) || row)* || xxh3 (8)
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::{Index, IndexMoment, IndexRow, is_empty_range};
use crate::drive::{Drive, DrivePath, Folder};
use crate::error::Error;
use crate::table::body::IndexOp;

type Rows = BTreeMap<Vec<u8>, Bytes>;

/// Rows in memory, saved as one file.
pub struct MemoryIndex {
    drive: Arc<dyn Drive>,
    rows: RwLock<Rows>,
}

impl fmt::Debug for MemoryIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryIndex")
            .field("drive", &self.drive)
            .finish_non_exhaustive()
    }
}

impl MemoryIndex {
    /// Reads the index as it was last persisted on the drive.
    pub fn open(drive: Arc<dyn Drive>) -> Result<Self, Error> {
        let rows = match drive.read_small(&path())? {
            Some(bytes) => parse(&bytes).ok_or_else(|| Error::Corrupted {
                place: path().to_string(),
                reason: "the saved index does not parse",
            })?,
            None => Rows::new(),
        };
        Ok(Self {
            drive,
            rows: RwLock::new(rows),
        })
    }

    /// Forgets the index that is saved on the drive and begins an empty one.
    pub fn renew(drive: Arc<dyn Drive>) -> Result<Self, Error> {
        if drive.remove(&path())? {
            drive.sync_folder(Folder::Log)?;
        }
        Self::open(drive)
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        // Every change is a single insert or remove, so the map is whole after a panic too.
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.read().get(key).cloned())
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
        let rows = self.read();
        let range = rows.range::<[u8], _>((start, end));
        let copy = |(key, row): (&Vec<u8>, &Bytes)| (key.clone(), row.clone());
        Ok(if reverse {
            range.rev().take(limit).map(copy).collect()
        } else {
            range.take(limit).map(copy).collect()
        })
    }

    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
        let mut rows = self.write();
        for op in ops {
            match op {
                IndexOp::Put { key, row } => rows.insert(key, row),
                IndexOp::Delete { key } => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn persist(&self) -> Result<(), Error> {
        let bytes = encode(&self.read()).ok_or(Error::TooLarge {
            what: "an index row",
        })?;
        self.drive.replace(&path(), &bytes)
    }

    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        Ok(Box::new(MemoryMoment(self.read().clone())))
    }
}

/// A copy of all rows: stored rows are shared, not copied.
struct MemoryMoment(Rows);

impl IndexMoment for MemoryMoment {
    fn rows(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<IndexRow>, Error> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.0.range::<[u8], _>((start, Bound::Unbounded));
        Ok(rows
            .take(limit)
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect())
    }
}

fn path() -> DrivePath {
    DrivePath::fixed(Folder::Log, "index")
}

fn encode(rows: &Rows) -> Option<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    for (key, row) in rows {
        out.extend_from_slice(&u32::try_from(key.len()).ok()?.to_be_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(&u32::try_from(row.len()).ok()?.to_be_bytes());
        out.extend_from_slice(row);
    }
    let sum = XxHash3_64::oneshot(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    Some(out)
}

fn parse(bytes: &[u8]) -> Option<Rows> {
    let (covered, sum) = bytes.split_last_chunk::<8>()?;
    if XxHash3_64::oneshot(covered) != u64::from_be_bytes(*sum) {
        return None;
    }
    let mut rest = covered.strip_prefix(MAGIC)?;
    let mut rows = Rows::new();
    while !rest.is_empty() {
        let key = take(&mut rest)?.to_vec();
        let row = Bytes::copy_from_slice(take(&mut rest)?);
        rows.insert(key, row);
    }
    Some(rows)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, tail) = rest.split_first_chunk::<4>()?;
    let (value, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    *rest = tail;
    Some(value)
}

const MAGIC: &[u8] = b"SRJINDX1";
