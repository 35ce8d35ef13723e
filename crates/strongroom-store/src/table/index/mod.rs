// SPDX-License-Identifier: Apache-2.0
//! The ordered index over the log.
//!
//! An index is a cache of the log that survives restarts: it may lose what was applied after the
//! last [`Index::persist`], in any pattern, because the log is replayed from there. It may not
//! lose anything older; the tables find that out at the start and refuse.

mod fjall_index;
mod fjall_manifest;
mod memory;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use fjall_index::FjallIndex;
pub use memory::MemoryIndex;

use super::body::IndexOp;
use super::changes::Changes;
use crate::error::Error;

/// A row of the index: key and stored row.
pub type IndexRow = (Vec<u8>, Bytes);

/// Keeps stored rows in the order of their index keys.
pub trait Index: Send + Sync + fmt::Debug + 'static {
    /// The stored row at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Up to `limit` rows between the bounds, from the first on, or from the last on when
    /// `reverse`. All from one moment. Bounds that cross select nothing.
    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error>;

    /// Makes the changes, in order: readers see all of them or none.
    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error>;

    /// Counts here what is done to it beside [`Index::apply`], if anything is: the tables count what
    /// they apply themselves.
    fn count_changes(&self, changes: &Arc<Changes>) {
        let _ = changes;
    }

    /// Returns when everything applied before the call is durable and complete.
    fn persist(&self) -> Result<(), Error>;

    /// What else is stored at `key`, in other copies of the index: for a row that does not open.
    fn others(&self, key: &[u8], row: &Bytes) -> Vec<Bytes> {
        let _ = (key, row);
        Vec::new()
    }

    /// Puts `good` in the place of `bad` wherever a copy of the index still has that.
    fn mend(&self, key: &[u8], bad: &Bytes, good: &Bytes) -> Result<(), Error> {
        let _ = (key, bad, good);
        Ok(())
    }

    /// For reads that must not wait for a copy that hangs; `None` when there is no other to ask.
    fn patient(&self) -> Option<Arc<dyn PatientReads>> {
        None
    }

    /// The same index for who works in the background: what is asked waits for no copy that does
    /// not answer. `None` when there never is another to ask.
    fn in_time(&self) -> Option<Arc<dyn Index>> {
        None
    }

    /// How long such an index waits for a whole file to be read, while there is another copy.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// The index as it is at this moment, to be read at leisure while changes go on.
    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error>;
}

/// Something that only reads.
pub type ReadJob = Box<dyn FnOnce(&dyn Index) + Send>;

/// Reads of an index that are given up when they hang.
pub trait PatientReads: Send + Sync {
    /// Runs a job that only reads. `false` when a copy did not answer it: that copy is not read any
    /// more, and the job may never end.
    fn run(&self, job: ReadJob) -> bool;
}

/// An index at one moment.
pub trait IndexMoment: Send {
    /// Up to `limit` rows behind `after`, in the order of their keys; none is the end.
    fn rows(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<IndexRow>, Error>;
}

/// Whether no key can lie between the bounds.
pub(crate) fn is_empty_range(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
    }
}
