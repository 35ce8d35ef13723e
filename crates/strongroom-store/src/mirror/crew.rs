// SPDX-License-Identifier: Apache-2.0
//! The threads of one copy: they carry out what several copies do at the same time.
//!
//! A few for each copy, since the commit log, the audit log and the vault flush independently of
//! each other. A drive that hangs holds up its own threads only. They end when the copy is
//! fenced; nobody waits for them, because what they wait for may never answer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::error::Error;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that work for one copy.
#[derive(Debug)]
pub(crate) struct Crew {
    jobs: Sender<Job>,
}

impl Crew {
    pub(crate) fn start() -> Result<Self, Error> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..THREADS {
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

const THREADS: usize = 3;
