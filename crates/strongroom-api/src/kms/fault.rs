// SPDX-License-Identifier: Apache-2.0
//! The error model of the key service's wire: a type, a message, and the status they go with.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use strongroom_kms::Error;

use crate::error::{S3Code, S3Error};

/// An error on its way to a client of the key service.
#[derive(Debug)]
pub(crate) struct KmsFault {
    /// The type, which decides the HTTP status.
    pub(crate) kind: KmsFaultKind,
    /// What the client reads; never holds a secret.
    pub(crate) message: Cow<'static, str>,
    /// What only the log may know.
    pub(crate) internal: Option<String>,
    /// Whether the key service has recorded the refusal already.
    pub(crate) recorded: bool,
}

impl KmsFault {
    /// A fault with its message.
    pub(crate) fn new(kind: KmsFaultKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            internal: None,
            recorded: false,
        }
    }

    /// A request that this service cannot read.
    pub(crate) fn serialization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(KmsFaultKind::Serialization, message)
    }

    /// A request that breaks a rule the model does not express.
    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(KmsFaultKind::Validation, message)
    }

    /// Something that the key service has and this server does not have yet.
    pub(crate) fn not_yet(what: impl fmt::Display) -> Self {
        Self::new(
            KmsFaultKind::UnsupportedOperation,
            format!("{what} is not available in this version of Strongroom"),
        )
    }

    /// 500 whose cause goes to the log only.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        Self {
            kind: KmsFaultKind::KmsInternal,
            message: Cow::Borrowed("The request was rejected because an internal error occurred."),
            internal: Some(cause.to_string()),
            recorded: false,
        }
    }

    /// HTTP status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }
}

/// The key service's errors, which it records itself before it returns them.
impl From<Error> for KmsFault {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NotFound(_) => KmsFaultKind::NotFound,
            Error::InvalidArn(_) => KmsFaultKind::InvalidArn,
            Error::Disabled { .. } => KmsFaultKind::Disabled,
            Error::InvalidState(_) => KmsFaultKind::KmsInvalidState,
            Error::InvalidKeyUsage(_) => KmsFaultKind::InvalidKeyUsage,
            Error::InvalidCiphertext => KmsFaultKind::InvalidCiphertext,
            Error::IncorrectKey => KmsFaultKind::IncorrectKey,
            Error::AlreadyExists(_) => KmsFaultKind::AlreadyExists,
            Error::InvalidAliasName(_) => KmsFaultKind::InvalidAliasName,
            Error::InvalidMarker => KmsFaultKind::InvalidMarker,
            Error::LimitExceeded(_) => KmsFaultKind::LimitExceeded,
            Error::Tag(_) => KmsFaultKind::Tag,
            Error::UnsupportedOperation(_) => KmsFaultKind::UnsupportedOperation,
            Error::MalformedPolicyDocument(_) => KmsFaultKind::MalformedPolicyDocument,
            Error::InvalidGrantToken => KmsFaultKind::InvalidGrantToken,
            Error::InvalidGrantId(_) => KmsFaultKind::InvalidGrantId,
            Error::InvalidSignature => KmsFaultKind::KmsInvalidSignature,
            Error::InvalidMac => KmsFaultKind::KmsInvalidMac,
            Error::Conflict(_) => KmsFaultKind::Conflict,
            Error::IncorrectKeyMaterial(_) => KmsFaultKind::IncorrectKeyMaterial,
            Error::InvalidImportToken(_) => KmsFaultKind::InvalidImportToken,
            Error::ExpiredImportToken(_) => KmsFaultKind::ExpiredImportToken,
            Error::DryRun => KmsFaultKind::DryRun,
            Error::Validation(_) => KmsFaultKind::Validation,
            Error::AccessDenied { .. } => KmsFaultKind::AccessDenied,
            Error::Corrupted { .. }
            | Error::Store(_)
            | Error::Audit(_)
            | Error::Timeout
            | Error::Internal(_) => {
                return Self {
                    recorded: true,
                    ..Self::internal(error)
                };
            }
        };
        Self {
            recorded: true,
            ..Self::new(kind, error.to_string())
        }
    }
}

/// The edge's refusals of a request's form and signature. The edge speaks S3; here are the same
/// facts in this service's words.
impl From<&S3Error> for KmsFault {
    fn from(error: &S3Error) -> Self {
        let kind = match error.code {
            S3Code::AccessDenied if error.message == S3Code::AccessDenied.default_message() => {
                return Self::new(
                    KmsFaultKind::MissingAuthenticationToken,
                    "Request is missing Authentication Token",
                );
            }
            S3Code::InvalidAccessKeyId | S3Code::InvalidToken => {
                return Self::new(
                    KmsFaultKind::UnrecognizedClient,
                    "The security token included in the request is invalid.",
                );
            }
            S3Code::SignatureDoesNotMatch => {
                return Self::new(
                    KmsFaultKind::InvalidSignature,
                    "The request signature we calculated does not match the signature you \
                     provided. Check your AWS Secret Access Key and signing method. Consult the \
                     service documentation for details.",
                );
            }
            S3Code::AuthorizationHeaderMalformed | S3Code::AuthorizationQueryParametersError => {
                // The scope is complete, but another service's or, where the region is named,
                // another region's.
                let of_another = error.message.starts_with("Credential should be scoped")
                    || error.elements.iter().any(|(name, _)| *name == "Region");
                if of_another {
                    KmsFaultKind::InvalidSignature
                } else {
                    KmsFaultKind::IncompleteSignature
                }
            }
            S3Code::AccessDenied
            | S3Code::RequestTimeTooSkewed
            | S3Code::XAmzContentSha256Mismatch => KmsFaultKind::InvalidSignature,
            S3Code::MaxMessageLengthExceeded
            | S3Code::EntityTooLarge
            | S3Code::RequestHeaderSectionTooLarge => KmsFaultKind::RequestEntityTooLarge,
            S3Code::SlowDown => KmsFaultKind::Throttling,
            // What is left is about the form of an HTTP request, or our own failure.
            other if other.status().is_server_error() => {
                let cause = error.internal.clone();
                return Self {
                    internal: cause,
                    ..Self::internal("")
                };
            }
            _ => KmsFaultKind::Validation,
        };
        Self::new(kind, error.message.clone())
    }
}

impl fmt::Display for KmsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for KmsFault {}

macro_rules! kinds {
    ($($name:ident, $text:literal, $status:ident;)*) => {
        /// The error types of the key service that this server answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum KmsFaultKind { $(#[doc = $text] $name,)* }

        impl KmsFaultKind {
            /// The type on the wire.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its HTTP status.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// Every type, for tests.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

kinds! {
    AccessDenied, "AccessDeniedException", BAD_REQUEST;
    AlreadyExists, "AlreadyExistsException", BAD_REQUEST;
    Conflict, "ConflictException", BAD_REQUEST;
    Disabled, "DisabledException", BAD_REQUEST;
    DryRun, "DryRunOperationException", BAD_REQUEST;
    ExpiredImportToken, "ExpiredImportTokenException", BAD_REQUEST;
    IncompleteSignature, "IncompleteSignature", BAD_REQUEST;
    IncorrectKey, "IncorrectKeyException", BAD_REQUEST;
    IncorrectKeyMaterial, "IncorrectKeyMaterialException", BAD_REQUEST;
    InvalidAliasName, "InvalidAliasNameException", BAD_REQUEST;
    InvalidArn, "InvalidArnException", BAD_REQUEST;
    InvalidCiphertext, "InvalidCiphertextException", BAD_REQUEST;
    InvalidGrantId, "InvalidGrantIdException", BAD_REQUEST;
    InvalidGrantToken, "InvalidGrantTokenException", BAD_REQUEST;
    InvalidImportToken, "InvalidImportTokenException", BAD_REQUEST;
    InvalidKeyUsage, "InvalidKeyUsageException", BAD_REQUEST;
    InvalidMarker, "InvalidMarkerException", BAD_REQUEST;
    InvalidSignature, "InvalidSignatureException", BAD_REQUEST;
    KmsInternal, "KMSInternalException", INTERNAL_SERVER_ERROR;
    KmsInvalidMac, "KMSInvalidMacException", BAD_REQUEST;
    KmsInvalidSignature, "KMSInvalidSignatureException", BAD_REQUEST;
    KmsInvalidState, "KMSInvalidStateException", BAD_REQUEST;
    LimitExceeded, "LimitExceededException", BAD_REQUEST;
    MalformedPolicyDocument, "MalformedPolicyDocumentException", BAD_REQUEST;
    MissingAuthenticationToken, "MissingAuthenticationTokenException", BAD_REQUEST;
    NotFound, "NotFoundException", BAD_REQUEST;
    RequestEntityTooLarge, "RequestEntityTooLargeException", PAYLOAD_TOO_LARGE;
    Serialization, "SerializationException", BAD_REQUEST;
    Tag, "TagException", BAD_REQUEST;
    Throttling, "ThrottlingException", BAD_REQUEST;
    UnknownOperation, "UnknownOperationException", BAD_REQUEST;
    UnrecognizedClient, "UnrecognizedClientException", BAD_REQUEST;
    UnsupportedOperation, "UnsupportedOperationException", BAD_REQUEST;
    Validation, "ValidationException", BAD_REQUEST;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_service() {
        for kind in KmsFaultKind::ALL {
            let expected = match kind {
                KmsFaultKind::KmsInternal => 500,
                KmsFaultKind::RequestEntityTooLarge => 413,
                _ => 400,
            };
            assert_eq!(kind.status().as_u16(), expected, "{}", kind.as_str());
        }
    }

    #[test]
    fn refusals_of_the_edge_have_the_words_of_the_service() {
        let table = [
            (
                S3Error::from_code(S3Code::AccessDenied),
                "MissingAuthenticationTokenException",
            ),
            (
                S3Error::new(S3Code::AccessDenied, "Request has expired"),
                "InvalidSignatureException",
            ),
            (
                S3Error::from_code(S3Code::InvalidAccessKeyId),
                "UnrecognizedClientException",
            ),
            (
                S3Error::from_code(S3Code::InvalidToken),
                "UnrecognizedClientException",
            ),
            (
                S3Error::from_code(S3Code::SignatureDoesNotMatch),
                "InvalidSignatureException",
            ),
            (
                S3Error::from_code(S3Code::RequestTimeTooSkewed),
                "InvalidSignatureException",
            ),
            (
                S3Error::from_code(S3Code::AuthorizationHeaderMalformed),
                "IncompleteSignature",
            ),
            (
                S3Error::new(
                    S3Code::AuthorizationHeaderMalformed,
                    "Credential should be scoped to correct service: 'kms'.",
                ),
                "InvalidSignatureException",
            ),
            (
                S3Error::from_code(S3Code::AuthorizationHeaderMalformed).with("Region", "x"),
                "InvalidSignatureException",
            ),
            (
                S3Error::from_code(S3Code::MaxMessageLengthExceeded),
                "RequestEntityTooLargeException",
            ),
            (
                S3Error::from_code(S3Code::IncompleteBody),
                "ValidationException",
            ),
            (S3Error::from_code(S3Code::SlowDown), "ThrottlingException"),
            (S3Error::unavailable("planted"), "KMSInternalException"),
            (S3Error::internal("planted"), "KMSInternalException"),
        ];
        for (error, kind) in table {
            let fault = KmsFault::from(&error);
            assert_eq!(fault.kind.as_str(), kind, "{error}");
            assert!(
                !fault.message.contains("planted") && !fault.recorded,
                "{error}"
            );
        }
    }

    #[test]
    fn signatures_in_detail_stay_out_of_the_answer() {
        let error = S3Error::from_code(S3Code::SignatureDoesNotMatch)
            .with("StringToSign", "AWS4-HMAC-SHA256 planted");
        assert!(!KmsFault::from(&error).message.contains("planted"));
    }
}
