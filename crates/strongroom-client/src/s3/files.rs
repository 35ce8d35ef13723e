// SPDX-License-Identifier: Apache-2.0
//! All files of the client: sources, spools, results, and records of uploads.
//!
//! Calls block: they are made where blocking is allowed (`tokio::task::spawn_blocking`).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;

/// A file that is read from, at any place.
#[derive(Debug)]
pub(super) struct SourceFile {
    file: File,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl SourceFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file: read it as a stream",
            ));
        }
        Ok(Self {
            file,
            bytes: facts.len(),
            modified: facts.modified().ok(),
        })
    }

    /// Its length when it was opened.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    /// Whether length and time are what they were when it was opened.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        let facts = self.file.metadata()?;
        Ok(facts.len() == self.bytes && facts.modified().ok() == self.modified)
    }
}

/// A file without a name: it goes with the process.
#[derive(Debug)]
pub(super) struct SpoolFile(File);

impl SpoolFile {
    pub(super) fn create(folder: Option<&Path>) -> io::Result<Self> {
        let file = match folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        file.map(Self)
    }

    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }
}

/// A file that gets its name when it is whole. Until then nobody but its owner may read it, and
/// it goes when it is dropped.
#[derive(Debug)]
pub(super) struct ResultFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl ResultFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        let file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".part")
            .tempfile_in(folder)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.as_file().write_all_at(bytes, at)
    }

    /// Gives the file its name, on the drive.
    pub(super) fn publish(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(&self.path)
    }
}

/// The file of an upload's record: lines that are only ever added. Whoever has it has it alone.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: File,
    path: PathBuf,
}

impl RecordFile {
    /// The file and what it says; empty if it is new. A file that others can read or write is
    /// refused: a record says under which data key an upload goes on, and where the keyring is an
    /// RSA key, everybody can wrap one that he knows.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the record of the upload is open to others than its owner",
            ));
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process goes on with this upload",
            ),
        })?;
        let mut text = Vec::new();
        let mut record = Self {
            file,
            path: path.to_owned(),
        };
        // Longer than any upload of 10,000 parts makes it.
        (&mut record.file)
            .take(RECORD_BYTES_MAX)
            .read_to_end(&mut text)?;
        Ok((record, text))
    }

    /// Cuts off what a crash left half written.
    pub(super) fn keep(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Adds a line; it is on the drive when this returns.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let is_new = self.file.metadata()?.len() == 0;
        self.file.write_all(&[line, b"\n"].concat())?;
        self.file.sync_data()?;
        if is_new {
            sync_folder(&self.path)
        } else {
            Ok(())
        }
    }

    /// The upload is over.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;
