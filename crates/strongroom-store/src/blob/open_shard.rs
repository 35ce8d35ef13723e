// SPDX-License-Identifier: Apache-2.0
//! One shard file, open for reading: units leave it only when they match their checksums.

use std::fmt;
use std::sync::Arc;

use super::buffer::UnitBuffer;
use super::catalog::Keeping;
use super::damage::DamageKind;
use super::shard::{HEADER_LEN, ShardHeader, ShardTrailer, TRAILER_LEN, UnitSums, slot_len};
use crate::drive::{Access, Drive, DriveFile, DrivePath};
use crate::erasure::StripeLayout;
use crate::error::Error;
use crate::layout::{BlobLocation, ShardIndex, TRAILER_BYTES, manifest_bytes_max};

/// A shard file whose header and length are those of its blob. Clones share the file.
#[derive(Clone)]
pub struct OpenShard {
    location: BlobLocation,
    stripes: StripeLayout,
    shard: ShardIndex,
    sums: UnitSums,
    manifest_bytes: u32,
    file: Arc<dyn DriveFile>,
}

impl OpenShard {
    pub(super) fn open(
        drive: &dyn Drive,
        location: BlobLocation,
        keeping: &Keeping,
        shard: ShardIndex,
    ) -> Result<Self, Error> {
        let BlobLocation {
            blob, sealed_bytes, ..
        } = location;
        let stripes = keeping.stripes;
        let file = drive
            .open(&DrivePath::blob(blob), Access::Read)?
            .ok_or(Error::BlobNotFound { blob })?;
        let damaged = |reason| Error::CorruptedShard { blob, reason };
        let file_bytes = file.len()?;
        // How long the manifest is, only the trailer says: `check_trailer` compares.
        let manifest_bytes = stripes
            .shard_file_bytes(sealed_bytes, shard, 0)
            .and_then(|least| file_bytes.checked_sub(least))
            .and_then(|more| u32::try_from(more).ok())
            .filter(|more| *more <= manifest_bytes_max(sealed_bytes))
            .ok_or_else(|| damaged("the file does not have the length of the blob"))?;
        let mut bytes = [0; HEADER_LEN];
        if file.read_at(0, &mut bytes)? != HEADER_LEN {
            return Err(damaged("the header is cut"));
        }
        let expected = ShardHeader {
            blob,
            shard,
            layout: stripes,
            policy: keeping.policy,
        };
        if ShardHeader::parse(&bytes).map_err(damaged)? != expected {
            return Err(damaged("the header is that of another shard"));
        }
        Ok(Self {
            location,
            stripes,
            shard,
            sums: UnitSums::new(blob, shard),
            manifest_bytes,
            file,
        })
    }

    /// Which shard it is.
    pub fn shard(&self) -> ShardIndex {
        self.shard
    }

    /// Units in the shard.
    pub fn units(&self) -> u64 {
        self.stripes
            .shard_units(self.location.sealed_bytes, self.shard)
            .unwrap_or(0)
    }

    /// Length of a unit; `None` behind the last.
    pub fn unit_len(&self, row: u64) -> Option<u32> {
        let sealed_bytes = self.location.sealed_bytes;
        self.stripes.unit_len(sealed_bytes, self.shard, row)
    }

    /// Reads units from `first_row` on into `buffer`, which has their number and the length of the
    /// last one; all of them match their checksums then. Blocks.
    pub fn read(&self, first_row: u64, buffer: &mut UnitBuffer) -> Result<(), Error> {
        let bytes = buffer.file_bytes_mut();
        self.load(first_row, bytes, false)?;
        self.check(first_row, bytes)
    }

    /// Reads and compares; `bytes` are slots as they stand in the file. `false` when only memory
    /// was to be read (`cached`) and not all is there.
    pub(super) fn fill(
        &self,
        first_row: u64,
        bytes: &mut [u8],
        cached: bool,
    ) -> Result<bool, Error> {
        if !self.load(first_row, bytes, cached)? {
            return Ok(false);
        }
        self.check(first_row, bytes)?;
        Ok(true)
    }

    /// Reads without comparing.
    pub(super) fn load(
        &self,
        first_row: u64,
        bytes: &mut [u8],
        cached: bool,
    ) -> Result<bool, Error> {
        let BlobLocation { blob, layout, .. } = self.location;
        let offset = layout.file_offset(first_row).ok_or(Error::OutOfRange {
            blob,
            first_unit: first_row,
            units: 0,
        })?;
        let read = if cached {
            match self.file.read_cached_at(offset, bytes)? {
                Some(read) => read,
                None => return Ok(false),
            }
        } else {
            self.file.read_at(offset, bytes)?
        };
        if read != bytes.len() {
            return Err(Error::CorruptedShard {
                blob,
                reason: "the file is cut",
            });
        }
        metrics::counter!("strongroom_blob_bytes_read_total")
            .increment(u64::try_from(read).unwrap_or(0));
        Ok(true)
    }

    /// Compares every unit with its checksum. An error names the first that does not match by its
    /// number in the blob, or in the shard if that is parity.
    pub(super) fn check(&self, first_row: u64, slots: &[u8]) -> Result<(), Error> {
        let checked = self.sums.check(self.location.layout, first_row, slots);
        checked.map_err(|error| self.in_blob(error))
    }

    /// Which of the units match their checksums.
    pub(super) fn good_rows(&self, first_row: u64, slots: &[u8]) -> Vec<bool> {
        let layout = self.location.layout;
        let of_slot = |(row, slot)| self.sums.check(layout, row, slot).is_ok();
        let slots = slots.chunks(slot_len(layout));
        (first_row..).zip(slots).map(of_slot).collect()
    }

    fn in_blob(&self, error: Error) -> Error {
        let Error::CorruptedUnit { blob, unit: row } = error else {
            return error;
        };
        let place = crate::erasure::UnitPlace {
            shard: self.shard,
            row,
        };
        let unit = self.stripes.unit_at(self.location.sealed_bytes, place);
        Error::CorruptedUnit {
            blob,
            unit: unit.unwrap_or(row),
        }
    }

    /// Compares manifest and trailer with what was written; the manifest. Blocks.
    pub fn check_trailer(&self) -> Result<Vec<u8>, Error> {
        let BlobLocation {
            blob,
            sealed_bytes,
            layout,
        } = self.location;
        let damaged = |reason| Error::CorruptedShard { blob, reason };
        let offset = self
            .stripes
            .shard_file_bytes(sealed_bytes, self.shard, 0)
            .and_then(|bytes| bytes.checked_sub(u64::from(TRAILER_BYTES)))
            .ok_or_else(|| damaged("the length is impossible"))?;
        let manifest_len = usize::try_from(self.manifest_bytes).unwrap_or(usize::MAX);
        let mut end = vec![0; manifest_len.saturating_add(TRAILER_LEN)];
        let read = self.file.read_at(offset, &mut end)?;
        let does_not_hold = || damaged("the trailer does not hold");
        let (manifest, trailer) = end
            .split_last_chunk::<TRAILER_LEN>()
            .filter(|_| read == end.len())
            .ok_or_else(does_not_hold)?;
        let expected = ShardTrailer::new(blob, layout, sealed_bytes, manifest);
        if Some(*trailer) != expected.map(|trailer| trailer.to_bytes()) {
            return Err(does_not_hold());
        }
        Ok(manifest.to_vec())
    }
}

impl fmt::Debug for OpenShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenShard")
            .field("location", &self.location)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

/// What an error says of a shard: damage, or nothing (`None`) when its drive is away.
pub(super) fn damage_of(error: &Error) -> Option<DamageKind> {
    match error {
        Error::BlobNotFound { .. } => Some(DamageKind::Missing),
        Error::CorruptedShard { .. } => Some(DamageKind::File),
        Error::CorruptedUnit { .. } => Some(DamageKind::Unit),
        Error::Io { .. } => Some(DamageKind::Unreadable),
        _ => None,
    }
}
