// SPDX-License-Identifier: Apache-2.0
//! Group commit: a queue and the one thread that writes it.
//!
//! The thread takes all that waits, writes it as one batch, syncs once and wakes the waiters;
//! what arrives meanwhile is the next batch. Order in the queue is order in the file. Buffered
//! entries alone start a batch after [`LINGER`].

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use strongroom_store::env::Clock;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::event::Durability;
use crate::log::Log;

/// Handle of the thread; the last one dropped ends it after a last batch.
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    pub(crate) fn start(log: Log, clock: Arc<dyn Clock>) -> Result<Writer, Error> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || run(&theirs, log, clock.as_ref()))
            .map_err(|_| Error::System("a thread"))?;
        Ok(Writer { shared })
    }

    pub(crate) async fn append(&self, body: Vec<u8>, durability: Durability) -> Result<(), Error> {
        let durable = {
            let mut queue = self.shared.lock();
            queue.admit()?;
            // A full queue makes readers wait too: memory stays bounded when the drive is slow.
            let wait = durability == Durability::Durable || queue.bytes > QUEUE_BYTES_MAX;
            self.shared.push(&mut queue, Some(body), wait)
        };
        match durable {
            Some(durable) => durable.await.map_err(|_| Error::OutOfService),
            None => Ok(()),
        }
    }

    /// Queues without a word about the outcome: for `Drop`.
    pub(crate) fn append_unheard(&self, body: Vec<u8>) {
        let mut queue = self.shared.lock();
        if queue.admit().is_ok() {
            self.shared.push(&mut queue, Some(body), false);
        }
    }

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let durable = {
            let mut queue = self.shared.lock();
            queue.admit()?;
            self.shared.push(&mut queue, None, true)
        };
        match durable {
            Some(durable) => durable.await.map_err(|_| Error::OutOfService),
            None => Ok(()),
        }
    }

    pub(crate) fn is_in_service(&self) -> bool {
        !self.shared.lock().failed
    }

    /// Ends the thread after a last batch; when this returns, the log holds nothing open.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let ended = {
            let mut queue = self.shared.lock();
            queue.admit()?;
            queue.closing = true;
            let (sender, receiver) = oneshot::channel();
            queue.ended = Some(sender);
            receiver
        };
        self.shared.wake.notify_one();
        ended.await.map_err(|_| Error::OutOfService)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Entry>,
    bytes: usize,
    /// When the oldest entry came; `None` when nothing waits.
    since: Option<Instant>,
    /// Somebody waits for durability.
    urgent: bool,
    closing: bool,
    /// Who waits for the end; dropped without a word when the log failed.
    ended: Option<oneshot::Sender<()>>,
    failed: bool,
}

struct Entry {
    /// `None` for a mere flush.
    body: Option<Vec<u8>>,
    /// Dropped without a word when the batch fails.
    durable: Option<oneshot::Sender<()>>,
}

impl Queue {
    fn admit(&self) -> Result<(), Error> {
        if self.closing {
            return Err(Error::Closed);
        }
        if self.failed {
            return Err(Error::OutOfService);
        }
        Ok(())
    }
}

impl Shared {
    /// A panic of another thread cannot leave the queue half changed: each change is one push.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        queue: &mut Queue,
        body: Option<Vec<u8>>,
        wait: bool,
    ) -> Option<oneshot::Receiver<()>> {
        let (sender, receiver) = if wait {
            let (sender, receiver) = oneshot::channel();
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        let idle = queue.entries.is_empty();
        queue.bytes = queue
            .bytes
            .saturating_add(body.as_ref().map_or(0, Vec::len));
        queue.entries.push(Entry {
            body,
            durable: sender,
        });
        queue.since.get_or_insert_with(Instant::now);
        let hurry = wait && !queue.urgent;
        queue.urgent |= wait;
        if idle || hurry {
            self.wake.notify_one();
        }
        receiver
    }

    /// Waits until a batch is due; `None` when there is nothing left and the log is closing.
    fn next_batch(&self) -> Option<Vec<Entry>> {
        let mut queue = self.lock();
        loop {
            if queue.urgent || queue.closing {
                break;
            }
            let left = queue
                .since
                .map(|since| LINGER.saturating_sub(since.elapsed()));
            queue = match left {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    self.wake
                        .wait_timeout(queue, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        queue.urgent = false;
        queue.since = None;
        queue.bytes = 0;
        let batch = std::mem::take(&mut queue.entries);
        (!batch.is_empty()).then_some(batch)
    }

    /// After a failure: waits until a drive that refused changes for want of a majority of its
    /// copies takes them again, and opens the log as a start does. `None` when the drive is one that
    /// does not come back, or nobody wants the log any more.
    fn wait_for_drive(&self, log: Log) -> Option<Log> {
        let drive = log.into_drive();
        if !drive.serves_reads_only() {
            return None;
        }
        loop {
            {
                let queue = self.lock();
                if queue.closing {
                    return None;
                }
                let waited = self.wake.wait_timeout(queue, LOOK_EVERY);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            if drive.serves_reads_only() {
                continue;
            }
            match Log::open(Arc::clone(&drive)) {
                Ok(log) => {
                    tracing::info!("the audit log is in service again");
                    let mut queue = self.lock();
                    queue.failed = false;
                    return Some(log);
                }
                Err(error) => tracing::error!(%error, "the audit log does not open again"),
            }
        }
    }

    /// Refuses all that comes and lets go of all that waits.
    fn fail(&self) {
        let mut queue = self.lock();
        queue.failed = true;
        queue.entries.clear();
        queue.bytes = 0;
        queue.ended = None;
    }
}

/// If the thread ends in any way but the orderly one, nobody may wait for it or count on it.
struct FailOnDrop<'a>(&'a Shared);

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}

fn run(shared: &Shared, mut log: Log, clock: &dyn Clock) {
    let _guard = FailOnDrop(shared);
    while let Some(batch) = shared.next_batch() {
        let bodies = batch.iter().filter_map(|entry| entry.body.as_deref());
        if let Err(error) = log.append(bodies, clock.now_ms()) {
            tracing::error!(%error, "audit log is out of service");
            // INVARIANT: the queue refuses before the waiters hear, or a caller that heard of the
            // failure could still get a later record accepted.
            shared.fail();
            drop(batch);
            match shared.wait_for_drive(log) {
                Some(opened) => log = opened,
                None => return,
            }
            continue;
        }
        for durable in batch.into_iter().filter_map(|entry| entry.durable) {
            // Nobody listening any more is no failure.
            let _ = durable.send(());
        }
    }
    // The log lets go of its drive before anybody hears that it is closed.
    drop(log);
    let ended = shared.lock().ended.take();
    if let Some(ended) = ended {
        let _ = ended.send(());
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(500);
const LINGER: Duration = Duration::from_millis(500);
const QUEUE_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffered_entries_are_due_within_a_second() {
        assert!(LINGER < Duration::from_secs(1));
        let shared = Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
        };
        let now = Instant::now();
        assert!(
            shared
                .push(&mut shared.lock(), Some(vec![1]), false)
                .is_none()
        );
        assert_eq!(shared.next_batch().unwrap().len(), 1);
        assert!(now.elapsed() >= LINGER, "nobody was in a hurry");
    }
}
