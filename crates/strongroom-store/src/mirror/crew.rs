// SPDX-License-Identifier: Apache-2.0
//! The threads of one copy: they carry out what several copies do at the same time.
//!
//! A few for each copy, since the commit log, the audit log and the vault flush independently of
//! each other. A drive that hangs holds up its own threads only. They end when the copy is
//! fenced; nobody waits for them, because what they wait for may never answer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::Error;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that work for one copy.
#[derive(Debug)]
pub(crate) struct Crew {
    jobs: Sender<Job>,
}

impl Crew {
    pub(crate) fn start() -> Result<Self, Error> {
        Self::of(THREADS)
    }

    /// A crew of so many threads: one keeps the order of its jobs.
    pub(crate) fn of(threads: usize) -> Result<Self, Error> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new()
                .name("strongroom-copy".to_owned())
                .spawn(move || work(&waiting))
                .map_err(|source| Error::from_io("start a thread of", "a copy", source))?;
        }
        Ok(Self { jobs })
    }

    /// Has a job done; what it answers with is its own business. `false` when nobody is left.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.jobs.send(Box::new(job)).is_ok()
    }

    /// Has a job done and waits for its answer, but no longer than this: then the job goes on
    /// unheard, and whoever asked has to see to it that what it does late harms nobody.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        label: impl FnOnce() -> String,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, outcome) = channel();
        self.run(move || {
            // Nobody listening any more is what the limit is for.
            let _ = answer.send(job());
        });
        match outcome.recv_timeout(limit) {
            Ok(outcome) => outcome,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Err(hangs(label())),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Err(Error::WorkerGone),
        }
    }
}

/// The error of a drive that does not answer.
pub(crate) fn hangs(drive: String) -> Error {
    let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
    Error::from_io("wait for", drive, source)
}

/// Whether this is the error of a drive that did not answer.
pub(crate) fn is_late(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::TimedOut)
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        // A receiver has no state that a panic could leave half changed.
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

const THREADS: usize = 4;
