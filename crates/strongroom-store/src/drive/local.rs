// SPDX-License-Identifier: Apache-2.0
//! A drive that is a directory of this machine.
//!
//! Relies on the file system for three things, which ext4, XFS and Btrfs give: `fdatasync`
//! returns only when bytes and length are on the medium; a rename leaves the old or the new
//! name, never none; a flushed directory keeps its names. Everything is made for the owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::fs::{
    CWD, FlockOperation, RenameFlags, StatVfs, StatVfsMountFlags, flock, renameat_with, statvfs,
};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::small_file::{self, FailedStep};
use super::{Access, Drive, DriveFile, DrivePath, Folder, Health, HealthEvent, HealthState};
use crate::error::Error;

/// A directory, locked for this process for as long as the value lives.
#[derive(Debug)]
pub struct LocalDrive {
    top: PathBuf,
    health: Arc<Health>,
    /// Held while a folder is made.
    making: Mutex<()>,
    /// Holds the lock; released by the operating system when the process ends, however it ends.
    lock: File,
}

#[derive(Debug)]
struct LocalFile {
    file: File,
    path: DrivePath,
    health: Arc<Health>,
}

impl LocalDrive {
    /// Opens a directory as a drive, making it when missing. Refuses one that another process
    /// has open.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let label = dir.display().to_string();
        let failed = |action: &'static str| {
            let label = label.clone();
            move |source: io::Error| Error::from_io(action, label, source)
        };
        small_file::create_private_dir(dir).map_err(failed("create folder"))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(LOCK_NAME))
            .map_err(failed("open the lock of"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::DriveInUse { drive: label }),
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        let health = Arc::new(Health::new(label));
        Ok(Self {
            top: dir.to_owned(),
            health,
            making: Mutex::new(()),
            lock,
        })
    }

    fn place(&self, path: &DrivePath) -> PathBuf {
        self.folder(path.folder()).join(path.name())
    }

    fn folder(&self, folder: Folder) -> PathBuf {
        match folder {
            Folder::Top => self.top.clone(),
            folder => self.top.join(folder.as_text()),
        }
    }

    fn flushed(&self, place: &Path, path: &impl ToString) -> Result<(), Error> {
        let started = Instant::now();
        match small_file::flush_dir(place) {
            // A folder that went with its drive is no failed flush: nothing was dropped.
            Err(FailedStep::Change(source)) if !self.is_present() => {
                Err(Error::from_io("flush", path.to_string(), source))
            }
            done => {
                let done = done.map_err(FailedStep::into_error);
                finish_flush(&self.health, started, done, path)
            }
        }
    }

    /// Runs `make`, and once more after making the folder that it missed.
    fn with_folder<T>(&self, folder: Folder, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let folder = self.folder(folder);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Whoever finds the folder made by another waits until it is durable, too.
                let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
                // A drive that was taken away is not made anew, empty, in its old place.
                if !self.is_present() {
                    return Err(error);
                }
                small_file::create_private_dir_in_steps(&folder)
                    .map_err(|failed| self.failed_step(failed))?;
                make()
            }
            done => done,
        }
    }

    /// Takes the drive out of service if the step that failed was a flush.
    fn failed_step(&self, failed: FailedStep) -> io::Error {
        if matches!(failed, FailedStep::Flush(_)) {
            self.health.record(HealthEvent::FlushFailed);
        }
        failed.into_error()
    }

    fn file(&self, file: File, path: &DrivePath) -> Arc<dyn DriveFile> {
        Arc::new(LocalFile {
            file,
            path: path.clone(),
            health: Arc::clone(&self.health),
        })
    }
}

impl Drive for LocalDrive {
    fn label(&self) -> String {
        self.top.display().to_string()
    }

    fn health(&self) -> HealthState {
        self.health.state()
    }

    fn lasting_health(&self) -> Option<Arc<Health>> {
        Some(Arc::clone(&self.health))
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        self.health.serving()?;
        let place = self.place(path);
        let create = || {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&place)
        };
        let created = self.with_folder(path.folder(), create);
        created
            .map(|file| self.file(file, path))
            .map_err(|source| Error::from_io("create", path, source))
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        self.health.serving()?;
        let opened = OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            .open(self.place(path));
        match opened {
            Ok(file) => Ok(Some(self.file(file, path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::from_io("open", path, source)),
        }
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.health.serving()?;
        let (old, new) = (self.place(from), self.place(to));
        let rename =
            || renameat_with(CWD, &old, CWD, &new, RenameFlags::NOREPLACE).map_err(io::Error::from);
        self.with_folder(to.folder(), rename)
            .map_err(|source| Error::from_io("rename to", to, source))
    }

    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.health.serving()?;
        let (old, new) = (self.place(from), self.place(to));
        self.with_folder(to.folder(), || fs::rename(&old, &new))
            .map_err(|source| Error::from_io("rename to", to, source))
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        self.health.serving()?;
        match fs::remove_file(self.place(path)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::from_io("remove", path, source)),
        }
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.health.serving()?;
        let failed = |source| Error::from_io("list", folder.as_text(), source);
        let entries = match fs::read_dir(self.folder(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_file() {
                // A name that is not text is none of ours.
                if let Ok(name) = entry.file_name().into_string() {
                    found.push(DrivePath::listed(folder, name));
                }
            }
        }
        Ok(found)
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.health.serving()?;
        self.flushed(&self.folder(folder), &folder.as_text())
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.health.serving()?;
        small_file::read(&self.place(path)).map_err(|source| Error::from_io("read", path, source))
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        self.health.serving()?;
        let place = self.place(path);
        let failed = |source| Error::from_io("replace", path, source);
        // Where a file system was mounted an empty folder is left, which takes files as well.
        let present = || {
            let gone = || io::Error::new(io::ErrorKind::NotFound, "the drive is gone");
            self.is_present().then_some(()).ok_or_else(gone)
        };
        present().map_err(failed)?;
        let replace = || {
            small_file::write_private_in_steps(&place, bytes)
                .map_err(|failed| self.failed_step(failed))
        };
        let replaced = self.with_folder(path.folder(), replace);
        let replaced = replaced.inspect_err(|error| {
            // One that is there, has room and takes no small file would hold up whoever waits for
            // it again and again.
            if !is_full(error) && self.is_present() {
                self.health.record(HealthEvent::FlushFailed);
            }
        });
        // What was written while the drive went is not on it.
        replaced.and_then(|()| present()).map_err(failed)
    }

    fn has_room(&self) -> Result<bool, Error> {
        self.health.serving()?;
        let space = statvfs(&self.top)
            .map_err(|errno| Error::from_io("measure the space of", self.label(), errno.into()))?;
        Ok(is_enough(&space))
    }

    /// The lock is the file that this process locked: another directory in the same place has
    /// another one, or none. It is opened, since a file system that was shut down still tells what
    /// it remembers of its files.
    fn is_present(&self) -> bool {
        let found = File::open(self.top.join(LOCK_NAME)).and_then(|found| found.metadata());
        match (found, self.lock.metadata()) {
            (Ok(found), Ok(held)) => found.dev() == held.dev() && found.ino() == held.ino(),
            _ => false,
        }
    }

    fn index_dir(&self) -> Option<PathBuf> {
        Some(self.top.join(INDEX_NAME))
    }
}

impl DriveFile for LocalFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        self.health.serving()?;
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let position = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.file.read_at(rest, position) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::from_io("read", &self.path, source)),
            }
        }
        Ok(filled)
    }

    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        self.health.serving()?;
        let wanted = buf.len();
        let mut slices = [IoSliceMut::new(buf)];
        // Anything but the whole range at once goes the ordinary way, errors too.
        match preadv2(&self.file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == wanted => Ok(Some(read)),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.health.serving()?;
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| Error::from_io("write", &self.path, source))
    }

    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.health.serving()?;
        self.file
            .set_len(len)
            .map_err(|source| Error::from_io("truncate", &self.path, source))
    }

    fn sync(&self) -> Result<(), Error> {
        self.health.serving()?;
        let started = Instant::now();
        finish_flush(&self.health, started, self.file.sync_data(), &self.path)
    }

    fn len(&self) -> Result<u64, Error> {
        self.health.serving()?;
        self.file
            .metadata()
            .map(|found| found.len())
            .map_err(|source| Error::from_io("measure", &self.path, source))
    }
}

/// Whether a file system has room for more than what is kept back of it, in bytes and in files.
/// One that takes no writes, because it found itself damaged, has none.
fn is_enough(space: &StatVfs) -> bool {
    if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return false;
    }
    let kept_back = (space.f_blocks / KEPT_BACK_PART)
        .saturating_mul(space.f_frsize)
        .min(KEPT_BACK_BYTES_MAX);
    // A file system that can have any number of files says that there are none at all, and none free.
    let files_kept_back = (space.f_files / KEPT_BACK_PART).min(KEPT_BACK_FILES_MAX);
    space.f_bavail.saturating_mul(space.f_frsize) >= kept_back && space.f_favail >= files_kept_back
}

const LOCK_NAME: &str = "lock";
const INDEX_NAME: &str = "index";
/// One part in so many of a drive is kept back from new content, ..
const KEPT_BACK_PART: u64 = 20;
/// .. but no more than this: log, index and audit log need no more on a large drive.
const KEPT_BACK_BYTES_MAX: u64 = 1 << 30;
/// The same for files, which some file systems have a fixed number of.
const KEPT_BACK_FILES_MAX: u64 = 4096;

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// INVARIANT: a flush that fails passes here or in `failed_step`, so none leaves the drive in
/// service, whatever its error is.
fn finish_flush(
    health: &Health,
    started: Instant,
    done: io::Result<()>,
    path: &impl ToString,
) -> Result<(), Error> {
    metrics::histogram!("strongroom_drive_flush_seconds").record(started.elapsed());
    done.map_err(|source| {
        health.record(HealthEvent::FlushFailed);
        Error::from_io("flush", path.to_string(), source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(blocks: u64, free_blocks: u64, files: u64, free_files: u64) -> StatVfs {
        StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: blocks,
            f_bfree: blocks,
            f_bavail: free_blocks,
            f_files: files,
            f_ffree: files,
            f_favail: free_files,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        }
    }

    /// An ext4 without a free inode passed for a drive with room: every body was sent there, and
    /// failed there.
    #[test]
    fn a_drive_is_full_when_it_has_no_bytes_or_no_files_left() {
        for (blocks, free, files, free_files, is_room) in [
            (10_000, 500, 1000, 50, true),
            (10_000, 499, 1000, 50, false),
            (10_000, 500, 1000, 49, false),
            (10_000, 10_000, 64, 0, false),
            // No more than so much is kept back of a large one.
            (1 << 40, 1 << 18, 1 << 40, 4096, true),
            (1 << 40, (1 << 18) - 1, 1 << 40, 4096, false),
            (1 << 40, 1 << 18, 1 << 40, 4095, false),
            // Btrfs: no number of files is too large.
            (10_000, 500, 0, 0, true),
        ] {
            let said = is_enough(&space(blocks, free, files, free_files));
            assert_eq!(said, is_room, "{free} of {blocks}, {free_files} of {files}");
        }
        let mut read_only = space(10_000, 10_000, 1000, 1000);
        assert!(is_enough(&read_only));
        read_only.f_flag = StatVfsMountFlags::RDONLY;
        assert!(!is_enough(&read_only));
    }
}
