// SPDX-License-Identifier: Apache-2.0
//! A clock that leaps destroys nothing: what is due waits until the server has seen its time pass,
//! or somebody says that the clock is right. It is of no use meanwhile.

use strongroom_kms::{CancelKeyDeletionInput, ScheduleKeyDeletionInput};
use strongroom_store::{Batch, TableId, Vault, Write};

use crate::import::imported;
use crate::world::{DAY_MS, NOON_MS, World, call, context, new_world};

const HOUR_MS: u64 = 3_600_000;
const SEEN_TIME: TableId = TableId(27);

/// A key that is due in seven days, and something it encrypted.
async fn doomed(world: &World) -> (String, Vec<u8>) {
    let key = world.key().await;
    let blob = world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    let input = ScheduleKeyDeletionInput {
        key_id: key.key_id.clone(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, input).unwrap();
    (key.key_id, blob.ciphertext_blob.0)
}

fn is_in_vault(world: &World, key_id: &str) -> bool {
    let uid: [u8; 16] = hex::decode(key_id.replace('-', ""))
        .unwrap()
        .try_into()
        .unwrap();
    !world.files_with(&Vault::mark(&uid)).is_empty()
}

#[tokio::test]
async fn a_clock_that_leaps_while_the_server_runs_destroys_nothing() {
    let world = new_world().await;
    let (key_id, blob) = doomed(&world).await;
    world.run_due().await;
    world.clock.set_ms(NOON_MS + 400 * DAY_MS);
    for _ in 0..3 {
        let report = world.run_due().await;
        assert_eq!((report.destroyed, report.waiting), (0, 1));
    }
    assert!(is_in_vault(&world, &key_id));
    // By the wall clock it is gone, and nobody uses it.
    assert!(world.decrypt(&blob, &context(&[]), None).await.is_err());
    assert!(world.describe(&key_id).await.is_err());
    let clock = world.kms.clock().await.unwrap();
    assert_eq!(clock.now_ms, NOON_MS + 400 * DAY_MS);
    assert_eq!(clock.seen_ms, NOON_MS + DAY_MS);
    assert_eq!(clock.waiting.len(), 1);
    assert!(clock.waiting[0].ends_with(&key_id));
    // The clock is set right again: nothing has happened.
    world.clock.set_ms(NOON_MS + HOUR_MS);
    let report = world.run_due().await;
    assert_eq!((report.destroyed, report.waiting), (0, 0));
    let kept = CancelKeyDeletionInput {
        key_id: key_id.clone(),
    };
    call!(world, cancel_key_deletion, kept).unwrap();
    let key_id = key_id.clone();
    call!(world, enable_key, strongroom_kms::EnableKeyInput { key_id }).unwrap();
    assert!(world.decrypt(&blob, &context(&[]), None).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_leaps_while_the_server_is_stopped_destroys_nothing_until_confirmed() {
    let world = new_world().await;
    let (key_id, _) = doomed(&world).await;
    world.run_due().await;
    world.clock.set_ms(NOON_MS + 8 * DAY_MS);
    let world = world.restarted().await;
    let report = world.run_due().await;
    assert_eq!((report.destroyed, report.waiting), (0, 1));
    // Starting again and again is no way around it.
    let world = world.restarted().await.restarted().await;
    assert_eq!(world.run_due().await.waiting, 1);
    assert!(is_in_vault(&world, &key_id));
    world.kms.confirm_clock().await.unwrap();
    let report = world.run_due().await;
    assert_eq!((report.destroyed, report.waiting), (1, 0));
    assert!(!is_in_vault(&world, &key_id));
    let clock = world.kms.clock().await.unwrap();
    assert_eq!((clock.seen_ms, clock.waiting.len()), (clock.now_ms, 0));
}

#[tokio::test]
async fn after_a_leap_the_server_still_runs_for_days_before_anything_is_destroyed() {
    let world = new_world().await;
    let (key_id, _) = doomed(&world).await;
    world.clock.set_ms(NOON_MS + 8 * DAY_MS);
    let world = world.restarted().await;
    // A day was believed. Six are missing, and come up twice as fast.
    for _ in 0..3 * 24 - 1 {
        world.clock.advance_ms(HOUR_MS);
        assert_eq!(world.run_due().await.destroyed, 0);
    }
    assert!(is_in_vault(&world, &key_id));
    world.clock.advance_ms(HOUR_MS);
    assert_eq!(world.run_due().await.destroyed, 1);
    assert!(!is_in_vault(&world, &key_id));
}

#[tokio::test]
async fn a_server_that_runs_or_is_stopped_for_a_day_destroys_at_the_minute() {
    let world = new_world().await;
    let (key_id, _) = doomed(&world).await;
    for _ in 0..6 * 24 {
        world.clock.advance_ms(HOUR_MS);
        world.run_due().await;
    }
    world.clock.set_ms(NOON_MS + 7 * DAY_MS);
    let world = world.restarted().await;
    assert_eq!(world.run_due().await.destroyed, 1);
    assert!(!is_in_vault(&world, &key_id));
}

#[tokio::test]
async fn imported_material_is_refused_at_its_time_and_destroyed_when_that_was_seen() {
    let world = new_world().await;
    let key_id = imported(&world, NOON_MS + 2 * DAY_MS).await;
    let blob = world.encrypt(&key_id, b"x", &context(&[])).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    world.clock.set_ms(NOON_MS + 3 * DAY_MS);
    let report = world.run_due().await;
    assert_eq!((report.expired, report.waiting), (0, 1));
    assert!(is_in_vault(&world, &key_id));
    let refused = world.decrypt(&blob, &context(&[]), None).await.unwrap_err();
    assert_eq!(refused.code(), "KMSInvalidStateException");
    world.clock.advance_ms(12 * HOUR_MS);
    let report = world.run_due().await;
    assert_eq!((report.expired, report.waiting), (1, 0));
    assert!(!is_in_vault(&world, &key_id));
}

#[tokio::test]
async fn a_record_of_seen_time_that_cannot_be_read_is_no_time_at_all() {
    let world = new_world().await;
    let (key_id, _) = doomed(&world).await;
    let nonsense = Batch {
        preconditions: Vec::new(),
        writes: vec![Write::Put {
            table: SEEN_TIME,
            key: b"seen".to_vec(),
            value: b"nonsense".to_vec(),
        }],
    };
    world.store.tables().commit(nonsense).await.unwrap();
    let world = world.restarted().await;
    world.clock.advance_ms(30 * DAY_MS);
    let report = world.run_due().await;
    assert_eq!((report.destroyed, report.waiting), (0, 1));
    assert!(is_in_vault(&world, &key_id));
    world.kms.confirm_clock().await.unwrap();
    assert_eq!(world.run_due().await.destroyed, 1);
}
