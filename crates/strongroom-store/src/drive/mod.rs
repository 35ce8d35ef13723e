// SPDX-License-Identifier: Apache-2.0
//! A drive: the one trait by which stored bytes enter and leave.
//!
//! Narrow, blocking and object-safe. Blob shards, the commit log, the audit log and the drive's
//! superblock all go through it, so the simulated drive of `strongroom-testkit` can fail each of
//! them. Callers run it on threads that may block.
//!
//! # Durability, as callers may rely on it
//!
//! - Bytes written are durable after [`DriveFile::sync`] on that file returned.
//! - A name made by [`Drive::create`] or [`Drive::rename`] is durable after
//!   [`Drive::sync_folder`] on its folder.
//! - [`Drive::replace`] is durable when it returns, and all or nothing.
//! - A removal may come back after a crash until the folder was synced.
//! - After one failed flush the drive is out of service: every later operation answers
//!   [`Error::DriveOutOfService`], since the state of the unflushed bytes is unknown.

mod health;
mod local;
mod path;
mod place;
mod set;
pub mod small_file;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use health::{Health, HealthEvent, HealthState};
pub use local::LocalDrive;
pub use path::{DrivePath, Folder};
pub use place::{
    Placed, can_be_whole, can_leave, check_wish, default_redundancy, place, place_shard,
    policy_for, redundancy_for,
};
pub use set::{DriveNo, DriveSet, DriveState, SetMember, SetView, Standing};

use crate::error::Error;

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// A place that keeps files.
pub trait Drive: Send + Sync + fmt::Debug + 'static {
    /// Names the drive in messages.
    fn label(&self) -> String;

    /// Whether the drive still serves.
    fn health(&self) -> HealthState;

    /// The health itself, for whoever has to know it after letting the drive go: a file that is
    /// still open may fail a flush even then. `None` where it cannot be shared.
    fn lasting_health(&self) -> Option<Arc<Health>> {
        None
    }

    /// Makes a new empty file, open for reading and writing; its folder is made when missing.
    /// Fails when the name is taken.
    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error>;

    /// Opens a file; `None` when there is none.
    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error>;

    /// Gives a file another name, in one step: after a crash it has the old name or the new one.
    /// Durable after [`Drive::sync_folder`] on the new folder. Fails when the new name is taken.
    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error>;

    /// The same, taking the place of a file that has the new name: after a crash the name is that
    /// of the one file or of the other.
    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        let _ = (from, to);
        Err(Error::Misuse {
            what: "a drive that cannot put a file in the place of another",
        })
    }

    /// Removes a file; `false` when there was none. Handles that are open stay readable.
    fn remove(&self, path: &DrivePath) -> Result<bool, Error>;

    /// The files of a folder in unspecified order; empty when the folder does not exist.
    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: Folder) -> Result<(), Error>;

    /// Reads a whole small file; `None` when there is none.
    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error>;

    /// The different contents that copies of a small file have: none when there is no file, more
    /// than one when a copy is damaged. Who can tell the right one from the others asks for this.
    fn read_small_each(&self, path: &DrivePath) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.read_small(path)?.into_iter().collect())
    }

    /// Replaces a whole small file, all or nothing, durably.
    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error>;

    /// Whether there is room for new content. False when what is left is kept back, so that the
    /// log, the audit log and removals go on working on a drive that is full for everyone else.
    fn has_room(&self) -> Result<bool, Error> {
        Ok(true)
    }

    /// Whether the medium is still in its place: false when it was pulled out, or its directory
    /// was taken away or replaced by another. Says nothing about what is on it.
    fn is_present(&self) -> bool {
        true
    }

    /// Whether the drive refuses changes for good and yet holds whatever was acknowledged. What
    /// was read from it before can be read on.
    fn serves_reads_only(&self) -> bool {
        false
    }

    /// A directory of the operating system in which the table index may keep its files, or
    /// `None` when the drive has none to give.
    fn index_dir(&self) -> Option<PathBuf>;
}

/// An open file of a drive. Positions are explicit, so handles can be shared between threads.
pub trait DriveFile: Send + Sync + fmt::Debug {
    /// Fills `buf` from `offset` on as far as the file goes; returns the bytes read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error>;

    /// Like [`Self::read_at`], but only if it needs no wait for the medium: `None` otherwise.
    /// Cheap enough for a thread that must not block.
    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        let _ = (offset, buf);
        Ok(None)
    }

    /// Writes all of `bytes` at `offset`, growing the file when needed. One writer at a time.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Cuts or extends (with zeros) the file.
    fn truncate(&self, len: u64) -> Result<(), Error>;

    /// Makes the bytes and the length durable.
    fn sync(&self) -> Result<(), Error>;

    /// Writes all of `bytes` at `offset`, then makes the file durable: two operations, for callers
    /// to whom the first is worth nothing without the second.
    fn write_durably(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write_at(offset, bytes)?;
        self.sync()
    }

    /// Bytes in the file.
    fn len(&self) -> Result<u64, Error>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }
}
