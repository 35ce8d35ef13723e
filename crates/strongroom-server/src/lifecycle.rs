// SPDX-License-Identifier: Apache-2.0
//! Drives the worker of lifecycle rules: a page at a time, with a pause between two.

use std::sync::Arc;
use std::time::Duration;

use strongroom_object::{LifecycleReport, LifecycleWorker};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::start::Rooms;

/// Carries out the lifecycle rules for as long as the server runs.
///
/// A step is a task of its own: what was begun when the server stops is done, and recorded. Only
/// bodies on their way to another class are given up: that may take long, and loses nothing.
pub(crate) async fn carry_out(rooms: Arc<Rooms>, day_ms: u64) {
    let mut worker = LifecycleWorker::new(&rooms.objects, &rooms.audit);
    worker = worker.until(rooms.lifecycle.stop.subscribe());
    let idle = Duration::from_millis(day_ms / 4).min(IDLE);
    let mut pass = LifecycleReport::default();
    loop {
        let Some(gate) = rooms.lifecycle.enter().await else {
            return;
        };
        let step = tokio::spawn(async move {
            let step = worker.step().await;
            drop(gate);
            (worker, step)
        });
        let Ok((back, step)) = step.await else {
            tracing::error!("lifecycle rules are not carried out until the next start");
            return;
        };
        worker = back;
        let pause = match step {
            Ok(None) => idle,
            Ok(Some(report)) => {
                tell(&mut pass, &report);
                PAUSE
            }
            Err(_) if *rooms.lifecycle.stop.borrow() => return,
            Err(error) => {
                tracing::error!(%error, "lifecycle rules; they are carried out later");
                AFTER_ERROR
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Where steps begin, until it is shut.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_shut: Arc<Mutex<bool>>,
    /// True when what takes long is to be given up.
    stop: watch::Sender<bool>,
}

impl Gate {
    /// `None` once the gate is shut.
    async fn enter(&self) -> Option<OwnedMutexGuard<bool>> {
        let guard = Arc::clone(&self.is_shut).lock_owned().await;
        (!*guard).then_some(guard)
    }

    /// Waits for the step under way; there will be no other.
    pub(crate) async fn shut(&self) {
        self.stop.send_replace(true);
        *self.is_shut.lock().await = true;
    }
}

/// Counts, and tells of a pass at its end if it did anything.
fn tell(pass: &mut LifecycleReport, step: &LifecycleReport) {
    for (action, done) in [
        ("expire", step.expired),
        ("create_delete_marker", step.markers_made),
        ("remove_delete_marker", step.markers_removed),
        ("remove_version", step.versions_removed),
        ("transition", step.moved),
        ("abort_upload", step.uploads_aborted),
    ] {
        if done > 0 {
            metrics::counter!("strongroom_lifecycle_actions_total", "action" => action)
                .increment(done);
        }
    }
    metrics::counter!("strongroom_lifecycle_rows_total").increment(step.seen);
    for failed in step.failed.lines() {
        tracing::error!(%failed, "a lifecycle rule could not be carried out");
    }
    pass.add(step);
    if !step.finished {
        return;
    }
    let whole = std::mem::take(pass);
    if whole.done() > 0 {
        tracing::info!(
            seen = whole.seen,
            expired = whole.expired,
            delete_markers = whole.markers_made,
            removed_markers = whole.markers_removed,
            removed_versions = whole.versions_removed,
            moved = whole.moved,
            aborted_uploads = whole.uploads_aborted,
            "lifecycle rules"
        );
    }
}

/// Between two pages: requests come first.
const PAUSE: Duration = Duration::from_millis(20);
/// How soon rules that were set are carried out.
const IDLE: Duration = Duration::from_secs(5);
const AFTER_ERROR: Duration = Duration::from_mins(1);
