// SPDX-License-Identifier: Apache-2.0
//! Removing the files of blobs that do not count: abandoned uploads, released blobs, orphans.
//!
//! Every blob being written holds a `Ticket`. The ticket is dropped with the writer or with the
//! proof; unless the blob was adopted by then, its file goes. One thread does all removals, so
//! that neither a request nor a destructor waits for the drive. What it cannot remove (a crash, a
//! drive out of service) is found by the orphan collection of the next start.
//!
//! A reader that found blobs by a row pins them before it reads: the files of pinned blobs stay
//! until the last pin is dropped, so an overwrite or a delete never takes bytes away from an
//! answer that has begun.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::drive::{Drive, DrivePath};
use crate::error::Error;
use crate::layout::BlobId;

/// Hands files to the removing thread. Clones share the thread, which ends with the last clone.
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

/// Pins of one blob.
#[derive(Debug, Default)]
struct Pinned {
    count: usize,
    /// The blob was released meanwhile: its file goes with the last pin.
    is_released: bool,
}

type Pins = Arc<Mutex<HashMap<BlobId, Pinned>>>;

/// The removing thread. Dropping it waits for the thread, so that the drive is let go by then.
#[derive(Debug)]
struct Remover {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Removes in the place of a thread, where jobs are handed over.
    inline: Option<Arc<dyn Drive>>,
}

/// One blob between its first byte and its adoption.
#[derive(Debug)]
pub(crate) struct Ticket {
    blob: BlobId,
    stage: AtomicU8,
    reclaimer: BlobReclaimer,
}

/// How far a blob came after it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Under its final name, not adopted.
    Published,
    /// In the catalogue: not ours to remove any more.
    Adopted,
    /// The commit's outcome is unknown: the next start decides by the log.
    Undecided,
}

type InFlight = Arc<Flights>;

/// The blobs between their first byte and their adoption.
#[derive(Debug, Default)]
struct Flights {
    /// `true` for those whose writer was dropped while a write was on its way: that write keeps
    /// the ticket until it ends.
    blobs: Mutex<HashMap<BlobId, bool>>,
    /// One of them is gone.
    landed: Condvar,
}

impl Flights {
    fn end(&self, blob: BlobId) {
        lock(&self.blobs).remove(&blob);
        self.landed.notify_all();
    }
}

#[derive(Debug)]
enum Job {
    /// Remove the file; then the blob is no longer in flight.
    Abandoned(BlobId, DrivePath),
    /// Remove the file of a blob that left the catalogue.
    Released(BlobId),
    /// Answer when everything before was done.
    Reached(SyncSender<()>),
}

impl BlobReclaimer {
    /// Starts the removing thread.
    pub fn start(drive: Arc<dyn Drive>) -> Result<Self, Error> {
        let (jobs, queue) = channel();
        let in_flight = InFlight::default();
        let pins = Pins::default();
        let shared = Arc::clone(&in_flight);
        let keep = Arc::clone(&pins);
        let thread = thread::Builder::new()
            .name("strongroom-reclaim".to_owned())
            .spawn(move || remove_all(drive.as_ref(), &queue, &shared, &keep))
            .map_err(|source| Error::from_io("start the thread of", "reclaim", source))?;
        let remover = Remover {
            jobs: Some(jobs),
            thread: Some(thread),
            inline: None,
        };
        Ok(Self {
            remover: Arc::new(remover),
            in_flight,
            pins,
        })
    }

    /// Removes without a thread: when something is handed over, before that call returns. For
    /// simulations.
    pub fn inline(drive: Arc<dyn Drive>) -> Self {
        let remover = Remover {
            jobs: None,
            thread: None,
            inline: Some(drive),
        };
        Self {
            remover: Arc::new(remover),
            in_flight: InFlight::default(),
            pins: Pins::default(),
        }
    }

    /// Removes, some time soon, the file of a blob whose last reference a durable commit
    /// released. Obligation of the committer: call it only after that commit is on stable
    /// storage.
    pub fn released(&self, blob: BlobId) {
        self.send(Job::Released(blob));
    }

    /// Keeps the files of `blobs` as long as the answer lives. The obligation of the caller: look
    /// again, after this returned, whether the row that named the blobs still stands.
    pub(crate) fn pin(&self, blobs: Vec<BlobId>) -> BlobPin {
        let mut pins = lock(&self.pins);
        for blob in &blobs {
            let pinned = pins.entry(*blob).or_default();
            pinned.count = pinned.count.saturating_add(1);
        }
        drop(pins);
        BlobPin {
            blobs,
            reclaimer: self.clone(),
        }
    }

    /// Waits until everything handed over so far was done, and what writers gave up is gone.
    /// Blocks.
    pub fn wait(&self) {
        let mut blobs = lock(&self.in_flight.blobs);
        let given_up = |(blob, given_up): (&BlobId, &bool)| given_up.then_some(*blob);
        let awaited: Vec<BlobId> = blobs.iter().filter_map(given_up).collect();
        while awaited.iter().any(|blob| blobs.get(blob) == Some(&true)) && !self.has_ended() {
            let landed = &self.in_flight.landed;
            blobs = landed
                .wait_timeout(blobs, LOOK_AGAIN_AFTER)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(blobs);
        let (reached, wait) = sync_channel(1);
        self.send(Job::Reached(reached));
        // An error means that the thread is gone, and the wait over.
        let _ = wait.recv();
    }

    /// Whether the removing thread is gone, though nobody let go of it.
    fn has_ended(&self) -> bool {
        let thread = self.remover.thread.as_ref();
        thread.is_none_or(JoinHandle::is_finished)
    }

    /// Whether a writer or a proof of this process still holds the blob.
    pub(crate) fn is_in_flight(&self, blob: BlobId) -> bool {
        lock(&self.in_flight.blobs).contains_key(&blob)
    }

    /// Registers a blob that is about to be written.
    pub(crate) fn admit(&self, blob: BlobId) -> Result<Arc<Ticket>, Error> {
        let mut blobs = lock(&self.in_flight.blobs);
        if blobs.contains_key(&blob) {
            return Err(Error::BlobExists { blob });
        }
        blobs.insert(blob, false);
        drop(blobs);
        let stage = AtomicU8::new(STAGE_WRITING);
        Ok(Arc::new(Ticket {
            blob,
            stage,
            reclaimer: self.clone(),
        }))
    }

    fn send(&self, job: Job) {
        if let Some(drive) = &self.remover.inline {
            return carry_out(drive.as_ref(), job, &self.in_flight, &self.pins);
        }
        // The thread ends only after the last sender: a failure cannot happen, and what it would
        // leave behind is found at the next start.
        if let Some(jobs) = &self.remover.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own thread.
            let _ = thread.join();
        }
    }
}

impl Drop for BlobPin {
    fn drop(&mut self) {
        let mut free = Vec::new();
        let mut pins = lock(&self.reclaimer.pins);
        for blob in &self.blobs {
            let Some(pinned) = pins.get_mut(blob) else {
                continue;
            };
            pinned.count = pinned.count.saturating_sub(1);
            if pinned.count == 0 {
                if pinned.is_released {
                    free.push(*blob);
                }
                pins.remove(blob);
            }
        }
        drop(pins);
        for blob in free {
            self.reclaimer.released(blob);
        }
    }
}

impl Ticket {
    pub(crate) fn blob(&self) -> BlobId {
        self.blob
    }

    /// The writer is gone; a write on its way may still hold the ticket.
    pub(crate) fn give_up(&self) {
        if let Some(given_up) = lock(&self.reclaimer.in_flight.blobs).get_mut(&self.blob) {
            *given_up = true;
        }
    }

    pub(crate) fn reached(&self, stage: Stage) {
        let stage = match stage {
            Stage::Published => STAGE_PUBLISHED,
            Stage::Adopted => STAGE_ADOPTED,
            Stage::Undecided => STAGE_UNDECIDED,
        };
        self.stage.store(stage, Ordering::Release);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let path = match self.stage.load(Ordering::Acquire) {
            STAGE_WRITING => DrivePath::blob_in_writing(self.blob),
            STAGE_PUBLISHED => DrivePath::blob(self.blob),
            STAGE_ADOPTED => {
                self.reclaimer.in_flight.end(self.blob);
                return;
            }
            // Stays in flight, so that the orphan collection of this process keeps away.
            _ => return,
        };
        self.reclaimer.send(Job::Abandoned(self.blob, path));
    }
}

const STAGE_WRITING: u8 = 0;
const STAGE_PUBLISHED: u8 = 1;
const STAGE_ADOPTED: u8 = 2;
const STAGE_UNDECIDED: u8 = 3;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

fn remove_all(drive: &dyn Drive, queue: &Receiver<Job>, in_flight: &Flights, pins: &Pins) {
    for job in queue {
        carry_out(drive, job, in_flight, pins);
    }
}

fn carry_out(drive: &dyn Drive, job: Job, in_flight: &Flights, pins: &Pins) {
    match job {
        Job::Abandoned(blob, path) => {
            remove(drive, &path);
            in_flight.end(blob);
        }
        Job::Released(blob) => {
            if let Some(pinned) = lock(pins).get_mut(&blob) {
                pinned.is_released = true;
                return;
            }
            remove(drive, &DrivePath::blob(blob));
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
