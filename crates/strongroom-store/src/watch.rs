// SPDX-License-Identifier: Apache-2.0
//! Drives that may hang, for who works in the background.
//!
//! The problem: a drive that neither answers nor fails would stop scrub and heal for all others,
//! since each does one thing after the other. The approach: what they do on a drive is done on a
//! thread of that drive and waited for so long; then it goes on unheard, and nothing else is asked
//! of the drive before that is over.
//!
//! Obligation of who asks: what a job does late must harm nobody. Whatever keeps others away from
//! the same file (a ticket) belongs to the job, and ends with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::drive::{DriveNo, DriveSet, DriveState};
use crate::error::Error;
use crate::haste::Haste;
use crate::mirror::{Crew, hangs};

/// Waits for drives only so long.
pub(crate) struct Watch {
    drives: DriveSet,
    /// None: everything on the caller's thread, for simulations.
    limit: Option<Duration>,
    haste: Haste,
    lanes: Mutex<HashMap<DriveNo, Lane>>,
    stopped: AtomicBool,
}

/// The thread of one drive.
#[derive(Clone)]
struct Lane {
    crew: Arc<Crew>,
    /// Jobs that were given up and are not over.
    late: Arc<AtomicUsize>,
}

/// What becomes of one job. Whoever comes second sees what the other did.
#[derive(Default)]
struct Fate {
    is_over: bool,
    is_given_up: bool,
}

impl Watch {
    pub(crate) fn new(drives: DriveSet, limit: Option<Duration>, haste: Haste) -> Self {
        Self {
            drives,
            limit,
            haste,
            lanes: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Has something done on a drive. An error of the kind [`is_late`](crate::mirror::is_late) when it takes too long, or
    /// while something that took too long is not over.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        drive: DriveNo,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask_for(1, drive, job)
    }

    /// The same for what takes longer: a flush of much that was written.
    pub(crate) fn ask_long<T: Send + 'static>(
        &self,
        drive: DriveNo,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask_for(FLUSH_TIMES, drive, job)
    }

    fn ask_for<T: Send + 'static>(
        &self,
        times: u32,
        drive: DriveNo,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let limit = match self.limit {
            // Where there is one drive, there is nothing else to go on with.
            Some(limit) if self.drives.view().members().len() > 1 => {
                self.haste.of(drive, limit).saturating_mul(times)
            }
            _ => return job(),
        };
        let Lane { crew, late } = self.lane(drive)?;
        if late.load(Ordering::Acquire) > 0 {
            return Err(hangs(shown(drive)));
        }
        let fate = Arc::<Mutex<Fate>>::default();
        let (answer, outcome) = channel();
        let (theirs, counted) = (Arc::clone(&fate), Arc::clone(&late));
        crew.run(move || {
            // INVARIANT: everything that the job holds is let go of before it counts as over.
            let done = job();
            // Nobody listening any more: it was given up.
            let _ = answer.send(done);
            let mut fate = lock(&theirs);
            fate.is_over = true;
            if fate.is_given_up {
                counted.fetch_sub(1, Ordering::AcqRel);
                tracing::warn!(%drive, "a drive answers again");
            }
        });
        let since = Instant::now();
        loop {
            let left = limit.saturating_sub(since.elapsed());
            match outcome.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::WorkerGone),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !left.is_zero() && !self.stopped.load(Ordering::Acquire) {
                continue;
            }
            let mut fate = lock(&fate);
            if fate.is_over {
                return outcome.try_recv().unwrap_or(Err(Error::WorkerGone));
            }
            fate.is_given_up = true;
            late.fetch_add(1, Ordering::AcqRel);
            if !left.is_zero() {
                // The store is being closed; the drive had time left.
                return Err(hangs(shown(drive)));
            }
            tracing::error!(%drive, "a drive does not answer; it is left alone until it does");
            metrics::counter!("strongroom_care_drive_hangs_total").increment(1);
            return Err(hangs(shown(drive)));
        }
    }

    /// An operation on a drive failed: what it is good for now. One that does not answer is as one
    /// that is not there.
    pub(crate) fn suspect(&self, drive: DriveNo) -> DriveState {
        let drives = self.drives.clone();
        let suspected = self.ask(drive, move || Ok(drives.suspect(drive)));
        suspected.unwrap_or(DriveState::Missing)
    }

    /// Whether something that was asked of the drive took too long and is not over.
    pub(crate) fn hangs(&self, drive: DriveNo) -> bool {
        let lanes = lock(&self.lanes);
        lanes
            .get(&drive)
            .is_some_and(|lane| lane.late.load(Ordering::Acquire) > 0)
    }

    /// The drives that do not answer.
    pub(crate) fn hanging(&self) -> Vec<DriveNo> {
        let lanes = lock(&self.lanes);
        let late = lanes
            .iter()
            .filter(|(_, lane)| lane.late.load(Ordering::Acquire) > 0);
        let mut hanging: Vec<_> = late.map(|(drive, _)| *drive).collect();
        hanging.sort_unstable();
        hanging
    }

    /// The store is being closed: nothing is waited for any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    fn lane(&self, drive: DriveNo) -> Result<Lane, Error> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(&drive) {
            return Ok(lane.clone());
        }
        let lane = Lane {
            crew: Arc::new(Crew::of(1)?),
            late: Arc::default(),
        };
        lanes.insert(drive, lane.clone());
        Ok(lane)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

fn shown(drive: DriveNo) -> String {
    format!("drive {drive}")
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it guards is whole after every statement that changes it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A flush may take so many times as long as anything else.
const FLUSH_TIMES: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(100);
