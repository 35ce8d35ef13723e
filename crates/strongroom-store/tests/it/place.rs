// SPDX-License-Identifier: Apache-2.0
//! Which drive gets which shard: the rules, on every cluster that proptest thinks of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use strongroom_store::BlobId;
use strongroom_store::drive::{
    DriveNo, DriveSet, DriveState, Placed, SetMember, SetView, Standing, can_leave, check_wish,
    default_redundancy, place, place_shard, policy_for, redundancy_for,
};
use strongroom_store::layout::{BlobPolicy, DriveUid, Redundancy};
use strongroom_testkit::SimDrive;

const FACILITIES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A cluster with so many drives in each facility.
fn cluster(counts: &[usize]) -> DriveSet {
    let mut members = Vec::new();
    for (facility, count) in FACILITIES.iter().zip(counts) {
        for _ in 0..*count {
            let number = u16::try_from(members.len()).unwrap();
            members.push(SetMember::online(
                DriveNo(number),
                DriveUid([u8::try_from(number).unwrap(); 16]),
                *facility,
                Arc::new(SimDrive::new(1)),
            ));
        }
    }
    DriveSet::new(members).unwrap()
}

fn code(data: u8, parity: u8) -> Redundancy {
    Redundancy::new(data, parity).unwrap()
}

fn per_facility(view: &SetView, drives: &[DriveNo]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for number in drives.iter().filter(|of| **of != DriveNo::NOWHERE) {
        let member = view.member(*number).unwrap();
        *counts.entry(member.facility.clone()).or_default() += 1;
    }
    counts
}

fn each_once(placed: &Placed) -> bool {
    let there = placed.drives.iter().filter(|of| **of != DriveNo::NOWHERE);
    there.collect::<BTreeSet<_>>().len() == placed.placed()
}

proptest! {
    #[test]
    fn dur_d8_any_one_facility_may_be_lost_where_there_are_three(
        counts in prop::collection::vec(1_usize..6, 3..=5),
        away in any::<u32>(),
        data in 1_u8..=8,
        parity in 1_u8..=4,
        blob in any::<[u8; 16]>(),
        archive in any::<bool>(),
    ) {
        let set = cluster(&counts);
        for member in set.view().members() {
            if away & (1 << (member.number.0 % 32)) != 0 {
                set.set_drive(member.number, None);
            }
        }
        let policy = if archive { BlobPolicy::Archive } else { BlobPolicy::Standard };
        let view = set.view();
        let Some(placed) = place(&view, policy, code(data, parity), BlobId(blob)) else {
            prop_assert_eq!(view.placeable().count(), 0);
            return Ok(());
        };
        prop_assert!(each_once(&placed));
        let Placed { redundancy, drives } = &placed;
        prop_assert_eq!(redundancy.parity(), parity);
        prop_assert!(redundancy.data() <= data);
        prop_assert_eq!(drives.len(), usize::from(redundancy.shards()));
        for drive in drives.iter().filter(|of| **of != DriveNo::NOWHERE) {
            prop_assert_eq!(view.state(*drive), DriveState::Online);
        }
        for (facility, count) in per_facility(&view, drives) {
            prop_assert!(count <= usize::from(parity), "{facility} has {count}");
        }
        // Nothing is owed as long as the code can be made narrower instead.
        prop_assert!(placed.owed() == 0 || redundancy.data() == 1);
        // Nothing is narrower than it has to be.
        let mut room = BTreeMap::<&str, usize>::new();
        for member in view.placeable() {
            let count = room.entry(&member.facility).or_default();
            *count = (*count + 1).min(usize::from(parity));
        }
        let room: usize = room.values().sum();
        prop_assert_eq!(placed.placed(), room.min(usize::from(data + parity)));
        prop_assert_eq!(placed.owed().count_ones() as usize + placed.placed(), drives.len());
        prop_assert_eq!(&place(&view, policy, code(data, parity), BlobId(blob)), &Some(placed.clone()));
    }

    #[test]
    fn with_fewer_facilities_every_drive_is_used_and_they_are_even(
        counts in prop::collection::vec(1_usize..8, 1..=2),
        blob in any::<[u8; 16]>(),
    ) {
        let set = cluster(&counts);
        let view = set.view();
        let wished = default_redundancy(&view);
        let placed = place(&view, BlobPolicy::Standard, wished, BlobId(blob)).unwrap();
        prop_assert_eq!(placed.redundancy, wished);
        prop_assert_eq!(placed.owed(), 0);
        prop_assert!(each_once(&placed));
        if let [one, other] = counts[..] {
            let spread = per_facility(&view, &placed.drives);
            let (a, b) = (spread.get("a").copied().unwrap_or(0), spread.get("b").copied().unwrap_or(0));
            prop_assert!(a.abs_diff(b) <= 1 || a == one || b == other);
        }
    }

    #[test]
    fn blobs_of_one_facility_stay_in_it(
        counts in prop::collection::vec(1_usize..6, 1..=5),
        blob in any::<[u8; 16]>(),
    ) {
        let set = cluster(&counts);
        let view = set.view();
        let wished = redundancy_for(&view, BlobPolicy::OneFacility, default_redundancy(&view));
        let placed = place(&view, BlobPolicy::OneFacility, wished, BlobId(blob)).unwrap();
        prop_assert_eq!(placed.redundancy, wished);
        prop_assert_eq!(placed.owed(), 0);
        prop_assert_eq!(per_facility(&view, &placed.drives).len(), 1);
        // A lost shard is put back into the same facility where that has drives enough, else
        // where there is any: a shard is not owed for ever for the sake of its facility.
        let shard = usize::from(blob[0]) % placed.drives.len();
        let home = view.member(placed.drives[shard]).unwrap().facility.clone();
        set.set_standing(placed.drives[shard], Standing::Lost);
        let view = set.view();
        let left = view.members().iter();
        let left = left.filter(|of| of.standing == Standing::Member);
        let (at_home, elsewhere): (Vec<_>, Vec<_>) = left.partition(|of| of.facility == home);
        let found = place_shard(&view, BlobPolicy::OneFacility, wished, &placed.drives, shard, BlobId(blob));
        let found = found.map(|found| view.member(found).unwrap().facility.clone());
        if at_home.len() >= placed.drives.len() && placed.drives.len() > 1 {
            prop_assert_eq!(found, Some(home));
        } else {
            prop_assert_eq!(found.is_some(), !elsewhere.is_empty() || at_home.len() >= placed.drives.len());
        }
    }

    #[test]
    fn a_facility_that_is_drained_lets_its_blobs_go_together(
        counts in prop::collection::vec(2_usize..5, 2..=4),
        blob in any::<[u8; 16]>(),
    ) {
        let set = cluster(&counts);
        let view = set.view();
        let policy = BlobPolicy::OneFacility;
        let wished = redundancy_for(&view, policy, default_redundancy(&view));
        let placed = place(&view, policy, wished, BlobId(blob)).unwrap();
        let home = view.member(placed.drives[0]).unwrap().facility.clone();
        let rest = counts.iter().zip(FACILITIES).filter(|(_, of)| **of != *home);
        let has_room = rest.map(|(count, _)| *count).max().unwrap() >= placed.drives.len();
        for member in view.members().iter().filter(|of| of.facility == home) {
            set.set_standing(member.number, Standing::Draining);
        }
        let view = set.view();
        let mut drives = placed.drives.clone();
        for shard in 0..drives.len() {
            let to = place_shard(&view, policy, wished, &drives, shard, BlobId(blob));
            let Some(to) = to else {
                prop_assert!(view.placeable().all(|of| drives.contains(&of.number)));
                return Ok(());
            };
            drives[shard] = to;
        }
        prop_assert!(!per_facility(&view, &drives).contains_key(&home));
        if has_room && counts.len() == 2 {
            prop_assert_eq!(per_facility(&view, &drives).len(), 1);
        }
    }

    /// The model: who leaves fits into what the others may still take.
    #[test]
    fn what_can_leave_its_drives_is_known_before_they_are_drained(
        counts in prop::collection::vec(1_usize..6, 1..=5),
        archive in any::<bool>(),
        draining in prop::collection::btree_set(0_u16..25, 1..=3),
        blob in any::<[u8; 16]>(),
    ) {
        let set = cluster(&counts);
        let policy = if archive { BlobPolicy::Archive } else { BlobPolicy::Standard };
        let code = redundancy_for(&set.view(), policy, default_redundancy(&set.view()));
        let drives = place(&set.view(), policy, code, BlobId(blob)).unwrap().drives;
        for number in &draining {
            set.set_standing(DriveNo(*number), Standing::Draining);
        }
        let view = set.view();
        let stay: Vec<_> = view.members().iter().filter(|of| of.standing == Standing::Member).collect();
        let leaving = drives.iter().filter(|of| draining.contains(&of.0)).count();
        let facilities: BTreeSet<_> = stay.iter().map(|of| &of.facility).collect();
        let is_bound = facilities.len() >= 3 && code.parity() > 0;
        let limit = if is_bound { usize::from(code.parity()) } else { usize::MAX };
        let room: usize = facilities.iter().map(|facility| {
            let here = stay.iter().filter(|of| of.facility == **facility);
            let (held, free) = here.partition::<Vec<&SetMember>, _>(|of| drives.contains(&of.number));
            free.len().min(limit.saturating_sub(held.len()))
        }).sum();
        let told = can_leave(&view, policy, code, &drives, BlobId(blob));
        prop_assert_eq!(told, room >= leaving);
        // It makes no difference who is there now.
        set.set_room(stay.first().map_or(DriveNo(0), |of| of.number), false);
        set.set_drive(stay.last().map_or(DriveNo(0), |of| of.number), None);
        prop_assert_eq!(can_leave(&set.view(), policy, code, &drives, BlobId(blob)), told);
    }

    #[test]
    fn a_policy_is_never_worse_than_none(
        counts in prop::collection::vec(1_usize..6, 1..=5),
        wish in prop::option::of((1_u8..=8, 0_u8..=4)),
    ) {
        let view = cluster(&counts).view();
        let standard = match wish.map(|(data, parity)| Redundancy::new(data, parity)) {
            Some(Ok(wished)) => redundancy_for(&view, BlobPolicy::Standard, wished),
            Some(Err(_)) | None => default_redundancy(&view),
        };
        prop_assert_eq!(policy_for(&view, BlobPolicy::Standard, standard), BlobPolicy::Standard);
        let room = |of: Redundancy| f64::from(of.shards()) / f64::from(of.data());
        match policy_for(&view, BlobPolicy::Archive, standard) {
            BlobPolicy::Archive => {
                let archive = redundancy_for(&view, BlobPolicy::Archive, standard);
                prop_assert!(room(archive) <= room(standard));
                prop_assert!(room(archive) < room(standard) || archive.parity() > standard.parity());
            }
            other => prop_assert_eq!(other, BlobPolicy::Standard),
        }
        match policy_for(&view, BlobPolicy::OneFacility, standard) {
            BlobPolicy::OneFacility => {
                let one = redundancy_for(&view, BlobPolicy::OneFacility, standard);
                prop_assert!(one.parity() > 0 && counts.len() > 1);
            }
            other => {
                prop_assert_eq!(other, BlobPolicy::Standard);
                let may = counts.len() > 1 && counts.iter().any(|count| *count > 1);
                prop_assert!(!may || standard.parity() == 0);
            }
        }
    }

    #[test]
    fn dur_d12_a_lost_shard_goes_where_a_facility_may_still_be_lost(
        counts in prop::collection::vec(1_usize..6, 3..=5),
        lost in any::<prop::sample::Index>(),
        blob in any::<[u8; 16]>(),
    ) {
        let set = cluster(&counts);
        let wished = default_redundancy(&set.view());
        let placed = place(&set.view(), BlobPolicy::Standard, wished, BlobId(blob)).unwrap();
        let shard = lost.index(placed.drives.len());
        set.set_standing(placed.drives[shard], Standing::Lost);
        let view = set.view();
        let found = place_shard(&view, BlobPolicy::Standard, wished, &placed.drives, shard, BlobId(blob));
        let Some(found) = found else { return Ok(()) };
        prop_assert!(!placed.drives.contains(&found));
        let mut drives = placed.drives.clone();
        drives[shard] = found;
        let facilities: BTreeSet<_> = view
            .members()
            .iter()
            .filter(|of| of.standing == Standing::Member)
            .map(|of| &of.facility)
            .collect();
        if facilities.len() >= 3 {
            for count in per_facility(&view, &drives).values() {
                prop_assert!(*count <= usize::from(wished.parity()));
            }
        }
    }

    #[test]
    fn what_is_given_by_default_can_be_wished_for(counts in prop::collection::vec(1_usize..8, 1..=5)) {
        let view = cluster(&counts).view();
        prop_assert_eq!(check_wish(&view, default_redundancy(&view)), Ok(()));
        for policy in [BlobPolicy::Standard, BlobPolicy::Archive, BlobPolicy::OneFacility] {
            let wished = redundancy_for(&view, policy, default_redundancy(&view));
            let placed = place(&view, policy, wished, BlobId([1; 16])).unwrap();
            prop_assert_eq!((placed.redundancy, placed.owed()), (wished, 0));
        }
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    for (counts, data, parity) in [
        (&[1][..], 1, 0),
        (&[1, 1], 1, 1),
        (&[2], 1, 1),
        (&[1, 1, 1], 1, 2),
        (&[2, 1, 1], 2, 2),
        (&[2, 2, 2], 4, 2),
        (&[6], 4, 2),
        (&[4, 4, 4], 8, 4),
        (&[4, 1, 1], 2, 2),
    ] {
        let view = cluster(counts).view();
        assert_eq!(default_redundancy(&view), code(data, parity), "{counts:?}");
    }
    let archive = |counts: &[usize]| {
        let view = cluster(counts).view();
        redundancy_for(&view, BlobPolicy::Archive, default_redundancy(&view))
    };
    assert_eq!(
        archive(&[4, 4, 3]),
        code(6, 3),
        "no facility has more than three"
    );
    assert_eq!(archive(&[3, 3, 3, 3]), code(8, 3));
    assert_eq!(archive(&[2, 2, 2]), code(4, 2));
}

#[test]
fn policies_that_come_to_nothing_are_none() {
    use BlobPolicy::{Archive, OneFacility, Standard};
    for (counts, one_facility, archive) in [
        (&[1][..], Standard, Standard),
        (&[6], Standard, Standard),
        (&[12], Standard, Archive),
        (&[1, 1, 1], Standard, Standard),
        (&[2, 2], OneFacility, Standard),
        (&[2, 2, 2], OneFacility, Standard),
        (&[3, 3, 3], OneFacility, Archive),
        // Any facility of three may be lost: nothing costs less than the 8+4 that is there anyway.
        (&[4, 4, 4], OneFacility, Standard),
        (&[3, 3, 3, 3], OneFacility, Archive),
    ] {
        let view = cluster(counts).view();
        let standard = default_redundancy(&view);
        assert_eq!(
            policy_for(&view, OneFacility, standard),
            one_facility,
            "{counts:?}"
        );
        assert_eq!(policy_for(&view, Archive, standard), archive, "{counts:?}");
        assert_eq!(
            policy_for(&view, OneFacility, code(1, 0)),
            Standard,
            "{counts:?}"
        );
        assert_eq!(
            policy_for(&view, Archive, code(1, 0)),
            Standard,
            "{counts:?}"
        );
    }
    let dear = policy_for(&cluster(&[4, 4, 4]).view(), Archive, code(2, 2));
    assert_eq!(dear, Archive, "6+3 instead of 2+2");
}

#[test]
fn wishes_that_cannot_be_kept_are_refused_in_words() {
    let six = cluster(&[2, 2, 2]).view();
    assert_eq!(check_wish(&six, code(4, 2)), Ok(()));
    assert_eq!(check_wish(&six, code(2, 2)), Ok(()));
    assert_eq!(check_wish(&six, code(1, 0)), Ok(()));
    let refused = check_wish(&six, code(8, 4)).unwrap_err();
    assert!(refused.contains("12 drives and there are 6"), "{refused}");
    let refused = check_wish(&six, code(5, 1)).unwrap_err();
    assert!(refused.contains("loss of a facility"), "{refused}");
    assert!(refused.contains("2+1 does"), "{refused}");
    let uneven = cluster(&[4, 1, 1]).view();
    assert!(check_wish(&uneven, code(4, 2)).is_err());
    assert_eq!(check_wish(&cluster(&[3, 3]).view(), code(4, 2)), Ok(()));
}

#[test]
fn data_shards_are_on_all_facilities_alike() {
    let view = cluster(&[2, 2, 2]).view();
    let mut firsts = BTreeSet::new();
    let mut used = BTreeSet::new();
    for blob in 0..200_u8 {
        let mut id = [7; 16];
        id[3] = blob;
        let placed = place(&view, BlobPolicy::Standard, code(4, 2), BlobId(id)).unwrap();
        let data = per_facility(&view, &placed.drives[..3]);
        assert_eq!(
            data.len(),
            3,
            "three shards in a row are in three facilities"
        );
        firsts.insert(placed.drives[0]);
        used.extend(placed.drives);
    }
    assert_eq!((firsts.len(), used.len()), (6, 6));
}

#[test]
fn drives_that_are_full_or_away_or_leaving_get_nothing() {
    let set = cluster(&[2, 2, 2]);
    set.set_room(DriveNo(0), false);
    set.set_drive(DriveNo(2), None);
    set.set_standing(DriveNo(4), Standing::Draining);
    let placed = place(
        &set.view(),
        BlobPolicy::Standard,
        code(4, 2),
        BlobId([1; 16]),
    )
    .unwrap();
    assert_eq!(placed.redundancy, code(1, 2));
    let drives: BTreeSet<_> = placed.drives.iter().map(|of| of.0).collect();
    assert_eq!(drives, BTreeSet::from([1, 3, 5]));
    for number in [1, 3, 5] {
        set.set_drive(DriveNo(number), None);
    }
    assert_eq!(
        place(
            &set.view(),
            BlobPolicy::Standard,
            code(4, 2),
            BlobId([1; 16])
        ),
        None
    );
}

#[test]
fn a_facility_that_is_away_is_not_forgotten() {
    // Nine drives; six are there and would hold 4+2 with three shards in each facility. The loss
    // of one of the two would then take blobs that were written meanwhile.
    let set = cluster(&[3, 3, 3]);
    for number in 6..9 {
        set.set_drive(DriveNo(number), None);
    }
    let view = set.view();
    let placed = place(&view, BlobPolicy::Standard, code(4, 2), BlobId([9; 16])).unwrap();
    assert_eq!(placed.redundancy, code(2, 2));
    let shards = place_shard(
        &view,
        BlobPolicy::Standard,
        code(2, 2),
        &placed.drives,
        0,
        BlobId([9; 16]),
    );
    assert_eq!(
        shards,
        Some(placed.drives[0]),
        "a shard's own drive takes it again"
    );
}

#[test]
fn too_few_drives_for_one_data_shard_and_the_parity_leave_shards_owed() {
    let set = cluster(&[1, 1, 1]);
    set.set_drive(DriveNo(1), None);
    let placed = place(
        &set.view(),
        BlobPolicy::Standard,
        code(1, 2),
        BlobId([3; 16]),
    )
    .unwrap();
    assert_eq!(placed.redundancy, code(1, 2));
    assert_eq!((placed.placed(), placed.owed()), (2, 0b100));
    assert_eq!(placed.drives[2], DriveNo::NOWHERE);
    let back = place_shard(
        &set.view(),
        BlobPolicy::Standard,
        code(1, 2),
        &placed.drives,
        2,
        BlobId([3; 16]),
    );
    assert_eq!(back, None, "no drive is free");
    set.set_drive(DriveNo(1), Some(Arc::new(SimDrive::new(1))));
    let back = place_shard(
        &set.view(),
        BlobPolicy::Standard,
        code(1, 2),
        &placed.drives,
        2,
        BlobId([3; 16]),
    );
    assert_eq!(back, Some(DriveNo(1)));
}
