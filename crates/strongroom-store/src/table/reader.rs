// SPDX-License-Identifier: Apache-2.0
//! Reading rows: the index says what is stored, the seal says whether to believe it.

use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::batch::{CommitSeq, Row, TableId};
use super::changes::ChangeCount;
use super::committer::Shared;
use super::index::{Index, IndexRow};
use super::row::{INDEX_TABLE, index_key, open_or_mend};
use crate::at_rest::AtRest;
use crate::blob::CatalogRow;
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation};

/// A row's key, and the row if it opens.
pub type ScannedRow = (Vec<u8>, Result<Row, Error>);

/// What a look at every row came to.
#[derive(Debug, Default)]
pub struct RowsReport {
    /// Rows opened.
    pub rows: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// What did not open, one error for each row.
    pub damaged: Vec<Error>,
}

/// Reads what was committed.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) at_rest: Arc<dyn AtRest>,
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, Error> {
        self.shared.check_reading()?;
        if table == INDEX_TABLE {
            return Err(Error::InvalidBatch {
                reason: "the table is reserved",
            });
        }
        let key = index_key(table, key);
        let Some(stored) = self.index.get(&key)? else {
            return Ok(None);
        };
        open_or_mend(self.index.as_ref(), self.at_rest.as_ref(), &key, &stored).map(Some)
    }

    pub(crate) fn scan(
        &self,
        table: TableId,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Row)>, Error> {
        let rows = self.scan_each(table, start, end, limit, reverse)?;
        rows.into_iter()
            .map(|(key, row)| row.map(|row| (key, row)))
            .collect()
    }

    pub(crate) fn scan_each(
        &self,
        table: TableId,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<ScannedRow>, Error> {
        self.shared.check_reading()?;
        if table == INDEX_TABLE {
            return Err(Error::InvalidBatch {
                reason: "the table is reserved",
            });
        }
        let start = match start {
            Bound::Unbounded => Bound::Included(index_key(table, &[])),
            bound => bound.map(|key| index_key(table, key)),
        };
        let end = match end {
            // The table's number is below u16::MAX, so there is a next one.
            Bound::Unbounded => Bound::Excluded(index_key(TableId(table.0.saturating_add(1)), &[])),
            bound => bound.map(|key| index_key(table, key)),
        };
        let (start, end) = (
            start.as_ref().map(Vec::as_slice),
            end.as_ref().map(Vec::as_slice),
        );
        let rows = self.index.range(start, end, limit, reverse)?;
        let open = |(key, stored): IndexRow| {
            let row = open_or_mend(self.index.as_ref(), self.at_rest.as_ref(), &key, &stored);
            (key.get(2..).unwrap_or_default().to_vec(), row)
        };
        Ok(rows.into_iter().map(open).collect())
    }

    pub(crate) fn blob(&self, blob: BlobId) -> Result<Option<BlobLocation>, Error> {
        let Some(row) = self.get(TableId::BLOB_CATALOGUE, &blob.0)? else {
            return Ok(None);
        };
        CatalogRow::decode(blob, &row.value).map(|row| Some(row.location(blob)))
    }

    pub(crate) fn verify(
        &self,
        mut seen: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<RowsReport, Error> {
        self.shared.check_reading()?;
        let mut report = RowsReport::default();
        let mut last: Option<Vec<u8>> = None;
        loop {
            let page = VERIFY_PAGE_ROWS;
            last = self.verify_page(last.as_deref(), page, &mut report, &mut seen)?;
            if last.is_none() {
                return Ok(report);
            }
        }
    }

    /// Opens up to `limit` rows behind an index key. The last key looked at; `None` behind the end,
    /// and when `seen` broke off.
    pub(crate) fn verify_page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        report: &mut RowsReport,
        mut seen: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.shared.check_reading()?;
        let end = index_key(INDEX_TABLE, &[]);
        if after.is_some_and(|after| after >= end.as_slice()) {
            // A leap over what cannot be read may end anywhere.
            return Ok(None);
        }
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = self
            .index
            .range(start, Bound::Excluded(&end), limit, false)?;
        let last = page.last().map(|(key, _)| key.clone());
        for (key, stored) in page {
            let bytes = u64::try_from(stored.len()).unwrap_or(u64::MAX);
            report.rows = report.rows.saturating_add(1);
            report.bytes = report.bytes.saturating_add(bytes);
            let damaged =
                open_or_mend(self.index.as_ref(), self.at_rest.as_ref(), &key, &stored).err();
            report.damaged.extend(damaged);
            if seen(bytes).is_break() {
                return Ok(None);
            }
        }
        Ok(last)
    }

    pub(crate) fn change_count(&self, table: TableId) -> Option<ChangeCount> {
        self.shared.check_reading().ok()?;
        self.shared.changes.count(table)
    }

    pub(crate) fn last_commit(&self) -> CommitSeq {
        CommitSeq(self.shared.applied().seq)
    }
}

/// Rows held in memory at once; they are of several MiB at most.
const VERIFY_PAGE_ROWS: usize = 16;
