// SPDX-License-Identifier: Apache-2.0
//! The ways to name a key, and the answers to names of nothing.

use strongroom_kms::{CreateAliasInput, DataKeySpec, EnableKeyInput};

use crate::world::{ACCOUNT, call, caller_of, context, new_world, refused};

const ABSENT: &str = "12345678-1234-4234-8234-123456789012";

#[tokio::test]
async fn the_four_identifiers() {
    let world = new_world().await;
    let key = world.key().await;
    let receipt = world.receipt();
    let input = CreateAliasInput {
        alias_name: "alias/mine".to_owned(),
        target_key_id: key.key_id.clone(),
    };
    world
        .kms
        .create_alias(&world.caller, &receipt, input)
        .await
        .unwrap();
    receipt.finish_recorded();
    let upper = key.key_id.to_uppercase();
    let alias_arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/mine");
    for key_id in [&key.key_id, &upper, &key.arn, "alias/mine", &alias_arn] {
        let made = world.data_key(key_id, DataKeySpec::Aes256).await.unwrap();
        assert_eq!(made.key_arn, key.arn);
    }
}

#[tokio::test]
async fn names_of_nothing() {
    let world = new_world().await;
    let absent_arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{ABSENT}");
    let other_region = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/{ABSENT}");
    let other_account = format!("arn:aws:kms:us-east-1:999999999999:key/{ABSENT}");
    let alias_arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/none");
    // The ARN of a key with the name of an alias that there is.
    let no_key_arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/alias/there");
    let target_key_id = world.key().await.key_id;
    let alias_name = "alias/there".to_owned();
    let input = CreateAliasInput {
        alias_name,
        target_key_id,
    };
    call!(world, create_alias, input).unwrap();
    let mrk = "mrk-0123456789abcdef0123456789abcdef";
    let not_found = "NotFoundException";
    let cases = [
        (
            "fake-key-id",
            not_found,
            "Invalid keyId 'fake-key-id'".to_owned(),
        ),
        (
            "12345678-1234-4234-8234-12345678901",
            not_found,
            "Invalid keyId '12345678-1234-4234-8234-12345678901'".to_owned(),
        ),
        (
            "123456781234-4234-8234-1234-56789012",
            not_found,
            "Invalid keyId '123456781234-4234-8234-1234-56789012'".to_owned(),
        ),
        (
            ABSENT,
            not_found,
            format!("Key '{absent_arn}' does not exist"),
        ),
        (
            &absent_arn,
            not_found,
            format!("Key '{absent_arn}' does not exist"),
        ),
        (
            &other_account,
            not_found,
            format!("Key '{other_account}' does not exist"),
        ),
        (&other_region, not_found, "Invalid arn eu-west-1".to_owned()),
        (
            mrk,
            not_found,
            format!("Key 'arn:aws:kms:us-east-1:{ACCOUNT}:key/{mrk}' does not exist"),
        ),
        (
            "alias/none",
            not_found,
            format!("Alias {alias_arn} is not found."),
        ),
        (
            &alias_arn,
            not_found,
            format!("Alias {alias_arn} is not found."),
        ),
        (
            "arn:aws:s3:::b",
            "InvalidArnException",
            "Invalid arn arn:aws:s3:::b".to_owned(),
        ),
        (
            &no_key_arn,
            not_found,
            format!("Invalid keyId '{no_key_arn}'"),
        ),
        ("arn:", "InvalidArnException", "Invalid arn arn:".to_owned()),
        (
            "arn:aws:kms:us-east-1:1:grant/x",
            "InvalidArnException",
            "Invalid arn arn:aws:kms:us-east-1:1:grant/x".to_owned(),
        ),
    ];
    for (key_id, code, message) in cases {
        let refusal = refused(world.data_key(key_id, DataKeySpec::Aes256).await);
        assert_eq!(refusal, (code, message));
        let refusal = refused(world.encrypt(key_id, b"x", &context(&[])).await);
        assert_eq!(refusal.0, code);
    }
    for key_id in ["", &"k".repeat(2049)] {
        let refusal = refused(world.data_key(key_id, DataKeySpec::Aes256).await);
        assert_eq!(refusal.0, "ValidationException");
    }
}

#[tokio::test]
async fn operations_that_manage_keys_take_no_alias() {
    let world = new_world().await;
    let receipt = world.receipt();
    let input = EnableKeyInput {
        key_id: "alias/mine".to_owned(),
    };
    let refusal = refused(world.kms.enable_key(&world.caller, &receipt, input).await);
    receipt.finish_recorded();
    assert_eq!(
        refusal,
        ("NotFoundException", "Invalid keyId 'alias/mine'".to_owned())
    );
}

#[tokio::test]
async fn caller_of_another_account() {
    let mut world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let blob = world
        .encrypt(&key.key_id, b"x", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    world.caller = caller_of("999999999999");
    let (code, message) = refused(world.encrypt(&key.key_id, b"x", &context).await);
    assert_eq!(code, "AccessDeniedException");
    assert_eq!(
        message,
        format!(
            "User: arn:aws:iam::999999999999:root is not authorized to perform: kms:Encrypt on \
             resource: {} because no resource-based policy allows the kms:Encrypt action",
            key.arn
        )
    );
    assert_eq!(
        refused(world.decrypt(&blob, &context, None).await).0,
        "AccessDeniedException"
    );
    let event = world.last_event().await;
    assert_eq!(event["errorCode"], "AccessDenied");
}
