// SPDX-License-Identifier: Apache-2.0
//! Removing the files of blobs that do not count: abandoned uploads, released blobs, shards that
//! lie elsewhere by now.
//!
//! Every blob being written holds a `Ticket`, and every shard of it a `ShardTicket`. A shard's
//! ticket is dropped with its writer or with the proof; unless the blob was adopted with that
//! shard by then, the file goes. One thread for each drive does the removals, so that neither a
//! request nor a destructor waits for a drive, and no drive for another. What it cannot remove (a
//! crash, a drive that is away) is found by the orphan collection of the next start, or of the
//! drive's return. Of a drive that does not answer only so many files are remembered one by one; the
//! others are counted, and a collection of orphans finds them when it answers again
//! ([`crate::heal`]).
//!
//! A reader that found blobs by a row pins them before it reads: the files of pinned blobs stay
//! until the last pin is dropped, so an overwrite or a delete never takes bytes away from an
//! answer that has begun. The catalogue forgets a released blob at once; where its files are is
//! kept here as long as somebody may ask.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::catalog::CatalogRow;
use crate::drive::{Drive, DriveNo, DrivePath, DriveSet};
use crate::error::Error;
use crate::layout::BlobId;

/// Files that rows stop standing for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Departure {
    /// Nothing refers to the blob any more.
    Blob {
        /// The blob.
        blob: BlobId,
        /// Its last catalogue row.
        row: CatalogRow,
    },
    /// Shards of the blob lie elsewhere.
    Shards {
        /// The blob.
        blob: BlobId,
        /// The drives that have none any more.
        drives: Vec<DriveNo>,
    },
}

/// What the committer tells of a departure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Release {
    /// The commit is on its way. Told before readers can see it.
    Planned(Departure),
    /// The commit is on stable storage.
    Durable(Departure),
}

/// Hands files to the removing threads. Clones share the threads, which end with the last clone.
#[derive(Clone, Debug)]
pub struct BlobReclaimer {
    remover: Arc<Remover>,
    in_flight: InFlight,
    pins: Pins,
}

/// Keeps the files of some blobs from being removed. Dropping it lets them go.
#[derive(Debug)]
pub struct BlobPin {
    blobs: Vec<BlobId>,
    reclaimer: BlobReclaimer,
}

type Pins = Arc<Mutex<PinTable>>;

#[derive(Debug, Default)]
struct PinTable {
    pinned: HashMap<BlobId, Pinned>,
    /// Blobs whose release is planned and not carried out: the catalogue may have forgotten them.
    leaving: HashMap<BlobId, CatalogRow>,
}

/// Pins of one blob.
#[derive(Debug, Default)]
struct Pinned {
    count: usize,
    /// The blob was released meanwhile: its files, which go with the last pin.
    released: Option<CatalogRow>,
}

/// The removing threads. Dropping it waits for them, so that the drives are let go by then.
struct Remover {
    drives: DriveSet,
    inline: bool,
    /// Files of one drive that may wait.
    waiting_max: usize,
    threads: Mutex<HashMap<DriveNo, RemovingThread>>,
    /// How many files of each drive found no room.
    left: Mutex<BTreeMap<DriveNo, u64>>,
}

struct RemovingThread {
    jobs: Sender<Job>,
    /// Files that wait, with the one that is being removed.
    waiting: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
    /// Nothing is sent; closed when the thread has ended.
    ended: Receiver<()>,
}

enum Job {
    /// Remove the file; then its shard is no longer in flight.
    Remove(DrivePath, Option<FlightEnd>),
    /// Answer when everything before was done.
    Reached(SyncSender<()>),
}

type InFlight = Arc<Flights>;

/// The blobs between their first byte and their adoption, the shards that are being written, and the
/// files that are being removed.
#[derive(Debug, Default)]
struct Flights {
    now: Mutex<InAir>,
    /// One of them is gone.
    landed: Condvar,
}

#[derive(Debug, Default)]
struct InAir {
    /// `true` for those whose writer was dropped while a write was on its way: that write keeps
    /// the ticket until it ends.
    blobs: HashMap<BlobId, bool>,
    shards: HashSet<(BlobId, DriveNo)>,
    /// Files that are about to be removed.
    claims: HashSet<(BlobId, DriveNo)>,
}

/// One blob between its first byte and its adoption. Shared by its shards.
#[derive(Debug)]
pub(crate) struct Ticket {
    blob: BlobId,
    /// Stays in flight for the life of the process.
    is_undecided: AtomicBool,
    in_flight: InFlight,
}

/// One shard's file between its first byte and the commit that counts it. Unless that comes, the
/// file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct ShardTicket {
    stage: AtomicU8,
    reclaimer: BlobReclaimer,
    /// Taken when this is dropped.
    flight: Option<FlightEnd>,
}

/// Ends the flight of a shard, or the claim on its file, when it is dropped.
#[derive(Debug)]
pub(crate) struct FlightEnd {
    blob: BlobId,
    drive: DriveNo,
    is_claim: bool,
    in_flight: InFlight,
    /// The blob's flight ends after that of its last shard. None for shards of old blobs.
    _ticket: Option<Arc<Ticket>>,
}

/// How far a shard came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Under its final name, not adopted.
    Published,
    /// Not ours to remove any more.
    Kept,
}

impl BlobReclaimer {
    /// Removes files of these drives; `inline` on the thread that hands them over. Of each drive at
    /// most `waiting_max` wait.
    pub fn new(drives: DriveSet, inline: bool, waiting_max: usize) -> Self {
        let remover = Remover {
            drives,
            inline,
            waiting_max,
            threads: Mutex::default(),
            left: Mutex::default(),
        };
        Self {
            remover: Arc::new(remover),
            in_flight: InFlight::default(),
            pins: Pins::default(),
        }
    }

    /// What the committer says of files that rows stop standing for. Files go some time soon
    /// after they were said to be released durably.
    pub fn release(&self, release: Release) {
        match release {
            Release::Planned(Departure::Blob { blob, row }) => {
                lock(&self.pins).leaving.insert(blob, row);
            }
            Release::Planned(Departure::Shards { .. }) => {}
            Release::Durable(Departure::Blob { blob, row }) => {
                let mut pins = lock(&self.pins);
                pins.leaving.remove(&blob);
                if let Some(pinned) = pins.pinned.get_mut(&blob) {
                    pinned.released = Some(row);
                    return;
                }
                drop(pins);
                self.remove_blob(blob, &row);
            }
            Release::Durable(Departure::Shards { blob, drives }) => {
                // Readers that have the files open go on; others see the new row. Claimed until it
                // is gone: a shard that moves back meanwhile would have the name of what is to go.
                for drive in drives {
                    // Whoever is writing it removes what does not count, when it ends.
                    if let Some(claim) = self.claim(blob, drive) {
                        self.remove(drive, DrivePath::blob(blob), Some(claim));
                    }
                }
            }
        }
    }

    /// The last row of a blob that the catalogue has forgotten while an answer is read from it.
    /// To be asked after the catalogue.
    pub(crate) fn released_row(&self, blob: BlobId) -> Option<CatalogRow> {
        let pins = lock(&self.pins);
        let of_pin = pins.pinned.get(&blob).and_then(|pinned| pinned.released);
        of_pin.or_else(|| pins.leaving.get(&blob).copied())
    }

    /// Whether an answer is read from the blob. For orphan collection, after the catalogue was
    /// asked: whoever pins a blob after the catalogue has forgotten it does not use it.
    pub(crate) fn is_pinned(&self, blob: BlobId) -> bool {
        lock(&self.pins).pinned.contains_key(&blob)
    }

    /// Keeps the files of `blobs` as long as the answer lives. The obligation of the caller: look
    /// again, after this returned, whether the row that named the blobs still stands.
    pub(crate) fn pin(&self, blobs: Vec<BlobId>) -> BlobPin {
        let mut pins = lock(&self.pins);
        for blob in &blobs {
            let pinned = pins.pinned.entry(*blob).or_default();
            pinned.count = pinned.count.saturating_add(1);
        }
        drop(pins);
        BlobPin {
            blobs,
            reclaimer: self.clone(),
        }
    }

    /// Waits until everything handed over so far was done, and what writers gave up is gone.
    /// Blocks; a drive that does not answer is waited for only so long.
    pub fn wait(&self) {
        let until = Instant::now().checked_add(WAIT_MAX);
        let left = || {
            until.map_or(WAIT_MAX, |until| {
                until.saturating_duration_since(Instant::now())
            })
        };
        let mut now = lock(&self.in_flight.now);
        let given_up = |(blob, given_up): (&BlobId, &bool)| given_up.then_some(*blob);
        let awaited: Vec<BlobId> = now.blobs.iter().filter_map(given_up).collect();
        while awaited
            .iter()
            .any(|blob| now.blobs.get(blob) == Some(&true))
            && !left().is_zero()
        {
            let landed = &self.in_flight.landed;
            now = landed
                .wait_timeout(now, left())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(now);
        let threads = lock(&self.remover.threads);
        let jobs: Vec<_> = threads.values().map(|thread| thread.jobs.clone()).collect();
        drop(threads);
        let reached = jobs.into_iter().map(|jobs| {
            let (reached, wait) = sync_channel(1);
            // An error means that the thread is gone, and the wait over.
            let _ = jobs.send(Job::Reached(reached));
            wait
        });
        // First to all of them, then the waits.
        for wait in reached.collect::<Vec<_>>() {
            if wait.recv_timeout(left()) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("a drive does not answer; files on it are left to the next start");
            }
        }
    }

    /// Whether a writer or a proof of this process still holds the blob, or a shard of it is on
    /// its way to the drive.
    pub(crate) fn is_in_flight(&self, blob: BlobId, drive: DriveNo) -> bool {
        let now = lock(&self.in_flight.now);
        let key = (blob, drive);
        now.blobs.contains_key(&blob) || now.shards.contains(&key) || now.claims.contains(&key)
    }

    /// Registers a blob that is about to be written.
    pub(crate) fn admit(&self, blob: BlobId) -> Result<Arc<Ticket>, Error> {
        let mut now = lock(&self.in_flight.now);
        if now.blobs.contains_key(&blob) {
            return Err(Error::BlobExists { blob });
        }
        now.blobs.insert(blob, false);
        drop(now);
        Ok(Arc::new(Ticket {
            blob,
            is_undecided: AtomicBool::new(false),
            in_flight: Arc::clone(&self.in_flight),
        }))
    }

    /// Registers a shard that is about to be written: of a new blob with its `ticket`, without one
    /// of a blob that is there. `None` while another write of it to that drive is not over.
    pub(crate) fn admit_shard(
        &self,
        blob: BlobId,
        drive: DriveNo,
        ticket: Option<Arc<Ticket>>,
    ) -> Option<ShardTicket> {
        let mut now = lock(&self.in_flight.now);
        if now.claims.contains(&(blob, drive)) || !now.shards.insert((blob, drive)) {
            return None;
        }
        drop(now);
        let flight = FlightEnd {
            blob,
            drive,
            is_claim: false,
            in_flight: Arc::clone(&self.in_flight),
            _ticket: ticket,
        };
        Some(ShardTicket {
            stage: AtomicU8::new(STAGE_WRITING),
            reclaimer: self.clone(),
            flight: Some(flight),
        })
    }

    /// Keeps everyone from writing the file of a blob on a drive, so that it can be removed. `None`
    /// while somebody is writing it.
    pub(crate) fn claim(&self, blob: BlobId, drive: DriveNo) -> Option<FlightEnd> {
        let mut now = lock(&self.in_flight.now);
        if now.shards.contains(&(blob, drive)) || !now.claims.insert((blob, drive)) {
            return None;
        }
        drop(now);
        Some(FlightEnd {
            blob,
            drive,
            is_claim: true,
            in_flight: Arc::clone(&self.in_flight),
            _ticket: None,
        })
    }

    /// Shards that are on their way to a drive, and not yet counted by the catalogue.
    pub(crate) fn writes_to(&self, drive: DriveNo) -> usize {
        let now = lock(&self.in_flight.now);
        now.shards.iter().filter(|(_, to)| *to == drive).count()
    }

    /// How many files of each drive should have gone and are not remembered one by one.
    pub(crate) fn left_behind(&self) -> BTreeMap<DriveNo, u64> {
        lock(&self.remover.left).clone()
    }

    /// A collection of orphans went through a drive that began when so many were left behind.
    pub(crate) fn collected(&self, drive: DriveNo, count: u64) {
        let mut left = lock(&self.remover.left);
        if let Some(known) = left.get_mut(&drive) {
            *known = known.saturating_sub(count);
            if *known == 0 {
                left.remove(&drive);
            }
        }
    }

    /// Whether nothing waits to be removed from a drive.
    pub(crate) fn is_idle(&self, drive: DriveNo) -> bool {
        let threads = lock(&self.remover.threads);
        let thread = threads.get(&drive);
        thread.is_none_or(|thread| thread.waiting.load(Ordering::Acquire) == 0)
    }

    fn remove_blob(&self, blob: BlobId, row: &CatalogRow) {
        for (_, drive) in row.placement.each() {
            self.remove(drive, DrivePath::blob(blob), None);
        }
    }

    fn remove(&self, drive: DriveNo, path: DrivePath, flight: Option<FlightEnd>) {
        let Remover {
            drives,
            inline,
            waiting_max,
            threads,
            left,
        } = self.remover.as_ref();
        if *inline {
            return carry_out(drives, drive, Job::Remove(path, flight));
        }
        let mut threads = lock(threads);
        let thread = match threads.entry(drive) {
            std::collections::hash_map::Entry::Occupied(there) => Some(there.into_mut()),
            std::collections::hash_map::Entry::Vacant(free) => {
                let started = RemovingThread::start(drives.clone(), drive);
                started.map(|thread| free.insert(thread))
            }
        };
        // Without a thread, what stays behind is found at the next start.
        let Some(thread) = thread else { return };
        if thread.waiting.load(Ordering::Acquire) >= *waiting_max {
            metrics::counter!("strongroom_blob_removals_left_behind_total").increment(1);
            let mut left = lock(left);
            let count = left.entry(drive).or_insert(0);
            *count = count.saturating_add(1);
            return;
        }
        thread.waiting.fetch_add(1, Ordering::AcqRel);
        let _ = thread.jobs.send(Job::Remove(path, flight));
    }
}

impl RemovingThread {
    fn start(drives: DriveSet, drive: DriveNo) -> Option<Self> {
        let (jobs, queue) = channel::<Job>();
        let (end, ended) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&waiting);
        let run = move || {
            for job in queue {
                let is_removal = matches!(job, Job::Remove(..));
                carry_out(&drives, drive, job);
                if is_removal {
                    counted.fetch_sub(1, Ordering::AcqRel);
                }
            }
            drop(end);
        };
        let builder = thread::Builder::new().name(format!("strongroom-reclaim-{drive}"));
        match builder.spawn(run) {
            Ok(thread) => Some(Self {
                jobs,
                waiting,
                thread,
                ended,
            }),
            Err(error) => {
                tracing::warn!(%error, "no thread for removals; the next start removes");
                None
            }
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        let until = Instant::now().checked_add(WAIT_MAX);
        for RemovingThread {
            jobs,
            thread,
            ended,
            ..
        } in threads.into_values()
        {
            drop(jobs);
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            // A drive that does not answer keeps its thread; the others are let go.
            if ended.recv_timeout(left.unwrap_or(WAIT_MAX)) != Err(RecvTimeoutError::Timeout) {
                // A panic there was reported by its own thread.
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Remover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remover").finish_non_exhaustive()
    }
}

impl Drop for BlobPin {
    fn drop(&mut self) {
        let mut free = Vec::new();
        let mut pins = lock(&self.reclaimer.pins);
        for blob in &self.blobs {
            let Some(pinned) = pins.pinned.get_mut(blob) else {
                continue;
            };
            pinned.count = pinned.count.saturating_sub(1);
            if pinned.count == 0 {
                free.extend(pinned.released.map(|row| (*blob, row)));
                pins.pinned.remove(blob);
            }
        }
        drop(pins);
        for (blob, row) in free {
            self.reclaimer.remove_blob(blob, &row);
        }
    }
}

impl Ticket {
    pub(crate) fn blob(&self) -> BlobId {
        self.blob
    }

    /// The writer is gone; a write on its way may still hold the ticket.
    pub(crate) fn give_up(&self) {
        if let Some(given_up) = lock(&self.in_flight.now).blobs.get_mut(&self.blob) {
            *given_up = true;
        }
    }

    /// The commit's outcome is unknown: the next start decides by the log, and the orphan
    /// collection of this process keeps away.
    pub(crate) fn undecided(&self) {
        self.is_undecided.store(true, Ordering::Release);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_undecided.load(Ordering::Acquire) {
            lock(&self.in_flight.now).blobs.remove(&self.blob);
        }
        self.in_flight.landed.notify_all();
    }
}

impl ShardTicket {
    pub(crate) fn reached(&self, stage: Stage) {
        let stage = match stage {
            Stage::Published => STAGE_PUBLISHED,
            Stage::Kept => STAGE_KEPT,
        };
        self.stage.store(stage, Ordering::Release);
    }
}

impl Drop for ShardTicket {
    fn drop(&mut self) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        let path = match self.stage.load(Ordering::Acquire) {
            STAGE_WRITING => DrivePath::blob_in_writing(flight.blob),
            STAGE_PUBLISHED => DrivePath::blob(flight.blob),
            _ => return,
        };
        let drive = flight.drive;
        self.reclaimer.remove(drive, path, Some(flight));
    }
}

impl Drop for FlightEnd {
    fn drop(&mut self) {
        let key = (self.blob, self.drive);
        let mut now = lock(&self.in_flight.now);
        if self.is_claim {
            now.claims.remove(&key);
        } else {
            now.shards.remove(&key);
        }
    }
}

const STAGE_WRITING: u8 = 0;
const STAGE_PUBLISHED: u8 = 1;
const STAGE_KEPT: u8 = 2;
/// How long a drive that does not answer is waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

fn carry_out(drives: &DriveSet, number: DriveNo, job: Job) {
    match job {
        Job::Remove(path, flight) => {
            // What is on a drive that is away is found when it returns.
            if let Some(drive) = drives.get(number) {
                remove(drive.as_ref(), &path);
            }
            drop(flight);
        }
        // Nobody waits any more: nothing to tell.
        Job::Reached(reached) => drop(reached.send(())),
    }
}

fn remove(drive: &dyn Drive, path: &DrivePath) {
    match drive.remove(path) {
        Ok(true) => metrics::counter!("strongroom_blob_files_removed_total").increment(1),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%path, %error, "cannot remove a blob file; the next start will");
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it guards is whole after every statement that changes it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
