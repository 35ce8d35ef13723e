// SPDX-License-Identifier: Apache-2.0
//! The bounds of the tables, in one place.

/// Bytes of a row's key.
pub const KEY_BYTES_MAX: usize = 4_096;
/// Bytes of a row's value.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Rows that one commit may seal: the rows it writes, not those it removes.
pub const ROWS_PER_COMMIT_MAX: u64 = 4_096;
/// Writes of one commit, removals included: completing an upload of 10,000 parts over an object
/// of as many takes some 20,000.
pub const WRITES_PER_COMMIT_MAX: usize = 32_768;
/// Bytes of keys and values of one commit.
pub const COMMIT_BYTES_MAX: usize = 32 << 20;

/// Commits in one group.
pub(crate) const GROUP_COMMITS_MAX: usize = 1_024;
/// Rows after which a group takes no further commit.
pub(crate) const GROUP_ROWS_FULL: usize = 8_192;
/// Bytes after which a group takes no further commit.
pub(crate) const GROUP_BYTES_FULL: usize = 4 << 20;
/// Commits that may wait for the committer; more wait for room.
pub(crate) const QUEUE_COMMITS_MAX: usize = 4_096;
/// Bytes of commits that may wait for the committer, in KiB.
pub(crate) const QUEUE_KIB_MAX: u32 = 64 << 10;

/// Bytes of a sealed record body: a full group, one more commit of the largest size, and room
/// for framing and seals.
pub(crate) const BODY_BYTES_MAX: u32 = 64 << 20;

/// The sequence numbers end here, so that streams and stamped keys never wrap.
pub(crate) const SEQ_MAX: u64 = (1 << 60) - 1;

const _: () = {
    // The worst group, with 64 bytes of framing and seal for each row.
    let rows = GROUP_ROWS_FULL + WRITES_PER_COMMIT_MAX;
    assert!(GROUP_BYTES_FULL + COMMIT_BYTES_MAX + rows * 128 <= 64 << 20);
    assert!(VALUE_BYTES_MAX <= COMMIT_BYTES_MAX);
};
