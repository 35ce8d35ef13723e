// SPDX-License-Identifier: Apache-2.0
//! ReEncrypt.

use serde_json::json;
use strongroom_kms::{CiphertextBlob, Error, ReEncryptInput, ReEncryptOutput};

use crate::world::{ACCOUNT, World, caller_of, context, new_world, refused};

fn input(blob: &[u8], to: &str) -> ReEncryptInput {
    ReEncryptInput {
        ciphertext_blob: CiphertextBlob(blob.to_vec()),
        source_context: context(&[("from", "1")]),
        source_key_id: None,
        source_algorithm: None,
        destination_key_id: to.to_owned(),
        destination_context: context(&[("to", "2")]),
        destination_algorithm: None,
        grant_tokens: Vec::new(),
        dry_run: false,
        ignore_ciphertext: false,
    }
}

async fn re_encrypt(world: &World, input: ReEncryptInput) -> Result<ReEncryptOutput, Error> {
    let receipt = world.receipt();
    let result = world.kms.re_encrypt(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

#[tokio::test]
async fn from_one_key_to_another() {
    let world = new_world().await;
    let (from, to) = (world.key().await, world.key().await);
    let old = world
        .encrypt(&from.key_id, b"secret", &context(&[("from", "1")]))
        .await
        .unwrap();
    let old = old.ciphertext_blob.0;
    let new = re_encrypt(&world, input(&old, &to.key_id)).await.unwrap();
    assert_eq!((&new.source_key_arn, &new.key_arn), (&from.arn, &to.arn));
    assert_eq!(new.source_algorithm, "SYMMETRIC_DEFAULT");
    assert_eq!(new.destination_algorithm, "SYMMETRIC_DEFAULT");
    assert_eq!(new.source_key_material_id, from.current_key_material_id);
    assert_eq!(new.destination_key_material_id, to.current_key_material_id);
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "ReEncrypt");
    assert_eq!(event["readOnly"], true);
    assert_eq!(
        event["requestParameters"],
        json!({
            "sourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "sourceEncryptionContext": { "from": "1" },
            "destinationKeyId": to.key_id,
            "destinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "destinationEncryptionContext": { "to": "2" },
        })
    );
    assert_eq!(
        event["resources"],
        json!([
            { "accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": from.arn },
            { "accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": to.arn },
        ])
    );
    assert_eq!(
        event["additionalEventData"],
        json!({
            "sourceKeyMaterialId": from.current_key_material_id,
            "destinationKeyMaterialId": to.current_key_material_id,
        })
    );
    let blob = new.ciphertext_blob.0;
    let right = context(&[("to", "2")]);
    let opened = world.decrypt(&blob, &right, Some(&to.arn)).await.unwrap();
    assert_eq!(opened.plaintext.expose_secret(), b"secret");
    let wrong = context(&[("from", "1")]);
    let refusal = refused(world.decrypt(&blob, &wrong, None).await);
    assert_eq!(refusal.0, "InvalidCiphertextException");
}

#[tokio::test]
async fn under_the_same_key() {
    let world = new_world().await;
    let key = world.key().await;
    let from = context(&[("from", "1")]);
    let old = world.encrypt(&key.key_id, b"x", &from).await.unwrap();
    let old = old.ciphertext_blob.0;
    let new = re_encrypt(&world, input(&old, &key.arn)).await.unwrap();
    assert_eq!(new.source_key_arn, new.key_arn);
    assert_ne!(new.ciphertext_blob.0, old);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of requests")]
async fn ciphertext_and_keys_must_be_right() {
    let world = new_world().await;
    let (from, to) = (world.key().await, world.key().await);
    let right = context(&[("from", "1")]);
    let blob = world
        .encrypt(&from.key_id, b"secret", &right)
        .await
        .unwrap();
    let blob = blob.ciphertext_blob.0;
    let good = || input(&blob, &to.key_id);
    for at in 0..blob.len() {
        let mut changed = good();
        changed.ciphertext_blob.0[at] ^= 1;
        let refusal = refused(re_encrypt(&world, changed).await);
        assert_eq!(
            refusal,
            ("InvalidCiphertextException", String::new()),
            "{at}"
        );
    }
    for len in 1..blob.len() {
        let mut short = good();
        short.ciphertext_blob.0.truncate(len);
        assert_eq!(
            refused(re_encrypt(&world, short).await).0,
            "InvalidCiphertextException"
        );
    }
    let mut long = good();
    long.ciphertext_blob.0.push(0);
    let wrong = |code: &'static str, change: &dyn Fn(&mut ReEncryptInput)| {
        let mut input = good();
        change(&mut input);
        (code, input)
    };
    let set = |word: &str| Some(word.to_owned());
    let cases = [
        ("InvalidCiphertextException", long),
        wrong("InvalidCiphertextException", &|input| {
            input.source_context = context(&[]);
        }),
        wrong("InvalidCiphertextException", &|input| {
            input.source_context = context(&[("from", "1"), ("more", "1")]);
        }),
        wrong("ValidationException", &|input| {
            input.source_context = context(&[("from", "")]);
        }),
        wrong("ValidationException", &|input| {
            input.destination_context = context(&[("", "x")]);
        }),
        wrong("ValidationException", &|input| {
            input.ciphertext_blob.0.clear();
        }),
        wrong("ValidationException", &|input| {
            input.ciphertext_blob.0 = vec![1; 6145];
        }),
        wrong("IncorrectKeyException", &|input| {
            input.source_key_id = Some(to.key_id.clone());
        }),
        wrong("NotFoundException", &|input| {
            input.source_key_id = set("alias/none");
        }),
        wrong("NotFoundException", &|input| {
            input.destination_key_id = "alias/none".to_owned();
        }),
        wrong("ValidationException", &|input| {
            input.source_algorithm = set("AES");
        }),
        wrong("ValidationException", &|input| {
            input.destination_algorithm = set("");
        }),
        wrong("InvalidKeyUsageException", &|input| {
            input.destination_context = context(&[]);
            input.destination_algorithm = set("RSAES_OAEP_SHA_256");
        }),
        wrong("ValidationException", &|input| {
            input.source_context = context(&[]);
            input.source_algorithm = set("RSAES_OAEP_SHA_256");
        }),
        wrong("DryRunOperationException", &|input| input.dry_run = true),
        wrong("ValidationException", &|input| {
            input.ignore_ciphertext = true;
        }),
        wrong("ValidationException", &|input| {
            (input.dry_run, input.ignore_ciphertext) = (true, true);
        }),
        wrong("DryRunOperationException", &|input| {
            (input.dry_run, input.ignore_ciphertext) = (true, true);
            input.ciphertext_blob.0.clear();
            input.source_key_id = Some(from.arn.clone());
        }),
    ];
    for (at, (code, input)) in cases.into_iter().enumerate() {
        assert_eq!(
            refused(re_encrypt(&world, input).await).0,
            code,
            "case {at}"
        );
    }
    assert!(re_encrypt(&world, good()).await.is_ok());
}

#[tokio::test]
async fn sec_n84_states_and_strangers() {
    let world = new_world().await;
    let (from, to) = (world.key().await, world.key().await);
    let right = context(&[("from", "1")]);
    let blob = world
        .encrypt(&from.key_id, b"secret", &right)
        .await
        .unwrap();
    let blob = blob.ciphertext_blob.0;
    let receipt = world.receipt();
    let stranger = caller_of("999988887777");
    let result = world
        .kms
        .re_encrypt(&stranger, &receipt, input(&blob, &to.key_id))
        .await;
    receipt.finish_recorded();
    let (code, message) = refused(result);
    assert_eq!(code, "AccessDeniedException");
    assert!(message.contains("kms:ReEncryptFrom"), "{message}");
    let mac = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await;
    let refusal = refused(re_encrypt(&world, input(&blob, &mac.key_id)).await);
    let message = format!(
        "{} key usage is GENERATE_VERIFY_MAC which is not valid for ReEncrypt.",
        mac.arn
    );
    assert_eq!(refusal, ("InvalidKeyUsageException", message));
    world.disable(&to.key_id).await;
    let refusal = refused(re_encrypt(&world, input(&blob, &to.key_id)).await);
    assert_eq!(
        refusal,
        ("DisabledException", format!("{} is disabled.", to.arn))
    );
    world.disable(&from.key_id).await;
    let refusal = refused(re_encrypt(&world, input(&blob, &to.key_id)).await);
    assert_eq!(
        refusal,
        ("DisabledException", format!("{} is disabled.", from.arn))
    );
}
