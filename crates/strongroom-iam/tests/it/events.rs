// SPDX-License-Identifier: Apache-2.0
//! Every change of users is in the audit log, and no secret is anywhere.

use std::path::Path;

use serde_json::{Value, json};
use strongroom_testkit::contents_below;

use crate::world::{ACCOUNT, World, audit_lines};

fn names(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["eventName"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn changes_are_recorded_in_the_shape_of_iam() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let second = world
        .iam
        .add_access_key(world.receipt(), "ann")
        .await
        .unwrap();
    world.iam.list_users(world.receipt()).await.unwrap();
    world
        .iam
        .remove_access_key(world.receipt(), "ann", &made.access_key_id)
        .await
        .unwrap();
    world.iam.remove_user(world.receipt(), "ann").await.unwrap();
    world.close().await;
    let lines = audit_lines(dir.path());
    assert_eq!(
        names(&lines),
        [
            "CreateUser",
            "CreateAccessKey",
            "CreateAccessKey",
            "ListUsers",
            "DeleteAccessKey",
            "DeleteAccessKey",
            "DeleteUser"
        ]
    );
    for line in &lines {
        assert_eq!(line["eventSource"], "iam.amazonaws.com");
        assert_eq!(line["eventCategory"], "Management");
        assert_eq!(line["readOnly"], line["eventName"] == "ListUsers");
        assert_eq!(line.get("errorCode"), None);
    }
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ann");
    assert_eq!(lines[0]["requestParameters"], json!({ "userName": "ann" }));
    assert_eq!(
        lines[0]["responseElements"]["user"],
        json!({
            "path": "/",
            "userName": "ann",
            "userId": made.user.principal_id,
            "arn": arn,
            "createDate": "2026-11-21T10:00:00Z",
        })
    );
    assert_eq!(
        lines[1]["responseElements"]["accessKey"]["accessKeyId"],
        made.access_key_id
    );
    assert_eq!(
        lines[4]["requestParameters"]["accessKeyId"],
        made.access_key_id
    );
    assert_eq!(
        lines[5]["requestParameters"]["accessKeyId"],
        second.access_key_id
    );
    assert_eq!(lines[6]["resources"][0]["ARN"], arn);
}

#[tokio::test]
async fn refusals_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    world.iam.add_user(world.receipt(), "ann").await.unwrap();
    world
        .iam
        .add_user(world.receipt(), "ann")
        .await
        .unwrap_err();
    world
        .iam
        .add_user(world.receipt(), "a b\n\u{202e}")
        .await
        .unwrap_err();
    world
        .iam
        .remove_user(world.receipt(), "eve")
        .await
        .unwrap_err();
    world
        .iam
        .remove_access_key(world.receipt(), "ann", &"x".repeat(5000))
        .await
        .unwrap_err();
    world.close().await;
    let lines = audit_lines(dir.path());
    let codes: Vec<&str> = lines
        .iter()
        .skip(2)
        .map(|line| line["errorCode"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "EntityAlreadyExists",
            "ValidationError",
            "NoSuchEntity",
            "NoSuchEntity"
        ]
    );
    assert_eq!(
        names(&lines[2..]),
        ["CreateUser", "CreateUser", "DeleteUser", "DeleteAccessKey"]
    );
    assert!(lines.iter().all(|line| line.to_string().len() < 2_000));
}

/// Every byte under the directory.
fn all_bytes(dir: &Path) -> Vec<u8> {
    let files = contents_below(dir).unwrap();
    files.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

#[tokio::test]
async fn sec_secrets_are_nowhere_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    let secret = made.secret.expose_secret().to_owned();
    assert!(!format!("{made:?} {:?}", world.iam).contains(&secret));
    world.close().await;
    let bytes = all_bytes(dir.path());
    assert!(bytes.len() > 500);
    let found = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(found("CreateUser"), "the search finds what is there");
    assert!(!found(&secret));
}
