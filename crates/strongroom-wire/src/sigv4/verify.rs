// SPDX-License-Identifier: Apache-2.0
//! From parsed credentials to a verified signature.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::canonical::{CanonicalInput, CanonicalRequest, masked};
use super::{
    AuthKind, Credentials, ParsedAuth, PayloadMode, RequestToVerify, SigV4Error, SigningKey,
    Timestamp,
};
use crate::chunked::ChunkSigner;
use crate::secret::SecretAccessKey;

/// What this server is, and when.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The region signatures must name.
    pub region: &'a str,
    /// The services signatures may name.
    pub services: &'a [&'a str],
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
}

/// Credentials that passed every check that needs no secret.
#[derive(Debug)]
pub struct Admitted<'a> {
    credentials: &'a Credentials,
    request: &'a RequestToVerify<'a>,
    payload_text: String,
}

/// Proof that a request was signed with the secret of its access key id.
#[derive(Debug)]
pub struct VerifiedSignature {
    kind: AuthKind,
    signed_at_ms: u64,
    payload: PayloadMode,
    chunk_signer: Option<ChunkSigner>,
}

/// Verifies a request at once, without a cache of signing keys.
pub fn verify(
    auth: &ParsedAuth,
    request: &RequestToVerify<'_>,
    secret: &SecretAccessKey,
    expected: &Expected<'_>,
) -> Result<VerifiedSignature, SigV4Error> {
    let admitted = auth.admit(request, expected)?;
    let key = SigningKey::derive(secret, admitted.credentials().scope());
    admitted.verify(&key)
}

impl ParsedAuth {
    /// Checks scope, time, covered headers and declared payload: all that needs no secret.
    ///
    /// `request` must be the one the credentials were parsed from.
    pub fn admit<'a>(
        &'a self,
        request: &'a RequestToVerify<'a>,
        expected: &Expected<'_>,
    ) -> Result<Admitted<'a>, SigV4Error> {
        let Self::Signed(credentials) = self else {
            return Err(SigV4Error::MissingAuthentication);
        };
        check_scope(credentials, expected)?;
        check_time(credentials, expected.now_ms)?;
        check_coverage(credentials, request)?;
        let payload_text = payload_text(credentials.payload, request)?;
        Ok(Admitted {
            credentials,
            request,
            payload_text,
        })
    }
}

impl Admitted<'_> {
    /// The credentials; still unverified.
    pub fn credentials(&self) -> &Credentials {
        self.credentials
    }

    /// Compares the signature, in constant time.
    pub fn verify(&self, key: &SigningKey) -> Result<VerifiedSignature, SigV4Error> {
        let credentials = self.credentials;
        if let Some(policy) = &credentials.form_policy {
            return verify_form(credentials, policy, key);
        }
        let input = CanonicalInput {
            request: self.request,
            signed_headers: &credentials.signed_headers,
            presigned: credentials.kind == AuthKind::Presigned,
            s3_path_rules: credentials.scope.service() == "s3",
            payload_text: &self.payload_text,
        };
        let canonical = CanonicalRequest::build(&input);
        let string_to_sign = canonical.string_to_sign(credentials.timestamp, &credentials.scope);
        let computed = key.sign_hex(string_to_sign.as_bytes());
        let equal =
            verify_slices_are_equal(computed.as_bytes(), credentials.signature.as_bytes()).is_ok();
        if !equal || canonical.header_missing {
            return Err(SigV4Error::SignatureDoesNotMatch {
                access_key_id: credentials.access_key_id.clone(),
                string_to_sign,
                canonical_request: masked(&input),
                signature_provided: credentials.signature.clone(),
            });
        }
        let chunk_signer = match credentials.payload {
            PayloadMode::SignedChunks | PayloadMode::SignedChunksTrailer => Some(ChunkSigner::new(
                key.clone(),
                credentials.timestamp,
                &credentials.scope,
                computed,
            )),
            PayloadMode::Sha256(_)
            | PayloadMode::Unsigned
            | PayloadMode::UnsignedTrailer
            | PayloadMode::WholeBody => None,
        };
        Ok(VerifiedSignature {
            kind: credentials.kind,
            signed_at_ms: credentials.timestamp.unix_ms(),
            payload: credentials.payload,
            chunk_signer,
        })
    }
}

impl VerifiedSignature {
    /// Header, presigned or form.
    pub fn kind(&self) -> AuthKind {
        self.kind
    }

    /// When it was signed, as the signer says, Unix milliseconds.
    pub fn signed_at_ms(&self) -> u64 {
        self.signed_at_ms
    }

    /// How the body is covered; a declared hash remains to be compared with the body's.
    pub fn payload_mode(&self) -> PayloadMode {
        self.payload
    }

    /// The seed of the chunk signatures, in the two modes that have them.
    pub fn into_chunk_signer(self) -> Option<ChunkSigner> {
        self.chunk_signer
    }
}

/// What is signed is the policy, as it came.
fn verify_form(
    credentials: &Credentials,
    policy: &str,
    key: &SigningKey,
) -> Result<VerifiedSignature, SigV4Error> {
    let computed = key.sign_hex(policy.as_bytes());
    if verify_slices_are_equal(computed.as_bytes(), credentials.signature.as_bytes()).is_err() {
        return Err(SigV4Error::SignatureDoesNotMatch {
            access_key_id: credentials.access_key_id.clone(),
            string_to_sign: policy.to_owned(),
            canonical_request: String::new(),
            signature_provided: credentials.signature.clone(),
        });
    }
    Ok(VerifiedSignature {
        kind: credentials.kind,
        signed_at_ms: credentials.timestamp.unix_ms(),
        payload: credentials.payload,
        chunk_signer: None,
    })
}

fn check_scope(credentials: &Credentials, expected: &Expected<'_>) -> Result<(), SigV4Error> {
    let scope = &credentials.scope;
    if !expected.services.contains(&scope.service()) {
        let message = format!(
            "incorrect service \"{}\". This endpoint belongs to \"{}\".",
            scope.service(),
            expected.services.join("\", \""),
        );
        return Err(scope_error(credentials, message, None));
    }
    if scope.region() != expected.region {
        let message = format!(
            "the region '{}' is wrong; expecting '{}'",
            scope.region(),
            expected.region
        );
        return Err(scope_error(
            credentials,
            message,
            Some(expected.region.to_owned()),
        ));
    }
    Ok(())
}

fn scope_error(credentials: &Credentials, message: String, region: Option<String>) -> SigV4Error {
    match credentials.kind {
        AuthKind::Presigned => {
            let message = format!("Error parsing the X-Amz-Credential parameter; {message}");
            SigV4Error::AuthorizationQueryParametersError { message, region }
        }
        AuthKind::Form => SigV4Error::FormFieldInvalid {
            name: "X-Amz-Credential",
            value: format!("{}/{}", credentials.access_key_id, credentials.scope),
            message,
            region,
        },
        AuthKind::Header | AuthKind::Anonymous => {
            SigV4Error::AuthorizationHeaderMalformed { message, region }
        }
    }
}

fn check_time(credentials: &Credentials, now_ms: u64) -> Result<(), SigV4Error> {
    let signed_at_ms = credentials.timestamp.unix_ms();
    let Some(expires_seconds) = credentials.expires_seconds else {
        if signed_at_ms.abs_diff(now_ms) > SKEW_MS_MAX {
            return Err(SigV4Error::RequestTimeTooSkewed {
                request_time: credentials.timestamp.to_string(),
                server_time_ms: now_ms,
                max_skew_ms: SKEW_MS_MAX,
            });
        }
        return Ok(());
    };
    if signed_at_ms > now_ms.saturating_add(SKEW_MS_MAX) {
        return Err(SigV4Error::PresignedNotYetValid {
            request_time: credentials.timestamp.to_string(),
            server_time_ms: now_ms,
        });
    }
    let expired_at_ms = signed_at_ms.saturating_add(u64::from(expires_seconds) * 1000);
    if now_ms > expired_at_ms {
        return Err(SigV4Error::ExpiredPresigned {
            expires_seconds,
            expired_at_ms,
            server_time_ms: now_ms,
        });
    }
    Ok(())
}

/// `host` and every `x-amz-*` header of the request must be covered, `host` exactly once. A form's
/// signature covers no header: it has no `x-amz-*` ones, and what it says is in its fields.
///
/// Of a URL that writes, an ETag as a condition must be covered, too. Who was given such a URL may not
/// read the object, and the answer would tell whether it has that ETag: the MD5 of its plaintext, if
/// it has one.
fn check_coverage(
    credentials: &Credentials,
    request: &RequestToVerify<'_>,
) -> Result<(), SigV4Error> {
    let covered = |name: &str| {
        credentials
            .signed_headers
            .binary_search_by(|signed| signed.as_str().cmp(name))
            .is_ok()
    };
    let mut unsigned: Vec<String> = Vec::new();
    let is_form = credentials.kind == AuthKind::Form;
    if !is_form && !covered("host") || request.values_of("host").count() != 1 {
        unsigned.push("host".to_owned());
    }
    let writes = !matches!(request.method, "GET" | "HEAD");
    let is_guess = |name: &str, value: &[u8]| {
        writes
            && credentials.kind == AuthKind::Presigned
            && matches!(name, "if-match" | "if-none-match")
            && value.trim_ascii() != b"*"
    };
    for (name, value) in request.headers {
        let must_be = name.starts_with("x-amz-") || is_guess(name, value);
        if must_be && !covered(name) && !unsigned.iter().any(|u| u == name) {
            unsigned.push((*name).to_owned());
        }
    }
    if unsigned.is_empty() {
        return Ok(());
    }
    Err(SigV4Error::HeadersNotSigned { headers: unsigned })
}

/// The payload line of the canonical request. Where the body's hash is known, a declared hash
/// must be the same.
fn payload_text(mode: PayloadMode, request: &RequestToVerify<'_>) -> Result<String, SigV4Error> {
    let computed = request.body_sha256.map(hex::encode);
    match (mode, mode.text(), computed) {
        (PayloadMode::Sha256(_), Some(client), Some(computed)) if client != computed => {
            Err(SigV4Error::ContentSha256Mismatch { client, computed })
        }
        (_, Some(declared), _) => Ok(declared),
        (_, None, Some(computed)) => Ok(computed),
        (_, None, None) => Err(SigV4Error::MissingContentSha256),
    }
}

impl Timestamp {
    /// Greatest difference between the clocks of client and server.
    pub const SKEW_MS_MAX: u64 = SKEW_MS_MAX;
}

const SKEW_MS_MAX: u64 = 15 * 60 * 1000;
