// SPDX-License-Identifier: Apache-2.0
//! The threads of one copy: they carry out what several copies do at the same time.
//!
//! A few for each copy, since the commit log, the audit log and the vault flush independently of
//! each other. A drive that hangs holds up its own threads only. They end when the copy is
//! fenced; nobody waits for them, because what they wait for may never answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::Error;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that work for one copy.
pub(crate) struct Crew {
    bench: Arc<Bench>,
}

/// Where jobs wait for a thread, and threads for a job. A job wakes one thread, and that one
/// wakes nobody: a commit hands over several jobs for each copy.
#[derive(Default)]
struct Bench {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    threads: usize,
    is_over: bool,
}

impl Crew {
    pub(crate) fn start() -> Result<Self, Error> {
        Self::of(THREADS)
    }

    /// A crew of so many threads: one keeps the order of its jobs.
    pub(crate) fn of(threads: usize) -> Result<Self, Error> {
        let crew = Self {
            bench: Arc::default(),
        };
        for _ in 0..threads {
            let bench = Arc::clone(&crew.bench);
            let seat = Seat::take(bench);
            thread::Builder::new()
                .name("strongroom-copy".to_owned())
                .spawn(move || seat.work())
                .map_err(|source| Error::from_io("start a thread of", "a copy", source))?;
        }
        Ok(crew)
    }

    /// Has a job done; what it answers with is its own business. `false` when nobody is left.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let mut waiting = self.bench.lock();
        if waiting.threads == 0 {
            return false;
        }
        waiting.jobs.push_back(Box::new(job));
        drop(waiting);
        self.bench.news.notify_one();
        true
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

impl Drop for Crew {
    fn drop(&mut self) {
        self.bench.lock().is_over = true;
        self.bench.news.notify_all();
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}

impl Bench {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No job runs under the lock: what it guards is whole after a panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when the crew is gone and all that it was told is done.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.is_over {
                return None;
            }
            waiting = self
                .news
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The place of one thread: given up when it ends, also by a job that panics.
struct Seat(Arc<Bench>);

impl Seat {
    fn take(bench: Arc<Bench>) -> Self {
        let mut waiting = bench.lock();
        waiting.threads = waiting.threads.saturating_add(1);
        drop(waiting);
        Self(bench)
    }

    fn work(self) {
        while let Some(job) = self.0.next() {
            job();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.threads = waiting.threads.saturating_sub(1);
        // Dropped without the lock: whoever waits for an answer hears that there is none.
        let left = if waiting.threads == 0 {
            std::mem::take(&mut waiting.jobs)
        } else {
            VecDeque::new()
        };
        drop(waiting);
        drop(left);
    }
}

const THREADS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(2);

    fn ask<T: Send + 'static>(crew: &Crew, job: impl FnOnce() -> T + Send + 'static) -> T {
        crew.ask(LONG, || "test".to_owned(), move || Ok(job()))
            .unwrap()
    }

    #[test]
    fn one_thread_keeps_the_order() {
        let crew = Crew::of(1).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for number in 0..1000 {
            let seen = Arc::clone(&seen);
            assert!(crew.run(move || seen.lock().unwrap().push(number)));
        }
        ask(&crew, || ());
        assert_eq!(*seen.lock().unwrap(), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn threads_work_side_by_side() {
        let crew = Crew::of(4).unwrap();
        let gate = Arc::new(std::sync::Barrier::new(4));
        for _ in 0..3 {
            let gate = Arc::clone(&gate);
            assert!(crew.run(move || {
                gate.wait();
            }));
        }
        // Only the fourth lets the others go.
        ask(&crew, move || {
            gate.wait();
        });
    }

    #[test]
    fn what_was_asked_for_is_done_though_the_crew_is_gone() {
        let (done, told) = channel();
        let crew = Crew::of(1).unwrap();
        for number in 0..10 {
            let done = done.clone();
            assert!(crew.run(move || done.send(number).unwrap()));
        }
        drop((crew, done));
        assert_eq!(told.iter().count(), 10);
    }

    #[test]
    fn nobody_is_left_after_panics() {
        let crew = Crew::of(2).unwrap();
        for _ in 0..2 {
            assert!(crew.run(|| panic!("a job that a test lets fail")));
        }
        // Threads end behind their answers.
        let since = std::time::Instant::now();
        while crew.run(|| ()) {
            assert!(since.elapsed() < LONG);
            thread::yield_now();
        }
        let refused = crew.ask(LONG, || "test".to_owned(), || Ok(()));
        assert!(matches!(refused, Err(Error::WorkerGone)));
    }

    #[test]
    fn a_panic_of_one_leaves_the_others_at_work() {
        let crew = Crew::of(2).unwrap();
        assert!(crew.run(|| panic!("a job that a test lets fail")));
        for number in 0..100 {
            assert_eq!(ask(&crew, move || number), number);
        }
    }

    #[test]
    fn an_answer_that_does_not_come_is_not_waited_for() {
        let crew = Crew::of(1).unwrap();
        let (go, wait) = channel::<()>();
        let late = crew.ask(
            Duration::from_millis(20),
            || "slow".to_owned(),
            move || {
                let _ = wait.recv();
                Ok(())
            },
        );
        assert!(matches!(late, Err(Error::Io { .. })), "{late:?}");
        drop(go);
        ask(&crew, || ());
    }
}
