// SPDX-License-Identifier: Apache-2.0
//! A shard file by itself: what its two ends say, and whether all between them is whole. Needs no
//! tables and no other shard.

use super::shard::{HEADER_LEN, ShardHeader, ShardTrailer, TRAILER_LEN, UnitSums, slot_len};
use crate::drive::DriveFile;
use crate::error::Error;
use crate::layout::{BlobId, HEADER_BYTES, TRAILER_BYTES};

/// The ends of a finished shard file, which agree with each other and with its length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardEnds {
    /// How the file begins.
    pub header: ShardHeader,
    /// How it ends.
    pub trailer: ShardTrailer,
    /// What its blob's writer left in front of the trailer.
    pub manifest: Vec<u8>,
    /// Units in the file.
    pub units: u64,
    /// Bytes of all units and their checksums, which begin behind the header.
    slots_bytes: u64,
}

impl ShardEnds {
    /// Reads the ends of the file that should be a shard of `blob`.
    pub fn read(file: &dyn DriveFile, blob: BlobId) -> Result<Self, Error> {
        let len = file.len()?;
        Self::read_with(blob, len, &mut |offset, bytes| file.read_at(offset, bytes))
    }

    /// Reads the whole file that should be a shard of `blob`, and compares every byte of it.
    pub fn read_and_check_units(file: &dyn DriveFile, blob: BlobId) -> Result<Self, Error> {
        let len = file.len()?;
        let read_at: &mut ReadAt<'_> = &mut |offset, bytes| file.read_at(offset, bytes);
        let ends = Self::read_with(blob, len, read_at)?;
        ends.check_units(read_at)?;
        Ok(ends)
    }

    pub(super) fn read_with(
        blob: BlobId,
        len: u64,
        read_at: &mut ReadAt<'_>,
    ) -> Result<Self, Error> {
        let damaged = |reason| Error::CorruptedShard { blob, reason };
        let trailer_at = len
            .checked_sub(u64::from(TRAILER_BYTES))
            .filter(|at| *at >= u64::from(HEADER_BYTES))
            .ok_or_else(|| damaged("the file is cut"))?;
        let mut bytes = [0; HEADER_LEN];
        fill(blob, read_at, 0, &mut bytes)?;
        let header = ShardHeader::parse(&bytes).map_err(damaged)?;
        let mut bytes = [0; TRAILER_LEN];
        fill(blob, read_at, trailer_at, &mut bytes)?;
        let trailer = ShardTrailer::parse(&bytes, header.layout.unit()).map_err(damaged)?;
        if header.blob != blob || trailer.blob != blob {
            return Err(damaged("the file is that of another blob"));
        }
        let (layout, sealed_bytes) = (header.layout, trailer.sealed_bytes);
        if layout.shard_file_bytes(sealed_bytes, header.shard, trailer.manifest_bytes) != Some(len)
        {
            return Err(damaged("the file does not have the length of the shard"));
        }
        let manifest_at = trailer_at
            .checked_sub(u64::from(trailer.manifest_bytes))
            .ok_or_else(|| damaged("the file is cut"))?;
        let manifest_len = usize::try_from(trailer.manifest_bytes).unwrap_or(usize::MAX);
        let mut manifest = vec![0; manifest_len];
        fill(blob, read_at, manifest_at, &mut manifest)?;
        trailer.check_manifest(&manifest).map_err(damaged)?;
        Ok(Self {
            header,
            trailer,
            manifest,
            units: layout
                .shard_units(sealed_bytes, header.shard)
                .ok_or_else(|| damaged("the redundancy has no such shard"))?,
            slots_bytes: manifest_at
                .checked_sub(u64::from(HEADER_BYTES))
                .ok_or_else(|| damaged("the file is cut"))?,
        })
    }

    /// Compares every unit with its checksum.
    pub(super) fn check_units(&self, read_at: &mut ReadAt<'_>) -> Result<(), Error> {
        let blob = self.header.blob;
        let unit = self.header.layout.unit();
        let sums = UnitSums::new(blob, self.header.shard);
        let mut slots = vec![0; slot_len(unit).saturating_mul(SLOTS_AT_ONCE)];
        let (mut first, mut left) = (0_u64, self.slots_bytes);
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(slots.len());
            let (now, _) = slots.split_at_mut(count);
            let offset = unit.file_offset(first).ok_or(Error::CorruptedShard {
                blob,
                reason: "the length is impossible",
            })?;
            fill(blob, read_at, offset, now)?;
            sums.check(unit, first, now)?;
            left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
            first = first.saturating_add(u64::try_from(SLOTS_AT_ONCE).unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

/// Reads from a file's offset on, as [`DriveFile::read_at`] does.
pub(super) type ReadAt<'a> = dyn FnMut(u64, &mut [u8]) -> Result<usize, Error> + 'a;

fn fill(
    blob: BlobId,
    read_at: &mut ReadAt<'_>,
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), Error> {
    if read_at(offset, bytes)? == bytes.len() {
        return Ok(());
    }
    Err(Error::CorruptedShard {
        blob,
        reason: "the file is cut",
    })
}

const SLOTS_AT_ONCE: usize = 8;

/// Entry points for fuzzing: any bytes may be given.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing {
    use super::*;

    /// Takes `bytes` for a whole shard file of whatever blob its header names: `Ok` when every
    /// byte of it is as it must be, else what is wrong.
    pub(crate) fn shard_file(bytes: &[u8]) -> Result<ShardEnds, String> {
        let mut blob = BlobId([0; 16]);
        for (to, from) in blob.0.iter_mut().zip(bytes.iter().skip(16)) {
            *to = *from;
        }
        let read_at: &mut ReadAt<'_> = &mut |offset, out| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = bytes.get(offset..).unwrap_or_default();
            Ok(out
                .iter_mut()
                .zip(rest)
                .map(|(to, from)| *to = *from)
                .count())
        };
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let ends = ShardEnds::read_with(blob, len, read_at).map_err(|e| e.to_string())?;
        ends.check_units(read_at).map_err(|e| e.to_string())?;
        Ok(ends)
    }

    /// The same; what was accepted has to be written back as it was read.
    pub fn shard_ends(bytes: &[u8]) {
        let Ok(ends) = shard_file(bytes) else {
            return;
        };
        assert_eq!(bytes.get(..HEADER_LEN), Some(&ends.header.to_bytes()[..]));
        assert!(bytes.ends_with(&ends.trailer.to_bytes()));
        let layout = ends.header.layout;
        assert!(layout.redundancy().has(ends.header.shard));
        let again = ShardTrailer::new(
            ends.header.blob,
            layout.unit(),
            ends.trailer.sealed_bytes,
            &ends.manifest,
        );
        assert_eq!(again, Some(ends.trailer));
    }
}
