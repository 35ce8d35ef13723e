// SPDX-License-Identifier: Apache-2.0
//! Which derived key seals which value.
//!
//! Values are sealed with random nonces, so one key must not see too many of them: the store
//! promises at most 2^20 seals for a stream. A stream is named by what is sealed (the top four
//! bits) and by the commit sequence, shifted so that the bound follows from other bounds:
//!
//! | what | stream | seals for one stream |
//! |---|---|---|
//! | row | `1 << 60`, sequence >> 7 | 128 commits that seal at most 4,096 rows: 2^19 |
//! | log record | `2 << 60`, first sequence >> 19 | each record has at least one commit: 2^19 |
//! | anchor | `3 << 60`, sequence >> 10 | see below |
//! | members file | `4 << 60`, epoch >> 10 | see below |
//!
//! The other half of the bound is left for sequence numbers that are used again: a commit whose
//! append failed is not acknowledged, and after the store opened again its numbers go to other
//! commits. Each failed opening wastes at most one group, and a group seals fewer than 2^14 rows.
//!
//! An anchor is written by a checkpoint, and a checkpoint that finds the sequence unchanged
//! writes none; 1,024 sequence numbers therefore see at most 1,024 anchors and the repeats of
//! failed openings. A members file is sealed when its epoch is made and once more for each drive
//! that comes back without it.

use super::limits::ROWS_PER_COMMIT_MAX;

/// The stream of the rows written by commit `seq`.
pub(crate) fn row(seq: u64) -> u64 {
    ROW | (seq >> ROW_SHIFT)
}

/// The stream of a log record whose first commit is `first_seq`.
pub(crate) fn record(first_seq: u64) -> u64 {
    RECORD | (first_seq >> RECORD_SHIFT)
}

/// The stream of an anchor at `seq`.
pub(crate) fn anchor(seq: u64) -> u64 {
    ANCHOR | (seq >> ANCHOR_SHIFT)
}

/// The stream of a members file of `epoch`.
pub(crate) fn members(epoch: u64) -> u64 {
    MEMBERS | (epoch >> MEMBERS_SHIFT)
}

const ROW: u64 = 1 << 60;
const RECORD: u64 = 2 << 60;
const ANCHOR: u64 = 3 << 60;
const ROW_SHIFT: u32 = 7;
const RECORD_SHIFT: u32 = 19;
const MEMBERS: u64 = 4 << 60;
const ANCHOR_SHIFT: u32 = 10;
const MEMBERS_SHIFT: u32 = 10;

/// Seals that one stream may see, as promised to the sealer.
const SEALS_PER_STREAM_MAX: u64 = 1 << 20;

const _: () = {
    assert!((1 << ROW_SHIFT) * ROWS_PER_COMMIT_MAX <= SEALS_PER_STREAM_MAX / 2);
    assert!((1 << RECORD_SHIFT) <= SEALS_PER_STREAM_MAX / 2);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_never_share_a_stream() {
        for seq in [0, 1, 127, 128, 1 << 40, (1 << 56) - 1] {
            let streams = [row(seq), record(seq), anchor(seq), members(seq)];
            for (at, stream) in streams.iter().enumerate() {
                assert_eq!(stream >> 60, u64::try_from(at).unwrap() + 1);
            }
        }
    }

    #[test]
    fn a_row_stream_ends_after_128_commits() {
        assert_eq!(row(0), row(127));
        assert_ne!(row(127), row(128));
    }
}
