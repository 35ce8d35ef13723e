// SPDX-License-Identifier: Apache-2.0
//! Opening: find the anchor, prove the log from there on, bring the index up to date.
//!
//! ```text
//!   files:   ... | anchor's file          | next file | last file      |
//!                        ^ anchor: the index holds everything before    ^ torn tail: cut off
//!                        |------- verified and replayed ----------------|
//! ```
//!
//! The index is trusted up to the anchor only. What it says about later commits is used as a
//! witness against losing them, never as their content: every commit behind the anchor is
//! applied again, from the log.

use std::sync::Arc;

use bytes::Bytes;

use super::anchor::Anchor;
use super::body::{self, IndexOp};
use super::index::Index;
use super::journal::{self, LogWriter, OpenFile, anchor_path, list_files, log_path};
use super::limits::{GROUP_BYTES_FULL, GROUP_ROWS_FULL};
use super::log::{
    ChainHash, FILE_HEADER_BYTES, FileHeader, ScannedRecord, Scanner, Tail, Witnesses, judge_tail,
};
use super::row::{INDEX_TABLE, index_key};
use super::stream;
use crate::at_rest::AtRest;
use crate::drive::{Drive, DriveFile, Folder};
use crate::error::Error;

/// A log that is open for appending, and an index that is level with it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) writer: LogWriter,
    pub(crate) anchor: Anchor,
    /// The last commit there is.
    pub(crate) last_seq: u64,
    pub(crate) chain: ChainHash,
    /// What had to be done.
    pub(crate) report: RecoveryReport,
}

/// What opening the tables found and did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecoveryReport {
    /// Commits applied to the index again.
    pub replayed_commits: u64,
    /// Bytes of an unacknowledged record that were cut off.
    pub torn_bytes: u64,
}

/// The index's own row: what was applied last, and of which journal.
pub(crate) fn applied_op(journal_id: [u8; 16], seq: u64) -> IndexOp {
    let mut row = Vec::with_capacity(24);
    row.extend_from_slice(&seq.to_be_bytes());
    row.extend_from_slice(&journal_id);
    IndexOp::Put {
        key: applied_key(),
        row: Bytes::from(row),
    }
}

/// Opens or makes the log of a drive.
pub(crate) fn recover(
    drive: &Arc<dyn Drive>,
    at_rest: &dyn AtRest,
    index: &dyn Index,
    file_bytes_full: u64,
) -> Result<Recovered, Error> {
    let anchor = find_anchor(drive.as_ref(), at_rest, index)?;
    let applied = check_applied(index, &anchor)?;
    let mut replay = Replay {
        drive: drive.as_ref(),
        at_rest,
        index,
        anchor,
        applied,
        next_seq: anchor.position.seq.saturating_add(1),
        chain: anchor.position.chain,
        waiting: Vec::new(),
        waiting_bytes: 0,
        report: RecoveryReport::default(),
    };
    let last_file = replay.files()?;
    replay.flush()?;
    let (chain, report) = (replay.chain, replay.report);
    let last_seq = replay.next_seq.saturating_sub(1);
    if report.torn_bytes > 0 {
        tracing::warn!(
            bytes = report.torn_bytes,
            last_seq,
            "cut an unfinished record off the log"
        );
    }
    let writer = LogWriter::new(
        Arc::clone(drive),
        anchor.journal_id,
        last_file,
        file_bytes_full,
    );
    Ok(Recovered {
        writer,
        anchor,
        last_seq,
        chain,
        report,
    })
}

fn find_anchor(
    drive: &dyn Drive,
    at_rest: &dyn AtRest,
    index: &dyn Index,
) -> Result<Anchor, Error> {
    let place = || anchor_path().to_string();
    if let Some(bytes) = drive.read_small(&anchor_path())? {
        return Anchor::open(at_rest, &bytes).ok_or_else(|| Error::Corrupted {
            place: place(),
            reason: "the anchor of the log does not open",
        });
    }
    // The anchor is the first thing a new journal writes: anything else means that it was lost.
    if !list_files(drive)?.is_empty() || index.get(&applied_key())?.is_some() {
        return Err(Error::Corrupted {
            place: place(),
            reason: "the anchor of the log is missing",
        });
    }
    refuse_what_had_tables(drive)?;
    let mut journal_id = [0; 16];
    aws_lc_rs::rand::fill(&mut journal_id).map_err(|_| Error::Random)?;
    let anchor = Anchor::new(journal_id);
    drive.replace(&anchor_path(), &anchor.seal(at_rest)?)?;
    Ok(anchor)
}

/// INVARIANT: tables are made before anything else is kept. Where there is something and no tables,
/// the tables were lost; empty ones in their place would say that nothing of it counts, and the
/// collection of orphans would remove every body.
fn refuse_what_had_tables(drive: &dyn Drive) -> Result<(), Error> {
    let bodies = (0..=u8::MAX).map(Folder::Blobs);
    for folder in [Folder::Vault, Folder::Audit].into_iter().chain(bodies) {
        if !drive.list(folder)?.is_empty() {
            return Err(Error::Corrupted {
                place: anchor_path().to_string(),
                reason: "the tables are missing, but not what they stand for: bring back a drive that \
                         has them, or put a backup back (`strongroom restore metadata`)",
            });
        }
    }
    Ok(())
}

/// The last commit that the index applied, if the index can be the one of this log.
pub(crate) fn check_applied(index: &dyn Index, anchor: &Anchor) -> Result<u64, Error> {
    let Some((applied, journal_id)) = applied_of(index)? else {
        return match anchor.position.seq {
            0 => Ok(0),
            _ => Err(index_damage("it is empty although commits were applied")),
        };
    };
    if journal_id != anchor.journal_id {
        return Err(index_damage("it belongs to another log"));
    }
    if applied < anchor.position.seq {
        return Err(index_damage(
            "it lost commits that a checkpoint had made durable",
        ));
    }
    Ok(applied)
}

/// The last commit that an index applied, and of which journal, as its own row says.
pub(crate) fn applied_of(index: &dyn Index) -> Result<Option<(u64, [u8; 16])>, Error> {
    let Some(row) = index.get(&applied_key())? else {
        return Ok(None);
    };
    let parsed = row
        .split_first_chunk::<8>()
        .and_then(|(seq, id)| Some((u64::from_be_bytes(*seq), id.try_into().ok()?)));
    parsed
        .map(Some)
        .ok_or_else(|| index_damage("its own row does not parse"))
}

fn index_damage(reason: &'static str) -> Error {
    Error::Corrupted {
        place: "table index".to_owned(),
        reason,
    }
}

/// Where the index's own row lies.
pub(crate) fn applied_key() -> Vec<u8> {
    index_key(INDEX_TABLE, b"applied")
}

/// The walk over the log.
struct Replay<'a> {
    drive: &'a dyn Drive,
    at_rest: &'a dyn AtRest,
    index: &'a dyn Index,
    anchor: Anchor,
    /// What the index said it had applied before the replay.
    applied: u64,
    next_seq: u64,
    chain: ChainHash,
    waiting: Vec<IndexOp>,
    waiting_bytes: usize,
    report: RecoveryReport,
}

impl Replay<'_> {
    /// Goes through the files from the anchor on and returns the one to append to.
    fn files(&mut self) -> Result<Option<OpenFile>, Error> {
        let start = self.anchor.position;
        let mut files = list_files(self.drive)?;
        files.retain(|first| *first >= start.file);
        if start.file > 0 && files.first() != Some(&start.file) {
            return Err(damage(start.file, 0, "a log file is missing"));
        }
        let mut last = None;
        let count = files.len();
        for (at, first_seq) in files.into_iter().enumerate() {
            let later_file = at.saturating_add(1) < count;
            last = self.file(first_seq, later_file)?.or(last);
        }
        if self.applied >= self.next_seq {
            let file = last
                .as_ref()
                .map_or(start.file, |file: &OpenFile| file.first_seq);
            return Err(damage(
                file,
                0,
                "commits that the index applied are missing",
            ));
        }
        Ok(last)
    }

    /// Replays one file; `None` when nothing of it was ever acknowledged and it was removed.
    fn file(&mut self, first_seq: u64, later_file: bool) -> Result<Option<OpenFile>, Error> {
        let (handle, bytes) = journal::read_file(self.drive, first_seq)?;
        let Some(offset) = self.starting_offset(first_seq, &bytes)? else {
            // Nothing is appended before the header is synced: more bytes mean it was.
            let acknowledged = self.applied >= self.next_seq;
            if later_file || acknowledged || bytes.len() > FILE_HEADER_BYTES {
                return Err(damage(first_seq, 0, "the file header is damaged"));
            }
            self.report.torn_bytes = self.report.torn_bytes.saturating_add(len_u64(bytes.len()));
            self.drive.remove(&log_path(first_seq))?;
            self.drive.sync_folder(Folder::Log)?;
            return Ok(None);
        };
        let mut scanner = Scanner::new(&bytes, offset, self.next_seq, self.chain);
        while let Some(record) = scanner.next_record() {
            self.record(first_seq, &record)?;
        }
        self.next_seq = scanner.next_seq();
        self.chain = scanner.chain();
        let end = scanner.offset();
        match self.judge(&bytes, end, later_file) {
            Tail::Clean => {}
            Tail::Torn => {
                let torn = bytes.len().saturating_sub(end);
                self.report.torn_bytes = self.report.torn_bytes.saturating_add(len_u64(torn));
                handle.truncate(len_u64(end))?;
            }
            Tail::Damaged => return Err(damage(first_seq, end, "a synced record is damaged")),
        }
        self.finish_file(handle, first_seq, end, later_file)
    }

    /// What a crash left in the page cache was read as valid; it must be durable before anyone
    /// sees it.
    fn finish_file(
        &self,
        handle: Arc<dyn DriveFile>,
        first_seq: u64,
        end: usize,
        later_file: bool,
    ) -> Result<Option<OpenFile>, Error> {
        if !later_file {
            handle.sync()?;
            self.drive.sync_folder(Folder::Log)?;
        }
        Ok(Some(OpenFile {
            handle,
            first_seq,
            len: len_u64(end),
            unsynced_mark: false,
        }))
    }

    /// Where the first entry of interest starts; `None` when the file has no valid header.
    fn starting_offset(&self, first_seq: u64, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let Some(header) = FileHeader::parse(bytes) else {
            return Ok(None);
        };
        let wrong = |reason| Err(damage(first_seq, 0, reason));
        if header.journal_id != self.anchor.journal_id || header.first_seq != first_seq {
            return wrong("the file belongs to another place");
        }
        let start = self.anchor.position;
        if first_seq == start.file {
            let offset = usize::try_from(start.offset)
                .ok()
                .filter(|at| *at <= bytes.len());
            return match offset {
                Some(offset) if offset >= FILE_HEADER_BYTES => Ok(Some(offset)),
                _ => wrong("the file ends before the anchor"),
            };
        }
        if header.first_seq != self.next_seq || header.prev_hash != self.chain {
            return wrong("the file does not continue the log");
        }
        Ok(Some(FILE_HEADER_BYTES))
    }

    fn judge(&self, bytes: &[u8], offset: usize, later_file: bool) -> Tail {
        // A later file proves this one complete, but says nothing of commits behind it.
        let acknowledged = if later_file { 0 } else { self.applied };
        let witnesses = Witnesses {
            acknowledged,
            later_file,
        };
        judge_tail(bytes, offset, self.next_seq, &self.chain, witnesses)
    }

    fn record(&mut self, file: u64, record: &ScannedRecord<'_>) -> Result<(), Error> {
        let header = &record.header;
        let place = |reason| damage(file, record.offset, reason);
        let plain = self
            .at_rest
            .open(
                stream::record(header.first_seq),
                &header.aad(),
                record.sealed_body,
            )
            .map_err(|_| place("a record's seal does not hold"))?;
        let mut ops = body::parse(&plain, header.count)
            .ok_or_else(|| place("a record's content does not parse"))?;
        self.waiting.append(&mut ops);
        self.waiting_bytes = self.waiting_bytes.saturating_add(plain.len());
        self.next_seq = header.last_seq().saturating_add(1);
        self.report.replayed_commits = self
            .report
            .replayed_commits
            .saturating_add(u64::from(header.count));
        if self.waiting_bytes > GROUP_BYTES_FULL || self.waiting.len() > GROUP_ROWS_FULL {
            self.flush()?;
        }
        Ok(())
    }

    /// Applies what was read. The index's own number never goes back, so that it stays a witness
    /// if the replay is interrupted.
    fn flush(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut ops = std::mem::take(&mut self.waiting);
        let seq = self.next_seq.saturating_sub(1).max(self.applied);
        ops.push(applied_op(self.anchor.journal_id, seq));
        self.waiting_bytes = 0;
        self.index.apply(ops)
    }
}

fn damage(file: u64, offset: usize, reason: &'static str) -> Error {
    Error::Corrupted {
        place: format!("{}, byte {offset}", log_path(file)),
        reason,
    }
}

fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
