// SPDX-License-Identifier: Apache-2.0
//! The client's side: signing requests and URLs.

use super::canonical::{CanonicalInput, CanonicalRequest};
use super::{ALGORITHM, PayloadMode, RequestToVerify, Scope, SigV4Error, SigningKey, Timestamp};
use crate::chunked::ChunkSigner;
use crate::query;
use crate::secret::SecretAccessKey;

/// A request to sign. All headers given are covered by the signature; `host` must be among them.
#[derive(Debug, Clone, Copy)]
pub struct SigningInput<'a> {
    /// The method.
    pub method: &'a str,
    /// The percent-encoded path, as it will be sent.
    pub path: &'a str,
    /// The query string, as it will be sent, without the signature's own parameters.
    pub query: &'a str,
    /// Lower-case names and values.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Access key id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a SecretAccessKey,
    /// A session token, for temporary credentials.
    pub session_token: Option<&'a str>,
    /// The region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// How the body is covered; not [`PayloadMode::WholeBody`].
    pub payload: PayloadMode,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What signing adds to a request.
#[derive(Debug)]
pub struct SignedRequest {
    /// Headers to add, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Signs the chunks of the body, in the two modes that have signed chunks.
    pub chunk_signer: Option<ChunkSigner>,
}

/// The scope of the signatures of S3 on this day: what follows the access key id in a form's
/// `x-amz-credential`.
pub fn form_scope(region: &str, now_ms: u64) -> Scope {
    Scope::new(&Timestamp::from_unix_ms(now_ms).date(), region, "s3")
}

/// Signs the policy of an upload form, as it stands in the form.
pub fn sign_form_policy(policy: &str, secret: &SecretAccessKey, scope: &Scope) -> String {
    SigningKey::derive(secret, scope).sign_hex(policy.as_bytes())
}

/// Signs a request in its headers.
pub fn sign_request(input: &SigningInput<'_>) -> Result<SignedRequest, SigV4Error> {
    let timestamp = Timestamp::from_unix_ms(input.now_ms);
    let scope = Scope::new(&timestamp.date(), input.region, input.service);
    let payload_text = input
        .payload
        .text()
        .ok_or(SigV4Error::MissingContentSha256)?;
    let mut added = vec![
        ("x-amz-content-sha256".to_owned(), payload_text.clone()),
        ("x-amz-date".to_owned(), timestamp.to_string()),
    ];
    if let Some(token) = input.session_token {
        added.push(("x-amz-security-token".to_owned(), token.to_owned()));
    }
    let mut headers = input.headers.to_vec();
    headers.extend(
        added
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    let signed_headers = sorted_names(&headers);
    let request = RequestToVerify {
        method: input.method,
        path: input.path,
        query: input.query,
        headers: &headers,
        secure: false,
        body_sha256: None,
    };
    let canonical = CanonicalRequest::build(&CanonicalInput {
        request: &request,
        signed_headers: &signed_headers,
        presigned: false,
        s3_path_rules: input.service == "s3",
        payload_text: &payload_text,
    });
    let key = SigningKey::derive(input.secret, &scope);
    let signature = key.sign_hex(canonical.string_to_sign(timestamp, &scope).as_bytes());
    added.push((
        "authorization".to_owned(),
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            input.access_key_id,
            signed_headers.join(";"),
        ),
    ));
    let chunk_signer = match input.payload {
        PayloadMode::SignedChunks | PayloadMode::SignedChunksTrailer => {
            Some(ChunkSigner::new(key, timestamp, &scope, signature))
        }
        PayloadMode::Sha256(_)
        | PayloadMode::Unsigned
        | PayloadMode::UnsignedTrailer
        | PayloadMode::WholeBody => None,
    };
    Ok(SignedRequest {
        headers: added,
        chunk_signer,
    })
}

/// Signs a request in its query string; returns the whole query to send.
///
/// The payload mode is left out of the query when it is the default (`UNSIGNED-PAYLOAD`).
pub fn presign(input: &SigningInput<'_>, expires_seconds: u32) -> Result<String, SigV4Error> {
    let timestamp = Timestamp::from_unix_ms(input.now_ms);
    let scope = Scope::new(&timestamp.date(), input.region, input.service);
    let payload_text = input
        .payload
        .text()
        .ok_or(SigV4Error::MissingContentSha256)?;
    let signed_headers = sorted_names(input.headers);
    let mut full_query = input.query.to_owned();
    let mut push = |name: &str, value: &str| {
        if !full_query.is_empty() {
            full_query.push('&');
        }
        full_query.push_str(name);
        full_query.push('=');
        full_query.extend(query::encode_component(value.as_bytes()));
    };
    push("X-Amz-Algorithm", ALGORITHM);
    push(
        "X-Amz-Credential",
        &format!("{}/{scope}", input.access_key_id),
    );
    push("X-Amz-Date", &timestamp.to_string());
    push("X-Amz-Expires", &expires_seconds.to_string());
    push("X-Amz-SignedHeaders", &signed_headers.join(";"));
    if let Some(token) = input.session_token {
        push("X-Amz-Security-Token", token);
    }
    let declared_in_header = input
        .headers
        .iter()
        .any(|(name, _)| *name == "x-amz-content-sha256");
    if input.payload != PayloadMode::Unsigned && !declared_in_header {
        push("X-Amz-Content-Sha256", &payload_text);
    }
    let request = RequestToVerify {
        method: input.method,
        path: input.path,
        query: &full_query,
        headers: input.headers,
        secure: false,
        body_sha256: None,
    };
    let canonical = CanonicalRequest::build(&CanonicalInput {
        request: &request,
        signed_headers: &signed_headers,
        presigned: true,
        s3_path_rules: input.service == "s3",
        payload_text: &payload_text,
    });
    let key = SigningKey::derive(input.secret, &scope);
    let signature = key.sign_hex(canonical.string_to_sign(timestamp, &scope).as_bytes());
    full_query.push_str("&X-Amz-Signature=");
    full_query.push_str(&signature);
    Ok(full_query)
}

fn sorted_names(headers: &[(&str, &[u8])]) -> Vec<String> {
    let mut names: Vec<String> = headers.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
