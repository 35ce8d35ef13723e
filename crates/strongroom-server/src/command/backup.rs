// SPDX-License-Identifier: Apache-2.0
//! `strongroom backup metadata | check`, `strongroom restore metadata | finish`.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use strongroom_store::backup::{BackupFile, Restored, restore};
use strongroom_store::drive::{Drive, LocalDrive, small_file};
use strongroom_store::layout::UnitLayout;
use strongroom_store::table::TableOptions;

use super::absolute;
use crate::cli::backup::{BackupCommand, RestoreCommand};
use crate::config::Place;
use crate::control::{Answer, Request, client};
use crate::error::Error;
use crate::output;
use crate::root_key::Keeper;
use crate::start::Rooms;

pub(crate) async fn backup(command: BackupCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        BackupCommand::Metadata { file, quiet, .. } => make(&place, &file, quiet).await,
        BackupCommand::Check { file, .. } => check(&place, &file).await,
    }
}

pub(crate) async fn put_back(command: RestoreCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        RestoreCommand::Metadata { file, .. } => put_tables_back(&place, file).await,
        RestoreCommand::Finish { .. } => finish(&place).await,
    }
}

async fn make(place: &Place, file: &Path, quiet: bool) -> Result<(), Error> {
    let request = Request::BackupMetadata {
        file: absolute(file)?,
    };
    let bar = if quiet { ProgressBar::hidden() } else { bar() };
    let tell = |now: crate::control::Progress| bar.set_position(now.objects);
    let answer = client::ask(place, &request, &tell).await;
    bar.finish_and_clear();
    match answer? {
        Answer::BackedUp(made) => output::print(&format!(
            "{}: {} rows and {} small files, {} bytes, up to commit {}\n\
             It opens with the root key of this store, which is not in it.\n",
            file.display(),
            made.rows,
            made.files,
            made.bytes,
            made.seq
        )),
        _ => Err(another_answer()),
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} rows, {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

async fn check(place: &Place, file: &Path) -> Result<(), Error> {
    let mut backup = open(file)?;
    let head = backup.head().clone();
    let keeper = Keeper::of_backup(place, &head.keyring).await?;
    let at_rest = keeper.keyring().at_rest();
    let read = tokio::task::spawn_blocking(move || backup.verify(at_rest.as_ref()));
    read.await
        .map_err(|_| Error::Refused("the backup could not be read".to_owned()))?
        .map_err(Error::room("the backup is not whole"))?;
    output::print(&format!(
        "{}: whole; made {}, up to commit {} of cluster {}\n",
        file.display(),
        crate::control::date(head.created_ms),
        head.seq,
        hex::encode(head.cluster_id)
    ))
}

async fn put_tables_back(place: &Place, file: PathBuf) -> Result<(), Error> {
    let backup = open(&file)?;
    let keyring_file = backup.head().keyring.clone();
    let (backup_id, seq) = (backup.head().backup_id, backup.head().seq);
    place.data.create()?;
    let held = place.data.hold()?;
    let in_place = small_file::read_private(&place.data.keyring())
        .map_err(Error::file("read", &place.data.keyring()))?;
    // A keyring that is there may be newer than the backup's, and opens all that is older.
    let keeper = match &in_place {
        Some(_) => Keeper::open(place).await?,
        None => Keeper::of_backup(place, &keyring_file).await?,
    };
    let at_rest = keeper.keyring().at_rest();
    // With several drives one of them is enough: the others are made level with it when the store
    // opens.
    let path = place
        .drives
        .first()
        .map_or_else(|| place.data.drive(), |drive| PathBuf::from(&drive.place));
    let data = place.data.clone();
    let work = move || -> Result<Restored, Error> {
        let mut backup = backup;
        backup
            .verify(at_rest.as_ref())
            .map_err(Error::room("the backup is not whole, or of another store"))?;
        if in_place.is_none() {
            let path = data.keyring();
            small_file::write_private_durably(&path, &keyring_file)
                .map_err(Error::file("write", &path))?;
        }
        let drive = LocalDrive::open(&path).map_err(Error::room("drive"))?;
        let drive: Arc<dyn Drive> = Arc::new(drive);
        let restored = restore(
            &drive,
            &at_rest,
            UnitLayout::PRODUCT,
            TableOptions::default(),
            &mut backup,
        )
        .map_err(Error::room("cannot restore"))?;
        for (name, bytes) in &restored.files {
            let Some(path) = data.private_file(name) else {
                continue;
            };
            if small_file::read(&path)
                .map_err(Error::file("read", &path))?
                .is_none()
            {
                small_file::write_private_durably(&path, bytes)
                    .map_err(Error::file("write", &path))?;
            }
        }
        Ok(restored)
    };
    let restored = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Refused("the restore did not end".to_owned()))??;
    drop(held);
    // Opened as any store, so that what is wrong is heard of now and not at the next start.
    let rooms = Rooms::open_existing(place).await?;
    let asked = json!({
        "file": file.display().to_string(),
        "backupId": hex::encode(backup_id),
    });
    let came_of_it = json!({
        "rows": restored.rows,
        "secrets": restored.secrets,
        "lastCommit": seq,
    });
    rooms
        .record_done("RestoreMetadata", asked, came_of_it)
        .await?;
    rooms.close().await?;
    output::print(&format!(
        "{} rows and {} secrets are back.\n\
         Start the server, then run `strongroom verify`: it names every object whose bytes are \
         missing.\nFiles of objects that were written after the backup are kept until \
         `strongroom restore finish`.\n",
        restored.rows, restored.secrets
    ))
}

async fn finish(place: &Place) -> Result<(), Error> {
    match client::ask(place, &Request::FinishRestore {}, &|_| ()).await? {
        Answer::RestoreFinished { was_restored: true } => {
            output::print("At the next start, files that no object stands for are removed.\n")
        }
        Answer::RestoreFinished { .. } => {
            output::print("The tables of this store do not come from a backup: nothing to do.\n")
        }
        _ => Err(another_answer()),
    }
}

fn open(file: &Path) -> Result<BackupFile<BufReader<small_file::LargeFile>>, Error> {
    let found = small_file::open_large(file).map_err(Error::file("open", file))?;
    BackupFile::open(BufReader::new(found)).map_err(Error::room("cannot read the backup"))
}

fn another_answer() -> Error {
    Error::Refused("the server gave another answer".to_owned())
}
