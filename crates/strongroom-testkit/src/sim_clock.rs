// SPDX-License-Identifier: Apache-2.0
//! Time under the test's control.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_store::env::Clock;

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct SimClock {
    now_ms: AtomicU64,
    running_ms: AtomicU64,
}

impl SimClock {
    /// A clock that shows `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            now_ms: AtomicU64::new(now_ms),
            running_ms: AtomicU64::new(0),
        }
    }

    /// Shows another time, earlier ones too, as when somebody sets a clock: no time passes.
    pub fn set_ms(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Release);
    }

    /// Moves on: so much time passes.
    pub fn advance_ms(&self, by_ms: u64) {
        self.now_ms.fetch_add(by_ms, Ordering::AcqRel);
        self.running_ms.fetch_add(by_ms, Ordering::AcqRel);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Acquire)
    }

    fn running_ms(&self) -> u64 {
        self.running_ms.load(Ordering::Acquire)
    }
}
