// SPDX-License-Identifier: Apache-2.0
//! The one door to the world outside a request: what time it is.
//!
//! Crates above this one never call the operating system's clock; they are handed a [`Clock`],
//! so that a test can hold time still or move it.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May step backwards when the machine's clock is set:
    /// order is never decided by it.
    fn now_ms(&self) -> u64;

    /// Milliseconds that this process has been running, from some moment on. Nobody can set it.
    fn running_ms(&self) -> u64;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    }

    fn running_ms(&self) -> u64 {
        u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
