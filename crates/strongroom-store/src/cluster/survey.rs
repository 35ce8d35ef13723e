// SPDX-License-Identifier: Apache-2.0
//! A start: from places to the drives of one cluster, or a refusal that says what to do.
//!
//! What was named by the operator and is wrong ends the start: another cluster's drive, two drives
//! with one uid, a folder full of something else. What was not named, or is only not there, is
//! noted, and the start goes on as long as the newest members are known for sure.
//!
//! A new cluster is founded in this order: the members, with the uids that drives will have, in
//! the data directory; then each drive's superblock and members. A start that was cut short goes
//! on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::members::{self, MemberRow, Members, StoredCopy, StoredStanding};
use super::opener::{AtPlace, DriveOpener};
use super::{GivenDrive, copies, new_row, roster};
use crate::at_rest::AtRest;
use crate::drive::{Drive, DriveNo};
use crate::error::Error;
use crate::layout::UnitLayout;
use crate::superblock::{Superblock, holds_nothing, is_facility_name, random_id};

/// Does the looking.
pub(super) struct Surveyor<'a> {
    pub(super) at_rest: &'a dyn AtRest,
    pub(super) opener: &'a dyn DriveOpener,
    pub(super) witness: Option<&'a dyn Drive>,
    pub(super) layout: UnitLayout,
}

/// What a start has to go on.
pub(super) struct Surveyed {
    pub(super) members: Members,
    pub(super) found: BTreeMap<DriveNo, Found>,
    pub(super) notes: BTreeMap<DriveNo, String>,
}

/// A drive of the cluster, where it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: String,
    pub(super) drive: Arc<dyn Drive>,
}

/// A drive with an identity, whosever it is.
struct Candidate {
    place: String,
    /// As the operator says.
    facility: Option<String>,
    drive: Arc<dyn Drive>,
    superblock: Superblock,
    members: Option<Members>,
}

/// Everything that was looked at.
#[derive(Default)]
struct Looked {
    places: BTreeSet<String>,
    candidates: Vec<Candidate>,
    /// Places where a drive could be made; and whether there is a folder.
    free: Vec<(String, Option<String>, AtPlace)>,
    /// Places that were not named and cannot be used.
    trouble: BTreeMap<String, String>,
    /// Those of them that another process has open.
    in_use: BTreeSet<String>,
}

/// What there is, before anything is made of it.
struct Around {
    /// The drives that were named, or that stand for them.
    given: Vec<GivenDrive>,
    looked: Looked,
    /// What the data directory remembers.
    remembered: Option<Members>,
    /// The newest members of all.
    newest: Option<Members>,
}

/// What there is for who decides without a majority.
pub(super) struct Unsure {
    pub(super) surveyed: Surveyed,
    /// Drives that are there with a members file that opens.
    pub(super) knowing: Vec<DriveNo>,
    /// Whether the data directory remembers the members.
    pub(super) is_remembered: bool,
    /// Places where something is that another process has open.
    pub(super) in_use: BTreeSet<String>,
}

impl Surveyor<'_> {
    pub(super) fn survey(
        &self,
        given: Vec<GivenDrive>,
        otherwise: Option<GivenDrive>,
    ) -> Result<Surveyed, Error> {
        let Around {
            given,
            mut looked,
            remembered,
            newest,
        } = self.look_around(given, otherwise)?;
        match newest {
            None => self.first_members(looked, &given),
            Some(members) if members.is_founding => {
                let members = self.found_the_rest(&mut looked, members)?;
                pass_over_half_made(&members, &mut looked)?;
                identify(members, looked)
            }
            Some(members) => of_a_majority(members, looked, remembered.as_ref()),
        }
    }

    /// The same, where nothing may be made or written: `None` where a start would found a cluster,
    /// or take over the one drive of a store from before there were members.
    pub(super) fn survey_known(
        &self,
        given: Vec<GivenDrive>,
        otherwise: Option<GivenDrive>,
    ) -> Result<Option<Surveyed>, Error> {
        let Around {
            given,
            looked,
            remembered,
            newest,
        } = self.look_around(given, otherwise)?;
        match newest {
            None => match (looked.candidates.as_slice(), given.as_slice()) {
                ([], _) => Ok(None),
                ([one], [_]) if one.holds_no_members()? => Ok(None),
                _ => self.first_members(looked, &given).map(Some),
            },
            Some(members) if members.is_founding => Err(founding()),
            Some(members) => of_a_majority(members, looked, remembered.as_ref()).map(Some),
        }
    }

    /// The same without asking whether a majority is there. Nothing that this finds is known to be the
    /// newest: it is for an operator who says that those who could know more are lost.
    pub(super) fn survey_unsure(
        &self,
        given: Vec<GivenDrive>,
        otherwise: Option<GivenDrive>,
    ) -> Result<Unsure, Error> {
        let Around {
            mut looked,
            remembered,
            newest,
            ..
        } = self.look_around(given, otherwise)?;
        let members = newest.ok_or_else(|| Error::DrivesRefuse {
            reason: "no drive that is there, nor the data directory, knows which drives the store has; name one \
                     of its drives by `--drive`"
                .to_owned(),
        })?;
        if members.is_founding {
            return Err(founding());
        }
        pass_over_half_made(&members, &mut looked)?;
        Ok(Unsure {
            knowing: knowing(&members, &looked),
            is_remembered: remembered.is_some(),
            in_use: std::mem::take(&mut looked.in_use),
            surveyed: identify(members, looked)?,
        })
    }

    fn look_around(
        &self,
        given: Vec<GivenDrive>,
        otherwise: Option<GivenDrive>,
    ) -> Result<Around, Error> {
        let remembered = self.remembered()?;
        let mut looked = Looked::default();
        let own = otherwise.as_ref().map(|drive| drive.place.clone());
        let given = match (given.is_empty(), &remembered, otherwise) {
            (true, None, otherwise) => otherwise.into_iter().collect(),
            (true, Some(_), Some(otherwise)) => {
                // Known already, or moved together with the data directory.
                self.look_at(&mut looked, &otherwise.place, None)?;
                given
            }
            _ => given,
        };
        for drive in &given {
            if !is_facility_name(&drive.facility) {
                return Err(unfit(
                    &drive.place,
                    "a facility name has 1 to 64 of a-z, 0-9 and `-`",
                ));
            }
            if looked.places.contains(&drive.place) {
                return Err(unfit(&drive.place, "it is named twice"));
            }
            self.look_at(&mut looked, &drive.place, Some(&drive.facility))?;
        }
        // Members found on a drive may name places of further drives, and those newer members.
        let mut newest = newest_of(&looked, remembered.as_ref());
        while let Some(members) = &newest {
            let mut has_more = false;
            for row in members.drives.iter().filter(|row| row.is_expected()) {
                let is_here = looked.candidates.iter().any(|of| of.is(row));
                if is_here || looked.places.contains(&row.place) {
                    continue;
                }
                has_more = true;
                // A copy of a data directory remembers where the drive of the original is.
                let is_own = own.as_ref().is_none_or(|own| *own == row.place);
                if !is_own && matches!(self.opener.is_in_data_directory(&row.place), Ok(true)) {
                    looked.places.insert(row.place.clone());
                    looked
                        .trouble
                        .insert(row.place.clone(), OF_ANOTHER.to_owned());
                    continue;
                }
                self.look_at(&mut looked, &row.place, None)?;
            }
            if !has_more {
                break;
            }
            newest = newest_of(&looked, remembered.as_ref());
        }
        Ok(Around {
            given,
            looked,
            remembered,
            newest,
        })
    }

    /// The members that the data directory remembers. A file that does not open is as none: the
    /// drives know better, or the quorum is missed.
    fn remembered(&self) -> Result<Option<Members>, Error> {
        let Some(witness) = self.witness else {
            return Ok(None);
        };
        let bytes = witness.read_small(&members::path())?;
        let found = bytes.and_then(|bytes| {
            let opened = Members::open(self.at_rest, &bytes);
            if opened.is_none() {
                tracing::error!("the members file in the data directory does not open");
            }
            opened
        });
        Ok(found)
    }

    fn look_at(
        &self,
        looked: &mut Looked,
        place: &str,
        facility: Option<&String>,
    ) -> Result<(), Error> {
        looked.places.insert(place.to_owned());
        let candidate = self.opener.look(place).and_then(|at_place| match at_place {
            AtPlace::Nothing | AtPlace::Empty => {
                looked
                    .free
                    .push((place.to_owned(), facility.cloned(), at_place));
                Ok(None)
            }
            AtPlace::Foreign => Err(unfit(
                place,
                "the folder holds files and is no drive of Strongroom",
            )),
            AtPlace::Drive => self.candidate(place, facility).map(Some),
        });
        match candidate {
            Ok(candidate) => looked.candidates.extend(candidate),
            Err(error) if facility.is_some() => return Err(error),
            Err(error) => {
                if matches!(error, Error::DriveInUse { .. }) {
                    looked.in_use.insert(place.to_owned());
                }
                looked.trouble.insert(place.to_owned(), error.to_string());
            }
        }
        Ok(())
    }

    fn candidate(&self, place: &str, facility: Option<&String>) -> Result<Candidate, Error> {
        let drive = self.opener.open(place)?;
        let superblock = Superblock::read(drive.as_ref(), self.layout)?
            .ok_or_else(|| unfit(place, "it has no identity"))?;
        let bytes = drive.read_small(&members::path())?;
        let members = bytes.and_then(|bytes| Members::open(self.at_rest, &bytes));
        let members = members.filter(|found| found.cluster_id == superblock.cluster_id);
        Ok(Candidate {
            place: place.to_owned(),
            facility: facility.cloned(),
            drive,
            superblock,
            members,
        })
    }

    /// Nobody knows any members: a new cluster, or a store from before there were members.
    fn first_members(&self, mut looked: Looked, given: &[GivenDrive]) -> Result<Surveyed, Error> {
        let members = match (looked.candidates.as_slice(), given) {
            (_, []) => {
                return Err(Error::DrivesRefuse {
                    reason: "no drive was named, and none is remembered".to_owned(),
                });
            }
            ([], given) => {
                let members = founded(given)?;
                self.remember(&members)?;
                self.found_the_rest(&mut looked, members)?
            }
            ([one], [given]) if one.holds_no_members()? => adopted(one, given),
            ([one, ..], _) if !one.holds_no_members()? => {
                return Err(unfit(
                    &one.place,
                    "its members file does not open: it belongs to a store with other keys (another data \
                     directory), or it is damaged",
                ));
            }
            ([one, ..], _) => {
                return Err(unfit(
                    &one.place,
                    "it is the drive of a store already: serve with it alone, then `strongroom drive add` the \
                     others",
                ));
            }
        };
        identify(members, looked)
    }

    /// Puts the members into the data directory, before anything is written to a drive.
    fn remember(&self, members: &Members) -> Result<(), Error> {
        match self.witness {
            Some(witness) => witness.replace(&members::path(), &members.seal(self.at_rest)?),
            None => Ok(()),
        }
    }

    /// Gives the drives of a new cluster their identities, as far as they have none.
    fn found_the_rest(&self, looked: &mut Looked, members: Members) -> Result<Members, Error> {
        let bytes = members.seal(self.at_rest)?;
        for row in &members.drives {
            if looked.candidates.iter().any(|of| of.is(row)) {
                continue;
            }
            let is_free = looked.free.iter().any(|(place, ..)| *place == row.place);
            if !is_free {
                return Err(unfit(
                    &row.place,
                    "a new store was to have a drive there, and now there is something else",
                ));
            }
            let drive = self.opener.open(&row.place)?;
            let superblock = Superblock {
                cluster_id: members.cluster_id,
                drive_uid: row.drive_uid(),
                layout: self.layout,
                facility: row.facility.clone(),
            };
            superblock.write_to_empty(drive.as_ref())?;
            drive.replace(&members::path(), &bytes)?;
            looked.free.retain(|(place, ..)| *place != row.place);
            looked.candidates.push(Candidate {
                place: row.place.clone(),
                facility: Some(row.facility.clone()),
                drive,
                superblock,
                members: Some(members.clone()),
            });
        }
        Ok(members)
    }
}

impl Candidate {
    fn is(&self, row: &MemberRow) -> bool {
        self.superblock.drive_uid == row.drive_uid()
    }

    fn holds_no_members(&self) -> Result<bool, Error> {
        Ok(self.drive.read_small(&members::path())?.is_none())
    }
}

/// The members with the highest epoch. What the data directory remembers says which cluster
/// this is; without it, drives of two clusters are sorted out later, by being refused.
fn newest_of(looked: &Looked, remembered: Option<&Members>) -> Option<Members> {
    let found = looked
        .candidates
        .iter()
        .filter_map(|of| of.members.as_ref());
    let of_cluster = |found: &&Members| {
        remembered.is_none_or(|remembered| remembered.cluster_id == found.cluster_id)
    };
    found
        .filter(of_cluster)
        .chain(remembered)
        .max_by_key(|members| members.epoch)
        .cloned()
}

/// A drive that got its identity and was never taken in: whoever did that was cut short. There is
/// nothing on it but, perhaps, members that never counted: those that did name every drive that
/// ever was.
pub(super) fn is_half_made(
    drive: &dyn Drive,
    superblock: &Superblock,
    members: &Members,
) -> Result<bool, Error> {
    Ok(superblock.cluster_id == members.cluster_id
        && members.by_uid(superblock.drive_uid).is_none()
        && holds_nothing(drive)?)
}

/// Such drives are as good as empty folders.
fn pass_over_half_made(members: &Members, looked: &mut Looked) -> Result<(), Error> {
    let mut whole = Vec::with_capacity(looked.candidates.len());
    for candidate in std::mem::take(&mut looked.candidates) {
        if is_half_made(candidate.drive.as_ref(), &candidate.superblock, members)? {
            let Candidate {
                place, facility, ..
            } = candidate;
            looked.free.push((place, facility, AtPlace::Empty));
        } else {
            whole.push(candidate);
        }
    }
    looked.candidates = whole;
    Ok(())
}

/// Sorts what was found by the members.
fn identify(members: Members, looked: Looked) -> Result<Surveyed, Error> {
    let mut found = BTreeMap::<DriveNo, Found>::new();
    let mut trouble = looked.trouble;
    for candidate in looked.candidates {
        let is_named = candidate.facility.is_some();
        match identify_one(&members, &candidate) {
            Ok(number) => {
                let Candidate { place, drive, .. } = candidate;
                if let Some(other) = found.get(&number) {
                    return Err(unfit(
                        &place,
                        &format!(
                            "it has the uid of the drive at `{}`: one is a copy of the other; take one away",
                            other.place
                        ),
                    ));
                }
                found.insert(number, Found { place, drive });
            }
            Err(error) if is_named => return Err(error),
            Err(error) => {
                trouble.insert(candidate.place, error.to_string());
            }
        }
    }
    let mut notes = BTreeMap::new();
    let missing = |row: &&MemberRow| row.is_expected() && !found.contains_key(&row.number);
    for (place, facility, at_place) in looked.free {
        let mut known = members.drives.iter().filter(missing);
        match known.rfind(|row| row.place == place) {
            Some(row) if at_place == AtPlace::Empty => {
                notes.insert(row.number, empty_in_place_of(row));
            }
            None if facility.is_some() => {
                let was_given_up = |row: &&MemberRow| {
                    row.standing == StoredStanding::Lost
                        && row.replaced_by.is_none()
                        && row.place == place
                };
                if let Some(row) = members.drives.iter().find(was_given_up) {
                    let reason = format!(
                        "drive {} was there, which was given up: name the place no more; a new drive there is taken in by \
                         `strongroom drive add`, while the store is open without it",
                        row.number
                    );
                    return Err(unfit(&place, &reason));
                }
                return Err(unfit(
                    &place,
                    "no drive of this store is there; a new drive is taken in by `strongroom drive add`, one in \
                     the place of a lost drive by `strongroom drive replace`",
                ));
            }
            Some(_) | None => {}
        }
    }
    for row in members.drives.iter().filter(missing) {
        if let Some(reason) = trouble.remove(&row.place) {
            notes.insert(row.number, reason);
        }
        let note = notes.get(&row.number).map_or("not there", String::as_str);
        tracing::error!(drive = %row.number, place = %row.place, note, "a drive is missing");
    }
    Ok(Surveyed {
        members,
        found,
        notes,
    })
}

/// What to say of an empty folder where a drive should be.
pub(super) fn empty_in_place_of(row: &MemberRow) -> String {
    format!(
        "the folder `{}` is empty, where drive {} was; mount the drive, or if it is lost: `strongroom drive replace \
         {}:{}`",
        row.place, row.number, row.facility, row.place
    )
}

/// The number of a drive, if it is one of the cluster that may serve.
fn identify_one(members: &Members, candidate: &Candidate) -> Result<DriveNo, Error> {
    let Candidate {
        place,
        facility,
        superblock,
        ..
    } = candidate;
    if superblock.cluster_id != members.cluster_id {
        return Err(unfit(place, "it belongs to another cluster"));
    }
    let row = members
        .by_uid(superblock.drive_uid)
        .ok_or_else(|| unfit(place, "the cluster does not know it"))?;
    check_standing(row, place)?;
    if let Some(facility) = facility
        && *facility != row.facility
    {
        let reason = format!("it is in facility `{}`, not `{facility}`", row.facility);
        return Err(unfit(place, &reason));
    }
    Ok(row.number)
}

/// Refuses a drive that was given up.
pub(super) fn check_standing(row: &MemberRow, place: &str) -> Result<(), Error> {
    match (row.standing, row.replaced_by) {
        (StoredStanding::Member | StoredStanding::Draining, _) => Ok(()),
        (_, Some(other)) => {
            let reason = format!(
                "it is drive {}, which drive {other} has replaced; empty it to use it again",
                row.number
            );
            Err(unfit(place, &reason))
        }
        (StoredStanding::Lost, None) => {
            let reason = format!(
                "it is drive {}, which was given up: what it has is older than what the store has now. Take it away, or \
                 empty it to use it again",
                row.number
            );
            Err(unfit(place, &reason))
        }
        (StoredStanding::Removed, None) => {
            let reason = format!(
                "it is drive {}, which was removed from the cluster; empty it to use it again",
                row.number
            );
            Err(unfit(place, &reason))
        }
    }
}

pub(super) fn unfit(place: &str, reason: &str) -> Error {
    Error::DriveUnfit {
        place: place.to_owned(),
        reason: reason.to_owned(),
    }
}

/// The only drive with a copy of the tables is there, with the identity that the data directory
/// remembers, and its members file does not open: what the data directory remembers stands for it,
/// and is written there when the start goes on. Where several drives vote, the others know.
///
/// What is remembered opened with this store's keys and names this drive by cluster and uid, so
/// that no other store's file can stand for it. An older state of this store's own is told by the
/// epoch, which is in clear at the beginning of the file that does not open.
fn mend_the_only_voter(members: &Members, looked: &mut Looked) -> Result<(), Error> {
    let mut copies = members.copies();
    let (Some(only), None) = (copies.next(), copies.next()) else {
        return Ok(());
    };
    let is_it = |of: &&mut Candidate| {
        of.is(only) && of.superblock.cluster_id == members.cluster_id && of.members.is_none()
    };
    let mut found = looked
        .candidates
        .iter_mut()
        .filter_map(|of| Some(of).filter(is_it));
    // Two of one uid: neither is believed.
    let (Some(candidate), None) = (found.next(), found.next()) else {
        return Ok(());
    };
    let damaged = candidate.drive.read_small(&members::path())?;
    let epoch = damaged.as_deref().and_then(members::epoch_of);
    if epoch.is_some_and(|epoch| epoch > members.epoch) {
        tracing::error!(
            place = candidate.place,
            "the members file does not open, and what the data directory remembers is older"
        );
        return Ok(());
    }
    tracing::warn!(
        place = candidate.place,
        "the members file does not open; it is written again from what the data directory remembers"
    );
    candidate.members = Some(members.clone());
    Ok(())
}

/// The drives of a cluster that is known, if a majority of those that vote is there.
fn of_a_majority(
    members: Members,
    mut looked: Looked,
    remembered: Option<&Members>,
) -> Result<Surveyed, Error> {
    if remembered == Some(&members) {
        mend_the_only_voter(&members, &mut looked)?;
    }
    check_quorum(&members, &looked, remembered.is_some())?;
    pass_over_half_made(&members, &mut looked)?;
    identify(members, looked)
}

/// The drives of the cluster that are there with a members file that opens.
fn knowing(members: &Members, looked: &Looked) -> Vec<DriveNo> {
    let knows = |row: &&MemberRow| {
        let mut candidates = looked.candidates.iter();
        candidates.any(|of| of.is(row) && of.members.is_some())
    };
    let rows = members.drives.iter().filter(knows);
    rows.map(|row| row.number).collect()
}

/// Why a place is not looked at.
const OF_ANOTHER: &str =
    "it is the drive of another data directory; name it with `--drive` to use it from here";

fn check_quorum(members: &Members, looked: &Looked, has_witness: bool) -> Result<(), Error> {
    let present = knowing(members, looked);
    if roster::is_quorate(members, &present, has_witness) {
        return Ok(());
    }
    let missing = members
        .copies()
        .filter(|row| !present.contains(&row.number));
    let missing: Vec<_> = missing.collect();
    let named = missing.iter().map(|row| {
        let seen = looked.trouble.get(&row.place);
        let seen = seen.map_or(String::new(), |seen| format!(" ({seen})"));
        format!("{}{seen}", named(row))
    });
    let mut reason = format!(
        "no majority of the drives with a copy of the tables is there; missing: {}",
        named.collect::<Vec<_>>().join("; ")
    );
    // Those that are there and sound are not to be given up.
    let is_there = |row: &&&MemberRow| {
        looked.in_use.contains(&row.place)
            || looked
                .trouble
                .get(&row.place)
                .is_some_and(|why| why == OF_ANOTHER)
    };
    let gone: Vec<_> = missing.iter().filter(|row| !is_there(row)).collect();
    if !gone.is_empty() {
        reason = format!("{reason}. {}", way_out(gone.iter().map(|row| row.number)));
    }
    Err(Error::DrivesRefuse { reason })
}

/// A drive, as refusals name it.
pub(super) fn named(row: &MemberRow) -> String {
    format!(
        "drive {} of facility {}, last at `{}`",
        row.number, row.facility, row.place
    )
}

/// What to do about drives without which nothing goes on.
pub(super) fn way_out(missing: impl Iterator<Item = DriveNo>) -> String {
    let numbers: Vec<_> = missing.map(|number| number.to_string()).collect();
    format!(
        "Bring them back; those that are lost for good are given up by `strongroom drive give-up {}`",
        numbers.join(" ")
    )
}

fn founding() -> Error {
    Error::DrivesRefuse {
        reason: "the store was begun and never finished: `strongroom serve` goes on with it"
            .to_owned(),
    }
}

/// The members of a cluster that has yet to be made.
fn founded(given: &[GivenDrive]) -> Result<Members, Error> {
    let mut members = Members {
        epoch: 1,
        cluster_id: random_id()?,
        is_founding: true,
        wished: None,
        drives: Vec::with_capacity(given.len()),
    };
    for drive in given {
        let row = new_row(&members, drive, random_id()?)?;
        members.drives.push(row);
    }
    copies::assign(&mut members, |_| true);
    for row in &mut members.drives {
        // Nothing was committed yet: every copy has all of it.
        row.copy = row.copy.map(|_| StoredCopy::Live);
    }
    Ok(members)
}

/// The members of a store of one drive from before there were members.
fn adopted(candidate: &Candidate, given: &GivenDrive) -> Members {
    let Superblock {
        cluster_id,
        drive_uid,
        facility,
        ..
    } = &candidate.superblock;
    Members {
        epoch: 1,
        cluster_id: *cluster_id,
        is_founding: false,
        wished: None,
        drives: vec![MemberRow {
            number: DriveNo::FIRST,
            uid: drive_uid.0,
            facility: facility.clone(),
            standing: StoredStanding::Member,
            place: given.place.clone(),
            copy: Some(StoredCopy::Live),
            replaced_by: None,
        }],
    }
}
