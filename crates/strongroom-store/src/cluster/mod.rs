// SPDX-License-Identifier: Apache-2.0
//! The drives of a cluster: who belongs to it, who is there, and what becomes of them.
//!
//! ```text
//!   opener     what lies at a place                      (looks, changes nothing)
//!   survey     places -> drives with superblock, members (start)
//!   members    the durable list                          roster   who keeps it, when it counts
//!   this file  start, looking for drives while serving
//!   change     add, drain, remove, replace
//!   copies     which drives have a copy of the tables
//! ```
//!
//! A drive is known by its uid, never by its place. Nothing is written to a place before it is
//! known what lies there, and nothing is taken for a drive of this cluster because it lies where
//! one was.

mod change;
mod copies;
mod give_up;
mod lanes;
mod members;
mod opener;
mod roster;
mod survey;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub(crate) use change::LeftOn;
pub use copies::CopyDrive;
pub(crate) use copies::{copy_counts, for_mirror};
pub use give_up::{GiveUp, LostDrive, TablesLeft};
pub use opener::{AtPlace, DriveOpener, LocalOpener};
pub(crate) use roster::Roster;

use self::lanes::Lanes;
use self::members::{MemberRow, Members};
use crate::at_rest::AtRest;
use crate::blob;
use crate::drive::{
    Drive, DriveNo, DriveSet, DriveState, HealthState, SetMember, check_wish, default_redundancy,
};
use crate::error::Error;
use crate::layout::{Redundancy, UnitLayout};
use crate::mirror::Patience;
use crate::superblock::Superblock;

/// The drives that a store is opened with.
pub struct StoreDrives {
    /// What was named on the command line. Drives that the cluster knows already are looked for
    /// where they were last, whether they are named or not.
    pub given: Vec<GivenDrive>,
    /// The drive of a new store for which none was named.
    pub otherwise: Option<GivenDrive>,
    /// The redundancy of new blobs.
    pub wish: Wish,
    /// A place apart from all drives, in the data directory, that remembers the members, too.
    pub witness: Option<Arc<dyn Drive>>,
    /// Finds drives.
    pub opener: Arc<dyn DriveOpener>,
}

impl fmt::Debug for StoreDrives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreDrives")
            .field("given", &self.given)
            .field("wish", &self.wish)
            .finish_non_exhaustive()
    }
}

/// A drive as an operator names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenDrive {
    /// The facility that it stands in.
    pub facility: String,
    /// Where it is.
    pub place: String,
}

/// What redundancy new blobs are to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wish {
    /// What was said last, or what suits the number of drives.
    #[default]
    AsBefore,
    /// What suits the number of drives.
    Usual,
    /// This.
    Exactly(Redundancy),
}

/// One drive, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DriveStatus {
    /// Its number.
    pub number: DriveNo,
    /// Its own name, in hexadecimal digits.
    pub uid: String,
    /// Its facility.
    pub facility: String,
    /// Where it is, or was last.
    pub place: String,
    /// What it is good for.
    pub state: DriveState,
    /// Whether it takes new content.
    pub has_room: bool,
    /// What its copy of the tables is worth: `None` when it has none.
    pub copy_is_live: Option<bool>,
    /// What there is to say about it.
    pub note: Option<String>,
    /// The drive that took its place.
    pub replaced_by: Option<DriveNo>,
}

/// The drives of an open store. Clones share everything.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    set: DriveSet,
    roster: Arc<Roster>,
    opener: Arc<dyn DriveOpener>,
    layout: UnitLayout,
    /// What was seen at the places of drives that are not there.
    notes: Mutex<BTreeMap<DriveNo, String>>,
    /// Drives that were there, as long as somebody still has them open.
    seen: Mutex<BTreeMap<DriveNo, Weak<dyn Drive>>>,
    /// Held by whoever changes which drives there are.
    changing: Mutex<()>,
}

impl Cluster {
    /// Finds the drives, founds the cluster when there is none. Blocks.
    pub(crate) fn open(
        drives: StoreDrives,
        at_rest: &Arc<dyn AtRest>,
        layout: UnitLayout,
        inline: bool,
    ) -> Result<Self, Error> {
        let wish = drives.wish;
        let surveyor = surveyor(&drives, at_rest, layout);
        let surveyed = surveyor.survey(drives.given.clone(), drives.otherwise.clone())?;
        let (cluster, found) = Self::of(surveyed, drives, at_rest, layout, inline)?;
        cluster.settle(&found, wish)?;
        Ok(cluster)
    }

    /// Finds the drives of a cluster that is there, and writes nothing; `None` where a start would
    /// make one. Blocks.
    pub(crate) fn look_at(
        drives: StoreDrives,
        at_rest: &Arc<dyn AtRest>,
        layout: UnitLayout,
    ) -> Result<Option<Self>, Error> {
        let surveyor = surveyor(&drives, at_rest, layout);
        let known = surveyor.survey_known(drives.given.clone(), drives.otherwise.clone())?;
        let Some(surveyed) = known else {
            return Ok(None);
        };
        let (cluster, _) = Self::of(surveyed, drives, at_rest, layout, false)?;
        Ok(Some(cluster))
    }

    fn of(
        surveyed: survey::Surveyed,
        drives: StoreDrives,
        at_rest: &Arc<dyn AtRest>,
        layout: UnitLayout,
        inline: bool,
    ) -> Result<(Self, BTreeMap<DriveNo, survey::Found>), Error> {
        let survey::Surveyed {
            members,
            found,
            notes,
        } = surveyed;
        let StoreDrives {
            witness, opener, ..
        } = drives;
        let mut set_members = Vec::with_capacity(members.drives.len());
        for row in &members.drives {
            let drive = found.get(&row.number).map(|found| Arc::clone(&found.drive));
            set_members.push(in_set(row, drive));
        }
        let set = DriveSet::new(set_members)?;
        let lanes = Lanes::new((!inline).then_some(Patience::default().hang));
        let roster = Roster::new(Arc::clone(at_rest), set.clone(), witness, members, lanes);
        let cluster = Self {
            inner: Arc::new(Inner {
                set,
                roster: Arc::new(roster),
                opener,
                layout,
                notes: Mutex::new(notes),
                seen: Mutex::default(),
                changing: Mutex::default(),
            }),
        };
        Ok((cluster, found))
    }

    /// What follows from a start: founding is over, drives are where they were found, and what
    /// was wished for counts.
    fn settle(&self, found: &BTreeMap<DriveNo, survey::Found>, wish: Wish) -> Result<(), Error> {
        let Inner { set, roster, .. } = self.inner.as_ref();
        if let Wish::Exactly(wished) = wish {
            check_wish(&set.view(), wished).map_err(|reason| Error::DrivesRefuse { reason })?;
        }
        for member in set.view().members() {
            if let Some(drive) = member.serving()
                && let Err(error) = prepare(drive.as_ref())
            {
                if found.len() == 1 {
                    return Err(error);
                }
                self.note(member.number, Some(error.to_string()));
                set.set_drive(member.number, None);
            }
        }
        roster.begin(|members| {
            members.is_founding = false;
            for (number, found) in found {
                if let Some(row) = members.row_mut(*number) {
                    row.place.clone_from(&found.place);
                }
            }
            match wish {
                Wish::AsBefore => {}
                Wish::Usual => members.wished = None,
                Wish::Exactly(wished) => members.wished = Some((wished.data(), wished.parity())),
            }
            copies::assign(members, |number| set.get(number).is_some());
            Ok(())
        })?;
        roster.bring_all_up_to_date();
        Ok(())
    }

    /// The drives.
    pub(crate) fn set(&self) -> &DriveSet {
        &self.inner.set
    }

    /// Who keeps the members, and remembers which copies count.
    pub(crate) fn roster(&self) -> &Arc<Roster> {
        &self.inner.roster
    }

    /// Refuses to go on with the copies of the tables that are there, if those that would have to be
    /// left behind are too many; names them.
    pub(crate) fn refuse_if_stuck(&self) -> Result<(), Error> {
        let view = self.inner.set.view();
        let serves = view.members().iter().filter(|of| of.serving().is_some());
        let there: Vec<_> = serves.map(|of| of.number).collect();
        give_up::stuck(&self.inner.roster.members(), &there).map_or(Ok(()), Err)
    }

    /// How its blobs are laid out.
    pub(crate) fn layout(&self) -> UnitLayout {
        self.inner.layout
    }

    /// The cluster's name.
    pub(crate) fn id(&self) -> [u8; 16] {
        self.inner.roster.members().cluster_id
    }

    /// The redundancy that new blobs are to have.
    pub(crate) fn redundancy(&self) -> Redundancy {
        let view = self.inner.set.view();
        let wished = self.inner.roster.members().wish();
        match wished {
            Some(wished) => {
                crate::drive::redundancy_for(&view, crate::layout::BlobPolicy::Standard, wished)
            }
            None => default_redundancy(&view),
        }
    }

    /// The redundancy that was asked for, whether the drives suffice or not.
    pub(crate) fn wished(&self) -> Option<Redundancy> {
        self.inner.roster.members().wish()
    }

    /// Looks after the drives once: which are gone, which are back, which are full. For whoever
    /// calls it every few seconds. Returns how many came back. Blocks.
    pub(crate) fn look_for_drives(&self) -> usize {
        let mut returned = 0_usize;
        for row in self.inner.roster.members().drives {
            if !row.is_expected() {
                continue;
            }
            if let Some(drive) = self.inner.set.get(row.number) {
                self.seen().insert(row.number, Arc::downgrade(&drive));
            }
            match self.inner.set.suspect(row.number) {
                DriveState::Missing => {
                    returned = returned.saturating_add(usize::from(self.look_for(&row)));
                }
                DriveState::Online | DriveState::Draining => self.look_for_room(row.number),
                DriveState::OutOfService | DriveState::Lost | DriveState::Removed => {}
            }
        }
        returned
    }

    fn look_for_room(&self, number: DriveNo) {
        let set = &self.inner.set;
        let Some(drive) = set.get(number) else { return };
        match drive.has_room() {
            Ok(has_room) => set.set_room(number, has_room),
            Err(error) => {
                tracing::warn!(%error, drive = drive.label(), "a drive does not tell its space");
            }
        }
    }

    /// Looks for a drive where it was last; true if it is back.
    fn look_for(&self, row: &MemberRow) -> bool {
        let place = row.place.as_str();
        // The same directory, back in its place while somebody has it open.
        let seen = self.seen().get(&row.number).and_then(Weak::upgrade);
        if let Some(drive) = seen.filter(|drive| drive.is_present()) {
            if drive.health() == HealthState::Online && !self.inner.set.has_failed(row.number) {
                self.welcome(row.number, &drive);
                return true;
            }
            self.note(row.number, Some(AFTER_A_RESTART.to_owned()));
            return false;
        }
        let note = match self.inner.opener.look(place) {
            Ok(AtPlace::Nothing) => None,
            Ok(AtPlace::Empty) => Some(survey::empty_in_place_of(row)),
            Ok(AtPlace::Foreign) => Some(format!("what is at `{place}` is no drive")),
            // Opened anew it would pass for one that serves, with what the kernel still remembers.
            Ok(AtPlace::Drive) if self.inner.set.has_failed(row.number) => {
                Some(AFTER_A_RESTART.to_owned())
            }
            Ok(AtPlace::Drive) => match self.open_known(row, place) {
                Ok(drive) => {
                    self.welcome(row.number, &drive);
                    return true;
                }
                // The operating system has not let go of it yet, or another process has it.
                Err(Error::DriveInUse { .. }) => None,
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        self.note(row.number, note);
        false
    }

    /// Opens what is at a place if it is the drive of `row`.
    fn open_known(&self, row: &MemberRow, place: &str) -> Result<Arc<dyn Drive>, Error> {
        let unfit = |reason: &str| Error::DriveUnfit {
            place: place.to_owned(),
            reason: reason.to_owned(),
        };
        let drive = self.inner.opener.open(place)?;
        let superblock = Superblock::read(drive.as_ref(), self.inner.layout)?;
        let superblock = superblock.ok_or_else(|| unfit("it has no identity"))?;
        if superblock.cluster_id != self.id() {
            return Err(unfit("it belongs to another cluster"));
        }
        if superblock.drive_uid != row.drive_uid() {
            return Err(unfit("another drive is in its place"));
        }
        self.refuse_later_age(drive.as_ref(), place)?;
        prepare(drive.as_ref())?;
        Ok(drive)
    }

    /// Refuses a drive that others were given up with, while this process was started from those:
    /// what it has is newer than what is served here, and would be made like it.
    fn refuse_later_age(&self, drive: &dyn Drive, place: &str) -> Result<(), Error> {
        if !self.inner.roster.is_of_a_later_age(drive)? {
            return Ok(());
        }
        Err(survey::unfit(
            place,
            "it has newer tables: drives that this store was started from were given up meanwhile. Stop the server, \
             take those away, and start with this one",
        ))
    }

    /// Takes a drive back.
    fn welcome(&self, number: DriveNo, drive: &Arc<dyn Drive>) {
        let Inner { set, roster, .. } = self.inner.as_ref();
        if let Err(error) = roster.bring_up_to_date(number, drive) {
            tracing::warn!(%error, drive = drive.label(), "the members file cannot be written");
        }
        self.note(number, None);
        set.set_drive(number, Some(Arc::clone(drive)));
        tracing::info!(drive = %number, place = drive.label(), "a drive is back");
    }

    /// Every drive, for operators.
    pub(crate) fn status(&self) -> Vec<DriveStatus> {
        let members = self.inner.roster.members();
        let view = self.inner.set.view();
        let notes = self.notes();
        let status = members.drives.iter().map(|row| DriveStatus {
            number: row.number,
            uid: row.drive_uid().to_string(),
            facility: row.facility.clone(),
            place: row.place.clone(),
            state: view.state(row.number),
            has_room: view.member(row.number).is_some_and(|of| of.has_room),
            copy_is_live: row.copy.map(|copy| copy == members::StoredCopy::Live),
            note: notes.get(&row.number).cloned(),
            replaced_by: row.replaced_by,
        });
        status.collect()
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<DriveNo, Weak<dyn Drive>>> {
        self.inner
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, number: DriveNo, note: Option<String>) {
        let mut notes = self.notes();
        let Some(note) = note else {
            notes.remove(&number);
            return;
        };
        if notes.get(&number) != Some(&note) {
            tracing::warn!(drive = %number, %note, "a drive is not taken back");
            notes.insert(number, note);
        }
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<DriveNo, String>> {
        self.inner
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("set", &self.inner.set)
            .finish_non_exhaustive()
    }
}

fn surveyor<'a>(
    drives: &'a StoreDrives,
    at_rest: &'a Arc<dyn AtRest>,
    layout: UnitLayout,
) -> survey::Surveyor<'a> {
    survey::Surveyor {
        at_rest: at_rest.as_ref(),
        opener: drives.opener.as_ref(),
        witness: drives.witness.as_deref(),
        layout,
    }
}

/// What every drive goes through before it serves: what uploads of an earlier time left goes.
fn prepare(drive: &dyn Drive) -> Result<(), Error> {
    let removed = blob::clear_temporary(drive)?;
    if removed > 0 {
        tracing::info!(
            removed,
            drive = drive.label(),
            "unfinished uploads of the last process removed"
        );
    }
    Ok(())
}

fn in_set(row: &MemberRow, drive: Option<Arc<dyn Drive>>) -> SetMember {
    SetMember {
        number: row.number,
        uid: row.drive_uid(),
        facility: row.facility.clone(),
        standing: row.standing(),
        has_room: true,
        drive,
    }
}

/// The row of a drive that was never seen before.
fn new_row(members: &Members, given: &GivenDrive, uid: [u8; 16]) -> Result<MemberRow, Error> {
    let number = members.next_number().ok_or(Error::TooLarge {
        what: "the number of drives",
    })?;
    Ok(MemberRow {
        number,
        uid,
        facility: given.facility.clone(),
        standing: members::StoredStanding::Member,
        place: given.place.clone(),
        copy: None,
        replaced_by: None,
    })
}

/// Why a drive that is there is not taken back.
const AFTER_A_RESTART: &str =
    "it failed a flush before it was gone: it serves again after a restart of the server";
