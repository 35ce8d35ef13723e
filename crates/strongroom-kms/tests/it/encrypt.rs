// SPDX-License-Identifier: Apache-2.0
//! Encrypt.

use strongroom_kms::{EncryptInput, Plaintext};

use crate::world::{context, new_world, refused};

#[tokio::test]
async fn sizes() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("purpose", "test")]);
    for len in [1, 15, 16, 4095, 4096] {
        let plaintext = vec![7; len];
        let sealed = world
            .encrypt(&key.key_id, &plaintext, &context)
            .await
            .unwrap();
        assert_eq!(sealed.key_arn, key.arn);
        assert_eq!(sealed.algorithm, "SYMMETRIC_DEFAULT");
        assert_eq!(sealed.ciphertext_blob.0.len(), len + 66);
        let opened = world
            .decrypt(&sealed.ciphertext_blob.0, &context, None)
            .await
            .unwrap();
        assert_eq!(opened.plaintext.expose_secret(), plaintext);
        assert_eq!(opened.key_arn, key.arn);
        assert_eq!(opened.key_material_id, key.current_key_material_id);
    }
    let (code, message) = refused(world.encrypt(&key.key_id, &[0; 4097], &context).await);
    assert_eq!(code, "ValidationException");
    assert!(
        message.ends_with("Member must have length less than or equal to 4096"),
        "{message}"
    );
    assert_eq!(
        refused(world.encrypt(&key.key_id, b"", &context).await).0,
        "ValidationException"
    );
}

#[tokio::test]
async fn two_ciphertexts_of_one_plaintext_differ() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let one = world.encrypt(&key.key_id, b"same", &context).await.unwrap();
    let two = world.encrypt(&key.key_id, b"same", &context).await.unwrap();
    assert_ne!(one.ciphertext_blob.0[22..], two.ciphertext_blob.0[22..]);
}

#[tokio::test]
async fn empty_names_and_values_of_the_context() {
    let world = new_world().await;
    let key = world.key().await;
    for pairs in [
        [("", "v")],
        [("n", "")],
        [("", "")],
        [("n", &*"v".repeat(9000))],
    ] {
        let refusal = refused(world.encrypt(&key.key_id, b"x", &context(&pairs)).await);
        assert_eq!(refusal.0, "ValidationException");
    }
}

#[tokio::test]
async fn algorithms_and_dry_run() {
    let world = new_world().await;
    let key = world.key().await;
    let cases = [
        (Some("SYMMETRIC_DEFAULT"), false, None),
        (
            Some("RSAES_OAEP_SHA_256"),
            false,
            Some("InvalidKeyUsageException"),
        ),
        (Some("AES_SIV"), false, Some("ValidationException")),
        (None, true, Some("DryRunOperationException")),
        (Some("SM2PKE"), true, Some("InvalidKeyUsageException")),
    ];
    for (algorithm, dry_run, code) in cases {
        let receipt = world.receipt();
        let input = EncryptInput {
            key_id: key.key_id.clone(),
            plaintext: Plaintext::new(vec![1]),
            context: context(&[]),
            algorithm: algorithm.map(str::to_owned),
            grant_tokens: Vec::new(),
            dry_run,
        };
        let result = world.kms.encrypt(&world.caller, &receipt, input).await;
        receipt.finish_recorded();
        assert_eq!(
            result.err().map(|error| error.code()),
            code,
            "{algorithm:?}"
        );
    }
}
