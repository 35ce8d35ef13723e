// SPDX-License-Identifier: Apache-2.0
//! Signatures at the edge. The verifier's own matrix is in strongroom-wire; here is shown that
//! nothing gets past it, on any route.

use http::StatusCode;

use crate::harness::{Auth, Call, House, house};

const ROUTES: [(&str, &str); 20] = [
    ("GET", "/"),
    ("PUT", "/bucket"),
    ("HEAD", "/bucket"),
    ("DELETE", "/bucket"),
    ("GET", "/bucket?location"),
    ("GET", "/bucket"),
    ("GET", "/bucket?list-type=2"),
    ("GET", "/bucket?uploads"),
    ("POST", "/bucket?delete"),
    ("PUT", "/bucket/k"),
    ("GET", "/bucket/k"),
    ("HEAD", "/bucket/k"),
    ("DELETE", "/bucket/k"),
    ("POST", "/bucket/k?uploads"),
    ("PUT", "/bucket/k?partNumber=1&uploadId=u"),
    ("POST", "/bucket/k?uploadId=u"),
    ("DELETE", "/bucket/k?uploadId=u"),
    ("GET", "/bucket/k?uploadId=u"),
    ("PUT", "/bucket/copy"),
    ("PUT", "/bucket/copy?partNumber=1&uploadId=u"),
];

fn calls(house: &House) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    for (method, target) in ROUTES {
        for auth in [Auth::Header, Auth::Presigned(60)] {
            let mut call = house.call(method, target).auth(auth);
            if target.contains("/copy") {
                call = call.header("x-amz-copy-source", "bucket/k");
            }
            calls.push(call);
        }
    }
    calls
}

/// Every route, every kind of credentials, every kind of wrong: no success, nothing read.
#[tokio::test]
async fn sec_n17_no_route_accepts_a_wrong_signature() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/k")
        .body("kept")
        .send()
        .await
        .expect(StatusCode::OK);
    for call in calls(&house) {
        let wrongs: [(&str, fn(Call<'_>) -> Call<'_>); 7] = [
            ("other secret", |mut call| {
                call.secret = "another-secret-of-forty-characters-lengt";
                call
            }),
            ("unknown key", |mut call| {
                call.access_key_id = "AKIANOBODYNOBODYNOBO";
                call
            }),
            ("other region", |mut call| {
                call.region = "eu-central-1";
                call
            }),
            ("other service", |mut call| {
                call.service = "iam";
                call
            }),
            ("unsigned header", |call| {
                call.unsigned("x-amz-meta-added", "1")
            }),
            ("unsigned body mode", |call| {
                call.auth(Auth::None)
                    .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
                    .header("x-amz-decoded-content-length", "0")
            }),
            ("no credentials", |call| call.auth(Auth::None)),
        ];
        for (name, wrong) in wrongs {
            let case = format!("{name}: {} {}?{}", call.method, call.path, call.query);
            let answer = wrong(call.clone()).send_unread(10).await;
            assert!(answer.status.is_client_error(), "{case}: {}", answer.status);
        }
    }
    assert_eq!(house.call("GET", "/bucket/k").send().await.body, "kept");
}

#[tokio::test]
async fn sec_n2_to_n13_codes_at_the_edge() {
    let house = house().await;
    house.bucket("bucket").await;
    let get = || house.call("GET", "/bucket/k");
    let mut unknown = get();
    unknown.access_key_id = "AKIANOBODYNOBODYNOBO";
    unknown.send().await.refused(403, "InvalidAccessKeyId");
    let mut wrong = get();
    wrong.secret = "another-secret-of-forty-characters-lengt";
    let wrong = wrong.send().await.refused(403, "SignatureDoesNotMatch");
    assert!(wrong.element("CanonicalRequest").is_some());
    assert!(!wrong.text().contains("another-secret"));
    let mut region = get();
    region.region = "eu-central-1";
    let region = region
        .send()
        .await
        .refused(400, "AuthorizationHeaderMalformed");
    assert_eq!(region.element("Region").as_deref(), Some("us-east-1"));
    let added = get()
        .unsigned("x-amz-acl", "private")
        .send()
        .await
        .refused(403, "AccessDenied");
    assert_eq!(
        added.element("HeadersNotSigned").as_deref(),
        Some("x-amz-acl")
    );
    let (old, _) = get().build();
    let (presigned, _) = get().auth(Auth::Presigned(60)).build();
    house.clock.advance_ms(16 * 60 * 1000);
    let send = |request: http::Request<()>| {
        crate::harness::send(&house, request.map(|()| crate::harness::Untouchable), true)
    };
    send(old).await.refused(403, "RequestTimeTooSkewed");
    send(presigned)
        .await
        .refused(403, "AccessDenied")
        .says("Request has expired");
    get()
        .header("authorization", "AWS AKIA:signature")
        .auth(Auth::None)
        .send()
        .await
        .refused(400, "InvalidRequest");
    get()
        .auth(Auth::Presigned(60))
        .unsigned("authorization", "AWS4-HMAC-SHA256 Credential=x")
        .send()
        .await
        .refused(400, "InvalidArgument");
}

#[tokio::test]
async fn a_signature_for_one_service_is_worth_nothing_at_the_other() {
    let house = house().await;
    let mut kms_on_s3 = house.call("GET", "/bucket");
    kms_on_s3.service = "kms";
    let answer = kms_on_s3.send().await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    let s3_on_kms = house
        .call("POST", "/")
        .header("x-amz-target", "TrentService.ListKeys")
        .header("content-type", "application/x-amz-json-1.1")
        .body("{}")
        .send()
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert!(
        s3_on_kms.text().contains("InvalidSignatureException"),
        "{}",
        s3_on_kms.text()
    );
}

#[tokio::test]
async fn sec_the_key_service_wants_its_document_signed() {
    use strongroom_wire::sigv4::PayloadMode;
    let house = house().await;
    for auth in [Auth::Header, Auth::Presigned(60)] {
        for payload in [PayloadMode::Unsigned, PayloadMode::UnsignedTrailer] {
            let mut call = house
                .call("POST", "/")
                .header("x-amz-target", "TrentService.CreateKey")
                .header("content-type", "application/x-amz-json-1.1")
                .body("{}")
                .auth(auth)
                .payload(payload);
            if auth != Auth::Header {
                let name = payload.text().unwrap();
                call = call.header("x-amz-content-sha256", &name);
            }
            call.service = "kms";
            let answer = call.send().await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
            assert!(
                answer.text().contains("InvalidSignatureException"),
                "{}",
                answer.text()
            );
        }
    }
    // Each is in the log under the name of what was asked for, as refused.
    let events = house.events().await;
    let asked: Vec<_> = events
        .iter()
        .filter(|event| event["eventName"] == "CreateKey")
        .map(|event| &event["errorCode"])
        .collect();
    assert_eq!(asked, ["InvalidSignatureException"; 4]);
}

#[tokio::test]
async fn sec_a_name_that_reads_like_a_scope_stays_with_s3() {
    let house = house().await;
    house.bucket("bucket").await;
    for auth in [Auth::Header, Auth::Presigned(60)] {
        let listed = house
            .call(
                "GET",
                "/bucket?prefix=AKIA%2F20260101%2Fus-east-1%2Fkms%2Faws4_request",
            )
            .auth(auth)
            .send()
            .await
            .expect(StatusCode::OK);
        assert!(listed.text().contains("ListBucketResult"));
    }
}

/// Whoever signed a copy did not sign a body: the URL must not serve to store one.
#[tokio::test]
async fn sec_a_presigned_copy_is_a_copy_in_any_case_of_letters() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/k")
        .body("kept")
        .send()
        .await
        .expect(StatusCode::OK);
    for name in ["x-amz-copy-source", "X-Amz-Copy-Source"] {
        house
            .call("PUT", &format!("/bucket/copy?{name}=bucket%2Fk"))
            .auth(Auth::Presigned(60))
            .body("planted")
            .send()
            .await
            .expect(StatusCode::OK);
        let copy = house.call("GET", "/bucket/copy").send().await;
        assert_eq!(copy.body, "kept", "{name}");
    }
}

#[tokio::test]
async fn the_key_service_answers_on_the_same_endpoint() {
    let house = house().await;
    let mut call = house
        .call("POST", "/")
        .header("x-amz-target", "TrentService.CreateKey")
        .header("content-type", "application/x-amz-json-1.1")
        .body("{}");
    call.service = "kms";
    let created = call.clone().send().await.expect(StatusCode::OK);
    assert!(
        created
            .text()
            .contains("arn:aws:kms:us-east-1:123456789012:key/")
    );
    assert!(created.has("x-amzn-requestid"));
    call.send_wire(|_| b"{ }".to_vec())
        .await
        .expect(StatusCode::BAD_REQUEST);
}
