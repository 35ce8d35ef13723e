// SPDX-License-Identifier: Apache-2.0
//! CreateKey and DescribeKey.

use strongroom_kms::{
    CreateKeyInput, DescribeKeyInput, Error, KeyManager, KeyMetadata, KeySpec, KeyState, KeyUsage,
    Origin, Tag,
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
    assert_eq!(made.algorithms, ["SYMMETRIC_DEFAULT"]);
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

/// Every specification, with what keys of it can be for.
const OFFERED: [(KeySpec, &[KeyUsage]); 12] = {
    use KeyUsage::{EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
    [
        (KeySpec::SymmetricDefault, &[EncryptDecrypt]),
        (KeySpec::Rsa2048, &[EncryptDecrypt, SignVerify]),
        (KeySpec::Rsa3072, &[EncryptDecrypt, SignVerify]),
        (KeySpec::Rsa4096, &[EncryptDecrypt, SignVerify]),
        (KeySpec::EccNistP256, &[SignVerify, KeyAgreement]),
        (KeySpec::EccNistP384, &[SignVerify, KeyAgreement]),
        (KeySpec::EccNistP521, &[SignVerify, KeyAgreement]),
        (KeySpec::EccNistEdwards25519, &[SignVerify]),
        (KeySpec::Hmac224, &[GenerateVerifyMac]),
        (KeySpec::Hmac256, &[GenerateVerifyMac]),
        (KeySpec::Hmac384, &[GenerateVerifyMac]),
        (KeySpec::Hmac512, &[GenerateVerifyMac]),
    ]
};

fn wanted(spec: KeySpec, usage: Option<KeyUsage>) -> CreateKeyInput {
    CreateKeyInput {
        key_spec: Some(spec.as_str().to_owned()),
        key_usage: usage.map(|usage| usage.as_str().to_owned()),
        ..CreateKeyInput::default()
    }
}

#[tokio::test]
async fn every_specification_with_every_usage() {
    let world = new_world().await;
    for (spec, usages) in OFFERED {
        for usage in KeyUsage::ALL {
            // Without material, which takes long to make and is not the question here.
            let input = CreateKeyInput {
                origin: Some("EXTERNAL".to_owned()),
                ..wanted(spec, Some(*usage))
            };
            let made = create(&world, input).await;
            if usages.contains(usage) {
                let made = made.unwrap();
                assert_eq!((made.spec, made.usage), (spec, *usage));
                assert_eq!(made.origin, Origin::External);
                assert_eq!(made.state, KeyState::PendingImport);
                assert!(!made.enabled && !made.algorithms.is_empty());
                assert_eq!(made.current_key_material_id, None);
            } else {
                let message = format!(
                    "KeyUsage {} is not compatible with KeySpec {}.",
                    usage.as_str(),
                    spec.as_str()
                );
                assert_eq!(refused(made), ("ValidationException", message));
            }
        }
        if spec != KeySpec::SymmetricDefault {
            let message = "You must specify a KeyUsage value for all KMS keys except for symmetric \
                           encryption keys.";
            let refusal = refused(create(&world, wanted(spec, None)).await);
            assert_eq!(refusal, ("ValidationException", message.to_owned()));
        }
    }
}

#[tokio::test]
async fn keys_of_every_kind_are_made() {
    let world = new_world().await;
    for (spec, usages) in OFFERED {
        let input = wanted(spec, usages.first().copied());
        let made = create(&world, input).await.unwrap();
        assert_eq!((made.spec, made.usage), (spec, usages[0]));
        assert_eq!((made.state, made.enabled), (KeyState::Enabled, true));
        let symmetric = spec == KeySpec::SymmetricDefault;
        assert_eq!(made.current_key_material_id.is_some(), symmetric);
        assert_eq!(describe(&world, &made.key_id).await.unwrap(), made);
    }
}

#[tokio::test]
async fn algorithms_of_a_key() {
    let world = new_world().await;
    for (spec, usage, algorithms) in [
        (
            "RSA_2048",
            "ENCRYPT_DECRYPT",
            "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256",
        ),
        (
            "RSA_4096",
            "SIGN_VERIFY",
            "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 \
             RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512",
        ),
        ("ECC_NIST_P256", "SIGN_VERIFY", "ECDSA_SHA_256"),
        ("ECC_NIST_P384", "SIGN_VERIFY", "ECDSA_SHA_384"),
        ("ECC_NIST_P521", "SIGN_VERIFY", "ECDSA_SHA_512"),
        ("ECC_NIST_P521", "KEY_AGREEMENT", "ECDH"),
        ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "ED25519_SHA_512"),
        ("HMAC_224", "GENERATE_VERIFY_MAC", "HMAC_SHA_224"),
        ("HMAC_512", "GENERATE_VERIFY_MAC", "HMAC_SHA_512"),
    ] {
        let input = CreateKeyInput {
            key_spec: Some(spec.to_owned()),
            key_usage: Some(usage.to_owned()),
            origin: Some("EXTERNAL".to_owned()),
            ..CreateKeyInput::default()
        };
        let made = create(&world, input).await.unwrap();
        assert_eq!(made.algorithms.join(" "), algorithms, "{spec} {usage}");
    }
}

#[tokio::test]
async fn keys_without_material_do_nothing() {
    let world = new_world().await;
    let input = CreateKeyInput {
        origin: Some("EXTERNAL".to_owned()),
        ..CreateKeyInput::default()
    };
    let made = create(&world, input).await.unwrap();
    let context = crate::world::context(&[]);
    let refusal = refused(world.encrypt(&made.key_id, b"x", &context).await);
    let message = format!("{} is pending import.", made.arn);
    assert_eq!(refusal, ("KMSInvalidStateException", message));
    assert_eq!(describe(&world, &made.key_id).await.unwrap(), made);
}

#[tokio::test]
async fn multi_region_keys_work_like_others() {
    let world = new_world().await;
    let input = CreateKeyInput {
        multi_region: true,
        ..CreateKeyInput::default()
    };
    let made = create(&world, input).await.unwrap();
    assert!(
        made.multi_region && made.key_id.starts_with("mrk-"),
        "{}",
        made.key_id
    );
    assert_eq!(made.key_id.len(), 36);
    assert_eq!(made.region, "us-east-1");
    let context = crate::world::context(&[("a", "b")]);
    let sealed = world
        .encrypt(&made.key_id, b"secret", &context)
        .await
        .unwrap();
    let blob = sealed.ciphertext_blob.0;
    let opened = world
        .decrypt(&blob, &context, Some(&made.arn))
        .await
        .unwrap();
    assert_eq!(opened.plaintext.expose_secret(), b"secret");
    assert_eq!(opened.key_arn, made.arn);
}

#[tokio::test]
async fn what_is_not_offered_is_named() {
    let world = new_world().await;
    let code = "UnsupportedOperationException";
    let other_specs = [
        "ECC_SECG_P256K1",
        "SM2",
        "ML_DSA_44",
        "ML_DSA_65",
        "ML_DSA_87",
        "ML_KEM_768",
    ];
    for spec in other_specs {
        let input = CreateKeyInput {
            key_spec: Some(spec.to_owned()),
            key_usage: Some("SIGN_VERIFY".to_owned()),
            ..CreateKeyInput::default()
        };
        let message = format!("KeySpec {spec} is not supported here.");
        assert_eq!(refused(create(&world, input).await), (code, message));
    }
    let input = CreateKeyInput {
        key_usage: Some("ENCAPSULATE_DECAPSULATE".to_owned()),
        ..CreateKeyInput::default()
    };
    assert_eq!(refused(create(&world, input).await).0, code);
    for origin in ["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"] {
        let input = CreateKeyInput {
            origin: Some(origin.to_owned()),
            ..CreateKeyInput::default()
        };
        assert_eq!(refused(create(&world, input).await).0, code);
    }
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
    for policy in ["", "[]", "{", "null"] {
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
