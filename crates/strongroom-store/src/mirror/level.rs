// SPDX-License-Identifier: Apache-2.0
//! Before anything is served: all live copies are made equal, by what can be proven.
//!
//! ```text
//!   indexes opened and judged -> log: one image of each file -> indexes rebuilt -> anchor
//!      -> older log files -> audit log -> vault -> copies that failed on the way are fenced
//!      -> log files that are of no use go
//! ```
//!
//! Only copies that the ledger says are live have a say. Each is looked at by itself: sums,
//! chain and seals decide, never how many copies agree and never a time. What no live copy has
//! whole is the error that one drive alone would give.

use std::sync::Arc;

use bytes::Bytes;

use super::files::{self, Spliced};
use super::{CopyLedger, FileJudge, Indexes};
use crate::at_rest::AtRest;
use crate::backup::restored_mark;
use crate::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder};
use crate::error::Error;
use crate::table::level::{self, FileImage, FoundAnchor, Link, LogAnchor, Walk};
use crate::table::{Index, IndexOp, IndexRow, row_opens};
use crate::vault;

/// What opening several copies found and did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LevelReport {
    /// Files that were put right, by name and copy.
    pub mended: Vec<String>,
    /// Copies whose index was built again.
    pub rebuilt_indexes: Vec<DriveNo>,
    /// Copies that failed meanwhile, or were not there, and were fenced.
    pub fenced: Vec<DriveNo>,
    /// Files whose copies differ although each looks whole: only their owner can tell.
    pub undecided: Vec<String>,
    /// Log files that went from a copy: no start needs them, and they were whole nowhere or did not
    /// lead to those that are needed.
    pub let_go: u64,
}

/// A copy on its way to be level.
pub(crate) struct Candidate {
    pub(crate) no: DriveNo,
    pub(crate) drive: Arc<dyn Drive>,
    pub(crate) index: Result<Arc<dyn Index>, Error>,
    /// It lacks more than a crash could have taken: an older state of the copy.
    is_behind: bool,
    failure: Option<Error>,
}

/// What levelling works with.
pub(crate) struct Leveller<'a> {
    pub(crate) at_rest: &'a dyn AtRest,
    pub(crate) indexes: &'a dyn Indexes,
    pub(crate) judge: Option<&'a dyn FileJudge>,
    pub(crate) ledger: &'a dyn CopyLedger,
    pub(crate) report: LevelReport,
}

impl Candidate {
    pub(crate) fn open(no: DriveNo, drive: Arc<dyn Drive>, indexes: &dyn Indexes) -> Self {
        let index = indexes.open(no, &drive);
        Self {
            no,
            drive,
            index,
            is_behind: false,
            failure: None,
        }
    }

    fn is_well(&self) -> bool {
        self.failure.is_none()
    }

    fn failed_in_words(&self) -> String {
        let label = self.drive.label();
        match &self.failure {
            Some(error) => format!("drive {} at `{label}`: {error}", self.no),
            None => format!("drive {} at `{label}`", self.no),
        }
    }

    /// The outcome of an operation on this copy; a failure takes it out.
    fn tried<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(%error, copy = self.drive.label(), "a copy failed while the store opens");
                self.failure.get_or_insert(error);
                None
            }
        }
    }
}

impl Leveller<'_> {
    /// Makes the copies equal. What comes back is level; those that failed were fenced, together
    /// with those that are not there.
    pub(crate) fn run(
        &mut self,
        mut copies: Vec<Candidate>,
        absent: &[DriveNo],
    ) -> Result<Vec<Candidate>, Error> {
        let useless_before = self.log(&mut copies)?;
        self.audit(&mut copies)?;
        self.vault(&mut copies);
        self.restored(&mut copies);
        let (well, failed): (Vec<_>, Vec<_>) = copies.into_iter().partition(Candidate::is_well);
        let in_words = failed.iter().map(Candidate::failed_in_words);
        let in_words = in_words.collect::<Vec<_>>().join("; ");
        if well.is_empty() {
            let failure = failed.into_iter().find_map(|copy| copy.failure);
            return Err(failure.unwrap_or(Error::WorkerGone));
        }
        // INVARIANT: nothing is served without a copy before the ledger knows.
        let without = failed.iter().map(|copy| copy.no).chain(absent.to_vec());
        let without: Vec<_> = without.collect();
        if !without.is_empty() {
            let fenced = self.ledger.fence(&without);
            fenced.map_err(|error| match error {
                Error::NoMajority if !in_words.is_empty() => Error::DrivesRefuse {
                    reason: format!("too few copies of the tables can be used: {in_words}"),
                },
                other => other,
            })?;
        }
        self.report.fenced = without;
        for copy in &well {
            if let Err(error) = &copy.index {
                return Err(again(error));
            }
        }
        if useless_before > 0 {
            self.let_go(&well, useless_before);
        }
        Ok(well)
    }

    /// Removes the log files before a file, on the copies that are left.
    ///
    /// INVARIANT: nothing goes that any start may need, a catch-up, or a copy that is away and counts.
    /// - That file is the one of the newest anchor or lies before it. Every copy that is left has that
    ///   anchor, and a start reads nothing before it.
    /// - This is done when the others were fenced, not before: whoever was not there, or failed with an
    ///   older anchor, has no say any more. Had it kept its say, it might have been the only one at the
    ///   next start, with an anchor that needs such a file and can have its records from here only.
    ///   Where they cannot be fenced the start is refused, and nothing has gone.
    /// - A copy that is caught up is given what these have.
    fn let_go(&mut self, copies: &[Candidate], before: u64) {
        for copy in copies {
            match level::let_go_before(copy.drive.as_ref(), before) {
                Ok(0) => {}
                Ok(files) => {
                    let label = copy.drive.label();
                    tracing::warn!(
                        files,
                        before,
                        copy = label,
                        "old log files that lead nowhere were removed"
                    );
                    let files = u64::try_from(files).unwrap_or(u64::MAX);
                    self.report.let_go = self.report.let_go.saturating_add(files);
                }
                // They do no harm; scrub tries again, and a copy that fails is found out in its use.
                Err(error) => {
                    tracing::warn!(%error, copy = copy.drive.label(), "old log files that lead nowhere were not removed");
                }
            }
        }
    }

    /// Makes the logs equal. Returns the file before which log files are of no use to anybody; 0 when
    /// there are none.
    fn log(&mut self, copies: &mut [Candidate]) -> Result<u64, Error> {
        let mut anchors = Vec::new();
        let mut listed = Vec::new();
        for copy in copies.iter_mut() {
            let read = level::read_anchor(copy.drive.as_ref(), self.at_rest);
            anchors.extend(copy.tried(read));
            let files = level::files_of(copy.drive.as_ref());
            listed.push(copy.tried(files).unwrap_or_default());
        }
        let Some((anchor, anchor_bytes)) = level::newest_anchor(&anchors)? else {
            // What a copy that does not read holds is not known: it may be everything.
            if !copies.iter().all(Candidate::is_well) {
                return Err(first_failure(copies));
            }
            let is_missing = anchors
                .iter()
                .all(|anchor| matches!(anchor, FoundAnchor::Missing));
            let is_unused = |copy: &Candidate| match &copy.index {
                Ok(index) => level::is_unused(index.as_ref()),
                Err(_) => true,
            };
            if is_missing && listed.iter().all(Vec::is_empty) && copies.iter().all(is_unused) {
                return Ok(0);
            }
            return Err(level::no_anchor(is_missing));
        };
        let witness = |copy: &Candidate| match &copy.index {
            Ok(index) => level::witness_of(index.as_ref(), &anchor),
            Err(_) => 0,
        };
        let acknowledged = copies.iter().map(witness).max().unwrap_or(0);
        let mut walk = Walk::new(self.at_rest, anchor, acknowledged);
        let files = walk.files(&listed)?;
        for (at, first_seq) in files.iter().enumerate() {
            let later_file = at.saturating_add(1) < files.len();
            self.log_file(&mut walk, *first_seq, later_file, copies)?;
        }
        walk.finish(files.last().copied())?;
        self.indexes(copies, &anchor)?;
        let path = level::anchor_place();
        for copy in copies.iter_mut().filter(|copy| copy.is_well()) {
            let found = copy.drive.read_small(&path);
            if copy
                .tried(found)
                .is_some_and(|found| found.as_ref() != Some(&anchor_bytes))
            {
                let replaced = copy.drive.replace(&path, &anchor_bytes);
                if copy.tried(replaced).is_some() {
                    self.mended(&path, copy);
                }
            }
        }
        Ok(self.older_files(copies, &listed, &anchor))
    }

    fn log_file(
        &mut self,
        walk: &mut Walk<'_>,
        first_seq: u64,
        later_file: bool,
        copies: &mut [Candidate],
    ) -> Result<(), Error> {
        let path = level::log_place(first_seq);
        let mut contents = Vec::new();
        for copy in copies.iter_mut() {
            let read = if copy.is_well() {
                let read = files::read_all(copy.drive.as_ref(), &path);
                copy.tried(read)
            } else {
                None
            };
            contents.push(read);
        }
        let mut distinct: Vec<&[u8]> = Vec::new();
        for bytes in contents.iter().flatten() {
            let bytes = bytes.as_deref().unwrap_or_default();
            if !distinct.contains(&bytes) {
                distinct.push(bytes);
            }
        }
        if distinct.is_empty() {
            return Err(first_failure(copies));
        }
        let image = walk.file(first_seq, &distinct, later_file)?;
        let mut gone = 0;
        for (copy, found) in copies.iter_mut().zip(&contents) {
            let Some(found) = found else {
                continue;
            };
            match &image {
                FileImage::Gone => {
                    gone += usize::from(found.is_some());
                    let removed = copy.drive.remove(&path);
                    let removed = removed.and_then(|_| copy.drive.sync_folder(Folder::Log));
                    copy.tried(removed);
                }
                FileImage::Bytes(whole) => {
                    let found_bytes = found.as_deref().unwrap_or_default();
                    let differs = found.is_none()
                        || found_bytes.len() != whole.bytes.len()
                        || found_bytes.get(whole.proven_from..)
                            != whole.bytes.get(whole.proven_from..);
                    if !differs {
                        continue;
                    }
                    let lacks = |end: &&usize| **end > found_bytes.len();
                    // A crash takes one record at most, and only of the last file.
                    let lost = whole.record_ends.iter().filter(lacks).count();
                    copy.is_behind |= lost > usize::from(!later_file);
                    let written =
                        files::put(copy.drive.as_ref(), &path, &whole.bytes, whole.proven_from);
                    let written = written.and_then(|_| copy.drive.sync_folder(Folder::Log));
                    if copy.tried(written).is_some() {
                        self.mended(&path, copy);
                    }
                }
            }
        }
        if gone > 0 {
            tracing::warn!(%path, "a log file that was begun and never used was removed");
        }
        Ok(())
    }

    /// Builds those indexes again that cannot be the one of this log.
    fn indexes(&mut self, copies: &mut [Candidate], anchor: &LogAnchor) -> Result<(), Error> {
        let mut sound: Vec<Arc<dyn Index>> = Vec::new();
        let mut broken = Vec::new();
        let mut failure = None;
        for (at, copy) in copies.iter().enumerate().filter(|(_, copy)| copy.is_well()) {
            let judged = match &copy.index {
                Ok(index) => level::judge_index(index.as_ref(), anchor).map(|_| Arc::clone(index)),
                Err(error) => Err(again(error)),
            };
            match judged {
                Ok(index) => sound.push(index),
                Err(error) => {
                    failure.get_or_insert(error);
                    broken.push(at);
                }
            }
        }
        let Some(failure) = failure else {
            return Ok(());
        };
        if sound.is_empty() {
            return Err(failure);
        }
        for at in broken {
            let Some(copy) = copies.get_mut(at) else {
                continue;
            };
            tracing::warn!(error = %failure, copy = copy.drive.label(), "the index of a copy is built again");
            // Whoever held the old one lets go of it before its files are removed.
            copy.index = Err(Error::WorkerGone);
            let renewed = self.indexes.renew(copy.no, &copy.drive);
            let built = renewed.and_then(|index| {
                copy_rows(&sound, index.as_ref(), self.at_rest)?;
                Ok(index)
            });
            if let Some(index) = copy.tried(built) {
                copy.index = Ok(index);
                self.report.rebuilt_indexes.push(copy.no);
            }
        }
        Ok(())
    }

    /// Files that the anchor does not need: one that a copy lacks, or has cut, is brought back from
    /// a copy where it is whole and goes on into the next one. Their bytes are compared by
    /// [`super::Mirror::verify_copies`].
    ///
    /// Where no copy has it so, it is of no use, nor is what lies before it. Returns the file before
    /// which that is so; 0 when there is none, or when a copy could not be read that may have it.
    fn older_files(
        &mut self,
        copies: &mut [Candidate],
        listed: &[Vec<u64>],
        anchor: &LogAnchor,
    ) -> u64 {
        let journal_id = anchor.journal_id;
        let mut next = anchor.position.file;
        let mut files: Vec<u64> = listed.iter().flatten().copied().collect();
        files.retain(|first| *first < next);
        files.sort_unstable();
        files.dedup();
        // INVARIANT: the newest first, up to one that no copy has whole. So what is brought back
        // continues into the log without a hole, even if the only copy that has it fails on the way.
        for first_seq in files.into_iter().rev() {
            let path = level::log_place(first_seq);
            let lens: Vec<_> = copies
                .iter_mut()
                .map(|copy| {
                    let len = length(copy.drive.as_ref(), &path);
                    copy.tried(len).flatten()
                })
                .collect();
            if lens.windows(2).all(|pair| pair.first() == pair.last()) {
                next = first_seq;
                continue;
            }
            let (wanted, mut is_read) = where_begins(copies, journal_id, next);
            let whole = copies
                .iter()
                .filter(|copy| copy.is_well())
                .find_map(|copy| {
                    let read = files::read_all(copy.drive.as_ref(), &path);
                    // No reason to give the copy up, or to refuse a start: nothing needs the file.
                    let bytes = read.inspect_err(|error| {
                        is_read = false;
                        tracing::warn!(%error, copy = copy.drive.label(), "an older log file is not read; scrub looks again");
                    });
                    let bytes = bytes.ok()??;
                    let end = level::end_of_whole_file(&bytes, journal_id, first_seq, self.at_rest);
                    (end.is_some() && end == wanted).then_some(bytes)
                });
            let Some(whole) = whole else {
                return if is_read { next } else { 0 };
            };
            next = first_seq;
            // INVARIANT: a copy is as long as the others only when all before its last byte is on the
            // medium. Starts compare lengths.
            let most = whole.split_last().map_or(&[][..], |(_, most)| most);
            let whole_len = Some(files::len_u64(whole.len()));
            let lens = copies.iter_mut().zip(&lens);
            for (copy, len) in lens.filter(|(copy, _)| copy.is_well()) {
                let drive = copy.drive.as_ref();
                let begun = if *len == whole_len {
                    Ok(0)
                } else {
                    files::put(drive, &path, most, 0)
                };
                let written = begun.and_then(|_| files::put(drive, &path, &whole, 0));
                let written = written.and_then(|written| {
                    copy.drive.sync_folder(Folder::Log)?;
                    Ok(written)
                });
                if copy.tried(written).is_some_and(|written| written > 0) {
                    self.mended(&path, copy);
                }
            }
        }
        0
    }

    fn audit(&mut self, copies: &mut [Candidate]) -> Result<(), Error> {
        let paths = list_all(copies, Folder::Audit);
        let recent = paths.len().saturating_sub(RECENT_FILES);
        for (at, path) in paths.iter().enumerate() {
            let mut opened = Vec::new();
            for copy in copies.iter_mut().filter(|copy| copy.is_well()) {
                let file = copy.drive.open(path, Access::Read);
                if let Some(file) = copy.tried(file) {
                    opened.push(file);
                }
            }
            if opened.is_empty() {
                return Err(first_failure(copies));
            }
            if is_same(&opened, at >= recent)? {
                continue;
            }
            let files: Vec<_> = opened.into_iter().flatten().collect();
            let Some((whole, is_undecided)) = Spliced::of(path, &files, self.judge)? else {
                continue;
            };
            if is_undecided {
                self.undecided(path);
            }
            for copy in copies.iter_mut().filter(|copy| copy.is_well()) {
                let written = files::copy(&whole, copy.drive.as_ref(), path, 0);
                let written = written.and_then(|written| {
                    copy.drive.sync_folder(Folder::Audit)?;
                    Ok(written)
                });
                if copy.tried(written).is_some_and(|written| written > 0) {
                    self.mended(path, copy);
                }
            }
        }
        Ok(())
    }

    fn vault(&mut self, copies: &mut [Candidate]) {
        let well = || copies.iter().filter(|copy| copy.is_well());
        let all_behind = well().all(|copy| copy.is_behind);
        let current: Vec<bool> = copies
            .iter()
            .map(|copy| copy.is_well() && (all_behind || !copy.is_behind))
            .collect();
        for path in list_all(copies, Folder::Vault) {
            let mut contents = Vec::new();
            for (copy, is_current) in copies.iter_mut().zip(&current) {
                let read = copy.drive.read_small(&path);
                contents.push(copy.tried(read).flatten().map(|bytes| (bytes, *is_current)));
            }
            let current_contents = || {
                contents
                    .iter()
                    .flatten()
                    .filter(|(_, is_current)| *is_current)
                    .map(|(bytes, _)| bytes)
            };
            let mut whole: Vec<&Vec<u8>> = Vec::new();
            for bytes in current_contents().filter(|bytes| vault::is_whole(&path, bytes)) {
                if !whole.contains(&bytes) {
                    whole.push(bytes);
                }
            }
            if whole.len() > 1 {
                self.undecided(&path);
                continue;
            }
            let wanted = whole.first().copied().or_else(|| current_contents().next());
            for (copy, found) in copies.iter_mut().zip(&contents) {
                if !copy.is_well() || found.as_ref().map(|(bytes, _)| bytes) == wanted {
                    continue;
                }
                let drive = copy.drive.as_ref();
                let changed = match wanted {
                    Some(bytes) => files::put(drive, &path, bytes, 0).map(drop),
                    // An older copy still has what was destroyed since.
                    None => files::destroy(drive, &path),
                };
                let changed = changed.and_then(|()| drive.sync_folder(Folder::Vault));
                if copy.tried(changed).is_some() {
                    self.mended(&path, copy);
                }
            }
        }
    }

    /// That the tables came from a backup is known on every copy: one that is lost must not take
    /// it along.
    fn restored(&mut self, copies: &mut [Candidate]) {
        let path = restored_mark();
        let mut found = Vec::new();
        for copy in copies.iter_mut() {
            let read = copy.drive.read_small(&path);
            found.push(copy.tried(read).flatten());
        }
        let Some(mark) = found.iter().flatten().next().cloned() else {
            return;
        };
        for (copy, found) in copies.iter_mut().zip(&found) {
            if copy.is_well() && found.is_none() {
                let replaced = copy.drive.replace(&path, &mark);
                if copy.tried(replaced).is_some() {
                    self.mended(&path, copy);
                }
            }
        }
    }

    fn undecided(&mut self, path: &DrivePath) {
        let place = path.to_string();
        tracing::warn!(
            place,
            "copies of a file differ where nothing says which is right"
        );
        self.report.undecided.push(place);
    }

    fn mended(&mut self, path: &DrivePath, copy: &Candidate) {
        let place = format!("{path} on {}", copy.drive.label());
        tracing::warn!(place, "a copy was put right from the others");
        self.report.mended.push(place);
    }
}

/// Copies all rows into an empty index, each from the first index in which it opens.
fn copy_rows(from: &[Arc<dyn Index>], to: &dyn Index, at_rest: &dyn AtRest) -> Result<(), Error> {
    use std::ops::Bound;
    let mut last: Option<Vec<u8>> = None;
    loop {
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows: Result<Vec<IndexRow>, Error> = Err(Error::WorkerGone);
        for index in from {
            rows = index.range(start, Bound::Unbounded, COPIED_ROWS, false);
            if rows.is_ok() {
                break;
            }
        }
        let rows = rows?;
        let Some((key, _)) = rows.last() else {
            return to.persist();
        };
        last = Some(key.clone());
        let sound = |(key, row): IndexRow| {
            let row = if row_opens(at_rest, &key, &row) {
                row
            } else {
                let others = from.iter().filter_map(|index| index.get(&key).ok()?);
                let sound: Option<Bytes> =
                    others.into_iter().find(|row| row_opens(at_rest, &key, row));
                sound.unwrap_or(row)
            };
            IndexOp::Put { key, row }
        };
        to.apply(rows.into_iter().map(sound).collect())?;
    }
}

fn list_all(copies: &mut [Candidate], folder: Folder) -> Vec<DrivePath> {
    let mut paths = Vec::new();
    for copy in copies.iter_mut().filter(|copy| copy.is_well()) {
        let listed = copy.drive.list(folder);
        paths.extend(copy.tried(listed).unwrap_or_default());
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Where a log file begins, by the first copy whose header of it is valid, and whether all copies
/// that were asked could be read.
fn where_begins(
    copies: &[Candidate],
    journal_id: [u8; 16],
    first_seq: u64,
) -> (Option<Link>, bool) {
    let path = level::log_place(first_seq);
    let mut is_read = true;
    let found = copies
        .iter()
        .filter(|copy| copy.is_well())
        .find_map(|copy| {
            let bytes = files::read_first(copy.drive.as_ref(), &path, level::BEGINNING_BYTES);
            is_read &= bytes.is_ok();
            level::beginning_of(&bytes.ok()?, journal_id, first_seq)
        });
    (found, is_read)
}

fn length(drive: &dyn Drive, path: &DrivePath) -> Result<Option<u64>, Error> {
    let file = drive.open(path, Access::Read)?;
    file.map(|file| file.len()).transpose()
}

/// Whether all copies have the file, as long as each other, and with the same bytes if asked for.
fn is_same(opened: &[Option<Arc<dyn DriveFile>>], bytes_too: bool) -> Result<bool, Error> {
    let Some((first, others)) = opened.split_first() else {
        return Ok(true);
    };
    for other in others {
        let (Some(first), Some(other)) = (first, other) else {
            return Ok(false);
        };
        if first.len()? != other.len()?
            || (bytes_too && !files::are_equal(first.as_ref(), other.as_ref(), 0, |_| ())?)
        {
            return Ok(false);
        }
    }
    Ok(first.is_some())
}

fn first_failure(copies: &mut [Candidate]) -> Error {
    let failure = copies.iter_mut().find_map(|copy| copy.failure.take());
    failure.unwrap_or(Error::WorkerGone)
}

/// Errors cannot be cloned; damage keeps its words.
pub(crate) fn again(error: &Error) -> Error {
    match error {
        Error::Corrupted { place, reason } => Error::Corrupted {
            place: place.clone(),
            reason,
        },
        Error::DriveOutOfService { drive } => Error::DriveOutOfService {
            drive: drive.clone(),
        },
        other => Error::Index {
            detail: other.to_string(),
        },
    }
}

/// Only the newest file can end in what a crash left, and the one before it if that is empty.
const RECENT_FILES: usize = 2;
const COPIED_ROWS: usize = 64;
