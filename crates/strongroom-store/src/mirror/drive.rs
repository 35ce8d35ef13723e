// SPDX-License-Identifier: Apache-2.0
//! Several copies that look like one drive.
//!
//! Changes go to every live copy, flushes to all of them at the same time. Reads come from the
//! first copy that answers. A file that was opened before a copy joined is opened there when it
//! is first needed.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::copies::{Copies, Slot};
use crate::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder, HealthState};
use crate::error::Error;

/// A drive that is several.
#[derive(Debug)]
pub(crate) struct MirroredDrive {
    copies: Arc<Copies>,
}

/// A file on every copy.
struct MirroredFile {
    copies: Arc<Copies>,
    shared: Arc<Handles>,
}

/// The files under one name, as far as they were opened.
struct Handles {
    path: DrivePath,
    access: Access,
    open: Mutex<Vec<Handle>>,
}

struct Handle {
    no: DriveNo,
    generation: u64,
    file: Arc<dyn DriveFile>,
}

impl MirroredDrive {
    pub(crate) fn new(copies: Arc<Copies>) -> Self {
        Self { copies }
    }

    fn file(
        &self,
        path: &DrivePath,
        access: Access,
        opened: impl IntoIterator<Item = (Slot, Arc<dyn DriveFile>)>,
    ) -> Arc<dyn DriveFile> {
        let handle = |(slot, file): (Slot, Arc<dyn DriveFile>)| Handle {
            no: slot.no,
            generation: slot.generation,
            file,
        };
        let shared = Handles {
            path: path.clone(),
            access,
            open: Mutex::new(opened.into_iter().map(handle).collect()),
        };
        Arc::new(MirroredFile {
            copies: Arc::clone(&self.copies),
            shared: Arc::new(shared),
        })
    }
}

impl Drive for MirroredDrive {
    fn label(&self) -> String {
        self.copies.view().label()
    }

    fn health(&self) -> HealthState {
        self.copies.health()
    }

    fn serves_reads_only(&self) -> bool {
        self.copies.refuses_changes()
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        let theirs = path.clone();
        let made = self
            .copies
            .change_at_once(&[(path, 0)], move |slot| slot.drive()?.create(&theirs))?;
        Ok(self.file(path, Access::ReadWrite, made))
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        let found = self.copies.read(|slot| {
            let file = slot.drive()?.open(path, access)?;
            Ok(file.map(|file| (slot.clone(), file)))
        })?;
        Ok(found.map(|opened| self.file(path, access, [opened])))
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        let theirs = (from.clone(), to.clone());
        let renamed = self
            .copies
            .change_at_once(&[(from, 0), (to, 0)], move |slot| {
                slot.drive()?.rename(&theirs.0, &theirs.1)
            });
        renamed.map(drop)
    }

    fn rename_over(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        let theirs = (from.clone(), to.clone());
        let renamed = self
            .copies
            .change_at_once(&[(from, 0), (to, 0)], move |slot| {
                slot.drive()?.rename_over(&theirs.0, &theirs.1)
            });
        renamed.map(drop)
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        let theirs = path.clone();
        let removed = self
            .copies
            .change_at_once(&[(path, 0)], move |slot| slot.drive()?.remove(&theirs))?;
        Ok(removed.iter().any(|(_, was_there)| *was_there))
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        // A file that one copy has lost is still a file.
        let mut found: Vec<DrivePath> = Vec::new();
        let mut failure = None;
        let mut answered = false;
        let mut asked = Vec::new();
        while let Some(slot) = self.copies.next_live(&asked) {
            asked.push((slot.no, slot.generation));
            match slot.drive().and_then(|drive| drive.list(folder)) {
                Ok(mut paths) => {
                    answered = true;
                    found.append(&mut paths);
                }
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        if !answered {
            return Err(failure.unwrap_or_else(|| self.copies.refusal()));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        let synced = self
            .copies
            .change_at_once(&[], move |slot| slot.drive()?.sync_folder(folder));
        synced.map(drop)
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.copies.read(|slot| slot.drive()?.read_small(path))
    }

    fn read_small_each(&self, path: &DrivePath) -> Result<Vec<Vec<u8>>, Error> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        // Collected on the way; every copy says that it is not the one to stop at.
        self.copies
            .read(|slot| {
                if let Some(bytes) = slot.drive()?.read_small(path)?
                    && !found.contains(&bytes)
                {
                    found.push(bytes);
                }
                Ok(None::<()>)
            })
            .or_else(|error| {
                if found.is_empty() {
                    Err(error)
                } else {
                    Ok(None)
                }
            })?;
        Ok(found)
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        let (theirs, bytes) = (path.clone(), bytes.to_vec());
        let replaced = self.copies.change_at_once(&[(path, 0)], move |slot| {
            slot.drive()?.replace(&theirs, &bytes)
        });
        replaced.map(drop)
    }

    fn has_room(&self) -> Result<bool, Error> {
        for slot in self.copies.view().live() {
            if !slot.drive()?.has_room()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn index_dir(&self) -> Option<PathBuf> {
        None
    }
}

impl Handles {
    /// The file on one copy.
    fn on(&self, slot: &Slot) -> Result<Arc<dyn DriveFile>, Error> {
        let is_theirs =
            |handle: &&Handle| handle.no == slot.no && handle.generation == slot.generation;
        if let Some(handle) = self.lock().iter().find(is_theirs) {
            return Ok(Arc::clone(&handle.file));
        }
        // Opened without the lock: a copy that hangs here holds up nobody else.
        let found = slot.drive()?.open(&self.path, self.access)?;
        let file = found.ok_or_else(|| Error::Corrupted {
            place: format!("{} on {}", self.path, slot.label()),
            reason: "a copy of the file is missing",
        })?;
        let mut open = self.lock();
        // What was opened late for an earlier time of the copy is not kept.
        let is_older = |handle: &Handle| handle.generation <= slot.generation;
        if open
            .iter()
            .all(|handle| handle.no != slot.no || is_older(handle))
        {
            open.retain(|handle| handle.no != slot.no);
            open.push(Handle {
                no: slot.no,
                generation: slot.generation,
                file: Arc::clone(&file),
            });
        }
        Ok(file)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handle>> {
        // Every change of it is a single one.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MirroredFile {
    fn read<T>(
        &self,
        mut read: impl FnMut(&dyn DriveFile) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let found = self
            .copies
            .read(|slot| read(self.shared.on(slot)?.as_ref()).map(Some))?;
        found.ok_or_else(|| self.copies.refusal())
    }

    fn write(
        &self,
        offset: u64,
        bytes: &[u8],
        write: impl Fn(&dyn DriveFile, &[u8]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let touched = [(&self.shared.path, offset)];
        if !self.copies.is_several() {
            let written = self.copies.change_in_turn(&touched, |slot| {
                write(self.shared.on(slot)?.as_ref(), bytes)
            });
            return written.map(drop);
        }
        let (shared, bytes) = (Arc::clone(&self.shared), bytes.to_vec());
        let written = self.copies.change_at_once(&touched, move |slot| {
            write(shared.on(slot)?.as_ref(), &bytes)
        });
        written.map(drop)
    }
}

impl DriveFile for MirroredFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        self.read(|file| file.read_at(offset, buf))
    }

    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        let Some(slot) = self.copies.next_live(&[]) else {
            return Ok(None);
        };
        // What fails here is told by the read that follows.
        let cached = self
            .shared
            .on(&slot)
            .and_then(|file| file.read_cached_at(offset, buf));
        Ok(cached.unwrap_or(None))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write(offset, bytes, move |file, bytes| {
            file.write_at(offset, bytes)
        })
    }

    /// One errand for each copy, not two.
    fn write_durably(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write(offset, bytes, move |file, bytes| {
            file.write_durably(offset, bytes)
        })
    }

    fn truncate(&self, len: u64) -> Result<(), Error> {
        let touched = [(&self.shared.path, len)];
        let shared = Arc::clone(&self.shared);
        let cut = self
            .copies
            .change_at_once(&touched, move |slot| shared.on(slot)?.truncate(len));
        cut.map(drop)
    }

    fn sync(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let synced = self
            .copies
            .change_at_once(&[], move |slot| shared.on(slot)?.sync());
        synced.map(drop)
    }

    fn len(&self) -> Result<u64, Error> {
        self.read(|file| file.len())
    }
}

impl fmt::Debug for MirroredFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirroredFile")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}
