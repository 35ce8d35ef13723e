// SPDX-License-Identifier: Apache-2.0
//! Signatures in the `Authorization` header that must be refused: N1 to N11, N21 and N22 of the
//! security test list.

use strongroom_wire::sigv4::{AuthKind, PayloadMode, UnsupportedScheme};
use strongroom_wire::{ParsedAuth, SecretAccessKey, SigV4Error, parse_auth};

use crate::request::{ACCESS_KEY_ID, NOW_MS, Request, is_mismatch, secret, signed_put};

const FIFTEEN_MINUTES_MS: u64 = 15 * 60 * 1000;

fn is_malformed(request: &Request) -> bool {
    matches!(
        request.verify(),
        Err(SigV4Error::AuthorizationHeaderMalformed { .. })
    )
}

fn not_signed(request: &Request) -> Vec<String> {
    match request.verify() {
        Err(SigV4Error::HeadersNotSigned { headers }) => headers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_unchanged_request_verifies() {
    let request = signed_put();
    let verified = request.verify().unwrap();
    assert_eq!(verified.kind(), AuthKind::Header);
    assert_eq!(verified.payload_mode(), PayloadMode::Sha256([0x11; 32]));
    assert!(verified.into_chunk_signer().is_none());
    request.with(|request| {
        let auth = parse_auth(request).unwrap();
        assert_eq!(auth.access_key_id(), Some(ACCESS_KEY_ID));
        assert_eq!(auth.scope().unwrap().service(), "s3");
        let credentials = auth.credentials().unwrap();
        assert_eq!(credentials.timestamp().unix_ms(), NOW_MS);
        assert_eq!(credentials.expires_seconds(), None);
        assert!(!format!("{auth:?}").contains("signature"));
    });
}

#[test]
fn sec_n01_no_credentials() {
    let request = Request::new("GET", "/bucket/key", "", &[("host", "h")]);
    request.with(|r| assert!(matches!(parse_auth(r), Ok(ParsedAuth::Anonymous))));
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::MissingAuthentication)
    ));
}

#[test]
fn sec_n01_unreadable_credentials_are_not_anonymous() {
    for value in [
        "",
        " ",
        "AWS4-HMAC-SHA256",
        "Bearer x",
        "Basic eDp5",
        "aws4-hmac-sha256 x",
    ] {
        let mut request = signed_put();
        request.set_header("authorization", value);
        request.with(|r| assert!(parse_auth(r).is_err(), "{value}"));
    }
    let mut request = signed_put();
    request.remove_header("authorization");
    request
        .headers
        .push(("authorization".to_owned(), vec![0xff, 0xfe]));
    assert!(is_malformed(&request));
}

#[test]
fn sec_n03_wrong_secret() {
    let request = signed_put();
    let other = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEZ".to_owned());
    assert!(is_mismatch(&request.verify_as(&other, NOW_MS)));
    let empty = SecretAccessKey::new(String::new());
    assert!(is_mismatch(&request.verify_as(&empty, NOW_MS)));
}

#[test]
fn sec_n04_every_bit_of_the_signature() {
    let request = signed_put();
    let text = request.header_text("authorization");
    let start = text.find("Signature=").unwrap() + "Signature=".len();
    for at in start..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let mut request = request.clone();
            request.remove_header("authorization");
            request.headers.push(("authorization".to_owned(), changed));
            assert!(request.verify().is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn sec_n05_signature_in_upper_case_short_long_or_empty() {
    let request = signed_put();
    let text = request.header_text("authorization");
    let signature = text.rsplit('=').next().unwrap().to_owned();
    for other in [
        signature.to_ascii_uppercase(),
        signature[..63].to_owned(),
        signature[..32].to_owned(),
        format!("{signature}0"),
        format!("{signature}{signature}"),
        String::new(),
    ] {
        let mut request = request.clone();
        request.edit_authorization(&signature, &other);
        assert!(is_mismatch(&request.verify()), "{other}");
    }
    let mut request = request;
    request.edit_authorization(&signature, &"0".repeat(600));
    assert!(is_malformed(&request));
}

#[test]
fn sec_n06_unsigned_host() {
    let mut request = signed_put();
    request.edit_authorization("SignedHeaders=host;", "SignedHeaders=");
    assert_eq!(not_signed(&request), ["host"]);
    // Signed without a host from the start.
    let mut request = Request::new("GET", "/", "", &[]);
    request.sign("s3", PayloadMode::Unsigned);
    request.header("host", "h");
    assert_eq!(not_signed(&request), ["host"]);
    // A second host: which one would the request be for?
    let mut request = Request::new("GET", "/", "", &[("host", "a"), ("host", "b")]);
    request.sign("s3", PayloadMode::Unsigned);
    assert_eq!(not_signed(&request), ["host"]);
}

#[test]
fn sec_n07_amz_header_added_after_signing() {
    for name in [
        "x-amz-server-side-encryption",
        "x-amz-grant-full-control",
        "x-amz-copy-source",
        "x-amz-security-token",
        "x-amz-meta-b",
        "x-amz-target",
    ] {
        let mut request = signed_put();
        request.header(name, "value");
        assert_eq!(not_signed(&request), [name]);
    }
    // A second value of a header that is covered.
    let mut request = signed_put();
    request.header("x-amz-acl", "public-read");
    assert!(is_mismatch(&request.verify()));
    // Other headers may be added on the way.
    let mut request = signed_put();
    request
        .header("x-forwarded-for", "127.0.0.1")
        .header("x-amzn-trace-id", "Root=1");
    request.verify().unwrap();
}

#[test]
fn sec_n08_signed_header_list_repeated_unsorted_or_untrue() {
    let with_list = |list: &str| {
        let mut request = signed_put();
        let text = request.header_text("authorization");
        let start = text.find("SignedHeaders=").unwrap();
        let end = text[start..].find(',').unwrap() + start;
        let changed = format!("{}SignedHeaders={list}{}", &text[..start], &text[end..]);
        request.set_header("authorization", &changed);
        request
    };
    let all = "host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a";
    with_list(all).verify().unwrap();
    for list in [
        "",
        ";",
        "host;host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
        "x-amz-acl;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
        "host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a;",
        "Host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
        "host; x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
    ] {
        assert!(is_malformed(&with_list(list)), "{list}");
    }
    let too_long: Vec<String> = (0..300).map(|n| format!("a{n:03}")).collect();
    assert!(is_malformed(&with_list(&too_long.join(";"))));
    // A header that is listed and not there.
    let listed = "host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b";
    assert!(is_mismatch(&with_list(listed).verify()));
}

#[test]
fn sec_n08_signed_empty_header_cannot_be_removed() {
    let mut request = Request::new("PUT", "/b/k", "", &[("host", "h"), ("x-amz-meta-a", "")]);
    request.sign("s3", PayloadMode::Unsigned);
    request.verify().unwrap();
    request.remove_header("x-amz-meta-a");
    assert!(is_mismatch(&request.verify()));
}

#[test]
fn sec_n09_two_credentials() {
    let mut request = signed_put();
    let text = request.header_text("authorization");
    request.header("authorization", &text);
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::MultipleAuthMechanisms)
    ));
    for parameter in [
        "X-Amz-Signature=x",
        "x-amz-credential=x",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    ] {
        let mut request = signed_put();
        request.query = format!("{}&{parameter}", request.query);
        assert!(matches!(
            request.verify(),
            Err(SigV4Error::MultipleAuthMechanisms)
        ));
    }
    let mut request = signed_put();
    request.query = "AWSAccessKeyId=x&Signature=y&Expires=1".to_owned();
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::MultipleAuthMechanisms)
    ));
}

#[test]
fn sec_n10_time_skew() {
    let request = signed_put();
    request.verify_at(NOW_MS + FIFTEEN_MINUTES_MS).unwrap();
    request.verify_at(NOW_MS - FIFTEEN_MINUTES_MS).unwrap();
    for now_ms in [
        NOW_MS + FIFTEEN_MINUTES_MS + 1,
        NOW_MS - FIFTEEN_MINUTES_MS - 1,
        0,
        u64::MAX,
    ] {
        let outcome = request.verify_at(now_ms);
        assert!(
            matches!(outcome, Err(SigV4Error::RequestTimeTooSkewed { .. })),
            "{now_ms}"
        );
    }
}

#[test]
fn sec_n10_date_missing_or_garbage_does_not_skip_the_check() {
    let mut request = signed_put();
    request.remove_header("x-amz-date");
    assert!(matches!(request.verify(), Err(SigV4Error::MissingDate)));
    for date in [
        "",
        "garbage",
        "20130524",
        "20130524T000000",
        "1369353600",
        "20130524T250000Z",
    ] {
        let mut request = signed_put();
        request.set_header("x-amz-date", date);
        assert!(
            matches!(request.verify(), Err(SigV4Error::MissingDate)),
            "{date}"
        );
        // A good `date` does not stand in for a bad `x-amz-date`.
        request.header("date", "Fri, 24 May 2013 00:00:00 GMT");
        assert!(
            matches!(request.verify(), Err(SigV4Error::MissingDate)),
            "{date}"
        );
    }
    let mut request = signed_put();
    request.header("x-amz-date", "20130524T000000Z");
    assert!(matches!(request.verify(), Err(SigV4Error::MissingDate)));
    // Without `x-amz-date`, the time of `date` is the one that was signed.
    let mut request = signed_put();
    request
        .edit_authorization("x-amz-date;", "")
        .remove_header("x-amz-date");
    request.header("date", "Fri, 24 May 2013 00:10:00 GMT");
    assert!(is_mismatch(&request.verify()));
}

#[test]
fn sec_n11_scope() {
    let scope = "20130524/us-east-1/s3/aws4_request";
    for (changed, region) in [
        ("20130523/us-east-1/s3/aws4_request", None),
        ("20130524/eu-west-1/s3/aws4_request", Some("us-east-1")),
        ("20130524/us-east-1/sts/aws4_request", None),
        ("20130524/us-east-1/s3/aws4_requesT", None),
        ("20130524/us-east-1/s3/aws4", None),
        ("20130524/us-east-1/s3", None),
        ("20130524//s3/aws4_request", None),
        ("2013052/us-east-1/s3/aws4_request", None),
        ("20130524/us-east-1/s3/aws4_request/x", None),
        ("", None),
    ] {
        let mut request = signed_put();
        request.edit_authorization(scope, changed);
        match request.verify() {
            Err(SigV4Error::AuthorizationHeaderMalformed { region: found, .. }) => {
                assert_eq!(found.as_deref(), region, "{changed}");
            }
            other => panic!("{changed}: {other:?}"),
        }
    }
    // The scope of another service that this server has.
    let mut request = signed_put();
    request.edit_authorization("/s3/", "/kms/");
    assert!(is_mismatch(&request.verify()));
}

#[test]
fn sec_n11_access_key_id_of_strange_characters() {
    for id in ["", "A B", "A/B", "A\u{e9}", "A\"B", &"A".repeat(129)] {
        let mut request = signed_put();
        request.edit_authorization(ACCESS_KEY_ID, id);
        assert!(request.verify().is_err(), "{id}");
        assert!(is_malformed(&request), "{id}");
    }
}

#[test]
fn sec_n11_components_missing_repeated_or_unknown() {
    let text = signed_put().header_text("authorization");
    let rest = text.strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
    let pieces: Vec<&str> = rest.split(", ").collect();
    let [credential, headers, signature] = pieces.as_slice() else {
        panic!("{pieces:?}")
    };
    for value in [
        format!("AWS4-HMAC-SHA256 {credential}, {headers}"),
        format!("AWS4-HMAC-SHA256 {credential}, {signature}"),
        format!("AWS4-HMAC-SHA256 {headers}, {signature}"),
        format!("AWS4-HMAC-SHA256 {rest}, {signature}"),
        format!("AWS4-HMAC-SHA256 {rest}, {credential}"),
        format!("AWS4-HMAC-SHA256 {rest}, X=y"),
        format!("AWS4-HMAC-SHA256 {rest},"),
        format!("AWS4-HMAC-SHA256 {credential} {headers} {signature}"),
    ] {
        let mut request = signed_put();
        request.set_header("authorization", &value);
        assert!(is_malformed(&request), "{value}");
    }
    // Other order, no spaces, or tabs: still the same request.
    for value in [
        format!("AWS4-HMAC-SHA256 {signature},{headers},{credential}"),
        format!("AWS4-HMAC-SHA256\t{credential},\t{headers}, \t{signature} "),
    ] {
        let mut request = signed_put();
        request.set_header("authorization", &value);
        request.verify().unwrap();
    }
}

#[test]
fn sec_n15_declared_payload() {
    for value in [
        "",
        "UNSIGNED",
        "unsigned-payload",
        &"1".repeat(63),
        &"A".repeat(64),
    ] {
        let mut request = signed_put();
        request.set_header("x-amz-content-sha256", value);
        assert!(
            matches!(request.verify(), Err(SigV4Error::InvalidContentSha256)),
            "{value}"
        );
    }
    let mut request = signed_put();
    request.remove_header("x-amz-content-sha256");
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::MissingContentSha256)
    ));
    let mut request = signed_put();
    request.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::InvalidContentSha256)
    ));
    // The mode cannot be changed under the signature.
    for value in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        &"2".repeat(64),
    ] {
        let mut request = signed_put();
        request.set_header("x-amz-content-sha256", value);
        assert!(is_mismatch(&request.verify()), "{value}");
    }
    // A body that was read already is compared with its declared hash.
    let mut request = signed_put();
    request.body_sha256 = Some([0x11; 32]);
    request.verify().unwrap();
    request.body_sha256 = Some([0x12; 32]);
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::ContentSha256Mismatch { .. })
    ));
}

#[test]
fn sec_n15_undeclared_payload_of_another_service() {
    let mut request = Request::new(
        "POST",
        "/",
        "",
        &[("host", "h"), ("x-amz-target", "T.Encrypt")],
    );
    request.sign("kms", PayloadMode::Sha256([0x11; 32]));
    request.verify().unwrap();
    request.remove_header("x-amz-content-sha256");
    request.edit_authorization("x-amz-content-sha256;", "");
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::MissingContentSha256)
    ));
    request.body_sha256 = Some([0x11; 32]);
    assert!(is_mismatch(&request.verify()));
    // The operation is in a header: it must be covered.
    let mut request = Request::new("POST", "/", "", &[("host", "h")]);
    request.sign("kms", PayloadMode::Sha256([0x11; 32]));
    request.header("x-amz-target", "T.Decrypt");
    assert_eq!(not_signed(&request), ["x-amz-target"]);
}

#[test]
fn sec_n17_forged_signature_on_unsigned_trailer() {
    for method in ["PUT", "POST"] {
        for query in ["", "partNumber=1&uploadId=x"] {
            let mut request = Request::new(method, "/bucket/key", query, &[("host", "h")]);
            request.sign("s3", PayloadMode::UnsignedTrailer);
            assert_eq!(
                request.verify().unwrap().payload_mode(),
                PayloadMode::UnsignedTrailer
            );
            let mut forged = request.clone();
            let text = forged.header_text("authorization");
            let signature = text.rsplit('=').next().unwrap().to_owned();
            forged.edit_authorization(&signature, &"0".repeat(64));
            assert!(is_mismatch(&forged.verify()));
            forged.remove_header("authorization");
            assert!(matches!(
                forged.verify(),
                Err(SigV4Error::MissingAuthentication)
            ));
        }
    }
}

#[test]
fn sec_n21_other_schemes() {
    for (value, expected) in [
        (
            "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
            UnsupportedScheme::SigV2,
        ),
        (
            "AWS4-ECDSA-P256-SHA256 Credential=x",
            UnsupportedScheme::SigV4A,
        ),
        ("Bearer token", UnsupportedScheme::Other),
        ("AWS4-HMAC-SHA1 Credential=x", UnsupportedScheme::Other),
    ] {
        let mut request = signed_put();
        request.set_header("authorization", value);
        match request.verify() {
            Err(SigV4Error::UnsupportedSignature { scheme }) => assert_eq!(scheme, expected),
            other => panic!("{value}: {other:?}"),
        }
    }
    let mut request = signed_put();
    request.set_header(
        "x-amz-content-sha256",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    );
    assert!(matches!(
        request.verify(),
        Err(SigV4Error::UnsupportedSignature { .. })
    ));
}

#[test]
fn sec_n22_session_token() {
    let mut request = Request::new(
        "GET",
        "/",
        "",
        &[("host", "h"), ("x-amz-security-token", "t")],
    );
    request.sign("s3", PayloadMode::Unsigned);
    request.verify().unwrap();
    request.with(|r| {
        let auth = parse_auth(r).unwrap();
        assert_eq!(auth.credentials().unwrap().session_token(), Some("t"));
    });
    request.set_header("x-amz-security-token", "other");
    assert!(is_mismatch(&request.verify()));
    request.header("x-amz-security-token", "t");
    assert!(matches!(request.verify(), Err(SigV4Error::InvalidToken)));
}

#[test]
fn sec_every_byte_of_a_signed_request() {
    let request = signed_put();
    request.verify().unwrap();
    let mut tried = 0;
    let mut refuse = |changed: &Request, what: &str| {
        // The access key id is not signed: it chooses the secret, and the wrong one is refused.
        let other_id = changed
            .with(|r| parse_auth(r).is_ok_and(|auth| auth.access_key_id() != Some(ACCESS_KEY_ID)));
        assert!(
            other_id || changed.verify().is_err(),
            "{what} changed and still accepted: {changed:?}"
        );
        tried += 1;
    };
    for (at, byte) in request.method.bytes().enumerate() {
        let mut changed = request.clone();
        changed
            .method
            .replace_range(at..=at, &char::from(byte ^ 1).to_string());
        refuse(&changed, "method");
    }
    for (at, byte) in request.path.bytes().enumerate() {
        let mut changed = request.clone();
        changed
            .path
            .replace_range(at..=at, &char::from(byte ^ 1).to_string());
        refuse(&changed, "path");
    }
    for (at, byte) in request.query.bytes().enumerate() {
        let mut changed = request.clone();
        changed
            .query
            .replace_range(at..=at, &char::from(byte ^ 1).to_string());
        refuse(&changed, "query");
    }
    for (index, (name, value)) in request.headers.iter().enumerate() {
        for at in 0..value.len() {
            for bit in 0..8 {
                let mut changed = request.clone();
                changed.headers[index].1[at] ^= 1 << bit;
                refuse(&changed, name);
            }
        }
        for at in 0..name.len() {
            let mut changed = request.clone();
            let other = char::from(name.as_bytes()[at] ^ 1).to_string();
            changed.headers[index].0.replace_range(at..=at, &other);
            refuse(&changed, name);
        }
    }
    assert!(tried > 2_500, "{tried}");
}

#[test]
fn sec_errors_show_no_secret() {
    let mut request = Request::new(
        "PUT",
        "/bucket/key",
        "",
        &[
            ("host", "h"),
            (
                "x-amz-server-side-encryption-customer-key",
                "planted-customer-key",
            ),
        ],
    );
    request.sign("s3", PayloadMode::Unsigned);
    request.verify().unwrap();
    request.method = "POST".to_owned();
    let Err(error) = request.verify() else {
        panic!("accepted")
    };
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains("planted"), "{shown}");
    assert!(!shown.contains(secret().expose_secret()), "{shown}");
    assert!(
        shown.contains("x-amz-server-side-encryption-customer-key:***"),
        "{shown}"
    );
}
