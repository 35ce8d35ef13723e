// SPDX-License-Identifier: Apache-2.0
//! Errors: one variant for each exception of the AWS interface, with its message, and what is our
//! own fault.
//!
//! Messages of the first group are AWS's own words, as clients match on them.

use strongroom_iam::AccessDenied;

/// Why an operation of the key service did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // ---- the caller ----
    /// No such key or alias, or not a key identifier.
    #[error("{0}")]
    NotFound(String),
    /// An ARN that is not one of a KMS key or alias.
    #[error("{0}")]
    InvalidArn(String),
    /// The key is disabled.
    #[error("{arn} is disabled.")]
    Disabled {
        /// Key ARN.
        arn: String,
    },
    /// The key's state forbids the operation.
    #[error("{0}")]
    InvalidState(String),
    /// The key is for something else.
    #[error("{0}")]
    InvalidKeyUsage(String),
    /// The ciphertext, or the encryption context with it, is not what was encrypted. AWS sends an
    /// empty message.
    #[error("")]
    InvalidCiphertext,
    /// The ciphertext is of another key than the one asked for.
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    /// An alias of that name exists.
    #[error("{0}")]
    AlreadyExists(String),
    /// A name that no alias may have.
    #[error("{0}")]
    InvalidAliasName(String),
    /// Not a marker of an earlier page.
    #[error("The marker is not valid.")]
    InvalidMarker,
    /// A quota.
    #[error("{0}")]
    LimitExceeded(String),
    /// Tags that no key may have.
    #[error("{0}")]
    Tag(String),
    /// Known to AWS, not offered here.
    #[error("{0}")]
    UnsupportedOperation(String),
    /// A key policy that is not one.
    #[error("{0}")]
    MalformedPolicyDocument(String),
    /// A grant token that no grant has.
    #[error("The grant token is not valid.")]
    InvalidGrantToken,
    /// A grant id that no grant of the key has.
    #[error("{0}")]
    InvalidGrantId(String),
    /// A signature that does not verify. AWS sends an empty message.
    #[error("")]
    InvalidSignature,
    /// A message authentication code that does not verify. AWS sends an empty message.
    #[error("")]
    InvalidMac,
    /// A rotation is under way already.
    #[error("{0}")]
    Conflict(String),
    /// Imported material is not the material of that version.
    #[error("{0}")]
    IncorrectKeyMaterial(String),
    /// An import token that was not made here, or for another key.
    #[error("{0}")]
    InvalidImportToken(String),
    /// An import token older than a day.
    #[error("{0}")]
    ExpiredImportToken(String),
    /// A dry run that would have succeeded.
    #[error("The request would have succeeded, but the DryRun option is set.")]
    DryRun,
    /// A parameter out of its bounds.
    #[error("{0}")]
    Validation(String),
    /// `authorize` said no.
    #[error("{0}")]
    AccessDenied(AccessDenied),

    // ---- storage and us ----
    /// A stored record is not what was written.
    #[error("stored data is damaged: {what}")]
    Corrupted {
        /// Which record.
        what: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] strongroom_store::Error),
    /// The audit trail could not be written.
    #[error(transparent)]
    Audit(#[from] strongroom_audit::Error),
    /// S3 waited as long as it does.
    #[error("the key service took too long")]
    Timeout,
    /// The operating system or the cryptographic module refused.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Error {
    /// The exception's name on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NotFound(_) => "NotFoundException",
            Error::InvalidArn(_) => "InvalidArnException",
            Error::Disabled { .. } => "DisabledException",
            Error::InvalidState(_) => "KMSInvalidStateException",
            Error::InvalidKeyUsage(_) => "InvalidKeyUsageException",
            Error::InvalidCiphertext => "InvalidCiphertextException",
            Error::IncorrectKey => "IncorrectKeyException",
            Error::AlreadyExists(_) => "AlreadyExistsException",
            Error::InvalidAliasName(_) => "InvalidAliasNameException",
            Error::InvalidMarker => "InvalidMarkerException",
            Error::LimitExceeded(_) => "LimitExceededException",
            Error::Tag(_) => "TagException",
            Error::UnsupportedOperation(_) => "UnsupportedOperationException",
            Error::MalformedPolicyDocument(_) => "MalformedPolicyDocumentException",
            Error::InvalidGrantToken => "InvalidGrantTokenException",
            Error::InvalidGrantId(_) => "InvalidGrantIdException",
            Error::InvalidSignature => "KMSInvalidSignatureException",
            Error::InvalidMac => "KMSInvalidMacException",
            Error::Conflict(_) => "ConflictException",
            Error::IncorrectKeyMaterial(_) => "IncorrectKeyMaterialException",
            Error::InvalidImportToken(_) => "InvalidImportTokenException",
            Error::ExpiredImportToken(_) => "ExpiredImportTokenException",
            Error::DryRun => "DryRunOperationException",
            Error::Validation(_) => "ValidationException",
            Error::AccessDenied { .. } => "AccessDeniedException",
            Error::Timeout => "DependencyTimeoutException",
            Error::Corrupted { .. } | Error::Store(_) | Error::Audit(_) | Error::Internal(_) => {
                "KMSInternalException"
            }
        }
    }

    /// Whether the fault is ours: such an error answers 500, without its message.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Error::Corrupted { .. }
                | Error::Store(_)
                | Error::Audit(_)
                | Error::Timeout
                | Error::Internal(_)
        )
    }

    /// Whether stored bytes are not what was written.
    pub(crate) fn is_corruption(&self) -> bool {
        match self {
            Error::Corrupted { .. } => true,
            Error::Store(error) => error.is_corruption(),
            _ => false,
        }
    }

    /// AWS's form of a refused parameter.
    pub(crate) fn constraint(value: impl std::fmt::Display, member: &str, must: &str) -> Error {
        Error::Validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy \
             constraint: Member must {must}"
        ))
    }
}
