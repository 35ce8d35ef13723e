// SPDX-License-Identifier: Apache-2.0
//! The one place where a request becomes its caller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use http::request::Parts;
use strongroom_audit::RequestFacts;
use strongroom_iam::{AuthError, Authenticated, claimed_identity};
use strongroom_wire::sigv4::UnsupportedScheme;
use strongroom_wire::{ParsedAuth, RequestToVerify, SigV4Error, parse_auth, parse_form};

use super::{ApiServices, Exchange};
use crate::error::{S3Code, S3Error};
use crate::s3::form_fields::FormFields;

/// The target of the key service's operations.
const KMS_TARGET_PREFIX: &str = "TrentService.";
/// The end of a credential scope of the key service.
const KMS_SCOPE: &[u8] = b"/kms/aws4_request";
const KMS_SCOPE_ESCAPED: &[u8] = b"%2Fkms%2Faws4_request";

/// Which protocol the client speaks: the key service's JSON if the request is signed for it or
/// names its target, S3 otherwise. A guess about form only: what is signed is verified after.
pub(super) fn speaks_kms(parts: &Parts) -> bool {
    let target = parts.headers.get("x-amz-target");
    if target.is_some_and(|target| target.as_bytes().starts_with(KMS_TARGET_PREFIX.as_bytes())) {
        return true;
    }
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let signed = authorization.is_some_and(|value| contains(value.as_bytes(), KMS_SCOPE));
    signed || presigned_for_kms(parts.uri.query().unwrap_or_default())
}

/// Only the credential decides: a name or prefix in S3 may read like a scope.
fn presigned_for_kms(raw_query: &str) -> bool {
    raw_query
        .split('&')
        .filter_map(|piece| piece.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-amz-credential"))
        .map(|(_, value)| value.as_bytes())
        .any(|value| contains(value, KMS_SCOPE) || contains(value, KMS_SCOPE_ESCAPED))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A request without a caller: why, and on whose behalf it claimed to be.
pub(super) struct Refused {
    pub(super) error: S3Error,
    pub(super) facts: RequestFacts,
}

/// Verifies the signature and finds the caller. `body_sha256` where the body was read already.
pub(super) fn authenticate(
    services: &ApiServices,
    exchange: &Exchange,
    parts: &Parts,
    service: &str,
    body_sha256: Option<[u8; 32]>,
) -> Result<Authenticated, Box<Refused>> {
    let headers = header_lines(parts);
    let request = to_verify(parts, &headers, exchange.secure, body_sha256);
    identify(services, exchange, &request, parse_auth(&request), service)
}

/// The same for a form, whose credentials are fields of it.
pub(super) fn authenticate_form(
    services: &ApiServices,
    exchange: &Exchange,
    parts: &Parts,
    fields: &FormFields,
) -> Result<Authenticated, Box<Refused>> {
    let headers = header_lines(parts);
    let request = to_verify(parts, &headers, exchange.secure, None);
    let auth = parse_form(&request, &fields.iter());
    identify(services, exchange, &request, auth, "s3")
}

fn identify(
    services: &ApiServices,
    exchange: &Exchange,
    request: &RequestToVerify<'_>,
    auth: Result<ParsedAuth, SigV4Error>,
    service: &str,
) -> Result<Authenticated, Box<Refused>> {
    let refused = |auth: Option<&ParsedAuth>, error: S3Error| {
        let mut facts = exchange.facts.clone();
        facts.identity = claimed_identity(auth);
        Box::new(Refused { error, facts })
    };
    let auth = auth.map_err(|error| refused(None, signature_error(&error, exchange)))?;
    let authenticated = services
        .iam
        .authenticate(
            &auth,
            request,
            exchange.facts.clone(),
            services.clock.now_ms(),
        )
        .map_err(|error| refused(Some(&auth), auth_error(&error, exchange)))?;
    // A signature for one service is worth nothing at another.
    if authenticated.caller.service() != service {
        let message = format!("Credential should be scoped to correct service: '{service}'.");
        let error = S3Error::new(S3Code::AuthorizationHeaderMalformed, message);
        return Err(refused(Some(&auth), error));
    }
    Ok(authenticated)
}

fn header_lines(parts: &Parts) -> Vec<(&str, &[u8])> {
    parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

fn to_verify<'a>(
    parts: &'a Parts,
    headers: &'a [(&'a str, &'a [u8])],
    secure: bool,
    body_sha256: Option<[u8; 32]>,
) -> RequestToVerify<'a> {
    RequestToVerify {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers,
        secure,
        body_sha256,
    }
}

fn auth_error(error: &AuthError, exchange: &Exchange) -> S3Error {
    match error {
        AuthError::Signature(error) => signature_error(error, exchange),
        AuthError::InvalidAccessKeyId { access_key_id } => {
            S3Error::from_code(S3Code::InvalidAccessKeyId).with("AWSAccessKeyId", access_key_id)
        }
        AuthError::InvalidToken { .. } => S3Error::from_code(S3Code::InvalidToken),
    }
}

fn signature_error(error: &SigV4Error, exchange: &Exchange) -> S3Error {
    let says = |code| S3Error::new(code, error.to_string());
    match error {
        SigV4Error::MissingAuthentication => S3Error::from_code(S3Code::AccessDenied),
        SigV4Error::MultipleAuthMechanisms => says(S3Code::InvalidArgument)
            .with("ArgumentName", "Authorization")
            .with("ArgumentValue", ""),
        SigV4Error::UnsupportedSignature { scheme } => match scheme {
            UnsupportedScheme::SigV2 => says(S3Code::InvalidRequest),
            UnsupportedScheme::SigV4A | UnsupportedScheme::Other => says(S3Code::InvalidArgument)
                .with("ArgumentName", "Authorization")
                .with("ArgumentValue", ""),
        },
        SigV4Error::AuthorizationHeaderMalformed { region, .. } => with_region(
            says(S3Code::AuthorizationHeaderMalformed),
            region.as_deref(),
        ),
        SigV4Error::AuthorizationQueryParametersError { region, .. } => with_region(
            says(S3Code::AuthorizationQueryParametersError),
            region.as_deref(),
        ),
        SigV4Error::FormFieldMissing { name } => {
            with_argument(says(S3Code::InvalidArgument), name, "")
        }
        SigV4Error::FormFieldInvalid {
            name,
            value,
            region,
            ..
        } => with_region(
            with_argument(says(S3Code::InvalidArgument), name, value),
            region.as_deref(),
        ),
        SigV4Error::MissingDate => says(S3Code::AccessDenied),
        SigV4Error::RequestTimeTooSkewed {
            request_time,
            server_time_ms,
            max_skew_ms,
        } => says(S3Code::RequestTimeTooSkewed)
            .with("RequestTime", request_time)
            .with("ServerTime", crate::xml::iso8601(*server_time_ms))
            .with("MaxAllowedSkewMilliseconds", max_skew_ms.to_string()),
        SigV4Error::ExpiredPresigned {
            expires_seconds,
            expired_at_ms,
            server_time_ms,
        } => says(S3Code::AccessDenied)
            .with("X-Amz-Expires", expires_seconds.to_string())
            .with("Expires", crate::xml::iso8601(*expired_at_ms))
            .with("ServerTime", crate::xml::iso8601(*server_time_ms)),
        SigV4Error::PresignedNotYetValid {
            request_time,
            server_time_ms,
        } => says(S3Code::AccessDenied)
            .with("X-Amz-Date", request_time)
            .with("ServerTime", crate::xml::iso8601(*server_time_ms)),
        SigV4Error::HeadersNotSigned { headers } => {
            says(S3Code::AccessDenied).with("HeadersNotSigned", headers.join(", "))
        }
        SigV4Error::MissingContentSha256 => says(S3Code::InvalidRequest),
        SigV4Error::InvalidContentSha256 => says(S3Code::InvalidArgument)
            .with("ArgumentName", "x-amz-content-sha256")
            .with("ArgumentValue", ""),
        SigV4Error::ContentSha256Mismatch { client, computed } => {
            says(S3Code::XAmzContentSha256Mismatch)
                .with("ClientComputedContentSHA256", client)
                .with("S3ComputedContentSHA256", computed)
        }
        SigV4Error::InvalidToken => says(S3Code::InvalidToken),
        SigV4Error::SignatureDoesNotMatch {
            access_key_id,
            string_to_sign,
            canonical_request,
            signature_provided,
        } => {
            tracing::debug!(
                request_id = exchange.facts.request_id,
                "a signature did not match"
            );
            let error = S3Error::from_code(S3Code::SignatureDoesNotMatch)
                .with("AWSAccessKeyId", access_key_id)
                .with("StringToSign", string_to_sign)
                .with("SignatureProvided", signature_provided);
            with_canonical(error, canonical_request)
        }
    }
}

/// A form signs its policy, and has no canonical request.
fn with_canonical(error: S3Error, canonical_request: &str) -> S3Error {
    if canonical_request.is_empty() {
        return error;
    }
    error
        .with("CanonicalRequest", canonical_request)
        .with("CanonicalRequestBytes", STANDARD.encode(canonical_request))
}

/// A field of a form, as the error document names it.
fn with_argument(error: S3Error, name: &str, value: &str) -> S3Error {
    error
        .with("ArgumentName", name)
        .with("ArgumentValue", value)
}

fn with_region(error: S3Error, region: Option<&str>) -> S3Error {
    match region {
        Some(region) => error.with("Region", region),
        None => error,
    }
}
