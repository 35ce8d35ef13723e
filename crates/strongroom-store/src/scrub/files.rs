// SPDX-License-Identifier: Apache-2.0
//! Files that are too much: on a drive that no row of the catalogue puts them on.
//!
//! A crash leaves such files and the next start removes them; what is found here while the store
//! serves is told, not removed: a removal that failed, a shard that was moved while its drive was
//! away, a file put into another's place. Files that are none of ours are left alone and told.

use crate::drive::{DriveNo, DrivePath, Folder, SetMember};
use crate::error::Error;
use crate::mirror::is_late;
use crate::store::Store;

use super::shard_file::BlobShards;

/// Where the walk is: one folder of one drive after the other.
#[derive(Debug, Default)]
pub(super) struct FilesWalk {
    drive: Option<DriveNo>,
    /// The next folder; beyond 255 the drive is done with.
    folder: u16,
}

/// What one folder came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) files: u64,
    pub(super) stray: u64,
    pub(super) foreign: u64,
    pub(super) words: Vec<String>,
}

impl FilesWalk {
    /// Looks at the next folder; `None` behind the last of the last drive.
    pub(super) fn step(&mut self, store: &Store) -> Result<Option<Looked>, Error> {
        let view = store.drives().view();
        let is_next = |member: &&SetMember| match self.drive {
            None => true,
            Some(drive) if self.folder > u16::from(u8::MAX) => member.number > drive,
            Some(drive) => member.number >= drive,
        };
        let serving = view
            .members()
            .iter()
            .filter(|member| member.serving().is_some());
        let Some(member) = serving.filter(is_next).min_by_key(|member| member.number) else {
            return Ok(None);
        };
        if self.drive != Some(member.number) {
            *self = Self {
                drive: Some(member.number),
                folder: 0,
            };
        }
        let Ok(folder) = u8::try_from(self.folder) else {
            return Ok(None);
        };
        self.folder = self.folder.saturating_add(1);
        let Some(drive) = member.serving().cloned() else {
            return Ok(Some(Looked::default()));
        };
        let watch = store.care().scrub_watch();
        match watch.ask(member.number, move || drive.list(Folder::Blobs(folder))) {
            Ok(listed) => look(&listed, member, store).map(Some),
            Err(error) if is_late(&error) => {
                self.folder = BEHIND_THE_LAST;
                let words = format!(
                    "drive {} does not answer: its folders are left to the next pass",
                    member.number
                );
                Ok(Some(Looked {
                    words: vec![words],
                    ..Looked::default()
                }))
            }
            Err(_) => {
                // A drive that is going away is the business of others.
                watch.suspect(member.number);
                Ok(Some(Looked::default()))
            }
        }
    }
}

fn look(listed: &[DrivePath], member: &SetMember, store: &Store) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    for path in listed {
        looked.files = looked.files.saturating_add(1);
        let Some(blob) = path.blob_id() else {
            looked.foreign = looked.foreign.saturating_add(1);
            let words = format!("drive {}: `{path}` is none of ours", member.number);
            looked.words.push(words);
            continue;
        };
        // INVARIANT: first in flight, then adopted: a blob that is adopted between the two looks is
        // seen by the second.
        if store.blobs().is_in_flight(blob, member.number) {
            continue;
        }
        let belongs = match BlobShards::find(store.tables(), blob) {
            Ok(Some(shards)) => shards.placed().any(|(_, drive)| drive == member.number),
            Ok(None) => store.blobs().is_in_flight(blob, member.number),
            // The walk of the rows tells of the row.
            Err(error) if error.is_corruption() => true,
            Err(error) => return Err(error),
        };
        if !belongs {
            looked.stray = looked.stray.saturating_add(1);
            let words = format!("drive {}: `{path}` belongs to no blob there", member.number);
            looked.words.push(words);
        }
    }
    Ok(looked)
}

const BEHIND_THE_LAST: u16 = 256;
