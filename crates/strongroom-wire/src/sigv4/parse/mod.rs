// SPDX-License-Identifier: Apache-2.0
//! Reading the credentials of a request, before anything of them is believed.
//!
//! A request may sign in the `Authorization` header or in the query (presigned), never in both, or
//! in the fields of a form, and only with AWS4-HMAC-SHA256. Whatever looks like an attempt at credentials but is not well
//! formed is an error: it never falls back to an anonymous request or to another source.

mod form;
mod header;
mod presigned;
mod types;

pub use form::parse_form;
pub use types::{AuthKind, Credentials, ParsedAuth, PayloadMode, Scope};

use super::error::UnsupportedScheme;
use super::{RequestToVerify, SigV4Error, TERMINATOR};
use crate::query;

/// Reads the credentials of a request.
pub fn parse_auth(request: &RequestToVerify<'_>) -> Result<ParsedAuth, SigV4Error> {
    let mut headers = request.values_of("authorization");
    let header = headers.next();
    if headers.next().is_some() {
        return Err(SigV4Error::MultipleAuthMechanisms);
    }
    let attempt = QueryAttempt::find(request.query);
    match (header, attempt) {
        (Some(_), QueryAttempt::SigV2 | QueryAttempt::SigV4) => {
            Err(SigV4Error::MultipleAuthMechanisms)
        }
        (Some(value), QueryAttempt::None) => header::parse(request, value).map(signed),
        (None, QueryAttempt::SigV4) => presigned::parse(request).map(signed),
        (None, QueryAttempt::SigV2) => Err(SigV4Error::UnsupportedSignature {
            scheme: UnsupportedScheme::SigV2,
        }),
        (None, QueryAttempt::None) => Ok(ParsedAuth::Anonymous),
    }
}

fn signed(credentials: Credentials) -> ParsedAuth {
    ParsedAuth::Signed(Box::new(credentials))
}

/// Which credentials the query pretends to carry. Names are compared without regard to case, so
/// that a misspelt parameter is an error and not an anonymous request.
#[derive(Clone, Copy)]
enum QueryAttempt {
    None,
    SigV2,
    SigV4,
}

impl QueryAttempt {
    fn find(raw_query: &str) -> Self {
        let mut found = Self::None;
        for (name, _) in query::pairs(raw_query) {
            if V4_PARAMETERS
                .iter()
                .any(|p| name.eq_ignore_ascii_case(p.as_bytes()))
            {
                return Self::SigV4;
            }
            if name.as_ref() == b"AWSAccessKeyId" || name.as_ref() == b"Signature" {
                found = Self::SigV2;
            }
        }
        found
    }
}

/// Whether the request signs, or seems to, outside of its body.
pub(super) fn signs_outside_of_form(request: &RequestToVerify<'_>) -> bool {
    request.values_of("authorization").next().is_some()
        || !matches!(QueryAttempt::find(request.query), QueryAttempt::None)
}

/// Splits `AKID/YYYYMMDD/region/service/aws4_request`; the error is the message for the client.
fn credential(text: &str) -> Result<(String, Scope), String> {
    let malformed = || {
        "the Credential is mal-formed; expecting \
         \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."
            .to_owned()
    };
    let mut pieces = text.rsplitn(5, '/');
    let (Some(terminator), Some(service), Some(region), Some(date), Some(access_key_id)) = (
        pieces.next(),
        pieces.next(),
        pieces.next(),
        pieces.next(),
        pieces.next(),
    ) else {
        return Err(malformed());
    };
    let id_is_plain = (1..=ACCESS_KEY_ID_BYTES_MAX).contains(&access_key_id.len())
        && access_key_id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let plain_name = |name: &str| {
        (1..=SCOPE_NAME_BYTES_MAX).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if !id_is_plain || !plain_name(region) || !plain_name(service) {
        return Err(malformed());
    }
    if terminator != TERMINATOR {
        return Err(format!(
            "incorrect terminal \"{}\". This endpoint uses \"{TERMINATOR}\".",
            terminator.escape_default()
        ));
    }
    if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "incorrect date format \"{}\". This date in the credential must be in the format \
             \"yyyyMMdd\".",
            date.escape_default()
        ));
    }
    Ok((access_key_id.to_owned(), Scope::new(date, region, service)))
}

/// Reads `host;x-amz-date`: lower-case header names in strictly ascending order.
fn signed_headers(text: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(';') {
        let is_token = !name.is_empty()
            && name.bytes().all(|b| {
                (b.is_ascii_alphanumeric() && !b.is_ascii_uppercase())
                    || b"!#$%&'*+-.^_`|~".contains(&b)
            });
        if !is_token {
            return Err(
                "the SignedHeaders list is mal-formed; expecting lower-case header names \
                        separated by semicolons."
                    .to_owned(),
            );
        }
        if names.last().is_some_and(|last| last.as_str() >= name) {
            return Err(
                "the SignedHeaders list must be sorted and must not repeat a name.".to_owned(),
            );
        }
        if names.len() == SIGNED_HEADERS_MAX {
            return Err("the SignedHeaders list is too long.".to_owned());
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// The session token header or parameter: at most one, plain ASCII.
fn one_token(values: &[&[u8]]) -> Result<Option<String>, SigV4Error> {
    match values {
        [] => Ok(None),
        [value] if value.len() <= SESSION_TOKEN_BYTES_MAX && value.is_ascii() => {
            let text = std::str::from_utf8(value).map_err(|_| SigV4Error::InvalidToken)?;
            Ok(Some(text.trim().to_owned()))
        }
        _ => Err(SigV4Error::InvalidToken),
    }
}

/// The parameters that make a request a presigned one.
const V4_PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-Date",
    "X-Amz-Expires",
];
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
const SCOPE_NAME_BYTES_MAX: usize = 64;
const SIGNED_HEADERS_MAX: usize = 256;
const SESSION_TOKEN_BYTES_MAX: usize = 16_384;
/// Longest signature text kept for the error document; a signature has 64 characters.
const SIGNATURE_BYTES_MAX: usize = 512;
