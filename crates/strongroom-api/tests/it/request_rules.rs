// SPDX-License-Identifier: Apache-2.0
//! What a request says and must not be taken lightly: parameters that mean nothing, keys in clear,
//! bodies that nobody reads, and who is told what is wrong with a document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use md5::{Digest as _, Md5};
use serde_json::json;
use strongroom_wire::sigv4::PayloadMode;

use crate::harness::{Auth, Call, House, house};
use crate::permissions::{User, allow, forbidden};

const SSE: &str = "x-amz-server-side-encryption";
const BK: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const CORRECT: &str = "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.";
const SECRET: &str = "The secret key was invalid for the specified algorithm.";

async fn with_object() -> House {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let put = house.call("PUT", "/bucket/k").body("there").send().await;
    put.expect(StatusCode::OK);
    house
}

async fn still_there(house: &House) {
    let got = house.call("GET", "/bucket/k").send().await;
    assert_eq!(got.expect(StatusCode::OK).body, "there");
}

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

fn document<'a>(call: Call<'a>, text: &str) -> Call<'a> {
    call.header("content-md5", &md5(text.as_bytes()))
        .body(text.to_owned())
}

/// `PUT /b/k?x-amz-server-side-encryption=aws:kms` was stored under AES256.
#[tokio::test]
async fn sec_n13_headers_in_the_query_of_a_request_that_is_not_presigned() {
    let house = with_object().await;
    for query in [
        "x-amz-server-side-encryption=aws%3Akms",
        "X-Amz-Server-Side-Encryption=aws%3Akms",
        "x-amz-acl=public-read",
        "x-amz-checksum-crc32=AAAAAA%3D%3D",
        "x-amz-copy-source=bucket%2Fother",
        "x-amz-expected-bucket-owner=000000000000",
        "x-amz-anything",
    ] {
        let call = |method: &str| house.call(method, &format!("/bucket/k?{query}"));
        for method in ["GET", "DELETE"] {
            call(method).send().await.refused(501, "NotImplemented");
        }
        let put = call("PUT").body("new").send_unread(3).await;
        put.refused(501, "NotImplemented");
        let listing = house.call("GET", &format!("/bucket?{query}")).send().await;
        listing.refused(501, "NotImplemented");
    }
    let keyed = "x-amz-acl=private&x-amz-server-side-encryption-customer-key=eHh4";
    let put = house.call("PUT", &format!("/bucket/k?{keyed}"));
    let refused = put.send_unread(3).await.refused(400, "InvalidArgument");
    refused.says("A customer key must not be part of a URL.");
    still_there(&house).await;
    let named = house.call("GET", "/bucket/k?x-id=GetObject").send().await;
    named.expect(StatusCode::OK);
    let presigned = house
        .call(
            "PUT",
            "/bucket/kms?x-amz-server-side-encryption=aws%3Akms&X-Amz-Foo=1",
        )
        .auth(Auth::Presigned(60))
        .body("x");
    let put = presigned.send().await.expect(StatusCode::OK);
    assert_eq!(put.header(SSE), "aws:kms");
}

/// A key that came in clear is lost, whatever was asked.
#[tokio::test]
async fn sec_n69_a_customer_key_in_clear_is_refused_by_every_operation() {
    let house = with_object().await;
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/bucket"),
        ("GET", "/bucket?list-type=2"),
        ("GET", "/bucket?versions"),
        ("GET", "/bucket?uploads"),
        ("GET", "/bucket?location"),
        ("GET", "/bucket?encryption"),
        ("PUT", "/new-bucket"),
        ("PUT", "/bucket?encryption"),
        ("PUT", "/bucket?versioning"),
        ("POST", "/bucket?delete"),
        ("DELETE", "/bucket"),
        ("DELETE", "/bucket?encryption"),
        ("GET", "/no-such-bucket/k"),
        ("GET", "/bucket/k"),
        ("PUT", "/bucket/k"),
        ("PUT", "/bucket/k?encryption"),
        ("DELETE", "/bucket/k"),
        ("POST", "/bucket/k?uploads"),
        ("POST", "/bucket/k?restore"),
        ("DELETE", "/bucket/k?uploadId=none"),
    ] {
        let call = || house.call(method, target).plain_http();
        for call in [
            call().customer_key(&[1; 32]),
            call().copy_source_key(&[1; 32]),
            call().header("x-amz-server-side-encryption-customer-key-md5", "x"),
        ] {
            let refused = call.send_unread(0).await.refused(400, "InvalidRequest");
            assert!(refused.text().contains("secure connection"), "{target}");
        }
    }
    let head = house.call("HEAD", "/bucket").plain_http();
    let head = head.customer_key(&[1; 32]).send().await;
    assert_eq!(head.status, StatusCode::BAD_REQUEST);
    still_there(&house).await;
    let delete = house.call("DELETE", "/bucket/k").customer_key(&[1; 32]);
    delete.send().await.expect(StatusCode::NO_CONTENT);
}

/// The hash of a body that no handler reads was taken on trust.
#[tokio::test]
async fn sec_n15_bodies_that_nobody_reads_are_what_was_signed() {
    let house = with_object().await;
    house.bucket("empty").await;
    let operations = [
        ("PUT", "/bucket/copy"),
        ("POST", "/bucket/k?uploads"),
        ("DELETE", "/bucket/k"),
        ("DELETE", "/bucket/k?uploadId=none"),
        ("DELETE", "/empty"),
        ("DELETE", "/bucket?encryption"),
        ("DELETE", "/bucket?lifecycle"),
    ];
    for (method, target) in operations {
        let call = || {
            let call = house.call(method, target);
            if method == "PUT" {
                return call.header("x-amz-copy-source", "/bucket/k");
            }
            call
        };
        let wrong = || call().payload(PayloadMode::Sha256([7; 32]));
        for body in ["", "x"] {
            let refused = wrong().body(body).send().await;
            refused.refused(400, "XAmzContentSHA256Mismatch");
        }
        let other = call().header("content-md5", &md5(b"y"));
        other.body("x").send().await.refused(400, "BadDigest");
        let none = call().header("content-md5", "x").send().await;
        none.refused(400, "InvalidDigest");
        let long = call().body(vec![0; 16 * 1024 + 1]).send().await;
        long.refused(400, "MaxMessageLengthExceeded");
    }
    // Who may not do it hears nothing else, and no byte of the body is read.
    let reads = allow(&json!("s3:GetObject"), &json!("*"));
    let nobody = User::new(&house, "nobody", json!([reads])).await;
    for (method, target) in operations {
        let call = nobody.call(&house, method, target);
        let call = if method == "PUT" {
            call.header("x-amz-copy-source", "/bucket/k")
        } else {
            call
        };
        let refused = call.header("content-md5", "x").send_unread(1).await;
        refused.refused(403, "AccessDenied");
    }
    still_there(&house).await;
    let missing = house.call("GET", "/bucket/copy").send().await;
    missing.refused(404, "NoSuchKey");
    house
        .call("HEAD", "/empty")
        .send()
        .await
        .expect(StatusCode::OK);
    let uploads = house.call("GET", "/bucket?uploads").send().await;
    assert!(!uploads.expect(StatusCode::OK).text().contains("<Upload>"));
    // What is said of a body, and true, does not matter.
    for (method, target) in operations {
        let call = house.call(method, target).body("ignored");
        let call = call.header("content-md5", &md5(b"ignored"));
        let reply = call.header("x-amz-copy-source", "/bucket/k").send().await;
        let upload = target.contains("uploadId");
        assert!(reply.status.is_success() || upload, "{}", reply.text());
    }
}

#[tokio::test]
async fn sec_n19_signed_chunks_are_of_8_kib_but_for_the_last() {
    let house = with_object().await;
    let put = |payload, chunk_bytes, body: Vec<u8>| {
        let call = house.call("PUT", "/bucket/chunked").payload(payload);
        let call = match payload {
            PayloadMode::SignedChunks => call,
            _ => call.trailer("x-amz-checksum-crc32", "AAAAAA=="),
        };
        let mut call = call.body(body);
        call.chunk_bytes = chunk_bytes;
        call
    };
    for payload in [PayloadMode::SignedChunks, PayloadMode::SignedChunksTrailer] {
        let refused = put(payload, 8191, vec![1; 8192]).send().await;
        let refused = refused
            .refused(403, "InvalidChunkSizeError")
            .says("Only the last chunk is allowed to have a size less than 8192 bytes");
        assert_eq!(refused.element("Chunk").as_deref(), Some("2"));
        assert_eq!(refused.element("BadChunkSize").as_deref(), Some("8191"));
    }
    let missing = house.call("GET", "/bucket/chunked").send().await;
    missing.refused(404, "NoSuchKey");
    let signed = PayloadMode::SignedChunks;
    for (chunk_bytes, bytes) in [(8192, 8193), (8192, 16_384), (8191, 8191), (8192, 0)] {
        let call = put(signed, chunk_bytes, vec![1; bytes]);
        call.send().await.expect(StatusCode::OK);
    }
    // Without signatures a chunk is what a stream gave.
    let crc = STANDARD.encode(0x3610_a686_u32.to_be_bytes());
    let mut call = house
        .call("PUT", "/bucket/chunked")
        .payload(PayloadMode::UnsignedTrailer)
        .trailer("x-amz-checksum-crc32", &crc)
        .body("hello");
    call.chunk_bytes = 2;
    call.send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_key_of_another_length_is_a_wrong_key_to_a_read() {
    let house = with_object().await;
    let put = house.call("PUT", "/bucket/c").customer_key(&[1; 32]);
    put.body("sealed").send().await.expect(StatusCode::OK);
    for target in [
        "/bucket/c",
        "/bucket/c?partNumber=1",
        "/bucket/c?attributes",
    ] {
        let get = |key: &[u8]| {
            let call = house.call("GET", target).customer_key(key);
            call.header("x-amz-object-attributes", "ETag").send()
        };
        for key in [&[1; 16][..], &[1; 33], &[2; 32]] {
            get(key).await.refused(403, "AccessDenied").says(CORRECT);
        }
        assert!(get(&[1; 32]).await.status.is_success(), "{target}");
    }
    let head = house.call("HEAD", "/bucket/c").customer_key(&[1; 16]);
    assert_eq!(head.send().await.status, StatusCode::FORBIDDEN);
    let copy = |source: &str, key: &[u8]| {
        let call = house.call("PUT", "/bucket/copy").copy_source_key(key);
        call.header("x-amz-copy-source", source).send()
    };
    copy("/bucket/c", &[1; 16])
        .await
        .refused(403, "AccessDenied")
        .says(CORRECT);
    // To a write, and to an object that has none, it is no key.
    let put = house.call("PUT", "/bucket/new").customer_key(&[1; 16]);
    let put = put.send_unread(1).await.refused(400, "InvalidArgument");
    put.says(SECRET);
    let plain = house.call("GET", "/bucket/k").customer_key(&[1; 16]);
    plain
        .send()
        .await
        .refused(400, "InvalidArgument")
        .says(SECRET);
    copy("/bucket/k", &[1; 16])
        .await
        .refused(400, "InvalidArgument");
    // An object that is missing is missing, whatever the key.
    copy("/bucket/none", &[1; 16])
        .await
        .refused(404, "NoSuchKey");
    for (algorithm, digest) in [("AES256", md5(b"x")), ("AES192", md5(&[1; 32]))] {
        let get = |target: &str| {
            let name = |end| format!("x-amz-server-side-encryption-customer-{end}");
            let call = house
                .call("GET", target)
                .header(&name("algorithm"), algorithm);
            let call = call.header(&name("key"), &STANDARD.encode([1; 32]));
            call.header(&name("key-md5"), &digest).send()
        };
        get("/bucket/none").await.refused(404, "NoSuchKey");
        get("/none/none").await.refused(404, "NoSuchBucket");
        let refused = get("/bucket/c").await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{}",
            refused.text()
        );
    }
}

#[tokio::test]
async fn the_bucket_key_header_is_checked_with_every_mode_and_counts_under_a_default() {
    let house = with_object().await;
    for call in [
        house.call("PUT", "/bucket/k"),
        house.call("PUT", "/bucket/k").customer_key(&[1; 32]),
        house.call("PUT", "/bucket/k").header(SSE, "AES256"),
        house.call("PUT", "/bucket/k").header(SSE, "aws:kms:dsse"),
        house
            .call("POST", "/bucket/k?uploads")
            .customer_key(&[1; 32]),
    ] {
        let refused = call.header(BK, "x").send().await;
        refused.refused(400, "InvalidArgument");
    }
    still_there(&house).await;
    for in_rule in [false, true] {
        let rule = format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
             <SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
             <BucketKeyEnabled>{in_rule}</BucketKeyEnabled></Rule>\
             </ServerSideEncryptionConfiguration>"
        );
        let put = document(house.call("PUT", "/bucket?encryption"), &rule);
        put.send().await.expect(StatusCode::OK);
        for (header, expected) in [
            (None, in_rule),
            (Some("true"), true),
            (Some("false"), false),
        ] {
            let mut put = house.call("PUT", "/bucket/by-default").body("x");
            if let Some(value) = header {
                put = put.header(BK, value);
            }
            let put = put.send().await.expect(StatusCode::OK);
            assert_eq!(put.header(SSE), "aws:kms");
            assert_eq!(put.has(BK), expected, "{header:?} under {in_rule}");
        }
    }
}

/// The value of the refused argument is the mode that was asked for, also by the bucket.
#[tokio::test]
async fn two_layers_by_default_are_named_over_plain_http() {
    let house = with_object().await;
    for mode in ["aws:kms", "aws:kms:dsse"] {
        let rule = format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
             <SSEAlgorithm>{mode}</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>\
             </ServerSideEncryptionConfiguration>"
        );
        let put = document(house.call("PUT", "/bucket?encryption"), &rule);
        put.send().await.expect(StatusCode::OK);
        let sealed = house.call("PUT", "/bucket/sealed").body("x").send().await;
        sealed.expect(StatusCode::OK);
        for method in ["PUT", "GET"] {
            let call = house.call(method, "/bucket/sealed").plain_http();
            let refused = call.send().await.refused(400, "InvalidArgument");
            assert_eq!(refused.element("ArgumentValue").as_deref(), Some(mode));
        }
    }
}

#[tokio::test]
async fn update_of_encryption_tells_what_is_wrong_to_who_may_do_it() {
    let house = with_object().await;
    let target = "/bucket/k?encryption";
    let malformed = |call| document(call, "<ObjectEncryption>").send();
    let call = || house.call("PUT", target);
    malformed(call()).await.refused(400, "MalformedXML");
    malformed(house.call("PUT", "/no-such-bucket/k?encryption"))
        .await
        .refused(404, "NoSuchBucket");
    let objects = json!("arn:aws:s3:::bucket/*");
    let policy = |actions| json!([allow(&actions, &objects)]);
    let reader = User::new(&house, "reader", policy(json!("s3:GetObject"))).await;
    forbidden(
        &malformed(reader.call(&house, "PUT", target)).await,
        "s3:PutObject",
    );
    let writer = User::new(&house, "writer", policy(json!("s3:PutObject"))).await;
    forbidden(
        &malformed(writer.call(&house, "PUT", target)).await,
        "s3:UpdateObjectEncryption",
    );
    let both = json!(["s3:PutObject", "s3:UpdateObjectEncryption"]);
    let both = User::new(&house, "both", policy(both)).await;
    malformed(both.call(&house, "PUT", target))
        .await
        .refused(400, "MalformedXML");
    for (name, value) in [
        ("if-match", "\"x\""),
        ("if-none-match", "*"),
        ("if-modified-since", "Sun, 20 Sep 2026 00:00:00 GMT"),
        ("if-unmodified-since", "Sun, 20 Sep 2026 00:00:00 GMT"),
        ("x-amz-if-match-size", "5"),
        (
            "x-amz-if-match-last-modified-time",
            "Sun, 20 Sep 2026 00:00:00 GMT",
        ),
    ] {
        let refused = malformed(call().header(name, value)).await;
        let refused = refused.refused(501, "NotImplemented");
        assert_eq!(refused.element("Header").as_deref(), Some(name));
    }
}
