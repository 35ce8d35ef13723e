// SPDX-License-Identifier: Apache-2.0
//! Which drive holds each shard of a blob, and which shards are meant.

use std::fmt;

use crate::drive::DriveNo;
use crate::layout::{DATA_SHARDS_MAX, PARITY_SHARDS_MAX, ShardIndex};

/// The most shards of a blob.
pub const SHARDS_MAX: usize = 24;

#[expect(
    clippy::as_conversions,
    reason = "compile-time comparison of two widths of one number"
)]
const _: () = assert!(DATA_SHARDS_MAX as usize + PARITY_SHARDS_MAX as usize == SHARDS_MAX);

/// The drive of each shard, in the order of the shards. No drive has two shards of a blob;
/// [`DriveNo::NOWHERE`] stands for a shard that has no drive yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placement {
    drives: [DriveNo; SHARDS_MAX],
    shards: u8,
}

/// Some of the shards of a blob: one bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ShardSet(u32);

impl Placement {
    /// The placement of a blob that has one shard.
    pub const fn single(drive: DriveNo) -> Self {
        let mut drives = [DriveNo::NOWHERE; SHARDS_MAX];
        let [first, ..] = &mut drives;
        *first = drive;
        Self { drives, shards: 1 }
    }

    /// A placement by shard; `None` for no shard, too many, or two on one drive.
    pub fn new(drives: &[DriveNo]) -> Option<Self> {
        if drives.is_empty() || drives.len() > SHARDS_MAX {
            return None;
        }
        let mut placement = Self {
            drives: [DriveNo::NOWHERE; SHARDS_MAX],
            shards: u8::try_from(drives.len()).ok()?,
        };
        for (index, (place, drive)) in placement.drives.iter_mut().zip(drives).enumerate() {
            let before = drives.get(..index)?;
            if *drive != DriveNo::NOWHERE && before.contains(drive) {
                return None;
            }
            *place = *drive;
        }
        Some(placement)
    }

    /// The drives, by shard.
    pub fn as_slice(&self) -> &[DriveNo] {
        self.drives
            .get(..usize::from(self.shards))
            .unwrap_or_default()
    }

    /// How many shards there are.
    pub fn shards(&self) -> u8 {
        self.shards
    }

    /// The drive of a shard; `None` when it has none.
    pub fn drive(&self, shard: ShardIndex) -> Option<DriveNo> {
        let drive = self.as_slice().get(usize::from(shard.0)).copied();
        drive.filter(|drive| *drive != DriveNo::NOWHERE)
    }

    /// The shard that a drive holds.
    pub fn shard_on(&self, drive: DriveNo) -> Option<ShardIndex> {
        self.each()
            .find_map(|(shard, on)| (on == drive).then_some(shard))
    }

    /// Every shard that has a drive.
    pub fn each(&self) -> impl Iterator<Item = (ShardIndex, DriveNo)> + '_ {
        (0_u8..)
            .map(ShardIndex)
            .zip(self.as_slice().iter().copied())
            .filter(|(_, drive)| *drive != DriveNo::NOWHERE)
    }

    /// The same with one shard on another drive; `None` when that drive has one already, or for a
    /// shard that the blob has not.
    #[must_use]
    pub fn moved(&self, shard: ShardIndex, to: DriveNo) -> Option<Self> {
        let mut moved = *self;
        if to != DriveNo::NOWHERE && self.shard_on(to).is_some_and(|held| held != shard) {
            return None;
        }
        if shard.0 >= self.shards {
            return None;
        }
        *moved.drives.get_mut(usize::from(shard.0))? = to;
        Some(moved)
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.as_slice().iter().map(|drive| drive.0))
            .finish()
    }
}

impl ShardSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// The shards of which a bit is set.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// A bit for each shard.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether a shard is among them.
    pub fn has(self, shard: ShardIndex) -> bool {
        self.0 & bit(shard) != 0
    }

    /// With one shard more.
    #[must_use]
    pub fn with(self, shard: ShardIndex) -> Self {
        Self(self.0 | bit(shard))
    }

    /// With one shard less.
    #[must_use]
    pub fn without(self, shard: ShardIndex) -> Self {
        Self(self.0 & !bit(shard))
    }

    /// How many there are.
    pub fn len(self) -> u8 {
        u8::try_from(self.0.count_ones()).unwrap_or(u8::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Every one of them.
    pub fn each(self) -> impl Iterator<Item = ShardIndex> {
        (0..32)
            .map(ShardIndex)
            .filter(move |shard| self.has(*shard))
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.each().map(|shard| shard.0))
            .finish()
    }
}

impl FromIterator<ShardIndex> for ShardSet {
    fn from_iter<I: IntoIterator<Item = ShardIndex>>(shards: I) -> Self {
        shards.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl<C> minicbor::Encode<C> for Placement {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(u64::from(self.shards))?;
        for drive in self.as_slice() {
            e.u16(drive.0)?;
        }
        e.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Placement {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let illegal = || minicbor::decode::Error::message("the placement is not legal");
        let shards = d.array()?.ok_or_else(illegal)?;
        let mut drives = Vec::new();
        for _ in 0..shards {
            if drives.len() == SHARDS_MAX {
                return Err(illegal());
            }
            drives.push(DriveNo(d.u16()?));
        }
        Self::new(&drives).ok_or_else(illegal)
    }
}

fn bit(shard: ShardIndex) -> u32 {
    1_u32.checked_shl(u32::from(shard.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drives(numbers: &[u16]) -> Vec<DriveNo> {
        numbers.iter().copied().map(DriveNo).collect()
    }

    #[test]
    fn a_placement_comes_back() {
        let none = DriveNo::NOWHERE.0;
        for numbers in [&[0][..], &[4, 2, 9], &[1, none, none, 7], &[none, none]] {
            let placement = Placement::new(&drives(numbers)).unwrap();
            let bytes = minicbor::to_vec(placement).unwrap();
            assert_eq!(minicbor::decode::<Placement>(&bytes).unwrap(), placement);
            assert_eq!(placement.as_slice(), drives(numbers));
        }
        assert_eq!(
            Placement::single(DriveNo(3)),
            Placement::new(&[DriveNo(3)]).unwrap()
        );
    }

    #[test]
    fn no_shard_too_many_and_two_on_one_drive_are_refused() {
        assert!(Placement::new(&[]).is_none());
        assert!(Placement::new(&drives(&[1, 2, 1])).is_none());
        let many: Vec<u16> = (0..25).collect();
        assert!(Placement::new(&drives(&many[..24])).is_some());
        assert!(Placement::new(&drives(&many)).is_none());
        for illegal in [vec![], vec![5_u16, 5], many] {
            let bytes = minicbor::to_vec(illegal).unwrap();
            assert!(minicbor::decode::<Placement>(&bytes).is_err());
        }
    }

    #[test]
    fn a_shard_moves_to_a_drive_that_has_none() {
        let placement = Placement::new(&drives(&[1, 2, 3])).unwrap();
        let moved = placement.moved(ShardIndex(1), DriveNo(9)).unwrap();
        assert_eq!(moved.as_slice(), drives(&[1, 9, 3]));
        assert_eq!(moved.shard_on(DriveNo(2)), None);
        assert_eq!(placement.moved(ShardIndex(1), DriveNo(3)), None);
        assert_eq!(placement.moved(ShardIndex(3), DriveNo(9)), None);
        assert_eq!(
            placement.moved(ShardIndex(1), DriveNo(2)),
            Some(placement),
            "where it is"
        );
    }

    #[test]
    fn sets_count_what_they_have() {
        let set: ShardSet = [0, 5, 23].map(ShardIndex).into_iter().collect();
        assert_eq!(set.len(), 3);
        assert_eq!(
            set.each().map(|shard| shard.0).collect::<Vec<_>>(),
            [0, 5, 23]
        );
        assert!(set.has(ShardIndex(5)) && !set.without(ShardIndex(5)).has(ShardIndex(5)));
        assert!(!set.has(ShardIndex(40)), "no shard of a blob");
    }
}
