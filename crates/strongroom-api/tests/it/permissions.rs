// SPDX-License-Identifier: Apache-2.0
//! What users with identity policies may do over the wire: S3, S3 with the key service, and every
//! operation of the key service.

#![allow(
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of decisions: many columns, many rows, names as close as the things"
)]

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Call, House, Reply, files_of_content, house};
use crate::kms::{ask, call as kms_call};

/// A user's access key.
#[derive(Clone, Copy)]
pub struct User {
    id: &'static str,
    secret: &'static str,
}

impl User {
    pub async fn new(house: &House, name: &str, statements: Value) -> User {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let receipt = house.audit.begin(facts());
        let add = house.iam.add_user_with_policy(receipt, name, Some(&policy));
        let made = add.await.unwrap();
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        User {
            id: leak(&made.access_key_id),
            secret: leak(made.secret.expose_secret()),
        }
    }

    fn sign(self, mut call: Call<'_>) -> Call<'_> {
        call.access_key_id = self.id;
        call.secret = self.secret;
        call
    }

    pub fn call<'h>(self, house: &'h House, method: &str, target: &str) -> Call<'h> {
        self.sign(house.call(method, target))
    }

    pub(crate) async fn does(self, house: &House, method: &str, target: &str) -> Reply {
        self.call(house, method, target).send().await
    }
}

fn facts() -> strongroom_audit::RequestFacts {
    strongroom_audit::RequestFacts {
        request_id: String::new(),
        source_ip: String::new(),
        user_agent: String::new(),
        host: String::new(),
        tls: None,
        identity: strongroom_audit::UserIdentity::Anonymous,
    }
}

pub(crate) fn allow(actions: &Value, resources: &Value) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
}

#[track_caller]
pub(crate) fn forbidden(reply: &Reply, action: &str) {
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text());
    let text = reply.text();
    assert!(text.contains("<Code>AccessDenied</Code>"), "{text}");
    let words = format!("is not authorized to perform: {action} on resource:");
    assert!(text.contains(&words), "{text}");
}

async fn put(house: &House, target: &str) {
    let stored = house.call("PUT", target).body("body").send().await;
    stored.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_user_who_only_writes() {
    let house = house().await;
    house.bucket("drop").await;
    put(&house, "/drop/there").await;
    let policy = allow(&json!("s3:PutObject"), &json!("arn:aws:s3:::drop/*"));
    let writer = User::new(&house, "writer", json!([policy])).await;
    let stored = writer
        .call(&house, "PUT", "/drop/new")
        .body("x")
        .send()
        .await;
    stored.expect(StatusCode::OK);
    forbidden(
        &writer.does(&house, "GET", "/drop/there").await,
        "s3:GetObject",
    );
    forbidden(
        &writer.does(&house, "DELETE", "/drop/there").await,
        "s3:DeleteObject",
    );
    forbidden(&writer.does(&house, "GET", "/drop").await, "s3:ListBucket");
    forbidden(
        &writer.does(&house, "GET", "/").await,
        "s3:ListAllMyBuckets",
    );
    forbidden(
        &writer.does(&house, "PUT", "/other").await,
        "s3:CreateBucket",
    );
    forbidden(
        &writer.does(&house, "DELETE", "/drop").await,
        "s3:DeleteBucket",
    );
    forbidden(
        &writer.does(&house, "GET", "/drop?location").await,
        "s3:GetBucketLocation",
    );
    forbidden(
        &writer.does(&house, "GET", "/drop?uploads").await,
        "s3:ListBucketMultipartUploads",
    );
    let head = writer.does(&house, "HEAD", "/drop/there").await;
    assert_eq!(head.status, StatusCode::FORBIDDEN);
    house
        .call("GET", "/drop/there")
        .send()
        .await
        .expect(StatusCode::OK);
}

/// S3: 404 is for those who may list the bucket.
#[tokio::test]
async fn sec_a_missing_object_is_forbidden_to_who_may_not_list() {
    let house = house().await;
    house.bucket("box").await;
    let read = allow(
        &json!(["s3:GetObject", "s3:GetObjectVersion"]),
        &json!("arn:aws:s3:::box/*"),
    );
    let list = allow(&json!("s3:ListBucket"), &json!("arn:aws:s3:::box"));
    let reader = User::new(&house, "reader", json!([read.clone()])).await;
    let lister = User::new(&house, "lister", json!([read, list])).await;
    for target in ["/box/missing", "/box/missing?versionId=null"] {
        for method in ["GET", "HEAD"] {
            let hidden = reader.does(&house, method, target).await;
            assert_eq!(hidden.status, StatusCode::FORBIDDEN, "{method} {target}");
            let told = lister.does(&house, method, target).await;
            assert_eq!(told.status, StatusCode::NOT_FOUND, "{method} {target}");
        }
    }
    forbidden(
        &reader.does(&house, "GET", "/box/missing").await,
        "s3:ListBucket",
    );
}

#[tokio::test]
async fn sec_n30_a_bucket_and_its_objects_are_different_resources() {
    let house = house().await;
    house.bucket("box").await;
    house.bucket("box2").await;
    put(&house, "/box/k").await;
    put(&house, "/box2/k").await;
    let all = json!(["s3:GetObject", "s3:ListBucket"]);
    for (name, resource, get, list, other) in [
        ("one", "arn:aws:s3:::box", false, true, false),
        ("two", "arn:aws:s3:::box/*", true, false, false),
        ("three", "arn:aws:s3:::box*", true, true, true),
        ("four", "arn:aws:s3:::BOX/*", false, false, false),
    ] {
        let user = User::new(&house, name, json!([allow(&all, &json!(resource))])).await;
        for (target, may) in [("/box/k", get), ("/box", list), ("/box2/k", other)] {
            let reply = user.does(&house, "GET", target).await;
            assert_eq!(reply.status == StatusCode::OK, may, "{resource} {target}");
            assert!(may || reply.status == StatusCode::FORBIDDEN);
        }
    }
}

#[tokio::test]
async fn sec_n43_a_version_needs_its_own_permission() {
    let house = house().await;
    house.bucket("box").await;
    put(&house, "/box/k").await;
    let write = allow(&json!("s3:PutObject"), &json!("*"));
    let current = allow(&json!("s3:GetObject"), &json!("arn:aws:s3:::box/*"));
    let version = allow(&json!("s3:GetObjectVersion"), &json!("arn:aws:s3:::box/*"));
    let plain = User::new(&house, "plain", json!([current, write.clone()])).await;
    let versions = User::new(&house, "versions", json!([version, write])).await;
    for method in ["GET", "HEAD"] {
        for (user, target, may) in [
            (plain, "/box/k", true),
            (plain, "/box/k?versionId=null", false),
            (versions, "/box/k", false),
            (versions, "/box/k?versionId=null", true),
        ] {
            let reply = user.does(&house, method, target).await;
            assert_eq!(reply.status == StatusCode::OK, may, "{method} {target}");
        }
    }
    for (user, source, may) in [
        (plain, "/box/k", true),
        (plain, "/box/k?versionId=null", false),
        (versions, "/box/k", false),
        (versions, "/box/k?versionId=null", true),
    ] {
        let copy = user
            .call(&house, "PUT", "/box/copy")
            .header("x-amz-copy-source", source);
        let reply = copy.send().await;
        assert_eq!(
            reply.status == StatusCode::OK,
            may,
            "{source}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn sec_n44_the_source_of_a_part_needs_permission() {
    let house = house().await;
    house.bucket("from").await;
    house.bucket("dest").await;
    put(&house, "/from/k").await;
    let write = allow(&json!("s3:PutObject"), &json!("arn:aws:s3:::dest/*"));
    let read = allow(&json!("s3:GetObject"), &json!("arn:aws:s3:::from/*"));
    let writer = User::new(&house, "writer", json!([write.clone()])).await;
    let copier = User::new(&house, "copier", json!([write, read])).await;
    let created = house.call("POST", "/dest/k?uploads").send().await;
    let text = created.text();
    let id = text
        .split("<UploadId>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    for (user, may) in [(writer, false), (copier, true)] {
        let part = user
            .call(
                &house,
                "PUT",
                &format!("/dest/k?partNumber=1&uploadId={id}"),
            )
            .header("x-amz-copy-source", "/from/k")
            .send()
            .await;
        assert_eq!(part.status == StatusCode::OK, may, "{}", part.text());
        if !may {
            forbidden(&part, "s3:GetObject");
            let parts = house
                .call("GET", &format!("/dest/k?uploadId={id}"))
                .send()
                .await;
            assert!(!parts.text().contains("<PartNumber>"));
        }
    }
}

#[tokio::test]
async fn sec_n45_each_name_of_a_batch_is_authorized() {
    let house = house().await;
    house.bucket("box").await;
    for name in ["own/1", "own/2", "other/1"] {
        put(&house, &format!("/box/{name}")).await;
    }
    let policy = allow(&json!("s3:DeleteObject"), &json!("arn:aws:s3:::box/own/*"));
    let user = User::new(&house, "user", json!([policy])).await;
    let body = "<Delete><Object><Key>own/1</Key></Object><Object><Key>other/1</Key></Object>\
                <Object><Key>own/2</Key><VersionId>null</VersionId></Object></Delete>";
    let reply = user
        .call(&house, "POST", "/box?delete")
        .header("content-md5", &md5_of(body))
        .body(body)
        .send()
        .await;
    let reply = reply.expect(StatusCode::OK);
    let text = reply.text();
    assert!(text.contains("<Deleted><Key>own/1</Key>"), "{text}");
    assert_eq!(
        text.matches("<Code>AccessDenied</Code>").count(),
        2,
        "{text}"
    );
    for (name, status) in [
        ("own/1", StatusCode::NOT_FOUND),
        ("own/2", StatusCode::OK),
        ("other/1", StatusCode::OK),
    ] {
        let there = house.call("HEAD", &format!("/box/{name}")).send().await;
        assert_eq!(there.status, status, "{name}");
    }
}

/// A policy that forbids to read one version saw the version of a DELETE, and not those that a list
/// of deletions names: its ETag could be found out by guessing.
#[tokio::test]
async fn sec_n74_comparing_with_a_version_needs_the_right_to_read_that_version() {
    let house = house().await;
    house.bucket("box").await;
    let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let call = house.call("PUT", "/box?versioning").body(status);
    call.send().await.expect(StatusCode::OK);
    let mut versions = Vec::new();
    for _ in 0..2 {
        let stored = house.call("PUT", "/box/k").body("seven b").send().await;
        let id = stored
            .expect(StatusCode::OK)
            .header("x-amz-version-id")
            .to_owned();
        versions.push(id);
    }
    let all = allow(&json!("s3:*"), &json!("*"));
    let but = json!({ "Effect": "Deny", "Action": "s3:GetObjectVersion", "Resource": "*",
        "Condition": { "StringEquals": { "s3:VersionId": versions[0] } } });
    let user = User::new(&house, "user", json!([all, but])).await;
    let refused = user
        .call(
            &house,
            "DELETE",
            &format!("/box/k?versionId={}", versions[0]),
        )
        .header("if-match", "\"guess\"")
        .send()
        .await;
    forbidden(&refused, "s3:GetObjectVersion");
    for (at, code) in [(0, "AccessDenied"), (1, "PreconditionFailed")] {
        for guess in ["<ETag>guess</ETag>", "<Size>1</Size>"] {
            let id = &versions[at];
            let body = format!(
                "<Delete><Object><Key>k</Key><VersionId>{id}</VersionId>{guess}</Object></Delete>"
            );
            let reply = user
                .call(&house, "POST", "/box?delete")
                .header("content-md5", &md5_of(&body))
                .body(body)
                .send()
                .await;
            let text = reply.expect(StatusCode::OK).text();
            assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
        }
    }
}

fn md5_of(text: &str) -> String {
    use base64::Engine as _;
    use md5::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(text))
}

#[tokio::test]
async fn conditions_of_lists_and_requests() {
    let house = house().await;
    house.bucket("box").await;
    put(&house, "/box/home/ann/k").await;
    let home = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::box",
        "Condition": { "StringLike": { "s3:prefix": "home/${aws:username}/*" },
            "StringEquals": { "s3:delimiter": "/" },
            "NumericLessThanEquals": { "s3:max-keys": "10" } } });
    let sealed = json!({ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*",
        "Condition": { "StringEquals": { "s3:x-amz-server-side-encryption": "AES256" } } });
    let old_tls = json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*",
        "Condition": { "NumericLessThan": { "s3:TlsVersion": "1.3" } } });
    let clear = json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*",
        "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
    let ann = User::new(&house, "ann", json!([home, sealed, old_tls, clear])).await;
    for (query, may) in [
        ("prefix=home/ann/&delimiter=/&max-keys=10", true),
        ("list-type=2&prefix=home/ann/&delimiter=/&max-keys=10", true),
        ("prefix=home/ann/&delimiter=/&max-keys=11", false),
        ("prefix=home/ann/&delimiter=/", false),
        ("prefix=home/ann/&max-keys=10", false),
        ("prefix=home/bob/&delimiter=/&max-keys=10", false),
        ("prefix=home/&delimiter=/&max-keys=10", false),
        ("delimiter=/&max-keys=10", false),
    ] {
        let reply = ann.does(&house, "GET", &format!("/box?{query}")).await;
        assert_eq!(
            reply.status == StatusCode::OK,
            may,
            "{query}: {}",
            reply.text()
        );
    }
    let sse = "x-amz-server-side-encryption";
    for (value, may) in [
        (Some("AES256"), true),
        (Some("aws:kms"), false),
        (None, false),
    ] {
        let mut call = ann.call(&house, "PUT", "/box/new").body("x");
        if let Some(value) = value {
            call = call.header(sse, value);
        }
        let reply = call.send().await;
        assert_eq!(
            reply.status == StatusCode::OK,
            may,
            "{value:?}: {}",
            reply.text()
        );
    }
    let mut plain = ann
        .call(&house, "PUT", "/box/new")
        .header(sse, "AES256")
        .body("x");
    plain.secure = false;
    forbidden(&plain.send().await, "s3:PutObject");
}

/// Storing under a key needs the key: by default, and with nothing to switch it off.
#[tokio::test]
async fn sec_objects_under_a_key_need_the_key() {
    let house = house().await;
    house.bucket("box").await;
    let made = ask(&house, "CreateKey", json!({})).await;
    let arn = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let s3 = allow(&json!("s3:*"), &json!("*"));
    let writes = allow(&json!("kms:GenerateDataKey"), &json!(arn));
    let reads = allow(&json!("kms:Decrypt"), &json!(arn));
    let neither = User::new(&house, "neither", json!([s3.clone()])).await;
    let writer = User::new(&house, "writer", json!([s3.clone(), writes])).await;
    let reader = User::new(&house, "reader", json!([s3, reads])).await;
    let store = |user: User, name: &str| {
        user.call(&house, "PUT", &format!("/box/{name}"))
            .header("x-amz-server-side-encryption", "aws:kms")
            .header("x-amz-server-side-encryption-aws-kms-key-id", &arn)
            .body("secret")
    };
    let files = files_of_content(&house);
    for user in [neither, reader] {
        let refused = store(user, "k").send().await;
        forbidden(&refused, "kms:GenerateDataKey");
        assert!(
            refused
                .text()
                .contains("because no identity-based policy allows")
        );
        let upload = user
            .call(&house, "POST", "/box/k?uploads")
            .header("x-amz-server-side-encryption", "aws:kms")
            .header("x-amz-server-side-encryption-aws-kms-key-id", &arn)
            .send()
            .await;
        forbidden(&upload, "kms:GenerateDataKey");
    }
    assert_eq!(
        house.call("HEAD", "/box/k").send().await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(files_of_content(&house), files);
    store(writer, "k").send().await.expect(StatusCode::OK);
    for (user, may) in [(neither, false), (writer, false), (reader, true)] {
        let got = user.does(&house, "GET", "/box/k").await;
        if may {
            assert_eq!(got.text(), "secret");
        } else {
            assert_eq!(got.status, StatusCode::FORBIDDEN);
            assert!(
                got.text()
                    .contains("The ciphertext refers to a customer master key")
            );
            assert!(!got.text().contains(&arn));
        }
        // What is said about an object, and its end, need no key.
        let head = user.does(&house, "HEAD", "/box/k").await;
        head.expect(StatusCode::OK);
        let copy = user
            .call(&house, "PUT", "/box/copy")
            .header("x-amz-copy-source", "/box/k");
        assert_eq!(copy.send().await.status == StatusCode::OK, may);
    }
    neither
        .does(&house, "DELETE", "/box/k")
        .await
        .expect(StatusCode::NO_CONTENT);
    let events = house.events().await;
    let denied = |name: &str| {
        let of_name = events.iter().filter(|event| event["eventName"] == name);
        of_name
            .filter(|event| event["errorCode"] == "AccessDenied")
            .count()
    };
    assert_eq!((denied("GenerateDataKey"), denied("Decrypt")), (4, 4));
}

/// The address is that of the socket, whatever a header says.
#[tokio::test]
async fn sec_n39_forwarded_addresses_count_for_nothing() {
    let house = house().await;
    house.bucket("box").await;
    let inside = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*",
        "Condition": { "IpAddress": { "aws:SourceIp": "198.51.100.0/24" } } });
    let user = User::new(&house, "user", json!([inside])).await;
    for name in [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "x-amz-source-ip",
    ] {
        let mut call = user.call(&house, "GET", "/box");
        call = call.header(name, "198.51.100.7");
        assert_eq!(call.send().await.status, StatusCode::FORBIDDEN, "{name}");
    }
}

/// Every operation of the key service that acts on a key or for an account, and what it needs.
fn operations(key: &str, mac: &str, grant: &str) -> Vec<(&'static str, Value, &'static str)> {
    let on = |more: Value| {
        let mut body = json!({ "KeyId": key });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let none = json!({});
    vec![
        ("CreateKey", none.clone(), "kms:CreateKey"),
        ("ListKeys", none.clone(), "kms:ListKeys"),
        ("ListAliases", none.clone(), "kms:ListAliases"),
        (
            "GenerateRandom",
            json!({ "NumberOfBytes": 8 }),
            "kms:GenerateRandom",
        ),
        ("DescribeKey", on(none.clone()), "kms:DescribeKey"),
        ("EnableKey", on(none.clone()), "kms:EnableKey"),
        ("DisableKey", on(none.clone()), "kms:DisableKey"),
        ("Encrypt", on(json!({ "Plaintext": "AAAA" })), "kms:Encrypt"),
        (
            "GenerateDataKey",
            on(json!({ "KeySpec": "AES_256" })),
            "kms:GenerateDataKey",
        ),
        (
            "GenerateDataKeyWithoutPlaintext",
            on(json!({ "KeySpec": "AES_256" })),
            "kms:GenerateDataKeyWithoutPlaintext",
        ),
        (
            "GenerateDataKeyPair",
            on(json!({ "KeyPairSpec": "ECC_NIST_P256" })),
            "kms:GenerateDataKeyPair",
        ),
        (
            "GenerateMac",
            json!({ "KeyId": mac, "Message": "AAAA", "MacAlgorithm": "HMAC_SHA_256" }),
            "kms:GenerateMac",
        ),
        (
            "CreateAlias",
            json!({ "AliasName": "alias/new", "TargetKeyId": key }),
            "kms:CreateAlias",
        ),
        (
            "UpdateAlias",
            json!({ "AliasName": "alias/there", "TargetKeyId": key }),
            "kms:UpdateAlias",
        ),
        (
            "DeleteAlias",
            json!({ "AliasName": "alias/there" }),
            "kms:DeleteAlias",
        ),
        ("GetKeyPolicy", on(none.clone()), "kms:GetKeyPolicy"),
        ("ListKeyPolicies", on(none.clone()), "kms:ListKeyPolicies"),
        (
            "PutKeyPolicy",
            on(json!({ "Policy": "{}" })),
            "kms:PutKeyPolicy",
        ),
        (
            "CreateGrant",
            on(
                json!({ "GranteePrincipal": "arn:aws:iam::000000000000:root",
                "Operations": ["Decrypt"] }),
            ),
            "kms:CreateGrant",
        ),
        ("ListGrants", on(none.clone()), "kms:ListGrants"),
        (
            "ListRetirableGrants",
            json!({ "RetiringPrincipal": "arn:aws:iam::000000000000:root" }),
            "kms:ListRetirableGrants",
        ),
        (
            "RevokeGrant",
            on(json!({ "GrantId": grant })),
            "kms:RevokeGrant",
        ),
        (
            "RetireGrant",
            on(json!({ "GrantId": grant })),
            "kms:RetireGrant",
        ),
        (
            "ScheduleKeyDeletion",
            on(json!({ "PendingWindowInDays": 7 })),
            "kms:ScheduleKeyDeletion",
        ),
        (
            "CancelKeyDeletion",
            on(none.clone()),
            "kms:CancelKeyDeletion",
        ),
        (
            "UpdateKeyDescription",
            on(json!({ "Description": "x" })),
            "kms:UpdateKeyDescription",
        ),
        (
            "EnableKeyRotation",
            on(none.clone()),
            "kms:EnableKeyRotation",
        ),
        (
            "DisableKeyRotation",
            on(none.clone()),
            "kms:DisableKeyRotation",
        ),
        (
            "GetKeyRotationStatus",
            on(none.clone()),
            "kms:GetKeyRotationStatus",
        ),
        (
            "RotateKeyOnDemand",
            on(none.clone()),
            "kms:RotateKeyOnDemand",
        ),
        ("ListKeyRotations", on(none.clone()), "kms:ListKeyRotations"),
        (
            "TagResource",
            on(json!({ "Tags": [{ "TagKey": "k", "TagValue": "v" }] })),
            "kms:TagResource",
        ),
        (
            "UntagResource",
            on(json!({ "TagKeys": ["k"] })),
            "kms:UntagResource",
        ),
        ("ListResourceTags", on(none), "kms:ListResourceTags"),
    ]
}

/// With every permission but its own an operation is denied, and nothing has changed.
#[tokio::test]
async fn sec_each_operation_of_the_key_service_needs_its_own_permission() {
    let house = house().await;
    let made = ask(&house, "CreateKey", json!({ "Description": "d" })).await;
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let mac = json!({ "KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" });
    let made = ask(&house, "CreateKey", mac).await;
    let mac = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let alias = json!({ "AliasName": "alias/there", "TargetKeyId": key });
    ask(&house, "CreateAlias", alias).await;
    let account = made["KeyMetadata"]["AWSAccountId"].as_str().unwrap();
    let root = format!("arn:aws:iam::{account}:root");
    let grant = json!({ "KeyId": key, "GranteePrincipal": root, "Operations": ["Decrypt"] });
    let grant = ask(&house, "CreateGrant", grant).await["GrantId"]
        .as_str()
        .unwrap()
        .to_owned();
    let state = async || {
        let mut state = Vec::new();
        for (operation, body) in [
            ("DescribeKey", json!({ "KeyId": key })),
            ("GetKeyPolicy", json!({ "KeyId": key })),
            ("ListGrants", json!({ "KeyId": key })),
            ("ListResourceTags", json!({ "KeyId": key })),
            ("GetKeyRotationStatus", json!({ "KeyId": key })),
            ("ListKeyRotations", json!({ "KeyId": key })),
            ("ListAliases", json!({})),
            ("ListKeys", json!({})),
        ] {
            state.push(ask(&house, operation, body).await);
        }
        state
    };
    let before = state().await;
    for (at, (operation, body, action)) in operations(&key, &mac, &grant).into_iter().enumerate() {
        let all = json!([
            allow(&json!("kms:*"), &json!("*")),
            { "Effect": "Deny", "Action": action, "Resource": "*" },
        ]);
        let but = json!([{ "Effect": "Allow", "NotAction": action, "Resource": "*" }]);
        for (kind, statements) in [("deny", all), ("but", but)] {
            let user = User::new(&house, &format!("{kind}{at}"), statements).await;
            let reply = user
                .sign(kms_call(&house, operation, &body.to_string()))
                .send()
                .await;
            let text = reply.text();
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{operation}: {text}");
            assert!(
                text.contains("AccessDeniedException"),
                "{operation}: {text}"
            );
            assert!(
                text.contains(&format!("to perform: {action} on")),
                "{operation}: {text}"
            );
        }
    }
    assert_eq!(state().await, before);
}

#[tokio::test]
async fn sec_n84_re_encryption_needs_both_keys() {
    let house = house().await;
    let mut arns = Vec::new();
    for _ in 0..2 {
        let made = ask(&house, "CreateKey", json!({})).await;
        arns.push(made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned());
    }
    let (from, to) = (&arns[0], &arns[1]);
    let blob = ask(
        &house,
        "Encrypt",
        json!({ "KeyId": from, "Plaintext": "AAAA" }),
    )
    .await;
    let body = json!({ "CiphertextBlob": blob["CiphertextBlob"], "DestinationKeyId": to });
    let leave = |arn: &str| allow(&json!("kms:ReEncryptFrom"), &json!(arn));
    let enter = |arn: &str| allow(&json!("kms:ReEncryptTo"), &json!(arn));
    for (name, statements, may) in [
        ("both", json!([leave(from), enter(to)]), true),
        ("from", json!([leave(from)]), false),
        ("to", json!([enter(to)]), false),
        ("swapped", json!([leave(to), enter(from)]), false),
        (
            "others",
            json!([allow(&json!(["kms:Encrypt", "kms:Decrypt"]), &json!("*"))]),
            false,
        ),
    ] {
        let user = User::new(&house, name, statements).await;
        let call = kms_call(&house, "ReEncrypt", &body.to_string());
        let reply = user.sign(call).send().await;
        assert_eq!(
            reply.status == StatusCode::OK,
            may,
            "{name}: {}",
            reply.text()
        );
        assert!(
            may || reply.text().contains("AccessDeniedException"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn policies_and_grants_over_the_wire() {
    let house = house().await;
    let made = ask(&house, "CreateKey", json!({})).await;
    let key = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let account = made["KeyMetadata"]["AWSAccountId"]
        .as_str()
        .unwrap()
        .to_owned();
    let nothing = json!([allow(&json!("s3:*"), &json!("*"))]);
    let ann = User::new(&house, "ann", nothing).await;
    let arn = format!("arn:aws:iam::{account}:user/ann");
    let names = ask(&house, "ListKeyPolicies", json!({ "KeyId": key })).await;
    assert_eq!(
        names,
        json!({ "PolicyNames": ["default"], "Truncated": false })
    );
    let encrypt = || {
        let body = json!({ "KeyId": key, "Plaintext": "AAAA", "EncryptionContext": { "a": "b" } });
        ann.sign(kms_call(&house, "Encrypt", &body.to_string()))
            .send()
    };
    assert_eq!(encrypt().await.status, StatusCode::BAD_REQUEST);
    let grant = json!({ "KeyId": key, "GranteePrincipal": arn, "Operations": ["Encrypt"],
        "Constraints": { "EncryptionContextSubset": { "a": "b" } }, "Name": "n",
        "RetiringPrincipal": arn });
    let first = ask(&house, "CreateGrant", grant.clone()).await;
    let second = ask(&house, "CreateGrant", grant).await;
    assert_eq!(first["GrantId"], second["GrantId"]);
    assert_ne!(first["GrantToken"], second["GrantToken"]);
    encrypt().await.expect(StatusCode::OK);
    let listed = ask(&house, "ListGrants", json!({ "KeyId": key })).await;
    let mut entry = listed["Grants"][0].clone();
    assert!(entry["CreationDate"].is_number());
    entry.as_object_mut().unwrap().remove("CreationDate");
    assert_eq!(
        entry,
        json!({ "KeyId": key, "GrantId": first["GrantId"], "Name": "n", "GranteePrincipal": arn,
            "RetiringPrincipal": arn, "IssuingAccount": format!("arn:aws:iam::{account}:root"),
            "Operations": ["Encrypt"],
            "Constraints": { "EncryptionContextSubset": { "a": "b" } } })
    );
    let retirable = json!({ "RetiringPrincipal": arn });
    let retirable = ask(&house, "ListRetirableGrants", retirable).await;
    assert_eq!(retirable["Grants"], listed["Grants"]);
    let body = json!({ "GrantToken": second["GrantToken"] }).to_string();
    let retire = || ann.sign(kms_call(&house, "RetireGrant", &body)).send();
    retire().await.expect(StatusCode::OK);
    assert_eq!(encrypt().await.status, StatusCode::BAD_REQUEST);
    assert!(retire().await.text().contains("InvalidGrantTokenException"));
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
          "Action": "kms:*", "Resource": "*" },
        { "Effect": "Allow", "Principal": { "AWS": arn }, "Action": "kms:Encrypt",
          "Resource": "*" } ] })
    .to_string();
    ask(
        &house,
        "PutKeyPolicy",
        json!({ "KeyId": key, "Policy": policy }),
    )
    .await;
    encrypt().await.expect(StatusCode::OK);
    let shown = ask(&house, "GetKeyPolicy", json!({ "KeyId": key })).await;
    assert_eq!(shown, json!({ "Policy": policy, "PolicyName": "default" }));
}
