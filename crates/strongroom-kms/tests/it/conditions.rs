// SPDX-License-Identifier: Apache-2.0
//! Condition keys that say what a request asks for: each operation sets its own.

use serde_json::{Value, json};
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;
use strongroom_kms::{
    CiphertextBlob, CreateAliasInput, CreateKeyInput, DeriveSharedSecretInput, EncryptInput, Error,
    GenerateDataKeyPairInput, GenerateMacInput, GenerateRandomInput, Plaintext, ReEncryptInput,
    SignInput, Tag, VerifyInput, VerifyMacInput,
};

use crate::users::policy;
use crate::world::{World, context, new_world};

/// What is asked for, only to see whether it may be.
enum Wish {
    Encrypt(EncryptInput),
    ReEncrypt(ReEncryptInput),
    Pair(GenerateDataKeyPairInput),
    Sign(SignInput),
    Verify(VerifyInput),
    Mac(GenerateMacInput),
    VerifyMac(VerifyMacInput),
    Derive(DeriveSharedSecretInput),
    Create(CreateKeyInput),
    Random,
}

impl Wish {
    /// Whether the caller may.
    async fn allowed(self, world: &World, caller: &Caller) -> bool {
        let receipt = world.audit.begin(caller.facts().clone());
        let kms = &world.kms;
        let done = match self {
            Wish::Encrypt(input) => kms.encrypt(caller, &receipt, input).await.map(drop),
            Wish::ReEncrypt(input) => kms.re_encrypt(caller, &receipt, input).await.map(drop),
            Wish::Pair(input) => kms
                .generate_data_key_pair(caller, &receipt, input)
                .await
                .map(drop),
            Wish::Sign(input) => kms.sign(caller, &receipt, input).await.map(drop),
            Wish::Verify(input) => kms.verify(caller, &receipt, input).await.map(drop),
            Wish::Mac(input) => kms.generate_mac(caller, &receipt, input).await.map(drop),
            Wish::VerifyMac(input) => kms.verify_mac(caller, &receipt, input).await.map(drop),
            Wish::Derive(input) => kms
                .derive_shared_secret(caller, &receipt, input)
                .await
                .map(drop),
            Wish::Create(input) => kms.create_key(caller, &receipt, input).await.map(drop),
            Wish::Random => {
                let input = GenerateRandomInput {
                    number_of_bytes: Some(1),
                };
                kms.generate_random(caller, &receipt, input).await.map(drop)
            }
        };
        receipt.finish_recorded();
        match done {
            Ok(()) | Err(Error::DryRun) => true,
            Err(Error::AccessDenied(_)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn encrypt(key_id: &str, algorithm: &str) -> Wish {
    Wish::Encrypt(EncryptInput {
        key_id: key_id.to_owned(),
        plaintext: Plaintext::new(vec![1]),
        context: EncryptionContext::new(),
        algorithm: Some(algorithm.to_owned()),
        grant_tokens: Vec::new(),
        dry_run: true,
    })
}

fn re_encrypt(from: &str, to: &str) -> Wish {
    Wish::ReEncrypt(ReEncryptInput {
        ciphertext_blob: CiphertextBlob(Vec::new()),
        source_context: context(&[("side", "from")]),
        source_key_id: Some(from.to_owned()),
        source_algorithm: None,
        destination_key_id: to.to_owned(),
        destination_context: context(&[("side", "to")]),
        destination_algorithm: None,
        grant_tokens: Vec::new(),
        dry_run: true,
        ignore_ciphertext: true,
    })
}

fn pair(key_id: &str, spec: &str) -> Wish {
    Wish::Pair(GenerateDataKeyPairInput {
        key_id: key_id.to_owned(),
        key_pair_spec: spec.to_owned(),
        context: EncryptionContext::new(),
        grant_tokens: Vec::new(),
        dry_run: true,
    })
}

fn signed(key_id: &str, algorithm: &str, kind: &str) -> SignInput {
    SignInput {
        key_id: key_id.to_owned(),
        message: Plaintext::new(vec![1; 32]),
        message_type: Some(kind.to_owned()),
        algorithm: algorithm.to_owned(),
        grant_tokens: Vec::new(),
        dry_run: true,
    }
}

fn message(key_id: &str) -> GenerateMacInput {
    GenerateMacInput {
        key_id: key_id.to_owned(),
        message: Plaintext::new(vec![1]),
        algorithm: "HMAC_SHA_256".to_owned(),
        grant_tokens: Vec::new(),
        dry_run: true,
    }
}

/// Makes a wish, as often as it is needed.
type Make<'a> = &'a dyn Fn() -> Wish;

/// A user who may do everything under one condition.
async fn user_if(
    world: &World,
    iam: &strongroom_iam::Iam,
    name: &str,
    key: &str,
    value: &Value,
) -> Caller {
    let operator = match value {
        Value::Bool(_) => "Bool",
        Value::Array(_) => "ForAnyValue:StringEquals",
        _ => "StringEquals",
    };
    let document = policy(&json!({
        "Effect": "Allow",
        "Action": "kms:*",
        "Resource": "*",
        "Condition": { operator: { key: value } },
    }));
    world.user(iam, name, Some(&document)).await
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of requests")]
async fn requests_set_their_condition_keys() {
    let world = new_world().await;
    let iam = world.iam().await;
    let symmetric = world.key().await.key_id;
    let other = world.key().await.key_id;
    let rsa = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await.key_id;
    let signs = world.key_of("RSA_2048", "SIGN_VERIFY").await.key_id;
    let mac = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await.key_id;
    let agrees = world.key_of("ECC_NIST_P256", "KEY_AGREEMENT").await.key_id;
    let public_key = world.public_key(&agrees).await.unwrap().public_key;
    let receipt = world.receipt();
    let alias = CreateAliasInput {
        alias_name: "alias/signer".to_owned(),
        target_key_id: signs.clone(),
    };
    let made = world.kms.create_alias(&world.caller, &receipt, alias).await;
    receipt.finish_recorded();
    made.unwrap();
    let pss = || Wish::Sign(signed(&signs, "RSASSA_PSS_SHA_256", "RAW"));
    let digest = || Wish::Sign(signed(&signs, "RSASSA_PSS_SHA_256", "DIGEST"));
    let verify = || {
        Wish::Verify(VerifyInput {
            signed: signed(&signs, "RSASSA_PKCS1_V1_5_SHA_256", "DIGEST"),
            signature: vec![1],
        })
    };
    let verify_mac = || {
        Wish::VerifyMac(VerifyMacInput {
            message: message(&mac),
            mac: vec![1],
        })
    };
    let derive = || {
        Wish::Derive(DeriveSharedSecretInput {
            key_id: agrees.clone(),
            algorithm: "ECDH".to_owned(),
            public_key: public_key.clone(),
            grant_tokens: Vec::new(),
            dry_run: true,
        })
    };
    let create = || {
        Wish::Create(CreateKeyInput {
            key_spec: Some("ECC_NIST_P256".to_owned()),
            key_usage: Some("SIGN_VERIFY".to_owned()),
            origin: Some("EXTERNAL".to_owned()),
            multi_region: true,
            tags: vec![Tag {
                key: "team".to_owned(),
                value: "red".to_owned(),
            }],
            ..CreateKeyInput::default()
        })
    };
    let oaep = "RSAES_OAEP_SHA_256";
    let table: [(Make<'_>, &str, Value, Value); 22] = [
        (
            &|| encrypt(&rsa, oaep),
            "kms:EncryptionAlgorithm",
            json!(oaep),
            json!("RSAES_OAEP_SHA_1"),
        ),
        (
            &|| pair(&symmetric, "ECC_NIST_P256"),
            "kms:EncryptionAlgorithm",
            json!("SYMMETRIC_DEFAULT"),
            json!(oaep),
        ),
        (
            &|| pair(&symmetric, "ECC_NIST_P256"),
            "kms:DataKeyPairSpec",
            json!("ECC_NIST_P256"),
            json!("RSA_4096"),
        ),
        (
            &|| re_encrypt(&symmetric, &symmetric),
            "kms:ReEncryptOnSameKey",
            json!(true),
            json!(false),
        ),
        (
            &|| re_encrypt(&symmetric, &other),
            "kms:ReEncryptOnSameKey",
            json!(false),
            json!(true),
        ),
        (
            &pss,
            "kms:SigningAlgorithm",
            json!("RSASSA_PSS_SHA_256"),
            json!("RSASSA_PSS_SHA_512"),
        ),
        (&pss, "kms:MessageType", json!("RAW"), json!("DIGEST")),
        (&digest, "kms:MessageType", json!("DIGEST"), json!("RAW")),
        (
            &verify,
            "kms:SigningAlgorithm",
            json!("RSASSA_PKCS1_V1_5_SHA_256"),
            json!("RSASSA_PSS_SHA_256"),
        ),
        (&verify, "kms:MessageType", json!("DIGEST"), json!("RAW")),
        (
            &|| Wish::Mac(message(&mac)),
            "kms:MacAlgorithm",
            json!("HMAC_SHA_256"),
            json!("HMAC_SHA_512"),
        ),
        (
            &verify_mac,
            "kms:MacAlgorithm",
            json!("HMAC_SHA_256"),
            json!("HMAC_SHA_512"),
        ),
        (
            &derive,
            "kms:KeyAgreementAlgorithm",
            json!("ECDH"),
            json!("X25519"),
        ),
        (
            &|| Wish::Sign(signed("alias/signer", "RSASSA_PSS_SHA_256", "RAW")),
            "kms:RequestAlias",
            json!("alias/signer"),
            json!("alias/other"),
        ),
        (
            &create,
            "kms:KeySpec",
            json!("ECC_NIST_P256"),
            json!("RSA_2048"),
        ),
        (
            &create,
            "kms:KeyUsage",
            json!("SIGN_VERIFY"),
            json!("KEY_AGREEMENT"),
        ),
        (
            &create,
            "kms:KeyOrigin",
            json!("EXTERNAL"),
            json!("AWS_KMS"),
        ),
        (&create, "kms:MultiRegion", json!(true), json!(false)),
        (
            &create,
            "kms:MultiRegionKeyType",
            json!("PRIMARY"),
            json!("REPLICA"),
        ),
        (&create, "aws:RequestTag/team", json!("red"), json!("blue")),
        (&create, "aws:TagKeys", json!(["team"]), json!(["cost"])),
        (
            &|| Wish::Random,
            "aws:username",
            json!(""),
            json!("somebody"),
        ),
    ];
    for (at, (wish, key, right, wrong)) in table.iter().enumerate() {
        let right = match key {
            &"aws:username" => json!(format!("right{at}")),
            _ => right.clone(),
        };
        let may = user_if(&world, &iam, &format!("right{at}"), key, &right).await;
        assert!(wish().allowed(&world, &may).await, "{key} {right}");
        let may_not = user_if(&world, &iam, &format!("wrong{at}"), key, wrong).await;
        assert!(!wish().allowed(&world, &may_not).await, "{key} {wrong}");
    }
}

#[tokio::test]
async fn condition_keys_of_other_operations_are_absent() {
    let world = new_world().await;
    let iam = world.iam().await;
    let symmetric = world.key().await.key_id;
    let mac = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await.key_id;
    for (at, key) in [
        "kms:SigningAlgorithm",
        "kms:MessageType",
        "kms:DataKeyPairSpec",
        "kms:ReEncryptOnSameKey",
        "kms:KeyAgreementAlgorithm",
        "kms:RequestAlias",
    ]
    .into_iter()
    .enumerate()
    {
        let caller = user_if(&world, &iam, &format!("user{at}"), key, &json!("x")).await;
        for wish in [
            encrypt(&symmetric, "SYMMETRIC_DEFAULT"),
            Wish::Mac(message(&mac)),
        ] {
            assert!(!wish.allowed(&world, &caller).await, "{key}");
        }
    }
}

/// Names of a context have case, condition keys have none. Who may use a key for one application only
/// named that in other letters beside the one that it was for.
#[tokio::test]
async fn sec_n33_a_name_of_a_context_in_two_spellings_allows_nothing_and_denies_for_either() {
    let world = new_world().await;
    let iam = world.iam().await;
    let key = world.key().await.key_id;
    let with = |pairs: &[(&str, &str)]| {
        Wish::Encrypt(EncryptInput {
            key_id: key.clone(),
            plaintext: Plaintext::new(vec![1]),
            context: context(pairs),
            algorithm: None,
            grant_tokens: Vec::new(),
            dry_run: true,
        })
    };
    let under = |effect: &str, operator: &str, value: &str| {
        json!({
            "Effect": effect,
            "Action": "kms:Encrypt",
            "Resource": "*",
            "Condition": { operator: { "kms:EncryptionContext:app": value } },
        })
    };
    let everything = json!({ "Effect": "Allow", "Action": "kms:*", "Resource": "*" });
    let forged: [&[(&str, &str)]; 3] = [
        &[("app", "theirs"), ("APP", "mine")],
        &[("app", "mine"), ("APP", "theirs")],
        &[("App", "theirs"), ("APP", "mine"), ("aPP", "theirs")],
    ];
    let mut at = 0;
    for (operator, value) in [
        ("StringEquals", "mine"),
        ("StringNotEquals", "theirs"),
        ("StringLike", "mi*"),
        ("StringEqualsIfExists", "mine"),
        ("ForAnyValue:StringLike", "mi*"),
        ("ForAnyValue:StringNotEquals", "theirs"),
        ("ForAllValues:StringLike", "*i*"),
        ("ForAllValues:StringNotEquals", "nobody's"),
        ("Null", "false"),
    ] {
        at += 1;
        let document = policy(&under("Allow", operator, value));
        let caller = world
            .user(&iam, &format!("allow{at}"), Some(&document))
            .await;
        assert!(
            with(&[("App", "mine")]).allowed(&world, &caller).await,
            "{operator}"
        );
        for pairs in forged {
            let allowed = with(pairs).allowed(&world, &caller).await;
            assert!(!allowed, "{operator} {pairs:?}");
        }
    }
    // Whatever is denied for `theirs` alone is denied with `mine` beside it.
    for (operator, value) in [
        ("StringEquals", "theirs"),
        ("StringNotEquals", "mine"),
        ("StringNotLike", "mi*"),
        ("StringEqualsIfExists", "theirs"),
        ("ForAnyValue:StringEquals", "theirs"),
        ("ForAllValues:StringNotLike", "mi*"),
        ("ForAllValues:StringEquals", "theirs"),
    ] {
        at += 1;
        let document = policy(&json!([everything, under("Deny", operator, value)]));
        let caller = world
            .user(&iam, &format!("deny{at}"), Some(&document))
            .await;
        assert!(
            with(&[("App", "mine")]).allowed(&world, &caller).await,
            "{operator}"
        );
        assert!(
            !with(&[("app", "theirs")]).allowed(&world, &caller).await,
            "{operator}"
        );
        for pairs in forged {
            let allowed = with(pairs).allowed(&world, &caller).await;
            assert!(!allowed, "{operator} {pairs:?}");
        }
    }
    // Two spellings are no harm where no policy asks: what was encrypted so can be decrypted.
    let caller = world.user(&iam, "all", Some(&policy(&everything))).await;
    assert!(with(forged[0]).allowed(&world, &caller).await);
}

#[tokio::test]
async fn sec_n84_re_encryption_needs_both_permissions() {
    let world = new_world().await;
    let iam = world.iam().await;
    let (from, to) = (world.key().await, world.key().await);
    let on = |action: &str, resource: &str| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let bound = |action: &str, side: &str| {
        json!({
            "Effect": "Allow",
            "Action": action,
            "Resource": "*",
            "Condition": { "StringEquals": { "kms:EncryptionContext:side": side } },
        })
    };
    let (source, destination) = ("kms:ReEncryptFrom", "kms:ReEncryptTo");
    let deny = json!({ "Effect": "Deny", "Action": destination, "Resource": to.arn });
    let table = [
        (json!([on("kms:ReEncrypt*", "*")]), true),
        (
            json!([on(source, &from.arn), on(destination, &to.arn)]),
            true,
        ),
        (json!([on(source, "*")]), false),
        (json!([on(destination, "*")]), false),
        (
            json!([on(source, &to.arn), on(destination, &from.arn)]),
            false,
        ),
        (
            json!([on(source, &from.arn), on(destination, &from.arn)]),
            false,
        ),
        (
            json!([on(source, &to.arn), on(destination, &to.arn)]),
            false,
        ),
        (
            json!([on("kms:Decrypt", "*"), on("kms:Encrypt", "*")]),
            false,
        ),
        (json!([on("kms:ReEncrypt", "*")]), false),
        (json!([on("kms:*", "*"), deny]), false),
        (
            json!([bound(source, "from"), bound(destination, "to")]),
            true,
        ),
        (
            json!([bound(source, "to"), bound(destination, "to")]),
            false,
        ),
        (
            json!([bound(source, "from"), bound(destination, "from")]),
            false,
        ),
    ];
    for (at, (statements, expected)) in table.into_iter().enumerate() {
        let document = policy(&statements);
        let caller = world
            .user(&iam, &format!("user{at}"), Some(&document))
            .await;
        let wish = re_encrypt(&from.key_id, &to.key_id);
        assert_eq!(wish.allowed(&world, &caller).await, expected, "{document}");
        let event = world.last_event().await;
        assert_eq!(event["eventName"], "ReEncrypt");
        let code = if expected {
            "DryRunOperationException"
        } else {
            "AccessDenied"
        };
        assert_eq!(event["errorCode"], code);
    }
}
