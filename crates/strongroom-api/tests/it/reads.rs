// SPDX-License-Identifier: Apache-2.0
//! Ranges, parts and conditions of reads.

use http::StatusCode;

use crate::harness::{House, Reply, house};

async fn with_object(bytes: &'static [u8]) -> House {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/k")
        .body(bytes)
        .send()
        .await
        .expect(StatusCode::OK);
    house
}

async fn range(house: &House, range: &str) -> Reply {
    house
        .call("GET", "/bucket/k")
        .header("range", range)
        .send()
        .await
}

#[tokio::test]
async fn sec_n73_ranges() {
    let house = with_object(b"0123456789").await;
    for (text, content_range, bytes) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=8-", "bytes 8-9/10", "89"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
        ("bytes=5-18446744073709551615", "bytes 5-9/10", "56789"),
    ] {
        let got = range(&house, text)
            .await
            .expect(StatusCode::PARTIAL_CONTENT);
        assert_eq!(
            (got.header("content-range"), &got.body[..]),
            (content_range, bytes.as_bytes())
        );
    }
    for text in [
        "bytes=",
        "bytes=5-4",
        "bytes=0-0,2-2",
        "bytes=a-b",
        "chars=0-1",
        "bytes=-",
    ] {
        let got = range(&house, text).await.expect(StatusCode::OK);
        assert_eq!(got.body, "0123456789", "{text}");
        assert!(!got.has("content-range"));
    }
    for text in [
        "bytes=10-",
        "bytes=-0",
        "bytes=18446744073709551615-",
        "bytes=10-11",
    ] {
        let got = range(&house, text).await.refused(416, "InvalidRange");
        assert_eq!(got.element("ActualObjectSize").as_deref(), Some("10"));
        assert_eq!(got.element("RangeRequested").as_deref(), Some(text));
    }
    let head = house
        .call("HEAD", "/bucket/k")
        .header("range", "bytes=1-3")
        .send()
        .await;
    let head = head.expect(StatusCode::PARTIAL_CONTENT);
    assert_eq!((head.header("content-length"), head.body.len()), ("3", 0));
}

#[tokio::test]
async fn sec_n73_ranges_of_an_empty_object() {
    let house = with_object(b"").await;
    for text in ["bytes=0-0", "bytes=0-", "bytes=-0"] {
        range(&house, text).await.refused(416, "InvalidRange");
    }
    // The last bytes of nothing are nothing, and so is its first part: all of it, in S3 as well.
    let part = |method: &str| house.call(method, "/bucket/k?partNumber=1");
    let last = |method: &str| house.call(method, "/bucket/k").header("range", "bytes=-1");
    for call in [part("GET"), part("HEAD"), last("GET"), last("HEAD")] {
        let got = call.send().await.expect(StatusCode::OK);
        assert!(got.body.is_empty());
        assert!(!got.has("content-range"), "{got:?}");
    }
    let second = house.call("GET", "/bucket/k?partNumber=2").send().await;
    second.refused(416, "InvalidPartNumber");
    range(&house, "bytes=").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn sec_n75_parts_by_number() {
    let house = with_object(b"0123456789").await;
    let part = |n: &str| house.call("GET", &format!("/bucket/k?partNumber={n}"));
    let got = part("1").send().await.expect(StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.body, "0123456789");
    part("2").send().await.refused(416, "InvalidPartNumber");
    for n in ["0", "10001", "", "x"] {
        part(n).send().await.refused(400, "InvalidArgument");
    }
    part("1")
        .header("range", "bytes=0-1")
        .send()
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn sec_n74_conditions_of_reads() {
    let house = with_object(b"x").await;
    let etag = "\"9dd4e461268c8034f5c8564e155c67a6\"";
    let before = "Sun, 20 Sep 2026 00:00:00 GMT";
    let after = "Tue, 22 Sep 2026 00:00:00 GMT";
    let weak = format!("W/{etag}");
    let list = format!("\"a\", {etag}");
    let table = [
        ("if-match", etag, 200),
        ("if-match", "*", 200),
        ("if-match", list.as_str(), 200),
        ("if-match", "\"a\"", 412),
        ("if-match", weak.as_str(), 412),
        ("if-none-match", etag, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", list.as_str(), 304),
        ("if-none-match", weak.as_str(), 304),
        ("if-none-match", "\"a\"", 200),
        ("if-modified-since", before, 200),
        ("if-modified-since", after, 304),
        ("if-modified-since", "nonsense", 200),
        ("if-unmodified-since", before, 412),
        ("if-unmodified-since", after, 200),
        ("if-unmodified-since", "nonsense", 200),
    ];
    for (name, value, status) in table {
        for method in ["GET", "HEAD"] {
            let got = house
                .call(method, "/bucket/k")
                .header(name, value)
                .send()
                .await;
            assert_eq!(got.status.as_u16(), status, "{method} {name}: {value}");
            if status == 304 {
                assert!(got.body.is_empty());
                assert_eq!(got.header("etag"), etag);
            }
        }
    }
}

#[tokio::test]
async fn if_range_never_mixes_two_objects() {
    let house = with_object(b"0123456789").await;
    let etag = house
        .call("HEAD", "/bucket/k")
        .send()
        .await
        .header("etag")
        .to_owned();
    let get = |validator: &str, range: &str| {
        house
            .call("GET", "/bucket/k")
            .header("if-range", validator)
            .header("range", range)
    };
    let got = get(&etag, "bytes=0-1")
        .send()
        .await
        .expect(StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.body, "01");
    for validator in [
        "\"other\"",
        &format!("W/{etag}"),
        "Sun, 20 Sep 2026 00:00:00 GMT",
        "",
    ] {
        let got = get(validator, "bytes=0-1")
            .send()
            .await
            .expect(StatusCode::OK);
        assert_eq!(got.body, "0123456789", "{validator}");
    }
    get(&etag, "bytes=99-")
        .send()
        .await
        .refused(416, "InvalidRange");
    get("\"other\"", "bytes=99-")
        .send()
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn checksums_are_shown_when_asked_for() {
    let house = with_object(b"123456789").await;
    let get = |method| {
        house
            .call(method, "/bucket/k")
            .header("x-amz-checksum-mode", "ENABLED")
    };
    for method in ["GET", "HEAD"] {
        let got = get(method).send().await.expect(StatusCode::OK);
        assert_eq!(got.header("x-amz-checksum-crc64nvme"), "rosUhgp5mIg=");
        assert_eq!(got.header("x-amz-checksum-type"), "FULL_OBJECT");
    }
    let ranged = get("GET").header("range", "bytes=0-1").send().await;
    assert!(!ranged.has("x-amz-checksum-crc64nvme"));
}
