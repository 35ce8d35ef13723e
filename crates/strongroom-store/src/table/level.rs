// SPDX-License-Identifier: Apache-2.0
//! One log out of several copies of it: what each file should hold, by what can be proven.
//!
//! The problem: copies of one log differ after a crash (the last record, never acknowledged, is
//! on some of them), after damage, and when one of them was left behind. The approach: walk the
//! chain from the newest anchor and take, record by record, whatever copy has the record whole.
//! A record counts by its sums, its place in the chain and its seal; how many copies have it does
//! not matter. Where no copy has the next record the log ends, if nothing says that there was one.
//!
//! ```text
//!   copy 0   | r1 | r2 | ## | r4 | r5 |        damaged at r3
//!   copy 1   | r1 | r2 | r3 |                  cut
//!   copy 2   | r1 | r2 | r3 | r4 | ## |        torn at r5
//!   image    | r1 | r2 | r3 | r4 | r5 |
//! ```
//!
//! Two copies with different records that both follow the same one are two histories. None of
//! them is chosen here; the ledger of the copies has to say which of them counts.

use super::anchor::Anchor;
use super::index::Index;
use super::journal::{anchor_path, list_files, log_path, remove_files_before};
use super::log::{
    ChainHash, FILE_HEADER_BYTES, FileHeader, RecordHeader, Scanner, Tail, Witnesses, judge_tail,
    mark_at, speaks_of_later,
};
use super::recovery;
use super::stream;
use crate::at_rest::AtRest;
use crate::drive::{Drive, DrivePath};
use crate::error::Error;

/// The anchor of a log.
pub(crate) type LogAnchor = Anchor;

/// Where the anchor is kept.
pub(crate) fn anchor_place() -> DrivePath {
    anchor_path()
}

/// Where a log file is kept.
pub(crate) fn log_place(first_seq: u64) -> DrivePath {
    log_path(first_seq)
}

/// The first commit of a log file, if this is the name of one.
pub(crate) fn first_seq_of(path: &DrivePath) -> Option<u64> {
    path.number("journal")
}

/// The walk over the files of a log, from the anchor on.
pub(crate) struct Walk<'a> {
    at_rest: &'a dyn AtRest,
    anchor: Anchor,
    /// The highest commit that an index of this log has applied.
    acknowledged: u64,
    next_seq: u64,
    chain: ChainHash,
}

/// What a log file should hold on every copy.
#[derive(Debug)]
pub(crate) enum FileImage {
    /// These bytes.
    Bytes(WholeFile),
    /// Nothing of it was ever acknowledged: the file goes.
    Gone,
}

/// The content of a log file.
#[derive(Debug)]
pub(crate) struct WholeFile {
    pub(crate) bytes: Vec<u8>,
    /// Bytes before this place could not be proven and stay as they are; replay does not read
    /// them.
    pub(crate) proven_from: usize,
    /// Where each record ends.
    pub(crate) record_ends: Vec<usize>,
}

/// What was found of the anchor.
#[derive(Debug)]
pub(crate) enum FoundAnchor {
    Opened(Anchor, Vec<u8>),
    Damaged,
    Missing,
}

/// The anchor of one copy.
pub(crate) fn read_anchor(drive: &dyn Drive, at_rest: &dyn AtRest) -> Result<FoundAnchor, Error> {
    let Some(bytes) = drive.read_small(&anchor_path())? else {
        return Ok(FoundAnchor::Missing);
    };
    Ok(match Anchor::open(at_rest, &bytes) {
        Some(anchor) => FoundAnchor::Opened(anchor, bytes),
        None => FoundAnchor::Damaged,
    })
}

/// Whether these bytes are an anchor that was written with this seal.
pub(crate) fn is_anchor(bytes: &[u8], at_rest: &dyn AtRest) -> bool {
    Anchor::open(at_rest, bytes).is_some()
}

/// The newest of several anchors; `None` when none of them opens.
pub(crate) fn newest_anchor(found: &[FoundAnchor]) -> Result<Option<(Anchor, Vec<u8>)>, Error> {
    let mut newest: Option<(Anchor, &Vec<u8>)> = None;
    for anchor in found {
        let FoundAnchor::Opened(anchor, bytes) = anchor else {
            continue;
        };
        let Some((best, _)) = newest else {
            newest = Some((*anchor, bytes));
            continue;
        };
        if best.journal_id != anchor.journal_id {
            return Err(Error::Corrupted {
                place: anchor_path().to_string(),
                reason: "the copies belong to different logs",
            });
        }
        let (ours, theirs) = (best.position, anchor.position);
        if ours.seq == theirs.seq && ours.chain != theirs.chain {
            return Err(Error::Corrupted {
                place: anchor_path().to_string(),
                reason: TWO_HISTORIES,
            });
        }
        if theirs.seq > ours.seq {
            newest = Some((*anchor, bytes));
        }
    }
    Ok(newest.map(|(anchor, bytes)| (anchor, bytes.clone())))
}

/// The error of a log whose anchor is on no copy: missing when `is_missing`, else damaged.
pub(crate) fn no_anchor(is_missing: bool) -> Error {
    Error::Corrupted {
        place: anchor_path().to_string(),
        reason: if is_missing {
            "the anchor of the log is missing"
        } else {
            "the anchor of the log does not open"
        },
    }
}

/// Whether the index is one of this log that kept what it has to keep; the last commit it has.
pub(crate) fn judge_index(index: &dyn Index, anchor: &Anchor) -> Result<u64, Error> {
    recovery::check_applied(index, anchor)
}

/// The last commit that an index says it applied, whether or not it kept everything.
pub(crate) fn witness_of(index: &dyn Index, anchor: &Anchor) -> u64 {
    match recovery::applied_of(index) {
        Ok(Some((seq, journal_id))) if journal_id == anchor.journal_id => seq,
        _ => 0,
    }
}

/// Whether the index has no mark of any log.
pub(crate) fn is_unused(index: &dyn Index) -> bool {
    matches!(recovery::applied_of(index), Ok(None))
}

/// The log files of a drive by their first commits, in order.
pub(crate) fn files_of(drive: &dyn Drive) -> Result<Vec<u64>, Error> {
    list_files(drive)
}

/// Removes the log files of a copy before the one that begins with `first_seq`, which no start may
/// need; durably. Returns how many.
pub(crate) fn let_go_before(drive: &dyn Drive, first_seq: u64) -> Result<usize, Error> {
    remove_files_before(drive, first_seq)
}

/// The bytes of a log file that tell where it begins.
pub(crate) const BEGINNING_BYTES: usize = FILE_HEADER_BYTES;

/// Which log a drive holds, by its anchor; `None` when that does not open.
pub(crate) fn journal_of(
    drive: &dyn Drive,
    at_rest: &dyn AtRest,
) -> Result<Option<[u8; 16]>, Error> {
    let contents = drive.read_small_each(&anchor_path())?;
    let opened = contents
        .iter()
        .find_map(|bytes| Anchor::open(at_rest, bytes));
    Ok(opened.map(|anchor| anchor.journal_id))
}

/// A place between two commits of the log, where one of its files may end and the next begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    /// The number of the commit behind it.
    pub(crate) next_seq: u64,
    /// The chain before that commit.
    pub(crate) chain: ChainHash,
}

/// Where a file of this log begins, by the header that `bytes` start with; `None` when that is
/// damaged or of another place.
pub(crate) fn beginning_of(bytes: &[u8], journal_id: [u8; 16], first_seq: u64) -> Option<Link> {
    let header = FileHeader::parse(bytes)?;
    let is_ours = header.first_seq == first_seq && header.journal_id == journal_id;
    is_ours.then_some(Link {
        next_seq: first_seq,
        chain: header.prev_hash,
    })
}

/// Where a file of this log ends that is whole by itself: header, sums, chain, seals, nothing
/// behind the last record but its mark. `None` when it is not.
pub(crate) fn end_of_whole_file(
    bytes: &[u8],
    journal_id: [u8; 16],
    first_seq: u64,
    at_rest: &dyn AtRest,
) -> Option<Link> {
    let start = beginning_of(bytes, journal_id, first_seq)?;
    let mut scanner = Scanner::new(bytes, FILE_HEADER_BYTES, first_seq, start.chain);
    while let Some(record) = scanner.next_record() {
        if !seal_holds(at_rest, &record.header, record.sealed_body) {
            return None;
        }
    }
    let witnesses = Witnesses {
        acknowledged: 0,
        later_file: true,
    };
    let (next_seq, chain) = (scanner.next_seq(), scanner.chain());
    let tail = judge_tail(bytes, scanner.offset(), next_seq, &chain, witnesses);
    (tail == Tail::Clean).then_some(Link { next_seq, chain })
}

/// Whether a file of this log is whole by itself.
pub(crate) fn is_whole_file(
    bytes: &[u8],
    journal_id: [u8; 16],
    first_seq: u64,
    at_rest: &dyn AtRest,
) -> bool {
    end_of_whole_file(bytes, journal_id, first_seq, at_rest).is_some()
}

impl<'a> Walk<'a> {
    pub(crate) fn new(at_rest: &'a dyn AtRest, anchor: Anchor, acknowledged: u64) -> Self {
        Self {
            at_rest,
            anchor,
            acknowledged,
            next_seq: anchor.position.seq.saturating_add(1),
            chain: anchor.position.chain,
        }
    }

    /// The first file that replay needs; 0 when there is none yet.
    pub(crate) fn first_file(&self) -> u64 {
        self.anchor.position.file
    }

    /// The files of all copies that matter, in order.
    pub(crate) fn files(&self, listed: &[Vec<u64>]) -> Result<Vec<u64>, Error> {
        let start = self.first_file();
        let mut files: Vec<u64> = listed.iter().flatten().copied().collect();
        files.retain(|first| *first >= start);
        files.sort_unstable();
        files.dedup();
        if start > 0 && files.first() != Some(&start) {
            return Err(damage(start, 0, "a log file is missing"));
        }
        Ok(files)
    }

    /// What the next file should hold, by the different contents its copies have.
    pub(crate) fn file(
        &mut self,
        first_seq: u64,
        contents: &[&[u8]],
        later_file: bool,
    ) -> Result<FileImage, Error> {
        let Some(header) = self.header(first_seq, contents, later_file)? else {
            return Ok(FileImage::Gone);
        };
        let mut image = WholeFile {
            bytes: header.to_bytes(),
            proven_from: 0,
            record_ends: Vec::new(),
        };
        if first_seq == self.first_file() {
            self.up_to_the_anchor(&header, contents, &mut image)?;
        }
        while self.next_record(first_seq, contents, &mut image)? {}
        self.end(first_seq, contents, later_file, &mut image)?;
        Ok(FileImage::Bytes(image))
    }

    /// After the last file: nothing may have been applied that was not found.
    pub(crate) fn finish(&self, last_file: Option<u64>) -> Result<(), Error> {
        if self.acknowledged >= self.next_seq {
            let file = last_file.unwrap_or(self.first_file());
            return Err(damage(
                file,
                0,
                "commits that the index applied are missing",
            ));
        }
        Ok(())
    }

    /// The header of a file; `None` when the file was begun and never used.
    fn header(
        &self,
        first_seq: u64,
        contents: &[&[u8]],
        later_file: bool,
    ) -> Result<Option<FileHeader>, Error> {
        let is_first = first_seq == self.first_file();
        let (mut found, mut elsewhere, mut broken) = (None, false, false);
        for bytes in contents {
            let Some(header) = FileHeader::parse(bytes) else {
                continue;
            };
            if header.journal_id != self.anchor.journal_id || header.first_seq != first_seq {
                elsewhere = true;
            } else if !is_first && (first_seq, header.prev_hash) != (self.next_seq, self.chain) {
                broken = true;
            } else if found.is_some_and(|found: FileHeader| found != header) {
                return Err(damage(first_seq, 0, TWO_HISTORIES));
            } else {
                found = Some(header);
            }
        }
        match found {
            Some(_) if broken => Err(damage(first_seq, 0, TWO_HISTORIES)),
            Some(header) => Ok(Some(header)),
            None if broken => Err(damage(first_seq, 0, "the file does not continue the log")),
            None if elsewhere => Err(damage(first_seq, 0, "the file belongs to another place")),
            None => {
                let was_used = contents.iter().any(|bytes| bytes.len() > FILE_HEADER_BYTES);
                if is_first || later_file || was_used || self.acknowledged >= self.next_seq {
                    return Err(damage(first_seq, 0, "the file header is damaged"));
                }
                Ok(None)
            }
        }
    }

    /// Takes what lies before the anchor, as far as it can be proven. Replay does not need it.
    fn up_to_the_anchor(
        &mut self,
        header: &FileHeader,
        contents: &[&[u8]],
        image: &mut WholeFile,
    ) -> Result<(), Error> {
        let start = self.anchor.position;
        let reached = usize::try_from(start.offset)
            .ok()
            .filter(|at| *at >= FILE_HEADER_BYTES)
            .filter(|at| contents.iter().any(|bytes| bytes.len() >= *at));
        let Some(reached) = reached else {
            return Err(damage(start.file, 0, "the file ends before the anchor"));
        };
        (self.next_seq, self.chain) = (header.first_seq, header.prev_hash);
        while image.bytes.len() < reached && self.next_record(start.file, contents, image)? {}
        let is_proven = image.bytes.len() == reached && self.chain == start.chain;
        if !is_proven {
            image.bytes.resize(reached, 0);
            image.proven_from = reached;
        }
        (self.next_seq, self.chain) = (start.seq.saturating_add(1), start.chain);
        Ok(())
    }

    /// Appends the next record from a copy that has it.
    fn next_record(
        &mut self,
        file: u64,
        contents: &[&[u8]],
        image: &mut WholeFile,
    ) -> Result<bool, Error> {
        let offset = image.bytes.len();
        let mut found: Option<(&[u8], u64, ChainHash)> = None;
        for bytes in contents {
            let mut scanner = Scanner::new(bytes, offset, self.next_seq, self.chain);
            let Some(record) = scanner.next_record() else {
                continue;
            };
            let taken = bytes.get(offset..scanner.offset()).unwrap_or_default();
            if found.is_some_and(|(found, _, _)| found == taken) {
                continue;
            }
            // Where all copies agree, replay compares the seal.
            let has_rivals = contents.len() > 1;
            if has_rivals && !seal_holds(self.at_rest, &record.header, record.sealed_body) {
                continue;
            }
            if found.is_some() {
                return Err(damage(file, offset, TWO_HISTORIES));
            }
            found = Some((taken, scanner.next_seq(), scanner.chain()));
        }
        let Some((taken, next_seq, chain)) = found else {
            return Ok(false);
        };
        image.bytes.extend_from_slice(taken);
        image.record_ends.push(image.bytes.len());
        (self.next_seq, self.chain) = (next_seq, chain);
        Ok(true)
    }

    /// Judges what follows the last record that any copy has, and takes its mark along.
    fn end(
        &self,
        file: u64,
        contents: &[&[u8]],
        later_file: bool,
        image: &mut WholeFile,
    ) -> Result<(), Error> {
        let end = image.bytes.len();
        let acknowledged = if later_file { 0 } else { self.acknowledged };
        let witnesses = Witnesses {
            acknowledged,
            later_file,
        };
        let judge = |bytes: &&&[u8]| {
            judge_tail(bytes, end, self.next_seq, &self.chain, witnesses) != Tail::Damaged
        };
        let reaching = contents.iter().filter(|bytes| bytes.len() >= end);
        let is_lost = !later_file
            && contents
                .iter()
                .any(|bytes| contents.len() > 1 && speaks_of_later(bytes, end, self.next_seq));
        if is_lost || !reaching.clone().any(|bytes| judge(&bytes)) {
            return Err(damage(file, end, "a synced record is damaged"));
        }
        let mark = contents
            .iter()
            .find_map(|bytes| mark_at(bytes, end, self.next_seq, &self.chain));
        image.bytes.extend_from_slice(mark.unwrap_or_default());
        Ok(())
    }
}

fn seal_holds(at_rest: &dyn AtRest, header: &RecordHeader, sealed_body: &[u8]) -> bool {
    let stream = stream::record(header.first_seq);
    at_rest.open(stream, &header.aad(), sealed_body).is_ok()
}

fn damage(file: u64, offset: usize, reason: &'static str) -> Error {
    Error::Corrupted {
        place: format!("{}, byte {offset}", log_path(file)),
        reason,
    }
}

const TWO_HISTORIES: &str = "the copies tell two different histories";
