// SPDX-License-Identifier: Apache-2.0
//! GetKeyLastUsage.

use strongroom_kms::{
    DisableKeyInput, Error, GetKeyLastUsageInput, GetKeyLastUsageOutput, ScheduleKeyDeletionInput,
};
use strongroom_store::TableId;

use crate::world::{DAY_MS, NOON_MS, World, call, context, new_world, refused};

async fn last(world: &World, key_id: &str) -> Result<GetKeyLastUsageOutput, Error> {
    let key_id = key_id.to_owned();
    call!(world, get_key_last_usage, GetKeyLastUsageInput { key_id })
}

#[tokio::test]
async fn last_successful_use_is_told_across_restarts() {
    let world = new_world().await;
    let key = world.key().await;
    let told = last(&world, &key.arn).await.unwrap();
    assert_eq!(told.last_use, None);
    assert_eq!(
        (told.created_ms, told.tracking_start_ms),
        (NOON_MS, NOON_MS)
    );
    world.clock.advance_ms(1_000);
    let context = context(&[]);
    let blob = world.encrypt(&key.arn, b"x", &context).await.unwrap();
    let event = world.last_event().await;
    let used = last(&world, &key.key_id).await.unwrap().last_use.unwrap();
    assert_eq!(used.operation, "Encrypt");
    assert_eq!(used.at_ms, NOON_MS + 1_000);
    assert_eq!(event["eventID"], used.event_id);
    world.clock.advance_ms(1_000);
    world
        .decrypt(&blob.ciphertext_blob.0, &context, None)
        .await
        .unwrap();
    world.run_due().await;
    let world = world.restarted().await;
    let used = last(&world, &key.key_id).await.unwrap().last_use.unwrap();
    assert_eq!(
        (used.operation.as_str(), used.at_ms),
        ("Decrypt", NOON_MS + 2_000)
    );

    // Looking at a key and being refused are no uses.
    world.clock.advance_ms(1_000);
    world.describe(&key.key_id).await.unwrap();
    let key_id = key.key_id.clone();
    call!(world, disable_key, DisableKeyInput { key_id }).unwrap();
    world.encrypt(&key.arn, b"x", &context).await.unwrap_err();
    world
        .decrypt(b"nonsense", &context, None)
        .await
        .unwrap_err();
    assert_eq!(
        last(&world, &key.key_id).await.unwrap().last_use.unwrap(),
        used
    );
    for bad in [
        "alias/a",
        "nonsense",
        "12345678-1234-4234-8234-123456789012",
    ] {
        assert_eq!(refused(last(&world, bad).await).0, "NotFoundException");
    }
}

#[tokio::test]
async fn destroyed_key_leaves_no_last_use() {
    let world = new_world().await;
    let key = world.key().await;
    world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    world.run_due().await;
    let uid = hex::decode(key.key_id.replace('-', "")).unwrap();
    let row = || world.store.tables().get(TableId(6), &uid).unwrap();
    assert!(row().is_some());
    world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    let input = ScheduleKeyDeletionInput {
        key_id: key.key_id.clone(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, input).unwrap();
    world.clock.advance_ms(7 * DAY_MS);
    assert_eq!(world.run_due().await.destroyed, 1);
    assert!(row().is_none());
    world.kms.flush_last_uses().await.unwrap();
    assert!(row().is_none());
}

/// A crash may lose the last minute, but not that there was a use: `restarted` writes nothing down.
#[tokio::test]
async fn the_first_use_outlives_a_crash() {
    let world = new_world().await;
    let key = world.key().await;
    world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    world.clock.advance_ms(1_000);
    world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    let world = world.restarted().await;
    let used = last(&world, &key.key_id).await.unwrap().last_use.unwrap();
    assert_eq!(used.at_ms, NOON_MS);
    // What is written down is not written again for each use after a start.
    world.clock.advance_ms(1_000);
    world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    let used = last(&world, &key.key_id).await.unwrap().last_use.unwrap();
    assert_eq!(used.at_ms, NOON_MS + 2_000);
    let world = world.restarted().await;
    let used = last(&world, &key.key_id).await.unwrap().last_use.unwrap();
    assert_eq!(used.at_ms, NOON_MS);
}

/// A flush that failed lost what it had taken.
#[tokio::test]
async fn uses_that_cannot_be_written_down_stay_noted() {
    let world = new_world().await;
    let keys = [world.key().await, world.key().await];
    for key in &keys {
        world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    }
    world.store.close().await.unwrap();
    world.kms.flush_last_uses().await.unwrap_err();
    world.kms.flush_last_uses().await.unwrap_err();
}
