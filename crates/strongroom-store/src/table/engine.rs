// SPDX-License-Identifier: Apache-2.0
//! The tables without threads: whoever holds an [`Engine`] decides which commits form a group
//! and when checkpoints are taken. [`super::Tables`] puts a queue and threads around it;
//! simulations drive it step by step, so that a seed tells the whole story.

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::TableOptions;
use super::batch::{Batch, CommitError, CommitSeq, Row, TableId};
use super::changes::ChangeCount;
use super::checkpoint::Checkpointer;
use super::committer::{Committer, Pending, ReleasedBlobs, Shared};
use super::index::Index;
use super::reader::Reader;
use super::recovery::{RecoveryReport, recover};
use crate::at_rest::AtRest;
use crate::drive::Drive;
use crate::error::Error;

/// Tables that act only when they are called.
#[derive(Debug)]
pub struct Engine {
    pub(crate) reader: Reader,
    pub(crate) committer: Committer,
    pub(crate) checkpointer: Arc<Checkpointer>,
    pub(crate) report: RecoveryReport,
}

impl Engine {
    /// Opens the log of a drive and brings the index up to date.
    pub fn open(
        drive: Arc<dyn Drive>,
        at_rest: Arc<dyn AtRest>,
        index: Arc<dyn Index>,
        options: TableOptions,
        released: ReleasedBlobs,
    ) -> Result<Self, Error> {
        let recovered = recover(
            &drive,
            at_rest.as_ref(),
            index.as_ref(),
            options.log_file_bytes,
        )?;
        let applied = recovered
            .writer
            .position(recovered.last_seq, recovered.chain);
        let (report, anchor) = (recovered.report, recovered.anchor);
        let shared = Arc::new(Shared::new(drive.label(), applied));
        index.count_changes(&shared.changes);
        let reader = Reader {
            index: Arc::clone(&index),
            at_rest: Arc::clone(&at_rest),
            shared: Arc::clone(&shared),
        };
        let checkpointer = Checkpointer {
            drive,
            index: Arc::clone(&index),
            at_rest: Arc::clone(&at_rest),
            shared: Arc::clone(&shared),
            anchor: Mutex::new(anchor),
            retain_files: options.retain_log_files,
            bytes_between: options.checkpoint_bytes,
        };
        let committer = Committer::new(recovered, index, at_rest, shared, released);
        Ok(Self {
            reader,
            committer,
            checkpointer: Arc::new(checkpointer),
            report,
        })
    }

    /// Commits batches as one group and tells what became of each.
    pub fn commit_group(&mut self, batches: Vec<Batch>) -> Vec<Result<CommitSeq, CommitError>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut waiting = Vec::with_capacity(batches.len());
        for batch in batches {
            let (answer, outcome) = oneshot::channel();
            match batch.measure() {
                Ok(cost) => waiting.push(Pending {
                    batch,
                    cost,
                    answer,
                    room: None,
                }),
                Err(error) => drop(answer.send(Err(error.into()))),
            }
            outcomes.push(outcome);
        }
        self.committer.run_group(waiting);
        let answered = |mut outcome: oneshot::Receiver<_>| match outcome.try_recv() {
            Ok(outcome) => outcome,
            Err(_) => Err(CommitError::Unknown),
        };
        outcomes.into_iter().map(answered).collect()
    }

    /// What the committer does when nothing waits.
    pub fn idle(&mut self) {
        self.committer.idle();
    }

    /// Takes commits again after the drive refused changes for a while, if it does not any more.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.committer.resume()
    }

    /// Makes the index durable and lets old log files go.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.checkpointer.run()
    }

    /// As [`super::Tables::get`].
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, Error> {
        self.reader.get(table, key)
    }

    /// As [`super::Tables::scan`].
    pub fn scan(
        &self,
        table: TableId,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Row)>, Error> {
        self.reader.scan(table, start, end, limit, reverse)
    }

    /// As [`super::Tables::change_count`].
    pub fn change_count(&self, table: TableId) -> Option<ChangeCount> {
        self.reader.change_count(table)
    }

    /// The number of the last commit that reads show.
    pub fn last_commit(&self) -> CommitSeq {
        self.reader.last_commit()
    }

    /// What opening found and did.
    pub fn recovery_report(&self) -> RecoveryReport {
        self.report
    }
}
