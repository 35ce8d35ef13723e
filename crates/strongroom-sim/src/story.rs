// SPDX-License-Identifier: Apache-2.0
//! One story: random operations, faults, restarts, and after each restart the look at everything.
//!
//! The rule is short. Without a fault that explains it nothing may fail. What was answered is
//! there, byte for byte; what was on its way when the power failed is there as a whole or not at
//! all; what was refused left nothing. With a fault an operation may fail, and then with an error,
//! never with other bytes. With several drives, half of all stories, drives are taken away and come
//! back with what they had: a blob of which enough shards are there and whole is read, whatever
//! happened to the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use strongroom_store::blob::{Keeping, write_quorum};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveSet, Folder};
use strongroom_store::env::Clock;
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_store::{Batch, BlobId, CommitError, Error, Precondition, Store, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive, SimPower, SimRng};

use crate::model::{Blob, Change, Model, ROWS, Row, bytes};
use crate::world::{self, Shape, UNIT};

/// What a story came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Told {
    operations: u64,
    restarts: u64,
    crashes: u64,
    faults: u64,
    /// Over everything that the drives were asked for.
    trace: u64,
}

/// A story in the telling.
pub(crate) struct Story {
    rng: SimRng,
    aloud: bool,
    shape: Shape,
    weights: Vec<u64>,
    keys: u64,
    /// The first has the tables, too.
    drives: Vec<SimDrive>,
    power: SimPower,
    set: DriveSet,
    /// Drives that were taken away. What they miss they miss for ever.
    gone: BTreeSet<usize>,
    /// The one drive on which bytes are not what was written.
    damaged: Option<usize>,
    store: Option<Store>,
    model: Model,
    /// What may be there after the next start besides the model.
    doubt: Option<Model>,
    /// A fault is planned: errors are explained.
    is_faulty: bool,
    /// Drives may refuse: reading has no right to succeed.
    is_failing: bool,
    /// Drives that report flushes which they did not make: no store survives that, and a story in
    /// which none goes wrong looks at nothing.
    lies: bool,
    /// Scrub and heal commit on their own: there may be more commits than were asked for.
    heals: bool,
    clock: Arc<SimClock>,
    told: Told,
}

/// What a story can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Put,
    PutRow,
    Delete,
    Copy,
    Several,
    GiveUp,
    Read,
    Scan,
    Verify,
    Checkpoint,
    Close,
    Kill,
    PowerLoss,
    CrashSoon,
    FailSoon,
    FailReadSoon,
    FullDrive,
    Rot,
    Misdirect,
    DriveGoes,
    DriveReturns,
    Heal,
    ScrubAndHeal,
}

const STEPS: [(Step, u64); 23] = [
    (Step::Put, 20),
    (Step::PutRow, 20),
    (Step::Delete, 14),
    (Step::Copy, 8),
    (Step::Several, 6),
    (Step::GiveUp, 3),
    (Step::Read, 30),
    (Step::Scan, 4),
    (Step::Verify, 3),
    (Step::Checkpoint, 2),
    (Step::Close, 1),
    (Step::Kill, 1),
    (Step::PowerLoss, 1),
    (Step::CrashSoon, 3),
    (Step::FailSoon, 2),
    (Step::FailReadSoon, 2),
    (Step::FullDrive, 1),
    (Step::Rot, 2),
    (Step::Misdirect, 1),
    (Step::DriveGoes, 2),
    (Step::DriveReturns, 3),
    (Step::Heal, 2),
    (Step::ScrubAndHeal, 1),
];

type Done = Result<(), String>;
/// Rows by their keys: value and commit.
type Rows = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

impl Story {
    pub(crate) fn new(seed: u64, aloud: bool) -> Self {
        let mut rng = SimRng::new(seed);
        let shape = Shape::draw(&mut rng);
        // Each story has its own taste: some steps often, some never.
        let weights = STEPS.map(|(_, weight)| match rng.below(4) {
            0 => 0,
            1 => weight * 3,
            _ => weight,
        });
        let keys = 2 + rng.below(20);
        let drives: Vec<_> = (0..shape.drives)
            .map(|_| SimDrive::new(rng.next_u64()))
            .collect();
        let set = world::set(&drives, &BTreeSet::new());
        Self {
            rng,
            aloud,
            shape,
            weights: weights.to_vec(),
            keys,
            drives,
            power: SimPower::default(),
            set,
            gone: BTreeSet::new(),
            damaged: None,
            store: None,
            model: Model::default(),
            doubt: None,
            is_faulty: false,
            is_failing: false,
            lies: false,
            heals: shape.drives > 1,
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            told: Told::default(),
        }
    }

    /// The same with drives that lie.
    #[cfg(test)]
    pub(crate) fn with_lies(seed: u64) -> Self {
        let lies = true;
        Self {
            lies,
            ..Self::new(seed, false)
        }
    }

    /// Tells it to the end.
    pub(crate) async fn tell(mut self, operations: u64) -> Result<Told, String> {
        self.restart().await?;
        while self.told.operations < operations {
            let step = self.next_step();
            self.say(&format!("{step:?}"));
            self.step(step).await?;
            if self.doubt.is_some() || !self.serves() {
                // The process ends here: there is nothing else to do after a failed flush.
                self.end_process(SimDrive::kill);
                self.restart().await?;
            }
        }
        self.faults_stop().await?;
        self.close().await?;
        self.restart().await?;
        self.note_traces();
        Ok(self.told)
    }

    fn say(&self, what: &str) {
        if self.aloud {
            println!("{:6} {what}", self.told.operations);
        }
    }

    fn next_step(&mut self) -> Step {
        let sum: u64 = self.weights.iter().sum();
        let mut at = self.rng.below(sum);
        for ((step, _), weight) in STEPS.iter().zip(&self.weights) {
            if at < *weight {
                return *step;
            }
            at -= weight;
        }
        Step::Read
    }

    async fn step(&mut self, step: Step) -> Done {
        match step {
            Step::Put => self.put().await,
            Step::PutRow => self.put_row().await,
            Step::Delete => self.delete().await,
            Step::Copy => self.copy().await,
            Step::Several => self.several().await,
            Step::GiveUp => self.give_up().await,
            Step::Read => self.read().await,
            Step::Scan => self.scan(),
            Step::Verify => self.verify().await,
            Step::Checkpoint => self.checkpoint(),
            Step::Close => {
                self.close().await?;
                self.restart().await
            }
            Step::Kill => {
                self.end_process(SimDrive::kill);
                self.restart().await
            }
            Step::PowerLoss => {
                self.end_process(SimDrive::crash);
                self.restart().await
            }
            Step::CrashSoon => self.crash_soon().await,
            Step::FailSoon => {
                let faults = [Fault::FailAt(self.rng.below(20))];
                self.under(FaultPlan::new(faults)).await
            }
            Step::FailReadSoon => {
                let faults = [Fault::FailReadAt(self.rng.below(20))];
                self.under(FaultPlan::new(faults)).await
            }
            Step::FullDrive => {
                let used = self.used_bytes() + self.rng.below(3_000);
                self.under(FaultPlan::new([Fault::Capacity(used)])).await
            }
            Step::DriveGoes => {
                self.drive_goes();
                Ok(())
            }
            Step::DriveReturns => self.drive_returns().await,
            Step::Heal => self.heal().await,
            Step::ScrubAndHeal => self.scrub_and_heal().await,
            Step::Rot => self.rot().await,
            Step::Misdirect => self.misdirect().await,
        }
    }

    // ---- operations -------------------------------------------------------------------

    async fn put(&mut self) -> Done {
        let Some((blob, len, proof, adopt)) = self.new_blob().await? else {
            return Ok(());
        };
        let key = self.any_key();
        self.say(&format!("  {} = {blob}, {len} bytes", name(&key)));
        let value = bytes(self.rng.next_u64(), 24);
        let (mut changes, mut writes) = (vec![adopt], vec![Write::AdoptBlob(proof)]);
        self.put_over(key.clone(), value, Some(blob), &mut changes, &mut writes);
        let preconditions = self.any_preconditions(&key);
        self.commit(preconditions, changes, writes).await
    }

    async fn put_row(&mut self) -> Done {
        let (key, seed) = (self.any_key(), self.rng.next_u64());
        let len = self.rng.index(300);
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        self.put_over(
            key.clone(),
            bytes(seed, len),
            None,
            &mut changes,
            &mut writes,
        );
        let preconditions = self.any_preconditions(&key);
        self.commit(preconditions, changes, writes).await
    }

    async fn delete(&mut self) -> Done {
        let key = self.any_key();
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        self.release_of(&key, &mut changes, &mut writes);
        changes.push(Change::Delete { key: key.clone() });
        writes.push(Write::Delete {
            table: ROWS,
            key: key.clone(),
        });
        let preconditions = self.any_preconditions(&key);
        self.commit(preconditions, changes, writes).await
    }

    /// Another row that stands on the same blob.
    async fn copy(&mut self) -> Done {
        let (from, to) = (self.any_key(), self.any_key());
        let Some(Row { seq, blob, .. }) = self.model.rows.get(&from).cloned() else {
            return Ok(());
        };
        let Some(blob) = blob.filter(|_| from != to) else {
            return Ok(());
        };
        let (mut changes, mut writes) = (vec![Change::Share(blob)], vec![Write::ShareBlob(blob)]);
        let value = bytes(self.rng.next_u64(), 24);
        self.put_over(to, value, Some(blob), &mut changes, &mut writes);
        let known = Precondition::SeqIs {
            table: ROWS,
            key: from,
            seq,
        };
        self.commit(vec![known], changes, writes).await
    }

    /// One commit of many rows and two blobs.
    async fn several(&mut self) -> Done {
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        let mut keys = BTreeSet::new();
        for _ in 0..2 {
            let Some((blob, _, proof, adopt)) = self.new_blob().await? else {
                return Ok(());
            };
            changes.push(adopt);
            writes.push(Write::AdoptBlob(proof));
            let key = self.any_key();
            if keys.insert(key.clone()) {
                let value = bytes(self.rng.next_u64(), 24);
                self.put_over(key, value, Some(blob), &mut changes, &mut writes);
            } else {
                // Adopted and released at once: it never counts.
                changes.push(Change::Release(blob));
                writes.push(Write::ReleaseBlob(blob));
            }
        }
        for _ in 0..self.rng.below(8) {
            let key = self.any_key();
            if keys.insert(key.clone()) {
                let value = bytes(self.rng.next_u64(), 40);
                self.put_over(key, value, None, &mut changes, &mut writes);
            }
        }
        self.commit(Vec::new(), changes, writes).await
    }

    /// An upload that ends in the middle, or whose commit never comes.
    async fn give_up(&mut self) -> Done {
        let (blob, seed) = (BlobId(self.rng.id()), self.rng.next_u64());
        let body = bytes(seed, 1 + self.rng.index(12 * UNIT));
        let at = (!self.rng.one_in(3)).then(|| self.rng.index(4));
        let store = self.store();
        let written = world::write(&store, blob, &body, 2, at).await;
        self.told.operations += 1;
        if let Err(error) = written {
            if self.lost_drives() > self.lost_drives_allowed() {
                return Ok(());
            }
            return self.explained("giving up an upload", &error);
        }
        drop(written);
        let left = |path: &DrivePath| path.name() == DrivePath::blob(blob).name();
        let mut drives = self.drives.iter();
        if !self.is_faulty && drives.any(|drive| drive.files().iter().any(left)) {
            return Err(format!(
                "the upload {blob} was given up, and its file is there"
            ));
        }
        Ok(())
    }

    async fn read(&mut self) -> Done {
        let key = self.any_key();
        let expected = self.model.rows.get(&key).cloned();
        self.told.operations += 1;
        let found = match self.store().tables().get(ROWS, &key) {
            Ok(found) => found,
            Err(error) => return self.explained("reading a row", &error),
        };
        let same = match (&expected, &found) {
            (Some(expected), Some(found)) => {
                expected.value == found.value && expected.seq == found.seq
            }
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Err(format!("{}: found {found:?}, not {expected:?}", name(&key)));
        }
        let Some(blob) = expected.and_then(|row| row.blob) else {
            return Ok(());
        };
        let of = self.model.blobs[&blob];
        let units = of.len.div_ceil(UNIT);
        let first = self.rng.index(units);
        let count = 1 + self.rng.index(units - first);
        self.read_units(blob, of, first, count).await
    }

    async fn read_units(&mut self, blob: BlobId, of: Blob, first: usize, count: usize) -> Done {
        let at = u64::try_from(first).unwrap();
        let units = u32::try_from(count).unwrap();
        let location = world::location(blob, of.len);
        self.told.operations += 1;
        match world::read(&self.store(), &location, at, units).await {
            Ok(found) => {
                let end = of.len.min((first + count) * UNIT);
                if found == of.bytes()[first * UNIT..end] {
                    Ok(())
                } else {
                    Err(format!("{blob}: other bytes in units {first}+{count}"))
                }
            }
            Err(error) if self.is_readable(blob)? => Err(format!(
                "{blob} has enough shards, and reading it fails: {error}"
            )),
            Err(error) => {
                self.say(&format!("  {blob} has too few shards: {error}"));
                Ok(())
            }
        }
    }

    /// Whether as many shards as it takes are there and as they were written.
    fn is_readable(&self, blob: BlobId) -> Result<bool, String> {
        if self.is_failing {
            return Ok(false);
        }
        let Keeping {
            stripes,
            placement,
            owed,
            ..
        } = self.keeping(blob)?;
        let damaged = self.damaged;
        let whole = placement.each().filter(|(shard, on)| {
            let is_damaged = damaged == Some(usize::from(on.0));
            !owed.has(*shard) && !is_damaged && self.set.get(*on).is_some()
        });
        Ok(whole.count() >= usize::from(stripes.redundancy().data()))
    }

    fn keeping(&self, blob: BlobId) -> Result<Keeping, String> {
        let entry = self.store().catalogued(blob);
        let entry = entry.map_err(|error| error.to_string())?;
        let entry = entry.ok_or(format!("{blob} is not catalogued"))?;
        Ok(entry.keeping)
    }

    fn scan(&mut self) -> Done {
        let reverse = self.rng.one_in(2);
        let limit = 1 + self.rng.index(40);
        let start = self.any_key();
        self.told.operations += 1;
        let bound = Bound::Included(start.as_slice());
        let (from, to) = if reverse {
            (Bound::Unbounded, bound)
        } else {
            (bound, Bound::Unbounded)
        };
        let found = match self.store().tables().scan(ROWS, from, to, limit, reverse) {
            Ok(found) => found,
            Err(error) => return self.explained("scanning", &error),
        };
        let inside = self.model.rows.range::<[u8], _>((from, to));
        let mut expected: Vec<_> = inside
            .map(|(key, row)| (key.clone(), row.value.clone(), row.seq))
            .collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit);
        let found = found
            .into_iter()
            .map(|(key, row)| (key, row.value, row.seq));
        if found.collect::<Vec<_>>() == expected {
            Ok(())
        } else {
            Err("a scan shows other rows".to_owned())
        }
    }

    async fn verify(&mut self) -> Done {
        match self.any_blob() {
            Some((blob, of)) => self.verify_one(blob, of).await,
            None => Ok(()),
        }
    }

    async fn verify_one(&mut self, blob: BlobId, of: Blob) -> Done {
        self.told.operations += 1;
        match (self.verified(blob, of).await, self.is_readable(blob)?) {
            (Ok(()), true) | (Err(_), false) => Ok(()),
            (Ok(()), false) => Err(format!("{blob} has too few shards, and verifies")),
            (Err(error), true) => self.explained(&format!("verifying {blob}"), &error),
        }
    }

    /// Compares all shards that are there. That a drive is gone may be found out by that.
    async fn verified(&self, blob: BlobId, of: Blob) -> Result<(), Error> {
        let (store, location) = (self.store(), world::location(blob, of.len));
        for _ in &self.gone {
            match store.blobs().verify(&location).await {
                Err(error) if !error.is_corruption() => {}
                other => return other.map(drop),
            }
        }
        store.blobs().verify(&location).await.map(drop)
    }

    fn checkpoint(&mut self) -> Done {
        self.told.operations += 1;
        match self.store().tables().checkpoint() {
            Ok(()) => Ok(()),
            Err(error) => self.explained("a checkpoint", &error),
        }
    }

    async fn close(&mut self) -> Done {
        let store = self.store.take().unwrap();
        self.told.operations += 1;
        if let Err(error) = store.close().await {
            return self.explained("closing", &error);
        }
        self.end_process(SimDrive::kill);
        Ok(())
    }

    // ---- faults -----------------------------------------------------------------------

    /// Goes on for a while under a plan of faults, then without.
    async fn under(&mut self, plan: FaultPlan) -> Done {
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
    async fn crash_soon(&mut self) -> Done {
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
    fn end_process(&mut self, end: fn(&SimDrive) -> SimDrive) {
        self.store = None;
        self.power.restore();
        for (number, drive) in self.drives.iter_mut().enumerate() {
            self.told.trace = self.told.trace.rotate_left(1) ^ drive.trace();
            if !self.gone.contains(&number) {
                *drive = end(drive);
            }
        }
    }

    fn note_traces(&mut self) {
        for drive in &self.drives {
            self.told.trace = self.told.trace.rotate_left(1) ^ drive.trace();
        }
    }

    /// A drive is taken away, with or without what it had not flushed. As many may be away as a
    /// blob can lose shards.
    fn drive_goes(&mut self) {
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
    async fn drive_returns(&mut self) -> Done {
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

    async fn ordinary_step(&mut self) -> Done {
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
    async fn heal(&mut self) -> Done {
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
    fn nothing_is_owed(&self) -> Done {
        for blob in self.model.blobs.keys() {
            let owed = self.keeping(*blob)?.owed;
            if !owed.is_empty() && self.is_readable(*blob)? {
                return Err(format!("{blob} is healed and owed {owed:?}"));
            }
        }
        Ok(())
    }

    /// A shard rots, is cut or vanishes; a pass of scrub finds it, heal gives it back.
    async fn scrub_and_heal(&mut self) -> Done {
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
    async fn faults_stop(&mut self) -> Done {
        self.gone.clear();
        self.end_process(SimDrive::kill);
        self.restart().await?;
        self.heal().await
    }

    /// A byte changes on the medium: it is found, never handed out, and it is only that shard.
    async fn rot(&mut self) -> Done {
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
    async fn misdirect(&mut self) -> Done {
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
        let mut damaged = BTreeSet::new();
        for (blob, of) in self.model.blobs.clone() {
            if let Err(error) = self.verified(blob, of).await {
                let is_known = error.is_corruption() || !self.is_readable(blob)?;
                if !is_known {
                    return Err(format!("{blob}: {error}"));
                }
                damaged.insert(blob);
            }
            self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
        }
        (self.is_faulty, self.damaged) = (false, None);
        if damaged.len() > 2 {
            return Err(format!("one write astray damaged {damaged:?}"));
        }
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

    // ---- restarts and the look at everything --------------------------------------------

    async fn restart(&mut self) -> Done {
        self.told.restarts += 1;
        self.told.operations += 1;
        self.store = None;
        self.note_traces();
        for drive in &self.drives {
            drive.plug_in(&self.power);
        }
        self.set = world::set(&self.drives, &self.gone);
        let opened = self.shape.open(self.set.clone()).await;
        let store = opened.map_err(|error| format!("the store does not open: {error}"))?;
        self.store = Some(store);
        self.look_at_everything().await
    }

    /// Everything answered is there, and nothing else.
    async fn look_at_everything(&mut self) -> Done {
        let store = self.store();
        let found = self.found()?;
        let agrees = |model: &Model| {
            let rows = model.rows.iter();
            let rows = rows.map(|(key, row)| (key.clone(), (row.value.clone(), row.seq)));
            let last = store.tables().last_commit().0;
            let is_last = model.seq == last || (self.heals && model.seq < last);
            is_last && rows.collect::<BTreeMap<_, _>>() == found
        };
        let models = std::iter::once(&self.model).chain(&self.doubt);
        let Some(model) = models.into_iter().find(|model| agrees(model)).cloned() else {
            return Err(format!(
                "{} rows at commit {}: neither what was answered nor that and the last commit",
                found.len(),
                store.tables().last_commit().0
            ));
        };
        self.model = model;
        self.model.seq = store.tables().last_commit().0;
        self.doubt = None;
        let entries = store
            .catalogue(None, usize::MAX)
            .map_err(|error| error.to_string())?;
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
        self.files_are_those_of_the_catalogue(0..=self.drives.len() - 1)?;
        for (blob, of) in self.model.blobs.clone() {
            self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
            self.verify_one(blob, of).await?;
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Rows, String> {
        let all = Bound::Unbounded;
        let rows = self
            .store()
            .tables()
            .scan(ROWS, all, all, usize::MAX, false);
        let rows = rows.map_err(|error| error.to_string())?;
        self.told.operations += 1;
        let pairs = rows
            .into_iter()
            .map(|(key, row)| (key, (row.value, row.seq)));
        Ok(pairs.collect())
    }

    /// On every drive that is there: the shards that it should have, and nothing else. An owed
    /// shard may be there.
    fn files_are_those_of_the_catalogue(&self, on: RangeInclusive<usize>) -> Done {
        let of_blobs =
            |path: &DrivePath| matches!(path.folder(), Folder::Blobs(_) | Folder::Temporary);
        let entries = self.store().catalogue(None, usize::MAX);
        let entries = entries.map_err(|error| error.to_string())?;
        for number in on {
            let drive = &self.drives[number];
            if self.set.get(drive_no(number)).is_none() || self.gone.contains(&number) {
                continue;
            }
            let files: BTreeSet<_> = drive.files().into_iter().filter(of_blobs).collect();
            let (mut due, mut allowed) = (BTreeSet::new(), BTreeSet::new());
            for entry in &entries {
                let Keeping {
                    placement, owed, ..
                } = entry.keeping;
                let path = DrivePath::blob(entry.location.blob);
                if let Some(shard) = placement.shard_on(drive_no(number)) {
                    allowed.insert(path.clone());
                    if !owed.has(shard) {
                        due.insert(path);
                    }
                }
            }
            let shown = |paths: Vec<&DrivePath>| {
                let names: Vec<String> = paths.into_iter().map(ToString::to_string).collect();
                names.join(", ")
            };
            let (more, missing) = (files.difference(&allowed), due.difference(&files));
            let (more, missing) = (shown(more.collect()), shown(missing.collect()));
            if !more.is_empty() || !missing.is_empty() {
                return Err(format!(
                    "drive {number}: files without a row: {more}; missing: {missing}"
                ));
            }
        }
        Ok(())
    }

    // ---- pieces -----------------------------------------------------------------------

    fn store(&self) -> Store {
        self.store.clone().unwrap()
    }

    fn serves(&self) -> bool {
        let status = self.store().status();
        let online = status.health == strongroom_store::drive::HealthState::Online;
        self.store().tables().is_in_service() && online
    }

    /// An error that a fault explains is right; without a fault it is not.
    fn explained(&self, doing: &str, error: &Error) -> Done {
        self.say(&format!("  {doing}: {error}"));
        if self.is_faulty {
            return Ok(());
        }
        Err(format!("{doing}: {error}"))
    }

    /// A new blob that is durable: its id, length, proof and the change that adopts it.
    async fn new_blob(
        &mut self,
    ) -> Result<Option<(BlobId, usize, strongroom_store::BlobProof, Change)>, String> {
        let (blob, seed) = (BlobId(self.rng.id()), self.rng.next_u64());
        let len = match self.rng.below(4) {
            0 => 1 + self.rng.index(UNIT),
            1 => UNIT * (1 + self.rng.index(4)),
            _ => 1 + self.rng.index(14 * UNIT),
        };
        let units = 1 + self.rng.index(5);
        self.told.operations += 1;
        let written = world::write(&self.store(), blob, &bytes(seed, len), units, None).await;
        match written {
            Ok(Some(proof)) => Ok(Some((blob, len, proof, Change::Adopt { blob, seed, len }))),
            Ok(None) => Err("a writer was given up by nobody".to_owned()),
            Err(_) if self.lost_drives() > self.lost_drives_allowed() => Ok(None),
            Err(error) => self.explained("writing a blob", &error).map(|()| None),
        }
    }

    /// A row in the place of what is there, whose blob loses a reference.
    fn put_over(
        &mut self,
        key: Vec<u8>,
        value: Vec<u8>,
        blob: Option<BlobId>,
        changes: &mut Vec<Change>,
        writes: &mut Vec<Write>,
    ) {
        self.release_of(&key, changes, writes);
        writes.push(Write::Put {
            table: ROWS,
            key: key.clone(),
            value: value.clone(),
        });
        changes.push(Change::Put { key, value, blob });
    }

    fn release_of(&self, key: &[u8], changes: &mut Vec<Change>, writes: &mut Vec<Write>) {
        if let Some(old) = self.model.rows.get(key).and_then(|row| row.blob) {
            changes.push(Change::Release(old));
            writes.push(Write::ReleaseBlob(old));
        }
    }

    async fn commit(
        &mut self,
        preconditions: Vec<Precondition>,
        changes: Vec<Change>,
        writes: Vec<Write>,
    ) -> Done {
        let refused = self.model.refuses(&preconditions);
        let after = self.model.after(&changes);
        self.told.operations += 1;
        let batch = Batch {
            preconditions,
            writes,
        };
        match (self.store().tables().commit(batch).await, refused) {
            (Ok(seq), None) if seq.0 == after.seq => {
                self.model = after;
                Ok(())
            }
            (Ok(seq), _) => Err(format!("commit {} where {refused:?}, {}", seq.0, after.seq)),
            (Err(CommitError::Precondition { index, .. }), Some(expected)) if index == expected => {
                Ok(())
            }
            (Err(CommitError::Precondition { index, .. }), _) => {
                Err(format!("precondition {index} failed, not {refused:?}"))
            }
            (Err(CommitError::Unknown), None) if self.is_faulty => {
                self.say("  outcome unknown");
                self.doubt = Some(after);
                Ok(())
            }
            (Err(CommitError::Unknown), _) => Err("an outcome unknown without a fault".to_owned()),
            (Err(CommitError::Store(error)), _) => self.explained("committing", &error),
        }
    }

    fn any_key(&mut self) -> Vec<u8> {
        format!("key-{:02}", self.rng.below(self.keys)).into_bytes()
    }

    /// Drives that are away or failed a flush.
    fn lost_drives(&self) -> usize {
        let serves = |number: &usize| {
            !self.gone.contains(number) && self.set.get(drive_no(*number)).is_some()
        };
        self.drives.len() - (0..self.drives.len()).filter(serves).count()
    }

    /// How many may be lost while new blobs are taken.
    fn lost_drives_allowed(&self) -> usize {
        let code = self.shape.redundancy;
        usize::from(code.shards().saturating_sub(write_quorum(code)))
    }

    /// A drive that is there.
    fn any_drive(&mut self) -> usize {
        let there = (0..self.drives.len()).filter(|number| !self.gone.contains(number));
        let there: Vec<usize> = there.collect();
        there[self.rng.index(there.len())]
    }

    fn any_blob(&mut self) -> Option<(BlobId, Blob)> {
        let at = self.rng.index(self.model.blobs.len());
        let found = self.model.blobs.iter().nth(at);
        found.map(|(blob, of)| (*blob, *of))
    }

    /// Sometimes conditions, sometimes such as do not hold.
    fn any_preconditions(&mut self, key: &[u8]) -> Vec<Precondition> {
        let (table, key) = (ROWS, key.to_vec());
        let present = self.model.rows.get(&key).map(|row| row.seq);
        let one = match (self.rng.below(8), present) {
            (0, Some(seq)) => Precondition::SeqIs { table, key, seq },
            (1, Some(seq)) => {
                let seq = seq - 1;
                Precondition::SeqIs { table, key, seq }
            }
            (2, Some(_)) => Precondition::Present { table, key },
            (3, _) => Precondition::Absent { table, key },
            (4, _) => {
                let end = self.any_key();
                Precondition::RangeEmpty {
                    table,
                    start: key,
                    end,
                }
            }
            _ => return Vec::new(),
        };
        vec![one]
    }

    fn used_bytes(&self) -> u64 {
        let files = self.drives[0].files();
        let lens = files
            .iter()
            .filter_map(|path| self.drives[0].contents(path));
        lens.map(|file| u64::try_from(file.len()).unwrap()).sum()
    }
}

impl Told {
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.restarts += other.restarts;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.trace ^= other.trace;
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations, {} restarts, {} crashes, {} other faults, trace {:016x}",
            self.operations, self.restarts, self.crashes, self.faults, self.trace
        )
    }
}

fn drive_no(number: usize) -> DriveNo {
    DriveNo(u16::try_from(number).unwrap())
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
