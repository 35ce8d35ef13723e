// SPDX-License-Identifier: Apache-2.0
//! Threads that may wait for a drive, a bounded number for each drive and direction.
//!
//! The bound is what keeps memory bounded when a drive is slow: whoever finds no free worker
//! waits, holding only what it already has. Reads and writes have separate bounds, so that reads
//! do not queue behind flushes.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::Error;

/// A share of the runtime's blocking threads.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    free: Arc<Semaphore>,
}

impl Workers {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count.max(1))),
        }
    }

    /// Runs `job` and waits for its answer. When the caller goes away the job still ends.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        self.start(job)
            .await?
            .await
            .map_err(|_| Error::WorkerGone)?
    }

    /// Waits for a free worker and starts `job` on it.
    pub(crate) async fn start<T, F>(&self, job: F) -> Result<JoinHandle<Result<T, Error>>, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        let free = Arc::clone(&self.free);
        let permit = free.acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok(spawn_blocking(move || {
            let done = job();
            drop(permit);
            done
        }))
    }
}
