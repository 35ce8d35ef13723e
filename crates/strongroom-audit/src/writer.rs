// SPDX-License-Identifier: Apache-2.0
//! Group commit: a queue and the one thread that writes it.
//!
//! The thread takes all that waits, writes it as one batch, syncs once and wakes the waiters;
//! what arrives meanwhile is the next batch. Order in the queue is order in the file. Buffered
//! entries alone start a batch after [`LINGER`], or when there are many.
//!
//! A thread is called only when it would not look by itself in time: a call is a system call, and
//! a use of a key is answered when its event is durable. After a batch the thread looks again
//! within [`LINGER`]; only when nothing came does it rest until somebody calls.

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

/// The time between two failures of the log. What was queued in one and is not durable at its end
/// is lost, though the log may go on: whoever owes it must not count on a later record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(u64);

/// A record that is on its way to the drive.
#[derive(Debug)]
pub(crate) struct OnItsWay(oneshot::Receiver<()>);

impl OnItsWay {
    /// Waits until it is durable, and with it everything that was queued before it in its era.
    pub(crate) async fn durable(self) -> Result<(), Error> {
        self.0.await.map_err(|_| Error::OutOfService)
    }
}

impl Writer {
    pub(crate) fn start(log: Log, clock: Arc<dyn Clock>) -> Result<Writer, Error> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || run(&theirs, log, clock.as_ref()))
            .map_err(|_| Error::System("a thread"))?;
        Ok(Writer { shared })
    }

    /// Queues a record and waits if it has to be durable. `since` is the era of what else is owed:
    /// the record is refused in another.
    pub(crate) async fn append(
        &self,
        body: &[u8],
        durability: Durability,
        since: Option<Era>,
    ) -> Result<(), Error> {
        match self.queue(body, durability, since)? {
            (_, Some(on_its_way)) => on_its_way.durable().await,
            (_, None) => Ok(()),
        }
    }

    /// Queues a record, and leaves the waiting to the caller where there is something to wait for.
    pub(crate) fn queue(
        &self,
        body: &[u8],
        durability: Durability,
        since: Option<Era>,
    ) -> Result<(Era, Option<OnItsWay>), Error> {
        let queue = self.shared.lock();
        queue.admit()?;
        if since.is_some_and(|since| since != queue.era) {
            return Err(Error::OutOfService);
        }
        // A full queue makes readers wait too: memory stays bounded when the drive is slow.
        let wait = durability == Durability::Durable || queue.waiting.text.len() > QUEUE_BYTES_MAX;
        let era = queue.era;
        Ok((era, self.shared.push(queue, Some(body), wait)))
    }

    /// Queues without a word about the outcome: for `Drop`.
    pub(crate) fn append_unheard(&self, body: &[u8]) {
        let queue = self.shared.lock();
        if queue.admit().is_ok() {
            self.shared.push(queue, Some(body), false);
        }
    }

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let on_its_way = {
            let queue = self.shared.lock();
            queue.admit()?;
            self.shared.push(queue, None, true)
        };
        match on_its_way {
            Some(on_its_way) => on_its_way.durable().await,
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

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

struct Queue {
    waiting: Batch,
    /// When the oldest record of those came; `None` when nothing waits.
    since: Option<Instant>,
    /// They are to be written at once: somebody waits for durability, or they are many.
    due: bool,
    thread: Thread,
    era: Era,
    closing: bool,
    /// Who waits for the end; dropped without a word when the log failed.
    ended: Option<oneshot::Sender<()>>,
    failed: bool,
}

/// What the thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    /// It will look into the queue before it waits, or was called.
    Awake,
    /// It will look within [`LINGER`].
    Lingers,
    /// It waits until it is called.
    Rests,
}

/// Records one behind the other, in memory that is used again.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    /// Where each record ends in the text.
    ends: Vec<usize>,
    /// Who waits; dropped without a word when the batch fails.
    durable: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.durable.is_empty()
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().filter_map(move |end| {
            let record = self.text.get(start..*end);
            start = *end;
            record
        })
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES_MAX);
        self.ends.clear();
        self.durable.clear();
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            waiting: Batch::default(),
            since: None,
            due: false,
            thread: Thread::Awake,
            era: Era(0),
            closing: false,
            ended: None,
            failed: false,
        }
    }
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
    /// A panic of another thread cannot leave the queue half changed: what a record consists of is
    /// put into it by calls that do not panic.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        body: Option<&[u8]>,
        wait: bool,
    ) -> Option<OnItsWay> {
        if let Some(body) = body {
            queue.waiting.text.extend_from_slice(body);
            let end = queue.waiting.text.len();
            queue.waiting.ends.push(end);
        }
        let on_its_way = wait.then(|| {
            let (sender, receiver) = oneshot::channel();
            queue.waiting.durable.push(sender);
            OnItsWay(receiver)
        });
        queue.since.get_or_insert_with(Instant::now);
        queue.due |= wait || queue.waiting.text.len() > DUE_BYTES;
        let call = match queue.thread {
            Thread::Awake => false,
            Thread::Lingers => queue.due,
            Thread::Rests => true,
        };
        if call {
            queue.thread = Thread::Awake;
        }
        // Called with the lock in our hands, the thread would wake to wait for it.
        drop(queue);
        if call {
            self.wake.notify_one();
        }
        on_its_way
    }

    /// Waits until a batch is due and exchanges it for `batch`, which is empty; whether there is
    /// one: not when nothing is left and the log is closing.
    fn next_batch(&self, batch: &mut Batch) -> bool {
        let mut queue = self.lock();
        let mut idle = false;
        while !queue.due && !queue.closing {
            let left = match queue.since {
                Some(since) => LINGER.saturating_sub(since.elapsed()),
                None => LINGER,
            };
            if left.is_zero() {
                break;
            }
            queue = if queue.since.is_none() && idle {
                queue.thread = Thread::Rests;
                self.wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner)
            } else {
                queue.thread = Thread::Lingers;
                let (queue, waited) = self
                    .wake
                    .wait_timeout(queue, left)
                    .unwrap_or_else(PoisonError::into_inner);
                idle = waited.timed_out();
                queue
            };
            queue.thread = Thread::Awake;
        }
        queue.due = false;
        queue.since = None;
        std::mem::swap(&mut queue.waiting, batch);
        !batch.is_empty()
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
        queue.era = Era(queue.era.0.saturating_add(1));
        queue.waiting.clear();
        queue.since = None;
        queue.due = false;
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
    let mut batch = Batch::default();
    while shared.next_batch(&mut batch) {
        if let Err(error) = log.append(batch.records(), clock.now_ms()) {
            tracing::error!(%error, "audit log is out of service");
            // INVARIANT: the queue refuses before the waiters hear, or a caller that heard of the
            // failure could still get a later record accepted.
            shared.fail();
            batch.clear();
            match shared.wait_for_drive(log) {
                Some(opened) => log = opened,
                None => return,
            }
            continue;
        }
        for durable in batch.durable.drain(..) {
            // Nobody listening any more is no failure.
            let _ = durable.send(());
        }
        batch.clear();
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
/// So many bytes are written though nobody waits: they are still in the processor's cache, and the
/// memory for them is kept.
const DUE_BYTES: usize = 1 << 20;
const KEPT_BYTES_MAX: usize = 2 * DUE_BYTES;
const QUEUE_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(shared: &Shared, bytes: usize, wait: bool) -> Option<OnItsWay> {
        shared.push(shared.lock(), Some(&vec![1; bytes]), wait)
    }

    fn batch_of(shared: &Shared) -> Batch {
        let mut batch = Batch::default();
        assert!(shared.next_batch(&mut batch));
        batch
    }

    #[test]
    fn buffered_entries_are_due_within_a_second() {
        assert!(LINGER < Duration::from_secs(1));
        let shared = Shared::default();
        let now = Instant::now();
        assert!(pushed(&shared, 1, false).is_none());
        assert_eq!(batch_of(&shared).records().count(), 1);
        assert!(now.elapsed() >= LINGER, "nobody was in a hurry");
    }

    #[test]
    fn many_buffered_entries_are_due_at_once() {
        let shared = Shared::default();
        let mut records = 0;
        while !shared.lock().due {
            assert!(pushed(&shared, 300_000, false).is_none());
            records += 1;
        }
        assert_eq!(records, DUE_BYTES / 300_000 + 1);
        assert_eq!(batch_of(&shared).records().count(), records);
        assert!(!shared.lock().due);
    }

    /// Who calls a thread that would look by itself pays a system call for nothing; who does not
    /// call one that would not waits for ever.
    #[test]
    fn the_thread_is_called_only_when_it_would_not_look_in_time() {
        let shared = Shared::default();
        for (thread, wait, called) in [
            (Thread::Awake, false, false),
            (Thread::Awake, true, false),
            (Thread::Lingers, false, false),
            (Thread::Lingers, true, true),
            (Thread::Rests, false, true),
            (Thread::Rests, true, true),
        ] {
            *shared.lock() = Queue {
                thread,
                ..Queue::default()
            };
            let _on_its_way = pushed(&shared, 1, wait);
            let after = if called { Thread::Awake } else { thread };
            assert_eq!(shared.lock().thread, after, "{thread:?}, {wait}");
        }
    }

    /// A thread that nobody calls looks by itself: each record comes while it does something else.
    #[test]
    fn nothing_waits_for_a_thread_that_lingers_or_rests() {
        let shared = Arc::new(Shared::default());
        let (told, hears) = std::sync::mpsc::channel();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut batch = Batch::default();
            while theirs.next_batch(&mut batch) {
                told.send(batch.records().count()).unwrap();
                batch.clear();
            }
        });
        for state in [Thread::Lingers, Thread::Rests, Thread::Lingers] {
            for wait in [false, true] {
                while shared.lock().thread != state {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let _on_its_way = pushed(&shared, 1, wait);
                assert_eq!(hears.recv().unwrap(), 1, "{state:?}, {wait}");
            }
        }
        shared.lock().closing = true;
        shared.wake.notify_one();
        thread.join().unwrap();
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let shared = Shared::default();
        for text in ["one", "", "three"] {
            shared.push(shared.lock(), Some(text.as_bytes()), true);
        }
        shared.push(shared.lock(), None, true);
        let mut batch = batch_of(&shared);
        let records: Vec<_> = batch.records().collect();
        assert_eq!(records, [b"one".as_slice(), b"", b"three"]);
        assert_eq!(batch.durable.len(), 4);
        batch.text.reserve(3 * KEPT_BYTES_MAX);
        batch.clear();
        assert!(batch.is_empty() && batch.records().next().is_none());
        assert!(batch.text.capacity() <= KEPT_BYTES_MAX);
    }
}
