// SPDX-License-Identifier: Apache-2.0
//! Key material under old domain keys is brought forward, and opens at every moment.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_kms::RotateKeyOnDemandInput;
use strongroom_store::TableId;

use crate::world::{DAY_MS, World, call, context, new_world};

/// Wrapped material of all keys, as it is stored.
fn material_rows(world: &World) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tables = world.store.tables();
    let rows = tables.scan(TableId(2), Bound::Unbounded, Bound::Unbounded, 1000, false);
    let rows = rows.unwrap().into_iter();
    rows.map(|(key, row)| (key, row.value)).collect()
}

async fn rewrap(world: &World) -> (u64, u64, u64) {
    let last = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&last);
    let tell = move |done, total| {
        assert!(done <= total);
        seen.store(done, Ordering::Relaxed);
    };
    let report = world.kms.rewrap(&tell).await.unwrap();
    assert_eq!(last.load(Ordering::Relaxed), report.seen);
    (report.seen, report.rewrapped, report.damaged)
}

#[tokio::test]
async fn every_key_comes_forward_and_a_second_run_finds_nothing() {
    let mut world = new_world().await;
    let context = context(&[("a", "b")]);
    let mut blobs = Vec::new();
    for _ in 0..3 {
        let key = world.key().await;
        let sealed = world.encrypt(&key.key_id, b"x", &context).await.unwrap();
        blobs.push(sealed.ciphertext_blob.0);
    }
    assert_eq!(rewrap(&world).await, (3, 0, 0));
    for round in 1..=5 {
        world.rotate();
        let before = material_rows(&world);
        // Without rewrapping, everything opens.
        for blob in &blobs {
            assert!(world.decrypt(blob, &context, None).await.is_ok());
        }
        assert_eq!(material_rows(&world), before, "a rotation touches no row");
        assert_eq!(rewrap(&world).await, (3, 3, 0), "round {round}");
        let after = material_rows(&world);
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|(b, a)| b.0 == a.0 && b.1 != a.1)
        );
        for blob in &blobs {
            let opened = world.decrypt(blob, &context, None).await.unwrap();
            assert_eq!(opened.plaintext.expose_secret(), b"x");
        }
        assert_eq!(rewrap(&world).await, (3, 0, 0));
        assert_eq!(material_rows(&world), after, "a second run writes nothing");
    }
    let world = world.restarted().await;
    for blob in &blobs {
        assert!(world.decrypt(blob, &context, None).await.is_ok());
    }
}

#[tokio::test]
async fn shred_keys_of_before_are_destroyed() {
    let mut world = new_world().await;
    world.key().await;
    let vault = |world: &World| -> BTreeSet<[u8; 16]> {
        let entries = world.store.vault().list().unwrap();
        entries.into_iter().map(|entry| entry.id).collect()
    };
    let before = vault(&world);
    assert_eq!(before.len(), 1);
    world.rotate();
    rewrap(&world).await;
    let after = vault(&world);
    assert_eq!(after.len(), 1);
    assert!(before.is_disjoint(&after));
    // Who has the domain key of before opens nothing that is there.
    for entry in world.store.vault().list().unwrap() {
        let sealed = world.store.vault().get(entry.owner.unwrap(), entry.id);
        let sealed = sealed.unwrap().unwrap();
        assert_eq!(sealed[..4], 2_u32.to_be_bytes());
    }
}

#[tokio::test]
async fn one_damaged_key_is_counted_and_the_others_come_forward() {
    let mut world = new_world().await;
    let context = context(&[]);
    let (good, bad) = (world.key().await, world.key().await);
    let sealed = world.encrypt(&good.key_id, b"x", &context).await.unwrap();
    let uid = hex::decode(bad.key_id.replace('-', "")).unwrap();
    let rows = material_rows(&world);
    let (row_key, _) = rows.iter().find(|(key, _)| key.starts_with(&uid)).unwrap();
    let (_, other) = rows.iter().find(|(key, _)| !key.starts_with(&uid)).unwrap();
    let write = strongroom_store::Write::Put {
        table: TableId(2),
        key: row_key.clone(),
        value: other.clone(),
    };
    let batch = strongroom_store::Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    world.store.tables().commit(batch).await.unwrap();
    world.rotate();
    let vault_before = world.store.vault().list().unwrap().len();
    assert_eq!(rewrap(&world).await, (2, 1, 1));
    assert_eq!(world.store.vault().list().unwrap().len(), vault_before);
    let opened = world.decrypt(&sealed.ciphertext_blob.0, &context, None);
    assert!(opened.await.is_ok());
}

#[tokio::test]
async fn uses_meanwhile_see_nothing_of_it() {
    let mut world = new_world().await;
    let context = context(&[]);
    let key = world.key().await;
    let sealed = world.encrypt(&key.key_id, b"x", &context).await.unwrap();
    let blob = sealed.ciphertext_blob.0;
    for _ in 0..10 {
        world.rotate();
        let world = &world;
        let use_it = async {
            for _ in 0..20 {
                world.decrypt(&blob, &context, None).await.unwrap();
                world.encrypt(&key.key_id, b"y", &context).await.unwrap();
            }
        };
        tokio::join!(use_it, rewrap(world));
    }
}

#[tokio::test]
async fn run_that_was_dropped_halfway_is_taken_up() {
    let mut world = new_world().await;
    let context = context(&[]);
    let mut blobs = Vec::new();
    for _ in 0..20 {
        let key = world.key().await;
        let sealed = world.encrypt(&key.key_id, b"x", &context).await.unwrap();
        blobs.push(sealed.ciphertext_blob.0);
    }
    world.rotate();
    let mut rewrapped = 0;
    for polls in 0..200 {
        let kms = world.kms.clone();
        let seen = AtomicU64::new(0);
        let tell = |done, _| seen.store(done, Ordering::Relaxed);
        let run = kms.rewrap(&tell);
        tokio::pin!(run);
        let limited = tokio::time::timeout(std::time::Duration::from_millis(polls), &mut run);
        if let Ok(report) = limited.await {
            rewrapped += report.unwrap().rewrapped;
            break;
        }
    }
    // A start after a run that was ended sweeps what it left.
    assert!(rewrapped <= 20);
    let world = world.restarted().await;
    assert_eq!(world.store.vault().list().unwrap().len(), 20);
    for blob in &blobs {
        assert!(world.decrypt(blob, &context, None).await.is_ok());
    }
    assert_eq!(rewrap(&world).await.1, 0);
}

/// Whoever read the shred key of before may not commit after it was destroyed.
#[tokio::test(flavor = "multi_thread")]
async fn sec_a_rotation_at_the_same_time_loses_no_material() {
    let mut world = new_world().await;
    let context = context(&[]);
    for _ in 0..12 {
        let key = world.key().await;
        let old = world.encrypt(&key.key_id, b"x", &context).await.unwrap();
        world.rotate();
        let seq = |world: &World| {
            let uid = hex::decode(key.key_id.replace('-', "")).unwrap();
            let row = world.store.tables().get(TableId(1), &uid).unwrap();
            row.unwrap().seq
        };
        let before = seq(&world);
        let key_id = key.key_id.clone();
        let ((), rotated) = tokio::join!(rewrap_quietly(&world), async {
            let input = RotateKeyOnDemandInput { key_id };
            call!(world, rotate_key_on_demand, input)
        });
        rotated.unwrap();
        let new = world.encrypt(&key.key_id, b"y", &context).await.unwrap();
        for (blob, plain) in [(old, b"x"), (new, b"y")] {
            let blob = blob.ciphertext_blob.0;
            let opened = world.decrypt(&blob, &context, None).await.unwrap();
            assert_eq!(opened.plaintext.expose_secret(), plain);
        }
        // With nobody else there, too, the row is one that nobody has read before.
        world.rotate();
        let middle = seq(&world);
        rewrap_quietly(&world).await;
        assert!(before < middle && middle < seq(&world));
    }
}

async fn rewrap_quietly(world: &World) {
    let report = world.kms.rewrap(&|_, _| ()).await.unwrap();
    assert_eq!(report.damaged, 0);
}

/// Automatic rotation every 90 days for two and a half centuries.
#[tokio::test]
async fn more_versions_than_a_page_of_the_table_come_forward() {
    let mut world = new_world().await;
    let key = world.key().await;
    let first = world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    let input = strongroom_kms::EnableKeyRotationInput {
        key_id: key.key_id.clone(),
        rotation_period_in_days: Some(90),
    };
    call!(world, enable_key_rotation, input).unwrap();
    for _ in 0..VERSIONS - 1 {
        world.clock.advance_ms(90 * DAY_MS);
        assert_eq!(world.run_due().await.rotated, 1);
    }
    let last = world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    world.rotate();
    assert_eq!(rewrap_all(&world).await, (VERSIONS, VERSIONS, 0));
    assert_eq!(rewrap_all(&world).await, (VERSIONS, 0, 0));
    for blob in [first, last] {
        let blob = blob.ciphertext_blob.0;
        assert!(world.decrypt(&blob, &context(&[]), None).await.is_ok());
    }
}

async fn rewrap_all(world: &World) -> (u64, u64, u64) {
    let report = world.kms.rewrap(&|_, _| ()).await.unwrap();
    (report.seen, report.rewrapped, report.damaged)
}

const VERSIONS: u64 = 1_100;
