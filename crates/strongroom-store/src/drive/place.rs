// SPDX-License-Identifier: Apache-2.0
//! Which drive gets which shard: pure functions of the drives there are.
//!
//! Rules, in this order:
//!
//! 1. No drive gets two shards of a blob.
//! 2. Where the cluster has three facilities or more, no facility gets more shards of a blob than
//!    it has parity: the loss of any one facility loses nothing. What counts is where the cluster
//!    has drives, not which of them are there now: a blob that was written while a facility was
//!    away must survive the next one, too.
//! 3. Facilities get equally many shards as far as they have drives, and in turns, so that data
//!    shards and parity are spread alike.
//! 4. Fewer drives than shards: fewer data shards, never less parity. If not even one data shard
//!    and the parity fit, what does not fit is on no drive and owed.
//! 5. A blob of one facility stays in it as long as that has drives enough in the cluster, there or
//!    not. When it has not any more, shards go to other facilities: better than owed for ever, and
//!    than a drive that cannot be drained.
//!
//! A placement follows from the view and the blob's id, so that it can be made again.

use std::collections::BTreeMap;

use super::{DriveNo, DriveState, SetMember, SetView, Standing};
use crate::layout::{BlobId, BlobPolicy, Redundancy};

/// Where the shards of a blob go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The code of the blob.
    pub redundancy: Redundancy,
    /// By shard; [`DriveNo::NOWHERE`] for a shard that no drive can take now.
    pub drives: Vec<DriveNo>,
}

impl Placed {
    /// Shards that have a drive.
    pub fn placed(&self) -> usize {
        let placed = self.drives.iter().filter(|of| **of != DriveNo::NOWHERE);
        placed.count()
    }

    /// Shards that have none: a bit for each.
    pub fn owed(&self) -> u32 {
        let shards = self.drives.iter().zip(0_u32..);
        let nowhere = shards.filter(|(drive, _)| **drive == DriveNo::NOWHERE);
        nowhere.fold(0, |owed, (_, shard)| {
            owed | 1_u32.checked_shl(shard).unwrap_or(0)
        })
    }
}

/// Chooses the drives of a new blob. `None` when no drive takes anything.
pub fn place(
    view: &SetView,
    policy: BlobPolicy,
    wished: Redundancy,
    blob: BlobId,
) -> Option<Placed> {
    let mut draw = Draw::new(blob);
    let mut free = BTreeMap::<&str, Vec<DriveNo>>::new();
    for member in view.placeable() {
        let of_facility = free.entry(&member.facility).or_default();
        of_facility.push(member.number);
    }
    let mut free: Vec<Vec<DriveNo>> = free.into_values().collect();
    draw.shuffle(&mut free);
    for of_facility in &mut free {
        draw.shuffle(of_facility);
    }
    if policy == BlobPolicy::OneFacility {
        // The first of the longest: which of several that is was drawn above.
        free.sort_by_key(|of_facility| std::cmp::Reverse(of_facility.len()));
        free.truncate(1);
    }
    let limit = facility_limit(view, policy, wished);
    let counts: Vec<usize> = free.iter().map(Vec::len).collect();
    if counts.is_empty() {
        return None;
    }
    let redundancy = narrowed(&counts, limit, wished);
    let shards = usize::from(redundancy.shards());
    let drives = deal(free, limit, shards);
    Some(Placed { redundancy, drives })
}

/// Chooses a drive for one shard of a blob whose other shards lie where `placement` says: its own
/// drive where that takes it, or another within the rules. `None` when there is none now.
pub fn place_shard(
    view: &SetView,
    policy: BlobPolicy,
    redundancy: Redundancy,
    placement: &[DriveNo],
    shard: usize,
    blob: BlobId,
) -> Option<DriveNo> {
    let takes = SetMember::is_placeable;
    place_where(takes, view, policy, redundancy, placement, shard, blob)
}

/// Whether the shards of a blob that lie on no drive of the view can go to others of it within
/// the rules, when all of them are there and have room.
pub fn can_leave(
    view: &SetView,
    policy: BlobPolicy,
    redundancy: Redundancy,
    placement: &[DriveNo],
    blob: BlobId,
) -> bool {
    can_lie(view, policy, redundancy, placement, blob, |number| {
        number != DriveNo::NOWHERE
    })
}

/// The same for all shards of a blob, also those that lie on no drive yet.
pub fn can_be_whole(
    view: &SetView,
    policy: BlobPolicy,
    redundancy: Redundancy,
    placement: &[DriveNo],
    blob: BlobId,
) -> bool {
    can_lie(view, policy, redundancy, placement, blob, |_| true)
}

fn can_lie(
    view: &SetView,
    policy: BlobPolicy,
    redundancy: Redundancy,
    placement: &[DriveNo],
    blob: BlobId,
    counts: impl Fn(DriveNo) -> bool,
) -> bool {
    let takes = |member: &SetMember| member.standing == Standing::Member;
    let leaves = |number: DriveNo| counts(number) && !view.member(number).is_some_and(takes);
    let mut placement = placement.to_vec();
    // A shard that goes may make room, in its facility, for one that could not.
    loop {
        let (mut moved, mut stays) = (false, false);
        for shard in 0..placement.len() {
            if !placement.get(shard).is_some_and(|own| leaves(*own)) {
                continue;
            }
            let to = place_where(takes, view, policy, redundancy, &placement, shard, blob);
            match (to, placement.get_mut(shard)) {
                (Some(to), Some(place)) => {
                    *place = to;
                    moved = true;
                }
                _ => stays = true,
            }
        }
        if !stays {
            return true;
        }
        if !moved {
            return false;
        }
    }
}

fn place_where(
    takes: impl Fn(&SetMember) -> bool,
    view: &SetView,
    policy: BlobPolicy,
    redundancy: Redundancy,
    placement: &[DriveNo],
    shard: usize,
    blob: BlobId,
) -> Option<DriveNo> {
    let placeable = |number: &DriveNo| view.member(*number).is_some_and(&takes);
    if let Some(own) = placement.get(shard).filter(|own| placeable(own)) {
        return Some(*own);
    }
    // Shards of drives that will not come back are to be moved themselves.
    let stays = |number: DriveNo| {
        let state = view.state(number);
        number != DriveNo::NOWHERE && !matches!(state, DriveState::Lost | DriveState::Removed)
    };
    let mut in_facility = BTreeMap::<&str, usize>::new();
    for (at, number) in placement.iter().enumerate() {
        if at != shard
            && stays(*number)
            && let Some(member) = view.member(*number)
        {
            let count = in_facility.entry(&member.facility).or_default();
            *count = count.saturating_add(1);
        }
    }
    let limit = facility_limit(view, policy, redundancy);
    let home = match policy {
        BlobPolicy::Standard | BlobPolicy::Archive => None,
        BlobPolicy::OneFacility => home(view, redundancy, placement),
    };
    let mut draw = Draw::new(blob);
    let mut fitting: Vec<(usize, u64, DriveNo)> = Vec::new();
    for member in view.members().iter().filter(|member| takes(member)) {
        let count = in_facility.get(member.facility.as_str()).copied();
        let count = count.unwrap_or(0);
        let at_home = home.is_none_or(|home| home == member.facility);
        if at_home && count < limit && !placement.contains(&member.number) {
            fitting.push((count, draw.next(), member.number));
        }
    }
    fitting.into_iter().min().map(|(_, _, number)| number)
}

/// The facility that a blob of one facility stays in: the one with most of its shards, of those
/// that have drives enough for all of them. `None` when it has none in any of those.
fn home<'a>(view: &'a SetView, redundancy: Redundancy, placement: &[DriveNo]) -> Option<&'a str> {
    let mut drives = BTreeMap::<&str, (usize, usize)>::new();
    for member in view.members() {
        if member.standing == Standing::Member {
            let (held, all) = drives.entry(&member.facility).or_default();
            *all = all.saturating_add(1);
            *held = held.saturating_add(usize::from(placement.contains(&member.number)));
        }
    }
    let needed = usize::from(redundancy.shards());
    let fit = drives
        .iter()
        .filter(|(_, (held, all))| *held > 0 && *all >= needed);
    let most = fit.max_by_key(|(_, (held, _))| *held);
    most.map(|(facility, _)| *facility)
}

/// The widest code with the parity of `wished`, and no wider than it, that drives can hold when
/// each facility has as many as `counts` says and none may get more than `limit` shards.
fn narrowed(counts: &[usize], limit: usize, wished: Redundancy) -> Redundancy {
    let room: usize = counts.iter().map(|count| (*count).min(limit)).sum();
    let parity = wished.parity();
    let data = room.saturating_sub(usize::from(parity)).max(1);
    let data = u8::try_from(data).unwrap_or(u8::MAX).min(wished.data());
    // Fewer data shards of a code that is offered are offered.
    Redundancy::new(data, parity).unwrap_or(wished)
}

/// What new blobs of a policy are to get, when all drives of the cluster are there. `standard` is
/// the redundancy of the cluster.
pub fn redundancy_for(view: &SetView, policy: BlobPolicy, standard: Redundancy) -> Redundancy {
    let mut counts = facility_counts(view);
    let wished = match policy {
        BlobPolicy::Standard => standard,
        BlobPolicy::Archive => Redundancy::archive_for_drives(counts.iter().sum()),
        BlobPolicy::OneFacility => {
            let most = counts.iter().max().copied().unwrap_or(1);
            counts = vec![most];
            // Less parity than the cluster's is better than shards that are owed for ever.
            let usual = Redundancy::for_drives(most);
            if usual.parity() < standard.parity() {
                usual
            } else {
                standard
            }
        }
    };
    narrowed(&counts, facility_limit(view, policy, wished), wished)
}

/// The policy that blobs get that are begun with `policy`: that one, or [`BlobPolicy::Standard`]
/// where it would come to the same or to something worse.
///
/// - One facility is worth it where there are several, and one of them has drives enough for any
///   redundancy at all.
/// - An archive is worth it where its code needs less room than the cluster's, or as much and can
///   lose more. Over three facilities, of which any may be lost, no code needs less than half as
///   much again: there the cluster's own is as good.
pub fn policy_for(view: &SetView, policy: BlobPolicy, standard: Redundancy) -> BlobPolicy {
    let is_worth_it = match policy {
        BlobPolicy::Standard => true,
        BlobPolicy::OneFacility => {
            let counts = facility_counts(view);
            standard.parity() > 0 && counts.len() > 1 && counts.iter().any(|drives| *drives > 1)
        }
        BlobPolicy::Archive => {
            let usual = redundancy_for(view, BlobPolicy::Standard, standard);
            let archive = redundancy_for(view, policy, standard);
            // Shards for each data shard, compared across: no division.
            let cost = |of: Redundancy, other: Redundancy| {
                u16::from(of.shards()).saturating_mul(u16::from(other.data()))
            };
            let (its, ours) = (cost(archive, usual), cost(usual, archive));
            its < ours || (its == ours && archive.parity() > usual.parity())
        }
    };
    if is_worth_it {
        policy
    } else {
        BlobPolicy::Standard
    }
}

/// The redundancy of a cluster that was told none.
pub fn default_redundancy(view: &SetView) -> Redundancy {
    let drives = facility_counts(view).iter().sum();
    redundancy_for(view, BlobPolicy::Standard, Redundancy::for_drives(drives))
}

/// Whether the cluster can give what was wished; if not, the reason in words.
pub fn check_wish(view: &SetView, wished: Redundancy) -> Result<(), String> {
    let (data, parity) = (wished.data(), wished.parity());
    let counts = facility_counts(view);
    let drives: usize = counts.iter().sum();
    if parity == 0 && data > 1 {
        return Err(format!(
            "{data}+0 would lose blobs with any one drive; say 1+0 for no redundancy"
        ));
    }
    if drives < usize::from(wished.shards()) {
        return Err(format!(
            "{data}+{parity} needs {} drives and there are {drives}",
            usize::from(wished.shards())
        ));
    }
    let reach = redundancy_for(view, BlobPolicy::Standard, wished);
    if reach == wished {
        return Ok(());
    }
    Err(format!(
        "{data}+{parity} would not survive the loss of a facility: with {} drives in {} facilities \
         and {parity} parity shards {}+{} does",
        drives,
        counts.len(),
        reach.data(),
        reach.parity()
    ))
}

/// How many shards of a blob one facility may get.
fn facility_limit(view: &SetView, policy: BlobPolicy, redundancy: Redundancy) -> usize {
    let is_bound = policy != BlobPolicy::OneFacility
        && redundancy.parity() > 0
        && facility_counts(view).len() >= FACILITIES_TO_LOSE_ONE;
    if is_bound {
        usize::from(redundancy.parity())
    } else {
        usize::MAX
    }
}

/// How many drives of the cluster each facility has, whether they are there now or not.
fn facility_counts(view: &SetView) -> Vec<usize> {
    let mut counts = BTreeMap::<&str, usize>::new();
    let members = view.members().iter();
    for member in members.filter(|of| of.standing == Standing::Member) {
        let count = counts.entry(&member.facility).or_default();
        *count = count.saturating_add(1);
    }
    counts.into_values().collect()
}

/// Deals shards to facilities in turns; what finds no drive is nowhere.
fn deal(free: Vec<Vec<DriveNo>>, limit: usize, shards: usize) -> Vec<DriveNo> {
    let mut hands: Vec<_> = free
        .into_iter()
        .map(|of_facility| of_facility.into_iter().take(limit))
        .collect();
    let mut drives = Vec::with_capacity(shards);
    while drives.len() < shards {
        let before = drives.len();
        for hand in &mut hands {
            drives.extend(hand.next());
        }
        if drives.len() == before {
            break;
        }
    }
    drives.truncate(shards);
    drives.resize(shards, DriveNo::NOWHERE);
    drives
}

/// From this many facilities on one may be lost.
const FACILITIES_TO_LOSE_ONE: usize = 3;

/// Numbers that look random and follow from a blob's id (the generator SplitMix64).
struct Draw(u64);

impl Draw {
    fn new(blob: BlobId) -> Self {
        let (one, other) = (
            u128::from_be_bytes(blob.0),
            u128::from_be_bytes(blob.0) >> 64,
        );
        let low = |wide: u128| u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0);
        Self(low(one) ^ low(other).rotate_left(32))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Shuffles; the few slots make the remainder's slant of no account.
    fn shuffle<T>(&mut self, slots: &mut [T]) {
        for last in (1..slots.len()).rev() {
            let among = u64::try_from(last).unwrap_or(0).saturating_add(1);
            let at = usize::try_from(self.next() % among).unwrap_or(0);
            slots.swap(last, at);
        }
    }
}
