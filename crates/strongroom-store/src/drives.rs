// SPDX-License-Identifier: Apache-2.0
//! The drives of a store, as operators act on them and as they are watched.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::blob::{Keeping, ShardSet};
use crate::cluster::{Cluster, DriveStatus, GivenDrive, LeftOn};
use crate::drive::{
    DriveNo, DriveState, SetView, can_be_whole, can_leave, policy_for, redundancy_for,
};
use crate::error::Error;
use crate::heal::{Counted, left_behind};
use crate::layout::{BlobPolicy, Redundancy};
use crate::mirror::{CopyState, Mirror};
use crate::scrub::{PassRow, damage};
use crate::store::{Inner, Store, blocking};

/// How well the store is protected, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Every drive that ever was.
    pub drives: Vec<DriveStatus>,
    /// What new blobs get.
    pub redundancy: Redundancy,
    /// What those get that lie in one facility; `None` where they get the same.
    pub one_facility: Option<Redundancy>,
    /// What archives get; `None` where they get the same.
    pub archive: Option<Redundancy>,
    /// What was asked for; `None`: what suits the number of drives.
    pub wished: Option<Redundancy>,
    /// Shards on drives that are lost, to be made again elsewhere.
    pub lost_shards: u64,
    /// Shards on drives that are being drained, to be moved.
    pub leaving_shards: u64,
    /// Shards that were never written, or were found damaged.
    pub owed_shards: u64,
    /// Blobs with damaged shards, to be made again.
    pub damaged_blobs: u64,
    /// Places of the tables that scrub found damaged, or different in their copies, and that could
    /// not be put right.
    pub damaged_rows: u64,
    /// What cannot be healed now, in words; the first of it.
    pub unhealed: Vec<String>,
    /// Copies of the tables that there should be.
    pub copies_wanted: usize,
    /// Whether writes are refused, because a majority of the copies failed.
    pub refuses_writes: bool,
    /// Drives that are there and do not answer.
    pub hanging: Vec<DriveNo>,
    /// How many files, at least, should have gone from a drive and are still there.
    pub left_behind: Vec<(DriveNo, u64)>,
}

impl Protection {
    /// Whether nothing is owed: every drive is there, no shard is missing or about to be, and
    /// every copy of the tables is whole.
    pub fn is_full(&self) -> bool {
        self.shortcomings().is_empty()
    }

    /// What is owed, in words; nothing when nothing is.
    pub fn shortcomings(&self) -> Vec<String> {
        let mut owed = Vec::new();
        for drive in &self.drives {
            let DriveStatus {
                number,
                facility,
                place,
                ..
            } = drive;
            if self.hanging.contains(number) {
                owed.push(format!(
                    "drive {number} of facility {facility} does not answer (at {place}): nothing is healed or \
                     scrubbed there before it does"
                ));
            }
            match drive.state {
                DriveState::Missing => {
                    owed.push(format!(
                        "drive {number} of facility {facility} is missing (last at {place})"
                    ));
                }
                DriveState::OutOfService => owed.push(format!(
                    "drive {number} of facility {facility} failed a flush and is out of service (at {place})"
                )),
                DriveState::Online
                | DriveState::Draining
                | DriveState::Lost
                | DriveState::Removed => {}
            }
        }
        for (drive, count) in &self.left_behind {
            owed.push(format!(
                "{count} files or more that nothing stands for are still on drive {drive}; they go when it answers"
            ));
        }
        for words in &self.unhealed {
            owed.push(format!("cannot be healed now: {words}"));
        }
        let counted = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
        owed.extend(counted(
            self.owed_shards,
            "shards are missing or damaged and are to be made again",
        ));
        owed.extend(counted(
            self.damaged_blobs,
            "bodies have damaged shards, which are to be made again",
        ));
        owed.extend(counted(
            self.damaged_rows,
            "places of the tables are damaged, or differ between their copies (see `strongroom scrub status`)",
        ));
        owed.extend(counted(
            self.lost_shards,
            "shards were on lost drives and are to be made again",
        ));
        owed.extend(counted(
            self.leaving_shards,
            "shards are still on drives that are being drained",
        ));
        let copies = self.drives.iter().filter_map(|drive| drive.copy_is_live);
        let whole = copies.filter(|is_live| *is_live).count();
        if whole < self.copies_wanted {
            owed.push(format!(
                "{whole} of {} copies of the tables are whole; the others are catching up or away",
                self.copies_wanted
            ));
        }
        if self.refuses_writes {
            owed.push(
                "a majority of the copies of the tables failed: writes are refused until they are back, or \
                 after a failed flush until the next start"
                    .to_owned(),
            );
        }
        owed
    }
}

impl Store {
    /// How well the store is protected. `None` for a store that was opened on one drive without
    /// members.
    pub async fn protection(&self) -> Result<Option<Protection>, Error> {
        let store = self.clone();
        let look = move || {
            let Some(cluster) = store.cluster() else {
                return Ok(None);
            };
            let drives = cluster.status();
            let shards_on = |state| {
                let of_state = drives.iter().filter(|drive| drive.state == state);
                let mut of_state = of_state.map(|drive| match store.shards_on(drive.number) {
                    // How many is not known: one at least.
                    Err(error) if error.is_corruption() => Ok(1),
                    counted => counted,
                });
                of_state.try_fold(0_u64, |sum, shards| {
                    Ok::<_, Error>(sum.saturating_add(shards?))
                })
            };
            let (lost_shards, leaving_shards) = (
                shards_on(DriveState::Lost)?,
                shards_on(DriveState::Draining)?,
            );
            let (view, standard) = (store.drives().view(), cluster.redundancy());
            let other = |policy| {
                let is_other = policy_for(&view, policy, standard) == policy;
                is_other.then(|| redundancy_for(&view, policy, standard))
            };
            Ok(Some(Protection {
                redundancy: standard,
                one_facility: other(BlobPolicy::OneFacility),
                archive: other(BlobPolicy::Archive),
                wished: cluster.wished(),
                lost_shards,
                leaving_shards,
                owed_shards: store.owed_shards()?,
                damaged_blobs: store.count_damaged()?,
                damaged_rows: store.damaged_rows()?.max(Counted::of(&store)?.damaged_rows),
                hanging: store.care().hanging(),
                left_behind: left_behind(&store)?.into_iter().collect(),
                unhealed: store
                    .heal_status()
                    .unhealed
                    .iter()
                    .map(|of| format!("blob {}: {}", of.blob, of.obstacle))
                    .collect(),
                copies_wanted: cluster.copies_wanted(),
                refuses_writes: store.waits_for_copies(),
                drives,
            }))
        };
        blocking(self.is_inline(), look).await
    }

    /// Takes a new drive in, or takes back a known one that has moved.
    pub async fn add_drive(&self, given: GivenDrive) -> Result<DriveNo, Error> {
        let before = self.drives().view();
        let add = move |_: &Self, cluster: &Cluster| cluster.add(&given);
        let added = self.with_cluster(add).await;
        self.tidy_returned(&before).await;
        added
    }

    /// Takes an empty place in exchange for a drive that is lost: `lost`, or the one that was at
    /// that place, or the only one missing in that facility. Returns the lost and the new one.
    /// Refused while blobs cannot be read without the drive.
    pub async fn replace_drive(
        &self,
        given: GivenDrive,
        lost: Option<DriveNo>,
    ) -> Result<(DriveNo, DriveNo), Error> {
        let replaced = move |store: &Self, cluster: &Cluster| {
            cluster.replace(&given, lost, |number| match store.blobs_that_need(number)? {
                0 => Ok(()),
                blobs => Err(Error::DrivesRefuse {
                    reason: format!(
                        "{blobs} bodies cannot be read without drive {number}: bring it back, or other drives that \
                         are away; if it is lost for good, say `--accept-loss`"
                    ),
                }),
            })
        };
        self.with_cluster(replaced).await
    }

    /// The same, whatever is lost with the drive.
    pub async fn replace_drive_and_accept_loss(
        &self,
        given: GivenDrive,
        lost: Option<DriveNo>,
    ) -> Result<(DriveNo, DriveNo), Error> {
        let replaced = move |_: &Self, cluster: &Cluster| cluster.replace(&given, lost, |_| Ok(()));
        self.with_cluster(replaced).await
    }

    /// Begins to empty a drive. Refused while it has shards of bodies that could never leave it,
    /// because their code is as wide as there are drives.
    pub async fn drain_drive(&self, number: DriveNo) -> Result<(), Error> {
        let drain = move |store: &Self, cluster: &Cluster| {
            cluster.drain(number, |left| {
                match store.bodies_stuck_on(number, left)?.as_slice() {
                    [] => Ok(()),
                    stuck => Err(Error::DrivesRefuse {
                        reason: format!(
                            "{} have a shard on drive {number}, or are to get one there, that no drive would be left for; add a \
                             drive first",
                            stuck.join(", ")
                        ),
                    }),
                }
            })
        };
        self.with_cluster(drain).await
    }

    /// Gives up emptying a drive.
    pub async fn keep_drive(&self, number: DriveNo) -> Result<(), Error> {
        self.with_cluster(move |_, cluster| cluster.cancel_drain(number))
            .await
    }

    /// Lets a drive go that has nothing of the store any more.
    pub async fn remove_drive(&self, number: DriveNo) -> Result<(), Error> {
        self.with_cluster(move |store, cluster| {
            cluster.remove(number, |number| store.left_on(number))
        })
        .await
    }

    /// Looks after the drives once; returns how many came back. The product does it every few
    /// seconds, a simulation when it likes.
    pub async fn look_for_drives(&self) -> Result<usize, Error> {
        let look = |store: &Self, cluster: &Cluster| {
            let returned = cluster.look_for_drives();
            store.tend_copies(cluster);
            store.forget_lost_drives(cluster)?;
            Ok(returned)
        };
        let before = self.drives().view();
        let looked = self.with_cluster(look).await;
        self.tidy_returned(&before).await;
        looked
    }

    /// Drives that came back lose what was released, or made again elsewhere, while they were
    /// away.
    async fn tidy_returned(&self, before: &SetView) {
        if !matches!(self.is_restored(), Ok(false)) {
            // What no row stands for may be an object that was written after the backup.
            return;
        }
        for member in self.drives().view().members() {
            // One may be missed and found again by the same look, with files that were removed.
            let known = before.member(member.number);
            let known = known.and_then(|of| of.drive.as_ref());
            let was_there = known
                .zip(member.drive.as_ref())
                .is_some_and(|(known, now)| Arc::ptr_eq(known, now));
            if was_there || member.serving().is_none() {
                continue;
            }
            let (blobs, number) = (self.blobs().clone(), member.number);
            let tidy = async move {
                if let Err(error) = blobs.drive_returned(number).await {
                    tracing::warn!(drive = %number, %error, "files that do not count stay on a drive");
                }
            };
            if self.is_inline() {
                tidy.await;
            } else {
                tokio::spawn(tidy);
            }
        }
    }

    /// Brings copies of the tables that are behind level with the others, one after the other, as
    /// far as their drives are there. Returns how many count now that did not. May take long;
    /// commits go on meanwhile.
    pub async fn catch_up_copies(&self) -> Result<usize, Error> {
        let catch_up = |store: &Self, cluster: &Cluster| {
            let Some(mirror) = store.mirror() else {
                return Ok(0);
            };
            let mut done = 0_usize;
            for copy in cluster.copies() {
                let Some(drive) = copy.drive.filter(|_| !copy.is_live) else {
                    continue;
                };
                match mirror.catch_up(copy.number, &drive) {
                    Ok(caught_up) => {
                        done = done.saturating_add(1);
                        tracing::info!(drive = %copy.number, ?caught_up, "a copy of the tables is whole again");
                    }
                    Err(error) => {
                        tracing::warn!(%error, drive = %copy.number, "a copy of the tables is still behind");
                    }
                }
            }
            Ok(done)
        };
        self.with_cluster(catch_up).await
    }

    /// After a majority of the copies was lost: goes on as soon as enough of them are back. `true`
    /// when commits are taken again that were refused. May take long.
    pub async fn revive_copies(&self) -> Result<bool, Error> {
        let revive = |store: &Self, cluster: &Cluster| {
            let Some(mirror) = store.mirror().filter(|mirror| mirror.refuses_changes()) else {
                return Ok(());
            };
            let copies = cluster.copies().into_iter();
            let there: Vec<_> = copies
                .filter_map(|copy| Some((copy.number, copy.drive?)))
                .collect();
            mirror.revive(&there).map(drop)
        };
        self.with_cluster(revive).await?;
        let is_ready = self
            .mirror()
            .is_some_and(|mirror| !mirror.refuses_changes());
        if !is_ready || !self.tables().waits_for_its_drive() {
            return Ok(false);
        }
        self.tables().resume().await.map(|()| true)
    }

    /// Whether changes are refused since of several copies of the tables no majority is left. None of
    /// the drives that are still there need have failed then.
    pub fn lacks_majority(&self) -> bool {
        let lacks = |mirror: &Arc<Mirror>| mirror.refuses_changes() && mirror.status().len() > 1;
        self.mirror().is_some_and(lacks)
    }

    /// Whether commits are refused until copies are back.
    pub(crate) fn waits_for_copies(&self) -> bool {
        let refuses = |mirror: &Arc<Mirror>| mirror.refuses_changes();
        self.mirror().is_some_and(refuses)
            || (self.mirror().is_some() && self.tables().waits_for_its_drive())
    }

    /// How many blobs have a shard on a drive that could not go to any of those that would be
    /// `left`, or are owed one that could go to none of them, in words for each kind of them. Goes
    /// through all of the catalogue.
    fn bodies_stuck_on(&self, number: DriveNo, left: &SetView) -> Result<Vec<String>, Error> {
        let (mut stuck, mut after) = (BTreeMap::<String, u64>::new(), None);
        let now = self.drives().view();
        loop {
            let page = self.catalogue(after, 1000)?;
            let Some(last) = page.last() else {
                let words = stuck
                    .iter()
                    .map(|(of, count)| format!("{count} bodies {of}"));
                return Ok(words.collect());
            };
            after = Some(last.location.blob);
            for entry in &page {
                let Keeping {
                    stripes,
                    policy,
                    placement,
                    ..
                } = entry.keeping;
                let (code, blob) = (stripes.redundancy(), entry.location.blob);
                let is_on_it = placement.shard_on(number).is_some();
                let on = placement.as_slice();
                // A shard that is still to be made may need the drive's place.
                let is_whole_in = |view| can_be_whole(view, policy, code, on, blob);
                let needs_it = || is_whole_in(&now) && !is_whole_in(left);
                if is_on_it && !can_leave(left, policy, code, on, blob) || needs_it() {
                    let of = match policy {
                        BlobPolicy::Standard => "with",
                        BlobPolicy::OneFacility => "of the class for one facility, with",
                        BlobPolicy::Archive => "of the archive classes, with",
                    };
                    let count = stuck.entry(format!("{of} {code}")).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// How many blobs have a shard on a drive and too few others on drives that are there, not
    /// counting those that are known to be damaged. Goes through all of the catalogue.
    fn blobs_that_need(&self, number: DriveNo) -> Result<u64, Error> {
        let view = self.drives().view();
        let hanging = self.care().hanging();
        let (mut count, mut after) = (0_u64, None);
        loop {
            let page = self.catalogue(after, 1000)?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = Some(last.location.blob);
            for entry in &page {
                let Keeping {
                    stripes,
                    placement,
                    owed,
                    ..
                } = entry.keeping;
                let placed = || placement.each().filter(|(shard, _)| !owed.has(*shard));
                if !placed().any(|(_, on)| on == number) {
                    continue;
                }
                let damaged = match damage::find(self.tables(), entry.location.blob) {
                    // Which of them is wrong nobody knows without the keys.
                    Ok(Some((row, _))) if row.is_doubtful => None,
                    Ok(Some((row, _))) => Some(row.shards()),
                    Ok(None) => Some(ShardSet::EMPTY),
                    Err(error) if error.is_corruption() => None,
                    Err(error) => return Err(error),
                };
                let others = placed().filter(|(shard, on)| {
                    *on != number
                        && view.state(*on).serves()
                        && !hanging.contains(on)
                        && damaged.is_some_and(|damaged| !damaged.has(*shard))
                });
                let needed = usize::from(stripes.redundancy().data());
                if others.count() < needed {
                    count = count.saturating_add(1);
                }
            }
        }
    }

    /// What scrub found in the tables and could not put right, in its last pass or so far in this.
    fn damaged_rows(&self) -> Result<u64, Error> {
        let pass = match PassRow::load(self.tables()) {
            Ok(Some(pass)) => pass,
            Ok(None) => return Ok(0),
            // What the last pass found is not known, and this is damage, too.
            Err(error) if error.is_corruption() => return Ok(1),
            Err(error) => return Err(error),
        };
        let last = pass.last.map_or(0, |last| last.totals.damaged_rows);
        Ok(last.max(pass.totals.damaged_rows))
    }

    fn count_damaged(&self) -> Result<u64, Error> {
        // What reads found and nobody has taken down yet counts, too.
        let queue = self.blobs().damage();
        let waiting = u64::try_from(queue.len()).unwrap_or(u64::MAX);
        let (mut count, mut after) = (waiting.saturating_add(queue.left_out()), None);
        loop {
            let page = self.damaged_blobs(after, 1000)?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = Some(last.blob);
            count = count.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        }
    }

    /// Sees to it that copies are on drives that are there and stay.
    fn tend_copies(&self, cluster: &Cluster) {
        let Some(mirror) = self.mirror() else { return };
        let copies = cluster.copies();
        for status in mirror.status() {
            let known = copies.iter().find(|copy| copy.number == status.drive);
            // A drive that was gone and is back is another handle: what the copy still holds may write to
            // nothing, or to a folder that was moved away.
            let drive = known.and_then(|copy| copy.drive.as_ref());
            let is_there = drive.is_some_and(|drive| mirror.works_on(status.drive, drive));
            let is_leaving = cluster.leaving_copy() == Some(status.drive);
            let done = match status.state {
                CopyState::Live if !is_there => mirror.fence(status.drive),
                CopyState::Live if is_leaving => mirror.release(status.drive),
                CopyState::Fenced if known.is_none() => {
                    let drive = cluster.set().get(status.drive);
                    mirror.forget(status.drive, drive.as_ref())
                }
                CopyState::Live | CopyState::Fenced | CopyState::CatchingUp | CopyState::Failed => {
                    Ok(())
                }
            };
            if let Err(error) = done {
                tracing::warn!(%error, drive = %status.drive, "a copy of the tables cannot be given up");
            }
        }
        if let Err(error) = cluster.tend_copies() {
            tracing::warn!(%error, "the copies of the tables cannot be given to other drives");
        }
    }

    /// A lost drive of which nothing is owed any more is removed.
    fn forget_lost_drives(&self, cluster: &Cluster) -> Result<(), Error> {
        for member in self.drives().view().members() {
            let number = member.number;
            if member.state() != DriveState::Lost || self.blobs().writes_to(number) > 0 {
                continue;
            }
            // What has nothing there will not get anything: each look begins where the last one found
            // something. Only the whole walk at the end says that there is nothing left.
            let mut seen = self.lost_seen();
            let found = self.first_on(number, seen.get(&number).copied())?;
            if let Some(blob) = found {
                seen.insert(number, blob);
                continue;
            }
            seen.remove(&number);
            drop(seen);
            let left = self.left_on(number)?;
            if left == LeftOn::default() {
                cluster.remove(number, |_| Ok(left))?;
            }
        }
        Ok(())
    }

    /// What a drive that gets nothing new any more still has of the store.
    fn left_on(&self, number: DriveNo) -> Result<LeftOn, Error> {
        // INVARIANT: first what is on its way, then what arrived: else what arrives between the two
        // looks would be seen by neither.
        let writes = self.blobs().writes_to(number);
        let shards = self.shards_on(number)?;
        Ok(LeftOn { writes, shards })
    }

    /// Whether a copy could be caught up now.
    fn has_copies_behind(&self) -> bool {
        let behind = |cluster: &Cluster| {
            let mut copies = cluster.copies().into_iter();
            copies.any(|copy| !copy.is_live && copy.drive.is_some())
        };
        self.cluster().is_some_and(behind)
    }

    async fn with_cluster<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Self, &Cluster) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.clone();
        let act = move || {
            let cluster = store.cluster().ok_or(Error::Misuse {
                what: "the store was opened on one drive",
            })?;
            act(&store, cluster)
        };
        blocking(self.is_inline(), act).await
    }
}

/// Looks after the drives of a store for as long as it is open.
pub(crate) async fn look_after(store: Weak<Inner>) {
    let mut catching_up: Option<JoinHandle<bool>> = None;
    let mut pause = CatchUpPause::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(store) = Store::of_watched(&store) else {
            return;
        };
        if let Err(error) = store.look_for_drives().await {
            tracing::warn!(%error, "the drives cannot be looked after");
        }
        if let Some(done) = catching_up.take_if(|task| task.is_finished()) {
            // A panic there was reported by its own thread.
            pause.after(done.await.unwrap_or(false));
        }
        if catching_up.is_some() || !pause.is_over() {
            continue;
        }
        if store.waits_for_copies() {
            catching_up = Some(tokio::spawn(async move {
                let revived = store.revive_copies().await;
                if let Err(error) = &revived {
                    tracing::warn!(%error, "commits are still refused");
                }
                revived.is_ok()
            }));
        } else if store.has_copies_behind() {
            catching_up = Some(tokio::spawn(async move {
                let done = store.catch_up_copies().await;
                if let Err(error) = &done {
                    tracing::warn!(%error, "the copies of the tables cannot be caught up");
                }
                done.is_ok_and(|count| count > 0)
            }));
        }
    }
}

/// How long nothing is tried after copies could not be caught up: a drive that is full, say, is
/// not filled again every two seconds.
#[derive(Default)]
struct CatchUpPause {
    failures: u32,
    looks_left: u32,
}

impl CatchUpPause {
    fn after(&mut self, has_succeeded: bool) {
        self.failures = if has_succeeded {
            0
        } else {
            self.failures.saturating_add(1)
        };
        // The first failures cost nothing: a drive that has just come back may still be let go of.
        let doublings = self.failures.saturating_sub(FREE_FAILURES);
        self.looks_left = (1_u32 << doublings.min(DOUBLINGS_MAX)).saturating_sub(1);
    }

    /// Counts one look; true when it is time to try.
    fn is_over(&mut self) -> bool {
        let is_over = self.looks_left == 0;
        self.looks_left = self.looks_left.saturating_sub(1);
        is_over
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(2);
const FREE_FAILURES: u32 = 3;
/// At most about a minute.
const DOUBLINGS_MAX: u32 = 5;
