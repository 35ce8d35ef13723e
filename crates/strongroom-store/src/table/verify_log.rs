// SPDX-License-Identifier: Apache-2.0
//! Reading the log again while it is written: what a start would find, without waiting for one.
//!
//! Files older than the anchor's are kept for a while although nothing needs them; they are read
//! too. The last file is read up to the last commit that the index shows: what lies behind that
//! is being written. A checkpoint may remove the oldest files meanwhile; that is no damage.
//!
//! What is wrong with files before the anchor's is told apart: it can be let go
//! ([`Checkpointer::let_go`]).

use std::ops::ControlFlow;
use std::sync::PoisonError;

use super::anchor::Position;
use super::body;
use super::checkpoint::Checkpointer;
use super::journal::{self, list_files, log_path, remove_files_before};
use super::level::Link;
use super::log::{
    FILE_HEADER_BYTES, FileHeader, ScannedRecord, Scanner, Tail, Witnesses, judge_tail,
};
use super::stream;
use crate::at_rest::AtRest;
use crate::drive::Drive;
use crate::error::Error;
use crate::mirror::is_late;

/// What reading the log again came to.
#[derive(Debug, Default)]
pub struct LogReport {
    /// Files read.
    pub files: u64,
    /// Commits in them.
    pub commits: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is wrong with files that a start reads, at most one error for each file.
    pub damaged: Vec<Error>,
    /// What is wrong with older files, which nothing needs: damage, and gaps behind them.
    pub useless: Vec<Error>,
    /// The file before which log files are of no use because of that.
    pub(crate) useless_before: u64,
}

pub(crate) fn verify_log(
    log: &Checkpointer,
    drive: &dyn Drive,
    mut seen: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<LogReport, Error> {
    log.shared.check_reading()?;
    let end = log.shared.applied();
    let anchor = *log.anchor.lock().unwrap_or_else(PoisonError::into_inner);
    let mut report = LogReport::default();
    let mut link: Option<Link> = None;
    let files = list_files(drive)?;
    if end.file > 0 && !files.contains(&end.file) {
        report
            .damaged
            .push(damage(end.file, 0, "a log file is missing"));
    }
    let mut files = files
        .into_iter()
        .filter(|first| *first <= end.file)
        .peekable();
    // Starts read from here on.
    let needed_from = anchor.position.file;
    while let Some(first_seq) = files.next() {
        let bytes = match journal::read_file(drive, first_seq) {
            Ok((_, bytes)) => bytes,
            Err(Error::Corrupted { .. }) if !list_files(drive)?.contains(&first_seq) => {
                link = None;
                continue;
            }
            Err(error @ (Error::Closed | Error::DriveOutOfService { .. })) => return Err(error),
            Err(error) if is_late(&error) => return Err(error),
            Err(error) => {
                // The medium, or damage: one file is not all of them.
                report.damaged.push(error);
                link = None;
                continue;
            }
        };
        let file = LogFile {
            first_seq,
            journal_id: anchor.journal_id,
            bytes: &bytes,
            end,
        };
        let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        report.files = report.files.saturating_add(1);
        report.bytes = report.bytes.saturating_add(read);
        let mut verified = file.verify(log.at_rest.as_ref(), link);
        if first_seq <= needed_from
            && let Err(Flaw::Gap(error)) = verified
        {
            // What lies before leads nowhere.
            report.useless.push(error);
            report.useless_before = first_seq;
            verified = file.verify(log.at_rest.as_ref(), None);
        }
        link = match verified {
            Ok((commits, link)) => {
                report.commits = report.commits.saturating_add(commits);
                Some(link)
            }
            Err(flaw) => {
                let next = files.peek().filter(|_| first_seq < needed_from);
                match next {
                    Some(next) => {
                        report.useless.push(flaw.into());
                        report.useless_before = *next;
                    }
                    None => report.damaged.push(flaw.into()),
                }
                None
            }
        };
        if seen(read).is_break() {
            break;
        }
    }
    Ok(report)
}

impl Checkpointer {
    /// Removes the log files before the one that begins with the commit `first_seq`, as far as no
    /// start needs them. Returns how many.
    pub(crate) fn let_go(&self, first_seq: u64) -> Result<usize, Error> {
        self.shared.check()?;
        // INVARIANT: the anchor is durable on every copy that counts, here and in memory, and while it
        // is locked no checkpoint runs. A copy that does not count is given what these have before it
        // does; while no majority is left to say which count, this is refused as any other change.
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let before = first_seq.min(anchor.position.file);
        remove_files_before(self.drive.as_ref(), before)
    }
}

/// What is wrong with a file.
enum Flaw {
    /// It does not continue the file before it.
    Gap(Error),
    /// It is not what was written.
    Damage(Error),
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Gap(error) | Flaw::Damage(error) => error,
        }
    }
}

/// One file of the log, in memory.
struct LogFile<'a> {
    first_seq: u64,
    journal_id: [u8; 16],
    bytes: &'a [u8],
    /// The end of the log.
    end: Position,
}

impl LogFile<'_> {
    /// Counts the commits of a file that is sound and goes on from `before`.
    fn verify(&self, at_rest: &dyn AtRest, before: Option<Link>) -> Result<(u64, Link), Flaw> {
        let wrong = |reason| Flaw::Damage(damage(self.first_seq, 0, reason));
        let header =
            FileHeader::parse(self.bytes).ok_or_else(|| wrong("the file header is damaged"))?;
        if header.journal_id != self.journal_id || header.first_seq != self.first_seq {
            return Err(wrong("the file belongs to another place"));
        }
        if before
            .is_some_and(|link| (link.next_seq, link.chain) != (header.first_seq, header.prev_hash))
        {
            let reason = "the file does not continue the log";
            return Err(Flaw::Gap(damage(self.first_seq, 0, reason)));
        }
        let is_last = self.first_seq == self.end.file;
        let len = if is_last {
            usize::try_from(self.end.offset).unwrap_or(usize::MAX)
        } else {
            self.bytes.len()
        };
        let bytes = self
            .bytes
            .get(..len)
            .ok_or_else(|| wrong("the file ends before its last commit"))?;
        let mut scanner =
            Scanner::new(bytes, FILE_HEADER_BYTES, header.first_seq, header.prev_hash);
        while let Some(record) = scanner.next_record() {
            self.open(at_rest, &record).map_err(Flaw::Damage)?;
        }
        let (next_seq, chain) = (scanner.next_seq(), scanner.chain());
        let witnesses = Witnesses {
            acknowledged: if is_last { self.end.seq } else { 0 },
            later_file: true,
        };
        let tail = judge_tail(bytes, scanner.offset(), next_seq, &chain, witnesses);
        if tail != Tail::Clean || (is_last && chain != self.end.chain) {
            let offset = scanner.offset();
            let reason = "a synced record is damaged";
            return Err(Flaw::Damage(damage(self.first_seq, offset, reason)));
        }
        let link = Link { next_seq, chain };
        Ok((next_seq.saturating_sub(self.first_seq), link))
    }

    fn open(&self, at_rest: &dyn AtRest, record: &ScannedRecord<'_>) -> Result<(), Error> {
        let header = &record.header;
        let wrong = |reason| damage(self.first_seq, record.offset, reason);
        let stream = stream::record(header.first_seq);
        let plain = at_rest
            .open(stream, &header.aad(), record.sealed_body)
            .map_err(|_| wrong("a record's seal does not hold"))?;
        body::parse(&plain, header.count)
            .map(drop)
            .ok_or_else(|| wrong("a record's content does not parse"))
    }
}

fn damage(file: u64, offset: usize, reason: &'static str) -> Error {
    Error::Corrupted {
        place: format!("{}, byte {offset}", log_path(file)),
        reason,
    }
}
