// SPDX-License-Identifier: Apache-2.0
//! The files of the log on a drive: names, appending, removing.
//!
//! At most one record is not synced at any time, and it is the last: the judgement of a torn tail
//! rests on that (see [`super::log`]). A mark lies where the next record will go. Files grow by appending. Zeros written ahead would spare
//! the file system a length update, but then the end of the log could not be told from zeros
//! that a damaged sector reads as.

use std::sync::Arc;

use super::anchor::{Anchor, Position};
use super::log::{ChainHash, FileHeader, encode_mark};
use crate::drive::{Access, Drive, DriveFile, DrivePath, Folder};
use crate::error::Error;

/// The log file whose first commit is `first_seq`.
pub(crate) fn log_path(first_seq: u64) -> DrivePath {
    DrivePath::numbered(Folder::Log, "journal", first_seq)
}

/// The anchor file.
pub(crate) fn anchor_path() -> DrivePath {
    DrivePath::fixed(Folder::Log, "anchor")
}

/// Whether a drive has a log, or what is left of one.
pub(crate) fn has_log(drive: &dyn Drive) -> Result<bool, Error> {
    Ok(drive.read_small(&anchor_path())?.is_some() || !list_files(drive)?.is_empty())
}

/// The first commits of the log files on the drive, in order.
pub(crate) fn list_files(drive: &dyn Drive) -> Result<Vec<u64>, Error> {
    let files = drive.list(Folder::Log)?;
    let mut files: Vec<u64> = files
        .iter()
        .filter_map(|path| path.number("journal"))
        .collect();
    files.sort_unstable();
    Ok(files)
}

/// Reads a whole log file.
pub(crate) fn read_file(
    drive: &dyn Drive,
    first_seq: u64,
) -> Result<(Arc<dyn DriveFile>, Vec<u8>), Error> {
    let path = log_path(first_seq);
    let gone = || Error::Corrupted {
        place: path.to_string(),
        reason: "a log file is missing",
    };
    let file = drive.open(&path, Access::ReadWrite)?.ok_or_else(gone)?;
    let len = usize::try_from(file.len()?).map_err(|_| Error::TooLarge { what: "a log file" })?;
    let mut bytes = vec![0; len];
    let mut filled = 0_usize;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let offset = u64::try_from(filled).unwrap_or(u64::MAX);
        match file.read_at(offset, rest)? {
            0 => break,
            read => filled = filled.saturating_add(read),
        }
    }
    bytes.truncate(filled);
    Ok((file, bytes))
}

/// Removes the log files that neither replay nor retention needs: all but the last `retain`
/// before the file of the anchor.
pub(crate) fn remove_applied_files(
    drive: &dyn Drive,
    anchor: &Anchor,
    retain: usize,
) -> Result<(), Error> {
    let files = list_files(drive)?;
    let applied: Vec<u64> = files
        .into_iter()
        .filter(|first| *first < anchor.position.file)
        .collect();
    let removable = applied.len().saturating_sub(retain);
    for first_seq in applied.into_iter().take(removable) {
        drive.remove(&log_path(first_seq))?;
    }
    Ok(())
}

/// Removes the log files before the one that begins with the commit `first_seq`, durably, and returns
/// how many they were. The caller has seen to it that no start needs any of them: the anchor that
/// every start of this drive finds names that file or a later one.
pub(crate) fn remove_files_before(drive: &dyn Drive, first_seq: u64) -> Result<usize, Error> {
    // INVARIANT: the anchor that was read is on the medium before anything goes that an older one
    // would need. A process that was killed may have left its new name in memory only.
    drive.sync_folder(Folder::Log)?;
    let mut removed = 0_usize;
    // The oldest first, so that what a crash leaves of them is one piece with what is kept.
    for first in list_files(drive)? {
        if first < first_seq && drive.remove(&log_path(first))? {
            removed = removed.saturating_add(1);
        }
    }
    drive.sync_folder(Folder::Log)?;
    Ok(removed)
}

/// Appends to the log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    drive: Arc<dyn Drive>,
    journal_id: [u8; 16],
    file: Option<OpenFile>,
    file_bytes_full: u64,
}

/// The file at the end of the log.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) handle: Arc<dyn DriveFile>,
    pub(crate) first_seq: u64,
    /// Where the next record goes: behind the valid ones. A mark may lie there.
    pub(crate) len: u64,
    /// Whether a mark was written after the last sync.
    pub(crate) unsynced_mark: bool,
}

impl LogWriter {
    /// Continues behind `file`, of which everything is valid and synced.
    pub(crate) fn new(
        drive: Arc<dyn Drive>,
        journal_id: [u8; 16],
        file: Option<OpenFile>,
        file_bytes_full: u64,
    ) -> Self {
        Self {
            drive,
            journal_id,
            file,
            file_bytes_full,
        }
    }

    /// The drive that the log is on.
    pub(crate) fn drive(&self) -> &dyn Drive {
        self.drive.as_ref()
    }

    /// Appends a record and returns when it is durable. After an error it may be durable, in
    /// part or not at all, and nothing may be appended any more.
    pub(crate) fn append(
        &mut self,
        first_seq: u64,
        prev_hash: ChainHash,
        record: &[u8],
    ) -> Result<(), Error> {
        if self
            .file
            .as_ref()
            .is_some_and(|file| file.len >= self.file_bytes_full)
        {
            self.end_file()?;
        }
        let file = match self.file.as_mut() {
            Some(file) => file,
            None => self.begin_file(first_seq, prev_hash)?,
        };
        file.handle.write_durably(file.len, record)?;
        file.unsynced_mark = false;
        file.len = file.len.saturating_add(len_u64(record));
        Ok(())
    }

    /// Leaves a witness, not synced, that everything up to `seq` is durable.
    pub(crate) fn mark(&mut self, seq: u64, chain: &ChainHash) -> Result<(), Error> {
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        file.handle.write_at(file.len, &encode_mark(seq, chain))?;
        file.unsynced_mark = true;
        Ok(())
    }

    /// Makes a mark durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if let Some(file) = self.file.as_mut().filter(|file| file.unsynced_mark) {
            file.handle.sync()?;
            file.unsynced_mark = false;
        }
        Ok(())
    }

    /// Cuts off whatever an operation left that failed, behind the commit `last_seq`, which is the
    /// last that was answered; durably, so that nothing of it comes back.
    pub(crate) fn rewind(&mut self, last_seq: u64) -> Result<(), Error> {
        let current = self.file.as_ref().map(|file| file.first_seq);
        for first_seq in list_files(self.drive.as_ref())? {
            if first_seq > last_seq && Some(first_seq) != current {
                self.drive.remove(&log_path(first_seq))?;
            }
        }
        self.drive.sync_folder(Folder::Log)?;
        if let Some(file) = self.file.as_mut() {
            file.handle.truncate(file.len)?;
            file.handle.sync()?;
            file.unsynced_mark = false;
        }
        Ok(())
    }

    /// where the next record goes.
    pub(crate) fn position(&self, seq: u64, chain: ChainHash) -> Position {
        let (file, offset) = self
            .file
            .as_ref()
            .map_or((0, 0), |file| (file.first_seq, file.len));
        Position {
            seq,
            chain,
            file,
            offset,
        }
    }

    /// INVARIANT: a file is synced to its end before the next one is begun. Otherwise a torn mark
    /// in it would look like damage.
    fn end_file(&mut self) -> Result<(), Error> {
        self.sync()?;
        self.file = None;
        Ok(())
    }

    /// INVARIANT: name and header are synced before the first record is written, so that a file
    /// without a valid header never held one.
    fn begin_file(&mut self, first_seq: u64, prev_hash: ChainHash) -> Result<&mut OpenFile, Error> {
        let header = FileHeader {
            journal_id: self.journal_id,
            first_seq,
            prev_hash,
        }
        .to_bytes();
        let handle = self.drive.create(&log_path(first_seq))?;
        handle.write_at(0, &header)?;
        handle.sync()?;
        self.drive.sync_folder(Folder::Log)?;
        let len = len_u64(&header);
        Ok(self.file.insert(OpenFile {
            handle,
            first_seq,
            len,
            unsynced_mark: false,
        }))
    }
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
