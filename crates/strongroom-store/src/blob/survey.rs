// SPDX-License-Identifier: Apache-2.0
//! What the shards themselves say, when the tables that knew are gone: the last resort.
//!
//! Every shard file names its blob, its place in it, and the blob's shape and length, and carries
//! the manifest that the blob's writer left. A survey walks all drives, folder by folder, and
//! puts together what belongs together. It reads the ends of files, or every byte of them, and
//! changes nothing.
//!
//! A blob is written once under a random id, so its shards agree in everything; nothing is decided
//! by counting. Shards that disagree are told, and a blob is handed out only when one account of
//! it, and no other, has shards enough to be read. One thing may differ: a shard that was healed
//! when no manifest could be read any more has none, and belongs to the others all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ends::ShardEnds;
use crate::drive::{Access, Drive, DriveNo, DrivePath, Folder};
use crate::erasure::StripeLayout;
use crate::error::Error;
use crate::layout::{BlobId, BlobPolicy, ShardIndex};

/// A blob as its shards tell of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurveyedBlob {
    /// The blob.
    pub blob: BlobId,
    /// Sealed bytes in all units together.
    pub sealed_bytes: u64,
    /// How it is spread over its shards.
    pub layout: StripeLayout,
    /// What decided where they went.
    pub policy: BlobPolicy,
    /// What its writer left for this day; the same in every shard that has one.
    pub manifest: Vec<u8>,
    /// By shard, the drives that have it. More than one when a shard was moved and its old drive
    /// came back.
    pub drives: Vec<Vec<DriveNo>>,
}

/// What a survey found besides the blobs that it handed out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SurveyReport {
    /// Blobs handed out: they can be read.
    pub readable: u64,
    /// Blobs of which too few shards were found.
    pub unreadable: Vec<SurveyedBlob>,
    /// Blobs of which there are several accounts that could be read, each with all of them: with few
    /// data shards one drive is enough for an account of its own. Which is right, the store cannot
    /// tell; who sealed the manifests can.
    pub contradicted: Vec<Vec<SurveyedBlob>>,
    /// Files that are no whole shards, and folders that could not be listed, with what was found.
    pub damaged: Vec<SurveyDamage>,
}

/// Something that a survey could not use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurveyDamage {
    /// On which drive.
    pub drive: DriveNo,
    /// Where on it.
    pub place: String,
    /// The blob that should be there, by the name.
    pub blob: Option<BlobId>,
    /// What was found.
    pub reason: String,
}

impl SurveyedBlob {
    /// Shards that are on no drive.
    pub fn missing(&self) -> impl Iterator<Item = ShardIndex> {
        let each = self.layout.redundancy().each_shard();
        each.zip(&self.drives)
            .filter(|(_, drives)| drives.is_empty())
            .map(|(shard, _)| shard)
    }

    /// Whether the shards found are enough to read the blob, as far as their ends tell. A note is
    /// whole in each of them.
    pub fn is_readable(&self) -> bool {
        let needed = match self.sealed_bytes {
            0 => 1,
            _ => usize::from(self.layout.redundancy().data()),
        };
        let there = self.drives.iter().filter(|drives| !drives.is_empty());
        there.count() >= needed
    }

    fn new(ends: ShardEnds) -> Self {
        let shards = usize::from(ends.header.layout.redundancy().shards());
        Self {
            blob: ends.header.blob,
            sealed_bytes: ends.trailer.sealed_bytes,
            layout: ends.header.layout,
            policy: ends.header.policy,
            manifest: ends.manifest,
            drives: vec![Vec::new(); shards],
        }
    }

    fn is_told_by(&self, ends: &ShardEnds) -> bool {
        self.blob == ends.header.blob
            && self.sealed_bytes == ends.trailer.sealed_bytes
            && self.layout == ends.header.layout
            && self.policy == ends.header.policy
            && (self.manifest == ends.manifest
                || self.manifest.is_empty()
                || ends.manifest.is_empty())
    }
}

/// How a survey is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SurveyOptions {
    /// Whether every unit is read and compared with its checksum. A shard with damage does not
    /// count then.
    pub check_units: bool,
}

/// Folders that a survey goes through: for whoever shows how far it is.
pub const SURVEY_FOLDERS: u64 = 256;

/// Walks the blobs of all `drives` and hands out each that can be read, in the order of their ids.
/// An error of `each` ends the survey; errors of drives are told in the report.
pub fn survey<E>(
    drives: &[(DriveNo, Arc<dyn Drive>)],
    each: impl FnMut(SurveyedBlob) -> Result<(), E>,
) -> Result<SurveyReport, E> {
    survey_with(drives, SurveyOptions::default(), |_| (), each)
}

/// The same in one of two ways, telling which folder of [`SURVEY_FOLDERS`] it begins with.
pub fn survey_with<E>(
    drives: &[(DriveNo, Arc<dyn Drive>)],
    options: SurveyOptions,
    tell: impl Fn(u64),
    mut each: impl FnMut(SurveyedBlob) -> Result<(), E>,
) -> Result<SurveyReport, E> {
    let mut report = SurveyReport::default();
    for first in 0..=u8::MAX {
        tell(u64::from(first));
        // One folder of all drives at a time bounds what is kept in memory.
        let mut accounts: BTreeMap<BlobId, Vec<SurveyedBlob>> = BTreeMap::new();
        for (number, drive) in drives {
            let drive = (*number, drive.as_ref());
            walk(drive, options, first, &mut accounts, &mut report);
        }
        for accounts in accounts.into_values() {
            let (mut readable, others): (Vec<_>, Vec<_>) =
                accounts.into_iter().partition(SurveyedBlob::is_readable);
            if readable.len() > 1 {
                report.contradicted.push(readable);
            } else if let Some(blob) = readable.pop() {
                report.readable = report.readable.saturating_add(1);
                each(blob)?;
            } else {
                report.unreadable.extend(others);
            }
        }
    }
    Ok(report)
}

fn walk(
    (number, drive): (DriveNo, &dyn Drive),
    options: SurveyOptions,
    first: u8,
    accounts: &mut BTreeMap<BlobId, Vec<SurveyedBlob>>,
    report: &mut SurveyReport,
) {
    let folder = Folder::Blobs(first);
    let mut damaged = |place: String, blob: Option<BlobId>, reason: String| {
        report.damaged.push(SurveyDamage {
            drive: number,
            place,
            blob,
            reason,
        });
    };
    let files = match drive.list(folder) {
        Ok(files) => files,
        Err(error) => return damaged(folder.as_text(), None, error.to_string()),
    };
    for path in files {
        let Some(blob) = path.blob_id() else {
            damaged(path.to_string(), None, "no name of a shard file".to_owned());
            continue;
        };
        let ends = match ends(drive, options, &path, blob) {
            Ok(ends) => ends,
            Err(error) => {
                damaged(path.to_string(), Some(blob), error.to_string());
                continue;
            }
        };
        let shard = usize::from(ends.header.shard.0);
        let of_blob = accounts.entry(blob).or_default();
        let known = of_blob.iter().position(|account| account.is_told_by(&ends));
        let account = known.unwrap_or(of_blob.len());
        if known.is_none() {
            of_blob.push(SurveyedBlob::new(ends));
        } else if let Some(account) = of_blob.get_mut(account)
            && account.manifest.is_empty()
        {
            account.manifest = ends.manifest;
        }
        let drives = of_blob
            .get_mut(account)
            .and_then(|account| account.drives.get_mut(shard));
        if let Some(drives) = drives {
            drives.push(number);
        }
    }
}

fn ends(
    drive: &dyn Drive,
    options: SurveyOptions,
    path: &DrivePath,
    blob: BlobId,
) -> Result<ShardEnds, Error> {
    let file = drive
        .open(path, Access::Read)?
        .ok_or(Error::BlobNotFound { blob })?;
    if options.check_units {
        ShardEnds::read_and_check_units(file.as_ref(), blob)
    } else {
        ShardEnds::read(file.as_ref(), blob)
    }
}
