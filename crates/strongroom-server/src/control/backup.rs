// SPDX-License-Identifier: Apache-2.0
//! `strongroom backup metadata` where the store is open.

use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

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
        let made = small_file::make_large(&path).map_err(Error::file("make", &path))?;
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
                out.flush().map_err(Error::file("write", &path))?;
                small_file::finish_large(&made, &path).map_err(Error::file("write", &path))?;
                Ok(report)
            });
        if written.is_err() {
            // The first error is the one to report.
            let _ = small_file::remove_large(&path);
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
