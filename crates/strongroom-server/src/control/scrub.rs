// SPDX-License-Identifier: Apache-2.0
//! Scrub and heal: how far they are, and a pass at once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::scrub::{FinishedPass, ScrubOptions, ScrubPhase, ScrubTotals, Scrubber};

use super::execute::{date, refused};
use super::{Answer, Found, Progress, Stage};
use crate::error::Error;
use crate::start::Rooms;

/// How scrub and heal are going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CareStatus {
    /// Whether a server does both all the time.
    pub(crate) running: bool,
    /// One word: resting, counting, blobs, files or tables.
    pub(crate) phase: String,
    /// When the pass under way must be through, or the next one begins.
    pub(crate) due: Option<String>,
    pub(crate) late: bool,
    pub(crate) pass: ShownPass,
    pub(crate) bytes_total: u64,
    pub(crate) last: Option<ShownPass>,
    pub(crate) heal: ShownHeal,
}

/// A pass of scrub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownPass {
    pub(crate) started: String,
    pub(crate) ended: Option<String>,
    pub(crate) blobs: u64,
    pub(crate) shards: u64,
    pub(crate) bytes: u64,
    pub(crate) absent_shards: u64,
    pub(crate) damaged_shards: u64,
    pub(crate) stray_files: u64,
    pub(crate) foreign_files: u64,
    pub(crate) rows: u64,
    pub(crate) damaged_rows: u64,
}

/// What is owed, damaged, and beyond healing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownHeal {
    pub(crate) owed_blobs: u64,
    pub(crate) damaged_blobs: u64,
    pub(crate) leaving_blobs: u64,
    pub(crate) healed_shards: u64,
    pub(crate) healed_bytes: u64,
    /// Since when there is something to heal.
    pub(crate) since: Option<String>,
    /// How long it took last time until nothing was left, in seconds.
    pub(crate) last_took_seconds: Option<u64>,
    /// What cannot be healed now, and why.
    pub(crate) unhealed_blobs: u64,
    pub(crate) unhealed: Vec<String>,
    /// What scrub found, in words; the first of it.
    pub(crate) found: Vec<String>,
}

/// How it is going.
pub(super) fn status(rooms: &Rooms) -> Result<Answer, Error> {
    care_status(rooms).map(|status| Answer::Scrub(Box::new(status)))
}

/// The same as a part of what is told.
pub(super) fn care_status(rooms: &Rooms) -> Result<CareStatus, Error> {
    let store = &rooms.store;
    let running = store.is_cared_for();
    if !running {
        // Nobody told: what is in the tables is what is known.
        Scrubber::new(store, Arc::clone(&rooms.clock), ScrubOptions::default()).map_err(refused)?;
        let healer = Healer::new(store, Arc::clone(&rooms.clock), HealOptions::default());
        healer.look().map_err(refused)?;
    }
    Ok(shown(rooms, running))
}

/// A pass now: by the server's own scrub if it runs, else here, with everything healed that can be.
pub(super) async fn start(
    rooms: &Rooms,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    let store = &rooms.store;
    if store.is_cared_for() {
        store.request_scrub();
        return Ok(Answer::ScrubStarted {});
    }
    let clock = || Arc::clone(&rooms.clock);
    let mut scrubber = Scrubber::new(store, clock(), ScrubOptions::default()).map_err(refused)?;
    let mut healer = Healer::new(store, clock(), HealOptions::default());
    let tell = |status: &strongroom_store::scrub::ScrubStatus| {
        progress(Progress {
            stage: Stage::Scrub,
            objects: status.totals.blobs,
            objects_total: status.totals.blobs,
            bytes: status.totals.bytes,
            bytes_total: Some(status.bytes_total),
        });
    };
    scrubber.run_pass_telling(tell).await.map_err(refused)?;
    healer.run().await.map_err(refused)?;
    Ok(Answer::Scrub(Box::new(shown(rooms, false))))
}

fn shown(rooms: &Rooms, running: bool) -> CareStatus {
    let scrub = rooms.store.scrub_status();
    let heal = rooms.store.heal_status();
    let now_ms = rooms.clock.now_ms();
    let is_resting = scrub.phase == ScrubPhase::Resting;
    let found = Found {
        total: heal.unhealed_blobs,
        lines: heal
            .unhealed
            .iter()
            .map(|of| format!("blob {}: {}", of.blob, of.obstacle))
            .collect(),
    };
    CareStatus {
        running,
        phase: scrub.phase.as_str().to_owned(),
        due: (scrub.due_ms > 0).then(|| date(scrub.due_ms)),
        late: !is_resting && scrub.due_ms < now_ms,
        pass: pass(scrub.started_ms, None, scrub.totals),
        bytes_total: scrub.bytes_total,
        last: scrub.last.map(finished),
        heal: ShownHeal {
            owed_blobs: heal.owed_blobs,
            damaged_blobs: heal.damaged_blobs,
            leaving_blobs: heal.leaving_blobs,
            healed_shards: heal.healed_shards,
            healed_bytes: heal.healed_bytes,
            since: heal.since_ms.map(date),
            last_took_seconds: heal.last_took_ms.map(|ms| ms / 1000),
            unhealed_blobs: found.total,
            unhealed: found.lines,
            found: scrub.found,
        },
    }
}

fn finished(of: FinishedPass) -> ShownPass {
    pass(of.started_ms, Some(of.ended_ms), of.totals)
}

fn pass(started_ms: u64, ended_ms: Option<u64>, totals: ScrubTotals) -> ShownPass {
    ShownPass {
        started: date(started_ms),
        ended: ended_ms.map(date),
        blobs: totals.blobs,
        shards: totals.shards,
        bytes: totals.bytes,
        absent_shards: totals.absent_shards,
        damaged_shards: totals.damaged_shards,
        stray_files: totals.stray_files,
        foreign_files: totals.foreign_files,
        rows: totals.rows,
        damaged_rows: totals.damaged_rows,
    }
}
