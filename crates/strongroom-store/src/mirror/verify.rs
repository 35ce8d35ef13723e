// SPDX-License-Identifier: Apache-2.0
//! Comparing copies that should be equal, while they serve.
//!
//! Files are compared without holding anybody up; where two differ they are compared once more
//! while changes pause, since one of them may just have been written. A copy of a file that is
//! whole by itself (sums, chain and seals; for the audit log, its chain) puts those right that
//! are not. Where that does not decide, the difference is told and nothing is changed.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::Mirror;
use super::bounded::bounded;
use super::catch_up::{FOLDERS, is_anchor, is_copied};
use super::copies::Slot;
use super::files;
use crate::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder};
use crate::error::Error;
use crate::table::{IndexOp, IndexRow, level, row_opens, row_place};
use crate::vault;

/// What comparing the copies came to.
#[derive(Debug, Default)]
pub struct CopiesReport {
    /// Files compared.
    pub files: u64,
    /// Rows compared.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What was not equal.
    pub differing: Vec<Difference>,
}

/// Something that is not the same on all copies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The file, or the row in words that do not tell its key.
    pub place: String,
    /// Copies that are not whole; all that differ, when none could be told from the others.
    pub copies: Vec<DriveNo>,
    /// Whether they were put right from a copy that is whole.
    pub mended: bool,
}

/// How far a comparison of the copies is.
#[derive(Debug, Default)]
pub struct CopiesWalk {
    /// Files to come; none before they were listed.
    files: Option<VecDeque<DrivePath>>,
    /// The last row that was compared.
    after: Option<Vec<u8>>,
    is_done: bool,
    /// Indexes that could not be read at some place, which is told once.
    unreadable: Vec<(DriveNo, String)>,
}

impl CopiesReport {
    /// Both together.
    pub(crate) fn add(&mut self, more: Self) {
        self.files = self.files.saturating_add(more.files);
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.differing.extend(more.differing);
    }
}

impl Mirror {
    /// Compares all live copies: files and rows. `seen` hears of bytes read and may break off.
    /// Blocks. What is damaged on some copies and whole on another is put right.
    pub fn verify_copies(
        &self,
        mut seen: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<CopiesReport, Error> {
        let mut walk = CopiesWalk::default();
        let mut report = CopiesReport::default();
        while let Some(piece) = self.verify_some(&mut walk)? {
            let bytes = piece.bytes;
            report.add(piece);
            if seen(bytes).is_break() {
                break;
            }
        }
        Ok(report)
    }

    /// Goes on with a comparison: a file, or some rows. `None` when it is through. Blocks.
    pub fn verify_some(&self, walk: &mut CopiesWalk) -> Result<Option<CopiesReport>, Error> {
        if walk.is_done {
            return Ok(None);
        }
        let mut piece = CopiesReport::default();
        let files = match &mut walk.files {
            Some(files) => files,
            unlisted => unlisted.insert(self.copied_files()?),
        };
        if let Some(path) = files.pop_front() {
            self.verify_file(&path, &mut piece);
            piece.files = 1;
        } else {
            let next = self
                .index
                .while_at_rest(|| self.verify_some_rows(walk, &mut piece));
            walk.is_done = next.is_none();
            walk.after = next;
        }
        for difference in &piece.differing {
            let Difference {
                place,
                copies,
                mended,
            } = difference;
            tracing::warn!(place, ?copies, mended, "copies of the tables differ");
            metrics::counter!("strongroom_copies_differing_total").increment(1);
        }
        Ok(Some(piece))
    }

    fn copied_files(&self) -> Result<VecDeque<DrivePath>, Error> {
        let all = self.all_in_time()?;
        let mut files = VecDeque::new();
        for folder in FOLDERS {
            files.extend(all.list(folder)?.into_iter().filter(is_copied));
        }
        Ok(files)
    }

    /// All copies as one drive, for who must not wait for one that does not answer.
    fn all_in_time(&self) -> Result<Arc<dyn Drive>, Error> {
        if !self.copies.has_threads() {
            return Ok(self.drive());
        }
        bounded(&self.drive(), self.copies.patience().persist, None)
    }

    fn verify_file(&self, path: &DrivePath, report: &mut CopiesReport) {
        if self.is_equal_everywhere(path, report) {
            return;
        }
        let _paused = self.copies.pause();
        if self.is_equal_everywhere(path, report) {
            return;
        }
        let view = self.copies.view();
        let mut whole: Vec<(&Slot, Vec<u8>)> = Vec::new();
        let mut broken = Vec::new();
        for slot in view.live() {
            match self.whole_content(slot, path) {
                Ok(Some(bytes)) => whole.push((slot, bytes)),
                Ok(None) => broken.push(slot),
                Err(error) => {
                    tracing::warn!(%error, copy = slot.label(), "a copy does not read");
                    broken.push(slot);
                }
            }
        }
        if !is_anchor(path) && path.folder() != Folder::Vault {
            // Such files only grow: what ends where a record ends may still have been cut.
            whole.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
            let longest = whole.first().map(|(_, bytes)| bytes.clone());
            let cut = |(_, bytes): &mut (&Slot, Vec<u8>)| {
                longest.as_ref().is_some_and(|longest| {
                    longest.len() > bytes.len() && longest.starts_with(bytes)
                })
            };
            broken.extend(whole.extract_if(.., cut).map(|(slot, _)| slot));
        }
        let undecided = whole
            .windows(2)
            .any(|pair| matches!(pair, [(_, one), (_, other)] if one != other));
        let mut difference = Difference {
            place: path.to_string(),
            copies: broken.iter().map(|slot| slot.no).collect(),
            mended: false,
        };
        match whole.first() {
            Some((_, bytes)) if !undecided => {
                difference.mended = true;
                let put = |slot: &Slot| {
                    let drive = self.in_time(slot)?;
                    files::put(drive.as_ref(), path, bytes, 0)?;
                    drive.sync_folder(path.folder())
                };
                for slot in broken {
                    if let Err(error) = put(slot) {
                        difference.mended = false;
                        self.give_up(slot, &error);
                    }
                }
            }
            _ => difference.copies = view.live().map(|slot| slot.no).collect(),
        }
        report.differing.push(difference);
    }

    /// The drive of a copy, for work during which changes pause.
    fn in_time(&self, slot: &Slot) -> Result<Arc<dyn Drive>, Error> {
        let drive = slot.drive.as_ref().ok_or(Error::WorkerGone)?;
        if !self.copies.has_threads() {
            return Ok(Arc::clone(drive));
        }
        bounded(drive, self.copies.patience().hang, Some(slot))
    }

    /// A copy that was being put right and failed is neither what it was nor what it should be,
    /// and may still be written to.
    fn give_up(&self, slot: &Slot, error: &Error) {
        tracing::warn!(%error, copy = slot.label(), "a copy could not be put right");
        if self.copies.view().live().count() > 1
            && let Err(error) = self.copies.fence(slot, error)
        {
            tracing::warn!(%error, copy = slot.label(), "nor could it be fenced");
        }
    }

    /// The bytes of a file on one copy, if they can be the ones that were written.
    fn whole_content(&self, slot: &Slot, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        let drive = self.in_time(slot)?;
        let drive = drive.as_ref();
        let at_rest = self.at_rest.as_ref();
        let Some(bytes) = files::read_all(drive, path)? else {
            return Ok(None);
        };
        let is_whole = match path.folder() {
            Folder::Vault => vault::is_whole(path, &bytes),
            Folder::Log if is_anchor(path) => level::is_anchor(&bytes, at_rest),
            Folder::Log => {
                let journal_id = level::journal_of(self.all_in_time()?.as_ref(), at_rest)?;
                match (level::first_seq_of(path), journal_id) {
                    (Some(first_seq), Some(journal_id)) => {
                        level::is_whole_file(&bytes, journal_id, first_seq, at_rest)
                    }
                    _ => false,
                }
            }
            _ => match (&self.audit, drive.open(path, Access::Read)?) {
                (Some(judge), Some(file)) => {
                    judge.judge(path, file.as_ref())?.plausible == files::len_u64(bytes.len())
                }
                _ => true,
            },
        };
        Ok(is_whole.then_some(bytes))
    }

    fn is_equal_everywhere(&self, path: &DrivePath, report: &mut CopiesReport) -> bool {
        let mut first: Option<Option<Arc<dyn DriveFile>>> = None;
        for slot in self.copies.view().live() {
            // A copy that does not read is not equal.
            let Ok(file) = self
                .in_time(slot)
                .and_then(|drive| drive.open(path, Access::Read))
            else {
                return false;
            };
            match (&first, file) {
                (None, file) => first = Some(file),
                (Some(None), None) => {}
                (Some(Some(one)), Some(other)) => {
                    let read = |bytes| report.bytes = report.bytes.saturating_add(bytes);
                    if !matches!(
                        files::are_equal(one.as_ref(), other.as_ref(), 0, read),
                        Ok(true)
                    ) {
                        return false;
                    }
                }
                _ => return false,
            }
        }
        true
    }

    /// Compares the next rows; nothing is applied meanwhile. Returns the key up to which they were
    /// compared.
    fn verify_some_rows(
        &self,
        walk: &mut CopiesWalk,
        report: &mut CopiesReport,
    ) -> Option<Vec<u8>> {
        let limit = self.copies.patience().hang;
        let view = self.copies.view();
        let mut pages: Vec<(&Slot, Vec<IndexRow>)> = Vec::new();
        for slot in view.live() {
            let cursor = walk.after.clone();
            let page = slot.ask(limit, move |slot| {
                let start = cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                slot.index()?
                    .range(start, Bound::Unbounded, COMPARED_ROWS, false)
            });
            match page {
                Ok(rows) => pages.push((slot, rows)),
                Err(error) => {
                    let known = (slot.no, error.to_string());
                    if !walk.unreadable.contains(&known) {
                        walk.unreadable.push(known);
                        report.differing.push(Difference {
                            place: format!("table index: {error}"),
                            copies: vec![slot.no],
                            mended: false,
                        });
                    }
                }
            }
        }
        // Behind the smallest last key of a full page, rows may be on the next one.
        let full = pages.iter().filter(|(_, rows)| rows.len() == COMPARED_ROWS);
        let until = full
            .filter_map(|(_, rows)| rows.last())
            .map(|(key, _)| key.clone())
            .min();
        let is_covered = |key: &[u8]| until.as_deref().is_none_or(|until| key <= until);
        let mut keys: Vec<&[u8]> = Vec::new();
        for (_, rows) in &pages {
            keys.extend(
                rows.iter()
                    .map(|(key, _)| key.as_slice())
                    .filter(|key| is_covered(key)),
            );
        }
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            report.rows = report.rows.saturating_add(1);
            let stored = |rows: &[IndexRow]| {
                let at = rows.binary_search_by(|(known, _)| known.as_slice().cmp(key));
                at.ok()
                    .and_then(|at| rows.get(at))
                    .map(|(_, row)| row.clone())
            };
            let found: Vec<_> = pages
                .iter()
                .map(|(slot, rows)| (*slot, stored(rows)))
                .collect();
            for (_, row) in &found {
                let len = row.as_ref().map_or(0, bytes::Bytes::len);
                report.bytes = report.bytes.saturating_add(files::len_u64(len));
            }
            let is_equal = found
                .windows(2)
                .all(|pair| matches!(pair, [(_, one), (_, other)] if one == other));
            if is_equal {
                continue;
            }
            report.differing.push(self.settle_row(key, &found));
        }
        until
    }

    /// Puts rows right that do not open. Of rows that do, the index alone cannot tell which one
    /// is the newest.
    fn settle_row(&self, key: &[u8], found: &[(&Slot, Option<bytes::Bytes>)]) -> Difference {
        let opens = |row: &bytes::Bytes| row_opens(self.at_rest.as_ref(), key, row);
        let mut sound: Vec<&Option<bytes::Bytes>> = Vec::new();
        let mut broken = Vec::new();
        for (slot, row) in found {
            if row.as_ref().is_some_and(|row| !opens(row)) {
                broken.push(*slot);
            } else if !sound.contains(&row) {
                sound.push(row);
            }
        }
        let mut difference = Difference {
            place: row_place(key),
            copies: found.iter().map(|(slot, _)| slot.no).collect(),
            mended: false,
        };
        if let [Some(row)] = sound.as_slice() {
            difference.copies = broken.iter().map(|slot| slot.no).collect();
            difference.mended = true;
            for slot in broken {
                let put = IndexOp::Put {
                    key: key.to_vec(),
                    row: row.clone(),
                };
                let limit = self.copies.patience().hang;
                let put = || slot.ask(limit, move |slot| slot.index()?.apply(vec![put]));
                if let Err(error) = self.index.while_mending(put) {
                    difference.mended = false;
                    self.give_up(slot, &error);
                }
            }
        }
        difference
    }
}

const COMPARED_ROWS: usize = 64;
