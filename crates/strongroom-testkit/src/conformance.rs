// SPDX-License-Identifier: Apache-2.0
//! What every drive must do, as a function: the store's tests run it against the real and the
//! simulated drive.

use strongroom_store::drive::{Access, Drive, DriveFile, DrivePath, Folder, HealthState};
use strongroom_store::{BlobId, Error};

/// Where a drive broke the contract.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Something other than the contract says was observed.
    #[error("{0}")]
    Rule(&'static str),
    /// An operation that must work failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Runs every rule against an empty drive.
pub fn check(drive: &dyn Drive) -> Result<(), Broken> {
    files_hold_what_was_written(drive)?;
    names_are_taken_once(drive)?;
    renaming_moves_and_never_replaces(drive)?;
    removal_spares_open_handles(drive)?;
    folders_list_their_files(drive)?;
    small_files_are_replaced_whole(drive)?;
    holds(
        drive.health() == HealthState::Online,
        "a drive without faults stays online",
    )
}

fn files_hold_what_was_written(drive: &dyn Drive) -> Result<(), Broken> {
    let path = DrivePath::numbered(Folder::Log, "file", 1);
    let file = drive.create(&path)?;
    holds(file.is_empty()?, "a new file is empty")?;
    file.write_at(0, b"0123456789")?;
    file.write_at(4, b"abc")?;
    holds(
        read(file.as_ref(), 0, 16)? == b"0123abc789",
        "a write changes its range only",
    )?;
    holds(
        read(file.as_ref(), 8, 16)? == b"89",
        "a read ends with the file",
    )?;
    holds(
        read(file.as_ref(), 10, 4)?.is_empty(),
        "nothing is read behind the end",
    )?;
    holds(
        read(file.as_ref(), 1 << 40, 4)?.is_empty(),
        "nothing is read far behind the end",
    )?;
    file.write_at(12, b"z")?;
    holds(read(file.as_ref(), 9, 9)? == b"9\0\0z", "a gap is zeros")?;
    file.truncate(3)?;
    holds(file.len()? == 3, "truncation cuts")?;
    file.truncate(5)?;
    holds(
        read(file.as_ref(), 0, 9)? == b"012\0\0",
        "truncation extends with zeros",
    )?;
    file.sync()?;
    drive.sync_folder(Folder::Log)?;
    let mut cached = [9; 2];
    if file.read_cached_at(1, &mut cached)?.is_some() {
        holds(cached == *b"12", "a cached read reads the same bytes")?;
    }
    let again = drive
        .open(&path, Access::Read)?
        .ok_or(Broken::Rule("a made file opens"))?;
    holds(
        read(again.as_ref(), 0, 9)? == b"012\0\0",
        "another handle sees the same bytes",
    )?;
    holds(
        again.write_at(0, b"x").is_err(),
        "a handle for reading does not write",
    )?;
    let writer = drive
        .open(&path, Access::ReadWrite)?
        .ok_or(Broken::Rule("it opens again"))?;
    writer.write_at(5, b"more")?;
    holds(again.len()? == 9, "handles share the file")
}

fn names_are_taken_once(drive: &dyn Drive) -> Result<(), Broken> {
    let path = DrivePath::numbered(Folder::Log, "once", 1);
    drive.create(&path)?.write_at(0, b"first")?;
    holds(drive.create(&path).is_err(), "a name is not given twice")?;
    let file = drive
        .open(&path, Access::Read)?
        .ok_or(Broken::Rule("the first file stays"))?;
    holds(file.len()? == 5, "a refused creation changes nothing")?;
    let missing = DrivePath::numbered(Folder::Log, "once", 2);
    holds(
        drive.open(&missing, Access::ReadWrite)?.is_none(),
        "opening makes no file",
    )?;
    holds(
        drive.read_small(&missing)?.is_none(),
        "a missing small file is none",
    )
}

fn renaming_moves_and_never_replaces(drive: &dyn Drive) -> Result<(), Broken> {
    let blob = BlobId([0xB1; 16]);
    let (from, to) = (DrivePath::blob_in_writing(blob), DrivePath::blob(blob));
    let file = drive.create(&from)?;
    file.write_at(0, b"bytes")?;
    file.sync()?;
    drive.rename(&from, &to)?;
    drive.sync_folder(to.folder())?;
    holds(
        drive.open(&from, Access::Read)?.is_none(),
        "the old name is gone",
    )?;
    let moved = drive
        .open(&to, Access::Read)?
        .ok_or(Broken::Rule("the new name is there"))?;
    holds(
        read(moved.as_ref(), 0, 9)? == b"bytes",
        "the bytes moved along",
    )?;
    holds(
        drive.rename(&from, &to).is_err(),
        "a missing file is not renamed",
    )?;
    drive.create(&from)?.write_at(0, b"other")?;
    holds(
        drive.rename(&from, &to).is_err(),
        "a taken name is not replaced",
    )?;
    holds(
        read(moved.as_ref(), 0, 9)? == b"bytes",
        "the bytes under it stay",
    )?;
    drive.rename_over(&from, &to)?;
    drive.sync_folder(to.folder())?;
    holds(
        drive.open(&from, Access::Read)?.is_none(),
        "the old name is gone, too, when another is taken",
    )?;
    let other = drive
        .open(&to, Access::Read)?
        .ok_or(Broken::Rule("the name that was taken is there"))?;
    holds(
        read(other.as_ref(), 0, 9)? == b"other" && read(moved.as_ref(), 0, 9)? == b"bytes",
        "the name is that of the other file, and open handles are not",
    )?;
    holds(
        drive.rename_over(&from, &to).is_err() && drive.open(&to, Access::Read)?.is_some(),
        "a missing file takes no name",
    )
}

fn removal_spares_open_handles(drive: &dyn Drive) -> Result<(), Broken> {
    let path = DrivePath::numbered(Folder::Audit, "gone", 7);
    let file = drive.create(&path)?;
    file.write_at(0, b"still")?;
    holds(drive.remove(&path)?, "a file is removed")?;
    holds(!drive.remove(&path)?, "a removed file is not removed again")?;
    holds(
        drive.open(&path, Access::Read)?.is_none(),
        "a removed file does not open",
    )?;
    holds(
        read(file.as_ref(), 0, 9)? == b"still",
        "an open handle still reads",
    )
}

fn folders_list_their_files(drive: &dyn Drive) -> Result<(), Broken> {
    holds(
        drive.list(Folder::Blobs(0x5A))?.is_empty(),
        "a folder never used is empty",
    )?;
    let blob = BlobId([0x5B; 16]);
    drive.create(&DrivePath::blob(blob))?;
    let listed = drive.list(Folder::Blobs(0x5B))?;
    let blobs: Vec<_> = listed.iter().map(DrivePath::blob_id).collect();
    holds(
        blobs == [Some(blob)],
        "a folder lists its files, by names that parse",
    )?;
    holds(drive.list(Folder::Blobs(0x5A))?.is_empty(), "and no others")?;
    holds(
        drive.remove(&DrivePath::blob(blob))?,
        "a listed file is there",
    )
}

fn small_files_are_replaced_whole(drive: &dyn Drive) -> Result<(), Broken> {
    let path = DrivePath::fixed(Folder::Top, "small");
    drive.replace(&path, b"a longer first version")?;
    drive.replace(&path, b"second")?;
    let read = drive.read_small(&path)?;
    holds(
        read.as_deref() == Some(b"second".as_slice()),
        "the last version counts, whole",
    )?;
    holds(drive.remove(&path)?, "a small file is removed like others")
}

fn read(file: &dyn DriveFile, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0xEE; len];
    let read = file.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn holds(held: bool, rule: &'static str) -> Result<(), Broken> {
    if held {
        Ok(())
    } else {
        Err(Broken::Rule(rule))
    }
}
