// SPDX-License-Identifier: Apache-2.0
//! What goes wrong: faults by plan, power that fails, drives that go and come back; and what makes
//! it whole again.

use std::sync::Arc;

use strongroom_store::BlobId;
use strongroom_store::drive::{Drive, DriveNo, DrivePath, Folder, SetMember, Standing};
use strongroom_store::env::Clock;
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_testkit::{Fault, FaultPlan, SimClock};

use super::{ClusterStory, Lies, Step, drive_name};
use crate::model::Blob;
use crate::story::Done;
use crate::world;

impl ClusterStory {
    /// Goes on for a while with a plan of faults for one drive, then without.
    async fn under(&mut self, place: &str, plan: FaultPlan) -> Done {
        self.told.faults += 1;
        self.say(&format!("  {place}: {plan:?}"));
        let Some(drive) = self.shelf.at(place) else {
            return Ok(());
        };
        drive.set_plan(plan);
        self.shaken.insert(place.to_owned());
        (self.is_faulty, self.knows_copies) = (true, false);
        for _ in 0..=self.rng.below(6) {
            self.ordinary_step().await?;
            if self.doubt.is_some() || !self.store().tables().is_in_service() {
                break;
            }
        }
        drive.set_plan(FaultPlan::default());
        self.is_faulty = false;
        self.after_faults().await
    }

    /// What the next look at the drives makes of it, unless there is only a new start.
    pub(super) async fn after_faults(&mut self) -> Done {
        if self.reads_rows() {
            return self.tend().await;
        }
        Ok(())
    }

    pub(super) async fn fail_soon(&mut self) -> Done {
        let Some(place) = self.any_place() else {
            return Ok(());
        };
        let fault = Fault::FailAt(self.rng.below(25));
        self.under(&place, FaultPlan::new([fault])).await
    }

    pub(super) async fn fail_read_soon(&mut self) -> Done {
        let Some(place) = self.any_place() else {
            return Ok(());
        };
        let fault = Fault::FailReadAt(self.rng.below(20));
        self.under(&place, FaultPlan::new([fault])).await
    }

    pub(super) async fn full_drive(&mut self) -> Done {
        let Some(place) = self.any_place() else {
            return Ok(());
        };
        let drive = self.shelf.at(&place).unwrap();
        let used = Self::used_bytes(&drive) + self.rng.below(3_000);
        let plan = FaultPlan::new([Fault::Capacity(used)]);
        self.under(&place, plan).await
    }

    /// A drive hangs: whoever asks it for something loses patience, and it is done or not.
    pub(super) async fn drive_hangs(&mut self) -> Done {
        let Some(place) = self.any_place() else {
            return Ok(());
        };
        self.told.faults += 1;
        self.say(&format!("  {place}"));
        let drive = self.shelf.at(&place).unwrap();
        drive.hang();
        self.shaken.insert(place);
        (self.is_faulty, self.knows_copies) = (true, false);
        for _ in 0..=self.rng.below(6) {
            self.ordinary_step().await?;
            if self.doubt.is_some() || !self.store().tables().is_in_service() {
                break;
            }
        }
        drive.answer_again();
        self.is_faulty = false;
        self.after_faults().await
    }

    /// A drive loses its power in the middle of an operation; the machine goes on. It is back at
    /// once, or stays away.
    pub(super) async fn drive_goes_soon(&mut self) -> Done {
        let Some(place) = self.any_place() else {
            return Ok(());
        };
        let Some(drive) = self.shelf.at(&place) else {
            return Ok(());
        };
        self.told.faults += 1;
        let at = self.rng.below(25);
        self.say(&format!("  {place}: power fails in operation {at}"));
        drive.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
        (self.is_faulty, self.knows_copies) = (true, false);
        for _ in 0..8 {
            self.ordinary_step().await?;
            if self.doubt.is_some() || !self.store().tables().is_in_service() {
                break;
            }
        }
        self.is_faulty = false;
        drive.set_plan(FaultPlan::default());
        if drive.has_crashed() {
            self.told.note(drive.trace());
            let left = drive.crash();
            self.shaken.insert(place.clone());
            if self.rng.one_in(2) || self.shelf.places().len() < 2 {
                self.shelf.put(&place, left);
            } else {
                self.shelf.take(&place);
                self.away.insert(place, left);
            }
        }
        self.after_faults().await
    }

    /// The power fails within the next operations, in the middle of one.
    pub(super) async fn crash_soon(&mut self) -> Done {
        self.told.crashes += 1;
        self.power.fail_after(self.rng.below(120));
        if self.lies == Lies::Flushes {
            let plan = FaultPlan::new((0..300).map(Fault::LoseFlushAt));
            let plan = plan.within(|folder| folder == Folder::Log);
            for drive in self.shelf.drives() {
                drive.set_plan(plan.clone());
            }
        }
        (self.is_faulty, self.knows_copies) = (true, false);
        for _ in 0..14 {
            self.ordinary_step().await?;
            if self.power.is_off() {
                break;
            }
        }
        let end = self.any_end();
        self.end_process(end);
        self.restart().await
    }

    /// A drive is taken away, with or without what it had not flushed.
    pub(super) fn drive_goes(&mut self) {
        // Now and then more than can be missed.
        let may = if self.rng.one_in(6) { 3 } else { 1 };
        let Some(place) = self.any_place() else {
            return;
        };
        if self.away.len() >= may || self.shelf.places().len() < 2 {
            return;
        }
        self.told.faults += 1;
        self.knows_copies = false;
        self.say(&format!("  {place}"));
        self.shaken.insert(place.clone());
        let drive = self.shelf.take(&place).unwrap();
        self.told.note(drive.trace());
        let left = match self.rng.below(2) {
            0 => drive.kill(),
            _ => drive.crash(),
        };
        self.away.insert(place, left);
    }

    /// A drive comes back as it went, however long ago.
    pub(super) async fn drive_returns(&mut self) -> Done {
        let at = self.rng.index(self.away.len());
        let Some(place) = self.away.keys().nth(at).cloned() else {
            return Ok(());
        };
        self.say(&format!("  {place}"));
        if let Some(drive) = self.away.remove(&place) {
            self.shelf.put(&place, drive);
        }
        if !self.reads_rows() {
            return Ok(());
        }
        self.tend().await?;
        match self.number_at(&place) {
            // Else the next start removes what does not count.
            Some(number) if self.takes_commits() => self.files_are_those_of_the_catalogue(number),
            _ => Ok(()),
        }
    }

    /// All drives come back.
    pub(super) fn all_return(&mut self) {
        for (place, drive) in std::mem::take(&mut self.away) {
            self.shelf.put(&place, drive);
        }
    }

    pub(super) fn number_at(&self, place: &str) -> Option<DriveNo> {
        let mut places = self.places.iter();
        let found = places.find(|(_, of)| *of == place);
        found.map(|(number, _)| *number)
    }

    async fn ordinary_step(&mut self) -> Done {
        let steps = [
            Step::Put,
            Step::PutRow,
            Step::Delete,
            Step::Copy,
            Step::MoveBody,
            Step::GiveUp,
            Step::Read,
            Step::Scan,
            Step::Checkpoint,
            Step::Look,
        ];
        let step = steps[self.rng.index(steps.len())];
        self.say(&format!("  {step:?}"));
        // Boxed: a step that makes a fault goes through here.
        Box::pin(self.step(step)).await
    }

    /// Everything that can be healed is healed, whatever is away; sometimes after so long a time
    /// that what is away is healed around.
    pub(super) async fn heal(&mut self) -> Done {
        self.told.operations += 1;
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        let mut healer = Healer::new(&self.store(), clock, HealOptions::default());
        let mut done = healer.run().await;
        if done.is_ok() && self.rng.one_in(3) {
            self.clock.advance_ms(2 * 60 * 60 * 1000);
            done = healer.run().await;
        }
        drop(healer);
        self.note_commits();
        if let Err(error) = done {
            return self.explained("healing", &error);
        }
        if self.is_faulty || !self.is_settled() {
            return Ok(());
        }
        for blob in self.model.blobs.keys() {
            let kept = self.keeping(*blob)?;
            if !kept.owed.is_empty() {
                return Err(format!(
                    "{blob} is healed and owed {:?} of {:?}",
                    kept.owed, kept.placement
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn scrub(&mut self) -> Done {
        self.told.operations += 1;
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        let passed = match Scrubber::new(&self.store(), clock, ScrubOptions::default()) {
            Ok(mut scrubber) => scrubber.run_pass().await.map(drop),
            Err(error) => Err(error),
        };
        self.note_commits();
        passed.or_else(|error| self.explained("scrub", &error))
    }

    /// Scrub and heal commit, too.
    fn note_commits(&mut self) {
        if self.reads_rows() {
            self.model.seq = self.store().tables().last_commit().0;
        }
    }

    pub(super) fn are_all_well(&self) -> bool {
        self.places.keys().all(|number| self.is_well(*number))
    }

    /// Whether every drive is well and stays, and none was given up that bodies still count on: there
    /// is a place for every shard.
    pub(super) fn is_settled(&self) -> bool {
        let view = self.store().drives().view();
        let mut members = view.members().iter();
        let is_over =
            |member: &SetMember| matches!(member.standing, Standing::Member | Standing::Removed);
        self.are_all_well() && members.all(is_over)
    }

    /// A shard rots, is cut or vanishes; a pass of scrub finds it, heal gives it back.
    pub(super) async fn scrub_and_heal(&mut self) -> Done {
        // What cannot be taken down cannot be healed: no damage then.
        let all_count = self.whole_copies().count() == self.copies.len();
        let can_be_healed = all_count && self.is_settled();
        let found = self.any_blob().filter(|_| can_be_healed);
        let Some((blob, of)) = found else {
            self.scrub().await?;
            return self.heal().await;
        };
        let kept = self.keeping(blob)?;
        if !kept.owed.is_empty() {
            return self.heal().await;
        }
        self.told.faults += 1;
        let path = DrivePath::blob(blob);
        let holders = kept.placement.as_slice();
        let number = holders[self.rng.index(holders.len())];
        let place = self.places.get(&number);
        let place = place.ok_or(format!("{blob} is on {}", drive_name(number)))?;
        let drive = self.shelf.at(place).unwrap();
        let file = drive.contents(&path).ok_or(format!("no shard of {blob}"))?;
        let place = self.rng.index(file.len());
        match self.rng.below(3) {
            0 => drop(drive.rot(&path, place, 1 << self.rng.below(8))),
            1 => drive.plant(&path, &file[..place]),
            _ => drop(drive.remove(&path).map_err(|error| error.to_string())?),
        }
        self.say(&format!("  {}, {path} at {place}", drive_name(number)));
        self.scrub().await?;
        self.heal().await?;
        self.whole(blob, of).await
    }

    /// All shards of a blob are there and whole.
    pub(super) async fn whole(&mut self, blob: BlobId, of: Blob) -> Done {
        self.told.operations += 1;
        let location = world::location(blob, of.len);
        let verified = self.store().blobs().verify(&location).await;
        match verified {
            Ok(_) => Ok(()),
            Err(error) => self.explained(&format!("verifying {blob}"), &error),
        }
    }
}
