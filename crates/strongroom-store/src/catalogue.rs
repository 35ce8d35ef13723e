// SPDX-License-Identifier: Apache-2.0
//! Reading the blob catalogue: for orphan collection, verification and inspection.

use std::ops::Bound;

use crate::blob::CatalogRow;
use crate::drive::DriveNo;
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation};
use crate::store::Store;
use crate::table::{Row, TableId, Tables};

/// One blob of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CatalogueEntry {
    /// Where it is.
    pub location: BlobLocation,
    /// How many rows stand on it.
    pub refs: u32,
    /// The commit that adopted it.
    pub created_seq: u64,
    /// The commit that last changed the number of references.
    pub changed_seq: u64,
}

impl Store {
    /// Up to `limit` blobs behind `after`, in the order of their ids. An empty answer is the end.
    pub fn catalogue(
        &self,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<Vec<CatalogueEntry>, Error> {
        let start = match &after {
            Some(blob) => Bound::Excluded(blob.0.as_slice()),
            None => Bound::Unbounded,
        };
        let rows = self.tables().scan(
            TableId::BLOB_CATALOGUE,
            start,
            Bound::Unbounded,
            limit,
            false,
        )?;
        rows.into_iter()
            .map(|(key, row)| entry(&key, &row))
            .collect()
    }

    /// How many shards are on a drive, by the catalogue. Goes through all of it: for operators and
    /// for drives that go.
    pub(crate) fn shards_on(&self, number: DriveNo) -> Result<u64, Error> {
        if number != DriveNo::FIRST {
            return Ok(0);
        }
        let (mut count, mut after) = (0_u64, None);
        loop {
            let entries = self.catalogue(after, 1000)?;
            let Some(last) = entries.last() else {
                return Ok(count);
            };
            after = Some(last.location.blob);
            count = count.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        }
    }

    /// The catalogue's entry of one blob.
    pub fn catalogued(&self, blob: BlobId) -> Result<Option<CatalogueEntry>, Error> {
        let row = self.tables().get(TableId::BLOB_CATALOGUE, &blob.0)?;
        row.map(|row| entry(&blob.0, &row)).transpose()
    }
}

/// Whether the catalogue has a row for the blob.
pub(crate) fn contains(tables: &Tables, blob: BlobId) -> Result<bool, Error> {
    Ok(tables.get(TableId::BLOB_CATALOGUE, &blob.0)?.is_some())
}

fn entry(key: &[u8], stored: &Row) -> Result<CatalogueEntry, Error> {
    let blob = <[u8; 16]>::try_from(key)
        .map(BlobId)
        .map_err(|_| Error::Corrupted {
            place: "blob catalogue".to_owned(),
            reason: "a row's key is no blob id",
        })?;
    let row = CatalogRow::decode(blob, &stored.value)?;
    let location = row.location(blob);
    Ok(CatalogueEntry {
        location,
        refs: row.refs,
        created_seq: row.created_seq,
        changed_seq: stored.seq,
    })
}
