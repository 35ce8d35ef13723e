// SPDX-License-Identifier: Apache-2.0
//! What stories of clusters found (ADR 0041), each told again on directories or simulated drives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveState, Folder};
use strongroom_store::{Batch, BlobId, CommitError, Store, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimRng};

use crate::drive_members::{Yard, protection, states};
use crate::mirror_rig::{Power, World, no};
use crate::stage;
use crate::table_rig::{T, commit, put, writes};

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
