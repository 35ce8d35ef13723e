// SPDX-License-Identifier: Apache-2.0
//! DeleteObjects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use md5::{Digest as _, Md5};
use serde_json::Value;

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
    is_gone(&house, "a").await;
    is_there(&house, "b").await;
    let events = house.events().await;
    let deletes = deletions(&events);
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
    for code in ["KeyTooLongError", "PreconditionFailed", "InvalidArgument"] {
        assert!(
            text.contains(&format!("<Code>{code}</Code>")),
            "{code}: {text}"
        );
    }
    is_gone(&house, "a").await;
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
    is_there(&house, "a").await;
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    call()
        .header("x-amz-checksum-sha256", &STANDARD.encode(sha256))
        .send()
        .await
        .expect(StatusCode::OK);
    is_gone(&house, "a").await;
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

fn deletions(events: &[Value]) -> Vec<&Value> {
    let deletions = events.iter();
    deletions
        .filter(|event| event["eventName"] == "DeleteObject")
        .collect()
}

async fn is_gone(house: &House, name: &str) {
    let call = house.call("GET", &format!("/bucket/{name}"));
    call.send().await.refused(404, "NoSuchKey");
}

async fn is_there(house: &House, name: &str) {
    let call = house.call("GET", &format!("/bucket/{name}"));
    call.send().await.expect(StatusCode::OK);
}

/// One entry, and the code it is answered with.
async fn entry(house: &House, name: &str, elements: &str) -> String {
    let body = format!("<Delete><Object><Key>{name}</Key>{elements}</Object></Delete>");
    let reply = delete(house, &body).send().await;
    let text = reply.expect(StatusCode::OK).text();
    match text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
    {
        Some((code, _)) => code.to_owned(),
        None => "Deleted".to_owned(),
    }
}

async fn put(house: &House, name: &str) -> String {
    let call = house.call("PUT", &format!("/bucket/{name}"));
    let reply = call.body("seven b").send().await;
    let reply = reply.expect(StatusCode::OK);
    reply.headers["etag"].to_str().unwrap().to_owned()
}

const AT: &str = "Mon, 21 Sep 2026 14:13:20 GMT";

#[tokio::test]
async fn sec_n74_entries_keep_their_conditions() {
    let house = house().await;
    house.bucket("bucket").await;
    let etag = put(&house, "a").await;
    let bare = etag.trim_matches('"').to_owned();
    let refused = "PreconditionFailed";
    let failing = [
        "<ETag>another</ETag>".to_owned(),
        "<ETag>\"another\"</ETag>".to_owned(),
        "<Size>0</Size>".to_owned(),
        "<Size>8</Size>".to_owned(),
        "<Size>18446744073709551615</Size>".to_owned(),
        "<LastModifiedTime>Mon, 21 Sep 2026 14:13:19 GMT</LastModifiedTime>".to_owned(),
        "<LastModifiedTime>2026-09-21T14:13:21Z</LastModifiedTime>".to_owned(),
        format!("<ETag>{bare}</ETag><Size>6</Size>"),
        format!("<ETag>x</ETag><Size>7</Size><LastModifiedTime>{AT}</LastModifiedTime>"),
    ];
    for elements in &failing {
        assert_eq!(entry(&house, "a", elements).await, refused, "{elements}");
    }
    for elements in [
        "<ETag></ETag>",
        "<ETag>W/\"x\"</ETag>",
        "<ETag>a,b</ETag>",
        "<Size></Size>",
        "<Size>-7</Size>",
        "<Size>7.0</Size>",
        "<LastModifiedTime></LastModifiedTime>",
        "<LastModifiedTime>yesterday</LastModifiedTime>",
        "<LastModifiedTime>1790000000</LastModifiedTime>",
    ] {
        let code = entry(&house, "a", elements).await;
        assert_eq!(code, "InvalidArgument", "{elements}");
    }
    let twice = "<Delete><Object><Key>a</Key><Size>7</Size><Size>7</Size></Object></Delete>";
    delete(&house, twice)
        .send()
        .await
        .refused(400, "MalformedXML");
    is_there(&house, "a").await;

    for elements in [
        format!("<ETag>{bare}</ETag>"),
        format!("<ETag>{}</ETag>", etag.replace('"', "&quot;")),
        "<ETag>*</ETag>".to_owned(),
        "<Size>7</Size>".to_owned(),
        format!("<LastModifiedTime>{AT}</LastModifiedTime>"),
        "<LastModifiedTime>2026-09-21T14:13:20.000Z</LastModifiedTime>".to_owned(),
        format!("<Size>7</Size><ETag>{bare}</ETag><LastModifiedTime>{AT}</LastModifiedTime>"),
    ] {
        put(&house, "b").await;
        assert_eq!(entry(&house, "b", &elements).await, "Deleted", "{elements}");
        is_gone(&house, "b").await;
    }
    // Nothing is there: a size and a time are compared with nothing, an ETag asks for something.
    for (elements, code) in [
        ("<Size>7</Size>", "Deleted"),
        (
            "<LastModifiedTime>2026-09-21T14:13:20Z</LastModifiedTime>",
            "Deleted",
        ),
        ("<ETag>*</ETag>", refused),
        ("<ETag>x</ETag>", refused),
        ("<ETag>x</ETag><Size>7</Size>", refused),
    ] {
        assert_eq!(entry(&house, "never", elements).await, code, "{elements}");
    }
}

#[tokio::test]
async fn sec_n74_one_entry_that_fails_leaves_the_others() {
    let house = house().await;
    house.bucket("bucket").await;
    for name in ["a", "b", "c"] {
        put(&house, name).await;
    }
    let body = "<Delete><Object><Key>a</Key><ETag>x</ETag></Object><Object><Key>b</Key><Size>7</Size>\
                </Object><Object><Key>c</Key><Size>8</Size></Object></Delete>";
    let text = delete(&house, body)
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert_eq!(text.matches("<Deleted>").count(), 1, "{text}");
    assert_eq!(
        text.matches("<Code>PreconditionFailed</Code>").count(),
        2,
        "{text}"
    );
    for (name, there) in [("a", true), ("b", false), ("c", true)] {
        let reply = house.call("HEAD", &format!("/bucket/{name}")).send().await;
        assert_eq!(reply.status == StatusCode::OK, there, "{name}");
    }
    let events = house.events().await;
    let deletes = deletions(&events);
    // That there was a condition, and not which: an ETag may be the MD5 of a plaintext.
    assert_eq!(
        deletes[0]["requestParameters"]["if-match"],
        "HIDDEN_DUE_TO_SECURITY_REASONS"
    );
    assert_eq!(deletes[0]["errorCode"], "PreconditionFailed");
    assert_eq!(deletes[1]["requestParameters"]["x-amz-if-match-size"], "7");
    assert!(deletes[1]["errorCode"].is_null());
    assert_eq!(deletes[2]["requestParameters"]["x-amz-if-match-size"], "8");
}

#[tokio::test]
async fn sec_n74_the_headers_of_one_delete_mean_the_same() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "a").await;
    let call = |name: &str, value: &str| house.call("DELETE", "/bucket/a").header(name, value);
    let (time, size) = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size");
    for (name, value) in [
        (size, "6"),
        (size, "70"),
        (time, "Mon, 21 Sep 2026 14:13:21 GMT"),
    ] {
        call(name, value)
            .send()
            .await
            .refused(412, "PreconditionFailed");
    }
    for (name, value) in [
        (size, ""),
        (size, "x"),
        (size, "-1"),
        (time, ""),
        (time, "now"),
    ] {
        call(name, value)
            .send()
            .await
            .refused(400, "InvalidArgument");
    }
    let one_fails = call(size, "7").header(time, "Mon, 21 Sep 2026 14:13:21 GMT");
    one_fails.send().await.refused(412, "PreconditionFailed");
    is_there(&house, "a").await;
    let both = call(size, "7").header(time, AT).send().await;
    both.expect(StatusCode::NO_CONTENT);
    is_gone(&house, "a").await;
}

#[tokio::test]
async fn events_tell_a_marker_from_a_deletion() {
    let house = house().await;
    house.bucket("bucket").await;
    put(&house, "a").await;
    delete(&house, &list(&["a"]))
        .send()
        .await
        .expect(StatusCode::OK);
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let call = house.call("PUT", "/bucket?versioning").body(enabled);
    call.send().await.expect(StatusCode::OK);
    put(&house, "a").await;
    let text = delete(&house, &list(&["a"]))
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    let (_, id) = text.split_once("<DeleteMarkerVersionId>").unwrap();
    let (id, _) = id.split_once('<').unwrap();
    let named =
        format!("<Delete><Object><Key>a</Key><VersionId>{id}</VersionId></Object></Delete>");
    delete(&house, &named).send().await.expect(StatusCode::OK);
    house
        .call("DELETE", "/bucket/a")
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
    let events = house.events().await;
    let deletes = deletions(&events);
    assert!(deletes[0]["responseElements"].is_null());
    assert_eq!(
        deletes[1]["responseElements"]["x-amz-delete-marker"],
        "true"
    );
    assert_eq!(deletes[1]["responseElements"]["x-amz-version-id"], id);
    assert!(deletes[1]["requestParameters"]["versionId"].is_null());
    // The marker itself went: it is named by what was asked.
    assert_eq!(deletes[2]["requestParameters"]["versionId"], id);
    assert_eq!(deletes[2]["responseElements"]["x-amz-version-id"], id);
    assert_eq!(
        deletes[3]["responseElements"]["x-amz-delete-marker"],
        "true"
    );
}
