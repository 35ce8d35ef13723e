// SPDX-License-Identifier: Apache-2.0
//! Reading the blob catalogue: for orphan collection, verification and inspection.

use std::ops::Bound;

use crate::blob::{CatalogRow, Keeping, parse_owed_key};
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
    /// The commit that last changed the row.
    pub changed_seq: u64,
    /// How it is kept.
    pub keeping: Keeping,
}

/// A page of the list of owed shards.
#[derive(Debug, Default)]
pub(crate) struct OwedPage {
    pub(crate) entries: Vec<OwedEntry>,
    /// Keys of rows that do not open. What such a key says is a hint: the catalogue knows.
    pub(crate) damaged: Vec<Vec<u8>>,
    /// Where the next page begins; none behind the last.
    pub(crate) last: Option<Vec<u8>>,
}

/// A blob that has not all of its shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwedEntry {
    /// Its place in the list.
    pub key: Vec<u8>,
    /// How many more shards it can lose, as far as the catalogue knows.
    pub spare_shards: u8,
    /// The blob.
    pub blob: BlobId,
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
        let (mut count, mut after) = (0_u64, None);
        loop {
            let entries = self.catalogue(after, 1000)?;
            let Some(last) = entries.last() else {
                return Ok(count);
            };
            after = Some(last.location.blob);
            let is_there = |entry: &&CatalogueEntry| has_shard_on(&entry.keeping, number);
            let there = entries.iter().filter(is_there).count();
            count = count.saturating_add(u64::try_from(there).unwrap_or(u64::MAX));
        }
    }

    /// The first blob from `from` on that has a shard on a drive, by the catalogue. One whose row does
    /// not open may have one.
    pub(crate) fn first_on(
        &self,
        number: DriveNo,
        from: Option<BlobId>,
    ) -> Result<Option<BlobId>, Error> {
        let mut start = from.map_or(Bound::Unbounded, |blob| Bound::Included(blob.0.to_vec()));
        loop {
            let bound = start.as_ref().map(Vec::as_slice);
            let table = TableId::BLOB_CATALOGUE;
            let rows = self
                .tables()
                .scan_each(table, bound, Bound::Unbounded, 1000, false)?;
            let Some((last, _)) = rows.last() else {
                return Ok(None);
            };
            start = Bound::Excluded(last.clone());
            for (key, row) in rows {
                let there = match row.and_then(|row| entry(&key, &row)) {
                    Ok(entry) => has_shard_on(&entry.keeping, number),
                    Err(error) if error.is_corruption() => true,
                    Err(error) => return Err(error),
                };
                if there && let Ok(blob) = <[u8; 16]>::try_from(key.as_slice()) {
                    return Ok(Some(BlobId(blob)));
                }
            }
        }
    }

    /// How many shards blobs are owed, by the catalogue.
    pub(crate) fn owed_shards(&self) -> Result<u64, Error> {
        let (mut count, mut after) = (0_u64, None::<Vec<u8>>);
        loop {
            let page = self.owed(after.as_deref(), 1000)?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            for entry in &page {
                let owed = match self.catalogued(entry.blob) {
                    Ok(entry) => entry.map_or(0, |entry| entry.keeping.owed.len()),
                    // How many is not known: one at least.
                    Err(error) if error.is_corruption() => 1,
                    Err(error) => return Err(error),
                };
                count = count.saturating_add(u64::from(owed));
            }
            after = Some(last.key.clone());
        }
    }

    /// Up to `limit` blobs that are owed shards, behind the key `after` of an earlier answer: those
    /// that can lose the fewest more first. An empty answer is the end. Rows that do not open are
    /// not among them.
    pub fn owed(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<OwedEntry>, Error> {
        let mut after = after.map(<[u8]>::to_vec);
        loop {
            let page = self.owed_page(after.as_deref(), limit)?;
            if !page.entries.is_empty() || page.last.is_none() {
                return Ok(page.entries);
            }
            after = page.last;
        }
    }

    /// Up to `limit` rows of the list of owed shards, damaged or not.
    pub(crate) fn owed_page(&self, after: Option<&[u8]>, limit: usize) -> Result<OwedPage, Error> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows =
            self.tables()
                .scan_each(TableId::OWED_SHARDS, start, Bound::Unbounded, limit, false)?;
        let mut page = OwedPage {
            last: rows.last().map(|(key, _)| key.clone()),
            ..OwedPage::default()
        };
        for (key, row) in rows {
            match (row, parse_owed_key(&key)) {
                (Ok(_), Some((spare_shards, blob))) => page.entries.push(OwedEntry {
                    key,
                    spare_shards,
                    blob,
                }),
                (Err(error), _) if !error.is_corruption() => return Err(error),
                _ => page.damaged.push(key),
            }
        }
        Ok(page)
    }

    /// The catalogue's entry of one blob.
    pub fn catalogued(&self, blob: BlobId) -> Result<Option<CatalogueEntry>, Error> {
        let row = self.tables().get(TableId::BLOB_CATALOGUE, &blob.0)?;
        row.map(|row| entry(&blob.0, &row)).transpose()
    }
}

/// The catalogue's row of a blob.
pub(crate) fn row(tables: &Tables, blob: BlobId) -> Result<Option<CatalogRow>, Error> {
    let row = tables.get(TableId::BLOB_CATALOGUE, &blob.0)?;
    row.map(|row| CatalogRow::decode(blob, &row.value))
        .transpose()
}

fn has_shard_on(keeping: &Keeping, number: DriveNo) -> bool {
    let shard = keeping.placement.shard_on(number);
    shard.is_some_and(|shard| !keeping.owed.has(shard))
}

fn entry(key: &[u8], stored: &Row) -> Result<CatalogueEntry, Error> {
    let blob = <[u8; 16]>::try_from(key)
        .map(BlobId)
        .map_err(|_| Error::Corrupted {
            place: "blob catalogue".to_owned(),
            reason: "a row's key is no blob id",
        })?;
    let row = CatalogRow::decode(blob, &stored.value)?;
    let keeping = row.keeping().ok_or_else(|| Error::Corrupted {
        place: format!("blob catalogue row {blob}"),
        reason: "the row's shards do not fit its redundancy",
    })?;
    Ok(CatalogueEntry {
        location: row.location(blob),
        keeping,
        refs: row.refs,
        created_seq: row.created_seq,
        changed_seq: stored.seq,
    })
}
