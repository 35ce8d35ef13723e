// SPDX-License-Identifier: Apache-2.0
//! Finding files that no catalogue row stands for, drive by drive.
//!
//! A crash leaves two kinds: files in the temporary folder, whose upload cannot go on, and
//! finished files whose commit never came (or whose release was committed and not yet carried
//! out). The first kind goes before the drive serves; the second in the background, since it
//! needs a look at every file's name. A drive that was away has a third kind: shards of blobs that
//! were released or healed elsewhere meanwhile.
//!
//! Blobs of this process are told apart by order: a file that was listed and is not in flight
//! *afterwards* was either adopted, and then its row is visible, or is on its way out.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::drive::{Drive, DriveNo, Folder};
use crate::error::Error;
use crate::layout::BlobId;

use super::catalog::CatalogRow;
use super::placement::ShardSet;
use super::reclaim::BlobReclaimer;

/// What was found and removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OrphanReport {
    /// Finished files that were looked at.
    pub examined: u64,
    /// Files without a row, removed.
    pub removed: u64,
}

impl OrphanReport {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            examined: self.examined.saturating_add(other.examined),
            removed: self.removed.saturating_add(other.removed),
        }
    }
}

/// Removes every file of an unfinished upload, but those in flight.
pub(crate) fn clear_temporary(
    drive: &dyn Drive,
    in_flight: impl Fn(BlobId) -> bool,
) -> Result<u64, Error> {
    let mut removed = 0_u64;
    for path in drive.list(Folder::Temporary)? {
        let is_ours = path.blob_in_writing_id().is_some_and(&in_flight);
        if !is_ours && drive.remove(&path)? {
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

/// Removes every finished file of a drive for which no row stands that `row` knows, and that is
/// not in flight. Ends early with [`Error::Closed`] when told to `stop`: a large drive takes
/// minutes.
pub(crate) fn collect(
    number: DriveNo,
    drive: &dyn Drive,
    reclaimer: &BlobReclaimer,
    row: impl Fn(BlobId) -> Result<Option<CatalogRow>, Error>,
    stop: &AtomicBool,
) -> Result<OrphanReport, Error> {
    let mut report = OrphanReport::default();
    for first in 0..=u8::MAX {
        for path in drive.list(Folder::Blobs(first))? {
            let Some(blob) = path.blob_id() else {
                tracing::warn!(%path, "a file in a blob folder is none of ours; left alone");
                continue;
            };
            report.examined = report.examined.saturating_add(1);
            if stop.load(Ordering::Acquire) {
                return Err(Error::Closed);
            }
            // INVARIANT: first in flight, then adopted, then pinned. Any other way round, a blob
            // that is adopted, or released under a reader, between two looks would be removed.
            if reclaimer.is_in_flight(blob, number) {
                continue;
            }
            // INVARIANT: claimed from the look at the row to the removal. Heal may be about to write
            // a shard that is owed, under the name of the file that does not count.
            let Some(_claim) = reclaimer.claim(blob, number) else {
                continue;
            };
            let row = match row(blob) {
                // What does not open may stand for it. One damaged row keeps one file.
                Err(error) if error.is_corruption() => {
                    tracing::warn!(%path, %error, "a file stays, since its row is damaged");
                    continue;
                }
                row => row?,
            };
            if row.is_some_and(|row| counts(&row, number)) || reclaimer.is_pinned(blob) {
                continue;
            }
            if drive.remove(&path)? {
                report.removed = report.removed.saturating_add(1);
            }
        }
    }
    Ok(report)
}

/// Whether the row says that the drive has a shard of its blob. One that is owed is not there,
/// whatever a drive that was left behind may have finished.
fn counts(row: &CatalogRow, drive: DriveNo) -> bool {
    let owed = ShardSet::from_bits(row.owed);
    let shard = row.placement.shard_on(drive);
    shard.is_some_and(|shard| !owed.has(shard))
}
