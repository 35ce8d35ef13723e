// SPDX-License-Identifier: Apache-2.0
//! One thread that commits: it takes what waits as a group, decides it, makes it durable, shows
//! it, answers.
//!
//! ```text
//!   waiting commits -> Planner -> record -> append + sync -> index.apply -> answers
//!        ^                                      |
//!        +---- more gather while this runs -----+
//! ```
//!
//! While one sync runs the next group gathers, so the cost of a sync is shared by all who wait.
//! [`Committer::run_group`] needs no thread: [`super::Engine`] calls it directly.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::anchor::Position;
use super::batch::{Batch, BatchCost, CommitError, CommitSeq};
use super::changes::Changes;
use super::group::{Group, Planner};
use super::index::{Index, PatientReads};
use super::journal::LogWriter;
use super::limits::{GROUP_BYTES_FULL, GROUP_COMMITS_MAX, GROUP_ROWS_FULL};
use super::log::{ChainHash, RecordHeader, encode_record};
use super::recovery::{Recovered, applied_op};
use super::stream;
use crate::at_rest::AtRest;
use crate::blob::{BlobProof, Release};
use crate::drive::Drive;
use crate::error::Error;

/// What becomes of a commit.
pub(crate) type Outcome = Result<CommitSeq, CommitError>;

/// A commit that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) cost: BatchCost,
    pub(crate) answer: oneshot::Sender<Outcome>,
    /// The room it takes in the queue, given back with the answer.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// What the committer's thread is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Commit this.
    Commit(Pending),
    /// Go on where the drive refused, if it does not any more.
    Resume(oneshot::Sender<Result<(), Error>>),
    /// Finish: leave the log with everything synced, and end.
    Close(oneshot::Sender<Result<(), Error>>),
}

/// Told of every file that rows stop standing for: before readers see so, and after it is durable.
pub type ReleasedBlobs = Arc<dyn Fn(Release) + Send + Sync>;

/// What the committer, the readers and the checkpointer have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    out_of_service: AtomicBool,
    refuses_commits: AtomicBool,
    drive_label: String,
    applied: Mutex<Position>,
    /// What changed, for those who keep what they read.
    pub(crate) changes: Arc<Changes>,
}

impl Shared {
    pub(crate) fn new(drive_label: String, applied: Position) -> Self {
        Self {
            out_of_service: AtomicBool::new(false),
            refuses_commits: AtomicBool::new(false),
            drive_label,
            applied: Mutex::new(applied),
            changes: Arc::default(),
        }
    }

    /// An error once anything failed that leaves log or index in doubt.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.refuses_commits.load(Ordering::Acquire) {
            return Err(self.refusal());
        }
        self.check_reading()
    }

    /// An error once what reads show is in doubt.
    pub(crate) fn check_reading(&self) -> Result<(), Error> {
        if self.out_of_service.load(Ordering::Acquire) {
            return Err(self.refusal());
        }
        Ok(())
    }

    pub(crate) fn refusal(&self) -> Error {
        Error::DriveOutOfService {
            drive: self.drive_label.clone(),
        }
    }

    pub(crate) fn take_out_of_service(&self, error: &Error, doing: &'static str) {
        if !self.out_of_service.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, doing, "the tables are out of service");
        }
    }

    /// Something failed before the index changed. Reads go on when the drive stands for what it
    /// holds: they show what was answered, and nothing else.
    pub(crate) fn refuse_commits(&self, drive: &dyn Drive, error: &Error, doing: &'static str) {
        if !drive.serves_reads_only() {
            return self.take_out_of_service(error, doing);
        }
        if !self.refuses_commits.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, doing, "the tables refuse commits; reads go on");
        }
    }

    /// The end of what the index shows.
    pub(crate) fn applied(&self) -> Position {
        *self.lock()
    }

    /// Whether commits are refused for a reason that can pass.
    pub(crate) fn refuses_commits(&self) -> bool {
        self.refuses_commits.load(Ordering::Acquire)
    }

    fn take_commits_again(&self) {
        self.refuses_commits.store(false, Ordering::Release);
    }

    fn set_applied(&self, position: Position) {
        *self.lock() = position;
    }

    fn lock(&self) -> MutexGuard<'_, Position> {
        // A position is replaced as a whole.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of committing.
pub(crate) struct Committer {
    index: Arc<dyn Index>,
    /// Reads of the index in time, where there is another copy to ask.
    patient: Option<Arc<dyn PatientReads>>,
    at_rest: Arc<dyn AtRest>,
    shared: Arc<Shared>,
    released: ReleasedBlobs,
    writer: LogWriter,
    journal_id: [u8; 16],
    last_seq: u64,
    chain: ChainHash,
    /// Whether the last commit has no witness behind it yet.
    unmarked: bool,
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("last_seq", &self.last_seq)
            .finish_non_exhaustive()
    }
}

impl Committer {
    pub(crate) fn new(
        recovered: Recovered,
        index: Arc<dyn Index>,
        at_rest: Arc<dyn AtRest>,
        shared: Arc<Shared>,
        released: ReleasedBlobs,
    ) -> Self {
        let Recovered {
            writer,
            anchor,
            last_seq,
            chain,
            ..
        } = recovered;
        let journal_id = anchor.journal_id;
        let unmarked = last_seq > 0;
        Self {
            patient: index.patient(),
            index,
            at_rest,
            shared,
            released,
            writer,
            journal_id,
            last_seq,
            chain,
            unmarked,
        }
    }

    /// The committer's thread: runs until it is closed or nobody can ask any more.
    pub(crate) fn run(mut self, mut queue: Receiver<Command>) {
        let _watch = OutOfServiceOnPanic(Arc::clone(&self.shared));
        loop {
            let command = match queue.try_recv() {
                Ok(command) => Some(command),
                Err(TryRecvError::Empty) => {
                    self.idle();
                    queue.blocking_recv()
                }
                Err(TryRecvError::Disconnected) => None,
            };
            match command {
                Some(Command::Commit(first)) => {
                    if let Some(closing) = self.gather_and_run(first, &mut queue) {
                        return self.close(closing, &mut queue);
                    }
                }
                Some(Command::Resume(answer)) => drop(answer.send(self.resume())),
                Some(Command::Close(closing)) => return self.close(closing, &mut queue),
                None => {
                    self.idle();
                    return;
                }
            }
        }
    }

    /// Runs `first` and what waits behind it as one group. Returns the command to close if it
    /// came up.
    fn gather_and_run(
        &mut self,
        first: Pending,
        queue: &mut Receiver<Command>,
    ) -> Option<oneshot::Sender<Result<(), Error>>> {
        let (mut rows, mut bytes) = (first.cost.rows, first.cost.bytes);
        let mut group = vec![first];
        let mut closing = None;
        while group.len() < GROUP_COMMITS_MAX && rows < GROUP_ROWS_FULL && bytes < GROUP_BYTES_FULL
        {
            match queue.try_recv() {
                Ok(Command::Commit(next)) => {
                    rows = rows.saturating_add(next.cost.rows);
                    bytes = bytes.saturating_add(next.cost.bytes);
                    group.push(next);
                }
                // Nothing of this group was begun.
                Ok(Command::Resume(answer)) => drop(answer.send(self.resume())),
                Ok(Command::Close(answer)) => {
                    closing = Some(answer);
                    break;
                }
                Err(_) => break,
            }
        }
        self.run_group(group);
        closing
    }

    /// Commits a group: every waiting commit is answered when this returns.
    pub(crate) fn run_group(&mut self, waiting: Vec<Pending>) {
        metrics::histogram!("strongroom_table_group_commits")
            .record(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
        let mut answers = Vec::with_capacity(waiting.len());
        let mut room = Vec::with_capacity(waiting.len());
        let mut batches = Vec::with_capacity(waiting.len());
        for pending in waiting {
            answers.push(pending.answer);
            room.push(pending.room);
            batches.push(pending.batch);
        }
        let Some((outcomes, group)) = self.plan(batches) else {
            // Nothing was written, and the copy that did not answer is not asked any more.
            for answer in answers {
                let _ = answer.send(Err(self.shared.refusal().into()));
            }
            return;
        };
        let judged = answers.into_iter().zip(outcomes);
        if group.count > 0 && self.commit(group).is_err() {
            // What the group changed may be on the drive or not. Refusals were judged against
            // changes in doubt, so they are not true either.
            for (answer, outcome) in judged {
                let outcome = match outcome {
                    Ok(_) => Err(CommitError::Unknown),
                    Err(_) => Err(self.shared.refusal().into()),
                };
                // Who asked may have gone away meanwhile.
                let _ = answer.send(outcome);
            }
            return;
        }
        for (answer, outcome) in judged {
            let _ = answer.send(outcome);
        }
    }

    /// Judges commits. `None` when a copy of the index hangs.
    fn plan(&self, batches: Vec<Batch>) -> Option<(Vec<Outcome>, Group)> {
        let (shared, at_rest) = (Arc::clone(&self.shared), Arc::clone(&self.at_rest));
        let next_seq = self.last_seq.saturating_add(1);
        let plan = move |index: &dyn Index| {
            let mut planner = Planner::new(index, at_rest.as_ref(), next_seq);
            let judge = |batch| match shared.check() {
                Ok(()) => planner.add(batch),
                Err(refusal) => Err(refusal.into()),
            };
            let outcomes: Vec<Outcome> = batches.into_iter().map(judge).collect();
            (outcomes, planner.finish())
        };
        let Some(patient) = &self.patient else {
            return Some(plan(self.index.as_ref()));
        };
        let (answer, planned) = std::sync::mpsc::channel();
        let is_done = patient.run(Box::new(move |index| {
            // Nobody listening any more: it was given up.
            let _ = answer.send(plan(index));
        }));
        if !is_done {
            return None;
        }
        planned.recv().ok()
    }

    /// Goes on after the drive refused changes for a while: the log ends behind the last commit
    /// that was shown, on every copy, before anything is written behind it.
    pub(crate) fn resume(&mut self) -> Result<(), Error> {
        if !self.shared.refuses_commits() {
            return Ok(());
        }
        self.shared.check_reading()?;
        if self.writer.drive().serves_reads_only() {
            return Err(self.shared.refusal());
        }
        self.writer.rewind(self.last_seq)?;
        self.unmarked = self.last_seq > 0;
        self.shared.take_commits_again();
        tracing::info!(last_seq = self.last_seq, "the tables take commits again");
        Ok(())
    }

    /// Makes a group durable and visible. After an error the store is out of service.
    fn commit(&mut self, group: Group) -> Result<(), ()> {
        let Group {
            count,
            body,
            mut ops,
            adopted,
            released,
        } = group;
        let adopted = Adoptions(adopted);
        let header = RecordHeader {
            count,
            first_seq: self.last_seq.saturating_add(1),
            prev_hash: self.chain,
        };
        for departure in &released {
            (self.released)(Release::Planned(departure.clone()));
        }
        let chain = match self.write(&header, &body) {
            Ok(chain) => chain,
            Err(error) => {
                let drive = self.writer.drive();
                self.shared.refuse_commits(drive, &error, "committing");
                return Err(());
            }
        };
        self.last_seq = header.last_seq();
        self.chain = chain;
        self.unmarked = true;
        ops.push(applied_op(self.journal_id, self.last_seq));
        // INVARIANT: the only place where what readers see changes while the tables are open. What
        // was kept of these tables counts no more before the first of them can see it, and nothing
        // counts again before all of them do.
        let change = self.shared.changes.begin(&ops);
        if let Err(error) = self.index.apply(ops) {
            self.shared.take_out_of_service(&error, "committing");
            return Err(());
        }
        self.shared
            .set_applied(self.writer.position(self.last_seq, self.chain));
        change.end();
        adopted.succeed();
        for departure in released {
            (self.released)(Release::Durable(departure));
        }
        metrics::counter!("strongroom_table_commits_total").increment(u64::from(count));
        Ok(())
    }

    fn write(&mut self, header: &RecordHeader, body: &[u8]) -> Result<ChainHash, Error> {
        let sealed = self
            .at_rest
            .seal(stream::record(header.first_seq), &header.aad(), body)
            .map_err(|_| Error::Seal)?;
        let mut record = Vec::new();
        let chain = encode_record(&mut record, header, &sealed).ok_or(Error::TooLarge {
            what: "a log record",
        })?;
        self.writer
            .append(header.first_seq, header.prev_hash, &record)?;
        Ok(chain)
    }

    /// Nothing waits: leave the witness that the last commit is durable.
    pub(crate) fn idle(&mut self) {
        if !self.unmarked || self.shared.check().is_err() {
            return;
        }
        match self.writer.mark(self.last_seq, &self.chain) {
            Ok(()) => self.unmarked = false,
            Err(error) => {
                let drive = self.writer.drive();
                self.shared.refuse_commits(drive, &error, "marking the log");
            }
        }
    }

    fn close(mut self, closing: oneshot::Sender<Result<(), Error>>, queue: &mut Receiver<Command>) {
        queue.close();
        // Ends when everyone who was about to ask has been refused.
        while let Some(command) = queue.blocking_recv() {
            if let Command::Commit(pending) = command {
                let _ = pending.answer.send(Err(Error::Closed.into()));
            }
        }
        let _ = closing.send(self.finish());
    }

    /// The last thing: everything is marked and durable.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.idle();
        self.shared.check().and_then(|()| self.writer.sync())
    }
}

/// Proofs of blobs whose commit is being written. Until that succeeded their files must stay,
/// even if this thread ends on the way.
struct Adoptions(Vec<BlobProof>);

impl Adoptions {
    fn succeed(mut self) {
        self.0.drain(..).for_each(BlobProof::adopted);
    }
}

impl Drop for Adoptions {
    fn drop(&mut self) {
        self.0.drain(..).for_each(BlobProof::undecided);
    }
}

/// A panic of the committer (ours, or the index's) leaves its state in doubt.
struct OutOfServiceOnPanic(Arc<Shared>);

impl Drop for OutOfServiceOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.take_out_of_service(&Error::WorkerGone, "committing");
        }
    }
}
