// SPDX-License-Identifier: Apache-2.0
//! Tables: ordered rows, changed only by [`Tables::commit`].
//!
//! The problem: every acknowledged change must survive any crash, in the order of its sequence
//! number, with nothing readable on the drive but sealed bytes; and a small commit must not cost
//! a flush of its own. The approach: one log of our own is the truth, and an ordered index makes
//! it readable.
//!
//! ```text
//!  commit -> queue -> Committer: judge group | seal | append record + sync | index | answer
//!                                                        |                    ^
//!                                               log/journal-<first seq>       | replay at start
//!                                                        +--------------------+
//!  get, scan -> index (a snapshot) -> open and authenticate each row
//! ```
//!
//! - Strictly serializable: the order of commits is the order of their numbers, and a read sees
//!   every commit that was answered before it began.
//! - A record of the log is sealed and chained by hash to the one before. What a crash may leave
//!   (one torn record at the end) is told from damage, which is an error (`log`).
//! - A failed append or flush takes the tables out of service; commits on their way then are
//!   [`CommitError::Unknown`].
//!
//! Formats: `docs/spec/table-journal.md`.

mod anchor;
mod batch;
mod body;
mod changes;
mod checkpoint;
mod committer;
mod engine;
mod group;
mod index;
mod journal;
pub(crate) mod level;
mod limits;
mod log;
mod reader;
mod recovery;
mod restore;
mod row;
mod stream;
mod verify_log;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::{Semaphore, oneshot};

pub use batch::{Batch, CommitError, CommitSeq, Precondition, Row, TableId, Write};
pub use body::IndexOp;
pub(crate) use changes::ChangesOfTables;
pub use changes::{ChangeCount, Changes};
pub use committer::ReleasedBlobs;
pub use engine::Engine;
pub use index::{FjallIndex, Index, IndexMoment, IndexRow, MemoryIndex, PatientReads, ReadJob};
pub use limits::{
    COMMIT_BYTES_MAX, KEY_BYTES_MAX, ROWS_PER_COMMIT_MAX, VALUE_BYTES_MAX, WRITES_PER_COMMIT_MAX,
};
pub use reader::{RowsReport, ScannedRow};
pub use recovery::RecoveryReport;
pub(crate) use restore::Restore;
pub use verify_log::LogReport;

pub(crate) use self::stream::members as members_stream;
pub(crate) use group::OWED_ROW;
pub(crate) use journal::has_log;
pub(crate) use row::{index_key, row_opens, row_place, seal_row};

use self::batch::BatchCost;
use self::checkpoint::Checkpointer;
use self::committer::{Command, Committer, Pending};
use self::limits::{QUEUE_COMMITS_MAX, QUEUE_KIB_MAX};
use self::reader::Reader;
use self::row::INDEX_TABLE;
use crate::at_rest::AtRest;
use crate::drive::Drive;
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation};
use crate::mirror::bounded;

/// How the tables of a store are kept.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions {
    /// A log file that has reached this size is followed by a new one.
    pub log_file_bytes: u64,
    /// Bytes of log after which a checkpoint is taken, if no file ended before.
    pub checkpoint_bytes: u64,
    /// Log files kept although the index holds everything in them.
    pub retain_log_files: usize,
    /// Whether checkpoints are taken in the background. Without, only [`Tables::checkpoint`] and
    /// [`Tables::close`] take them.
    pub background_checkpoints: bool,
    /// Memory for the index's cache.
    pub index_cache_bytes: u64,
    /// No threads at all: a commit is carried out on the caller's thread, as a group of its own,
    /// and checkpoints are taken only when asked for. For simulations, in which a seed has to tell
    /// the whole story.
    pub inline: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            log_file_bytes: 64 << 20,
            checkpoint_bytes: 64 << 20,
            retain_log_files: 2,
            background_checkpoints: true,
            index_cache_bytes: 32 << 20,
            inline: false,
        }
    }
}

/// The tables of a store. Clones share everything.
#[derive(Clone)]
pub struct Tables {
    inner: Arc<Inner>,
    reader: Reader,
}

struct Inner {
    reader: Reader,
    checkpointer: Arc<Checkpointer>,
    queue: RwLock<Option<Sender<Command>>>,
    room: Arc<Semaphore>,
    threads: Mutex<Threads>,
    /// In the place of the committer's thread, until it is closed.
    inline: Option<Mutex<Option<Committer>>>,
    report: RecoveryReport,
}

struct Threads {
    committer: Option<JoinHandle<()>>,
    checkpoints: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("reader", &self.inner.reader)
            .finish_non_exhaustive()
    }
}

impl Tables {
    /// Opens the tables of a drive, with the index that suits it. Blocks while the log is
    /// verified and replayed.
    pub fn open(
        drive: Arc<dyn Drive>,
        at_rest: Arc<dyn AtRest>,
        options: TableOptions,
        released: ReleasedBlobs,
    ) -> Result<Self, Error> {
        let index = index_of(&drive, options)?;
        Self::open_with_index(drive, at_rest, index, options, released)
    }

    /// Opens the tables of a drive with a given index. Blocks.
    pub fn open_with_index(
        drive: Arc<dyn Drive>,
        at_rest: Arc<dyn AtRest>,
        index: Arc<dyn Index>,
        options: TableOptions,
        released: ReleasedBlobs,
    ) -> Result<Self, Error> {
        let engine = Engine::open(drive, at_rest, index, options, released)?;
        let Engine {
            reader,
            committer,
            checkpointer,
            report,
        } = engine;
        let mut threads = Threads {
            committer: None,
            checkpoints: None,
        };
        let (mut queue, mut inline) = (None, None);
        if options.inline {
            inline = Some(Mutex::new(Some(committer)));
        } else {
            let (ask, commands) = channel(QUEUE_COMMITS_MAX);
            let run = move || committer.run(commands);
            threads.committer = Some(spawn("strongroom-commit", run)?);
            queue = Some(ask);
        }
        if options.background_checkpoints && !options.inline {
            let (stop, stopped) = std::sync::mpsc::sync_channel(1);
            let background = Arc::clone(&checkpointer);
            let run = move || background.run_in_background(&stopped);
            threads.checkpoints = Some((stop, spawn("strongroom-checkpoint", run)?));
        }
        let inner = Inner {
            reader,
            checkpointer,
            queue: RwLock::new(queue),
            room: Arc::new(Semaphore::new(
                usize::try_from(QUEUE_KIB_MAX).unwrap_or(usize::MAX),
            )),
            threads: Mutex::new(threads),
            inline,
            report,
        };
        Ok(Self {
            reader: inner.reader.clone(),
            inner: Arc::new(inner),
        })
    }

    /// The same tables for who works in the background: what is read waits for no copy that does
    /// not answer, as long as there is another.
    pub(crate) fn patient(&self) -> Self {
        let mut patient = self.clone();
        if let Some(index) = self.inner.reader.index.in_time() {
            patient.reader.index = index;
        }
        patient
    }

    /// Commits a batch: returns when it is durable and visible, or says why it did not happen.
    /// Dropping the future does not take the batch back.
    pub async fn commit(&self, batch: Batch) -> Result<CommitSeq, CommitError> {
        let cost = batch.measure()?;
        self.reader.shared.check()?;
        if let Some(committer) = &self.inner.inline {
            return commit_inline(committer, batch, cost);
        }
        let kib = u32::try_from(cost.bytes >> 10)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let room = Arc::clone(&self.inner.room).acquire_many_owned(kib.min(QUEUE_KIB_MAX));
        let room = Some(room.await.map_err(|_| Error::Closed)?);
        let (answer, outcome) = oneshot::channel();
        let pending = Pending {
            batch,
            cost,
            answer,
            room,
        };
        let queue = self.inner.queue().ok_or(Error::Closed)?;
        queue
            .send(Command::Commit(pending))
            .await
            .map_err(|_| self.inner.gone())?;
        drop(queue);
        // Without an answer the thread ended in the middle: it may have written or not.
        outcome.await.unwrap_or(Err(CommitError::Unknown))
    }

    /// The row at `key`, if there is one.
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, Error> {
        self.reader.get(table, key)
    }

    /// Up to `limit` rows of a table between the bounds, in the order of their keys (backwards
    /// from the end with `reverse`), all from one moment.
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

    /// As [`Self::scan`], for those who look for damage: a row that does not open is an error of
    /// its own and hides no other.
    pub fn scan_each(
        &self,
        table: TableId,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<ScannedRow>, Error> {
        self.reader.scan_each(table, start, end, limit, reverse)
    }

    /// Where a blob of the catalogue is; `None` when the store does not have the blob.
    pub fn blob(&self, blob: BlobId) -> Result<Option<BlobLocation>, Error> {
        self.reader.blob(blob)
    }

    /// Opens every row of every table and tells which do not open; `seen` hears of the bytes
    /// gone through and may break off. Blocks. Rows written meanwhile may or may not be among
    /// them.
    pub fn verify(&self, seen: impl FnMut(u64) -> ControlFlow<()>) -> Result<RowsReport, Error> {
        self.reader.verify(seen)
    }

    /// Opens up to `limit` rows of all tables behind `after`, which an earlier answer gave, and
    /// tells which do not open. Without a key in the answer that was the end.
    pub fn verify_page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<(RowsReport, Option<Vec<u8>>), Error> {
        let mut report = RowsReport::default();
        let on = |_| ControlFlow::Continue(());
        let last = self.reader.verify_page(after, limit, &mut report, on)?;
        Ok((report, last))
    }

    /// Reads the log again, every file that is kept, up to the last commit that was answered
    /// before this began: sums, chain and seals. `seen` hears of the bytes and may break off.
    /// Blocks.
    pub fn verify_log(&self, seen: impl FnMut(u64) -> ControlFlow<()>) -> Result<LogReport, Error> {
        let checkpointer = &self.inner.checkpointer;
        match self.reader.index.patience() {
            None => verify_log::verify_log(checkpointer, checkpointer.drive.as_ref(), seen),
            Some(limit) => {
                let drive = bounded(&checkpointer.drive, limit, None)?;
                verify_log::verify_log(checkpointer, drive.as_ref(), seen)
            }
        }
    }

    /// Lets go of the log files that reading the log again found to be of no use: what is wrong with
    /// them no start meets. Durable when it returns. Blocks.
    pub(crate) fn let_useless_log_go(&self, found: &LogReport) -> Result<usize, Error> {
        self.inner.checkpointer.let_go(found.useless_before)
    }

    /// The tables as they are at this moment, to be read at leisure while commits go on.
    pub(crate) fn moment(&self) -> Result<Moment, Error> {
        self.reader.shared.check()?;
        let moment = self.reader.index.moment()?;
        Moment::new(moment)
    }

    /// How often a table was changed, for those who keep what they read of it: ask, then read; what
    /// was read is what the table has for as long as the answer is the same. `None` while the table
    /// is being changed, and when reads are refused: then nothing that was kept counts, and a read
    /// says what there is.
    pub fn change_count(&self, table: TableId) -> Option<ChangeCount> {
        self.reader.change_count(table)
    }

    /// The number of the last commit that reads show.
    pub fn last_commit(&self) -> CommitSeq {
        self.reader.last_commit()
    }

    /// What opening found and did.
    pub fn recovery_report(&self) -> RecoveryReport {
        self.inner.report
    }

    /// Whether the tables serve.
    pub fn is_in_service(&self) -> bool {
        self.reader.shared.check().is_ok()
    }

    /// Whether commits are refused until the drive takes changes again.
    pub(crate) fn waits_for_its_drive(&self) -> bool {
        self.reader.shared.refuses_commits()
    }

    /// Takes commits again, if the drive does.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        if let Some(committer) = &self.inner.inline {
            let mut committer = lock(committer);
            return committer.as_mut().ok_or(Error::Closed)?.resume();
        }
        let queue = self.inner.queue().ok_or(Error::Closed)?;
        let (answer, resumed) = oneshot::channel();
        let asked = queue.send(Command::Resume(answer)).await;
        asked.map_err(|_| self.inner.gone())?;
        drop(queue);
        resumed.await.map_err(|_| self.inner.gone())?
    }

    /// Makes the index durable and lets old log files go. Blocks.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.inner.checkpointer.run()
    }

    /// Commits what waits, takes a checkpoint and ends. Later commits are refused; reads go on.
    pub async fn close(&self) -> Result<(), Error> {
        if let Some(committer) = &self.inner.inline {
            return match lock(committer).take() {
                Some(mut committer) => {
                    committer.finish()?;
                    self.inner.checkpointer.run()
                }
                None => Ok(()),
            };
        }
        let Some(queue) = self.inner.take_queue() else {
            return Ok(());
        };
        let (answer, closed) = oneshot::channel();
        queue
            .send(Command::Close(answer))
            .await
            .map_err(|_| self.inner.gone())?;
        drop(queue);
        closed.await.map_err(|_| self.inner.gone())??;
        let inner = Arc::clone(&self.inner);
        let (answer, checkpointed) = oneshot::channel();
        let finish = move || {
            inner.join_threads();
            let done = inner.checkpointer.run();
            // Whoever hears of the end may open the drive again.
            drop(inner);
            // An error means that nobody waits any more.
            let _ = answer.send(done);
        };
        spawn("strongroom-close", finish)?;
        checkpointed.await.map_err(|_| Error::WorkerGone)?
    }
}

impl Inner {
    fn queue(&self) -> Option<Sender<Command>> {
        // The option is replaced as a whole.
        self.queue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn take_queue(&self) -> Option<Sender<Command>> {
        self.queue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Why the committer does not answer.
    fn gone(&self) -> Error {
        match self.reader.shared.check() {
            Err(refusal) => refusal,
            Ok(()) => Error::Closed,
        }
    }

    fn join_threads(&self) {
        let mut threads = lock(&self.threads);
        if let Some((stop, checkpoints)) = threads.checkpoints.take() {
            drop(stop);
            // A panic there was reported by its own thread.
            let _ = checkpoints.join();
        }
        if let Some(committer) = threads.committer.take() {
            let _ = committer.join();
        }
    }
}

impl Drop for Inner {
    /// Waits for the threads, so that the drive can be opened again at once. Commits that wait
    /// are finished first.
    fn drop(&mut self) {
        drop(self.take_queue());
        self.join_threads();
    }
}

/// One commit, and then what the committer's thread does when nothing waits.
fn commit_inline(
    committer: &Mutex<Option<Committer>>,
    batch: Batch,
    cost: BatchCost,
) -> Result<CommitSeq, CommitError> {
    let (answer, mut outcome) = oneshot::channel();
    let mut committer = lock(committer);
    let committer = committer.as_mut().ok_or(Error::Closed)?;
    committer.run_group(vec![Pending {
        batch,
        cost,
        answer,
        room: None,
    }]);
    committer.idle();
    outcome.try_recv().unwrap_or(Err(CommitError::Unknown))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The index that suits a drive.
fn index_of(drive: &Arc<dyn Drive>, options: TableOptions) -> Result<Arc<dyn Index>, Error> {
    Ok(match drive.index_dir() {
        Some(dir) => Arc::new(FjallIndex::open(&dir, options.index_cache_bytes)?),
        None => Arc::new(MemoryIndex::open(Arc::clone(drive))?),
    })
}

/// All stored rows at one moment, the index's own among them.
pub(crate) struct Moment {
    moment: Box<dyn IndexMoment>,
    seq: u64,
}

impl Moment {
    fn new(moment: Box<dyn IndexMoment>) -> Result<Self, Error> {
        let own = index_key(INDEX_TABLE, b"");
        // Its own rows are the last of all.
        let rows = moment.rows(Some(&own), 2)?;
        let seq = rows
            .iter()
            .find(|(key, _)| *key == recovery::applied_key())
            .and_then(|(_, row)| row.first_chunk::<8>().copied())
            .map_or(0, u64::from_be_bytes);
        Ok(Self { moment, seq })
    }

    /// The last commit that is in it.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Up to `limit` stored rows behind `after`, sealed as they are.
    pub(crate) fn rows(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<IndexRow>, Error> {
        self.moment.rows(after, limit)
    }
}

fn spawn(name: &'static str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder
        .spawn(run)
        .map_err(|source| Error::from_io("start the thread of", name, source))
}
