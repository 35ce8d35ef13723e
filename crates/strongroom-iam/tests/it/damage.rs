// SPDX-License-Identifier: Apache-2.0
//! Drives that fail and rows that are not what was written.

use std::sync::Arc;

use strongroom_iam::{Error, Iam, IamOptions};
use strongroom_store::drive::Folder;
use strongroom_store::{Batch, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive};

use crate::world::{ACCOUNT, Client, NOW_MS, REGION, World, is_unknown, root};

/// A world whose audit log is on another drive than its tables, and the tables' drive.
async fn world(seed: u64) -> (World, SimDrive) {
    let drive = SimDrive::new(seed);
    let for_audit = Arc::new(SimDrive::new(seed));
    (
        World::open_on(Arc::new(drive.clone()), for_audit).await,
        drive,
    )
}

/// Operation `at` of the next ones on the tables' log fails.
fn fail_log(drive: &SimDrive, at: u64) {
    let plan = FaultPlan::new([Fault::FailAt(at)]).within(|folder| folder == Folder::Log);
    drive.set_plan(plan);
}

#[tokio::test]
async fn sec_a_removal_that_fails_restores_or_keeps_out() {
    let mut failures = 0;
    for at in 0..8 {
        let (world, drive) = world(at).await;
        let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
        let client = Client::new(&made.access_key_id, made.secret.expose_secret());
        client.call(&world.iam).unwrap();
        fail_log(&drive, at);
        match world.iam.remove_user(world.receipt(), "ann").await {
            // Nothing was committed: the user is as before.
            Err(Error::Store(_)) => {
                assert_eq!(client.call(&world.iam).unwrap().caller.arn(), made.user.arn);
                failures += 1;
            }
            // Committed, or nobody knows: the user is out.
            Err(Error::OutcomeUnknown) => {
                assert!(is_unknown(&client.call(&world.iam)));
                failures += 1;
            }
            Ok(_) => assert!(is_unknown(&client.call(&world.iam))),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(failures > 0);
}

#[tokio::test]
async fn sec_an_addition_that_fails_lets_nobody_in() {
    let mut failures = 0;
    for at in 0..8 {
        let (world, drive) = world(at).await;
        fail_log(&drive, at);
        let outcome = world.iam.add_user(world.receipt(), "ann").await;
        let users = world.iam.list_users(world.receipt()).await.unwrap();
        assert_eq!(users.len(), usize::from(outcome.is_ok()));
        failures += usize::from(outcome.is_err());
        Client::root().call(&world.iam).unwrap();
    }
    assert!(failures > 0);
}

#[tokio::test]
async fn sec_a_change_that_cannot_be_recorded_is_not_answered() {
    let for_audit = SimDrive::new(9);
    let drive = Arc::new(SimDrive::new(9));
    let world = World::open_on(drive, Arc::new(for_audit.clone())).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let faults = (0..64).map(Fault::FailAt);
    for_audit.set_plan(FaultPlan::new(faults).within(|folder| folder == Folder::Audit));
    let added = world.iam.add_user(world.receipt(), "bob").await;
    assert!(matches!(added, Err(Error::Audit(_))), "{added:?}");
    // A refusal that cannot be recorded is not answered as one either.
    let refused = world.iam.add_user(world.receipt(), "ann").await;
    assert!(matches!(refused, Err(Error::Audit(_))), "{refused:?}");
    let listed = world.iam.list_users(world.receipt()).await;
    assert!(matches!(listed, Err(Error::Audit(_))), "{listed:?}");
    // The removal acts, whether or not it can be answered.
    let removed = world.iam.remove_user(world.receipt(), "ann").await;
    assert!(matches!(removed, Err(Error::Audit(_))), "{removed:?}");
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    assert!(is_unknown(&client.call(&world.iam)));
}

async fn open_with_row(table: TableId, key: &[u8], value: &[u8]) -> Result<Iam, Error> {
    let (world, _) = world(3).await;
    world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let write = Write::Put {
        table,
        key: key.to_vec(),
        value: value.to_vec(),
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    world.store.tables().commit(batch).await.unwrap();
    let clock = Arc::new(SimClock::new(NOW_MS));
    Iam::open(
        &world.store,
        clock,
        IamOptions::new(ACCOUNT, REGION),
        root(),
    )
    .await
}

/// `["NAME", "ID", 1]` in CBOR.
fn user_row(name: &str, id: &str) -> Vec<u8> {
    let text = |s: &str| [&[0x60 + u8::try_from(s.len()).unwrap()], s.as_bytes()].concat();
    [vec![0x83], text(name), text(id), vec![1]].concat()
}

/// `["USER", "ID", "SECRET", 1]` in CBOR.
fn key_row(user: &str, id: &str, secret: &str) -> Vec<u8> {
    let text = |s: &str| [&[0x60 + u8::try_from(s.len()).unwrap()], s.as_bytes()].concat();
    [vec![0x84], text(user), text(id), text(secret), vec![1]].concat()
}

#[tokio::test]
async fn sec_damaged_rows_stop_the_start() {
    let (users, keys) = (TableId(10), TableId(11));
    open_with_row(users, b"bob", &user_row("Bob", "AIDABOB"))
        .await
        .unwrap();
    let whole = user_row("bob", "AIDABOB");
    for (table, row_key, value) in [
        (users, b"bob".as_slice(), user_row("eve", "AIDABOB")),
        (users, b"bob", user_row("b b", "AIDABOB")),
        (users, b"bob", user_row("bob", "ROOT")),
        (users, b"\xff", user_row("bob", "AIDABOB")),
        (users, b"bob", whole[..whole.len() - 1].to_vec()),
        (users, b"bob", [whole.as_slice(), b"\0"].concat()),
        (users, b"bob", Vec::new()),
        // Keys of nobody, of the holder of a name before, and with root's id.
        (keys, b"AKIA1", key_row("eve", "AIDAEVE", "secret")),
        (keys, b"AKIA1", key_row("ann", "AIDAANOTHERANN", "secret")),
        (keys, b"AKIA1", key_row("ann", "AIDA", "")),
        (keys, b"\xff", key_row("ann", "AIDA", "secret")),
        (keys, b"AKIA1", b"garbage".to_vec()),
    ] {
        let outcome = open_with_row(table, row_key, &value).await;
        assert!(
            matches!(outcome, Err(Error::Corrupted { .. })),
            "{row_key:?} {value:?}"
        );
    }
}
