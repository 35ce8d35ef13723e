// SPDX-License-Identifier: Apache-2.0
//! Lifecycle configurations, storage classes and restores over the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use md5::{Digest as _, Md5};
use serde_json::json;
use strongroom_object::DAY_MS;

use crate::harness::{Call, House, house};
use crate::permissions::{User, allow, forbidden};

const HOUR_MS: u64 = 60 * 60 * 1_000;

fn rules(inner: &str) -> String {
    format!("<LifecycleConfiguration>{inner}</LifecycleConfiguration>")
}

fn rule(id: &str, inner: &str) -> String {
    format!(
        "<Rule><ID>{id}</ID><Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status>{inner}</Rule>"
    )
}

fn put_rules<'h>(house: &'h House, document: &str) -> Call<'h> {
    house
        .call("PUT", "/bucket?lifecycle=")
        .header("content-md5", &STANDARD.encode(Md5::digest(document)))
        .body(document.to_owned())
}

async fn store(house: &House, name: &str, class: &str) {
    let put = house
        .call("PUT", &format!("/bucket/{name}"))
        .header("x-amz-storage-class", class)
        .body("cold");
    put.send().await.expect(StatusCode::OK);
}

fn with<'h>(class: Option<&str>, call: Call<'h>) -> Call<'h> {
    match class {
        Some(class) => call.header("x-amz-storage-class", class),
        None => call,
    }
}

fn restore<'h>(house: &'h House, name: &str, days: u32, tier: &str) -> Call<'h> {
    let job = format!("<GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters>");
    house
        .call("POST", &format!("/bucket/{name}?restore"))
        .body(format!(
            "<RestoreRequest><Days>{days}</Days>{job}</RestoreRequest>"
        ))
}

#[tokio::test]
async fn configurations_are_put_shown_and_deleted() {
    let house = house().await;
    house.bucket("bucket").await;
    let none = house.call("GET", "/bucket?lifecycle").send().await;
    none.refused(404, "NoSuchLifecycleConfiguration")
        .says("The lifecycle configuration does not exist");
    let document = rules(&rule(
        "old logs",
        "<Expiration><Days>30</Days></Expiration>",
    ));
    let put = put_rules(&house, &document)
        .send()
        .await
        .expect(StatusCode::OK);
    let minimum = "x-amz-transition-default-minimum-object-size";
    assert_eq!(put.header(minimum), "all_storage_classes_128K");
    let shown = house.call("GET", "/bucket?lifecycle").send().await;
    let shown = shown.expect(StatusCode::OK);
    assert_eq!(shown.header(minimum), "all_storage_classes_128K");
    assert!(
        shown
            .text()
            .ends_with(&document["<LifecycleConfiguration>".len()..])
    );
    let varies = put_rules(&house, &document).header(minimum, "varies_by_storage_class");
    varies.send().await.expect(StatusCode::OK);
    let shown = house.call("GET", "/bucket?lifecycle").send().await;
    assert_eq!(shown.header(minimum), "varies_by_storage_class");
    for _ in 0..2 {
        let gone = house.call("DELETE", "/bucket?lifecycle").send().await;
        gone.expect(StatusCode::NO_CONTENT);
    }
    let none = house.call("GET", "/bucket?lifecycle").send().await;
    none.refused(404, "NoSuchLifecycleConfiguration");
    for method in ["GET", "PUT", "DELETE"] {
        let none = house.call(method, "/nothere?lifecycle").send().await;
        none.refused(404, "NoSuchBucket");
    }
    let events = house.events().await;
    let put = events
        .iter()
        .find(|event| event["eventName"] == "PutBucketLifecycle")
        .unwrap();
    assert_eq!(
        put["requestParameters"]["LifecycleConfiguration"]["Rule"][0]["Expiration"],
        json!({ "Days": 30 })
    );
    assert_eq!(put["managementEvent"], true);
}

#[tokio::test]
async fn configurations_that_are_refused_change_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    let good = rules(&rule("good", "<Expiration><Days>30</Days></Expiration>"));
    put_rules(&house, &good).send().await.expect(StatusCode::OK);
    for (document, code) in [
        (rules(""), "MalformedXML"),
        (
            rules(&rule("x", "<Expiration><Dayz>1</Dayz></Expiration>")),
            "MalformedXML",
        ),
        (rules(&rule("x", "")), "InvalidRequest"),
        (
            rules(&rule("x", "<Expiration><Days>0</Days></Expiration>")),
            "InvalidArgument",
        ),
        ("<Lifecycle/>".to_owned(), "MalformedXML"),
    ] {
        let refused = put_rules(&house, &document).send().await;
        refused.refused(400, code);
    }
    let without = house.call("PUT", "/bucket?lifecycle").body(good.clone());
    without.send().await.refused(400, "InvalidRequest");
    let other = house
        .call("PUT", "/bucket?lifecycle")
        .header("content-md5", &STANDARD.encode(Md5::digest("other")))
        .body(good.clone());
    other.send().await.refused(400, "BadDigest");
    let minimum = "x-amz-transition-default-minimum-object-size";
    let size = put_rules(&house, &good).header(minimum, "1");
    size.send().await.refused(400, "InvalidRequest");
    let shown = house.call("GET", "/bucket?lifecycle").send().await;
    assert!(shown.text().contains("<ID>good</ID>"));
}

#[tokio::test]
async fn answers_say_when_a_rule_deletes() {
    let house = house().await;
    house.bucket("bucket").await;
    let all = rules(&format!(
        "{}{}",
        rule("old logs", "<Expiration><Days>2</Days></Expiration>"),
        rule(
            "uploads",
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload>"
        )
    ));
    put_rules(&house, &all).send().await.expect(StatusCode::OK);
    let midnight = |days: u64| {
        use strongroom_store::env::Clock as _;
        let at_ms = (house.clock.now_ms() / DAY_MS + 1 + days) * DAY_MS;
        let at = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).unwrap()).unwrap();
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    let expected = format!("expiry-date=\"{}\", rule-id=\"old logs\"", midnight(2));
    let put = house.call("PUT", "/bucket/a").body("x").send().await;
    assert_eq!(put.header("x-amz-expiration"), expected);
    for method in ["GET", "HEAD"] {
        let read = house.call(method, "/bucket/a").send().await;
        assert_eq!(read.header("x-amz-expiration"), expected);
        let named = house.call(method, "/bucket/a?versionId=null").send().await;
        assert!(!named.has("x-amz-expiration"), "as in S3");
    }
    let copy = house
        .call("PUT", "/bucket/a2")
        .header("x-amz-copy-source", "/bucket/a");
    assert_eq!(copy.send().await.header("x-amz-expiration"), expected);
    let other = house.call("PUT", "/bucket/b").body("x").send().await;
    assert!(!other.has("x-amz-expiration"));
    let created = house.call("POST", "/bucket/a?uploads").send().await;
    assert_eq!(created.header("x-amz-abort-date"), midnight(1));
    assert_eq!(created.header("x-amz-abort-rule-id"), "uploads");
    let id = created.element("UploadId").unwrap();
    let parts = house
        .call("GET", &format!("/bucket/a?uploadId={id}"))
        .send()
        .await;
    assert_eq!(parts.header("x-amz-abort-rule-id"), "uploads");
}

#[tokio::test]
async fn classes_are_shown_and_archives_say_what_they_are() {
    let house = house().await;
    house.bucket("bucket").await;
    for class in [
        "STANDARD",
        "STANDARD_IA",
        "ONEZONE_IA",
        "GLACIER",
        "DEEP_ARCHIVE",
    ] {
        store(&house, class, class).await;
        let head = house.call("HEAD", &format!("/bucket/{class}")).send().await;
        let head = head.expect(StatusCode::OK);
        if class == "STANDARD" {
            assert!(!head.has("x-amz-storage-class"));
        } else {
            assert_eq!(head.header("x-amz-storage-class"), class);
        }
        let attributes = house
            .call("GET", &format!("/bucket/{class}?attributes"))
            .header("x-amz-object-attributes", "StorageClass");
        let shown = attributes.send().await.element("StorageClass");
        assert_eq!(shown.as_deref(), Some(class));
    }
    for list in ["/bucket", "/bucket?list-type=2", "/bucket?versions"] {
        let text = house.call("GET", list).send().await.text();
        for class in [
            "STANDARD",
            "STANDARD_IA",
            "ONEZONE_IA",
            "GLACIER",
            "DEEP_ARCHIVE",
        ] {
            let element = format!("<StorageClass>{class}</StorageClass>");
            assert_eq!(text.matches(&element).count(), 1, "{list} {class}");
        }
    }
    for class in [
        "",
        "glacier",
        "REDUCED_REDUNDANCY",
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
    ] {
        let put = house
            .call("PUT", "/bucket/x")
            .header("x-amz-storage-class", class);
        put.body("x")
            .send()
            .await
            .refused(400, "InvalidStorageClass");
        let upload = house
            .call("POST", "/bucket/x?uploads")
            .header("x-amz-storage-class", class);
        upload.send().await.refused(400, "InvalidStorageClass");
        let copy = house
            .call("PUT", "/bucket/x")
            .header("x-amz-copy-source", "/bucket/STANDARD")
            .header("x-amz-storage-class", class);
        copy.send().await.refused(400, "InvalidStorageClass");
    }
    for class in ["GLACIER", "DEEP_ARCHIVE"] {
        let get = house.call("GET", &format!("/bucket/{class}")).send().await;
        let get = get
            .refused(403, "InvalidObjectState")
            .says("The operation is not valid for the object's storage class");
        assert_eq!(get.element("StorageClass").as_deref(), Some(class));
        let copy = house
            .call("PUT", "/bucket/x")
            .header("x-amz-copy-source", &format!("/bucket/{class}"));
        copy.send()
            .await
            .refused(403, "InvalidObjectState")
            .says("Operation is not valid for the source object's storage class");
    }
}

#[tokio::test]
async fn restores_over_the_wire() {
    let house = house().await;
    house.bucket("bucket").await;
    store(&house, "k", "GLACIER").await;
    store(&house, "warm", "STANDARD_IA").await;
    store(&house, "deep", "DEEP_ARCHIVE").await;
    let accepted = restore(&house, "k", 2, "Expedited").send().await;
    assert_eq!(accepted.expect(StatusCode::ACCEPTED).text(), "");
    let head = house.call("HEAD", "/bucket/k").send().await;
    assert_eq!(head.header("x-amz-restore"), "ongoing-request=\"true\"");
    restore(&house, "k", 2, "Bulk")
        .send()
        .await
        .refused(409, "RestoreAlreadyInProgress")
        .says("Object restore is already in progress");
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(403, "InvalidObjectState");
    house.clock.advance_ms(HOUR_MS);
    let read = house
        .call("GET", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(read.text(), "cold");
    assert_eq!(read.header("x-amz-storage-class"), "GLACIER");
    let restored = read.header("x-amz-restore");
    assert!(
        restored.starts_with("ongoing-request=\"false\", expiry-date=\"")
            && restored.ends_with(" 00:00:00 GMT\""),
        "{restored}"
    );
    restore(&house, "k", 9, "Standard")
        .send()
        .await
        .expect(StatusCode::OK);
    for list in [
        "/bucket?prefix=k",
        "/bucket?list-type=2&prefix=k",
        "/bucket?versions&prefix=k",
    ] {
        let plain = house.call("GET", list).send().await.text();
        assert!(!plain.contains("RestoreStatus"));
        let asked = house
            .call("GET", list)
            .header("x-amz-optional-object-attributes", "RestoreStatus");
        let text = asked.send().await.text();
        assert!(
            text.contains(
                "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>"
            ),
            "{text}"
        );
        let other = house
            .call("GET", list)
            .header("x-amz-optional-object-attributes", "Tags");
        other.send().await.refused(400, "InvalidArgument");
    }
    restore(&house, "warm", 1, "Standard")
        .send()
        .await
        .refused(403, "InvalidObjectState")
        .says("Restore is not allowed for the object's current storage class");
    restore(&house, "deep", 1, "Expedited")
        .send()
        .await
        .refused(400, "InvalidArgument")
        .says("Retrieval option is not supported by this storage class");
    restore(&house, "none", 1, "Standard")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let empty = house.call("POST", "/bucket/deep?restore").send().await;
    empty.refused(400, "MalformedXML");
    let events = house.events().await;
    let first = events
        .iter()
        .find(|event| event["eventName"] == "RestoreObject")
        .unwrap();
    assert_eq!(
        first["requestParameters"]["RestoreRequest"],
        json!({ "Days": 2, "GlacierJobParameters": { "Tier": "Expedited" } })
    );
}

/// With every permission but its own an operation is denied, and changes nothing.
#[tokio::test]
async fn sec_lifecycle_and_restore_need_their_own_permissions() {
    let house = house().await;
    house.bucket("bucket").await;
    store(&house, "k", "GLACIER").await;
    let document = rules(&rule("r", "<Expiration><Days>1</Days></Expiration>"));
    put_rules(&house, &document)
        .send()
        .await
        .expect(StatusCode::OK);
    let other = rules(&rule("other", "<Expiration><Days>9</Days></Expiration>"));
    let operations = [
        ("PUT", "/bucket?lifecycle=", "s3:PutLifecycleConfiguration"),
        (
            "DELETE",
            "/bucket?lifecycle=",
            "s3:PutLifecycleConfiguration",
        ),
        ("GET", "/bucket?lifecycle=", "s3:GetLifecycleConfiguration"),
        ("POST", "/bucket/k?restore=", "s3:RestoreObject"),
        (
            "POST",
            "/bucket/k?restore=&versionId=null",
            "s3:RestoreObject",
        ),
        ("POST", "/bucket/missing?restore=", "s3:RestoreObject"),
    ];
    for (at, (method, target, action)) in operations.into_iter().enumerate() {
        let all = json!([
            allow(&json!("s3:*"), &json!("*")),
            { "Effect": "Deny", "Action": action, "Resource": "*" },
        ]);
        let but = json!([{ "Effect": "Allow", "NotAction": action, "Resource": "*" }]);
        let elsewhere = json!([
            { "Effect": "Allow", "NotAction": action, "Resource": "*" },
            allow(&json!(action), &json!(["arn:aws:s3:::other", "arn:aws:s3:::other/*"])),
        ]);
        let body = match method {
            "PUT" => other.clone(),
            "POST" => "<RestoreRequest><Days>1</Days></RestoreRequest>".to_owned(),
            _ => String::new(),
        };
        let call = |user: User| {
            user.call(&house, method, target)
                .header("content-md5", &STANDARD.encode(Md5::digest(&body)))
                .body(body.clone())
        };
        for (kind, statements) in [("deny", all), ("but", but), ("elsewhere", elsewhere)] {
            let user = User::new(&house, &format!("{kind}{at}"), statements).await;
            forbidden(&call(user).send().await, action);
        }
    }
    let shown = house.call("GET", "/bucket?lifecycle").send().await;
    assert!(shown.text().contains("<ID>r</ID>"), "nothing was changed");
    let head = house.call("HEAD", "/bucket/k").send().await;
    assert!(!head.has("x-amz-restore"));
    // Who may restore may not read, nor the other way round.
    let restorer = allow(&json!("s3:RestoreObject"), &json!("arn:aws:s3:::bucket/*"));
    let restorer = User::new(&house, "restorer", json!([restorer])).await;
    let body = "<RestoreRequest><Days>1</Days></RestoreRequest>";
    let started = restorer
        .call(&house, "POST", "/bucket/k?restore=")
        .body(body);
    started.send().await.expect(StatusCode::ACCEPTED);
    forbidden(
        &restorer.does(&house, "GET", "/bucket/k").await,
        "s3:GetObject",
    );
    // Who may not list is not told what is not there.
    let missing = restorer
        .call(&house, "POST", "/bucket/missing?restore=")
        .body(body);
    forbidden(&missing.send().await, "s3:ListBucket");
}

#[tokio::test]
async fn sec_policies_see_the_class() {
    let house = house().await;
    house.bucket("bucket").await;
    let warm = json!({ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*",
        "Condition": { "StringNotEquals": { "s3:x-amz-storage-class": ["GLACIER", "DEEP_ARCHIVE"] } } });
    let read = allow(&json!("s3:GetObject"), &json!("*"));
    let user = User::new(&house, "user", json!([warm, read])).await;
    for (class, may) in [
        (None, true),
        (Some("STANDARD"), true),
        (Some("ONEZONE_IA"), true),
        (Some("GLACIER"), false),
        (Some("DEEP_ARCHIVE"), false),
    ] {
        let put = with(class, user.call(&house, "PUT", "/bucket/k").body("x"))
            .send()
            .await;
        assert_eq!(put.status == StatusCode::OK, may, "{class:?}");
        let upload = with(class, user.call(&house, "POST", "/bucket/k?uploads"))
            .send()
            .await;
        assert_eq!(upload.status == StatusCode::OK, may, "{class:?}");
        let copy = user
            .call(&house, "PUT", "/bucket/k2")
            .header("x-amz-copy-source", "/bucket/k");
        let copy = with(class, copy).send().await;
        assert_eq!(copy.status == StatusCode::OK, may, "{class:?}");
    }
}
