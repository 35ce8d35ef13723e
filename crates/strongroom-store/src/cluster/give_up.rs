// SPDX-License-Identifier: Apache-2.0
//! Going on without drives that are lost for good, where those that are left are no majority.
//!
//! The problem: a majority of the drives with a copy of the tables remembers what was decided, and
//! without it nothing is served: those that are away may know better. When they are burnt, nobody
//! will ever know better, and no vote can say so. The approach: an operator says it, drive by
//! drive, and this is the one change of the members that nobody votes on.
//!
//! ```text
//!   plan        drives looked at, members as they would be; nothing is written
//!   carry_out   files without rows are kept -> data directory -> every drive that is there
//! ```
//!
//! INVARIANTS, so that nothing good is lost and nothing old comes back:
//! - A drive that is there, or that another process has open, is not given up.
//! - The tables go on from a copy that has all that was acknowledged, if there is one; one that
//!   missed something is taken only if the operator names it. No copy is changed here.
//! - The members leap into the next age (`members.rs`): whatever the lost drives decided without
//!   those that are left is older. They are refused when they come back.
//! - Bodies that no row stands for are kept until the operator says otherwise, as after a restore:
//!   what the lost drives knew alone is not known.
//! - The data directory is written first, and one place that keeps the change is enough for it to
//!   count at the next start. Cut short, it has happened as a whole or not at all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::members::{self, MemberRow, Members, StoredCopy, StoredStanding};
use super::survey::{Found, Unsure, named, way_out};
use super::{StoreDrives, copies, roster, surveyor};
use crate::at_rest::AtRest;
use crate::backup::restored_mark;
use crate::drive::{Drive, DriveNo};
use crate::error::Error;
use crate::layout::UnitLayout;
use crate::mirror::{DriveIndexes, Indexes as _};
use crate::table::{TableOptions, has_log, level};

/// What the tables go on from when drives were given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TablesLeft {
    /// The copy on this drive has all that was acknowledged, as far as those know that are left.
    Whole(DriveNo, String),
    /// The copy on this drive missed changes.
    Behind(DriveNo, String),
    /// There are none: they are to be restored, or made from the files.
    Gone,
}

/// A drive that is given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostDrive {
    /// Its number.
    pub number: DriveNo,
    /// Its facility.
    pub facility: String,
    /// Where it was last.
    pub place: String,
}

/// The decision that drives are lost for good: made ready, and not carried out.
pub struct GiveUp {
    at_rest: Arc<dyn AtRest>,
    witness: Option<Arc<dyn Drive>>,
    after: Members,
    found: BTreeMap<DriveNo, Found>,
    lost: Vec<LostDrive>,
    tables: TablesLeft,
    is_remembered: bool,
}

impl GiveUp {
    /// Looks whether these drives can be given up. `tables_of` names a drive whose copy of the
    /// tables is to be taken though it missed changes. Nothing is decided or written down yet; the
    /// indexes of copies are opened, as a start does. Blocks.
    pub fn plan(
        drives: StoreDrives,
        at_rest: Arc<dyn AtRest>,
        layout: UnitLayout,
        lost: &[DriveNo],
        tables_of: Option<DriveNo>,
    ) -> Result<Self, Error> {
        let surveyor = surveyor(&drives, &at_rest, layout);
        let unsure = surveyor.survey_unsure(drives.given.clone(), drives.otherwise.clone())?;
        may_be_lost(&unsure, lost)?;
        is_needed(&unsure)?;
        nobody_may_know_better(&unsure, lost)?;
        let Unsure {
            surveyed,
            is_remembered,
            ..
        } = unsure;
        let (mut after, found) = (surveyed.members, surveyed.found);
        if found.is_empty() {
            return Err(refuse("no drive would be left".to_owned()));
        }
        let rows = after.drives.iter().filter(|row| lost.contains(&row.number));
        let given_up = rows.map(|row| LostDrive {
            number: row.number,
            facility: row.facility.clone(),
            place: row.place.clone(),
        });
        let given_up = given_up.collect();
        for row in &mut after.drives {
            if lost.contains(&row.number) {
                (row.standing, row.copy) = (StoredStanding::Lost, None);
            }
        }
        let tables = choose_tables(&mut after, &found, at_rest.as_ref(), tables_of)?;
        copies::assign(&mut after, |number| found.contains_key(&number));
        if tables == TablesLeft::Gone {
            begin_empty(&mut after, &found);
        }
        after.epoch = members::next_age(after.epoch).ok_or(Error::TooLarge {
            what: "the number of changes to the members",
        })?;
        let there: Vec<_> = found.keys().copied().collect();
        refuse_stuck(&after, &there, drives.witness.is_some())?;
        Ok(Self {
            at_rest,
            witness: drives.witness,
            after,
            found,
            lost: given_up,
            tables,
            is_remembered,
        })
    }

    /// The drives that are given up.
    pub fn lost(&self) -> &[LostDrive] {
        &self.lost
    }

    /// What the tables go on from.
    pub fn tables(&self) -> &TablesLeft {
        &self.tables
    }

    /// Whether the data directory remembers the drives. Otherwise it is not known whether a copy
    /// that counts, as its own drive says, was left behind while that drive was away.
    pub fn is_remembered(&self) -> bool {
        self.is_remembered
    }

    /// Gives the drives up. After an error it may have happened: the same again tells. Blocks.
    pub fn carry_out(self) -> Result<(), Error> {
        if self.tables != TablesLeft::Gone {
            for row in self.after.copies() {
                if let Some(found) = self.found.get(&row.number)
                    && found.drive.read_small(&restored_mark())?.is_none()
                {
                    found
                        .drive
                        .replace(&restored_mark(), &0_u64.to_be_bytes())?;
                }
            }
        }
        let bytes = self.after.seal(self.at_rest.as_ref())?;
        if let Some(witness) = &self.witness {
            witness.replace(&members::path(), &bytes)?;
        }
        let mut kept = Vec::with_capacity(self.found.len());
        for (number, found) in &self.found {
            match found.drive.replace(&members::path(), &bytes) {
                Ok(()) => kept.push(*number),
                Err(error) => {
                    tracing::error!(%error, drive = %number, "the members file cannot be written");
                }
            }
        }
        refuse_stuck(&self.after, &kept, self.witness.is_some())
    }
}

/// Refuses drives that are unknown, gone already, or there.
fn may_be_lost(unsure: &Unsure, lost: &[DriveNo]) -> Result<(), Error> {
    let Unsure {
        surveyed, in_use, ..
    } = unsure;
    if lost.is_empty() {
        return Err(refuse("no drive was named".to_owned()));
    }
    for number in lost {
        let row = surveyed.members.row(*number);
        let row = row.ok_or_else(|| refuse(format!("there is no drive {number}")))?;
        if !row.is_expected() {
            return Err(refuse(format!("drive {number} was given up already")));
        }
        if let Some(found) = surveyed.found.get(number) {
            return Err(refuse(format!(
                "drive {number} is there, at `{}`: it is not lost",
                found.place
            )));
        }
        if in_use.contains(&row.place) {
            return Err(refuse(format!(
                "another process has open what is at `{}`, where drive {number} was",
                row.place
            )));
        }
    }
    Ok(())
}

/// Refuses where drives can be exchanged one by one, while the store serves: that looks at more.
fn is_needed(unsure: &Unsure) -> Result<(), Error> {
    let members = &unsure.surveyed.members;
    if roster::is_quorate(members, &unsure.knowing, unsure.is_remembered)
        && stuck(members, &unsure.knowing).is_none()
    {
        return Err(refuse(
            "the store starts without the drives that are away: start it, and take new drives in the place of lost \
             ones by `strongroom drive replace`"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Where the data directory remembers nothing, what the drives say may be older than what a drive with
/// a copy knows that is away: each of those is to be brought back, or given up.
fn nobody_may_know_better(unsure: &Unsure, lost: &[DriveNo]) -> Result<(), Error> {
    if unsure.is_remembered {
        return Ok(());
    }
    let copies = unsure.surveyed.members.copies();
    let may_know =
        |row: &&MemberRow| !lost.contains(&row.number) && !unsure.knowing.contains(&row.number);
    let away: Vec<_> = copies.filter(may_know).collect();
    if away.is_empty() {
        return Ok(());
    }
    let words: Vec<_> = away.iter().map(|row| named(row)).collect();
    Err(refuse(format!(
        "the data directory does not remember the drives, and these may know more: {}. {}",
        words.join("; "),
        way_out(away.iter().map(|row| row.number))
    )))
}

/// Finds what the tables go on from, among the copies that are there.
fn choose_tables(
    after: &mut Members,
    found: &BTreeMap<DriveNo, Found>,
    at_rest: &dyn AtRest,
    tables_of: Option<DriveNo>,
) -> Result<TablesLeft, Error> {
    let is_live = |row: &MemberRow| row.copy == Some(StoredCopy::Live);
    let mut copies = Vec::new();
    for row in after.copies() {
        if let Some(of) = found.get(&row.number)
            && has_log(of.drive.as_ref())?
        {
            let last_commit = last_commit(row.number, of, at_rest)?;
            copies.push((row, of.place.clone(), last_commit));
        }
    }
    let mut whole = copies.iter().filter(|(row, ..)| is_live(row)).peekable();
    if let Some((first, place, last_commit)) = whole.peek() {
        if let Some((row, place, _)) = whole.clone().find(|(.., last)| last.is_ok()) {
            return Ok(TablesLeft::Whole(row.number, place.clone()));
        }
        let why = last_commit.as_ref().err().map_or("", String::as_str);
        return Err(unusable(first.number, place, why));
    }
    let away = after.copies().filter(|row| is_live(row));
    let away: Vec<_> = away
        .filter(|row| !found.contains_key(&row.number))
        .collect();
    if !away.is_empty() {
        let words: Vec<_> = away.iter().map(|row| named(row)).collect();
        return Err(refuse(format!(
            "a whole copy of the tables may still be on: {}. {}",
            words.join("; "),
            way_out(away.iter().map(|row| row.number))
        )));
    }
    let Some(number) = tables_of else {
        return no_whole_copy(copies);
    };
    let named = copies.iter().find(|(row, ..)| row.number == number);
    let Some((_, place, last_commit)) = named else {
        return Err(refuse(format!("drive {number} has no copy of the tables")));
    };
    if let Err(why) = last_commit {
        return Err(unusable(number, place, why));
    }
    let tables = TablesLeft::Behind(number, place.clone());
    if let Some(row) = after.row_mut(number) {
        row.copy = Some(StoredCopy::Live);
    }
    Ok(tables)
}

/// No copy has all that was acknowledged: nobody but the operator decides that an older one will do.
fn no_whole_copy(
    mut copies: Vec<(&MemberRow, String, Result<u64, String>)>,
) -> Result<TablesLeft, Error> {
    copies.sort_by_key(|(.., last)| std::cmp::Reverse(last.as_ref().ok().copied()));
    let Some((newest, ..)) = copies.first() else {
        return Ok(TablesLeft::Gone);
    };
    let words: Vec<_> = copies
        .iter()
        .map(|(row, place, last)| match last {
            Ok(last) => format!("drive {}, at `{place}`, up to commit {last}", row.number),
            Err(why) => format!("drive {}, at `{place}`: {why}", row.number),
        })
        .collect();
    Err(refuse(format!(
        "no drive that is there has a whole copy of the tables, only such as missed changes: {}. What they missed is \
         lost. If there is a backup, move the folders `log` and `index` of all drives away and keep them, say this \
         again, and then `strongroom restore metadata`. Without a backup, `--tables-of {}` goes on with that copy \
         as it is",
        words.join("; "),
        newest.number
    )))
}

/// The last commit of a copy that a start can go on from; else why it cannot: it was half brought
/// level, or has lost what its own log says. What else may be wrong is found by the start, as ever.
fn last_commit(
    number: DriveNo,
    of: &Found,
    at_rest: &dyn AtRest,
) -> Result<Result<u64, String>, Error> {
    let anchor = match level::read_anchor(of.drive.as_ref(), at_rest)? {
        level::FoundAnchor::Opened(anchor, _) => anchor,
        level::FoundAnchor::Damaged => {
            return Ok(Err("the anchor of its log does not open".to_owned()));
        }
        level::FoundAnchor::Missing => {
            return Ok(Err("the anchor of its log is missing".to_owned()));
        }
    };
    let indexes = DriveIndexes {
        cache_bytes: TableOptions::default().index_cache_bytes,
    };
    let judged = indexes
        .open(number, &of.drive)
        .and_then(|index| level::judge_index(index.as_ref(), &anchor));
    Ok(judged.map_err(|error| error.to_string()))
}

fn unusable(number: DriveNo, place: &str, why: &str) -> Error {
    refuse(format!(
        "the copy of the tables on drive {number}, at `{place}`, cannot be used: {why}. Bring another drive with a copy \
         back; or move the folders `log` and `index` of this one away and keep them, say this again, and then \
         `strongroom restore metadata` or `strongroom rebuild`"
    ))
}

/// No tables are left. All copies that are there count, so that what they have of the vault is put
/// together, and none is emptied after another; the tables come on one of them, from elsewhere.
fn begin_empty(after: &mut Members, found: &BTreeMap<DriveNo, Found>) {
    for row in &mut after.drives {
        if row.copy.is_some() && found.contains_key(&row.number) {
            row.copy = Some(StoredCopy::Live);
        }
    }
}

/// Refuses members with which the next start would be refused.
fn refuse_stuck(after: &Members, there: &[DriveNo], has_witness: bool) -> Result<(), Error> {
    let missing = || {
        let copies = after.copies();
        copies.filter(|row| !there.contains(&row.number))
    };
    if !roster::is_quorate(after, there, has_witness) {
        let words: Vec<_> = missing().map(named).collect();
        return Err(refuse(format!(
            "that would not suffice, for these drives with a copy of the tables are not there, either: {}. {}",
            words.join("; "),
            way_out(missing().map(|row| row.number))
        )));
    }
    stuck(after, there).map_or(Ok(()), Err)
}

/// Why a start could not go on with the copies on these drives, though a majority knows the members:
/// what is committed has to lie on a majority of the copies that are not left behind.
pub(crate) fn stuck(members: &Members, there: &[DriveNo]) -> Option<Error> {
    let is_live = |row: &&MemberRow| row.copy == Some(StoredCopy::Live);
    let (live, away): (Vec<_>, Vec<_>) = members
        .copies()
        .filter(is_live)
        .partition(|row| there.contains(&row.number));
    let suffice = live.len().saturating_mul(2) >= members.copies().count();
    if !live.is_empty() && (away.is_empty() || suffice) {
        return None;
    }
    let words: Vec<_> = away.iter().map(|row| named(row)).collect();
    let what = if live.is_empty() {
        "no drive with a whole copy of the tables is there"
    } else {
        "the drives that are there with a whole copy of the tables are no majority, while the others are catching up"
    };
    Some(refuse(format!(
        "{what}; missing: {}. {}",
        words.join("; "),
        way_out(away.iter().map(|row| row.number))
    )))
}

fn refuse(reason: String) -> Error {
    Error::DrivesRefuse { reason }
}

impl fmt::Debug for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GiveUp")
            .field("lost", &self.lost)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
