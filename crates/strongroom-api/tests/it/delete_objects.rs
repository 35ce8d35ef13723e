// SPDX-License-Identifier: Apache-2.0
//! DeleteObjects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use md5::{Digest as _, Md5};

use crate::harness::{Call, House, house};

fn delete<'h>(house: &'h House, body: &str) -> Call<'h> {
    house
        .call("POST", "/bucket?delete")
        .header("content-md5", &STANDARD.encode(Md5::digest(body)))
        .body(body.to_owned())
}

fn list(names: &[&str]) -> String {
    let objects = names
        .iter()
        .map(|name| format!("<Object><Key>{name}</Key></Object>"))
        .collect::<Vec<_>>()
        .concat();
    format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{objects}</Delete>")
}

#[tokio::test]
async fn names_are_deleted_and_each_is_recorded() {
    let house = house().await;
    house.bucket("bucket").await;
    for name in ["a", "b", "c%26d"] {
        house
            .call("PUT", &format!("/bucket/{name}"))
            .body("x")
            .send()
            .await
            .expect(StatusCode::OK);
    }
    let reply = delete(&house, &list(&["a", "c&amp;d", "never there"]))
        .send()
        .await;
    let text = reply.expect(StatusCode::OK).text();
    for part in [
        "<Key>a</Key>",
        "<Key>c&amp;d</Key>",
        "<Key>never there</Key>",
    ] {
        assert!(
            text.contains(&format!("<Deleted>{part}</Deleted>")),
            "{text}"
        );
    }
    house
        .call("GET", "/bucket/a")
        .send()
        .await
        .refused(404, "NoSuchKey");
    house
        .call("GET", "/bucket/b")
        .send()
        .await
        .expect(StatusCode::OK);
    let events = house.events().await;
    let deletes: Vec<_> = events
        .iter()
        .filter(|event| event["eventName"] == "DeleteObject")
        .collect();
    assert_eq!(deletes.len(), 3);
    assert_eq!(deletes[1]["requestParameters"]["key"], "c&d");
    assert_eq!(
        events
            .iter()
            .filter(|event| event["eventName"] == "DeleteObjects")
            .count(),
        1
    );
    assert_eq!(
        deletes[0]["requestID"],
        events
            .iter()
            .rev()
            .find(|e| e["eventName"] == "DeleteObjects")
            .unwrap()["requestID"]
    );
}

#[tokio::test]
async fn sec_n45_each_name_is_refused_by_itself() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/a")
        .body("x")
        .send()
        .await
        .expect(StatusCode::OK);
    let long = "k".repeat(1_025);
    let body = format!(
        "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>{long}</Key></Object>\
         <Object><Key>a</Key><VersionId>forged</VersionId></Object>\
         <Object><Key>b</Key><ETag>x</ETag></Object><Object><Key></Key></Object></Delete>"
    );
    let text = delete(&house, &body)
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert!(!text.contains("<Deleted>"), "{text}");
    assert_eq!(text.matches("<Error>").count(), 4, "{text}");
    for code in ["KeyTooLongError", "NotImplemented", "InvalidArgument"] {
        assert!(
            text.contains(&format!("<Code>{code}</Code>")),
            "{code}: {text}"
        );
    }
    house
        .call("GET", "/bucket/a")
        .send()
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn sec_n59_the_list_needs_a_checksum_that_holds() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/a")
        .body("x")
        .send()
        .await
        .expect(StatusCode::OK);
    let body = list(&["a"]);
    let call = || house.call("POST", "/bucket?delete").body(body.clone());
    call().send().await.refused(400, "InvalidRequest");
    call()
        .header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
        .send()
        .await
        .refused(400, "BadDigest");
    call()
        .header("content-md5", "x")
        .send()
        .await
        .refused(400, "InvalidDigest");
    call()
        .header("x-amz-checksum-crc32", "AAAAAQ==")
        .send()
        .await
        .refused(400, "BadDigest");
    call()
        .header("x-amz-checksum-sha512", "AAAA")
        .send()
        .await
        .refused(400, "InvalidRequest");
    house
        .call("GET", "/bucket/a")
        .send()
        .await
        .expect(StatusCode::OK);
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    call()
        .header("x-amz-checksum-sha256", &STANDARD.encode(sha256))
        .send()
        .await
        .expect(StatusCode::OK);
    house
        .call("GET", "/bucket/a")
        .send()
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn sec_n45_a_thousand_names_and_no_more() {
    let house = house().await;
    house.bucket("bucket").await;
    let names: Vec<String> = (0..1_001).map(|n| format!("k{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let text = delete(&house, &list(&names[..1_000]))
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert_eq!(text.matches("<Deleted>").count(), 1_000);
    delete(&house, &list(&names))
        .send()
        .await
        .refused(400, "MalformedXML");
    delete(&house, &list(&[]))
        .send()
        .await
        .refused(400, "MalformedXML");
    delete(
        &house,
        "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
    )
    .send()
    .await
    .refused(400, "MalformedXML");
    delete(&house, &" ".repeat(2 * 1024 * 1024 + 1))
        .send()
        .await
        .refused(400, "MaxMessageLengthExceeded");
    let mut call = delete(&house, &list(&["a"]));
    call.path = "/none".to_owned();
    call.send().await.refused(404, "NoSuchBucket");
}
