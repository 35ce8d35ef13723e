// SPDX-License-Identifier: Apache-2.0
//! What events say of requests that were made to be recorded badly.
//!
//! The story: `requestParameters` longer than 100 KB were left out as a whole, and a header that the
//! operation ignored could be as long as that. UploadPartCopy named its source nowhere else.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Auth, House, house};
use crate::kms::{ask, call};

/// More than 100 KB, if each were written as six bytes.
fn tabs() -> String {
    format!("a{}b", "\t".repeat(17_100))
}

async fn put(house: &House, name: &str) {
    let target = format!("/bucket/{name}");
    let put = house.call("PUT", &target).body("the secret").send().await;
    put.expect(StatusCode::OK);
}

async fn upload(house: &House) -> String {
    let begun = house.call("POST", "/bucket/copy?uploads").send().await;
    begun.expect(StatusCode::OK).element("UploadId").unwrap()
}

async fn last(house: &House, name: &str) -> Value {
    let events = house.events().await;
    let found = events
        .into_iter()
        .rev()
        .find(|event| event["eventName"] == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

fn arns(event: &Value) -> Vec<&str> {
    let resources = event["resources"].as_array().unwrap();
    resources
        .iter()
        .map(|of| of["ARN"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn sec_headers_that_are_ignored_take_no_name_out_of_an_event() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "secret").await;
    let id = upload(&house).await;
    house
        .call("PUT", &format!("/bucket/copy?partNumber=1&uploadId={id}"))
        .header("x-amz-copy-source", "bucket/secret?versionId=null")
        .unsigned("range", &tabs())
        .send()
        .await
        .expect(StatusCode::OK);
    let event = last(&house, "UploadPartCopy").await;
    assert_eq!(
        event["requestParameters"],
        json!({
            "Host": "localhost:9443", "bucketName": "bucket", "key": "copy", "partNumber": "1",
            "uploadId": id, "x-amz-copy-source": "bucket/secret?versionId=null",
        })
    );
    assert_eq!(
        arns(&event),
        [
            "arn:aws:s3:::bucket/copy",
            "arn:aws:s3:::bucket",
            "arn:aws:s3:::bucket/secret"
        ]
    );
    house
        .call("DELETE", "/bucket/secret?versionId=null")
        .unsigned("range", &tabs())
        .unsigned("x-amz-checksum-mode", "ENABLED")
        .send()
        .await
        .refused(403, "AccessDenied");
    house
        .call("DELETE", "/bucket/secret?versionId=null")
        .unsigned("range", &tabs())
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
    let event = last(&house, "DeleteObject").await;
    assert_eq!(
        event["requestParameters"],
        json!({
            "Host": "localhost:9443", "bucketName": "bucket", "key": "secret", "versionId": "null",
        })
    );
}

#[tokio::test]
async fn sec_long_parameters_are_clipped_and_take_nothing_with_them() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "secret").await;
    let target = format!(
        "/bucket?list-type=2&prefix=big&start-after={}",
        "%01".repeat(20_000)
    );
    house.call("GET", &target).send().await;
    let event = last(&house, "ListObjects").await;
    let kept = &event["requestParameters"];
    assert_eq!(
        (&kept["bucketName"], &kept["prefix"]),
        (&json!("bucket"), &json!("big"))
    );
    assert_eq!(kept["start-after"], "\u{1}".repeat(1024));
    let cut = &event["additionalEventData"]["clipped"][0];
    assert_eq!(cut["at"], "/requestParameters/start-after");
    assert_eq!(cut["bytes"], 20_000);
    assert_eq!(cut["sha256"].as_str().unwrap().len(), 64);
    // A header that the operation takes.
    let call = house.call("GET", "/bucket/secret?versionId=null");
    call.unsigned("range", &tabs()).send().await;
    let event = last(&house, "GetObject").await;
    let kept = &event["requestParameters"];
    assert_eq!(
        (&kept["key"], &kept["versionId"]),
        (&json!("secret"), &json!("null"))
    );
    assert_eq!(kept["range"].as_str().unwrap(), &tabs()[..1024]);
    assert_eq!(event["additionalEventData"]["clipped"][0]["bytes"], 17_102);
}

/// What is read by a copy is named whatever becomes of the copy.
#[tokio::test]
async fn sec_the_source_of_every_copy_is_among_its_resources() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "secret").await;
    let id = upload(&house).await;
    let part = format!("/bucket/copy?partNumber=1&uploadId={id}");
    for (target, name) in [
        ("/bucket/copy", "CopyObject"),
        (part.as_str(), "UploadPartCopy"),
    ] {
        let copy = |source: &str| {
            house
                .call("PUT", target)
                .header("x-amz-copy-source", source)
        };
        let done = copy("bucket/secret").send().await;
        done.expect(StatusCode::OK);
        let event = last(&house, name).await;
        assert_eq!(event["errorCode"], Value::Null);
        assert_eq!(
            arns(&event)[1..],
            ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/secret"]
        );
        // Refused, and with the source in the URL.
        copy("/bucket%2fno%20such")
            .send()
            .await
            .refused(404, "NoSuchKey");
        let event = last(&house, name).await;
        assert_eq!(arns(&event)[2..], ["arn:aws:s3:::bucket/no such"]);
        let between = if target.contains('?') { '&' } else { '?' };
        let by_url = format!("{target}{between}X-Amz-Copy-Source=bucket%2Furl");
        let call = house.call("PUT", &by_url).auth(Auth::Presigned(60));
        call.send().await.refused(404, "NoSuchKey");
        let event = last(&house, name).await;
        assert_eq!(arns(&event)[2..], ["arn:aws:s3:::bucket/url"]);
        assert_eq!(
            event["requestParameters"]["x-amz-copy-source"],
            "bucket/url"
        );
        // The client hangs up at the first moment at which it could.
        assert!(
            Box::pin(copy("bucket/secret").send())
                .now_or_never()
                .is_none()
        );
        let start = Instant::now();
        let event = loop {
            let event = last(&house, name).await;
            if event["errorCode"] == "RequestAborted" {
                break event;
            }
            assert!(start.elapsed() < Duration::from_mins(2), "{event}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(arns(&event)[2..], ["arn:aws:s3:::bucket/secret"]);
    }
}

#[tokio::test]
async fn sec_a_key_policy_behind_white_space_is_recorded() {
    let house = house().await;
    let made = ask(&house, "CreateKey", json!({})).await;
    let id = made["KeyMetadata"]["KeyId"].as_str().unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Sid": "Planted", "Effect": "Allow",
        "Principal": { "AWS": "*" }, "Action": "kms:*", "Resource": "*" }] });
    for blanks in [17_200, 32_000] {
        let policy = format!("{}{policy}", "\t".repeat(blanks));
        let body = json!({ "KeyId": id, "PolicyName": "default", "Policy": policy,
            "BypassPolicyLockoutSafetyCheck": true });
        let reply = call(&house, "PutKeyPolicy", &body.to_string()).send().await;
        reply.expect(StatusCode::OK);
        let event = last(&house, "PutKeyPolicy").await;
        assert_eq!(
            event["requestParameters"],
            json!({ "keyId": id, "policyName": "default", "policy": policy,
                "bypassPolicyLockoutSafetyCheck": true })
        );
    }
    // One that is too long to be stored is cut; what else was asked stays.
    let policy = format!("{}{policy}", "\t".repeat(100_000));
    let body = json!({ "KeyId": id, "PolicyName": "default", "Policy": policy,
        "BypassPolicyLockoutSafetyCheck": true });
    call(&house, "PutKeyPolicy", &body.to_string()).send().await;
    let event = last(&house, "PutKeyPolicy").await;
    assert!(event["errorCode"].is_string());
    let kept = &event["requestParameters"];
    assert_eq!(
        (&kept["keyId"], &kept["bypassPolicyLockoutSafetyCheck"]),
        (&json!(id), &json!(true))
    );
    assert_eq!(kept["policy"].as_str().unwrap().len(), 32 << 10);
    assert_eq!(
        event["additionalEventData"]["clipped"][0]["bytes"],
        policy.len()
    );
    // The policy that a key is made with says as much as one that it gets later.
    let body = json!({ "Policy": "{}", "BypassPolicyLockoutSafetyCheck": true });
    call(&house, "CreateKey", &body.to_string()).send().await;
    let event = last(&house, "CreateKey").await;
    assert_eq!(event["requestParameters"]["policy"], "{}");
    assert_eq!(
        event["requestParameters"]["bypassPolicyLockoutSafetyCheck"],
        true
    );
}

/// Whoever holds a URL that writes may not be able to read: it must not tell which ETag is there.
#[tokio::test]
async fn sec_a_url_that_writes_tells_nobody_which_etag_is_there() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "k").await;
    let head = house.call("HEAD", "/bucket/k").send().await;
    let etag = head.header("etag").to_owned();
    let id = upload(&house).await;
    for (method, target) in [
        ("PUT", "/bucket/k".to_owned()),
        ("DELETE", "/bucket/k".to_owned()),
        ("POST", format!("/bucket/copy?uploadId={id}")),
    ] {
        for name in ["if-match", "if-none-match"] {
            for guess in [etag.as_str(), "\"another\"", "*,x", ""] {
                let url = house.call(method, &target).auth(Auth::Presigned(60));
                let reply = url.unsigned(name, guess).send().await;
                reply
                    .refused(403, "AccessDenied")
                    .says("There were headers present in the request which were not signed");
            }
        }
    }
    // Signed, it is the signer's condition; of a read it tells nothing that the read does not.
    let get = house.call("GET", "/bucket/k").auth(Auth::Presigned(60));
    let get = get.unsigned("if-match", &etag).send().await;
    get.expect(StatusCode::OK);
    let url = house.call("PUT", "/bucket/k").auth(Auth::Presigned(60));
    let wrong = url.clone().header("if-match", "\"another\"").send().await;
    wrong.refused(412, "PreconditionFailed");
    let right = url.clone().header("if-match", &etag).send().await;
    right.expect(StatusCode::OK);
    // Whether there is an object at all is asked as before.
    let any = url.unsigned("if-none-match", "*").send().await;
    any.refused(412, "PreconditionFailed");
}
