// SPDX-License-Identifier: Apache-2.0
//! The set of drives: what each is good for, and who hears of changes.

use std::fs;
use std::sync::Arc;

use strongroom_store::drive::{
    Drive, DriveNo, DrivePath, DriveSet, DriveState, Folder, LocalDrive, SetMember, Standing,
};
use strongroom_store::layout::DriveUid;
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

fn member(number: u16, facility: &str) -> SetMember {
    let drive = Arc::new(SimDrive::new(u64::from(number)));
    SetMember::online(
        DriveNo(number),
        DriveUid([number.to_be_bytes()[1]; 16]),
        facility,
        drive,
    )
}

fn set() -> DriveSet {
    DriveSet::new(vec![member(2, "b"), member(0, "a"), member(1, "a")]).unwrap()
}

#[test]
fn drives_are_found_by_their_numbers_and_clones_share() {
    let set = set();
    let numbers: Vec<u16> = set.view().members().iter().map(|of| of.number.0).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(set.get(DriveNo(2)).is_some());
    assert!(set.get(DriveNo(3)).is_none());
    assert!(set.get(DriveNo::NOWHERE).is_none());
    assert_eq!(set.view().state(DriveNo(3)), DriveState::Removed);
    let other = set.clone();
    other.set_drive(DriveNo(1), None);
    assert!(set.get(DriveNo(1)).is_none());
    assert_eq!(set.view().state(DriveNo(1)), DriveState::Missing);
}

#[test]
fn one_number_is_one_drive_for_ever() {
    let set = set();
    assert!(DriveSet::new(vec![member(1, "a"), member(1, "b")]).is_err());
    assert!(DriveSet::new(vec![member(u16::MAX, "a")]).is_err());
    assert!(set.add(member(1, "c")).is_err());
    assert!(set.add(member(u16::MAX, "c")).is_err());
    set.set_standing(DriveNo(1), Standing::Removed);
    assert!(set.add(member(1, "c")).is_err());
    set.add(member(3, "c")).unwrap();
    assert!(set.get(DriveNo(3)).is_some());
}

#[test]
fn what_is_decided_about_a_drive_says_what_it_is_good_for() {
    let set = set();
    let placeable = |set: &DriveSet| set.view().placeable().map(|of| of.number.0).collect();
    let all: Vec<u16> = placeable(&set);
    assert_eq!(all, [0, 1, 2]);
    set.set_standing(DriveNo(0), Standing::Draining);
    set.set_room(DriveNo(1), false);
    let left: Vec<u16> = placeable(&set);
    assert_eq!(left, [2]);
    assert!(set.get(DriveNo(0)).is_some(), "draining: is read");
    assert!(set.get(DriveNo(1)).is_some(), "full: is read");
    for (standing, state) in [
        (Standing::Lost, DriveState::Lost),
        (Standing::Removed, DriveState::Removed),
    ] {
        set.set_standing(DriveNo(2), standing);
        assert_eq!(set.view().state(DriveNo(2)), state);
        assert!(set.get(DriveNo(2)).is_none());
    }
    set.set_standing(DriveNo(0), Standing::Draining);
    set.set_drive(DriveNo(0), None);
    assert_eq!(set.view().state(DriveNo(0)), DriveState::Missing);
}

#[test]
fn a_view_stays_what_it_was_and_changes_are_told() {
    let set = set();
    let mut changed = set.changed();
    let before = set.view();
    changed.mark_unchanged();
    set.set_room(DriveNo(1), true);
    assert!(!changed.has_changed().unwrap(), "nothing was changed");
    set.set_drive(DriveNo(0), None);
    assert!(changed.has_changed().unwrap());
    assert_eq!(*changed.borrow_and_update(), set.view().revision());
    assert!(set.view().revision() > before.revision());
    assert_eq!(before.state(DriveNo(0)), DriveState::Online);
}

#[test]
fn dur_d4_a_drive_that_failed_a_flush_is_not_used_again() {
    let drive = SimDrive::new(7);
    let set = DriveSet::single(Arc::new(drive.clone()));
    drive.set_plan(FaultPlan::new([Fault::FailAt(1)]));
    let file = drive
        .create(&DrivePath::numbered(Folder::Log, "file", 1))
        .unwrap();
    file.sync().unwrap_err();
    assert!(set.get(DriveNo::FIRST).is_none());
    let mut changed = set.changed();
    changed.mark_unchanged();
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::OutOfService);
    assert!(changed.has_changed().unwrap());
    assert_eq!(set.view().placeable().count(), 0);
}

/// A body could not be healed while a drive was out of service. Heal suspected the drive, that was told
/// as a change, and for a change everything is tried again: for ever, without a pause.
#[test]
fn dur_d4_that_a_drive_is_out_of_service_is_told_once() {
    let drive = SimDrive::new(7);
    let set = DriveSet::single(Arc::new(drive.clone()));
    drive.set_plan(FaultPlan::new([Fault::FailAt(0)]));
    drive.sync_folder(Folder::Log).unwrap_err();
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::OutOfService);
    let told = set.view().revision();
    for _ in 0..3 {
        assert_eq!(set.suspect(DriveNo::FIRST), DriveState::OutOfService);
        assert_eq!(set.view().revision(), told);
    }
    // Another drive in its place that fails is told again.
    let next = SimDrive::new(8);
    set.set_drive(DriveNo::FIRST, Some(Arc::new(next.clone())));
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::Online);
    next.set_plan(FaultPlan::new([Fault::FailAt(0)]));
    next.sync_folder(Folder::Log).unwrap_err();
    let before = set.view().revision();
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::OutOfService);
    assert!(set.view().revision() > before);
}

#[test]
fn dur_d8_a_drive_that_was_taken_away_is_missing_and_is_not_made_anew() {
    let above = tempfile::tempdir().unwrap();
    let top = above.path().join("a1");
    let drive = Arc::new(LocalDrive::open(&top).unwrap());
    let set = DriveSet::single(Arc::clone(&drive) as Arc<dyn Drive>);
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::Online);
    fs::rename(&top, above.path().join("elsewhere")).unwrap();
    let path = DrivePath::numbered(Folder::Log, "file", 1);
    drive.create(&path).unwrap_err();
    assert!(!top.exists(), "an empty drive in the place of a full one");
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::Missing);
    assert!(set.get(DriveNo::FIRST).is_none());
    assert_eq!(set.suspect(DriveNo::FIRST), DriveState::Missing);
}

#[test]
fn dur_d9_another_directory_in_the_place_of_a_drive_is_not_that_drive() {
    let above = tempfile::tempdir().unwrap();
    let top = above.path().join("a1");
    let drive = LocalDrive::open(&top).unwrap();
    assert!(drive.is_present());
    fs::rename(&top, above.path().join("elsewhere")).unwrap();
    fs::create_dir(&top).unwrap();
    assert!(!drive.is_present(), "an empty directory");
    fs::write(top.join("lock"), b"").unwrap();
    assert!(!drive.is_present(), "another lock");
    fs::remove_dir_all(&top).unwrap();
    fs::rename(above.path().join("elsewhere"), &top).unwrap();
    assert!(drive.is_present(), "put back");
}

/// A drive failed a flush and went. It came back as a new value with a clean record, though the
/// kernel may have forgotten what it could not write.
#[test]
fn a_failed_flush_is_remembered_when_the_drive_is_gone() {
    let set = set();
    let fail = |drive: &SimDrive| {
        drive.die();
        drive.sync_folder(Folder::Log).unwrap_err();
    };
    let (first, late) = (SimDrive::new(1), SimDrive::new(2));
    set.set_drive(DriveNo(1), Some(Arc::new(first.clone())));
    set.set_drive(DriveNo(2), Some(Arc::new(late.clone())));
    assert!(!set.has_failed(DriveNo(1)));
    fail(&first);
    set.set_drive(DriveNo(1), None);
    drop(first);
    // One of its files was flushed after it was gone.
    set.set_drive(DriveNo(2), None);
    assert!(!set.has_failed(DriveNo(2)));
    fail(&late);
    for number in [1, 2] {
        assert!(set.clone().has_failed(DriveNo(number)));
        set.set_drive(DriveNo(number), Some(Arc::new(SimDrive::new(3))));
        assert!(set.has_failed(DriveNo(number)));
    }
    assert!(!set.has_failed(DriveNo(0)));
    let added = SimDrive::new(4);
    let mut member = member(3, "a");
    member.drive = Some(Arc::new(added.clone()));
    set.add(member).unwrap();
    fail(&added);
    assert!(set.has_failed(DriveNo(3)));
}
