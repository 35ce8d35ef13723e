// SPDX-License-Identifier: Apache-2.0
//! `strongroom rewrap` where the store is open: private files, KMS key material, object keys.

use strongroom_kms::RewrapReport;
use strongroom_store::drive::small_file;

use super::execute::refused;
use super::{Answer, Progress, Rewrapped, Stage};
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
