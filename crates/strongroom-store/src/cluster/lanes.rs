// SPDX-License-Identifier: Apache-2.0
//! Writing the members file to many drives of which some may hang.
//!
//! Each drive has a lane: a thread that writes to it, one file after the other. A drive that does
//! not answer holds up its own lane; nothing newer is ever written there before something older,
//! and what comes late is not counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::drive::DriveNo;
use crate::error::Error;
use crate::mirror::{Crew, hangs};

/// Whose lane it is: a drive's, or the data directory's.
pub(crate) type Who = Option<DriveNo>;

/// Something to be done in a lane.
pub(crate) type Work = Box<dyn FnOnce() -> Result<(), Error> + Send>;

/// The lanes of all drives.
pub(crate) struct Lanes {
    /// How long one that hangs is waited for when the others suffice; several times as long when
    /// not. None: everything on the caller's thread, for simulations.
    limit: Option<Duration>,
    lanes: Mutex<BTreeMap<Who, Lane>>,
}

struct Lane {
    crew: Arc<Crew>,
    /// What was given up and is not over.
    late: Arc<AtomicUsize>,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

impl Lanes {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            lanes: Mutex::default(),
        }
    }

    /// Has it all done at the same time, and returns what came of it: of all, or of those that
    /// answered in time. `enough` says whether those that succeeded suffice.
    pub(crate) fn run(
        &self,
        work: Vec<(Who, Work)>,
        enough: impl Fn(&[Who]) -> bool,
    ) -> Vec<(Who, Result<(), Error>)> {
        let Some(limit) = self.limit else {
            let run = |(who, work): (Who, Work)| (who, work());
            return work.into_iter().map(run).collect();
        };
        let (answer, answers) = channel();
        // Those that are waited for, with what counts them as late from some time on.
        let mut awaited = Vec::new();
        let mut done = Vec::new();
        for (who, work) in work {
            let (crew, late) = match self.lane(who) {
                Ok(lane) => lane,
                Err(error) => {
                    done.push((who, Err(error)));
                    continue;
                }
            };
            let was_late = late.load(Ordering::Acquire) > 0;
            late.fetch_add(1, Ordering::AcqRel);
            let (answer, theirs) = (answer.clone(), Arc::clone(&late));
            crew.run(move || {
                let outcome = work();
                theirs.fetch_sub(1, Ordering::AcqRel);
                // Nobody listening any more: it came late.
                let _ = answer.send((who, outcome));
            });
            if was_late {
                // It is written behind what hangs, and counts for nothing now.
                done.push((who, Err(hangs(shown(who)))));
            } else {
                awaited.push(who);
            }
        }
        drop(answer);
        let mut kept = Vec::new();
        let mut deadline = Instant::now() + limit.saturating_mul(LONGER_WITHOUT_MAJORITY);
        let mut is_enough = false;
        while !awaited.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match answers.recv_timeout(left) {
                Ok((who, outcome)) => {
                    let Some(at) = awaited.iter().position(|of| *of == who) else {
                        continue;
                    };
                    awaited.swap_remove(at);
                    if outcome.is_ok() {
                        kept.push(who);
                    }
                    done.push((who, outcome));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            if !is_enough && enough(&kept) {
                is_enough = true;
                deadline = deadline.min(Instant::now() + limit);
            }
        }
        let late = awaited.into_iter().map(|who| (who, Err(hangs(shown(who)))));
        done.extend(late);
        done
    }

    fn lane(&self, who: Who) -> Result<(Arc<Crew>, Arc<AtomicUsize>), Error> {
        // A lane is put there as a whole.
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&who) {
            return Ok((Arc::clone(&lane.crew), Arc::clone(&lane.late)));
        }
        let lane = Lane {
            // One thread: it keeps the order.
            crew: Arc::new(Crew::of(1)?),
            late: Arc::default(),
        };
        let found = (Arc::clone(&lane.crew), Arc::clone(&lane.late));
        lanes.insert(who, lane);
        Ok(found)
    }
}

fn shown(who: Who) -> String {
    who.map_or_else(
        || "the data directory".to_owned(),
        |no| format!("drive {no}"),
    )
}

const LONGER_WITHOUT_MAJORITY: u32 = 6;
