// SPDX-License-Identifier: Apache-2.0
//! `strongroom kms` where the store is open.

use std::path::PathBuf;

use strongroom_kms::KeyOverview;
use strongroom_store::drive::DriveState;

use super::execute::{date, refused};
use super::{Answer, BucketImpact, KmsClock, KmsDestruction, KmsKey, LostDrive, Progress, Stage};
use crate::error::Error;
use crate::start::Rooms;

pub(super) fn list(rooms: &Rooms) -> Result<Answer, Error> {
    let keys = rooms.kms.overviews().map_err(refused)?;
    Ok(Answer::KmsKeys(keys.into_iter().map(shown).collect()))
}

pub(super) async fn impact(
    rooms: &Rooms,
    key: &str,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    let key = rooms.kms.overview(key).map_err(refused)?;
    let tell = |objects| {
        progress(Progress {
            stage: Stage::Dependants,
            objects,
            ..Progress::default()
        });
    };
    let found = rooms.objects.kms_impact(&key.key_arn, &tell).await;
    let buckets = found
        .map_err(refused)?
        .into_iter()
        .map(|(bucket, impact)| BucketImpact {
            bucket,
            versions: impact.versions,
            bytes: impact.bytes,
            uploads: impact.uploads,
        });
    Ok(Answer::KmsImpact(shown(key), buckets.collect()))
}

pub(super) async fn destruction(rooms: &Rooms, key: &str) -> Result<Answer, Error> {
    let found = rooms.kms.destruction(key).map_err(refused)?;
    let mut remains = found.remains;
    let mut drives = Vec::new();
    let mut lost = Vec::new();
    if let Some(protection) = rooms.store.protection().await.map_err(refused)? {
        for drive in protection.drives {
            // A copy of the vault that missed a destruction loses what it holds when it is
            // brought level; until then nothing is proven about it.
            if drive.copy_is_live == Some(false) {
                remains.push(format!(
                    "drive {} of facility {} ({}): its copy of the vault is behind and may still \
                     hold the key",
                    drive.number, drive.facility, drive.place
                ));
            }
            // A drive that was drained lost its vault before it went; nobody has seen that of one that was
            // lost, and `drive remove` only ends what is known of it.
            let is_replaced = drive.replaced_by.is_some();
            if drive.state == DriveState::Lost
                || (drive.state == DriveState::Removed && is_replaced)
            {
                lost.push(LostDrive {
                    number: drive.number.0,
                    facility: drive.facility,
                    place: drive.place.clone(),
                });
            }
            drives.push(PathBuf::from(drive.place));
        }
    }
    Ok(Answer::KmsDestruction(KmsDestruction {
        key_arn: found.key_arn,
        destroyed: found.destroyed_ms.map(date),
        destroyed_ms: found.destroyed_ms,
        remains,
        lost,
        mark: hex::encode(found.mark),
        drives,
    }))
}

/// What the clocks say. Confirming acts at once: what is due is destroyed before the answer.
pub(super) async fn clock(rooms: &Rooms, confirm: bool) -> Result<Answer, Error> {
    if confirm {
        rooms.kms.confirm_clock().await.map_err(refused)?;
        rooms.run_due().await?;
    }
    let clock = rooms.kms.clock().await.map_err(refused)?;
    Ok(Answer::KmsClock(KmsClock {
        now: date(clock.now_ms),
        seen: date(clock.seen_ms),
        waiting: clock.waiting,
    }))
}

fn shown(key: KeyOverview) -> KmsKey {
    KmsKey {
        key_id: key.key_id,
        key_arn: key.key_arn,
        state: key.state.as_str().to_owned(),
        aliases: key.aliases,
        rotation_period_days: key.rotation_period_days,
        grants: key.grants,
        last_use: key.last_use.map(|last| (last.operation, date(last.at_ms))),
    }
}
