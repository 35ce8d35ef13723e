// SPDX-License-Identifier: Apache-2.0
//! The hash chain: every line names its number and the SHA-256 of the line before it.
//!
//! ```text
//! {"eventVersion":..., "strongroom":{"seq":7,"prev":"<sha256 of line 6>","synced":5}}
//! {"eventVersion":..., "strongroom":{"seq":8,"prev":"<sha256 of line 7>","synced":7}}
//! ```
//!
//! The chain runs on from file to file. It shows an edit, a removal, a swap, a repetition and a
//! gap anywhere before its end; what stands at the very end (a changed or missing last line) only
//! shows against a head kept elsewhere: compare [`ChainSummary`].
//!
//! `synced` is the last line that was durable when this one was written. After a crash it tells a
//! batch that was never acknowledged (and may be cut off) from damage to acknowledged lines.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

use crate::error::{ChainError, ChainFault};

/// The end of a chain so far: the number and the hash of its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of the last line; 0 before the first.
    pub seq: u64,
    /// SHA-256 of the last line without its newline; zeros before the first.
    pub hash: [u8; 32],
}

impl ChainHead {
    /// The head of a chain without lines.
    pub const START: ChainHead = ChainHead {
        seq: 0,
        hash: [0; 32],
    };

    /// Completes `body` (a JSON object's text) to the next line, with its newline, behind what is
    /// in `lines`, and advances.
    pub(crate) fn link(&mut self, body: &[u8], synced: u64, lines: &mut Vec<u8>) {
        let seq = self.seq.saturating_add(1);
        let start = lines.len();
        lines.extend_from_slice(body.strip_suffix(b"}").unwrap_or(body));
        lines.extend_from_slice(b",\"strongroom\":{\"seq\":");
        lines.extend_from_slice(seq.to_string().as_bytes());
        lines.extend_from_slice(b",\"prev\":\"");
        lines.extend_from_slice(hex::encode(self.hash).as_bytes());
        lines.extend_from_slice(b"\",\"synced\":");
        lines.extend_from_slice(synced.to_string().as_bytes());
        lines.extend_from_slice(b"}}");
        *self = ChainHead {
            seq,
            hash: line_hash(lines.get(start..).unwrap_or_default()),
        };
        lines.push(b'\n');
    }
}

/// What a verified run of lines says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainSummary {
    /// How many lines were read.
    pub lines: u64,
    /// What the first line claims to follow; [`ChainHead::START`] at the start of a log.
    pub before: ChainHead,
    /// The end of the run: to be compared with the next file, or with a copy kept elsewhere.
    pub head: ChainHead,
}

/// Verifies lines (without newlines) that follow each other, from any point of a log.
pub fn verify_chain<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> Result<ChainSummary, ChainError> {
    let mut summary: Option<ChainSummary> = None;
    let mut number = 0_u64;
    for line in lines {
        number = number.saturating_add(1);
        let fault = |fault| ChainError {
            line: number,
            fault,
        };
        let link = Link::read(line).ok_or(fault(ChainFault::Unreadable))?;
        let before = summary.map_or(link.before(), |summary| summary.head);
        let head = link.follow(before, line).map_err(fault)?;
        let first = summary.map_or(before, |summary| summary.before);
        summary = Some(ChainSummary {
            lines: number,
            before: first,
            head,
        });
    }
    Ok(summary.unwrap_or(ChainSummary {
        lines: 0,
        before: ChainHead::START,
        head: ChainHead::START,
    }))
}

/// The chain members of one line.
pub(crate) struct Link {
    pub(crate) seq: u64,
    prev: [u8; 32],
    pub(crate) synced: u64,
}

impl Link {
    /// Reads them out of a line; `None` when it is not a record of this log.
    pub(crate) fn read(line: &[u8]) -> Option<Link> {
        let members = serde_json::from_slice::<Line>(line).ok()?.strongroom;
        let mut prev = [0; 32];
        hex::decode_to_slice(&members.prev, &mut prev).ok()?;
        let lower = !members.prev.bytes().any(|byte| byte.is_ascii_uppercase());
        (lower && members.seq > 0 && members.synced < members.seq).then_some(Link {
            seq: members.seq,
            prev,
            synced: members.synced,
        })
    }

    /// What this line claims to follow.
    pub(crate) fn before(&self) -> ChainHead {
        ChainHead {
            seq: self.seq.saturating_sub(1),
            hash: self.prev,
        }
    }

    /// The head after this line, when it follows `before`.
    pub(crate) fn follow(&self, before: ChainHead, line: &[u8]) -> Result<ChainHead, ChainFault> {
        if before.seq.checked_add(1) != Some(self.seq) {
            return Err(ChainFault::Number {
                expected: before.seq.saturating_add(1),
                found: self.seq,
            });
        }
        if before.hash != self.prev {
            return Err(ChainFault::Hash);
        }
        Ok(ChainHead {
            seq: self.seq,
            hash: line_hash(line),
        })
    }
}

fn line_hash(line: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, line).as_ref());
    hash
}

#[derive(Deserialize)]
struct Line {
    strongroom: Members,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    seq: u64,
    prev: String,
    synced: u64,
}
