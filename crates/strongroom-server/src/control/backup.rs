// SPDX-License-Identifier: Apache-2.0
//! `strongroom backup metadata` where the store is open.

use std::io::{BufWriter, ErrorKind, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use strongroom_store::backup::BackupReport;
use strongroom_store::drive::small_file;
use tokio::sync::mpsc::unbounded_channel;

use super::execute::refused;
use super::{Answer, BackedUp, Progress};
use crate::error::Error;
use crate::start::Rooms;

/// Makes the file, durably; nothing of it is left when that fails.
pub(super) async fn metadata(
    rooms: &Rooms,
    file: &Path,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    let made = write(rooms, file, progress).await?;
    Ok(Answer::BackedUp(BackedUp {
        rows: made.rows,
        files: made.files,
        bytes: made.bytes,
        seq: made.seq,
        backup_id: hex::encode(made.backup_id),
    }))
}

async fn write(
    rooms: &Rooms,
    file: &Path,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<BackupReport, Error> {
    let path = file.to_owned();
    let keyring_path = rooms.data.keyring();
    let keyring = small_file::read_private(&keyring_path)
        .map_err(Error::file("read", &keyring_path))?
        .ok_or_else(|| Error::Refused(format!("`{}` is gone", keyring_path.display())))?;
    let mut files = Vec::new();
    for name in crate::data_dir::PRIVATE_FILES {
        if let Some(from) = rooms.data.private_file(name)
            && let Some(bytes) = small_file::read(&from).map_err(Error::file("read", &from))?
        {
            files.push((name, bytes));
        }
    }
    let (store, at_rest) = (rooms.store.clone(), rooms.keyring.at_rest());
    let now_ms = rooms.clock.now_ms();
    let (told, mut steps) = unbounded_channel();
    let work = move || -> Result<BackupReport, Error> {
        // Under its name there is a whole backup or none, whatever ends this process.
        let partial = partial(&path)?;
        let made = small_file::make_large(&partial).map_err(Error::file("make", &partial))?;
        let mut out = BufWriter::new(&made);
        let tell = |step: strongroom_store::backup::BackupStep| {
            // Who asked may have gone away; the backup is made all the same.
            let _ = told.send(step);
            ControlFlow::Continue(())
        };
        let written = store
            .backup(at_rest.as_ref(), keyring, now_ms, &files, &mut out, tell)
            .map_err(refused)
            .and_then(|report| {
                let failed = || Error::file("write", &path);
                out.flush().map_err(failed())?;
                small_file::finish_large(&made, &partial).map_err(failed())?;
                take_name(&partial, &path).map_err(failed())?;
                Ok(report)
            });
        if written.is_err() {
            // The first error is the one to report.
            let _ = small_file::remove_large(&partial);
        }
        written
    };
    let mut work = tokio::task::spawn_blocking(work);
    loop {
        tokio::select! {
            Some(step) = steps.recv() => progress(Progress {
                objects: step.rows,
                bytes: step.bytes,
                ..Progress::default()
            }),
            done = &mut work => {
                return done.map_err(|_| Error::Refused("the backup did not end".to_owned()))?;
            }
        }
    }
}

/// The file beside `path` that is to get its name, which must be free; another one each time.
fn partial(path: &Path) -> Result<PathBuf, Error> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::file("make", path)(ErrorKind::AlreadyExists.into()));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let mut random = [0; 4];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Error::Root("the system gives no random bytes".to_owned()))?;
    name.push(format!(".{}.partial", hex::encode(random)));
    Ok(path.with_file_name(name))
}

/// Gives a durable file its name, durably, and replaces nothing.
fn take_name(partial: &Path, path: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, partial, CWD, path, RenameFlags::NOREPLACE) {
        // Not every file system can do that in one step.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if path.symlink_metadata().is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            rustix::fs::rename(partial, path)?;
        }
        renamed => renamed?,
    }
    let folder = path.parent().filter(|of| !of.as_os_str().is_empty());
    small_file::sync_dir(folder.unwrap_or(Path::new(".")))
}

/// Ends the time after a restore.
pub(super) async fn finish_restore(rooms: &Rooms) -> Result<Answer, Error> {
    let store = Arc::new(rooms.store.clone());
    let ended = tokio::task::spawn_blocking(move || store.finish_restore());
    let was_restored = ended
        .await
        .map_err(|_| Error::Refused("the work did not end".to_owned()))?
        .map_err(refused)?;
    Ok(Answer::RestoreFinished { was_restored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_takes_a_free_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tables");
        let unnamed = partial(&path).unwrap();
        assert_ne!(unnamed, partial(&path).unwrap());
        std::fs::write(&unnamed, "new").unwrap();
        // Somebody was faster.
        std::fs::write(&path, "old").unwrap();
        let refused = take_name(&unnamed, &path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert!(partial(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        take_name(&unnamed, &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(!unnamed.exists());
    }
}
