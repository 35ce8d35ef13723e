// SPDX-License-Identifier: Apache-2.0
//! Who may use a key: key policy, identity policies, grants, and what overrules what.

#![allow(
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of decisions: many columns, many rows, names as close as the things"
)]

use serde_json::{Value, json};
use strongroom_iam::{Caller, Conditions};
use strongroom_kms::CreateAliasInput;

use crate::users::{
    ALL_OF_KMS, NOTHING_OF_KMS, allowed, delegation, denial, grant_to, policy, root_arn, statement,
    user_arn,
};
use crate::world::{ACCOUNT, REGION, World, caller_of, context, new_world};

const NO_IDENTITY: &str = "because no identity-based policy allows the kms:Encrypt action";
const NO_RESOURCE: &str = "because no resource-based policy allows the kms:Encrypt action";
const IDENTITY_DENIES: &str = "with an explicit deny in an identity-based policy";
const RESOURCE_DENIES: &str = "with an explicit deny in a resource-based policy";

async fn encrypt(world: &World, caller: &Caller, key_id: &str) -> String {
    match world.encrypt_as(caller, key_id, &context(&[]), &[]).await {
        Ok(_) => "ok".to_owned(),
        refused => denial(refused),
    }
}

/// principal x key policy x identity policy x grant.
#[tokio::test]
async fn sec_n27_n36_the_table_of_decisions() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = json!({ "AWS": user_arn("ann") });
    let bob = json!({ "AWS": user_arn("bob") });
    let everyone = json!("*");
    world.user(&iam, "bob", None).await;
    world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let deny = policy(&json!([
        { "Effect": "Allow", "Action": "kms:*", "Resource": "*" },
        { "Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*" },
    ]));
    let identities = [
        ("all", Some(ALL_OF_KMS)),
        ("none", Some(NOTHING_OF_KMS)),
        ("deny", Some(deny.as_str())),
        ("full", None),
    ];
    let delegates = [delegation()];
    let direct = [statement("Allow", &ann, "kms:*")];
    let to_bob = [statement("Allow", &bob, "kms:*")];
    let to_all = [statement("Allow", &everyone, "kms:Encrypt")];
    let other_action = [statement("Allow", &ann, "kms:Decrypt")];
    let forbids = [delegation(), statement("Deny", &ann, "kms:Encrypt")];
    let forbids_all = [delegation(), statement("Deny", &everyone, "kms:En*")];
    let forbids_bob = [delegation(), statement("Deny", &bob, "kms:*")];
    // Key policy; then without a grant for each identity policy; then with one.
    let id = [NO_IDENTITY, IDENTITY_DENIES];
    let table: [(&str, &[Value], [&str; 4], [&str; 4]); 8] = [
        (
            "delegates",
            &delegates,
            ["ok", id[0], id[1], "ok"],
            ["ok", "ok", id[1], "ok"],
        ),
        (
            "direct",
            &direct,
            ["ok", "ok", id[1], "ok"],
            ["ok", "ok", id[1], "ok"],
        ),
        (
            "to bob",
            &to_bob,
            [NO_RESOURCE, NO_RESOURCE, id[1], NO_RESOURCE],
            ["ok", "ok", id[1], "ok"],
        ),
        (
            "to all",
            &to_all,
            ["ok", "ok", id[1], "ok"],
            ["ok", "ok", id[1], "ok"],
        ),
        (
            "another action",
            &other_action,
            [NO_RESOURCE, NO_RESOURCE, id[1], NO_RESOURCE],
            ["ok", "ok", id[1], "ok"],
        ),
        (
            "forbids",
            &forbids,
            [RESOURCE_DENIES; 4],
            [RESOURCE_DENIES; 4],
        ),
        (
            "forbids all",
            &forbids_all,
            [RESOURCE_DENIES; 4],
            [RESOURCE_DENIES; 4],
        ),
        (
            "forbids bob",
            &forbids_bob,
            ["ok", id[0], id[1], "ok"],
            ["ok", "ok", id[1], "ok"],
        ),
    ];
    for with_grant in [false, true] {
        let key = world.key().await;
        if with_grant {
            let grant = grant_to(&key.key_id, "ann", &["Encrypt"]);
            world.grant_as(&world.caller, grant).await.unwrap();
        }
        for (name, statements, without, with) in &table {
            world.reset_policy(&key.key_id, statements).await;
            for ((identity, document), expected) in
                identities
                    .iter()
                    .zip(if with_grant { with } else { without })
            {
                set_identity(&world, &iam, *document).await;
                let ann = world.as_user(&iam, "ann");
                let outcome = encrypt(&world, &ann, &key.key_id).await;
                assert_eq!(
                    outcome, *expected,
                    "{name}, {identity}, grant: {with_grant}"
                );
            }
        }
    }
}

impl World {
    /// Sets a policy through the row's owner, whatever the policy before allows.
    async fn reset_policy(&self, key_id: &str, statements: &[Value]) {
        let mut statements = statements.to_vec();
        // Root is to be able to set the next one.
        let root = json!({ "AWS": root_arn() });
        statements.push(statement("Allow", &root, "kms:PutKeyPolicy"));
        self.put_policy(key_id, &policy(&json!(statements))).await;
    }
}

async fn set_identity(world: &World, iam: &strongroom_iam::Iam, document: Option<&str>) {
    if let Some(document) = document {
        let set = iam.set_user_policy(world.receipt(), "ann", document);
        set.await.unwrap();
    } else {
        let removed = iam.remove_user_policy(world.receipt(), "ann");
        removed.await.unwrap();
    }
}

#[tokio::test]
async fn denials_have_the_words_of_aws() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let refused = world
        .encrypt_as(&ann, &key.key_id, &context(&[]), &[])
        .await;
    let message = refused.unwrap_err().to_string();
    let expected = format!(
        "User: {} is not authorized to perform: kms:Encrypt on resource: {} because no \
         identity-based policy allows the kms:Encrypt action",
        user_arn("ann"),
        key.arn
    );
    assert_eq!(message, expected);
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "Encrypt");
    assert_eq!(event["errorCode"], "AccessDenied");
    assert_eq!(event["errorMessage"], expected);
    assert_eq!(event["resources"][0]["ARN"], key.arn);
    assert_eq!(event["userIdentity"]["userName"], "ann");
}

#[tokio::test]
async fn sec_n35_principals() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let (star, stars) = (json!("*"), json!({ "AWS": "*" }));
    let list = json!({ "AWS": ["*", user_arn("ann")] });
    let account = json!({ "AWS": ACCOUNT });
    let root = json!({ "AWS": root_arn() });
    let service = json!({ "Service": "s3.amazonaws.com" });
    for (principal, expected) in [
        (&star, "ok"),
        (&stars, "ok"),
        (&list, "ok"),
        (&account, NO_IDENTITY),
        (&root, NO_IDENTITY),
        (&service, NO_RESOURCE),
    ] {
        let statement = statement("Allow", principal, "kms:Encrypt");
        world.reset_policy(&key.key_id, &[statement]).await;
        assert_eq!(
            encrypt(&world, &ann, &key.key_id).await,
            expected,
            "{principal}"
        );
        // A root of another account is nobody here.
        let foreign = caller_of("999988887777");
        let outcome = encrypt(&world, &foreign, &key.key_id).await;
        let open = principal == &star || principal == &stars || principal == &list;
        assert_eq!(outcome == "ok", open, "{principal}");
    }
}

#[tokio::test]
async fn the_account_of_a_caller_is_his_own_and_not_that_of_the_key() {
    let world = new_world().await;
    let key = world.key().await;
    let other = "999988887777";
    let callers = [caller_of(ACCOUNT), caller_of(other)];
    for (effect, named, expected) in [
        ("Allow", ACCOUNT, [true, false]),
        ("Allow", other, [false, true]),
        ("Deny", ACCOUNT, [false, true]),
        ("Deny", other, [true, false]),
    ] {
        let mut about = statement(effect, &json!("*"), "kms:Encrypt");
        about["Condition"] = json!({ "StringEquals": { "kms:CallerAccount": named } });
        let open = statement("Allow", &json!("*"), "kms:Encrypt");
        let statements = match effect {
            "Deny" => vec![open, about],
            _ => vec![about],
        };
        world.reset_policy(&key.key_id, &statements).await;
        for (caller, expected) in callers.iter().zip(expected) {
            let outcome = encrypt(&world, caller, &key.key_id).await;
            assert_eq!(outcome == "ok", expected, "{effect} {named} {caller:?}");
        }
    }
}

/// A key policy named ann; ann was removed, and another one got her name.
#[tokio::test]
async fn sec_n35_a_key_policy_does_not_pass_to_the_next_user_of_a_name() {
    let world = new_world().await;
    let iam = world.iam().await;
    let first = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let ann = json!({ "AWS": user_arn("ann") });
    world
        .reset_policy(&key.key_id, &[statement("Allow", &ann, "kms:Encrypt")])
        .await;
    world
        .grant_as(&world.caller, grant_to(&key.key_id, "ann", &["Decrypt"]))
        .await
        .unwrap_err();
    world
        .reset_policy(
            &key.key_id,
            &[delegation(), statement("Allow", &ann, "kms:Encrypt")],
        )
        .await;
    world
        .grant_as(
            &world.caller,
            grant_to(&key.key_id, "ann", &["DescribeKey"]),
        )
        .await
        .unwrap();
    assert_eq!(encrypt(&world, &first, &key.key_id).await, "ok");
    world.describe_as(&first, &key.key_id).await.unwrap();
    iam.remove_user(world.receipt(), "ann").await.unwrap();
    let second = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    assert_eq!(second.arn(), first.arn());
    assert_eq!(encrypt(&world, &second, &key.key_id).await, NO_IDENTITY);
    assert!(!allowed(&world.describe_as(&second, &key.key_id).await));
    drop(iam);
    let world = world.restarted().await;
    let iam = world.iam().await;
    let second = world.as_user(&iam, "ann");
    assert_eq!(encrypt(&world, &second, &key.key_id).await, NO_IDENTITY);
    assert!(!allowed(&world.describe_as(&second, &key.key_id).await));
}

#[tokio::test]
async fn sec_n28_not_action_and_not_principal() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    // Everything but deletion is denied to everyone but ann (and root).
    let deny = json!({ "Effect": "Deny", "NotPrincipal": { "AWS": [user_arn("ann"), root_arn()] },
        "NotAction": "kms:ScheduleKeyDeletion", "Resource": "*" });
    world.reset_policy(&key.key_id, &[delegation(), deny]).await;
    assert_eq!(encrypt(&world, &ann, &key.key_id).await, "ok");
    assert_eq!(encrypt(&world, &bob, &key.key_id).await, RESOURCE_DENIES);
    let allow = json!({ "Effect": "Allow", "Principal": "*", "NotAction": "kms:Encrypt",
        "Resource": "*" });
    world.reset_policy(&key.key_id, &[allow]).await;
    assert_eq!(encrypt(&world, &ann, &key.key_id).await, NO_RESOURCE);
    assert!(allowed(&world.describe_as(&bob, &key.key_id).await));
}

#[tokio::test]
async fn sec_n38_the_service_is_not_what_a_client_says() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    let service = format!("s3.{REGION}.amazonaws.com");
    let via_s3 = json!({ "Effect": "Allow", "Principal": { "AWS": root_arn() },
        "Action": "kms:*", "Resource": "*",
        "Condition": { "StringEquals": { "kms:ViaService": service } } });
    world.reset_policy(&key.key_id, &[via_s3]).await;
    // What an adapter takes from a request, and the context that a client sends, are no door.
    let claims = vec![
        ("kms:ViaService", service.clone()),
        ("aws:ViaAWSService", "true".to_owned()),
    ];
    let liar = ann.clone().with_conditions(Conditions {
        always: claims.clone(),
        of_writes: claims,
    });
    for caller in [&ann, &liar] {
        let in_context = context(&[("kms:ViaService", service.as_str())]);
        let refused = world
            .encrypt_as(caller, &key.key_id, &in_context, &[])
            .await;
        assert_eq!(denial(refused), NO_RESOURCE);
    }
    let receipt = world.receipt();
    let through_s3 = world
        .kms
        .generate_data_key_for_s3(&ann, &receipt, Some(&key.key_id), &context(&[("a", "b")]))
        .await;
    receipt.finish_recorded();
    through_s3.unwrap();
}

#[tokio::test]
async fn sec_n39_addresses() {
    let world = new_world().await;
    let iam = world.iam().await;
    world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    let from = |range: &str| {
        json!({ "Effect": "Allow", "Principal": { "AWS": root_arn() }, "Action": "kms:*",
            "Resource": "*", "Condition": { "IpAddress": { "aws:SourceIp": range } } })
    };
    let not_from = json!({ "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt",
        "Resource": "*", "Condition": { "NotIpAddress": { "aws:SourceIp": "203.0.113.0/24" } } });
    let fence = [delegation(), not_from];
    for (address, inside) in [
        ("203.0.113.9", true),
        ("::ffff:203.0.113.9", true),
        ("203.0.114.9", false),
        ("::ffff:203.0.114.9", false),
        ("2001:db8::1", false),
        ("", false),
        ("not an address", false),
        ("203.0.113.9, 10.0.0.1", false),
    ] {
        let mut facts = world.caller.facts().clone();
        address.clone_into(&mut facts.source_ip);
        facts.user_agent = "X-Forwarded-For: 203.0.113.9".to_owned();
        let ann = strongroom_iam::dangerous_user_for_tests(&iam, facts, "ann").unwrap();
        world
            .reset_policy(&key.key_id, &[from("203.0.113.0/24")])
            .await;
        let expected = if inside { "ok" } else { NO_RESOURCE };
        assert_eq!(
            encrypt(&world, &ann, &key.key_id).await,
            expected,
            "{address}"
        );
        world.reset_policy(&key.key_id, &fence).await;
        let expected = if inside { "ok" } else { RESOURCE_DENIES };
        assert_eq!(
            encrypt(&world, &ann, &key.key_id).await,
            expected,
            "{address}"
        );
    }
}

/// A statement that allows encryption under one condition.
fn only_if(operator: &str, key: &str, value: &Value) -> Value {
    json!({ "Effect": "Allow", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
        "Condition": { operator: { key: value } } })
}

#[tokio::test]
async fn condition_keys_of_a_key_and_a_request() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    for name in ["alias/one", "alias/two"] {
        let input = CreateAliasInput {
            alias_name: name.to_owned(),
            target_key_id: key.key_id.clone(),
        };
        let receipt = world.receipt();
        world
            .kms
            .create_alias(&world.caller, &receipt, input)
            .await
            .unwrap();
        receipt.finish_recorded();
    }
    let string = "StringEquals";
    let any = "ForAnyValue:StringEquals";
    let all = "ForAllValues:StringEquals";
    for (operator, name, value, by_id, by_alias) in [
        (string, "kms:CallerAccount", json!(ACCOUNT), true, true),
        (
            string,
            "kms:CallerAccount",
            json!("999988887777"),
            false,
            false,
        ),
        (
            string,
            "kms:KeySpec",
            json!("SYMMETRIC_DEFAULT"),
            true,
            true,
        ),
        (string, "kms:KeySpec", json!("RSA_2048"), false, false),
        (string, "kms:KeyUsage", json!("ENCRYPT_DECRYPT"), true, true),
        (string, "kms:KeyOrigin", json!("AWS_KMS"), true, true),
        (string, "kms:KeyOrigin", json!("EXTERNAL"), false, false),
        ("Bool", "kms:MultiRegion", json!("false"), true, true),
        ("Bool", "kms:MultiRegion", json!("true"), false, false),
        (
            string,
            "kms:EncryptionAlgorithm",
            json!("SYMMETRIC_DEFAULT"),
            true,
            true,
        ),
        (string, "kms:RequestAlias", json!("alias/one"), false, true),
        (string, "kms:RequestAlias", json!("alias/two"), false, false),
        (any, "kms:ResourceAliases", json!("alias/two"), true, true),
        (
            any,
            "kms:ResourceAliases",
            json!("alias/three"),
            false,
            false,
        ),
        (
            string,
            "kms:EncryptionContext:purpose",
            json!("test"),
            true,
            true,
        ),
        (
            string,
            "kms:EncryptionContext:purpose",
            json!("Test"),
            false,
            false,
        ),
        (
            string,
            "kms:EncryptionContext:other",
            json!("test"),
            false,
            false,
        ),
        (
            any,
            "kms:EncryptionContextKeys",
            json!("purpose"),
            true,
            true,
        ),
        (
            all,
            "kms:EncryptionContextKeys",
            json!(["purpose", "x"]),
            true,
            true,
        ),
        (all, "kms:EncryptionContextKeys", json!(["x"]), false, false),
        ("Bool", "aws:ViaAWSService", json!("false"), true, true),
        (string, "aws:username", json!("ann"), true, true),
        (string, "aws:ResourceAccount", json!(ACCOUNT), true, true),
        ("Null", "kms:ViaService", json!("true"), true, true),
        ("Null", "aws:ResourceTag/team", json!("false"), false, false),
        (
            "DateGreaterThan",
            "aws:CurrentTime",
            json!("2026-01-01T00:00:00Z"),
            true,
            true,
        ),
        (
            "DateLessThan",
            "aws:CurrentTime",
            json!("2026-01-01T00:00:00Z"),
            false,
            false,
        ),
    ] {
        let statement = only_if(operator, name, &value);
        world.reset_policy(&key.key_id, &[statement]).await;
        for (key_id, expected) in [(key.key_id.as_str(), by_id), ("alias/one", by_alias)] {
            let context = context(&[("purpose", "test")]);
            let outcome = world.encrypt_as(&ann, key_id, &context, &[]).await;
            assert_eq!(
                allowed(&outcome),
                expected,
                "{operator} {name} {value} {key_id}"
            );
        }
    }
}

#[tokio::test]
async fn aliases_are_resources_of_their_own() {
    let world = new_world().await;
    let iam = world.iam().await;
    let key = world.key().await;
    let arn = |alias: &str| format!("arn:aws:kms:{REGION}:{ACCOUNT}:{alias}");
    let create = |caller: Caller, name: &str| {
        let input = CreateAliasInput {
            alias_name: name.to_owned(),
            target_key_id: key.key_id.clone(),
        };
        let world = &world;
        async move {
            let receipt = world.audit.begin(caller.facts().clone());
            let result = world.kms.create_alias(&caller, &receipt, input).await;
            receipt.finish_recorded();
            result
        }
    };
    let on = |resources: &[String]| {
        policy(&json!({ "Effect": "Allow", "Action": "kms:*Alias", "Resource": resources }))
    };
    let alias_only = on(&[arn("alias/app/*")]);
    let key_only = on(std::slice::from_ref(&key.arn));
    let both = on(&[arn("alias/app/*"), key.arn.clone()]);
    let ann = world.user(&iam, "ann", Some(&alias_only)).await;
    let bob = world.user(&iam, "bob", Some(&key_only)).await;
    let eve = world.user(&iam, "eve", Some(&both)).await;
    let why = "because no identity-based policy allows the kms:CreateAlias action";
    assert_eq!(denial(create(ann.clone(), "alias/app/a").await), why);
    assert_eq!(denial(create(bob.clone(), "alias/app/b").await), why);
    assert_eq!(denial(create(eve.clone(), "alias/other").await), why);
    create(eve.clone(), "alias/app/c").await.unwrap();
    for (caller, may) in [(&ann, false), (&bob, false), (&eve, true)] {
        let input = strongroom_kms::DeleteAliasInput {
            alias_name: "alias/app/c".to_owned(),
        };
        let receipt = world.audit.begin(caller.facts().clone());
        let result = world.kms.delete_alias(caller, &receipt, input).await;
        receipt.finish_recorded();
        assert_eq!(allowed(&result), may, "{}", caller.arn());
    }
}

/// The key of S3 is for everyone of the account, through S3 only.
#[tokio::test]
async fn sec_the_key_of_s3_is_used_through_s3_only() {
    let world = new_world().await;
    let iam = world.iam().await;
    let nothing = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let deny = policy(&json!({ "Effect": "Deny", "Action": "kms:*", "Resource": "*" }));
    let denied = world.user(&iam, "bob", Some(&deny)).await;
    let full = world.user(&iam, "eve", None).await;
    let context = context(&[("aws:s3:arn", "arn:aws:s3:::b/k")]);
    let through_s3 = |caller: Caller| {
        let (world, context) = (&world, &context);
        async move {
            let receipt = world.audit.begin(caller.facts().clone());
            let kms = &world.kms;
            let result = kms
                .generate_data_key_for_s3(&caller, &receipt, None, context)
                .await;
            receipt.finish_recorded();
            result
        }
    };
    // Who may not use it does not make it either.
    denial(through_s3(denied.clone()).await);
    denial(through_s3(caller_of("999988887777")).await);
    denial(world.describe_as(&nothing, "alias/aws/s3").await);
    let keys = world
        .kms
        .list_keys(
            &world.caller,
            &world.receipt(),
            strongroom_kms::ListKeysInput::default(),
        )
        .await;
    assert!(keys.unwrap().keys.is_empty());
    through_s3(nothing.clone()).await.unwrap();
    denial(through_s3(denied).await);
    for caller in [&nothing, &full, &world.caller] {
        let refused = world
            .encrypt_as(caller, "alias/aws/s3", &context, &[])
            .await;
        assert_eq!(denial(refused), NO_RESOURCE);
    }
    world.describe_as(&full, "alias/aws/s3").await.unwrap();
    denial(world.describe_as(&nothing, "alias/aws/s3").await);
}
