// SPDX-License-Identifier: Apache-2.0
//! Adding, listing and removing users and their access keys.

use strongroom_iam::{Error, Iam, IamOptions};
use strongroom_testkit::SimClock;
use strongroom_wire::sigv4::SigV4Error;

use crate::world::{ACCOUNT, Client, NOW_MS, REGION, ROOT_ID, World, is_unknown, root};

#[tokio::test]
async fn users_are_listed_by_name_with_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    assert!(
        world
            .iam
            .list_users(world.receipt())
            .await
            .unwrap()
            .is_empty()
    );
    let bob = world.iam.add_user(world.receipt(), "bob").await.unwrap();
    let ann = world.iam.add_user(world.receipt(), "Ann").await.unwrap();
    let users = world.iam.list_users(world.receipt()).await.unwrap();
    assert_eq!(users, [ann.user.clone(), bob.user]);
    assert_eq!(ann.user.name, "Ann");
    assert_eq!(ann.user.arn, format!("arn:aws:iam::{ACCOUNT}:user/Ann"));
    assert_eq!(ann.user.created_ms, NOW_MS);
    assert_eq!(ann.user.principal_id.len(), 21);
    assert!(ann.user.principal_id.starts_with("AIDA"));
    assert_eq!(ann.user.access_keys.len(), 1);
    assert_eq!(ann.user.access_keys[0].access_key_id, ann.access_key_id);
    assert_eq!(ann.access_key_id.len(), 20);
    assert!(ann.access_key_id.starts_with("AKIA"));
    assert_eq!(ann.secret.expose_secret().len(), 40);
}

#[tokio::test]
async fn users_are_there_after_a_restart_and_removed_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let ann = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let bob = world.iam.add_user(world.receipt(), "bob").await.unwrap();
    let second = world
        .iam
        .add_access_key(world.receipt(), "ann")
        .await
        .unwrap();
    world.iam.remove_user(world.receipt(), "bob").await.unwrap();
    let before = world.iam.list_users(world.receipt()).await.unwrap();
    world.close().await;
    let world = World::open(dir.path()).await;
    assert_eq!(world.iam.list_users(world.receipt()).await.unwrap(), before);
    Client::new(&ann.access_key_id, ann.secret.expose_secret())
        .call(&world.iam)
        .unwrap();
    Client::new(&second.access_key_id, second.secret.expose_secret())
        .call(&world.iam)
        .unwrap();
    let gone = Client::new(&bob.access_key_id, bob.secret.expose_secret()).call(&world.iam);
    assert!(is_unknown(&gone));
}

#[tokio::test]
async fn sec_a_removed_user_is_nobody_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    // The signing key is in the cache now.
    client.call(&world.iam).unwrap();
    let removed = world.iam.remove_user(world.receipt(), "ANN").await.unwrap();
    assert_eq!(removed, made.user);
    assert!(is_unknown(&client.call(&world.iam)));
    // A clone of the service is the same service.
    assert!(is_unknown(&client.call(&world.iam.clone())));
    let again = world.iam.remove_user(world.receipt(), "ann").await;
    assert!(matches!(again, Err(Error::NoSuchUser { .. })));
}

#[tokio::test]
async fn sec_a_name_used_again_is_another_user() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let first = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    world.iam.remove_user(world.receipt(), "ann").await.unwrap();
    let second = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    assert_ne!(first.user.principal_id, second.user.principal_id);
    assert_ne!(first.access_key_id, second.access_key_id);
    assert_ne!(first.secret.expose_secret(), second.secret.expose_secret());
    let old = Client::new(&first.access_key_id, first.secret.expose_secret()).call(&world.iam);
    assert!(is_unknown(&old));
    // The old id with the new secret is nobody either.
    let mixed = Client::new(&first.access_key_id, second.secret.expose_secret()).call(&world.iam);
    assert!(is_unknown(&mixed));
}

#[tokio::test]
async fn sec_user_names() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let long = "a".repeat(64);
    for name in ["a", "A_b+c=d,e.f@g-h", "0", long.as_str()] {
        world.iam.add_user(world.receipt(), name).await.unwrap();
        // Names differ in more than case.
        let swapped: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_uppercase() {
                    c.to_ascii_lowercase()
                } else {
                    c.to_ascii_uppercase()
                }
            })
            .collect();
        let taken = world.iam.add_user(world.receipt(), &swapped).await;
        assert!(matches!(taken, Err(Error::UserExists { .. })), "{name}");
    }
    let too_long = "a".repeat(65);
    for name in [
        "",
        " ",
        "a b",
        "a/b",
        "../a",
        "a\n",
        "a\0",
        "a:b",
        "a*",
        "a?",
        "\u{e9}",
        "\u{661}",
        "a%",
        "${aws:username}",
        too_long.as_str(),
    ] {
        for outcome in [
            world.iam.add_user(world.receipt(), name).await.map(|_| ()),
            world
                .iam
                .remove_user(world.receipt(), name)
                .await
                .map(|_| ()),
            world
                .iam
                .add_access_key(world.receipt(), name)
                .await
                .map(|_| ()),
            world
                .iam
                .remove_access_key(world.receipt(), name, "AKIA")
                .await,
        ] {
            assert!(
                matches!(outcome, Err(Error::InvalidUserName { .. })),
                "{name:?}"
            );
        }
    }
    assert_eq!(
        world.iam.list_users(world.receipt()).await.unwrap().len(),
        4
    );
}

#[tokio::test]
async fn keys_can_be_changed_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let first = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let second = world
        .iam
        .add_access_key(world.receipt(), "Ann")
        .await
        .unwrap();
    assert_eq!(second.user.principal_id, first.user.principal_id);
    let third = world.iam.add_access_key(world.receipt(), "ann").await;
    assert!(matches!(third, Err(Error::TooManyAccessKeys { .. })));
    let old = Client::new(&first.access_key_id, first.secret.expose_secret());
    let new = Client::new(&second.access_key_id, second.secret.expose_secret());
    old.call(&world.iam).unwrap();
    new.call(&world.iam).unwrap();
    world
        .iam
        .remove_access_key(world.receipt(), "ann", &first.access_key_id)
        .await
        .unwrap();
    assert!(is_unknown(&old.call(&world.iam)));
    new.call(&world.iam).unwrap();
    world
        .iam
        .add_access_key(world.receipt(), "ann")
        .await
        .unwrap();
    // Removing the user takes both keys.
    world.iam.remove_user(world.receipt(), "ann").await.unwrap();
    assert!(is_unknown(&new.call(&world.iam)));
}

#[tokio::test]
async fn sec_an_access_key_is_removed_only_under_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let ann = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    world.iam.add_user(world.receipt(), "bob").await.unwrap();
    for (name, id) in [
        ("bob", ann.access_key_id.as_str()),
        ("ann", ROOT_ID),
        ("ann", ""),
        ("ann", "AKIAUNKNOWNUNKNOWN12"),
    ] {
        let outcome = world.iam.remove_access_key(world.receipt(), name, id).await;
        assert!(
            matches!(outcome, Err(Error::NoSuchAccessKey { .. })),
            "{name} {id}"
        );
    }
    let nobody = world
        .iam
        .remove_access_key(world.receipt(), "eve", &ann.access_key_id)
        .await;
    assert!(matches!(nobody, Err(Error::NoSuchUser { .. })));
    Client::new(&ann.access_key_id, ann.secret.expose_secret())
        .call(&world.iam)
        .unwrap();
    Client::root().call(&world.iam).unwrap();
}

#[tokio::test]
async fn sec_of_many_who_add_one_name_one_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (iam, receipt) = (world.iam.clone(), world.receipt());
        tasks.push(tokio::spawn(
            async move { iam.add_user(receipt, "ann").await },
        ));
    }
    let mut added = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => added += 1,
            Err(error) => assert!(matches!(error, Error::UserExists { .. }), "{error:?}"),
        }
    }
    assert_eq!(added, 1);
}

#[tokio::test]
async fn sec_a_client_who_goes_away_does_not_stop_a_removal() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    let removal = world.iam.remove_user(world.receipt(), "ann");
    // Polled once, then dropped.
    let gone = tokio::time::timeout(std::time::Duration::ZERO, removal).await;
    drop(gone);
    // The next change waits for the one before.
    let again = world.iam.remove_user(world.receipt(), "ann").await;
    assert!(matches!(again, Err(Error::NoSuchUser { .. })));
    assert!(is_unknown(&client.call(&world.iam)));
    world.close().await;
    let world = World::open(dir.path()).await;
    assert!(is_unknown(&client.call(&world.iam)));
}

#[tokio::test]
async fn sec_root_of_another_start_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let other = strongroom_iam::generate_root_credential().unwrap();
    let (id, secret) = (
        other.access_key_id().to_owned(),
        other.secret().expose_secret().to_owned(),
    );
    assert!(is_unknown(&Client::new(&id, &secret).call(&world.iam)));
    let clock = std::sync::Arc::new(SimClock::new(NOW_MS));
    let options = IamOptions::new(ACCOUNT, REGION);
    let iam = Iam::open(&world.store, clock, options, other)
        .await
        .unwrap();
    Client::new(&id, &secret).call(&iam).unwrap();
    assert!(is_unknown(&Client::root().call(&iam)));
}

#[tokio::test]
async fn account_ids_have_twelve_digits() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    for account_id in [
        "",
        "12345678901",
        "1234567890123",
        "12345678901a",
        "\u{661}23456789012",
    ] {
        let clock = std::sync::Arc::new(SimClock::new(NOW_MS));
        let options = IamOptions::new(account_id, REGION);
        let refused = Iam::open(&world.store, clock, options, root()).await;
        assert!(
            matches!(refused, Err(Error::InvalidAccountId { .. })),
            "{account_id}"
        );
    }
}

#[tokio::test]
async fn the_region_of_a_signature_is_the_servers() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let clock = std::sync::Arc::new(SimClock::new(NOW_MS));
    let options = IamOptions::new(ACCOUNT, "us-east-1");
    let elsewhere = Iam::open(&world.store, clock, options, root())
        .await
        .unwrap();
    match Client::root().call(&elsewhere) {
        Err(strongroom_iam::AuthError::Signature(SigV4Error::AuthorizationHeaderMalformed {
            region,
            ..
        })) => assert_eq!(region.as_deref(), Some("us-east-1")),
        other => panic!("{other:?}"),
    }
}
