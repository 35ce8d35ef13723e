// SPDX-License-Identifier: Apache-2.0
//! The cases, acted out on a key service.

#![allow(clippy::too_many_lines, reason = "a table of operations")]

use std::collections::BTreeMap;

use strongroom_format::EncryptionContext;
use strongroom_iam::{Caller, Iam};
use strongroom_kms::{
    CiphertextBlob, CreateAliasInput, CreateGrantInput, CreateKeyInput, DecryptInput,
    DescribeKeyInput, EncryptInput, Error, GenerateDataKeyInput, GenerateMacInput,
    GetKeyPolicyInput, ListGrantsInput, Plaintext, ReEncryptInput, RevokeGrantInput, Tag,
    VerifyMacInput,
};

use super::model::{
    ALIAS, Actor, Constraint, KEYS, MAC_KEY, OPERATIONS, Outcome, Pairs, REUSED, Request, Setup,
    TAGGED_KEY, Token, USERS, document, takes_alias,
};
use crate::users::{root_arn, user_arn};
use crate::world::{World, call, new_world_in_memory};

/// A world with everything that a set-up says.
pub(super) struct Stage {
    world: World,
    iam: Iam,
    scene: Scene,
}

/// What one set-up has made.
#[derive(Default)]
struct Scene {
    arns: Vec<String>,
    callers: Vec<Caller>,
    blobs: BTreeMap<(usize, Pairs), Vec<u8>>,
    mac: Vec<u8>,
    tokens: Vec<String>,
}

impl Stage {
    pub(super) async fn new(setup: &Setup) -> Stage {
        let world = new_world_in_memory().await;
        let iam = world.iam().await;
        for name in USERS {
            world.user(&iam, name, None).await;
        }
        let mut stage = Stage {
            world,
            iam,
            scene: Scene::default(),
        };
        stage.scene = stage.set(setup).await;
        stage
    }

    /// Sets everything up.
    async fn set(&self, setup: &Setup) -> Scene {
        let Stage { world, iam, .. } = self;
        let mut arns = Vec::new();
        for key in 0..KEYS {
            let mut input = CreateKeyInput::default();
            if key == MAC_KEY {
                input.key_spec = Some("HMAC_256".to_owned());
                input.key_usage = Some("GENERATE_VERIFY_MAC".to_owned());
            }
            if key == TAGGED_KEY {
                let tag = |key: &str, value: &str| Tag {
                    key: key.to_owned(),
                    value: value.to_owned(),
                };
                input.tags = vec![tag("team", "red")];
            }
            arns.push(call!(world, create_key, input).unwrap().arn);
        }
        let alias_name = ALIAS.to_owned();
        let target_key_id = arns[TAGGED_KEY].clone();
        call!(
            world,
            create_alias,
            CreateAliasInput {
                alias_name,
                target_key_id
            }
        )
        .unwrap();
        let mut scene = Scene {
            blobs: self.blobs(&arns).await,
            mac: call!(
                world,
                generate_mac,
                mac_input(&arns[MAC_KEY], Vec::new(), false)
            )
            .unwrap()
            .mac,
            tokens: Vec::new(),
            callers: Vec::new(),
            arns,
        };
        for grant in &setup.grants {
            let input = CreateGrantInput {
                key_id: scene.arns[grant.key].clone(),
                grantee_principal: match grant.to {
                    Actor::Root => root_arn(),
                    Actor::User(user) => user_arn(USERS[user]),
                },
                ..grant_input(&grant.operations, &grant.constraint)
            };
            let made = call!(world, create_grant, input).unwrap();
            if grant.revoked {
                let key_id = scene.arns[grant.key].clone();
                let input = RevokeGrantInput {
                    key_id,
                    grant_id: made.grant_id,
                    dry_run: false,
                };
                call!(world, revoke_grant, input).unwrap();
            }
            scene.tokens.push(made.grant_token);
        }
        let ids = USERS.map(|name| iam.unique_id(&user_arn(name)).unwrap());
        for (key, statements) in setup.key_policies.iter().enumerate() {
            // A document has at least one statement; this one allows nothing.
            let text = if statements.is_empty() {
                NOTHING.to_owned()
            } else {
                document(statements, &ids, &scene.arns)
            };
            world.put_policy(&scene.arns[key], &text).await;
        }
        iam.remove_user(world.receipt(), USERS[REUSED])
            .await
            .unwrap();
        world.user(iam, USERS[REUSED], None).await;
        for (name, policy) in USERS.into_iter().zip(&setup.identity) {
            if let Some(policy) = policy {
                let text = document(policy, &ids, &scene.arns);
                iam.set_user_policy(world.receipt(), name, &text)
                    .await
                    .unwrap();
            } else {
                let _there_may_be_none = iam.remove_user_policy(world.receipt(), name).await;
            }
            scene.callers.push(world.as_user(iam, name));
        }
        scene
    }

    /// Something to decrypt, under each symmetric key and context.
    async fn blobs(&self, arns: &[String]) -> BTreeMap<(usize, Pairs), Vec<u8>> {
        let mut blobs = BTreeMap::new();
        for (key, arn) in arns.iter().enumerate().take(MAC_KEY) {
            for dept in [None, Some("a"), Some("b"), Some("ann")] {
                for proj in [None, Some("x"), Some("y")] {
                    let pairs = [("dept", dept), ("proj", proj)];
                    let pairs: Pairs = pairs
                        .into_iter()
                        .filter_map(|(name, v)| Some((name, v?)))
                        .collect();
                    let sealed = self.world.encrypt(arn, &[7; 32], &context(&pairs)).await;
                    blobs.insert((key, pairs), sealed.unwrap().ciphertext_blob.0);
                }
            }
        }
        blobs
    }

    pub(super) async fn ask(&self, request: &Request) -> Outcome {
        let Stage { world, scene, .. } = self;
        let caller = match request.actor {
            Actor::Root => &world.caller,
            Actor::User(user) => &scene.callers[user],
        };
        let kms = &world.kms;
        let begun = world.audit.begin(caller.facts().clone());
        let receipt = &begun;
        let arn = |key: usize| {
            let by_alias = request.by_alias && key == TAGGED_KEY && takes_alias(request.operation);
            if by_alias {
                ALIAS.to_owned()
            } else {
                scene.arns[key].clone()
            }
        };
        let key_id = arn(request.key);
        let grant_tokens = match request.token {
            Token::None => Vec::new(),
            Token::Of(grant) => vec![scene.tokens[grant].clone()],
            Token::MadeUp => vec!["bm90IGEgdG9rZW4".to_owned()],
        };
        let dry_run = request.dry_run;
        let context = context(&request.context);
        let blob = || scene.blobs[&(request.key, request.context.clone())].clone();
        let data_key = || GenerateDataKeyInput {
            key_id: key_id.clone(),
            spec: strongroom_kms::DataKeySpec::Aes256,
            context: context.clone(),
            grant_tokens: grant_tokens.clone(),
            dry_run,
        };
        let mac = || mac_input(&key_id, grant_tokens.clone(), dry_run);
        let result = match request.operation {
            "Encrypt" => {
                let input = EncryptInput {
                    key_id,
                    plaintext: Plaintext::new(b"plain".to_vec()),
                    context,
                    algorithm: None,
                    grant_tokens,
                    dry_run,
                };
                kms.encrypt(caller, receipt, input).await.map(drop)
            }
            "Decrypt" => {
                let input = DecryptInput {
                    ciphertext_blob: CiphertextBlob(blob()),
                    context,
                    key_id: None,
                    algorithm: None,
                    grant_tokens,
                    dry_run,
                    ignore_ciphertext: false,
                };
                kms.decrypt(caller, receipt, input).await.map(drop)
            }
            "ReEncrypt" => {
                let input = ReEncryptInput {
                    ciphertext_blob: CiphertextBlob(blob()),
                    source_context: context.clone(),
                    source_key_id: None,
                    source_algorithm: None,
                    destination_key_id: arn(request.other),
                    destination_context: context,
                    destination_algorithm: None,
                    grant_tokens,
                    dry_run,
                    ignore_ciphertext: false,
                };
                kms.re_encrypt(caller, receipt, input).await.map(drop)
            }
            "GenerateDataKey" => kms
                .generate_data_key(caller, receipt, data_key())
                .await
                .map(drop),
            "GenerateDataKeyWithoutPlaintext" => kms
                .generate_data_key_without_plaintext(caller, receipt, data_key())
                .await
                .map(drop),
            "S3GenerateDataKey" => kms
                .generate_data_key_for_s3(caller, receipt, Some(&key_id), &context)
                .await
                .map(drop),
            "S3Decrypt" => kms
                .decrypt_for_s3(caller, receipt, &blob(), &context)
                .await
                .map(drop),
            "GenerateMac" => kms.generate_mac(caller, receipt, mac()).await.map(drop),
            "VerifyMac" => {
                let input = VerifyMacInput {
                    message: mac(),
                    mac: scene.mac.clone(),
                };
                kms.verify_mac(caller, receipt, input).await.map(drop)
            }
            "DescribeKey" => {
                let input = DescribeKeyInput {
                    key_id,
                    grant_tokens,
                };
                kms.describe_key(caller, receipt, input).await.map(drop)
            }
            "GetKeyPolicy" => {
                let input = GetKeyPolicyInput {
                    key_id,
                    policy_name: None,
                };
                kms.get_key_policy(caller, receipt, input).await.map(drop)
            }
            "ListGrants" => {
                let input = ListGrantsInput {
                    key_id,
                    ..ListGrantsInput::default()
                };
                kms.list_grants(caller, receipt, input).await.map(drop)
            }
            "CreateGrant" => {
                let (operations, constraint) = &request.wanted;
                let input = CreateGrantInput {
                    key_id,
                    grantee_principal: root_arn(),
                    grant_tokens,
                    dry_run,
                    ..grant_input(operations, constraint)
                };
                kms.create_grant(caller, receipt, input).await.map(drop)
            }
            other => panic!("{other}"),
        };
        begun.finish_recorded();
        outcome(result, dry_run, scene)
    }
}

fn outcome(result: Result<(), Error>, dry_run: bool, scene: &Scene) -> Outcome {
    match result {
        Ok(()) => Outcome::Allowed,
        Err(Error::DryRun) if dry_run => Outcome::Allowed,
        Err(Error::InvalidGrantToken) => Outcome::BadToken,
        Err(Error::AccessDenied(denied)) => {
            let why = denied.why();
            let rule = [
                super::model::NO_IDENTITY,
                super::model::NO_RESOURCE,
                super::model::IDENTITY_DENIES,
                super::model::RESOURCE_DENIES,
            ];
            let rule = rule.into_iter().find(|rule| why.starts_with(rule)).unwrap();
            let key = scene
                .arns
                .iter()
                .position(|arn| *arn == denied.resource)
                .unwrap();
            Outcome::Denied(denied.action, key, rule)
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn context(pairs: &Pairs) -> EncryptionContext {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, *value)).collect();
    crate::world::context(&pairs)
}

fn mac_input(key_id: &str, grant_tokens: Vec<String>, dry_run: bool) -> GenerateMacInput {
    GenerateMacInput {
        key_id: key_id.to_owned(),
        message: Plaintext::new(b"message".to_vec()),
        algorithm: "HMAC_SHA_256".to_owned(),
        grant_tokens,
        dry_run,
    }
}

fn grant_input(operations: &[&str], constraint: &Constraint) -> CreateGrantInput {
    let owned = |pairs: &Pairs| {
        let pairs = pairs.iter();
        Some(
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    };
    let (context_equals, context_subset) = match constraint {
        Constraint::None => (None, None),
        Constraint::Equals(pairs) => (owned(pairs), None),
        Constraint::Subset(pairs) => (None, owned(pairs)),
    };
    CreateGrantInput {
        operations: operations.iter().map(|op| (*op).to_owned()).collect(),
        context_equals,
        context_subset,
        ..CreateGrantInput::default()
    }
}

const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
    "Principal":{"Service":"nothing.amazonaws.com"},"Action":"kms:*","Resource":"*"}}"#;
const _: () = assert!(!OPERATIONS.is_empty());
