// SPDX-License-Identifier: Apache-2.0
//! How fast work in the background may go.
//!
//! Bytes are paid for with time: what was spent pushes the moment of the next step back. So in any
//! stretch of `t` seconds at most `rate * (t + burst)` bytes are spent, and those of one step more.
//! The pace sleeps nowhere: it says how long to wait, and whoever drives the work waits.

use std::fmt;
use std::sync::Arc;

use crate::env::Clock;

/// The pace of one worker.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    bytes_per_s: u64,
    /// Everything spent so far is paid for at this time, in microseconds that the process runs.
    paid_us: u64,
}

impl Pace {
    /// A pace of `bytes_per_s`, at least one.
    pub(crate) fn new(clock: Arc<dyn Clock>, bytes_per_s: u64) -> Self {
        Self {
            clock,
            bytes_per_s: bytes_per_s.max(1),
            paid_us: 0,
        }
    }

    /// Another pace from now on; what was spent is not counted again.
    pub(crate) fn set(&mut self, bytes_per_s: u64) {
        self.bytes_per_s = bytes_per_s.max(1);
    }

    /// Milliseconds until the next step; 0 when it may be done now.
    pub(crate) fn wait_ms(&self) -> u64 {
        self.paid_us.saturating_sub(self.now_us()).div_ceil(1000)
    }

    /// So much was done.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let earliest = self.now_us().saturating_sub(BURST_US);
        let cost = u128::from(bytes)
            .saturating_mul(1_000_000)
            .div_ceil(u128::from(self.bytes_per_s));
        self.paid_us = self
            .paid_us
            .max(earliest)
            .saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
    }

    /// What was spent need not be paid for.
    pub(crate) fn forgive(&mut self) {
        self.paid_us = 0;
    }

    fn now_us(&self) -> u64 {
        self.clock.running_ms().saturating_mul(1000)
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("bytes_per_s", &self.bytes_per_s)
            .finish_non_exhaustive()
    }
}

/// How much time that was not used counts.
const BURST_US: u64 = 100_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct StandingClock(AtomicU64);

    impl Clock for StandingClock {
        fn now_ms(&self) -> u64 {
            // Nobody may pace by the clock that can be set.
            u64::MAX
        }

        fn running_ms(&self) -> u64 {
            self.0.load(Ordering::Acquire)
        }
    }

    fn paced(bytes_per_s: u64) -> (Arc<StandingClock>, Pace) {
        let clock = Arc::new(StandingClock::default());
        clock.0.store(1_000_000, Ordering::Release);
        let handed: Arc<dyn Clock> = Arc::<StandingClock>::clone(&clock);
        (clock, Pace::new(handed, bytes_per_s))
    }

    #[test]
    fn what_is_spent_is_waited_for() {
        let (clock, mut pace) = paced(1000);
        assert_eq!(pace.wait_ms(), 0);
        pace.spend(500);
        assert_eq!(pace.wait_ms(), 400, "less what was not used before");
        clock.0.fetch_add(399, Ordering::AcqRel);
        assert_eq!(pace.wait_ms(), 1);
        clock.0.fetch_add(1, Ordering::AcqRel);
        assert_eq!(pace.wait_ms(), 0);
    }

    #[test]
    fn a_long_rest_buys_no_long_burst() {
        let (clock, mut pace) = paced(1000);
        pace.spend(1);
        clock.0.fetch_add(3_600_000, Ordering::AcqRel);
        pace.spend(10_000);
        assert_eq!(pace.wait_ms(), 9_900);
    }

    #[test]
    fn the_rate_holds_over_any_stretch() {
        let (clock, mut pace) = paced(1 << 20);
        let (mut spent, begun) = (0_u64, clock.running_ms());
        for step in 0..5_000_u64 {
            while pace.wait_ms() > 0 {
                clock.0.fetch_add(1, Ordering::AcqRel);
            }
            let bytes = 1 + (step * 7919) % 40_000;
            pace.spend(bytes);
            spent += bytes;
            let allowed = (1 << 20) * (clock.running_ms() - begun + 100) / 1000 + 40_000;
            assert!(spent <= allowed, "step {step}: {spent} of {allowed}");
        }
    }

    #[test]
    fn extremes_do_no_harm() {
        let (_, mut pace) = paced(0);
        assert_eq!(pace.bytes_per_s, 1);
        pace.spend(u64::MAX);
        pace.spend(u64::MAX);
        assert!(pace.wait_ms() > 1 << 40);
        pace.set(u64::MAX);
        pace.spend(u64::MAX);
        assert_eq!(pace.bytes_per_s, u64::MAX);
    }
}
