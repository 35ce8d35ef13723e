// SPDX-License-Identifier: Apache-2.0
//! Stories of clusters: tables, too, on several drives, which know each other by their members.
//!
//! What may be expected is this, and no more:
//!
//! - What was answered is there after every start, byte for byte; what was answered as unknown is
//!   there as a whole or not at all, and never once commits were taken again without it.
//! - Commits are taken while half of the copies of the tables or more are well: they count, and
//!   their drives are there and answer. With fewer they may be refused; rows are read on.
//! - Drives are added, emptied, let go and replaced, and what was given up is never taken again.
//! - A start may be refused only when too few drives with copies are there. With all drives that
//!   were not given up it never is.
//! - Damage in one copy of the tables is put right from another, by the next start or the next scrub,
//!   and nothing is ever shown of it.
//! - A drive that is put back to an older state while the store is off misses what came since, as one
//!   that was away; only scrub finds that out of its bodies.
//! - A body of which enough shards are on drives that serve is read. When no drive is away, all are.
//! - After every look at the drives each copy counts whose drive is there and well, as long as
//!   commits are taken. When faults stop nothing is owed, and all copies are equal byte for byte.

mod damage;
mod faults;
mod look;
mod members;
mod operations;
mod record;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strongroom_store::drive::DriveNo;
use strongroom_store::table::TableOptions;
use strongroom_store::{BlobId, Error, Store};
use strongroom_testkit::{SimClock, SimDrive, SimPower, SimRng};

use self::record::Record;
use self::shelf::Shelf;
use crate::model::{Model, ROWS};
use crate::story::{Done, Told};
use crate::world;

/// A story in the telling.
pub(crate) struct ClusterStory {
    rng: SimRng,
    aloud: bool,
    tables: TableOptions,
    weights: Vec<u64>,
    keys: u64,
    facilities: usize,
    founders: usize,
    shelf: Arc<Shelf>,
    /// The data directory's memory of the members.
    witness: SimDrive,
    power: SimPower,
    /// Drives that were taken away, by their places. What they miss they miss.
    away: BTreeMap<String, SimDrive>,
    /// Drives that were given up: they have no part in anything any more.
    given_up: BTreeMap<String, SimDrive>,
    /// What drives were at some moment: what somebody may put back.
    images: BTreeMap<DriveNo, SimDrive>,
    /// A drive that was put back to such an image, and scrub and heal have not been there yet.
    put_back: Option<DriveNo>,
    /// Places in which members ever were.
    members_at: BTreeSet<String>,
    /// So many places got names after the founding.
    places_named: usize,
    store: Option<Store>,
    /// The drives that are expected, and where.
    places: BTreeMap<DriveNo, String>,
    /// The drives with copies of the tables, and whether those count, when that was seen last.
    copies: BTreeMap<DriveNo, bool>,
    /// Places whose drives failed or were gone for a moment: the store may have given them up without
    /// being able to say so.
    shaken: BTreeSet<String>,
    /// Whether nothing can have changed that since.
    knows_copies: bool,
    model: Model,
    /// Requests and answers, for a judge that knows nothing else.
    record: Record,
    /// What may be there after the next start besides the model.
    doubt: Option<Model>,
    /// Bodies whose commit was answered as unknown: their files stay until the next start.
    undecided: BTreeSet<BlobId>,
    /// A fault is planned: errors are explained.
    is_faulty: bool,
    lies: Lies,
    /// Nothing else goes wrong meanwhile.
    is_calm: bool,
    /// Files of a copy are damaged, and scrub has not been there yet.
    is_damaged: bool,
    /// A read failed while the store opened: files that no start needs may differ until the next.
    opened_badly: bool,
    clock: Arc<SimClock>,
    told: Told,
}

/// What drives say that they did, and did not: no store survives that, and stories that do look at
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lies {
    Nothing,
    /// Flushes of the log, as if the store left them out.
    Flushes,
    /// The members file, as if the store left fences out.
    Fences,
}

/// What a story can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Put,
    PutRow,
    Delete,
    Copy,
    GiveUp,
    Read,
    Scan,
    Checkpoint,
    Look,
    Close,
    Kill,
    PowerLoss,
    CrashSoon,
    FailSoon,
    FailReadSoon,
    FullDrive,
    DriveGoesSoon,
    DriveGoes,
    DriveReturns,
    Heal,
    ScrubAndHeal,
    DamageCopy,
    AddDrive,
    DrainDrive,
    RemoveDrive,
    ReplaceDrive,
    GivenUpReturns,
    MoveBody,
    DriveHangs,
    DriveIsPutBack,
}

/// So many of them are told.
pub(crate) const KINDS: usize = STEPS.len();

const STEPS: [(Step, u64); 30] = [
    (Step::Put, 20),
    (Step::PutRow, 20),
    (Step::Delete, 12),
    (Step::Copy, 8),
    (Step::GiveUp, 2),
    (Step::Read, 30),
    (Step::Scan, 4),
    (Step::Checkpoint, 3),
    (Step::Look, 3),
    (Step::Close, 1),
    (Step::Kill, 1),
    (Step::PowerLoss, 1),
    (Step::CrashSoon, 2),
    (Step::FailSoon, 3),
    (Step::FailReadSoon, 2),
    (Step::FullDrive, 1),
    (Step::DriveGoesSoon, 2),
    (Step::DriveGoes, 2),
    (Step::DriveReturns, 4),
    (Step::Heal, 1),
    (Step::ScrubAndHeal, 1),
    (Step::DamageCopy, 2),
    (Step::MoveBody, 6),
    (Step::DriveHangs, 2),
    (Step::AddDrive, 1),
    (Step::DrainDrive, 1),
    (Step::RemoveDrive, 1),
    (Step::ReplaceDrive, 2),
    (Step::GivenUpReturns, 1),
    (Step::DriveIsPutBack, 2),
];

impl ClusterStory {
    pub(crate) fn new(seed: u64, aloud: bool) -> Self {
        // Another sequence than that of the story of one drive with the same number.
        let mut rng = SimRng::new(seed ^ 0x636C_7573_7465_7273);
        let tables = world::tables(&mut rng);
        // Each story has its own taste: some steps often, some never.
        let weights = STEPS.map(|(_, weight)| match rng.below(4) {
            0 => 0,
            1 => weight * 3,
            _ => weight,
        });
        let keys = 2 + rng.below(12);
        let founders = [2, 2, 3, 3, 3, 4, 5, 6][rng.index(8)];
        let facilities = 1 + rng.index(founders.min(3));
        let power = SimPower::default();
        let witness = SimDrive::new(rng.next_u64());
        witness.plug_in(&power);
        Self {
            shelf: Arc::new(Shelf::new(&power, rng.next_u64())),
            rng,
            aloud,
            tables,
            weights: weights.to_vec(),
            keys,
            facilities,
            founders,
            witness,
            power,
            away: BTreeMap::new(),
            given_up: BTreeMap::new(),
            images: BTreeMap::new(),
            put_back: None,
            members_at: BTreeSet::new(),
            places_named: 0,
            store: None,
            places: BTreeMap::new(),
            copies: BTreeMap::new(),
            shaken: BTreeSet::new(),
            knows_copies: false,
            model: Model::default(),
            record: Record::default(),
            doubt: None,
            undecided: BTreeSet::new(),
            is_faulty: false,
            lies: Lies::Nothing,
            is_calm: false,
            is_damaged: false,
            opened_badly: false,
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            told: Told::default(),
        }
    }

    /// The same with drives that lie.
    #[cfg(test)]
    pub(crate) fn with_lies(seed: u64, lies: Lies) -> Self {
        Self {
            lies,
            ..Self::new(seed, false)
        }
    }

    /// The same with the first so many kinds of steps only: to find out what a story needs to go
    /// wrong.
    pub(crate) fn limited(mut self, kinds: usize) -> Self {
        self.weights.iter_mut().skip(kinds).for_each(|of| *of = 0);
        self
    }

    /// Tells it to the end.
    pub(crate) async fn tell(mut self, operations: u64) -> Result<Told, String> {
        self.restart().await?;
        while self.told.operations < operations {
            let step = self.next_step();
            self.say(&format!("{step:?}"));
            self.step(step).await?;
            self.go_on().await?;
        }
        self.faults_stop().await?;
        self.close().await?;
        self.restart().await?;
        self.note_traces();
        self.record.judge()?;
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
            Step::GiveUp => self.give_up().await,
            Step::Read => self.read().await,
            Step::Scan => self.scan(),
            Step::Checkpoint => self.checkpoint(),
            Step::Look => self.tend().await,
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
            Step::FailSoon => self.fail_soon().await,
            Step::FailReadSoon => self.fail_read_soon().await,
            Step::FullDrive => self.full_drive().await,
            Step::DriveGoesSoon => self.drive_goes_soon().await,
            Step::DriveGoes => {
                self.drive_goes();
                Ok(())
            }
            Step::DriveReturns => self.drive_returns().await,
            Step::Heal => self.heal().await,
            Step::ScrubAndHeal => self.scrub_and_heal().await,
            Step::DamageCopy => self.damage_copy().await,
            Step::AddDrive => self.add_drive().await,
            Step::DrainDrive => self.drain_drive().await,
            Step::RemoveDrive => self.remove_drive().await,
            Step::ReplaceDrive => self.replace_drive().await,
            Step::GivenUpReturns => self.given_up_returns().await,
            Step::MoveBody => self.move_body().await,
            Step::DriveHangs => self.drive_hangs().await,
            Step::DriveIsPutBack => self.drive_is_put_back().await,
        }
    }

    /// After a step: where the store does not serve any more, what an operator would do.
    async fn go_on(&mut self) -> Done {
        if !self.reads_rows() || (self.doubt.is_some() && !self.refuses_changes()) {
            // Tables whose index is in doubt serve nothing: there is only a new start.
            self.end_process(SimDrive::kill);
            return self.restart().await;
        }
        if self.doubt.is_none() && !self.refuses_changes() && self.store().tables().is_in_service()
        {
            return Ok(());
        }
        self.tend().await?;
        if self.store().tables().is_in_service() {
            return Ok(());
        }
        self.say("  drives are brought back");
        self.all_return();
        self.tend().await?;
        if !self.store().tables().is_in_service() {
            // A flush failed, on too many of them.
            self.end_process(SimDrive::kill);
            return self.restart().await;
        }
        Ok(())
    }

    fn store(&self) -> Store {
        self.store.clone().unwrap()
    }

    /// Whether rows can be read.
    fn reads_rows(&self) -> bool {
        self.store().tables().get(ROWS, b"").is_ok()
    }

    /// Whether changes are refused since too few copies are well.
    fn refuses_changes(&self) -> bool {
        self.store().home().serves_reads_only()
    }

    /// Whether a drive is in its place and answers.
    fn is_well(&self, number: DriveNo) -> bool {
        let is_there = self
            .places
            .get(&number)
            .is_some_and(|place| self.shelf.at(place).is_some());
        let served = self.store().drives().get(number);
        is_there && served.is_some_and(|drive| drive.is_present())
    }

    /// Whether half of the copies or more count and are well: commits are taken.
    fn takes_commits(&self) -> bool {
        let whole = self.whole_copies().count();
        whole > 0 && 2 * whole >= self.copies.len()
    }

    /// The copies that count, whose drives are well and were so all the time since they count.
    fn whole_copies(&self) -> impl Iterator<Item = DriveNo> {
        let live = self.copies.iter().filter(|(_, is_live)| **is_live);
        let well = live.filter(|(number, _)| self.is_well(**number));
        let held = well.filter(|(number, _)| !self.shaken.contains(&self.places[number]));
        held.map(|(number, _)| *number)
    }

    /// An error that a fault explains is right; without a fault it is not.
    fn explained(&self, doing: &str, error: &Error) -> Done {
        self.say(&format!("  {doing}: {error}"));
        if self.is_faulty || !self.takes_commits() {
            return Ok(());
        }
        Err(format!("{doing}: {error}"))
    }

    /// A drive that is there.
    fn any_place(&mut self) -> Option<String> {
        let expected = self.places.values();
        let there: Vec<_> = expected
            .filter(|place| self.shelf.at(place).is_some())
            .cloned()
            .collect();
        there.get(self.rng.index(there.len())).cloned()
    }
}

fn key_of(number: u64) -> Vec<u8> {
    format!("key-{number:02}").into_bytes()
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn drive_name(number: DriveNo) -> String {
    format!("drive {number}")
}
