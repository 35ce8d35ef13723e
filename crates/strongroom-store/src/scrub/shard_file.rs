// SPDX-License-Identifier: Apache-2.0
//! One shard file, read row by row: what holds is used, what does not is told.
//!
//! Unlike the reader of blobs, which wants a whole range or an error, scrub and heal want every
//! good unit of a file of which anything may be wrong. The checksum of a unit is seeded with blob,
//! shard and row, so a unit that passes is believed whatever the header or the length of its file
//! says.

use std::sync::Arc;

use crate::blob::shard::{
    HEADER_LEN, SUM_LEN, ShardHeader, ShardTrailer, TRAILER_LEN, TRAILER_MAGIC, UnitSums, slot_len,
};
use crate::blob::{CatalogRow, Keeping, owed_key};
use crate::drive::{Access, Drive, DriveFile, DriveNo, DrivePath};
use crate::erasure::StripeLayout;
use crate::error::Error;
use crate::layout::{BlobId, Redundancy, ShardIndex, UnitLayout, manifest_bytes_max};
use crate::table::{Row, TableId, Tables};

use super::damage::ShardFault;

/// The shards of one blob, as the catalogue has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlobShards {
    pub(crate) blob: BlobId,
    pub(crate) sealed_bytes: u64,
    pub(crate) keeping: Keeping,
}

/// An open shard file.
#[derive(Clone)]
pub(crate) struct ShardFile {
    file: Arc<dyn DriveFile>,
    sums: UnitSums,
    unit: UnitLayout,
    /// Bytes of all units of the shard.
    shard_bytes: u64,
}

/// What opening came to.
#[derive(Default)]
pub(crate) struct OpenedShard {
    /// Where units can be read from.
    pub(crate) file: Option<ShardFile>,
    /// What is wrong with header, length or trailer.
    pub(crate) fault: Option<ShardFault>,
    /// The manifest, if the trailer holds.
    pub(crate) manifest: Option<Vec<u8>>,
    /// What stands where the manifest should, if the trailer does not hold: better than nothing,
    /// since who made it can tell whether it is whole.
    pub(crate) unproven: Option<Vec<u8>>,
}

/// Rows of one shard in memory, as they lie in its file.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    /// Whether each row passed.
    good: Vec<bool>,
    slot_len: usize,
}

impl BlobShards {
    /// What the catalogue says of a blob; `None` when it has no row.
    pub(crate) fn find(tables: &Tables, blob: BlobId) -> Result<Option<Self>, Error> {
        let row = tables.get(TableId::BLOB_CATALOGUE, &blob.0)?;
        row.map(|row| Self::of(blob, &row)).transpose()
    }

    /// What a row of the catalogue says.
    pub(crate) fn of(blob: BlobId, row: &Row) -> Result<Self, Error> {
        let row = CatalogRow::decode(blob, &row.value)?;
        let keeping = row.keeping().ok_or_else(|| Error::Corrupted {
            place: format!("blob catalogue row {blob}"),
            reason: "the row's shards do not fit its redundancy",
        })?;
        Ok(Self {
            blob,
            sealed_bytes: row.sealed_bytes,
            keeping,
        })
    }

    /// How units lie in shards.
    pub(crate) fn stripes(&self) -> StripeLayout {
        self.keeping.stripes
    }

    /// How many shards there are, and how many may be lost.
    pub(crate) fn redundancy(&self) -> Redundancy {
        self.keeping.stripes.redundancy()
    }

    /// The header of a shard's file.
    pub(crate) fn header(&self, shard: ShardIndex) -> ShardHeader {
        ShardHeader {
            blob: self.blob,
            shard,
            layout: self.keeping.stripes,
            policy: self.keeping.policy,
        }
    }

    /// Each shard that is somewhere, and the drive that has it.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (ShardIndex, DriveNo)> + '_ {
        let placed = self.keeping.placement.each();
        placed.filter(|(shard, _)| !self.keeping.owed.has(*shard))
    }

    /// Where the blob is listed as owed shards; `None` when it has all.
    pub(crate) fn owed_key(&self) -> Option<[u8; 17]> {
        let Keeping { owed, stripes, .. } = self.keeping;
        let spare = stripes.redundancy().parity().saturating_sub(owed.len());
        (!owed.is_empty()).then(|| owed_key(spare, self.blob))
    }

    /// Rows of the longest shard.
    pub(crate) fn rows(&self) -> u64 {
        self.stripes().row_count(self.sealed_bytes)
    }

    /// Bytes of one shard's file, without a manifest.
    pub(crate) fn file_bytes(&self, shard: ShardIndex) -> u64 {
        let bytes = self.stripes().shard_file_bytes(self.sealed_bytes, shard, 0);
        bytes.unwrap_or(0)
    }

    fn shard_bytes(&self, shard: ShardIndex) -> Result<u64, Error> {
        let bytes = self.stripes().shard_bytes(self.sealed_bytes, shard);
        bytes.ok_or(Error::CorruptedShard {
            blob: self.blob,
            reason: "the length is impossible",
        })
    }

    /// Opens the file of a shard. An error is the drive's, or one of reading the file.
    pub(crate) fn open(&self, drive: &dyn Drive, shard: ShardIndex) -> Result<OpenedShard, Error> {
        self.open_at(drive, &DrivePath::blob(self.blob), shard)
    }

    /// The same of a file that heal is writing.
    pub(crate) fn open_in_writing(
        &self,
        drive: &dyn Drive,
        shard: ShardIndex,
    ) -> Result<OpenedShard, Error> {
        self.open_at(drive, &DrivePath::blob_in_writing(self.blob), shard)
    }

    fn open_at(
        &self,
        drive: &dyn Drive,
        path: &DrivePath,
        shard: ShardIndex,
    ) -> Result<OpenedShard, Error> {
        let Some(file) = drive.open(path, Access::Read)? else {
            return Ok(OpenedShard {
                fault: Some(ShardFault::Missing),
                ..OpenedShard::default()
            });
        };
        let shard_bytes = self.shard_bytes(shard)?;
        let mut opened = OpenedShard {
            file: Some(ShardFile {
                file: Arc::clone(&file),
                sums: UnitSums::new(self.blob, shard),
                unit: self.stripes().unit(),
                shard_bytes,
            }),
            ..OpenedShard::default()
        };
        let mut header = [0; HEADER_LEN];
        let read = file.read_at(0, &mut header)?;
        match ShardHeader::parse(&header) {
            Ok(found) if read == HEADER_LEN && found == self.header(shard) => {}
            Ok(found) if (found.blob, found.shard) != (self.blob, shard) => {
                opened.fault = Some(ShardFault::Misplaced {
                    blob: found.blob,
                    shard: found.shard,
                });
                return Ok(opened);
            }
            Ok(_) | Err(_) => {
                opened.fault = Some(ShardFault::Header);
            }
        }
        match self.read_end(file.as_ref(), shard_bytes)? {
            Ok(manifest) => opened.manifest = Some(manifest),
            Err((fault, unproven)) => {
                opened.unproven = unproven;
                opened.fault.get_or_insert(fault);
            }
        }
        Ok(opened)
    }

    /// The manifest of a file whose length and trailer hold.
    fn read_end(
        &self,
        file: &dyn DriveFile,
        shard_bytes: u64,
    ) -> Result<Result<Vec<u8>, BadEnd>, Error> {
        let unit = self.stripes().unit();
        let file_bytes = file.len()?;
        let manifest_bytes = unit
            .file_bytes(shard_bytes)
            .and_then(|least| file_bytes.checked_sub(least))
            .and_then(|more| u32::try_from(more).ok())
            .filter(|more| *more <= manifest_bytes_max(self.sealed_bytes));
        let Some(manifest_bytes) = manifest_bytes else {
            return Ok(Err((ShardFault::Length, None)));
        };
        let manifest_len = usize::try_from(manifest_bytes).unwrap_or(0);
        let mut end = vec![0; manifest_len.saturating_add(TRAILER_LEN)];
        let at = file_bytes.saturating_sub(u64::try_from(end.len()).unwrap_or(u64::MAX));
        if file.read_at(at, &mut end)? != end.len() {
            return Ok(Err((ShardFault::Length, None)));
        }
        let Some((manifest, trailer)) = end.split_last_chunk::<TRAILER_LEN>() else {
            return Ok(Err((ShardFault::Length, None)));
        };
        let expected = ShardTrailer::new(self.blob, unit, self.sealed_bytes, manifest);
        if expected.map(|expected| expected.to_bytes()) == Some(*trailer) {
            return Ok(Ok(manifest.to_vec()));
        }
        // A file that was cut or extended by a little has its trailer elsewhere, or not at all.
        let has_other_length = ShardTrailer::parse(trailer, unit)
            .map_or(!begins_like_one(trailer, self.blob), |found| {
                found.manifest_bytes != manifest_bytes
            });
        Ok(Err(if has_other_length && manifest_bytes > 0 {
            (ShardFault::Length, None)
        } else {
            (ShardFault::Trailer, Some(manifest.to_vec()))
        }))
    }
}

/// What is wrong with the end of a file, and what stands where the manifest should.
type BadEnd = (ShardFault, Option<Vec<u8>>);

/// Whether damaged bytes are where the trailer of the blob was: one of its first two fields is left.
fn begins_like_one(bytes: &[u8; TRAILER_LEN], blob: BlobId) -> bool {
    let (magic, rest) = bytes.split_at(8);
    magic == TRAILER_MAGIC || rest.starts_with(&blob.0)
}

impl OpenedShard {
    /// Which other shard of `blob` the file is by its header.
    pub(crate) fn misplaced_shard(&self, blob: BlobId) -> Option<ShardIndex> {
        match &self.fault {
            Some(ShardFault::Misplaced { blob: of, shard }) if *of == blob => Some(*shard),
            _ => None,
        }
    }
}

impl ShardFile {
    /// Units of the shard.
    pub(crate) fn units(&self) -> u64 {
        self.unit.unit_count(self.shard_bytes)
    }

    /// Bytes of the units in `count` rows from `first` on, checksums included.
    fn range_len(&self, first: u64, count: u64) -> usize {
        let end = first.saturating_add(count).min(self.units());
        let Some(last) = end.checked_sub(1).filter(|last| *last >= first) else {
            return 0;
        };
        let full = usize::try_from(last.saturating_sub(first)).unwrap_or(usize::MAX);
        let last = self.unit.unit_len(self.shard_bytes, last).unwrap_or(0);
        full.saturating_mul(slot_len(self.unit))
            .saturating_add(usize::try_from(last).unwrap_or(0))
            .saturating_add(SUM_LEN)
    }

    /// Reads rows into `rows` and compares each with its checksum. Where the drive cannot read a
    /// run of them, each is tried alone.
    pub(crate) fn read(&self, first: u64, count: u64, rows: &mut Rows) {
        let len = self.range_len(first, count);
        rows.slot_len = slot_len(self.unit);
        rows.bytes.clear();
        rows.bytes.resize(len, 0);
        rows.good.clear();
        let Some(offset) = self.unit.file_offset(first) else {
            return;
        };
        let read = match self.file.read_at(offset, &mut rows.bytes) {
            Ok(read) => read,
            Err(_) => self.read_one_by_one(offset, rows),
        };
        let mut start = 0_usize;
        let mut row = first;
        for slot in rows.bytes.chunks(rows.slot_len.max(1)) {
            let end = start.saturating_add(slot.len());
            let good = end <= read && self.sums.check(self.unit, row, slot).is_ok();
            rows.good.push(good);
            start = end;
            row = row.saturating_add(1);
        }
    }

    /// Reads what can be read; what cannot stays zero and fails its checksum.
    fn read_one_by_one(&self, offset: u64, rows: &mut Rows) -> usize {
        let mut at = offset;
        for slot in rows.bytes.chunks_mut(rows.slot_len.max(1)) {
            slot.fill(0);
            if self.file.read_at(at, slot).is_err() {
                slot.fill(0);
            }
            at = at.saturating_add(u64::try_from(slot.len()).unwrap_or(0));
        }
        rows.bytes.len()
    }
}

impl Rows {
    /// The unit of row `index` of those read, if it passed; `None` behind the last too.
    pub(crate) fn unit(&self, index: usize) -> Option<&[u8]> {
        if !*self.good.get(index)? {
            return None;
        }
        let start = index.checked_mul(self.slot_len)?;
        let slot = self.bytes.get(start..)?;
        let slot = slot.get(..self.slot_len).unwrap_or(slot);
        slot.split_last_chunk::<SUM_LEN>().map(|(unit, _)| unit)
    }

    /// Rows read, good or not.
    pub(crate) fn good(&self) -> &[bool] {
        &self.good
    }

    /// Bytes of them.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(0)
    }
}
