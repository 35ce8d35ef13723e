// SPDX-License-Identifier: Apache-2.0
//! Damage that reads came across, for whoever heals.
//!
//! A read answers from the other shards and notes here what it had to do without; it never heals
//! itself. The queue has a bound: what does not fit is found by the next scrub.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::drive::DriveNo;
use crate::layout::{BlobId, ShardIndex};

/// A shard that is not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Damage {
    /// The blob.
    pub blob: BlobId,
    /// The shard.
    pub shard: ShardIndex,
    /// The drive that should hold it.
    pub drive: DriveNo,
    /// What was found.
    pub kind: DamageKind,
}

/// What was found of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DamageKind {
    /// The drive is there and has no such file.
    Missing,
    /// The file is not the one that was written: header, length, trailer.
    File,
    /// A unit does not match its checksum, or parity does not match the data.
    Unit,
    /// The drive answers with an error.
    Unreadable,
}

/// The damage that waits for healing. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct DamageQueue {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Damage>,
    known: HashSet<(BlobId, ShardIndex)>,
    left_out: u64,
}

impl DamageQueue {
    /// Notes damage, unless the same shard waits already. `false` when there is no room.
    pub fn push(&self, damage: Damage) -> bool {
        let mut waiting = self.lock();
        if waiting.known.contains(&(damage.blob, damage.shard)) {
            return true;
        }
        metrics::counter!("strongroom_blob_shards_damaged_total").increment(1);
        if waiting.order.len() >= WAITING_MAX {
            waiting.left_out = waiting.left_out.saturating_add(1);
            return false;
        }
        tracing::warn!(
            blob = %damage.blob,
            shard = damage.shard.0,
            drive = %damage.drive,
            kind = ?damage.kind,
            "a shard is damaged"
        );
        waiting.known.insert((damage.blob, damage.shard));
        waiting.order.push_back(damage);
        drop(waiting);
        self.inner.added.notify_one();
        true
    }

    /// Takes up to `max`, the oldest first.
    pub fn take(&self, max: usize) -> Vec<Damage> {
        let mut waiting = self.lock();
        let count = waiting.order.len().min(max);
        let taken: Vec<_> = waiting.order.drain(..count).collect();
        for damage in &taken {
            waiting.known.remove(&(damage.blob, damage.shard));
        }
        taken
    }

    /// Puts back what was taken and could not be written down.
    pub(crate) fn put_back(&self, taken: Vec<Damage>) {
        let mut waiting = self.lock();
        for damage in taken.into_iter().rev() {
            if waiting.known.insert((damage.blob, damage.shard)) {
                waiting.order.push_front(damage);
            }
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().order.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many found no room, and were not read by a whole pass of scrub since.
    pub fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    /// A pass of scrub is over; when it began, so many had found no room.
    pub(crate) fn found_again(&self, left_out: u64) {
        let mut waiting = self.lock();
        waiting.left_out = waiting.left_out.saturating_sub(left_out);
    }

    /// There is something to heal that is written down elsewhere.
    pub(crate) fn announce(&self) {
        self.inner.added.notify_one();
    }

    /// Waits until something was added since the last wait ended.
    pub async fn added(&self) {
        self.inner.added.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // What it guards is whole after every statement that changes it.
        self.inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// As much damage as may wait: some hundred KiB of memory.
const WAITING_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(number: u16) -> Damage {
        let [high, low] = number.to_be_bytes();
        let mut blob = [0; 16];
        (blob[0], blob[1]) = (high, low);
        Damage {
            blob: BlobId(blob),
            shard: ShardIndex(1),
            drive: DriveNo(2),
            kind: DamageKind::Unit,
        }
    }

    #[test]
    fn the_same_shard_waits_once() {
        let queue = DamageQueue::default();
        assert!(queue.push(damage(1)) && queue.push(damage(1)) && queue.push(damage(2)));
        assert_eq!(queue.take(1), [damage(1)]);
        assert!(queue.push(damage(1)), "taken: may come again");
        assert_eq!(queue.take(9), [damage(2), damage(1)]);
        assert!(queue.is_empty() && queue.left_out() == 0);
    }

    #[test]
    fn the_queue_has_a_bound() {
        let queue = DamageQueue::default();
        for number in 0..4_096 {
            assert!(queue.push(damage(number)));
        }
        assert!(!queue.push(damage(9_999)));
        assert!(queue.push(damage(7)), "waits already");
        assert_eq!((queue.len(), queue.left_out()), (4_096, 1));
        queue.take(1);
        assert!(queue.push(damage(9_999)));
    }
}
