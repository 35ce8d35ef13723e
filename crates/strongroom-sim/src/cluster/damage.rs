// SPDX-License-Identifier: Apache-2.0
//! Damage in one copy of the tables: bytes that change, files that are cut or go, writes that go
//! elsewhere or nowhere. Another copy puts it right, by the next start or the next pass of scrub, and
//! nothing else is ever shown meanwhile.

use strongroom_store::drive::{Drive, DriveNo, DrivePath, Folder};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use super::{ClusterStory, Step, drive_name};
use crate::story::Done;

/// How it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    ByScrub,
    ByStart,
}

impl ClusterStory {
    /// One copy is damaged while another is whole and nothing else is wrong.
    pub(super) async fn damage_copy(&mut self) -> Done {
        let Some(number) = self.copy_to_damage() else {
            return Ok(());
        };
        self.told.faults += 1;
        let place = self.places[&number].clone();
        let drive = self.shelf.at(&place).unwrap();
        let found = match self.rng.below(5) {
            0 | 1 => self.byte_changes(&drive),
            2 => self.file_is_cut(&drive),
            3 => self.file_goes(&drive)?,
            _ => self.writes_go_astray(&drive).await?,
        };
        let found = match self.rng.below(2) {
            0 => Found::ByStart,
            _ => found,
        };
        self.say(&format!("  {}, found {found:?}", drive_name(number)));
        // A start puts right what it reads, and cuts; the rest is for scrub.
        self.is_damaged = true;
        if found == Found::ByStart {
            self.restart_undisturbed().await?;
        }
        self.read().await?;
        self.scrub().await?;
        self.is_damaged = false;
        self.tend().await?;
        self.copies_are_equal()
    }

    /// A drive is put back to what it was a while ago, while the store is off; or what it is now is
    /// kept for that: with nothing on its way, else its log may tell what never happened. Scrub finds
    /// what it misses, and all is as before.
    pub(super) async fn drive_is_put_back(&mut self) -> Done {
        let numbers: Vec<_> = self.places.keys().copied().collect();
        let number = numbers[self.rng.index(numbers.len())];
        let place = self.places[&number].clone();
        let Some(drive) = self.shelf.at(&place) else {
            return Ok(());
        };
        if !self.is_quiet() || self.doubt.is_some() {
            return Ok(());
        }
        let Some(image) = self.images.remove(&number) else {
            // What is put back is on the medium, all of it.
            self.images.insert(number, drive.copy().crash());
            self.say(&format!("  {}: an image is made", drive_name(number)));
            return Ok(());
        };
        self.told.faults += 1;
        self.say(&format!("  {}", drive_name(number)));
        self.end_undisturbed().await?;
        self.shelf.put(&place, image);
        self.put_back = Some(number);
        self.start_undisturbed().await?;
        self.read().await?;
        self.scrub().await?;
        self.heal().await?;
        self.put_back = None;
        for (blob, of) in self.model.blobs.clone() {
            self.whole(blob, of).await?;
        }
        self.files_are_those_of_the_catalogue(number)?;
        self.tend().await?;
        self.copies_are_equal()
    }

    /// A copy that can be damaged: all of them are whole, and every drive is well.
    fn copy_to_damage(&mut self) -> Option<DriveNo> {
        if !self.is_quiet() {
            return None;
        }
        let whole: Vec<_> = self.whole_copies().collect();
        whole.get(self.rng.index(whole.len())).copied()
    }

    /// Whether nothing is owed: all copies of the tables are whole, every drive is well, and every
    /// body has all of its shards.
    fn is_quiet(&self) -> bool {
        let whole = self.whole_copies().count();
        let is_owed = |blob| self.keeping(blob).is_ok_and(|kept| !kept.owed.is_empty());
        whole == self.copies.len()
            && whole > 1
            && self.is_settled()
            && !self.opened_badly
            && !self.model.blobs.keys().any(|blob| is_owed(*blob))
    }

    async fn restart_undisturbed(&mut self) -> Done {
        self.end_undisturbed().await?;
        self.start_undisturbed().await
    }

    async fn end_undisturbed(&mut self) -> Done {
        match self.rng.below(3) {
            0 => {
                let closed = self.store().close().await;
                closed.map_err(|error| format!("closing: {error}"))?;
                self.end_process(SimDrive::kill);
            }
            1 => self.end_process(SimDrive::kill),
            _ => self.end_process(SimDrive::crash),
        }
        Ok(())
    }

    async fn start_undisturbed(&mut self) -> Done {
        self.is_calm = true;
        let started = self.restart().await;
        self.is_calm = false;
        started
    }

    fn byte_changes(&mut self, drive: &SimDrive) -> Found {
        let files = files_of_copy(drive);
        let path = &files[self.rng.index(files.len())];
        let len = drive.contents(path).map_or(0, |bytes| bytes.len());
        let at = self.rng.index(len);
        drive.rot(path, at, 1 << self.rng.below(8));
        self.say(&format!("  {path}: byte {at} changes"));
        // What is saved of an index is read by the next start only.
        if *path == index() {
            Found::ByStart
        } else {
            Found::ByScrub
        }
    }

    fn file_is_cut(&mut self, drive: &SimDrive) -> Found {
        let files = journals(drive);
        let Some(path) = files.get(self.rng.index(files.len())) else {
            return Found::ByScrub;
        };
        let len = drive.contents(path).map_or(0, |bytes| bytes.len());
        let at = self.rng.index(len);
        drive.cut(path, at);
        self.say(&format!("  {path}: cut at {at}"));
        Found::ByScrub
    }

    fn file_goes(&mut self, drive: &SimDrive) -> Result<Found, String> {
        let files = files_of_copy(drive);
        let path = &files[self.rng.index(files.len())];
        let gone = drive.remove(path);
        let gone = gone.and_then(|_| drive.sync_folder(path.folder()));
        gone.map_err(|error| error.to_string())?;
        self.say(&format!("  {path} goes"));
        // Whoever has it open goes on writing to what has no name any more.
        Ok(Found::ByStart)
    }

    /// A write into the log goes elsewhere, or nowhere, and reports success.
    async fn writes_go_astray(&mut self, drive: &SimDrive) -> Result<Found, String> {
        let at = self.rng.below(12);
        let fault = match self.rng.below(2) {
            0 => Fault::MisdirectAt(at),
            _ => Fault::LoseWriteAt(at),
        };
        self.say(&format!("  {fault:?}"));
        drive.set_plan(FaultPlan::new([fault]).within(|folder| folder == Folder::Log));
        for _ in 0..4 {
            let step = [Step::Put, Step::PutRow, Step::Delete, Step::Checkpoint];
            let step = step[self.rng.index(step.len())];
            self.say(&format!("  {step:?}"));
            Box::pin(self.step(step)).await?;
        }
        drive.set_plan(FaultPlan::default());
        // It may have hit what only the next start reads.
        Ok(Found::ByStart)
    }
}

/// What a copy keeps in files.
fn files_of_copy(drive: &SimDrive) -> Vec<DrivePath> {
    let files = drive.files().into_iter();
    let is_of_copy = |path: &DrivePath| matches!(path.folder(), Folder::Log | Folder::Vault);
    files.filter(is_of_copy).collect()
}

fn journals(drive: &SimDrive) -> Vec<DrivePath> {
    let files = drive.files().into_iter();
    files
        .filter(|path| path.number("journal").is_some())
        .collect()
}

fn index() -> DrivePath {
    DrivePath::fixed(Folder::Log, "index")
}
