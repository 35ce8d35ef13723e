// SPDX-License-Identifier: Apache-2.0
//! What the audit log says about requests, and what it never says.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use md5::Digest as _;
use strongroom_testkit::contents_below;
use strongroom_wire::sigv4::PayloadMode;

use crate::harness::{House, house, send};

#[tokio::test]
async fn every_request_leaves_one_event() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .call("PUT", "/bucket/k")
        .header("x-amz-server-side-encryption", "AES256")
        .body("12345")
        .send()
        .await
        .expect(StatusCode::OK);
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
    house
        .call("GET", "/bucket/none")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let mut wrong = house.call("DELETE", "/bucket/k");
    wrong.secret = "another-secret-of-forty-characters-lengt";
    wrong.send().await.refused(403, "SignatureDoesNotMatch");
    house
        .call("DELETE", "/bucket/k?acl")
        .send()
        .await
        .refused(501, "NotImplemented");
    let events = house.events().await;
    let names: Vec<_> = events
        .iter()
        .map(|e| e["eventName"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "CreateBucket",
            "PutObject",
            "GetObject",
            "GetObject",
            "DeleteObject",
            "Unrecognized"
        ]
    );
    let put = &events[1];
    assert_eq!(put["requestParameters"]["bucketName"], "bucket");
    assert_eq!(put["requestParameters"]["key"], "k");
    assert_eq!(put["requestParameters"]["Host"], "localhost:9443");
    assert_eq!(
        put["responseElements"]["x-amz-server-side-encryption"],
        "AES256"
    );
    assert_eq!(put["additionalEventData"]["SSEApplied"], "SSE_S3");
    assert_eq!(put["additionalEventData"]["bytesTransferredIn"], 5);
    assert_eq!(
        put["additionalEventData"]["AuthenticationMethod"],
        "AuthHeader"
    );
    assert_eq!(
        put["additionalEventData"]["CipherSuite"],
        "TLS_AES_256_GCM_SHA384"
    );
    assert_eq!(put["resources"][0]["ARN"], "arn:aws:s3:::bucket/k");
    assert_eq!(put["eventCategory"], "Data");
    assert_eq!(put["readOnly"], false);
    assert_eq!(events[0]["eventCategory"], "Management");
    assert_eq!(events[2]["additionalEventData"]["bytesTransferredOut"], 5);
    assert_eq!(events[2]["readOnly"], true);
    assert_eq!(events[3]["errorCode"], "NoSuchKey");
    assert_eq!(events[4]["errorCode"], "SignatureDoesNotMatch");
    assert_eq!(events[4]["userIdentity"]["type"], "Unknown");
    assert_eq!(events[5]["errorCode"], "NotImplemented");
}

#[tokio::test]
async fn kms_uses_of_s3_are_recorded_with_their_request() {
    let house = house().await;
    house.bucket("bucket").await;
    let put = house
        .call("PUT", "/bucket/k")
        .header("x-amz-server-side-encryption", "aws:kms")
        .body("x")
        .send()
        .await
        .expect(StatusCode::OK);
    let events = house.events().await;
    let of_request: Vec<_> = events
        .iter()
        .filter(|e| e["requestID"] == put.header("x-amz-request-id"))
        .map(|e| e["eventName"].as_str().unwrap())
        .collect();
    assert!(of_request.contains(&"GenerateDataKey"), "{of_request:?}");
    assert_eq!(of_request.last(), Some(&"PutObject"));
}

/// Planted secrets must not turn up on the drive, in the log or in an error document.
#[tokio::test]
async fn sec_planted_secrets_stay_out_of_log_and_answers() {
    let house = house().await;
    house.bucket("bucket").await;
    let key = *b"PLANTED-CUSTOMER-KEY-32-BYTES-00";
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key);
    let mut answers = Vec::new();
    for call in [
        house
            .call("PUT", "/bucket/k")
            .customer_key(&key)
            .body("PLANTED-BODY"),
        house
            .call("GET", "/bucket/k")
            .customer_key(&key)
            .plain_http(),
        house.call("GET", "/bucket/k").customer_key(&key[..31]),
        house.call("GET", "/bucket/none").customer_key(&key),
        house
            .call("PUT", "/bucket/c")
            .customer_key(&key)
            .header("x-amz-copy-source", "bucket/k"),
    ] {
        answers.push(call.send().await);
    }
    let mut wrong = house.call("GET", "/bucket/k").customer_key(&key);
    wrong.secret = "another-secret-of-forty-characters-lengt";
    answers.push(wrong.send().await.refused(403, "SignatureDoesNotMatch"));
    house.audit.flush().await.unwrap();
    let planted = [
        &key[..20],
        encoded.as_bytes(),
        b"PLANTED-BODY",
        crate::harness::SECRET.as_bytes(),
    ];
    let holds = |bytes: &[u8]| {
        planted
            .iter()
            .any(|p| bytes.windows(p.len()).any(|w| w == *p))
    };
    for answer in answers {
        assert!(!holds(&answer.body) && !holds(format!("{:?}", answer.headers).as_bytes()));
    }
    for (file, bytes) in contents_below(house.folder.path()).unwrap() {
        assert!(!holds(&bytes), "{}", file.display());
    }
}

/// Hanging up after the request was sent must not keep it out of the log.
#[tokio::test]
async fn an_aborted_request_is_recorded_with_what_it_asked_for() {
    let house = house().await;
    house.bucket("bucket").await;
    let (mut request, _) = house
        .call("PUT", "/bucket/k")
        .payload(PayloadMode::Unsigned)
        .build();
    request
        .headers_mut()
        .insert("content-length", 100_000.into());
    let silent = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
    let body = http_body_util::StreamBody::new(silent);
    let answer = send(&house, request.map(|()| body), true);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(200), answer).await;
    assert!(waited.is_err(), "the request waits for its body");
    let start = Instant::now();
    let event = loop {
        assert!(start.elapsed() < LONG, "it is not recorded");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if let Some(event) = house
            .events()
            .await
            .into_iter()
            .find(|e| e["eventName"] == "PutObject")
        {
            break event;
        }
    };
    assert_eq!(event["errorCode"], "RequestAborted");
    assert_eq!(event["requestParameters"]["key"], "k");
    assert_eq!(event["userIdentity"]["type"], "Root");
}

/// The MD5 of a plaintext lets whoever holds the drives test guesses of it.
#[tokio::test]
async fn sec_no_digest_of_a_plaintext_is_in_the_log() {
    use base64::Engine as _;
    use md5::Digest as _;
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let md5 = md5::Md5::digest(b"guess me");
    let base64 = base64::engine::general_purpose::STANDARD.encode(md5);
    let put = house
        .call("PUT", "/bucket/k")
        .header("content-md5", &base64)
        .customer_key(&[7; 32])
        .body("guess me")
        .send()
        .await
        .expect(StatusCode::OK);
    let crc = put.header("x-amz-checksum-crc64nvme").to_owned();
    let log = serde_json::to_string(&house.events().await).unwrap();
    assert!(log.contains("\"key\":\"k\""));
    for digest in [base64, hex::encode(md5), crc] {
        assert!(!log.contains(&digest), "{digest}");
    }
}

/// Under SSE-S3 the ETag is the MD5 of the plaintext, and clients send it back unasked.
#[tokio::test]
async fn sec_no_digest_of_a_plaintext_is_in_the_log_under_sse_s3() {
    use base64::Engine as _;
    let house = house().await;
    house.bucket("bucket").await;
    let md5 = md5::Md5::digest(b"guess me");
    let (hex, base64) = (
        hex::encode(md5),
        base64::engine::general_purpose::STANDARD.encode(md5),
    );
    let etag = format!("\"{hex}\"");
    let put = house
        .call("PUT", "/bucket/k")
        .header("content-md5", &base64);
    let put = put.body("guess me").send().await.expect(StatusCode::OK);
    assert_eq!(put.header("etag"), etag);
    let crc = put.header("x-amz-checksum-crc64nvme").to_owned();
    let begun = house.call("POST", "/bucket/m?uploads").send().await;
    let id = begun.element("UploadId").unwrap();
    let part = format!("/bucket/m?partNumber=1&uploadId={id}");
    let list = format!("<Delete><Object><Key>d</Key><ETag>{hex}</ETag></Object></Delete>");
    let list_md5 = md5::Md5::digest(list.as_bytes());
    let list_md5 = base64::engine::general_purpose::STANDARD.encode(list_md5);
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>\
         <ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME></Part></CompleteMultipartUpload>"
    );
    let conditional = |method: &str, target: &str, name: &str| {
        let call = house.call(method, target).header(name, &etag);
        if target == "/bucket/c" || target == part {
            call.header("x-amz-copy-source", "bucket/k")
        } else {
            call
        }
    };
    let calls = [
        conditional("GET", "/bucket/k", "if-match"),
        conditional("GET", "/bucket/k", "if-none-match"),
        conditional("GET", "/bucket/k", "if-range"),
        conditional("HEAD", "/bucket/k", "if-match"),
        conditional("GET", "/bucket/k?attributes", "if-match")
            .header("x-amz-object-attributes", "ETag,Checksum"),
        conditional("PUT", "/bucket/k", "if-match").body("guess me"),
        conditional("PUT", "/bucket/k", "if-none-match"),
        conditional("PUT", "/bucket/k", "x-amz-checksum-crc64nvme").body("another"),
        conditional("PUT", "/bucket/k", "content-md5").body("another"),
        conditional("PUT", "/bucket/c", "if-match"),
        conditional("PUT", "/bucket/c", "x-amz-copy-source-if-match"),
        conditional("PUT", "/bucket/c", "x-amz-copy-source-if-none-match"),
        conditional("PUT", &part, "x-amz-copy-source-if-match"),
        conditional("PUT", &part, "x-amz-copy-source-if-none-match"),
        conditional("POST", &format!("/bucket/m?uploadId={id}"), "if-match").body(complete),
        conditional("POST", "/bucket?delete", "x-a")
            .header("content-md5", &list_md5)
            .body(list),
        conditional("DELETE", "/bucket/k", "if-none-match"),
        conditional("PUT", "/bucket/k", "x-amz-website-redirect-location"),
        conditional("DELETE", "/bucket/k", "if-match"),
    ];
    for call in calls {
        call.send().await;
    }
    let events = house.events().await;
    let log = serde_json::to_string(&events).unwrap();
    for digest in [base64, hex, crc] {
        assert!(!log.contains(&digest), "{digest}");
    }
    // That there was a condition is said.
    for (event, name) in [
        ("GetObject", "if-match"),
        ("GetObject", "if-none-match"),
        ("HeadObject", "if-match"),
        ("PutObject", "if-match"),
        ("CopyObject", "if-match"),
        ("CopyObject", "x-amz-copy-source-if-match"),
        ("CopyObject", "x-amz-copy-source-if-none-match"),
        ("UploadPartCopy", "x-amz-copy-source-if-match"),
        ("CompleteMultipartUpload", "if-match"),
        ("DeleteObject", "if-match"),
        ("PutObject", "x-amz-website-redirect-location"),
    ] {
        let is_said = |of: &serde_json::Value| {
            of["eventName"] == event
                && of["requestParameters"][name] == "HIDDEN_DUE_TO_SECURITY_REASONS"
        };
        assert!(events.iter().any(is_said), "{event} {name}");
    }
}

#[tokio::test]
async fn a_condition_that_there_is_nothing_or_anything_is_shown() {
    let house = house().await;
    house.bucket("bucket").await;
    let any = house.call("PUT", "/bucket/k").header("if-none-match", "*");
    any.send().await;
    let events = house.events().await;
    assert_eq!(
        events.last().unwrap()["requestParameters"]["if-none-match"],
        "*"
    );
}

/// One request may delete a thousand objects: hanging up must not keep their names out of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_every_object_of_an_aborted_list_of_deletions_is_named() {
    use std::fmt::Write as _;
    let house = std::sync::Arc::new(house().await);
    house.bucket("bucket").await;
    let names: Vec<String> = (0..100).map(|number| format!("name-{number}")).collect();
    let mut list = String::from("<Delete>");
    for name in &names {
        let target = format!("/bucket/{name}");
        let put = house.call("PUT", &target).body("x").send().await;
        put.expect(StatusCode::OK);
        write!(list, "<Object><Key>{name}</Key></Object>").unwrap();
    }
    list.push_str("</Delete>");
    for awaited in [0, 1, 10, 40, 70] {
        let (of_task, list) = (std::sync::Arc::clone(&house), list.clone());
        let task = tokio::spawn(async move {
            let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, list.as_bytes());
            let crc = u32::try_from(crc).unwrap().to_be_bytes();
            let crc = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crc);
            let call = of_task.call("POST", "/bucket?delete");
            call.header("x-amz-checksum-crc32", &crc)
                .body(list)
                .send()
                .await
        });
        // The client hangs up as soon as this one is gone.
        let start = Instant::now();
        while is_there(&house, &names[awaited]).await {
            assert!(start.elapsed() < LONG, "nothing is deleted");
        }
        task.abort();
        let _ = task.await;
        let mut gone = Vec::new();
        for name in &names {
            if !is_there(&house, name).await {
                gone.push(name.as_str());
            }
        }
        let start = Instant::now();
        loop {
            let events = house.events().await;
            let deletions = events.iter().filter(|of| of["eventName"] == "DeleteObject");
            let of_log = deletions.map(|of| of["requestParameters"]["key"].as_str());
            let of_log: BTreeSet<_> = of_log.flatten().collect();
            gone.retain(|name| !of_log.contains(name));
            if gone.is_empty() {
                break;
            }
            assert!(start.elapsed() < LONG, "gone and not named: {gone:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

async fn is_there(house: &House, name: &str) -> bool {
    let target = format!("/bucket/{name}");
    house.call("HEAD", &target).send().await.status == StatusCode::OK
}

/// What has not come by then does not come.
const LONG: std::time::Duration = std::time::Duration::from_mins(2);

#[tokio::test]
async fn what_a_refused_document_asked_for_is_recorded() {
    let house = house().await;
    house.bucket("bucket").await;
    let absent = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
    let update = |arn: &str| {
        format!(
            "<ObjectEncryption><SSE-KMS><KMSKeyArn>{arn}</KMSKeyArn><BucketKeyEnabled>true\
             </BucketKeyEnabled></SSE-KMS></ObjectEncryption>"
        )
    };
    let rule = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
                <SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>alias/x</KMSMasterKeyID>\
                </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
    let put = house.call("PUT", "/bucket/k").body("x").send().await;
    put.expect(StatusCode::OK);
    let calls = [
        (
            "/bucket/k?encryption",
            update(absent),
            "KMS.NotFoundException",
        ),
        ("/bucket/k?encryption", update("no-arn"), "InvalidRequest"),
        ("/bucket/none?encryption", update(absent), "NoSuchKey"),
        ("/bucket?encryption", rule.to_owned(), ""),
        // Nothing is recorded of a document that is none.
        ("/bucket?encryption", "<PLANTED>".to_owned(), "MalformedXML"),
    ];
    for (target, body, code) in &calls {
        let md5 = md5::Md5::digest(body.as_bytes());
        let md5 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, md5);
        let call = house.call("PUT", target).header("content-md5", &md5);
        let reply = call.body(body.clone()).send().await;
        assert_eq!(reply.element("Code").unwrap_or_default(), *code, "{target}");
    }
    let restore = "<RestoreRequest><Days>3</Days><Tier>Bulk</Tier></RestoreRequest>";
    for (target, code) in [
        ("/bucket/k?restore", "InvalidObjectState"),
        ("/bucket/none?restore", "NoSuchKey"),
    ] {
        let reply = house.call("POST", target).body(restore).send().await;
        assert_eq!(reply.element("Code").unwrap_or_default(), code, "{target}");
    }
    let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let reply = house
        .call("PUT", "/none?versioning")
        .body(status)
        .send()
        .await;
    reply.refused(404, "NoSuchBucket");
    let events = house.events().await;
    let of = |name: &str| -> Vec<&serde_json::Value> {
        events
            .iter()
            .filter(|event| event["eventName"] == name)
            .map(|event| &event["requestParameters"])
            .collect()
    };
    let updates = of("UpdateObjectEncryption");
    assert_eq!(updates.len(), 3);
    for (event, arn) in updates.iter().zip([absent, "no-arn", absent]) {
        assert_eq!(event["ObjectEncryption"]["SSE-KMS"]["KMSKeyArn"], arn);
        assert_eq!(
            event["ObjectEncryption"]["SSE-KMS"]["BucketKeyEnabled"],
            true
        );
    }
    let restores = of("RestoreObject");
    assert_eq!(restores.len(), 2);
    for event in restores {
        assert_eq!(
            event["RestoreRequest"],
            serde_json::json!({ "Days": 3, "GlacierJobParameters": { "Tier": "Bulk" } })
        );
    }
    let rules = of("PutBucketEncryption");
    let name = "ServerSideEncryptionConfiguration";
    let default = &rules[0][name]["Rule"]["ApplyServerSideEncryptionByDefault"];
    assert_eq!(default["KMSMasterKeyID"], "alias/x");
    assert!(rules[1][name].is_null());
    let versioning = of("PutBucketVersioning");
    assert_eq!(
        versioning[0]["VersioningConfiguration"]["Status"],
        "Enabled"
    );
    assert!(!format!("{events:?}").contains("PLANTED"));
}

#[tokio::test]
async fn listings_of_versions_and_attributes_are_recorded_with_what_they_ask() {
    let house = house().await;
    house.bucket("bucket").await;
    let put = house.call("PUT", "/bucket/k").body("x").send().await;
    put.expect(StatusCode::OK);
    let target = "/bucket?versions&key-marker=a&version-id-marker=null&prefix=k";
    house
        .call("GET", target)
        .send()
        .await
        .expect(StatusCode::OK);
    house
        .call("GET", "/bucket?versioning")
        .send()
        .await
        .expect(StatusCode::OK);
    let call = house.call("GET", "/bucket/k?attributes");
    let call = call.header("x-amz-object-attributes", "ETag,ObjectSize");
    call.send().await.expect(StatusCode::OK);
    let events = house.events().await;
    let of = |name: &str| {
        let found = events.iter().find(|event| event["eventName"] == name);
        found.expect(name)["requestParameters"].clone()
    };
    let versions = of("ListObjectVersions");
    assert_eq!(versions["versions"], "");
    assert_eq!(versions["version-id-marker"], "null");
    assert_eq!(of("GetBucketVersioning")["versioning"], "");
    let attributes = of("GetObjectAttributes");
    assert_eq!(attributes["attributes"], "");
    assert_eq!(attributes["x-amz-object-attributes"], "ETag,ObjectSize");
}
