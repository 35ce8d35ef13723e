// SPDX-License-Identifier: Apache-2.0
//! What stories of clusters found (ADR 0041), each told again on directories or simulated drives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveState, Folder};
use strongroom_store::env::Clock;
use strongroom_store::mirror::Mirror;
use strongroom_store::scrub::{FinishedPass, ScrubOptions, ScrubPhase, Scrubber};
use strongroom_store::table::{Engine, TableOptions};
use strongroom_store::{Batch, BlobId, CommitError, Store, StoreOptions, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive, SimRng};

use crate::drive_members::{Yard, protection, states};
use crate::mirror_rig::{Power, World, no};
use crate::stage;
use crate::table_rig::{T, commit, put, sealer, small, writes};

const TABLE: TableId = TableId(20);

async fn write_row(store: &Store, key: &[u8]) -> Result<(), CommitError> {
    let put = Write::Put {
        table: TABLE,
        key: key.to_vec(),
        value: b"value".to_vec(),
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![put],
    };
    store.tables().commit(batch).await.map(drop)
}

/// A third drive had joined two and its copy of the tables was not yet level when one of the two was
/// lost. Of three copies one counted, writes were refused, and the new drive was passed over when
/// copies were looked for that could be brought level.
#[tokio::test]
async fn dur_d8_writes_go_on_by_a_copy_that_is_new() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    let store = yard.open(&[]).await.unwrap();
    write_row(&store, b"before").await.unwrap();
    let more = yard.given(&["c:c1"]).pop().unwrap();
    store.add_drive(more).await.unwrap();
    yard.rename("b1", "away");
    store.look_for_drives().await.unwrap();
    write_row(&store, b"refused").await.unwrap_err();
    assert!(store.revive_copies().await.unwrap());
    write_row(&store, b"after").await.unwrap();
    store.close().await.unwrap();
    drop(store);
    // Two of three count, durably.
    let store = yard.open(&[]).await.unwrap();
    for key in [&b"before"[..], b"after"] {
        assert!(store.tables().get(TABLE, key).unwrap().is_some());
    }
    assert!(store.tables().get(TABLE, b"refused").unwrap().is_none());
    yard.rename("away", "b1");
    assert_eq!(store.look_for_drives().await.unwrap(), 1);
    assert_eq!(store.catch_up_copies().await.unwrap(), 1);
    assert_eq!(protection(&store).await.shortcomings(), [""; 0]);
}

/// Two of three drives could not remember that a fourth was added. What the third remembers can count
/// after the next start, and another try took the new drive's identity from it meanwhile: it was a
/// member then, and missing for good.
#[tokio::test]
async fn a_drive_that_may_be_a_member_after_the_next_start_keeps_its_identity() {
    let yard = Yard::made(&["a:a1", "b:b1", "c:c1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let hindered = ["b1/members.new", "c1/members.new"];
    for name in hindered {
        fs::create_dir(yard.path(name)).unwrap();
    }
    for _ in 0..2 {
        let more = yard.given(&["a:a2"]).pop().unwrap();
        store.add_drive(more).await.unwrap_err();
        assert!(yard.path("a2/superblock").exists());
    }
    drop(store);
    for name in hindered {
        fs::remove_dir(yard.path(name)).unwrap();
    }
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 4]);
}

/// A body had been written while the third drive was away: its third shard was on no drive yet. The
/// third drive came back and was drained at once, since nothing was on it; the shard had no place any
/// more and was owed for good.
#[tokio::test]
async fn a_drive_that_an_owed_shard_needs_is_not_drained() {
    let yard = Yard::made(&["a:a1", "a:a2", "a:a3"]).await;
    yard.rename("a3", "away");
    let store = yard.open(&[]).await.unwrap();
    let proof = stage::write(
        &store,
        BlobId([7; 16]),
        &stage::bytes(3, 40 * stage::UNIT),
        8,
    )
    .await
    .unwrap();
    let location = proof.location();
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    yard.rename("away", "a3");
    assert_eq!(store.look_for_drives().await.unwrap(), 1);
    let refused = store.drain_drive(DriveNo(2)).await.unwrap_err();
    assert!(refused.to_string().contains("add a drive"), "{refused}");
    let more = yard.given(&["a:a4"]).pop().unwrap();
    store.add_drive(more).await.unwrap();
    store.drain_drive(DriveNo(2)).await.unwrap();
    stage::read_all(&store, &location).await.unwrap();
}

/// A copy was fenced after a write and before the flush of it. When it was brought level the bytes were
/// there, in memory, so nothing was written and nothing flushed; it counted, and lost them with its
/// power.
#[test]
fn dur_d2_a_copy_counts_when_what_it_had_is_flushed() {
    for seed in 0..20 {
        let world = World::new(3, seed);
        let mirror = world.mirror().unwrap();
        let path = DrivePath::numbered(Folder::Audit, "events", 1);
        let file = mirror.drive().create(&path).unwrap();
        file.write_at(0, b"an event that was answered").unwrap();
        mirror.fence(no(1)).unwrap();
        file.sync().unwrap();
        mirror.drive().sync_folder(Folder::Audit).unwrap();
        mirror.catch_up(no(1), &world.drive(1)).unwrap();
        for drive in &world.drives {
            let left = drive.crash().contents(&path);
            assert_eq!(left.unwrap(), b"an event that was answered", "seed {seed}");
        }
    }
}

/// A start was writing an older log file, which one copy had lost, when the power failed. What was left
/// was as long as in the other copies, without the middle; starts compare lengths, and it stayed.
#[test]
fn dur_d1_power_loss_while_an_older_log_file_is_put_right() {
    for seed in 0..12 {
        let world = World::new(3, seed);
        let (_, mut engine) = world.open().unwrap();
        for at in 0..4_u8 {
            commit(&mut engine, writes(vec![put(T, &[at], &[at; 9_000])])).unwrap();
            if at == 2 {
                engine.checkpoint().unwrap();
            }
        }
        drop(engine);
        for at in 0.. {
            let mut next = world.after_kill();
            let lost = &next.drives[1];
            let oldest = lost.list(Folder::Log).unwrap().into_iter();
            let oldest = oldest.filter_map(|path| path.number("journal")).min();
            let oldest = DrivePath::numbered(Folder::Log, "journal", oldest.unwrap());
            assert!(lost.contents(&oldest).unwrap().len() > 2 * 4_096);
            lost.remove(&oldest).unwrap();
            lost.sync_folder(Folder::Log).unwrap();
            next.set_power(Power::failing_at(at));
            let opened = next.open();
            if !next.power.is_off() {
                assert!(opened.is_ok() && at > 3);
                next.assert_level("undisturbed");
                break;
            }
            drop(opened);
            let ended = next.after_power_loss(&mut SimRng::new(at));
            ended.open().unwrap();
            ended.assert_level(&format!("seed {seed}, change {at}"));
        }
    }
}

/// Files that the other copies had let go were back on one after a power loss. A start was giving them to
/// the others, the oldest first, when that copy failed: what they had then had a hole, and scrub called
/// the file behind it damaged.
#[test]
fn older_log_files_are_brought_back_without_a_hole() {
    let world = World::new(3, 1);
    let (_, mut engine) = world.open().unwrap();
    let mut files = BTreeMap::new();
    for at in 0..6_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 5_000])])).unwrap();
        for path in world.drives[1].list(Folder::Log).unwrap() {
            if let Some(first) = path.number("journal") {
                files.insert(first, world.drives[1].contents(&path).unwrap());
            }
        }
    }
    engine.checkpoint().unwrap();
    drop(engine);
    let mut is_partly_back = false;
    for at in 0.. {
        let next = world.after_kill();
        for (first, bytes) in &files {
            let path = DrivePath::numbered(Folder::Log, "journal", *first);
            next.drives[1].plant(&path, bytes);
        }
        next.drives[1].set_plan(FaultPlan::new([Fault::FailReadAt(at)]));
        let _mirror = next.mirror().unwrap();
        if next.drives[1].reads() <= at {
            assert!(is_partly_back);
            break;
        }
        let listed = next.drives[0].list(Folder::Log).unwrap().into_iter();
        let listed: BTreeSet<_> = listed.filter_map(|path| path.number("journal")).collect();
        let newest: BTreeSet<_> = files.keys().rev().take(listed.len()).copied().collect();
        assert_eq!(listed, newest, "read {at}");
        is_partly_back |= (3..6).contains(&listed.len());
    }
}

/// Old log files, which no start needs: the rig keeps one before the anchor's.
struct OldLog {
    world: World,
    /// The first commit of the file of the anchor.
    needed_from: u64,
    /// Files of the log that went at checkpoints, and the one that is kept, by their first commits.
    old: BTreeMap<u64, Vec<u8>>,
}

fn log_file(first_seq: u64) -> DrivePath {
    DrivePath::numbered(Folder::Log, "journal", first_seq)
}

fn log_files(drive: &SimDrive) -> BTreeSet<u64> {
    let files = drive.files().into_iter();
    files.filter_map(|path| path.number("journal")).collect()
}

impl OldLog {
    fn new(copies: usize, seed: u64) -> Self {
        let world = World::new(copies, seed);
        let (_, mut engine) = world.open().unwrap();
        let mut old = BTreeMap::new();
        for at in 0..6_u8 {
            commit(&mut engine, writes(vec![put(T, &[at], &[at; 5_000])])).unwrap();
            for first in log_files(&world.drives[0]) {
                old.insert(first, world.drives[0].contents(&log_file(first)).unwrap());
            }
        }
        engine.checkpoint().unwrap();
        drop(engine);
        let (needed_from, _) = old.pop_last().unwrap();
        assert_eq!(log_files(&world.drives[0]).len(), 2);
        assert!(old.len() > 3);
        Self {
            world: world.after_kill(),
            needed_from,
            old,
        }
    }

    /// The one that is kept, which goes on into the anchor's file.
    fn kept(&self) -> u64 {
        *self.old.last_key_value().unwrap().0
    }

    fn drive(&self, at: usize) -> &SimDrive {
        &self.world.drives[at]
    }

    fn remove(&self, at: usize, first_seq: u64) {
        let drive = self.drive(at);
        assert!(drive.remove(&log_file(first_seq)).unwrap());
        drive.sync_folder(Folder::Log).unwrap();
    }

    fn assert_whole(&self, engine: &Engine) {
        for at in 0..6_u8 {
            let row = engine.get(T, &[at]).unwrap().unwrap();
            assert_eq!(row.value, [at; 5_000]);
        }
        assert!(log_files(self.drive(0)).contains(&self.needed_from));
    }

    /// A start leaves nothing before the anchor's file.
    fn assert_let_go(&self, story: &str) {
        let (mirror, engine) = self.world.open().unwrap();
        assert!(mirror.report().let_go > 0, "{story}");
        self.assert_whole(&engine);
        self.world.assert_level(story);
        for drive in &self.world.drives {
            let left = log_files(drive);
            assert!(
                left.iter().all(|first| *first >= self.needed_from),
                "{story}: {left:?}"
            );
        }
    }
}

/// A write went astray into the file that a log file was in one copy; the checkpoint removed it from all
/// copies, and the power failed before that was durable there. It was whole nowhere, so no start gave it
/// to the others or took it away, and scrub named it for ever.
#[test]
fn an_old_log_file_that_is_whole_nowhere_is_let_go_by_a_start() {
    for copies in [2, 3] {
        let only_one = OldLog::new(copies, 1);
        only_one.drive(0).rot(&log_file(only_one.kept()), 200, 1);
        for at in 1..copies {
            only_one.remove(at, only_one.kept());
        }
        only_one.assert_let_go("on one copy");

        let differing = OldLog::new(copies, 2);
        differing.drive(0).rot(&log_file(differing.kept()), 200, 1);
        for at in 1..copies {
            differing
                .drive(at)
                .cut(&log_file(differing.kept()), 90 + at);
        }
        differing.assert_let_go("damaged everywhere");

        // What lies before it is whole, and leads nowhere without it.
        let before = OldLog::new(copies, 3);
        before.drive(0).rot(&log_file(before.kept()), 200, 1);
        before.remove(1, before.kept());
        for (first, bytes) in &before.old {
            if *first < before.kept() {
                before.drive(0).plant(&log_file(*first), bytes);
            }
        }
        if copies == 3 {
            before.remove(2, before.kept());
        }
        before.assert_let_go("older ones");
    }
}

/// A drive was put back to an older state while the store was off. Files of the log that the others had
/// let go came back with it, to all copies, and none of them led to what is needed.
#[test]
fn old_log_files_that_lead_nowhere_are_let_go_by_a_start() {
    let story = OldLog::new(3, 4);
    let oldest = story.old.iter().take(2);
    for (first, bytes) in oldest {
        story.drive(1).plant(&log_file(*first), bytes);
    }
    let (mirror, engine) = story.world.open().unwrap();
    assert_eq!(mirror.report().let_go, 2);
    story.assert_whole(&engine);
    story.world.assert_level("a gap");
    for drive in &story.world.drives {
        let wanted = BTreeSet::from([story.kept(), story.needed_from]);
        assert_eq!(log_files(drive), wanted);
    }
    // One that does lead on is kept, on all of them.
    let story = OldLog::new(3, 4);
    let mut newest = story.old.iter().rev();
    let (before, bytes) = newest.nth(1).unwrap();
    story.drive(1).plant(&log_file(*before), bytes);
    let (mirror, _) = story.world.open().unwrap();
    assert_eq!(mirror.report().let_go, 0);
    story.world.assert_level("no gap");
    assert!(log_files(story.drive(0)).contains(before));
}

/// Power loss at each change of a start that lets files go, and a drive that fails in each.
#[test]
fn dur_d1_power_loss_while_old_log_files_are_let_go() {
    let damaged = |seed: u64| {
        let story = OldLog::new(3, seed);
        for (first, bytes) in &story.old {
            story.drive(0).plant(&log_file(*first), bytes);
        }
        story.drive(0).rot(&log_file(story.kept()), 200, 1);
        story.remove(1, story.kept());
        story.remove(2, story.kept());
        story
    };
    for seed in 0..8 {
        for at in 0.. {
            let mut story = damaged(seed);
            story.world.set_power(Power::failing_at(at));
            let opened = story.world.open();
            if !story.world.power.is_off() {
                drop(opened.unwrap());
                assert!(at > 8, "{at} changes");
                break;
            }
            drop(opened);
            let world = story.world.after_power_loss(&mut SimRng::new(at));
            let ended = OldLog { world, ..story };
            let (_, engine) = ended.world.open().unwrap();
            ended.assert_whole(&engine);
            ended
                .world
                .assert_level(&format!("seed {seed}, change {at}"));
            assert_eq!(log_files(ended.drive(0)), [ended.needed_from].into());
        }
    }
    for at in 0.. {
        let story = damaged(1);
        story.drive(1).set_plan(FaultPlan::new([Fault::FailAt(at)]));
        let (_, engine) = story.world.open().unwrap();
        if story.drive(1).operations() <= at {
            assert!(at > 2, "{at} operations");
            break;
        }
        story.assert_whole(&engine);
        drop(engine);
        // Whatever is left there goes at the next start, or the drive does not count.
        let world = story.world.after_kill();
        let ended = OldLog { world, ..story };
        let (_, engine) = ended.world.open().unwrap();
        ended.assert_whole(&engine);
        ended.world.assert_level(&format!("operation {at}"));
    }
}

/// What a start needs is never let go: not where it is damaged on all copies, nor where another copy has
/// it whole.
#[test]
fn a_log_file_that_a_start_needs_is_never_let_go() {
    let story = OldLog::new(3, 5);
    let needed = log_file(story.needed_from);
    for at in 0..3 {
        story.drive(at).rot(&needed, 20, 1);
    }
    story.remove(1, story.kept());
    story.remove(2, story.kept());
    story.drive(0).rot(&log_file(story.kept()), 200, 1);
    let files: Vec<_> = story.world.drives.iter().map(log_files).collect();
    story.world.open().unwrap_err();
    let left: Vec<_> = story.world.drives.iter().map(log_files).collect();
    assert_eq!(files, left);

    // Behind the anchor there may be several.
    let world = World::new(3, 6);
    let (_, mut engine) = world.open().unwrap();
    for at in 0..6_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 5_000])])).unwrap();
    }
    drop(engine);
    let world = world.after_kill();
    let files = log_files(&world.drives[0]);
    assert!(files.len() > 4);
    for (at, first) in files.iter().enumerate() {
        world.drives[at % 3].rot(&log_file(*first), 300, 1);
    }
    let (mirror, engine) = world.open().unwrap();
    assert_eq!(mirror.report().let_go, 0);
    assert_eq!(log_files(&world.drives[2]), files);
    world.assert_level("all needed");
    assert!(engine.get(T, &[0]).unwrap().is_some());
}

/// A file that is whole on another copy is mended from it.
#[test]
fn an_old_log_file_that_is_whole_somewhere_is_mended() {
    let story = OldLog::new(3, 7);
    let kept = log_file(story.kept());
    story.remove(0, story.kept());
    story.drive(1).cut(&kept, 300);
    let whole = story.drive(2).contents(&kept).unwrap();
    let (mirror, _) = story.world.open().unwrap();
    assert_eq!(mirror.report().let_go, 0);
    story.world.assert_level("mended");
    assert_eq!(story.drive(0).contents(&kept).unwrap(), whole);
    // Cut where a record ends it is whole by itself, and shorter than it was.
    let story = OldLog::new(2, 8);
    let kept = log_file(story.kept());
    story.drive(0).cut(&kept, 72);
    let (mirror, _) = story.world.open().unwrap();
    assert_eq!(mirror.report().let_go, 0);
    assert_eq!(
        story.drive(0).contents(&kept),
        story.old.get(&story.kept()).cloned()
    );
}

/// As long as a copy counts that is not there, nothing goes; nor does it where a copy could not be read.
#[test]
fn an_old_log_file_is_kept_while_somebody_may_have_it_whole() {
    let damaged = |copies| {
        let story = OldLog::new(copies, 9);
        story.remove(0, story.kept());
        story.drive(1).rot(&log_file(story.kept()), 200, 1);
        story
    };
    let open = |story: &OldLog, there: &[usize]| {
        let world = &story.world;
        Mirror::open(world.copies(there), sealer(), world.options())
    };
    // Three of five copies are away: no majority is left to say that they do not count.
    let story = damaged(5);
    open(&story, &[0, 1]).unwrap_err();
    assert!(log_files(story.drive(1)).contains(&story.kept()));
    // With one more there is, and it is mended.
    let mirror = open(&story, &[0, 1, 2]).unwrap();
    assert_eq!(mirror.report().let_go, 0);
    assert!(log_files(story.drive(0)).contains(&story.kept()));
    // One of three is away: it does not count any more, and what it has is not waited for.
    let story = damaged(3);
    let mirror = open(&story, &[0, 1]).unwrap();
    assert_eq!(
        (mirror.report().let_go, story.world.ledger.is_live(no(2))),
        (1, false)
    );
    assert!(!log_files(story.drive(1)).contains(&story.kept()));

    // The copy that has it whole fails in one read after the other.
    let mut was_kept = 0;
    for at in 0.. {
        let story = damaged(3);
        story
            .drive(2)
            .set_plan(FaultPlan::new([Fault::FailReadAt(at)]));
        let mirror = open(&story, &[0, 1, 2]).unwrap();
        if story.drive(2).reads() <= at {
            assert_eq!(mirror.report().let_go, 0);
            break;
        }
        let is_there = |drive| log_files(story.drive(drive)).contains(&story.kept());
        assert!(is_there(2), "read {at}");
        if story.world.ledger.is_live(no(2)) {
            assert_eq!(mirror.report().let_go, 0, "read {at}");
            was_kept += 1;
        } else {
            assert_eq!(is_there(0), is_there(1), "read {at}");
        }
    }
    assert!(was_kept > 0);
}

fn small_files() -> TableOptions {
    TableOptions {
        inline: true,
        ..small()
    }
}

async fn open_small(drive: &SimDrive) -> Store {
    let options = StoreOptions {
        tables: small_files(),
        ..StoreOptions::default()
    };
    let drive = Arc::new(drive.clone());
    Store::open(drive, sealer(), options).await.unwrap()
}

/// A store whose log has older files than its anchor's: one that is kept, and the anchor's.
async fn with_old_log(drive: &SimDrive) -> (Store, [DrivePath; 2]) {
    let store = open_small(drive).await;
    for at in 0..6_u8 {
        write_large_row(&store, at).await;
    }
    store.tables().checkpoint().unwrap();
    let mut files = log_files(drive).into_iter();
    let files = [files.next().unwrap(), files.next().unwrap()];
    (store, files.map(log_file))
}

async fn write_large_row(store: &Store, at: u8) {
    let put = put(TABLE, &[at], &[at; 5_000]);
    store.tables().commit(writes(vec![put])).await.unwrap();
}

async fn scrubbed(store: &Store) -> FinishedPass {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1));
    let mut scrubber = Scrubber::new(store, clock, ScrubOptions::default()).unwrap();
    scrubber.run_pass().await.unwrap()
}

/// With one drive nothing mends it, and it was named until the log had gone on by two files.
#[tokio::test]
async fn an_old_log_file_that_is_damaged_is_let_go_by_scrub() {
    for kind in 0..4 {
        let drive = SimDrive::new(1);
        let (store, [kept, needed]) = with_old_log(&drive).await;
        match kind {
            0 => assert!(drive.rot(&kept, 300, 1)),
            1 => assert!(drive.cut(&kept, 72)),
            2 => assert!(drive.cut(&kept, 10)),
            // One before it, that does not go on into it.
            _ => drive.plant(&log_file(1), &drive.contents(&kept).unwrap()),
        }
        let found = store
            .tables()
            .verify_log(|_| ControlFlow::Continue(()))
            .unwrap();
        assert_eq!((found.damaged.len(), found.useless.len()), (0, 1), "{kind}");
        // Whoever only reads changes nothing.
        assert!(drive.contents(&kept).is_some());
        assert_eq!(scrubbed(&store).await.totals.damaged_rows, 0, "{kind}");
        let told = store.scrub_status().found;
        assert!(told.len() == 1 && told[0].contains("let go"), "{told:?}");
        assert_eq!(drive.contents(&kept).is_some(), kind == 3, "{kind}");
        assert!(drive.contents(&log_file(1)).is_none() && drive.contents(&needed).is_some());
        scrubbed(&store).await;
        assert_eq!(store.scrub_status().found.len(), 1, "{kind}");
        write_large_row(&store, 6).await;
        drop(store);
        let drive = drive.crash();
        let store = open_small(&drive).await;
        for at in 0..7_u8 {
            let row = store.tables().get(TABLE, &[at]).unwrap().unwrap();
            assert_eq!(row.value, [at; 5_000]);
        }
    }
}

/// What a start reads is named by every pass, and stays: damaged anywhere, or lost.
#[tokio::test]
async fn dur_d13_scrub_lets_nothing_go_that_a_start_needs() {
    for at in [0, 20, 40, 71, 72, 300] {
        let drive = SimDrive::new(1);
        let (store, [kept, needed]) = with_old_log(&drive).await;
        write_large_row(&store, 6).await;
        let last = log_file(log_files(&drive).into_iter().max().unwrap());
        for damaged in [&needed, &last] {
            assert!(drive.rot(damaged, at, 1));
            for _ in 0..2 {
                let damage = scrubbed(&store).await.totals.damaged_rows;
                assert!(damage > 0, "{damaged}, byte {at}");
            }
            assert!(
                [&kept, &needed, &last]
                    .iter()
                    .all(|path| drive.contents(path).is_some())
            );
            assert!(drive.rot(damaged, at, 1));
        }
        assert_eq!(scrubbed(&store).await.totals.damaged_rows, 0);
        assert!(drive.remove(&needed).unwrap());
        assert!(scrubbed(&store).await.totals.damaged_rows > 0);
        assert!(drive.contents(&kept).is_some());
    }
}

/// Everything that is asked of a drive while a file is let go fails once, and the power fails in it.
#[tokio::test]
async fn dur_d1_power_loss_while_scrub_lets_old_log_files_go() {
    for is_power in [false, true] {
        for at in 0.. {
            let drive = SimDrive::new(at);
            let (store, [kept, needed]) = with_old_log(&drive).await;
            assert!(drive.rot(&kept, 300, 1));
            let fault = if is_power {
                Fault::CrashAt(at)
            } else {
                Fault::FailAt(at)
            };
            let plan = FaultPlan::new([fault]).within(|folder| folder == Folder::Log);
            let found = store
                .tables()
                .verify_log(|_| ControlFlow::Continue(()))
                .unwrap();
            drive.set_plan(plan);
            let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1));
            let scrubber = Scrubber::new(&store, clock, ScrubOptions::default());
            let passed = scrubber.unwrap().run_pass().await;
            let is_over = drive.operations() <= at;
            if is_over {
                assert!(at > 3 && found.useless.len() == 1);
                passed.unwrap();
                break;
            }
            drop(store);
            let drive = drive.crash();
            let store = open_small(&drive).await;
            assert_eq!(
                scrubbed(&store).await.totals.damaged_rows,
                0,
                "operation {at}"
            );
            assert!(drive.contents(&kept).is_none() && drive.contents(&needed).is_some());
            for at in 0..6_u8 {
                assert!(store.tables().get(TABLE, &[at]).unwrap().is_some());
            }
        }
    }
}

/// Copies that are damaged in the same way, or each in its own: with the next pass nothing is owed.
#[tokio::test]
async fn scrub_lets_an_old_log_file_go_on_all_copies() {
    for is_equal in [true, false] {
        let mut yard = Yard::new();
        yard.tables = small_files();
        let drives = ["a1", "b1", "c1"];
        let store = yard.open(&["a:a1", "b:b1", "c:c1"]).await.unwrap();
        for at in 0..6_u8 {
            write_large_row(&store, at).await;
        }
        store.tables().checkpoint().unwrap();
        let logs = |drive: &str| {
            let names = fs::read_dir(yard.path(drive).join("log")).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| name.starts_with("journal")).collect();
            names.sort();
            names
        };
        let files = logs("a1");
        assert_eq!(files.len(), 2);
        for (at, drive) in drives.iter().enumerate() {
            let path = yard.path(drive).join("log").join(&files[0]);
            let mut bytes = fs::read(&path).unwrap();
            bytes[300 + if is_equal { 0 } else { at }] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let damaged = scrubbed(&store).await.totals.damaged_rows;
        assert_eq!(damaged > 0, !is_equal);
        for drive in drives {
            let left = logs(drive);
            assert!(
                !left.contains(&files[0]) && left.contains(&files[1]),
                "{left:?}"
            );
        }
        assert_eq!(scrubbed(&store).await.totals.damaged_rows, 0);
        assert_eq!(protection(&store).await.shortcomings(), [""; 0]);
    }
}

/// While copies failed and no majority was left to say that they do not count, nothing goes.
#[tokio::test]
async fn without_a_majority_scrub_lets_nothing_go() {
    let mut yard = Yard::new();
    yard.tables = small_files();
    let store = yard.open(&["a:a1", "b:b1", "c:c1"]).await.unwrap();
    for at in 0..6_u8 {
        write_large_row(&store, at).await;
    }
    store.tables().checkpoint().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1));
    let mut scrubber = Scrubber::new(&store, clock, ScrubOptions::default()).unwrap();
    while scrubber.status().phase != ScrubPhase::Tables {
        scrubber.step().await.unwrap();
    }
    let old = fs::read_dir(yard.path("a1/log")).unwrap();
    let old = old.map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| path.to_str().unwrap().contains("journal");
    let old = old.filter(is_log).min().unwrap();
    let mut bytes = fs::read(&old).unwrap();
    bytes[300] ^= 1;
    fs::write(&old, bytes).unwrap();
    yard.rename("b1", "away-b");
    yard.rename("c1", "away-c");
    store.look_for_drives().await.unwrap();
    write_row(&store, b"refused").await.unwrap_err();
    // The end of the pass cannot be written down.
    scrubber.run_pass().await.unwrap_err();
    let found = store.scrub_status().found;
    let name = old.file_name().unwrap().to_str().unwrap();
    assert!(found.iter().any(|words| words.contains(name)), "{found:?}");
    assert!(
        !found.iter().any(|words| words.contains("let go")),
        "{found:?}"
    );
    assert!(old.exists());
}
