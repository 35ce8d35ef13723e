// SPDX-License-Identifier: Apache-2.0
//! The anchor: the place in the log up to which the index holds everything durably.
//!
//! A small file, replaced as a whole by each checkpoint. Replay starts there, and the files
//! before it may go. It is sealed, so that nobody without the key can move the start of the log
//! forward over commits; its sequence number is in clear because it selects the stream.
//!
//! ```text
//! anchor = "SRJANCH1" || seq (8) || seal(journal id (16) || chain (32) || file (8) || offset (8))
//! ```

use super::log::{ChainHash, genesis};
use super::stream;
use crate::at_rest::AtRest;
use crate::error::Error;

/// A place between two records of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// The last commit before the place; 0 at the very start.
    pub(crate) seq: u64,
    /// The chain after that commit.
    pub(crate) chain: ChainHash,
    /// The file that holds it, named by its first commit; 0 when there is no file yet.
    pub(crate) file: u64,
    /// Where in the file the next entry starts.
    pub(crate) offset: u64,
}

/// A position that is known to be in the index for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Anchor {
    /// Which journal this is.
    pub(crate) journal_id: [u8; 16],
    /// Where replay starts.
    pub(crate) position: Position,
}

impl Anchor {
    /// The anchor of a journal without commits.
    pub(crate) fn new(journal_id: [u8; 16]) -> Self {
        let chain = genesis(&journal_id);
        Self {
            journal_id,
            position: Position {
                seq: 0,
                chain,
                file: 0,
                offset: 0,
            },
        }
    }

    /// The bytes of the anchor file.
    pub(crate) fn seal(&self, at_rest: &dyn AtRest) -> Result<Vec<u8>, Error> {
        let Position {
            seq,
            chain,
            file,
            offset,
        } = self.position;
        let mut plain = Vec::with_capacity(64);
        plain.extend_from_slice(&self.journal_id);
        plain.extend_from_slice(&chain);
        plain.extend_from_slice(&file.to_be_bytes());
        plain.extend_from_slice(&offset.to_be_bytes());
        let sealed = at_rest
            .seal(stream::anchor(seq), &aad(seq), &plain)
            .map_err(|_| Error::Seal)?;
        let mut out = Vec::with_capacity(sealed.len().saturating_add(16));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&seq.to_be_bytes());
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Reads the anchor file; `None` when it is not what [`Self::seal`] made.
    pub(crate) fn open(at_rest: &dyn AtRest, bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (seq, sealed) = rest.split_first_chunk::<8>()?;
        if magic != MAGIC {
            return None;
        }
        let seq = u64::from_be_bytes(*seq);
        let plain = at_rest.open(stream::anchor(seq), &aad(seq), sealed).ok()?;
        let (journal_id, rest) = plain.split_first_chunk::<16>()?;
        let (chain, rest) = rest.split_first_chunk::<32>()?;
        let (file, offset) = rest.split_first_chunk::<8>()?;
        let position = Position {
            seq,
            chain: *chain,
            file: u64::from_be_bytes(*file),
            offset: u64::from_be_bytes(offset.try_into().ok()?),
        };
        Some(Self {
            journal_id: *journal_id,
            position,
        })
    }
}

fn aad(seq: u64) -> Vec<u8> {
    [b"strongroom anchor v1".as_slice(), &seq.to_be_bytes()].concat()
}

const MAGIC: &[u8; 8] = b"SRJANCH1";
