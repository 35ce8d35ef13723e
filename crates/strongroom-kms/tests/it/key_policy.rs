// SPDX-License-Identifier: Apache-2.0
//! GetKeyPolicy, PutKeyPolicy, ListKeyPolicies, and the policy that CreateKey is given.

#![allow(
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of decisions: many columns, many rows, names as close as the things"
)]

use serde_json::{Value, json};
use strongroom_iam::Caller;
use strongroom_kms::{
    CreateKeyInput, Error, GetKeyPolicyInput, ListKeyPoliciesInput, PutKeyPolicyInput,
};

use crate::users::{
    ALL_OF_KMS, NOTHING_OF_KMS, allowed, delegation, denial, grant_to, policy, root_arn, statement,
    user_arn,
};
use crate::world::{ACCOUNT, World, context, new_world, refused};

async fn get(world: &World, caller: &Caller, key_id: &str) -> Result<String, Error> {
    let input = GetKeyPolicyInput {
        key_id: key_id.to_owned(),
        policy_name: None,
    };
    let receipt = world.audit.begin(caller.facts().clone());
    let result = world.kms.get_key_policy(caller, &receipt, input).await;
    receipt.finish_recorded();
    Ok(result?.policy)
}

async fn put(
    world: &World,
    caller: &Caller,
    key_id: &str,
    document: &str,
    bypass: bool,
) -> Result<(), Error> {
    let input = PutKeyPolicyInput {
        key_id: key_id.to_owned(),
        policy_name: Some("default".to_owned()),
        policy: document.to_owned(),
        bypass_policy_lockout_safety_check: bypass,
    };
    let receipt = world.audit.begin(caller.facts().clone());
    let result = world.kms.put_key_policy(caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

#[tokio::test]
async fn the_default_policy_leaves_the_key_to_the_account() {
    let world = new_world().await;
    let key = world.key().await;
    let document = get(&world, &world.caller, &key.key_id).await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        document,
        json!({ "Version": "2012-10-17", "Id": "key-default-1", "Statement": [{
            "Sid": "Enable IAM User Permissions", "Effect": "Allow",
            "Principal": { "AWS": root_arn() }, "Action": "kms:*", "Resource": "*" }] })
    );
    let receipt = world.receipt();
    let input = ListKeyPoliciesInput {
        key_id: key.arn.clone(),
        limit: None,
        marker: None,
    };
    let names = world
        .kms
        .list_key_policies(&world.caller, &receipt, input.clone())
        .await;
    assert_eq!(names.unwrap(), ["default"]);
    let input = ListKeyPoliciesInput {
        marker: Some("default".to_owned()),
        ..input
    };
    let refusal = world
        .kms
        .list_key_policies(&world.caller, &receipt, input)
        .await;
    assert_eq!(refused(refusal).0, "InvalidMarkerException");
    receipt.finish_recorded();
}

#[tokio::test]
async fn the_policy_of_the_key_of_s3_is_shown_and_cannot_be_set() {
    let world = new_world().await;
    let receipt = world.receipt();
    let made = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context(&[("a", "b")]))
        .await
        .unwrap();
    receipt.finish_recorded();
    let document = get(&world, &world.caller, &made.key_arn).await.unwrap();
    assert!(document.contains("kms:ViaService") && document.contains(ACCOUNT));
    serde_json::from_str::<Value>(&document).unwrap();
    let own = policy(&json!([delegation()]));
    denial(put(&world, &world.caller, &made.key_arn, &own, true).await);
}

#[tokio::test]
async fn a_policy_that_was_set_is_shown_as_it_was_and_acts_at_once() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    let none = context(&[]);
    world
        .encrypt_as(&ann, &key.key_id, &none, &[])
        .await
        .unwrap();
    let only_root = format!(
        " {{\n  \"Version\":\"2012-10-17\", \"Statement\": {{ \"Effect\":\"Allow\",\n \
         \"Principal\":{{\"AWS\":\"{}\"}}, \"Action\":\"kms:*\", \"Resource\":\"*\",\n \
         \"Condition\":{{\"StringEquals\":{{\"aws:PrincipalType\":\"Account\"}}}} }} }}\n",
        root_arn()
    );
    put(&world, &world.caller, &key.key_id, &only_root, false)
        .await
        .unwrap();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "PutKeyPolicy");
    assert_eq!(
        event["requestParameters"],
        json!({ "keyId": key.key_id, "policyName": "default", "policy": only_root,
            "bypassPolicyLockoutSafetyCheck": false })
    );
    assert_eq!(event["resources"][0]["ARN"], key.arn);
    denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    denial(get(&world, &ann, &key.key_id).await);
    assert_eq!(
        get(&world, &world.caller, &key.key_id).await.unwrap(),
        only_root
    );
    drop(iam);
    let world = world.restarted().await;
    let iam = world.iam().await;
    let ann = world.as_user(&iam, "ann");
    denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    assert_eq!(
        get(&world, &world.caller, &key.key_id).await.unwrap(),
        only_root
    );
    put(
        &world,
        &world.caller,
        &key.key_id,
        &policy(&json!(delegation())),
        false,
    )
    .await
    .unwrap();
    world
        .encrypt_as(&ann, &key.key_id, &none, &[])
        .await
        .unwrap();
}

#[tokio::test]
async fn sec_n87_a_policy_that_locks_out_is_refused_unless_asked_for() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", None).await;
    world.user(&iam, "bob", None).await;
    let key = world.key().await;
    let before = get(&world, &world.caller, &key.key_id).await.unwrap();
    let nobody = statement("Allow", &json!({ "Service": "s3.amazonaws.com" }), "kms:*");
    let bob = statement("Allow", &json!({ "AWS": user_arn("bob") }), "kms:*");
    let use_only = statement("Allow", &json!({ "AWS": root_arn() }), "kms:Encrypt");
    let denies = statement("Deny", &json!("*"), "kms:PutKeyPolicy");
    let elsewhere = json!({ "Effect": "Allow", "Principal": "*", "Action": "kms:*",
        "Resource": "*", "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } } });
    for statements in [
        json!([nobody]),
        json!([bob]),
        json!([use_only]),
        json!([delegation(), denies]),
        json!([elsewhere]),
    ] {
        let document = policy(&statements);
        let refusal = refused(put(&world, &ann, &key.key_id, &document, false).await);
        let message = "The new key policy will not allow you to update the key policy in the \
                       future.";
        assert_eq!(
            refusal,
            ("MalformedPolicyDocumentException", message.to_owned()),
            "{document}"
        );
        let receipt = world.audit.begin(ann.facts().clone());
        let input = CreateKeyInput {
            policy: Some(document.clone()),
            ..CreateKeyInput::default()
        };
        let refusal = refused(world.kms.create_key(&ann, &receipt, input).await);
        receipt.finish_recorded();
        assert_eq!(refusal.0, "MalformedPolicyDocumentException", "{document}");
    }
    assert_eq!(
        get(&world, &world.caller, &key.key_id).await.unwrap(),
        before
    );
    let locked = policy(&json!([bob]));
    put(&world, &ann, &key.key_id, &locked, true).await.unwrap();
    for caller in [&ann, &world.caller] {
        denial(put(&world, caller, &key.key_id, &before, true).await);
        denial(get(&world, caller, &key.key_id).await);
    }
    let bob = world.as_user(&iam, "bob");
    put(
        &world,
        &bob,
        &key.key_id,
        &policy(&json!([delegation()])),
        true,
    )
    .await
    .unwrap();
    get(&world, &ann, &key.key_id).await.unwrap();
}

#[tokio::test]
async fn the_bypass_is_a_condition_key() {
    let world = new_world().await;
    let iam = world.iam().await;
    let careful = policy(&json!([
        { "Effect": "Allow", "Action": "kms:*", "Resource": "*" },
        { "Effect": "Deny", "Action": ["kms:PutKeyPolicy", "kms:CreateKey"], "Resource": "*",
          "Condition": { "Bool": { "kms:BypassPolicyLockoutSafetyCheck": "true" } } },
    ]));
    let ann = world.user(&iam, "ann", Some(&careful)).await;
    let key = world.key().await;
    let document = policy(&json!([delegation()]));
    denial(put(&world, &ann, &key.key_id, &document, true).await);
    put(&world, &ann, &key.key_id, &document, false)
        .await
        .unwrap();
    for (bypass, may) in [(true, false), (false, true)] {
        let input = CreateKeyInput {
            policy: Some(document.clone()),
            bypass_policy_lockout_safety_check: bypass,
            ..CreateKeyInput::default()
        };
        let receipt = world.audit.begin(ann.facts().clone());
        let made = world.kms.create_key(&ann, &receipt, input).await;
        receipt.finish_recorded();
        assert_eq!(allowed(&made), may);
    }
}

#[tokio::test]
async fn sec_principals_have_to_exist() {
    let world = new_world().await;
    let key = world.key().await;
    let naming = |principal: Value| {
        policy(&json!([
            delegation(),
            statement("Allow", &principal, "kms:*")
        ]))
    };
    let users = [
        user_arn("ann"),
        user_arn("ANN"),
        "AIDAAAAAAAAAAAAAAAAAA".to_owned(),
        format!("arn:aws:iam::{ACCOUNT}:role/app"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/app/session"),
        "arn:aws:iam::999988887777:user/ann".to_owned(),
    ];
    // Before anybody said who the users are, there are none.
    for arn in &users {
        let document = naming(json!({ "AWS": arn }));
        let refusal = put(&world, &world.caller, &key.key_id, &document, false);
        assert_eq!(
            refused(refusal.await),
            (
                "MalformedPolicyDocumentException",
                "Policy contains a statement with one or more invalid principals.".to_owned()
            ),
            "{arn}"
        );
    }
    let iam = world.iam().await;
    world.user(&iam, "ann", None).await;
    for (at, arn) in users.iter().enumerate() {
        let document = naming(json!({ "AWS": arn }));
        let put = put(&world, &world.caller, &key.key_id, &document, false);
        assert_eq!(put.await.is_ok(), at == 0, "{arn}");
    }
    for principal in [
        json!("*"),
        json!({ "AWS": ACCOUNT }),
        json!({ "Service": "s3.amazonaws.com" }),
    ] {
        let document = naming(principal);
        put(&world, &world.caller, &key.key_id, &document, false)
            .await
            .unwrap();
    }
    iam.remove_user(world.receipt(), "ann").await.unwrap();
    let document = naming(json!({ "AWS": user_arn("ann") }));
    let gone = put(&world, &world.caller, &key.key_id, &document, false);
    assert_eq!(refused(gone.await).0, "MalformedPolicyDocumentException");
}

#[tokio::test]
async fn sec_n42_documents_that_are_no_key_policies() {
    let world = new_world().await;
    let key = world.key().await;
    let good = policy(&json!([delegation()]));
    let before = get(&world, &world.caller, &key.key_id).await.unwrap();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for bad in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\u{feff}".to_owned() + &good,
        good.clone() + "x",
        good.replace("\"Allow\"", "\"Allow\",\"Effect\":\"Allow\""),
        good.replace("\"Resource\"", "\"Resorce\""),
        good.replace("Allow", "allow"),
        good.replace("\"Principal\"", "\"Who\""),
        policy(&json!([{ "Effect": "Allow", "Action": "kms:*", "Resource": "*" }])),
        good.replace("\"*\"", &deep),
    ] {
        let refusal = refused(put(&world, &world.caller, &key.key_id, &bad, true).await);
        assert_eq!(refusal.0, "MalformedPolicyDocumentException", "{bad:.200}");
    }
    let padded = |to: usize| good.clone() + &" ".repeat(to - good.len());
    put(&world, &world.caller, &key.key_id, &padded(32_768), false)
        .await
        .unwrap();
    put(&world, &world.caller, &key.key_id, &before, false)
        .await
        .unwrap();
    let long = refused(put(&world, &world.caller, &key.key_id, &padded(32_769), false).await);
    assert_eq!(long.0, "LimitExceededException");
    assert_eq!(
        get(&world, &world.caller, &key.key_id).await.unwrap(),
        before
    );
}

#[tokio::test]
async fn other_names_and_other_keys() {
    let world = new_world().await;
    let key = world.key().await;
    let receipt = world.receipt();
    for name in ["", "Default", "other"] {
        let input = GetKeyPolicyInput {
            key_id: key.key_id.clone(),
            policy_name: Some(name.to_owned()),
        };
        let refusal = refused(
            world
                .kms
                .get_key_policy(&world.caller, &receipt, input)
                .await,
        );
        assert_eq!(
            refusal,
            ("NotFoundException", "No such policy exists".to_owned())
        );
        let input = PutKeyPolicyInput {
            key_id: key.key_id.clone(),
            policy_name: Some(name.to_owned()),
            policy: policy(&json!([delegation()])),
            bypass_policy_lockout_safety_check: false,
        };
        let refusal = refused(
            world
                .kms
                .put_key_policy(&world.caller, &receipt, input)
                .await,
        );
        assert_eq!(refusal.0, "NotFoundException");
    }
    receipt.finish_recorded();
    for key_id in ["alias/aws/s3", "00000000-0000-4000-8000-000000000000", "x"] {
        let refusal = refused(get(&world, &world.caller, key_id).await);
        assert_eq!(refusal.0, "NotFoundException", "{key_id}");
        let document = policy(&json!([delegation()]));
        let refusal = refused(put(&world, &world.caller, key_id, &document, false).await);
        assert_eq!(refusal.0, "NotFoundException", "{key_id}");
    }
}

#[tokio::test]
async fn a_key_begins_with_the_policy_it_was_given() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let document = policy(&json!([
        statement("Allow", &json!({ "AWS": user_arn("ann") }), "kms:*"),
        statement("Allow", &json!({ "AWS": user_arn("bob") }), "kms:Encrypt"),
    ]));
    let input = CreateKeyInput {
        policy: Some(document.clone()),
        ..CreateKeyInput::default()
    };
    let receipt = world.audit.begin(ann.facts().clone());
    let key = world.kms.create_key(&ann, &receipt, input).await.unwrap();
    receipt.finish_recorded();
    let none = context(&[]);
    let blob = world
        .encrypt_as(&bob, &key.key_id, &none, &[])
        .await
        .unwrap();
    denial(world.decrypt_as(&bob, &blob, &none).await);
    world.decrypt_as(&ann, &blob, &none).await.unwrap();
    // Not even root, whom the policy does not name.
    denial(world.decrypt_as(&world.caller, &blob, &none).await);
    assert_eq!(get(&world, &ann, &key.key_id).await.unwrap(), document);
    // Whoever may not create keys is told before the policy is looked at.
    let input = CreateKeyInput {
        policy: Some("{".to_owned()),
        ..CreateKeyInput::default()
    };
    let receipt = world.audit.begin(bob.facts().clone());
    denial(world.kms.create_key(&bob, &receipt, input).await);
    receipt.finish_recorded();
}

#[tokio::test]
async fn sec_an_account_id_as_grantee_is_the_arn_to_policies() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    for name in ["kms:GranteePrincipal", "kms:RetiringPrincipal"] {
        let mut deny = statement(
            "Deny",
            &json!({ "AWS": user_arn("ann") }),
            "kms:CreateGrant",
        );
        deny["Condition"] = json!({ "ArnEquals": { name: root_arn() } });
        world
            .put_policy(&key.key_id, &policy(&json!([delegation(), deny])))
            .await;
        for principal in [root_arn(), ACCOUNT.to_owned()] {
            let mut input = grant_to(&key.key_id, "ann", &["Decrypt"]);
            if name == "kms:GranteePrincipal" {
                input.grantee_principal = principal;
            } else {
                input.retiring_principal = Some(principal);
            }
            assert!(!allowed(&world.grant_as(&ann, input).await), "{name}");
        }
        let input = grant_to(&key.key_id, "ann", &["Decrypt"]);
        assert!(allowed(&world.grant_as(&ann, input).await), "{name}");
    }
}

/// Whoever puts back what was shown gave everything to the next user of the name.
#[tokio::test]
async fn sec_a_policy_is_shown_by_the_ids_of_who_is_gone() {
    let world = new_world().await;
    let key = world.key().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    world.user(&iam, "bob", None).await;
    let only_ann = json!({ "StringEquals": { "aws:PrincipalArn": user_arn("ann") } });
    let mut allows = statement("Allow", &json!({ "AWS": user_arn("ann") }), "kms:Decrypt");
    allows["Condition"] = only_ann.clone();
    let denies = json!({ "Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*",
        "NotPrincipal": { "AWS": [root_arn(), user_arn("bob"), user_arn("ann")] } });
    let document = policy(&json!([delegation(), allows, denies]));
    let root = &world.caller;
    put(&world, root, &key.key_id, &document, false)
        .await
        .unwrap();
    assert_eq!(get(&world, root, &key.key_id).await.unwrap(), document);

    iam.remove_user(world.receipt(), "ann").await.unwrap();
    for again in [false, true] {
        if again {
            world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
        }
        let shown = get(&world, root, &key.key_id).await.unwrap();
        let shown_json: Value = serde_json::from_str(&shown).unwrap();
        let [_, allows, denies] = shown_json["Statement"].as_array().unwrap().as_slice() else {
            panic!("three statements");
        };
        assert_eq!(allows["Principal"]["AWS"], ann.user_id());
        assert_eq!(
            allows["Condition"], only_ann,
            "a value of a condition is no name"
        );
        assert_eq!(
            denies["NotPrincipal"]["AWS"],
            json!([root_arn(), user_arn("bob"), ann.user_id()])
        );
        let put_back = put(&world, root, &key.key_id, &shown, false).await;
        assert_eq!(refused(put_back).0, "MalformedPolicyDocumentException");
    }
}
