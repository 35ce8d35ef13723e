// SPDX-License-Identifier: Apache-2.0
//! An owned request that can be signed, changed and verified.

use strongroom_wire::sigv4::{PayloadMode, SigningInput, VerifiedSignature, presign, sign_request};
use strongroom_wire::{
    ChunkSigner, Expected, RequestToVerify, SecretAccessKey, SigV4Error, parse_auth, verify,
};

/// The credentials of all of AWS's published examples.
pub(crate) const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 2013-05-24T00:00:00Z, the time of the S3 examples.
pub(crate) const NOW_MS: u64 = 1_369_353_600_000;
pub(crate) const REGION: &str = "us-east-1";

pub(crate) fn secret() -> SecretAccessKey {
    SecretAccessKey::new(SECRET.to_owned())
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body_sha256: Option<[u8; 32]>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body_sha256: None,
        }
    }

    pub(crate) fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.headers
            .push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn set_header(&mut self, name: &str, value: &str) -> &mut Self {
        self.remove_header(name).header(name, value)
    }

    pub(crate) fn remove_header(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    pub(crate) fn header_text(&self, name: &str) -> String {
        let (_, value) = self.headers.iter().find(|(n, _)| n == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    }

    /// Replaces text in the `authorization` header.
    pub(crate) fn edit_authorization(&mut self, from: &str, to: &str) -> &mut Self {
        let text = self.header_text("authorization");
        assert!(text.contains(from), "{text}");
        self.set_header("authorization", &text.replacen(from, to, 1))
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&RequestToVerify<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_slice()))
            .collect();
        look(&RequestToVerify {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            secure: true,
            body_sha256: self.body_sha256,
        })
    }

    /// Signs with our own client side; all present headers are covered.
    pub(crate) fn sign(&mut self, service: &str, payload: PayloadMode) -> Option<ChunkSigner> {
        let signed = self.with_input(service, payload, |input| sign_request(input).unwrap());
        for (name, value) in signed.headers {
            self.header(&name, &value);
        }
        signed.chunk_signer
    }

    pub(crate) fn presign(&mut self, expires_seconds: u32) {
        self.query = self.with_input("s3", PayloadMode::Unsigned, |input| {
            presign(input, expires_seconds).unwrap()
        });
    }

    pub(crate) fn with_input<T>(
        &self,
        service: &str,
        payload: PayloadMode,
        use_it: impl FnOnce(&SigningInput<'_>) -> T,
    ) -> T {
        self.with(|request| {
            use_it(&SigningInput {
                method: request.method,
                path: request.path,
                query: request.query,
                headers: request.headers,
                access_key_id: ACCESS_KEY_ID,
                secret: &secret(),
                session_token: None,
                region: REGION,
                service,
                payload,
                now_ms: NOW_MS,
            })
        })
    }

    pub(crate) fn verify(&self) -> Result<VerifiedSignature, SigV4Error> {
        self.verify_at(NOW_MS)
    }

    pub(crate) fn verify_at(&self, now_ms: u64) -> Result<VerifiedSignature, SigV4Error> {
        self.verify_as(&secret(), now_ms)
    }

    pub(crate) fn verify_as(
        &self,
        secret: &SecretAccessKey,
        now_ms: u64,
    ) -> Result<VerifiedSignature, SigV4Error> {
        self.with(|request| {
            let auth = parse_auth(request)?;
            let expected = Expected {
                region: REGION,
                services: &["s3", "kms"],
                now_ms,
            };
            verify(&auth, request, secret, &expected)
        })
    }
}

/// A plain PUT, signed in its headers.
pub(crate) fn signed_put() -> Request {
    let mut request = Request::new(
        "PUT",
        "/bucket/key%20one",
        "x-id=PutObject",
        &[
            ("host", "localhost:9000"),
            ("x-amz-acl", "private"),
            ("x-amz-meta-a", "one"),
        ],
    );
    request.sign("s3", PayloadMode::Sha256([0x11; 32]));
    request
}

/// A presigned GET of one hour.
pub(crate) fn presigned_get() -> Request {
    let mut request = Request::new(
        "GET",
        "/bucket/key",
        "versionId=null",
        &[("host", "localhost:9000")],
    );
    request.presign(3600);
    request
}

pub(crate) fn is_mismatch(outcome: &Result<VerifiedSignature, SigV4Error>) -> bool {
    matches!(outcome, Err(SigV4Error::SignatureDoesNotMatch { .. }))
}
