// SPDX-License-Identifier: Apache-2.0
//! Which drives have a copy of the tables.
//!
//! One of each facility, up to three; with fewer facilities further drives of the same, so that
//! there are as many copies as drives, up to three. A copy that is there stays where it is: only
//! what is missing is given to other drives, as a copy that has to catch up first. A facility that has
//! none comes first, even if its drives are away just now: what is given stays there.

use std::sync::Arc;

use super::members::{MemberRow, Members, StoredCopy, StoredStanding, path};
use super::{Cluster, Roster};
use crate::at_rest::AtRest;
use crate::drive::{Drive, DriveNo};
use crate::error::Error;
use crate::layout::DriveUid;
use crate::mirror::{CopyLedger, MirrorCopies};

/// A drive with a copy of the tables, as the members know it.
#[derive(Clone, Debug)]
pub struct CopyDrive {
    /// The drive.
    pub number: DriveNo,
    /// Whether the copy has every commit that was acknowledged.
    pub is_live: bool,
    /// The drive, if it is there.
    pub drive: Option<Arc<dyn Drive>>,
}

impl Cluster {
    /// The drives with copies, live ones first.
    pub(crate) fn copies(&self) -> Vec<CopyDrive> {
        let view = self.set().view();
        let members = self.roster().members();
        let mut copies: Vec<_> = members
            .copies()
            .map(|row| CopyDrive {
                number: row.number,
                is_live: row.copy == Some(StoredCopy::Live),
                drive: view
                    .member(row.number)
                    .and_then(|of| of.serving())
                    .map(Arc::clone),
            })
            .collect();
        copies.sort_by_key(|copy| !copy.is_live);
        copies
    }
}

impl Cluster {
    /// How many copies of the tables there should be.
    pub(crate) fn copies_wanted(&self) -> usize {
        let members = self.roster().members();
        let settled = members.drives.iter().filter(|row| stays(row.standing));
        settled.count().min(COPIES_WANTED)
    }
}

impl CopyLedger for Roster {
    fn fence(&self, copies: &[DriveNo]) -> Result<(), Error> {
        self.change(|members| {
            let is_left = |row: &&MemberRow| {
                row.copy == Some(StoredCopy::Live) && !copies.contains(&row.number)
            };
            // Remembering it is not enough: what is committed from now on has to lie on a
            // majority of the copies, too. Half of an even number is one with the witness.
            let (left, all) = (
                members.copies().filter(is_left).count(),
                members.copies().count(),
            );
            if left == 0 || left.saturating_mul(2) < all {
                return Err(Error::NoMajority);
            }
            for row in &mut members.drives {
                if row.copy.is_some() && copies.contains(&row.number) {
                    row.copy = Some(StoredCopy::Fenced);
                }
            }
            Ok(())
        })
    }

    fn only(&self, live: &[DriveNo]) -> Result<(), Error> {
        self.change(|members| {
            let are_copies = live
                .iter()
                .all(|number| members.copies().any(|row| row.number == *number));
            let all = members.copies().count();
            if live.is_empty() || !are_copies || live.len().saturating_mul(2) < all {
                return Err(Error::NoMajority);
            }
            for row in members.drives.iter_mut().filter(|row| row.copy.is_some()) {
                row.copy = Some(if live.contains(&row.number) {
                    StoredCopy::Live
                } else {
                    StoredCopy::Fenced
                });
            }
            Ok(())
        })
    }

    fn caught_up(&self, copy: DriveNo) -> Result<(), Error> {
        self.change(|members| {
            let row = members.row_mut(copy);
            let row = row.filter(|row| row.copy.is_some());
            let row = row.ok_or(Error::Misuse {
                what: "a copy caught up on a drive that has none",
            })?;
            row.copy = Some(StoredCopy::Live);
            Ok(())
        })
    }
}

/// Whether the copy of the tables on a drive counts, as far as the drive itself knows. One that
/// knows of no members is a store by itself.
pub(crate) fn copy_counts(
    drive: &dyn Drive,
    at_rest: &dyn AtRest,
    uid: DriveUid,
) -> Result<bool, Error> {
    let Some(bytes) = drive.read_small(&path())? else {
        return Ok(true);
    };
    let known = Members::open(at_rest, &bytes);
    let row = known.as_ref().and_then(|members| members.by_uid(uid));
    // A file that does not open says nothing; the start looks at it again.
    Ok(row.is_none_or(|row| row.copy == Some(StoredCopy::Live)))
}

/// The copies as a mirror wants them.
pub(crate) fn for_mirror(copies: Vec<CopyDrive>) -> MirrorCopies {
    let mut sorted = MirrorCopies::default();
    for CopyDrive {
        number,
        is_live,
        drive,
    } in copies
    {
        match (is_live, drive) {
            (true, Some(drive)) => sorted.live.push((number, drive)),
            (true, None) => sorted.absent.push(number),
            (false, _) => sorted.fenced.push(number),
        }
    }
    sorted
}

/// Gives the copies that are missing to drives, in the same facility rather to one that `is_there`: one
/// that is away has a vote that cannot be had. True if any was given.
pub(super) fn assign(members: &mut Members, is_there: impl Fn(DriveNo) -> bool) -> bool {
    let mut assigned = false;
    loop {
        let settled = members.drives.iter().filter(|row| stays(row.standing));
        let with_copy = || {
            let rows = members.drives.iter().filter(|row| stays(row.standing));
            rows.filter(|row| row.copy.is_some())
        };
        if with_copy().count() >= COPIES_MAX {
            return assigned;
        }
        let in_facility = |facility: &str| {
            let rows = with_copy().filter(|row| row.facility == facility);
            rows.count()
        };
        let next = settled
            .filter(|row| row.copy.is_none())
            .min_by_key(|row| {
                (
                    in_facility(&row.facility),
                    !is_there(row.number),
                    row.number,
                )
            })
            .map(|row| row.number);
        let Some(row) = next.and_then(|number| members.row_mut(number)) else {
            return assigned;
        };
        row.copy = Some(StoredCopy::Fenced);
        assigned = true;
    }
}

/// Takes the copy off a drive that goes. Refused when no other copy is whole.
pub(super) fn release(members: &mut Members, number: DriveNo) -> Result<(), Error> {
    let is_whole = |row: &MemberRow| row.copy == Some(StoredCopy::Live);
    let has_whole = members
        .copies()
        .any(|row| row.number != number && is_whole(row));
    let Some(row) = members.row_mut(number) else {
        return Ok(());
    };
    if row.copy.is_none() {
        return Ok(());
    }
    if !has_whole {
        return Err(Error::DrivesRefuse {
            reason: format!(
                "drive {number} has the only whole copy of the tables; wait until another copy \
                 has caught up (see `strongroom status`)"
            ),
        });
    }
    row.copy = None;
    Ok(())
}

fn stays(standing: StoredStanding) -> bool {
    standing == StoredStanding::Member
}

/// As many as are worth having: one may be lost, and the others still are a majority.
const COPIES_WANTED: usize = 3;
/// More copies would make every commit slower and survive no more than the promise says.
const COPIES_MAX: usize = 3;
