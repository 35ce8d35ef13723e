// SPDX-License-Identifier: Apache-2.0
//! Copies whose drives do not answer, and copies that come back after a majority was lost.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strongroom_store::drive::{Access, Drive, DriveFile, DriveNo, DrivePath, Folder, HealthState};
use strongroom_store::mirror::{CopyState, Indexes, Mirror};
use strongroom_store::table::{Engine, Index, IndexMoment, IndexOp, IndexRow};
use strongroom_store::{CommitError, Error, Precondition};
use strongroom_testkit::{Fault, FaultPlan};

use crate::mirror_rig::{TestIndexes, World, engine, no};
use crate::table_rig::{Model, T, commit, put, sealer, when, writes};

/// Holds up operations while it is shut.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    /// Which operations wait; none when it is open.
    shut_for: Option<&'static str>,
    /// Operations until it shuts by itself.
    shuts_in: Option<u64>,
    passed: u64,
    waiting: u64,
}

impl Gate {
    fn pass(&self, operation: &str) {
        let mut state = self.state.lock().unwrap();
        state.passed += 1;
        if let Some(left) = state.shuts_in {
            state.shuts_in = left.checked_sub(1);
            if left == 0 {
                state.shut_for = Some("");
            }
        }
        state.waiting += 1;
        while state
            .shut_for
            .is_some_and(|wanted| operation.starts_with(wanted))
        {
            state = self.opened.wait(state).unwrap();
        }
        state.waiting -= 1;
    }

    fn shut(&self, operation: &'static str) {
        self.state.lock().unwrap().shut_for = Some(operation);
    }

    fn open(&self) {
        let mut state = self.state.lock().unwrap();
        (state.shut_for, state.shuts_in) = (None, None);
        self.opened.notify_all();
    }
}

#[derive(Debug)]
struct Gated {
    inner: Arc<dyn Drive>,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    inner: Arc<dyn DriveFile>,
    gate: Arc<Gate>,
}

impl Gated {
    fn file(&self, inner: Arc<dyn DriveFile>) -> Arc<dyn DriveFile> {
        Arc::new(GatedFile {
            inner,
            gate: Arc::clone(&self.gate),
        })
    }
}

impl Drive for Gated {
    fn label(&self) -> String {
        self.inner.label()
    }
    fn health(&self) -> HealthState {
        self.inner.health()
    }
    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        self.gate.pass("create");
        self.inner.create(path).map(|file| self.file(file))
    }
    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        self.gate.pass("open");
        Ok(self.inner.open(path, access)?.map(|file| self.file(file)))
    }
    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.gate.pass("rename");
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        self.gate.pass("remove");
        self.inner.remove(path)
    }
    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.gate.pass("list");
        self.inner.list(folder)
    }
    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.gate.pass("sync");
        self.inner.sync_folder(folder)
    }
    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.gate.pass("read");
        self.inner.read_small(path)
    }
    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        self.gate.pass("replace");
        self.inner.replace(path, bytes)
    }
    fn index_dir(&self) -> Option<PathBuf> {
        None
    }
}

impl DriveFile for GatedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        self.gate.pass("read");
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.gate.pass("write");
        self.inner.write_at(offset, bytes)
    }
    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.gate.pass("truncate");
        self.inner.truncate(len)
    }
    fn sync(&self) -> Result<(), Error> {
        self.gate.pass("sync");
        self.inner.sync()
    }
    fn len(&self) -> Result<u64, Error> {
        self.gate.pass("len");
        self.inner.len()
    }
}

/// How long a copy is waited for that hangs. For the others there is far more time than they take.
const SHORT: Duration = Duration::from_millis(200);

/// Copies of which one goes through a gate.
fn open_gated(world: &mut World, gated: usize, gate: &Arc<Gate>) -> (Mirror, Engine) {
    world.inline = false;
    let all: Vec<usize> = (0..world.drives.len()).collect();
    let mut copies = world.copies(&all);
    let inner = Arc::clone(&copies.live[gated].1);
    copies.live[gated].1 = Arc::new(Gated {
        inner,
        gate: Arc::clone(gate),
    });
    let mirror = Mirror::open(copies, sealer(), world.options()).unwrap();
    let engine = unwatched(&mirror);
    (mirror, engine)
}

/// An engine that watches no index: nobody is given up for being slow to read.
fn unwatched(mirror: &Mirror) -> Engine {
    let index: Arc<dyn Index> = Arc::new(GatedIndex {
        inner: mirror.index(),
        gate: Arc::default(),
    });
    let options = crate::table_rig::small();
    let ignore = crate::table_rig::ignore_released();
    Engine::open(mirror.drive(), sealer(), index, options, ignore).unwrap()
}

fn gated(world: &World, at: usize, gate: &Arc<Gate>) -> Arc<dyn Drive> {
    Arc::new(Gated {
        inner: world.drive(at),
        gate: Arc::clone(gate),
    })
}

/// Tried until what came late is over, as a server does every few seconds.
fn caught_up_at_last(mirror: &Mirror, at: usize, drive: &Arc<dyn Drive>) {
    let start = Instant::now();
    while let Err(error) = mirror.catch_up(no(at), drive) {
        assert!(start.elapsed() < Duration::from_mins(2), "{error}");
    }
}

#[test]
fn dur_d10_a_copy_that_hangs_is_left_behind_and_what_it_does_late_harms_nobody() {
    for (hanging, operation) in [(0, "sync"), (2, "")] {
        let story = format!("copy {hanging}, `{operation}`");
        let mut world = World::new(3, 40);
        let gate = Arc::<Gate>::default();
        let (mirror, mut engine) = open_gated(&mut world, hanging, &gate);
        commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
        gate.shut(operation);
        mirror.wait_no_longer_for(no(hanging), Some(SHORT));
        commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
        assert!(!world.ledger.is_live(no(hanging)), "{story}");
        assert_eq!(World::state_of(&mirror, hanging), CopyState::Fenced);
        // Were it waited for again, that would take longer than a test does.
        mirror.wait_no_longer_for(no(hanging), None);
        let mut engine = in_time(&story, move || {
            for at in 0..20_u8 {
                commit(&mut engine, writes(vec![put(T, &[at], b"3")])).unwrap();
            }
            engine.idle();
            engine
        });
        // While something of its earlier time is under way it is not touched.
        mirror.wait_no_longer_for(no(hanging), Some(SHORT));
        let refused = mirror.catch_up(no(hanging), &gated(&world, hanging, &gate));
        assert!(refused.is_err(), "{story}");
        assert!(!world.ledger.is_live(no(hanging)));
        mirror.wait_no_longer_for(no(hanging), None);
        gate.open();
        caught_up_at_last(&mirror, hanging, &gated(&world, hanging, &gate));
        assert!(world.ledger.is_live(no(hanging)), "{story}");
        commit(&mut engine, writes(vec![put(T, b"c", b"4")])).unwrap();
        engine.idle();
        world.assert_level(&story);
        let model = Model::of(&engine);
        drop((mirror, engine));
        let next = world.after_kill();
        let only = next.indexes.of(no(hanging));
        let alone = crate::table_rig::open_with(&next.drives[hanging], &only).unwrap();
        assert_eq!(Model::of(&alone), model, "{story}");
    }
}

#[test]
fn dur_d10_a_copy_that_hangs_while_it_is_caught_up_holds_nobody_up() {
    let mut world = World::new(3, 41);
    let (mirror, mut engine) = open_gated(&mut world, 0, &Arc::default());
    mirror.fence(no(2)).unwrap();
    for at in 0..20_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], b"1")])).unwrap();
    }
    let gate = Arc::<Gate>::default();
    let target = gated(&world, 2, &gate);
    let passed = || gate.state.lock().unwrap().passed;
    mirror.catch_up(no(2), &target).unwrap();
    mirror.fence(no(2)).unwrap();
    // How many operations it takes when nothing differs.
    let before = passed();
    mirror.catch_up(no(2), &target).unwrap();
    let operations = passed() - before;
    mirror.fence(no(2)).unwrap();
    // Of what is compared at the end, while changes pause.
    gate.state.lock().unwrap().shuts_in = Some(operations - 2);
    mirror.wait_no_longer_for(no(2), Some(SHORT));
    thread::scope(|scope| {
        let catching_up = scope.spawn(|| mirror.catch_up(no(2), &target));
        let start = Instant::now();
        while gate.state.lock().unwrap().waiting == 0 && !catching_up.is_finished() {
            assert!(start.elapsed() < Duration::from_mins(2));
            thread::sleep(Duration::from_millis(5));
        }
        // Returns, though the drive does not.
        commit(&mut engine, writes(vec![put(T, b"x", b"2")])).unwrap();
        catching_up.join().unwrap().unwrap_err();
    });
    assert_eq!(World::state_of(&mirror, 2), CopyState::Fenced);
    mirror.wait_no_longer_for(no(2), None);
    gate.open();
    caught_up_at_last(&mirror, 2, &target);
    world.assert_level("caught up");
}

/// Indexes of which one goes through a gate.
#[derive(Debug)]
struct GatedIndexes {
    inner: TestIndexes,
    gated: DriveNo,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedIndex {
    inner: Arc<dyn Index>,
    gate: Arc<Gate>,
}

impl Drop for GatedIndex {
    fn drop(&mut self) {
        self.gate.pass("drop");
    }
}

impl Indexes for GatedIndexes {
    fn open(&self, copy: DriveNo, drive: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error> {
        let inner = self.inner.open(copy, drive)?;
        if copy != self.gated {
            return Ok(inner);
        }
        let gate = Arc::clone(&self.gate);
        Ok(Arc::new(GatedIndex { inner, gate }))
    }
    fn renew(&self, copy: DriveNo, drive: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error> {
        self.inner.renew(copy, drive)
    }
}

impl Index for GatedIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.gate.pass("get");
        self.inner.get(key)
    }
    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error> {
        self.gate.pass("range");
        self.inner.range(start, end, limit, reverse)
    }
    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
        self.gate.pass("apply");
        self.inner.apply(ops)
    }
    fn persist(&self) -> Result<(), Error> {
        self.gate.pass("persist");
        self.inner.persist()
    }
    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        self.inner.moment()
    }
}

#[test]
fn dur_d10_an_index_that_hangs_is_left_behind() {
    for operation in ["get", "apply"] {
        let gate = Arc::<Gate>::default();
        let mut world = World::new(3, 42);
        world.inline = false;
        let mut options = world.options();
        options.indexes = Arc::new(GatedIndexes {
            inner: world.indexes.clone(),
            gated: no(0),
            gate: Arc::clone(&gate),
        });
        let mirror = Mirror::open(world.copies(&[0, 1, 2]), sealer(), options).unwrap();
        let mut engine = match operation {
            "get" => engine(&mirror).unwrap(),
            _ => unwatched(&mirror),
        };
        commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
        gate.shut(operation);
        mirror.wait_no_longer_for(no(0), Some(SHORT));
        let is_new = |key: &[u8]| Precondition::Absent {
            table: T,
            key: key.to_vec(),
        };
        // What was being judged is refused, and was not written; what was written is answered.
        let first = commit(&mut engine, when(is_new(b"b"), put(T, b"b", b"2")));
        assert_eq!(first.is_err(), operation == "get", "{first:?}");
        assert!(!world.ledger.is_live(no(0)), "{operation}");
        let _ = commit(&mut engine, when(is_new(b"b"), put(T, b"b", b"2")));
        commit(&mut engine, when(is_new(b"c"), put(T, b"c", b"3"))).unwrap();
        assert_eq!(engine.get(T, b"b").unwrap().unwrap().value, b"2");
        mirror.wait_no_longer_for(no(0), None);
        gate.open();
        caught_up_at_last(&mirror, 0, &world.drive(0));
        engine.idle();
        world.assert_level(operation);
    }
}

/// Runs what must not wait for a drive that hangs. Without an answer it goes on for ever.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, done) = std::sync::mpsc::channel();
    thread::spawn(move || answer.send(work()));
    let done = done.recv_timeout(Duration::from_mins(2));
    done.unwrap_or_else(|_| panic!("{what}: it waits"))
}

fn waits_at(gate: &Gate, count: u64) {
    let start = Instant::now();
    while gate.state.lock().unwrap().waiting < count {
        assert!(start.elapsed() < Duration::from_mins(2), "nobody waits");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Closing an index waits for threads of its own, which waited for the drive; and whoever fenced the
/// copy closed it: the thread of all commits.
#[test]
fn dur_d10_closing_the_index_of_a_copy_that_failed_holds_nobody_up() {
    let gate = Arc::<Gate>::default();
    let mut world = World::new(3, 43);
    world.inline = false;
    let mut options = world.options();
    options.indexes = Arc::new(GatedIndexes {
        inner: world.indexes.clone(),
        gated: no(0),
        gate: Arc::clone(&gate),
    });
    let mirror = Mirror::open(world.copies(&[0, 1, 2]), sealer(), options).unwrap();
    let mut engine = engine(&mirror).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    gate.shut("drop");
    world.drives[0].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    let mut engine = in_time("a commit", move || {
        for at in 0..3 {
            commit(&mut engine, writes(vec![put(T, &[at], b"2")])).unwrap();
        }
        engine
    });
    assert!(!world.ledger.is_live(no(0)));
    // The index is not made anew while the old one is open.
    mirror.wait_no_longer_for(no(0), Some(SHORT));
    mirror.catch_up(no(0), &world.drive(0)).unwrap_err();
    mirror.wait_no_longer_for(no(0), None);
    gate.open();
    world.drives[0] = world.drives[0].kill();
    caught_up_at_last(&mirror, 0, &world.drive(0));
    engine.idle();
    world.assert_level("closed");
}

/// All drives are behind the same cable, say: no copy is worth less than another.
#[test]
fn dur_d10_where_every_copy_is_slow_none_is_given_up() {
    let mut world = World::new(3, 44);
    world.inline = false;
    let gate = Arc::<Gate>::default();
    let mut copies = world.copies(&[0, 1, 2]);
    for (_, drive) in &mut copies.live {
        let inner = Arc::clone(drive);
        let gate = Arc::clone(&gate);
        *drive = Arc::new(Gated { inner, gate });
    }
    let mirror = Mirror::open(copies, sealer(), world.options()).unwrap();
    let mut engine = unwatched(&mirror);
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    let wait_no_longer = |at_most| {
        for copy in 0..3 {
            mirror.wait_no_longer_for(no(copy), at_most);
        }
    };
    wait_no_longer(Some(SHORT));
    gate.shut("write");
    thread::scope(|scope| {
        let committing = scope.spawn(|| commit(&mut engine, writes(vec![put(T, b"b", b"2")])));
        waits_at(&gate, 3);
        // Longer than anybody is waited for.
        thread::sleep(SHORT * 7);
        assert!(!committing.is_finished());
        // As soon as one answers, the time of the others runs.
        wait_no_longer(None);
        gate.open();
        committing.join().unwrap().unwrap();
    });
    assert!(!mirror.refuses_changes());
    commit(&mut engine, writes(vec![put(T, b"c", b"3")])).unwrap();
}

/// Row `a` is committed; of `b` the first copy says that it failed, and the others say nothing until
/// the gate is opened.
fn one_failed_and_the_others_are_late(
    count: usize,
    seed: u64,
) -> (World, Mirror, Engine, Arc<Gate>) {
    let mut world = World::new(count, seed);
    world.inline = false;
    let gate = Arc::<Gate>::default();
    let all: Vec<usize> = (0..world.drives.len()).collect();
    let mut copies = world.copies(&all);
    for (_, drive) in copies.live.iter_mut().skip(1) {
        let inner = Arc::clone(drive);
        let gate = Arc::clone(&gate);
        *drive = Arc::new(Gated { inner, gate });
    }
    let mirror = Mirror::open(copies, sealer(), world.options()).unwrap();
    let mut engine = engine(&mirror).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    engine.idle();
    gate.shut("write");
    for copy in 1..count {
        mirror.wait_no_longer_for(no(copy), Some(SHORT));
    }
    world.drives[0].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    let unknown = commit(&mut engine, writes(vec![put(T, b"b", b"2")]));
    assert!(matches!(unknown, Err(CommitError::Unknown)), "{unknown:?}");
    assert!(mirror.refuses_changes());
    (world, mirror, engine, gate)
}

/// One copy failed and the others did not answer: nobody had carried it out, so nobody was fenced;
/// and what they wrote at last fell into what was written since.
#[test]
fn dur_d10_copies_that_may_still_carry_out_what_failed_do_not_count() {
    let (world, mirror, mut engine, gate) = one_failed_and_the_others_are_late(3, 45);
    assert_eq!(World::state_of(&mirror, 0), CopyState::Live);
    assert_eq!(engine.get(T, b"a").unwrap().unwrap().value, b"1");
    // They are not taken back before what they do late is over.
    let back = |world: &World| [(no(1), world.drive(1)), (no(2), world.drive(2))];
    assert!(!matches!(mirror.revive(&back(&world)), Ok(true)));
    for copy in [1, 2] {
        mirror.wait_no_longer_for(no(copy), None);
    }
    gate.open();
    let start = Instant::now();
    while !mirror.revive(&back(&world)).unwrap_or(false) {
        assert!(start.elapsed() < Duration::from_mins(2));
    }
    engine.resume().unwrap();
    assert!(engine.get(T, b"b").unwrap().is_none());
    commit(&mut engine, writes(vec![put(T, b"c", b"3")])).unwrap();
    engine.idle();
    world.assert_level("revived");
    let next = world.after_kill();
    let (_, engine) = next.open().unwrap();
    assert!(engine.get(T, b"b").unwrap().is_none());
    assert_eq!(engine.get(T, b"c").unwrap().unwrap().value, b"3");
}

/// The copy that answered with an error is not remembered as the only whole one: those that were only
/// late are as whole as it is, and it may be about to die.
#[test]
fn dur_d10_copies_that_were_only_late_are_not_fenced_for_one_that_failed() {
    for count in [2, 3] {
        let (world, mirror, _engine, gate) = one_failed_and_the_others_are_late(count, 48);
        assert!(world.ledger.fenced.lock().unwrap().is_empty());
        // The one that failed has nothing more to say, and cannot be levelled from: nobody goes on
        // with it alone.
        let one = [(no(1), world.drive(1))];
        assert!(!matches!(mirror.revive(&one[..count - 2]), Ok(true)));
        assert!(world.ledger.fenced.lock().unwrap().is_empty());
        let next = world.after_kill();
        gate.open();
        let others: Vec<usize> = (1..next.drives.len()).collect();
        let opened = Mirror::open(next.copies(&others), sealer(), next.options());
        let mut engine = engine(&opened.unwrap()).unwrap();
        assert_eq!(engine.get(T, b"a").unwrap().unwrap().value, b"1");
        commit(&mut engine, writes(vec![put(T, b"c", b"3")])).unwrap();
        engine.idle();
    }
}

/// A backup read from an index while it was removed and made anew in the same place.
#[test]
fn a_copy_is_not_made_level_while_a_moment_of_it_is_read() {
    let world = World::new(3, 46);
    let (mirror, mut engine) = world.open().unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    let moment = mirror.index().moment().unwrap();
    mirror.fence(no(0)).unwrap();
    mirror.catch_up(no(0), &world.drive(0)).unwrap_err();
    assert!(!moment.rows(None, 10).unwrap().is_empty());
    drop(moment);
    mirror.catch_up(no(0), &world.drive(0)).unwrap();
    world.assert_level("caught up");
}

/// A commit that was durable when changes began to be refused was shown while copies were made level
/// again; the first of them was level already, and did not get it.
#[test]
fn dur_d8_a_commit_that_is_shown_while_copies_come_back_is_in_all_of_them() {
    let mut world = World::new(3, 47);
    world.inline = false;
    let mirror = world.mirror().unwrap();
    let showing = Arc::<Gate>::default();
    let index: Arc<dyn Index> = Arc::new(GatedIndex {
        inner: mirror.index(),
        gate: Arc::clone(&showing),
    });
    let options = crate::table_rig::small();
    let ignore = crate::table_rig::ignore_released();
    let opened = Engine::open(mirror.drive(), sealer(), index, options, ignore);
    let mut engine = opened.unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    mirror.fence(no(0)).unwrap();
    showing.shut("apply");
    thread::scope(|scope| {
        let committing = scope.spawn(|| {
            commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
        });
        waits_at(&showing, 1);
        // Now another change meets the failure of the second copy.
        world.drives[1].set_plan(FaultPlan::new([Fault::FailAt(0)]));
        let mark = DrivePath::fixed(Folder::Top, "restored");
        mirror.drive().replace(&mark, b"mark").unwrap_err();
        assert!(mirror.refuses_changes());
        let slow = Arc::<Gate>::default();
        let first = Arc::new(world.drives[0].clone());
        let second: Arc<dyn Drive> = Arc::new(Gated {
            inner: Arc::new(world.drives[1].kill()),
            gate: Arc::clone(&slow),
        });
        slow.shut("");
        let reviving = scope.spawn(|| {
            let first: Arc<dyn Drive> = first;
            mirror.revive(&[(no(0), first), (no(1), second)])
        });
        waits_at(&slow, 1);
        // The first copy is level, the second is not.
        showing.open();
        committing.join().unwrap();
        slow.open();
        assert!(reviving.join().unwrap().unwrap());
    });
    assert!(world.ledger.is_live(no(0)));
    let rows = |at| {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let index = world.indexes.of(no(at));
        index.range(all.0, all.1, 100, false).unwrap()
    };
    assert_eq!(rows(0), rows(2));
    engine.resume().unwrap();
    assert_eq!(engine.get(T, b"b").unwrap().unwrap().value, b"2");
}

/// Two of three copies fail, the second in the middle of a commit.
fn lost_two(seed: u64) -> (World, Mirror, Engine) {
    let world = World::new(3, seed);
    let (mirror, mut engine) = world.open().unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    world.drives[0].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
    world.drives[1].set_plan(FaultPlan::new([Fault::FailAt(1)]));
    let unknown = commit(&mut engine, writes(vec![put(T, b"c", b"3")]));
    assert!(matches!(unknown, Err(CommitError::Unknown)), "{unknown:?}");
    (world, mirror, engine)
}

fn refuses(engine: &mut Engine) {
    let refused = commit(engine, writes(vec![put(T, b"d", b"4")]));
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn dur_d8_after_the_loss_of_two_of_three_copies_one_that_is_back_is_enough() {
    for back in [0, 1] {
        let (mut world, mirror, mut engine) = lost_two(50);
        assert!(!mirror.revive(&[]).unwrap(), "nobody is back");
        assert!(engine.resume().is_err());
        refuses(&mut engine);
        world.drives[back] = world.drives[back].kill();
        assert!(mirror.revive(&[(no(back), world.drive(back))]).unwrap());
        assert!(!mirror.refuses_changes());
        assert_eq!(mirror.drive().health(), HealthState::Online);
        refuses(&mut engine);
        engine.resume().unwrap();
        // What was in doubt was not shown, and never happens.
        assert!(engine.get(T, b"c").unwrap().is_none());
        commit(&mut engine, writes(vec![put(T, b"d", b"5")])).unwrap();
        engine.idle();
        engine.checkpoint().unwrap();
        let live: Vec<_> = (0..3).filter(|at| world.ledger.is_live(no(*at))).collect();
        assert_eq!(live, [back, 2]);
        world.assert_level("revived");
        // The third comes back, too, whatever it holds of the commit in doubt.
        let third = 1 - back;
        world.drives[third] = world.drives[third].kill();
        mirror.catch_up(no(third), &world.drive(third)).unwrap();
        world.assert_level("all are back");
        let model = Model::of(&engine);
        drop((mirror, engine));
        let next = world.after_kill();
        let (_, engine) = next.open().unwrap();
        assert_eq!(Model::of(&engine), model);
        assert!(engine.get(T, b"c").unwrap().is_none());
        assert_eq!(engine.get(T, b"d").unwrap().unwrap().value, b"5");
    }
}

#[test]
fn dur_d8_going_on_after_two_losses_fails_at_every_operation_and_is_tried_again() {
    for back in [0, 1] {
        for at in 0.. {
            let (mut world, mirror, mut engine) = lost_two(51);
            let drive = world.drives[back].kill();
            drive.set_plan(FaultPlan::new([Fault::FailAt(at)]));
            world.drives[back] = drive.clone();
            let revived = mirror.revive(&[(no(back), world.drive(back))]);
            if drive.operations() <= at {
                assert!(revived.unwrap() && at > 0, "operation {at}");
                break;
            }
            assert!(mirror.refuses_changes(), "operation {at}: {revived:?}");
            assert!(engine.resume().is_err());
            refuses(&mut engine);
            assert_eq!(engine.get(T, b"b").unwrap().unwrap().value, b"2");
            world.drives[back] = drive.kill();
            assert!(mirror.revive(&[(no(back), world.drive(back))]).unwrap());
            engine.resume().unwrap();
            commit(&mut engine, writes(vec![put(T, b"d", b"5")])).unwrap();
            world.assert_level("tried again");
        }
    }
}

#[test]
fn dur_d8_a_kill_while_going_on_after_two_losses_loses_nothing() {
    for back in [0, 1] {
        for at in 0..200 {
            let (mut world, mirror, mut engine) = lost_two(52);
            let drive = world.drives[back].kill();
            drive.set_plan(FaultPlan::new([Fault::FailAt(at)]));
            world.drives[back] = drive.clone();
            let revived = mirror.revive(&[(no(back), world.drive(back))]);
            let is_over = drive.operations() <= at;
            // A fault that the revival did not come to is not to meet what follows.
            drive.set_plan(FaultPlan::default());
            if is_over && revived.unwrap() && at % 2 == 0 {
                engine.resume().unwrap();
            }
            drop((mirror, engine));
            let next = world.after_kill();
            let (_, mut engine) = next.open().unwrap();
            assert_eq!(engine.get(T, b"a").unwrap().unwrap().value, b"1");
            assert_eq!(engine.get(T, b"b").unwrap().unwrap().value, b"2");
            commit(&mut engine, writes(vec![put(T, b"d", b"5")])).unwrap();
            next.assert_level("after a kill");
            if is_over && at % 2 == 1 {
                break;
            }
        }
    }
}

/// The mark that keeps bodies of a time after the backup was on the drive that was restored, and
/// went with it.
#[test]
fn dur_d15_that_tables_came_from_a_backup_is_known_on_every_copy() {
    let mark = DrivePath::fixed(Folder::Top, "restored");
    let world = World::new(3, 60);
    drop(world.open().unwrap());
    let next = world.after_kill();
    next.drives[1].plant(&mark, b"mark");
    let (mirror, mut engine) = next.open().unwrap();
    for drive in &next.drives {
        assert_eq!(drive.contents(&mark).as_deref(), Some(&b"mark"[..]));
    }
    // One that was away when it was ended loses it, too.
    mirror.fence(no(0)).unwrap();
    assert!(mirror.drive().remove(&mark).unwrap());
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    assert!(next.drives[0].contents(&mark).is_some());
    mirror.catch_up(no(0), &next.drive(0)).unwrap();
    assert!(next.drives[0].contents(&mark).is_none());
    // And an empty one in the place of a lost one gets it.
    mirror.drive().replace(&mark, b"again").unwrap();
    mirror.fence(no(2)).unwrap();
    next.drives[2].remove(&mark).unwrap();
    mirror.catch_up(no(2), &next.drive(2)).unwrap();
    assert_eq!(
        next.drives[2].contents(&mark).as_deref(),
        Some(&b"again"[..])
    );
    next.assert_level("mark");
}
