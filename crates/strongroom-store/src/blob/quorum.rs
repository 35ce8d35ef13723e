// SPDX-License-Identifier: Apache-2.0
//! How many shards must be durable before a blob counts, and how long the others are waited for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::drive::DriveNo;
use crate::layout::Redundancy;

/// Shards that must be durable before a blob counts: all that are needed to read it, and half of
/// those that may be lost, rounded up. With one parity shard it may be missing: else two mirrored
/// drives, of which one failed, would take nothing more. `docs/adr/0028-write-quorum.md`.
pub const fn write_quorum(redundancy: Redundancy) -> u8 {
    let parity = match redundancy.parity() {
        1 => 0,
        parity => parity.div_ceil(2),
    };
    redundancy.data().saturating_add(parity)
}

/// How much patience there is with drives.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long writers of one blob wait, altogether, for shards beyond the quorum.
    pub write: Duration,
    /// How long they wait for the quorum itself, each time; a blob of one shard waits for as long
    /// as its drive takes.
    pub quorum: Duration,
    /// How long a read waits for a shard before it asks for another one instead.
    pub read: Duration,
    /// How long a drive that was too slow is not waited for at all.
    pub avoid: Duration,
    /// How long scrub and heal wait for one operation of a drive, and ten times as long for a flush.
    pub care: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            write: Duration::from_secs(5),
            quorum: Duration::from_mins(1),
            read: Duration::from_millis(150),
            avoid: Duration::from_secs(15),
            care: Duration::from_secs(30),
        }
    }
}

/// The drives that were too slow a short time ago, for one direction.
#[derive(Debug, Default)]
pub(crate) struct SlowDrives {
    until: Mutex<HashMap<DriveNo, Instant>>,
}

impl SlowDrives {
    /// The drive was too slow.
    pub(crate) fn add(&self, drive: DriveNo, avoid: Duration) {
        if let Some(until) = Instant::now().checked_add(avoid) {
            self.lock().insert(drive, until);
        }
    }

    /// Whether the drive was too slow a short time ago.
    pub(crate) fn has(&self, drive: DriveNo) -> bool {
        let mut until = self.lock();
        match until.get(&drive) {
            None => false,
            Some(moment) if *moment > Instant::now() => true,
            Some(_) => {
                until.remove(&drive);
                false
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DriveNo, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_hold_what_is_needed_to_read_and_half_of_the_rest() {
        let cases = [
            ((1, 0), 1),
            ((1, 1), 1),
            ((1, 2), 2),
            ((1, 3), 3),
            ((2, 2), 3),
            ((3, 2), 4),
            ((4, 2), 5),
            ((8, 3), 10),
            ((8, 4), 10),
            ((16, 8), 20),
        ];
        for ((data, parity), quorum) in cases {
            let redundancy = Redundancy::new(data, parity).unwrap();
            assert_eq!(write_quorum(redundancy), quorum, "{redundancy}");
            assert!(quorum >= data && quorum <= redundancy.shards());
        }
    }

    #[test]
    fn a_slow_drive_is_avoided_for_a_while() {
        let slow = SlowDrives::default();
        slow.add(DriveNo(3), Duration::from_mins(10));
        slow.add(DriveNo(4), Duration::ZERO);
        assert!(slow.has(DriveNo(3)) && !slow.has(DriveNo(2)) && !slow.has(DriveNo(4)));
    }
}
