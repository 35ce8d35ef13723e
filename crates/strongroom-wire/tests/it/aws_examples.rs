// SPDX-License-Identifier: Apache-2.0
//! The worked examples that AWS has published, with the signatures printed there:
//! - "Examples: Signature Calculations in AWS Signature Version 4" (`sig-v4-header-based-auth`),
//! - "Authenticating Requests: Using Query Parameters" (`sigv4-query-string-auth`),
//! - "Transferring Payload in Multiple Chunks" (`sigv4-streaming`),
//! - "Multiple chunks with trailers" (`sigv4-streaming-trailers`),
//!
//! all in the Amazon S3 API reference; and `get-vanilla` of the AWS Signature Version 4 test suite.

use strongroom_wire::chunked::{ChunkDecoder, ChunkMode, Event, encode_body};
use strongroom_wire::sigv4::PayloadMode;
use strongroom_wire::{ChunkSigner, Expected, SecretAccessKey, parse_auth, verify};

use crate::request::{ACCESS_KEY_ID, NOW_MS, Request};

const HOST: &str = "examplebucket.s3.amazonaws.com";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    )
}

fn example(method: &str, path: &str, query: &str, more: &[(&str, &str)]) -> Request {
    let mut request = Request::new(method, path, query, more);
    request
        .header("host", HOST)
        .header("x-amz-date", "20130524T000000Z");
    request
}

#[test]
fn get_object() {
    let mut request = example(
        "GET",
        "/test.txt",
        "",
        &[
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY_SHA256),
        ],
    );
    request.header(
        "authorization",
        &authorization(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    );
    request.verify().unwrap();
}

#[test]
fn put_object() {
    let payload = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let mut request = example(
        "PUT",
        "/test%24file.text",
        "",
        &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", payload),
        ],
    );
    request.header(
        "authorization",
        &authorization(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    );
    let verified = request.verify().unwrap();
    let PayloadMode::Sha256(hash) = verified.payload_mode() else {
        panic!("{verified:?}")
    };
    assert_eq!(hex::encode(hash), payload);
    // The path may arrive with the dollar sign as it is: the signature is the same.
    request.path = "/test$file.text".to_owned();
    request.verify().unwrap();
}

#[test]
fn get_bucket_lifecycle() {
    let mut request = example(
        "GET",
        "/",
        "lifecycle",
        &[("x-amz-content-sha256", EMPTY_SHA256)],
    );
    request.header(
        "authorization",
        &authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
    );
    request.verify().unwrap();
}

#[test]
fn list_objects() {
    let mut request = example(
        "GET",
        "/",
        "prefix=J&max-keys=2",
        &[("x-amz-content-sha256", EMPTY_SHA256)],
    );
    request.header(
        "authorization",
        &authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    );
    request.verify().unwrap();
}

#[test]
fn presigned_get_object() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host";
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let mut request = Request::new(
        "GET",
        "/test.txt",
        &format!("{query}&X-Amz-Signature={signature}"),
        &[("host", HOST)],
    );
    request.verify_at(NOW_MS + 86_400_000).unwrap();
    request.verify_at(NOW_MS + 86_400_001).unwrap_err();
    // Our own client side prints the same URL.
    request.query = String::new();
    request.presign(86_400);
    assert!(request.query.ends_with(signature), "{}", request.query);
}

fn streaming_put(mode: PayloadMode, others: &[(&str, &str)]) -> Request {
    let mut request = Request::new(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        &[
            ("host", "s3.amazonaws.com"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", &mode.text().unwrap()),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
        ],
    );
    for (name, value) in others {
        request.header(name, value);
    }
    request
}

/// 65,536 and 1,024 bytes of `a`, with these three signatures.
fn framed(signatures: [&str; 3], trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (size, signature) in [65_536, 1_024, 0].into_iter().zip(signatures) {
        body.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
        body.extend(std::iter::repeat_n(b'a', size));
        if size > 0 {
            body.extend_from_slice(b"\r\n");
        }
    }
    body.extend_from_slice(trailer.as_bytes());
    body.extend_from_slice(b"\r\n");
    body
}

fn decode_all(mut decoder: ChunkDecoder, body: &[u8]) -> (usize, Vec<(String, String)>) {
    let mut data_bytes = 0;
    let mut position = 0;
    loop {
        let step = decoder.decode(&body[position..]).unwrap();
        position += step.consumed;
        match step.event {
            Event::Data(range) => data_bytes += range.len(),
            Event::NeedMore => panic!("the body is complete"),
            Event::End { trailers } => {
                decoder.finish().unwrap();
                return (data_bytes, trailers);
            }
        }
    }
}

#[test]
fn signed_chunks() {
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ];
    let mut request = streaming_put(PayloadMode::SignedChunks, &[("content-length", "66824")]);
    let signed_headers = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
                          x-amz-decoded-content-length;x-amz-storage-class";
    request.header("authorization", &authorization(signed_headers, seed));
    let signer = || -> ChunkSigner { request.verify().unwrap().into_chunk_signer().unwrap() };
    let body = framed(signatures, "");
    assert_eq!(body.len(), 66_824);
    let decoder = ChunkDecoder::new(ChunkMode::Signed, 66_560, Some(signer()), None).unwrap();
    assert_eq!(decode_all(decoder, &body), (66_560, Vec::new()));
    let data = vec![b'a'; 66_560];
    let ours = encode_body(ChunkMode::Signed, Some(signer()), &data, 65_536, &[]).unwrap();
    assert!(ours == body, "our client side frames the same body");
}

#[test]
fn signed_chunks_with_trailer() {
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ];
    let trailer = "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
                   d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n";
    let announced = "x-amz-checksum-crc32c";
    let mut request = streaming_put(
        PayloadMode::SignedChunksTrailer,
        &[("x-amz-trailer", announced)],
    );
    let signed_headers = "content-encoding;host;x-amz-content-sha256;x-amz-date;\
                          x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer";
    request.header("authorization", &authorization(signed_headers, seed));
    let signer = || request.verify().unwrap().into_chunk_signer();
    let mode = ChunkMode::SignedTrailer;
    let body = framed(signatures, trailer);
    let decoder = ChunkDecoder::new(mode, 66_560, signer(), Some(announced.as_bytes())).unwrap();
    let expected = vec![(announced.to_owned(), "sOO8/Q==".to_owned())];
    assert_eq!(decode_all(decoder, &body), (66_560, expected));
    let data = vec![b'a'; 66_560];
    let ours = encode_body(mode, signer(), &data, 65_536, &[(announced, "sOO8/Q==")]).unwrap();
    assert!(ours == body, "our client side frames the same body");
}

#[test]
fn get_vanilla_of_the_test_suite() {
    let mut request = Request::new(
        "GET",
        "/",
        "",
        &[
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ],
    );
    request.header(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date, \
         Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    );
    let mut empty = [0; 32];
    hex::decode_to_slice(EMPTY_SHA256, &mut empty).unwrap();
    request.body_sha256 = Some(empty);
    let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
    let expected = Expected {
        region: "us-east-1",
        services: &["service"],
        now_ms: 1_440_938_160_000,
    };
    request.with(|request| {
        let auth = parse_auth(request).unwrap();
        verify(&auth, request, &secret, &expected).unwrap();
    });
}
