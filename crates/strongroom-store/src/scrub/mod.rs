// SPDX-License-Identifier: Apache-2.0
//! Scrub: reading everything again, all the time, before anybody needs it.
//!
//! The problem: media lose bits silently, and redundancy that is lost unnoticed is no redundancy.
//! The approach: passes over everything, each within a set time, at a pace that leaves the drives to
//! clients. All of it works on sealed bytes; no key is needed.
//!
//! ```text
//!   resting -> counting -> blobs -> files -> tables -> resting
//!              what is      every    what     every row, the log,
//!              to be read   shard    is too   the copies
//!                                    much
//! ```
//!
//! [`Scrubber::step`] does a little and says whether to go on or how long to wait; a thread drives
//! it in the product ([`crate::care`]), a test calls it. The position is durable. What is found goes
//! into a table, from where heal takes it; scrub itself changes no shard.

mod check;
pub(crate) mod damage;
mod files;
mod pace;
mod pass;
mod row_code;
mod shard_file;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

pub use damage::{DamagedShard, ShardFault};
pub use pass::{FinishedPass, ScrubPhase, ScrubTotals};

pub(crate) use damage::DamageRow;
pub(crate) use pace::Pace;
pub(crate) use pass::PassRow;
pub(crate) use row_code::{Agreement, RowCode};
pub(crate) use shard_file::{BlobShards, Rows, ShardFile};

use self::check::{BlobCheck, Checked, Doubt};
use self::damage::News;
use self::files::FilesWalk;
use crate::blob::{BlobPin, ShardSet};
use crate::care::Care;
use crate::drive::DriveState;
use crate::env::Clock;
use crate::error::Error;
use crate::layout::BlobId;
use crate::mirror::{CopiesReport, CopiesWalk, is_late};
use crate::store::Store;
use crate::table::{Batch, CommitError, LogReport, RowsReport, ScannedRow, TableId, Write};

/// How fast everything is read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScrubOptions {
    /// Everything is read at least once in this time.
    pub period_ms: u64,
    /// No pass is slower than this, so that a small store is through soon.
    pub bytes_per_s_min: u64,
    /// No pass is faster than this, even when it is late.
    pub bytes_per_s_max: u64,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stepped {
    /// Something was done: call again.
    Worked {
        /// Bytes read or written.
        bytes: u64,
    },
    /// Nothing can be done for so long.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
}

/// How scrub is going, for operators.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScrubStatus {
    /// What it is doing.
    pub phase: ScrubPhase,
    /// When the present pass began (the last one, while resting), by the wall clock.
    pub started_ms: u64,
    /// Bytes of shards that the present pass reads.
    pub bytes_total: u64,
    /// What the present pass came to so far.
    pub totals: ScrubTotals,
    /// The last pass that was finished.
    pub last: Option<FinishedPass>,
    /// When the present pass must be through, or the next one begin, by the wall clock.
    pub due_ms: u64,
    /// What was found by this process, in words; the first of it.
    pub found: Vec<String>,
}

/// Reads everything again, step by step.
pub struct Scrubber {
    store: Store,
    care: Arc<Care>,
    clock: Arc<dyn Clock>,
    options: ScrubOptions,
    pace: Pace,
    pass: PassRow,
    /// A pass that an operator asked for goes as fast as it may.
    is_urgent: bool,
    saved_at_ms: u64,
    page: VecDeque<BlobId>,
    current: Option<(BlobCheck, BlobPin)>,
    files: FilesWalk,
    after_row: Option<Vec<u8>>,
    /// Where comparing the copies of the tables is, until it is done.
    copies: Option<CopiesWalk>,
    /// Damage that had found no room in the queue of reads when the pass began. A pass that another
    /// process began says nothing of it.
    left_out: u64,
    /// At the tables.
    rows: Trouble,
    /// At their log.
    log: Trouble,
    /// Places of the tables that this pass could not read.
    unreadable: Unreadable,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self {
            period_ms: 7 * 24 * 60 * 60 * 1000,
            bytes_per_s_min: 8 << 20,
            bytes_per_s_max: 256 << 20,
        }
    }
}

impl ScrubOptions {
    /// Passes begin so far apart: what is left of the period is for being late.
    fn interval_ms(self) -> u64 {
        (self.period_ms / 5).saturating_mul(4)
    }
}

impl Scrubber {
    /// Goes on where the last process was.
    pub fn new(store: &Store, clock: Arc<dyn Clock>, options: ScrubOptions) -> Result<Self, Error> {
        let store = store.patient();
        let pass = match PassRow::load(store.tables()) {
            Err(error) if error.is_corruption() => {
                tracing::error!(%error, "scrub: where the last pass was is not known; one begins anew");
                PassRow::default()
            }
            found => found?.unwrap_or_default(),
        };
        let scrubber = Self {
            care: Arc::clone(store.care()),
            store,
            pace: Pace::new(Arc::clone(&clock), options.bytes_per_s_min),
            clock,
            options,
            pass,
            is_urgent: false,
            saved_at_ms: 0,
            page: VecDeque::new(),
            current: None,
            files: FilesWalk::default(),
            after_row: None,
            copies: Some(CopiesWalk::default()),
            left_out: 0,
            rows: Trouble::default(),
            log: Trouble::default(),
            unreadable: Unreadable::default(),
        };
        scrubber.tell();
        Ok(scrubber)
    }

    /// Does a little.
    pub async fn step(&mut self) -> Result<Stepped, Error> {
        if self.care.take_scrub_request() {
            self.is_urgent = true;
            if self.pass.phase == ScrubPhase::Resting {
                self.begin().await?;
            }
        }
        let wait = self.pace.wait_ms();
        if wait > 0 {
            return Ok(Stepped::Wait { ms: wait });
        }
        let bytes = match self.pass.phase {
            ScrubPhase::Resting => {
                let rest = self.rest_ms();
                if rest > 0 {
                    self.tell();
                    return Ok(Stepped::Wait { ms: rest });
                }
                self.begin().await?;
                0
            }
            ScrubPhase::Counting => self.count().await?,
            ScrubPhase::Blobs => self.read_blobs().await?,
            ScrubPhase::Files => self.look_at_files().await?,
            ScrubPhase::Tables => self.open_rows().await?,
        };
        self.pace.set(self.rate());
        self.pace.spend(bytes);
        if self.clock.running_ms().saturating_sub(self.saved_at_ms) >= SAVE_INTERVAL_MS {
            self.save().await?;
        }
        self.tell();
        Ok(Stepped::Worked { bytes })
    }

    /// Steps through the rest of a pass, as fast as it goes, and returns what it came to. Begins one
    /// when none is on its way.
    pub async fn run_pass(&mut self) -> Result<FinishedPass, Error> {
        self.run_pass_telling(|_| {}).await
    }

    /// The same; `tell` hears how it is going.
    pub async fn run_pass_telling(
        &mut self,
        tell: impl Fn(&ScrubStatus),
    ) -> Result<FinishedPass, Error> {
        self.is_urgent = true;
        if self.pass.phase == ScrubPhase::Resting {
            self.begin().await?;
        }
        while self.pass.phase != ScrubPhase::Resting {
            self.pace.forgive();
            self.step().await?;
            tell(&self.status());
        }
        self.pass.last.ok_or(Error::Closed)
    }

    /// How it is going.
    pub fn status(&self) -> ScrubStatus {
        self.care.scrub_status()
    }

    /// Milliseconds until the next pass begins.
    fn rest_ms(&self) -> u64 {
        let Some(last) = self.pass.last else {
            return 0;
        };
        let now_ms = self.clock.now_ms();
        if now_ms < last.started_ms {
            // Somebody set the clock back: better once too often.
            return 0;
        }
        last.started_ms
            .saturating_add(self.options.interval_ms())
            .saturating_sub(now_ms)
    }

    /// Fast enough to be through in time.
    fn rate(&self) -> u64 {
        let ScrubOptions {
            bytes_per_s_min,
            bytes_per_s_max,
            ..
        } = self.options;
        if self.is_urgent {
            return bytes_per_s_max;
        }
        let left = self.pass.bytes_total.saturating_sub(self.pass.totals.bytes);
        let passed_ms = self.clock.now_ms().saturating_sub(self.pass.started_ms);
        let left_s = self.options.interval_ms().saturating_sub(passed_ms) / 1000;
        let needed = left.checked_div(left_s).unwrap_or(u64::MAX);
        needed.max(bytes_per_s_min).min(bytes_per_s_max)
    }

    async fn begin(&mut self) -> Result<(), Error> {
        self.pass = PassRow {
            number: self.pass.number.saturating_add(1),
            phase: ScrubPhase::Counting,
            started_ms: self.clock.now_ms(),
            last: self.pass.last,
            ..PassRow::default()
        };
        self.page.clear();
        self.current = None;
        self.rows = Trouble::default();
        self.unreadable = Unreadable::default();
        self.left_out = self.store.blobs().damage().left_out();
        tracing::info!(pass = self.pass.number, "scrub: a pass begins");
        self.save().await
    }

    async fn enter(&mut self, phase: ScrubPhase) -> Result<(), Error> {
        self.pass.phase = phase;
        self.pass.after = None;
        self.page.clear();
        self.files = FilesWalk::default();
        self.after_row = None;
        self.copies = Some(CopiesWalk::default());
        self.rows = Trouble::default();
        self.unreadable.end_phase();
        self.save().await
    }

    /// Adds up a page of the catalogue.
    async fn count(&mut self) -> Result<u64, Error> {
        let page = match self.page_after(self.pass.after) {
            Ok(page) => page,
            Err(error) if self.gives_up(&error) => match self.behind_blob() {
                None => Vec::new(),
                next => {
                    self.pass.after = next;
                    return Ok(ROW_COST_BYTES);
                }
            },
            Err(error) => return Err(error),
        };
        let Some((last, _)) = page.last() else {
            self.enter(ScrubPhase::Blobs).await?;
            return Ok(0);
        };
        self.rows = Trouble::default();
        self.pass.after = Some(*last);
        let rows = page.iter().filter_map(|(_, blob)| blob.as_ref());
        let bytes = rows
            .flat_map(|blob| blob.placed().map(|(shard, _)| blob.file_bytes(shard)))
            .fold(0, u64::saturating_add);
        self.pass.bytes_total = self.pass.bytes_total.saturating_add(bytes);
        let rows = u64::try_from(page.len()).unwrap_or(0);
        Ok(rows.saturating_mul(ROW_COST_BYTES))
    }

    /// Reads some windows of the blob under way, or of the next.
    async fn read_blobs(&mut self) -> Result<u64, Error> {
        if self.current.is_none() && !self.open_next().await? {
            return Ok(0);
        }
        let Some((check, _)) = &mut self.current else {
            return Ok(ROW_COST_BYTES);
        };
        let mut bytes = ROW_COST_BYTES;
        while bytes < STEP_BYTES && !check.is_done() {
            bytes = bytes.saturating_add(check.step());
        }
        if check.is_done()
            && let Some((check, pin)) = self.current.take()
        {
            let blob = check.blob().blob;
            if let Err(error) = self.settle(check, &pin).await {
                // What was found is not written down: it is read again.
                self.page.push_front(blob);
                return Err(error);
            }
        }
        Ok(bytes)
    }

    /// Takes the next blob of the catalogue. `false` at the end. A blob that is gone meanwhile, or
    /// whose row is damaged, is passed over.
    async fn open_next(&mut self) -> Result<bool, Error> {
        if self.page.is_empty() {
            let page = match self.page_after(self.pass.after) {
                Ok(page) => page,
                Err(error) if self.gives_up(&error) => match self.behind_blob() {
                    None => Vec::new(),
                    next => {
                        self.pass.after = next;
                        return Ok(true);
                    }
                },
                Err(error) => return Err(error),
            };
            self.page = page.into_iter().map(|(blob, _)| blob).collect();
        }
        let Some(blob) = self.page.pop_front() else {
            self.enter(ScrubPhase::Files).await?;
            return Ok(false);
        };
        // First pinned, then looked for: so its files stay if it is there.
        let pin = self.store.blobs().pin(vec![blob]);
        let shards = match self.shards_of(blob) {
            Ok(shards) => shards,
            Err(error) if self.gives_up(&error) => None,
            Err(error) => {
                self.page.push_front(blob);
                return Err(error);
            }
        };
        self.rows = Trouble::default();
        match shards {
            Some(shards) => {
                let watch = self.care.scrub_watch();
                let check = BlobCheck::begin(shards, self.store.drives(), watch);
                self.current = Some((check, pin));
            }
            None => self.pass.after = Some(blob),
        }
        Ok(true)
    }

    /// Takes down what was found of a blob, unless it changed while it was read.
    async fn settle(&mut self, check: BlobCheck, _pin: &BlobPin) -> Result<(), Error> {
        let blob = *check.blob();
        let checked = check.finish();
        // One that does not open is made anew by what was found now.
        let was_doubtful = match damage::find(self.store.tables(), blob.blob) {
            Ok(known) => known.is_some_and(|(row, _)| row.is_doubtful),
            Err(error) if error.is_corruption() => true,
            Err(error) => return Err(error),
        };
        self.check_listed(&blob).await?;
        let is_news = !checked.damaged.is_empty() || checked.doubt.is_some() || was_doubtful;
        if is_news {
            match self.shards_of(blob.blob)? {
                Some(now) if now == blob => self.report(&blob, &checked).await?,
                // Shards moved: read it again as it is now.
                Some(_) => {
                    self.page.push_front(blob.blob);
                    return Ok(());
                }
                None => {}
            }
        }
        let totals = &mut self.pass.totals;
        totals.blobs = totals.blobs.saturating_add(1);
        totals.shards = totals.shards.saturating_add(checked.files);
        totals.absent_shards = totals.absent_shards.saturating_add(checked.absent);
        let view = self.store.drives().view();
        let is_lost = |drive| matches!(view.state(drive), DriveState::Lost | DriveState::Removed);
        if blob.placed().any(|(_, drive)| is_lost(drive)) {
            self.care.request_walk();
        }
        let placed = blob.placed().map(|(shard, _)| blob.file_bytes(shard));
        totals.bytes = totals
            .bytes
            .saturating_add(placed.fold(0, u64::saturating_add));
        self.pass.after = Some(blob.blob);
        Ok(())
    }

    /// Whether a blob that is owed shards is listed so: heal goes by the list.
    async fn check_listed(&self, blob: &BlobShards) -> Result<(), Error> {
        let Some(key) = blob.owed_key() else {
            return Ok(());
        };
        let tables = self.store.tables();
        match tables.get(TableId::OWED_SHARDS, &key) {
            Ok(Some(_)) => return Ok(()),
            Err(error) if !error.is_corruption() => return Err(error),
            Ok(None) | Err(_) => {}
        }
        tracing::error!(blob = %blob.blob, "scrub: a blob that is owed shards is not listed; it is now");
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::RelistOwed { key: key.to_vec() }],
        };
        match tables.commit(batch).await {
            Ok(_) => {
                self.care.wake_heal();
                Ok(())
            }
            // Its row in the catalogue: the walk of the rows tells of it.
            Err(CommitError::Store(error)) if error.is_corruption() => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Precondition { .. } | CommitError::Unknown) => Err(Error::Closed),
        }
    }

    async fn report(&mut self, blob: &BlobShards, checked: &Checked) -> Result<(), Error> {
        let shards: ShardSet = checked
            .damaged
            .iter()
            .map(|damaged| damaged.shard)
            .collect();
        for damaged in &checked.damaged {
            tracing::error!(%damaged, "scrub: damage");
            metrics::counter!("strongroom_scrub_damaged_shards_total").increment(1);
            self.care.found(damaged.to_string());
        }
        let mut count = u64::from(shards.len());
        if let Some(Doubt { row, suspects }) = checked.doubt {
            count = count.saturating_add(u64::from(suspects.len()).max(1));
            let words = format!(
                "blob {}: its shards contradict each other at unit {row} while all checksums hold; \
                 suspected: {suspects:?}",
                blob.blob
            );
            tracing::error!("scrub: {words}");
            self.care.found(words);
        }
        let totals = &mut self.pass.totals;
        totals.damaged_shards = totals.damaged_shards.saturating_add(count);
        // Without a shard that is away nobody can say that they agree.
        let is_doubtful = match (&checked.doubt, checked.absent) {
            (Some(_), _) => Some(true),
            (None, 0) => Some(false),
            (None, _) => None,
        };
        let news = News {
            shards,
            is_doubtful,
            now_ms: self.clock.now_ms(),
        };
        damage::note(self.store.tables(), blob.blob, news).await?;
        self.care.report(blob.blob);
        Ok(())
    }

    /// Looks at one folder of one drive.
    async fn look_at_files(&mut self) -> Result<u64, Error> {
        let mut walk = std::mem::take(&mut self.files);
        let looked = walk.step(&self.store)?;
        self.files = walk;
        let Some(looked) = looked else {
            self.enter(ScrubPhase::Tables).await?;
            return Ok(0);
        };
        for words in looked.words {
            tracing::warn!("scrub: {words}");
            self.care.found(words);
        }
        let totals = &mut self.pass.totals;
        totals.stray_files = totals.stray_files.saturating_add(looked.stray);
        totals.foreign_files = totals.foreign_files.saturating_add(looked.foreign);
        Ok(looked.files.saturating_mul(ROW_COST_BYTES))
    }

    /// Opens a page of rows; behind the last, reads the log.
    async fn open_rows(&mut self) -> Result<u64, Error> {
        let tables = self.store.tables();
        let (page, last) = match tables.verify_page(self.after_row.as_deref(), PAGE_ROWS) {
            Ok(read) => read,
            Err(error) if self.gives_up(&error) => {
                let next = behind(self.after_row.as_deref(), ROW_PLACE_BYTES, self.rows.leaps);
                (RowsReport::default(), next)
            }
            Err(error) => return Err(error),
        };
        let mut bytes = page.bytes;
        let mut damaged = page.damaged;
        let is_end = last.is_none();
        if page.rows > 0 {
            self.rows = Trouble::default();
        }
        if is_end {
            // First what one copy lacks and another has: what is put right is not damage any more.
            if let Some(more) = self.compare_copies().await {
                return Ok(bytes.saturating_add(more));
            }
            let tables = self.store.tables();
            let care = &self.care;
            let stops = |_| {
                if care.stops() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            match tables.verify_log(stops) {
                Ok(_) if care.stops() => return Err(Error::Closed),
                Ok(log) => {
                    bytes = bytes.saturating_add(log.bytes);
                    damaged.extend(self.without_useless(log));
                }
                Err(error) => match self.log.met(&error) {
                    Met::Again => return Err(error),
                    Met::New | Met::Known => self.tell_unreadable(&error),
                },
            }
            self.log = Trouble::default();
        }
        self.after_row = last;
        let totals = &mut self.pass.totals;
        totals.rows = totals.rows.saturating_add(page.rows);
        for error in damaged {
            totals.damaged_rows = totals.damaged_rows.saturating_add(1);
            tracing::error!(%error, "scrub: damage");
            self.care.found(error.to_string());
        }
        if is_end {
            self.end().await?;
        }
        Ok(bytes)
    }

    /// Lets old log files go that are damaged or lead nowhere and that nothing needs, and returns what
    /// is wrong with the others.
    fn without_useless(&self, log: LogReport) -> Vec<Error> {
        if log.useless.is_empty() {
            return log.damaged;
        }
        match self.store.tables().let_useless_log_go(&log) {
            Ok(files) => {
                for error in log.useless {
                    tracing::warn!(%error, files, "scrub: old log files that no start needs are let go");
                    self.care
                        .found(format!("{error}; no start needs it: let go"));
                }
                log.damaged
            }
            Err(error) => {
                tracing::warn!(%error, "scrub: old log files that no start needs were not let go");
                let mut damaged = log.damaged;
                damaged.extend(log.useless);
                damaged
            }
        }
    }

    /// Whether a place of the tables that cannot be read is to be left behind, so that the rest is
    /// looked at.
    fn gives_up(&mut self, error: &Error) -> bool {
        let met = self.rows.met(error);
        if met == Met::New {
            self.tell_unreadable(error);
        }
        met != Met::Again
    }

    fn tell_unreadable(&mut self, error: &Error) {
        tracing::error!(%error, "scrub: a place of the tables cannot be read");
        if !self.unreadable.is_news(error.to_string()) {
            return;
        }
        let totals = &mut self.pass.totals;
        totals.damaged_rows = totals.damaged_rows.saturating_add(1);
        self.care
            .found(format!("a place of the tables cannot be read: {error}"));
    }

    /// Where the catalogue is tried again behind a place that cannot be read; `None` behind its end.
    fn behind_blob(&self) -> Option<BlobId> {
        let after = self.pass.after.map(|blob| blob.0);
        let next = behind(
            after.as_ref().map(<[u8; 16]>::as_slice),
            BLOB_PLACE_BYTES,
            self.rows.leaps,
        )?;
        next.first_chunk().map(|id| BlobId(*id))
    }

    /// Compares some of the copies of log, index, audit log and vault where there are several, and
    /// returns the bytes read; `None` when that is done. A copy that fails is no reason to give the
    /// pass up: the mirror fences it.
    async fn compare_copies(&mut self) -> Option<u64> {
        let mut walk = self.copies.take()?;
        let mirror = self.store.mirror().filter(|of| of.status().len() > 1)?;
        let mirror = Arc::clone(mirror);
        let compare = move || {
            let mut report = CopiesReport::default();
            let mut is_done = false;
            while report.bytes < STEP_BYTES && !is_done {
                match mirror.verify_some(&mut walk)? {
                    Some(piece) => report.add(piece),
                    None => is_done = true,
                }
            }
            Ok((report, (!is_done).then_some(walk)))
        };
        let report = match crate::store::blocking(self.store.is_inline(), compare).await {
            Ok((report, walk)) => {
                self.copies = walk;
                report
            }
            Err(error) => {
                tracing::warn!(%error, "scrub: the copies of the tables could not be compared");
                let totals = &mut self.pass.totals;
                totals.damaged_rows = totals.damaged_rows.saturating_add(1);
                self.care.found(format!(
                    "the copies of the tables were not compared: {error}"
                ));
                return None;
            }
        };
        for difference in report.differing {
            let drives = difference.copies.iter().map(ToString::to_string);
            let drives = drives.collect::<Vec<_>>().join(", ");
            let become_of = if difference.mended {
                "put right"
            } else {
                let totals = &mut self.pass.totals;
                totals.damaged_rows = totals.damaged_rows.saturating_add(1);
                "not put right"
            };
            self.care.found(format!(
                "copies of the tables differ at {} (drives {drives}): {become_of}",
                difference.place
            ));
        }
        self.copies.is_some().then_some(report.bytes)
    }

    async fn end(&mut self) -> Result<(), Error> {
        let ended = FinishedPass {
            started_ms: self.pass.started_ms,
            ended_ms: self.clock.now_ms(),
            totals: self.pass.totals,
        };
        self.pass.last = Some(ended);
        self.is_urgent = false;
        self.store.blobs().damage().found_again(self.left_out);
        self.left_out = 0;
        let ScrubTotals {
            blobs,
            bytes,
            damaged_shards,
            ..
        } = ended.totals;
        tracing::info!(blobs, bytes, damaged_shards, "scrub: a pass is over");
        self.enter(ScrubPhase::Resting).await
    }

    async fn save(&mut self) -> Result<(), Error> {
        self.saved_at_ms = self.clock.running_ms();
        self.pass.save(self.store.tables()).await
    }

    /// A page of the catalogue; `None` for rows that are damaged, which the walk of the rows tells.
    fn page_after(
        &self,
        after: Option<BlobId>,
    ) -> Result<Vec<(BlobId, Option<BlobShards>)>, Error> {
        let start = match &after {
            Some(blob) => Bound::Excluded(blob.0.as_slice()),
            None => Bound::Unbounded,
        };
        let rows = self.store.tables().scan_each(
            TableId::BLOB_CATALOGUE,
            start,
            Bound::Unbounded,
            PAGE_ROWS,
            false,
        )?;
        let entry = |(key, row): ScannedRow| {
            let blob = BlobId(<[u8; 16]>::try_from(key.as_slice()).ok()?);
            let shards = row.and_then(|row| BlobShards::of(blob, &row));
            Some((blob, shards.ok()))
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    /// What the catalogue says of a blob now; `None` when it is gone or its row is damaged.
    fn shards_of(&self, blob: BlobId) -> Result<Option<BlobShards>, Error> {
        match BlobShards::find(self.store.tables(), blob) {
            Err(error) if error.is_corruption() => Ok(None),
            found => found,
        }
    }

    /// Tells operators how it is going.
    fn tell(&self) {
        let interval = self.options.interval_ms();
        let due_ms = match (self.pass.phase, self.pass.last) {
            (ScrubPhase::Resting, None) => self.clock.now_ms(),
            (ScrubPhase::Resting, Some(last)) => last.started_ms.saturating_add(interval),
            _ => self.pass.started_ms.saturating_add(self.options.period_ms),
        };
        self.care.tell_scrub(|status| {
            status.phase = self.pass.phase;
            status.started_ms = self.pass.started_ms;
            status.bytes_total = self.pass.bytes_total;
            status.totals = self.pass.totals;
            status.last = self.pass.last;
            status.due_ms = due_ms;
        });
        let ms_left = i128::from(due_ms).saturating_sub(i128::from(self.clock.now_ms()));
        let seconds_left = i32::try_from(ms_left / 1000).unwrap_or(i32::MAX);
        metrics::gauge!("strongroom_scrub_deadline_seconds").set(seconds_left);
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber")
            .field("pass", &self.pass)
            .finish_non_exhaustive()
    }
}

/// What cannot be read at the place where scrub is.
#[derive(Debug, Default)]
struct Trouble {
    tries: u32,
    leaps: u32,
}

/// What is to be done where something could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Met {
    /// It may pass by itself.
    Again,
    /// It was tried often enough: the place is left behind.
    New,
    /// Where that led it is no better: one place, told once.
    Known,
}

impl Trouble {
    fn met(&mut self, error: &Error) -> Met {
        let passes = matches!(
            error,
            Error::Closed | Error::DriveOutOfService { .. } | Error::NoMajority
        );
        if passes || is_late(error) {
            return Met::Again;
        }
        if self.leaps > 0 {
            self.leaps = self.leaps.saturating_add(1);
            return Met::Known;
        }
        self.tries = self.tries.saturating_add(1);
        if self.tries < TRIES_MAX {
            return Met::Again;
        }
        self.leaps = 1;
        Met::New
    }
}

/// Each phase of a pass may come upon the same place, and meets the same error there: it counts once.
#[derive(Debug, Default)]
struct Unreadable {
    /// By the error: how often it was counted in this pass, and met in this phase.
    errors: BTreeMap<String, (u64, u64)>,
}

impl Unreadable {
    /// Whether no phase before this one has met the error so often.
    fn is_news(&mut self, error: String) -> bool {
        if self.errors.len() >= UNREADABLE_MAX && !self.errors.contains_key(&error) {
            return true;
        }
        let (counted, met) = self.errors.entry(error).or_default();
        *met = met.saturating_add(1);
        let is_news = *met > *counted;
        *counted = (*counted).max(*met);
        is_news
    }

    fn end_phase(&mut self) {
        self.errors.values_mut().for_each(|(_, met)| *met = 0);
    }
}

/// A key behind a place that cannot be read and that begins after a key. Nobody knows how far it goes:
/// each leap goes twice as far as the one before, in steps of what differs in the first `width` bytes,
/// so that little behind it is left out and a table that cannot be read at all is left soon. `None`
/// behind the last such key.
fn behind(after: Option<&[u8]>, width: usize, leaps: u32) -> Option<Vec<u8>> {
    let mut first = [0; 16];
    let known = after.unwrap_or_default();
    for (to, from) in first.iter_mut().zip(known.iter().take(width)) {
        *to = *from;
    }
    let unused = u32::try_from(16_usize.saturating_sub(width))
        .ok()?
        .saturating_mul(8);
    let far = 1_u128
        .checked_shl(leaps.saturating_sub(1))?
        .checked_sub(1)?;
    let place = (u128::from_be_bytes(first) >> unused).checked_add(far)?;
    if place >> 128_u32.saturating_sub(unused).min(127) > 0 {
        return None;
    }
    let rest = 1_u128
        .checked_shl(unused)
        .map_or(u128::MAX, |one| one.saturating_sub(1));
    let mut next = ((place << unused) | rest).to_be_bytes().to_vec();
    next.extend([0xFF; 16]);
    Some(next)
}

/// Rows taken from a table at once.
const PAGE_ROWS: usize = 64;
/// Bytes of a blob's identifier, and of a row's place (its table and the beginning of its key), that
/// say how far a place that cannot be read is left behind.
const BLOB_PLACE_BYTES: usize = 2;
const ROW_PLACE_BYTES: usize = 12;
/// A place of the tables is left behind when it could not be read so often.
const TRIES_MAX: u32 = 3;
/// So many different errors are remembered; others count in each phase.
const UNREADABLE_MAX: usize = 1_000;
/// What a step reads, about.
const STEP_BYTES: u64 = 4 << 20;
/// What looking at a row or a name costs, about.
const ROW_COST_BYTES: u64 = 256;
/// The position is made durable so often.
const SAVE_INTERVAL_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_every_phase_meets_counts_once() {
        let mut unreadable = Unreadable::default();
        let mut counted = |errors: &[&str]| {
            let news = errors
                .iter()
                .map(|error| unreadable.is_news((*error).to_owned()));
            let count = news.filter(|is_news| *is_news).count();
            unreadable.end_phase();
            count
        };
        assert_eq!(counted(&["a"]), 1);
        assert_eq!(counted(&["a", "b"]), 1);
        // Two places that are told alike are two.
        assert_eq!(counted(&["a", "b", "a"]), 1);
        assert_eq!(counted(&["b", "a", "a"]), 0);
    }

    #[test]
    fn each_leap_over_a_bad_place_goes_twice_as_far() {
        let next = |after: Option<&[u8]>, leaps| {
            behind(after, 2, leaps).map(|key| [key[0], key[1], key[2], key[15]])
        };
        assert_eq!(next(None, 1), Some([0, 0, 0xFF, 0xFF]));
        assert_eq!(next(None, 2), Some([0, 1, 0xFF, 0xFF]));
        assert_eq!(next(Some(&[1, 2, 3]), 1), Some([1, 2, 0xFF, 0xFF]));
        assert_eq!(next(Some(&[1, 2, 3]), 2), Some([1, 3, 0xFF, 0xFF]));
        assert_eq!(next(Some(&[1, 2, 3]), 9), Some([2, 1, 0xFF, 0xFF]));
        assert_eq!(next(Some(&[0xFF, 0xFE]), 2), Some([0xFF; 4]));
        assert_eq!(next(Some(&[0xFF, 0xFE]), 3), None);
        assert_eq!(next(Some(&[0xFF; 16]), 2), None);
        assert_eq!(next(None, 17), Some([0xFF; 4]));
        assert_eq!(next(None, 18), None);
        assert_eq!(next(Some(&[7]), u32::MAX), None);
        // Wherever it stands, it leads to the end.
        for width in [BLOB_PLACE_BYTES, ROW_PLACE_BYTES] {
            let (mut after, mut leaps) = (None, 1);
            while let Some(next) = behind(after.as_deref(), width, leaps) {
                assert!(after.is_none_or(|known| known < next));
                (after, leaps) = (Some(next), leaps + 1);
            }
            assert!(leaps < 128);
        }
    }
}
