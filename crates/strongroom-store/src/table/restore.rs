// SPDX-License-Identifier: Apache-2.0
//! Tables from elsewhere: rows put into an empty index under the numbers they had, and a new log
//! that goes on behind them.
//!
//! ```text
//!   begin   neither log nor index, or what a restore left that was broken off
//!   rows*   into the index
//!   finish  the index's own row, index durable, then the anchor: only now are there tables
//! ```

use std::sync::Arc;

use super::anchor::{Anchor, Position};
use super::body::IndexOp;
use super::index::{Index, IndexRow};
use super::journal::{anchor_path, list_files};
use super::limits::SEQ_MAX;
use super::log::genesis;
use super::recovery::{applied_key, applied_op};
use super::row::{INDEX_TABLE, index_key, open_row};
use super::{TableOptions, index_of};
use crate::at_rest::AtRest;
use crate::drive::Drive;
use crate::error::Error;

/// Tables that are being put on a drive.
pub(crate) struct Restore {
    drive: Arc<dyn Drive>,
    at_rest: Arc<dyn AtRest>,
    index: Arc<dyn Index>,
    highest_seq: u64,
}

impl Restore {
    /// Refuses a drive that has tables.
    pub(crate) fn begin(
        drive: &Arc<dyn Drive>,
        at_rest: &Arc<dyn AtRest>,
        options: TableOptions,
    ) -> Result<Self, Error> {
        let refused = Error::DriveRefused {
            drive: drive.label(),
            reason: "it has tables: a backup is put on a drive that has none",
        };
        if drive.read_small(&anchor_path())?.is_some() || !list_files(drive.as_ref())?.is_empty() {
            return Err(refused);
        }
        let index = index_of(drive, options)?;
        if index.get(&applied_key())?.is_some() {
            return Err(refused);
        }
        empty(index.as_ref())?;
        Ok(Self {
            drive: Arc::clone(drive),
            at_rest: Arc::clone(at_rest),
            index,
            highest_seq: 0,
        })
    }

    /// Puts rows back, each of which must open in its place.
    pub(crate) fn rows(&mut self, rows: Vec<IndexRow>) -> Result<(), Error> {
        let own = index_key(INDEX_TABLE, b"");
        let mut ops = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            if key >= own {
                continue;
            }
            let opened = open_row(self.at_rest.as_ref(), &key, &row)?;
            self.highest_seq = self.highest_seq.max(opened.seq);
            ops.push(IndexOp::Put { key, row });
        }
        self.index.apply(ops)
    }

    /// Makes tables of it whose next commit is the one after `seq`.
    pub(crate) fn finish(self, seq: u64) -> Result<(), Error> {
        if seq < self.highest_seq || seq >= SEQ_MAX {
            return Err(Error::Corrupted {
                place: "the backup".to_owned(),
                reason: "a row is younger than the backup",
            });
        }
        let mut journal_id = [0; 16];
        aws_lc_rs::rand::fill(&mut journal_id).map_err(|_| Error::Random)?;
        self.index.persist()?;
        self.index.apply(vec![applied_op(journal_id, seq)])?;
        self.index.persist()?;
        let anchor = Anchor {
            journal_id,
            position: Position {
                seq,
                chain: genesis(&journal_id),
                file: 0,
                offset: 0,
            },
        };
        self.drive
            .replace(&anchor_path(), &anchor.seal(self.at_rest.as_ref())?)
    }
}

/// Takes out the rows that a restore left which was broken off.
fn empty(index: &dyn Index) -> Result<(), Error> {
    let moment = index.moment()?;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = moment.rows(after.as_deref(), 1_024)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        let gone = rows.into_iter().map(|(key, _)| IndexOp::Delete { key });
        index.apply(gone.collect())?;
    }
}
