// SPDX-License-Identifier: Apache-2.0
//! A start, the look at everything after it, the look at the drives, and what must be at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strongroom_store::drive::{DriveNo, DrivePath, DriveState, Folder};
use strongroom_store::{BlobId, Error, GivenDrive, Store, StoreDrives, Wish};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use super::shelf::Shelf;
use super::{ClusterStory, Lies, drive_name, key_of};
use crate::model::Model;
use crate::story::{Done, Rows};
use crate::world::{self, UNIT};

/// What goes wrong while the store opens.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Trouble {
    Nothing,
    /// The power fails.
    Power,
    /// Something that is asked of one drive fails.
    Drive,
}

impl ClusterStory {
    /// The machine starts the store, again and again until it is open.
    pub(super) async fn restart(&mut self) -> Done {
        loop {
            self.told.restarts += 1;
            self.told.operations += 1;
            let trouble = self.trouble();
            let opened = self.open().await;
            let failed = match opened {
                Ok(_) if self.power.is_off() => "the power failed".to_owned(),
                Ok(store) => {
                    self.store = Some(store);
                    self.power.restore();
                    self.without_plans();
                    return self.opened(&trouble).await;
                }
                Err(error) => error.to_string(),
            };
            self.say(&format!("  no start: {failed}"));
            if trouble == Trouble::Nothing {
                if self.must_open() {
                    return Err(format!("the store does not open: {failed}"));
                }
                self.told.refused += 1;
                self.all_return();
            }
            // Changes of the members may have been on their way.
            self.knows_copies = false;
            let end = self.any_end();
            self.end_process(end);
        }
    }

    async fn opened(&mut self, trouble: &Trouble) -> Done {
        self.opened_badly = *trouble == Trouble::Drive;
        self.note().await?;
        if self.lies == Lies::Fences {
            let members = DrivePath::fixed(Folder::Top, "members");
            self.witness.lose_replacements_of(&members);
            for drive in self.shelf.drives() {
                drive.lose_replacements_of(&members);
            }
        }
        self.look_at_everything().await?;
        if *trouble == Trouble::Nothing {
            for number in self.places.keys().copied().collect::<Vec<_>>() {
                self.files_are_those_of_the_catalogue(number)?;
            }
        }
        // Else what was found behind or missing stays so for a while.
        if self.rng.one_in(2) {
            self.tend().await?;
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<Store, Error> {
        let given = |at: usize| GivenDrive {
            facility: format!("f{}", at % self.facilities),
            place: format!("place-{at:02}"),
        };
        // Whoever founds names the drives, until they have their identities.
        let named = if self.places.is_empty() {
            self.founders
        } else {
            0
        };
        let drives = StoreDrives {
            given: (0..named).map(given).collect(),
            otherwise: None,
            wish: Wish::AsBefore,
            witness: Some(Arc::new(self.witness.clone())),
            opener: Arc::<Shelf>::clone(&self.shelf),
        };
        Store::open_set(drives, world::at_rest(), world::options(self.tables)).await
    }

    fn trouble(&mut self) -> Trouble {
        if self.is_calm {
            return Trouble::Nothing;
        }
        match self.rng.below(12) {
            0 => {
                self.told.crashes += 1;
                self.power.fail_after(self.rng.below(150));
                Trouble::Power
            }
            1 => {
                let at = self.rng.below(30);
                let fault = [Fault::FailAt(at), Fault::FailReadAt(at)][self.rng.index(2)];
                let Some(drive) = self.any_place().and_then(|place| self.shelf.at(&place)) else {
                    return Trouble::Nothing;
                };
                self.told.faults += 1;
                drive.set_plan(FaultPlan::new([fault]));
                Trouble::Drive
            }
            _ => Trouble::Nothing,
        }
    }

    pub(super) fn without_plans(&self) {
        for drive in self.shelf.drives() {
            drive.set_plan(FaultPlan::default());
        }
    }

    /// Whether a start that goes undisturbed must succeed: enough drives with copies are there to
    /// know the newest members, and half of the copies or more are there and count.
    fn must_open(&self) -> bool {
        if self.away.is_empty() {
            return true;
        }
        if !self.knows_copies {
            return false;
        }
        let is_there = |number: &DriveNo| {
            let place = self.places.get(number);
            place.is_some_and(|place| self.shelf.at(place).is_some())
        };
        let all = self.copies.len();
        let witness = usize::from(all.is_multiple_of(2));
        let votes = self.copies.keys().filter(|of| is_there(of)).count() + witness;
        let live: Vec<_> = self.copies.iter().filter(|(_, live)| **live).collect();
        let there = live.iter().filter(|(of, _)| is_there(of)).count();
        2 * votes > all + witness && there > 0 && (there == live.len() || 2 * there >= all)
    }

    /// The process ends, and the machine's drives are what it leaves; those that are away know
    /// nothing of it.
    pub(super) fn end_process(&mut self, end: fn(&SimDrive) -> SimDrive) {
        self.store = None;
        self.is_faulty = false;
        self.shaken.clear();
        self.undecided.clear();
        self.power.restore();
        let told = &mut self.told;
        self.shelf.end(end, |trace| told.note(trace));
        told.note(self.witness.trace());
        self.witness = end(&self.witness);
        self.witness.plug_in(&self.power);
    }

    pub(super) fn note_traces(&mut self) {
        for drive in self.shelf.drives() {
            self.told.note(drive.trace());
        }
    }

    pub(super) fn any_end(&mut self) -> fn(&SimDrive) -> SimDrive {
        match self.rng.below(3) {
            0 => SimDrive::kill,
            _ => SimDrive::crash,
        }
    }

    /// Takes down which drives there are and which copies count.
    pub(super) async fn note(&mut self) -> Done {
        let found = self.store().protection().await;
        let found = found.map_err(|error| format!("protection: {error}"))?;
        let drives = found.ok_or("a cluster without drives")?.drives;
        let is_expected = |state| !matches!(state, DriveState::Lost | DriveState::Removed);
        let expected = drives.iter().filter(|drive| is_expected(drive.state));
        self.places = expected
            .map(|drive| (drive.number, drive.place.clone()))
            .collect();
        self.copies = drives
            .iter()
            .filter_map(|drive| Some((drive.number, drive.copy_is_live?)))
            .collect();
        self.knows_copies = true;
        self.note_what_was_given_up();
        Ok(())
    }

    /// A change that was cut short may have counted after all.
    fn note_what_was_given_up(&mut self) {
        self.members_at.extend(self.places.values().cloned());
        let is_past = |place: &&String| {
            let is_expected = self.places.values().any(|of| of == *place);
            self.members_at.contains(*place) && !is_expected
        };
        let away: Vec<_> = self.away.keys().filter(is_past).cloned().collect();
        let there = self.shelf.places();
        let there: Vec<_> = there.iter().filter(is_past).cloned().collect();
        for place in away.into_iter().chain(there) {
            let drive = self.away.remove(&place);
            if let Some(drive) = drive.or_else(|| self.shelf.take(&place)) {
                self.given_up.insert(place, drive);
            }
        }
    }

    /// Everything answered is there, and nothing else.
    async fn look_at_everything(&mut self) -> Done {
        let store = self.store();
        let found = self.found()?;
        let last = store.tables().last_commit().0;
        let agrees = |model: &Model| {
            let rows = model.rows.iter();
            let rows = rows.map(|(key, row)| (key.clone(), (row.value.clone(), row.seq)));
            // Scrub and heal commit, too.
            model.seq <= last && rows.collect::<BTreeMap<_, _>>() == found
        };
        let models = std::iter::once(&self.model).chain(&self.doubt);
        let Some(model) = models.into_iter().find(|model| agrees(model)).cloned() else {
            return Err(format!(
                "{} rows at commit {last}: neither what was answered nor that and the last commit",
                found.len(),
            ));
        };
        let rows = &model.rows;
        let happened = rows.len() != self.model.rows.len() || *rows != self.model.rows;
        self.record.is_known(happened);
        for key in (0..self.keys).map(key_of) {
            let value = found.get(&key).map(|(value, _)| value.as_slice());
            self.record.found(&key, value);
        }
        self.model = model;
        self.model.seq = last;
        self.doubt = None;
        let entries = store.catalogue(None, usize::MAX);
        let entries = entries.map_err(|error| error.to_string())?;
        let listed: BTreeMap<BlobId, (u64, u32)> = entries
            .iter()
            .map(|entry| {
                let location = entry.location;
                (location.blob, (location.sealed_bytes, entry.refs))
            })
            .collect();
        let blobs = self.model.blobs.iter();
        let blobs = blobs.map(|(blob, of)| (*blob, (u64::try_from(of.len).unwrap(), of.refs)));
        if listed != blobs.collect() {
            return Err("the catalogue is not that of the blobs".to_owned());
        }
        for (blob, of) in self.model.blobs.clone() {
            self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Rows, String> {
        self.told.operations += 1;
        world::rows(&self.store())
    }

    /// On a drive that is well: the shards that it should have, and nothing else. An owed shard may
    /// be there.
    pub(super) fn files_are_those_of_the_catalogue(&self, number: DriveNo) -> Done {
        if !self.is_well(number) || self.put_back == Some(number) {
            return Ok(());
        }
        let place = &self.places[&number];
        let drive = self.shelf.at(place).unwrap();
        let undecided = self.undecided.iter().copied().map(DrivePath::blob);
        let entries = self.store().catalogue(None, usize::MAX);
        let entries = entries.map_err(|error| error.to_string())?;
        world::files_are_those_of(&entries, &drive, number, undecided.collect())
    }

    /// What the server does every two seconds: a look at the drives, copies brought level. Whatever
    /// fails on the way, what comes of it is judged afterwards.
    pub(super) async fn tend(&mut self) -> Done {
        self.told.operations += 1;
        let store = self.store();
        // What one round makes possible the next one does.
        for _ in 0..2 {
            if let Err(error) = store.look_for_drives().await {
                self.say(&format!("  looking for drives: {error}"));
            }
            match store.revive_copies().await {
                Ok(false) => {}
                Ok(true) => {
                    self.say("  commits are taken again");
                    // What was answered as unknown is cut off.
                    self.doubt = None;
                    self.record.is_known(false);
                }
                Err(error) => self.say(&format!("  commits are still refused: {error}")),
            }
            if let Err(error) = store.catch_up_copies().await {
                self.say(&format!("  catching up: {error}"));
            }
        }
        // While something fails by plan nothing need have come of it.
        if self.is_faulty || !self.reads_rows() {
            return Ok(());
        }
        self.note().await?;
        self.copies_are_as_good_as_can_be()
    }

    /// With half of the copies well, and one among them that counts, commits are taken, and each
    /// copy counts that is well.
    fn copies_are_as_good_as_can_be(&mut self) -> Done {
        let well = || self.copies.iter().filter(|(of, _)| self.is_well(**of));
        if self.whole_copies().next().is_none() || 2 * well().count() < self.copies.len() {
            return Ok(());
        }
        if self.refuses_changes() || !self.store().tables().is_in_service() {
            return Err(format!(
                "commits are refused, and of the copies {:?} are well: {:?}",
                self.copies,
                well().collect::<Vec<_>>()
            ));
        }
        if let Some((behind, _)) = well().find(|(_, is_live)| !**is_live) {
            return Err(format!(
                "{} is well, and its copy of the tables does not count",
                drive_name(*behind)
            ));
        }
        // Whoever had lost its drive was levelled with one that had not.
        self.shaken.clear();
        // Of files that no start needs, starts compare lengths; the rest is for scrub.
        if self.is_damaged || self.opened_badly || self.put_back.is_some() {
            return Ok(());
        }
        self.copies_are_equal()
    }

    /// All copies that count and are there have the same files, byte for byte.
    pub(super) fn copies_are_equal(&self) -> Done {
        let mut first: Option<(DriveNo, BTreeMap<DrivePath, Vec<u8>>)> = None;
        for (number, is_live) in &self.copies {
            if !is_live || !self.is_well(*number) {
                continue;
            }
            let drive = self.shelf.at(&self.places[number]).unwrap();
            let files = common_files(&drive);
            let Some((of, wanted)) = &first else {
                first = Some((*number, files));
                continue;
            };
            let mut paths: BTreeSet<&DrivePath> = wanted.keys().collect();
            paths.extend(files.keys());
            let differs = |path: &&&DrivePath| wanted.get(**path) != files.get(**path);
            if let Some(path) = paths.iter().find(differs) {
                let len = |files: &BTreeMap<DrivePath, Vec<u8>>| files.get(*path).map(Vec::len);
                let pairs = wanted.get(*path).zip(files.get(*path));
                let equal = pairs.map_or(0, |(one, other)| {
                    one.iter().zip(other).take_while(|(a, b)| a == b).count()
                });
                return Err(format!(
                    "{path} differs from byte {equal} on: {:?} bytes on {}, {:?} on {}",
                    len(wanted),
                    drive_name(*of),
                    len(&files),
                    drive_name(*number)
                ));
            }
        }
        Ok(())
    }

    /// The end of every story: all drives are back, nothing fails any more; full redundancy returns,
    /// and every body that was answered is read.
    pub(super) async fn faults_stop(&mut self) -> Done {
        self.say("faults stop");
        self.all_return();
        self.end_process(SimDrive::kill);
        self.restart().await?;
        // Whatever the start met is over: one that went wrong left a drive out of service, perhaps.
        self.end_process(SimDrive::kill);
        let opened = self.open().await;
        let opened = opened.map_err(|error| format!("the store does not open: {error}"))?;
        self.store = Some(opened);
        self.opened_badly = false;
        self.note().await?;
        self.look_at_everything().await?;
        self.tend().await?;
        self.heal().await?;
        self.drains_end().await?;
        self.heal().await?;
        // The first may be one that was begun before; what that found is told until another is through.
        self.scrub().await?;
        self.scrub().await?;
        self.heal().await?;
        self.tend().await?;
        for (blob, of) in self.model.blobs.clone() {
            self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
            self.whole(blob, of).await?;
        }
        self.copies_are_equal()?;
        let found = self.store().protection().await;
        let found = found.map_err(|error| format!("protection: {error}"))?;
        let owed = found.ok_or("a cluster without drives")?.shortcomings();
        if !owed.is_empty() {
            return Err(format!("faults have stopped: {}", owed.join("; ")));
        }
        Ok(())
    }
}

/// Everything that copies have in common: all of their folders but the index.
fn common_files(drive: &SimDrive) -> BTreeMap<DrivePath, Vec<u8>> {
    let index = DrivePath::fixed(Folder::Log, "index");
    let is_common = |path: &DrivePath| {
        matches!(path.folder(), Folder::Log | Folder::Audit | Folder::Vault) && *path != index
    };
    let files = drive.files().into_iter().filter(is_common);
    files
        .map(|path| (path.clone(), drive.contents(&path).unwrap()))
        .collect()
}
