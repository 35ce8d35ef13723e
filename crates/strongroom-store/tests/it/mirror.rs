// SPDX-License-Identifier: Apache-2.0
//! Several copies that look like one drive: faults of one harm nobody else.

use strongroom_store::drive::{Access, Drive, DrivePath, Folder, HealthState};
use strongroom_store::mirror::{CopyState, Mirror};
use strongroom_store::{CommitError, Error};
use strongroom_testkit::{Fault, FaultPlan, conformance};

use crate::mirror_rig::{World, engine, no};
use crate::table_crash::tell;
use crate::table_rig::{Model, T, commit, put, writes};

#[test]
fn a_mirror_is_a_drive() {
    for copies in 1..=3 {
        for inline in [true, false] {
            let mut world = World::new(copies, 1);
            world.inline = inline;
            conformance::check(world.mirror().unwrap().drive().as_ref()).unwrap();
            world.assert_level("conformance");
        }
    }
}

#[test]
fn dur_d8_a_copy_that_fails_at_any_operation_is_fenced_and_nothing_is_lost() {
    for copies in [2, 3] {
        for failing in 0..copies {
            for at in 0.. {
                let world = World::new(copies, at);
                world.drives[failing].set_plan(FaultPlan::new([Fault::FailAt(at)]));
                let (mirror, mut engine) = world.open().unwrap();
                let ended = tell(&mut engine);
                assert!(!ended.failed, "the others go on");
                assert_eq!(Model::of(&engine), ended.acknowledged);
                if world.drives[failing].operations() <= at {
                    assert!(at > 50);
                    assert!(world.ledger.is_live(no(failing)));
                    break;
                }
                let story = format!("{copies} copies, operation {at} of copy {failing}");
                assert!(!world.ledger.is_live(no(failing)), "{story}: not fenced");
                assert_eq!(World::state_of(&mirror, failing), CopyState::Fenced);
                assert_eq!(mirror.drive().health(), HealthState::Online);
                world.assert_level(&story);
                drop((mirror, engine));

                // Without the fenced copy, and with every other one alone if that is a majority.
                let next = world.after_kill();
                let (mirror, engine) = next.open().unwrap();
                assert_eq!(Model::of(&engine), ended.acknowledged, "{story}");
                // It comes back and is level, whatever it holds.
                mirror.catch_up(no(failing), &next.drive(failing)).unwrap();
                assert_eq!(World::state_of(&mirror, failing), CopyState::Live);
                next.assert_level(&story);
                drop((mirror, engine));
                let next = next.after_kill();
                let only = next.indexes.of(no(failing));
                let alone = crate::table_rig::open_with(&next.drives[failing], &only).unwrap();
                assert_eq!(Model::of(&alone), ended.acknowledged, "{story}");
            }
        }
    }
}

#[test]
fn dur_d4_reads_that_fail_on_one_copy_are_answered_by_another() {
    let world = World::new(2, 3);
    let (mirror, mut engine) = world.open().unwrap();
    tell(&mut engine);
    let path = DrivePath::fixed(Folder::Log, "anchor");
    let drive = mirror.drive();
    let expected = drive.read_small(&path).unwrap();
    for at in 0..4 {
        world.drives[0].set_plan(FaultPlan::new([Fault::FailReadAt(at)]));
        assert_eq!(drive.read_small(&path).unwrap(), expected);
        let file = drive.open(&path, Access::Read).unwrap().unwrap();
        let mut byte = [0];
        assert_eq!(file.read_at(0, &mut byte).unwrap(), 1);
        assert_eq!(byte[0], expected.as_ref().unwrap()[0]);
        assert!(file.len().unwrap() > 10);
    }
    assert!(
        world.ledger.is_live(no(0)),
        "a read that fails fences nobody"
    );
}

#[test]
fn dur_d8_the_loss_of_a_second_of_three_copies_refuses_commits_and_serves_reads() {
    let world = World::new(3, 4);
    let (mirror, mut engine) = world.open().unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    world.drives[0].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
    world.drives[1].set_plan(FaultPlan::new([Fault::FailAt(1)]));
    let unknown = commit(&mut engine, writes(vec![put(T, b"c", b"3")]));
    assert!(matches!(unknown, Err(CommitError::Unknown)), "{unknown:?}");
    assert!(mirror.refuses_changes());
    assert_eq!(mirror.drive().health(), HealthState::OutOfService);
    for _ in 0..3 {
        let refused = commit(&mut engine, writes(vec![put(T, b"d", b"4")]));
        assert!(
            matches!(
                refused,
                Err(CommitError::Store(Error::DriveOutOfService { .. }))
            ),
            "{refused:?}"
        );
    }
    assert!(engine.checkpoint().is_err());
    assert_eq!(engine.get(T, b"b").unwrap().unwrap().value, b"2");
    assert!(engine.get(T, b"c").unwrap().is_none());
    let path = DrivePath::fixed(Folder::Vault, "x");
    assert!(mirror.drive().create(&path).is_err());
    assert!(mirror.drive().replace(&path, b"x").is_err());
    assert!(mirror.drive().sync_folder(Folder::Vault).is_err());
    // The ledger still counts the two that are left; both are needed to go on.
    drop((mirror, engine));
    let next = world.after_kill();
    let refused = Mirror::open(
        next.copies(&[2]),
        crate::table_rig::sealer(),
        next.options(),
    );
    assert!(refused.is_err(), "one of three serves nothing");
    let (_, engine) = next.open().unwrap();
    assert_eq!(engine.get(T, b"b").unwrap().unwrap().value, b"2");
    next.assert_level("after both came back");
}

#[test]
fn dur_d8_one_of_two_copies_goes_on_with_the_witness_and_the_last_one_does_not_fence_itself() {
    let world = World::new(2, 5);
    let (mirror, mut engine) = world.open().unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    world.drives[0].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
    assert!(mirror.fence(no(1)).is_err());
    assert!(mirror.forget(no(1), Some(&world.drive(1))).is_err());
    world.drives[1].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    let failed = commit(&mut engine, writes(vec![put(T, b"c", b"3")]));
    assert!(matches!(failed, Err(CommitError::Unknown)), "{failed:?}");
    assert_eq!(*world.ledger.fenced.lock().unwrap(), [no(0)]);
}

/// A drive that was drained and let go kept the vault, and whoever destroyed a key later was told
/// that nothing was left of it.
#[test]
fn a_copy_that_is_given_up_loses_its_vault() {
    let world = World::new(3, 11);
    let mirror = world.mirror().unwrap();
    let path = DrivePath::vault([5; 16]);
    let file = mirror.drive().create(&path).unwrap();
    file.write_at(0, b"sealed secret").unwrap();
    assert!(mirror.forget(no(2), Some(&world.drive(2))).is_err());
    assert!(world.drives[2].contents(&path).is_some(), "it counts");
    mirror.release(no(2)).unwrap();
    mirror.forget(no(2), Some(&world.drive(2))).unwrap();
    assert!(world.drives[2].contents(&path).is_none());
    for drive in &world.drives[..2] {
        assert!(drive.contents(&path).is_some());
    }
}

#[test]
fn what_every_copy_refuses_fences_nobody() {
    let world = World::new(3, 6);
    let mirror = world.mirror().unwrap();
    let drive = mirror.drive();
    let path = DrivePath::numbered(Folder::Log, "once", 1);
    drive.create(&path).unwrap();
    assert!(drive.create(&path).is_err());
    let missing = DrivePath::numbered(Folder::Log, "once", 2);
    assert!(drive.rename(&missing, &path).is_err());
    assert!(!drive.remove(&missing).unwrap());
    assert!(drive.open(&missing, Access::ReadWrite).unwrap().is_none());
    assert!(world.ledger.fenced.lock().unwrap().is_empty());
}

#[test]
fn a_file_that_only_one_copy_lost_is_read_from_another() {
    let world = World::new(3, 7);
    let mirror = world.mirror().unwrap();
    let drive = mirror.drive();
    let path = DrivePath::vault([7; 16]);
    drive.create(&path).unwrap().write_at(0, b"kept").unwrap();
    world.drives[0].remove(&path).unwrap();
    assert_eq!(drive.read_small(&path).unwrap().unwrap(), b"kept");
    assert_eq!(
        drive.list(Folder::Vault).unwrap(),
        std::slice::from_ref(&path)
    );
    let file = drive.open(&path, Access::Read).unwrap().unwrap();
    assert_eq!(file.len().unwrap(), 4);
    // Writing it finds out that the copy is not what it should be.
    let file = drive.open(&path, Access::ReadWrite).unwrap().unwrap();
    file.write_at(0, b"K").unwrap();
    assert_eq!(*world.ledger.fenced.lock().unwrap(), [no(0)]);
    assert_eq!(drive.read_small(&path).unwrap().unwrap(), b"Kept");
}

#[test]
fn different_contents_of_a_small_file_are_all_told() {
    let world = World::new(3, 8);
    let mirror = world.mirror().unwrap();
    let path = DrivePath::vault([8; 16]);
    assert!(mirror.drive().read_small_each(&path).unwrap().is_empty());
    world.drives[1].plant(&path, b"one");
    world.drives[2].plant(&path, b"two");
    let each = mirror.drive().read_small_each(&path).unwrap();
    assert_eq!(each, [b"one".to_vec(), b"two".to_vec()]);
    world.drives[2].plant(&path, b"one");
    assert_eq!(mirror.drive().read_small_each(&path).unwrap().len(), 1);
}

#[test]
fn a_mirror_without_copies_or_without_a_majority_does_not_open() {
    let world = World::new(3, 9);
    let open = |there: &[usize]| {
        Mirror::open(
            world.copies(there),
            crate::table_rig::sealer(),
            world.options(),
        )
    };
    assert!(open(&[]).is_err());
    assert!(open(&[1]).is_err());
    assert!(open(&[0, 2]).is_ok());
    assert_eq!(*world.ledger.fenced.lock().unwrap(), [no(1)]);
    let mirror = open(&[0, 2]).unwrap();
    engine(&mirror).unwrap();
}
