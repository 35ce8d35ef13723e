// SPDX-License-Identifier: Apache-2.0
//! Reads every file of a folder in which others still work: an index merges its tables in the
//! background, and what was deleted is removed behind the answer.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every regular file below `folder`.
///
/// # Errors
///
/// A file system that fails, or a folder that never stands still.
pub fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    standing_still(|| {
        let mut found = Vec::new();
        list(folder, &mut found)?;
        Ok(found)
    })
}

/// Every regular file below `folder` with what it holds. A file that is removed, or gets another
/// name, while this goes on makes it begin again: none is left out.
///
/// # Errors
///
/// A file system that fails, or a folder that never stands still.
pub fn contents_below(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    standing_still(|| {
        let mut files = Vec::new();
        list(folder, &mut files)?;
        files
            .into_iter()
            .map(|path| std::fs::read(&path).map(|bytes| (path, bytes)))
            .collect()
    })
}

fn standing_still<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut turns = 0;
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound && turns < TURNS => turns += 1,
            outcome => return outcome,
        }
        std::thread::sleep(PAUSE);
    }
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

const TURNS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn files_that_come_and_go_are_no_error_and_those_that_stay_are_all_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/stays"), b"it").unwrap();
        let moving = folder.path().join("a/moving");
        let busy = std::thread::spawn(move || {
            for _ in 0..200 {
                std::fs::write(&moving, b"x").unwrap();
                std::fs::remove_file(&moving).unwrap();
            }
        });
        while !busy.is_finished() {
            let found = contents_below(folder.path()).unwrap();
            let stays = (folder.path().join("a/stays"), b"it".to_vec());
            assert!(found.contains(&stays));
        }
        busy.join().unwrap();
        assert_eq!(files_below(folder.path()).unwrap().len(), 1);
        assert!(files_below(&folder.path().join("a/stays")).is_err());
    }
}
