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

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, statvfs};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{
    Access, Drive, DriveFile, DrivePath, Folder, Health, HealthEvent, HealthState, small_file,
};
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
        let done = small_file::sync_dir(place);
        finish_flush(&self.health, started, done, path)
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
                small_file::create_private_dir(&folder).inspect_err(|error| {
                    // Making a folder ends with a flush, and which step failed is not known here.
                    if !is_full(error) {
                        self.health.record(HealthEvent::FlushFailed);
                    }
                })?;
                make()
            }
            done => done,
        }
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
        let replace = || small_file::write_private_durably(&place, bytes);
        self.with_folder(path.folder(), replace).map_err(|source| {
            // Which of its steps failed is not known here: a flush may be among them.
            let error = Error::from_io("replace", path, source);
            if matches!(error, Error::Io { .. }) {
                self.health.record(HealthEvent::FlushFailed);
            }
            error
        })
    }

    fn has_room(&self) -> Result<bool, Error> {
        self.health.serving()?;
        let space = statvfs(&self.top)
            .map_err(|errno| Error::from_io("measure the space of", self.label(), errno.into()))?;
        let kept_back = (space.f_blocks / KEPT_BACK_PART)
            .saturating_mul(space.f_frsize)
            .min(KEPT_BACK_BYTES_MAX);
        Ok(space.f_bavail.saturating_mul(space.f_frsize) >= kept_back)
    }

    /// The lock is the file that this process locked: another directory in the same place has
    /// another one, or none.
    fn is_present(&self) -> bool {
        let found = fs::metadata(self.top.join(LOCK_NAME));
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

const LOCK_NAME: &str = "lock";
const INDEX_NAME: &str = "index";
/// One part in so many of a drive is kept back from new content, ..
const KEPT_BACK_PART: u64 = 20;
/// .. but no more than this: log, index and audit log need no more on a large drive.
const KEPT_BACK_BYTES_MAX: u64 = 1 << 30;

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// INVARIANT: a flush that fails passes here, in `with_folder` or in `replace`, so none leaves
/// the drive in service.
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
