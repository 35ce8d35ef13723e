// SPDX-License-Identifier: Apache-2.0
//! Upload forms: who they are from, what they may say, and what stays when they fail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{Full, StreamBody};
use serde_json::{Value, json};
use strongroom_wire::SecretAccessKey;
use strongroom_wire::sigv4::{Timestamp, form_scope, sign_form_policy};

use crate::harness::{
    ACCESS_KEY_ID, Auth, House, NOW_MS, REGION, Reply, SECRET, files_of_content, house, send,
};

type Fields = Vec<(String, String)>;

const TYPE: &str = "multipart/form-data; boundary=B";

/// These fields with a condition for each, and a signature.
fn signed(fields: &[(&str, &str)], more: &[Value]) -> Fields {
    let scope = form_scope(REGION, NOW_MS);
    let mut fields: Fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for (name, value) in [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", format!("{ACCESS_KEY_ID}/{scope}")),
        ("x-amz-date", Timestamp::from_unix_ms(NOW_MS).to_string()),
    ] {
        fields.push((name.to_owned(), value));
    }
    let mut conditions = vec![json!({ "bucket": "bucket" })];
    conditions.extend(fields.iter().map(|(name, value)| json!({ name: value })));
    conditions.extend(more.iter().cloned());
    let document = json!({ "expiration": "2026-09-21T14:13:20Z", "conditions": conditions });
    let policy = STANDARD.encode(document.to_string());
    let secret = SecretAccessKey::new(SECRET.to_owned());
    let signature = sign_form_policy(&policy, &secret, &scope);
    fields.push(("policy".to_owned(), policy));
    fields.push(("x-amz-signature".to_owned(), signature));
    fields
}

fn encode(fields: &Fields, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        out.extend_from_slice(part.as_bytes());
    }
    let file = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
    out.extend_from_slice(file.as_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n--B--\r\n");
    out
}

async fn post_with(house: &House, headers: &[(&str, &str)], body: Vec<u8>, secure: bool) -> Reply {
    let mut request = Request::builder()
        .method("POST")
        .uri("/bucket")
        .header("host", "localhost:9443");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    send(house, request, secure).await
}

async fn post(house: &House, fields: &Fields, content: &[u8]) -> Reply {
    post_with(
        house,
        &[("content-type", TYPE)],
        encode(fields, content),
        true,
    )
    .await
}

async fn is_missing(house: &House, target: &str) {
    let reply = house.call("GET", target).send().await;
    reply.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_form_is_a_put() {
    let house = house().await;
    house.bucket("bucket").await;
    for size in [0, 1, 40_000, 1_000_000] {
        let content = vec![b'x'; size];
        let reply = post(&house, &signed(&[("key", "a/${filename}")], &[]), &content).await;
        // The condition is on the name that is stored.
        reply.refused(403, "AccessDenied");
        let fields = signed(
            &[
                ("key", "k"),
                ("x-amz-meta-a", "1"),
                ("success_action_status", "201"),
            ],
            &[],
        );
        let reply = post(&house, &fields, &content).await;
        let reply = reply.expect(StatusCode::CREATED);
        assert_eq!(reply.header("x-amz-server-side-encryption"), "AES256");
        assert_eq!(reply.element("Key").as_deref(), Some("k"));
        assert_eq!(reply.element("ETag").as_deref(), Some(reply.header("etag")));
        assert_eq!(reply.header("location"), "https://localhost:9443/bucket/k");
        let got = house.call("GET", "/bucket/k").send().await;
        assert_eq!(got.body.len(), size);
        assert_eq!(got.header("x-amz-meta-a"), "1");
        assert_eq!(got.header("content-type"), "binary/octet-stream");
    }
}

#[tokio::test]
async fn sec_n1_forms_without_credentials_or_with_others() {
    let house = house().await;
    house.bucket("bucket").await;
    let good = signed(&[("key", "k")], &[]);
    let anonymous: Fields = good[..1].to_vec();
    post(&house, &anonymous, b"x")
        .await
        .refused(403, "AccessDenied");
    for at in 1..good.len() {
        let mut less = good.clone();
        less.remove(at);
        post(&house, &less, b"x")
            .await
            .refused(400, "InvalidArgument");
        let mut bent = good.clone();
        bent[at].1.push('A');
        let reply = post(&house, &bent, b"x").await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 403),
            "{}",
            reply.text()
        );
    }
    for headers in [
        [
            ("content-type", TYPE),
            ("authorization", "AWS4-HMAC-SHA256 x"),
        ],
        [("content-type", TYPE), ("x-amz-acl", "private")],
        [("content-type", TYPE), ("content-md5", "AAAA")],
        [("content-type", TYPE), ("content-encoding", "gzip")],
        // No form: nobody signed it.
        [("content-type", "text/plain"), ("accept", "*/*")],
    ] {
        let reply = post_with(&house, &headers, encode(&good, b"x"), true).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 403 | 501),
            "{}",
            reply.text()
        );
    }
    // The same, signed as a request: there is nothing for it to be.
    let mut call = house.call("POST", "/bucket").body("x");
    call.auth = Auth::Header;
    call.send().await.refused(412, "PreconditionFailed");
    is_missing(&house, "/bucket/k").await;
    house.clock.advance_ms(1);
    post(&house, &good, b"x").await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn sec_n63_forms_that_fail_leave_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    let range = [json!(["content-length-range", 10, 1_000_000])];
    let fields = signed(&[("key", "k")], &range);
    let files = |house: &House| files_of_content(house);
    let before = files(&house);
    for (size, code) in [
        (9, "EntityTooSmall"),
        (1_000_001, "EntityTooLarge"),
        (3_000_000, "EntityTooLarge"),
    ] {
        let reply = post(&house, &fields, &vec![7; size]).await;
        reply.refused(400, code);
    }
    let whole = encode(&fields, &vec![7; 900_000]);
    for cut in [0, 1, 500, 2_000, 500_000, whole.len() - 20, whole.len() - 5] {
        let headers = [("content-type", TYPE)];
        let reply = post_with(&house, &headers, whole[..cut].to_vec(), true).await;
        reply.refused(400, "MalformedPOSTRequest");
    }
    is_missing(&house, "/bucket/k").await;
    let start = std::time::Instant::now();
    while files(&house) != before && start.elapsed() < std::time::Duration::from_mins(2) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(files(&house), before, "a body stayed behind");
}

#[tokio::test]
async fn forms_arrive_in_any_pieces() {
    let house = house().await;
    house.bucket("bucket").await;
    let content = b"a\r\n--\r\n--A\r\r\n--";
    let body = encode(&signed(&[("key", "k")], &[]), content);
    for piece in [1, 2, 3, 5, 7, 11, 64, 1_000] {
        let frames: Vec<_> = body
            .chunks(piece)
            .map(|piece| {
                let frame = http_body::Frame::data(Bytes::copy_from_slice(piece));
                Ok::<_, std::convert::Infallible>(frame)
            })
            .collect();
        let stream = StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::builder()
            .method("POST")
            .uri("/bucket")
            .header("host", "localhost")
            .header("content-type", TYPE);
        let reply = send(&house, request.body(stream).unwrap(), true).await;
        reply.expect(StatusCode::NO_CONTENT);
        let got = house.call("GET", "/bucket/k").send().await;
        assert_eq!(&got.body[..], content);
    }
}

#[tokio::test]
async fn sec_n31_customer_keys_in_forms_need_tls() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let key = [5_u8; 32];
    let key_base64 = STANDARD.encode(key);
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(key));
    let stem = "x-amz-server-side-encryption-customer";
    let names = [
        format!("{stem}-algorithm"),
        format!("{stem}-key"),
        format!("{stem}-key-MD5"),
    ];
    let pairs = [
        ("key", "k"),
        (names[0].as_str(), "AES256"),
        (names[1].as_str(), key_base64.as_str()),
        (names[2].as_str(), md5.as_str()),
    ];
    let fields = signed(&pairs, &[]);
    let headers = [("content-type", TYPE)];
    let body = encode(&fields, b"sealed");
    let reply = post_with(&house, &headers, body.clone(), false).await;
    reply.refused(400, "InvalidRequest");
    is_missing(&house, "/bucket/k").await;
    let reply = post_with(&house, &headers, body, true).await;
    let reply = reply.expect(StatusCode::NO_CONTENT);
    assert_eq!(
        reply.header("x-amz-server-side-encryption-customer-key-md5"),
        md5
    );
    assert!(!reply.has("x-amz-server-side-encryption"));
    let got = house
        .call("GET", "/bucket/k")
        .customer_key(&key)
        .send()
        .await;
    assert_eq!(&got.body[..], b"sealed");
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(400, "InvalidRequest");
    let events = house.events().await;
    let posted: Vec<_> = events
        .iter()
        .filter(|e| e["eventName"] == "PostObject")
        .collect();
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[1]["additionalEventData"]["SSEApplied"], "SSE_C");
    assert_eq!(posted[1]["requestParameters"]["key"], "k");
    assert!(!format!("{posted:?}").contains(&key_base64));
}

/// The value of a failed condition may be the digest of the file, or be stored sealed with it.
#[tokio::test]
async fn sec_a_failed_condition_is_recorded_without_what_it_said() {
    let house = house().await;
    house.bucket("bucket").await;
    for name in [
        "$content-md5",
        "$x-amz-meta-a",
        "$If-Match",
        "$x-amz-checksum-crc32",
    ] {
        let fields = signed(&[("key", "k")], &[json!(["eq", name, "PLANTED"])]);
        let reply = post(&house, &fields, b"x")
            .await
            .refused(403, "AccessDenied");
        assert!(reply.text().contains("PLANTED"), "{}", reply.text());
        let events = house.events().await;
        let message = events.last().unwrap()["errorMessage"].as_str().unwrap();
        assert!(
            message.contains(name) && !message.contains("PLANTED"),
            "{message}"
        );
    }
    let fields = signed(&[("key", "k")], &[json!(["starts-with", "$key", "SHOWN"])]);
    post(&house, &fields, b"x")
        .await
        .refused(403, "AccessDenied");
    let events = house.events().await;
    let message = events.last().unwrap()["errorMessage"].as_str().unwrap();
    assert!(message.contains("SHOWN"), "{message}");
}
