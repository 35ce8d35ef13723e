// SPDX-License-Identifier: Apache-2.0
//! `strongroom rewrap` where the store is open: private files, KMS key material, object keys; or a
//! bucket under another KMS key.

use strongroom_kms::RewrapReport;
use strongroom_object::{KmsKeyArn, RewrapBucket, Scope};
use strongroom_store::drive::small_file;

use super::execute::refused;
use super::{Answer, Found, Progress, Rewrapped, RewrappedBucket, Stage};
use crate::error::Error;
use crate::sealed_file::{self, Content};
use crate::start::Rooms;

pub(super) async fn rewrap(
    rooms: &Rooms,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    let files = private_files(rooms)?;
    let tell = |stage| {
        move |objects, objects_total| {
            progress(Progress {
                stage,
                objects,
                objects_total,
                ..Progress::default()
            });
        }
    };
    let material = rooms.kms.rewrap(&tell(Stage::KeyMaterial)).await;
    let material = material.map_err(refused)?;
    let objects = rooms
        .objects
        .rewrap_object_keys(&tell(Stage::ObjectKeys))
        .await;
    let objects = objects.map_err(refused)?;
    Ok(Answer::Rewrapped(Rewrapped {
        files,
        material: counts(material),
        objects: counts(objects),
    }))
}

/// What `strongroom rewrap --bucket` asks.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
    pub(super) to: &'a str,
    pub(super) dry_run: bool,
}

/// Puts the versions of a bucket under a KMS key. The key service records each use of a key with
/// the object it is for.
pub(super) async fn bucket(
    rooms: &Rooms,
    scope: Scope<'_>,
    asked: Asked<'_>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    let key = rooms.kms.overview(asked.to).map_err(refused)?;
    let input = RewrapBucket {
        bucket: asked.bucket.to_owned(),
        prefix: asked.prefix.to_owned(),
        key_arn: KmsKeyArn::parse(&key.key_arn).map_err(refused)?,
        dry_run: asked.dry_run,
    };
    let tell = |objects, objects_total| {
        progress(Progress {
            stage: Stage::ObjectKeys,
            objects,
            objects_total,
            ..Progress::default()
        });
    };
    let found = rooms.objects.rewrap_bucket(scope, input, &tell).await;
    let found = found.map_err(refused)?;
    Ok(Answer::RewrappedBucket(RewrappedBucket {
        key_arn: key.key_arn,
        seen: found.seen,
        rewrapped: found.rewrapped,
        current: found.current,
        left: Found {
            total: found.left.total(),
            lines: found.left.lines().to_vec(),
        },
    }))
}

/// Seals private files again that are not under the newest domain key; says how many.
fn private_files(rooms: &Rooms) -> Result<u64, Error> {
    let mut sealed = 0_u64;
    for (path, content) in [
        (rooms.data.root_credential(), Content::RootCredential),
        (rooms.data.ca_key(), Content::CaKey),
    ] {
        let stored = small_file::read_private(&path).map_err(Error::file("read", &path))?;
        if stored.is_none_or(|bytes| rooms.keyring.is_private_current(&bytes)) {
            continue;
        }
        if let Some(plain) = sealed_file::read(&rooms.keyring, &path, content)? {
            sealed_file::write(&rooms.keyring, &path, content, &plain)?;
            sealed = sealed.saturating_add(1);
        }
    }
    Ok(sealed)
}

fn counts(report: RewrapReport) -> super::RewrapCounts {
    super::RewrapCounts {
        seen: report.seen,
        rewrapped: report.rewrapped,
        damaged: report.damaged,
    }
}
