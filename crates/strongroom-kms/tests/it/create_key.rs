// SPDX-License-Identifier: Apache-2.0
//! CreateKey and DescribeKey.

use strongroom_kms::{
    CreateKeyInput, DescribeKeyInput, Error, KeyManager, KeyMetadata, KeyState, KeyUsage, Origin,
    Tag,
};

use crate::world::{ACCOUNT, NOON_MS, World, new_world, refused};

async fn create(world: &World, input: CreateKeyInput) -> Result<KeyMetadata, Error> {
    let receipt = world.receipt();
    let result = world.kms.create_key(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn describe(world: &World, key_id: &str) -> Result<KeyMetadata, Error> {
    let receipt = world.receipt();
    let input = DescribeKeyInput {
        key_id: key_id.to_owned(),
        grant_tokens: Vec::new(),
    };
    let result = world.kms.describe_key(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

fn tag(key: &str, value: &str) -> Tag {
    Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test]
async fn metadata_of_a_new_key() {
    let world = new_world().await;
    let input = CreateKeyInput {
        description: Some("for tests".to_owned()),
        key_usage: Some("ENCRYPT_DECRYPT".to_owned()),
        key_spec: Some("SYMMETRIC_DEFAULT".to_owned()),
        origin: Some("AWS_KMS".to_owned()),
        policy: Some(default_policy()),
        tags: vec![tag("a", "1"), tag("b", "")],
        ..CreateKeyInput::default()
    };
    let made = create(&world, input).await.unwrap();
    assert_eq!(made.account_id, ACCOUNT);
    assert_eq!(
        made.arn,
        format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{}", made.key_id)
    );
    assert_eq!(made.created_ms, NOON_MS);
    assert_eq!(made.description, "for tests");
    assert!(made.enabled && !made.multi_region);
    assert_eq!(made.state, KeyState::Enabled);
    assert_eq!(made.usage, KeyUsage::EncryptDecrypt);
    assert_eq!(made.origin, Origin::AwsKms);
    assert_eq!(made.manager, KeyManager::Customer);
    assert_eq!(made.encryption_algorithms, ["SYMMETRIC_DEFAULT"]);
    assert_eq!(made.current_key_material_id.as_ref().unwrap().len(), 64);
    assert_eq!(describe(&world, &made.key_id).await.unwrap(), made);
    assert_eq!(describe(&world, &made.arn).await.unwrap(), made);
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let world = new_world().await;
    let made = world.key().await;
    let context = crate::world::context(&[("a", "b")]);
    let blob = world
        .encrypt(&made.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    let world = world.restarted().await;
    assert_eq!(describe(&world, &made.key_id).await.unwrap(), made);
    let opened = world.decrypt(&blob, &context, None).await.unwrap();
    assert_eq!(opened.plaintext.expose_secret(), b"secret");
}

#[tokio::test]
async fn what_is_not_offered_is_named() {
    let world = new_world().await;
    let unsupported = |word: &str| (Some(word.to_owned()), "UnsupportedOperationException");
    for spec in ["RSA_2048", "ECC_NIST_P256", "HMAC_256", "SM2", "ML_DSA_65"] {
        let (key_spec, code) = unsupported(spec);
        let input = CreateKeyInput {
            key_spec,
            ..CreateKeyInput::default()
        };
        let message = format!("keySpec {spec} is not supported; supported is SYMMETRIC_DEFAULT.");
        assert_eq!(refused(create(&world, input).await), (code, message));
    }
    for usage in ["SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"] {
        let (key_usage, code) = unsupported(usage);
        let input = CreateKeyInput {
            key_usage,
            ..CreateKeyInput::default()
        };
        assert_eq!(refused(create(&world, input).await).0, code);
    }
    for origin in ["EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"] {
        let (origin, code) = unsupported(origin);
        let input = CreateKeyInput {
            origin,
            ..CreateKeyInput::default()
        };
        assert_eq!(refused(create(&world, input).await).0, code);
    }
    let input = CreateKeyInput {
        multi_region: true,
        ..CreateKeyInput::default()
    };
    assert_eq!(
        refused(create(&world, input).await).0,
        "UnsupportedOperationException"
    );
}

#[tokio::test]
async fn words_that_do_not_exist() {
    let world = new_world().await;
    let wrong = || Some("AES_512".to_owned());
    for input in [
        CreateKeyInput {
            key_spec: wrong(),
            ..CreateKeyInput::default()
        },
        CreateKeyInput {
            key_usage: wrong(),
            ..CreateKeyInput::default()
        },
        CreateKeyInput {
            origin: wrong(),
            ..CreateKeyInput::default()
        },
        CreateKeyInput {
            description: Some("x".repeat(8193)),
            ..CreateKeyInput::default()
        },
        CreateKeyInput {
            tags: vec![tag("", "v")],
            ..CreateKeyInput::default()
        },
        CreateKeyInput {
            tags: vec![tag(&"k".repeat(129), "v")],
            ..CreateKeyInput::default()
        },
        CreateKeyInput {
            tags: vec![tag("k", &"v".repeat(257))],
            ..CreateKeyInput::default()
        },
    ] {
        assert_eq!(
            refused(create(&world, input).await).0,
            "ValidationException"
        );
    }
}

#[tokio::test]
async fn tags_and_policies_that_no_key_may_have() {
    let world = new_world().await;
    let with_tags = |tags| CreateKeyInput {
        tags,
        ..CreateKeyInput::default()
    };
    let many = (0..51)
        .map(|number| tag(&format!("k{number}"), "v"))
        .collect();
    let cases = [
        (
            vec![tag("aws:x", "v")],
            "Tags beginning with aws: are reserved",
        ),
        (
            vec![tag("a", "1"), tag("b", "1"), tag("a", "2")],
            "Duplicate tag keys",
        ),
        (many, "Too many tags"),
    ];
    for (tags, message) in cases {
        let refusal = refused(create(&world, with_tags(tags)).await);
        assert_eq!(refusal, ("TagException", message.to_owned()));
    }
    for policy in [
        "",
        "[]",
        "{",
        "null",
        &format!("{{\"a\":\"{}\"}}", "x".repeat(32 * 1024)),
    ] {
        let policy = Some(policy.to_owned());
        let input = CreateKeyInput {
            policy,
            ..CreateKeyInput::default()
        };
        assert_eq!(
            refused(create(&world, input).await).0,
            "MalformedPolicyDocumentException"
        );
    }
}

fn default_policy() -> String {
    format!(
        r#"{{"Version":"2012-10-17","Id":"key-default-1","Statement":[{{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}},"Action":"kms:*","Resource":"*"}}]}}"#
    )
}

/// A policy that is stored and not enforced would be relied upon.
#[tokio::test]
async fn sec_a_key_policy_that_would_not_be_enforced_is_refused() {
    let world = new_world().await;
    let default = default_policy();
    let others = [
        r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
        r#"{"Version":"2012-10-17"}"#.to_owned(),
        default.replace("Allow", "Deny"),
        default.replace("kms:*", "kms:Decrypt"),
        default.replace(":root", ":user/alice"),
        default.replace(ACCOUNT, "999988887777"),
        default.replace(
            r#""Resource":"*""#,
            r#""Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#,
        ),
        default.replace(
            r#""Resource":"*"}"#,
            r#""Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}"#,
        ),
    ];
    for policy in others {
        let input = CreateKeyInput {
            policy: Some(policy.clone()),
            ..CreateKeyInput::default()
        };
        let code = refused(create(&world, input).await).0;
        assert_eq!(code, "UnsupportedOperationException", "{policy}");
    }
}
