// SPDX-License-Identifier: Apache-2.0
//! The bytes of the commit log, without any I/O: encode, scan, and tell a torn tail from damage.
//!
//! The problem: after a power cut the last, unsynced record may be there in part, in whole or
//! not at all, and must be dropped quietly when it is incomplete; a record that was acknowledged
//! must never be dropped quietly, however its bytes look now. The approach: the writer never has
//! more than one unsynced record, and after it learned that a record is durable it leaves
//! witnesses: the next record, or a *mark* (which the next record overwrites), or the index's
//! applied number, or the anchor. [`Scanner`] reads valid records; whatever follows the last one
//! goes to [`judge_tail`], which says `Torn` only if no witness speaks against it.
//!
//! ```text
//! file    = file-header (72) record* [mark]
//! record  = "SRJR" count first_seq prev_hash body_len 0 header_sum | sealed body | sum
//! mark    = "SRJM" 0 seq chain_hash sum                "everything up to seq is synced"
//! ```
//!
//! Integers are big-endian. Sums are XXH3-64 and find accidents; the chain of SHA-256 hashes and
//! the seal of the body find intent. The format is written down in `docs/spec/table-journal.md`.

use aws_lc_rs::digest::{Context, SHA256, digest};
use twox_hash::XxHash3_64;

use super::limits::{BODY_BYTES_MAX, SEQ_MAX};

/// A link of the hash chain.
pub(crate) type ChainHash = [u8; 32];

/// Bytes of the header of a log file.
pub(crate) const FILE_HEADER_BYTES: usize = 72;
/// Bytes of a record before its body.
pub(crate) const RECORD_HEADER_BYTES: usize = 64;
/// Bytes of a record behind its body.
pub(crate) const RECORD_SUM_BYTES: usize = 8;
/// Bytes of a mark.
pub(crate) const MARK_BYTES: usize = 56;

/// What a log file says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    /// Which journal the file belongs to.
    pub(crate) journal_id: [u8; 16],
    /// Sequence number of the first commit in the file.
    pub(crate) first_seq: u64,
    /// The chain before that commit.
    pub(crate) prev_hash: ChainHash,
}

impl FileHeader {
    /// The header's bytes.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.extend_from_slice(FILE_MAGIC);
        out.extend_from_slice(&self.journal_id);
        out.extend_from_slice(&self.first_seq.to_be_bytes());
        out.extend_from_slice(&self.prev_hash);
        push_sum(&mut out, 0);
        out
    }

    /// Reads a header; `None` when `bytes` does not start with a whole valid one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = summed(bytes, FILE_HEADER_BYTES)?;
        let (magic, rest) = rest.split_first_chunk::<8>()?;
        let (journal_id, rest) = rest.split_first_chunk::<16>()?;
        let (first_seq, rest) = rest.split_first_chunk::<8>()?;
        let prev_hash = ChainHash::try_from(rest).ok()?;
        let first_seq = u64::from_be_bytes(*first_seq);
        (magic == FILE_MAGIC && (1..=SEQ_MAX).contains(&first_seq)).then_some(Self {
            journal_id: *journal_id,
            first_seq,
            prev_hash,
        })
    }
}

/// The first link of the chain of a journal.
pub(crate) fn genesis(journal_id: &[u8; 16]) -> ChainHash {
    let mut context = Context::new(&SHA256);
    context.update(b"strongroom journal genesis v1");
    context.update(journal_id);
    finish(context)
}

/// The part of a record that says where in the log it belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    /// Commits in the record; they have consecutive sequence numbers.
    pub(crate) count: u32,
    /// Sequence number of the first.
    pub(crate) first_seq: u64,
    /// The chain before this record.
    pub(crate) prev_hash: ChainHash,
}

impl RecordHeader {
    /// What the sealed body is bound to: every field but the length, which the seal implies.
    pub(crate) fn aad(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        out.extend_from_slice(b"strongroom journal record v1");
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.first_seq.to_be_bytes());
        out.extend_from_slice(&self.prev_hash);
        out
    }

    /// Sequence number of the last commit.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq
            .saturating_add(u64::from(self.count).saturating_sub(1))
    }
}

/// Appends a record to `out` and returns the chain after it. `None` when the body is longer than
/// any record may be.
pub(crate) fn encode_record(
    out: &mut Vec<u8>,
    header: &RecordHeader,
    sealed_body: &[u8],
) -> Option<ChainHash> {
    let body_len = u32::try_from(sealed_body.len())
        .ok()
        .filter(|len| *len <= BODY_BYTES_MAX)?;
    let start = out.len();
    out.reserve(RECORD_HEADER_BYTES + sealed_body.len() + RECORD_SUM_BYTES);
    out.extend_from_slice(RECORD_MAGIC);
    out.extend_from_slice(&header.count.to_be_bytes());
    out.extend_from_slice(&header.first_seq.to_be_bytes());
    out.extend_from_slice(&header.prev_hash);
    out.extend_from_slice(&body_len.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    push_sum(out, start);
    out.extend_from_slice(sealed_body);
    let hash = digest(&SHA256, out.get(start..)?);
    push_sum(out, start);
    ChainHash::try_from(hash.as_ref()).ok()
}

/// A mark: everything up to `seq` is synced.
pub(crate) fn encode_mark(seq: u64, chain: &ChainHash) -> Vec<u8> {
    let mut out = Vec::with_capacity(MARK_BYTES);
    out.extend_from_slice(MARK_MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(chain);
    push_sum(&mut out, 0);
    out
}

/// A valid record in the log: its checksums hold and it continues the chain. The body is still
/// sealed.
#[derive(Debug)]
pub(crate) struct ScannedRecord<'a> {
    pub(crate) header: RecordHeader,
    pub(crate) sealed_body: &'a [u8],
    /// Where the record starts.
    pub(crate) offset: usize,
}

/// Reads the records of a file one after the other, as long as they are valid and continue the
/// chain.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    offset: usize,
    next_seq: u64,
    chain: ChainHash,
}

impl<'a> Scanner<'a> {
    /// Starts at `offset`, where the record of `next_seq` is expected and the chain is `chain`.
    pub(crate) fn new(bytes: &'a [u8], offset: usize, next_seq: u64, chain: ChainHash) -> Self {
        Self {
            bytes,
            offset,
            next_seq,
            chain,
        }
    }

    /// The next record; `None` where nothing valid follows.
    pub(crate) fn next_record(&mut self) -> Option<ScannedRecord<'a>> {
        let rest = self.bytes.get(self.offset..)?;
        let (header, body_len) = parse_record_header(rest)?;
        if header.first_seq != self.next_seq || header.prev_hash != self.chain {
            return None;
        }
        let sum_at = RECORD_HEADER_BYTES.checked_add(body_len)?;
        let len = sum_at.checked_add(RECORD_SUM_BYTES)?;
        summed(rest, len)?;
        let sealed_body = rest.get(RECORD_HEADER_BYTES..sum_at)?;
        self.chain = digest(&SHA256, rest.get(..sum_at)?)
            .as_ref()
            .try_into()
            .ok()?;
        let offset = self.offset;
        self.offset = offset.checked_add(len)?;
        self.next_seq = header.last_seq().checked_add(1)?;
        Some(ScannedRecord {
            header,
            sealed_body,
            offset,
        })
    }

    /// Where the scan stands: behind the last valid record.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// The sequence number that the next record must start with.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The chain before the next record.
    pub(crate) fn chain(&self) -> ChainHash {
        self.chain
    }
}

/// What else is known about the end of a file when its bytes stop making sense.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Witnesses {
    /// The highest sequence number that index or anchor know to have been synced.
    pub(crate) acknowledged: u64,
    /// Whether a later file exists: a file is only begun when the one before is synced.
    pub(crate) later_file: bool,
}

/// What the bytes behind the last valid record are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tail {
    /// Nothing, or the mark of that record.
    Clean,
    /// The remains of one record that was never acknowledged: cut them off.
    Torn,
    /// Something that was synced is not what was written.
    Damaged,
}

/// Judges the bytes from `offset` on, where a [`Scanner`] stopped and expects `next_seq`.
///
/// A crash leaves at most one unsynced record, at the place where the mark was; its bytes may be
/// anything, and so may the mark's. So the tail is damage as soon as one witness shows that the
/// record had been synced, or that there was more than one.
pub(crate) fn judge_tail(
    bytes: &[u8],
    offset: usize,
    next_seq: u64,
    chain: &ChainHash,
    witnesses: Witnesses,
) -> Tail {
    if witnesses.acknowledged >= next_seq {
        return Tail::Damaged;
    }
    let rest = bytes.get(offset..).unwrap_or_default();
    let mut behind_mark = rest;
    if let Some((seq, marked_chain)) = parse_mark(rest) {
        // A whole mark of another place was not written here by a torn append.
        if seq.checked_add(1) != Some(next_seq) || marked_chain != *chain {
            return Tail::Damaged;
        }
        behind_mark = rest.get(MARK_BYTES..).unwrap_or_default();
    }
    if behind_mark.is_empty() {
        return Tail::Clean;
    }
    if witnesses.later_file {
        return Tail::Damaged;
    }
    let body_len_max = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let body_len = match parse_record_header(rest) {
        // Nor was a whole header of another place.
        Some((header, _)) if header.first_seq != next_seq || header.prev_hash != *chain => {
            return Tail::Damaged;
        }
        Some((_, body_len)) => body_len,
        None => body_len_max,
    };
    let len_max = body_len.saturating_add(RECORD_HEADER_BYTES + RECORD_SUM_BYTES);
    if rest.len() > len_max || synced_entry_follows(rest, next_seq) {
        return Tail::Damaged;
    }
    Tail::Torn
}

/// Whether what lies behind `offset`, where no record of `next_seq` could be read, shows that more
/// than that one record was written once. For a log of which there are other copies: what is
/// damage by itself may be mended from them, but not what speaks of commits that none of them has.
pub(crate) fn speaks_of_later(bytes: &[u8], offset: usize, next_seq: u64) -> bool {
    let rest = bytes.get(offset..).unwrap_or_default();
    parse_mark(rest).is_some_and(|(seq, _)| seq >= next_seq)
        || parse_record_header(rest).is_some_and(|(header, _)| header.first_seq > next_seq)
        || synced_entry_follows(rest, next_seq)
}

/// The mark that a file ends with at `offset`, if it is the one of this place in the chain.
pub(crate) fn mark_at<'a>(
    bytes: &'a [u8],
    offset: usize,
    next_seq: u64,
    chain: &ChainHash,
) -> Option<&'a [u8]> {
    let rest = bytes.get(offset..)?;
    let (seq, marked) = parse_mark(rest)?;
    (seq.checked_add(1) == Some(next_seq) && marked == *chain)
        .then_some(rest.get(..MARK_BYTES))
        .flatten()
}

/// Whether a whole entry that belongs at or behind `next_seq` starts anywhere after the first
/// byte: it was written after the entry that cannot be read, so that entry had been synced.
fn synced_entry_follows(rest: &[u8], next_seq: u64) -> bool {
    let mut at = 1;
    while let Some(window) = rest.get(at..) {
        // Both magics start alike; jump to the next place that could be one.
        let Some(skip) = window.iter().position(|byte| *byte == b'S') else {
            return false;
        };
        let Some(candidate) = window.get(skip..) else {
            return false;
        };
        let mark = parse_mark(candidate).is_some_and(|(seq, _)| seq >= next_seq);
        let record = parse_record_header(candidate).is_some_and(|(h, _)| h.first_seq >= next_seq);
        if mark || record {
            return true;
        }
        at = at.saturating_add(skip).saturating_add(1);
    }
    false
}

/// A record's header and the length of its body, if a whole valid header is at the start.
fn parse_record_header(bytes: &[u8]) -> Option<(RecordHeader, usize)> {
    if !bytes.starts_with(RECORD_MAGIC) {
        return None;
    }
    let rest = summed(bytes, RECORD_HEADER_BYTES)?.get(4..)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (first_seq, rest) = rest.split_first_chunk::<8>()?;
    let (prev_hash, rest) = rest.split_first_chunk::<32>()?;
    let (body_len, reserved) = rest.split_first_chunk::<4>()?;
    let header = RecordHeader {
        count: u32::from_be_bytes(*count),
        first_seq: u64::from_be_bytes(*first_seq),
        prev_hash: *prev_hash,
    };
    let body_len = u32::from_be_bytes(*body_len);
    let sane = header.count > 0
        && header.first_seq > 0
        && header.last_seq() <= SEQ_MAX
        && body_len <= BODY_BYTES_MAX
        && reserved == [0; 4];
    sane.then_some((header, usize::try_from(body_len).ok()?))
}

fn parse_mark(bytes: &[u8]) -> Option<(u64, ChainHash)> {
    if !bytes.starts_with(MARK_MAGIC) {
        return None;
    }
    let (reserved, rest) = summed(bytes, MARK_BYTES)?
        .get(4..)?
        .split_first_chunk::<4>()?;
    let (seq, chain) = rest.split_first_chunk::<8>()?;
    (*reserved == [0; 4]).then_some((u64::from_be_bytes(*seq), ChainHash::try_from(chain).ok()?))
}

/// Appends the sum of everything from `start` on.
fn push_sum(out: &mut Vec<u8>, start: usize) {
    let sum = XxHash3_64::oneshot(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
}

/// The first `len` bytes without the sum that ends them, if they are there and the sum holds.
fn summed(bytes: &[u8], len: usize) -> Option<&[u8]> {
    let (covered, sum) = bytes.get(..len)?.split_last_chunk::<8>()?;
    (XxHash3_64::oneshot(covered) == u64::from_be_bytes(*sum)).then_some(covered)
}

fn finish(context: Context) -> ChainHash {
    let mut out = ChainHash::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

const FILE_MAGIC: &[u8; 8] = b"SRJFILE1";
const RECORD_MAGIC: &[u8; 4] = b"SRJR";
const MARK_MAGIC: &[u8; 4] = b"SRJM";

const _: () = {
    assert!(FILE_HEADER_BYTES == 8 + 16 + 8 + 32 + 8);
    assert!(RECORD_HEADER_BYTES == 4 + 4 + 8 + 32 + 4 + 4 + 8);
    assert!(MARK_BYTES == 4 + 4 + 8 + 32 + 8);
};

#[cfg(test)]
mod tests;
