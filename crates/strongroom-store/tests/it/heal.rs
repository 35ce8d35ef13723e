// SPDX-License-Identifier: Apache-2.0
//! Heal gives back every shard byte for byte, at whatever moment it is interrupted, and says
//! exactly what it cannot give back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strongroom_store::blob::ShardSet;
use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveState, Folder, SetMember, Standing};
use strongroom_store::env::Clock;
use strongroom_store::heal::{HealOptions, Healer, Obstacle};
use strongroom_store::layout::{DriveUid, ShardIndex};
use strongroom_store::scrub::{FinishedPass, ScrubOptions, Scrubber, Stepped};
use strongroom_store::{BlobId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive, SimRng};

use crate::blob_drives::{Cluster, code};
use crate::scrub::damage;
use crate::stage::{self, UNIT};

/// What every file of every blob holds.
type Files = BTreeMap<(usize, DrivePath), Vec<u8>>;

fn blob(number: u8) -> BlobId {
    BlobId([number.wrapping_mul(37).wrapping_add(11); 16])
}

fn clock() -> Arc<SimClock> {
    Arc::new(SimClock::new(1_700_000_000_000))
}

fn healer(cluster: &Cluster, clock: &Arc<SimClock>, options: HealOptions) -> Healer {
    let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(clock);
    Healer::new(&cluster.store, clock, options)
}

async fn scrub(cluster: &Cluster) -> FinishedPass {
    let clock: Arc<dyn Clock> = clock();
    let mut scrubber = Scrubber::new(&cluster.store, clock, ScrubOptions::default()).unwrap();
    scrubber.run_pass().await.unwrap()
}

/// A step that does something; `None` when there is nothing to do.
async fn step(healer: &mut Healer, clock: &SimClock) -> Option<u64> {
    loop {
        match healer.step().await.unwrap() {
            Stepped::Worked { bytes } => return Some(bytes),
            Stepped::Wait { ms } if ms >= 60_000 => return None,
            Stepped::Wait { ms } => clock.advance_ms(ms),
        }
    }
}

async fn heal(cluster: &Cluster) -> Healer {
    let mut healer = healer(cluster, &clock(), HealOptions::default());
    healer.run().await.unwrap();
    cluster.store.blobs().reclaimed().await.unwrap();
    healer
}

fn content(number: u8) -> Vec<u8> {
    let len = usize::from(number) * 3 * UNIT / 2 + usize::from(number % 5);
    stage::bytes(u64::from(number), len)
}

async fn fill(cluster: &Cluster, blobs: u8) {
    for number in 0..blobs {
        stage::put(&cluster.store, blob(number), &content(number)).await;
    }
    // Shards that were slow are still on their way.
    cluster.store.blobs().reclaimed().await.unwrap();
    heal(cluster).await;
}

fn files(cluster: &Cluster) -> Files {
    let held = cluster.files().into_iter();
    held.map(|(drive, path)| {
        let bytes = cluster.drives[drive].contents(&path).unwrap();
        ((drive, path), bytes)
    })
    .collect()
}

/// What is there of each shard, wherever it lies.
fn shards(cluster: &Cluster) -> BTreeMap<(BlobId, u8), Vec<u8>> {
    let mut shards = BTreeMap::new();
    for entry in cluster.store.catalogue(None, 1000).unwrap() {
        for (shard, drive) in entry.keeping.placement.each() {
            let blob = entry.location.blob;
            if let Some(bytes) =
                cluster.drives[usize::from(drive.0)].contents(&DrivePath::blob(blob))
            {
                shards.insert((blob, shard.0), bytes);
            }
        }
    }
    shards
}

async fn check(cluster: &Cluster, note: &str) {
    for entry in cluster.store.catalogue(None, 1000).unwrap() {
        let number = (0..=255).find(|number| blob(*number) == entry.location.blob);
        let read = stage::read_all(&cluster.store, &entry.location).await;
        assert_eq!(read.unwrap(), content(number.unwrap()), "{note}");
        assert!(entry.keeping.owed.is_empty(), "{note}: {:?}", entry.keeping);
    }
    assert_eq!(cluster.files(), cluster.catalogued_files(), "{note}");
    check_nothing_owed(cluster, note);
}

fn check_nothing_owed(cluster: &Cluster, note: &str) {
    assert!(
        cluster.store.damaged_blobs(None, 10).unwrap().is_empty(),
        "{note}"
    );
    assert!(cluster.store.owed(None, 10).unwrap().is_empty(), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d7_damage_within_the_redundancy_is_found_and_healed_byte_for_byte() {
    let mut seeded_in_all = 0;
    for (data, parity, drives) in [(4, 2, 6), (2, 1, 3), (1, 2, 3), (2, 2, 4)] {
        for seed in 0..6 {
            let cluster = Cluster::new(drives, code(data, parity)).await;
            fill(&cluster, 14).await;
            let before = files(&cluster);
            let mut rng = SimRng::new(seed);
            let mut seeded = BTreeMap::new();
            for number in 0..14 {
                let placement = cluster.keeping(blob(number)).placement;
                for _ in 0..rng.below(u64::from(parity) + 1) {
                    let shard =
                        ShardIndex(u8::try_from(rng.index(usize::from(data + parity))).unwrap());
                    let drive = placement.drive(shard).unwrap();
                    let drive = &cluster.drives[usize::from(drive.0)];
                    let path = DrivePath::blob(blob(number));
                    if drive.contents(&path).is_some()
                        && damage(drive, &path, rng.below(9), &mut rng)
                    {
                        let known = seeded.entry(blob(number)).or_insert(ShardSet::EMPTY);
                        *known = known.with(shard);
                    }
                }
            }
            // Twice the same bit is no damage.
            let is_damaged = |blob: &BlobId, set: &ShardSet| {
                set.each()
                    .filter(|shard| {
                        let drive = cluster.keeping(*blob).placement.drive(*shard).unwrap();
                        let at = (usize::from(drive.0), DrivePath::blob(*blob));
                        cluster.drives[at.0].contents(&at.1) != Some(before[&at].clone())
                    })
                    .collect::<ShardSet>()
            };
            let seeded: BTreeMap<BlobId, ShardSet> = seeded
                .iter()
                .map(|(blob, set)| (*blob, is_damaged(blob, set)))
                .filter(|(_, set)| !set.is_empty())
                .collect();
            let note = format!("{data}+{parity}, seed {seed}: {seeded:?}");
            let finished = scrub(&cluster).await;
            let found = cluster.store.damaged_blobs(None, 100).unwrap();
            let found: BTreeMap<_, _> = found.into_iter().map(|of| (of.blob, of.shards)).collect();
            assert_eq!(found, seeded, "{note}");
            let count: u64 = seeded.values().map(|set| u64::from(set.len())).sum();
            assert_eq!(finished.totals.damaged_shards, count, "{note}");
            let healer = heal(&cluster).await;
            assert_eq!(healer.status().healed_shards, count, "{note}");
            assert_eq!(files(&cluster), before, "{note}");
            check(&cluster, &note).await;
            assert_eq!(scrub(&cluster).await.totals.damaged_shards, 0, "{note}");
            seeded_in_all += count;
        }
    }
    assert!(seeded_in_all > 200, "{seeded_in_all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_every_shard_is_healed_as_long_as_each_row_has_enough() {
    let cluster = Cluster::new(3, code(2, 1)).await;
    stage::put(&cluster.store, blob(30), &content(30)).await;
    cluster.store.blobs().reclaimed().await.unwrap();
    let before = files(&cluster);
    let placement = cluster.keeping(blob(30)).placement;
    for (shard, drive) in placement.each() {
        // Another row of each.
        let at = 64 + usize::from(shard.0) * 2 * (UNIT + 8) + 5;
        assert!(cluster.drives[usize::from(drive.0)].rot(&DrivePath::blob(blob(30)), at, 1));
    }
    assert_eq!(scrub(&cluster).await.totals.damaged_shards, 3);
    heal(&cluster).await;
    assert_eq!(files(&cluster), before);
    check(&cluster, "healed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shard_without_redundancy_gets_back_what_its_units_do_not_need() {
    let cluster = Cluster::new(1, code(1, 0)).await;
    fill(&cluster, 3).await;
    let before = files(&cluster);
    let path = DrivePath::blob(blob(2));
    let good = cluster.drives[0].contents(&path).unwrap();
    for at in (0..64).chain(good.len() - 64..good.len()) {
        assert!(cluster.drives[0].rot(&path, at, 2));
        assert_eq!(scrub(&cluster).await.totals.damaged_shards, 1, "byte {at}");
        heal(&cluster).await;
        assert_eq!(files(&cluster), before, "byte {at}");
    }
    // A unit cannot come back: it is named, and what is there stays.
    assert!(cluster.drives[0].rot(&path, 70, 2));
    scrub(&cluster).await;
    let healer = heal(&cluster).await;
    let unhealed = healer.status().unhealed;
    assert_eq!(unhealed.len(), 1);
    assert_eq!(unhealed[0].blob, blob(2));
    let beyond = Obstacle::Beyond {
        there: 1,
        needed: 1,
        row: Some(0),
    };
    assert_eq!(unhealed[0].obstacle, beyond);
    assert!(cluster.drives[0].rot(&path, 70, 2));
    assert_eq!(files(&cluster), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_of_a_blob_in_each_others_place_are_put_right() {
    let cluster = Cluster::new(4, code(3, 1)).await;
    fill(&cluster, 9).await;
    let before = files(&cluster);
    let path = DrivePath::blob(blob(8));
    let placement = cluster.keeping(blob(8)).placement;
    let on = |shard| &cluster.drives[usize::from(placement.drive(ShardIndex(shard)).unwrap().0)];
    let (one, other) = (
        on(0).contents(&path).unwrap(),
        on(2).contents(&path).unwrap(),
    );
    on(0).plant(&path, &other);
    on(2).plant(&path, &one);
    // Two shards are in the wrong place and one can be lost: but nothing is lost.
    assert_eq!(scrub(&cluster).await.totals.damaged_shards, 2);
    heal(&cluster).await;
    assert_eq!(files(&cluster), before);
}

/// Puts an empty drive in.
fn add(cluster: &mut Cluster, facility: &str) -> DriveNo {
    let number = u16::try_from(cluster.drives.len()).unwrap();
    let drive = SimDrive::new(1000 + u64::from(number));
    cluster.drives.push(drive.clone());
    let uid = DriveUid([u8::try_from(number).unwrap(); 16]);
    let member = SetMember::online(DriveNo(number), uid, facility, Arc::new(drive));
    cluster.set.add(member).unwrap();
    DriveNo(number)
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d8_a_drive_that_is_replaced_gets_everything_back() {
    let mut cluster = Cluster::new(6, code(4, 2)).await;
    fill(&cluster, 20).await;
    let before = shards(&cluster);
    cluster.set.set_drive(DriveNo(4), None);
    cluster.set.set_standing(DriveNo(4), Standing::Lost);
    let healer = heal(&cluster).await;
    let status = healer.status();
    assert_eq!(
        status.owed_blobs, 20,
        "nowhere to go, and known: {status:?}"
    );
    assert_eq!(status.unhealed_blobs, 20);
    cluster.drives[4] = SimDrive::new(77);
    let new = add(&mut cluster, "f1");
    let healer = heal(&cluster).await;
    let status = healer.status();
    assert_eq!(
        (status.owed_blobs, status.unhealed_blobs),
        (0, 0),
        "{status:?}"
    );
    assert!(status.last_took_ms.is_some() && status.since_ms.is_none());
    assert_eq!(shards(&cluster), before);
    for entry in cluster.store.catalogue(None, 100).unwrap() {
        assert!(entry.keeping.placement.shard_on(new).is_some());
        assert!(entry.keeping.placement.shard_on(DriveNo(4)).is_none());
    }
    check(&cluster, "replaced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_drained_ends_empty_and_redundancy_never_falls() {
    let mut cluster = Cluster::new(4, code(2, 2)).await;
    fill(&cluster, 15).await;
    let before = shards(&cluster);
    add(&mut cluster, "f0");
    cluster.set.set_standing(DriveNo(1), Standing::Draining);
    let clock = clock();
    let mut healer = healer(&cluster, &clock, HealOptions::default());
    while step(&mut healer, &clock).await.is_some() {
        assert!(cluster.store.owed(None, 1).unwrap().is_empty());
    }
    cluster.store.blobs().reclaimed().await.unwrap();
    assert_eq!(healer.status().leaving_blobs, 0);
    assert_eq!(shards(&cluster), before);
    assert!(cluster.files().iter().all(|(drive, _)| *drive != 1));
    check(&cluster, "drained").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d8_what_is_beyond_healing_is_named_exactly_and_comes_back_with_its_drive() {
    let mut cluster = Cluster::new(5, code(3, 2)).await;
    fill(&cluster, 10).await;
    let before = shards(&cluster);
    add(&mut cluster, "f0");
    // The first shard of a few blobs is damaged, and two drives go.
    let mut lost = BTreeSet::new();
    for number in 3..10 {
        let placement = cluster.keeping(blob(number)).placement;
        let drive = placement.drive(ShardIndex(0)).unwrap();
        if ![DriveNo(3), DriveNo(4)].contains(&drive) {
            let path = DrivePath::blob(blob(number));
            assert!(cluster.drives[usize::from(drive.0)].remove(&path).unwrap());
            lost.insert(blob(number));
        }
    }
    assert!(lost.len() > 2, "{lost:?}");
    scrub(&cluster).await;
    for gone in [3, 4] {
        cluster.set.set_drive(DriveNo(gone), None);
    }
    let status = heal(&cluster).await.status();
    let named: BTreeSet<_> = status.unhealed.iter().map(|of| of.blob).collect();
    assert_eq!(named, lost);
    for unhealed in &status.unhealed {
        let beyond = Obstacle::Beyond {
            there: 2,
            needed: 3,
            row: None,
        };
        assert_eq!(unhealed.obstacle, beyond);
    }
    let back: Arc<dyn Drive> = Arc::new(cluster.drives[3].clone());
    cluster.set.set_drive(DriveNo(3), Some(back));
    let back: Arc<dyn Drive> = Arc::new(cluster.drives[4].clone());
    cluster.set.set_drive(DriveNo(4), Some(back));
    let status = heal(&cluster).await.status();
    assert_eq!(
        (status.unhealed_blobs, status.damaged_blobs),
        (0, 0),
        "{status:?}"
    );
    assert_eq!(shards(&cluster), before);
    check(&cluster, "back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_stays_away_is_healed_around_after_a_time() {
    let mut cluster = Cluster::new(4, code(2, 2)).await;
    fill(&cluster, 6).await;
    add(&mut cluster, "f0");
    cluster.set.set_drive(DriveNo(2), None);
    let clock = clock();
    let mut healer = healer(&cluster, &clock, HealOptions::default());
    healer.run().await.unwrap();
    for entry in cluster.store.catalogue(None, 100).unwrap() {
        assert!(
            entry.keeping.placement.shard_on(DriveNo(2)).is_some(),
            "it may come back"
        );
    }
    clock.advance_ms(61 * 60 * 1000);
    healer.run().await.unwrap();
    for entry in cluster.store.catalogue(None, 100).unwrap() {
        assert!(entry.keeping.placement.shard_on(DriveNo(2)).is_none());
        assert!(entry.keeping.owed.is_empty());
    }
    assert_eq!(scrub(&cluster).await.totals.absent_shards, 0);
}

/// Runs what was begun until it ends, however.
async fn heal_as_far_as_it_goes(cluster: &Cluster) {
    let clock = clock();
    let mut healer = healer(cluster, &clock, HealOptions::default());
    for _ in 0..5_000 {
        match healer.step().await {
            Ok(Stepped::Wait { ms }) if ms >= 60_000 => return,
            Ok(Stepped::Wait { ms }) => clock.advance_ms(ms),
            Ok(Stepped::Worked { .. }) => {}
            Err(_) => return,
        }
    }
    panic!("heal finds no end");
}

/// Three blobs: one with a damaged shard on drive 2, one owed a shard, all with one on a drive that
/// is to be emptied.
async fn wounded(seed: u64) -> Cluster {
    let drives = (0..5)
        .map(|drive| SimDrive::new(seed * 10 + drive))
        .collect();
    let cluster = Cluster::on(drives, code(2, 2), true).await.unwrap();
    for number in [4, 7, 9] {
        stage::put(&cluster.store, blob(number), &content(number)).await;
    }
    let damaged = cluster
        .catalogued_files()
        .into_iter()
        .find(|(drive, _)| *drive == 2);
    let (_, path) = damaged.unwrap();
    assert!(cluster.drives[2].rot(&path, 80, 1));
    let keeping = cluster.keeping(blob(7));
    let (shard, drive) = keeping
        .placement
        .each()
        .find(|(_, drive)| drive.0 != 2)
        .unwrap();
    let owed = (keeping.placement, ShardSet::EMPTY.with(shard));
    let write = Write::MoveShards {
        blob: blob(7),
        expected: (keeping.placement, keeping.owed),
        to: owed,
    };
    stage::commit(&cluster.store, write).await;
    cluster.drives[usize::from(drive.0)]
        .remove(&DrivePath::blob(blob(7)))
        .unwrap();
    scrub(&cluster).await;
    cluster.set.set_standing(DriveNo(1), Standing::Draining);
    for drive in &cluster.drives {
        drive.set_plan(FaultPlan::default());
    }
    cluster
}

#[tokio::test]
async fn dur_d12_a_power_loss_at_every_operation_of_heal_leaves_a_sound_store() {
    let cluster = wounded(0).await;
    heal_as_far_as_it_goes(&cluster).await;
    check(&cluster, "without a crash").await;
    let operations: Vec<u64> = cluster.drives.iter().map(SimDrive::operations).collect();
    assert!(operations.iter().sum::<u64>() > 40, "{operations:?}");
    for (victim, count) in operations.iter().enumerate() {
        for at in 0..*count {
            let note = format!("drive {victim}, operation {at}");
            let cluster = wounded(at % 3).await;
            cluster.drives[victim].set_plan(FaultPlan::new([Fault::CrashAt(at)]));
            heal_as_far_as_it_goes(&cluster).await;
            let after: Vec<SimDrive> = cluster.drives.iter().map(SimDrive::crash).collect();
            drop(cluster);
            let cluster = Cluster::on(after, code(2, 2), true).await;
            let cluster = cluster.unwrap_or_else(|error| panic!("{note}: {error}"));
            for entry in cluster.store.catalogue(None, 100).unwrap() {
                let number = [4, 7, 9]
                    .into_iter()
                    .find(|of| blob(*of) == entry.location.blob);
                let read = stage::read_all(&cluster.store, &entry.location).await;
                assert_eq!(read.unwrap(), content(number.unwrap()), "{note}");
            }
            cluster.set.set_standing(DriveNo(1), Standing::Draining);
            scrub(&cluster).await;
            heal_as_far_as_it_goes(&cluster).await;
            check(&cluster, &note).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_a_drive_that_fails_any_operation_of_heal_stops_nothing_else() {
    let cluster = wounded(0).await;
    heal_as_far_as_it_goes(&cluster).await;
    let operations: Vec<u64> = cluster.drives.iter().map(SimDrive::operations).collect();
    // The first drive has the tables, too.
    for (victim, count) in operations.iter().enumerate().skip(1) {
        for at in 0..*count {
            let note = format!("drive {victim}, operation {at}");
            let cluster = wounded(at % 3).await;
            cluster.drives[victim].set_plan(FaultPlan::new([Fault::FailAt(at)]));
            heal_as_far_as_it_goes(&cluster).await;
            for entry in cluster.store.catalogue(None, 100).unwrap() {
                let number = [4, 7, 9]
                    .into_iter()
                    .find(|of| blob(*of) == entry.location.blob);
                let read = stage::read_all(&cluster.store, &entry.location).await;
                assert_eq!(read.unwrap(), content(number.unwrap()), "{note}");
            }
            let view = cluster.set.view();
            if view
                .members()
                .iter()
                .all(|member| member.state() != DriveState::OutOfService)
            {
                heal_as_far_as_it_goes(&cluster).await;
                // What could not be removed is left to the next start, and is nobody's.
                assert!(
                    cluster.files().is_superset(&cluster.catalogued_files()),
                    "{note}"
                );
                check_nothing_owed(&cluster, &note);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_damage_of_a_source_while_heal_reads_it_is_noticed_and_healed() {
    let mut noticed = 0;
    for steps in 0..12 {
        let cluster = Cluster::new(4, code(2, 2)).await;
        stage::put(&cluster.store, blob(60), &content(60)).await;
        cluster.store.blobs().reclaimed().await.unwrap();
        let before = files(&cluster);
        let placement = cluster.keeping(blob(60)).placement;
        let on =
            |shard| &cluster.drives[usize::from(placement.drive(ShardIndex(shard)).unwrap().0)];
        let path = DrivePath::blob(blob(60));
        assert!(on(0).remove(&path).unwrap());
        scrub(&cluster).await;
        let clock = clock();
        let mut healer = healer(&cluster, &clock, HealOptions::default());
        for _ in 0..steps {
            step(&mut healer, &clock).await;
        }
        let end = 64 + stage::manifest(blob(60)).len();
        let len = on(1).contents(&path).unwrap().len();
        assert!(on(1).rot(&path, len - end - 20, 8));
        healer.run().await.unwrap();
        cluster.store.blobs().reclaimed().await.unwrap();
        let bytes = on(0).contents(&path).unwrap();
        assert_eq!(
            bytes,
            before[&(
                usize::from(placement.drive(ShardIndex(0)).unwrap().0),
                path.clone()
            )]
        );
        if files(&cluster) == before {
            noticed += 1;
        } else {
            // It was read before it was damaged: that is for the next pass.
            assert_eq!(scrub(&cluster).await.totals.damaged_shards, 1);
        }
    }
    assert!(noticed > 3, "{noticed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_the_rate_is_obeyed() {
    let cluster = Cluster::new(3, code(2, 1)).await;
    for number in 0..20 {
        stage::put(&cluster.store, blob(number), &stage::bytes(1, 200 * UNIT)).await;
    }
    cluster.store.blobs().reclaimed().await.unwrap();
    let stop = DriveNo(1);
    for path in cluster.drives[1].files() {
        if matches!(path.folder(), Folder::Blobs(_)) {
            cluster.drives[usize::from(stop.0)].remove(&path).unwrap();
        }
    }
    scrub(&cluster).await;
    let clock = clock();
    let options = HealOptions {
        bytes_per_s_max: 100_000,
        ..HealOptions::default()
    };
    let mut healer = healer(&cluster, &clock, options);
    let (mut bytes, begun) = (0, clock.running_ms());
    let mut longest = 0;
    loop {
        match healer.step().await.unwrap() {
            Stepped::Worked { bytes: more } => {
                bytes += more;
                longest = longest.max(more);
                let allowed = 100 * (clock.running_ms() - begun + 100) + longest;
                assert!(bytes <= allowed, "{bytes} of {allowed}");
            }
            Stepped::Wait { ms } if ms >= 60_000 => break,
            Stepped::Wait { ms } => clock.advance_ms(ms),
        }
    }
    // 20 shards of 7 KiB, each from two others, read back once.
    assert!(bytes > 20 * 7_000 * 3, "{bytes}");
    assert!(healer.status().last_took_ms.unwrap() > 4_000);
    assert_eq!(scrub(&cluster).await.totals.damaged_shards, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_redundant_blob_is_healed_first() {
    let cluster = Cluster::new(6, code(3, 3)).await;
    for number in 0..12 {
        stage::put(&cluster.store, blob(number), &content(20)).await;
    }
    cluster.store.blobs().reclaimed().await.unwrap();
    let mut lost = BTreeMap::new();
    for number in 0..12 {
        let keeping = cluster.keeping(blob(number));
        let count = 1 + number % 3;
        lost.insert(blob(number), count);
        for (_, drive) in keeping.placement.each().take(usize::from(count)) {
            let path = DrivePath::blob(blob(number));
            cluster.drives[usize::from(drive.0)].remove(&path).unwrap();
        }
    }
    scrub(&cluster).await;
    let clock = clock();
    let mut healer = healer(&cluster, &clock, HealOptions::default());
    let mut order = Vec::new();
    while order.len() < 12 {
        assert!(step(&mut healer, &clock).await.is_some(), "{order:?}");
        let left = cluster.store.damaged_blobs(None, 100).unwrap();
        let left: BTreeSet<_> = left.into_iter().map(|of| of.blob).collect();
        let done: Vec<_> = lost
            .keys()
            .filter(|of| !left.contains(of))
            .copied()
            .collect();
        for of in done {
            if !order.contains(&of) {
                order.push(of);
            }
        }
    }
    let counts: Vec<_> = order.iter().map(|of| lost[of]).collect();
    assert_eq!(counts, [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_goes_while_it_is_healed_leaves_nothing() {
    for steps in 0..8 {
        let cluster = Cluster::new(3, code(2, 1)).await;
        stage::put(&cluster.store, blob(40), &content(40)).await;
        cluster.store.blobs().reclaimed().await.unwrap();
        let drive = cluster
            .keeping(blob(40))
            .placement
            .drive(ShardIndex(1))
            .unwrap();
        let path = DrivePath::blob(blob(40));
        cluster.drives[usize::from(drive.0)].remove(&path).unwrap();
        scrub(&cluster).await;
        let clock = clock();
        let mut healer = healer(&cluster, &clock, HealOptions::default());
        for _ in 0..steps {
            step(&mut healer, &clock).await;
        }
        stage::commit(&cluster.store, Write::ReleaseBlob(blob(40))).await;
        healer.run().await.unwrap();
        drop(healer);
        cluster.store.blobs().reclaimed().await.unwrap();
        assert!(
            cluster.store.damaged_blobs(None, 10).unwrap().is_empty(),
            "{steps}"
        );
        assert!(cluster.files().is_empty(), "{steps}: {:?}", cluster.files());
    }
}

/// Somebody wrote a shard with checksums that hold. Without the keys nobody can say which shard is
/// right, and a majority proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn shards_that_contradict_each_other_are_told_and_not_touched() {
    let cluster = Cluster::new(3, code(1, 2)).await;
    stage::put(&cluster.store, blob(5), &content(5)).await;
    cluster.store.blobs().reclaimed().await.unwrap();
    let drive = cluster
        .keeping(blob(5))
        .placement
        .drive(ShardIndex(2))
        .unwrap();
    let drive = &cluster.drives[usize::from(drive.0)];
    let path = DrivePath::blob(blob(5));
    let mut forged = drive.contents(&path).unwrap();
    forged[64 + 3] ^= 1;
    let unit = forged[64..64 + UNIT].to_vec();
    let place: Vec<u8> = blob(5).0.into_iter().chain([2]).collect();
    let base = twox_hash::XxHash3_64::oneshot_with_seed(0x5352_554E_4900_0001, &place);
    let sum = twox_hash::XxHash3_64::oneshot_with_seed(base, &unit);
    forged[64 + UNIT..64 + UNIT + 8].copy_from_slice(&sum.to_le_bytes());
    drive.plant(&path, &forged);
    assert_eq!(scrub(&cluster).await.totals.damaged_shards, 1);
    let found = cluster.store.damaged_blobs(None, 10).unwrap();
    assert!(found[0].is_doubtful && found[0].shards.is_empty());
    let before = files(&cluster);
    let healer = heal(&cluster).await;
    assert_eq!(healer.status().unhealed[0].obstacle, Obstacle::Doubtful);
    assert_eq!(files(&cluster), before);
    // The operator knows by the keys which it is, and takes it away.
    drive.remove(&path).unwrap();
    scrub(&cluster).await;
    heal(&cluster).await;
    check(&cluster, "put right").await;
}

/// Every other shard of the blob waited for the full drive, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_drive_holds_up_no_other_shard() {
    for has_another in [false, true] {
        let mut cluster = Cluster::new(4, code(2, 2)).await;
        stage::put(&cluster.store, blob(9), &content(9)).await;
        cluster.store.blobs().reclaimed().await.unwrap();
        let path = DrivePath::blob(blob(9));
        for number in [0, 1] {
            assert!(cluster.drives[number].rot(&path, 70, 1));
        }
        assert_eq!(scrub(&cluster).await.totals.damaged_shards, 2);
        cluster.set.set_room(DriveNo(0), false);
        let another = has_another.then(|| add(&mut cluster, "f0"));
        let healer = heal(&cluster).await;
        let left = cluster.store.damaged_blobs(None, 9).unwrap();
        if let Some(another) = another {
            assert!(left.is_empty(), "{left:?}");
            let placement = cluster.keeping(blob(9)).placement;
            assert!(placement.shard_on(another).is_some());
            check(&cluster, "healed onto another drive").await;
        } else {
            assert_eq!(healer.status().healed_shards, 1);
            assert_eq!(left[0].shards.len(), 1, "only that on the full drive");
            cluster.set.set_room(DriveNo(0), true);
            heal(&cluster).await;
            check(&cluster, "healed when there was room").await;
        }
    }
}

/// The walk for lost drives had passed the place of a blob that arrived behind it: nobody looked
/// again before the next pass of scrub.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_arrives_on_a_lost_drive_behind_the_walk_is_found() {
    let mut cluster = Cluster::new(4, code(2, 2)).await;
    fill(&cluster, 3).await;
    cluster.set.set_drive(DriveNo(3), None);
    cluster.set.set_standing(DriveNo(3), Standing::Lost);
    add(&mut cluster, "f1");
    let clock = clock();
    let mut healer = healer(&cluster, &clock, HealOptions::default());
    while step(&mut healer, &clock).await.is_some() {}
    let keeping = cluster.keeping(blob(2));
    let shard = keeping.placement.shard_on(DriveNo(4)).unwrap();
    let back = keeping.placement.moved(shard, DriveNo(3)).unwrap();
    let write = Write::MoveShards {
        blob: blob(2),
        expected: (keeping.placement, keeping.owed),
        to: (back, keeping.owed),
    };
    stage::commit(&cluster.store, write).await;
    cluster.store.blobs().reclaimed().await.unwrap();
    clock.advance_ms(60_000);
    while step(&mut healer, &clock).await.is_some() {}
    let keeping = cluster.keeping(blob(2));
    assert!(keeping.placement.shard_on(DriveNo(3)).is_none());
    check_nothing_owed(&cluster, "found");
}
