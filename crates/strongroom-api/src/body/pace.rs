// SPDX-License-Identifier: Apache-2.0
//! How long a client may take with its body.
//!
//! Counted is only the time in which the server waits for the client, never the time in which
//! the drives are slow. A client is too slow when nothing comes for the stall timeout, or when after
//! a grace of the same length it stays below [`BYTES_PER_SECOND_MIN`] on average.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Longest silence, unless the listener says otherwise.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Slowest average.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// The watch over one body. The timer is touched only when there is nothing to read.
pub(super) struct Pace {
    stall_timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// A watch that allows this much silence.
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self {
            stall_timeout,
            timer: None,
            waiting_since: None,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Data came.
    pub(super) fn progress(&mut self, bytes: usize) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(since) = self.waiting_since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
    }

    /// Nothing is there to read: whether the client has used up its time. Wakes the task when it
    /// has.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + self.allowance();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // A timer that rings early is wound again then; that is rarer than data is.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }

    /// How long this wait may last.
    fn allowance(&self) -> Duration {
        let earned = Duration::from_secs(self.bytes / BYTES_PER_SECOND_MIN);
        let whole = self.stall_timeout.saturating_add(earned);
        whole.saturating_sub(self.waited).min(self.stall_timeout)
    }
}
