// SPDX-License-Identifier: Apache-2.0
//! The worker: a pass over all buckets with rules, page by page, once a day.
//!
//! It is stepped, not run: whoever owns it says when the next page comes, and a test takes the
//! clock into its hands. A pass begins when a day of lifecycle began that none was made for, or
//! when rules were set.

use std::ops::Bound;

use futures_util::StreamExt;
use strongroom_audit::{Audit, Receipt, RequestFacts, UserIdentity};
use strongroom_store::Row;
use strongroom_store::table::ScannedRow;
use tokio::sync::watch;

use super::carry_out::{Done, Task, name_of};
use super::due::{Act, Rules, Standing, Version};
use super::move_version::{Moves, is_for_now};
use super::progress::{Mark, Progress};
use super::rules::{LifecycleConfiguration, LifecycleRow, LifecycleRule};
use crate::error::Error;
use crate::multipart::upload_id;
use crate::objects::{Bucket, Objects};
use crate::rewrap::is_damage;
use crate::rows::{self, UploadRow, Versioning};
use crate::table_key::{self, LIFECYCLE, UPLOADS, VERSIONS, object_prefix, prefix_end};
use crate::verify::Findings;
use crate::version::Found;

/// Rows of one step.
const ROWS_PER_STEP: usize = 256;
/// Their commits and events share flushes.
const TASKS_AT_ONCE: usize = 16;
/// After so many steps the place is written down.
const STEPS_PER_SAVE: u32 = 64;

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct LifecycleReport {
    /// Rows that were looked at.
    pub seen: u64,
    /// Objects deleted for good.
    pub expired: u64,
    /// Delete markers put on objects.
    pub markers_made: u64,
    /// Delete markers taken away that had nothing behind them.
    pub markers_removed: u64,
    /// Noncurrent versions deleted for good.
    pub versions_removed: u64,
    /// Versions that got another class.
    pub moved: u64,
    /// Uploads aborted.
    pub uploads_aborted: u64,
    /// What could not be done, each with the reason.
    pub failed: Findings,
    /// Whether this step ended a pass.
    pub finished: bool,
}

impl LifecycleReport {
    /// How much was done.
    pub fn done(&self) -> u64 {
        let all = [
            self.expired,
            self.markers_made,
            self.markers_removed,
            self.versions_removed,
            self.moved,
            self.uploads_aborted,
        ];
        all.into_iter().fold(0, u64::saturating_add)
    }

    /// Adds what another step did; failures were told by then.
    pub fn add(&mut self, step: &Self) {
        for (sum, more) in [
            (&mut self.seen, step.seen),
            (&mut self.expired, step.expired),
            (&mut self.markers_made, step.markers_made),
            (&mut self.markers_removed, step.markers_removed),
            (&mut self.versions_removed, step.versions_removed),
            (&mut self.moved, step.moved),
            (&mut self.uploads_aborted, step.uploads_aborted),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.finished |= step.finished;
    }
}

/// Carries out the lifecycle rules of all buckets.
#[derive(Debug)]
pub struct LifecycleWorker {
    objects: Objects,
    audit: Audit,
    moves: Moves,
    progress: Option<Progress>,
    pass: Option<Pass>,
    /// The rules that the last pass began with.
    changes: u64,
    unsaved_steps: u32,
}

/// A pass under way.
#[derive(Debug)]
struct Pass {
    mark: Mark,
    /// The name of the last row that was looked at, if there may be more of it.
    name: Option<NameState>,
    /// There is no bucket behind the last one.
    ended: bool,
    /// There were rules.
    looked: bool,
}

/// What is known of the name that is being looked at.
#[derive(Debug, Clone)]
struct NameState {
    name: String,
    /// The key of its newest row.
    newest_key: Vec<u8>,
    /// When the row was made that was looked at last: the next one is noncurrent since then.
    last_created_ms: u64,
    /// Noncurrent versions so far.
    noncurrent: u32,
    /// A row could not be read: of what is older nobody can say since when it is noncurrent.
    unknown: bool,
}

impl NameState {
    fn unknown(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            newest_key: Vec::new(),
            last_created_ms: 0,
            noncurrent: 0,
            unknown: true,
        }
    }
}

/// The bucket that is being looked at.
struct Place {
    bucket: Bucket,
    configuration: LifecycleConfiguration,
}

impl LifecycleWorker {
    /// A worker over these rooms.
    pub fn new(objects: &Objects, audit: &Audit) -> Self {
        Self {
            objects: objects.clone(),
            audit: audit.clone(),
            moves: Moves::default(),
            progress: None,
            pass: None,
            changes: 0,
            unsaved_steps: 0,
        }
    }

    /// The same, but bodies that are on their way to another class are given up when `stop` turns
    /// true: the step then ends with an error, and what it left is due at the next start.
    #[must_use]
    pub fn until(mut self, stop: watch::Receiver<bool>) -> Self {
        self.moves.stop = Some(stop);
        self
    }

    /// The same, but what was moved of a large upload is committed after so many bytes: for tests.
    #[must_use]
    pub fn committing_after(mut self, bytes: u64) -> Self {
        self.moves.bytes_per_commit = bytes;
        self
    }

    /// Looks at the next page and does what is due in it. `None`: nothing is to be done before
    /// the next day, or before rules are set.
    pub async fn step(&mut self) -> Result<Option<LifecycleReport>, Error> {
        let seen_ms = self.objects.kms().see_time().await.map_err(Error::Kms)?;
        let now_ms = self.objects.now_ms().min(seen_ms);
        let day = now_ms / self.objects.options().day_ms.max(1);
        if self.pass.is_none() && !self.begin(day)? {
            return Ok(None);
        }
        let mut report = LifecycleReport::default();
        match self.place(&mut report)? {
            None => self.finish(&mut report).await?,
            Some(place) => {
                let uploads = self.pass.as_mut().is_some_and(|pass| {
                    pass.looked = true;
                    pass.mark.uploads
                });
                let facts = facts()?;
                let receipt = self.audit.begin(facts);
                let looked = if uploads {
                    self.uploads(&place, &receipt, now_ms, &mut report).await
                } else {
                    self.versions(&place, &receipt, now_ms, &mut report).await
                };
                receipt.finish_recorded();
                looked?;
                self.unsaved_steps += 1;
                if self.unsaved_steps >= STEPS_PER_SAVE {
                    self.save().await?;
                }
            }
        }
        Ok(Some(report))
    }

    /// Begins a pass, or goes on with one, if there is reason to.
    fn begin(&mut self, day: u64) -> Result<bool, Error> {
        let progress = match self.progress.take() {
            Some(progress) => progress,
            None => self.objects.lifecycle_progress()?,
        };
        let changes = self.objects.lifecycle().changes();
        let mark = progress.mark.clone().filter(|mark| mark.day == day);
        let is_due = progress.finished_day != Some(day) || changes != self.changes;
        self.progress = Some(progress);
        if mark.is_none() && !is_due {
            return Ok(false);
        }
        self.changes = changes;
        self.pass = Some(Pass {
            mark: mark.unwrap_or(Mark {
                day,
                bucket_uid: [0; 16],
                uploads: false,
                from: Vec::new(),
            }),
            name: None,
            ended: false,
            looked: false,
        });
        Ok(true)
    }

    async fn finish(&mut self, report: &mut LifecycleReport) -> Result<(), Error> {
        report.finished = true;
        if let (Some(pass), Some(progress)) = (self.pass.take(), self.progress.as_mut()) {
            progress.finished_day = Some(pass.mark.day);
            // Where nobody has rules nothing is written.
            let looked = pass.looked || progress.mark.take().is_some();
            progress.mark = None;
            if looked {
                return self.save().await;
            }
        }
        Ok(())
    }

    /// Writes down where the pass is.
    pub async fn save(&mut self) -> Result<(), Error> {
        self.unsaved_steps = 0;
        let Some(progress) = self.progress.as_mut() else {
            return Ok(());
        };
        if let Some(pass) = &self.pass {
            let mut mark = pass.mark.clone();
            if let Some(state) = &pass.name {
                // What a name's versions are due for shows only from its newest.
                mark.from = object_prefix(&mark.bucket_uid, &state.name);
            }
            progress.mark = Some(mark);
        }
        self.objects.save_lifecycle_progress(progress).await
    }

    /// The bucket that is next; `None` at the end of the pass.
    fn place(&mut self, report: &mut LifecycleReport) -> Result<Option<Place>, Error> {
        let Some(pass) = self.pass.as_mut() else {
            return Ok(None);
        };
        while !pass.ended {
            let from = pass.mark.bucket_uid;
            let found = self.objects.tables().scan_each(
                LIFECYCLE,
                Bound::Included(&from),
                Bound::Unbounded,
                1,
                false,
            )?;
            let Some((key, row)) = found.into_iter().next() else {
                return Ok(None);
            };
            let uid: [u8; 16] = key.try_into().map_err(|_| Error::Corrupted {
                what: "key of a lifecycle configuration".to_owned(),
            })?;
            if uid != from {
                pass.go_to(uid);
            }
            let read = row.map_err(Error::from);
            let read = read.and_then(|row| {
                rows::decode::<LifecycleRow>(&row.value, "lifecycle configuration")
            });
            let read = read.and_then(|row| {
                let bucket = self.objects.find_bucket(&row.bucket)?;
                Ok(bucket.map(|bucket| (bucket, row.configuration)))
            });
            // What acts is what is stored now: rules that were set or forgotten while the pass is
            // under way act from the next page on, or not any more.
            match read {
                Ok(Some((bucket, configuration))) if bucket.uid() == &uid => {
                    return Ok(Some(Place {
                        bucket,
                        configuration,
                    }));
                }
                Ok(_) => {}
                Err(error) if is_damage(&error) => {
                    report.failed.push(format!("rules of a bucket: {error}"));
                }
                Err(error) => return Err(error),
            }
            pass.go_behind(uid);
        }
        Ok(None)
    }

    fn page(
        &self,
        table: strongroom_store::TableId,
        place: &Place,
    ) -> Result<Vec<ScannedRow>, Error> {
        let uid = place.bucket.uid();
        let end = prefix_end(uid);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let from = self.pass.as_ref().map(|pass| pass.mark.from.as_slice());
        let from = from.filter(|from| !from.is_empty()).unwrap_or(uid);
        let lower = Bound::Included(from);
        let tables = self.objects.tables();
        Ok(tables.scan_each(table, lower, upper, ROWS_PER_STEP, false)?)
    }

    /// Versions: what is due is found in order, and done together.
    async fn versions(
        &mut self,
        place: &Place,
        receipt: &Receipt,
        now_ms: u64,
        report: &mut LifecycleReport,
    ) -> Result<(), Error> {
        let acts = place.configuration.rules().iter().any(acts_on_versions);
        let page = if acts {
            self.page(VERSIONS, place)?
        } else {
            Vec::new()
        };
        let last = page.last().map(|(key, _)| key.clone());
        let is_full = page.len() == ROWS_PER_STEP;
        // Stays where it is until the page is done: after an error the page is looked at again, and
        // what is known of its first name with it.
        let mut name = self.pass.as_ref().and_then(|pass| pass.name.clone());
        let mut tasks = Vec::new();
        for (key, row) in page {
            report.seen = report.seen.saturating_add(1);
            let shown = name_of(&key);
            match self.judge(place, key, row, now_ms, &mut name) {
                Ok(task) => tasks.extend(task),
                Err(error) if is_damage(&error) => {
                    name = Some(NameState::unknown(&shown));
                    report.failed.push(shown_as(&place.bucket, &shown, &error));
                }
                Err(error) => return Err(error),
            }
        }
        let (objects, bucket) = (self.objects.clone(), &place.bucket);
        let moves = &self.moves;
        let work = tasks.into_iter().map(|task| {
            let (objects, name) = (objects.clone(), task.name.clone());
            let is_move = matches!(task.act, Act::Move(_));
            async move {
                let done = objects.carry_out(receipt, bucket, moves, task).await;
                (name, is_move, done)
            }
        });
        let mut work = futures_util::stream::iter(work).buffered(TASKS_AT_ONCE);
        // What was begun is done and recorded, whatever becomes of one of them.
        let mut ended = Ok(());
        while let Some((name, is_move, done)) = work.next().await {
            match done {
                // Others may be moved, and what expires makes room.
                Err(error) if is_move && is_for_now(&error) => {
                    report.failed.push(shown_as(bucket, &name, &error));
                }
                done => ended = ended.and(count(report, bucket, &name, done)),
            }
        }
        drop(work);
        ended?;
        if let Some(pass) = self.pass.as_mut() {
            match last.filter(|_| is_full) {
                Some(last) => {
                    pass.mark.from = [last.as_slice(), &[0]].concat();
                    pass.name = name;
                }
                None => pass.go_to_uploads(),
            }
        }
        Ok(())
    }

    /// Holds the rules against one row.
    fn judge(
        &self,
        place: &Place,
        key: Vec<u8>,
        row: Result<Row, strongroom_store::Error>,
        now_ms: u64,
        state: &mut Option<NameState>,
    ) -> Result<Option<Task>, Error> {
        let (name, _) = table_key::split_version_key(&key).ok_or_else(|| Error::Corrupted {
            what: "key of a version row".to_owned(),
        })?;
        let found = Found::read(key, &row?)?;
        let created_ms = found.entry.created_ms();
        let (size, class) = match found.entry.object() {
            Some(row) => (row.size, Some(row.class)),
            None => (0, None),
        };
        let before = state.take().filter(|state| state.name == name);
        if let Some(unknown) = before.as_ref().filter(|before| before.unknown) {
            *state = Some(unknown.clone());
            return Ok(None);
        }
        let standing = match &before {
            Some(newer) => Standing::Noncurrent {
                // Not before it was made, whatever the clock said when the newer one came.
                since_ms: newer.last_created_ms.max(created_ms),
                newer: newer.noncurrent,
            },
            None => Standing::Current {
                alone: class.is_none() && self.is_alone(place, &name)?,
                kept: place.keeps(&found),
            },
        };
        let rules = Rules {
            configuration: &place.configuration,
            options: self.objects.options(),
        };
        let version = Version {
            name: &name,
            size,
            created_ms,
            class,
        };
        let due = rules.due(version, standing, now_ms);
        let task = due.map(|due| Task {
            name: name.clone(),
            newest_key: before.as_ref().map(|newer| newer.newest_key.clone()),
            act: due.act,
            rule_id: due.rule.id.clone(),
            found: found.clone(),
        });
        *state = Some(match before {
            Some(newer) => NameState {
                last_created_ms: created_ms,
                noncurrent: newer.noncurrent.saturating_add(1),
                ..newer
            },
            None => NameState {
                name,
                newest_key: found.table_key,
                last_created_ms: created_ms,
                noncurrent: 0,
                unknown: false,
            },
        });
        Ok(task)
    }

    fn is_alone(&self, place: &Place, name: &str) -> Result<bool, Error> {
        let prefix = object_prefix(place.bucket.uid(), name);
        let end = prefix_end(&prefix);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.objects.tables();
        let all = tables.scan_each(VERSIONS, Bound::Included(&prefix), upper, 2, false)?;
        Ok(all.len() == 1)
    }

    async fn uploads(
        &mut self,
        place: &Place,
        receipt: &Receipt,
        now_ms: u64,
        report: &mut LifecycleReport,
    ) -> Result<(), Error> {
        let mut rules = place.configuration.rules().iter();
        let acts = rules.any(|rule| rule.enabled && rule.abort_days.is_some());
        let page = if acts {
            self.page(UPLOADS, place)?
        } else {
            Vec::new()
        };
        let last = page.last().map(|(key, _)| key.clone());
        let is_full = page.len() == ROWS_PER_STEP;
        for (key, row) in page {
            report.seen = report.seen.saturating_add(1);
            let name = name_of(&key);
            let done = self.upload(place, receipt, &name, row, now_ms).await;
            count(report, &place.bucket, &name, done)?;
        }
        if let Some(pass) = self.pass.as_mut() {
            match last.filter(|_| is_full) {
                Some(last) => pass.mark.from = [last.as_slice(), &[0]].concat(),
                None => pass.go_behind(*place.bucket.uid()),
            }
        }
        Ok(())
    }

    async fn upload(
        &self,
        place: &Place,
        receipt: &Receipt,
        name: &str,
        row: Result<Row, strongroom_store::Error>,
        now_ms: u64,
    ) -> Result<Done, Error> {
        let row: UploadRow = rows::decode(&row?.value, "upload row")?;
        let rules = Rules {
            configuration: &place.configuration,
            options: self.objects.options(),
        };
        match rules.abort(name, row.initiated_ms) {
            Some((at_ms, rule)) if at_ms <= now_ms => {
                let id = upload_id(&row.upload_uid);
                let (objects, bucket) = (&self.objects, &place.bucket);
                objects
                    .abort_by_rule(receipt, bucket, name, &id, &rule.id)
                    .await
            }
            Some(_) | None => Ok(Done::Nothing),
        }
    }
}

impl Place {
    /// Whether a delete without a version id leaves the bytes of the current entry.
    fn keeps(&self, current: &Found) -> bool {
        match self.bucket.row.versioning {
            Versioning::Off => false,
            Versioning::Enabled => true,
            Versioning::Suspended => !current.entry.is_null(),
        }
    }
}

impl Pass {
    fn go_to(&mut self, bucket_uid: [u8; 16]) {
        self.mark.bucket_uid = bucket_uid;
        self.mark.uploads = false;
        self.mark.from = Vec::new();
        self.name = None;
    }

    fn go_behind(&mut self, bucket_uid: [u8; 16]) {
        match u128::from_be_bytes(bucket_uid).checked_add(1) {
            Some(next) => self.go_to(next.to_be_bytes()),
            None => self.ended = true,
        }
    }

    fn go_to_uploads(&mut self) {
        self.mark.uploads = true;
        self.mark.from = Vec::new();
        self.name = None;
    }
}

fn acts_on_versions(rule: &LifecycleRule) -> bool {
    let silent = rule.expiration.is_none()
        && rule.transitions.is_empty()
        && rule.noncurrent_expiration.is_none()
        && rule.noncurrent_transitions.is_empty();
    rule.enabled && !silent
}

/// Counts what was done. Damage is told and passed over; a store or an audit log that does not
/// go on ends the step.
fn count(
    report: &mut LifecycleReport,
    bucket: &Bucket,
    name: &str,
    done: Result<Done, Error>,
) -> Result<(), Error> {
    match done {
        Ok(done) => done.count(report),
        Err(error) if is_damage(&error) => report.failed.push(shown_as(bucket, name, &error)),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn shown_as(bucket: &Bucket, name: &str, error: &Error) -> String {
    format!("s3://{}/{name}: {error}", bucket.name)
}

/// The service that acts by rules.
fn facts() -> Result<RequestFacts, Error> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Internal("no randomness"))?;
    Ok(RequestFacts {
        request_id: hex::encode_upper(random),
        source_ip: SERVICE.to_owned(),
        user_agent: SERVICE.to_owned(),
        host: String::new(),
        tls: None,
        identity: UserIdentity::AwsService {
            invoked_by: SERVICE.to_owned(),
        },
    })
}

const SERVICE: &str = "s3.amazonaws.com";
