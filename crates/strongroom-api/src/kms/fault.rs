// SPDX-License-Identifier: Apache-2.0
//! The error model of the key service's wire: a type, a message, and the status they go with.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

/// An error on its way to a client of the key service.
#[derive(Debug)]
pub(crate) struct KmsFault {
    /// The type, which decides the HTTP status.
    pub(crate) kind: KmsFaultKind,
    /// What the client reads; never holds a secret.
    pub(crate) message: Cow<'static, str>,
    /// What only the log may know.
    pub(crate) internal: Option<String>,
}

impl KmsFault {
    /// A fault with its message.
    pub(crate) fn new(kind: KmsFaultKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), internal: None }
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
        }
    }

    /// HTTP status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
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
    DependencyTimeout, "DependencyTimeoutException", SERVICE_UNAVAILABLE;
    Disabled, "DisabledException", BAD_REQUEST;
    ExpiredToken, "ExpiredTokenException", BAD_REQUEST;
    IncompleteSignature, "IncompleteSignature", BAD_REQUEST;
    IncorrectKey, "IncorrectKeyException", BAD_REQUEST;
    InvalidAliasName, "InvalidAliasNameException", BAD_REQUEST;
    InvalidArn, "InvalidArnException", BAD_REQUEST;
    InvalidCiphertext, "InvalidCiphertextException", BAD_REQUEST;
    InvalidGrantToken, "InvalidGrantTokenException", BAD_REQUEST;
    InvalidKeyUsage, "InvalidKeyUsageException", BAD_REQUEST;
    InvalidMarker, "InvalidMarkerException", BAD_REQUEST;
    InvalidSignature, "InvalidSignatureException", BAD_REQUEST;
    KeyUnavailable, "KeyUnavailableException", INTERNAL_SERVER_ERROR;
    KmsInternal, "KMSInternalException", INTERNAL_SERVER_ERROR;
    KmsInvalidState, "KMSInvalidStateException", BAD_REQUEST;
    LimitExceeded, "LimitExceededException", BAD_REQUEST;
    MissingAuthenticationToken, "MissingAuthenticationTokenException", BAD_REQUEST;
    NotFound, "NotFoundException", BAD_REQUEST;
    RequestEntityTooLarge, "RequestEntityTooLargeException", PAYLOAD_TOO_LARGE;
    Serialization, "SerializationException", BAD_REQUEST;
    Throttling, "ThrottlingException", BAD_REQUEST;
    UnknownOperation, "UnknownOperationException", BAD_REQUEST;
    UnrecognizedClient, "UnrecognizedClientException", BAD_REQUEST;
    UnsupportedOperation, "UnsupportedOperationException", BAD_REQUEST;
    Validation, "ValidationException", BAD_REQUEST;
}
