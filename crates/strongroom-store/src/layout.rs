// SPDX-License-Identifier: Apache-2.0
//! Where the bytes of a blob lie: ids, redundancy, and the arithmetic between units and files.
//!
//! A blob is a sequence of *units*: equal runs of sealed bytes, the last one possibly shorter.
//! On a drive each unit is followed by its checksum; unit and checksum together are a *slot*.
//!
//! ```text
//!   0        64             64 + slot        64 + 2 slot                    file end
//!   | header | unit 0 | sum | unit 1 | sum | ... | last unit (short) | sum | trailer |
//! ```
//!
//! Every function here is pure and total; [`UnitLayout::file_offset`] and
//! [`UnitLayout::unit_at`] are inverses. The format is written down in
//! `docs/spec/shard-format.md`.

use std::fmt;

/// Bytes of a unit in the product: one sealed segment of the object format.
pub const UNIT_BYTES: u32 = 65_568;
/// Bytes of the checksum behind each unit.
pub const CHECKSUM_BYTES: u32 = 8;
/// Bytes of the header of a shard file.
pub const HEADER_BYTES: u32 = 64;
/// Bytes of the trailer of a shard file.
pub const TRAILER_BYTES: u32 = 48;
/// How much longer than the store's units those of one blob may be: room for one more layer of
/// sealing around each.
pub const WIDER_BYTES: u32 = 32;
/// The longest unit that a layout may have.
pub const UNIT_BYTES_MAX: u32 = 1 << 24;

const _: () = {
    assert!(UNIT_BYTES <= UNIT_BYTES_MAX);
    assert!(HEADER_BYTES.is_multiple_of(8) && TRAILER_BYTES.is_multiple_of(8));
    assert!(
        (UNIT_BYTES + CHECKSUM_BYTES).is_multiple_of(8),
        "slots stay 8-byte aligned"
    );
    assert!(WIDER_BYTES.is_multiple_of(8) && UNIT_BYTES + WIDER_BYTES <= UNIT_BYTES_MAX);
};

/// Names one blob: 16 random bytes, chosen by the writer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 16]);

/// Names a failure domain that shares power, network and fire: a building, or part of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FacilityId(pub u16);

/// Names one drive for its whole life: 16 random bytes in its superblock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriveUid(pub [u8; 16]);

/// Which shard of a stripe; data shards first, then parity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardIndex(pub u8);

/// Which stripe of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StripeIndex(pub u64);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for DriveUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for DriveUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// How many shards a stripe has, and how many of them may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redundancy {
    data: u8,
    parity: u8,
}

impl Redundancy {
    /// One drive, no parity: the only redundancy offered yet.
    pub const SINGLE: Self = Self { data: 1, parity: 0 };

    /// Accepts the redundancies that this version can keep its word on.
    pub fn new(data: u8, parity: u8) -> Result<Self, UnsupportedRedundancy> {
        let asked = Self { data, parity };
        if asked == Self::SINGLE {
            Ok(asked)
        } else {
            Err(UnsupportedRedundancy { data, parity })
        }
    }

    /// Shards that carry the sealed bytes.
    pub fn data(self) -> u8 {
        self.data
    }

    /// Shards that can be lost.
    pub fn parity(self) -> u8 {
        self.parity
    }
}

/// A redundancy that this version does not offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("redundancy {data}+{parity} is not offered by this version: only 1+0 is")]
pub struct UnsupportedRedundancy {
    /// Data shards asked for.
    pub data: u8,
    /// Parity shards asked for.
    pub parity: u8,
}

/// Where a blob is and how long it is: what a version row keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct BlobLocation {
    /// The blob's name.
    #[n(0)]
    pub blob: BlobId,
    /// Sealed bytes in all units together.
    #[n(1)]
    pub sealed_bytes: u64,
    /// The unit length.
    #[n(2)]
    pub layout: UnitLayout,
}

impl<C> minicbor::Encode<C> for BlobId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for BlobId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?;
        <[u8; 16]>::try_from(bytes)
            .map(Self)
            .map_err(|_| minicbor::decode::Error::message("a blob id has 16 bytes"))
    }
}

impl<C> minicbor::Encode<C> for UnitLayout {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u32(self.unit_bytes)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for UnitLayout {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(d.u32()?)
            .ok_or_else(|| minicbor::decode::Error::message("the unit length is not legal"))
    }
}

/// The arithmetic of one unit length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitLayout {
    unit_bytes: u32,
}

/// One unit of a shard file, found from a file offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitPosition {
    /// Which unit.
    pub unit: u64,
    /// How far into the slot (unit, then checksum).
    pub within: u32,
}

impl UnitLayout {
    /// The layout of the product.
    pub const PRODUCT: Self = Self {
        unit_bytes: UNIT_BYTES,
    };

    /// A layout with units of `unit_bytes`; `None` for zero, above [`UNIT_BYTES_MAX`] or not a
    /// multiple of 8 (which keeps every slot aligned).
    pub const fn new(unit_bytes: u32) -> Option<Self> {
        if unit_bytes == 0 || unit_bytes > UNIT_BYTES_MAX || !unit_bytes.is_multiple_of(8) {
            return None;
        }
        Some(Self { unit_bytes })
    }

    /// The layout with units longer by [`WIDER_BYTES`]; `None` beyond the longest.
    #[must_use]
    pub const fn wider(self) -> Option<Self> {
        match self.unit_bytes.checked_add(WIDER_BYTES) {
            Some(unit_bytes) => Self::new(unit_bytes),
            None => None,
        }
    }

    /// Bytes of a full unit.
    pub const fn unit_bytes(self) -> u32 {
        self.unit_bytes
    }

    /// Bytes of a full unit and its checksum.
    pub const fn slot_bytes(self) -> u32 {
        self.unit_bytes + CHECKSUM_BYTES
    }

    /// Units of a blob of `sealed_bytes`; an empty blob has none.
    pub fn unit_count(self, sealed_bytes: u64) -> u64 {
        sealed_bytes.div_ceil(u64::from(self.unit_bytes))
    }

    /// Length of unit `unit` in a blob of `sealed_bytes`; `None` behind its end.
    pub fn unit_len(self, sealed_bytes: u64, unit: u64) -> Option<u32> {
        let start = unit.checked_mul(u64::from(self.unit_bytes))?;
        let left = sealed_bytes.checked_sub(start).filter(|left| *left > 0)?;
        Some(u32::try_from(left).unwrap_or(u32::MAX).min(self.unit_bytes))
    }

    /// Where the slot of `unit` starts in the shard file; `None` when no file could be so long.
    pub fn file_offset(self, unit: u64) -> Option<u64> {
        unit.checked_mul(u64::from(self.slot_bytes()))?
            .checked_add(u64::from(HEADER_BYTES))
    }

    /// The unit whose slot holds the byte at `file_offset`: inverse of [`Self::file_offset`].
    /// `None` inside the header. The trailer is not known here: callers bound the result by
    /// [`Self::unit_count`].
    pub fn unit_at(self, file_offset: u64) -> Option<UnitPosition> {
        let inside = file_offset.checked_sub(u64::from(HEADER_BYTES))?;
        let slot = u64::from(self.slot_bytes());
        let within = u32::try_from(inside % slot).ok()?;
        Some(UnitPosition {
            unit: inside / slot,
            within,
        })
    }

    /// Bytes of all slots of a blob: its sealed bytes and their checksums.
    pub fn slots_bytes(self, sealed_bytes: u64) -> Option<u64> {
        self.unit_count(sealed_bytes)
            .checked_mul(u64::from(CHECKSUM_BYTES))?
            .checked_add(sealed_bytes)
    }

    /// Length of the whole shard file.
    pub fn file_bytes(self, sealed_bytes: u64) -> Option<u64> {
        self.slots_bytes(sealed_bytes)?
            .checked_add(u64::from(HEADER_BYTES))?
            .checked_add(u64::from(TRAILER_BYTES))
    }

    /// Sealed bytes in a shard file of `file_bytes`: inverse of [`Self::file_bytes`]. `None` for
    /// a length that no blob has.
    pub fn sealed_bytes(self, file_bytes: u64) -> Option<u64> {
        let slots = file_bytes
            .checked_sub(u64::from(HEADER_BYTES))?
            .checked_sub(u64::from(TRAILER_BYTES))?;
        let slot = u64::from(self.slot_bytes());
        let (full, rest) = (slots / slot, slots % slot);
        let last = match rest {
            0 => 0,
            rest => rest
                .checked_sub(u64::from(CHECKSUM_BYTES))
                .filter(|last| *last > 0)?,
        };
        full.checked_mul(u64::from(self.unit_bytes))?
            .checked_add(last)
    }
}

/// Writes lower-case hexadecimal digits.
pub(crate) fn write_hex(f: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
