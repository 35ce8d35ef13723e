// SPDX-License-Identifier: Apache-2.0
//! CreateBucket, HeadBucket, DeleteBucket, ListBuckets, GetBucketLocation.

use http::StatusCode;

use crate::harness::{Auth, REGION, house};

const CONFIGURATION: &str = "<CreateBucketConfiguration \
     xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{}\
     </LocationConstraint></CreateBucketConfiguration>";

#[tokio::test]
async fn a_bucket_lives_and_dies() {
    let house = house().await;
    house
        .call("HEAD", "/bucket")
        .send()
        .await
        .expect(StatusCode::NOT_FOUND);
    let made = house
        .call("PUT", "/bucket")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(made.header("location"), "/bucket");
    // The oldest region answers a repetition with success.
    house
        .call("PUT", "/bucket")
        .send()
        .await
        .expect(StatusCode::OK);
    let head = house
        .call("HEAD", "/bucket")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(head.header("x-amz-bucket-region"), REGION);
    let location = house
        .call("GET", "/bucket?location")
        .send()
        .await
        .expect(StatusCode::OK);
    assert!(
        location.text().ends_with("></LocationConstraint>"),
        "{}",
        location.text()
    );

    house
        .call("PUT", "/bucket/k")
        .body("x")
        .send()
        .await
        .expect(StatusCode::OK);
    house
        .call("DELETE", "/bucket")
        .send()
        .await
        .refused(409, "BucketNotEmpty");
    house
        .call("DELETE", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
    house
        .call("DELETE", "/bucket")
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
    house
        .call("DELETE", "/bucket")
        .send()
        .await
        .refused(404, "NoSuchBucket");
    house
        .call("GET", "/bucket?location")
        .send()
        .await
        .refused(404, "NoSuchBucket");
}

#[tokio::test]
async fn a_bucket_with_an_open_upload_is_not_empty() {
    let house = house().await;
    house.bucket("bucket").await;
    let upload = house
        .call("POST", "/bucket/k?uploads")
        .send()
        .await
        .expect(StatusCode::OK);
    let upload_id = upload.element("UploadId").unwrap();
    house
        .call("DELETE", "/bucket")
        .send()
        .await
        .refused(409, "BucketNotEmpty");
    let target = format!("/bucket/k?uploadId={upload_id}");
    house
        .call("DELETE", &target)
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
    house
        .call("DELETE", "/bucket")
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_a_creation_asks_for_is_true_or_refused() {
    let house = house().await;
    for (name, value) in [
        ("x-amz-acl", "private"),
        ("x-amz-object-ownership", "BucketOwnerEnforced"),
        ("x-amz-bucket-object-lock-enabled", "false"),
    ] {
        let call = house.call("PUT", "/accepted").header(name, value);
        call.send().await.expect(StatusCode::OK);
    }
    for (name, value, status, code) in [
        ("x-amz-acl", "public-read", 501, "NotImplemented"),
        ("x-amz-acl", "everyone", 400, "InvalidArgument"),
        ("x-amz-grant-read", "id=\"x\"", 501, "NotImplemented"),
        (
            "x-amz-object-ownership",
            "ObjectWriter",
            501,
            "NotImplemented",
        ),
        ("x-amz-object-ownership", "x", 400, "InvalidArgument"),
        (
            "x-amz-bucket-object-lock-enabled",
            "true",
            501,
            "NotImplemented",
        ),
    ] {
        let call = house.call("PUT", "/refused").header(name, value);
        call.send().await.refused(status, code);
    }
    for (region, code) in [
        ("eu-west-1", "IllegalLocationConstraintException"),
        ("us-east-1", "InvalidLocationConstraint"),
    ] {
        let body = CONFIGURATION.replace("{}", region);
        house
            .call("PUT", "/refused")
            .body(body)
            .send()
            .await
            .refused(400, code);
    }
    house
        .call("PUT", "/refused")
        .body("<x")
        .send()
        .await
        .refused(400, "MalformedXML");
    let long = " ".repeat(64 * 1024 + 1);
    house
        .call("PUT", "/refused")
        .body(long)
        .send()
        .await
        .refused(400, "MaxMessageLengthExceeded");
    house
        .call("HEAD", "/refused")
        .send()
        .await
        .expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sec_n53_bucket_names_are_held_to_the_rules() {
    let house = house().await;
    for name in [
        "ab",
        "Upper",
        "under_score",
        "192.168.0.1",
        "xn--a",
        "a..b",
        "a.-b",
        "-ab",
        "ab-",
        "ab-s3alias",
        "a%20b",
        "a%2Fb",
    ] {
        let reply = house.call("PUT", &format!("/{name}")).send().await;
        assert!(reply.status.is_client_error(), "{name}: {}", reply.text());
    }
    let long = "a".repeat(64);
    house
        .call("PUT", &format!("/{long}"))
        .send()
        .await
        .refused(400, "InvalidBucketName");
    let list = house.call("GET", "/").send().await.expect(StatusCode::OK);
    assert!(!list.text().contains("<Bucket>"));
}

#[tokio::test]
async fn buckets_are_listed_whole_and_in_pages() {
    let house = house().await;
    for name in ["bbb", "aaa", "ccc"] {
        house.bucket(name).await;
    }
    let list = house
        .call("GET", "/")
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    let at = |name: &str| list.find(&format!("<Name>{name}</Name>")).unwrap();
    assert!(at("aaa") < at("bbb") && at("bbb") < at("ccc"));
    let first = house
        .call("GET", "/?max-buckets=2")
        .send()
        .await
        .expect(StatusCode::OK);
    let token = first.element("ContinuationToken").unwrap();
    assert!(!first.text().contains("ccc"));
    let target = format!("/?continuation-token={token}&max-buckets=2");
    let second = house
        .call("GET", &target)
        .send()
        .await
        .expect(StatusCode::OK);
    assert!(second.text().contains("ccc") && !second.text().contains("bbb"));
    assert_eq!(second.element("ContinuationToken"), None);
    house
        .call("GET", "/?max-buckets=0")
        .send()
        .await
        .refused(400, "InvalidArgument");
    house
        .call("GET", "/")
        .auth(Auth::None)
        .send()
        .await
        .refused(403, "AccessDenied");
}
