// SPDX-License-Identifier: Apache-2.0
//! Signatures in the fields of upload forms: the example of AWS's documentation, and what must be
//! refused.

use strongroom_wire::sigv4::AuthKind;
use strongroom_wire::{
    Expected, ParsedAuth, PayloadMode, RequestToVerify, SecretAccessKey, SigV4Error, parse_form,
    verify,
};

/// 2015-12-29T00:00:00Z
const SIGNED_MS: u64 = 1_451_347_200_000;
const DAY_MS: u64 = 86_400_000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";
const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
const POLICY: &str = concat!(
    "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7",
    "ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91",
    "c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3Qi",
    "OiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwi",
    "fSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRh",
    "LXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVT",
    "MjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNy",
    "ZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9",
    "LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAi",
    "MjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9",
);

type Fields = Vec<(&'static str, String)>;

fn example() -> Fields {
    [
        ("key", "user/user1/${filename}"),
        ("X-Amz-Credential", CREDENTIAL),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Date", "20151229T000000Z"),
        ("Policy", POLICY),
        ("X-Amz-Signature", SIGNATURE),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn with(name: &'static str, value: &str) -> Fields {
    let mut fields = example();
    fields.retain(|(known, _)| *known != name);
    fields.push((name, value.to_owned()));
    fields
}

fn without(names: &[&str]) -> Fields {
    let mut fields = example();
    fields.retain(|(known, _)| !names.contains(known));
    fields
}

fn outcome(
    fields: &Fields,
    query: &str,
    headers: &[(&str, &[u8])],
    now_ms: u64,
) -> Result<AuthKind, SigV4Error> {
    let request = RequestToVerify {
        method: "POST",
        path: "/",
        query,
        headers,
        secure: true,
        body_sha256: None,
    };
    let pairs = fields.iter().map(|(name, value)| (*name, value.as_str()));
    let auth = parse_form(&request, &pairs)?;
    if let ParsedAuth::Signed(_) = &auth {
        assert_eq!(auth.payload_mode(), PayloadMode::Unsigned);
    }
    let expected = Expected {
        region: "us-east-1",
        services: &["s3", "kms"],
        now_ms,
    };
    let secret = SecretAccessKey::new(SECRET.to_owned());
    verify(&auth, &request, &secret, &expected).map(|verified| verified.kind())
}

fn refusal(fields: &Fields) -> SigV4Error {
    outcome(fields, "", &[("host", b"h")], SIGNED_MS).unwrap_err()
}

#[test]
fn the_example_of_the_documentation_verifies_for_a_week() {
    let fields = example();
    for now_ms in [SIGNED_MS - 900_000, SIGNED_MS, SIGNED_MS + 7 * DAY_MS] {
        let kind = outcome(&fields, "", &[("host", b"h")], now_ms);
        assert_eq!(kind, Ok(AuthKind::Form));
    }
    let lower: Fields = fields
        .iter()
        .map(|(name, value)| (&*name.to_ascii_lowercase().leak(), value.clone()))
        .collect();
    let headers: &[(&str, &[u8])] = &[("host", b"h")];
    assert!(outcome(&lower, "", headers, SIGNED_MS).is_ok());
}

#[test]
fn sec_n12_signatures_of_forms_end_after_a_week() {
    let fields = example();
    assert!(matches!(
        outcome(&fields, "", &[], SIGNED_MS + 7 * DAY_MS + 1),
        Err(SigV4Error::ExpiredPresigned { .. })
    ));
    assert!(matches!(
        outcome(&fields, "", &[], SIGNED_MS - 900_001),
        Err(SigV4Error::PresignedNotYetValid { .. })
    ));
}

#[test]
fn sec_n1_every_byte_of_the_policy_is_signed() {
    for at in 0..POLICY.len() {
        let mut policy = POLICY.to_owned();
        let other = if policy.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        policy.replace_range(at..=at, other);
        for policy in [policy.as_str(), &POLICY[..at]] {
            assert!(matches!(
                refusal(&with("Policy", policy)),
                SigV4Error::SignatureDoesNotMatch { string_to_sign, canonical_request, .. }
                    if string_to_sign == policy && canonical_request.is_empty()
            ));
        }
    }
}

#[test]
fn sec_n1_other_signatures() {
    let upper = SIGNATURE.to_ascii_uppercase();
    for signature in ["", "0", &SIGNATURE[1..], &upper, &format!("{SIGNATURE} ")] {
        assert!(matches!(
            refusal(&with("X-Amz-Signature", signature)),
            SigV4Error::SignatureDoesNotMatch { .. }
        ));
    }
    let long = "0".repeat(1_000);
    assert!(matches!(
        refusal(&with("X-Amz-Signature", &long)),
        SigV4Error::FormFieldInvalid { .. }
    ));
}

#[test]
fn a_policy_alone_is_anonymous_and_half_a_signature_is_an_error() {
    let signature = [
        "X-Amz-Credential",
        "X-Amz-Algorithm",
        "X-Amz-Date",
        "X-Amz-Signature",
    ];
    let anonymous = without(&signature);
    assert_eq!(refusal(&anonymous), SigV4Error::MissingAuthentication);
    for name in signature.into_iter().chain(["Policy"]) {
        assert!(matches!(
            refusal(&without(&[name])),
            SigV4Error::FormFieldMissing { name: missing } if missing == name
        ));
    }
    let mut token = anonymous;
    token.push(("x-amz-security-token", "t".to_owned()));
    assert!(matches!(
        refusal(&token),
        SigV4Error::FormFieldMissing { .. }
    ));
}

#[test]
fn fields_that_cannot_be_read() {
    for (name, value) in [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA512"),
        ("X-Amz-Algorithm", ""),
        ("X-Amz-Date", "2015-12-29T00:00:00Z"),
        ("X-Amz-Date", "20151228T000000Z"),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE"),
        ("X-Amz-Credential", "/20151229/us-east-1/s3/aws4_request"),
        (
            "X-Amz-Credential",
            "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws3",
        ),
        (
            "X-Amz-Credential",
            "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/ec2/aws4_request",
        ),
    ] {
        let error = refusal(&with(name, value));
        assert!(
            matches!(error, SigV4Error::FormFieldInvalid { .. }),
            "{name}: {value}: {error}"
        );
    }
    let region = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-2/s3/aws4_request";
    assert_eq!(
        refusal(&with("X-Amz-Credential", region)),
        SigV4Error::FormFieldInvalid {
            name: "X-Amz-Credential",
            value: region.to_owned(),
            message: "the region 'us-east-2' is wrong; expecting 'us-east-1'".to_owned(),
            region: Some("us-east-1".to_owned()),
        }
    );
}

#[test]
fn sec_n23_repeated_fields_and_other_credentials() {
    for name in [
        "policy",
        "x-amz-date",
        "X-AMZ-SIGNATURE",
        "x-amz-credential",
    ] {
        let mut twice = example();
        twice.push((name, "x".to_owned()));
        assert!(
            matches!(refusal(&twice), SigV4Error::FormFieldInvalid { .. }),
            "{name}"
        );
    }
    for name in ["AWSAccessKeyId", "signature"] {
        let mut old = example();
        old.push((name, "x".to_owned()));
        assert!(
            matches!(refusal(&old), SigV4Error::UnsupportedSignature { .. }),
            "{name}"
        );
    }
    let fields = example();
    let header: &[(&str, &[u8])] = &[("host", b"h"), ("authorization", b"AWS4-HMAC-SHA256 x")];
    for (query, headers) in [
        ("", header),
        ("X-Amz-Signature=x", &[("host", b"h".as_slice())]),
        ("Signature=x&AWSAccessKeyId=y", &[("host", b"h".as_slice())]),
    ] {
        assert_eq!(
            outcome(&fields, query, headers, SIGNED_MS),
            Err(SigV4Error::MultipleAuthMechanisms)
        );
    }
}

/// Nothing covers a header: what is in one must not count as said by the signer.
#[test]
fn sec_n6_headers_that_nobody_signed() {
    let headers: &[(&str, &[u8])] = &[("host", b"h"), ("x-amz-acl", b"private")];
    assert!(matches!(
        outcome(&example(), "", headers, SIGNED_MS),
        Err(SigV4Error::HeadersNotSigned { headers }) if headers == ["x-amz-acl"]
    ));
}
