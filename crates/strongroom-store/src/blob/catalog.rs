// SPDX-License-Identifier: Apache-2.0
//! The store's own list of the blobs that count.
//!
//! A shard file without a row here is an orphan: of an upload that never committed, or of a blob
//! released just before a crash. Rows are written by the committer of the tables in the same
//! commit that adopts or releases a blob, so the list and the rest of the tables never differ.
//! The row's key is the blob id, its 16 bytes.

use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, UnitLayout};

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
}

impl CatalogRow {
    /// The row of a blob adopted by commit `seq`.
    pub fn adopted(location: BlobLocation, seq: u64) -> Self {
        Self {
            refs: 1,
            sealed_bytes: location.sealed_bytes,
            created_seq: seq,
            layout: location.layout,
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
        let mut bytes = Vec::with_capacity(32);
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

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: BlobId = BlobId([7; 16]);

    #[test]
    fn a_row_comes_back() {
        let row = CatalogRow::adopted(
            BlobLocation {
                blob: BLOB,
                sealed_bytes: 65_568,
                layout: UnitLayout::PRODUCT,
            },
            9,
        );
        assert_eq!(CatalogRow::decode(BLOB, &row.encode()).unwrap(), row);
        assert_eq!(row.location(BLOB).sealed_bytes, 65_568);
    }

    #[test]
    fn the_last_release_leaves_no_row() {
        let row = CatalogRow {
            refs: 2,
            sealed_bytes: 1,
            created_seq: 1,
            layout: UnitLayout::PRODUCT,
        };
        let once = row.released().unwrap();
        assert_eq!(once.refs, 1);
        assert_eq!(once.released(), None);
    }

    #[test]
    fn references_are_counted_up_to_the_last_number() {
        let row = |refs| CatalogRow {
            refs,
            sealed_bytes: 1,
            created_seq: 1,
            layout: UnitLayout::PRODUCT,
        };
        assert_eq!(row(1).shared(), Some(row(2)));
        assert_eq!(row(7).shared().unwrap().released(), Some(row(7)));
        assert_eq!(row(u32::MAX - 1).shared(), Some(row(u32::MAX)));
        assert_eq!(row(u32::MAX).shared(), None);
    }

    #[test]
    fn every_other_encoding_is_damage() {
        let good = CatalogRow {
            refs: 1,
            sealed_bytes: 500,
            created_seq: 9,
            layout: UnitLayout::PRODUCT,
        }
        .encode();
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
        let none = CatalogRow {
            refs: 0,
            sealed_bytes: 500,
            created_seq: 9,
            layout: UnitLayout::PRODUCT,
        }
        .encode();
        assert!(CatalogRow::decode(BLOB, &none).is_err());
    }
}
