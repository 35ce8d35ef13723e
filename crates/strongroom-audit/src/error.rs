// SPDX-License-Identifier: Apache-2.0
//! What can go wrong with the audit log.

/// Why an event could not be recorded, or the log not opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The drive refused a read or a write.
    #[error("audit log: {0}")]
    Drive(#[from] strongroom_store::Error),
    /// An earlier append or fsync failed: nothing is recorded any more, so nothing is done either.
    #[error("audit log is out of service since a failed write")]
    OutOfService,
    /// The log was closed.
    #[error("audit log is closed")]
    Closed,
    /// The log does not verify.
    #[error("audit file `{file}` is damaged: {source}")]
    Corrupted {
        /// Name of the file on the drive.
        file: String,
        /// Where and how.
        source: ChainError,
    },
    /// A record could not be written as JSON.
    #[error("audit record cannot be written as JSON")]
    Unprintable,
    /// The clock shows a time that has no date.
    #[error("clock is out of range")]
    ClockOutOfRange,
    /// No randomness, or no thread, from the operating system.
    #[error("the operating system refused {0}")]
    System(&'static str),
}

/// Where a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct ChainError {
    /// Counted from 1 in what was read.
    pub line: u64,
    /// How it breaks.
    pub fault: ChainFault,
}

/// How a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// Not a record of this log.
    #[error("not an audit record")]
    Unreadable,
    /// A line is missing, repeated or out of place.
    #[error("number {found} where {expected} was due")]
    Number {
        /// The number that was due.
        expected: u64,
        /// The number that was found.
        found: u64,
    },
    /// The line before was changed.
    #[error("hash of the line before does not match")]
    Hash,
}
