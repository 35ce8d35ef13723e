// SPDX-License-Identifier: Apache-2.0
//! Heal: giving back the redundancy that was lost.
//!
//! The problem: every shard that is missing or damaged brings a blob nearer to its end, and the
//! nearest must come first. The approach: what is missing is in tables (shards owed, damage found),
//! so nothing is forgotten by a restart; drives that will not come back, or are to be emptied, are
//! found by a walk of the catalogue.
//!
//! ```text
//!   lost drives ----walk---> owed shards -+
//!   damage found by scrub and reads ------+--> queue, least redundancy first --> HealJob
//!   drives to be emptied ----walk, last --+
//! ```
//!
//! [`Healer::step`] does a little and says whether to go on or how long to wait. No key is needed.
//! What cannot be healed with what is there is listed, and tried again when a drive comes or goes.

mod job;
mod removals;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

pub use job::Obstacle;

use self::job::{Begun, HealJob, Step};
use self::removals::Removals;
pub(crate) use self::removals::left_behind;
use self::walk::Walk;
use crate::blob::{ShardSet, parse_owed_key};
use crate::care::Care;
use crate::drive::{DriveNo, DriveState, SetView};
use crate::env::Clock;
use crate::error::Error;
use crate::layout::BlobId;
use crate::scrub::damage::{self, News};
use crate::scrub::{BlobShards, Pace, Stepped};
use crate::store::Store;
use crate::table::{Batch, CommitError, TableId, Write, index_key, row_place};

/// How fast redundancy is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealOptions {
    /// Bytes read and written in a second, at most.
    pub bytes_per_s_max: u64,
    /// A drive that is away for so long is healed around, where others have room for its shards.
    pub absent_ms_max: u64,
}

/// A blob that cannot be healed now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unhealed {
    /// The blob.
    pub blob: BlobId,
    /// Why.
    pub obstacle: Obstacle,
}

/// How heal is going, for operators.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HealStatus {
    /// Blobs that are owed shards, as of the last look.
    pub owed_blobs: u64,
    /// Blobs with damaged shards, as of the last look.
    pub damaged_blobs: u64,
    /// Blobs with shards on drives that are to be emptied, as of the last look.
    pub leaving_blobs: u64,
    /// Shards healed by this process, and their bytes.
    pub healed_shards: u64,
    /// Bytes of them.
    pub healed_bytes: u64,
    /// What cannot be healed now: the first of it.
    pub unhealed: Vec<Unhealed>,
    /// All of it.
    pub unhealed_blobs: u64,
    /// Rows of the lists of what is owed that do not open, as of the last look.
    pub damaged_rows: u64,
    /// Since when there is something to heal, by the wall clock.
    pub since_ms: Option<u64>,
    /// How long it took last time until nothing was left to heal.
    pub last_took_ms: Option<u64>,
}

/// Gives back redundancy, step by step.
pub struct Healer {
    store: Store,
    care: Arc<Care>,
    clock: Arc<dyn Clock>,
    options: HealOptions,
    pace: Pace,
    queue: VecDeque<BlobId>,
    current: Option<Box<HealJob>>,
    /// What was tried in vain since the drives changed last.
    unhealed: BTreeMap<BlobId, Obstacle>,
    /// Keys of the list of owed shards whose rows do not open, to be put right.
    to_relist: Vec<Vec<u8>>,
    /// What jobs found out about their sources and is not written down yet.
    to_note: Vec<(BlobId, ShardSet, Option<bool>)>,
    /// Those for which that was tried.
    not_listed: BTreeSet<Vec<u8>>,
    revision: Option<u64>,
    walk: Walk,
    removals: Removals,
    /// Since when drives are away, by the clock that nobody can set.
    absent_since: HashMap<DriveNo, u64>,
    counted_at_ms: Option<u64>,
    /// Since when there is something to do: wall clock and running clock.
    since: Option<(u64, u64)>,
}

impl Default for HealOptions {
    fn default() -> Self {
        Self {
            bytes_per_s_max: 256 << 20,
            absent_ms_max: 60 * 60 * 1000,
        }
    }
}

impl Healer {
    /// A healer that has looked at nothing yet.
    pub fn new(store: &Store, clock: Arc<dyn Clock>, options: HealOptions) -> Self {
        Self {
            store: store.patient(),
            care: Arc::clone(store.care()),
            pace: Pace::new(Arc::clone(&clock), options.bytes_per_s_max),
            clock,
            options,
            queue: VecDeque::new(),
            current: None,
            unhealed: BTreeMap::new(),
            to_note: Vec::new(),
            to_relist: Vec::new(),
            not_listed: BTreeSet::new(),
            revision: None,
            walk: Walk::default(),
            removals: Removals::default(),
            absent_since: HashMap::new(),
            counted_at_ms: None,
            since: None,
        }
    }

    /// Does a little.
    pub async fn step(&mut self) -> Result<Stepped, Error> {
        let wait = self.pace.wait_ms();
        if wait > 0 {
            return Ok(Stepped::Wait { ms: wait });
        }
        if self.store.waits_for_copies() {
            // Nothing that is done now could be written down.
            return Ok(Stepped::Wait { ms: REFUSED_MS });
        }
        self.take_damage().await?;
        self.removals
            .tend(&self.store, self.clock.running_ms())
            .await?;
        let view = self.store.drives().view();
        let leaving = self.leaving(&view);
        if self.revision != Some(view.revision()) || self.care.take_walk_request() {
            self.revision = Some(view.revision());
            self.look_again();
        }
        let bytes = if self.current.is_some() {
            self.work().await?
        } else if let Some(key) = self.to_relist.pop() {
            self.relist(key).await?;
            ROW_COST_BYTES
        } else if let Some(rows) = self.walk.mark_lost(&self.store, &view).await? {
            rows.saturating_mul(ROW_COST_BYTES)
        } else if let Some(blob) = self.next(&view, &leaving)? {
            self.begin(blob, &leaving).await?;
            ROW_COST_BYTES
        } else {
            self.rest();
            return Ok(Stepped::Wait { ms: REST_MS });
        };
        self.pace.spend(bytes);
        self.tell();
        Ok(Stepped::Worked { bytes })
    }

    /// Steps until nothing more can be healed, as fast as it goes.
    pub async fn run(&mut self) -> Result<(), Error> {
        self.look_again();
        loop {
            self.pace.set(u64::MAX);
            if self.store.waits_for_copies() {
                return Err(Error::DriveOutOfService {
                    drive: "the copies of the tables".to_owned(),
                });
            }
            match self.step().await? {
                Stepped::Worked { .. } => {}
                // Only rest is waited for so long.
                Stepped::Wait { ms } if ms >= REST_MS => return Ok(()),
                Stepped::Wait { .. } => self.pace.forgive(),
            }
        }
    }

    /// Counts what there is to do, without doing it.
    pub fn look(&self) -> Result<(), Error> {
        let counted = Counted::of(&self.store)?;
        self.care.tell_heal(|status| counted.tell(status));
        Ok(())
    }

    /// How it is going.
    pub fn status(&self) -> HealStatus {
        self.care.heal_status()
    }

    /// Everything is tried again: drives came or went.
    fn look_again(&mut self) {
        self.queue.clear();
        self.unhealed.clear();
        self.not_listed.clear();
        self.walk.again();
        self.counted_at_ms = None;
    }

    /// Drives that are away, or do not answer, for longer than anyone should wait for them.
    fn leaving(&mut self, view: &SetView) -> Vec<DriveNo> {
        let now_ms = self.clock.running_ms();
        let hanging = self.care.heal_watch().hanging();
        let mut leaving = Vec::new();
        for member in view.members() {
            let state = match member.state() {
                DriveState::Online if hanging.contains(&member.number) => DriveState::Missing,
                state => state,
            };
            match state {
                DriveState::Missing | DriveState::OutOfService => {
                    let since = *self.absent_since.entry(member.number).or_insert(now_ms);
                    if now_ms.saturating_sub(since) >= self.options.absent_ms_max {
                        leaving.push(member.number);
                    }
                }
                DriveState::Online
                | DriveState::Draining
                | DriveState::Lost
                | DriveState::Removed => {
                    self.absent_since.remove(&member.number);
                }
            }
        }
        if self.walk.set_leaving(&leaving) {
            self.look_again();
        }
        leaving
    }

    /// Takes down the damage that reads came upon.
    async fn take_damage(&mut self) -> Result<(), Error> {
        while let Some((blob, bad, is_doubtful)) = self.to_note.pop() {
            if let Err(error) = self.note(blob, bad, is_doubtful).await {
                self.to_note.push((blob, bad, is_doubtful));
                return Err(error);
            }
        }
        let mut taken = self.store.blobs().damage().take(DAMAGE_TAKEN);
        taken.reverse();
        while let Some(damage) = taken.pop() {
            let shards = ShardSet::EMPTY.with(damage.shard);
            if let Err(error) = self.note(damage.blob, shards, None).await {
                taken.push(damage);
                taken.reverse();
                self.store.blobs().damage().put_back(taken);
                return Err(error);
            }
            self.unhealed.remove(&damage.blob);
        }
        for blob in self.care.take_reported() {
            self.unhealed.remove(&blob);
        }
        Ok(())
    }

    async fn note(
        &self,
        blob: BlobId,
        shards: ShardSet,
        is_doubtful: Option<bool>,
    ) -> Result<(), Error> {
        let news = News {
            shards,
            is_doubtful,
            now_ms: self.clock.now_ms(),
        };
        damage::note(self.store.tables(), blob, news).await
    }

    /// The blob to be healed next.
    fn next(&mut self, view: &SetView, leaving: &[DriveNo]) -> Result<Option<BlobId>, Error> {
        if self.queue.is_empty() {
            self.queue = self.fill(view)?;
        }
        if self.queue.is_empty() {
            let tried = |blob: &BlobId| self.unhealed.contains_key(blob);
            let found = self.walk.find_leaving(&self.store, view, leaving, tried)?;
            self.queue = found.into();
        }
        if let (Some(_), None) = (self.queue.front(), self.since) {
            self.since = Some((self.clock.now_ms(), self.clock.running_ms()));
        }
        Ok(self.queue.pop_front())
    }

    /// What is owed and damaged, least redundancy first.
    fn fill(&mut self, view: &SetView) -> Result<VecDeque<BlobId>, Error> {
        let mut found: Vec<(i16, BlobId)> = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while found.len() < QUEUE_BLOBS {
            let page = self.store.owed_page(after.as_deref(), PAGE_ROWS)?;
            for entry in page.entries {
                self.weigh(entry.blob, view, &mut found)?;
            }
            for key in page.damaged {
                if !self.not_listed.contains(&key) && !self.to_relist.contains(&key) {
                    self.to_relist.push(key);
                }
            }
            if page.last.is_none() || self.to_relist.len() >= QUEUE_BLOBS {
                break;
            }
            after = page.last;
        }
        let mut after = None;
        let bound = found.len().saturating_add(QUEUE_BLOBS);
        while found.len() < bound {
            let page = damage::list(self.store.tables(), after, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            for (blob, row) in page {
                match row {
                    Some(_) => self.weigh(blob, view, &mut found)?,
                    // Of a blob that is gone, the row goes, too.
                    None if matches!(BlobShards::find(self.store.tables(), blob), Ok(None)) => {
                        found.push((i16::MIN, blob));
                    }
                    None => self.cannot(blob, Obstacle::DamagedRow),
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found.into_iter().map(|(_, blob)| blob).collect())
    }

    /// How many more shards a blob can lose, as the drives are now.
    fn weigh(
        &mut self,
        blob: BlobId,
        view: &SetView,
        found: &mut Vec<(i16, BlobId)>,
    ) -> Result<(), Error> {
        if self.unhealed.contains_key(&blob) {
            return Ok(());
        }
        let spare = match BlobShards::find(self.store.tables(), blob) {
            Ok(Some(shards)) => {
                let damage = match damage::find(self.store.tables(), blob) {
                    Err(error) if error.is_corruption() => {
                        self.cannot(blob, Obstacle::DamagedRow);
                        return Ok(());
                    }
                    found => found?,
                };
                let watch = self.care.heal_watch();
                let there = shards.placed().filter(|(shard, drive)| {
                    let is_damaged = damage.is_some_and(|(row, _)| row.shards().has(*shard));
                    !is_damaged && view.state(*drive).serves() && !watch.hangs(*drive)
                });
                let there = i16::try_from(there.count()).unwrap_or(i16::MAX);
                there.saturating_sub(i16::from(shards.redundancy().data()))
            }
            // Gone: its rows go first, they cost nothing.
            Ok(None) => i16::MIN,
            Err(error) if error.is_corruption() => {
                self.cannot(blob, Obstacle::DamagedRow);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        found.push((spare, blob));
        Ok(())
    }

    /// Puts a row of the list of owed shards right that does not open: it says no more than the
    /// catalogue does.
    async fn relist(&mut self, key: Vec<u8>) -> Result<(), Error> {
        let place = row_place(&index_key(TableId::OWED_SHARDS, &key));
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::RelistOwed { key: key.clone() }],
        };
        match self.store.tables().commit(batch).await {
            Ok(_) => {
                tracing::warn!(
                    place,
                    "heal: a damaged row was made anew from the catalogue"
                );
                metrics::counter!("strongroom_rows_mended_total").increment(1);
                // Once is enough until the next rest, whatever became of it.
                self.not_listed.insert(key);
                Ok(())
            }
            Err(CommitError::Store(error)) if error.is_corruption() => {
                tracing::error!(place, %error, "heal: a damaged row cannot be made anew");
                if let Some((_, blob)) = parse_owed_key(&key) {
                    self.cannot(blob, Obstacle::DamagedRow);
                }
                self.not_listed.insert(key);
                Ok(())
            }
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Precondition { .. } | CommitError::Unknown) => Err(Error::Closed),
        }
    }

    async fn begin(&mut self, blob: BlobId, leaving: &[DriveNo]) -> Result<(), Error> {
        match HealJob::begin(&self.store, blob, leaving).await {
            Ok(Begun::Job(job)) => self.current = Some(job),
            Ok(Begun::Nothing) => {}
            Ok(Begun::Not(obstacle)) => self.cannot(blob, obstacle),
            Err(error @ Error::Corrupted { .. }) => {
                tracing::error!(%blob, %error, "heal: a row about a blob is damaged");
                self.cannot(blob, Obstacle::DamagedRow);
            }
            Err(error) => self.failed(blob, &error)?,
        }
        Ok(())
    }

    /// Goes on with the job under way.
    async fn work(&mut self) -> Result<u64, Error> {
        let Some(mut job) = self.current.take() else {
            return Ok(0);
        };
        let blob = job.blob();
        let stepped = job.step().await;
        let bad = job.bad_sources();
        let is_doubtful = job.is_doubtful();
        let bytes = match stepped {
            Ok(Step::Worked(bytes)) => {
                self.current = Some(job);
                return Ok(bytes);
            }
            Ok(Step::Healed { shards, bytes }) => {
                metrics::counter!("strongroom_heal_shards_total").increment(u64::from(shards));
                metrics::counter!("strongroom_heal_bytes_total").increment(bytes);
                self.care.tell_heal(|status| {
                    let shards = u64::from(shards);
                    status.healed_shards = status.healed_shards.saturating_add(shards);
                    status.healed_bytes = status.healed_bytes.saturating_add(bytes);
                });
                0
            }
            Ok(Step::Again) => {
                self.queue.push_front(blob);
                ROW_COST_BYTES
            }
            Ok(Step::Not(obstacle)) => {
                self.cannot(blob, obstacle);
                0
            }
            Err(error) => {
                self.failed(blob, &error)?;
                0
            }
        };
        drop(job);
        if !bad.is_empty() || is_doubtful {
            // Damage that came up in a source: it is the next to be healed. Kept until it is written
            // down.
            self.to_note.push((blob, bad, is_doubtful.then_some(true)));
            self.take_damage().await?;
        }
        Ok(bytes)
    }

    /// A drive refused: this blob is for later, unless it is the store that is going down.
    fn failed(&mut self, blob: BlobId, error: &Error) -> Result<(), Error> {
        tracing::warn!(%blob, %error, "heal: not now");
        if matches!(error, Error::Closed) {
            return Err(Error::Closed);
        }
        for member in self.store.drives().view().members() {
            self.care.heal_watch().suspect(member.number);
        }
        self.cannot(blob, Obstacle::Waiting);
        Ok(())
    }

    fn cannot(&mut self, blob: BlobId, obstacle: Obstacle) {
        if let Obstacle::Beyond { .. } | Obstacle::Doubtful = obstacle {
            tracing::error!(%blob, %obstacle, "heal: the blob cannot be healed with what is there");
        }
        self.unhealed.insert(blob, obstacle);
    }

    /// Nothing more can be done now.
    fn rest(&mut self) {
        self.counted_at_ms = None;
        self.tell();
        if self.unhealed.is_empty()
            && let Some((_, since_ms)) = self.since.take()
        {
            let took_ms = self.clock.running_ms().saturating_sub(since_ms);
            tracing::info!(took_ms, "heal: nothing is left to do");
            metrics::gauge!("strongroom_heal_last_full_redundancy_seconds")
                .set(u32::try_from(took_ms / 1000).unwrap_or(u32::MAX));
            self.care.tell_heal(|status| {
                status.since_ms = None;
                status.last_took_ms = Some(took_ms);
            });
        }
        // What waits for a drive that did not go away is tried again then.
        let is_lasting =
            |obstacle: &Obstacle| matches!(obstacle, Obstacle::Beyond { .. } | Obstacle::Doubtful);
        self.unhealed.retain(|_, obstacle| is_lasting(obstacle));
        self.not_listed.clear();
        self.walk.again_for_leaving();
        let view = self.store.drives().view();
        if view
            .members()
            .iter()
            .any(|of| of.state() == DriveState::Lost)
        {
            self.walk.again_for_lost();
        }
    }

    /// Tells operators how it is going; counts now and then.
    fn tell(&mut self) {
        let now_ms = self.clock.running_ms();
        let is_old = |at: u64| now_ms.saturating_sub(at) >= COUNT_INTERVAL_MS;
        let counted = if self.counted_at_ms.is_none_or(is_old) {
            self.counted_at_ms = Some(now_ms);
            Counted::of(&self.store).ok()
        } else {
            None
        };
        let leaving = self.walk.leaving_blobs();
        let unhealed = self.unhealed.iter().take(UNHEALED_TOLD_MAX);
        let told = unhealed.map(|(blob, obstacle)| Unhealed {
            blob: *blob,
            obstacle: *obstacle,
        });
        let since_ms = self.since.map(|(wall_ms, _)| wall_ms);
        self.care.tell_heal(|status| {
            if let Some(counted) = counted {
                counted.tell(status);
            }
            status.leaving_blobs = leaving;
            status.unhealed = told.collect();
            status.unhealed_blobs = u64::try_from(self.unhealed.len()).unwrap_or(u64::MAX);
            status.since_ms = since_ms;
        });
        if let Some(Counted { owed, damaged, .. }) = counted {
            let gauge = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            metrics::gauge!("strongroom_heal_owed_blobs").set(gauge(owed));
            metrics::gauge!("strongroom_heal_damaged_blobs").set(gauge(damaged));
            metrics::gauge!("strongroom_heal_leaving_blobs").set(gauge(leaving));
        }
    }
}

/// What the lists of what is owed come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Blobs that are owed shards.
    owed: u64,
    /// Blobs with damaged ones.
    damaged: u64,
    /// Rows that do not open.
    pub(crate) damaged_rows: u64,
}

impl Counted {
    pub(crate) fn of(store: &Store) -> Result<Self, Error> {
        let mut counted = Self::default();
        let add = |to: &mut u64, more: usize| {
            *to = to.saturating_add(u64::try_from(more).unwrap_or(0));
        };
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = store.owed_page(after.as_deref(), COUNT_PAGE_ROWS)?;
            add(&mut counted.owed, page.entries.len());
            add(&mut counted.damaged_rows, page.damaged.len());
            if page.last.is_none() {
                break;
            }
            after = page.last;
        }
        let mut after = None;
        loop {
            let page = damage::list(store.tables(), after, COUNT_PAGE_ROWS)?;
            let Some((last, _)) = page.last() else {
                return Ok(counted);
            };
            after = Some(*last);
            add(&mut counted.damaged, page.len());
            let damaged = page.iter().filter(|(_, row)| row.is_none());
            add(&mut counted.damaged_rows, damaged.count());
        }
    }

    fn tell(self, status: &mut HealStatus) {
        status.owed_blobs = self.owed;
        status.damaged_blobs = self.damaged;
        status.damaged_rows = self.damaged_rows;
    }
}

impl fmt::Debug for Healer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Healer")
            .field("queue", &self.queue.len())
            .finish_non_exhaustive()
    }
}

/// Blobs taken into the queue at once.
const QUEUE_BLOBS: usize = 256;
/// Damage taken from the queue of the reads at once.
const DAMAGE_TAKEN: usize = 64;
/// Rows taken from a table at once.
const PAGE_ROWS: usize = 64;
const COUNT_PAGE_ROWS: usize = 1024;
/// What is left is counted so often.
const COUNT_INTERVAL_MS: u64 = 30_000;
/// Until the next look, when commits are refused.
const REFUSED_MS: u64 = 5_000;
/// Until the next look, when there was nothing to do and nobody calls.
const REST_MS: u64 = 60_000;
/// What looking at a row costs, about.
const ROW_COST_BYTES: u64 = 256;
/// Blobs that are named to operators.
const UNHEALED_TOLD_MAX: usize = 1000;
