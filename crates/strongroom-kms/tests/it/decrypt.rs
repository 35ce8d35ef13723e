// SPDX-License-Identifier: Apache-2.0
//! Decrypt: what is not exactly what was encrypted does not open, and nothing says why.

use strongroom_kms::{CiphertextBlob, DecryptInput};

use crate::world::{context, new_world, refused};

const SAID_NOTHING: (&str, String) = ("InvalidCiphertextException", String::new());

#[tokio::test]
async fn every_byte_of_the_ciphertext_counts() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("a", "b")]);
    let blob = world
        .encrypt(&key.key_id, b"0123456789", &context)
        .await
        .unwrap();
    let blob = blob.ciphertext_blob.0;
    for at in 0..blob.len() {
        for mask in [1, 0x80] {
            let mut changed = blob.clone();
            changed[at] ^= mask;
            let refusal = refused(world.decrypt(&changed, &context, None).await);
            assert_eq!(refusal, SAID_NOTHING, "byte {at}");
        }
    }
    for len in 1..blob.len() {
        let refusal = refused(world.decrypt(&blob[..len], &context, None).await);
        assert_eq!(refusal, SAID_NOTHING, "{len} bytes");
    }
    for more in [[0_u8; 1].as_slice(), b"x", &[0; 16], &blob] {
        let longer = [&blob, more].concat();
        assert_eq!(
            refused(world.decrypt(&longer, &context, None).await),
            SAID_NOTHING
        );
    }
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
}

#[tokio::test]
async fn every_change_of_the_context_counts() {
    let world = new_world().await;
    let key = world.key().await;
    let right = context(&[("Bucket", "arn"), ("b", "2")]);
    let blob = world
        .encrypt(&key.key_id, b"secret", &right)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    let wrong = [
        context(&[]),
        context(&[("Bucket", "arn")]),
        context(&[("b", "2")]),
        context(&[("Bucket", "arn"), ("b", "2"), ("c", "3")]),
        context(&[("bucket", "arn"), ("b", "2")]),
        context(&[("Bucket", "ARN"), ("b", "2")]),
        context(&[("Bucket", "2"), ("b", "arn")]),
        context(&[("Bucket", "arn "), ("b", "2")]),
        context(&[("Bucketa", "rn"), ("b", "2")]),
    ];
    for wrong in wrong {
        assert_eq!(
            refused(world.decrypt(&blob, &wrong, None).await),
            SAID_NOTHING
        );
    }
    let other_order = context(&[("b", "2"), ("Bucket", "arn")]);
    assert!(world.decrypt(&blob, &other_order, None).await.is_ok());
}

#[tokio::test]
async fn key_id_must_be_the_ciphertexts() {
    let world = new_world().await;
    let (key, other) = (world.key().await, world.key().await);
    let context = context(&[]);
    let blob = world
        .encrypt(&key.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    for right in [&key.key_id, &key.arn] {
        assert!(world.decrypt(&blob, &context, Some(right)).await.is_ok());
    }
    let refusal = refused(world.decrypt(&blob, &context, Some(&other.key_id)).await);
    assert_eq!(
        refusal,
        (
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation."
                .to_owned()
        )
    );
    let refusal = refused(world.decrypt(&blob, &context, Some("alias/none")).await);
    assert_eq!(refusal.0, "NotFoundException");
}

#[tokio::test]
async fn ciphertext_of_another_key_put_under_this_ones_name() {
    let world = new_world().await;
    let (key, other) = (world.key().await, world.key().await);
    let context = context(&[]);
    let one = world
        .encrypt(&key.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    let two = world
        .encrypt(&other.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    let mixed = [&one[..22], &two[22..]].concat();
    assert_eq!(
        refused(world.decrypt(&mixed, &context, None).await),
        SAID_NOTHING
    );
}

#[tokio::test]
async fn ciphertext_of_another_service() {
    let (world, other) = (new_world().await, new_world().await);
    let key = other.key().await;
    let context = context(&[]);
    let blob = other
        .encrypt(&key.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    assert_eq!(
        refused(world.decrypt(&blob, &context, None).await),
        SAID_NOTHING
    );
}

#[tokio::test]
async fn lengths_and_dry_run() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let refusal = refused(world.decrypt(b"", &context, None).await);
    assert_eq!(refusal.0, "ValidationException");
    let refusal = refused(world.decrypt(&[1; 6145], &context, None).await);
    assert_eq!(refusal.0, "ValidationException");
    let blob = world
        .encrypt(&key.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob;
    let mut bad = blob.clone();
    bad.0[60] ^= 1;
    for (blob, code) in [
        (blob, "DryRunOperationException"),
        (bad, "InvalidCiphertextException"),
    ] {
        let receipt = world.receipt();
        let input = DecryptInput {
            ciphertext_blob: CiphertextBlob(blob.0),
            context: context.clone(),
            key_id: None,
            algorithm: None,
            grant_tokens: Vec::new(),
            dry_run: true,
            ignore_ciphertext: false,
        };
        let result = world.kms.decrypt(&world.caller, &receipt, input).await;
        receipt.finish_recorded();
        assert_eq!(refused(result).0, code);
    }
}
