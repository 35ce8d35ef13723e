// SPDX-License-Identifier: Apache-2.0
//! Finding files that no catalogue row stands for.
//!
//! A crash leaves two kinds: files in the temporary folder, whose upload cannot go on, and
//! finished files whose commit never came (or whose release was committed and not yet carried
//! out). The first kind goes before the store serves; the second in the background, since it
//! needs a look at every file's name.
//!
//! Blobs of this process are told apart by order: a file that was listed and is not in flight
//! *afterwards* was either adopted, and then its row is visible, or is on its way out.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::drive::{Drive, Folder};
use crate::error::Error;
use crate::layout::BlobId;

use super::reclaim::BlobReclaimer;

/// What was found and removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OrphanReport {
    /// Finished files that were looked at.
    pub examined: u64,
    /// Files without a row, removed.
    pub removed: u64,
}

/// Removes every file of an unfinished upload. Only before the first writer is made.
pub(crate) fn clear_temporary(drive: &dyn Drive) -> Result<u64, Error> {
    let mut removed = 0_u64;
    for path in drive.list(Folder::Temporary)? {
        if drive.remove(&path)? {
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

/// Removes every finished file that `is_adopted` does not know and that is not in flight. Ends
/// early with [`Error::Closed`] when told to `stop`: a large drive takes minutes.
pub(crate) fn collect(
    drive: &dyn Drive,
    reclaimer: &BlobReclaimer,
    is_adopted: impl Fn(BlobId) -> Result<bool, Error>,
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
            // INVARIANT: first in flight, then adopted. The other way round a blob adopted
            // between the two looks would be removed.
            if reclaimer.is_in_flight(blob) || is_adopted(blob)? {
                continue;
            }
            if drive.remove(&path)? {
                report.removed = report.removed.saturating_add(1);
            }
        }
    }
    Ok(report)
}
