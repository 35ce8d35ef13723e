// SPDX-License-Identifier: Apache-2.0
//! `strongroom backup metadata | check`, `strongroom restore metadata | keyring | finish`.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use strongroom_store::backup::{BackupFile, Restored, restore};
use strongroom_store::drive::{Drive, LocalDrive, small_file};
use strongroom_store::layout::UnitLayout;
use strongroom_store::rebuild::FoundDrives;
use strongroom_store::table::TableOptions;
use strongroom_store::{AtRest, GivenDrive, StoreDrives};

use super::absolute;
use crate::cli::backup::{BackupCommand, RestoreCommand};
use crate::config::Place;
use crate::control::{Answer, Request, client};
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::output;
use crate::root_key::Keeper;
use crate::start::{Rooms, store_drives};

pub(crate) async fn backup(command: BackupCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        BackupCommand::Metadata { file, quiet, .. } => make(&place, &file, quiet).await,
        BackupCommand::Check { file, .. } => check(&place, &file).await,
    }
}

pub(crate) async fn put_back(command: RestoreCommand) -> Result<(), Error> {
    let (mut place, _file) = Place::resolve(command.place())?;
    match command {
        RestoreCommand::Metadata {
            file,
            accept_loss,
            named,
            ..
        } => {
            place.name_drives(&named.drives)?;
            put_tables_back(&place, file, accept_loss).await
        }
        RestoreCommand::Keyring { file, .. } => put_keyring_back(&place, &file).await,
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

/// Everything that a restore works with, on a thread that may block.
struct Restore {
    data: DataDir,
    named: Vec<GivenDrive>,
    drives: StoreDrives,
    backup: Backup,
    at_rest: Arc<dyn AtRest>,
    /// Written if the data directory has none.
    keyring: Option<Vec<u8>>,
    accept_loss: bool,
}

async fn put_tables_back(place: &Place, file: PathBuf, accept_loss: bool) -> Result<(), Error> {
    let backup = open(&file)?;
    let keyring = backup.head().keyring.clone();
    let (backup_id, seq) = (backup.head().backup_id, backup.head().seq);
    place.data.create()?;
    let held = place.data.hold()?;
    let in_place = small_file::read_private(&place.data.keyring())
        .map_err(Error::file("read", &place.data.keyring()))?;
    // A keyring that is there may be newer than the backup's, and opens all that is older.
    let keeper = match &in_place {
        Some(_) => Keeper::open(place).await?,
        None => Keeper::of_backup(place, &keyring).await?,
    };
    let work = Restore {
        data: place.data.clone(),
        named: place.drives.clone(),
        drives: store_drives(place)?,
        backup,
        at_rest: keeper.keyring().at_rest(),
        keyring: in_place.is_none().then_some(keyring),
        accept_loss,
    };
    let (restored, drive) = tokio::task::spawn_blocking(|| work.run())
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
        "{} rows and {} secrets are back, on `{drive}`.\n\
         Start the server, then run `strongroom verify`: it names every object whose bytes are \
         missing.\nFiles of objects that were written after the backup are kept until \
         `strongroom restore finish`.\n",
        restored.rows, restored.secrets
    ))
}

impl Restore {
    /// Puts the tables back; says where, too. Nothing is written before all that can be refused was.
    fn run(self) -> Result<(Restored, String), Error> {
        let Self {
            data,
            named,
            drives,
            mut backup,
            at_rest,
            keyring,
            accept_loss,
        } = self;
        backup
            .verify(at_rest.as_ref())
            .map_err(Error::room("the backup is not whole, or of another store"))?;
        let found = FoundDrives::look(drives, Arc::clone(&at_rest), UnitLayout::PRODUCT)
            .map_err(Error::room("cannot find the drives"))?;
        let only = match &found {
            Some(found) => {
                found
                    .may_put_back(&backup.head().cluster_id, accept_loss)
                    .map_err(Error::room("cannot restore"))?;
                None
            }
            None => Some(only_drive(&data, &named)?),
        };
        if let Some(keyring) = keyring {
            let path = data.keyring();
            small_file::write_private_durably(&path, &keyring)
                .map_err(Error::file("write", &path))?;
        }
        let options = TableOptions::default();
        let restored = match (found, only) {
            (Some(found), _) => found.put_back(options, &mut backup, accept_loss),
            (None, drive) => {
                let path = drive.unwrap_or_else(|| data.drive());
                LocalDrive::open(&path).and_then(|drive| {
                    let (drive, layout): (Arc<dyn Drive>, _) =
                        (Arc::new(drive), UnitLayout::PRODUCT);
                    let restored = restore(&drive, &at_rest, layout, options, &mut backup)?;
                    Ok((restored, drive.label()))
                })
            }
        };
        let (restored, drive) = restored.map_err(Error::room("cannot restore"))?;
        put_files(&data, &restored)?;
        Ok((restored, drive))
    }
}

/// No drive is known, and none that was named has tables or members: a new machine, on which the
/// store begins with one drive.
fn only_drive(data: &DataDir, named: &[GivenDrive]) -> Result<PathBuf, Error> {
    match named {
        [] => Ok(data.drive()),
        [only] => Ok(PathBuf::from(&only.place)),
        _ => Err(Error::Config(
            "none of the drives is known: name one, restore, and take the others in by `strongroom drive add`"
                .to_owned(),
        )),
    }
}

/// Private files of the data directory that are not there.
fn put_files(data: &DataDir, restored: &Restored) -> Result<(), Error> {
    for (name, bytes) in &restored.files {
        let Some(path) = data.private_file(name) else {
            continue;
        };
        let is_there = small_file::read(&path).map_err(Error::file("read", &path))?;
        if is_there.is_none() {
            small_file::write_private_durably(&path, bytes).map_err(Error::file("write", &path))?;
        }
    }
    Ok(())
}

/// For a data directory that is lost while drives are not: what else it held is made anew.
async fn put_keyring_back(place: &Place, file: &Path) -> Result<(), Error> {
    let mut backup = open(file)?;
    let keyring = backup.head().keyring.clone();
    place.data.create()?;
    let _held = place.data.hold()?;
    let path = place.data.keyring();
    let in_place = small_file::read_private(&path).map_err(Error::file("read", &path))?;
    if in_place.is_some() {
        return Err(Error::Refused(format!(
            "`{}` is there, and may be newer than that of the backup: nothing is restored",
            path.display()
        )));
    }
    let keeper = Keeper::of_backup(place, &keyring).await?;
    let at_rest = keeper.keyring().at_rest();
    let read = tokio::task::spawn_blocking(move || backup.verify(at_rest.as_ref()));
    read.await
        .map_err(|_| Error::Refused("the backup could not be read".to_owned()))?
        .map_err(Error::room("the backup is not whole"))?;
    small_file::write_private_durably(&path, &keyring).map_err(Error::file("write", &path))?;
    output::print(&format!("`{}` is back.\n", path.display()))
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

type Backup = BackupFile<BufReader<small_file::LargeFile>>;

fn open(file: &Path) -> Result<Backup, Error> {
    let found = small_file::open_large(file).map_err(Error::file("open", file))?;
    BackupFile::open(BufReader::new(found)).map_err(Error::room("cannot read the backup"))
}

fn another_answer() -> Error {
    Error::Refused("the server gave another answer".to_owned())
}
