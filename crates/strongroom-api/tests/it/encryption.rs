// SPDX-License-Identifier: Apache-2.0
//! Encryption headers end to end: order, codes, messages and echoes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use md5::{Digest as _, Md5};

use crate::harness::{House, house};

const SSE: &str = "x-amz-server-side-encryption";
const KID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CTX: &str = "x-amz-server-side-encryption-context";
const INSECURE_C: &str = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.";
const INSECURE_KMS: &str = "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure connection.";

async fn with_bucket() -> House {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    house
}

#[tokio::test]
async fn sse_kms_reports_the_whole_arn_and_hides_the_context() {
    let house = with_bucket().await;
    let context = STANDARD.encode(r#"{"project":"x"}"#);
    let put = house
        .call("PUT", "/bucket/k")
        .header(SSE, "aws:kms")
        .header(CTX, &context)
        .body("sealed")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(put.header(SSE), "aws:kms");
    let arn = put.header(KID).to_owned();
    assert!(
        arn.starts_with("arn:aws:kms:us-east-1:123456789012:key/"),
        "{arn}"
    );
    assert_eq!(put.header(CTX), context);
    assert_ne!(
        put.header("etag"),
        format!("\"{}\"", hex::encode(Md5::digest("sealed")))
    );
    for method in ["GET", "HEAD"] {
        let got = house
            .call(method, "/bucket/k")
            .send()
            .await
            .expect(StatusCode::OK);
        assert_eq!(
            (got.header(SSE), got.header(KID)),
            ("aws:kms", arn.as_str())
        );
        assert!(!got.has(CTX));
    }
    assert_eq!(house.call("GET", "/bucket/k").send().await.body, "sealed");
    let insecure = house.call("GET", "/bucket/k").plain_http().send().await;
    insecure.refused(400, "InvalidArgument").says(INSECURE_KMS);
    let put = house
        .call("PUT", "/bucket/k")
        .header(SSE, "aws:kms")
        .plain_http();
    put.send_unread(1)
        .await
        .refused(400, "InvalidArgument")
        .says(INSECURE_KMS);
}

#[tokio::test]
async fn sec_n70_keys_that_are_not_there() {
    let house = with_bucket().await;
    let put = |id: &str| {
        house
            .call("PUT", "/bucket/k")
            .header(SSE, "aws:kms")
            .header(KID, id)
    };
    put("fake-key-id")
        .send()
        .await
        .refused(400, "KMS.NotFoundException")
        .says("Invalid keyId 'fake-key-id'");
    for id in ["alias/none", "134f2428-cec1-4b25-a1ae-9048164dba47"] {
        put(id).send().await.refused(400, "KMS.NotFoundException");
    }
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn sec_n70_a_disabled_key_stops_put_and_get() {
    let house = with_bucket().await;
    let kms = |operation: &str, body: String| {
        let mut call = house
            .call("POST", "/")
            .header("x-amz-target", &format!("TrentService.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .body(body);
        call.service = "kms";
        call
    };
    let created = kms("CreateKey", "{}".to_owned())
        .send()
        .await
        .expect(StatusCode::OK);
    let created: serde_json::Value = serde_json::from_slice(&created.body).unwrap();
    let arn = created["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let put = || {
        house
            .call("PUT", "/bucket/k")
            .header(SSE, "aws:kms")
            .header(KID, &arn)
            .body("x")
    };
    put().send().await.expect(StatusCode::OK);
    kms("DisableKey", format!(r#"{{"KeyId":"{arn}"}}"#))
        .send()
        .await
        .expect(StatusCode::OK);
    let disabled = format!("{arn} is disabled.");
    put()
        .send()
        .await
        .refused(400, "KMS.DisabledException")
        .says(&disabled);
    let get = house.call("GET", "/bucket/k").send().await;
    get.refused(400, "KMS.DisabledException").says(&disabled);
    house
        .call("HEAD", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn sec_n68_customer_keys_on_reads() {
    let house = with_bucket().await;
    let key = [7; 32];
    let put = house
        .call("PUT", "/bucket/c")
        .customer_key(&key)
        .body("mine")
        .send()
        .await;
    let put = put.expect(StatusCode::OK);
    assert!(!put.has(SSE));
    assert_eq!(
        put.header("x-amz-server-side-encryption-customer-algorithm"),
        "AES256"
    );
    assert_eq!(
        put.header("x-amz-server-side-encryption-customer-key-md5"),
        STANDARD.encode(Md5::digest(key))
    );
    house
        .call("PUT", "/bucket/s")
        .body("ours")
        .send()
        .await
        .expect(StatusCode::OK);
    for method in ["GET", "HEAD"] {
        let read = |target| house.call(method, target);
        let right = read("/bucket/c")
            .customer_key(&key)
            .send()
            .await
            .expect(StatusCode::OK);
        assert_eq!(
            right.header("x-amz-server-side-encryption-customer-algorithm"),
            "AES256"
        );
        for (call, status, message) in [
            (
                read("/bucket/c"),
                400,
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
            ),
            (
                read("/bucket/c").customer_key(&[8; 32]),
                403,
                "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.",
            ),
            (
                read("/bucket/s").customer_key(&key),
                400,
                "The encryption parameters are not applicable to this object.",
            ),
            (
                read("/bucket/c").customer_key(&key).plain_http(),
                400,
                INSECURE_C,
            ),
        ] {
            let answer = call.send().await;
            assert_eq!(answer.status.as_u16(), status, "{message}");
            if method == "GET" {
                answer.says(message);
            } else {
                assert!(answer.body.is_empty());
            }
        }
        read("/bucket/none")
            .customer_key(&key)
            .send()
            .await
            .expect(StatusCode::NOT_FOUND);
    }
    house
        .call("GET", "/bucket/s")
        .header(SSE, "AES256")
        .send()
        .await
        .refused(400, "InvalidArgument");
    house
        .call("DELETE", "/bucket/c")
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn sec_n66_customer_keys_on_writes_are_checked_before_the_body() {
    let house = with_bucket().await;
    let put = || house.call("PUT", "/bucket/k");
    let refused = "The secret key was invalid for the specified algorithm.";
    for key in [&[7; 31][..], &[7; 33], &[7; 0]] {
        put()
            .customer_key(key)
            .send_unread(1)
            .await
            .refused(400, "InvalidArgument")
            .says(refused);
    }
    put()
        .customer_key(&[7; 32])
        .plain_http()
        .send_unread(1)
        .await
        .refused(400, "InvalidRequest")
        .says(INSECURE_C);
    put().customer_key(&[7; 32]).header(SSE, "aws:kms").send_unread(1).await.says(
        "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
    );
}

#[tokio::test]
async fn copies_open_with_one_key_and_seal_with_another() {
    let house = with_bucket().await;
    house
        .call("PUT", "/bucket/c")
        .customer_key(&[7; 32])
        .body("mine")
        .send()
        .await
        .expect(StatusCode::OK);
    let copy = |target| {
        house
            .call("PUT", target)
            .header("x-amz-copy-source", "bucket/c")
    };
    copy("/bucket/d")
        .send()
        .await
        .refused(400, "InvalidRequest");
    copy("/bucket/d")
        .copy_source_key(&[8; 32])
        .send()
        .await
        .refused(403, "AccessDenied");
    let plain = copy("/bucket/d")
        .copy_source_key(&[7; 32])
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(plain.header(SSE), "AES256");
    let rotated = copy("/bucket/c")
        .copy_source_key(&[7; 32])
        .customer_key(&[8; 32])
        .send()
        .await;
    rotated.expect(StatusCode::OK);
    let got = house
        .call("GET", "/bucket/c")
        .customer_key(&[8; 32])
        .send()
        .await;
    assert_eq!(got.expect(StatusCode::OK).body, "mine");
    assert_eq!(house.call("GET", "/bucket/d").send().await.body, "mine");
}

/// Headers of an encryption that no request may ask for, each refused where the bucket is there.
const BAD: [(&str, &str, &str); 4] = [
    (SSE, "AES", "InvalidArgument"),
    (KID, "alias/x", "InvalidArgument"),
    (
        "x-amz-server-side-encryption-customer-algorithm",
        "AES192",
        "InvalidArgument",
    ),
    ("x-amz-acl", "public-read", "NotImplemented"),
];

#[tokio::test]
async fn sec_a_missing_bucket_comes_before_every_header() {
    let house = with_bucket().await;
    house.sse_c_bucket("source").await;
    let source = house.call("PUT", "/source/k").body("x").send().await;
    source.expect(StatusCode::OK);
    let call = |bucket: &str, operation: &str| {
        let upload = "partNumber=1&uploadId=x";
        let call = match operation {
            "PutObject" | "CopyObject" => house.call("PUT", &format!("/{bucket}/k")),
            "CreateMultipartUpload" => house.call("POST", &format!("/{bucket}/k?uploads")),
            "UploadPart" | "UploadPartCopy" => house.call("PUT", &format!("/{bucket}/k?{upload}")),
            "GetObject" => house.call("GET", &format!("/{bucket}/k")),
            other => panic!("{other}"),
        };
        if operation.ends_with("Copy") || operation == "CopyObject" {
            call.header("x-amz-copy-source", "source/k")
        } else {
            call
        }
    };
    for operation in [
        "PutObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "GetObject",
    ] {
        for (name, value, code) in BAD {
            let missing = call("missing", operation).header(name, value).send().await;
            missing.refused(404, "NoSuchBucket");
            let takes_all = matches!(
                operation,
                "PutObject" | "CopyObject" | "CreateMultipartUpload"
            );
            if takes_all {
                let there = call("bucket", operation).header(name, value).send().await;
                assert_eq!(there.element("Code").as_deref(), Some(code), "{operation}");
            }
        }
        // A key sent in clear is refused before anything else is looked at.
        call("missing", operation)
            .customer_key(&[7; 32])
            .plain_http()
            .send()
            .await
            .refused(400, "InvalidRequest")
            .says(INSECURE_C);
    }
    let head = house.call("HEAD", "/missing/k").header(SSE, "AES256");
    assert_eq!(head.send().await.status, 404);
    let head = house.call("HEAD", "/bucket/k").header(SSE, "AES256");
    assert_eq!(head.send().await.status, 400);
}

#[tokio::test]
async fn sec_a_missing_bucket_is_answered_before_the_body_is_asked_for() {
    let house = house().await;
    let put = house.call("PUT", "/missing/k").header(SSE, "nonsense");
    put.send_unread(1).await.refused(404, "NoSuchBucket");
}
