// SPDX-License-Identifier: Apache-2.0
//! CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant, and what a grant does.

#![allow(
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::unnecessary_wraps,
    reason = "tables of decisions: many columns, many rows, names as close as the things"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use strongroom_iam::Caller;
use strongroom_kms::{
    CreateGrantInput, CreateKeyInput, DisableKeyInput, Error, ListGrantsInput,
    ListRetirableGrantsInput, RetireGrantInput, RevokeGrantInput,
};

use crate::users::{
    NOTHING_OF_KMS, allowed, delegation, denial, grant_to, policy, root_arn, statement, user_arn,
};
use crate::world::{World, call, context, new_world, refused};

fn pairs(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    let pairs = pairs.iter();
    Some(
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

async fn revoke(world: &World, caller: &Caller, key_id: &str, grant_id: &str) -> Result<(), Error> {
    let input = RevokeGrantInput {
        key_id: key_id.to_owned(),
        grant_id: grant_id.to_owned(),
        dry_run: false,
    };
    let receipt = world.audit.begin(caller.facts().clone());
    let result = world.kms.revoke_grant(caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn retire(world: &World, caller: &Caller, input: RetireGrantInput) -> Result<(), Error> {
    let receipt = world.audit.begin(caller.facts().clone());
    let result = world.kms.retire_grant(caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn list(world: &World, input: ListGrantsInput) -> Vec<String> {
    let receipt = world.receipt();
    let listed = world.kms.list_grants(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    let grants = listed.unwrap().grants.into_iter();
    grants.map(|grant| grant.grant_id).collect()
}

fn all_of(key_id: &str) -> ListGrantsInput {
    ListGrantsInput {
        key_id: key_id.to_owned(),
        ..ListGrantsInput::default()
    }
}

#[tokio::test]
async fn sec_n37_a_grant_acts_at_once_and_ends_at_once() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let other = world.key().await;
    let none = context(&[]);
    denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    let made = world
        .grant_as(&world.caller, grant_to(&key.arn, "ann", &["Encrypt"]))
        .await;
    let made = made.unwrap();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "CreateGrant");
    assert_eq!(event["responseElements"]["grantId"], made.grant_id);
    assert_eq!(
        event["requestParameters"]["granteePrincipal"],
        user_arn("ann")
    );
    assert!(!event.to_string().contains(&made.grant_token));
    let blob = world
        .encrypt_as(&ann, &key.key_id, &none, &[])
        .await
        .unwrap();
    // One principal, one key, one operation.
    denial(world.encrypt_as(&bob, &key.key_id, &none, &[]).await);
    denial(world.encrypt_as(&ann, &other.key_id, &none, &[]).await);
    denial(world.decrypt_as(&ann, &blob, &none).await);
    denial(world.describe_as(&ann, &key.key_id).await);
    denial(revoke(&world, &ann, &key.key_id, &made.grant_id).await);
    let wrong = revoke(&world, &world.caller, &other.key_id, &made.grant_id).await;
    assert_eq!(refused(wrong).0, "InvalidGrantIdException");
    revoke(&world, &world.caller, &key.key_id, &made.grant_id)
        .await
        .unwrap();
    denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    let again = revoke(&world, &world.caller, &key.key_id, &made.grant_id).await;
    assert_eq!(refused(again).0, "InvalidGrantIdException");
}

#[tokio::test]
async fn sec_n37_grant_tokens() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let none = context(&[]);
    let made = world
        .grant_as(&world.caller, grant_to(&key.arn, "ann", &["Encrypt"]))
        .await;
    let made = made.unwrap();
    let token = made.grant_token.as_str();
    world
        .encrypt_as(&ann, &key.key_id, &none, &[token])
        .await
        .unwrap();
    // A token gives nothing to who is not the grantee.
    denial(world.encrypt_as(&bob, &key.key_id, &none, &[token]).await);
    let mut wrong: Vec<String> = ["", "x", "AAAA", made.grant_id.as_str()]
        .map(str::to_owned)
        .into();
    wrong.push(format!("{token}A"));
    wrong.push(token[..token.len() - 1].to_owned());
    for at in (0..token.len()).step_by(7) {
        let flipped = if &token[at..=at] == "A" { "B" } else { "A" };
        wrong.push(format!("{}{flipped}{}", &token[..at], &token[at + 1..]));
    }
    for wrong in wrong {
        for caller in [&ann, &world.caller] {
            let result = world
                .encrypt_as(caller, &key.key_id, &none, &[token, &wrong])
                .await;
            assert_eq!(refused(result).0, "InvalidGrantTokenException", "{wrong}");
        }
        let input = RetireGrantInput {
            grant_token: Some(wrong.clone()),
            ..RetireGrantInput::default()
        };
        let result = retire(&world, &world.caller, input).await;
        assert_eq!(refused(result).0, "InvalidGrantTokenException", "{wrong}");
    }
    revoke(&world, &world.caller, &key.key_id, &made.grant_id)
        .await
        .unwrap();
    let late = world.encrypt_as(&ann, &key.key_id, &none, &[token]).await;
    assert_eq!(refused(late).0, "InvalidGrantTokenException");
}

#[tokio::test]
async fn sec_n37_constraints() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let exact: [(&[(&str, &str)], bool, bool); 8] = [
        (&[("a", "1"), ("b", "2")], true, true),
        (&[("b", "2"), ("a", "1")], true, true),
        (&[("a", "1"), ("b", "2"), ("c", "3")], false, true),
        (&[("a", "1")], false, false),
        (&[], false, false),
        (&[("a", "1"), ("b", "3")], false, false),
        (&[("A", "1"), ("b", "2")], false, false),
        (&[("a", "2"), ("b", "1")], false, false),
    ];
    for equals in [true, false] {
        let key = world.key().await;
        let constraint = pairs(&[("a", "1"), ("b", "2")]);
        let mut input = grant_to(&key.key_id, "ann", &["Encrypt", "Decrypt", "DescribeKey"]);
        if equals {
            input.context_equals = constraint;
        } else {
            input.context_subset = constraint;
        }
        world.grant_as(&world.caller, input).await.unwrap();
        for (pairs, by_equals, by_subset) in exact {
            let context = context(pairs);
            let blob = world
                .encrypt(&key.key_id, b"plain", &context)
                .await
                .unwrap();
            let expected = if equals { by_equals } else { by_subset };
            let encrypted = world.encrypt_as(&ann, &key.key_id, &context, &[]).await;
            assert_eq!(allowed(&encrypted), expected, "{pairs:?}");
            let decrypted = world
                .decrypt_as(&ann, &blob.ciphertext_blob.0, &context)
                .await;
            assert_eq!(allowed(&decrypted), expected, "{pairs:?}");
        }
        // Constraints are not about what has no context.
        world.describe_as(&ann, &key.key_id).await.unwrap();
    }
}

#[tokio::test]
async fn sec_n37_a_grantee_passes_on_less_and_never_more() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let mut parent = grant_to(&key.key_id, "ann", &["Encrypt", "Decrypt", "CreateGrant"]);
    parent.context_subset = pairs(&[("a", "1")]);
    world.grant_as(&world.caller, parent).await.unwrap();
    let child = |operations: &[&str], equals, subset| CreateGrantInput {
        context_equals: equals,
        context_subset: subset,
        ..grant_to(&key.key_id, "bob", operations)
    };
    let one = pairs(&[("a", "1")]);
    let two = pairs(&[("a", "1"), ("b", "2")]);
    let other = pairs(&[("a", "2")]);
    for (input, may) in [
        (child(&["Encrypt"], None, one.clone()), true),
        (child(&["Encrypt", "CreateGrant"], None, two.clone()), true),
        (child(&["Decrypt"], one.clone(), None), true),
        (child(&["Decrypt"], two, None), true),
        (child(&["Encrypt"], None, None), false),
        (child(&["Encrypt"], None, other.clone()), false),
        (child(&["Encrypt"], other, None), false),
        (child(&["Encrypt", "DescribeKey"], None, one.clone()), false),
        (child(&["GenerateDataKey"], None, one.clone()), false),
    ] {
        let made = world.grant_as(&ann, input.clone()).await;
        assert_eq!(allowed(&made), may, "{input:?}");
    }
    let key = world.key().await;
    let mut parent = grant_to(&key.key_id, "ann", &["Encrypt", "CreateGrant"]);
    parent.context_equals = one.clone();
    world.grant_as(&world.caller, parent).await.unwrap();
    let child = |equals, subset| CreateGrantInput {
        context_equals: equals,
        context_subset: subset,
        ..grant_to(&key.key_id, "bob", &["Encrypt"])
    };
    for (input, may) in [
        (child(one.clone(), None), true),
        (child(None, one), false),
        (child(pairs(&[("a", "1"), ("b", "2")]), None), false),
        (child(None, None), false),
    ] {
        assert_eq!(
            allowed(&world.grant_as(&ann, input.clone()).await),
            may,
            "{input:?}"
        );
    }
}

#[tokio::test]
async fn sec_n37_who_may_retire_a_grant() {
    let world = new_world().await;
    let iam = world.iam().await;
    let grantee = world.user(&iam, "grantee", Some(NOTHING_OF_KMS)).await;
    let retiring = world.user(&iam, "retiring", Some(NOTHING_OF_KMS)).await;
    // A policy alone does not allow it, not even full access.
    let full = world.user(&iam, "full", None).await;
    let deny = policy(&json!([{ "Effect": "Deny", "Action": "kms:RetireGrant", "Resource": "*" }]));
    let denied = world.user(&iam, "denied", Some(&deny)).await;
    let key = world.key().await;
    let root = world.caller.clone();
    let make = |name: &str, operations: &[&str], retiring: Option<String>| CreateGrantInput {
        retiring_principal: retiring,
        ..grant_to(&key.key_id, name, operations)
    };
    let plain = || make("grantee", &["Encrypt"], None);
    let own = || make("grantee", &["Encrypt", "RetireGrant"], None);
    let with = || make("grantee", &["Encrypt"], Some(user_arn("retiring")));
    let account = || make("grantee", &["Encrypt"], Some(root_arn()));
    let to_denied = || {
        make(
            "denied",
            &["Encrypt", "RetireGrant"],
            Some(user_arn("denied")),
        )
    };
    for (input, caller, may) in [
        (plain(), &root, true),
        (plain(), &grantee, false),
        (plain(), &full, false),
        (plain(), &retiring, false),
        (own(), &grantee, true),
        (own(), &full, false),
        (with(), &retiring, true),
        (with(), &grantee, false),
        (with(), &full, false),
        (account(), &full, true),
        (account(), &grantee, false),
        (account(), &root, true),
        (to_denied(), &denied, false),
    ] {
        for by_token in [true, false] {
            let made = world.grant_as(&root, input.clone()).await.unwrap();
            let asked = if by_token {
                RetireGrantInput {
                    grant_token: Some(made.grant_token.clone()),
                    ..RetireGrantInput::default()
                }
            } else {
                RetireGrantInput {
                    key_id: Some(key.arn.clone()),
                    grant_id: Some(made.grant_id.clone()),
                    ..RetireGrantInput::default()
                }
            };
            let dry = RetireGrantInput {
                dry_run: true,
                ..asked.clone()
            };
            let dry = retire(&world, caller, dry).await;
            let expected = if may {
                "DryRunOperationException"
            } else {
                "AccessDeniedException"
            };
            assert_eq!(refused(dry).0, expected, "{input:?} {}", caller.arn());
            let retired = retire(&world, caller, asked).await;
            assert_eq!(allowed(&retired), may, "{input:?} {}", caller.arn());
            let there = list(&world, all_of(&key.key_id))
                .await
                .contains(&made.grant_id);
            assert_eq!(there, !may);
        }
    }
    for asked in [
        RetireGrantInput::default(),
        RetireGrantInput {
            key_id: Some(key.arn.clone()),
            ..RetireGrantInput::default()
        },
        RetireGrantInput {
            grant_token: Some("t".to_owned()),
            key_id: Some(key.arn.clone()),
            grant_id: Some("g".to_owned()),
            dry_run: false,
        },
    ] {
        assert_eq!(
            refused(retire(&world, &root, asked).await).0,
            "ValidationException"
        );
    }
}

#[tokio::test]
async fn a_name_makes_a_request_idempotent() {
    let world = new_world().await;
    let iam = world.iam().await;
    world.user(&iam, "ann", None).await;
    let key = world.key().await;
    let named = |name: Option<&str>, operations: &[&str]| CreateGrantInput {
        name: name.map(str::to_owned),
        ..grant_to(&key.key_id, "ann", operations)
    };
    let make = async |input| world.grant_as(&world.caller, input).await.unwrap();
    let first = make(named(Some("n"), &["Encrypt", "Decrypt"])).await;
    let again = make(named(Some("n"), &["Decrypt", "Encrypt", "Decrypt"])).await;
    assert_eq!(first.grant_id, again.grant_id);
    assert_ne!(first.grant_token, again.grant_token);
    let other = make(named(Some("n"), &["Encrypt"])).await;
    let renamed = make(named(Some("m"), &["Encrypt", "Decrypt"])).await;
    let unnamed = make(named(None, &["Encrypt", "Decrypt"])).await;
    let twice = make(named(None, &["Encrypt", "Decrypt"])).await;
    let ids = [first, other, renamed, unnamed, twice].map(|made| made.grant_id);
    assert_eq!(BTreeSet::from(ids).len(), 5);
    let dry = CreateGrantInput {
        dry_run: true,
        ..named(None, &["Encrypt"])
    };
    let dry = world.grant_as(&world.caller, dry).await;
    assert_eq!(refused(dry).0, "DryRunOperationException");
    assert_eq!(list(&world, all_of(&key.key_id)).await.len(), 5);
}

#[tokio::test]
async fn grants_that_cannot_be() {
    let world = new_world().await;
    let iam = world.iam().await;
    world.user(&iam, "ann", None).await;
    let key = world.key().await;
    let receipt = world.receipt();
    let signing = CreateKeyInput {
        key_spec: Some("ECC_NIST_P256".to_owned()),
        key_usage: Some("SIGN_VERIFY".to_owned()),
        ..CreateKeyInput::default()
    };
    let signing = world
        .kms
        .create_key(&world.caller, &receipt, signing)
        .await
        .unwrap();
    receipt.finish_recorded();
    let good = grant_to(&key.key_id, "ann", &["Encrypt"]);
    let to = |arn: &str| CreateGrantInput {
        grantee_principal: arn.to_owned(),
        ..good.clone()
    };
    let many: Vec<(String, String)> = (0..9).map(|n| (n.to_string(), "v".to_owned())).collect();
    let limited = |pairs: Option<BTreeMap<String, String>>| CreateGrantInput {
        context_subset: pairs,
        ..good.clone()
    };
    for (input, code) in [
        (grant_to(&key.key_id, "ann", &[]), "ValidationException"),
        (
            grant_to(&key.key_id, "ann", &["encrypt"]),
            "ValidationException",
        ),
        (
            grant_to(&key.key_id, "ann", &["ScheduleKeyDeletion"]),
            "ValidationException",
        ),
        (
            grant_to(&key.key_id, "ann", &["Sign"]),
            "ValidationException",
        ),
        (
            grant_to(&key.key_id, "ann", &["GetPublicKey"]),
            "ValidationException",
        ),
        (
            grant_to(&signing.key_id, "ann", &["Encrypt"]),
            "ValidationException",
        ),
        (
            grant_to(&signing.key_id, "ann", &["GenerateMac"]),
            "ValidationException",
        ),
        (
            CreateGrantInput {
                context_equals: pairs(&[("a", "b")]),
                ..grant_to(&signing.key_id, "ann", &["DescribeKey"])
            },
            "ValidationException",
        ),
        (
            CreateGrantInput {
                context_equals: pairs(&[("a", "b")]),
                ..limited(pairs(&[("a", "b")]))
            },
            "ValidationException",
        ),
        (limited(Some(BTreeMap::new())), "ValidationException"),
        (
            limited(Some(many.into_iter().collect())),
            "ValidationException",
        ),
        (limited(pairs(&[("a", "")])), "ValidationException"),
        (
            limited(pairs(&[("a", &"x".repeat(385))])),
            "ValidationException",
        ),
        (
            CreateGrantInput {
                name: Some("a b".to_owned()),
                ..good.clone()
            },
            "ValidationException",
        ),
        (to(&user_arn("nobody")), "InvalidArnException"),
        (to("*"), "InvalidArnException"),
        (to("s3.amazonaws.com"), "InvalidArnException"),
        (to("arn:aws:iam::999988887777:root"), "InvalidArnException"),
        (
            CreateGrantInput {
                retiring_principal: Some(user_arn("nobody")),
                ..good.clone()
            },
            "InvalidArnException",
        ),
        (
            grant_to("alias/aws/s3", "ann", &["Encrypt"]),
            "NotFoundException",
        ),
    ] {
        let refusal = refused(world.grant_as(&world.caller, input.clone()).await);
        assert_eq!(refusal.0, code, "{input:?}: {}", refusal.1);
    }
    assert!(list(&world, all_of(&key.key_id)).await.is_empty());
    world
        .grant_as(
            &world.caller,
            grant_to(&signing.key_id, "ann", &["Sign", "GetPublicKey"]),
        )
        .await
        .unwrap();
    let receipt = world.receipt();
    let disable = DisableKeyInput {
        key_id: key.key_id.clone(),
    };
    world
        .kms
        .disable_key(&world.caller, &receipt, disable)
        .await
        .unwrap();
    receipt.finish_recorded();
    let refusal = refused(world.grant_as(&world.caller, good).await);
    assert_eq!(refusal.0, "DisabledException");
}

#[tokio::test]
async fn grants_are_listed_page_by_page() {
    let world = new_world().await;
    let iam = world.iam().await;
    for name in ["ann", "bob"] {
        world.user(&iam, name, None).await;
    }
    let (key, other) = (world.key().await, world.key().await);
    let mut ids = BTreeSet::new();
    for (at, name) in ["ann", "bob", "ann", "bob", "ann"].into_iter().enumerate() {
        let key = if at == 4 { &other } else { &key };
        let input = CreateGrantInput {
            retiring_principal: Some(user_arn("bob")),
            ..grant_to(&key.key_id, name, &["Encrypt"])
        };
        let made = world.grant_as(&world.caller, input).await.unwrap();
        ids.insert((at == 4, made.grant_id));
    }
    let of_key: BTreeSet<String> = ids
        .iter()
        .filter(|(other, _)| !other)
        .map(|(_, id)| id.clone())
        .collect();
    for limit in [1, 2, 3, 4, 100, 1000] {
        let mut marker = None;
        let mut seen = Vec::new();
        loop {
            let receipt = world.receipt();
            let input = ListGrantsInput {
                limit: Some(limit),
                marker,
                ..all_of(&key.key_id)
            };
            let page = world
                .kms
                .list_grants(&world.caller, &receipt, input)
                .await
                .unwrap();
            receipt.finish_recorded();
            assert!(page.grants.len() <= usize::try_from(limit).unwrap());
            seen.extend(page.grants.into_iter().map(|grant| grant.grant_id));
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), of_key.len());
        assert_eq!(BTreeSet::from_iter(seen), of_key);
        let mut marker = None;
        let mut count = 0;
        loop {
            let receipt = world.receipt();
            let input = ListRetirableGrantsInput {
                retiring_principal: user_arn("bob"),
                limit: Some(limit),
                marker,
            };
            let kms = &world.kms;
            let page = kms
                .list_retirable_grants(&world.caller, &receipt, input)
                .await
                .unwrap();
            receipt.finish_recorded();
            count += page.grants.len();
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(count, 5, "of all keys");
    }
    let filtered = ListGrantsInput {
        grantee_principal: Some(user_arn("ann")),
        ..all_of(&key.key_id)
    };
    assert_eq!(list(&world, filtered).await.len(), 2);
    let one = of_key.first().unwrap().clone();
    let filtered = ListGrantsInput {
        grant_id: Some(one.clone()),
        ..all_of(&key.key_id)
    };
    assert_eq!(
        list(&world, filtered.clone()).await,
        std::slice::from_ref(&one)
    );
    let elsewhere = ListGrantsInput {
        key_id: other.key_id.clone(),
        ..filtered
    };
    assert!(list(&world, elsewhere).await.is_empty());
    let receipt = world.receipt();
    for (input, code) in [
        (
            ListGrantsInput {
                grant_id: Some("x".to_owned()),
                ..all_of(&key.key_id)
            },
            "InvalidGrantIdException",
        ),
        (
            ListGrantsInput {
                marker: Some("g00".to_owned()),
                ..all_of(&key.key_id)
            },
            "InvalidMarkerException",
        ),
        (
            ListGrantsInput {
                limit: Some(0),
                ..all_of(&key.key_id)
            },
            "ValidationException",
        ),
        (all_of("alias/x"), "NotFoundException"),
    ] {
        let refusal = refused(world.kms.list_grants(&world.caller, &receipt, input).await);
        assert_eq!(refusal.0, code);
    }
    let nobody = ListRetirableGrantsInput {
        retiring_principal: user_arn("nobody"),
        ..ListRetirableGrantsInput::default()
    };
    let refusal = world
        .kms
        .list_retirable_grants(&world.caller, &receipt, nobody)
        .await;
    assert_eq!(refused(refusal).0, "InvalidArnException");
    receipt.finish_recorded();
    // A retiring principal of the same name is another one; the grants stay listed by id.
    iam.remove_user(world.receipt(), "bob").await.unwrap();
    world.user(&iam, "bob", None).await;
    let receipt = world.receipt();
    let input = ListRetirableGrantsInput {
        retiring_principal: user_arn("bob"),
        ..ListRetirableGrantsInput::default()
    };
    let page = world
        .kms
        .list_retirable_grants(&world.caller, &receipt, input)
        .await;
    assert!(page.unwrap().grants.is_empty());
    let listed = world
        .kms
        .list_grants(&world.caller, &receipt, all_of(&key.key_id))
        .await;
    receipt.finish_recorded();
    let retiring = listed
        .unwrap()
        .grants
        .into_iter()
        .map(|grant| grant.retiring_principal);
    assert!(retiring.flatten().all(|shown| shown.starts_with("AIDA")));
}

#[tokio::test]
async fn sec_n27_a_deny_beats_a_grant() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let none = context(&[]);
    world
        .grant_as(&world.caller, grant_to(&key.key_id, "ann", &["Encrypt"]))
        .await
        .unwrap();
    world
        .encrypt_as(&ann, &key.key_id, &none, &[])
        .await
        .unwrap();
    let forbids = statement("Deny", &json!({ "AWS": user_arn("ann") }), "kms:Encrypt");
    world
        .put_policy(&key.key_id, &policy(&json!([delegation(), forbids])))
        .await;
    let why = denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    assert_eq!(why, "with an explicit deny in a resource-based policy");
    world
        .put_policy(&key.key_id, &policy(&json!([delegation()])))
        .await;
    world
        .encrypt_as(&ann, &key.key_id, &none, &[])
        .await
        .unwrap();
    let deny = policy(&json!([{ "Effect": "Deny", "Action": "kms:*", "Resource": "*" }]));
    iam.set_user_policy(world.receipt(), "ann", &deny)
        .await
        .unwrap();
    let ann = world.as_user(&iam, "ann");
    let why = denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    assert_eq!(why, "with an explicit deny in an identity-based policy");
}

/// A grant to the account leaves it to the identity policies of its users.
#[tokio::test]
async fn a_grant_to_the_account() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let full = world.user(&iam, "full", None).await;
    let key = world.key().await;
    let nobody = statement("Allow", &json!({ "AWS": root_arn() }), "kms:*Grant*");
    world
        .put_policy(&key.key_id, &policy(&json!([nobody])))
        .await;
    let none = context(&[]);
    for caller in [&ann, &full, &world.caller] {
        denial(world.encrypt_as(caller, &key.key_id, &none, &[]).await);
    }
    let input = CreateGrantInput {
        grantee_principal: root_arn(),
        ..grant_to(&key.key_id, "", &["Encrypt"])
    };
    world.grant_as(&world.caller, input).await.unwrap();
    denial(world.encrypt_as(&ann, &key.key_id, &none, &[]).await);
    world
        .encrypt_as(&full, &key.key_id, &none, &[])
        .await
        .unwrap();
    world
        .encrypt_as(&world.caller, &key.key_id, &none, &[])
        .await
        .unwrap();
}

/// A statement that denied RetireGrant by the aliases of a key did not apply: they were looked up
/// for every other action only.
#[tokio::test]
async fn sec_n27_a_deny_by_aliases_is_about_retiring_too() {
    let world = new_world().await;
    let iam = world.iam().await;
    let deny = |alias: &str| {
        policy(&json!([
            { "Effect": "Allow", "Action": "kms:*", "Resource": "*" },
            { "Effect": "Deny", "Action": "kms:RetireGrant", "Resource": "*", "Condition": {
                "ForAnyValue:StringEquals": { "kms:ResourceAliases": alias } } },
        ]))
    };
    let fenced = world.user(&iam, "fenced", Some(&deny("alias/kept"))).await;
    let free = world.user(&iam, "free", Some(&deny("alias/other"))).await;
    let key = world.key().await;
    let alias_name = "alias/kept".to_owned();
    let target_key_id = key.key_id.clone();
    let alias = strongroom_kms::CreateAliasInput {
        alias_name,
        target_key_id,
    };
    crate::world::call!(world, create_alias, alias).unwrap();
    for (caller, name, may) in [(&fenced, "fenced", false), (&free, "free", true)] {
        let input = grant_to(&key.key_id, name, &["Encrypt", "RetireGrant"]);
        let made = world.grant_as(&world.caller, input).await.unwrap();
        let by_token = RetireGrantInput {
            grant_token: Some(made.grant_token),
            ..RetireGrantInput::default()
        };
        let retired = retire(&world, caller, by_token).await;
        assert_eq!(allowed(&retired), may, "{name}");
    }
}

#[tokio::test]
async fn sec_grants_of_who_is_gone_are_not_listed_for_the_next_of_that_name() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", None).await;
    let key = world.key().await;
    let make = |operation| grant_to(&key.key_id, "ann", &[operation]);
    let old = world
        .grant_as(&world.caller, make("Encrypt"))
        .await
        .unwrap();
    iam.remove_user(world.receipt(), "ann").await.unwrap();
    world.user(&iam, "ann", None).await;
    let new = world
        .grant_as(&world.caller, make("Decrypt"))
        .await
        .unwrap();
    let listed = async |principal: &str, grant_id: Option<&str>| {
        let input = ListGrantsInput {
            grantee_principal: Some(principal.to_owned()),
            grant_id: grant_id.map(str::to_owned),
            ..all_of(&key.key_id)
        };
        let page = call!(world, list_grants, input).unwrap();
        let ids = page.grants.into_iter().map(|grant| grant.grant_id);
        ids.collect::<Vec<_>>()
    };
    let arn = user_arn("ann");
    assert_eq!(listed(&arn, None).await, [new.grant_id.as_str()]);
    assert_eq!(listed(ann.user_id(), None).await, [old.grant_id.as_str()]);
    assert!(listed(&arn, Some(&old.grant_id)).await.is_empty());
    assert_eq!(listed(&arn, Some(&new.grant_id)).await.len(), 1);
}
