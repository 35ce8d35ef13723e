// SPDX-License-Identifier: Apache-2.0
//! One story: random operations, faults, restarts, and after each restart the look at everything.
//!
//! The rule is short. Without a fault that explains it nothing may fail. What was answered is
//! there, byte for byte; what was on its way when the power failed is there as a whole or not at
//! all; what was refused left nothing. With a fault an operation may fail, and then with an error,
//! never with other bytes. With several drives, half of all stories, drives are taken away and come
//! back with what they had: a blob of which enough shards are there and whole is read, whatever
//! happened to the others.

mod faults;
mod look;
mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use strongroom_store::blob::write_quorum;
use strongroom_store::drive::{DriveNo, DriveSet, HealthState};
use strongroom_store::{Batch, BlobId, CommitError, Error, Precondition, Store, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive, SimPower, SimRng};

use crate::model::{Blob, Change, Model, ROWS, bytes};
use crate::world::{self, Shape, UNIT};

/// What a story came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Told {
    pub(crate) operations: u64,
    pub(crate) restarts: u64,
    /// Starts that were refused, since too few drives were there.
    pub(crate) refused: u64,
    pub(crate) crashes: u64,
    /// Drives that joined, left, were drained or replaced.
    pub(crate) members: u64,
    pub(crate) faults: u64,
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

pub(crate) type Done = Result<(), String>;
/// Rows by their keys: value and commit.
pub(crate) type Rows = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

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
        let steps = STEPS.iter().map(|(step, _)| *step);
        world::draw(&mut self.rng, steps.zip(self.weights.iter().copied())).unwrap_or(Step::Read)
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

    fn store(&self) -> Store {
        self.store.clone().unwrap()
    }

    fn serves(&self) -> bool {
        let status = self.store().status();
        let online = status.health == HealthState::Online;
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
    /// Takes down what a drive was asked for.
    pub(crate) fn note(&mut self, trace: u64) {
        self.trace = self.trace.rotate_left(1) ^ trace;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.restarts += other.restarts;
        self.refused += other.refused;
        self.crashes += other.crashes;
        self.members += other.members;
        self.faults += other.faults;
        self.trace ^= other.trace;
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations, {} restarts, {} refused starts, {} crashes, {} other faults, \
             {} changes of members, trace {:016x}",
            self.operations,
            self.restarts,
            self.refused,
            self.crashes,
            self.faults,
            self.members,
            self.trace
        )
    }
}

fn drive_no(number: usize) -> DriveNo {
    DriveNo(u16::try_from(number).unwrap())
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
