// SPDX-License-Identifier: Apache-2.0
//! A drive that answers in time, or with an error.
//!
//! For work during which changes have to wait: each operation runs on threads of its own, and
//! one that takes too long is given up. After that every operation fails at once. What was given
//! up may still be carried out at any later time; whoever uses this sees to it that the copy does
//! not count before that is over ([`super::copies::Copies::let_go`]).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::copies::Slot;
use super::crew::{Crew, hangs, is_late};
use crate::drive::{Access, Drive, DriveFile, DrivePath, Folder, HealthState};
use crate::error::Error;

/// Gives up on operations that take too long.
#[derive(Clone)]
struct Guard {
    crew: Arc<Crew>,
    limit: Duration,
    label: String,
    hangs: Arc<AtomicBool>,
    /// The copy, which is in use for as long as an operation is under way.
    slot: Option<Slot>,
}

struct BoundedDrive {
    inner: Arc<dyn Drive>,
    guard: Guard,
}

struct BoundedFile {
    inner: Arc<dyn DriveFile>,
    guard: Guard,
}

/// The drive, with a limit for each operation; `slot` counts as in use by what is under way.
pub(crate) fn bounded(
    inner: &Arc<dyn Drive>,
    limit: Duration,
    slot: Option<&Slot>,
) -> Result<Arc<dyn Drive>, Error> {
    let crew = match slot.and_then(Slot::crew) {
        Some(crew) => crew,
        None => Arc::new(Crew::of(1)?),
    };
    let guard = Guard {
        crew,
        limit,
        label: inner.label(),
        hangs: Arc::default(),
        slot: slot.cloned(),
    };
    Ok(Arc::new(BoundedDrive {
        inner: Arc::clone(inner),
        guard,
    }))
}

impl Guard {
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.hangs.load(Ordering::Acquire) {
            return Err(hangs(self.label.clone()));
        }
        let slot = self.slot.clone();
        let limit = slot
            .as_ref()
            .map_or(self.limit, |slot| slot.at_most(self.limit));
        let outcome = self.crew.ask(
            limit,
            || self.label.clone(),
            move || {
                let outcome = job();
                drop(slot);
                outcome
            },
        );
        if let Err(error) = &outcome
            && is_late(error)
        {
            self.hangs.store(true, Ordering::Release);
        }
        outcome
    }
}

impl BoundedDrive {
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Drive) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let drive = Arc::clone(&self.inner);
        self.guard.run(move || job(drive.as_ref()))
    }

    fn file(&self, inner: Arc<dyn DriveFile>) -> Arc<dyn DriveFile> {
        let guard = self.guard.clone();
        Arc::new(BoundedFile { inner, guard })
    }
}

impl Drive for BoundedDrive {
    fn label(&self) -> String {
        self.guard.label.clone()
    }

    fn health(&self) -> HealthState {
        self.inner.health()
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        let path = path.clone();
        self.run(move |drive| drive.create(&path))
            .map(|file| self.file(file))
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        let path = path.clone();
        let file = self.run(move |drive| drive.open(&path, access))?;
        Ok(file.map(|file| self.file(file)))
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |drive| drive.rename(&from, &to))
    }

    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |drive| drive.rename_over(&from, &to))
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        let path = path.clone();
        self.run(move |drive| drive.remove(&path))
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.run(move |drive| drive.list(folder))
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.run(move |drive| drive.sync_folder(folder))
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        let path = path.clone();
        self.run(move |drive| drive.read_small(&path))
    }

    fn read_small_each(&self, path: &DrivePath) -> Result<Vec<Vec<u8>>, Error> {
        let path = path.clone();
        self.run(move |drive| drive.read_small_each(&path))
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        let (path, bytes) = (path.clone(), bytes.to_vec());
        self.run(move |drive| drive.replace(&path, &bytes))
    }

    fn has_room(&self) -> Result<bool, Error> {
        self.run(Drive::has_room)
    }

    fn index_dir(&self) -> Option<PathBuf> {
        self.inner.index_dir()
    }
}

impl BoundedFile {
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn DriveFile) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let file = Arc::clone(&self.inner);
        self.guard.run(move || job(file.as_ref()))
    }
}

impl DriveFile for BoundedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let len = buf.len();
        let bytes = self.run(move |file| {
            let mut bytes = vec![0; len];
            let read = file.read_at(offset, &mut bytes)?;
            bytes.truncate(read);
            Ok(bytes)
        })?;
        if let Some(to) = buf.get_mut(..bytes.len()) {
            to.copy_from_slice(&bytes);
        }
        Ok(bytes.len())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let bytes = bytes.to_vec();
        self.run(move |file| file.write_at(offset, &bytes))
    }

    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.run(move |file| file.truncate(len))
    }

    fn sync(&self) -> Result<(), Error> {
        self.run(|file| file.sync())
    }

    fn write_durably(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let bytes = bytes.to_vec();
        self.run(move |file| file.write_durably(offset, &bytes))
    }

    fn len(&self) -> Result<u64, Error> {
        self.run(|file| file.len())
    }
}

impl fmt::Debug for BoundedDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoundedDrive").field(&self.inner).finish()
    }
}

impl fmt::Debug for BoundedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedFile").finish_non_exhaustive()
    }
}
