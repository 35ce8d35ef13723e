// SPDX-License-Identifier: Apache-2.0
//! Presigned requests that must be refused: N9, N12, N13, N18 and N21 of the security test list.

use strongroom_wire::sigv4::{AuthKind, PayloadMode, presign};
use strongroom_wire::{SigV4Error, parse_auth};

use crate::request::{NOW_MS, Request, is_mismatch, presigned_get};

fn edited(from: &str, to: &str) -> Request {
    let mut request = presigned_get();
    assert!(request.query.contains(from), "{}", request.query);
    request.query = request.query.replacen(from, to, 1);
    request
}

fn is_query_error(request: &Request) -> bool {
    matches!(
        request.verify(),
        Err(SigV4Error::AuthorizationQueryParametersError { .. })
    )
}

/// Signed with this lifetime: what is refused is the lifetime, not the signature.
fn signed_with_expires(expires: &str) -> Request {
    let mut request = presigned_get();
    request.query =
        request
            .query
            .replacen("X-Amz-Expires=3600", &format!("X-Amz-Expires={expires}"), 1);
    request
}

#[test]
fn the_unchanged_request_verifies_until_its_last_millisecond() {
    let request = presigned_get();
    let verified = request.verify().unwrap();
    assert_eq!(verified.kind(), AuthKind::Presigned);
    assert_eq!(verified.payload_mode(), PayloadMode::Unsigned);
    request.verify_at(NOW_MS + 3_600_000).unwrap();
}

#[test]
fn order_of_parameters_does_not_matter() {
    let mut request = presigned_get();
    let mut pieces: Vec<&str> = request.query.split('&').collect();
    pieces.reverse();
    request.query = pieces.join("&");
    request.verify().unwrap();
}

#[test]
fn sec_n12_expired() {
    let request = presigned_get();
    for now_ms in [NOW_MS + 3_600_001, u64::MAX] {
        let outcome = request.verify_at(now_ms);
        assert!(
            matches!(outcome, Err(SigV4Error::ExpiredPresigned { .. })),
            "{now_ms}"
        );
    }
}

#[test]
fn sec_n12_not_yet_valid() {
    let request = presigned_get();
    request.verify_at(NOW_MS - 15 * 60 * 1000).unwrap();
    let outcome = request.verify_at(NOW_MS - 15 * 60 * 1000 - 1);
    assert!(matches!(
        outcome,
        Err(SigV4Error::PresignedNotYetValid { .. })
    ));
}

#[test]
fn sec_n12_lifetimes_out_of_bounds() {
    for seconds in [1, 604_800] {
        let mut request = Request::new("GET", "/b/k", "", &[("host", "h")]);
        request.presign(seconds);
        request.verify().unwrap();
    }
    for seconds in [0, 604_801, u32::MAX] {
        let mut request = Request::new("GET", "/b/k", "", &[("host", "h")]);
        request.presign(seconds);
        assert!(is_query_error(&request), "{seconds}");
    }
    for text in [
        "",
        "-1",
        "-",
        "+60",
        "60.0",
        "0x3c",
        "1e3",
        "60%20",
        "sixty",
        "99999999999999999999",
    ] {
        assert!(is_query_error(&signed_with_expires(text)), "{text}");
    }
    // Longer than what was signed.
    assert!(is_mismatch(&signed_with_expires("3601").verify()));
}

#[test]
fn sec_n13_other_method() {
    for method in ["PUT", "DELETE", "HEAD", "POST"] {
        let mut request = presigned_get();
        request.method = method.to_owned();
        assert!(is_mismatch(&request.verify()), "{method}");
    }
}

#[test]
fn sec_n13_extra_changed_or_missing_query() {
    for extra in [
        "&acl",
        "&versionId=x",
        "&response-content-type=text%2Fhtml",
        "&a=%26",
    ] {
        let mut request = presigned_get();
        request.query.push_str(extra);
        assert!(is_mismatch(&request.verify()), "{extra}");
    }
    assert!(is_mismatch(
        &edited("versionId=null", "versionId=other").verify()
    ));
    assert!(is_mismatch(&edited("versionId=null&", "").verify()));
}

#[test]
fn sec_n13_other_path_or_host() {
    let mut request = presigned_get();
    request.path = "/bucket/other".to_owned();
    assert!(is_mismatch(&request.verify()));
    let mut request = presigned_get();
    request.set_header("host", "other:9000");
    assert!(is_mismatch(&request.verify()));
    let mut request = presigned_get();
    request.remove_header("host");
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::HeadersNotSigned { .. })
    ));
}

#[test]
fn sec_n13_headers_added_or_changed() {
    for name in [
        "x-amz-acl",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-server-side-encryption",
        "x-amz-meta-a",
        "x-amz-content-sha256",
        "x-amz-date",
    ] {
        let mut request = presigned_get();
        request.header(name, "UNSIGNED-PAYLOAD");
        match request.verify() {
            Err(SigV4Error::HeadersNotSigned { headers }) => assert_eq!(headers, [name]),
            other => panic!("{name}: {other:?}"),
        }
    }
    let key = "x-amz-server-side-encryption-customer-key";
    let mut request = Request::new("PUT", "/b/k", "", &[("host", "h"), (key, "one")]);
    request.presign(60);
    request.verify().unwrap();
    let mut changed = request.clone();
    changed.set_header(key, "two");
    assert!(is_mismatch(&changed.verify()));
    let mut removed = request;
    removed.remove_header(key);
    assert!(is_mismatch(&removed.verify()));
}

#[test]
fn sec_n09_repeated_or_missing_parameters() {
    for name in [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ] {
        let request = presigned_get();
        let pieces: Vec<&str> = request.query.split('&').collect();
        let (own, others): (Vec<&str>, Vec<&str>) = pieces
            .into_iter()
            .partition(|piece| piece.starts_with(&format!("{name}=")));
        assert_eq!(own.len(), 1);
        let mut missing = request.clone();
        missing.query = others.join("&");
        assert!(is_query_error(&missing), "{name} missing");
        let mut repeated = request.clone();
        repeated.query = format!("{}&{}", request.query, own[0]);
        assert!(is_query_error(&repeated), "{name} repeated");
        // In lower case it is a misspelling, not another way to sign.
        let mut lower = request.clone();
        let misspelt = own[0].replacen(name, &name.to_ascii_lowercase(), 1);
        lower.query = format!("{}&{misspelt}", others.join("&"));
        assert!(is_query_error(&lower), "{name} in lower case");
    }
}

#[test]
fn sec_n11_scope_in_the_query() {
    for (from, to) in [
        ("20130524%2F", "20130523%2F"),
        ("us-east-1", "eu-west-1"),
        ("%2Fs3%2F", "%2Fsts%2F"),
        ("aws4_request", "aws5_request"),
        ("X-Amz-Date=20130524T000000Z", "X-Amz-Date=2013-05-24"),
        ("X-Amz-Date=20130524T000000Z", "X-Amz-Date=20130525T000000Z"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        (
            "X-Amz-SignedHeaders=host",
            "X-Amz-SignedHeaders=host%3Bhost",
        ),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none"),
    ] {
        assert!(is_query_error(&edited(from, to)), "{to}");
    }
    assert!(is_mismatch(
        &edited("X-Amz-Date=20130524T000000Z", "X-Amz-Date=20130524T000001Z").verify()
    ));
    assert!(is_mismatch(
        &edited("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLF").verify()
    ));
}

#[test]
fn sec_n04_every_digit_of_the_signature() {
    let request = presigned_get();
    let start = request.query.rfind('=').unwrap() + 1;
    for at in start..request.query.len() {
        let mut changed = request.clone();
        let digit = request.query.as_bytes()[at];
        changed
            .query
            .replace_range(at..=at, &char::from(digit ^ 1).to_string());
        assert!(is_mismatch(&changed.verify()), "{at}");
    }
    for length in [0, 1, 63] {
        let mut changed = request.clone();
        changed.query.truncate(start + length);
        assert!(is_mismatch(&changed.verify()), "{length}");
    }
}

#[test]
fn sec_n18_streaming_modes_with_credentials_in_the_query() {
    let with_mode = |payload: PayloadMode| {
        let text = payload.text().unwrap();
        let mut request = Request::new("PUT", "/b/k", "", &[("host", "h")]);
        request.header("x-amz-content-sha256", &text);
        request.query = request.with_input("s3", payload, |input| presign(input, 60).unwrap());
        request
    };
    // Signed: this mode is covered by the signature, and a forged one is refused.
    let request = with_mode(PayloadMode::UnsignedTrailer);
    request.verify().unwrap();
    let mut forged = request.clone();
    let start = forged.query.rfind('=').unwrap() + 1;
    forged.query.replace_range(start.., &"0".repeat(64));
    assert!(is_mismatch(&forged.verify()));
    // Not signed: the header that switches the mode must be covered.
    let mut switched = presigned_get();
    switched.header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert!(matches!(
        switched.verify(),
        Err(SigV4Error::HeadersNotSigned { .. })
    ));
    // Signed chunks need the seed of an authorization header.
    for payload in [PayloadMode::SignedChunks, PayloadMode::SignedChunksTrailer] {
        let outcome = with_mode(payload).verify();
        assert!(
            matches!(outcome, Err(SigV4Error::InvalidContentSha256)),
            "{outcome:?}"
        );
    }
    // Header and parameter must not differ.
    let mut torn = with_mode(PayloadMode::UnsignedTrailer);
    torn.query
        .push_str("&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD");
    assert!(matches!(
        torn.verify(),
        Err(SigV4Error::InvalidContentSha256)
    ));
}

#[test]
fn declared_hash_in_the_query_counts() {
    let mut request = Request::new("PUT", "/b/k", "", &[("host", "h")]);
    let payload = PayloadMode::Sha256([0x11; 32]);
    request.query = request.with_input("s3", payload, |input| presign(input, 60).unwrap());
    assert_eq!(request.verify().unwrap().payload_mode(), payload);
    request.query = request.query.replace(&"11".repeat(32), "UNSIGNED-PAYLOAD");
    assert!(is_mismatch(&request.verify()));
}

#[test]
fn sec_n21_other_schemes_in_the_query() {
    let mut request = Request::new(
        "GET",
        "/b/k",
        "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D&Expires=1",
        &[("host", "h")],
    );
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::UnsupportedSignature { .. })
    ));
    request.query = "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential=x".to_owned();
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::UnsupportedSignature { .. })
    ));
}

#[test]
fn sec_n22_session_token_in_the_query() {
    let mut request = Request::new("GET", "/b/k", "", &[("host", "h")]);
    request.query = request.with_input("s3", PayloadMode::Unsigned, |input| {
        let mut input = *input;
        input.session_token = Some("to/ken+=");
        presign(&input, 60).unwrap()
    });
    request.verify().unwrap();
    request.with(|r| {
        let auth = parse_auth(r).unwrap();
        assert_eq!(
            auth.credentials().unwrap().session_token(),
            Some("to/ken+=")
        );
    });
    let mut doubled = request.clone();
    doubled.header("x-amz-security-token", "to/ken+=");
    assert!(matches!(doubled.verify(), Err(SigV4Error::InvalidToken)));
    let mut removed = request;
    removed.query = removed
        .query
        .replace("&X-Amz-Security-Token=to%2Fken%2B%3D", "");
    assert!(is_mismatch(&removed.verify()));
}
