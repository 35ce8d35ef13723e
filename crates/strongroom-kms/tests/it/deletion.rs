// SPDX-License-Identifier: Apache-2.0
//! ScheduleKeyDeletion, CancelKeyDeletion, and what happens when the time has come.

use strongroom_kms::{
    CancelKeyDeletionInput, CreateAliasInput, DataKeySpec, DisableKeyInput, EnableKeyInput, Error,
    KeyState, ListAliasesInput, ListKeysInput, ScheduleKeyDeletionInput, ScheduleKeyDeletionOutput,
};
use strongroom_store::{Batch, TableId, Vault, Write};

use crate::world::{DAY_MS, NOON_MS, World, call, context, new_world, refused};

async fn schedule(
    world: &World,
    key_id: &str,
    days: Option<i64>,
) -> Result<ScheduleKeyDeletionOutput, Error> {
    let input = ScheduleKeyDeletionInput {
        key_id: key_id.to_owned(),
        pending_window_in_days: days,
    };
    call!(world, schedule_key_deletion, input)
}

async fn cancel(world: &World, key_id: &str) -> Result<String, Error> {
    let key_id = key_id.to_owned();
    call!(
        world,
        cancel_key_deletion,
        CancelKeyDeletionInput { key_id }
    )
}

fn uid(key_id: &str) -> [u8; 16] {
    let uid = hex::decode(key_id.replace('-', "")).unwrap();
    uid.try_into().unwrap()
}

async fn alias(world: &World, name: &str, key_id: &str) {
    let input = CreateAliasInput {
        alias_name: name.to_owned(),
        target_key_id: key_id.to_owned(),
    };
    call!(world, create_alias, input).unwrap();
}

#[tokio::test]
async fn scheduled_key_is_of_no_use_at_once_and_can_be_kept() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let blob = world.encrypt(&key.arn, b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    let done = schedule(&world, &key.key_id, Some(7)).await.unwrap();
    assert_eq!(done.key_arn, key.arn);
    assert_eq!(done.deletion_ms, NOON_MS + 7 * DAY_MS);
    assert_eq!(done.state, KeyState::PendingDeletion);
    assert_eq!(done.pending_window_in_days, 7);
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "ScheduleKeyDeletion");
    assert_eq!(event["responseElements"]["keyId"], key.arn);
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!(told.deletion_ms, Some(done.deletion_ms));
    assert!(!told.enabled);
    let said = (
        "KMSInvalidStateException",
        format!("{} is pending deletion.", key.arn),
    );
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), said);
    assert_eq!(refused(world.encrypt(&key.arn, b"x", &context).await), said);
    assert_eq!(
        refused(world.data_key(&key.arn, DataKeySpec::Aes256).await),
        said
    );
    assert_eq!(refused(schedule(&world, &key.arn, None).await), said);
    let key_id = key.key_id.clone();
    let disable = DisableKeyInput { key_id };
    assert_eq!(refused(call!(world, disable_key, disable)), said);
    let key_id = key.key_id.clone();
    assert_eq!(
        refused(call!(world, enable_key, EnableKeyInput { key_id })),
        said
    );

    assert_eq!(cancel(&world, &key.arn).await.unwrap(), key.arn);
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!((told.state, told.deletion_ms), (KeyState::Disabled, None));
    let said = (
        "KMSInvalidStateException",
        format!("{} is not pending deletion.", key.arn),
    );
    assert_eq!(refused(cancel(&world, &key.arn).await), said);
    let key_id = key.key_id.clone();
    call!(world, enable_key, EnableKeyInput { key_id }).unwrap();
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
    world.clock.advance_ms(40 * DAY_MS);
    assert_eq!(world.run_due().await.destroyed, 0);
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
}

#[tokio::test]
async fn sec_n86_window_of_less_than_7_or_more_than_30_days() {
    let world = new_world().await;
    let key = world.key().await;
    for (days, must) in [
        (6, "greater than or equal to 7"),
        (0, "greater than or equal to 7"),
        (-1, "greater than or equal to 7"),
        (i64::MIN, "greater than or equal to 7"),
        (31, "less than or equal to 30"),
        (365, "less than or equal to 30"),
        (i64::MAX, "less than or equal to 30"),
    ] {
        let message = format!(
            "1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to \
             satisfy constraint: Member must have value {must}"
        );
        assert_eq!(
            refused(schedule(&world, &key.key_id, Some(days)).await),
            ("ValidationException", message)
        );
    }
    let state = world.describe(&key.key_id).await.unwrap().state;
    assert_eq!(state, KeyState::Enabled);
    let done = schedule(&world, &key.key_id, None).await.unwrap();
    assert_eq!(done.deletion_ms, NOON_MS + 30 * DAY_MS);
    cancel(&world, &key.key_id).await.unwrap();
    schedule(&world, &key.key_id, Some(30)).await.unwrap();
}

#[tokio::test]
async fn keys_that_are_not_there_and_names_that_are_none() {
    let world = new_world().await;
    let key = world.key().await;
    alias(&world, "alias/a", &key.key_id).await;
    for bad in [
        "alias/a",
        "12345678-1234-4234-8234-123456789012",
        "nonsense",
        "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-4234-8234-123456789012",
    ] {
        assert_eq!(
            refused(schedule(&world, bad, None).await).0,
            "NotFoundException"
        );
        assert_eq!(refused(cancel(&world, bad).await).0, "NotFoundException");
    }
    assert_eq!(
        refused(schedule(&world, "arn:aws:s3:::b", None).await).0,
        "InvalidArnException"
    );
}

#[tokio::test]
async fn sec_n82_destroyed_key_and_an_alias_of_the_same_name() {
    let world = new_world().await;
    let (key, other) = (world.key().await, world.key().await);
    alias(&world, "alias/a", &key.key_id).await;
    let context = context(&[]);
    let blob = world.encrypt("alias/a", b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    let uid = uid(&key.key_id);
    assert_eq!(world.files_with(&Vault::mark(&uid)).len(), 1);
    schedule(&world, &key.key_id, Some(7)).await.unwrap();

    world.clock.advance_ms(7 * DAY_MS - 1);
    assert_eq!(world.run_due().await.destroyed, 0);
    assert!(world.describe("alias/a").await.is_ok());
    // At its time it is no more, whether or not the server has come to it.
    world.clock.advance_ms(1);
    let gone = (
        "NotFoundException",
        format!("Key '{}' does not exist", key.arn),
    );
    assert_eq!(refused(world.describe(&key.key_id).await), gone);
    assert_eq!(
        refused(world.describe("alias/a").await).0,
        "NotFoundException"
    );
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), gone);
    assert_eq!(refused(cancel(&world, &key.key_id).await), gone);

    let report = world.run_due().await;
    assert_eq!((report.destroyed, report.failed.len()), (1, 0));
    assert_eq!(world.run_due().await.destroyed, 0);
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "DeleteKey");
    assert_eq!(event["resources"][0]["ARN"], key.arn);
    assert_eq!(
        world.files_with(&Vault::mark(&uid)),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(refused(world.describe(&key.key_id).await), gone);
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), gone);
    assert_eq!(
        refused(world.decrypt(&blob, &context, Some(&other.arn)).await).0,
        "NotFoundException"
    );
    let keys = call!(world, list_keys, ListKeysInput::default())
        .unwrap()
        .keys;
    assert_eq!(keys.len(), 1);
    let aliases = call!(world, list_aliases, ListAliasesInput::default()).unwrap();
    assert!(aliases.aliases.is_empty());

    let found = world.kms.destruction(&key.key_id).unwrap();
    assert_eq!(found.remains, Vec::<String>::new());
    assert_eq!(found.destroyed_ms, Some(NOON_MS + 7 * DAY_MS));
    let found = world.kms.destruction(&other.arn).unwrap();
    assert_eq!(found.destroyed_ms, None);
    assert_eq!(found.remains.len(), 3, "{:?}", found.remains);
    assert!(world.kms.destruction("alias/a").is_err());
    assert!(world.kms.destruction("nonsense").is_err());
    // A copy that somebody puts back is told.
    let vault = world.store.vault();
    vault.put(uid, [9; 16], b"from a backup").await.unwrap();
    let found = world.kms.destruction(&key.key_id).unwrap();
    assert_eq!(found.remains.len(), 1, "{:?}", found.remains);
    vault.destroy([9; 16]).await.unwrap();
    let listed = world.kms.overviews().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key_id, other.key_id);

    // The name can be given again; it opens nothing of the old key.
    alias(&world, "alias/a", &other.key_id).await;
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), gone);
    assert_ne!(
        refused(world.decrypt(&blob, &context, Some("alias/a")).await).0,
        "ok"
    );
    let world = world.restarted().await;
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), gone);
    assert_eq!(refused(cancel(&world, &key.key_id).await), gone);
    let tombstone = world.store.tables().get(TableId(8), &uid).unwrap();
    assert!(tombstone.is_some());
    assert_eq!(world.run_due().await.destroyed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_nothing_that_begins_after_scheduling_succeeds() {
    let world = new_world().await;
    let key = world.key().await;
    let successes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let uses: Vec<_> = (0..8)
        .map(|_| {
            let (kms, caller, audit) =
                (world.kms.clone(), world.caller.clone(), world.audit.clone());
            let (key_arn, successes) = (key.arn.clone(), successes.clone());
            tokio::spawn(async move {
                let context = context(&[("a", "b")]);
                loop {
                    let begun = std::time::Instant::now();
                    let receipt = audit.begin(caller.facts().clone());
                    let made = kms
                        .generate_data_key_for_s3(&caller, &receipt, Some(&key_arn), &context)
                        .await;
                    receipt.finish_recorded();
                    match made {
                        Ok(_) => successes.lock().unwrap().push(begun),
                        Err(Error::InvalidState(_)) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    // A use that failed is told of below.
    let is_over = || uses.iter().any(tokio::task::JoinHandle::is_finished);
    while successes.lock().unwrap().is_empty() && !is_over() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    schedule(&world, &key.key_id, None).await.unwrap();
    let scheduled_at = std::time::Instant::now();
    for task in uses {
        task.await.unwrap();
    }
    let successes = successes.lock().unwrap();
    assert!(!successes.is_empty());
    assert!(successes.iter().all(|begun| *begun < scheduled_at));
}

#[tokio::test]
async fn sec_a_damaged_tombstone_does_not_hold_up_other_deletions() {
    let world = new_world().await;
    let key = world.key().await;
    schedule(&world, &key.key_id, Some(7)).await.unwrap();
    let tombstones = TableId(8);
    let damaged = [(vec![0; 16], vec![0xff]), (vec![0; 3], Vec::new())];
    let writes = damaged.map(|(key, value)| Write::Put {
        table: tombstones,
        key,
        value,
    });
    let batch = Batch {
        preconditions: Vec::new(),
        writes: writes.into(),
    };
    world.store.tables().commit(batch).await.unwrap();
    world.clock.advance_ms(8 * DAY_MS);
    let report = world.run_due().await;
    assert_eq!((report.destroyed, report.failed.len()), (1, 2));
    assert!(world.describe(&key.key_id).await.is_err());
}

#[tokio::test]
async fn sec_everything_of_a_destroyed_key_leaves_the_vault() {
    let world = new_world().await;
    let key = world.key().await;
    let other = world.key().await;
    schedule(&world, &key.key_id, Some(7)).await.unwrap();
    let (own, others) = (uid(&key.key_id), uid(&other.key_id));
    let vault = world.store.vault();
    // No row refers to these: changes that were ended half-way.
    vault.put(own, [1; 16], b"left").await.unwrap();
    vault.put(others, [2; 16], b"left").await.unwrap();
    world.clock.advance_ms(8 * DAY_MS);
    assert_eq!(world.run_due().await.destroyed, 1);
    assert!(world.files_with(&Vault::mark(&own)).is_empty());
    let left = vault.list().unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|entry| entry.owner == Some(others)));
}
