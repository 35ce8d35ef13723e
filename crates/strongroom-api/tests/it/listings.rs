// SPDX-License-Identifier: Apache-2.0
//! ListObjects and ListObjectsV2.

use http::StatusCode;

use crate::harness::{House, house};

async fn filled() -> House {
    let house = house().await;
    house.bucket("bucket").await;
    for name in ["a", "b%2Fx", "b%2Fy", "b%20z", "c%C3%A9", "c%01", "d%26%3C"] {
        let target = format!("/bucket/{}", name.replace("%2F", "/"));
        house
            .call("PUT", &target)
            .body("12345")
            .send()
            .await
            .expect(StatusCode::OK);
    }
    house
}

fn all(text: &str, element: &str) -> Vec<String> {
    text.split(&format!("<{element}>"))
        .skip(1)
        .map(|rest| {
            rest.split_once(&format!("</{element}>"))
                .unwrap()
                .0
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn names_come_in_the_order_of_their_bytes() {
    let house = filled().await;
    for target in [
        "/bucket?encoding-type=url",
        "/bucket?list-type=2&encoding-type=url",
    ] {
        let text = house
            .call("GET", target)
            .send()
            .await
            .expect(StatusCode::OK)
            .text();
        let names = ["a", "b%20z", "b/x", "b/y", "c%01", "c%C3%A9", "d%26%3C"];
        assert_eq!(all(&text, "Key"), names, "{target}");
        assert_eq!(all(&text, "Size"), ["5"; 7]);
        assert_eq!(all(&text, "IsTruncated"), ["false"]);
        assert_eq!(all(&text, "ChecksumAlgorithm"), ["CRC64NVME"; 7]);
    }
    let plain = house
        .call("GET", "/bucket")
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert_eq!(
        all(&plain, "Key"),
        ["a", "b z", "b/x", "b/y", "c&#x1;", "c\u{e9}", "d&amp;&lt;"]
    );
}

#[tokio::test]
async fn delimiters_fold_names_and_count_as_one() {
    let house = filled().await;
    let target = "/bucket?list-type=2&delimiter=/";
    let text = house
        .call("GET", target)
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert_eq!(all(&text, "KeyCount"), ["6"]);
    assert!(text.contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"));
    let target = "/bucket?delimiter=/&prefix=b/";
    let text = house
        .call("GET", target)
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert_eq!(all(&text, "Key"), ["b/x", "b/y"]);
}

#[tokio::test]
async fn pages_of_every_size_give_every_name_once() {
    let house = filled().await;
    for delimiter in ["", "/"] {
        let whole = format!("/bucket?delimiter={delimiter}&encoding-type=url");
        let whole = house
            .call("GET", &whole)
            .send()
            .await
            .expect(StatusCode::OK)
            .text();
        for size in 1..=8 {
            let (mut first_form, mut second_form) = (Vec::new(), Vec::new());
            let mut marker = String::new();
            loop {
                let target = format!(
                    "/bucket?delimiter={delimiter}&max-keys={size}&marker={marker}&encoding-type=url"
                );
                let text = house
                    .call("GET", &target)
                    .send()
                    .await
                    .expect(StatusCode::OK)
                    .text();
                let names = all(&text, "Key");
                marker = match all(&text, "NextMarker").first() {
                    Some(next) => next.clone(),
                    None => names.last().cloned().unwrap_or_default(),
                };
                assert_eq!(all(&text, "NextMarker").is_empty(), {
                    delimiter.is_empty() || all(&text, "IsTruncated") == ["false"]
                });
                first_form.extend(names);
                if all(&text, "IsTruncated") == ["false"] {
                    break;
                }
            }
            let mut token = String::new();
            loop {
                let target = format!(
                    "/bucket?list-type=2&delimiter={delimiter}&max-keys={size}{token}&encoding-type=url"
                );
                let text = house
                    .call("GET", &target)
                    .send()
                    .await
                    .expect(StatusCode::OK)
                    .text();
                second_form.extend(all(&text, "Key"));
                match all(&text, "NextContinuationToken").first() {
                    Some(next) => token = format!("&continuation-token={next}"),
                    None => break,
                }
            }
            assert_eq!(first_form, all(&whole, "Key"), "{size} {delimiter}");
            assert_eq!(second_form, all(&whole, "Key"), "{size} {delimiter}");
        }
    }
}

#[tokio::test]
async fn limits_and_wrong_parameters() {
    let house = filled().await;
    let none = house
        .call("GET", "/bucket?max-keys=0")
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert!(all(&none, "Key").is_empty() && all(&none, "IsTruncated") == ["false"]);
    let many = house
        .call("GET", "/bucket?max-keys=5000")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(many.element("MaxKeys").as_deref(), Some("1000"));
    let target = "/bucket?list-type=2&start-after=b/y&fetch-owner=true&encoding-type=url";
    let after = house
        .call("GET", target)
        .send()
        .await
        .expect(StatusCode::OK)
        .text();
    assert_eq!(all(&after, "Key"), ["c%01", "c%C3%A9", "d%26%3C"]);
    assert_eq!(all(&after, "Owner").len(), 3);
    for query in [
        "max-keys=-1",
        "max-keys=x",
        "encoding-type=xml",
        "list-type=1",
        "list-type=2&continuation-token=forged",
        "list-type=2&continuation-token=",
        "list-type=2&fetch-owner=yes",
    ] {
        let reply = house.call("GET", &format!("/bucket?{query}")).send().await;
        reply.refused(400, "InvalidArgument");
    }
    house
        .call("GET", "/none")
        .send()
        .await
        .refused(404, "NoSuchBucket");
    house
        .call("GET", "/none?list-type=2")
        .send()
        .await
        .refused(404, "NoSuchBucket");
}
