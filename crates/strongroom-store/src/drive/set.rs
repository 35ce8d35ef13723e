// SPDX-License-Identifier: Apache-2.0
//! The drives of a cluster, as this process sees them now.
//!
//! The problem: whoever reads or writes a shard knows a drive by its number only, and drives come
//! and go while the store serves. The approach: one shared list, of which everyone takes views.
//! What is durable about a drive ([`Standing`]) and what is seen of it (is it there, does it
//! flush) are kept apart; [`DriveState`] is made of both:
//!
//! ```text
//!   standing    the drive          state          read from   written to
//!   Member      there              Online         yes         yes
//!   Member      failed a flush     OutOfService   no          no
//!   Member      not there          Missing        no          no
//!   Draining    there              Draining       yes         no
//!   Draining    as above           OutOfService, Missing
//!   Lost        -                  Lost           no          no      its shards are owed
//!   Removed     -                  Removed        no          no      nothing is on it
//! ```
//!
//! The list does not look for drives and keeps nothing: the members file does, and who opens it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

use super::{Drive, Health, HealthState};
use crate::error::Error;
use crate::layout::DriveUid;

/// The number of a drive in its cluster, never given to another drive.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, minicbor::Encode, minicbor::Decode,
)]
#[cbor(transparent)]
pub struct DriveNo(#[n(0)] pub u16);

impl DriveNo {
    /// The drive that a new store begins with.
    pub const FIRST: Self = Self(0);
    /// In the place of a drive: the shard is on none. No drive has this number.
    pub const NOWHERE: Self = Self(u16::MAX);
}

impl fmt::Display for DriveNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What has been decided about a drive, durably.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// It keeps shards.
    Member,
    /// Its shards are being moved away.
    Draining,
    /// It will not come back: what was on it is owed.
    Lost,
    /// It has nothing to do with the cluster any more.
    Removed,
}

/// What a drive is good for now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DriveState {
    /// Serves.
    Online,
    /// Not there; it may come back.
    Missing,
    /// A flush failed: it serves nothing until the next start.
    OutOfService,
    /// Serves what it has and gets nothing more.
    Draining,
    /// Will not come back.
    Lost,
    /// Was taken out of the cluster.
    Removed,
}

/// One drive of the set.
#[derive(Clone, Debug)]
pub struct SetMember {
    /// Its number.
    pub number: DriveNo,
    /// Its own name.
    pub uid: DriveUid,
    /// The failure domain it stands in.
    pub facility: String,
    /// What was decided about it.
    pub standing: Standing,
    /// Whether it takes new content, as of the last look.
    pub has_room: bool,
    /// The drive, if it is there.
    pub drive: Option<Arc<dyn Drive>>,
}

/// The drives at one moment.
#[derive(Clone, Debug)]
pub struct SetView {
    revision: u64,
    members: Vec<SetMember>,
}

/// The drives of a cluster. Clones share everything.
#[derive(Clone)]
pub struct DriveSet {
    inner: Arc<Inner>,
}

struct Inner {
    view: RwLock<Arc<SetView>>,
    changed: watch::Sender<u64>,
    /// Drives of which it was told that they are out of service.
    told: Mutex<BTreeSet<DriveNo>>,
    /// The health of everything that was ever in the place of a drive, as long as it matters.
    healths: Mutex<BTreeMap<DriveNo, Vec<Arc<Health>>>>,
}

impl SetMember {
    /// A drive that is there and serves.
    pub fn online(
        number: DriveNo,
        uid: DriveUid,
        facility: impl Into<String>,
        drive: Arc<dyn Drive>,
    ) -> Self {
        Self {
            number,
            uid,
            facility: facility.into(),
            standing: Standing::Member,
            has_room: true,
            drive: Some(drive),
        }
    }

    /// What the drive is good for now.
    pub fn state(&self) -> DriveState {
        match (self.standing, &self.drive) {
            (Standing::Removed, _) => DriveState::Removed,
            (Standing::Lost, _) => DriveState::Lost,
            (_, None) => DriveState::Missing,
            (_, Some(drive)) if drive.health() == HealthState::OutOfService => {
                DriveState::OutOfService
            }
            (Standing::Draining, Some(_)) => DriveState::Draining,
            (Standing::Member, Some(_)) => DriveState::Online,
        }
    }

    /// The drive, if it can be read.
    pub fn serving(&self) -> Option<&Arc<dyn Drive>> {
        let drive = self.drive.as_ref();
        drive.filter(|_| self.state().serves())
    }

    /// Whether new shards may be put on it.
    pub fn is_placeable(&self) -> bool {
        self.has_room && self.state() == DriveState::Online
    }
}

impl DriveState {
    /// Whether a drive in this state can be read.
    pub fn serves(self) -> bool {
        matches!(self, Self::Online | Self::Draining)
    }

    /// The state in one word, as operators see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Missing => "missing",
            Self::OutOfService => "out-of-service",
            Self::Draining => "draining",
            Self::Lost => "lost",
            Self::Removed => "removed",
        }
    }
}

impl SetView {
    /// Goes up with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every drive that ever was, in the order of their numbers.
    pub fn members(&self) -> &[SetMember] {
        &self.members
    }

    /// One drive.
    pub fn member(&self, number: DriveNo) -> Option<&SetMember> {
        let at = self.members.binary_search_by_key(&number, |of| of.number);
        at.ok().and_then(|at| self.members.get(at))
    }

    /// What one drive is good for; a drive that never was is as one that was removed.
    pub fn state(&self, number: DriveNo) -> DriveState {
        self.member(number)
            .map_or(DriveState::Removed, SetMember::state)
    }

    /// The drives as if these took nothing new.
    #[must_use]
    pub(crate) fn without_room(&self, of: &[DriveNo]) -> Self {
        let mut view = self.clone();
        for member in &mut view.members {
            member.has_room &= !of.contains(&member.number);
        }
        view
    }

    /// The drives that new shards may be put on.
    pub fn placeable(&self) -> impl Iterator<Item = &SetMember> {
        self.members.iter().filter(|member| member.is_placeable())
    }
}

impl DriveSet {
    /// A set of these drives. Refuses two with one number, and more than a number can name.
    pub fn new(mut members: Vec<SetMember>) -> Result<Self, Error> {
        members.sort_by_key(|member| member.number);
        let twice = |pair: &[SetMember]| match pair {
            [one, other] => one.number == other.number,
            _ => false,
        };
        let nowhere = |member: &SetMember| member.number == DriveNo::NOWHERE;
        if members.windows(2).any(twice) || members.iter().any(nowhere) {
            return Err(Error::Misuse {
                what: "two drives with one number, or a drive without one",
            });
        }
        Ok(Self::of(members))
    }

    /// The set of a store that has one drive.
    pub fn single(drive: Arc<dyn Drive>) -> Self {
        let uid = DriveUid([0; 16]);
        Self::of(vec![SetMember::online(DriveNo::FIRST, uid, "main", drive)])
    }

    fn of(members: Vec<SetMember>) -> Self {
        let view = Arc::new(SetView {
            revision: 1,
            members,
        });
        let set = Self {
            inner: Arc::new(Inner {
                view: RwLock::new(Arc::clone(&view)),
                changed: watch::Sender::new(1),
                told: Mutex::default(),
                healths: Mutex::default(),
            }),
        };
        for member in &view.members {
            set.follow(member.number, member.drive.as_ref());
        }
        set
    }

    /// A drive that can be read now; `None` when it is not there, out of service or removed.
    pub fn get(&self, number: DriveNo) -> Option<Arc<dyn Drive>> {
        let view = self.view();
        view.member(number).and_then(SetMember::serving).cloned()
    }

    /// The drives as they are now.
    pub fn view(&self) -> Arc<SetView> {
        let view = self.inner.view.read();
        Arc::clone(&view.unwrap_or_else(PoisonError::into_inner))
    }

    /// Hears of every change: what it holds is the revision of the newest view.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// An operation on a drive failed. If the drive is gone it is missing from now on, if it
    /// failed a flush everyone who waits for changes hears of it. Returns what it is good for.
    pub fn suspect(&self, number: DriveNo) -> DriveState {
        let view = self.view();
        let Some(drive) = view.member(number).and_then(|of| of.drive.as_ref()) else {
            return view.state(number);
        };
        if drive.is_present() {
            let state = view.state(number);
            // Told once: who waits for changes may be the one who asks again and again.
            if state == DriveState::OutOfService && self.told().insert(number) {
                self.change(|_| {});
            }
            return state;
        }
        tracing::error!(drive = %number, place = %drive.label(), "a drive is gone");
        self.set_drive(number, None);
        self.view().state(number)
    }

    /// Puts a drive in its place, or says that it is not there. Nothing for unknown numbers.
    pub fn set_drive(&self, number: DriveNo, drive: Option<Arc<dyn Drive>>) {
        self.told().remove(&number);
        self.follow(number, drive.as_ref());
        self.change_member(number, |member| member.drive = drive);
    }

    /// Whether a flush failed, since the set was made, on anything that was in the place of a drive:
    /// what is read from it now may lie in memory only. Also when the drive is not there any more.
    pub fn has_failed(&self, number: DriveNo) -> bool {
        let failed = |health: &Arc<Health>| health.state() == HealthState::OutOfService;
        let healths = self.healths();
        healths.get(&number).is_some_and(|of| of.iter().any(failed))
    }

    /// Says what was decided about a drive.
    pub fn set_standing(&self, number: DriveNo, standing: Standing) {
        self.change_member(number, |member| member.standing = standing);
    }

    /// Says whether a drive takes new content.
    pub fn set_room(&self, number: DriveNo, has_room: bool) {
        let before = self.view();
        if before.member(number).map(|of| of.has_room) != Some(has_room) {
            self.change_member(number, |member| member.has_room = has_room);
        }
    }

    /// Adds a drive. Refuses a number that is or was another's.
    pub fn add(&self, member: SetMember) -> Result<(), Error> {
        let (number, drive) = (member.number, member.drive.clone());
        let mut added = false;
        self.change(|members| {
            let at = members.binary_search_by_key(&member.number, |of| of.number);
            if let Err(at) = at
                && member.number != DriveNo::NOWHERE
            {
                members.insert(at, member);
                added = true;
            }
        });
        if !added {
            return Err(Error::Misuse {
                what: "a drive added under the number of another",
            });
        }
        self.follow(number, drive.as_ref());
        Ok(())
    }

    fn follow(&self, number: DriveNo, drive: Option<&Arc<dyn Drive>>) {
        let Some(health) = drive.and_then(|drive| drive.lasting_health()) else {
            return;
        };
        let mut healths = self.healths();
        let of = healths.entry(number).or_default();
        // Nothing is open any more of one that nobody else has, and nothing can fail.
        of.retain(|old| Arc::strong_count(old) > 1 || old.state() == HealthState::OutOfService);
        if !of.iter().any(|old| Arc::ptr_eq(old, &health)) {
            of.push(health);
        }
    }

    fn healths(&self) -> MutexGuard<'_, BTreeMap<DriveNo, Vec<Arc<Health>>>> {
        self.inner
            .healths
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<DriveNo>> {
        // Every change of it is a single one.
        self.inner
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change_member(&self, number: DriveNo, change: impl FnOnce(&mut SetMember)) {
        self.change(|members| {
            if let Some(member) = members.iter_mut().find(|of| of.number == number) {
                change(member);
            }
        });
    }

    /// INVARIANT: the only place where a new view is made, so revisions only go up.
    fn change(&self, change: impl FnOnce(&mut Vec<SetMember>)) {
        let mut view = self
            .inner
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut members = view.members.clone();
        change(&mut members);
        let revision = view.revision.saturating_add(1);
        *view = Arc::new(SetView { revision, members });
        drop(view);
        self.inner.changed.send_replace(revision);
    }
}

impl fmt::Debug for DriveSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DriveSet").field(&self.view()).finish()
    }
}
