// SPDX-License-Identifier: Apache-2.0
//! Reading units back, each compared with its checksum before it is handed out.
//!
//! A range of units is one read of the drive into one pooled buffer. A reader keeps its file
//! open: a blob released in the middle of a download stays readable to its end.
//!
//! Ranges that the operating system has in memory are read at once, without a change of thread;
//! the rest is read on a thread that may block.

use std::fmt;
use std::sync::Arc;

use super::Inner;
use super::buffer::UnitBuffer;
use super::shard::{HEADER_LEN, ShardHeader, ShardTrailer, TRAILER_LEN, UnitSums};
use crate::drive::{Access, Drive, DriveFile, DrivePath};
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, HEADER_BYTES, ShardIndex};

/// An open blob.
#[derive(Clone)]
pub struct BlobReader {
    blobs: Arc<Inner>,
    shard: OpenShard,
}

/// What a full read of a blob found: nothing wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyReport {
    /// Units read and compared.
    pub units: u64,
    /// Sealed bytes in them.
    pub sealed_bytes: u64,
}

/// A shard file whose header and length are those of its blob.
#[derive(Clone)]
struct OpenShard {
    location: BlobLocation,
    sums: UnitSums,
    file: Arc<dyn DriveFile>,
}

impl BlobReader {
    pub(super) async fn open(blobs: &Arc<Inner>, location: BlobLocation) -> Result<Self, Error> {
        if !blobs.allows(location.layout) {
            return Err(Error::CorruptedShard {
                blob: location.blob,
                reason: "the store has no units of that length",
            });
        }
        let drive = Arc::clone(&blobs.drive);
        let shard = blobs
            .readers
            .run(move || OpenShard::open(drive.as_ref(), location))
            .await?;
        Ok(Self {
            blobs: Arc::clone(blobs),
            shard,
        })
    }

    /// The blob that is open.
    pub fn location(&self) -> BlobLocation {
        self.shard.location
    }

    /// Reads `units` units from `first_unit` on. Every unit in the answer is what was written.
    pub async fn read(&self, first_unit: u64, units: u32) -> Result<UnitBuffer, Error> {
        let mut buffer = self.buffer(first_unit, units)?;
        if units <= CACHED_UNITS_MAX && self.shard.fill(first_unit, &mut buffer, true)? {
            return Ok(buffer);
        }
        let shard = self.shard.clone();
        self.blobs
            .readers
            .run(move || {
                shard.fill(first_unit, &mut buffer, false)?;
                Ok(buffer)
            })
            .await
    }

    /// A buffer of the right form for a range of this blob.
    fn buffer(&self, first_unit: u64, units: u32) -> Result<UnitBuffer, Error> {
        if units > READ_UNITS_MAX {
            return Err(Error::TooLarge {
                what: "the range of units",
            });
        }
        let location = self.shard.location;
        let layout = location.layout;
        let outside = || Error::OutOfRange {
            blob: location.blob,
            first_unit,
            units,
        };
        let last = u64::from(units)
            .checked_sub(1)
            .and_then(|more| first_unit.checked_add(more))
            .ok_or_else(outside)?;
        let last_len = layout
            .unit_len(location.sealed_bytes, last)
            .ok_or_else(outside)?;
        let mut buffer = self
            .blobs
            .pool
            .take(layout, usize::try_from(units).map_err(|_| outside())?);
        buffer.set_last_len(last_len);
        Ok(buffer)
    }
}

impl OpenShard {
    fn open(drive: &dyn Drive, location: BlobLocation) -> Result<Self, Error> {
        let BlobLocation { blob, layout, .. } = location;
        let file = drive
            .open(&DrivePath::blob(blob), Access::Read)?
            .ok_or(Error::BlobNotFound { blob })?;
        let damaged = |reason| Error::CorruptedShard { blob, reason };
        if Some(file.len()?) != layout.file_bytes(location.sealed_bytes) {
            return Err(damaged("the file does not have the length of the blob"));
        }
        let mut bytes = [0; HEADER_LEN];
        if file.read_at(0, &mut bytes)? != HEADER_LEN {
            return Err(damaged("the header is cut"));
        }
        if ShardHeader::parse(&bytes).map_err(damaged)? != ShardHeader::single(blob, layout) {
            return Err(damaged("the header is that of another shard"));
        }
        Ok(Self {
            location,
            sums: UnitSums::new(blob, ShardIndex(0)),
            file,
        })
    }

    /// Reads into `buffer` and compares. `false` when only memory was to be read (`cached`) and
    /// not all is there.
    fn fill(&self, first_unit: u64, buffer: &mut UnitBuffer, cached: bool) -> Result<bool, Error> {
        let blob = self.location.blob;
        let layout = self.location.layout;
        let offset = layout.file_offset(first_unit).ok_or(Error::OutOfRange {
            blob,
            first_unit,
            units: 0,
        })?;
        let bytes = buffer.file_bytes_mut();
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
        self.sums.check(layout, first_unit, bytes)?;
        metrics::counter!("strongroom_blob_bytes_read_total")
            .increment(u64::try_from(read).unwrap_or(0));
        Ok(true)
    }

    fn check_trailer(&self) -> Result<(), Error> {
        let BlobLocation {
            blob,
            sealed_bytes,
            layout,
        } = self.location;
        let damaged = |reason| Error::CorruptedShard { blob, reason };
        let offset = layout
            .slots_bytes(sealed_bytes)
            .and_then(|slots| slots.checked_add(u64::from(HEADER_BYTES)))
            .ok_or_else(|| damaged("the length is impossible"))?;
        let mut bytes = [0; TRAILER_LEN];
        let read = self.file.read_at(offset, &mut bytes)?;
        let expected = ShardTrailer::new(blob, layout, sealed_bytes, &[]);
        if read != TRAILER_LEN || Some(bytes) != expected.map(|trailer| trailer.to_bytes()) {
            return Err(damaged("the trailer does not hold"));
        }
        Ok(())
    }
}

/// Compares what reading a blob's units leaves out: the trailer. Header and length are compared
/// by opening.
pub(super) async fn verify_trailer(
    blobs: &Arc<Inner>,
    location: BlobLocation,
) -> Result<(), Error> {
    let reader = BlobReader::open(blobs, location).await?;
    blobs
        .readers
        .run(move || reader.shard.check_trailer())
        .await
}

/// Reads and compares a whole blob: header, length, every unit, trailer.
pub(super) async fn verify(
    blobs: &Arc<Inner>,
    location: BlobLocation,
) -> Result<VerifyReport, Error> {
    let reader = BlobReader::open(blobs, location).await?;
    let units = location.layout.unit_count(location.sealed_bytes);
    blobs
        .readers
        .run(move || {
            let mut first = 0_u64;
            while first < units {
                let count = u32::try_from(units.saturating_sub(first))
                    .unwrap_or(u32::MAX)
                    .min(CACHED_UNITS_MAX);
                let mut buffer = reader.buffer(first, count)?;
                reader.shard.fill(first, &mut buffer, false)?;
                first = first.saturating_add(u64::from(count));
            }
            reader.shard.check_trailer()?;
            Ok(VerifyReport {
                units,
                sealed_bytes: location.sealed_bytes,
            })
        })
        .await
}

/// What the header of a shard file says, for inspection.
pub(super) async fn header(blobs: &Arc<Inner>, blob: BlobId) -> Result<ShardHeader, Error> {
    let drive = Arc::clone(&blobs.drive);
    blobs
        .readers
        .run(move || {
            let file = drive
                .open(&DrivePath::blob(blob), Access::Read)?
                .ok_or(Error::BlobNotFound { blob })?;
            let mut bytes = [0; HEADER_LEN];
            if file.read_at(0, &mut bytes)? != HEADER_LEN {
                return Err(Error::CorruptedShard {
                    blob,
                    reason: "the header is cut",
                });
            }
            ShardHeader::parse(&bytes).map_err(|reason| Error::CorruptedShard { blob, reason })
        })
        .await
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("location", &self.shard.location)
            .finish_non_exhaustive()
    }
}

/// The longest range that is read on the caller's thread when it is in memory: copying it takes
/// about as long as sending it.
const CACHED_UNITS_MAX: u32 = 16;
/// The longest range of one read.
const READ_UNITS_MAX: u32 = 512;
