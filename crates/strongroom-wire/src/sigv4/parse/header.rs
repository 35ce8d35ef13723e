// SPDX-License-Identifier: Apache-2.0
//! Credentials in the `Authorization` header.

use super::super::error::UnsupportedScheme;
use super::super::{ALGORITHM, RequestToVerify, SigV4Error, Timestamp};
use super::{AuthKind, Credentials, PayloadMode, SIGNATURE_BYTES_MAX, Scope};

pub(super) fn parse(
    request: &RequestToVerify<'_>,
    value: &[u8],
) -> Result<Credentials, SigV4Error> {
    let text = std::str::from_utf8(value)
        .map_err(|_| malformed("the authorization header is not text."))?
        .trim_matches([' ', '\t']);
    let components = scheme(text)?;
    let Components {
        credential,
        signed_headers,
        signature,
    } = split(components)?;
    let (access_key_id, scope) = super::credential(credential).map_err(malformed)?;
    let signed_headers = super::signed_headers(signed_headers).map_err(malformed)?;
    let timestamp = timestamp(request)?;
    let date = timestamp.date();
    if scope.date() != date {
        return Err(malformed(format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{date}\".",
            scope.date(),
        )));
    }
    let tokens: Vec<&[u8]> = request.values_of("x-amz-security-token").collect();
    Ok(Credentials {
        kind: AuthKind::Header,
        access_key_id,
        payload: payload(request, &scope)?,
        scope,
        timestamp,
        expires_seconds: None,
        signed_headers,
        session_token: super::one_token(&tokens)?,
        signature: signature.to_owned(),
        form_policy: None,
    })
}

/// Checks the scheme and returns what follows it.
fn scheme(text: &str) -> Result<&str, SigV4Error> {
    let (name, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    match name {
        ALGORITHM => Ok(rest),
        "AWS" => Err(unsupported(UnsupportedScheme::SigV2)),
        _ if name.starts_with("AWS4-ECDSA") => Err(unsupported(UnsupportedScheme::SigV4A)),
        _ => Err(unsupported(UnsupportedScheme::Other)),
    }
}

struct Components<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Splits `Credential=.., SignedHeaders=.., Signature=..`: each exactly once, in any order.
fn split(text: &str) -> Result<Components<'_>, SigV4Error> {
    let mut credential = None;
    let mut signed_headers = None;
    let mut signature = None;
    for component in text.split(',') {
        let slot = match component.trim_matches([' ', '\t']).split_once('=') {
            Some(("Credential", value)) => credential.replace(value),
            Some(("SignedHeaders", value)) => signed_headers.replace(value),
            Some(("Signature", value)) => signature.replace(value),
            _ => return Err(malformed(THREE_COMPONENTS)),
        };
        if slot.is_some() {
            return Err(malformed(THREE_COMPONENTS));
        }
    }
    match (credential, signed_headers, signature) {
        (Some(credential), Some(signed_headers), Some(signature))
            if signature.len() <= SIGNATURE_BYTES_MAX =>
        {
            Ok(Components {
                credential,
                signed_headers,
                signature,
            })
        }
        _ => Err(malformed(THREE_COMPONENTS)),
    }
}

/// `x-amz-date`, or `date` where it is absent. A present but unreadable `x-amz-date` is an error,
/// so that no request escapes the check of its time.
fn timestamp(request: &RequestToVerify<'_>) -> Result<Timestamp, SigV4Error> {
    let amz = one_text(request, "x-amz-date")?;
    if let Some(text) = amz {
        return Timestamp::parse_amz(text).ok_or(SigV4Error::MissingDate);
    }
    let text = one_text(request, "date")?.ok_or(SigV4Error::MissingDate)?;
    Timestamp::parse_amz(text)
        .or_else(|| Timestamp::parse_http(text))
        .ok_or(SigV4Error::MissingDate)
}

fn one_text<'a>(request: &RequestToVerify<'a>, name: &str) -> Result<Option<&'a str>, SigV4Error> {
    let mut values = request.values_of(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(SigV4Error::MissingDate);
    }
    let text = std::str::from_utf8(value).map_err(|_| SigV4Error::MissingDate)?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

fn payload(request: &RequestToVerify<'_>, scope: &Scope) -> Result<PayloadMode, SigV4Error> {
    let mut values = request.values_of("x-amz-content-sha256");
    match (values.next(), values.next()) {
        (None, _) if scope.service() == "s3" => Err(SigV4Error::MissingContentSha256),
        (None, _) => Ok(PayloadMode::WholeBody),
        (Some(value), None) => {
            if value.starts_with(b"STREAMING-AWS4-ECDSA") {
                return Err(unsupported(UnsupportedScheme::SigV4A));
            }
            PayloadMode::parse(value.trim_ascii())
        }
        (Some(_), Some(_)) => Err(SigV4Error::InvalidContentSha256),
    }
}

fn malformed(message: impl Into<String>) -> SigV4Error {
    SigV4Error::AuthorizationHeaderMalformed {
        message: message.into(),
        region: None,
    }
}

fn unsupported(scheme: UnsupportedScheme) -> SigV4Error {
    SigV4Error::UnsupportedSignature { scheme }
}

const THREE_COMPONENTS: &str =
    "the authorization header requires three components: Credential, SignedHeaders, and Signature.";
