// SPDX-License-Identifier: Apache-2.0
//! Putting a backup on a drive that has no tables.

use std::io::{Read, Seek};
use std::sync::Arc;

use super::read::{BackupFile, Content};
use super::write::VAULT;
use super::{damaged, restored_mark};
use crate::at_rest::AtRest;
use crate::cluster::copy_counts;
use crate::drive::{Drive, DrivePath};
use crate::error::Error;
use crate::layout::UnitLayout;
use crate::superblock::Superblock;
use crate::table::{Restore, TableOptions};

/// What was put back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// Rows of tables.
    pub rows: u64,
    /// Secrets of the vault that were put back.
    pub secrets: u64,
    /// The small files that the backup's maker had handed in.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Puts the tables and the vault of a backup on `drive`, which must have none and must be the
/// backup's cluster's, or empty. The whole backup is verified first. Blocks.
///
/// A restore that was broken off is begun again by calling this again.
pub fn restore<R: Read + Seek>(
    drive: &Arc<dyn Drive>,
    at_rest: &Arc<dyn AtRest>,
    layout: UnitLayout,
    options: TableOptions,
    backup: &mut BackupFile<R>,
) -> Result<Restored, Error> {
    backup.verify(at_rest.as_ref())?;
    let head = backup.head().clone();
    let own = Superblock::open_or_create_for(drive.as_ref(), layout, head.cluster_id)?;
    if !copy_counts(drive.as_ref(), at_rest.as_ref(), own.drive_uid)? {
        return Err(Error::DriveRefused {
            drive: drive.label(),
            reason: "what is put there would not count: it is known as a drive without a whole copy of the \
                     tables; name a drive with one first (`--drive`)",
        });
    }
    let mut tables = Restore::begin(drive, at_rest, options)?;
    // INVARIANT: the mark is there before the tables are: nothing is removed in between.
    drive.replace(&restored_mark(), &head.seq.to_be_bytes())?;
    let mut restored = Restored::default();
    backup.each(at_rest.as_ref(), |content| {
        match content {
            Content::Rows(rows) => {
                let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                restored.rows = restored.rows.saturating_add(count);
                tables.rows(rows)?;
            }
            Content::File(name, bytes) => match name.strip_prefix(VAULT) {
                Some(id) => {
                    let id = u128::from_str_radix(id, 16)
                        .map_err(|_| damaged("a file of the vault has no right name"))?;
                    drive.replace(&DrivePath::vault(id.to_be_bytes()), &bytes)?;
                    restored.secrets = restored.secrets.saturating_add(1);
                }
                None => restored.files.push((name, bytes)),
            },
        }
        Ok(())
    })?;
    tables.finish(head.seq)?;
    Ok(restored)
}
