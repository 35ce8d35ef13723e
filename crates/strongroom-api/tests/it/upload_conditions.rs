// SPDX-License-Identifier: Apache-2.0
//! What policies see of a multipart upload: what it was created with, on each of its requests, and
//! nothing of headers that parts and its end ignore.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{House, Reply, house};
use crate::permissions::User;

const SSE: &str = "x-amz-server-side-encryption";
const KID: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// A user who may do everything but `s3:PutObject` where `condition` holds.
async fn user(house: &House, name: &str, condition: Value) -> User {
    let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let deny = json!({ "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*",
        "Condition": condition });
    User::new(house, name, json!([allow, deny])).await
}

async fn create(house: &House, headers: &[(&str, &str)]) -> String {
    let mut call = house.call("POST", "/bucket/k?uploads");
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let made = call.send().await.expect(StatusCode::OK);
    made.element("UploadId").unwrap()
}

/// One part, and the end of the upload.
async fn go_on(house: &House, user: User, upload_id: &str, headers: &[(&str, &str)]) -> [Reply; 3] {
    let part = format!("/bucket/k?partNumber=1&uploadId={upload_id}");
    let put = house.call("PUT", "/bucket/source").body("x").send().await;
    put.expect(StatusCode::OK);
    let mut uploaded = user.call(house, "PUT", &part).body("x");
    let mut copied = user.call(house, "PUT", &part);
    copied = copied.header("x-amz-copy-source", "/bucket/source");
    for (name, value) in headers {
        uploaded = uploaded.header(name, value);
        copied = copied.header(name, value);
    }
    let (uploaded, copied) = (uploaded.send().await, copied.send().await);
    let root = house.call("PUT", &part).body("x").send().await;
    let etag = root.expect(StatusCode::OK).header("etag").to_owned();
    let mut done = user
        .call(house, "POST", &format!("/bucket/k?uploadId={upload_id}"))
        .body(format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
             </CompleteMultipartUpload>"
        ));
    for (name, value) in headers {
        done = done.header(name, value);
    }
    [uploaded, copied, done.send().await]
}

#[track_caller]
fn all(replies: &[Reply; 3], may: bool) {
    for reply in replies {
        if may {
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        } else {
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text());
            assert!(reply.text().contains("explicit deny"), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn sec_s7_1_parts_have_the_encryption_that_the_upload_was_created_with() {
    let house = house().await;
    house.bucket("bucket").await;
    let condition = |operator: &str, value: &str| json!({ operator: { "s3:x-amz-server-side-encryption": value } });
    let sealed = user(&house, "sealed", condition("Null", "true")).await;
    let unsaid = user(&house, "unsaid", condition("Null", "false")).await;
    let kms = user(&house, "kms", condition("StringNotEquals", "aws:kms")).await;
    let aes: &[(&str, &str)] = &[(SSE, "AES256")];
    let key: &[(&str, &str)] = &[(SSE, "aws:kms")];
    // Who must name an encryption named it once; parts cannot name it again.
    for (user, created, may) in [
        (sealed, aes, true),
        (sealed, key, true),
        (sealed, &[][..], false),
        (unsaid, aes, false),
        (unsaid, key, false),
        (unsaid, &[][..], true),
        (kms, key, true),
        (kms, aes, false),
        (kms, &[][..], false),
    ] {
        let upload = create(&house, created).await;
        all(&go_on(&house, user, &upload, &[]).await, may);
    }
}

#[tokio::test]
async fn sec_s7_1_headers_that_parts_ignore_say_nothing_to_policies() {
    let house = house().await;
    house.bucket("bucket").await;
    let arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
    let keyed = user(
        &house,
        "keyed",
        json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption-aws-kms-key-id": arn } }),
    )
    .await;
    let upload = create(&house, &[(SSE, "aws:kms")]).await;
    // The upload is under the account's key, whatever key its parts name.
    all(&go_on(&house, keyed, &upload, &[(KID, arn)]).await, false);
    let class = user(
        &house,
        "class",
        json!({ "StringEquals": { "s3:x-amz-storage-class": "GLACIER" } }),
    )
    .await;
    let upload = create(&house, &[]).await;
    let ignored = [("x-amz-storage-class", "GLACIER")];
    let replies = go_on(&house, class, &upload, &ignored).await;
    for reply in &replies {
        assert!(!reply.text().contains("AccessDenied"), "{}", reply.text());
    }
    // An upload that is not there said nothing.
    let sealed = user(
        &house,
        "sealed",
        json!({ "Null": { "s3:x-amz-server-side-encryption": "true" } }),
    )
    .await;
    for id in ["0".repeat(32), "x".to_owned(), String::new()] {
        let target = format!("/bucket/k?partNumber=1&uploadId={id}");
        let reply = sealed.call(&house, "PUT", &target).body("x").send().await;
        reply.refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn sec_s7_1_reads_and_deletes_have_no_encryption_to_say() {
    let house = house().await;
    house.bucket("bucket").await;
    let put = house.call("PUT", "/bucket/k").body("x").send().await;
    put.expect(StatusCode::OK);
    let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let deny = json!({ "Effect": "Deny", "Action": ["s3:GetObject", "s3:DeleteObject"],
        "Resource": "*", "Condition": { "Null": { "s3:x-amz-server-side-encryption": "true" } } });
    let ann = User::new(&house, "ann", json!([allow, deny])).await;
    for method in ["GET", "HEAD", "DELETE"] {
        let call = ann.call(&house, method, "/bucket/k").header(SSE, "AES256");
        let reply = call.send().await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{method}");
    }
}
