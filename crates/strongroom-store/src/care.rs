// SPDX-License-Identifier: Apache-2.0
//! What the store does for itself while it serves: scrub and heal, each on a thread of its own.
//!
//! The threads only drive [`Scrubber`] and [`Healer`], which do a little at a time and say how long
//! to wait. What they tell (and are asked) goes through [`Care`], which is there without them, too.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::blob::ShardSet;
use crate::drive::{DriveNo, DriveSet};
use crate::env::Clock;
use crate::error::Error;
use crate::haste::Haste;
use crate::heal::{HealOptions, HealStatus, Healer};
use crate::layout::BlobId;
use crate::scrub::{ScrubOptions, ScrubStatus, Scrubber, Stepped, damage};
use crate::store::Store;
use crate::watch::Watch;

/// How the store looks after itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CareOptions {
    /// Scrub.
    pub scrub: ScrubOptions,
    /// Heal.
    pub heal: HealOptions,
}

/// A blob with damaged shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DamagedBlob {
    /// The blob.
    pub blob: BlobId,
    /// The damaged ones.
    pub shards: ShardSet,
    /// When it was found, by the wall clock.
    pub found_ms: u64,
    /// Whether its shards contradict each other while all checksums hold.
    pub is_doubtful: bool,
}

/// What scrub and heal share with the rest of the store.
pub(crate) struct Care {
    /// Each waits by itself: a long flush of heal is no reason for scrub to give a drive up.
    scrub_watch: Arc<Watch>,
    heal_watch: Arc<Watch>,
    haste: Haste,
    scrub: Mutex<ScrubStatus>,
    heal: Mutex<HealStatus>,
    scrub_asked: AtomicBool,
    walk_asked: AtomicBool,
    stop: AtomicBool,
    wake_scrub: Notify,
    wake_heal: Notify,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Blobs of which scrub had news: what could not be healed before may be healed now.
    reported: Mutex<Vec<BlobId>>,
}

impl Care {
    /// `limit` is how long an operation of a drive is waited for; none without threads.
    pub(crate) fn new(drives: &DriveSet, limit: Option<Duration>) -> Self {
        let haste = Haste::default();
        let watch = || Arc::new(Watch::new(drives.clone(), limit, haste.clone()));
        Self {
            scrub_watch: watch(),
            heal_watch: watch(),
            haste: haste.clone(),
            scrub: Mutex::default(),
            heal: Mutex::default(),
            scrub_asked: AtomicBool::default(),
            walk_asked: AtomicBool::default(),
            stop: AtomicBool::default(),
            wake_scrub: Notify::default(),
            wake_heal: Notify::default(),
            threads: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// Scrub had news of a blob.
    pub(crate) fn report(&self, blob: BlobId) {
        let mut reported = lock(&self.reported);
        if reported.len() < REPORTED_MAX {
            reported.push(blob);
        }
        drop(reported);
        self.wake_heal();
    }

    /// The blobs of which scrub had news; they are taken.
    pub(crate) fn take_reported(&self) -> Vec<BlobId> {
        std::mem::take(&mut *lock(&self.reported))
    }

    /// Drives that are waited for less long than the others.
    pub(crate) fn haste(&self) -> &Haste {
        &self.haste
    }

    /// What scrub asks of drives goes through this.
    pub(crate) fn scrub_watch(&self) -> &Arc<Watch> {
        &self.scrub_watch
    }

    /// What heal asks of drives goes through this.
    pub(crate) fn heal_watch(&self) -> &Arc<Watch> {
        &self.heal_watch
    }

    /// Drives that scrub or heal asked something and that have not answered.
    pub(crate) fn hanging(&self) -> Vec<DriveNo> {
        let mut hanging = self.scrub_watch.hanging();
        hanging.extend(self.heal_watch.hanging());
        hanging.sort_unstable();
        hanging.dedup();
        hanging
    }

    /// How scrub is going.
    pub(crate) fn scrub_status(&self) -> ScrubStatus {
        lock(&self.scrub).clone()
    }

    /// How heal is going.
    pub(crate) fn heal_status(&self) -> HealStatus {
        lock(&self.heal).clone()
    }

    /// Changes what is told of scrub.
    pub(crate) fn tell_scrub(&self, change: impl FnOnce(&mut ScrubStatus)) {
        change(&mut lock(&self.scrub));
    }

    /// Changes what is told of heal.
    pub(crate) fn tell_heal(&self, change: impl FnOnce(&mut HealStatus)) {
        change(&mut lock(&self.heal));
    }

    /// Takes down a finding, in words; the first ones are kept.
    pub(crate) fn found(&self, words: String) {
        let mut scrub = lock(&self.scrub);
        if scrub.found.len() < FOUND_MAX {
            scrub.found.push(words);
        }
    }

    /// An operator wants a pass now.
    pub(crate) fn request_scrub(&self) {
        self.scrub_asked.store(true, Ordering::Release);
        self.wake_scrub.notify_one();
    }

    /// Whether an operator wants a pass; the request is taken.
    pub(crate) fn take_scrub_request(&self) -> bool {
        self.scrub_asked.swap(false, Ordering::AcqRel)
    }

    /// There is something to heal.
    pub(crate) fn wake_heal(&self) {
        self.wake_heal.notify_one();
    }

    /// A blob was found on a drive that is lost: heal should look for such blobs again.
    pub(crate) fn request_walk(&self) {
        self.walk_asked.store(true, Ordering::Release);
        self.wake_heal();
    }

    /// Whether heal should look for such blobs again; the request is taken.
    pub(crate) fn take_walk_request(&self) -> bool {
        self.walk_asked.swap(false, Ordering::AcqRel)
    }

    /// Whether the threads run.
    pub(crate) fn is_running(&self) -> bool {
        !lock(&self.threads).is_empty()
    }

    pub(crate) fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

impl Store {
    /// Starts scrub and heal. They end with [`Store::close`].
    pub fn start_care(&self, clock: &Arc<dyn Clock>, options: CareOptions) -> Result<(), Error> {
        let scrubber = Scrubber::new(self, Arc::clone(clock), options.scrub)?;
        let healer = Healer::new(self, Arc::clone(clock), options.heal);
        let care = Arc::clone(self.care());
        let scrub = spawn("strongroom-scrub", move || drive_scrub(&care, scrubber))?;
        let care = Arc::clone(self.care());
        let store = self.clone();
        let heal = spawn("strongroom-heal", move || drive_heal(&care, &store, healer))?;
        lock(&self.care().threads).extend([scrub, heal]);
        Ok(())
    }

    /// Begins a pass of scrub now, as fast as it may go. `false` when scrub does not run in this
    /// process.
    pub fn request_scrub(&self) -> bool {
        self.care().request_scrub();
        self.care().is_running()
    }

    /// From now on scrub and heal wait for an operation of a drive no longer than this, and ten times
    /// as long for a flush, where they would wait longer; `None` for as long as for the others. For
    /// tests in which no drive is to be given up but the one that is meant to hang, however slow the
    /// machine is.
    pub fn wait_no_longer_for(&self, drive: DriveNo, at_most: Option<Duration>) {
        self.care().haste().set(drive, at_most);
    }

    /// Whether scrub and heal run in this process.
    pub fn is_cared_for(&self) -> bool {
        self.care().is_running()
    }

    /// Up to `limit` blobs behind `after` that have damaged shards, by their ids.
    pub fn damaged_blobs(
        &self,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<Vec<DamagedBlob>, Error> {
        let rows = damage::list(self.tables(), after, limit)?.into_iter();
        let damaged = rows.map(|(blob, row)| DamagedBlob {
            blob,
            shards: row.map_or(ShardSet::EMPTY, |row| row.shards()),
            found_ms: row.map_or(0, |row| row.found_ms),
            is_doubtful: row.is_some_and(|row| row.is_doubtful),
        });
        Ok(damaged.collect())
    }

    /// How scrub is going.
    pub fn scrub_status(&self) -> ScrubStatus {
        self.care().scrub_status()
    }

    /// How heal is going.
    pub fn heal_status(&self) -> HealStatus {
        self.care().heal_status()
    }

    /// Ends scrub and heal, each after the step that it is doing.
    pub(crate) async fn stop_care(&self) -> Result<(), Error> {
        let care = self.care();
        care.stop.store(true, Ordering::Release);
        care.scrub_watch.stop();
        care.heal_watch.stop();
        let threads = std::mem::take(&mut *lock(&care.threads));
        if threads.is_empty() {
            return Ok(());
        }
        care.wake_scrub.notify_one();
        care.wake_heal.notify_one();
        let (answer, ended) = oneshot::channel();
        let wait = move || {
            for thread in threads {
                // A panic there was reported by its own thread.
                let _ = thread.join();
            }
            // An error means that nobody waits any more.
            let _ = answer.send(());
        };
        spawn("strongroom-care", wait)?;
        ended.await.map_err(|_| Error::WorkerGone)
    }
}

impl fmt::Debug for Care {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Care").finish_non_exhaustive()
    }
}

fn drive_scrub(care: &Care, mut scrubber: Scrubber) {
    run(async {
        // First the clients that waited for the start.
        rest(
            Ok(Stepped::Wait { ms: SETTLE_MS }),
            "scrub",
            care.wake_scrub.notified(),
        )
        .await;
        while !care.stops() {
            let stepped = scrubber.step().await;
            rest(stepped, "scrub", care.wake_scrub.notified()).await;
        }
    });
}

fn drive_heal(care: &Care, store: &Store, mut healer: Healer) {
    let mut changed = store.drives().changed();
    run(async {
        while !care.stops() {
            let stepped = healer.step().await;
            let news = async {
                tokio::select! {
                    () = care.wake_heal.notified() => {}
                    () = store.blobs().damage().added() => {}
                    // An error means that the store is gone, and then it was stopped.
                    _ = changed.changed() => {}
                }
            };
            rest(stepped, "heal", news).await;
        }
    });
}

/// Waits as long as a step said, or until there is news.
async fn rest(stepped: Result<Stepped, Error>, what: &'static str, news: impl Future<Output = ()>) {
    let ms = match stepped {
        Ok(Stepped::Worked { .. }) => return,
        Ok(Stepped::Wait { ms }) => ms.min(REST_MS_MAX),
        Err(error) => {
            tracing::warn!(%error, "{what} stands still; it is tried again");
            RETRY_MS
        }
    };
    // Either way the next step finds out what there is to do.
    let _ = tokio::time::timeout(Duration::from_millis(ms), news).await;
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(work);
            // What waits for a drive that does not answer is not waited for.
            runtime.shutdown_background();
        }
        Err(error) => tracing::error!(%error, "no scrub and no heal: their thread did not start"),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::from_io("start the thread of", name, source))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it guards is whole after every statement that changes it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blobs that heal is told of at once; the others are tried again when a drive comes or goes.
const REPORTED_MAX: usize = 4_096;
/// Findings kept in words.
const FOUND_MAX: usize = 100;
/// Scrub begins so long after the start, unless it is asked for.
const SETTLE_MS: u64 = 60_000;
/// Nobody rests longer without a look at the clock, which may have been set.
const REST_MS_MAX: u64 = 60_000;
/// After an error.
const RETRY_MS: u64 = 5_000;
