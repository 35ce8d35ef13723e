// SPDX-License-Identifier: Apache-2.0
//! Files that should have gone from a drive that did not answer.
//!
//! The removing thread of such a drive remembers only so many of them, and counts the rest. The
//! count is written down (table 34, one row for each drive), so that operators see it and no
//! restart forgets it; when the drive has carried out what waited, a collection of its orphans
//! finds the others, and the row goes.

use std::collections::BTreeMap;
use std::ops::Bound;

use tokio::task::JoinHandle;

use crate::drive::{DriveNo, DriveState};
use crate::error::Error;
use crate::store::{Store, blocking};
use crate::table::{Batch, CommitError, TableId, Write};

/// Sees to what was left behind.
#[derive(Default)]
pub(super) struct Removals {
    /// What was written down by earlier processes; `None` before the first look.
    before: Option<BTreeMap<DriveNo, u64>>,
    /// What is written down.
    written: BTreeMap<DriveNo, u64>,
    /// One for each drive at most; more than one when drives hang.
    collecting: BTreeMap<DriveNo, Collecting>,
    /// The drive of the last collection that was begun: the next one is another drive's, if one
    /// waits.
    last: Option<DriveNo>,
    /// Nothing is written again before this time.
    write_at_ms: u64,
    /// No collection is begun before this time.
    collect_at_ms: u64,
}

/// A collection under way.
struct Collecting {
    /// How many were left behind by this process when it began.
    count: u64,
    /// `false` when nothing may be removed yet.
    task: JoinHandle<Result<bool, Error>>,
}

/// How many files should have gone from each drive, at least.
pub(crate) fn left_behind(store: &Store) -> Result<BTreeMap<DriveNo, u64>, Error> {
    let mut left = written(store)?;
    for (drive, count) in store.blobs().left_behind() {
        let known = left.entry(drive).or_insert(0);
        *known = count.max(*known);
    }
    left.retain(|drive, _| !is_gone(store, *drive));
    Ok(left)
}

/// Whether a drive will not come back: what lies on it is nobody's any more.
fn is_gone(store: &Store, drive: DriveNo) -> bool {
    let state = store.drives().view().state(drive);
    matches!(state, DriveState::Lost | DriveState::Removed)
}

impl Removals {
    /// Writes down what is new, and begins what can be done. For whoever calls it often.
    pub(super) async fn tend(&mut self, store: &Store, now_ms: u64) -> Result<(), Error> {
        if self.before.is_none() {
            self.written = written(store)?;
            self.before = Some(self.written.clone());
        }
        self.end_collection(store, now_ms).await?;
        let left = store.blobs().left_behind();
        let mut wanted = self.before.clone().unwrap_or_default();
        for (drive, count) in &left {
            let known = wanted.entry(*drive).or_insert(0);
            *known = known.saturating_add(*count);
        }
        wanted.retain(|drive, _| !is_gone(store, *drive));
        if wanted.is_empty() && self.written.is_empty() {
            return Ok(());
        }
        // The first of a drive at once, then now and then.
        let is_due = now_ms >= self.write_at_ms || !wanted.keys().eq(self.written.keys());
        if wanted != self.written && is_due {
            self.write(store, &wanted).await?;
            self.write_at_ms = now_ms.saturating_add(AGAIN_MS);
        }
        let watch = store.care().heal_watch();
        let is_busy = self.collecting.keys().any(|drive| !watch.hangs(*drive));
        if !is_busy && now_ms >= self.collect_at_ms {
            self.collect(store, &left, &wanted);
        }
        Ok(())
    }

    async fn write(&mut self, store: &Store, wanted: &BTreeMap<DriveNo, u64>) -> Result<(), Error> {
        let key = |drive: &DriveNo| drive.0.to_be_bytes().to_vec();
        let gone = self.written.keys().filter(|of| !wanted.contains_key(of));
        let gone = gone.map(|drive| Write::Delete {
            table: REMOVALS_TABLE,
            key: key(drive),
        });
        let there = wanted.iter().map(|(drive, count)| Write::Put {
            table: REMOVALS_TABLE,
            key: key(drive),
            value: count.to_be_bytes().to_vec(),
        });
        let batch = Batch {
            preconditions: Vec::new(),
            writes: gone.chain(there).collect(),
        };
        match store.tables().commit(batch).await {
            Ok(_) => {
                self.written.clone_from(wanted);
                Ok(())
            }
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Precondition { .. } | CommitError::Unknown) => Err(Error::Closed),
        }
    }

    /// Begins with a drive that answers again: what waited one by one is gone from it.
    fn collect(
        &mut self,
        store: &Store,
        left: &BTreeMap<DriveNo, u64>,
        wanted: &BTreeMap<DriveNo, u64>,
    ) {
        let watch = store.care().heal_watch();
        let is_ready = |drive: &&DriveNo| {
            store.drives().get(**drive).is_some()
                && !self.collecting.contains_key(drive)
                && store.blobs().has_removed_all(**drive)
                && !watch.hangs(**drive)
        };
        let is_behind = |drive: &&DriveNo| self.last.is_none_or(|last| **drive > last);
        let mut ready = wanted.keys().filter(is_ready);
        let next = ready.clone().find(is_behind).or_else(|| ready.next());
        let Some(drive) = next.copied() else {
            return;
        };
        self.last = Some(drive);
        let of = store.clone();
        let work = async move {
            let asked = of.clone();
            // What no row stands for may be an object that was written after the backup.
            if blocking(of.is_inline(), move || asked.is_restored()).await? {
                return Ok(false);
            }
            of.blobs().drive_returned(drive).await.map(|_| true)
        };
        let collecting = Collecting {
            count: left.get(&drive).copied().unwrap_or(0),
            task: tokio::spawn(work),
        };
        self.collecting.insert(drive, collecting);
    }

    async fn end_collection(&mut self, store: &Store, now_ms: u64) -> Result<(), Error> {
        let mut running = self.collecting.iter();
        let ended = running.find(|(_, of)| of.task.is_finished());
        let Some(drive) = ended.map(|(drive, _)| *drive) else {
            return Ok(());
        };
        let Some(Collecting { count, task }) = self.collecting.remove(&drive) else {
            return Ok(());
        };
        match task.await {
            Ok(Ok(true)) => {
                tracing::info!(%drive, "files that were left behind on a drive are gone");
                store.blobs().collected(drive, count);
                if let Some(before) = &mut self.before {
                    before.remove(&drive);
                }
                return Ok(());
            }
            Ok(Err(Error::Closed)) => return Err(Error::Closed),
            Ok(Err(error)) => {
                tracing::warn!(%drive, %error, "files that were left behind on a drive stay there for now");
            }
            // Not through, or a panic, which was reported by its own thread.
            Ok(Ok(false)) | Err(_) => {}
        }
        self.collect_at_ms = now_ms.saturating_add(AGAIN_MS);
        Ok(())
    }
}

fn written(store: &Store) -> Result<BTreeMap<DriveNo, u64>, Error> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let rows = store
        .tables()
        .scan_each(REMOVALS_TABLE, all.0, all.1, ROWS_MAX, false)?;
    let mut written = BTreeMap::new();
    for (key, row) in rows {
        let Ok(drive) = <[u8; 2]>::try_from(key.as_slice()) else {
            continue;
        };
        let count = match row {
            Ok(row) => <[u8; 8]>::try_from(row.value.as_slice()).map_or(1, u64::from_be_bytes),
            // How many is not known: one at least.
            Err(error) if error.is_corruption() => 1,
            Err(error) => return Err(error),
        };
        written.insert(DriveNo(u16::from_be_bytes(drive)), count);
    }
    Ok(written)
}

/// Files that should have gone, by drive: the number of the drive, and how many at least, both
/// big-endian.
const REMOVALS_TABLE: TableId = TableId(34);
/// More than there are numbers for drives.
const ROWS_MAX: usize = 1 << 16;
/// Counts are written down, and collections tried, so often.
const AGAIN_MS: u64 = 60_000;
