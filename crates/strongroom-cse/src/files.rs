// SPDX-License-Identifier: Apache-2.0
//! Files of this machine: the one place of this crate that touches them.
//!
//! Decrypted files and records of uploads are written by the library, whole or not at all; here is
//! what is looked at before.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::error::Error;

/// A file that holds a secret, and whether others may read it.
pub(crate) struct SecretFile {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) is_shared: bool,
}

/// Reads a key file; refuses what is too long to be one.
pub(crate) fn read_secret(path: &Path) -> Result<SecretFile, Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let found = file.metadata().map_err(Error::file("read", path))?;
    // One allocation of its whole size, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    let limit = u64::try_from(KEY_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    (&mut file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Error::file("read", path))?;
    if bytes.len() > KEY_FILE_BYTES_MAX {
        return Err(Error::usage(format!(
            "`{}` is too long for a key",
            path.display()
        )));
    }
    Ok(SecretFile {
        bytes,
        is_shared: found.is_file() && found.permissions().mode() & 0o077 != 0,
    })
}

/// Makes a file that must not be there yet, durably.
pub(crate) fn create_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(Error::file("make", path))?;
    let written = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path));
    written.map_err(|error| {
        // It is ours and not whole: leaving it would look like a key.
        let _gone = fs::remove_file(path);
        Error::file("write", path)(error)
    })
}

/// Removes a file that this run has made.
pub(crate) fn remove(path: &Path) {
    // There is nothing better to do with a failure than to leave the file.
    let _gone = fs::remove_file(path);
}

/// The target of a copy, where a folder stands for the file of this name in it.
pub(crate) fn in_folder(target: &Path, name: Option<&str>) -> Result<PathBuf, Error> {
    let named_folder = target.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !target.is_dir() {
        if named_folder {
            return Err(Error::usage(format!(
                "there is no folder `{}`",
                target.display()
            )));
        }
        return Ok(target.to_owned());
    }
    name.map(|name| target.join(name)).ok_or_else(|| {
        Error::usage(format!(
            "the key has no name for a file in `{}`: say the whole name of the target",
            target.display()
        ))
    })
}

/// The path from the root on, links followed.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(Error::file("find", path))
}

/// What a download is to replace.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where it goes: behind a link, what the link points at.
    pub(crate) path: PathBuf,
    /// Mode and group of the file that is there, which the new one gets: of nobody else's, who
    /// could have it read so. Without what an access list gives to the group and to others: then
    /// the bits of the group are the most that anybody in the list has, and the new file has none.
    pub(crate) access: Option<(u32, u32)>,
}

impl Target {
    /// Looks at the place where a file will appear; refuses what a rename would replace and should
    /// not: folders, pipes, devices.
    pub(crate) fn look(path: &Path) -> Result<Self, Error> {
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    path: path.to_owned(),
                    access: None,
                });
            }
            Err(error) => return Err(Error::file("look at", path)(error)),
        };
        if found.is_dir() {
            return Err(Error::usage(format!("`{}` is a folder", path.display())));
        }
        if !found.is_file() {
            return Err(Error::usage(format!(
                "`{}` is no regular file: write to standard output (`-`) instead",
                path.display()
            )));
        }
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        let mode = found.permissions().mode() & 0o777;
        let mode = if has_acl(path) { mode & !0o070 } else { mode };
        Ok(Self {
            path: absolute(path)?,
            access: is_own.then_some((mode, found.gid())),
        })
    }
}

/// Whether a file has an access list. What is not known is taken for one.
fn has_acl(path: &Path) -> bool {
    match rustix::fs::getxattr_query(path, "system.posix_acl_access") {
        Ok(bytes) => bytes > 0,
        Err(error) => error != Errno::NODATA && error != Errno::OPNOTSUPP,
    }
}

/// Bytes of a regular file; anything else is refused.
pub(crate) fn source_len(path: &Path) -> Result<u64, Error> {
    let found = fs::metadata(path).map_err(Error::file("open", path))?;
    if found.is_dir() {
        return Err(Error::usage(format!(
            "`{}` is a folder: copy files one by one, or an archive of it",
            path.display()
        )));
    }
    if !found.is_file() {
        let path = path.display();
        return Err(Error::usage(format!(
            "`{path}` is no regular file: `cat {path} | strongroom cse cp - ..`"
        )));
    }
    Ok(found.len())
}

/// Whether a file is there and not empty.
pub(crate) fn is_filled(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

/// Makes a folder for records of uploads, for its owner alone.
pub(crate) fn private_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::file("make", path))
}

/// A file of certificates.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::file("read", path))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// PEM of an RSA key of 16,384 bits has some 13 KB.
const KEY_FILE_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_made_once_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        create_new(&path, b"1", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(create_new(&path, b"2", 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"1");
        assert!(create_new(&dir.path().join("no/k"), b"1", 0o600).is_err());
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for target in [dir.path(), Path::new("/dev/null")] {
            assert!(Target::look(target).is_err(), "{}", target.display());
        }
        assert!(in_folder(&dir.path().join("no/"), Some("x")).is_err());
        assert!(in_folder(dir.path(), None).is_err());
        assert_eq!(
            in_folder(dir.path(), Some("x")).unwrap(),
            dir.path().join("x")
        );
        assert!(source_len(dir.path()).is_err());
        assert!(source_len(&dir.path().join("none")).is_err());
        assert!(source_len(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_link_stays_a_link_and_a_mode_a_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, b"old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let target = Target::look(&link).unwrap();
        assert_eq!(target.path, fs::canonicalize(&real).unwrap());
        let group = fs::metadata(&real).unwrap().gid();
        assert_eq!(target.access, Some((0o640, group)));
        let new = Target::look(&dir.path().join("new")).unwrap();
        assert!(new.access.is_none());
    }

    /// With an access list the bits of the group are those of everybody in it, and the group itself
    /// may have none.
    #[test]
    fn what_a_list_gives_is_not_given_to_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"old").unwrap();
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 6, u32::MAX),
            (0x02, 6, 4242),
            (0x04, 0, u32::MAX),
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
        let set = rustix::fs::setxattr(&path, "system.posix_acl_access", &list, flags);
        if set == Err(Errno::OPNOTSUPP) {
            // There are no lists here, and so nothing that they give.
            return;
        }
        set.unwrap();
        assert_eq!(mode(&path), 0o660);
        let (mode, _) = Target::look(&path).unwrap().access.unwrap();
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn files_that_are_too_long_for_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        fs::write(&path, vec![0; KEY_FILE_BYTES_MAX + 1]).unwrap();
        assert!(read_secret(&path).is_err());
        fs::write(&path, vec![0; KEY_FILE_BYTES_MAX]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(read_secret(&path).unwrap().is_shared);
        assert!(read_secret(&dir.path().join("none")).is_err());
    }
}
