// SPDX-License-Identifier: Apache-2.0
//! Time that this server has seen pass.
//!
//! The problem: what is due is destroyed for ever, and the wall clock alone says what is due. A
//! clock that leaps ahead (a bad time server, a battery that died, a virtual machine that was
//! restored) would destroy all that waits, within a minute, and with it the days in which a
//! deletion can be called off.
//!
//! The approach: beside the wall clock there is the time that this server has *seen* pass. It
//! follows the wall clock as fast as the process runs, which no clock's setting changes. For what
//! nobody saw, a stop or a leap, there is a credit of one day, which grows by as much as the
//! process runs.
//!
//! ```text
//!   wall clock   ----------------.  leap of 8 days  .--------------------------
//!   seen         ----------------.-- 1 day of credit .====== twice as fast ====.-- level again
//! ```
//!
//! Whatever is due is refused by the wall clock, and destroyed when it is due by both. So seen time
//! never runs more than twice as fast as the process, plus a day: of seven days of waiting at least
//! three are days in which the server ran. Whoever knows that the clock is right says so
//! ([`Kms::confirm_clock`]), and seen time is level with it at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use minicbor::{Decode, Encode};
use strongroom_store::{TableId, Write};

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::model::Origin;
use crate::rows::{KEYS, KeyRow};
use crate::service::Kms;

/// What the clocks say, and what waits for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReport {
    /// The wall clock, Unix time in milliseconds.
    pub now_ms: u64,
    /// The time that this server has seen pass, Unix time in milliseconds.
    pub seen_ms: u64,
    /// ARNs of keys that are due by the wall clock and not by seen time.
    pub waiting: Vec<String>,
}

/// What is written down of seen time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct SeenRow {
    #[n(0)]
    seen_ms: u64,
    /// How much of what nobody saw is still believed.
    #[n(1)]
    credit_ms: u64,
}

impl SeenRow {
    fn level_with(wall_ms: u64) -> SeenRow {
        SeenRow {
            seen_ms: wall_ms,
            credit_ms: CREDIT_MS_MAX,
        }
    }

    /// A moment later: the process ran for `ran_ms`, and the wall clock shows `wall_ms`.
    fn later(self, ran_ms: u64, wall_ms: u64) -> SeenRow {
        let credit_ms = self.credit_ms.saturating_add(ran_ms).min(CREDIT_MS_MAX);
        let witnessed_ms = self.seen_ms.saturating_add(ran_ms);
        let believed_ms = wall_ms.saturating_sub(witnessed_ms).min(credit_ms);
        let seen_ms = witnessed_ms.saturating_add(believed_ms).min(wall_ms);
        SeenRow {
            // A clock that was set back takes nothing back: it shows a time that was seen before.
            seen_ms: seen_ms.max(self.seen_ms),
            credit_ms: credit_ms.saturating_sub(believed_ms),
        }
    }
}

/// Seen time while the server runs.
#[derive(Debug, Default)]
pub(crate) struct SeenTime {
    running: Mutex<Option<Running>>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    now: SeenRow,
    at_running_ms: u64,
    written: SeenRow,
}

impl SeenTime {
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        // Every change is whole before anything can panic.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kms {
    /// Goes on from what is written down; the first time, from the wall clock. To be called once,
    /// at the start. What cannot be read is no time at all: nothing is destroyed until the clock is
    /// confirmed.
    pub(crate) async fn begin_seeing(&self) -> Result<(), Error> {
        let wall_ms = self.now_ms();
        let stored = self.store().tables().get(SEEN_TIME, ROW);
        let is_first = matches!(stored, Ok(None));
        let before = match stored {
            Ok(None) => SeenRow::level_with(wall_ms),
            Ok(Some(row)) => minicbor::decode(&row.value).unwrap_or(NOTHING),
            Err(error) if error.is_corruption() => NOTHING,
            Err(error) => return Err(error.into()),
        };
        *self.seen_time().running() = Some(Running {
            now: before.later(0, wall_ms),
            at_running_ms: self.running_ms(),
            written: before,
        });
        if is_first {
            self.write_seen(before).await?;
        }
        Ok(())
    }

    /// Looks at both clocks, and writes down what was seen now and then. Returns the time seen.
    pub async fn see_time(&self) -> Result<u64, Error> {
        let (wall_ms, running_ms) = (self.now_ms(), self.running_ms());
        let (now, is_old) = {
            let mut running = self.seen_time().running();
            let Some(before) = running.as_mut() else {
                return Ok(0);
            };
            let ran_ms = running_ms.saturating_sub(before.at_running_ms);
            before.now = before.now.later(ran_ms, wall_ms);
            before.at_running_ms = running_ms.max(before.at_running_ms);
            let unwritten_ms = before.now.seen_ms.saturating_sub(before.written.seen_ms);
            (before.now, unwritten_ms >= WRITE_EVERY_MS)
        };
        if is_old {
            self.write_seen(now).await?;
        }
        Ok(now.seen_ms)
    }

    /// What the clocks say, and what waits.
    pub async fn clock(&self) -> Result<ClockReport, Error> {
        let seen_ms = self.see_time().await?;
        let now_ms = self.now_ms();
        let mut waiting = Vec::new();
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(KEYS, &mut after)? {
            for (key, stored) in rows {
                // A row that is damaged is told by whatever uses it.
                let uid = KeyUid::from_row_key(&key);
                let row = uid.and_then(|uid| KeyRow::decode(uid, &stored.value));
                let Ok(row) = row else { continue };
                if row.is_due(now_ms) && !row.is_due(seen_ms) {
                    waiting.push(row.arn(self.place()));
                }
            }
        }
        Ok(ClockReport {
            now_ms,
            seen_ms,
            waiting,
        })
    }

    /// Somebody looked at the wall clock and says that it is right: what is due by it is destroyed
    /// by the next [`Kms::run_due`].
    pub async fn confirm_clock(&self) -> Result<(), Error> {
        let now = SeenRow::level_with(self.now_ms());
        self.write_seen(now).await?;
        *self.seen_time().running() = Some(Running {
            now,
            at_running_ms: self.running_ms(),
            written: now,
        });
        Ok(())
    }

    async fn write_seen(&self, seen: SeenRow) -> Result<(), Error> {
        let value = minicbor::to_vec(seen);
        let put = Write::Put {
            table: SEEN_TIME,
            key: ROW.to_vec(),
            value: value.map_err(|_| Error::Internal("encoding the time"))?,
        };
        // Without a precondition there is no conflict.
        let _done = self.commit(Vec::new(), vec![put]).await?;
        if let Some(running) = self.seen_time().running().as_mut() {
            running.written = seen;
        }
        Ok(())
    }
}

impl KeyRow {
    /// Whether something of it is to be destroyed at this time.
    fn is_due(&self, at_ms: u64) -> bool {
        let expired = self.origin == Origin::External
            && self.valid_to_ms.is_some_and(|end_ms| end_ms <= at_ms);
        expired || self.is_due_for_deletion(at_ms)
    }
}

/// One row.
const SEEN_TIME: TableId = TableId(27);
const ROW: &[u8] = b"seen";
const NOTHING: SeenRow = SeenRow {
    seen_ms: 0,
    credit_ms: 0,
};
const CREDIT_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// A crash forgets at most this much, which then counts as not seen.
const WRITE_EVERY_MS: u64 = 10 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const NOON: u64 = 1_795_255_262_000;

    #[test]
    fn a_server_that_runs_sees_all_time_pass() {
        let mut seen = SeenRow::level_with(NOON);
        for minute in 1..=10_000 {
            seen = seen.later(60_000, NOON + minute * 60_000);
            assert_eq!(seen, SeenRow::level_with(NOON + minute * 60_000));
        }
    }

    #[test]
    fn a_day_without_the_server_is_believed_and_a_longer_time_is_not() {
        let stopped = SeenRow::level_with(NOON);
        assert_eq!(stopped.later(0, NOON + DAY).seen_ms, NOON + DAY);
        assert_eq!(stopped.later(0, NOON + DAY + 1).seen_ms, NOON + DAY);
        assert_eq!(stopped.later(0, NOON + 400 * DAY).seen_ms, NOON + DAY);
        assert_eq!(stopped.later(0, u64::MAX).seen_ms, NOON + DAY);
        // The second leap finds nothing left to believe it.
        let leapt = stopped.later(0, NOON + DAY);
        assert_eq!(leapt.later(0, NOON + 2 * DAY).seen_ms, NOON + DAY);
    }

    #[test]
    fn after_a_leap_seen_time_comes_up_twice_as_fast() {
        let mut seen = SeenRow::level_with(NOON).later(0, NOON + 8 * DAY);
        let mut hours = 0;
        while seen.seen_ms < NOON + 8 * DAY + hours * HOUR {
            hours += 1;
            seen = seen.later(HOUR, NOON + 8 * DAY + hours * HOUR);
            assert!(seen.seen_ms <= NOON + DAY + 2 * hours * HOUR);
        }
        assert_eq!(hours, 7 * 24);
    }

    #[test]
    fn many_small_leaps_are_no_faster() {
        let mut seen = SeenRow::level_with(NOON);
        for minute in 1..=1_000_u64 {
            seen = seen.later(60_000, NOON + minute * HOUR);
            assert!(seen.seen_ms <= NOON + DAY + 2 * minute * 60_000, "{minute}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_back_and_gives_nothing() {
        let seen = SeenRow::level_with(NOON);
        let back = seen.later(HOUR, 0);
        assert_eq!(back, SeenRow::level_with(NOON));
        // As after a battery died: 1970 first, then the right time again.
        assert_eq!(back.later(60_000, NOON + HOUR).seen_ms, NOON + HOUR);
        // Going back and forth adds up to nothing.
        let mut seen = SeenRow::level_with(NOON);
        for _ in 0..100 {
            seen = seen.later(0, NOON - DAY).later(0, NOON + 9 * DAY);
        }
        assert_eq!(seen.seen_ms, NOON + DAY);
    }
}
