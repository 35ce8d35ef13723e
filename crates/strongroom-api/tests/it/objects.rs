// SPDX-License-Identifier: Apache-2.0
//! PutObject, GetObject, HeadObject, DeleteObject, CopyObject: what goes in comes out.

use http::StatusCode;
use md5::{Digest as _, Md5};

use crate::harness::{Auth, house};

#[tokio::test]
async fn an_object_comes_back_as_it_was_stored() {
    let house = house().await;
    house.bucket("bucket").await;
    for size in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let body: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        let put = house
            .call("PUT", "/bucket/folder/name%20with%20space")
            .header("content-type", "text/plain; charset=utf-8")
            .header("cache-control", "max-age=5")
            .header("content-disposition", "attachment; filename=\"x\"")
            .header("content-language", "de")
            .header("expires", "Thu, 01 Dec 2033 16:00:00 GMT")
            .header("content-encoding", "aws-chunked,gzip")
            .header("x-amz-meta-colour", "blue")
            .body(body.clone())
            .send()
            .await
            .expect(StatusCode::OK);
        let etag = format!("\"{}\"", hex::encode(Md5::digest(&body)));
        assert_eq!(put.header("etag"), etag);
        assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
        assert!(put.has("x-amz-checksum-crc64nvme"));
        for method in ["GET", "HEAD"] {
            let got = house
                .call(method, "/bucket/folder/name%20with%20space")
                .send()
                .await
                .expect(StatusCode::OK);
            if method == "GET" {
                assert_eq!(got.body, body);
            } else {
                assert_eq!(got.header("content-length"), size.to_string());
                assert!(got.body.is_empty());
            }
            assert_eq!(got.header("etag"), etag);
            assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(got.header("cache-control"), "max-age=5");
            assert_eq!(
                got.header("content-disposition"),
                "attachment; filename=\"x\""
            );
            assert_eq!(got.header("content-language"), "de");
            assert_eq!(got.header("expires"), "Thu, 01 Dec 2033 16:00:00 GMT");
            assert_eq!(got.header("content-encoding"), "gzip");
            assert_eq!(got.header("x-amz-meta-colour"), "blue");
            assert_eq!(got.header("accept-ranges"), "bytes");
            assert_eq!(got.header("last-modified"), "Mon, 21 Sep 2026 14:13:20 GMT");
            assert_eq!(got.header("x-amz-server-side-encryption"), "AES256");
            assert_eq!(got.header("server"), "Strongroom");
            assert!(got.has("x-amz-request-id") && got.has("x-amz-id-2"));
            assert!(!got.has("x-amz-checksum-crc64nvme"));
        }
    }
}

#[tokio::test]
async fn deletes_are_idempotent() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/k")
        .body("x")
        .send()
        .await
        .expect(StatusCode::OK);
    for _ in 0..2 {
        house
            .call("DELETE", "/bucket/k")
            .send()
            .await
            .expect(StatusCode::NO_CONTENT);
    }
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let head = house
        .call("HEAD", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::NOT_FOUND);
    assert!(head.body.is_empty());
    house
        .call("GET", "/none/k")
        .send()
        .await
        .refused(404, "NoSuchBucket");
    house
        .call("DELETE", "/bucket/k")
        .header("if-match", "x")
        .send()
        .await
        .refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn copies_keep_or_replace_properties() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/a%2Bb")
        .header("x-amz-meta-colour", "blue")
        .header("content-type", "text/plain")
        .body("copied")
        .send()
        .await
        .expect(StatusCode::OK);
    let copy = house
        .call("PUT", "/bucket/copy")
        .header("x-amz-copy-source", "/bucket/a%2Bb")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        copy.element("ETag").unwrap(),
        format!("\"{}\"", hex::encode(Md5::digest("copied")))
    );
    assert_eq!(
        copy.element("LastModified").unwrap(),
        "2026-09-21T14:13:20.000Z"
    );
    assert_eq!(copy.header("x-amz-server-side-encryption"), "AES256");
    let got = house
        .call("GET", "/bucket/copy")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        (got.header("x-amz-meta-colour"), &got.body[..]),
        ("blue", &b"copied"[..])
    );
    house
        .call("PUT", "/bucket/copy")
        .header("x-amz-copy-source", "bucket/copy")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-shape", "round")
        .send()
        .await
        .expect(StatusCode::OK);
    let got = house
        .call("GET", "/bucket/copy")
        .send()
        .await
        .expect(StatusCode::OK);
    assert!(!got.has("x-amz-meta-colour"));
    assert_eq!(got.header("x-amz-meta-shape"), "round");
    assert_eq!(got.header("content-type"), "binary/octet-stream");
    let copy = |source: &str| {
        house
            .call("PUT", "/bucket/copy")
            .header("x-amz-copy-source", source)
    };
    copy("bucket/copy")
        .send()
        .await
        .refused(400, "InvalidRequest");
    copy("bucket/none").send().await.refused(404, "NoSuchKey");
    copy("nobucket/none")
        .send()
        .await
        .refused(404, "NoSuchBucket");
    copy("bucket").send().await.refused(400, "InvalidArgument");
    copy("bucket/copy")
        .header("x-amz-metadata-directive", "replace")
        .send()
        .await
        .refused(400, "InvalidArgument");
    copy("bucket/a%2Bb")
        .header("x-amz-copy-source-if-match", "\"0\"")
        .send()
        .await
        .refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn sec_n48_names_are_opaque_on_the_wire() {
    let house = house().await;
    house.bucket("bucket").await;
    house.bucket("other").await;
    for path in [
        "..",
        "%2e%2e%2fother%2fk",
        "a/../../other/k",
        ".",
        "a//b",
        "/",
        "a/",
        "%5c..%5c",
        "C:/x",
        "%01%1f%7f",
        "%EF%BF%BE",
        "e%CC%81",
        "%C3%A9",
        "%E2%80%AE",
        "%252e",
    ] {
        let target = format!("/bucket/{path}");
        house
            .call("PUT", &target)
            .body(path)
            .send()
            .await
            .expect(StatusCode::OK);
        let got = house
            .call("GET", &target)
            .send()
            .await
            .expect(StatusCode::OK);
        assert_eq!(got.body, path);
    }
    house
        .call("GET", "/other/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let list = house
        .call("GET", "/bucket?list-type=2")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(list.element("KeyCount").unwrap(), "15");
    for path in ["%00", "a%00b", "%c0%ae", "%ed%a0%80", "%ff", "%zz"] {
        let put = house.call("PUT", &format!("/bucket/{path}")).send().await;
        assert_eq!(
            put.status,
            StatusCode::BAD_REQUEST,
            "{path}: {}",
            put.text()
        );
    }
}

#[tokio::test]
async fn sec_n50_names_have_at_most_1024_bytes() {
    let house = house().await;
    house.bucket("bucket").await;
    let euro = "%E2%82%AC".repeat(341);
    for name in ["x".repeat(1024), format!("{euro}x")] {
        house
            .call("PUT", &format!("/bucket/{name}"))
            .send()
            .await
            .expect(StatusCode::OK);
    }
    for name in ["x".repeat(1025), format!("{euro}xx")] {
        let put = house.call("PUT", &format!("/bucket/{name}")).send().await;
        put.refused(400, "KeyTooLongError");
    }
}

#[tokio::test]
async fn sec_n53_virtual_host_and_path_style_are_one() {
    let house = house().await;
    house.bucket("bucket").await;
    let vhost = |method, path| house.call(method, path).host("bucket.localhost:9443");
    vhost("PUT", "/k")
        .body("x")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(house.call("GET", "/bucket/k").send().await.body, "x");
    assert_eq!(vhost("GET", "/k").send().await.body, "x");
    vhost("HEAD", "/").send().await.expect(StatusCode::OK);
    vhost("GET", "/bucket/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let mut two = house.call("GET", "/bucket/k");
    two.unsigned
        .push(("host".to_owned(), "localhost".to_owned()));
    assert_eq!(two.send().await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn conditional_writes_see_what_is_there() {
    let house = house().await;
    house.bucket("bucket").await;
    let put =
        |name: &str, value: &str| house.call("PUT", "/bucket/k").body("x").header(name, value);
    put("if-match", "\"0\"")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let etag = put("if-none-match", "*")
        .send()
        .await
        .expect(StatusCode::OK);
    put("if-none-match", "*")
        .send()
        .await
        .refused(412, "PreconditionFailed");
    put("if-match", "\"0\"")
        .send()
        .await
        .refused(412, "PreconditionFailed");
    put("if-match", etag.header("etag"))
        .send()
        .await
        .expect(StatusCode::OK);
    put("if-none-match", "\"0\"")
        .send()
        .await
        .refused(501, "NotImplemented");
    put("if-modified-since", "x")
        .send()
        .await
        .refused(501, "NotImplemented");
    put("if-match", "*")
        .header("if-none-match", "*")
        .send()
        .await
        .refused(501, "NotImplemented");
}

#[tokio::test]
async fn headers_that_cannot_be_honoured_are_refused() {
    let house = house().await;
    house.bucket("bucket").await;
    for (name, value, code) in [
        (
            "x-amz-storage-class",
            "REDUCED_REDUNDANCY",
            "InvalidStorageClass",
        ),
        ("x-amz-acl", "public-read", "NotImplemented"),
        ("x-amz-tagging", "a=b", "NotImplemented"),
        ("x-amz-object-lock-mode", "COMPLIANCE", "NotImplemented"),
        ("x-amz-server-side-encryption", "aws:fsx", "InvalidArgument"),
        ("x-amz-meta-", "empty name", "InvalidArgument"),
    ] {
        let put = house
            .call("PUT", "/bucket/k")
            .header(name, value)
            .send_unread(1)
            .await;
        assert_eq!(
            put.element("Code").as_deref(),
            Some(code),
            "{name}: {value}"
        );
    }
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
    house
        .call("PUT", "/bucket/k")
        .header("x-amz-expected-bucket-owner", "999999999999")
        .send_unread(1)
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn presigned_urls_put_and_get() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let call = |method| house.call(method, "/bucket/k").auth(Auth::Presigned(60));
    let mut put = call("PUT").body("presigned");
    put.query = "x-amz-meta-colour=blue".to_owned();
    put.send().await.expect(StatusCode::OK);
    let mut get = call("GET");
    get.query = "response-content-type=text%2Fhtml&response-expires=never".to_owned();
    let got = get.send().await.expect(StatusCode::OK);
    assert_eq!(got.body, "presigned");
    assert_eq!(got.header("content-type"), "text/html");
    assert_eq!(got.header("expires"), "never");
    assert_eq!(got.header("x-amz-meta-colour"), "blue");
    let mut split = call("GET");
    split.query = "response-content-type=a%0D%0Ab".to_owned();
    split.send().await.refused(400, "InvalidArgument");
    let key = call("PUT").customer_key(&[7; 32]);
    key.send().await.expect(StatusCode::OK);
}
