// SPDX-License-Identifier: Apache-2.0
//! Small private files that are replaced whole: the superblock here; the key ring, the
//! certificates and the root credential in the server.
//!
//! A replacement is all or nothing: a temporary file beside the target is written and flushed,
//! renamed over it, and the folder is flushed. Files are made 0600, folders 0700.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Reads a whole small file; `None` when there is none. Refuses files above [`BYTES_MAX`].
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "file is too large",
        ));
    }
    Ok(Some(bytes))
}

/// Like [`read`], for secrets: refuses a file that group or others can reach.
pub fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the file is readable by others: set its mode to 0600",
        )),
        Ok(_) => read(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a whole file with mode 0600, durably and all or nothing.
pub fn write_private_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_private_in_steps(path, bytes).map_err(FailedStep::into_error)
}

/// Replaces a whole file that others may read (a CA certificate), durably and all or nothing.
pub fn write_public_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_durably(path, bytes, 0o644).map_err(FailedStep::into_error)
}

/// Makes a folder, and those above it, that only the owner may enter; durable on return.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    create_private_dir_in_steps(path).map_err(FailedStep::into_error)
}

/// Which step failed of those that end with a flush.
#[derive(Debug)]
pub(crate) enum FailedStep {
    /// One before: nothing has changed that counts.
    Change(io::Error),
    /// A flush: what is on the medium is not known.
    Flush(io::Error),
}

impl FailedStep {
    pub(crate) fn into_error(self) -> io::Error {
        match self {
            Self::Change(error) | Self::Flush(error) => error,
        }
    }
}

/// [`create_private_dir`], for who has to know what failed.
pub(crate) fn create_private_dir_in_steps(path: &Path) -> Result<(), FailedStep> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    create_private_dir_in_steps(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(FailedStep::Change(error));
        }
        _ => {}
    }
    flush_dir(above)
}

/// [`write_private_durably`], for who has to know what failed.
pub(crate) fn write_private_in_steps(path: &Path, bytes: &[u8]) -> Result<(), FailedStep> {
    write_durably(path, bytes, 0o600)
}

/// Flushes the names in a folder.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    flush_dir(path).map_err(FailedStep::into_error)
}

/// For a folder that is made with its content or not at all: an empty folder beside `path`, to
/// be filled and then handed to [`finish_dir`]. `None` when `path` has content already.
pub fn begin_dir(path: &Path) -> io::Result<Option<PathBuf>> {
    let is_made = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().transpose()?.is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if is_made {
        return Ok(None);
    }
    let new = beside(path)?;
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_private_dir(&new)?;
    Ok(Some(new))
}

/// Moves a folder of [`begin_dir`] to its place, durably. Its content must be flushed.
pub fn finish_dir(new: &Path, path: &Path) -> io::Result<()> {
    sync_dir(new)?;
    fs::rename(new, path)?;
    sync_dir(folder_of(path))
}

/// The names in a folder, in unspecified order, with a sign in the place of what is no text; `None` when it is not
/// there.
pub fn names_in(dir: &Path) -> io::Result<Option<Vec<String>>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<Vec<_>>>().map(Some)
}

/// Removes a folder that was made by [`begin_dir`] and [`finish_dir`], durably, with all it holds.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_dir(folder_of(path)),
    }
}

/// The folders in a folder, in unspecified order; none when it is not there.
pub fn folders_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// A file of any length: a backup.
pub type LargeFile = File;

/// Makes a file of any length for the caller to write, mode 0600; its name must be free.
pub fn make_large(path: &Path) -> io::Result<LargeFile> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Makes a file of [`make_large`] durable, bytes and name.
pub fn finish_large(file: &LargeFile, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    sync_dir(folder_of(path))
}

/// Takes a file of [`make_large`] away that came to nothing.
pub fn remove_large(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Opens a file of any length for reading.
pub fn open_large(path: &Path) -> io::Result<LargeFile> {
    File::open(path)
}

/// The files below a folder that hold these bytes anywhere; `read` hears of bytes that were
/// read. Symbolic links are not followed, what is no file or folder is left out, and a file that
/// is taken away meanwhile holds nothing.
pub fn files_holding(
    dir: &Path,
    wanted: &[u8],
    read: &mut dyn FnMut(u64),
) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && holds(&entry.path(), wanted, read)? {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn holds(path: &Path, wanted: &[u8], read: &mut dyn FnMut(u64)) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // What was read last is kept as far as the wanted bytes could have begun in it.
    let mut window = Vec::new();
    let mut piece = vec![0; SEARCH_BYTES];
    loop {
        let len = file.read(&mut piece)?;
        if len == 0 {
            return Ok(false);
        }
        read(u64::try_from(len).unwrap_or(u64::MAX));
        window.extend_from_slice(piece.get(..len).unwrap_or_default());
        if window
            .windows(wanted.len().max(1))
            .any(|bytes| bytes == wanted)
        {
            return Ok(true);
        }
        let kept = window.len().saturating_sub(wanted.len().saturating_sub(1));
        window.drain(..kept);
    }
}

/// Empties the files of a folder that have this extension, durably; returns how many. For files
/// whose content can be made again from elsewhere.
pub fn empty_files(dir: &Path, extension: &str) -> io::Result<u32> {
    let mut emptied = 0_u32;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(0)?;
            file.sync_all()?;
            emptied = emptied.saturating_add(1);
        }
    }
    Ok(emptied)
}

/// The largest file that is small.
pub const BYTES_MAX: u64 = 1 << 20;

fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FailedStep> {
    let temporary = beside(path).map_err(FailedStep::Change)?;
    let rename = || fs::rename(&temporary, path).map_err(FailedStep::Change);
    if let Err(failed) = write_new(&temporary, bytes, mode).and_then(|()| rename()) {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(failed);
    }
    flush_dir(folder_of(path))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FailedStep> {
    let write = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    let file = write().map_err(FailedStep::Change)?;
    file.sync_all().map_err(FailedStep::Flush)
}

/// [`sync_dir`], for who has to know what failed.
pub(crate) fn flush_dir(path: &Path) -> Result<(), FailedStep> {
    let folder = File::open(path).map_err(FailedStep::Change)?;
    folder.sync_all().map_err(FailedStep::Flush)
}

const SEARCH_BYTES: usize = 1 << 20;

fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no file name"))?
        .to_owned();
    name.push(".new");
    Ok(path.with_file_name(name))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}
