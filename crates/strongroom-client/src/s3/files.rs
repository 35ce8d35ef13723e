// SPDX-License-Identifier: Apache-2.0
//! All files of the client: sources, spools, results, and records of uploads.
//!
//! Calls block: they are made where blocking is allowed (`tokio::task::spawn_blocking`).

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
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

    /// Whether length and time are what they were when it was opened, and nothing lies behind the
    /// end: files that are made up while they are read say that they are empty.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        let facts = self.file.metadata()?;
        let is_same = facts.len() == self.bytes && facts.modified().ok() == self.modified;
        Ok(is_same && self.file.read_at(&mut [0], self.bytes)? == 0)
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
///
/// Where the file system can, it has no name at all until then, so that nothing is left of it
/// when the process is killed or the power fails. Elsewhere it is `.XXXXXX.part` beside the result,
/// and a killed process leaves it there.
#[derive(Debug)]
pub(super) struct ResultFile {
    file: Unpublished,
    path: PathBuf,
    /// Bytes that were written.
    written: AtomicU64,
}

#[derive(Debug)]
enum Unpublished {
    Nameless(File),
    Named(NamedTempFile),
}

impl ResultFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = match nameless(folder_of(path)) {
            Some(file) => Unpublished::Nameless(file),
            None => Unpublished::Named(unpublished().tempfile_in(folder_of(path))?),
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            written: AtomicU64::new(0),
        })
    }

    /// Writes, and now and then brings to the drive what was written, while others fetch: the end
    /// would have to wait for all of it at once.
    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file().write_all_at(bytes, at)?;
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let before = self.written.fetch_add(added, Ordering::Relaxed);
        if before / SYNC_BYTES < before.saturating_add(added) / SYNC_BYTES {
            self.file().sync_data()?;
        }
        Ok(())
    }

    /// Gives the file its name, on the drive. By `access` others may read it, too; it is given to
    /// the file, and not to what has its name a moment later.
    pub(super) fn publish(self, access: Access) -> io::Result<()> {
        access.give(self.file())?;
        self.file().sync_all()?;
        match self.file {
            Unpublished::Named(file) => {
                file.persist(&self.path).map_err(|error| error.error)?;
            }
            Unpublished::Nameless(file) => {
                // A rename replaces what is there, a link does not: so it is both.
                let linked = unpublished().make_in(folder_of(&self.path), |name| {
                    let flags = AtFlags::SYMLINK_FOLLOW;
                    Ok(rustix::fs::linkat(CWD, own_path(&file), CWD, name, flags)?)
                })?;
                linked.persist(&self.path).map_err(|error| error.error)?;
            }
        }
        sync_folder(&self.path)
    }

    fn file(&self) -> &File {
        match &self.file {
            Unpublished::Nameless(file) => file,
            Unpublished::Named(file) => file.as_file(),
        }
    }
}

/// Who may read a result besides its owner: nobody, if nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Access {
    /// Permission bits.
    pub(super) mode: Option<u32>,
    /// The group that those of the group are meant for; `None` is the one that new files have.
    pub(super) group: Option<u32>,
}

impl Access {
    fn give(self, file: &File) -> io::Result<()> {
        // First the group: as long as it is another one, it may not read.
        let is_groups = self.has_group(file)?;
        let Some(mode) = self.mode else {
            return Ok(());
        };
        let mode = if is_groups && !has_acl(file) {
            mode
        } else {
            mode & !GROUP_BITS
        };
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Whether the file is of the group that is meant, by now.
    fn has_group(self, file: &File) -> io::Result<bool> {
        let Some(group) = self.group else {
            return Ok(true);
        };
        if file.metadata()?.gid() == group {
            return Ok(true);
        }
        // The last number means that nothing is to be changed. Who is not in the group may not.
        Ok(group != u32::MAX && fchown(file, None, Some(group)).is_ok())
    }
}

/// Whether the file has an access list, from its folder: with one, the bits of the group are what
/// anybody in the list may have. What is not known is taken for one.
fn has_acl(file: &File) -> bool {
    match rustix::fs::fgetxattr_query(file, "system.posix_acl_access") {
        Ok(bytes) => bytes > 0,
        Err(error) => error != Errno::NODATA && error != Errno::OPNOTSUPP,
    }
}

/// A file without a name that can get one later; `None` where there is no such thing.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?);
    // What the umask takes away from the owner is given back, and nobody else has anything.
    file.set_permissions(Permissions::from_mode(0o600)).ok()?;
    // It gets its name by way of this path.
    std::fs::symlink_metadata(own_path(&file)).ok()?;
    Some(file)
}

fn own_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn unpublished() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".part");
    builder
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
    /// RSA key, everybody can wrap one that he knows. For the same reason it must be the caller's
    /// own, and no link to something else.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        for _ in 0..OPENINGS {
            // Whoever had the lock before may have removed the file, so what was opened need not
            // be what has the name.
            let Some(file) = Self::open_or_make(path)? else {
                continue;
            };
            check_own(&file)?;
            file.try_lock().map_err(|error| match error {
                TryLockError::Error(error) => error,
                TryLockError::WouldBlock => io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another process goes on with this upload",
                ),
            })?;
            if is_at(&file, path)? {
                return Self::read(file, path);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "others make and remove the record of the upload",
        ))
    }

    /// `None` if it went in the moment in which it was looked at.
    fn open_or_make(path: &Path) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        // This follows no link, not even one that points at nothing.
        match options.clone().create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(Some),
        }
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        };
        match std::fs::symlink_metadata(path) {
            Err(error) => gone(error),
            Ok(facts) if !facts.is_file() => {
                Err(denied("the record of the upload is no regular file"))
            }
            Ok(_) => options.open(path).map_or_else(gone, |file| Ok(Some(file))),
        }
    }

    fn read(file: File, path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let record = Self {
            file,
            path: path.to_owned(),
        };
        let mut text = Vec::new();
        let most = RECORD_BYTES_MAX.saturating_add(1);
        (&record.file).take(most).read_to_end(&mut text)?;
        if record.file.metadata()?.len() > RECORD_BYTES_MAX {
            // INVARIANT: what a record says is never cut: a part that was sent would be forgotten.
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the record of the upload is longer than one can be",
            ));
        }
        // A process that was killed may have left lines that are not on the drive yet.
        record.file.sync_all()?;
        Ok((record, text))
    }

    /// Cuts off what a crash left half written.
    pub(super) fn keep(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Adds a line.
    pub(super) fn append(&mut self, line: &[u8], when: Durability) -> io::Result<()> {
        let bytes = self.file.metadata()?.len();
        let is_new = bytes == 0;
        let line = [line, b"\n"].concat();
        let added = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if bytes.saturating_add(added) > RECORD_BYTES_MAX {
            // Names of parts are the store's; it must not make the file longer than is read.
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the record of the upload would be longer than one can be",
            ));
        }
        self.file.write_all(&line)?;
        match when {
            Durability::Now => self.file.sync_data()?,
            Durability::Later => {}
        }
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

/// When a line of a record is on the drive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Durability {
    /// When it was added.
    Now,
    /// With the next one that is, or when the system likes: after a failure of power it may be gone.
    Later,
}

/// A record is its owner's, and nobody else reads or writes it.
fn check_own(file: &File) -> io::Result<()> {
    let facts = file.metadata()?;
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(denied(
            "the record of the upload is open to others than its owner",
        ));
    }
    if facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(denied("the record of the upload belongs to somebody else"));
    }
    Ok(())
}

fn denied(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Whether this file is the one of that name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((own.dev(), own.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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

/// What a mode gives to a group.
const GROUP_BITS: u32 = 0o070;
/// Several times what an upload of 10,000 parts makes it.
const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of a result between two visits to the drive.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;
/// How often a record may go while it is opened.
const OPENINGS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Both ways, one after the other, whatever the file system of this machine can.
    fn results(path: &Path) -> impl Iterator<Item = ResultFile> {
        [true, false].into_iter().map(move |is_named| {
            let named = || Unpublished::Named(unpublished().tempfile_in(folder_of(path)).unwrap());
            let mut result = ResultFile::create(path).unwrap();
            if is_named {
                result.file = named();
            }
            result
        })
    }

    #[test]
    fn a_result_gets_its_name_last_and_leaves_nothing_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        for result in results(&path) {
            result.write_at(b"unverified", 0).unwrap();
            assert_eq!(result.file().metadata().unwrap().mode() & 0o777, 0o600);
            drop(result);
        }
        assert_eq!(names(folder.path()), 0);
        for (index, result) in results(&path).enumerate() {
            let content = [u8::try_from(index).unwrap(); 5];
            result.write_at(&content, 0).unwrap();
            result.publish(Access::default()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), content);
            assert_eq!((mode(&path), names(folder.path())), (0o600, 1));
        }
        for result in results(&path) {
            result.publish(SHARED).unwrap();
            assert_eq!((mode(&path), names(folder.path())), (0o640, 1));
        }
        assert!(ResultFile::create(&folder.path().join("none/result")).is_err());
    }

    const SHARED: Access = Access {
        mode: Some(0o640),
        group: None,
    };

    /// Story: a file for its owner and the group `payroll` was replaced by one of the same mode and
    /// of the group that new files have: everybody in that could read it.
    #[test]
    fn a_group_may_read_only_if_it_is_the_one_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let is_root = rustix::process::geteuid().is_root();
        let own = rustix::process::getegid().as_raw();
        for group in [own, own + 4242, u32::MAX] {
            let access = Access {
                group: Some(group),
                ..SHARED
            };
            for result in results(&path) {
                result.publish(access).unwrap();
                let facts = std::fs::metadata(&path).unwrap();
                let is_given = group == own || (is_root && group != u32::MAX);
                assert_eq!(facts.gid() == group, is_given);
                assert_eq!(mode(&path), if is_given { 0o640 } else { 0o600 }, "{group}");
            }
        }
        // A group that cannot be given, whoever asks: the owner of what is opened so is not changed.
        let flags = i32::try_from(OFlags::PATH.bits()).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path);
        let access = Access {
            group: Some(own + 4243),
            ..SHARED
        };
        assert!(!access.has_group(&file.unwrap()).unwrap());
    }

    /// In a folder whose list gives new files to somebody, the bits of the group are his.
    #[test]
    fn a_list_from_the_folder_gives_nobody_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 6, u32::MAX),
            (0x02, 6, 4242),
            (0x04, 4, u32::MAX),
            (0x10, 6, u32::MAX),
            (0x20, 0, u32::MAX),
        ];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(bits.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::setxattr(folder.path(), "system.posix_acl_default", &list, flags);
        if set == Err(Errno::OPNOTSUPP) {
            // There are no lists here, and so nothing that they give.
            return;
        }
        set.unwrap();
        for result in results(&path) {
            result.publish(SHARED).unwrap();
            assert_eq!(mode(&path), 0o600);
        }
    }

    /// Killed in the middle, a process leaves what has a name.
    #[test]
    fn a_result_has_no_name_where_the_file_system_can_do_that() {
        let folder = tempfile::tempdir().unwrap();
        let result = ResultFile::create(&folder.path().join("result")).unwrap();
        let has_name = matches!(result.file, Unpublished::Named(_));
        assert_eq!(names(folder.path()), usize::from(has_name));
    }

    /// A link where the record is to be would have another file read, cut and removed.
    #[test]
    fn a_record_is_no_link_and_no_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let (record, other) = (folder.path().join("record"), folder.path().join("other"));
        for exists in [false, true] {
            if exists {
                std::fs::write(&other, "secret").unwrap();
                std::fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
            }
            std::os::unix::fs::symlink(&other, &record).unwrap();
            let refused = RecordFile::open(&record).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(other.exists(), exists);
            std::fs::remove_file(&record).unwrap();
        }
        assert_eq!(std::fs::read(&other).unwrap(), b"secret");
        assert!(RecordFile::open(folder.path()).is_err());
    }

    #[test]
    fn a_record_that_is_too_long_is_neither_read_nor_cut_nor_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let (mut record, text) = RecordFile::open(&path).unwrap();
        assert!(text.is_empty());
        record.append(b"short", Durability::Now).unwrap();
        record.file.set_len(RECORD_BYTES_MAX).unwrap();
        let refused = record.append(b"", Durability::Later).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        record.file.set_len(RECORD_BYTES_MAX + 1).unwrap();
        drop(record);
        let refused = RecordFile::open(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert_eq!(bytes, RECORD_BYTES_MAX + 1);
    }

    #[test]
    fn a_file_that_says_it_is_empty_and_is_not_has_changed() {
        let made_up = SourceFile::open(Path::new("/proc/self/status")).unwrap();
        assert_eq!(
            (made_up.bytes(), made_up.is_unchanged().unwrap()),
            (0, false)
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source");
        std::fs::write(&path, "1").unwrap();
        let source = SourceFile::open(&path).unwrap();
        assert!(source.is_unchanged().unwrap());
        std::fs::write(&path, "12").unwrap();
        assert!(!source.is_unchanged().unwrap());
    }
}
