// SPDX-License-Identifier: Apache-2.0
//! The bytes of a shard file: header, checksums of units, trailer. `docs/spec/shard-format.md`.
//!
//! The checksums catch what media and cables do; they are no defence against an adversary, which
//! is the work of the AEAD above. Each is seeded with where it belongs, so a unit that was
//! written to, or read from, another place does not pass either.

use twox_hash::XxHash3_64;

use crate::error::Error;
use crate::layout::{
    BlobId, CHECKSUM_BYTES, HEADER_BYTES, Redundancy, ShardIndex, TRAILER_BYTES, UnitLayout,
};

/// What stands at the start of a shard file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardHeader {
    /// The blob.
    pub blob: BlobId,
    /// Which shard of each stripe the file holds.
    pub shard: ShardIndex,
    /// The redundancy of the blob.
    pub redundancy: Redundancy,
    /// The unit length.
    pub layout: UnitLayout,
}

/// The checksum seeds of one shard file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitSums {
    blob: BlobId,
    base: u64,
}

impl ShardHeader {
    /// The header of the one shard that redundancy 1+0 has.
    pub fn single(blob: BlobId, layout: UnitLayout) -> Self {
        Self {
            blob,
            shard: ShardIndex(0),
            redundancy: Redundancy::SINGLE,
            layout,
        }
    }

    /// The header as it stands in the file.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let fields = MAGIC
            .into_iter()
            .chain([
                VERSION,
                self.redundancy.data(),
                self.redundancy.parity(),
                self.shard.0,
            ])
            .chain(self.layout.unit_bytes().to_le_bytes())
            .chain(self.blob.0);
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        seal_fixed(&mut bytes, HEADER_SEED);
        bytes
    }

    /// Reads a header. `Err` says which part did not hold; there is one legal encoding.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, &'static str> {
        let (magic, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or("the header is too short")?;
        if *magic != MAGIC {
            return Err("the file is no shard file");
        }
        let (plain, rest) = rest
            .split_first_chunk::<4>()
            .ok_or("the header is too short")?;
        let (unit_bytes, rest) = rest
            .split_first_chunk::<4>()
            .ok_or("the header is too short")?;
        let (blob, _) = rest
            .split_first_chunk::<16>()
            .ok_or("the header is too short")?;
        let [version, data, parity, shard] = *plain;
        if version != VERSION {
            return Err("the format version is unknown");
        }
        let header = Self {
            blob: BlobId(*blob),
            shard: ShardIndex(shard),
            redundancy: Redundancy::new(data, parity)
                .map_err(|_| "the redundancy is not offered")?,
            layout: UnitLayout::new(u32::from_le_bytes(*unit_bytes))
                .ok_or("the unit length is not legal")?,
        };
        // Covers the checksum and the bytes that must be zero.
        if header.to_bytes() != *bytes {
            return Err("the header does not match its checksum");
        }
        Ok(header)
    }
}

/// The trailer of a finished shard file.
pub(crate) fn trailer(blob: BlobId, sealed_bytes: u64, units: u64) -> [u8; TRAILER_LEN] {
    let mut bytes = [0; TRAILER_LEN];
    let fields = TRAILER_MAGIC
        .into_iter()
        .chain(blob.0)
        .chain(sealed_bytes.to_le_bytes())
        .chain(units.to_le_bytes());
    for (to, from) in bytes.iter_mut().zip(fields) {
        *to = from;
    }
    seal_fixed(&mut bytes, TRAILER_SEED);
    bytes
}

impl UnitSums {
    pub(crate) fn new(blob: BlobId, shard: ShardIndex) -> Self {
        let mut place = [0; 17];
        let fields = blob.0.into_iter().chain([shard.0]);
        for (to, from) in place.iter_mut().zip(fields) {
            *to = from;
        }
        Self {
            blob,
            base: XxHash3_64::oneshot_with_seed(UNIT_SEED, &place),
        }
    }

    fn sum(&self, unit: u64, bytes: &[u8]) -> [u8; SUM_LEN] {
        // An odd factor maps different units to different seeds.
        let seed = self.base.wrapping_add(unit.wrapping_mul(UNIT_STEP));
        XxHash3_64::oneshot_with_seed(seed, bytes).to_le_bytes()
    }

    /// Writes the checksum of each unit behind it. `slots` holds the units and their room for
    /// checksums as they will stand in the file, the last unit possibly short.
    pub(crate) fn write(&self, layout: UnitLayout, first_unit: u64, slots: &mut [u8]) {
        let mut unit = first_unit;
        for slot in slots.chunks_mut(slot_len(layout)) {
            if let Some((bytes, sum)) = slot.split_last_chunk_mut::<SUM_LEN>() {
                *sum = self.sum(unit, bytes);
            }
            unit = unit.wrapping_add(1);
        }
    }

    /// Compares every unit of `slots` with its checksum.
    pub(crate) fn check(
        &self,
        layout: UnitLayout,
        first_unit: u64,
        slots: &[u8],
    ) -> Result<(), Error> {
        let mut unit = first_unit;
        for slot in slots.chunks(slot_len(layout)) {
            let intact = slot
                .split_last_chunk::<SUM_LEN>()
                .is_some_and(|(bytes, sum)| self.sum(unit, bytes) == *sum);
            if !intact {
                metrics::counter!("strongroom_blob_units_damaged_total").increment(1);
                return Err(Error::CorruptedUnit {
                    blob: self.blob,
                    unit,
                });
            }
            unit = unit.wrapping_add(1);
        }
        Ok(())
    }
}

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 64;
/// Bytes of the trailer.
pub(crate) const TRAILER_LEN: usize = 48;
/// Bytes of a checksum.
pub(crate) const SUM_LEN: usize = 8;

const MAGIC: [u8; 8] = *b"SR-SHARD";
const TRAILER_MAGIC: [u8; 8] = *b"SR-TRAIL";
const VERSION: u8 = 1;
const HEADER_SEED: u64 = 0x5352_4844_5200_0001;
const TRAILER_SEED: u64 = 0x5352_5452_4C00_0001;
const UNIT_SEED: u64 = 0x5352_554E_4900_0001;
const UNIT_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

#[expect(
    clippy::as_conversions,
    reason = "compile-time comparison of two widths of one number"
)]
const _: () = {
    assert!(HEADER_LEN == HEADER_BYTES as usize);
    assert!(TRAILER_LEN == TRAILER_BYTES as usize);
    assert!(SUM_LEN == CHECKSUM_BYTES as usize);
    assert!(UNIT_STEP % 2 == 1);
};

/// Bytes of a full slot in memory.
pub(crate) fn slot_len(layout: UnitLayout) -> usize {
    // A unit is at most 2^24 bytes: it fits on every machine we build for.
    usize::try_from(layout.slot_bytes()).unwrap_or(usize::MAX)
}

/// Puts the checksum of everything before into the last 8 bytes.
fn seal_fixed(bytes: &mut [u8], seed: u64) {
    if let Some((fields, sum)) = bytes.split_last_chunk_mut::<SUM_LEN>() {
        *sum = XxHash3_64::oneshot_with_seed(seed, fields).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: BlobId = BlobId([0xA5; 16]);

    #[test]
    fn header_comes_back() {
        let header = ShardHeader::single(BLOB, UnitLayout::PRODUCT);
        assert_eq!(ShardHeader::parse(&header.to_bytes()), Ok(header));
    }

    #[test]
    fn header_any_bit_flipped() {
        let good = ShardHeader::single(BLOB, UnitLayout::PRODUCT).to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ShardHeader::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn header_reserved_bytes_set_with_a_right_checksum() {
        for at in 32..56 {
            let mut bad = ShardHeader::single(BLOB, UnitLayout::PRODUCT).to_bytes();
            bad[at] = 1;
            seal_fixed(&mut bad, HEADER_SEED);
            assert!(ShardHeader::parse(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn header_redundancy_not_offered_with_a_right_checksum() {
        for (data, parity) in [(0, 0), (1, 1), (2, 0), (4, 2), (255, 255)] {
            let mut bad = ShardHeader::single(BLOB, UnitLayout::PRODUCT).to_bytes();
            (bad[9], bad[10]) = (data, parity);
            seal_fixed(&mut bad, HEADER_SEED);
            assert_eq!(
                ShardHeader::parse(&bad),
                Err("the redundancy is not offered")
            );
        }
    }

    #[test]
    fn unit_sums_depend_on_the_place() {
        let layout = UnitLayout::new(16).unwrap();
        let sums = UnitSums::new(BLOB, ShardIndex(0));
        let mut whole = vec![3; 24 + 24 + 13];
        sums.write(layout, 7, &mut whole);
        sums.check(layout, 7, &whole).unwrap();
        assert!(sums.check(layout, 8, &whole).is_err(), "other unit");
        let other_shard = UnitSums::new(BLOB, ShardIndex(1));
        assert!(other_shard.check(layout, 7, &whole).is_err(), "other shard");
        let other_blob = UnitSums::new(BlobId([0; 16]), ShardIndex(0));
        assert!(other_blob.check(layout, 7, &whole).is_err(), "other blob");
        for cut in 1..whole.len() {
            if cut % 24 != 0 {
                assert!(
                    sums.check(layout, 7, &whole[..cut]).is_err(),
                    "cut at {cut}"
                );
            }
        }
    }
}
