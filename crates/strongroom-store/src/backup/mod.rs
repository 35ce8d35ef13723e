// SPDX-License-Identifier: Apache-2.0
//! Copies of the tables and of the vault in one file, for the day when every drive that had them
//! is lost and the shards are not.
//!
//! ```text
//!   backup    tables at one moment + vault + small files of the caller ---> Write
//!   restore   file, read twice: first every byte is verified, then it is put on an empty drive
//! ```
//!
//! Rows are copied as they are stored, sealed, with their sequence numbers, so that everything
//! that refers to a number stays right; the next commit after a restore goes on from the number of
//! the backup. The keys of rows (names of objects among them) are in clear on a drive but not
//! here: each piece of the file is sealed again. Format: `docs/spec/metadata-backup.md`.
//!
//! Shards of blobs that were written after the backup belong to no row any more. A restored store
//! does not remove them ([`restored_mark`]) until its operator says so.

mod format;
mod read;
mod restore;
mod write;

pub use format::BackupHead;
pub use read::BackupFile;
pub use restore::{Restored, restore};
pub use write::{BackupReport, BackupStep};

use crate::drive::{DrivePath, Folder};
use crate::error::Error;

/// The file that says that a store was restored: while it is there, files that no row stands for
/// are kept.
pub(crate) fn restored_mark() -> DrivePath {
    DrivePath::fixed(Folder::Top, "restored")
}

fn damaged(reason: &'static str) -> Error {
    Error::Corrupted {
        place: "the backup".to_owned(),
        reason,
    }
}
