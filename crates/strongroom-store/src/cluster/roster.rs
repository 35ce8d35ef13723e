// SPDX-License-Identifier: Apache-2.0
//! Who keeps the members file, and when a change of it counts.
//!
//! Voters are the drives with a copy of the tables, whatever that copy is worth, and the data
//! directory (the *witness*) when their number is even. A change counts when a majority of the
//! voters before it and a majority of the voters after it keep it durably. A start therefore
//! finds the newest epoch as soon as it finds a majority of the voters that the newest epoch *it
//! finds* names: had there been a newer one, one of them would have it.
//!
//! INVARIANT: live copies and the witness are written before fenced copies. A change that makes a
//! copy live and does not reach a majority is thus never found on that copy alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::members::{self, Members, StoredCopy};
use crate::at_rest::AtRest;
use crate::drive::{Drive, DriveNo, DriveSet};
use crate::error::Error;

/// The members of a cluster, and where they are kept. Shared.
pub(crate) struct Roster {
    at_rest: Arc<dyn AtRest>,
    set: DriveSet,
    witness: Option<Arc<dyn Drive>>,
    state: Mutex<State>,
}

struct State {
    members: Members,
    /// The highest epoch that was ever tried: a try that did not reach a majority is somewhere.
    tried: u64,
}

/// Who votes.
struct Voters {
    drives: Vec<DriveNo>,
    witness: bool,
}

impl Voters {
    fn of(members: &Members) -> Self {
        let drives: Vec<_> = members.copies().map(|row| row.number).collect();
        let witness = drives.len().is_multiple_of(2);
        Self { drives, witness }
    }

    fn have_majority(&self, kept: &[DriveNo], witness: bool) -> bool {
        let votes = self.drives.iter().filter(|of| kept.contains(of)).count();
        let votes = votes.saturating_add(usize::from(self.witness && witness));
        let all = self.drives.len().saturating_add(usize::from(self.witness));
        votes.saturating_mul(2) > all
    }
}

/// Whether those who are there suffice to know the newest members: `present` are the drives whose
/// members file opened, `witness` whether that of the data directory did.
pub(crate) fn is_quorate(members: &Members, present: &[DriveNo], witness: bool) -> bool {
    Voters::of(members).have_majority(present, witness)
}

impl Roster {
    pub(crate) fn new(
        at_rest: Arc<dyn AtRest>,
        set: DriveSet,
        witness: Option<Arc<dyn Drive>>,
        members: Members,
    ) -> Self {
        let tried = members.epoch;
        Self {
            at_rest,
            set,
            witness,
            state: Mutex::new(State { members, tried }),
        }
    }

    /// The members as they are now.
    pub(crate) fn members(&self) -> Members {
        self.lock().members.clone()
    }

    /// Carries out a change; returns when it counts. When it does not, nothing has changed here,
    /// and what was kept of it is outbid by the next change.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Members) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        let mut members = state.members.clone();
        let done = change(&mut members)?;
        if members == state.members {
            return Ok(done);
        }
        members.epoch = state.tried.checked_add(1).ok_or(Error::TooLarge {
            what: "the number of changes to the members",
        })?;
        state.tried = members.epoch;
        self.keep(&state.members, &members)?;
        state.members = members;
        Ok(done)
    }

    /// Writes the members as they are to one drive, which may not have the newest.
    pub(crate) fn bring_up_to_date(&self, drive: &dyn Drive) -> Result<(), Error> {
        // Held meanwhile, so that nothing older is written over something newer.
        let state = self.lock();
        let bytes = state.members.seal(self.at_rest.as_ref())?;
        if drive.read_small(&members::path())?.is_some_and(|found| {
            Members::open(self.at_rest.as_ref(), &found).as_ref() == Some(&state.members)
        }) {
            return Ok(());
        }
        drive.replace(&members::path(), &bytes)
    }

    /// Writes the members as they are wherever they are not; who fails is told in the log.
    pub(crate) fn bring_all_up_to_date(&self) {
        let view = self.set.view();
        let drives = view.members().iter().filter_map(|member| member.serving());
        for drive in drives.chain(self.witness.as_ref()) {
            if let Err(error) = self.bring_up_to_date(drive.as_ref()) {
                tracing::warn!(%error, drive = drive.label(), "the members file cannot be written");
            }
        }
    }

    /// Writes a change to everyone who is there; an error when it does not count.
    fn keep(&self, before: &Members, after: &Members) -> Result<(), Error> {
        let bytes = after.seal(self.at_rest.as_ref())?;
        let path = members::path();
        let (voters_before, voters_after) = (Voters::of(before), Voters::of(after));
        let mut kept = Vec::new();
        let view = self.set.view();
        let write = |number: DriveNo, kept: &mut Vec<DriveNo>| {
            let Some(drive) = view.member(number).and_then(|member| member.serving()) else {
                return;
            };
            match drive.replace(&path, &bytes) {
                Ok(()) => kept.push(number),
                Err(error) => {
                    tracing::warn!(%error, drive = drive.label(), "the members file cannot be written");
                    self.set.suspect(number);
                }
            }
        };
        let is_live = |number: DriveNo| {
            let row = before.row(number);
            row.is_some_and(|row| row.copy == Some(StoredCopy::Live))
        };
        let numbers = || view.members().iter().map(|member| member.number);
        for number in numbers().filter(|number| is_live(*number)) {
            write(number, &mut kept);
        }
        let mut has_witness = false;
        if let Some(witness) = &self.witness {
            match witness.replace(&path, &bytes) {
                Ok(()) => has_witness = true,
                Err(error) => {
                    tracing::error!(%error, "the members file in the data directory cannot be written");
                }
            }
        }
        if !kept.is_empty() {
            for number in numbers().filter(|number| !is_live(*number)) {
                write(number, &mut kept);
            }
        }
        let counts = voters_before.have_majority(&kept, has_witness)
            && voters_after.have_majority(&kept, has_witness);
        counts.then_some(()).ok_or(Error::NoMajority)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Replaced as a whole, after everything that can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
