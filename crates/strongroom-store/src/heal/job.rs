// SPDX-License-Identifier: Apache-2.0
//! Healing one blob: its missing and damaged shards are computed from the others, unit by unit.
//!
//! ```text
//!   sources --windows of rows--> rebuild --> tmp/ on the target drive
//!                                              | flush, read back, compare
//!                                              v
//!                          final name, flush of the folder --> commit
//! ```
//!
//! Every source unit is compared with its checksum; each row needs any `k` good units, wherever they
//! lie. So a shard that is damaged in one place still helps everywhere else, and damage of a source
//! that comes up meanwhile is noticed. Where there is a unit more than `k`, it is compared with them: a
//! source that is wrong though its checksums hold must not be copied into others. Nothing that was there is given up before what replaces it is
//! durable: a damaged file is replaced in one step, a file on another drive is removed after the
//! commit. A crash leaves the catalogue as it was, and a file that nobody counts.

use std::fmt;
use std::sync::Arc;

use crate::blob::shard::{SUM_LEN, ShardTrailer, UnitSums};
use crate::blob::{BlobPin, Landing, Placement, ShardSet, ShardTicket};

use crate::drive::{Drive, DriveFile, DriveNo, DrivePath, DriveState, SetView, place_shard};
use crate::error::Error;
use crate::layout::{BlobId, HEADER_BYTES, ShardIndex};
use crate::mirror::is_late;
use crate::scrub::{Agreement, BlobShards, DamageRow, RowCode, Rows, ShardFile, damage};
use crate::store::Store;
use crate::table::{Batch, CommitError, Write};
use crate::watch::Watch;

/// A blob that is being healed.
pub(super) struct HealJob {
    store: Store,
    watch: Arc<Watch>,
    shards: BlobShards,
    damage: Option<(DamageRow, u64)>,
    targets: Vec<Target>,
    sources: Vec<Source>,
    manifest: Vec<u8>,
    code: RowCode,
    stage: Stage,
    row: u64,
    /// Shards among the sources of which a unit did not pass.
    bad: ShardSet,
    /// Whether the drive of a source did not answer.
    source_hangs: bool,
    /// Whether sources contradict each other though their checksums hold.
    is_doubtful: bool,
    _kept: BlobPin,
}

/// A shard that is written anew.
struct Target {
    shard: ShardIndex,
    number: DriveNo,
    drive: Arc<dyn Drive>,
    file: Arc<dyn DriveFile>,
    sums: UnitSums,
    /// Whether the drive has the shard already, damaged.
    is_in_place: bool,
    window: Vec<u8>,
    /// INVARIANT: dropped after the file was closed, since its drop removes what does not count. Held
    /// by whatever is under way on the drive, too, so that what comes late finds nobody else there.
    ticket: Arc<ShardTicket>,
}

struct Source {
    shard: ShardIndex,
    drive: DriveNo,
    file: ShardFile,
    rows: Rows,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Writing,
    Comparing { target: usize },
    Publishing,
}

/// What looking at a blob came to.
pub(super) enum Begun {
    Job(Box<HealJob>),
    /// The blob is gone, or has everything.
    Nothing,
    /// Not now.
    Not(Obstacle),
}

/// Why a blob is not healed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// Too little is left of it.
    Beyond {
        /// Shards of which something is left.
        there: u8,
        /// Shards that are needed.
        needed: u8,
        /// The first row that cannot be rebuilt, where enough shards are there but damaged.
        row: Option<u64>,
    },
    /// No drive may take the shards.
    NoDrive,
    /// The drives of the shards in question are away or do not answer, or the blob is being written.
    Waiting,
    /// A row of the tables about it does not open.
    DamagedRow,
    /// Its shards contradict each other; see `strongroom verify`.
    Doubtful,
}

/// What a step came to.
pub(super) enum Step {
    Worked(u64),
    /// Shards healed, and their bytes.
    Healed {
        shards: u8,
        bytes: u64,
    },
    /// Something changed under the job: look again.
    Again,
    Not(Obstacle),
}

impl HealJob {
    /// Looks at a blob, and opens what is needed when there is something to do.
    pub(super) async fn begin(
        store: &Store,
        blob: BlobId,
        leaving: &[DriveNo],
    ) -> Result<Begun, Error> {
        let watch = store.care().heal_watch();
        // First pinned, then looked for: so its files stay if it is there.
        let kept = store.blobs().pin(vec![blob]);
        let Some(shards) = BlobShards::find(store.tables(), blob)? else {
            damage::forget(store.tables(), blob).await?;
            return Ok(Begun::Nothing);
        };
        let found = damage::find(store.tables(), blob)?;
        // Nothing is put where nothing is answered.
        let view = store.drives().view().without_room(&watch.hanging());
        let damaged = found.map_or(ShardSet::EMPTY, |(row, _)| row.shards());
        if found.is_some_and(|(row, _)| row.is_doubtful) {
            return Ok(Begun::Not(Obstacle::Doubtful));
        }
        let wanted = wanted(&shards, damaged, &view, leaving);
        if wanted.is_empty() {
            return Ok(Begun::Nothing);
        }
        let places = match places(&shards, wanted, damaged, &view, leaving) {
            Ok(places) => places,
            Err(obstacle) => return Ok(Begun::Not(obstacle)),
        };
        let Opened {
            sources,
            manifest,
            has_late,
            has_end,
        } = open_sources(store, &shards, damaged);
        let needed = shards.redundancy().data();
        let there = u8::try_from(sources.len()).unwrap_or(u8::MAX);
        let empty = empty_shards(&shards);
        // A note is its manifest: without one there is nothing to heal it from.
        let is_lost = shards.sealed_bytes == 0 && !has_end;
        if is_lost || there.saturating_add(empty) < needed {
            if has_late {
                return Ok(Begun::Not(Obstacle::Waiting));
            }
            return Ok(Begun::Not(Obstacle::Beyond {
                there: if is_lost { 0 } else { there },
                needed: if is_lost { 1 } else { needed },
                row: None,
            }));
        }
        let mut job = Self {
            store: store.clone(),
            watch: Arc::clone(watch),
            shards,
            damage: found,
            targets: Vec::new(),
            sources,
            manifest,
            code: RowCode::new(shards.stripes()),
            stage: Stage::Writing,
            row: 0,
            bad: ShardSet::EMPTY,
            source_hangs: has_late,
            is_doubtful: false,
            _kept: kept,
        };
        for (shard, number, is_in_place) in places {
            if !job.begin_target(shard, number, is_in_place)? {
                return Ok(Begun::Not(Obstacle::Waiting));
            }
        }
        Ok(Begun::Job(Box::new(job)))
    }

    /// The blob.
    pub(super) fn blob(&self) -> BlobId {
        self.shards.blob
    }

    /// Damage that came up in the sources while they were read, but for those that are written
    /// anew.
    pub(super) fn bad_sources(&self) -> ShardSet {
        let targets = self.targets.iter().map(|target| target.shard);
        targets.fold(self.bad, ShardSet::without)
    }

    /// Whether sources contradict each other: nothing is healed from them.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Does a little. After an error, or anything but [`Step::Worked`], the job is over; what it
    /// wrote and does not count goes with it.
    pub(super) async fn step(&mut self) -> Result<Step, Error> {
        match self.stage {
            Stage::Writing => self.write_window(),
            Stage::Comparing { target } => self.compare_window(target),
            Stage::Publishing => self.publish().await,
        }
    }

    /// `false` while another write of the shard to that drive is not over.
    fn begin_target(
        &mut self,
        shard: ShardIndex,
        number: DriveNo,
        is_in_place: bool,
    ) -> Result<bool, Error> {
        let blob = self.shards.blob;
        let drive = self
            .store
            .drives()
            .get(number)
            .ok_or_else(|| gone(number))?;
        let on_it = Arc::clone(&drive);
        if !self.watch.ask(number, move || on_it.has_room())? {
            return Err(Error::NoSpace {
                action: "heal a shard on",
                path: drive.label(),
            });
        }
        let Some(ticket) = self.store.blobs().admit_shard(blob, number) else {
            return Ok(false);
        };
        let ticket = Arc::new(ticket);
        let (on_it, held) = (Arc::clone(&drive), Arc::clone(&ticket));
        let file = self.watch.ask(number, move || {
            let path = DrivePath::blob_in_writing(blob);
            let made = match on_it.create(&path) {
                // Left by a job whose drive would not remove it. Nobody else writes there: the ticket.
                Err(error) if error.is_already_there() => {
                    on_it.remove(&path).and_then(|_| on_it.create(&path))
                }
                made => made,
            };
            drop(held);
            made
        })?;
        let target = Target {
            shard,
            number,
            drive,
            file,
            sums: UnitSums::new(blob, shard),
            is_in_place,
            window: Vec::new(),
            ticket,
        };
        let header = self.shards.header(shard).to_bytes();
        let written = target.ask(&self.watch, move |on| on.file.write_at(0, &header));
        self.targets.push(target);
        written.map(|()| true)
    }

    /// Rebuilds and writes the next rows of every target.
    fn write_window(&mut self) -> Result<Step, Error> {
        let first = self.row;
        let count = WINDOW_ROWS.min(self.shards.rows().saturating_sub(first));
        if count == 0 {
            return self.write_ends();
        }
        let mut bytes = 0_u64;
        for target in &mut self.targets {
            target.window.clear();
        }
        // As many sources as it takes and one to compare them with, also where some of these are not
        // good: only with exactly as many as it takes nothing can be compared.
        let enough = usize::from(self.shards.redundancy().data()).saturating_add(1);
        let mut read = 0_usize;
        for row in first..first.saturating_add(count) {
            let index = usize::try_from(row.saturating_sub(first)).unwrap_or(usize::MAX);
            while !self.can_compare(row, index, read) && read < self.sources.len() {
                let end = read.saturating_add(1).max(enough).min(self.sources.len());
                bytes = bytes.saturating_add(self.read_sources(read..end, first, count));
                read = end;
            }
            if let Some(obstacle) = self.rebuild_row(row, index, read) {
                return Ok(Step::Not(match obstacle {
                    Obstacle::Beyond { .. } if self.source_hangs => Obstacle::Waiting,
                    obstacle => obstacle,
                }));
            }
        }
        let unit = self.shards.stripes().unit();
        let offset = unit.file_offset(first).ok_or(TOO_LONG)?;
        for target in &mut self.targets {
            if target.window.is_empty() {
                continue;
            }
            target.sums.write(unit, first, &mut target.window);
            let window = std::mem::take(&mut target.window);
            target.window = target.ask(&self.watch, move |on| {
                on.file.write_at(offset, &window)?;
                Ok(window)
            })?;
            bytes = bytes.saturating_add(u64::try_from(target.window.len()).unwrap_or(0));
        }
        self.row = first.saturating_add(count);
        Ok(Step::Worked(bytes))
    }

    fn read_sources(&mut self, which: std::ops::Range<usize>, first: u64, count: u64) -> u64 {
        let mut bytes = 0_u64;
        for source in self.sources.get_mut(which).unwrap_or_default() {
            let (file, mut rows) = (source.file.clone(), std::mem::take(&mut source.rows));
            let read = self.watch.ask(source.drive, move || {
                file.read(first, count, &mut rows);
                Ok(rows)
            });
            let Ok(rows) = read else {
                // No damage: the drive does not answer.
                self.source_hangs = true;
                continue;
            };
            source.rows = rows;
            bytes = bytes.saturating_add(source.rows.len());
            if source.rows.good().contains(&false) {
                self.bad = self.bad.with(source.shard);
            }
        }
        bytes
    }

    /// Whether the sources read so far have enough good units in a row for every target, and one
    /// more.
    fn can_compare(&self, row: u64, index: usize, read: usize) -> bool {
        let needed = usize::from(self.shards.redundancy().data());
        let good = self
            .sources
            .iter()
            .take(read)
            .filter(|source| source.rows.unit(index).is_some());
        let stripes = self.shards.stripes();
        let empty = self.shards.redundancy().each_shard().filter(|shard| {
            stripes
                .unit_len(self.shards.sealed_bytes, *shard, row)
                .is_none()
        });
        good.count().saturating_add(empty.count()) > needed
    }

    /// Appends the unit of a row to the window of each target.
    fn rebuild_row(&mut self, row: u64, index: usize, read: usize) -> Option<Obstacle> {
        let stripes = self.shards.stripes();
        let sealed_bytes = self.shards.sealed_bytes;
        let sources = self.sources.get(..read).unwrap_or_default();
        let units: Vec<(ShardIndex, &[u8])> = sources
            .iter()
            .filter_map(|source| Some((source.shard, source.rows.unit(index)?)))
            .collect();
        if let Agreement::Wrong(_) | Agreement::Doubtful =
            self.code.compare(sealed_bytes, row, &units)
        {
            self.is_doubtful = true;
            return Some(Obstacle::Doubtful);
        }
        for target in &mut self.targets {
            let Some(len) = stripes.unit_len(sealed_bytes, target.shard, row) else {
                continue;
            };
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let own = units.iter().find(|(shard, _)| *shard == target.shard);
            let start = target.window.len();
            if let Some((_, unit)) = own {
                target.window.extend_from_slice(unit);
            } else {
                target.window.resize(start.saturating_add(len), 0);
                let out = target.window.get_mut(start..).unwrap_or_default();
                let code = &mut self.code;
                if !code.rebuild(sealed_bytes, row, &units, target.shard, out) {
                    return Some(Obstacle::Beyond {
                        there: u8::try_from(self.sources.len()).unwrap_or(u8::MAX),
                        needed: stripes.redundancy().data(),
                        row: Some(row),
                    });
                }
            }
            target.window.extend_from_slice(&[0; SUM_LEN]);
        }
        None
    }

    /// Manifest, trailer and flush of every target.
    fn write_ends(&mut self) -> Result<Step, Error> {
        let stripes = self.shards.stripes();
        let BlobShards {
            blob, sealed_bytes, ..
        } = self.shards;
        let trailer = ShardTrailer::new(blob, stripes.unit(), sealed_bytes, &self.manifest);
        let trailer = trailer.ok_or(TOO_LONG)?;
        let mut end = self.manifest.clone();
        end.extend_from_slice(&trailer.to_bytes());
        for target in &self.targets {
            let offset = stripes
                .shard_bytes(sealed_bytes, target.shard)
                .and_then(|bytes| stripes.unit().slots_bytes(bytes))
                .and_then(|slots| slots.checked_add(u64::from(HEADER_BYTES)))
                .ok_or(TOO_LONG)?;
            let end = end.clone();
            target.ask_long(&self.watch, move |on| {
                on.file.write_at(offset, &end)?;
                on.file.sync()
            })?;
        }
        self.row = 0;
        self.stage = Stage::Comparing { target: 0 };
        Ok(Step::Worked(u64::try_from(end.len()).unwrap_or(0)))
    }

    /// Reads back what was written.
    fn compare_window(&mut self, at: usize) -> Result<Step, Error> {
        let Some(target) = self.targets.get(at) else {
            self.stage = Stage::Publishing;
            return Ok(Step::Worked(0));
        };
        let (shards, shard, row) = (self.shards, target.shard, self.row);
        let compared = target.ask(&self.watch, move |on| {
            let opened = shards.open_in_writing(on.drive.as_ref(), shard)?;
            let (Some(file), None) = (opened.file, opened.fault) else {
                return Ok(None);
            };
            let mut rows = Rows::default();
            file.read(row, WINDOW_ROWS, &mut rows);
            let is_whole = !rows.good().contains(&false);
            Ok(is_whole.then(|| (rows.len(), file.units())))
        });
        let (bytes, units) = compared?.ok_or_else(|| self.not_as_written())?;
        self.row = self.row.saturating_add(WINDOW_ROWS);
        if self.row >= units {
            self.row = 0;
            self.stage = Stage::Comparing {
                target: at.saturating_add(1),
            };
        }
        Ok(Step::Worked(bytes))
    }

    fn not_as_written(&self) -> Error {
        Error::CorruptedShard {
            blob: self.shards.blob,
            reason: "what was healed reads back different",
        }
    }

    /// Gives the files their names, then commits.
    async fn publish(&mut self) -> Result<Step, Error> {
        for target in &self.targets {
            let path = DrivePath::blob(self.shards.blob);
            let writing = DrivePath::blob_in_writing(self.shards.blob);
            let is_in_place = target.is_in_place;
            target.ask_long(&self.watch, move |on| {
                on.drive.rename_over(&writing, &path)?;
                // What took the place of a damaged file is whole, and stays whatever comes.
                on.ticket.reached(if is_in_place {
                    Landing::Kept
                } else {
                    Landing::Published
                });
                on.drive.sync_folder(path.folder())
            })?;
        }
        let before = (self.shards.keeping.placement, self.shards.keeping.owed);
        let mut after = before;
        let mut damaged = self.damage.map_or(ShardSet::EMPTY, |(row, _)| row.shards());
        for target in &self.targets {
            after.0 = after
                .0
                .moved(target.shard, target.number)
                .ok_or(Error::Misuse {
                    what: "two shards of a blob healed onto one drive",
                })?;
            after.1 = after.1.without(target.shard);
            damaged = damaged.without(target.shard);
        }
        let mut batch = Batch::default();
        if after != before {
            batch.writes.push(Write::MoveShards {
                blob: self.shards.blob,
                expected: before,
                to: after,
            });
        }
        if let Some((row, seq)) = self.damage {
            let condition = damage::unchanged(self.shards.blob, Some(seq));
            batch.preconditions.push(condition);
            let write = damage::write(self.shards.blob, row.with(damaged));
            batch.writes.push(write);
        }
        match self.store.tables().commit(batch).await {
            Ok(_) => {
                self.keep();
                Ok(self.healed())
            }
            Err(
                CommitError::Precondition { .. }
                | CommitError::Store(Error::ShardsChanged { .. } | Error::BlobNotFound { .. }),
            ) => Ok(Step::Again),
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Unknown) => {
                // The log decides at the next start, which also removes what does not count.
                self.keep();
                Err(Error::Closed)
            }
        }
    }

    fn keep(&self) {
        for target in &self.targets {
            target.ticket.reached(Landing::Kept);
        }
    }

    fn healed(&self) -> Step {
        let files = self.targets.iter();
        let bytes = files.map(|target| self.shards.file_bytes(target.shard));
        Step::Healed {
            shards: u8::try_from(self.targets.len()).unwrap_or(u8::MAX),
            bytes: bytes.fold(0, u64::saturating_add),
        }
    }
}

/// What a job on the drive of a target may touch.
struct OnTarget {
    drive: Arc<dyn Drive>,
    file: Arc<dyn DriveFile>,
    /// The last to be let go of.
    ticket: Arc<ShardTicket>,
}

impl Target {
    /// Has something done on the drive. What is given up on keeps the ticket until it is over.
    fn ask<T: Send + 'static>(
        &self,
        watch: &Watch,
        act: impl FnOnce(&OnTarget) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let on = self.on();
        watch.ask(self.number, move || act(&on))
    }

    /// The same for flushes.
    fn ask_long<T: Send + 'static>(
        &self,
        watch: &Watch,
        act: impl FnOnce(&OnTarget) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let on = self.on();
        watch.ask_long(self.number, move || act(&on))
    }

    fn on(&self) -> OnTarget {
        OnTarget {
            drive: Arc::clone(&self.drive),
            file: Arc::clone(&self.file),
            ticket: Arc::clone(&self.ticket),
        }
    }
}

/// The shards of a blob that should be somewhere else than they are, or are nowhere whole.
fn wanted(shards: &BlobShards, damaged: ShardSet, view: &SetView, leaving: &[DriveNo]) -> ShardSet {
    let is_wanted = |shard: &ShardIndex| {
        let drive = shards.keeping.placement.drive(*shard);
        let leaves = drive.is_none_or(|drive| {
            let state = view.state(drive);
            leaving.contains(&drive)
                || matches!(
                    state,
                    DriveState::Draining | DriveState::Lost | DriveState::Removed
                )
        });
        leaves || damaged.has(*shard) || shards.keeping.owed.has(*shard)
    };
    shards.redundancy().each_shard().filter(is_wanted).collect()
}

type Place = (ShardIndex, DriveNo, bool);

/// Where each wanted shard is to be written, and whether it is there already, damaged. Those that
/// have no place now are left out; an error when all are.
fn places(
    shards: &BlobShards,
    wanted: ShardSet,
    damaged: ShardSet,
    view: &SetView,
    leaving: &[DriveNo],
) -> Result<Vec<Place>, Obstacle> {
    let mut placement: Placement = shards.keeping.placement;
    let mut places = Vec::new();
    let mut obstacle = Obstacle::NoDrive;
    for shard in wanted.each() {
        let drive = placement.drive(shard);
        let is_damaged = damaged.has(shard) && !shards.keeping.owed.has(shard);
        if let Some(drive) = drive.filter(|drive| is_damaged && !leaving.contains(drive)) {
            match view.state(drive) {
                DriveState::Online if view.member(drive).is_some_and(|of| of.has_room) => {
                    places.push((shard, drive, true));
                    continue;
                }
                // A full drive holds up nobody: another one may take the shard.
                DriveState::Online => obstacle = Obstacle::Waiting,
                DriveState::Missing | DriveState::OutOfService => {
                    obstacle = Obstacle::Waiting;
                    continue;
                }
                DriveState::Draining | DriveState::Lost | DriveState::Removed => {}
            }
        }
        let to = place_shard(
            view,
            shards.keeping.policy,
            shards.redundancy(),
            placement.as_slice(),
            usize::from(shard.0),
            shards.blob,
        );
        if to.is_some() && to == drive && !is_damaged && !shards.keeping.owed.has(shard) {
            // It lies there, whole: the drive answered again while this was decided.
            obstacle = Obstacle::Waiting;
            continue;
        }
        if let Some((to, moved)) = to.and_then(|to| Some((to, placement.moved(shard, to)?))) {
            placement = moved;
            places.push((shard, to, is_damaged && Some(to) == drive));
        }
    }
    if places.is_empty() {
        return Err(obstacle);
    }
    Ok(places)
}

/// What can be read of a blob.
struct Opened {
    sources: Vec<Source>,
    manifest: Vec<u8>,
    /// Whether a drive did not answer.
    has_late: bool,
    /// Whether some shard has an end, even a damaged one.
    has_end: bool,
}

/// Every shard of which something can be read, the ones without known damage first, and the
/// manifest that they have.
fn open_sources(store: &Store, shards: &BlobShards, damaged: ShardSet) -> Opened {
    let watch = store.care().heal_watch();
    let mut sources: Vec<Source> = Vec::new();
    let (mut manifests, mut unproven) = (Vec::new(), Vec::new());
    let mut has_late = false;
    let mut add = |shard: ShardIndex, number: DriveNo, sources: &mut Vec<Source>| {
        let drive = store.drives().get(number)?;
        let of = *shards;
        let opened = watch.ask(number, move || of.open(drive.as_ref(), shard));
        has_late |= opened.as_ref().is_err_and(is_late);
        let opened = opened.ok()?;
        let other = opened.misplaced_shard(shards.blob);
        if let Some(file) = opened.file.filter(|_| other.is_none())
            && sources.iter().all(|source| source.shard != shard)
        {
            sources.push(Source {
                shard,
                drive: number,
                file,
                rows: Rows::default(),
            });
        }
        manifests.extend(opened.manifest);
        unproven.extend(opened.unproven);
        other.map(|other| (other, number))
    };
    let mut misplaced = Vec::new();
    for (shard, drive) in shards.placed() {
        if let Some((other, _)) = add(shard, drive, &mut sources) {
            misplaced.push((other, drive));
        }
    }
    // Shards of this blob that lie in each other's place are whole all the same.
    for (shard, drive) in misplaced {
        add(shard, drive, &mut sources);
    }
    sources.sort_by_key(|source| (damaged.has(source.shard), source.shard));
    let mut manifest = most_agreed(&manifests);
    if manifests.is_empty() {
        manifest = most_agreed(&unproven);
    }
    Opened {
        sources,
        manifest,
        has_late,
        has_end: !(manifests.is_empty() && unproven.is_empty()),
    }
}

/// The manifest that most shards have. None counts only where there is no other: it stands on a
/// shard that was healed when none could be read.
fn most_agreed(manifests: &[Vec<u8>]) -> Vec<u8> {
    let votes = |wanted: &Vec<u8>| {
        manifests
            .iter()
            .filter(|manifest| *manifest == wanted)
            .count()
    };
    let some = manifests.iter().filter(|manifest| !manifest.is_empty());
    some.max_by_key(|manifest| votes(manifest))
        .cloned()
        .unwrap_or_default()
}

/// Data shards that have no unit at all: they count as zeros and need no file.
fn empty_shards(shards: &BlobShards) -> u8 {
    let stripes = shards.stripes();
    let empty = shards.redundancy().each_shard().filter(|shard| {
        let units = stripes.shard_units(shards.sealed_bytes, *shard);
        units == Some(0)
    });
    u8::try_from(empty.count()).unwrap_or(u8::MAX)
}

fn gone(drive: DriveNo) -> Error {
    Error::DriveOutOfService {
        drive: drive.to_string(),
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beyond {
                there,
                needed,
                row: None,
            } => write!(f, "{there} shards are there, {needed} are needed"),
            Self::Beyond {
                there,
                needed,
                row: Some(row),
            } => write!(
                f,
                "{there} shards are there, but too many of them are damaged at unit {row} \
                 ({needed} good ones are needed)"
            ),
            Self::NoDrive => f.write_str("no drive can take the shards"),
            Self::Waiting => f.write_str("a drive of its shards is away or does not answer"),
            Self::DamagedRow => f.write_str(
                "a row of the tables about it is damaged: scrub makes it anew where that can be",
            ),
            Self::Doubtful => f.write_str(
                "its shards contradict each other and all checksums hold: see strongroom verify",
            ),
        }
    }
}

/// Rows rebuilt at once.
const WINDOW_ROWS: u64 = 8;
const TOO_LONG: Error = Error::TooLarge { what: "the blob" };
