// SPDX-License-Identifier: Apache-2.0
//! The store's own list of the blobs that count.
//!
//! A shard file without a row here is an orphan: of an upload that never committed, or of a blob
//! released just before a crash. Rows are written by the committer of the tables in the same
//! commit that adopts or releases a blob, so the list and the rest of the tables never differ.
//! The row's key is the blob id, its 16 bytes.

//!
//! A blob that has not all of its shards is *owed* some: a second table lists it, those that can
//! lose the fewest more first. Its rows are written in the same commits.

use super::placement::{Placement, ShardSet};
use crate::erasure::StripeLayout;
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, BlobPolicy, Redundancy, UnitLayout};

/// What the catalogue keeps of one blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct CatalogRow {
    /// How many rows of other tables stand on the blob.
    #[n(0)]
    pub refs: u32,
    /// Sealed bytes of the blob.
    #[n(1)]
    pub sealed_bytes: u64,
    /// The commit that adopted it.
    #[n(2)]
    pub created_seq: u64,
    /// The unit length.
    #[n(3)]
    pub layout: UnitLayout,
    /// The number of shards.
    #[n(4)]
    pub redundancy: Redundancy,
    /// Units of a full cell.
    #[n(5)]
    pub cell_units: u8,
    /// What was wished for the blob.
    #[n(6)]
    pub policy: BlobPolicy,
    /// The drive of each shard.
    #[n(7)]
    pub placement: Placement,
    /// The shards that the blob should have and has not: a bit for each.
    #[n(8)]
    pub owed: u32,
}

/// How a blob is kept: what its catalogue row says beyond its references.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeping {
    /// How units lie in shards.
    pub stripes: StripeLayout,
    /// What was wished for the blob.
    pub policy: BlobPolicy,
    /// The drive of each shard.
    pub placement: Placement,
    /// The shards that the blob should have and has not.
    pub owed: ShardSet,
}

impl CatalogRow {
    /// The row of a blob adopted by commit `seq`.
    pub fn adopted(location: BlobLocation, keeping: Keeping, seq: u64) -> Self {
        Self {
            refs: 1,
            sealed_bytes: location.sealed_bytes,
            created_seq: seq,
            layout: location.layout,
            redundancy: keeping.stripes.redundancy(),
            cell_units: keeping.stripes.cell_units(),
            policy: keeping.policy,
            placement: keeping.placement,
            owed: keeping.owed.bits(),
        }
    }

    /// How the blob is kept. `None` if the fields do not fit each other, which no row that was
    /// decoded says.
    pub fn keeping(&self) -> Option<Keeping> {
        let stripes = StripeLayout::new(self.layout, self.redundancy, self.cell_units)?;
        let owed = ShardSet::from_bits(self.owed);
        let known = |shard| self.redundancy.has(shard);
        if self.placement.shards() != self.redundancy.shards() || !owed.each().all(known) {
            return None;
        }
        // A shard without a drive cannot be there.
        let mut nowhere = self.redundancy.each_shard();
        if nowhere.any(|shard| self.placement.drive(shard).is_none() && !owed.has(shard)) {
            return None;
        }
        Some(Keeping {
            stripes,
            policy: self.policy,
            placement: self.placement,
            owed,
        })
    }

    /// How many more shards can be lost, as far as the catalogue knows.
    pub fn spare_shards(&self) -> u8 {
        let owed = ShardSet::from_bits(self.owed);
        self.redundancy.parity().saturating_sub(owed.len())
    }

    /// The key under which the blob is listed as owed shards; `None` when it has all.
    pub fn owed_key(&self, blob: BlobId) -> Option<[u8; 17]> {
        (self.owed != 0).then(|| owed_key(self.spare_shards(), blob))
    }

    /// The row after some of the blob's shards went elsewhere.
    #[must_use]
    pub fn moved(self, placement: Placement, owed: ShardSet) -> Self {
        Self {
            placement,
            owed: owed.bits(),
            ..self
        }
    }

    /// The row with one reference more; `None` when they cannot be counted any more.
    #[must_use]
    pub fn shared(self) -> Option<Self> {
        let refs = self.refs.checked_add(1)?;
        Some(Self { refs, ..self })
    }

    /// The row after one release; `None` when nothing stands on the blob any more and its file
    /// may go.
    #[must_use]
    pub fn released(self) -> Option<Self> {
        let refs = self.refs.checked_sub(1).filter(|refs| *refs > 0)?;
        Some(Self { refs, ..self })
    }

    /// The row as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        // INVARIANT: encoding into memory cannot fail (the error type is `Infallible`).
        match minicbor::encode(self, &mut bytes) {
            Ok(()) | Err(_) => bytes,
        }
    }

    /// Reads a row back; anything but the bytes of [`Self::encode`] is damage.
    pub fn decode(blob: BlobId, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |reason| Error::Corrupted {
            place: format!("blob catalogue row {blob}"),
            reason,
        };
        let row: Self = minicbor::decode(bytes).map_err(|_| damaged("the row does not parse"))?;
        if row.encode() != bytes {
            return Err(damaged("the row is not in its one encoding"));
        }
        if row.refs == 0 {
            return Err(damaged("the row counts no reference"));
        }
        if row.keeping().is_none() {
            return Err(damaged("the row's shards do not fit its redundancy"));
        }
        Ok(row)
    }

    /// Where the blob of this row is.
    pub fn location(&self, blob: BlobId) -> BlobLocation {
        BlobLocation {
            blob,
            sealed_bytes: self.sealed_bytes,
            layout: self.layout,
        }
    }
}

/// The key of the owed table for a blob that can lose `spare` more shards.
pub(crate) fn owed_key(spare: u8, blob: BlobId) -> [u8; 17] {
    let mut key = [0; 17];
    let fields = [spare].into_iter().chain(blob.0);
    for (to, from) in key.iter_mut().zip(fields) {
        *to = from;
    }
    key
}

/// The blob of a key of the owed table, and how many more shards it can lose.
pub fn parse_owed_key(key: &[u8]) -> Option<(u8, BlobId)> {
    let (spare, blob) = key.split_first()?;
    Some((*spare, BlobId(<[u8; 16]>::try_from(blob).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::DriveNo;
    use crate::layout::ShardIndex;

    const BLOB: BlobId = BlobId([7; 16]);

    fn placement(numbers: &[u16]) -> Placement {
        let drives: Vec<_> = numbers.iter().copied().map(DriveNo).collect();
        Placement::new(&drives).unwrap()
    }

    fn row(refs: u32) -> CatalogRow {
        CatalogRow {
            refs,
            sealed_bytes: 500,
            created_seq: 9,
            layout: UnitLayout::PRODUCT,
            redundancy: Redundancy::new(2, 2).unwrap(),
            cell_units: 4,
            policy: BlobPolicy::Standard,
            placement: placement(&[3, 9, 1, 700]),
            owed: 0,
        }
    }

    #[test]
    fn a_row_comes_back() {
        let location = BlobLocation {
            blob: BLOB,
            sealed_bytes: 65_568,
            layout: UnitLayout::PRODUCT,
        };
        let redundancy = Redundancy::new(2, 1).unwrap();
        let keeping = Keeping {
            stripes: StripeLayout::for_new_blobs(UnitLayout::PRODUCT, redundancy),
            policy: BlobPolicy::Archive,
            placement: placement(&[3, 1, DriveNo::NOWHERE.0]),
            owed: ShardSet::EMPTY.with(ShardIndex(2)),
        };
        let row = CatalogRow::adopted(location, keeping, 9);
        let back = CatalogRow::decode(BLOB, &row.encode()).unwrap();
        assert_eq!((back, back.keeping()), (row, Some(keeping)));
        assert_eq!(row.location(BLOB), location);
    }

    #[test]
    fn the_last_release_leaves_no_row() {
        let once = row(2).released().unwrap();
        assert_eq!(once.refs, 1);
        assert_eq!(once.released(), None);
    }

    #[test]
    fn references_are_counted_up_to_the_last_number() {
        assert_eq!(row(1).shared(), Some(row(2)));
        assert_eq!(row(7).shared().unwrap().released(), Some(row(7)));
        assert_eq!(row(u32::MAX - 1).shared(), Some(row(u32::MAX)));
        assert_eq!(row(u32::MAX).shared(), None);
    }

    #[test]
    fn what_is_owed_is_listed_by_what_is_left() {
        assert_eq!(row(1).owed_key(BLOB), None);
        for (owed, spare) in [(0b1, 1), (0b1000, 1), (0b101, 0), (0b111, 0)] {
            let key = CatalogRow { owed, ..row(1) }.owed_key(BLOB).unwrap();
            assert_eq!(parse_owed_key(&key), Some((spare, BLOB)), "{owed:b}");
        }
        assert_eq!(parse_owed_key(&[1; 16]), None);
        assert_eq!(parse_owed_key(&[1; 18]), None);
        assert_eq!(parse_owed_key(&[]), None);
    }

    #[test]
    fn every_other_encoding_is_damage() {
        let good = row(1).encode();
        for cut in 0..good.len() {
            assert!(
                CatalogRow::decode(BLOB, &good[..cut])
                    .unwrap_err()
                    .is_corruption()
            );
        }
        let mut long = good.clone();
        long.push(0);
        assert!(CatalogRow::decode(BLOB, &long).is_err());
        assert!(CatalogRow::decode(BLOB, &row(0).encode()).is_err());
    }

    #[test]
    fn shards_that_do_not_fit_the_redundancy_are_damage() {
        let nowhere = DriveNo::NOWHERE.0;
        let good = CatalogRow {
            placement: placement(&[1, nowhere, 3, 4]),
            owed: 0b10,
            ..row(1)
        };
        assert!(CatalogRow::decode(BLOB, &good.encode()).is_ok());
        let cases = [
            (
                "no cell",
                CatalogRow {
                    cell_units: 0,
                    ..good
                },
            ),
            (
                "a fifth shard owed",
                CatalogRow {
                    owed: 0b1_0010,
                    ..good
                },
            ),
            (
                "a shard nowhere and not owed",
                CatalogRow { owed: 0, ..good },
            ),
            (
                "fewer drives than shards",
                CatalogRow {
                    placement: placement(&[1, 2, 3]),
                    ..row(1)
                },
            ),
            (
                "more drives than shards",
                CatalogRow {
                    placement: placement(&[1, 2, 3, 4, 5]),
                    ..row(1)
                },
            ),
        ];
        for (what, bad) in cases {
            let found = CatalogRow::decode(BLOB, &bad.encode()).unwrap_err();
            assert!(found.is_corruption(), "{what}");
        }
    }
}
