// SPDX-License-Identifier: Apache-2.0
//! Credentials in the query string.

use std::borrow::Cow;

use super::super::error::UnsupportedScheme;
use super::super::{ALGORITHM, RequestToVerify, SigV4Error, Timestamp};
use super::{AuthKind, Credentials, PayloadMode, SIGNATURE_BYTES_MAX, Scope};
use crate::query;

pub(super) fn parse(request: &RequestToVerify<'_>) -> Result<Credentials, SigV4Error> {
    let parameters = Parameters::read(request.query)?;
    match parameters.algorithm.as_deref() {
        Some(ALGORITHM) => {}
        Some(other) if other.starts_with("AWS4-ECDSA") => {
            return Err(SigV4Error::UnsupportedSignature {
                scheme: UnsupportedScheme::SigV4A,
            });
        }
        Some(_) => return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")),
        None => return Err(wrong(SIX_PARAMETERS)),
    }
    let (Some(credential), Some(signature), Some(date), Some(signed_headers), Some(expires)) = (
        parameters.credential,
        parameters.signature,
        parameters.date,
        parameters.signed_headers,
        parameters.expires,
    ) else {
        return Err(wrong(SIX_PARAMETERS));
    };
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(wrong(SIX_PARAMETERS));
    }
    let (access_key_id, scope) = super::credential(&credential).map_err(|message| {
        wrong(format!(
            "Error parsing the X-Amz-Credential parameter; {message}"
        ))
    })?;
    let signed_headers = super::signed_headers(&signed_headers).map_err(|message| {
        wrong(format!(
            "Error parsing the X-Amz-SignedHeaders parameter; {message}"
        ))
    })?;
    let timestamp = Timestamp::parse_amz(&date).ok_or_else(|| {
        wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    if scope.date() != timestamp.date() {
        return Err(wrong(format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{date}\".",
            scope.date(),
        )));
    }
    let expires_seconds = expires_seconds(&expires)?;
    let header_tokens = request.values_of("x-amz-security-token");
    let tokens: Vec<&[u8]> = parameters
        .token
        .iter()
        .map(String::as_bytes)
        .chain(header_tokens)
        .collect();
    Ok(Credentials {
        kind: AuthKind::Presigned,
        access_key_id,
        payload: payload(request, parameters.content_sha256.as_deref(), &scope)?,
        scope,
        timestamp,
        expires_seconds: Some(expires_seconds),
        signed_headers,
        session_token: super::one_token(&tokens)?,
        signature,
        form_policy: None,
    })
}

#[derive(Default)]
struct Parameters {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    token: Option<String>,
    content_sha256: Option<String>,
}

impl Parameters {
    /// Collects the `X-Amz-*` parameters of the signature; a repeated one is an error.
    fn read(raw_query: &str) -> Result<Self, SigV4Error> {
        let mut found = Self::default();
        for (name, value) in query::pairs(raw_query) {
            let slot = match name.as_ref() {
                b"X-Amz-Algorithm" => &mut found.algorithm,
                b"X-Amz-Credential" => &mut found.credential,
                b"X-Amz-Date" => &mut found.date,
                b"X-Amz-Expires" => &mut found.expires,
                b"X-Amz-SignedHeaders" => &mut found.signed_headers,
                b"X-Amz-Signature" => &mut found.signature,
                b"X-Amz-Security-Token" => &mut found.token,
                b"X-Amz-Content-Sha256" => &mut found.content_sha256,
                _ => continue,
            };
            let text = match value {
                Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(str::to_owned).ok(),
                Cow::Owned(bytes) => String::from_utf8(bytes).ok(),
            };
            let text = text.ok_or_else(|| wrong(SIX_PARAMETERS))?;
            if slot.replace(text).is_some() {
                return Err(wrong("a query-string authentication parameter is repeated"));
            }
        }
        Ok(found)
    }
}

fn expires_seconds(text: &str) -> Result<u32, SigV4Error> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong("X-Amz-Expires should be a number"));
    }
    if text.starts_with('-') {
        return Err(wrong("X-Amz-Expires must be non-negative"));
    }
    match digits.parse::<u32>() {
        Ok(0) => Err(wrong("X-Amz-Expires must be at least 1 second")),
        Ok(seconds) if seconds <= EXPIRES_SECONDS_MAX => Ok(seconds),
        _ => Err(wrong(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        )),
    }
}

/// A presigned body is unsigned unless a parameter or header says otherwise. Chunk signatures need
/// a seed that only the `Authorization` header gives, so these modes are refused here.
fn payload(
    request: &RequestToVerify<'_>,
    parameter: Option<&str>,
    scope: &Scope,
) -> Result<PayloadMode, SigV4Error> {
    let mut headers = request.values_of("x-amz-content-sha256");
    let header = headers.next().map(<[u8]>::trim_ascii);
    if headers.next().is_some() {
        return Err(SigV4Error::InvalidContentSha256);
    }
    let declared = match (header, parameter.map(str::as_bytes)) {
        (Some(header), Some(parameter)) if header != parameter => {
            return Err(SigV4Error::InvalidContentSha256);
        }
        (Some(value), _) | (None, Some(value)) => PayloadMode::parse(value)?,
        (None, None) if scope.service() == "s3" => PayloadMode::Unsigned,
        (None, None) => PayloadMode::WholeBody,
    };
    match declared {
        PayloadMode::SignedChunks | PayloadMode::SignedChunksTrailer => {
            Err(SigV4Error::InvalidContentSha256)
        }
        mode => Ok(mode),
    }
}

fn wrong(message: impl Into<String>) -> SigV4Error {
    SigV4Error::AuthorizationQueryParametersError {
        message: message.into(),
        region: None,
    }
}

const EXPIRES_SECONDS_MAX: u32 = 604_800;
const SIX_PARAMETERS: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, \
     X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires \
     parameters.";
