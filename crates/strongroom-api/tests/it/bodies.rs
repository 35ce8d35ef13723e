// SPDX-License-Identifier: Apache-2.0
//! Request bodies: every payload mode, every way to lie about a body; nothing is stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::StreamBody;
use strongroom_wire::sigv4::PayloadMode;

use crate::harness::{Call, House, Reply, house, send};

async fn with_bucket() -> House {
    let house = house().await;
    house.bucket("bucket").await;
    house
}

fn put(house: &House) -> Call<'_> {
    house.call("PUT", "/bucket/k")
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 253) as u8).collect()
}

async fn nothing_stored(house: &House) {
    house
        .call("GET", "/bucket/k")
        .send()
        .await
        .refused(404, "NoSuchKey");
}

fn crc32(body: &[u8]) -> String {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, body);
    STANDARD.encode(u32::try_from(crc).unwrap().to_be_bytes())
}

#[tokio::test]
async fn every_payload_mode_stores_the_same_bytes() {
    let house = with_bucket().await;
    for size in [0, 1, 65_535, 65_536, 65_537, 300_000] {
        let body = pattern(size);
        let crc = crc32(&body);
        let modes: [(PayloadMode, bool); 5] = [
            (PayloadMode::Unsigned, false),
            (PayloadMode::SignedChunks, false),
            (PayloadMode::SignedChunksTrailer, true),
            (PayloadMode::UnsignedTrailer, true),
            (
                PayloadMode::Sha256(
                    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body)
                        .as_ref()
                        .try_into()
                        .unwrap(),
                ),
                false,
            ),
        ];
        for (mode, trailer) in modes {
            let mut call = put(&house).body(body.clone()).payload(mode);
            if trailer {
                call = call
                    .trailer("x-amz-checksum-crc32", &crc)
                    .header("x-amz-sdk-checksum-algorithm", "CRC32")
                    .header("content-encoding", "aws-chunked");
            }
            let stored = call.send().await.expect(StatusCode::OK);
            if trailer {
                assert_eq!(stored.header("x-amz-checksum-crc32"), crc);
            }
            let got = house.call("GET", "/bucket/k").send().await;
            assert_eq!(got.body, body, "{mode:?} {size}");
            assert!(!got.has("content-encoding"));
        }
    }
}

#[tokio::test]
async fn sec_n15_body_is_not_the_signed_one() {
    let house = with_bucket().await;
    for size in [0, 1, 100_000] {
        let call = put(&house).body(pattern(size));
        let mut declared = call.clone();
        declared.body = pattern(size + 1).into();
        // The length is right, one bit is not.
        let refused = declared
            .send_wire(|mut wire| {
                wire[0] ^= 1;
                wire
            })
            .await
            .refused(400, "XAmzContentSHA256Mismatch");
        assert!(refused.element("S3ComputedContentSHA256").is_some());
        nothing_stored(&house).await;
    }
}

#[tokio::test]
async fn sec_n19_chunk_signatures() {
    let house = with_bucket().await;
    let call = || {
        put(&house)
            .body(pattern(200_000))
            .payload(PayloadMode::SignedChunks)
    };
    for at in [100, 70_000, 199_000] {
        let flipped = call().send_wire(|mut wire| {
            wire[at] ^= 1;
            wire
        });
        flipped.await.refused(403, "SignatureDoesNotMatch");
        nothing_stored(&house).await;
    }
    // The final empty chunk is missing.
    let refused = call()
        .send_wire(|wire| wire[..wire.len() - 86].to_vec())
        .await;
    refused.refused(400, "IncompleteBody");
    // A chunk longer than it says.
    let refused = call()
        .send_wire(|wire| {
            let mut wire = wire;
            wire.splice(0..5, *b"0ffff");
            wire
        })
        .await;
    assert!(refused.status.is_client_error());
    nothing_stored(&house).await;
}

#[tokio::test]
async fn sec_n19_decoded_lengths() {
    let house = with_bucket().await;
    let mut absent = put(&house).body(pattern(10));
    absent = absent.header("x-amz-trailer", "x-amz-checksum-crc32");
    let (mut request, _) = absent.payload(PayloadMode::UnsignedTrailer).build();
    request.headers_mut().remove("x-amz-decoded-content-length");
    // The header was signed, so its absence is a wrong signature.
    let answer = send(&house, request.map(|()| crate::harness::Untouchable), true).await;
    answer.refused(403, "SignatureDoesNotMatch");
    for wrong in ["9", "11", "0", "-1", "+10", "ten", "18446744073709551616"] {
        let call = put(&house).header("x-amz-decoded-content-length", wrong);
        let mut call = call.trailer("x-amz-checksum-crc32", &crc32(&pattern(10)));
        call.payload = Some(PayloadMode::Unsigned);
        call.headers
            .retain(|(name, _)| name != "x-amz-content-sha256");
        let answer = raw_chunked(call, &pattern(10)).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{wrong}: {}",
            answer.text()
        );
        nothing_stored(&house).await;
    }
}

/// Sends an unsigned-trailer body under a header set of the caller's own making.
async fn raw_chunked(call: Call<'_>, data: &[u8]) -> Reply {
    let house = call.house;
    let mut wire = format!("{:x}\r\n", data.len()).into_bytes();
    wire.extend_from_slice(data);
    wire.extend_from_slice(b"\r\n0\r\n");
    for (name, value) in &call.trailers {
        wire.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    let secret = strongroom_wire::SecretAccessKey::new(call.secret.to_owned());
    let headers: Vec<(&str, &[u8])> = call
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_bytes()))
        .collect();
    let signed = strongroom_wire::sigv4::sign_request(&strongroom_wire::sigv4::SigningInput {
        method: &call.method,
        path: &call.path,
        query: &call.query,
        headers: &headers,
        access_key_id: call.access_key_id,
        secret: &secret,
        session_token: None,
        region: call.region,
        service: "s3",
        payload: PayloadMode::UnsignedTrailer,
        now_ms: crate::harness::NOW_MS,
    })
    .unwrap();
    let mut request = http::Request::builder()
        .method("PUT")
        .uri(call.path.as_str());
    for (name, value) in call.headers.iter().cloned().chain(signed.headers) {
        request = request.header(name, value);
    }
    let request = request.header("content-length", wire.len());
    let body = http_body_util::Full::new(Bytes::from(wire));
    send(house, request.body(body).unwrap(), true).await
}

#[tokio::test]
async fn sec_n20_trailers() {
    let house = with_bucket().await;
    let body = pattern(1000);
    let right = crc32(&body);
    let call = || {
        put(&house)
            .body(body.clone())
            .payload(PayloadMode::UnsignedTrailer)
            .trailer("x-amz-checksum-crc32", &right)
    };
    let replace = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        move |wire: Vec<u8>| {
            let at = wire
                .windows(from.len())
                .position(|w| w == from.as_bytes())
                .unwrap();
            let mut out = wire[..at].to_vec();
            out.extend_from_slice(to.as_bytes());
            out.extend_from_slice(&wire[at + from.len()..]);
            out
        }
    };
    let line = format!("x-amz-checksum-crc32:{right}\r\n");
    for (to, code) in [
        ("x-amz-checksum-crc32:AAAAAA==\r\n", "BadDigest"),
        ("x-amz-checksum-crc32:nonsense\r\n", "InvalidRequest"),
        ("", "MalformedTrailerError"),
        ("x-amz-meta-a:1\r\n", "MalformedTrailerError"),
        ("authorization:1\r\n", "MalformedTrailerError"),
        (&format!("{line}{line}"), "MalformedTrailerError"),
        (
            &format!("{line}x-amz-checksum-sha1:AAAA\r\n"),
            "MalformedTrailerError",
        ),
    ] {
        let answer = call().send_wire(replace(&line, to)).await;
        assert_eq!(
            answer.element("Code").as_deref(),
            Some(code),
            "{to}: {}",
            answer.text()
        );
        nothing_stored(&house).await;
    }
    for announced in [
        "authorization",
        "x-amz-meta-a",
        "x-amz-checksum-crc32,x-amz-checksum-sha1",
    ] {
        let mut call = put(&house)
            .body(body.clone())
            .header("x-amz-trailer", announced);
        call.payload = Some(PayloadMode::UnsignedTrailer);
        call.send().await.refused(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn sec_n60_lengths() {
    let house = with_bucket().await;
    let mut missing = put(&house).body("x").payload(PayloadMode::Unsigned);
    missing.length = false;
    missing.send().await.refused(411, "MissingContentLength");
    let call = || {
        put(&house)
            .body(pattern(100))
            .payload(PayloadMode::Unsigned)
    };
    for (length, wire) in [(100, 99), (100, 0), (99, 100), (0, 100)] {
        let (mut request, _) = call().build();
        request
            .headers_mut()
            .insert("content-length", length.into());
        let body = http_body_util::Full::new(Bytes::from(pattern(wire)));
        let answer = send(&house, request.map(|()| body), true).await;
        answer.refused(400, "IncompleteBody");
        nothing_stored(&house).await;
    }
    for length in ["+5", "-1", "5,5", "0x5", ""] {
        let (mut request, _) = call().build();
        request
            .headers_mut()
            .insert("content-length", length.parse().unwrap());
        let answer = send(&house, request.map(|()| crate::harness::Untouchable), true).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{length}");
    }
}

/// One byte more than one PUT may bring.
const LARGE: u64 = 5 * 1024 * 1024 * 1024 + 1;

#[tokio::test]
async fn sec_n62_larger_than_5_gib_is_refused_before_the_body() {
    let house = with_bucket().await;
    let call = put(&house).payload(PayloadMode::Unsigned);
    let answer = call.send_unread(LARGE).await.refused(400, "EntityTooLarge");
    assert_eq!(
        answer.element("ProposedSize").as_deref(),
        Some("5368709121")
    );
    let part = house.call("PUT", "/bucket/k?partNumber=1&uploadId=u");
    let part = part.payload(PayloadMode::Unsigned).send_unread(LARGE).await;
    assert!(part.status.is_client_error());
    let delete = house
        .call("POST", "/bucket?delete")
        .payload(PayloadMode::Unsigned);
    assert!(delete.send_unread(LARGE).await.status.is_client_error());
}

#[tokio::test]
async fn sec_n63_a_connection_that_breaks_stores_nothing() {
    let house = with_bucket().await;
    for before in [0, 1, 65_535, 65_536, 65_537, 199_999] {
        let (mut request, _) = put(&house).payload(PayloadMode::Unsigned).build();
        request
            .headers_mut()
            .insert("content-length", 200_000.into());
        let frames = vec![
            Ok(http_body::Frame::data(Bytes::from(pattern(before)))),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let answer = send(&house, request.map(|()| body), true).await;
        answer.refused(400, "IncompleteBody");
        nothing_stored(&house).await;
    }
}

#[tokio::test]
async fn sec_n64_checksums() {
    let house = with_bucket().await;
    let body = pattern(1000);
    let wrong = STANDARD.encode([0; 4]);
    let call = || put(&house).body(body.clone());
    call()
        .header("x-amz-checksum-crc32", &wrong)
        .send()
        .await
        .refused(400, "BadDigest")
        .says("The CRC32 you specified did not match the calculated checksum.");
    call()
        .header("content-md5", &STANDARD.encode([0; 16]))
        .send()
        .await
        .refused(400, "BadDigest");
    let unread = call()
        .header("content-md5", "short")
        .send_unread(1000)
        .await;
    unread.refused(400, "InvalidDigest");
    let unread = call()
        .header("x-amz-checksum-sha1", &wrong)
        .send_unread(1000)
        .await;
    unread
        .refused(400, "InvalidRequest")
        .says("Value for x-amz-checksum-sha1 header is invalid.");
    let two = call()
        .header("x-amz-checksum-crc32", &wrong)
        .header("x-amz-checksum-crc32c", &wrong)
        .send_unread(1000)
        .await;
    two.refused(400, "InvalidRequest");
    nothing_stored(&house).await;
    let right = crc32(&body);
    let stored = call()
        .header("x-amz-checksum-crc32", &right)
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(stored.header("x-amz-checksum-crc32"), right);
    assert_eq!(stored.header("x-amz-checksum-type"), "FULL_OBJECT");
}

#[tokio::test(start_paused = true)]
async fn sec_n91_a_silent_client_is_cut_off() {
    let house = with_bucket().await;
    let (mut request, _) = put(&house).payload(PayloadMode::Unsigned).build();
    request
        .headers_mut()
        .insert("content-length", 100_000.into());
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(http_body::Frame::data(
        Bytes::from_static(b"x"),
    ))]);
    let silent = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let answer = send(&house, request.map(|()| StreamBody::new(silent)), true).await;
    answer.refused(400, "RequestTimeout");
}

/// A client that sends its body without waiting must get to read the refusal: what nobody wants
/// is read and thrown away, so that the connection is not reset under the answer.
#[tokio::test]
async fn a_refused_body_is_drained() {
    let house = with_bucket().await;
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&read);
    let frames = (0..64).map(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(pattern(65_536))))
    });
    let mut call = put(&house).payload(PayloadMode::Unsigned);
    call.secret = "another-secret-of-forty-characters-lengt";
    let (mut request, _) = call.build();
    request
        .headers_mut()
        .insert("content-length", (64 * 65_536).into());
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let answer = send(&house, request.map(|()| body), true).await;
    answer.refused(403, "SignatureDoesNotMatch");
    let start = std::time::Instant::now();
    while read.load(std::sync::atomic::Ordering::Relaxed) < 64 {
        let waited = start.elapsed();
        assert!(
            waited < std::time::Duration::from_mins(2),
            "only {read:?} of 64 frames were read"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
