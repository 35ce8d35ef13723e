// SPDX-License-Identifier: Apache-2.0
//! The verification of everything: the store's objects, rows and log, key material, the audit log.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strongroom_audit::LogReport;
use strongroom_object::{Findings, Scope, VerifyProgress, VerifyStage};

use super::execute::refused;
use super::{AuditVerification, Found, Progress, Stage, Verification};
use crate::error::Error;
use crate::start::Rooms;

pub(super) async fn verify(
    rooms: &Rooms,
    scope: Scope<'_>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Verification, Error> {
    let tell = |now: VerifyProgress| progress(shown(now));
    let store = rooms.objects.verify(scope, &tell).await.map_err(refused)?;
    progress(Progress {
        stage: Stage::Vault,
        ..Progress::default()
    });
    let vault = rooms.kms.verify_vault().await.map_err(refused)?;
    let audit = verify_audit(rooms, progress).await?;
    let mut damaged = found(&store.damaged);
    damaged.add(vault.damaged);
    damaged.add(audit.damaged.iter().map(ToString::to_string).collect());
    let mut unreferred = found(&store.unreferred);
    unreferred.add(vault.unreferred);
    Ok(Verification {
        objects: store.objects,
        bytes: store.bytes,
        open_parts: store.open_parts,
        unopened: store.unopened,
        rows: store.rows,
        row_bytes: store.row_bytes,
        commits: store.commits,
        log_bytes: store.log_bytes,
        blobs: store.blobs,
        unreferred_blobs: store.unreferred.total(),
        vault_files: vault.files,
        materials: vault.materials,
        audit: AuditVerification {
            files: audit.files,
            records: audit.lines,
            last: audit.head.seq,
            hash: hex::encode(audit.head.hash),
        },
        damaged,
        unreferred,
    })
}

/// Reads the audit log on a thread that may block; broken off when nobody waits for it.
async fn verify_audit(
    rooms: &Rooms,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<LogReport, Error> {
    let bytes = Arc::new(AtomicU64::new(0));
    let watched = Arc::downgrade(&bytes);
    let drive = Arc::clone(&rooms.drive);
    let mut task = tokio::task::spawn_blocking(move || {
        strongroom_audit::verify_log(drive.as_ref(), |read| match watched.upgrade() {
            Some(bytes) => {
                bytes.fetch_add(read, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        })
    });
    loop {
        let waited = tokio::time::timeout(TELL_INTERVAL, &mut task).await;
        progress(Progress {
            stage: Stage::Audit,
            bytes: bytes.load(Ordering::Relaxed),
            ..Progress::default()
        });
        if let Ok(done) = waited {
            return done.map_err(refused)?.map_err(refused);
        }
    }
}

fn shown(now: VerifyProgress) -> Progress {
    Progress {
        stage: match now.stage {
            VerifyStage::Counting => Stage::Counting,
            VerifyStage::Bodies => Stage::Bodies,
            VerifyStage::Rows => Stage::Rows,
            VerifyStage::Log => Stage::Log,
            VerifyStage::Blobs => Stage::Blobs,
        },
        objects: now.objects,
        objects_total: now.objects_total,
        bytes: now.bytes,
        bytes_total: now.bytes_total,
    }
}

fn found(findings: &Findings) -> Found {
    Found {
        total: findings.total(),
        lines: findings.lines().to_vec(),
    }
}

impl Found {
    fn add(&mut self, lines: Vec<String>) {
        let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.total = self.total.saturating_add(more);
        self.lines.extend(lines);
    }
}

const TELL_INTERVAL: Duration = Duration::from_millis(100);
