// SPDX-License-Identifier: Apache-2.0
//! What goes wrong: faults by plan, power that fails, drives that go and come back, bytes that change;
//! and what makes it whole again.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_store::Write;
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::env::Clock;
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive};

use super::{Done, Step, Story, drive_no};
use crate::model::{Change, ROWS};
use crate::world::UNIT;

impl Story {
    /// Goes on for a while under a plan of faults, then without.
    pub(super) async fn under(&mut self, plan: FaultPlan) -> Done {
        self.told.faults += 1;
        let number = self.any_drive();
        self.say(&format!("  drive {number}: {plan:?}"));
        self.drives[number].set_plan(plan);
        (self.is_faulty, self.is_failing) = (true, true);
        for _ in 0..=self.rng.below(6) {
            self.ordinary_step().await?;
            if self.doubt.is_some() || !self.serves() {
                break;
            }
        }
        self.drives[number].set_plan(FaultPlan::default());
        // As the look at the drives does every few seconds.
        self.set.set_room(drive_no(number), true);
        (self.is_faulty, self.is_failing) = (false, false);
        Ok(())
    }

    /// The power fails within the next operations, in the middle of one: that of the machine, or
    /// of one drive first.
    pub(super) async fn crash_soon(&mut self) -> Done {
        self.told.crashes += 1;
        let at = self
            .rng
            .below(40 + 20 * u64::try_from(self.drives.len()).unwrap());
        let number = self.any_drive();
        let of_drive = self.rng.one_in(3);
        let mut faults = Vec::new();
        if of_drive {
            faults.push(Fault::CrashAt(at));
        } else {
            self.power.fail_after(at);
        }
        if self.lies {
            faults.extend((0..at).map(Fault::LoseFlushAt));
        }
        self.drives[number].set_plan(FaultPlan::new(faults));
        (self.is_faulty, self.is_failing) = (true, true);
        for _ in 0..12 {
            self.ordinary_step().await?;
            if self.power.is_off() || self.drives[number].has_crashed() {
                break;
            }
        }
        (self.is_faulty, self.is_failing) = (false, false);
        match self.rng.below(4) {
            0 => self.end_process(SimDrive::kill),
            _ => self.end_process(SimDrive::crash),
        }
        self.restart().await
    }

    /// The process ends, and the machine's drives are what it leaves; those that are away know
    /// nothing of it.
    pub(super) fn end_process(&mut self, end: fn(&SimDrive) -> SimDrive) {
        self.store = None;
        self.power.restore();
        for (number, drive) in self.drives.iter_mut().enumerate() {
            self.told.note(drive.trace());
            if !self.gone.contains(&number) {
                *drive = end(drive);
            }
        }
    }

    pub(super) fn note_traces(&mut self) {
        for drive in &self.drives {
            self.told.note(drive.trace());
        }
    }

    /// A drive is taken away, with or without what it had not flushed. As many may be away as a
    /// blob can lose shards.
    pub(super) fn drive_goes(&mut self) {
        let number = self.any_drive();
        let may = usize::from(self.shape.redundancy.parity());
        if number == 0 || self.gone.len() >= may || !self.gone.insert(number) {
            return;
        }
        self.told.faults += 1;
        self.say(&format!("  drive {number}"));
        let left = match self.rng.below(2) {
            0 => self.drives[number].kill(),
            _ => self.drives[number].crash(),
        };
        self.drives[number] = left;
        // Sometimes it is known at once, sometimes found out by the next operation on it.
        if self.rng.one_in(2) {
            self.set.set_drive(drive_no(number), None);
        }
    }

    /// A drive comes back as it went, however long ago.
    pub(super) async fn drive_returns(&mut self) -> Done {
        let at = self.rng.index(self.gone.len());
        let Some(number) = self.gone.iter().nth(at).copied() else {
            return Ok(());
        };
        self.gone.remove(&number);
        self.say(&format!("  drive {number}"));
        let drive = &self.drives[number];
        drive.plug_in(&self.power);
        self.set
            .set_drive(drive_no(number), Some(Arc::new(drive.clone())));
        let returned = self.store().blobs().drive_returned(drive_no(number)).await;
        returned.map_err(|error| format!("drive {number} came back: {error}"))?;
        self.files_are_those_of_the_catalogue(number..=number)
    }

    pub(super) async fn ordinary_step(&mut self) -> Done {
        let steps = [
            Step::Put,
            Step::PutRow,
            Step::Delete,
            Step::Copy,
            Step::Several,
            Step::GiveUp,
            Step::Read,
            Step::Scan,
            Step::Checkpoint,
        ];
        let step = steps[self.rng.index(steps.len())];
        self.say(&format!("  {step:?}"));
        // Boxed: a step that makes a fault goes through here.
        Box::pin(self.step(step)).await
    }

    /// Everything that can be healed is healed, whatever is away.
    pub(super) async fn heal(&mut self) -> Done {
        self.told.operations += 1;
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        let mut healer = Healer::new(&self.store(), clock, HealOptions::default());
        if let Err(error) = healer.run().await {
            return self.explained("healing", &error);
        }
        drop(healer);
        // Healing commits, too.
        self.model.seq = self.store().tables().last_commit().0;
        if self.is_faulty || self.lost_drives() > 0 {
            return Ok(());
        }
        self.nothing_is_owed()
    }

    /// Nothing is wrong with the drives any more: what has enough shards has all of them.
    pub(super) fn nothing_is_owed(&self) -> Done {
        for blob in self.model.blobs.keys() {
            let owed = self.keeping(*blob)?.owed;
            if !owed.is_empty() && self.is_readable(*blob)? {
                return Err(format!("{blob} is healed and owed {owed:?}"));
            }
        }
        Ok(())
    }

    /// A shard rots, is cut or vanishes; a pass of scrub finds it, heal gives it back.
    pub(super) async fn scrub_and_heal(&mut self) -> Done {
        let Some((blob, of)) = self.any_blob() else {
            return Ok(());
        };
        let kept = self.keeping(blob)?;
        let whole = self.drives.len() > 1 && kept.owed.is_empty() && self.lost_drives() == 0;
        if !whole {
            return Ok(());
        }
        self.told.faults += 1;
        let (path, at) = (
            DrivePath::blob(blob),
            self.rng.index(kept.placement.as_slice().len()),
        );
        let number = usize::from(kept.placement.as_slice()[at].0);
        let drive = self.drives[number].clone();
        let file = drive.contents(&path).ok_or(format!("no shard of {blob}"))?;
        let place = self.rng.index(file.len());
        match self.rng.below(3) {
            0 => drop(drive.rot(&path, place, 1 << self.rng.below(8))),
            1 => drive.plant(&path, &file[..place]),
            _ => drop(drive.remove(&path).map_err(|error| error.to_string())?),
        }
        self.say(&format!("  drive {number}, {path} at {place}"));
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        let scrubber = Scrubber::new(&self.store(), clock, ScrubOptions::default());
        let mut scrubber = scrubber.map_err(|error| error.to_string())?;
        let pass = scrubber.run_pass().await;
        pass.map_err(|error| format!("scrub: {error}"))?;
        drop(scrubber);
        self.heal().await?;
        self.verify_one(blob, of).await
    }

    /// The end of every story: all drives are back, nothing fails any more, and full redundancy
    /// returns for everything of which enough is there.
    pub(super) async fn faults_stop(&mut self) -> Done {
        self.gone.clear();
        self.end_process(SimDrive::kill);
        self.restart().await?;
        self.heal().await
    }

    /// A byte changes on the medium: it is found, never handed out, and it is only that shard.
    pub(super) async fn rot(&mut self) -> Done {
        let Some((blob, of)) = self.any_blob() else {
            return Ok(());
        };
        let path = DrivePath::blob(blob);
        if !self.is_readable(blob)? {
            return Ok(());
        }
        let kept = self.keeping(blob)?;
        let counts = kept.placement.each().filter(|(shard, on)| {
            let is_gone = self.gone.contains(&usize::from(on.0));
            !kept.owed.has(*shard) && !is_gone && self.set.get(*on).is_some()
        });
        let holders: Vec<usize> = counts.map(|(_, on)| usize::from(on.0)).collect();
        let Some(number) = holders.get(self.rng.index(holders.len())).copied() else {
            return Ok(());
        };
        self.told.faults += 1;
        let len = self.drives[number]
            .contents(&path)
            .map_or(0, |file| file.len());
        let (at, mask) = (self.rng.index(len), 1 << self.rng.below(8));
        self.drives[number].rot(&path, at, mask);
        self.say(&format!("  drive {number}, {path} at {at}"));
        match self.verified(blob, of).await {
            Ok(()) => return Err(format!("{blob}: byte {at} changed, and nobody noticed")),
            Err(error) if error.is_corruption() => {}
            Err(error) => return Err(format!("{blob}: byte {at} changed: {error}")),
        }
        (self.is_faulty, self.damaged) = (true, Some(number));
        self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
        (self.is_faulty, self.damaged) = (false, None);
        self.drives[number].rot(&path, at, mask);
        self.verify_one(blob, of).await
    }

    /// A write goes to another place among the blobs and reports success: what it hit is found,
    /// and so is what is missing; the rest stays. What is damaged is deleted afterwards.
    pub(super) async fn misdirect(&mut self) -> Done {
        self.told.faults += 1;
        let blobs = |folder| matches!(folder, Folder::Blobs(_) | Folder::Temporary);
        let fault = Fault::MisdirectAt(self.rng.below(12));
        let number = self.any_drive();
        self.drives[number].set_plan(FaultPlan::new([fault]).within(blobs));
        (self.is_faulty, self.damaged) = (true, Some(number));
        for step in [Step::Put, Step::Put, Step::Several] {
            Box::pin(self.step(step)).await?;
        }
        self.drives[number].set_plan(FaultPlan::default());
        // Bodies whose drives are away may be damaged as well: nobody can say, so they go with the others.
        let (mut damaged, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for (blob, of) in self.model.blobs.clone() {
            if let Err(error) = self.verified(blob, of).await {
                if error.is_corruption() {
                    damaged.insert(blob);
                } else if !self.is_readable(blob)? {
                    unknown.insert(blob);
                } else {
                    return Err(format!("{blob}: {error}"));
                }
            }
            self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
        }
        (self.is_faulty, self.damaged) = (false, None);
        if damaged.len() > 2 {
            return Err(format!("one write astray damaged {damaged:?}"));
        }
        damaged.append(&mut unknown);
        let rows = self.model.rows.clone();
        for (key, row) in rows {
            if row.blob.is_some_and(|blob| damaged.contains(&blob)) {
                let (mut changes, mut writes) = (Vec::new(), Vec::new());
                self.release_of(&key, &mut changes, &mut writes);
                changes.push(Change::Delete { key: key.clone() });
                writes.push(Write::Delete { table: ROWS, key });
                self.commit(Vec::new(), changes, writes).await?;
            }
        }
        Ok(())
    }
}
