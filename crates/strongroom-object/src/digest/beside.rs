// SPDX-License-Identifier: Apache-2.0
//! A digest that is computed on another thread, beside what else happens to the bytes.
//!
//! ```text
//!   give -> [batch][batch][batch] -> a thread that may block, as long as there are batches
//!     |            |                                  |
//!     |            +-- at most QUEUED_BYTES_MAX       +-- gives the state back and goes
//!     +-- waits above that, until QUEUED_BYTES_LOW are left
//! ```
//!
//! A digest that is slower than the rest must never wait for its next batch, or what it waits adds
//! up: so there is another one in the queue when one is done, and whoever gives is woken while there
//! still is. No thread is held while there is nothing to digest: a slow client costs none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::OFFLOAD_BYTES_MIN as PART_BYTES;
use crate::error::Error;

/// What is to be fed with every byte, in order.
pub(super) trait Digesting: Send + 'static {
    fn update(&mut self, bytes: &[u8]);
}

/// A digest under way. One task gives to it.
pub(super) struct Beside<D: Digesting> {
    lane: Arc<Lane<D>>,
}

struct Lane<D> {
    queue: Mutex<Queue<D>>,
    /// There is room, or nothing is left to do.
    progress: Notify,
}

struct Queue<D> {
    batches: VecDeque<Vec<Bytes>>,
    /// What is digested. Giving memory back takes time, which whoever gives has, and the digest has
    /// not.
    spent: Vec<Vec<Bytes>>,
    /// Bytes that are not digested yet.
    bytes: usize,
    stage: Stage<D>,
}

enum Stage<D> {
    /// Nobody digests; the queue is empty.
    Resting(Box<D>),
    /// A thread digests, or will as soon as it can.
    Working,
    /// The thread ended before its work was done: what it had is lost.
    Lost,
}

impl<D: Digesting> Beside<D> {
    pub(super) fn new(state: Box<D>) -> Self {
        let queue = Queue {
            batches: VecDeque::new(),
            spent: Vec::new(),
            bytes: 0,
            stage: Stage::Resting(state),
        };
        Self {
            lane: Arc::new(Lane {
                queue: Mutex::new(queue),
                progress: Notify::new(),
            }),
        }
    }

    /// Queue a batch of `bytes` bytes, when there is room.
    pub(super) async fn give(&self, batch: Vec<Bytes>, bytes: usize) -> Result<(), Error> {
        if self.lane.queue().bytes >= QUEUED_BYTES_MAX {
            self.wait_for(|queue| queue.bytes <= QUEUED_BYTES_LOW)
                .await?;
        }
        let mut queue = self.lane.queue();
        let worker = match std::mem::replace(&mut queue.stage, Stage::Working) {
            Stage::Working => None,
            Stage::Resting(state) => Some(Worker {
                lane: Arc::clone(&self.lane),
                state: Some(state),
            }),
            Stage::Lost => {
                queue.stage = Stage::Lost;
                return Err(LOST);
            }
        };
        queue.batches.push_back(batch);
        queue.bytes = queue.bytes.saturating_add(bytes);
        let spent = std::mem::take(&mut queue.spent);
        drop(queue);
        drop(spent);
        if let Some(worker) = worker {
            spawn_blocking(move || worker.work());
        }
        Ok(())
    }

    /// The state after everything that was given.
    pub(super) async fn finish(self) -> Result<Box<D>, Error> {
        self.wait_for(|queue| matches!(queue.stage, Stage::Resting(_)))
            .await?;
        let before = std::mem::replace(&mut self.lane.queue().stage, Stage::Lost);
        match before {
            Stage::Resting(state) => Ok(state),
            Stage::Working | Stage::Lost => Err(LOST),
        }
    }

    async fn wait_for(&self, there: impl Fn(&Queue<D>) -> bool) -> Result<(), Error> {
        loop {
            {
                let queue = self.lane.queue();
                if matches!(queue.stage, Stage::Lost) {
                    return Err(LOST);
                }
                if there(&queue) {
                    return Ok(());
                }
            }
            // There is one waiter, and what was notified before it waits is not forgotten.
            self.lane.progress.notified().await;
        }
    }
}

/// Nobody waits for the digest any more: what is queued need not be digested.
impl<D: Digesting> Drop for Beside<D> {
    fn drop(&mut self) {
        let mut queue = self.lane.queue();
        let unused = (
            std::mem::take(&mut queue.batches),
            std::mem::take(&mut queue.spent),
        );
        drop(queue);
        drop(unused);
    }
}

impl<D> Lane<D> {
    fn queue(&self) -> MutexGuard<'_, Queue<D>> {
        // Every change of the queue is whole before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes more are digested.
    fn done(&self, bytes: usize) {
        let mut queue = self.queue();
        let before = queue.bytes;
        queue.bytes = before.saturating_sub(bytes);
        if before > QUEUED_BYTES_LOW && queue.bytes <= QUEUED_BYTES_LOW {
            drop(queue);
            self.progress.notify_one();
        }
    }
}

/// One visit of a thread. Dropped before its work is done (a runtime that shuts down never begins
/// it), it says so: nobody waits for it for ever.
struct Worker<D: Digesting> {
    lane: Arc<Lane<D>>,
    state: Option<Box<D>>,
}

impl<D: Digesting> Worker<D> {
    fn work(mut self) {
        let mut digested = 0_usize;
        while digested < VISIT_BYTES_MAX {
            let Some(batch) = self.next() else {
                return;
            };
            let Some(state) = &mut self.state else {
                return;
            };
            for part in batch.iter().flat_map(|piece| piece.chunks(PART_BYTES)) {
                state.update(part);
                self.lane.done(part.len());
                digested = digested.saturating_add(part.len());
            }
            self.lane.queue().spent.push(batch);
        }
        // Others wait for a thread, too.
        spawn_blocking(move || self.work());
    }

    /// The next batch; the state goes home where there is none.
    fn next(&mut self) -> Option<Vec<Bytes>> {
        let mut queue = self.lane.queue();
        let batch = queue.batches.pop_front();
        if batch.is_none()
            && let Some(state) = self.state.take()
        {
            queue.stage = Stage::Resting(state);
            let spent = std::mem::take(&mut queue.spent);
            drop(queue);
            self.lane.progress.notify_one();
            drop(spent);
        }
        batch
    }
}

impl<D: Digesting> Drop for Worker<D> {
    fn drop(&mut self) {
        if self.state.is_some() {
            self.lane.queue().stage = Stage::Lost;
            self.lane.progress.notify_one();
        }
    }
}

const LOST: Error = Error::Internal("a digest task ended early");
/// Nothing is queued while this many bytes wait for their digest.
const QUEUED_BYTES_MAX: usize = 384 * 1024;
/// After so many bytes a thread goes to whoever waits for one.
const VISIT_BYTES_MAX: usize = 4 << 20;
/// Whoever waits for room is woken when so many are left: enough for the time that this takes.
const QUEUED_BYTES_LOW: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::{Context, Waker};

    use super::*;

    /// Collects what it is fed, when it may.
    struct Collect {
        all: Vec<u8>,
        closed: Arc<AtomicBool>,
        seen: Arc<AtomicUsize>,
    }

    impl Digesting for Collect {
        fn update(&mut self, bytes: &[u8]) {
            while self.closed.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            self.all.extend_from_slice(bytes);
            self.seen.fetch_add(bytes.len(), Ordering::SeqCst);
        }
    }

    fn collect(closed: bool) -> (Beside<Collect>, Arc<AtomicBool>, Arc<AtomicUsize>) {
        let closed = Arc::new(AtomicBool::new(closed));
        let seen = Arc::new(AtomicUsize::new(0));
        let state = Box::new(Collect {
            all: Vec::new(),
            closed: Arc::clone(&closed),
            seen: Arc::clone(&seen),
        });
        (Beside::new(state), closed, seen)
    }

    fn batch(len: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![7; len])]
    }

    #[tokio::test]
    async fn everything_given_is_digested_in_order() {
        let (beside, ..) = collect(false);
        let mut all = Vec::new();
        for number in 0..200_usize {
            let lens = [0, number, 40_000, PART_BYTES, PART_BYTES + 1, 1_000_000];
            let len = lens[number % lens.len()];
            let bytes: Vec<u8> = (0_u8..251).cycle().skip(number).take(len).collect();
            all.extend_from_slice(&bytes);
            let (one, two) = bytes.split_at(len / 3);
            let pieces = [one, two].map(Bytes::copy_from_slice).to_vec();
            beside.give(pieces, len).await.unwrap();
        }
        assert!(beside.finish().await.unwrap().all == all);
    }

    #[tokio::test]
    async fn nothing_given_is_nothing_digested() {
        let (beside, ..) = collect(false);
        assert!(beside.finish().await.unwrap().all.is_empty());
    }

    #[tokio::test]
    async fn whoever_gives_waits_while_too_much_is_queued() {
        let (beside, closed, seen) = collect(true);
        for _ in 0..QUEUED_BYTES_MAX / PART_BYTES {
            beside.give(batch(PART_BYTES), PART_BYTES).await.unwrap();
        }
        let mut more = Box::pin(beside.give(batch(1), 1));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(more.as_mut().poll(&mut cx).is_pending());
        assert!(more.as_mut().poll(&mut cx).is_pending());
        assert_eq!(seen.load(Ordering::SeqCst), 0);
        closed.store(false, Ordering::SeqCst);
        more.await.unwrap();
        assert!(seen.load(Ordering::SeqCst) >= QUEUED_BYTES_MAX - QUEUED_BYTES_LOW);
        let all = beside.finish().await.unwrap().all;
        assert_eq!(all.len(), QUEUED_BYTES_MAX + 1);
    }

    /// Whoever waited for a digest whose thread was gone waited for ever.
    #[tokio::test]
    async fn a_digest_that_ends_early_is_an_error_and_nobody_waits() {
        struct Ends;
        impl Digesting for Ends {
            fn update(&mut self, _: &[u8]) {
                panic!("on purpose");
            }
        }
        let beside = Beside::new(Box::new(Ends));
        let mut refused = false;
        for _ in 0..100 {
            refused |= beside.give(batch(PART_BYTES), PART_BYTES).await.is_err();
        }
        assert!(refused, "100 batches do not fit into the queue");
        assert!(beside.give(batch(1), 1).await.is_err());
        assert!(beside.finish().await.is_err());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_digested() {
        let (beside, closed, seen) = collect(true);
        for _ in 0..4 {
            beside.give(batch(PART_BYTES), PART_BYTES).await.unwrap();
        }
        let lane = Arc::clone(&beside.lane);
        drop(beside);
        assert!(lane.queue().batches.is_empty());
        closed.store(false, Ordering::SeqCst);
        while !matches!(lane.queue().stage, Stage::Resting(_)) {
            tokio::task::yield_now().await;
        }
        assert!(seen.load(Ordering::SeqCst) <= PART_BYTES);
    }
}
