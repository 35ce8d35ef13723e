// SPDX-License-Identifier: Apache-2.0
//! Threads that may wait for a drive, a bounded number for each drive and direction.
//!
//! The bound is what keeps memory bounded when a drive is slow: whoever finds no free worker
//! waits, holding only what it already has. Reads and writes have separate bounds, so that reads
//! do not queue behind flushes.
//!
//! Without threads ([`Workers::inline`]) every job runs where it is handed over, to its end: so
//! a simulation sees the operations of its drives in one order.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

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
