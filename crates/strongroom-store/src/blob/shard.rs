// SPDX-License-Identifier: Apache-2.0
//! The bytes of a shard file: header, checksums of units, trailer. `docs/spec/shard-format.md`.
//!
//! The checksums catch what media and cables do; they are no defence against an adversary, which
//! is the work of the AEAD above. Each is seeded with where it belongs, so a unit that was
//! written to, or read from, another place does not pass either.

use twox_hash::XxHash3_64;

use crate::erasure::StripeLayout;
use crate::error::Error;
use crate::layout::{
    BlobId, BlobPolicy, CHECKSUM_BYTES, HEADER_BYTES, Redundancy, ShardIndex, TRAILER_BYTES,
    UnitLayout, manifest_bytes_max,
};

/// What stands at the start of a shard file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardHeader {
    /// The blob.
    pub blob: BlobId,
    /// Which of the blob's shards the file holds.
    pub shard: ShardIndex,
    /// How the blob is spread over its shards.
    pub layout: StripeLayout,
    /// What decided where the shards went.
    pub policy: BlobPolicy,
}

/// What stands at the end of a finished shard file, behind the manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardTrailer {
    /// The blob.
    pub blob: BlobId,
    /// Sealed bytes of the whole blob.
    pub sealed_bytes: u64,
    /// Units of the whole blob.
    pub units: u64,
    /// Bytes of the manifest in front of the trailer.
    pub manifest_bytes: u32,
    manifest_sum: [u8; SUM_LEN],
}

/// The checksum seeds of one shard file.
#[derive(Clone, Copy, Debug)]
pub struct UnitSums {
    blob: BlobId,
    base: u64,
}

impl ShardHeader {
    /// The header of the one shard that redundancy 1+0 has.
    pub fn single(blob: BlobId, layout: UnitLayout) -> Self {
        Self {
            blob,
            shard: ShardIndex(0),
            layout: StripeLayout::single(layout),
            policy: BlobPolicy::Standard,
        }
    }

    /// The header as it stands in the file.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let redundancy = self.layout.redundancy();
        let fields = MAGIC
            .into_iter()
            .chain([
                VERSION,
                redundancy.data(),
                redundancy.parity(),
                self.shard.0,
            ])
            .chain(self.layout.unit().unit_bytes().to_le_bytes())
            .chain(self.blob.0)
            .chain([self.layout.cell_units(), self.policy.number()]);
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        seal_fixed(&mut bytes, HEADER_SEED);
        bytes
    }

    /// Reads a header. `Err` says which part did not hold; there is one legal encoding.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, &'static str> {
        let mut rest = bytes.as_slice();
        if take::<8>(&mut rest)? != MAGIC {
            return Err("the file is no shard file");
        }
        let [version, data, parity, shard] = take(&mut rest)?;
        if version != VERSION {
            return Err("the format version is unknown");
        }
        let unit_bytes = u32::from_le_bytes(take(&mut rest)?);
        let blob = BlobId(take(&mut rest)?);
        let [cell_units, policy] = take(&mut rest)?;
        let redundancy =
            Redundancy::new(data, parity).map_err(|_| "the redundancy is not offered")?;
        let unit = UnitLayout::new(unit_bytes).ok_or("the unit length is not legal")?;
        let header = Self {
            blob,
            shard: Some(ShardIndex(shard))
                .filter(|shard| redundancy.has(*shard))
                .ok_or("the redundancy has no such shard")?,
            layout: StripeLayout::new(unit, redundancy, cell_units)
                .ok_or("the cell length is not legal")?,
            policy: BlobPolicy::from_number(policy).ok_or("the policy is unknown")?,
        };
        // Covers the checksum and the bytes that must be zero.
        if header.to_bytes() != *bytes {
            return Err("the header does not match its checksum");
        }
        Ok(header)
    }
}

impl ShardTrailer {
    /// The trailer of a blob of `sealed_bytes`; `None` for a manifest beyond
    /// [`manifest_bytes_max`].
    pub fn new(blob: BlobId, unit: UnitLayout, sealed_bytes: u64, manifest: &[u8]) -> Option<Self> {
        let manifest_bytes = u32::try_from(manifest.len())
            .ok()
            .filter(|bytes| *bytes <= manifest_bytes_max(sealed_bytes))?;
        Some(Self {
            blob,
            sealed_bytes,
            units: unit.unit_count(sealed_bytes),
            manifest_bytes,
            manifest_sum: manifest_sum(manifest),
        })
    }

    /// The trailer as it stands in the file.
    pub fn to_bytes(&self) -> [u8; TRAILER_LEN] {
        let mut bytes = [0; TRAILER_LEN];
        let fields = TRAILER_MAGIC
            .into_iter()
            .chain(self.blob.0)
            .chain(self.sealed_bytes.to_le_bytes())
            .chain(self.units.to_le_bytes())
            .chain(self.manifest_bytes.to_le_bytes())
            .chain([0; 4])
            .chain(self.manifest_sum);
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        seal_fixed(&mut bytes, TRAILER_SEED);
        bytes
    }

    /// Reads a trailer of a blob with units of `unit`. `Err` says which part did not hold; there
    /// is one legal encoding.
    pub fn parse(bytes: &[u8; TRAILER_LEN], unit: UnitLayout) -> Result<Self, &'static str> {
        let mut rest = bytes.as_slice();
        if take::<8>(&mut rest)? != TRAILER_MAGIC {
            return Err("the trailer is missing");
        }
        let trailer = Self {
            blob: BlobId(take(&mut rest)?),
            sealed_bytes: u64::from_le_bytes(take(&mut rest)?),
            units: u64::from_le_bytes(take(&mut rest)?),
            manifest_bytes: u32::from_le_bytes(take(&mut rest)?),
            manifest_sum: {
                let _zero: [u8; 4] = take(&mut rest)?;
                take(&mut rest)?
            },
        };
        // Covers the checksum and the bytes that must be zero.
        if trailer.to_bytes() != *bytes {
            return Err("the trailer does not match its checksum");
        }
        if trailer.units != unit.unit_count(trailer.sealed_bytes) {
            return Err("the number of units is not that of the length");
        }
        if trailer.manifest_bytes > manifest_bytes_max(trailer.sealed_bytes) {
            return Err("the manifest is too long");
        }
        Ok(trailer)
    }

    /// Compares a manifest with what the trailer says of it.
    pub fn check_manifest(&self, manifest: &[u8]) -> Result<(), &'static str> {
        let is_long_so = u32::try_from(manifest.len()) == Ok(self.manifest_bytes);
        if !is_long_so || manifest_sum(manifest) != self.manifest_sum {
            return Err("the manifest does not match its checksum");
        }
        Ok(())
    }
}

impl UnitSums {
    /// Those of one shard of a blob.
    pub fn new(blob: BlobId, shard: ShardIndex) -> Self {
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
    pub fn write(&self, layout: UnitLayout, first_unit: u64, slots: &mut [u8]) {
        let mut unit = first_unit;
        for slot in slots.chunks_mut(slot_len(layout)) {
            if let Some((bytes, sum)) = slot.split_last_chunk_mut::<SUM_LEN>() {
                *sum = self.sum(unit, bytes);
            }
            unit = unit.wrapping_add(1);
        }
    }

    /// Compares every unit of `slots` with its checksum.
    pub fn check(&self, layout: UnitLayout, first_unit: u64, slots: &[u8]) -> Result<(), Error> {
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
pub(crate) const TRAILER_LEN: usize = 64;
/// Bytes of a checksum.
pub(crate) const SUM_LEN: usize = 8;

const MAGIC: [u8; 8] = *b"SR-SHARD";
/// What a trailer begins with.
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"SR-TRAIL";
const VERSION: u8 = 2;
const HEADER_SEED: u64 = 0x5352_4844_5200_0002;
const TRAILER_SEED: u64 = 0x5352_5452_4C00_0002;
const MANIFEST_SEED: u64 = 0x5352_4D41_4E00_0002;
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

fn manifest_sum(manifest: &[u8]) -> [u8; SUM_LEN] {
    XxHash3_64::oneshot_with_seed(MANIFEST_SEED, manifest).to_le_bytes()
}

/// Takes the next field of a fixed structure.
fn take<const LEN: usize>(rest: &mut &[u8]) -> Result<[u8; LEN], &'static str> {
    let (field, behind) = rest.split_first_chunk::<LEN>().ok_or("it is too short")?;
    *rest = behind;
    Ok(*field)
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

    fn header(data: u8, parity: u8, shard: u8, cell_units: u8, policy: BlobPolicy) -> ShardHeader {
        let redundancy = Redundancy::new(data, parity).unwrap();
        ShardHeader {
            blob: BLOB,
            shard: ShardIndex(shard),
            layout: StripeLayout::new(UnitLayout::PRODUCT, redundancy, cell_units).unwrap(),
            policy,
        }
    }

    /// The bytes of `good` with some replaced, and a checksum that is right again.
    fn forged<const LEN: usize>(good: [u8; LEN], at: usize, with: &[u8], seed: u64) -> [u8; LEN] {
        let mut bad = good;
        bad[at..at + with.len()].copy_from_slice(with);
        seal_fixed(&mut bad, seed);
        bad
    }

    #[test]
    fn headers_come_back() {
        for good in [
            ShardHeader::single(BLOB, UnitLayout::PRODUCT),
            header(1, 8, 8, 255, BlobPolicy::Standard),
            header(4, 2, 5, 2, BlobPolicy::OneFacility),
            header(16, 8, 0, 1, BlobPolicy::Archive),
        ] {
            assert_eq!(ShardHeader::parse(&good.to_bytes()), Ok(good));
        }
    }

    #[test]
    fn header_any_bit_flipped() {
        let good = header(4, 2, 5, 2, BlobPolicy::OneFacility).to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ShardHeader::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn header_that_means_nothing_with_a_right_checksum() {
        let good = header(4, 2, 5, 2, BlobPolicy::Standard).to_bytes();
        assert!(ShardHeader::parse(&forged(good, 8, &[2], HEADER_SEED)).is_ok());
        let refused: &[(usize, &[u8], &str)] = &[
            (0, b"SR-SHARE", "the file is no shard file"),
            (8, &[1], "the format version is unknown"),
            (8, &[3], "the format version is unknown"),
            (9, &[0], "the redundancy is not offered"),
            (9, &[17], "the redundancy is not offered"),
            (9, &[4, 0], "the redundancy is not offered"),
            (10, &[9], "the redundancy is not offered"),
            (11, &[6], "the redundancy has no such shard"),
            (11, &[255], "the redundancy has no such shard"),
            (12, &[0; 4], "the unit length is not legal"),
            (12, &[0x21, 0, 1, 0], "the unit length is not legal"),
            (12, &[8, 0, 0, 1], "the unit length is not legal"),
            (32, &[0], "the cell length is not legal"),
            (33, &[3], "the policy is unknown"),
            (33, &[255], "the policy is unknown"),
        ];
        for (at, with, reason) in refused {
            let bad = forged(good, *at, with, HEADER_SEED);
            assert_eq!(ShardHeader::parse(&bad), Err(*reason), "{with:?} at {at}");
        }
        for at in 34..56 {
            let bad = forged(good, at, &[1], HEADER_SEED);
            assert!(ShardHeader::parse(&bad).is_err(), "reserved byte {at}");
        }
        let other_seed = forged(good, 0, &[], TRAILER_SEED);
        assert!(ShardHeader::parse(&other_seed).is_err());
    }

    const UNIT: UnitLayout = UnitLayout::PRODUCT;

    #[test]
    fn trailers_come_back_with_their_manifests() {
        let longest = vec![7; 16 << 10];
        for (sealed, manifest) in [(0, &[][..]), (1, b"m"), (65_568 * 3 + 1, &longest)] {
            let trailer = ShardTrailer::new(BLOB, UNIT, sealed, manifest).unwrap();
            assert_eq!(ShardTrailer::parse(&trailer.to_bytes(), UNIT), Ok(trailer));
            trailer.check_manifest(manifest).unwrap();
        }
        let too_long = vec![7; (16 << 10) + 1];
        assert_eq!(ShardTrailer::new(BLOB, UNIT, 1, &too_long), None);
        // A blob without units is its manifest, and that may be longer.
        for (len, is_legal) in [(16 << 10, true), (1 << 20, true), ((1 << 20) + 1, false)] {
            let note = vec![7; len];
            let trailer = ShardTrailer::new(BLOB, UNIT, 0, &note);
            assert_eq!(trailer.is_some(), is_legal, "{len}");
            if let Some(trailer) = trailer {
                assert_eq!(ShardTrailer::parse(&trailer.to_bytes(), UNIT), Ok(trailer));
                trailer.check_manifest(&note).unwrap();
            }
        }
    }

    #[test]
    fn trailer_any_bit_flipped() {
        let trailer = ShardTrailer::new(BLOB, UNIT, 70_000, b"manifest").unwrap();
        let good = trailer.to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ShardTrailer::parse(&bad, UNIT).is_err(), "bit {bit}");
        }
        for bit in 0..64 {
            let mut bad = *b"manifest";
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(trailer.check_manifest(&bad).is_err(), "bit {bit}");
        }
        assert!(trailer.check_manifest(b"manifes").is_err());
        assert!(trailer.check_manifest(b"manifest\0").is_err());
        assert!(trailer.check_manifest(b"").is_err());
    }

    #[test]
    fn trailer_that_means_nothing_with_a_right_checksum() {
        let good = ShardTrailer::new(BLOB, UNIT, 70_000, b"manifest")
            .unwrap()
            .to_bytes();
        let refused: &[(usize, &[u8], &str)] = &[
            (0, b"SR-SHARD", "the trailer is missing"),
            (
                24,
                &[0xFF; 8],
                "the number of units is not that of the length",
            ),
            (32, &[3], "the number of units is not that of the length"),
            (40, &[1, 0x40], "the manifest is too long"),
            (43, &[1], "the manifest is too long"),
            (44, &[1], "the trailer does not match its checksum"),
            (47, &[1], "the trailer does not match its checksum"),
        ];
        for (at, with, reason) in refused {
            let bad = forged(good, *at, with, TRAILER_SEED);
            assert_eq!(
                ShardTrailer::parse(&bad, UNIT),
                Err(*reason),
                "{with:?} at {at}"
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
