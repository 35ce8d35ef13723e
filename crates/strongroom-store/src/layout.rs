// SPDX-License-Identifier: Apache-2.0
//! Where the bytes of a blob lie: ids, redundancy, and the arithmetic between units and files.
//!
//! A blob is a sequence of *units*: equal runs of sealed bytes, the last one possibly shorter.
//! On a drive each unit is followed by its checksum; unit and checksum together are a *slot*.
//! Which units a shard holds is said by [`crate::erasure::StripeLayout`]; from there on each
//! shard is a sequence of units itself, and what is said here of a blob's file holds of a shard's.
//!
//! ```text
//!   0        64             64 + slot                                          file end
//!   | header | unit 0 | sum | ... | last unit (short) | sum | manifest | trailer |
//! ```
//!
//! Every function here is pure and total; [`UnitLayout::file_offset`] and
//! [`UnitLayout::unit_at`] are inverses. The format is written down in
//! `docs/spec/shard-format.md`.

use std::fmt;
use std::str::FromStr;

/// Bytes of a unit in the product: one sealed segment of the object format.
pub const UNIT_BYTES: u32 = 65_568;
/// Bytes of the checksum behind each unit.
pub const CHECKSUM_BYTES: u32 = 8;
/// Bytes of the header of a shard file.
pub const HEADER_BYTES: u32 = 64;
/// Bytes of the trailer of a shard file.
pub const TRAILER_BYTES: u32 = 64;
/// The longest manifest that a shard file of a body carries in front of its trailer.
pub const MANIFEST_BYTES_MAX: u32 = 16 << 10;
/// The same of a blob that has no units, and so is nothing but its manifest: a note.
pub const NOTE_BYTES_MAX: u32 = 1 << 20;
/// The most data shards of a blob.
pub const DATA_SHARDS_MAX: u8 = 16;
/// The most parity shards of a blob.
pub const PARITY_SHARDS_MAX: u8 = 8;
/// How much longer than the store's units those of one blob may be: room for one more layer of
/// sealing around each.
pub const WIDER_BYTES: u32 = 32;
/// The longest unit that a layout may have.
pub const UNIT_BYTES_MAX: u32 = 1 << 24;

/// The longest manifest of a blob of so many sealed bytes.
pub const fn manifest_bytes_max(sealed_bytes: u64) -> u32 {
    if sealed_bytes == 0 {
        NOTE_BYTES_MAX
    } else {
        MANIFEST_BYTES_MAX
    }
}

const _: () = {
    assert!(MANIFEST_BYTES_MAX <= NOTE_BYTES_MAX);
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

/// How many shards a blob has, and how many of them may be lost: data + parity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Redundancy {
    data: u8,
    parity: u8,
}

impl Redundancy {
    /// One drive, no parity.
    pub const SINGLE: Self = Self { data: 1, parity: 0 };

    /// A code of `data` + `parity` shards. Refused are codes beyond [`DATA_SHARDS_MAX`] and
    /// [`PARITY_SHARDS_MAX`], and several data shards without parity, of which one lost drive
    /// would take everything.
    pub const fn new(data: u8, parity: u8) -> Result<Self, UnsupportedRedundancy> {
        let protected = parity > 0 || data == 1;
        if data == 0 || data > DATA_SHARDS_MAX || parity > PARITY_SHARDS_MAX || !protected {
            return Err(UnsupportedRedundancy { data, parity });
        }
        Ok(Self { data, parity })
    }

    /// What new blobs get where nothing else was asked for. From three drives on, any two may be
    /// lost; from twelve on, any four.
    #[must_use]
    pub const fn for_drives(drives: usize) -> Self {
        let (data, parity) = match drives {
            0 | 1 => (1, 0),
            2 => (1, 1),
            3 => (1, 2),
            4 => (2, 2),
            5 => (3, 2),
            6..=11 => (4, 2),
            _ => (8, 4),
        };
        Self { data, parity }
    }

    /// What archived blobs get where nothing else was asked for: a code that spends less on
    /// parity than [`Self::for_drives`] would, where there are drives enough for it.
    #[must_use]
    pub const fn archive_for_drives(drives: usize) -> Self {
        let (data, parity) = match drives {
            7 => (5, 2),
            8 => (6, 2),
            9 => (6, 3),
            10 => (7, 3),
            11.. => (8, 3),
            few => return Self::for_drives(few),
        };
        Self { data, parity }
    }

    /// Shards that carry the sealed bytes.
    pub const fn data(self) -> u8 {
        self.data
    }

    /// Shards that can be lost.
    pub const fn parity(self) -> u8 {
        self.parity
    }

    /// Data and parity shards together.
    pub const fn shards(self) -> u8 {
        self.data.saturating_add(self.parity)
    }

    /// Every shard, data shards first.
    pub fn each_shard(self) -> impl Iterator<Item = ShardIndex> + Clone {
        (0..self.shards()).map(ShardIndex)
    }

    /// Whether the code has such a shard.
    pub const fn has(self, shard: ShardIndex) -> bool {
        shard.0 < self.shards()
    }

    /// Whether a shard carries sealed bytes as they are.
    pub const fn is_data(self, shard: ShardIndex) -> bool {
        shard.0 < self.data
    }

    /// Whether drives spread over facilities like this have a place for every shard, such that
    /// no two share a drive and, with three or more facilities, the loss of any one of them costs
    /// no more shards than may be lost.
    pub fn fits(self, drives_per_facility: &[usize]) -> bool {
        let spread = drives_per_facility.iter().filter(|count| **count > 0);
        let most = if spread.clone().count() >= 3 {
            usize::from(self.parity)
        } else {
            usize::MAX
        };
        let places = spread.fold(0_usize, |sum, count| sum.saturating_add(most.min(*count)));
        places >= usize::from(self.shards())
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

impl FromStr for Redundancy {
    type Err = InvalidRedundancy;

    /// Reads `4+2`.
    fn from_str(text: &str) -> Result<Self, InvalidRedundancy> {
        let (data, parity) = text.split_once('+').ok_or(InvalidRedundancy::Form)?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().unwrap_or(u8::MAX))
        };
        match (number(data), number(parity)) {
            (Some(data), Some(parity)) => Ok(Self::new(data, parity)?),
            _ => Err(InvalidRedundancy::Form),
        }
    }
}

/// A redundancy that is not offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "redundancy {data}+{parity} is not offered: 1 to {DATA_SHARDS_MAX} data shards, \
     1 to {PARITY_SHARDS_MAX} parity shards, or 1+0"
)]
pub struct UnsupportedRedundancy {
    /// Data shards asked for.
    pub data: u8,
    /// Parity shards asked for.
    pub parity: u8,
}

/// A text that names no redundancy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRedundancy {
    /// Not two numbers and a plus sign.
    #[error("a redundancy is written as data shards + parity shards, like 4+2")]
    Form,
    /// Numbers that are not offered.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedRedundancy),
}

/// What decides where the shards of a blob go and how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BlobPolicy {
    /// Spread over all facilities.
    #[default]
    Standard,
    /// All shards in one facility.
    OneFacility,
    /// Spread over all facilities under a code of its own, which costs less room.
    Archive,
}

impl BlobPolicy {
    /// The number that stands for the policy in stored bytes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Standard => 0,
            Self::OneFacility => 1,
            Self::Archive => 2,
        }
    }

    /// Inverse of [`Self::number`].
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Standard),
            1 => Some(Self::OneFacility),
            2 => Some(Self::Archive),
            _ => None,
        }
    }
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

impl<C> minicbor::Encode<C> for Redundancy {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u16(u16::from_be_bytes([self.data, self.parity]))?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Redundancy {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let [data, parity] = d.u16()?.to_be_bytes();
        Self::new(data, parity)
            .map_err(|_| minicbor::decode::Error::message("the redundancy is not offered"))
    }
}

impl<C> minicbor::Encode<C> for BlobPolicy {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(self.number())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for BlobPolicy {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::from_number(d.u8()?)
            .ok_or_else(|| minicbor::decode::Error::message("the policy is unknown"))
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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

    /// Length of a whole shard file whose units have `sealed_bytes` together, without a manifest.
    pub fn file_bytes(self, sealed_bytes: u64) -> Option<u64> {
        self.slots_bytes(sealed_bytes)?
            .checked_add(u64::from(HEADER_BYTES))?
            .checked_add(u64::from(TRAILER_BYTES))
    }

    /// Bytes in all units of a shard file of `file_bytes`: inverse of [`Self::file_bytes`]. `None` for
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
