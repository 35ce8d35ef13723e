// SPDX-License-Identifier: Apache-2.0
//! AWS Signature Version 4: parse, verify and sign.
//!
//! Verification is three steps, and each step's value is the only way to the next:
//! [`parse_auth`] reads the credentials without trusting them, [`ParsedAuth::admit`] checks
//! everything that needs no secret (scope, time, which headers are covered), and
//! [`Admitted::verify`] compares the signature in constant time. [`verify`] is all of it at once.
//!
//! The rules are those of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API
//! reference, and of the IAM user guide's "Create a signed AWS API request" for other services.

mod canonical;
mod error;
mod key;
mod parse;
mod sign;
mod time;
mod verify;

pub use error::{SigV4Error, UnsupportedScheme};
pub use key::{SigningKey, SigningKeyCache};
pub use parse::{AuthKind, Credentials, ParsedAuth, PayloadMode, Scope, parse_auth, parse_form};
pub use sign::{SignedRequest, SigningInput, form_scope, presign, sign_form_policy, sign_request};
pub use time::{Timestamp, TimestampParts};
pub use verify::{Admitted, Expected, VerifiedSignature, verify};

/// The parts of a received request that a signature covers.
///
/// Header names must be lower case; header lines and query parameters are in the order received,
/// and repeated header lines are repeated entries.
#[derive(Clone, Copy, Debug)]
pub struct RequestToVerify<'a> {
    /// The method, as received.
    pub method: &'a str,
    /// The raw percent-encoded path, as received (without the query).
    pub path: &'a str,
    /// The raw query string, without the question mark.
    pub query: &'a str,
    /// Lower-case header names with their raw values. Over HTTP/2 the adapter adds `host`.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Whether the request came over TLS.
    pub secure: bool,
    /// SHA-256 of the whole body, where the adapter has read it already (KMS and IAM requests,
    /// which do not declare a payload hash); `None` for a body that streams.
    pub body_sha256: Option<[u8; 32]>,
}

impl<'a> RequestToVerify<'a> {
    /// Values of the header with this lower-case name.
    pub(crate) fn values_of(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(n, _)| *n == name)
            .map(|(_, value)| *value)
    }
}

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const TERMINATOR: &str = "aws4_request";
