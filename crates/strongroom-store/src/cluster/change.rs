// SPDX-License-Identifier: Apache-2.0
//! Drives that come and go while the store serves.
//!
//! ```text
//!   standing    act                        next       when
//!   -           add                        Member     an empty folder
//!   Member      drain                      Draining   the redundancy can be kept without it
//!   Draining    cancel                     Member
//!   Draining    remove                     Removed    no shard is on it, no copy
//!   Member      replace                    Lost       not there, or out of service; a new drive takes its place
//!   Lost        (heal has finished)        Removed    no shard is on it
//! ```
//!
//! Each is one change of the members, and counts before this process acts on it.

use std::sync::Arc;

use super::members::{Members, StoredCopy, StoredStanding, path};
use super::opener::AtPlace;
use super::survey::{check_standing, is_half_made, unfit};
use super::{Cluster, GivenDrive, copies, in_set, new_row};
use crate::drive::{
    Drive, DriveNo, DriveSet, DriveState, Folder, SetView, Standing, redundancy_for,
};
use crate::error::Error;
use crate::layout::BlobPolicy;
use crate::superblock::{Superblock, is_facility_name, random_id};

/// What a drive still has of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LeftOn {
    /// Shards that are being written to it.
    pub(crate) writes: u64,
    /// Shards that the catalogue counts.
    pub(crate) shards: u64,
}

impl Cluster {
    /// Takes a new drive in, or takes back a known one that has moved. Blocks.
    pub(crate) fn add(&self, given: &GivenDrive) -> Result<DriveNo, Error> {
        let _one = self.changing();
        if !is_facility_name(&given.facility) {
            let reason = "a facility name has 1 to 64 of a-z, 0-9 and `-`";
            return Err(unfit(&given.place, reason));
        }
        match self.look(&given.place)? {
            AtPlace::Foreign => Err(foreign(&given.place)),
            AtPlace::Drive => self.take_back(given),
            AtPlace::Nothing | AtPlace::Empty => {
                let members = self.inner.roster.members();
                let at_place =
                    |row: &&super::MemberRow| row.is_expected() && row.place == given.place;
                if let Some(row) = members.drives.iter().find(at_place) {
                    return Err(unfit(&given.place, &super::survey::empty_in_place_of(row)));
                }
                self.take_new(given, |_, _| Ok(()))
            }
        }
    }

    /// Takes a new drive in the place of one that is lost: `lost`, or the one whose place it is,
    /// or the only one that is missing in its facility. Returns both. `may_be_lost` has a say about
    /// it. Blocks.
    pub(crate) fn replace(
        &self,
        given: &GivenDrive,
        lost: Option<DriveNo>,
        may_be_lost: impl FnOnce(DriveNo) -> Result<(), Error>,
    ) -> Result<(DriveNo, DriveNo), Error> {
        let _one = self.changing();
        let lost = self.which_is_lost(given, lost)?;
        may_be_lost(lost)?;
        match self.look(&given.place)? {
            AtPlace::Foreign => return Err(foreign(&given.place)),
            AtPlace::Drive => {
                return Err(unfit(
                    &given.place,
                    "the folder is a drive already; the new drive has to be an empty folder",
                ));
            }
            AtPlace::Nothing | AtPlace::Empty => {}
        }
        let number = self.take_new(given, |members, number| {
            copies::release(members, lost)?;
            if let Some(row) = members.row_mut(lost) {
                row.standing = StoredStanding::Lost;
                row.replaced_by = Some(number);
            }
            Ok(())
        })?;
        self.note(lost, None);
        self.inner.set.set_drive(lost, None);
        self.inner.set.set_standing(lost, Standing::Lost);
        tracing::info!(drive = %number, replaces = %lost, place = given.place, "a drive was replaced");
        Ok((lost, number))
    }

    /// Begins to empty a drive. `may_leave` has a say about what is on it. Blocks.
    pub(crate) fn drain(
        &self,
        number: DriveNo,
        may_leave: impl FnOnce(&SetView) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _one = self.changing();
        self.expect(number, &[DriveState::Online, DriveState::Missing])?;
        let without = without(&self.inner.set.view(), number)?;
        let left = without.members().iter();
        if !left
            .clone()
            .any(|member| member.standing == Standing::Member)
        {
            return Err(refuse("it is the only drive of the cluster"));
        }
        if let Some(wished) = self.wished() {
            let reach = redundancy_for(&without, BlobPolicy::Standard, wished);
            let staying = left.filter(|member| member.standing == Standing::Member);
            // Parity is never given up: with fewer drives than shards some would be owed for ever.
            let is_short = staying.count() < usize::from(wished.shards());
            if reach != wished || is_short {
                let instead = if is_short && reach == wished {
                    "fewer shards".to_owned()
                } else {
                    format!("`--redundancy {}+{}`", reach.data(), reach.parity())
                };
                return Err(refuse(&format!(
                    "without drive {number} the drives do not suffice for {}+{}; add a drive first, or serve \
                     with {instead}",
                    wished.data(),
                    wished.parity()
                )));
            }
        }
        may_leave(&without)?;
        self.stand(number, StoredStanding::Draining, Standing::Draining)
    }

    /// Gives up emptying a drive. Blocks.
    pub(crate) fn cancel_drain(&self, number: DriveNo) -> Result<(), Error> {
        let _one = self.changing();
        let members = self.inner.roster.members();
        let row = members.row(number);
        if row.is_none_or(|row| row.standing != StoredStanding::Draining) {
            return Err(refuse(&format!("drive {number} is not being drained")));
        }
        self.stand(number, StoredStanding::Member, Standing::Member)
    }

    /// Lets a drive go that is drained. `left_on` counts what is on it. Blocks.
    pub(crate) fn remove(
        &self,
        number: DriveNo,
        left_on: impl FnOnce(DriveNo) -> Result<LeftOn, Error>,
    ) -> Result<(), Error> {
        let _one = self.changing();
        let members = self.inner.roster.members();
        let row = members.row(number).ok_or_else(|| unknown(number))?;
        match row.standing {
            StoredStanding::Removed => {
                return Err(refuse(&format!("drive {number} was removed already")));
            }
            StoredStanding::Member => {
                return Err(refuse(&format!(
                    "drive {number} is in use: `strongroom drive drain {number}` first; if it is lost, \
                     `strongroom drive replace`"
                )));
            }
            StoredStanding::Draining | StoredStanding::Lost => {}
        }
        let LeftOn { writes, shards } = left_on(number)?;
        if shards > 0 {
            return Err(refuse(&format!(
                "{shards} shards are still on drive {number}; `strongroom status` shows how far it is"
            )));
        }
        if writes > 0 {
            return Err(refuse(&format!(
                "{writes} uploads that began before the drain are still being written to drive {number}; try \
                 again when they have ended"
            )));
        }
        if row.copy.is_some() {
            return Err(refuse(&format!(
                "the copy of the tables on drive {number} is still needed; wait until another has caught up"
            )));
        }
        self.stand(number, StoredStanding::Removed, Standing::Removed)?;
        self.note(number, None);
        self.inner.set.set_drive(number, None);
        Ok(())
    }

    /// The drive that is being drained and whose copy of the tables is whole on enough others.
    pub(crate) fn leaving_copy(&self) -> Option<DriveNo> {
        leaving(&self.inner.roster.members())
    }

    /// Takes the copy of the tables off a drive that is drained, when it does not count there any
    /// more, and gives copies that are missing to drives. Blocks.
    pub(crate) fn tend_copies(&self) -> Result<(), Error> {
        let _one = self.changing();
        self.inner.roster.change(|members| {
            copies::assign(members, |number| self.is_there(number));
            if let Some(number) = leaving(members)
                && let Some(row) = members.row_mut(number)
                && row.copy == Some(StoredCopy::Fenced)
            {
                row.copy = None;
            }
            Ok(())
        })
    }

    /// What is at a place. An identity that was given there by a change that was cut short, and
    /// that nobody knows, is taken away again.
    fn look(&self, place: &str) -> Result<AtPlace, Error> {
        let at_place = self.inner.opener.look(place)?;
        if at_place != AtPlace::Drive {
            return Ok(at_place);
        }
        // One that is in use is told by whoever needs it.
        let Ok(drive) = self.inner.opener.open(place) else {
            return Ok(at_place);
        };
        let members = self.inner.roster.members();
        match Superblock::read(drive.as_ref(), self.inner.layout) {
            Ok(Some(found)) if is_half_made(drive.as_ref(), &found, &members)? => {
                if !self.inner.roster.outbids(drive.as_ref()) {
                    return Err(unfit(
                        place,
                        "it was being added when that was cut short, and a drive that is away may know of it: name this one \
                         at the next start, or bring the other back first",
                    ));
                }
                drive.remove(&path())?;
                drive.remove(&Superblock::path())?;
                drive.sync_folder(Folder::Top)?;
                Ok(AtPlace::Empty)
            }
            Ok(_) | Err(_) => Ok(at_place),
        }
    }

    /// A known drive that was not there, in another place.
    fn take_back(&self, given: &GivenDrive) -> Result<DriveNo, Error> {
        let members = self.inner.roster.members();
        let place = given.place.as_str();
        let drive = self.inner.opener.open(place);
        let drive = drive.map_err(|error| match error {
            Error::DriveInUse { .. } => unfit(place, "it is in use, by this store or another"),
            other => other,
        })?;
        let superblock = Superblock::read(drive.as_ref(), self.inner.layout)?
            .ok_or_else(|| unfit(place, "it has no identity"))?;
        if superblock.cluster_id != members.cluster_id {
            return Err(unfit(place, "it belongs to another cluster"));
        }
        let row = members
            .by_uid(superblock.drive_uid)
            .ok_or_else(|| unfit(place, "the cluster does not know it"))?;
        check_standing(row, place)?;
        if row.facility != given.facility {
            let reason = format!(
                "it is in facility `{}`, not `{}`",
                row.facility, given.facility
            );
            return Err(unfit(place, &reason));
        }
        if self.inner.set.suspect(row.number) != DriveState::Missing {
            let reason = format!(
                "it has the uid of drive {}, which is at `{}`: one is a copy of the other",
                row.number, row.place
            );
            return Err(unfit(place, &reason));
        }
        if self.inner.set.has_failed(row.number) {
            return Err(unfit(place, super::AFTER_A_RESTART));
        }
        self.refuse_later_age(drive.as_ref(), place)?;
        super::prepare(drive.as_ref())?;
        let number = row.number;
        self.inner.roster.change(|members| {
            if let Some(row) = members.row_mut(number) {
                place.clone_into(&mut row.place);
            }
            Ok(())
        })?;
        self.welcome(number, &drive);
        Ok(number)
    }

    /// A new drive: first its identity, then the members, then this process.
    fn take_new(
        &self,
        given: &GivenDrive,
        and: impl FnOnce(&mut Members, DriveNo) -> Result<(), Error>,
    ) -> Result<DriveNo, Error> {
        let super::Inner {
            set,
            roster,
            opener,
            layout,
            ..
        } = self.inner.as_ref();
        let uid = random_id()?;
        let row = new_row(&roster.members(), given, uid)?;
        let drive: Arc<dyn Drive> = opener.open(&given.place)?;
        let superblock = Superblock {
            cluster_id: self.id(),
            drive_uid: row.drive_uid(),
            layout: *layout,
            facility: given.facility.clone(),
        };
        superblock.write_to_empty(drive.as_ref())?;
        let number = row.number;
        let joined = roster.change_with((number, &drive), |members| {
            members.drives.push(row.clone());
            and(members, number)?;
            let is_there = |drive| drive == number || self.is_there(drive);
            copies::assign(members, is_there);
            Ok(())
        });
        if let Err(error) = joined {
            // What too few keep may count after the next start, and the drive has to be there then. It
            // keeps a change first: what it does not have is nowhere, and then the folder is to be
            // empty again for the next try. The first error is told.
            let is_nowhere = !matches!(drive.read_small(&path()), Ok(Some(_)));
            if is_nowhere || !matches!(error, Error::NoMajority) {
                let _ = drive.remove(&path());
                let _ = drive.remove(&Superblock::path());
            }
            return Err(error);
        }
        set.add(in_set(&row, Some(Arc::clone(&drive))))?;
        if let Err(error) = roster.bring_up_to_date(number, &drive) {
            tracing::warn!(%error, drive = drive.label(), "the members file cannot be written");
        }
        tracing::info!(drive = %number, place = given.place, facility = given.facility, "a drive was added");
        Ok(number)
    }

    fn which_is_lost(&self, given: &GivenDrive, lost: Option<DriveNo>) -> Result<DriveNo, Error> {
        let gone = [DriveState::Missing, DriveState::OutOfService];
        let members = self.inner.roster.members();
        if let Some(lost) = lost {
            let row = members.row(lost).ok_or_else(|| unknown(lost))?;
            if row.facility != given.facility {
                return Err(refuse(&format!(
                    "drive {lost} is in facility `{}`, not `{}`",
                    row.facility, given.facility
                )));
            }
            self.expect(lost, &gone)?;
            return Ok(lost);
        }
        let is_gone = |number| gone.contains(&self.inner.set.suspect(number));
        let rows = members.drives.iter();
        let in_facility = rows.filter(|row| row.is_expected() && row.facility == given.facility);
        let missing: Vec<_> = in_facility.filter(|row| is_gone(row.number)).collect();
        if let Some(row) = missing.iter().find(|row| row.place == given.place) {
            return Ok(row.number);
        }
        match missing.as_slice() {
            [row] => Ok(row.number),
            [] => Err(refuse(&format!(
                "no drive of facility `{}` is missing: a new drive is taken in by `strongroom drive add`",
                given.facility
            ))),
            several => {
                let numbers: Vec<_> = several.iter().map(|row| row.number.to_string()).collect();
                Err(refuse(&format!(
                    "drives {} of facility `{}` are missing: say which with `--drive NUMBER`",
                    numbers.join(", "),
                    given.facility
                )))
            }
        }
    }

    fn expect(&self, number: DriveNo, states: &[DriveState]) -> Result<(), Error> {
        self.inner
            .roster
            .members()
            .row(number)
            .ok_or_else(|| unknown(number))?;
        let state = self.inner.set.suspect(number);
        if states.contains(&state) {
            return Ok(());
        }
        let is = state.as_str();
        Err(refuse(&format!("drive {number} is {is}")))
    }

    fn stand(
        &self,
        number: DriveNo,
        stored: StoredStanding,
        standing: Standing,
    ) -> Result<(), Error> {
        self.inner.roster.change(|members| {
            if let Some(row) = members.row_mut(number) {
                row.standing = stored;
            }
            copies::assign(members, |number| self.is_there(number));
            Ok(())
        })?;
        self.inner.set.set_standing(number, standing);
        tracing::info!(drive = %number, standing = ?standing, "a drive has another standing");
        Ok(())
    }

    fn is_there(&self, number: DriveNo) -> bool {
        self.inner.set.get(number).is_some()
    }

    fn changing(&self) -> std::sync::MutexGuard<'_, ()> {
        let changing = self.inner.changing.lock();
        changing.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A drive that is being drained and has a copy, when all other copies are whole.
fn leaving(members: &Members) -> Option<DriveNo> {
    let is_leaving =
        |row: &&super::MemberRow| row.copy.is_some() && row.standing == StoredStanding::Draining;
    let number = members.drives.iter().find(is_leaving)?.number;
    let mut others = members.copies().filter(|row| row.number != number);
    let first = others.next()?;
    let is_whole = |row: &super::MemberRow| row.copy == Some(StoredCopy::Live);
    (is_whole(first) && others.all(is_whole)).then_some(number)
}

/// The drives as they would be without one.
fn without(view: &SetView, number: DriveNo) -> Result<Arc<SetView>, Error> {
    let mut members = view.members().to_vec();
    members.retain(|member| member.number != number);
    Ok(DriveSet::new(members)?.view())
}

fn foreign(place: &str) -> Error {
    unfit(
        place,
        "the folder holds files and is no drive of Strongroom",
    )
}

fn refuse(reason: &str) -> Error {
    Error::DrivesRefuse {
        reason: reason.to_owned(),
    }
}

fn unknown(number: DriveNo) -> Error {
    refuse(&format!("there is no drive {number}"))
}
