// SPDX-License-Identifier: Apache-2.0
//! What becomes of drives while a store serves, where that used to go wrong. On directories.

use std::fs;
use std::sync::Arc;

use strongroom_store::drive::{DriveNo, DrivePath, DriveState, HealthEvent};
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::layout::BlobPolicy;
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_store::{BlobId, Error, Write};

use crate::drive_members::{SIX, Yard, protection, states, write_row, written};
use crate::stage;

/// A drive failed a flush, was taken away and put back: the look that finds drives again opened it
/// anew, and what the kernel had dropped counted as written.
#[tokio::test]
async fn dur_d4_a_drive_that_failed_a_flush_is_not_taken_back_before_a_restart() {
    for fails_when_gone in [false, true] {
        let yard = Yard::made(&SIX).await;
        let store = yard.open(&[]).await.unwrap();
        store.look_for_drives().await.unwrap();
        let drive = store.drives().get(DriveNo(3)).unwrap();
        let health = drive.lasting_health().unwrap();
        drop(drive);
        if !fails_when_gone {
            health.record(HealthEvent::FlushFailed);
            store.look_for_drives().await.unwrap();
            assert_eq!(states(&store)[3], DriveState::OutOfService);
        }
        yard.rename("b2", "away");
        store.look_for_drives().await.unwrap();
        assert_eq!(states(&store)[3], DriveState::Missing);
        if fails_when_gone {
            health.record(HealthEvent::FlushFailed);
        }
        let given = yard.given(&["b:away"]).pop().unwrap();
        let refused = store.add_drive(given).await.unwrap_err().to_string();
        assert!(refused.contains("after a restart"), "{refused}");
        yard.rename("away", "b2");
        for _ in 0..2 {
            assert_eq!(store.look_for_drives().await.unwrap(), 0);
            assert_eq!(states(&store)[3], DriveState::Missing);
        }
        let note = protection(&store).await.drives[3].note.clone().unwrap();
        assert!(note.contains("after a restart"), "{note}");
        store.close().await.unwrap();
        drop(store);
        let store = yard.open(&[]).await.unwrap();
        assert_eq!(states(&store), [DriveState::Online; 6]);
    }
}

/// A third drive was added while one of two was away: the change needed the new drive's vote and
/// was not written there. The command failed, and so did every start until the other was back.
#[tokio::test]
async fn dur_d9_a_third_drive_is_added_while_one_of_two_is_away() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    yard.rename("b1", "away");
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    assert_eq!(store.add_drive(given("c:c1")).await.unwrap(), DriveNo(2));
    store.close().await.unwrap();
    drop(store);
    let store = yard.open(&[]).await.unwrap();
    let expected = [DriveState::Online, DriveState::Missing, DriveState::Online];
    assert_eq!(states(&store), expected);
    store.catch_up_copies().await.unwrap();
    yard.rename("away", "b1");
    assert_eq!(store.look_for_drives().await.unwrap(), 1);
    store.catch_up_copies().await.unwrap();
    assert!(protection(&store).await.is_full());
    store.close().await.unwrap();
    drop(store);
    // And any one of the three may be away from then on.
    yard.rename("a1", "away");
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store)[0], DriveState::Missing);
}

/// The same, killed between any two of the files that it writes.
#[tokio::test]
async fn dur_d9_an_addition_that_is_cut_short_holds_up_no_start() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    yard.rename("b1", "away");
    let file = |name: &str| yard.path(name).join("members");
    let store = yard.open(&[]).await.unwrap();
    // With what every start writes, as a kill of this one would leave them.
    let before = ["a1", "witness"].map(|name| fs::read(file(name)).unwrap());
    let given = |named| yard.given(&[named]).pop().unwrap();
    store.add_drive(given("c:c1")).await.unwrap();
    let after = ["a1", "witness"].map(|name| fs::read(file(name)).unwrap());
    let newcomers = ["superblock", "members"].map(|name| {
        let bytes = fs::read(yard.path("c1").join(name)).unwrap();
        (name, bytes)
    });
    store.close().await.unwrap();
    drop(store);
    for (written, named) in [(0, ""), (0, "c:c1"), (1, ""), (1, "c:c1"), (2, ""), (3, "")] {
        // The new drive's first, then the others in either order.
        let _ = fs::remove_dir_all(yard.path("c1"));
        fs::create_dir(yard.path("c1")).unwrap();
        for (name, bytes) in newcomers.iter().take(1 + written) {
            fs::write(yard.path("c1").join(name), bytes).unwrap();
        }
        for swapped in [false, true] {
            for (at, name) in ["a1", "witness"].into_iter().enumerate() {
                let order = if swapped { 1 - at } else { at };
                let has_it = written > 1 + order;
                let bytes = if has_it { &after[at] } else { &before[at] };
                fs::write(file(name), bytes).unwrap();
            }
            let named: &[&str] = if named.is_empty() { &[] } else { &[named] };
            let note = format!("{written} written, swapped {swapped}, named {named:?}");
            let store = match yard.open(named).await {
                Ok(store) => store,
                // An empty folder has to be added; that is said, and a start without it goes.
                Err(error) if written == 0 && !named.is_empty() => {
                    assert!(
                        error.to_string().contains("strongroom drive add"),
                        "{note}: {error}"
                    );
                    yard.open(&[]).await.unwrap()
                }
                Err(error) => panic!("{note}: {error}"),
            };
            if states(&store).len() == 2 {
                let added = store.add_drive(given("c:c1")).await;
                assert_eq!(added.expect(&note), DriveNo(2), "{note}");
            }
            let expected = [DriveState::Online, DriveState::Missing, DriveState::Online];
            assert_eq!(states(&store), expected, "{note}");
            store.close().await.unwrap();
            drop(store);
            for (name, bytes) in newcomers.iter().take(1 + written) {
                fs::write(yard.path("c1").join(name), bytes).unwrap();
            }
            if written == 0 {
                fs::remove_file(file("c1")).unwrap();
            }
        }
    }
}

/// What could not count was written all the same, to those who were there.
#[tokio::test]
async fn dur_d9_a_change_that_cannot_count_is_refused_before_anything_is_written() {
    let yard = Yard::made(&["a:a1", "b:b1", "c:c1"]).await;
    let store = yard.open(&[]).await.unwrap();
    for name in ["b1", "c1"] {
        yard.rename(name, &format!("{name}-away"));
    }
    store.look_for_drives().await.unwrap();
    let members =
        || ["a1", "witness"].map(|name| fs::read(yard.path(name).join("members")).unwrap());
    let before = members();
    let given = yard.given(&["a:a2"]).pop().unwrap();
    let refused = store.add_drive(given).await.unwrap_err();
    assert!(matches!(refused, Error::NoMajority), "{refused}");
    assert_eq!(members(), before);
    assert!(!yard.path("a2/superblock").exists());
}

/// Bodies have as many shards as there were drives when they were written: a drive that is drained
/// then is never empty. It was accepted, and status told of shards to be moved for ever.
#[tokio::test]
async fn dur_d8_a_drive_that_bodies_could_never_leave_is_not_drained() {
    let seven = ["a:a1", "a:a2", "a:a3", "a:a4", "a:a5", "a:a6", "a:a7"];
    for (named, policy, said) in [
        (
            &SIX[..],
            BlobPolicy::Standard,
            "2 bodies with 4+2 have a shard on drive 1",
        ),
        (
            &seven,
            BlobPolicy::Archive,
            "2 bodies of the archive classes, with 5+2 have",
        ),
    ] {
        let yard = Yard::made(named).await;
        let store = yard.open(&[]).await.unwrap();
        let given = |named| yard.given(&[named]).pop().unwrap();
        for number in 1..=2 {
            let bytes = stage::bytes(5, 40 * stage::UNIT);
            let (blob, layout) = (BlobId([number; 16]), stage::layout());
            let proof = stage::write_as(&store, policy, blob, layout, &bytes, 8)
                .await
                .unwrap();
            assert_eq!(proof.keeping().policy, policy);
            stage::commit(&store, Write::AdoptBlob(proof)).await;
        }
        let refused = store.drain_drive(DriveNo(1)).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
        assert_eq!(states(&store)[1], DriveState::Online);
        store.add_drive(given("a:a9")).await.unwrap();
        store.drain_drive(DriveNo(1)).await.unwrap();
        let refused = store.drain_drive(DriveNo(2)).await.unwrap_err().to_string();
        assert!(refused.contains("no drive would be left for"), "{refused}");
        let clock = Arc::new(strongroom_testkit::SimClock::new(1));
        let mut healer = Healer::new(&store, clock, HealOptions::default());
        healer.run().await.unwrap();
        assert_eq!(protection(&store).await.leaving_shards, 0);
    }
}

/// The copy of a drive that is drained was given to one that was away, since its number was lower: it
/// could not catch up there, its vote was missed, and the drain had no end.
#[tokio::test]
async fn dur_d8_a_copy_is_given_to_a_drive_that_is_there() {
    let yard = Yard::made(&["a:a1", "a:a2", "a:a3", "a:a4", "a:a5"]).await;
    let store = yard.open(&[]).await.unwrap();
    let with_copy = async || {
        let drives = protection(&store).await.drives.into_iter();
        let copies = drives.filter(|drive| drive.copy_is_live.is_some());
        copies.map(|drive| drive.number.0).collect::<Vec<_>>()
    };
    assert_eq!(with_copy().await, [0, 1, 2]);
    yard.rename("a4", "away");
    store.look_for_drives().await.unwrap();
    store.drain_drive(DriveNo(0)).await.unwrap();
    for _ in 0..3 {
        store.look_for_drives().await.unwrap();
        store.catch_up_copies().await.unwrap();
    }
    store.remove_drive(DriveNo(0)).await.unwrap();
    assert_eq!(with_copy().await, [1, 2, 4]);
    // With one more gone there still is a majority.
    yard.rename("a2", "away-too");
    store.look_for_drives().await.unwrap();
    stage::put(&store, BlobId([1; 16]), &stage::bytes(1, 100)).await;
}

/// Where no key was ever made there is no vault to empty, and to flush its folder failed as a broken drive
/// does: the sound drive went out of service with shards on it that were still to move.
#[tokio::test]
async fn dur_d8_a_drive_that_gives_up_its_copy_of_the_tables_goes_on_serving() {
    for has_vault in [false, true] {
        let yard = Yard::made(&["a:a1", "b:b1", "c:c1", "c:c2"]).await;
        let store = yard.open(&[]).await.unwrap();
        let vault = yard.path("a1").join("vault");
        assert!(!vault.exists());
        if has_vault {
            let put = store.vault().put([3; 16], [4; 16], b"sealed").await;
            put.unwrap();
            assert!(vault.exists());
        }
        store.drain_drive(DriveNo(0)).await.unwrap();
        for _ in 0..4 {
            store.look_for_drives().await.unwrap();
            store.catch_up_copies().await.unwrap();
            assert_eq!(states(&store)[0], DriveState::Draining);
        }
        assert_eq!(protection(&store).await.drives[0].copy_is_live, None);
        assert_eq!(vault.exists(), has_vault);
        assert_eq!(vault.read_dir().map_or(0, Iterator::count), 0);
        store.remove_drive(DriveNo(0)).await.unwrap();
    }
}

/// What a drive that was given up has on it is nobody's any more.
#[tokio::test]
async fn files_on_a_drive_that_was_given_up_are_not_owed() {
    let yard = Yard::made(&["a:a1", "b:b1", "c:c1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let write = Write::Put {
        table: strongroom_store::TableId(34),
        key: vec![0, 1],
        value: 7_u64.to_be_bytes().to_vec(),
    };
    stage::commit(&store, write).await;
    yard.rename("b1", "gone");
    store.look_for_drives().await.unwrap();
    let found = protection(&store).await;
    assert_eq!(found.left_behind, [(DriveNo(1), 7)]);
    let given = yard.given(&["b:b2"]).pop().unwrap();
    store.replace_drive(given, None).await.unwrap();
    assert_eq!(protection(&store).await.left_behind, []);
    let clock = Arc::new(strongroom_testkit::SimClock::new(1));
    let mut healer = Healer::new(&store, clock, HealOptions::default());
    healer.run().await.unwrap();
    let row = store.tables().get(strongroom_store::TableId(34), &[0, 1]);
    assert!(row.unwrap().is_none());
}

/// A shard that is known to be damaged is no reason to give up the other one.
#[tokio::test]
async fn dur_d8_a_drive_is_not_given_up_for_shards_that_are_damaged() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    let blob = BlobId([1; 16]);
    let proof = written(&store, blob).await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    let path = yard.path("b1").join(DrivePath::blob(blob).to_string());
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let clock = Arc::new(strongroom_testkit::SimClock::new(1_700_000_000_000));
    let scrubber = Scrubber::new(&store, clock, ScrubOptions::default());
    scrubber.unwrap().run_pass().await.unwrap();
    assert_eq!(store.damaged_blobs(None, 2).unwrap().len(), 1);
    yard.rename("a1", "gone");
    store.look_for_drives().await.unwrap();
    let text = store.replace_drive(given("a:a2"), None).await;
    let text = text.unwrap_err().to_string();
    assert!(
        text.contains("1 bodies cannot be read without drive 0"),
        "{text}"
    );
    assert_eq!(states(&store)[0], DriveState::Missing);
}

/// A drive was gone for a moment and back before anybody had looked. Its copy of the tables went on
/// in the folder that it had open, which was not in its place any more, and counted: with the other
/// drive lost, commits that had been answered were lost.
#[tokio::test]
async fn dur_d9_a_copy_whose_drive_was_gone_for_a_moment_is_brought_level() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    let store = yard.open(&[]).await.unwrap();
    write_row(&store, b"before").await.unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([yard.path("b1"), yard.path("again")])
        .status();
    assert!(copied.unwrap().success());
    yard.rename("b1", "away");
    yard.rename("again", "b1");
    assert_eq!(store.look_for_drives().await.unwrap(), 1);
    write_row(&store, b"meanwhile").await.unwrap();
    assert_eq!(store.catch_up_copies().await.unwrap(), 1);
    write_row(&store, b"after").await.unwrap();
    store.close().await.unwrap();
    drop(store);
    yard.rename("a1", "lost");
    let store = yard.open(&[]).await.unwrap();
    for key in [&b"before"[..], b"meanwhile", b"after"] {
        let row = store.tables().get(strongroom_store::TableId(20), key);
        assert!(row.unwrap().is_some());
    }
}

/// A drive was to be added, and only one of three drives could remember that; its identity was taken
/// from it again. The next start met that one drive's memory first: the new drive was a member, and
/// missing for good.
#[tokio::test]
async fn a_drive_that_few_remember_is_there_if_they_turn_out_to_be_right() {
    let yard = Yard::made(&["a:a1", "b:b1", "c:c1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let hindered = ["b1/members.new", "c1/members.new", "witness/members.new"];
    for name in hindered {
        fs::create_dir(yard.path(name)).unwrap();
    }
    let more = yard.given(&["a:a2"]).pop().unwrap();
    store.add_drive(more).await.unwrap_err();
    drop(store);
    for name in hindered {
        fs::remove_dir(yard.path(name)).unwrap();
    }
    let store = yard.open(&[]).await.unwrap();
    if states(&store).len() == 3 {
        let more = yard.given(&["a:a2"]).pop().unwrap();
        store.add_drive(more).await.unwrap();
    }
    assert_eq!(states(&store), [DriveState::Online; 4]);
}

/// A lost drive is looked at again and again until nothing names it: an upload that had begun before
/// may still adopt what it wrote there, and the first body that is healed is not the last.
#[tokio::test]
async fn dur_d12_a_lost_drive_is_forgotten_when_the_last_body_is_elsewhere() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let bodies = [2, 5, 9].map(|number| BlobId([number; 16]));
    for blob in bodies {
        let proof = written(&store, blob).await;
        stage::commit(&store, Write::AdoptBlob(proof)).await;
    }
    let late = BlobId([1; 16]);
    let proof = written(&store, late).await;
    assert_eq!(proof.keeping().placement.shards(), 2);
    yard.rename("b1", "gone");
    store.look_for_drives().await.unwrap();
    let given = yard.given(&["b:b2"]).pop().unwrap();
    store.replace_drive(given, None).await.unwrap();
    let stays_lost = async || {
        for _ in 0..2 {
            store.look_for_drives().await.unwrap();
            assert_eq!(states(&store)[1], DriveState::Lost);
        }
    };
    stays_lost().await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    for blob in [late].iter().chain(&bodies) {
        stays_lost().await;
        // In the order of the catalogue, as if each were healed and the next not yet.
        stage::commit(&store, Write::ReleaseBlob(*blob)).await;
    }
    store.look_for_drives().await.unwrap();
    assert_eq!(states(&store)[1], DriveState::Removed);
    // And with bodies that are healed.
    store.catch_up_copies().await.unwrap();
    let proof = written(&store, late).await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    yard.rename("a1", "gone-too");
    store.look_for_drives().await.unwrap();
    let given = yard.given(&["a:a2"]).pop().unwrap();
    store.replace_drive(given, None).await.unwrap();
    store.look_for_drives().await.unwrap();
    assert_eq!(states(&store)[0], DriveState::Lost);
    let clock = Arc::new(strongroom_testkit::SimClock::new(1));
    let mut healer = Healer::new(&store, clock, HealOptions::default());
    healer.run().await.unwrap();
    store.look_for_drives().await.unwrap();
    assert_eq!(states(&store)[0], DriveState::Removed);
}
