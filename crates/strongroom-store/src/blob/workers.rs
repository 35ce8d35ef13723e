// SPDX-License-Identifier: Apache-2.0
//! Threads that may wait for a drive, a bounded number for each drive and direction.
//!
//! The bound is what keeps memory bounded when a drive is slow: whoever finds no free worker
//! waits, holding only what it already has. Reads and writes have separate bounds, so that reads
//! do not queue behind flushes.
//!
//! Without threads ([`Workers::inline`]) every job runs where it is handed over, to its end: so
//! a simulation sees the operations of its drives in one order.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::spawn;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};

use crate::drive::DriveNo;
use crate::error::Error;

/// A share of the runtime's blocking threads.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    /// `None` without threads.
    free: Option<Arc<Semaphore>>,
}

/// A job that was started: its answer, to be waited for. When the caller goes away the job still
/// ends.
#[derive(Debug)]
pub(crate) struct Running<T> {
    job: Job<T>,
}

#[derive(Debug)]
enum Job<T> {
    OnThread(JoinHandle<Result<T, Error>>),
    /// Taken by the one who waits.
    Done(Option<Result<T, Error>>),
}

/// Workers for each drive, so that no drive waits for another. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct DriveWorkers {
    /// `None` without threads.
    pools: Option<Arc<Mutex<HashMap<DriveNo, Workers>>>>,
    count: usize,
}

impl DriveWorkers {
    /// `count` workers for each drive; without threads when `inline`.
    pub(crate) fn new(count: usize, inline: bool) -> Self {
        Self {
            pools: (!inline).then(Arc::default),
            count,
        }
    }

    /// The workers of one drive.
    pub(crate) fn on(&self, drive: DriveNo) -> Workers {
        let Some(pools) = &self.pools else {
            return Workers::inline();
        };
        let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(drive);
        pool.or_insert_with(|| Workers::new(self.count)).clone()
    }
}

impl Workers {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: Some(Arc::new(Semaphore::new(count.max(1)))),
        }
    }

    /// No threads: jobs run on the caller's.
    pub(crate) fn inline() -> Self {
        Self { free: None }
    }

    /// Runs `job` and waits for its answer. When the caller goes away the job still ends.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        self.start(job).await?.await
    }

    /// Waits for a free worker and starts `job` on it.
    pub(crate) async fn start<T, F>(&self, job: F) -> Result<Running<T>, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        let Some(free) = &self.free else {
            let job = Job::Done(Some(job()));
            return Ok(Running { job });
        };
        let permit = Arc::clone(free).acquire_owned().await;
        let permit = permit.map_err(|_| Error::Closed)?;
        let job = Job::OnThread(spawn_blocking(move || {
            let done = job();
            drop(permit);
            done
        }));
        Ok(Running { job })
    }

    /// Starts `job` as soon as a worker is free, and does not wait for that. What comes back
    /// takes a job back that still waits for a worker.
    pub(crate) fn launch(&self, job: impl FnOnce() + Send + 'static) -> Option<AbortHandle> {
        let Some(free) = &self.free else {
            job();
            return None;
        };
        let run = |permit: OwnedSemaphorePermit| {
            spawn_blocking(move || {
                job();
                drop(permit);
            })
        };
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            run(permit);
            return None;
        }
        let free = Arc::clone(free);
        let waiting = spawn(async move {
            if let Ok(permit) = free.acquire_owned().await {
                run(permit);
            }
        });
        Some(waiting.abort_handle())
    }
}

impl<T: Send + 'static> Running<T> {
    /// A job that waits for others: on its own while the caller does something else, or to its end
    /// when `inline`.
    pub(crate) async fn task(
        job: impl Future<Output = Result<T, Error>> + Send + 'static,
        inline: bool,
    ) -> Self {
        let job = if inline {
            Job::Done(Some(job.await))
        } else {
            Job::OnThread(spawn(job))
        };
        Self { job }
    }

    /// Whether its answer would have to be waited for.
    pub(crate) fn is_under_way(&self) -> bool {
        match &self.job {
            Job::OnThread(handle) => !handle.is_finished(),
            Job::Done(_) => false,
        }
    }
}

// A job's answer is moved out, never pinned.
impl<T> Unpin for Running<T> {}

impl<T> Future for Running<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.job {
            Job::OnThread(handle) => {
                let done = Pin::new(handle).poll(context);
                done.map(|done| done.map_err(|_| Error::WorkerGone)?)
            }
            Job::Done(done) => Poll::Ready(done.take().unwrap_or(Err(Error::WorkerGone))),
        }
    }
}
