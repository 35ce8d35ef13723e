// SPDX-License-Identifier: Apache-2.0
//! Rows of key material that stand where they do not belong, or are not what was written.

use strongroom_store::{Batch, Row, TableId, Write};

use crate::world::{World, context, new_world, refused};

const MATERIALS: TableId = TableId(2);

fn material_key(key_id: &str) -> Vec<u8> {
    let uid = hex::decode(key_id.replace('-', "")).unwrap();
    [uid, vec![0, 0, 0, 1]].concat()
}

fn stored(world: &World, key_id: &str) -> Row {
    world
        .store
        .tables()
        .get(MATERIALS, &material_key(key_id))
        .unwrap()
        .unwrap()
}

async fn put(world: &World, key_id: &str, value: Vec<u8>) {
    let write = Write::Put {
        table: MATERIALS,
        key: material_key(key_id),
        value,
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    world.store.tables().commit(batch).await.unwrap();
}

#[tokio::test]
async fn material_of_another_key() {
    let world = new_world().await;
    let (key, other) = (world.key().await, world.key().await);
    let context = context(&[]);
    let blob = world
        .encrypt(&key.key_id, b"x", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    put(&world, &key.key_id, stored(&world, &other.key_id).value).await;
    let said = (
        "KMSInternalException",
        format!("stored data is damaged: material of KMS key {}", key.key_id),
    );
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), said);
    assert_eq!(
        refused(world.encrypt(&key.key_id, b"x", &context).await),
        said
    );
    let event = world.last_event().await;
    assert_eq!(event["errorCode"], "KMSInternalException");
    assert_eq!(event["errorMessage"], "internal error");
}

#[tokio::test]
async fn every_byte_of_wrapped_material_counts() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let blob = world
        .encrypt(&key.key_id, b"x", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    let whole = stored(&world, &key.key_id).value;
    let mut harmless = 0;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        put(&world, &key.key_id, changed).await;
        match world.decrypt(&blob, &context, None).await {
            // The time of its making is told only, not bound.
            Ok(opened) => {
                assert_eq!(opened.plaintext.expose_secret(), b"x");
                harmless += 1;
            }
            Err(error) => assert_eq!(error.code(), "KMSInternalException", "byte {at}"),
        }
    }
    assert!(harmless <= 9, "{harmless} bytes");
    put(&world, &key.key_id, whole).await;
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
}
