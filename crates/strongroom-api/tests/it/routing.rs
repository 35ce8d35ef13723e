// SPDX-License-Identifier: Apache-2.0
//! Requests that are for nobody, and heads that are refused before anything else.

use http::StatusCode;

use crate::harness::house;

/// ceph#36264: `DELETE /b?encryption` deleted the bucket.
#[tokio::test]
async fn unknown_sub_resources_change_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    for (method, status) in [("DELETE", StatusCode::NO_CONTENT), ("GET", StatusCode::OK)] {
        let reset = house.call(method, "/bucket?encryption").send().await;
        reset.expect(status);
    }
    for name in ["acl", "policy", "tagging", "replication", "cors", "new"] {
        for method in ["GET", "PUT", "DELETE", "POST"] {
            let target = format!("/bucket?{name}");
            let answer = house.call(method, &target).send().await;
            answer.refused(501, "NotImplemented");
        }
        house
            .call("HEAD", "/bucket")
            .send()
            .await
            .expect(StatusCode::OK);
    }
    house
        .call("PUT", "/bucket/k")
        .body("kept")
        .send()
        .await
        .expect(StatusCode::OK);
    for name in [
        "encryption",
        "acl",
        "tagging",
        "retention",
        "legal-hold",
        "attributes",
        "new",
    ] {
        for method in ["GET", "PUT", "DELETE", "POST"] {
            let target = format!("/bucket/k?{name}");
            let answer = house.call(method, &target).body("<xml/>").send().await;
            match (method, name) {
                // UpdateObjectEncryption, which wants a checksum of its document, and
                // GetObjectAttributes, which wants to know which.
                ("PUT", "encryption") | ("GET", "attributes") => {
                    answer.refused(400, "InvalidRequest");
                }
                _ => {
                    answer.refused(501, "NotImplemented");
                }
            }
        }
        assert_eq!(house.call("GET", "/bucket/k").send().await.body, "kept");
    }
}

#[tokio::test]
async fn methods_without_an_operation_are_refused() {
    let house = house().await;
    for (method, target) in [
        ("PATCH", "/bucket/k"),
        ("OPTIONS", "/bucket"),
        ("DELETE", "/"),
    ] {
        house
            .call(method, target)
            .send()
            .await
            .refused(405, "MethodNotAllowed");
    }
}

#[tokio::test]
async fn sec_n92_heads_have_limits() {
    let house = house().await;
    house
        .call("GET", "/")
        .header("x-large", &"x".repeat(40_000))
        .send()
        .await
        .refused(400, "RequestHeaderSectionTooLarge");
    let mut many = house.call("GET", "/");
    many.query = (0..200)
        .map(|n| format!("p{n}=1"))
        .collect::<Vec<_>>()
        .join("&");
    many.send().await.refused(400, "InvalidURI");
    house
        .call("GET", "/bucket?prefix=a&prefix=b")
        .send()
        .await
        .refused(400, "InvalidArgument");
    house
        .call("GET", "/")
        .unsigned("x-amz-date", "20260921T141320Z")
        .send()
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn sec_n26_nothing_answers_without_credentials() {
    let house = house().await;
    house.bucket("bucket").await;
    for method in ["GET", "PUT", "HEAD", "DELETE", "POST"] {
        for target in [
            "/",
            "/bucket",
            "/bucket/k",
            "/bucket?acl",
            "/minio/health",
            "/metrics",
        ] {
            let call = house.call(method, target).auth(crate::harness::Auth::None);
            let answer = call.send_unread(10).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {target}");
            if method != "HEAD" {
                answer.refused(403, "AccessDenied");
            }
        }
    }
    let kms = house
        .call("POST", "/")
        .auth(crate::harness::Auth::None)
        .header("x-amz-target", "TrentService.ListKeys")
        .header("content-type", "application/x-amz-json-1.1")
        .body("{}")
        .send()
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert!(
        kms.text().contains("MissingAuthenticationToken"),
        "{}",
        kms.text()
    );
}
