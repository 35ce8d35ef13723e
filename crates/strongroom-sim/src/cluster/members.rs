// SPDX-License-Identifier: Apache-2.0
//! Drives that join, are emptied, leave and are replaced, between faults and during them.

use strongroom_store::drive::{DriveNo, DriveState};
use strongroom_store::{Error, GivenDrive};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use super::{ClusterStory, drive_name};
use crate::story::Done;

/// A store has no more drives than this in a story.
const DRIVES_MAX: usize = 8;

impl ClusterStory {
    /// A new drive is taken in; sometimes something goes wrong meanwhile.
    pub(super) async fn add_drive(&mut self) -> Done {
        if self.places.len() >= DRIVES_MAX {
            return Ok(());
        }
        let given = self.new_place();
        self.say(&format!("  {}:{}", given.facility, given.place));
        let is_disturbed = self.disturb();
        let added = self.store().add_drive(given.clone()).await;
        self.told.members += u64::from(added.is_ok());
        self.came_of_it("adding a drive", is_disturbed, added.map(drop))
            .await
    }

    /// A drive is to be emptied, or is kept after all.
    pub(super) async fn drain_drive(&mut self) -> Done {
        let Some(number) = self.any_number() else {
            return Ok(());
        };
        let is_draining = self.state_of(number) == DriveState::Draining;
        let staying = self.places.len() - self.draining().len();
        if !is_draining && staying < 3 {
            return Ok(());
        }
        self.say(&format!("  {}", drive_name(number)));
        let is_disturbed = self.disturb();
        let (store, what) = (self.store(), "draining a drive");
        let done = if is_draining {
            store.keep_drive(number).await
        } else {
            store.drain_drive(number).await
        };
        drop(store);
        self.told.members += u64::from(done.is_ok());
        // It may have failed a flush, or bodies on it may have no other place. To stay it always may.
        let done = match done {
            Err(Error::DrivesRefuse { .. }) if !is_draining || !self.is_well(number) => Ok(()),
            done => done,
        };
        self.came_of_it(what, is_disturbed, done).await
    }

    /// What was to be emptied is emptied, as far as it goes, and let go.
    pub(super) async fn remove_drive(&mut self) -> Done {
        for number in self.draining() {
            self.heal().await?;
            self.tend().await?;
            if self.is_stuck() {
                return Ok(());
            }
            let is_disturbed = self.disturb();
            let removed = self.store().remove_drive(number).await;
            let is_removed = removed.is_ok();
            // Shards may have no other place, and copies of the tables none that is well.
            let removed = match removed {
                Err(Error::DrivesRefuse { .. }) => Ok(()),
                other => other,
            };
            let place = self.places[&number].clone();
            self.came_of_it("removing a drive", is_disturbed, removed)
                .await?;
            if is_removed && let Some(drive) = self.shelf.take(&place) {
                self.say(&format!("  {} is gone", drive_name(number)));
                self.told.members += 1;
                self.given_up.insert(place, drive);
            }
            if self.is_stuck() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A drive that is away is given up, and another takes its place.
    pub(super) async fn replace_drive(&mut self) -> Done {
        let at = self.rng.index(self.away.len());
        let Some(place) = self.away.keys().nth(at).cloned() else {
            return Ok(());
        };
        self.tend().await?;
        let Some(number) = self.number_at(&place).filter(|_| !self.is_stuck()) else {
            return Ok(());
        };
        let facility = self.facility_of(number);
        let given = GivenDrive {
            facility,
            ..self.new_place()
        };
        self.say(&format!("  {} by {}", drive_name(number), given.place));
        let is_disturbed = self.disturb();
        let replaced = self.store().replace_drive(given, Some(number)).await;
        if replaced.is_ok() {
            self.say("  is replaced");
            self.told.members += 1;
            let drive = self.away.remove(&place).unwrap();
            self.given_up.insert(place, drive);
        }
        // Bodies may need it.
        let replaced = match replaced {
            Err(Error::DrivesRefuse { .. }) => Ok(()),
            other => other.map(drop),
        };
        self.came_of_it("replacing a drive", is_disturbed, replaced)
            .await
    }

    /// A drive that was given up is back in its place: nobody takes it.
    pub(super) async fn given_up_returns(&mut self) -> Done {
        let at = self.rng.index(self.given_up.len());
        let Some(place) = self.given_up.keys().nth(at).cloned() else {
            return Ok(());
        };
        if self.places.values().any(|of| *of == place) {
            return Ok(());
        }
        self.say(&format!("  {place}"));
        let drive = self.given_up.remove(&place).unwrap();
        self.shelf.put(&place, drive);
        if let Err(error) = self.store().look_for_drives().await {
            self.explained("looking for drives", &error)?;
        }
        let given = GivenDrive {
            facility: "f0".to_owned(),
            place: place.clone(),
        };
        if let Ok(number) = self.store().add_drive(given).await {
            let number = drive_name(number);
            return Err(format!(
                "what was given up at {place} was taken as {number}"
            ));
        }
        let drive = self.shelf.take(&place).unwrap();
        self.given_up.insert(place, drive);
        Ok(())
    }

    /// What is being drained when faults stop leaves, or stays.
    pub(super) async fn drains_end(&mut self) -> Done {
        self.is_calm = true;
        self.remove_drive().await?;
        for number in self.draining() {
            let kept = self.store().keep_drive(number).await;
            kept.map_err(|error| format!("keeping {}: {error}", drive_name(number)))?;
        }
        self.is_calm = false;
        self.tend().await
    }

    /// Sometimes the power fails, or something that is asked of a drive.
    fn disturb(&mut self) -> bool {
        if self.is_calm || self.is_stuck() {
            return false;
        }
        match self.rng.below(5) {
            0 => {
                self.told.crashes += 1;
                self.power.fail_after(self.rng.below(24));
            }
            1 => {
                let fault = Fault::FailAt(self.rng.below(4));
                let Some(place) = self.any_place() else {
                    return false;
                };
                self.told.faults += 1;
                let drive = self.shelf.at(&place).unwrap();
                drive.set_plan(FaultPlan::new([fault]));
                self.shaken.insert(place);
            }
            _ => return false,
        }
        (self.is_faulty, self.knows_copies) = (true, false);
        true
    }

    /// After a change of the members: without a fault it is done, and with one it is judged by what
    /// is there.
    async fn came_of_it(
        &mut self,
        doing: &str,
        is_disturbed: bool,
        done: Result<(), Error>,
    ) -> Done {
        self.told.operations += 1;
        match &done {
            // A copy of the tables was to go to a drive that is away, and nobody was left to agree.
            Err(Error::NoMajority) if !self.are_all_well() => {}
            Err(error) => self.explained(doing, error)?,
            Ok(()) => {}
        }
        self.knows_copies = false;
        if is_disturbed {
            if self.power.is_off() {
                let end: fn(&SimDrive) -> SimDrive = self.any_end();
                self.end_process(end);
                return self.restart().await;
            }
            self.power.restore();
            self.without_plans();
            self.is_faulty = false;
        }
        self.after_faults().await
    }

    /// A place in which nothing is; sometimes one where adding went wrong before.
    fn new_place(&mut self) -> GivenDrive {
        let is_free = |place: &String| {
            let is_expected = self.places.values().any(|of| of == place);
            !is_expected && !self.given_up.contains_key(place) && !self.away.contains_key(place)
        };
        let tried: Vec<_> = self.shelf.places().into_iter().filter(is_free).collect();
        let again = tried.get(self.rng.index(tried.len())).cloned();
        let place = again.filter(|_| self.rng.one_in(2)).unwrap_or_else(|| {
            self.places_named += 1;
            format!("place-{:02}", self.founders + self.places_named)
        });
        GivenDrive {
            facility: format!("f{}", self.rng.index(self.facilities)),
            place,
        }
    }

    fn any_number(&mut self) -> Option<DriveNo> {
        let at = self.rng.index(self.places.len());
        self.places.keys().nth(at).copied()
    }

    fn draining(&self) -> Vec<DriveNo> {
        let is_draining = |number: &&DriveNo| {
            let view = self.store().drives().view();
            let member = view.member(**number).map(|of| of.standing);
            member == Some(strongroom_store::drive::Standing::Draining)
        };
        self.places.keys().filter(is_draining).copied().collect()
    }

    fn state_of(&self, number: DriveNo) -> DriveState {
        self.store().drives().view().state(number)
    }

    fn facility_of(&self, number: DriveNo) -> String {
        let view = self.store().drives().view();
        view.member(number).unwrap().facility.clone()
    }

    /// Whether the store waits for an operator: nothing is begun then.
    fn is_stuck(&self) -> bool {
        self.doubt.is_some() || !self.store().tables().is_in_service()
    }
}
