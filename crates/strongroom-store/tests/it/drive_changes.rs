// SPDX-License-Identifier: Apache-2.0
//! What becomes of drives while a store serves, where that used to go wrong. On directories.

use std::fs;
use std::sync::Arc;

use strongroom_store::drive::{DriveNo, DriveState, HealthEvent};
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::layout::BlobPolicy;
use strongroom_store::{BlobId, Error, Write};

use crate::drive_members::{SIX, Yard, protection, states};
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
    yard.open(&[]).await.unwrap().close().await.unwrap();
    let before = ["a1", "witness"].map(|name| fs::read(file(name)).unwrap());
    let store = yard.open(&[]).await.unwrap();
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
