// SPDX-License-Identifier: Apache-2.0
//! Drives that are lost for good, given up where those that are left are no majority. The three
//! drives of these stores stand in three facilities, and each has a copy of the tables.

use std::fs;
use std::time::{Duration, Instant};

use strongroom_store::drive::{DriveNo, DriveState, LocalDrive};
use strongroom_store::{Error, GiveUp, LostDrive, Store, TableId, TablesLeft, Wish, Write};

use crate::drive_members::{Yard, protection, states};
use crate::stage;

const THREE: [&str; 3] = ["a:a1", "b:b1", "c:c1"];
const TABLE: TableId = TableId(20);

fn row(key: &str) -> Write {
    Write::Put {
        table: TABLE,
        key: key.as_bytes().to_vec(),
        value: b"value".to_vec(),
    }
}

async fn made() -> Yard {
    let yard = Yard::made(&THREE).await;
    let store = yard.open(&[]).await.unwrap();
    stage::commit(&store, row("acknowledged")).await;
    store.close().await.unwrap();
    yard
}

fn has(store: &Store, key: &str) -> bool {
    store.tables().get(TABLE, key.as_bytes()).unwrap().is_some()
}

/// Threads of the store before may still hold its drives.
async fn let_go(yard: &Yard) {
    let start = Instant::now();
    let names = ["a1", "b1", "c1", "d1"].map(|name| yard.path(name));
    for path in names.iter().filter(|path| path.exists()) {
        while LocalDrive::open(path).is_err() {
            assert!(start.elapsed() < Duration::from_mins(2));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn plan(
    yard: &Yard,
    named: &[&str],
    lost: &[u16],
    tables_of: Option<u16>,
) -> Result<GiveUp, Error> {
    let_go(yard).await;
    let lost: Vec<_> = lost.iter().copied().map(DriveNo).collect();
    let drives = yard.drives(named, Wish::AsBefore).unwrap();
    let tables_of = tables_of.map(DriveNo);
    GiveUp::plan(drives, yard.sealer(), stage::layout(), &lost, tables_of)
}

async fn refused(yard: &Yard, lost: &[u16], tables_of: Option<u16>) -> String {
    let refused = plan(yard, &[], lost, tables_of).await;
    refused.unwrap_err().to_string()
}

fn members(yard: &Yard) -> Vec<Vec<u8>> {
    let places = ["a1", "b1", "c1", "witness"].map(|name| yard.path(name).join("members"));
    places
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect()
}

/// With two of three drives gone for good no command went on, though all was on the third.
#[tokio::test]
async fn dur_d15_what_is_left_goes_on_when_an_operator_says_so() {
    let yard = made().await;
    for name in ["b1", "c1"] {
        yard.rename(name, &format!("{name}-lost"));
    }
    let text = yard.refused(&[]).await;
    assert!(text.contains("strongroom drive give-up 1 2"), "{text}");
    let before = members(&yard);
    let planned = plan(&yard, &[], &[1, 2], None).await.unwrap();
    let place = yard.path("a1").display().to_string();
    assert_eq!(*planned.tables(), TablesLeft::Whole(DriveNo(0), place));
    let numbers: Vec<_> = planned
        .lost()
        .iter()
        .map(|of: &LostDrive| of.number)
        .collect();
    assert_eq!(numbers, [DriveNo(1), DriveNo(2)]);
    assert!(planned.is_remembered());
    drop(planned);
    assert_eq!(members(&yard), before, "a plan changes nothing");
    let planned = plan(&yard, &[], &[1, 2], None).await.unwrap();
    planned.carry_out().unwrap();
    let store = yard.open(&[]).await.unwrap();
    assert!(has(&store, "acknowledged"));
    assert_eq!(
        states(&store),
        [DriveState::Online, DriveState::Lost, DriveState::Lost]
    );
    assert!(
        store.is_restored().unwrap(),
        "what no row stands for is kept"
    );
    stage::commit(&store, row("later")).await;
    store.close().await.unwrap();
    drop(store);
    // All of them back, and the data directory gone: the drives that were given up are the majority
    // of what they know, and are not believed.
    for name in ["b1", "c1"] {
        yard.rename(&format!("{name}-lost"), name);
    }
    let_go(&yard).await;
    fs::remove_dir_all(yard.path("witness")).unwrap();
    for named in [&["b:b1"][..], &["b:b1", "c:c1"], &THREE] {
        let text = yard.refused(named).await;
        assert!(text.contains("was given up"), "{text}");
    }
    let store = yard.open(&["a:a1"]).await.unwrap();
    assert!(has(&store, "later"));
    store.close().await.unwrap();
    drop(store);
    let text = refused(&yard, &[1], None).await;
    assert!(text.contains("given up already"), "{text}");
}

#[tokio::test]
async fn drives_that_are_there_or_not_in_the_way_are_not_given_up() {
    let yard = made().await;
    let text = refused(&yard, &[1], None).await;
    assert!(text.contains("drive 1 is there"), "{text}");
    yard.rename("b1", "lost");
    let text = refused(&yard, &[1], None).await;
    assert!(text.contains("strongroom drive replace"), "{text}");
    yard.rename("c1", "lost-too");
    for (lost, said) in [
        (&[][..], "no drive was named"),
        (&[7], "there is no drive 7"),
        (&[0, 1, 2], "drive 0 is there"),
    ] {
        let text = refused(&yard, lost, None).await;
        assert!(text.contains(said), "{text}");
    }
    // One that is open elsewhere is there, whoever has it.
    yard.rename("lost", "b1");
    let held = LocalDrive::open(&yard.path("b1")).unwrap();
    let drives = yard.drives(&[], Wish::AsBefore).unwrap();
    let lost = [DriveNo(1), DriveNo(2)];
    let text = GiveUp::plan(drives, yard.sealer(), stage::layout(), &lost, None);
    let text = text.unwrap_err().to_string();
    assert!(text.contains("another process has open"), "{text}");
    drop(held);
    let store = yard.open(&[]).await.unwrap();
    assert!(has(&store, "acknowledged"));
}

/// The lost drives served for long without the one that is left: their members had gone further.
#[tokio::test]
async fn dur_d9_nothing_that_was_decided_without_those_that_are_left_comes_back() {
    let yard = made().await;
    yard.rename("a1", "away");
    for _ in 0..3 {
        let store = yard.open(&[]).await.unwrap();
        stage::commit(&store, row("not on the first drive")).await;
        store.close().await.unwrap();
    }
    let_go(&yard).await;
    // And the data directory is lost with them.
    fs::remove_dir_all(yard.path("witness")).unwrap();
    for (from, to) in [("away", "a1"), ("b1", "b1-lost"), ("c1", "c1-lost")] {
        yard.rename(from, to);
    }
    // By what is known, either of them may know more.
    let one = plan(&yard, &["a:a1"], &[1], None).await.unwrap_err();
    assert!(one.to_string().contains("does not remember"), "{one}");
    let planned = plan(&yard, &["a:a1"], &[1, 2], None).await.unwrap();
    assert!(!planned.is_remembered(), "which is told");
    planned.carry_out().unwrap();
    let store = yard.open(&[]).await.unwrap();
    assert!(has(&store, "acknowledged") && !has(&store, "not on the first drive"));
    stage::commit(&store, row("later")).await;
    store.close().await.unwrap();
    drop(store);
    for name in ["b1", "c1"] {
        yard.rename(&format!("{name}-lost"), name);
    }
    let store = yard.open(&[]).await.unwrap();
    assert!(has(&store, "later") && !has(&store, "not on the first drive"));
    store.close().await.unwrap();
    drop(store);
    let_go(&yard).await;

    // Where nobody is there who knows that they were given up, they serve what they have; but they make
    // nothing like it of a drive that knows better.
    fs::remove_dir_all(yard.path("witness")).unwrap();
    yard.rename("a1", "away");
    let store = yard.open(&["b:b1"]).await.unwrap();
    assert!(has(&store, "not on the first drive"));
    let newer = fs::read(yard.path("away/members")).unwrap();
    yard.rename("away", "a1");
    store.look_for_drives().await.unwrap();
    store.catch_up_copies().await.unwrap();
    assert_eq!(states(&store)[0], DriveState::Missing);
    let note = protection(&store).await.drives[0].note.clone().unwrap();
    assert!(note.contains("newer tables"), "{note}");
    let added = store.add_drive(yard.given(&["a:a1"]).pop().unwrap()).await;
    assert!(added.unwrap_err().to_string().contains("newer tables"));
    assert_eq!(fs::read(yard.path("a1/members")).unwrap(), newer);
}

/// It is one change, wherever it was cut short.
#[tokio::test]
async fn dur_d1_giving_up_is_cut_short() {
    for kept in ["witness", "a1"] {
        let yard = made().await;
        for name in ["b1", "c1"] {
            fs::remove_dir_all(yard.path(name)).unwrap();
        }
        let other = if kept == "a1" { "witness" } else { "a1" };
        let file = yard.path(other).join("members");
        let before = fs::read(&file).unwrap();
        let planned = plan(&yard, &[], &[1, 2], None).await.unwrap();
        planned.carry_out().unwrap();
        fs::write(&file, before).unwrap();
        let store = yard.open(&[]).await.unwrap();
        assert!(has(&store, "acknowledged"), "{kept}");
        assert_eq!(states(&store)[1], DriveState::Lost);
    }
}

#[tokio::test]
async fn dur_d15_a_copy_that_missed_changes_is_taken_only_by_name() {
    let yard = made().await;
    yard.rename("a1", "away");
    let store = yard.open(&[]).await.unwrap();
    stage::commit(&store, row("later")).await;
    store.close().await.unwrap();
    drop(store);
    for (from, to) in [("away", "a1"), ("b1", "b1-lost"), ("c1", "c1-lost")] {
        yard.rename(from, to);
    }
    let text = refused(&yard, &[1], Some(0)).await;
    assert!(text.contains("may still be on: drive 2"), "{text}");
    let text = refused(&yard, &[1, 2], None).await;
    assert!(text.contains("`--tables-of 0`"), "{text}");
    let text = refused(&yard, &[1, 2], Some(1)).await;
    assert!(text.contains("no copy of the tables"), "{text}");
    // One whose index was begun anew is half of a copy.
    yard.rename("a1/index", "index");
    let text = refused(&yard, &[1, 2], Some(0)).await;
    assert!(
        text.contains("cannot be used") || text.contains("missing"),
        "{text}"
    );
    fs::remove_dir_all(yard.path("a1/index")).unwrap();
    yard.rename("index", "a1/index");
    let planned = plan(&yard, &[], &[1, 2], Some(0)).await.unwrap();
    let place = yard.path("a1").display().to_string();
    assert_eq!(*planned.tables(), TablesLeft::Behind(DriveNo(0), place));
    planned.carry_out().unwrap();
    let store = yard.open(&[]).await.unwrap();
    assert!(has(&store, "acknowledged") && !has(&store, "later"));
    assert!(store.is_restored().unwrap());
}

/// One was replaced, and another lost before the new copy was whole: no drive was named.
#[tokio::test]
async fn dur_d8_a_refused_start_names_the_copies_that_are_needed() {
    let yard = made().await;
    yard.rename("b1", "lost");
    let store = yard.open(&[]).await.unwrap();
    let given = yard.given(&["b:d1"]).pop().unwrap();
    store.replace_drive(given, None).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    yard.rename("c1", "lost-too");
    let text = yard.refused(&[]).await;
    assert!(text.contains("drive 2 of facility c"), "{text}");
    assert!(text.contains("strongroom drive give-up 2"), "{text}");
    let planned = plan(&yard, &[], &[2], None).await.unwrap();
    planned.carry_out().unwrap();
    let store = yard.open(&[]).await.unwrap();
    assert!(has(&store, "acknowledged"));
    store.catch_up_copies().await.unwrap();
    assert_eq!(protection(&store).await.drives[3].copy_is_live, Some(true));
}
