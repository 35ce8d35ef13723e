// SPDX-License-Identifier: Apache-2.0
//! Verification of the vault: all damage and everything left over is named, and traffic is neither.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_kms::{RotateKeyOnDemandInput, ScheduleKeyDeletionInput, VaultReport};
use strongroom_store::{Batch, TableId, Vault, Write};

use crate::import::imported;
use crate::world::{DAY_MS, NOON_MS, World, call, new_world};

const KEYS: TableId = TableId(1);
const MATERIALS: TableId = TableId(2);

fn uid(key_id: &str) -> [u8; 16] {
    let uid = hex::decode(key_id.replace('-', "")).unwrap();
    uid.try_into().unwrap()
}

fn file_of(world: &World, key_id: &str) -> PathBuf {
    world.files_with(&Vault::mark(&uid(key_id))).pop().unwrap()
}

async fn verify(world: &World) -> VaultReport {
    world.kms.verify_vault().await.unwrap()
}

/// Files, versions, damaged, unreferred.
async fn counts(world: &World) -> (u64, u64, usize, usize) {
    let found = verify(world).await;
    (
        found.files,
        found.materials,
        found.damaged.len(),
        found.unreferred.len(),
    )
}

async fn rotate(world: &World, key_id: &str) {
    let key_id = key_id.to_owned();
    call!(
        world,
        rotate_key_on_demand,
        RotateKeyOnDemandInput { key_id }
    )
    .unwrap();
}

async fn commit(world: &World, write: Write) {
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    world.store.tables().commit(batch).await.unwrap();
}

#[tokio::test]
async fn all_keys_in_every_state_are_sound() {
    let mut world = new_world().await;
    assert_eq!(counts(&world).await, (0, 0, 0, 0));
    let key = world.key().await.key_id;
    rotate(&world, &key).await;
    let disabled = world.key().await.key_id;
    world.disable(&disabled).await;
    world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    let expiring = imported(&world, NOON_MS + 2 * DAY_MS).await;
    let doomed = ScheduleKeyDeletionInput {
        key_id: disabled.clone(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, doomed).unwrap();
    let (files, versions, damaged, unreferred) = counts(&world).await;
    assert_eq!((versions, damaged, unreferred), (5, 0, 0));
    assert!(files >= 4);
    world.rotate();
    world.kms.rewrap(&|_, _| ()).await.unwrap();
    assert_eq!(counts(&world).await, (4, 5, 0, 0));
    // What is due and waits for the clock is there still.
    world.clock.set_ms(NOON_MS + 40 * DAY_MS);
    assert_eq!(world.run_due().await.destroyed, 0);
    assert_eq!(verify(&world).await.damaged, Vec::<String>::new());
    world.kms.confirm_clock().await.unwrap();
    let done = world.run_due().await;
    assert_eq!((done.destroyed, done.expired), (1, 1));
    assert_eq!(counts(&world).await, (2, 3, 0, 0));
    assert!(world.describe(&expiring).await.is_ok());
}

#[tokio::test]
async fn every_byte_of_a_vault_file_is_verified() {
    let world = new_world().await;
    let (key, other) = (world.key().await.key_id, world.key().await.key_id);
    let path = file_of(&world, &key);
    let whole = std::fs::read(&path).unwrap();
    let mut all: Vec<Vec<u8>> = Vec::new();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        all.push(changed);
    }
    all.push(whole[..whole.len() - 1].to_vec());
    all.push(whole[..37].to_vec());
    all.push(Vec::new());
    all.push([&whole[..], b"x"].concat());
    all.push(vec![0; whole.len()]);
    all.push(std::fs::read(file_of(&world, &other)).unwrap());
    for (n, changed) in all.iter().enumerate() {
        std::fs::write(&path, changed).unwrap();
        let found = verify(&world).await;
        assert_eq!(found.damaged.len(), 1, "{n}");
        assert!(found.damaged[0].starts_with("version 1 of KMS key"));
        assert!(found.damaged[0].contains(&key));
        assert_eq!(found.unreferred.len(), 0, "{n}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(counts(&world).await, (1, 2, 1, 0));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(counts(&world).await, (2, 2, 0, 0));
}

#[tokio::test]
async fn what_no_material_names_is_named() {
    let world = new_world().await;
    let key = world.key().await.key_id;
    let vault = world.store.vault().clone();
    vault.put(uid(&key), [1; 16], b"nonsense").await.unwrap();
    let found = verify(&world).await;
    assert_eq!((found.unreferred.len(), found.damaged.len()), (1, 1));
    assert!(found.unreferred[0].contains(&key));
    assert!(found.unreferred[0].contains(&hex::encode([1; 16])));
    assert!(vault.destroy([1; 16]).await.unwrap());
    assert_eq!(counts(&world).await, (1, 1, 0, 0));
    // Sound, of a key that is no more.
    let of_another = world.key().await.key_id;
    for (table, row_key) in [
        (KEYS, uid(&of_another).to_vec()),
        (
            MATERIALS,
            [&uid(&of_another)[..], &1_u32.to_be_bytes()].concat(),
        ),
    ] {
        let key = row_key;
        commit(&world, Write::Delete { table, key }).await;
    }
    let found = verify(&world).await;
    assert_eq!((found.unreferred.len(), found.damaged.len()), (1, 0));
    // Zeros, as a crash in the middle of a destruction leaves them.
    let path = file_of(&world, &of_another);
    let zeros = vec![0; std::fs::read(&path).unwrap().len()];
    std::fs::write(&path, zeros).unwrap();
    assert_eq!(counts(&world).await, (2, 1, 1, 0));
    drop(vault);
    let world = world.restarted().await;
    assert_eq!(counts(&world).await, (1, 1, 0, 0));
}

#[tokio::test]
async fn rows_that_are_wrong_are_damage() {
    let world = new_world().await;
    let (one, two, three) = (
        world.key().await.key_id,
        world.key().await.key_id,
        world.key().await.key_id,
    );
    let row_key = |key_id: &str| [&uid(key_id)[..], &1_u32.to_be_bytes()].concat();
    let nonsense = Write::Put {
        table: MATERIALS,
        key: row_key(&one),
        value: b"nonsense".to_vec(),
    };
    commit(&world, nonsense).await;
    let found = verify(&world).await;
    // Nobody knows what it names, so its shred key is not called left over.
    assert_eq!((found.damaged.len(), found.unreferred.len()), (1, 0));
    assert!(found.damaged[0].contains(&one));
    let (table, key) = (MATERIALS, row_key(&two));
    commit(&world, Write::Delete { table, key }).await;
    let found = verify(&world).await;
    assert_eq!((found.damaged.len(), found.unreferred.len()), (2, 1));
    assert!(found.damaged[1].contains(&two) && found.unreferred[0].contains(&two));
    let (table, key) = (KEYS, uid(&three).to_vec());
    commit(&world, Write::Delete { table, key }).await;
    let found = verify(&world).await;
    assert_eq!((found.damaged.len(), found.unreferred.len()), (3, 1));
    assert!(found.damaged.iter().any(|line| line.contains(&three)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_no_damage() {
    let world = new_world().await;
    let stop = AtomicBool::new(false);
    let traffic = async {
        while !stop.load(Ordering::Relaxed) {
            let key = world.key().await.key_id;
            rotate(&world, &key).await;
            world.kms.rewrap(&|_, _| ()).await.unwrap();
            let kept = imported(&world, NOON_MS + DAY_MS).await;
            let input = strongroom_kms::DeleteImportedKeyMaterialInput {
                key_id: kept,
                key_material_id: None,
            };
            call!(world, delete_imported_key_material, input).unwrap();
        }
    };
    let look = async {
        for _ in 0..20 {
            let found = verify(&world).await;
            assert_eq!(found.damaged, Vec::<String>::new());
            assert_eq!(found.unreferred, Vec::<String>::new());
            tokio::task::yield_now().await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(traffic, look);
}
