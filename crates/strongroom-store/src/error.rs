// SPDX-License-Identifier: Apache-2.0
//! Everything that can go wrong in the store, grouped by whose fault it is.

use std::io;

use crate::layout::BlobId;

/// Why a store operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The caller's side.
    /// A range of units that the blob does not have.
    #[error("units {first_unit}+{units} are outside the blob {blob}")]
    OutOfRange {
        /// The blob asked for.
        blob: BlobId,
        /// First unit of the range.
        first_unit: u64,
        /// Number of units in the range.
        units: u32,
    },
    /// The blob is not on the drive: it was released, or never adopted.
    #[error("no blob {blob}")]
    BlobNotFound {
        /// The blob asked for.
        blob: BlobId,
    },
    /// The same blob id was given to two writers.
    #[error("the blob {blob} is being written already")]
    BlobExists {
        /// The blob asked for.
        blob: BlobId,
    },
    /// Shards of a blob were to be moved that lie elsewhere meanwhile.
    #[error("the shards of the blob {blob} were moved by another")]
    ShardsChanged {
        /// The blob.
        blob: BlobId,
    },
    /// A value that is larger than the store accepts.
    #[error("{what} is too large for the store")]
    TooLarge {
        /// What was too large.
        what: &'static str,
    },
    /// A commit that makes no sense whatever the rows are.
    #[error("the commit is not possible: {reason}")]
    InvalidBatch {
        /// What was asked for.
        reason: &'static str,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,

    // The drive's side.
    /// A flush to stable storage failed earlier: what the drive holds is not known any more, so
    /// it serves nothing until the process is started again.
    #[error("the drive `{drive}` is out of service after a failed flush; check it and restart")]
    DriveOutOfService {
        /// The drive's label.
        drive: String,
    },
    /// Another process holds the drive.
    #[error("the drive `{drive}` is in use by another process")]
    DriveInUse {
        /// The drive's label.
        drive: String,
    },
    /// The drive belongs to something else, or to another format version.
    #[error("the drive `{drive}` cannot be used: {reason}")]
    DriveRefused {
        /// The drive's label.
        drive: String,
        /// What was found.
        reason: &'static str,
    },
    /// A place does not hold the drive that it should, or one that the cluster could take.
    #[error("the drive `{place}` is refused: {reason}")]
    DriveUnfit {
        /// Where.
        place: String,
        /// What was found, and what to do.
        reason: String,
    },
    /// Too few drives are there, or can be written, to know or to keep what was decided.
    #[error("no majority of the drives with a copy of the tables keeps the change")]
    NoMajority,
    /// Something that cannot be done with the drives as they are.
    #[error("{reason}")]
    DrivesRefuse {
        /// Why not, and what to do.
        reason: String,
    },
    /// The drive is full.
    #[error("no space left on the drive while trying to {action} `{path}`")]
    NoSpace {
        /// What was attempted.
        action: &'static str,
        /// The file's name on the drive.
        path: String,
    },
    /// So few drives serve that a blob would not be as safe as was promised.
    #[error("{there} drives serve, too few to store new content: {needed} are needed")]
    TooFewDrives {
        /// Drives that took the blob's shards.
        there: u8,
        /// Shards that must be durable.
        needed: u8,
    },
    /// Too many shards of a blob are away or damaged to read it.
    #[error("the blob {blob} cannot be read now: {there} of its shards are there, {needed} needed")]
    TooFewShards {
        /// The blob.
        blob: BlobId,
        /// Shards that could be read.
        there: u8,
        /// Shards that are needed.
        needed: u8,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file's name on the drive.
        path: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The index over the commit log refused.
    #[error("table index: {detail}")]
    Index {
        /// The index's own words.
        detail: String,
    },

    // Damage: stored bytes that are not what was written.
    /// One unit of a blob does not match its checksum.
    #[error("the blob {blob} is damaged at unit {unit}")]
    CorruptedUnit {
        /// The damaged blob.
        blob: BlobId,
        /// The first damaged unit.
        unit: u64,
    },
    /// A shard file is not the file that was written: header, trailer or length.
    #[error("the shard file of blob {blob} is damaged: {reason}")]
    CorruptedShard {
        /// The damaged blob.
        blob: BlobId,
        /// Which part did not hold.
        reason: &'static str,
    },
    /// Anything else that was read back wrong: log records, rows, the superblock.
    #[error("stored data is damaged at {place}: {reason}")]
    Corrupted {
        /// Where, in words: file and position, or table and row.
        place: String,
        /// Which check did not hold.
        reason: &'static str,
    },

    // Our side.
    /// Sealing a value at rest failed.
    #[error("sealing at rest failed")]
    Seal,
    /// A call that the interface does not allow.
    #[error("the store was misused: {what}")]
    Misuse {
        /// What the caller did.
        what: &'static str,
    },
    /// The system's random number generator gave nothing.
    #[error("the system's random number generator failed")]
    Random,
    /// A background thread of the store ended before it answered.
    #[error("a worker of the store has stopped")]
    WorkerGone,
}

impl Error {
    /// Wraps an operating system error, telling a full drive from a failing one.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "texts and names both read well at the call"
    )]
    pub fn from_io(action: &'static str, path: impl ToString, source: io::Error) -> Self {
        let path = path.to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { action, path }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether a file was to be made that is there.
    pub(crate) fn is_already_there(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// Whether this is damage to stored bytes, whatever the place. A blob that is gone is damage
    /// too: readers pin what they found, so nobody takes it away under them.
    pub fn is_corruption(&self) -> bool {
        matches!(
            self,
            Self::BlobNotFound { .. }
                | Self::CorruptedUnit { .. }
                | Self::CorruptedShard { .. }
                | Self::Corrupted { .. }
        )
    }
}
