// SPDX-License-Identifier: Apache-2.0
//! Going on after a majority of the copies was lost, when enough of them are back.
//!
//! ```text
//!   refused ->  copies that are back are made level with one that never failed
//!           ->  the ledger: these count, and no other          (one change, a majority keeps it)
//!           ->  changes are taken again; the tables cut off what was never answered
//! ```
//!
//! A copy that never failed has everything that was acknowledged, since nothing was acknowledged
//! without it. What it has beyond that was answered as unknown; whether that happened is decided
//! by the tables, which resume where what they showed ended.

use std::sync::{Arc, PoisonError};

use super::Mirror;
use super::copies::Slot;
use super::{CopyState, catch_up::CaughtUp};
use crate::drive::{Drive, DriveNo};
use crate::error::Error;

impl Mirror {
    /// Tries to go on with the copies on these drives, which are there. `true` when changes are
    /// taken again. Blocks while copies are brought level.
    pub fn revive(&self, there: &[(DriveNo, Arc<dyn Drive>)]) -> Result<bool, Error> {
        let _one = self
            .catching_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !self.copies.refuses_changes() {
            return Ok(false);
        }
        let view = self.copies.view();
        let needs_all = self.copies.needs_all();
        let is_back = |(no, _): &&(DriveNo, Arc<dyn Drive>)| match view.state(*no) {
            Some(state) => matches!(state, CopyState::Fenced | CopyState::Failed),
            // One that the ledger knows and that was never level is as good as any other, but no
            // answer to what others may have carried out late.
            None => !needs_all,
        };
        let back: Vec<_> = there.iter().filter(is_back).collect();
        let (live, all) = (view.live().count(), view.slots.len());
        drop(view);
        if live == 0 || live.saturating_add(back.len()).saturating_mul(2) < all {
            return Ok(false);
        }
        let wanted = all.saturating_sub(live);
        if needs_all && back.len() < wanted {
            return Ok(false);
        }
        let mut level = Vec::new();
        for (no, drive) in back {
            let mut whole = None;
            let brought = self.level_copy(*no, drive, true, |slot| {
                whole = Some(slot);
                Ok(())
            });
            // Told in the log; others may suffice.
            if let (Ok(CaughtUp { .. }), Some(slot)) = (brought, whole) {
                level.push(slot);
            }
        }
        if needs_all && level.len() < wanted {
            // None of them is behind: without one, a start chooses by what each of them holds.
            return Ok(false);
        }
        self.go_on(level).map(|()| true)
    }

    /// Makes these copies count together with those that never failed.
    fn go_on(&self, level: Vec<Slot>) -> Result<(), Error> {
        let _paused = self.copies.pause();
        // What was on its way when changes were refused may be shown only now.
        let outcome = self
            .index
            .when_still_built(level, |level| self.copies.revive(level));
        if let Err(error) = &outcome {
            tracing::warn!(%error, "changes of the tables are still refused");
        }
        outcome
    }
}
