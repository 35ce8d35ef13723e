// SPDX-License-Identifier: Apache-2.0
//! A copy that comes back, or a new one, while the others go on.
//!
//! ```text
//!   1. every file is noted as touched; from here on, so is whatever changes
//!   2. rounds: take the notes, copy those files from where they changed on
//!   3. the index: new, row by row; changes behind the cursor go to it as well
//!   4. changes pause: the last notes, everything is compared, the ledger, the copy counts
//! ```
//!
//! The vault comes first: what was destroyed while the copy was away is overwritten and removed on
//! it before anything else. Nothing that the copy holds is believed; it is compared, or replaced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::bounded::bounded;
use super::copies::{Slot, Touched};
use super::files;
use super::{CopyState, Mirror};
use crate::backup::restored_mark;
use crate::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder};
use crate::error::Error;
use crate::table::{Index, level};
use crate::vault;

/// What it took to bring a copy level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CaughtUp {
    /// Files looked at, each time that it was.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that the copy had and should not have.
    pub removed: u64,
}

impl Mirror {
    /// Brings the copy on `drive` level with the others, whatever the drive holds, while commits
    /// go on; then it counts. Blocks. After an error the copy stays fenced, and may be tried again.
    pub fn catch_up(&self, copy: DriveNo, drive: &Arc<dyn Drive>) -> Result<CaughtUp, Error> {
        let _one = self
            .catching_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.copies.view().live().any(|slot| slot.no == copy) {
            return Err(Error::Misuse {
                what: "a copy that counts was caught up",
            });
        }
        if self.copies.refuses_changes() {
            return Err(self.copies.refusal());
        }
        self.level_copy(copy, drive, false, |slot| self.copies.admit(slot))
    }

    /// Brings a copy level, whatever it is now; `admit` makes it count while changes pause, or keeps
    /// it for that: then its index `goes_on` to get every change. After an error the copy is what it
    /// was.
    pub(crate) fn level_copy(
        &self,
        copy: DriveNo,
        drive: &Arc<dyn Drive>,
        goes_on: bool,
        admit: impl FnOnce(Slot) -> Result<(), Error>,
    ) -> Result<CaughtUp, Error> {
        self.copies.let_go(copy)?;
        let before = self.copies.view().state(copy);
        let slot = self
            .copies
            .slot(copy, Arc::clone(drive), CopyState::CatchingUp, None)?;
        {
            let _paused = self.copies.pause();
            self.copies.set(slot.clone());
        }
        let mut done = CaughtUp::default();
        let level = self.level_slot(&slot, &mut done, goes_on, admit);
        match level {
            Ok(()) => {
                tracing::info!(
                    copy = drive.label(),
                    ?done,
                    "a copy of the tables is level again"
                );
                Ok(done)
            }
            Err(error) => {
                tracing::warn!(%error, copy = drive.label(), "a copy of the tables was not brought level");
                self.copies.set(match before {
                    Some(CopyState::Failed) => Slot::failed(copy),
                    _ => Slot::fenced(copy),
                });
                Err(error)
            }
        }
    }

    fn level_slot(
        &self,
        slot: &Slot,
        done: &mut CaughtUp,
        goes_on: bool,
        admit: impl FnOnce(Slot) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let drive = slot.drive.clone().ok_or(Error::WorkerGone)?;
        let touched = slot.touched.clone().unwrap_or_default();
        let (indexes, copy) = (Arc::clone(&self.indexes), slot.no);
        let theirs = Arc::clone(&drive);
        let index = slot.ask(self.copies.patience().persist, move |_| {
            indexes.renew(copy, &theirs)
        })?;
        let (source, target) = if self.copies.has_threads() {
            // Neither may hold up changes for ever while they wait for this.
            let limit = self.copies.patience().hang.saturating_mul(SLOWER);
            (
                bounded(&self.drive(), limit, None)?,
                bounded(&drive, limit, Some(slot))?,
            )
        } else {
            (self.drive(), drive)
        };
        let mut run = Run {
            mirror: self,
            source: source.as_ref(),
            target: target.as_ref(),
            touched: &touched,
            done: CaughtUp::default(),
        };
        let level = run.bring_level(slot, &index, goes_on, admit);
        *done = run.done;
        if level.is_err() {
            self.index.end_building(slot.generation);
            if self.copies.has_threads() {
                // Closing it may wait for the drive.
                slot.let_go_of(index);
            }
        }
        level
    }
}

struct Run<'a> {
    mirror: &'a Mirror,
    source: &'a dyn Drive,
    target: &'a dyn Drive,
    touched: &'a Mutex<Touched>,
    done: CaughtUp,
}

impl Run<'_> {
    fn bring_level(
        &mut self,
        slot: &Slot,
        index: &Arc<dyn Index>,
        goes_on: bool,
        admit: impl FnOnce(Slot) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let patience = self.mirror.copies.patience();
        let persist = |limit| {
            let index = Arc::clone(index);
            slot.ask(limit, move |_| index.persist())
        };
        self.note_everything()?;
        for _ in 0..ROUNDS_MAX {
            let before = self.done.bytes;
            let files = self.take_notes();
            let count = files.len();
            self.level_files(&files)?;
            if count <= FEW_FILES && self.done.bytes.saturating_sub(before) <= FEW_BYTES {
                break;
            }
        }
        let at_rest = self.mirror.at_rest.as_ref();
        self.mirror.index.build(slot, index, at_rest)?;
        // Most of it now, so that what is left while changes pause is little.
        persist(patience.persist)?;
        let files = self.take_notes();
        self.level_files(&files)?;

        let _paused = self.mirror.copies.pause();
        let files = self.take_notes();
        self.level_files(&files)?;
        self.level_restored()?;
        self.compare()?;
        persist(patience.hang.saturating_mul(SLOWER))?;
        let mut counting = slot.clone();
        counting.index = Some(Arc::clone(index));
        let built = &self.mirror.index;
        built.when_built(slot.generation, goes_on, || {
            // INVARIANT: whatever the anchor says by now, this index has it durably before the copy
            // counts. No anchor is replaced while changes pause; but a commit that was on its way
            // may have been shown since, and a checkpoint taken of the other copies.
            persist(patience.hang.saturating_mul(SLOWER))?;
            admit(counting)
        })
    }

    /// Whether the tables came from a backup is the same on all copies.
    fn level_restored(&self) -> Result<(), Error> {
        let path = restored_mark();
        let (wanted, found) = (
            self.source.read_small(&path)?,
            self.target.read_small(&path)?,
        );
        match wanted {
            _ if wanted == found => Ok(()),
            Some(mark) => self.target.replace(&path, &mark),
            None => {
                self.target.remove(&path)?;
                self.target.sync_folder(Folder::Top)
            }
        }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Touched> {
        // A note is a single insert.
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_notes(&self) -> BTreeMap<DrivePath, u64> {
        std::mem::take(&mut self.notes().files)
    }

    /// All files, of the others and of this copy, from their first byte on.
    fn note_everything(&self) -> Result<(), Error> {
        for folder in FOLDERS {
            let mut paths = self.source.list(folder)?;
            paths.extend(self.target.list(folder)?);
            let mut notes = self.notes();
            for path in paths.iter().filter(|path| is_copied(path)) {
                notes.note(path, 0);
            }
        }
        Ok(())
    }

    /// Makes these files equal, and durable with their names: the vault's first.
    fn level_files(&mut self, files: &BTreeMap<DrivePath, u64>) -> Result<(), Error> {
        for folder in FOLDERS {
            let in_folder = files.iter().filter(|(path, _)| path.folder() == folder);
            let mut any = false;
            for (path, from) in in_folder.filter(|(path, _)| is_copied(path)) {
                any = true;
                self.level_file(path, *from)?;
            }
            if any {
                self.target.sync_folder(folder)?;
            }
        }
        Ok(())
    }

    fn level_file(&mut self, path: &DrivePath, from: u64) -> Result<(), Error> {
        self.done.files = self.done.files.saturating_add(1);
        let written = match self.source(path, from)? {
            Source::File(source) => files::copy(source.as_ref(), self.target, path, from)?,
            Source::Bytes(bytes) => files::put(self.target, path, &bytes, 0)?,
            Source::Gone => {
                files::destroy(self.target, path)?;
                self.done.removed = self.done.removed.saturating_add(1);
                0
            }
        };
        self.done.bytes = self.done.bytes.saturating_add(written);
        Ok(())
    }

    /// What the file should hold: from a copy in which it is whole, where that can be told.
    fn source(&self, path: &DrivePath, from: u64) -> Result<Source, Error> {
        let drive = self.source;
        if path.folder() == Folder::Vault || is_anchor(path) {
            let contents = drive.read_small_each(path)?;
            let at_rest = self.mirror.at_rest.as_ref();
            let is_whole = |bytes: &&Vec<u8>| match path.folder() {
                Folder::Vault => vault::is_whole(path, bytes),
                _ => level::is_anchor(bytes, at_rest),
            };
            let whole = contents.iter().find(is_whole).or(contents.first());
            return Ok(whole.cloned().map_or(Source::Gone, Source::Bytes));
        }
        let is_closed = from == 0 && !self.is_last(path)?;
        if is_closed
            && let Some(first_seq) = level::first_seq_of(path)
            && let Some(journal_id) = level::journal_of(drive, self.mirror.at_rest.as_ref())?
        {
            let at_rest = self.mirror.at_rest.as_ref();
            let limit = self.mirror.copies.patience().persist;
            let mut asked = Vec::new();
            while let Some(slot) = self.mirror.copies.next_live(&asked) {
                asked.push((slot.no, slot.generation));
                let wanted = path.clone();
                let bytes = slot.ask(limit, move |slot| files::read_all(slot.drive()?, &wanted));
                // A copy that does not read is passed over; the mirror's own read tells the error.
                if let Ok(Some(bytes)) = bytes
                    && level::is_whole_file(&bytes, journal_id, first_seq, at_rest)
                {
                    return Ok(Source::Bytes(bytes));
                }
            }
        }
        let file = drive.open(path, Access::Read)?;
        Ok(file.map_or(Source::Gone, Source::File))
    }

    fn is_last(&self, path: &DrivePath) -> Result<bool, Error> {
        let files = self.source.list(path.folder())?;
        Ok(files.iter().filter(|path| is_copied(path)).max() == Some(path))
    }

    /// While nothing changes: the same names, lengths and ends of files as the others.
    fn compare(&self) -> Result<(), Error> {
        for folder in FOLDERS {
            let list = |drive: &dyn Drive| {
                let mut paths = drive.list(folder)?;
                paths.retain(is_copied);
                paths.sort_unstable();
                Ok::<_, Error>(paths)
            };
            let source = self.source;
            let (wanted, found) = (list(source)?, list(self.target)?);
            if wanted != found {
                return Err(Error::Corrupted {
                    place: folder.as_text(),
                    reason: "a copy does not have the files it was given",
                });
            }
            for path in &wanted {
                let ours = self.target.open(path, Access::Read)?;
                let theirs = source.open(path, Access::Read)?;
                let (Some(ours), Some(theirs)) = (ours, theirs) else {
                    return Err(files::not_kept(path));
                };
                let len = theirs.len()?;
                let tail = len.saturating_sub(COMPARED_TAIL_BYTES);
                if ours.len()? != len
                    || !files::are_equal(ours.as_ref(), theirs.as_ref(), tail, |_| ())?
                {
                    return Err(files::not_kept(path));
                }
            }
        }
        Ok(())
    }
}

enum Source {
    File(Arc<dyn DriveFile>),
    Bytes(Vec<u8>),
    Gone,
}

/// Whether the copies have this file in common. Each index is its own copy's affair.
pub(crate) fn is_copied(path: &DrivePath) -> bool {
    match path.folder() {
        Folder::Log => level::first_seq_of(path).is_some() || is_anchor(path),
        folder => FOLDERS.contains(&folder),
    }
}

pub(crate) fn is_anchor(path: &DrivePath) -> bool {
    *path == level::anchor_place()
}

/// The folders that are mirrored, in the order in which they are brought level.
pub(crate) const FOLDERS: [Folder; 3] = [Folder::Vault, Folder::Log, Folder::Audit];

const ROUNDS_MAX: usize = 32;
const FEW_FILES: usize = 8;
const FEW_BYTES: u64 = 1 << 20;
/// What is done while changes pause may take so many times as long as a change.
const SLOWER: u32 = 3;
const COMPARED_TAIL_BYTES: u64 = 4096;
