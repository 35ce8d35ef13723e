// SPDX-License-Identifier: Apache-2.0
//! How long a client may take with its body.
//!
//! Counted is only the time in which the server waits for the client, never the time in which
//! the drives are slow. A client is too slow when nothing comes for [`IDLE_MAX`], or when after a
//! grace of the same length it stays below [`BYTES_PER_SECOND_MIN`] on average.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Longest silence.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Slowest average.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// The watch over one body. The timer is touched only when there is nothing to read.
#[derive(Default)]
pub(super) struct Pace {
    timer: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Data came.
    pub(super) fn progress(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(since) = self.waiting_since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
    }

    /// Nothing is there to read: whether the client has used up its time. Wakes the task when it
    /// has.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + self.allowance();
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
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
        IDLE_MAX.saturating_add(earned).saturating_sub(self.waited).min(IDLE_MAX)
    }
}
