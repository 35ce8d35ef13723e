// SPDX-License-Identifier: Apache-2.0
//! Why a request was not authenticated, or a change of users not made.

use strongroom_wire::SigV4Error;

/// Why a request has no [`crate::Caller`].
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Missing, malformed, expired or wrong: see the inner error.
    #[error(transparent)]
    Signature(#[from] SigV4Error),
    /// The access key id is nobody's. S3: 403 `InvalidAccessKeyId`; KMS and IAM: 400
    /// `UnrecognizedClientException`.
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    InvalidAccessKeyId {
        /// The id of the request.
        access_key_id: String,
    },
    /// A session token where none belongs: there are no temporary credentials here. S3: 400
    /// `InvalidToken`; KMS and IAM: 400 `UnrecognizedClientException`.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken {
        /// The id of the request.
        access_key_id: String,
    },
}

/// Why a change of users was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The caller's side.
    /// A user name outside of IAM's rules. IAM: `ValidationError`.
    #[error("user name `{name}` is invalid: 1 to 64 characters of letters, digits and _+=,.@-")]
    InvalidUserName {
        /// The name asked for, cut to 128 characters.
        name: String,
    },
    /// The name is taken; names differ in more than case. IAM: `EntityAlreadyExists`.
    #[error("user with name `{name}` already exists")]
    UserExists {
        /// The name.
        name: String,
    },
    /// No such user. IAM: `NoSuchEntity`.
    #[error("the user with name `{name}` cannot be found")]
    NoSuchUser {
        /// The name.
        name: String,
    },
    /// The user has no identity policy. IAM: `NoSuchEntity`.
    #[error("user `{name}` has no identity policy")]
    NoSuchUserPolicy {
        /// The user.
        name: String,
    },
    /// A document that is no identity policy. IAM: `MalformedPolicyDocument`.
    #[error("the policy is not valid: {reason}")]
    MalformedPolicy {
        /// Where and why.
        reason: String,
    },
    /// A policy longer than IAM takes. IAM: `LimitExceeded`.
    #[error(
        "the policy is longer than 6144 characters without white space, or than 20480 bytes with it"
    )]
    PolicyTooLong,
    /// No such access key of this user. IAM: `NoSuchEntity`.
    #[error("the access key with id `{access_key_id}` cannot be found")]
    NoSuchAccessKey {
        /// The id.
        access_key_id: String,
    },
    /// The user has two access keys already. IAM: `LimitExceeded`.
    #[error("user `{name}` cannot have more than 2 access keys")]
    TooManyAccessKeys {
        /// The user.
        name: String,
    },
    /// More users than this form keeps in memory. IAM: `LimitExceeded`.
    #[error("the account cannot have more users")]
    TooManyUsers,
    /// An account id that is not twelve digits.
    #[error("account id `{account_id}` is not twelve digits")]
    InvalidAccountId {
        /// What was configured.
        account_id: String,
    },

    // Storage.
    /// The store failed; nothing changed.
    #[error("identity tables: {0}")]
    Store(#[from] strongroom_store::Error),
    /// The store failed while committing: the change may be there after the next start.
    #[error("identity tables: the outcome of the change is unknown")]
    OutcomeUnknown,
    /// A stored user or access key cannot be read.
    #[error("identity row is damaged: {place}")]
    Corrupted {
        /// Which table, and what is wrong.
        place: &'static str,
    },
    /// The access key id that was given to root is that of a user's key.
    #[error(
        "the access key id of the root user is that of a key of a user; give the root user another one \
         (STRONGROOM_ROOT_ACCESS_KEY_ID)"
    )]
    RootKeyOfUser,
    /// The event could not be recorded.
    #[error(transparent)]
    Audit(#[from] strongroom_audit::Error),

    // Ours.
    /// The system's random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
    /// The task that made the change stopped.
    #[error("the change was interrupted")]
    Interrupted,
}

impl Error {
    /// The error code of IAM's API and of the audit event.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidUserName { .. } | Self::InvalidAccountId { .. } => "ValidationError",
            Self::UserExists { .. } => "EntityAlreadyExists",
            Self::NoSuchUser { .. }
            | Self::NoSuchUserPolicy { .. }
            | Self::NoSuchAccessKey { .. } => "NoSuchEntity",
            Self::MalformedPolicy { .. } => "MalformedPolicyDocument",
            Self::TooManyAccessKeys { .. } | Self::TooManyUsers | Self::PolicyTooLong => {
                "LimitExceeded"
            }
            Self::Store(_)
            | Self::OutcomeUnknown
            | Self::Corrupted { .. }
            | Self::RootKeyOfUser
            | Self::Audit(_)
            | Self::Random
            | Self::Interrupted => "ServiceFailure",
        }
    }
}

/// Why a root credential is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The id is not 3 to 128 characters of letters, digits and `-_.`.
    #[error("the access key id must be 3 to 128 characters of letters, digits and -_.")]
    MalformedId,
    /// The secret is shorter than 16 characters.
    #[error("the secret access key must have at least 16 characters")]
    SecretTooShort,
    /// The secret is longer than 128 characters or has characters other than printable ASCII.
    #[error("the secret access key must be at most 128 printable ASCII characters without spaces")]
    MalformedSecret,
    /// A credential out of a manual or another product's default.
    #[error("this credential is a published default: choose another one")]
    WellKnown,
    /// The secret says nothing that the id does not say.
    #[error("the secret access key must differ from the access key id")]
    SecretIsId,
    /// The system's random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
}
