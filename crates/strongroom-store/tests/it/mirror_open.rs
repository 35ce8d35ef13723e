// SPDX-License-Identifier: Apache-2.0
//! Opening several copies: what one of them lost or has wrong comes from the others; what all of
//! them lost is the error that one drive gives.

use std::ops::ControlFlow;

use strongroom_store::Error;
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::mirror::{CopyState, Mirror, MirrorCopies};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::mirror_rig::{World, counting, engine, no};
use crate::table_rig::{LossyIndex, Model, T, U, commit, delete, open_with, put, sealer, writes};

fn log_files(drive: &SimDrive) -> Vec<DrivePath> {
    let mut files = drive.list(Folder::Log).unwrap();
    files.retain(|path| path.number("journal").is_some());
    files.sort();
    files
}

fn anchor() -> DrivePath {
    DrivePath::fixed(Folder::Log, "anchor")
}

/// Three copies of several log files, with an anchor in the middle.
fn story(checkpoint: u8) -> (World, Model) {
    let world = World::new(3, 6);
    let (_, mut engine) = world.open().unwrap();
    for at in 0..60_u8 {
        let batch = writes(vec![put(T, &[at], &[at; 200]), delete(U, &[at])]);
        commit(&mut engine, batch).unwrap();
        if at == checkpoint {
            engine.checkpoint().unwrap();
        }
    }
    engine.idle();
    let model = Model::of(&engine);
    drop(engine);
    assert!(log_files(&world.drives[0]).len() >= 4);
    (world, model)
}

/// Opens, and wants everything there and all copies level.
fn assert_mended(world: &World, model: &Model, story: &str) -> Mirror {
    let (mirror, engine) = world
        .open()
        .unwrap_or_else(|error| panic!("{story}: {error}"));
    assert_eq!(Model::of(&engine), *model, "{story}");
    world.assert_level(story);
    drop(engine);
    // Every copy by itself would now open with everything.
    for at in 0..world.drives.len() {
        if World::state_of(&mirror, at) == CopyState::Live {
            let drive = world.drives[at].kill();
            let engine = open_with(&drive, &world.indexes.of(no(at)).copy())
                .unwrap_or_else(|error| panic!("{story}: copy {at}: {error}"));
            assert_eq!(Model::of(&engine), *model, "{story}: copy {at}");
        }
    }
    mirror
}

#[test]
fn dur_d7_flipped_bits_in_one_copy_are_mended_from_the_others() {
    let (world, model) = story(20);
    let mut mended = 0;
    for path in log_files(&world.drives[0]).into_iter().chain([anchor()]) {
        let len = world.drives[0].contents(&path).unwrap().len();
        for offset in (0..len).step_by(37) {
            let damaged = world.after_kill();
            assert!(damaged.drives[offset % 3].rot(&path, offset, 0x04));
            let mirror = damaged.mirror().unwrap();
            let engine = engine(&mirror).unwrap();
            assert_eq!(Model::of(&engine), model, "{path} byte {offset}");
            if !mirror.report().mended.is_empty() {
                mended += 1;
                damaged.assert_level("mended");
            }
        }
    }
    // What lies in files before the anchor's is compared by scrub.
    assert!(mended > 200, "only {mended} places mattered");
}

#[test]
fn dur_d7_different_damage_in_every_copy_is_mended_record_by_record() {
    let (world, model) = story(5);
    let files = log_files(&world.drives[0]);
    for (at, path) in files.iter().enumerate().skip(1) {
        let len = world.drives[0].contents(path).unwrap().len();
        for step in 0..8 {
            let damaged = world.after_kill();
            for copy in 0..3 {
                // Far enough from each other to lie in different records.
                let offset = 72 + (step * 97 + copy * len / 3) % (len - 72 - 56);
                assert!(damaged.drives[copy].rot(path, offset, 0x20));
            }
            assert_mended(&damaged, &model, &format!("file {at}, step {step}"));
        }
    }
}

#[test]
fn dur_d7_a_record_that_is_damaged_in_all_copies_is_the_error_of_one_drive() {
    let (world, _) = story(5);
    let path = log_files(&world.drives[0])[2].clone();
    let len = world.drives[0].contents(&path).unwrap().len();
    let mut refused = 0;
    for offset in (72..len - 56).step_by(61) {
        let damaged = world.after_kill();
        for (at, drive) in damaged.drives.iter().enumerate() {
            assert!(drive.rot(&path, offset, 1 << at));
        }
        let (alone, damaged) = (damaged.after_kill(), damaged.after_kill());
        let error = open_with(&alone.drives[0], &alone.indexes.of(no(0))).unwrap_err();
        let together = damaged.open().unwrap_err();
        assert_eq!(together.to_string(), error.to_string(), "byte {offset}");
        assert!(together.to_string().contains(&path.to_string()));
        refused += 1;
    }
    assert!(refused > 40);
}

#[test]
fn dur_d7_cut_extended_zeroed_and_missing_files_of_one_copy() {
    let (world, model) = story(5);
    for path in log_files(&world.drives[0])
        .into_iter()
        .skip(1)
        .chain([anchor()])
    {
        let bytes = world.drives[1].contents(&path).unwrap();
        let mut extended = bytes.clone();
        extended.extend([0x5A; 300]);
        let stories = [
            ("gone", None),
            ("empty", Some(Vec::new())),
            ("cut", Some(bytes[..bytes.len() / 2].to_vec())),
            ("cut by one", Some(bytes[..bytes.len() - 1].to_vec())),
            ("extended", Some(extended)),
            ("zeroed", Some(vec![0; bytes.len()])),
            ("garbage", Some(vec![0x53; bytes.len() * 2])),
        ];
        for (name, content) in stories {
            let damaged = world.after_kill();
            match content {
                Some(content) => damaged.drives[1].plant(&path, &content),
                None => drop(damaged.drives[1].remove(&path).unwrap()),
            }
            assert_mended(&damaged, &model, &format!("{path} {name}"));
        }
    }
}

#[test]
fn dur_d7_records_exchanged_repeated_or_left_out_in_one_copy() {
    let world = World::new(3, 5);
    let (_, mut engine) = world.open().unwrap();
    for at in 0..5_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 20])])).unwrap();
    }
    engine.idle();
    let model = Model::of(&engine);
    drop(engine);
    let path = DrivePath::numbered(Folder::Log, "journal", 1);
    let bytes = world.drives[0].contents(&path).unwrap();
    let record = (bytes.len() - 72 - 56) / 5;
    let part = |at: usize| bytes[72 + at * record..72 + (at + 1) * record].to_vec();
    let (head, mark) = (bytes[..72].to_vec(), bytes[bytes.len() - 56..].to_vec());
    let orders: [&[usize]; 6] = [
        &[0, 2, 1, 3, 4],
        &[0, 1, 2, 2, 3, 4],
        &[0, 1, 3, 4],
        &[1, 2, 3, 4],
        &[0, 1, 2, 3],
        &[0, 1, 2, 3, 4, 4],
    ];
    for order in orders {
        let mut file = head.clone();
        for at in order {
            file.extend(part(*at));
        }
        file.extend(&mark);
        let damaged = world.after_kill();
        damaged.drives[2].plant(&path, &file);
        assert_mended(&damaged, &model, &format!("{order:?}"));
        let damaged = world.after_kill();
        // In all copies, the indexes knowing nothing: refused as on one drive.
        for drive in &damaged.drives {
            drive.plant(&path, &file);
        }
        damaged.indexes.of.lock().unwrap().clear();
        let error = damaged.open().unwrap_err();
        assert!(error.is_corruption(), "{order:?}: {error}");
    }
}

#[test]
fn a_cut_log_is_not_believed_while_another_copy_speaks_of_more() {
    let (world, _) = story(5);
    let path = log_files(&world.drives[0]).pop().unwrap();
    let bytes = world.drives[0].contents(&path).unwrap();
    let forgetful = world.after_kill();
    // Two copies are cut behind the second record; the third has it damaged and the rest whole.
    let record = {
        let len = u32::from_be_bytes(bytes[72 + 48..72 + 52].try_into().unwrap());
        72 + usize::try_from(len).unwrap()
    };
    for at in [0, 1] {
        forgetful.drives[at].plant(&path, &bytes[..72 + record]);
    }
    assert!(forgetful.drives[2].rot(&path, 72 + record + 90, 1));
    forgetful.indexes.of.lock().unwrap().clear();
    for at in 0..3 {
        let indexed = world.indexes.of(no(at)).restart(&mut never_keeps());
        forgetful.indexes.of.lock().unwrap().insert(no(at), indexed);
    }
    let error = forgetful.open().unwrap_err();
    assert!(error.to_string().contains(&path.to_string()), "{error}");
}

fn never_keeps() -> strongroom_testkit::SimRng {
    (0..1_000)
        .map(strongroom_testkit::SimRng::new)
        .find(|rng| rng.clone().below(5) == 0)
        .unwrap()
}

#[test]
fn dur_d9_a_stale_copy_that_passes_for_live_is_brought_up_to_date() {
    // One drive was put back to an earlier moment, together with what it says about itself.
    let world = World::new(3, 7);
    let (mirror, mut engine) = world.open().unwrap();
    for at in 0..20_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 200])])).unwrap();
    }
    let secret = DrivePath::vault([9; 16]);
    mirror.drive().replace(&secret, &vault_file(9)).unwrap();
    let old_index = world.indexes.of(no(1)).copy();
    let (now, old) = (world.drives[1].kill(), world.drives[1].kill());
    // Another world with the same drives goes on.
    let mut world = World {
        drives: vec![world.drives[0].kill(), now, world.drives[2].kill()],
        ..world.after_kill()
    };
    drop((mirror, engine));
    let (mirror, mut engine) = world.open().unwrap();
    for at in 20..60_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 200])])).unwrap();
        if at % 25 == 0 {
            engine.checkpoint().unwrap();
        }
    }
    assert!(mirror.drive().remove(&secret).unwrap());
    engine.idle();
    let model = Model::of(&engine);
    drop((mirror, engine));
    world = world.after_kill();
    world.drives[1] = old;
    world.indexes.of.lock().unwrap().insert(no(1), old_index);
    let mirror = assert_mended(&world, &model, "stale");
    assert_eq!(mirror.report().rebuilt_indexes, [no(1)]);
    for drive in &world.drives {
        assert!(
            drive.contents(&secret).is_none(),
            "what was destroyed came back"
        );
    }
}

fn vault_file(id: u8) -> Vec<u8> {
    let mut bytes = b"SRVK\x01".to_vec();
    bytes.extend([id; 16]);
    bytes.extend([id; 16]);
    bytes.extend([0xEE; 60]);
    bytes
}

#[test]
fn dur_d9_a_fenced_copy_never_wins_even_with_a_longer_log() {
    let world = World::new(3, 8);
    let (_, mut engine) = world.open().unwrap();
    for at in 0..5_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], b"common")])).unwrap();
    }
    drop(engine);
    // Copy 0 goes on alone, by a ledger that does not know better, far beyond the others.
    let forked = world.after_kill();
    let index = forked.indexes.of(no(0));
    let mut alone = open_with(&forked.drives[0], &index).unwrap();
    for at in 0..50_u8 {
        commit(&mut alone, writes(vec![put(T, &[at], b"forked")])).unwrap();
    }
    drop(alone);
    // The others fenced it and went on, too.
    let next = world.after_kill();
    let mirror = Mirror::open(next.copies(&[1, 2]), sealer(), next.options()).unwrap();
    let mut engine = crate::mirror_rig::engine(&mirror).unwrap();
    commit(&mut engine, writes(vec![put(T, &[1], b"true")])).unwrap();
    let model = Model::of(&engine);
    drop((mirror, engine));

    let mut next = next.after_kill();
    next.drives[0] = forked.drives[0].kill();
    next.indexes.of.lock().unwrap().insert(no(0), index.copy());
    let (mirror, engine) = next.open().unwrap();
    assert_eq!(Model::of(&engine), model);
    assert_eq!(World::state_of(&mirror, 0), CopyState::Fenced);
    mirror.catch_up(no(0), &next.drive(0)).unwrap();
    next.assert_level("the forked copy");
    drop((mirror, engine));

    // A ledger that calls both live asks for what cannot be decided.
    let mut torn = next.after_kill();
    torn.drives[0] = forked.drives[0].kill();
    torn.indexes.of.lock().unwrap().insert(no(0), index.copy());
    let error = torn.open().unwrap_err();
    assert!(error.is_corruption());
    assert!(
        error.to_string().contains("two different histories"),
        "{error}"
    );
}

#[test]
fn dur_d9_copies_of_two_stores_are_not_mixed() {
    let (world, _) = story(20);
    let (other, _) = story(20);
    let mut mixed = world.after_kill();
    mixed.drives[1] = other.drives[1].kill();
    let indexed = other.indexes.of(no(1)).copy();
    mixed.indexes.of.lock().unwrap().insert(no(1), indexed);
    let error = mixed.open().unwrap_err();
    assert!(error.to_string().contains("different logs"), "{error}");
    // Its log files alone under our anchor are damage, and are mended.
    let mixed = world.after_kill();
    for path in log_files(&mixed.drives[1]) {
        let foreign = other.drives[1].contents(&path).unwrap();
        mixed.drives[1].plant(&path, &foreign);
    }
    let (mirror, _engine) = mixed.open().unwrap();
    // Files that nothing needs any more are compared by scrub.
    let report = mirror.verify_copies(|_| ControlFlow::Continue(())).unwrap();
    assert!(report.differing.iter().all(|found| found.mended));
    mixed.assert_level("foreign files");
}

#[test]
fn copies_exchanged_with_each_other_open() {
    let (world, model) = story(20);
    let mut swapped = world.after_kill();
    swapped.drives.swap(0, 2);
    let (one, two) = (
        world.indexes.of(no(0)).copy(),
        world.indexes.of(no(2)).copy(),
    );
    swapped.indexes.of.lock().unwrap().insert(no(0), two);
    swapped.indexes.of.lock().unwrap().insert(no(2), one);
    assert_mended(&swapped, &model, "swapped");
}

#[test]
fn dur_d8_an_index_that_lost_what_was_saved_is_built_again() {
    let (world, model) = story(20);
    let broken = world.after_kill();
    for at in [0, 2] {
        broken
            .indexes
            .of
            .lock()
            .unwrap()
            .insert(no(at), LossyIndex::default());
    }
    let mirror = assert_mended(&broken, &model, "two indexes gone");
    assert_eq!(mirror.report().rebuilt_indexes, [no(0), no(2)]);
    // In all copies it is the error of one drive.
    let broken = world.after_kill();
    broken.indexes.of.lock().unwrap().clear();
    let error = broken.open().unwrap_err();
    assert!(error.to_string().contains("table index"), "{error}");
}

#[test]
fn dur_d7_a_damaged_row_of_one_index_is_read_from_another_and_put_right() {
    let (world, _) = story(20);
    let (_, mut engine) = world.open().unwrap();
    let key = [&20_u16.to_be_bytes()[..], &[7]].concat();
    let spoil = |at: usize| {
        world.indexes.of(no(at)).edit(|rows| {
            let mut row = rows[&key].to_vec();
            row[12] ^= 1;
            rows.insert(key.clone(), row.into());
        });
    };
    let good = |at: usize| {
        let mut row = bytes::Bytes::new();
        world
            .indexes
            .of(no(at))
            .edit(|rows| row = rows[&key].clone());
        row
    };
    let right = good(2);
    spoil(0);
    assert_eq!(engine.get(T, &[7]).unwrap().unwrap().value, [7; 200]);
    assert_eq!(good(0), right, "put right");
    spoil(0);
    spoil(1);
    let all = std::ops::Bound::Unbounded;
    assert_eq!(engine.scan(T, all, all, 100, false).unwrap().len(), 60);
    assert_eq!((good(0), good(1)), (right.clone(), right.clone()));
    spoil(0);
    // A damaged row does not decide a commit, and does not hinder one either.
    let asked = strongroom_store::Precondition::Present {
        table: T,
        key: vec![7],
    };
    let batch = crate::table_rig::when(asked, put(T, b"other", b"x"));
    commit(&mut engine, batch).unwrap();
    for at in 0..3 {
        spoil(at);
    }
    let error = engine.get(T, &[7]).unwrap_err();
    assert!(error.to_string().contains("table 20"), "{error}");
}

#[test]
fn dur_d4_a_copy_that_fails_while_opening_is_fenced() {
    let (world, model) = story(20);
    for at in 0..40 {
        let next = world.after_kill();
        next.drives[1].set_plan(FaultPlan::new([Fault::FailReadAt(at)]));
        let (_, engine) = next.open().unwrap();
        assert_eq!(Model::of(&engine), model, "read {at}");
        if next.drives[1].reads() <= at {
            assert!(at > 5);
            break;
        }
    }
    // When it is the only one left to ask, its error is told.
    let next = world.after_kill();
    for drive in &next.drives {
        drive.set_plan(FaultPlan::new([Fault::FailReadAt(0)]));
    }
    assert!(next.open().is_err());
}

/// A name, what each copy has, what it comes to.
type Story = (&'static str, [Option<Vec<u8>>; 3], Vec<u8>);

#[test]
fn audit_files_that_differ_are_taken_as_far_as_any_copy_proves_them() {
    let path = DrivePath::numbered(Folder::Audit, "events", 1);
    let whole: Vec<u8> = (0..9_000).map(counting).collect();
    let spoiled = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] = 0;
        bytes
    };
    let mut torn = whole[..8_000].to_vec();
    torn.extend([0; 500]);
    let stories: [Story; 6] = [
        (
            "cut",
            [Some(whole[..10].to_vec()), Some(whole.clone()), None],
            whole.clone(),
        ),
        (
            "damaged",
            [Some(whole.clone()), Some(spoiled(5)), Some(spoiled(5_000))],
            whole.clone(),
        ),
        (
            "each elsewhere",
            [
                Some(spoiled(100)),
                Some(spoiled(3_000)),
                Some(spoiled(8_999)),
            ],
            whole.clone(),
        ),
        (
            "torn",
            [
                Some(torn.clone()),
                Some(whole[..8_000].to_vec()),
                Some(whole[..7_000].to_vec()),
            ],
            torn.clone(),
        ),
        (
            "damaged in all",
            [Some(spoiled(50)), Some(spoiled(50)), Some(spoiled(50))],
            spoiled(50),
        ),
        (
            "gone in two",
            [None, None, Some(whole.clone())],
            whole.clone(),
        ),
    ];
    for (name, contents, expected) in stories {
        let world = World::new(3, 1);
        for (drive, content) in world.drives.iter().zip(contents) {
            if let Some(content) = content {
                drive.plant(&path, &content);
            }
        }
        let mirror = world.mirror().unwrap();
        world.assert_level(name);
        assert!(
            world.drives[0].contents(&path).unwrap() == expected,
            "{name}"
        );
        assert_eq!(mirror.report().mended.is_empty(), name == "damaged in all");
    }
}

/// The last record of the audit log is proven by no other. A line that was forged on the first drive
/// replaced the one that both others had.
#[test]
fn what_nothing_proves_is_taken_as_most_copies_have_it() {
    let path = DrivePath::numbered(Folder::Audit, "events", 1);
    let with_last = |last: u8| {
        let mut bytes: Vec<u8> = (0..9_000).map(counting).collect();
        bytes.extend([last; 100]);
        Some(bytes)
    };
    let (sound, forged, third) = (with_last(200), with_last(201), with_last(202));
    let open = |contents: [&Option<Vec<u8>>; 3]| {
        let world = World::new(3, 1);
        for (drive, content) in world.drives.iter().zip(contents) {
            if let Some(content) = content {
                drive.plant(&path, content);
            }
        }
        let mirror = world.mirror().unwrap();
        world.assert_level("audit");
        let report = mirror.report();
        let taken = world.drives[0].contents(&path);
        (taken, report.mended.clone(), report.undecided.clone())
    };
    for at in 0..3 {
        let mut contents = [&sound; 3];
        contents[at] = &forged;
        let (taken, mended, undecided) = open(contents);
        assert!(taken == sound, "forged on {at}");
        assert_eq!((mended.len(), undecided.len()), (1, 0), "forged on {at}");
    }
    for contents in [[&sound, &forged, &None], [&sound, &forged, &third]] {
        let (taken, _, undecided) = open(contents);
        assert!(taken == sound);
        assert_eq!(undecided, [path.to_string()]);
    }
}

#[test]
fn vault_files_that_differ_are_taken_from_a_whole_one() {
    let path = DrivePath::vault([3; 16]);
    let (whole, mut zeros) = (vault_file(3), vault_file(3));
    zeros.fill(0);
    let mut other = vault_file(3);
    other[50] ^= 1;
    let open = |contents: [Option<&Vec<u8>>; 3]| {
        let world = World::new(3, 2);
        for (drive, content) in world.drives.iter().zip(contents) {
            if let Some(content) = content {
                drive.plant(&path, content);
            }
        }
        let undecided = world.mirror().unwrap().report().undecided.len();
        (world, undecided)
    };
    for contents in [
        [None, Some(&whole), Some(&zeros)],
        [Some(&zeros), None, Some(&whole)],
        [Some(&whole), Some(&whole), None],
    ] {
        let (world, undecided) = open(contents);
        world.assert_level("vault");
        assert_eq!(world.drives[0].contents(&path).as_ref(), Some(&whole));
        assert_eq!(undecided, 0);
    }
    // Not whole anywhere: level all the same, for its owner to remove.
    let (world, _) = open([None, Some(&zeros), None]);
    world.assert_level("zeros");
    // Two that could both be right are left alone: only who can open them knows.
    let (world, undecided) = open([Some(&whole), Some(&other), None]);
    assert_eq!(undecided, 1);
    assert_eq!(world.drives[1].contents(&path).as_ref(), Some(&other));
}

#[test]
fn dur_d8_an_empty_drive_does_not_pass_for_a_live_copy_of_nothing() {
    let (world, model) = story(20);
    let mut replaced = world.after_kill();
    replaced.drives[1] = SimDrive::new(99);
    replaced
        .indexes
        .of
        .lock()
        .unwrap()
        .insert(no(1), LossyIndex::default());
    let mirror = assert_mended(&replaced, &model, "emptied");
    assert_eq!(mirror.report().rebuilt_indexes, [no(1)]);
    // Nothing but empty drives is a new store, nothing else is.
    let empty = World::new(3, 1);
    empty.open().unwrap();
    let mut only_log = world.after_kill();
    for drive in &mut only_log.drives {
        drive.remove(&anchor()).unwrap();
    }
    let error = only_log.open().unwrap_err();
    assert!(error.to_string().contains("anchor"), "{error}");
    assert!(matches!(
        Mirror::open(MirrorCopies::default(), sealer(), world.options()),
        Err(Error::Misuse { .. })
    ));
}
