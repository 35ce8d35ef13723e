// SPDX-License-Identifier: Apache-2.0
//! Why a request's credentials or signature were refused.

/// Every refusal of signature verification, with what the S3 error document needs.
///
/// The messages are those of S3 where S3's wording is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigV4Error {
    /// The request carries no credentials at all.
    #[error("the request carries no credentials")]
    MissingAuthentication,
    /// Two `Authorization` headers, or credentials both in a header and in the query.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
         query string parameter or the Authorization header should be specified"
    )]
    MultipleAuthMechanisms,
    /// Signature version 2, version 4A or another scheme.
    #[error(
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256."
    )]
    UnsupportedSignature {
        /// What was presented.
        scheme: UnsupportedScheme,
    },
    /// The `Authorization` header cannot be read, or names a wrong scope.
    #[error("The authorization header is malformed; {message}")]
    AuthorizationHeaderMalformed {
        /// What is wrong with it.
        message: String,
        /// The region that was expected, when the region was wrong.
        region: Option<String>,
    },
    /// The presigned query parameters cannot be read, or name a wrong scope.
    #[error("{message}")]
    AuthorizationQueryParametersError {
        /// What is wrong with them.
        message: String,
        /// The region that was expected, when the region was wrong.
        region: Option<String>,
    },
    /// A form carries some of the fields of a signature, and not this one.
    #[error(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the \
         order of the fields."
    )]
    FormFieldMissing {
        /// The field.
        name: &'static str,
    },
    /// A field of a form's signature cannot be read, is there twice, or names a wrong scope.
    #[error("{message}")]
    FormFieldInvalid {
        /// The field.
        name: &'static str,
        /// What it holds, cut short.
        value: String,
        /// What is wrong with it.
        message: String,
        /// The region that was expected, when the region was wrong.
        region: Option<String>,
    },
    /// Neither a valid `x-amz-date` nor a valid `date` header.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    MissingDate,
    /// The time of the request is more than 15 minutes from the server's.
    #[error("The difference between the request time and the current time is too large.")]
    RequestTimeTooSkewed {
        /// Time of the request, `YYYYMMDDTHHMMSSZ`.
        request_time: String,
        /// The server's time, in milliseconds since 1970.
        server_time_ms: u64,
        /// The greatest difference allowed, in milliseconds.
        max_skew_ms: u64,
    },
    /// A presigned URL whose time has passed.
    #[error("Request has expired")]
    ExpiredPresigned {
        /// `X-Amz-Expires`, in seconds.
        expires_seconds: u32,
        /// When it ended, in milliseconds since 1970.
        expired_at_ms: u64,
        /// The server's time, in milliseconds since 1970.
        server_time_ms: u64,
    },
    /// A presigned URL dated more than 15 minutes in the future.
    #[error("Request is not yet valid")]
    PresignedNotYetValid {
        /// Time of the request, `YYYYMMDDTHHMMSSZ`.
        request_time: String,
        /// The server's time, in milliseconds since 1970.
        server_time_ms: u64,
    },
    /// `host` or an `x-amz-*` header is not covered by the signature.
    #[error("There were headers present in the request which were not signed")]
    HeadersNotSigned {
        /// The names of these headers.
        headers: Vec<String>,
    },
    /// `x-amz-content-sha256` is absent where the service demands it.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    MissingContentSha256,
    /// `x-amz-content-sha256` is not one of the values allowed.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a \
         valid sha256 value."
    )]
    InvalidContentSha256,
    /// The body that came is not the one whose hash was declared.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    ContentSha256Mismatch {
        /// The declared hash, lower-case hex.
        client: String,
        /// The computed hash, lower-case hex.
        computed: String,
    },
    /// More than one session token.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// The signature is not the one computed from the request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method."
    )]
    SignatureDoesNotMatch {
        /// The access key id of the request.
        access_key_id: String,
        /// The string the server signed.
        string_to_sign: String,
        /// The canonical request, with the values of secret headers masked; forms have none.
        canonical_request: String,
        /// The signature that came with the request.
        signature_provided: String,
    },
}

/// An authorization scheme this server refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsupportedScheme {
    /// AWS Signature Version 2.
    SigV2,
    /// AWS Signature Version 4A (asymmetric).
    SigV4A,
    /// Anything else.
    Other,
}
