// SPDX-License-Identifier: Apache-2.0
//! Multipart uploads.

use http::StatusCode;
use md5::{Digest as _, Md5};

use crate::harness::{Call, House, Reply, house};

const MIB5: usize = 5 * 1024 * 1024;

async fn create(call: Call<'_>) -> (String, Reply) {
    let reply = call.send().await.expect(StatusCode::OK);
    (reply.element("UploadId").unwrap(), reply)
}

fn part<'h>(house: &'h House, upload_id: &str, number: u32, body: &[u8]) -> Call<'h> {
    house
        .call(
            "PUT",
            &format!("/bucket/k?partNumber={number}&uploadId={upload_id}"),
        )
        .body(body.to_vec())
}

fn complete<'h>(house: &'h House, upload_id: &str, parts: &[(u32, &str)]) -> Call<'h> {
    let parts = parts
        .iter()
        .map(|(n, etag)| format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect::<Vec<_>>()
        .concat();
    house
        .call("POST", &format!("/bucket/k?uploadId={upload_id}"))
        .body(format!(
            "<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        ))
}

#[tokio::test]
async fn parts_become_an_object() {
    let house = house().await;
    house.bucket("bucket").await;
    let (upload_id, created) = create(house.call("POST", "/bucket/k?uploads")).await;
    assert_eq!(created.header("x-amz-server-side-encryption"), "AES256");
    assert_eq!(created.element("Key").as_deref(), Some("k"));
    let (one, two) = (vec![1; MIB5], vec![2; 70_000]);
    let first = part(&house, &upload_id, 1, &one)
        .send()
        .await
        .expect(StatusCode::OK);
    let second = part(&house, &upload_id, 7, &two)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(first.header("x-amz-server-side-encryption"), "AES256");
    assert_eq!(
        first.header("etag"),
        format!("\"{}\"", hex::encode(Md5::digest(&one)))
    );

    let listed = house
        .call("GET", "/bucket?uploads")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        listed.element("UploadId").as_deref(),
        Some(upload_id.as_str())
    );
    let target = format!("/bucket/k?uploadId={upload_id}&max-parts=1");
    let parts = house
        .call("GET", &target)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(parts.element("Size").as_deref(), Some("5242880"));
    assert_eq!(parts.element("NextPartNumberMarker").as_deref(), Some("1"));
    assert_eq!(parts.element("IsTruncated").as_deref(), Some("true"));

    let list = [(1, first.header("etag")), (7, second.header("etag"))];
    let done = complete(&house, &upload_id, &list)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(done.header("x-amz-server-side-encryption"), "AES256");
    assert_eq!(
        done.element("Location").as_deref(),
        Some("https://localhost:9443/bucket/k")
    );
    let etag = done.element("ETag").unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    let got = house
        .call("GET", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(got.header("etag"), etag);
    assert_eq!(got.body.len(), MIB5 + 70_000);
    assert!(got.body.starts_with(&one) && got.body.ends_with(&two));
    let tail = house.call("GET", "/bucket/k?partNumber=2").send().await;
    let tail = tail.expect(StatusCode::PARTIAL_CONTENT);
    assert_eq!(tail.body, two);
    assert_eq!(tail.header("x-amz-mp-parts-count"), "2");
}

#[tokio::test]
async fn sec_n76_wrong_completions_leave_the_upload_open() {
    let house = house().await;
    house.bucket("bucket").await;
    let (upload_id, _) = create(house.call("POST", "/bucket/k?uploads")).await;
    let small = part(&house, &upload_id, 1, b"small")
        .send()
        .await
        .expect(StatusCode::OK);
    let last = part(&house, &upload_id, 2, b"last")
        .send()
        .await
        .expect(StatusCode::OK);
    let (e1, e2) = (small.header("etag"), last.header("etag"));
    let wrong = "\"00000000000000000000000000000000\"";
    for (parts, code) in [
        (vec![], "MalformedXML"),
        (vec![(2, e2), (1, e1)], "InvalidPartOrder"),
        (vec![(1, e1), (1, e1)], "InvalidPartOrder"),
        (vec![(1, wrong)], "InvalidPart"),
        (vec![(1, e2)], "InvalidPart"),
        (vec![(3, e1)], "InvalidPart"),
        (vec![(0, e1)], "InvalidPart"),
        (vec![(10_001, e1)], "InvalidPart"),
        (vec![(1, e1), (2, e2)], "EntityTooSmall"),
    ] {
        complete(&house, &upload_id, &parts)
            .send()
            .await
            .refused(400, code);
    }
    let size = complete(&house, &upload_id, &[(1, e1)]).header("x-amz-mp-object-size", "6");
    size.send().await.refused(400, "InvalidRequest");
    complete(&house, &upload_id, &[(1, e1)])
        .header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
        .send()
        .await
        .refused(400, "BadDigest");
    let foreign = "00000000000000000000000000000000";
    for id in [foreign, "..%2F..%2Fetc", "x", "%00"] {
        complete(&house, id, &[(1, e1)])
            .send()
            .await
            .refused(404, "NoSuchUpload");
        part(&house, id, 1, b"x")
            .send()
            .await
            .refused(404, "NoSuchUpload");
        let target = format!("/bucket/k?uploadId={id}");
        house
            .call("DELETE", &target)
            .send()
            .await
            .refused(404, "NoSuchUpload");
        house
            .call("GET", &target)
            .send()
            .await
            .refused(404, "NoSuchUpload");
    }
    let mut other_name = complete(&house, &upload_id, &[(1, e1)]);
    other_name.path = "/bucket/other".to_owned();
    other_name.send().await.refused(404, "NoSuchUpload");
    for number in [0, 10_001, 70_000] {
        part(&house, &upload_id, number, b"x")
            .send()
            .await
            .refused(400, "InvalidArgument")
            .says("Part number must be an integer between 1 and 10000, inclusive");
    }
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
    complete(&house, &upload_id, &[(1, e1)])
        .send()
        .await
        .expect(StatusCode::OK);
    let got = house
        .call("GET", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(got.body, "small");
    let target = format!("/bucket/k?uploadId={upload_id}");
    house
        .call("DELETE", &target)
        .send()
        .await
        .refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn sec_n72_customer_keys_go_with_every_part() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let (key, other) = ([7; 32], [8; 32]);
    let (upload_id, created) =
        create(house.call("POST", "/bucket/k?uploads").customer_key(&key)).await;
    assert_eq!(
        created.header("x-amz-server-side-encryption-customer-algorithm"),
        "AES256"
    );
    part(&house, &upload_id, 1, b"x").send().await.refused(400, "InvalidRequest").says(
        "The multipart upload initiate requested encryption. Subsequent part requests must include \
         the appropriate encryption parameters.",
    );
    part(&house, &upload_id, 1, b"x")
        .customer_key(&other)
        .send()
        .await
        .refused(400, "InvalidRequest")
        .says("The provided encryption parameters did not match the ones used originally.");
    part(&house, &upload_id, 1, b"x")
        .customer_key(&key)
        .plain_http()
        .send()
        .await
        .refused(400, "InvalidRequest");
    let stored = part(&house, &upload_id, 1, b"secret")
        .customer_key(&key)
        .send()
        .await
        .expect(StatusCode::OK);
    assert!(stored.has("x-amz-server-side-encryption-customer-key-md5"));
    assert!(!stored.has("x-amz-server-side-encryption"));
    assert_ne!(
        stored.header("etag"),
        format!("\"{}\"", hex::encode(Md5::digest(b"secret")))
    );
    let list = [(1, stored.header("etag"))];
    let done = complete(&house, &upload_id, &list)
        .send()
        .await
        .expect(StatusCode::OK);
    assert!(!done.has("x-amz-server-side-encryption-customer-algorithm"));
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(400, "InvalidRequest");
    let got = house
        .call("GET", "/bucket/k")
        .customer_key(&key)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(got.body, "secret");

    let (plain_id, _) = create(house.call("POST", "/bucket/k?uploads")).await;
    part(&house, &plain_id, 1, b"x")
        .customer_key(&key)
        .send()
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn kms_uploads_echo_their_key() {
    let house = house().await;
    house.bucket("bucket").await;
    let call = house
        .call("POST", "/bucket/k?uploads")
        .header("x-amz-server-side-encryption", "aws:kms")
        .header("x-amz-server-side-encryption-context", "eyJhIjoiYiJ9");
    let (upload_id, created) = create(call).await;
    let arn = created
        .header("x-amz-server-side-encryption-aws-kms-key-id")
        .to_owned();
    assert!(arn.starts_with("arn:aws:kms:"), "{arn}");
    assert_eq!(
        created.header("x-amz-server-side-encryption-context"),
        "eyJhIjoiYiJ9"
    );
    part(&house, &upload_id, 1, b"x")
        .plain_http()
        .send()
        .await
        .refused(400, "InvalidArgument");
    let stored = part(&house, &upload_id, 1, b"x")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        stored.header("x-amz-server-side-encryption-aws-kms-key-id"),
        arn
    );
    assert!(!stored.has("x-amz-server-side-encryption-context"));
    let list = [(1, stored.header("etag"))];
    let done = complete(&house, &upload_id, &list)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(done.header("x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(
        done.header("x-amz-server-side-encryption-aws-kms-key-id"),
        arn
    );
    let got = house
        .call("GET", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(got.body, "x");
}

#[tokio::test]
async fn sec_n79_checksums_follow_the_upload() {
    let house = house().await;
    house.bucket("bucket").await;
    let only_type = house
        .call("POST", "/bucket/k?uploads")
        .header("x-amz-checksum-type", "COMPOSITE");
    only_type.send().await.refused(400, "InvalidRequest");
    for (algorithm, checksum_type) in [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")] {
        house
            .call("POST", "/bucket/k?uploads")
            .header("x-amz-checksum-algorithm", algorithm)
            .header("x-amz-checksum-type", checksum_type)
            .send()
            .await
            .refused(400, "InvalidRequest");
    }
    let call = house
        .call("POST", "/bucket/k?uploads")
        .header("x-amz-checksum-algorithm", "SHA256");
    let (upload_id, created) = create(call).await;
    assert_eq!(created.header("x-amz-checksum-algorithm"), "SHA256");
    assert_eq!(created.header("x-amz-checksum-type"), "COMPOSITE");
    let crc = part(&house, &upload_id, 1, b"123456789").header("x-amz-checksum-crc32", "y/Q5Jg==");
    crc.send().await.refused(400, "InvalidRequest").says(
        "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: \
         crc32",
    );
    let without = part(&house, &upload_id, 1, b"123456789").send().await;
    without.refused(400, "InvalidRequest").says(
        "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: \
         null",
    );
    // Of a whole object the server computes what a part did not bring.
    let full = house
        .call("POST", "/bucket/full?uploads")
        .header("x-amz-checksum-algorithm", "CRC32")
        .header("x-amz-checksum-type", "FULL_OBJECT");
    let (full, _) = create(full).await;
    let target = format!("/bucket/full?partNumber=1&uploadId={full}");
    let stored = house.call("PUT", &target).body("123456789").send().await;
    let stored = stored.expect(StatusCode::OK);
    assert_eq!(stored.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    let sha = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"123456789");
    let sha = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sha);
    let wrong = part(&house, &upload_id, 1, b"other").header("x-amz-checksum-sha256", &sha);
    wrong.send().await.refused(400, "BadDigest");
    let stored = part(&house, &upload_id, 1, b"123456789")
        .header("x-amz-checksum-sha256", &sha)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(stored.header("x-amz-checksum-sha256"), sha);
    let etag = stored.header("etag");
    complete(&house, &upload_id, &[(1, etag)])
        .send()
        .await
        .refused(400, "InvalidRequest")
        .says(
            "The upload was created using a sha256 checksum. The complete request must include the \
         checksum for each part. It was missing for part 1 in the request.",
        );
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>\
         <ChecksumSHA256>{sha}</ChecksumSHA256></Part></CompleteMultipartUpload>"
    );
    let call = || {
        house
            .call("POST", &format!("/bucket/k?uploadId={upload_id}"))
            .body(body.clone())
    };
    call()
        .header("x-amz-checksum-type", "FULL_OBJECT")
        .send()
        .await
        .refused(400, "InvalidRequest")
        .says(
            "The upload was created using the COMPOSITE checksum mode. The complete request must \
             use the same checksum mode.",
        );
    let done = call().send().await.expect(StatusCode::OK);
    assert!(
        done.element("ChecksumSHA256").unwrap().ends_with("-1"),
        "{}",
        done.text()
    );
    assert_eq!(done.element("ChecksumType").as_deref(), Some("COMPOSITE"));
}

#[tokio::test]
async fn sec_n44_part_copies_keep_to_their_source() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let source: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let key = [7; 32];
    let put = house
        .call("PUT", "/bucket/source")
        .customer_key(&key)
        .body(source.clone());
    put.send().await.expect(StatusCode::OK);
    let (upload_id, _) = create(house.call("POST", "/bucket/k?uploads")).await;
    let copy = |range: &str| {
        part(&house, &upload_id, 1, b"")
            .header("x-amz-copy-source", "/bucket/source")
            .header("x-amz-copy-source-range", range)
    };
    copy("bytes=0-9")
        .send()
        .await
        .refused(400, "InvalidRequest");
    copy("bytes=0-9")
        .copy_source_key(&[8; 32])
        .send()
        .await
        .refused(403, "AccessDenied");
    for range in [
        "bytes=0-200000",
        "bytes=200000-200001",
        "bytes=5-4",
        "bytes=0-",
        "0-9",
    ] {
        copy(range)
            .copy_source_key(&key)
            .send()
            .await
            .refused(400, "InvalidArgument");
    }
    let stored = copy("bytes=65530-131080")
        .copy_source_key(&key)
        .send()
        .await;
    let stored = stored.expect(StatusCode::OK);
    let etag = stored.element("ETag").unwrap();
    complete(&house, &upload_id, &[(1, &etag)])
        .send()
        .await
        .expect(StatusCode::OK);
    let got = house
        .call("GET", "/bucket/k")
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(got.body, source[65_530..=131_080]);
    assert_eq!(got.header("x-amz-server-side-encryption"), "AES256");
}

/// Low-level calls of boto3 do this: Create says nothing, and each part brings a CRC32 unasked.
#[tokio::test]
async fn sec_n79_an_upload_without_an_algorithm_has_crc64nvme_whatever_its_parts_bring() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let big = vec![7; MIB5];
    let sum = |bytes: &[u8], algorithm| {
        let crc = crc_fast::checksum(algorithm, bytes).to_be_bytes();
        let crc = match algorithm {
            crc_fast::CrcAlgorithm::Crc64Nvme => &crc[..],
            _ => &crc[4..],
        };
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crc)
    };
    let crc32 = |bytes: &[u8]| sum(bytes, crc_fast::CrcAlgorithm::Crc32IsoHdlc);
    let whole = [&big[..], b"123456789"].concat();
    let crc64 = sum(&whole, crc_fast::CrcAlgorithm::Crc64Nvme);
    for sse in ["AES256", "aws:kms", "C"] {
        let mut call = house.call("POST", "/bucket/k?uploads");
        if sse == "C" {
            call = call.customer_key(&[5; 32]);
        } else {
            call = call.header("x-amz-server-side-encryption", sse);
        }
        let (upload_id, _) = create(call).await;
        let first = part(&house, &upload_id, 1, &big).header("x-amz-checksum-crc32", &crc32(&big));
        let first = keyed(first, sse).send().await.expect(StatusCode::OK);
        assert_eq!(first.header("x-amz-checksum-crc32"), crc32(&big));
        let second = part(&house, &upload_id, 2, b"123456789");
        let second = second.header("x-amz-checksum-crc32", "y/Q5Jg==");
        let second = keyed(second, sse).send().await.expect(StatusCode::OK);
        let wrong =
            part(&house, &upload_id, 2, b"other").header("x-amz-checksum-crc32", "y/Q5Jg==");
        keyed(wrong, sse).send().await.refused(400, "BadDigest");
        let body = |one: &str, two: &str| {
            format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag>{one}</Part>\
                 <Part><PartNumber>2</PartNumber><ETag>{}</ETag>{two}</Part>\
                 </CompleteMultipartUpload>",
                first.header("etag"),
                second.header("etag")
            )
        };
        let end = |body: String| {
            let target = format!("/bucket/k?uploadId={upload_id}");
            keyed(house.call("POST", &target).body(body), sse)
        };
        for (one, two) in [
            ("", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"),
            ("<ChecksumCRC32>y/Q5Jg==</ChecksumCRC32>", ""),
            ("<ChecksumCRC32C>y/Q5Jg==</ChecksumCRC32C>", ""),
            ("", "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>"),
        ] {
            let reply = end(body(one, two)).send().await;
            reply.refused(400, "InvalidPart");
        }
        let one = format!("<ChecksumCRC32>{}</ChecksumCRC32>", crc32(&big));
        let named = body(&one, "<ChecksumCRC32>y/Q5Jg==</ChecksumCRC32>");
        // The default has one type, and no number of parts; a wrong one of the whole does not pass
        // where there is none to compare it with.
        let typed = end(named.clone()).header("x-amz-checksum-type", "COMPOSITE");
        typed.send().await.refused(400, "InvalidRequest").says(
            "The upload was created using the FULL_OBJECT checksum mode. The complete request must \
             use the same checksum mode.",
        );
        let counted = end(named.clone()).header("x-amz-checksum-crc32", "SQ9wxg==-2");
        counted
            .send()
            .await
            .refused(400, "InvalidRequest")
            .says("Value for x-amz-checksum-crc32 header is invalid.");
        let wrong = end(named.clone()).header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
        wrong.send().await.refused(400, "BadDigest");
        another_key_or_none_is_refused(&house, &upload_id, sse, &named).await;
        let done = end(named);
        let done = done.send().await.expect(StatusCode::OK);
        let head = keyed(house.call("HEAD", "/bucket/k"), sse);
        let head = head.header("x-amz-checksum-mode", "ENABLED").send().await;
        let head = head.expect(StatusCode::OK);
        if sse == "C" {
            assert!(
                done.element("ChecksumCRC64NVME").is_none(),
                "{}",
                done.text()
            );
            assert!(!head.has("x-amz-checksum-crc64nvme"));
        } else {
            assert_eq!(done.element("ChecksumCRC64NVME"), Some(crc64.clone()));
            assert_eq!(done.element("ChecksumType").as_deref(), Some("FULL_OBJECT"));
            assert_eq!(head.header("x-amz-checksum-crc64nvme"), crc64);
        }
        assert!(!head.has("x-amz-checksum-crc32"));
    }
}

/// Complete without the key of the upload, and ListParts with one that is not its own.
async fn another_key_or_none_is_refused(house: &House, upload_id: &str, sse: &str, named: &str) {
    let target = format!("/bucket/k?uploadId={upload_id}");
    if sse == "C" {
        let unkeyed = house.call("POST", &target).body(named.to_owned());
        unkeyed.send().await.refused(400, "InvalidRequest").says(
            "The object was stored using a form of Server Side Encryption. The correct \
             parameters must be provided to retrieve the object.",
        );
        let listed = house.call("GET", &target).customer_key(&[6; 32]);
        listed.send().await.refused(400, "InvalidRequest");
    } else {
        let listed = house.call("GET", &target).customer_key(&[5; 32]);
        listed.send().await.refused(400, "InvalidRequest").says(
            "The multipart upload initiate requested encryption. Subsequent part requests must \
             include the appropriate encryption parameters.",
        );
    }
}

fn keyed<'h>(call: Call<'h>, sse: &str) -> Call<'h> {
    if sse == "C" {
        call.customer_key(&[5; 32])
    } else {
        call
    }
}
