// SPDX-License-Identifier: Apache-2.0
//! Identity policies of users: set, shown, removed, carried by callers, and never lost.

use std::sync::Arc;

use serde_json::json;
use strongroom_iam::{Access, Caller, Error, Iam, IamOptions};
use strongroom_policy::{
    Context, Decision, DenySource, Missing, PrincipalKind, Request, decide_account,
};
use strongroom_store::drive::Folder;
use strongroom_store::{Batch, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive};

use crate::world::{ACCOUNT, Client, NOW_MS, REGION, World, audit_lines, root};

const READ_ONLY: &str = r#"{ "Version": "2012-10-17",
    "Statement": { "Effect": "Allow", "Action": "s3:Get*", "Resource": "*" } }"#;
const SELF_ONLY: &str = r#"{ "Version": "2012-10-17", "Statement": { "Effect": "Allow",
    "Action": "*", "Resource": "arn:aws:s3:::home/${aws:username}/*" } }"#;

fn decide(caller: &Caller, action: &str, resource: &str) -> Decision {
    let context = Context::over(&[caller.policy_context()]);
    let request = Request {
        principal: caller.principal(),
        action,
        resource,
        context: &context,
    };
    decide_account(caller.identity_policies(), &request)
}

fn get(caller: &Caller) -> Decision {
    decide(caller, "s3:GetObject", "arn:aws:s3:::b/k")
}

fn put(caller: &Caller) -> Decision {
    decide(caller, "s3:PutObject", "arn:aws:s3:::b/k")
}

const NOT_ALLOWED: Decision = Decision::ImplicitDeny(Missing::IdentityPolicy);

#[tokio::test]
async fn a_caller_carries_the_policy_of_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    assert_eq!(made.user.access, Access::Full);
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    let before = client.call(&world.iam).unwrap().caller;
    assert_eq!(
        (get(&before), put(&before)),
        (Decision::Allow, Decision::Allow)
    );

    let set = world.iam.set_user_policy(world.receipt(), "Ann", READ_ONLY);
    assert_eq!(set.await.unwrap().access, Access::Policy);
    let after = client.call(&world.iam).unwrap().caller;
    assert_eq!((get(&after), put(&after)), (Decision::Allow, NOT_ALLOWED));
    // The request that was under way keeps the snapshot it began with.
    assert_eq!(put(&before), Decision::Allow);
    let shown = world.iam.user_policy(world.receipt(), "ann").await.unwrap();
    assert_eq!(shown.as_deref(), Some(READ_ONLY));
    let listed = world.iam.list_users(world.receipt()).await.unwrap();
    assert_eq!(listed[0].access, Access::Policy);

    let removed = world.iam.remove_user_policy(world.receipt(), "ann");
    assert_eq!(removed.await.unwrap().access, Access::Full);
    let again = client.call(&world.iam).unwrap().caller;
    assert_eq!(put(&again), Decision::Allow);
    let shown = world.iam.user_policy(world.receipt(), "ann").await.unwrap();
    assert_eq!(shown, None);
    assert_eq!(
        put(&Client::root().call(&world.iam).unwrap().caller),
        Decision::Allow
    );
}

#[tokio::test]
async fn policies_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let add = world
        .iam
        .add_user_with_policy(world.receipt(), "ann", Some(READ_ONLY));
    let made = add.await.unwrap();
    assert_eq!(made.user.access, Access::Policy);
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    assert_eq!(put(&client.call(&world.iam).unwrap().caller), NOT_ALLOWED);
    let clock = Arc::new(SimClock::new(NOW_MS));
    let options = IamOptions::new(ACCOUNT, REGION);
    let iam = Iam::open(&world.store, clock, options, root())
        .await
        .unwrap();
    let caller = client.call(&iam).unwrap().caller;
    assert_eq!((get(&caller), put(&caller)), (Decision::Allow, NOT_ALLOWED));
    let second = iam.add_access_key(world.receipt(), "ann").await.unwrap();
    let client = Client::new(&second.access_key_id, second.secret.expose_secret());
    assert_eq!(put(&client.call(&iam).unwrap().caller), NOT_ALLOWED);
}

#[tokio::test]
async fn the_context_of_a_caller() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "Ann").await.unwrap();
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    let caller = client.call(&world.iam).unwrap().caller;
    assert_eq!(caller.principal().kind, PrincipalKind::User);
    assert_eq!(caller.user_id(), made.user.principal_id);
    let user = [
        ("aws:PrincipalArn", made.user.arn.as_str()),
        ("aws:PrincipalAccount", ACCOUNT),
        ("aws:PrincipalType", "User"),
        ("aws:userid", made.user.principal_id.as_str()),
        ("aws:username", "Ann"),
        ("aws:SecureTransport", "true"),
        ("aws:RequestedRegion", REGION),
        ("aws:CurrentTime", "2026-11-21T10:00:00Z"),
        ("aws:EpochTime", "1795255200"),
        ("aws:SourceIp", "127.0.0.1"),
        ("aws:UserAgent", "test"),
    ];
    for (key, value) in user {
        assert!(is(&caller, key, value), "{key}");
        assert!(!is(&caller, key, "another"), "{key}");
    }
    let root = Client::root().call(&world.iam).unwrap().caller;
    assert_eq!(root.principal().kind, PrincipalKind::Root);
    assert!(is(&root, "aws:PrincipalType", "Account"));
    assert!(is(&root, "aws:userid", ACCOUNT));
    assert!(!is(&root, "aws:username", "*"));
    assert!(!is(&caller, "aws:MultiFactorAuthPresent", "*"));
}

/// Whether a condition on a key holds for a caller.
fn is(caller: &Caller, key: &str, value: &str) -> bool {
    let policy = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*",
        "Resource": "*", "Condition": { "StringLike": { key: value } } } });
    let policy = strongroom_policy::Policy::parse(
        &policy.to_string(),
        strongroom_policy::PolicyKind::Identity,
    );
    let context = Context::over(&[caller.policy_context()]);
    let principal = strongroom_policy::Principal {
        kind: PrincipalKind::User,
        ..caller.principal()
    };
    let request = Request {
        principal,
        action: "s3:GetObject",
        resource: "*",
        context: &context,
    };
    decide_account(&[policy.unwrap()], &request) == Decision::Allow
}

#[tokio::test]
async fn policy_variables_are_about_the_caller() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    for (name, own, other) in [("ann", "ann", "bob"), ("bob", "bob", "ann")] {
        let add = world
            .iam
            .add_user_with_policy(world.receipt(), name, Some(SELF_ONLY));
        let made = add.await.unwrap();
        let client = Client::new(&made.access_key_id, made.secret.expose_secret());
        let caller = client.call(&world.iam).unwrap().caller;
        let at = |home: &str| {
            decide(
                &caller,
                "s3:GetObject",
                &format!("arn:aws:s3:::home/{home}/file"),
            )
        };
        assert_eq!(at(own), Decision::Allow);
        assert_eq!(at(other), NOT_ALLOWED);
    }
}

#[tokio::test]
async fn documents_that_are_no_policies_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let set = |document: String| async {
        let document = document;
        world
            .iam
            .set_user_policy(world.receipt(), "ann", &document)
            .await
    };
    let made = world
        .iam
        .add_user_with_policy(world.receipt(), "ann", Some(READ_ONLY));
    let made = made.await.unwrap();
    let mut refused = 0;
    for document in [
        "",
        "{}",
        "[]",
        "null",
        "{",
        // An identity policy is about its user and nobody else.
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*"}}"#,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"*","Resource":"*"}}"#,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Efect":"Deny","Action":"*","Resource":"*"}}"#,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}}"#,
    ] {
        let outcome = set(document.to_owned()).await;
        assert!(
            matches!(outcome, Err(Error::MalformedPolicy { .. })),
            "{document}"
        );
        let add = world
            .iam
            .add_user_with_policy(world.receipt(), "bob", Some(document));
        assert!(
            matches!(add.await, Err(Error::MalformedPolicy { .. })),
            "{document}"
        );
        refused += 2;
    }
    for long in [
        READ_ONLY.replace("s3:Get*", &format!("s3:{}", "a".repeat(6_200))),
        format!("{READ_ONLY}{}", " ".repeat(20_480)),
    ] {
        assert!(matches!(set(long).await, Err(Error::PolicyTooLong)));
        refused += 1;
    }
    let nobody = world
        .iam
        .set_user_policy(world.receipt(), "eve", READ_ONLY)
        .await;
    assert!(matches!(nobody, Err(Error::NoSuchUser { .. })));
    let nobody = world.iam.user_policy(world.receipt(), "eve").await;
    assert!(matches!(nobody, Err(Error::NoSuchUser { .. })));
    let nobody = world.iam.remove_user_policy(world.receipt(), "eve").await;
    assert!(matches!(nobody, Err(Error::NoSuchUser { .. })));
    refused += 3;
    assert_eq!(
        world.iam.list_users(world.receipt()).await.unwrap().len(),
        1
    );
    let client = Client::new(&made.access_key_id, made.secret.expose_secret());
    let caller = client.call(&world.iam).unwrap().caller;
    assert_eq!((get(&caller), put(&caller)), (Decision::Allow, NOT_ALLOWED));
    world
        .iam
        .remove_user_policy(world.receipt(), "ann")
        .await
        .unwrap();
    let twice = world.iam.remove_user_policy(world.receipt(), "ann").await;
    assert!(matches!(twice, Err(Error::NoSuchUserPolicy { .. })));
    world.close().await;
    let lines = audit_lines(dir.path());
    let errors = lines.iter().filter(|line| line.get("errorCode").is_some());
    assert_eq!(errors.count(), refused + 1);
}

#[tokio::test]
async fn events_have_the_names_of_iam_and_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let add = world
        .iam
        .add_user_with_policy(world.receipt(), "ann", Some(READ_ONLY));
    add.await.unwrap();
    world
        .iam
        .set_user_policy(world.receipt(), "ann", SELF_ONLY)
        .await
        .unwrap();
    world.iam.user_policy(world.receipt(), "ann").await.unwrap();
    world
        .iam
        .remove_user_policy(world.receipt(), "ann")
        .await
        .unwrap();
    world.close().await;
    let lines = audit_lines(dir.path());
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["eventName"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "CreateUser",
            "PutUserPolicy",
            "CreateAccessKey",
            "PutUserPolicy",
            "GetUserPolicy",
            "DeleteUserPolicy"
        ]
    );
    assert_eq!(lines[1]["requestParameters"]["policyDocument"], READ_ONLY);
    assert_eq!(
        lines[3]["requestParameters"],
        json!({ "userName": "ann", "policyName": "identity-policy", "policyDocument": SELF_ONLY })
    );
    assert_eq!(lines[4]["readOnly"], true);
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ann");
    assert!(lines.iter().all(|line| line["resources"][0]["ARN"] == arn));
}

#[tokio::test]
async fn sec_n35_a_name_that_is_used_again_is_another_principal() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ann");
    assert_eq!(world.iam.unique_id(&arn), None);
    let first = world
        .iam
        .add_user_with_policy(world.receipt(), "ann", Some(READ_ONLY));
    let first = first.await.unwrap().user.principal_id;
    assert_eq!(world.iam.unique_id(&arn).as_ref(), Some(&first));
    assert_eq!(world.iam.arn_of(&first).as_ref(), Some(&arn));
    world.iam.remove_user(world.receipt(), "ann").await.unwrap();
    assert_eq!(
        (world.iam.unique_id(&arn), world.iam.arn_of(&first)),
        (None, None)
    );
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    assert_ne!(world.iam.unique_id(&arn), Some(first.clone()));
    assert_eq!(world.iam.arn_of(&first), None);
    // Nor does it have the policy of the first.
    assert_eq!(made.user.access, Access::Full);
    for nobody in [
        "",
        "*",
        "ann",
        "arn:aws:iam::999999999999:user/ann",
        "arn:aws:iam::999999999999:root",
        "arn:aws:iam::123456789012:user/",
        "arn:aws:iam::123456789012:user/ANN",
        "arn:aws:iam::123456789012:user/ann/",
        "arn:aws:iam::123456789012:role/ann",
    ] {
        assert_eq!(world.iam.unique_id(nobody), None, "{nobody}");
    }
    let account = format!("arn:aws:iam::{ACCOUNT}:root");
    assert_eq!(world.iam.unique_id(&account).as_deref(), Some(ACCOUNT));
}

#[tokio::test]
async fn sec_a_policy_that_cannot_be_read_denies_everything() {
    for policy in ["", "{}", "not json", READ_ONLY.trim_end_matches('}')] {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path()).await;
        let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
        let text = |s: &str| {
            let len = u8::try_from(s.len()).unwrap();
            [vec![0x78, len], s.as_bytes().to_vec()].concat()
        };
        let row = [
            vec![0x84],
            text("ann"),
            text(&made.user.principal_id),
            vec![1],
            text(policy),
        ];
        let write = Write::Put {
            table: TableId(10),
            key: b"ann".to_vec(),
            value: row.concat(),
        };
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![write],
        };
        world.store.tables().commit(batch).await.unwrap();
        let clock = Arc::new(SimClock::new(NOW_MS));
        let options = IamOptions::new(ACCOUNT, REGION);
        let iam = Iam::open(&world.store, clock, options, root())
            .await
            .unwrap();
        let listed = iam.list_users(world.receipt()).await.unwrap();
        assert_eq!(listed[0].access, Access::Damaged);
        let client = Client::new(&made.access_key_id, made.secret.expose_secret());
        let caller = client.call(&iam).unwrap().caller;
        let denied = Decision::ExplicitDeny(DenySource::IdentityPolicy);
        assert_eq!((get(&caller), put(&caller)), (denied, denied), "{policy}");
        // Setting another one mends it.
        iam.set_user_policy(world.receipt(), "ann", READ_ONLY)
            .await
            .unwrap();
        let caller = client.call(&iam).unwrap().caller;
        assert_eq!((get(&caller), put(&caller)), (Decision::Allow, NOT_ALLOWED));
    }
}

/// A restriction whose commit may have happened is in force; one that did not happen is not, and
/// nobody ever gets more than both policies allow.
#[tokio::test]
async fn sec_a_change_of_policy_that_fails_gives_no_more_access() {
    let mut unknown = 0;
    for at in 0..8 {
        let drive = SimDrive::new(at);
        let world = World::open_on(Arc::new(drive.clone()), Arc::new(SimDrive::new(at))).await;
        let add = world
            .iam
            .add_user_with_policy(world.receipt(), "ann", Some(READ_ONLY));
        let made = add.await.unwrap();
        let client = Client::new(&made.access_key_id, made.secret.expose_secret());
        let plan = FaultPlan::new([Fault::FailAt(at)]).within(|folder| folder == Folder::Log);
        drive.set_plan(plan);
        let outcome = world.iam.remove_user_policy(world.receipt(), "ann").await;
        let caller = client.call(&world.iam).unwrap().caller;
        match outcome {
            Ok(_) => assert_eq!(put(&caller), Decision::Allow),
            Err(Error::Store(_)) => {
                assert_eq!((get(&caller), put(&caller)), (Decision::Allow, NOT_ALLOWED));
            }
            Err(Error::OutcomeUnknown) => {
                unknown += 1;
                let denied = Decision::ExplicitDeny(DenySource::IdentityPolicy);
                assert_eq!((get(&caller), put(&caller)), (denied, denied));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(unknown > 0);
}
