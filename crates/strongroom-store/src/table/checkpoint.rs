// SPDX-License-Identifier: Apache-2.0
//! Checkpoints: make the index durable up to some commit, move the anchor there, let old log
//! files go. Runs beside the committer, which goes on meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::anchor::Anchor;
use super::committer::Shared;
use super::index::Index;
use super::journal::{anchor_path, remove_applied_files};
use crate::at_rest::AtRest;
use crate::drive::Drive;
use crate::error::Error;

/// Moves the anchor.
pub(crate) struct Checkpointer {
    pub(crate) drive: Arc<dyn Drive>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) at_rest: Arc<dyn AtRest>,
    pub(crate) shared: Arc<Shared>,
    /// The anchor as it is on the drive; locked while a checkpoint runs.
    pub(crate) anchor: Mutex<Anchor>,
    pub(crate) retain_files: usize,
    pub(crate) bytes_between: u64,
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("anchor", &self.anchor)
            .finish_non_exhaustive()
    }
}

impl Checkpointer {
    /// Takes a checkpoint now.
    pub(crate) fn run(&self) -> Result<(), Error> {
        self.shared.check()?;
        // A checkpoint that failed half way left the old anchor, here and on the drive.
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let position = self.shared.applied();
        if position.seq == anchor.position.seq {
            return Ok(());
        }
        let next = Anchor {
            journal_id: anchor.journal_id,
            position,
        };
        self.take(&mut anchor, next).inspect_err(|error| {
            // The commits are safe in the log, but the log must not grow for ever.
            self.shared
                .refuse_commits(self.drive.as_ref(), error, "taking a checkpoint");
        })
    }

    fn take(&self, anchor: &mut Anchor, next: Anchor) -> Result<(), Error> {
        // INVARIANT: the index holds everything up to `next` before the anchor says so, and the
        // anchor says so before any file goes.
        self.index.persist()?;
        self.drive
            .replace(&anchor_path(), &next.seal(self.at_rest.as_ref())?)?;
        *anchor = next;
        remove_applied_files(self.drive.as_ref(), &next, self.retain_files)
    }

    /// Whether enough was written since the last checkpoint.
    fn is_due(&self) -> bool {
        let position = self.shared.applied();
        // While a checkpoint runs none is due.
        let Ok(anchor) = self.anchor.try_lock() else {
            return false;
        };
        let anchor = anchor.position;
        let new_file = position.file != anchor.file;
        new_file || position.offset.saturating_sub(anchor.offset) >= self.bytes_between
    }

    /// The checkpointer's thread: looks a few times a second until it is told to stop.
    pub(crate) fn run_in_background(&self, stop: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK_EVERY) {
            if self.shared.check().is_ok() && self.is_due() {
                // The error was logged, and the tables are out of service.
                let _ = self.run();
            }
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(200);
