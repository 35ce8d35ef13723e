// SPDX-License-Identifier: Apache-2.0
//! Why an object cannot be sealed or opened.
//!
//! The kinds differ where a caller acts differently: an object that was never encrypted, one that
//! somebody changed, a key that is another's, a context that is another's, a key service that
//! refused. Within "it does not open" nothing is told apart, since the difference between two ways
//! of failing is what padding oracles are made of.

/// Why an operation on a client-side encrypted object failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing about the object says that it was encrypted by a client of this family, and it
    /// has no instruction file. Its bytes are never handed out as if they were plaintext.
    #[error("the object is not encrypted by a client, or its instruction file is missing")]
    NotEncrypted,
    /// What describes the encryption is not what any client writes: changed, mixed or cut.
    #[error("the envelope of the object was tampered with or is damaged: {0}")]
    Envelope(&'static str),
    /// The object's format, wrap or cipher is refused by the settings of this client.
    #[error("the object is {what}; {remedy}")]
    Refused {
        /// What the object is.
        what: &'static str,
        /// Which setting would accept it.
        remedy: &'static str,
    },
    /// No key of the keyring is the one that wrapped the object's data key.
    #[error("no key of the keyring opens the object's data key")]
    WrongKey,
    /// A materials description that no key of the keyring is registered under.
    #[error("no key of the keyring is registered for the materials description {0}")]
    UnknownDescription(String),
    /// The encryption context given by the caller is not the one the object was sealed under.
    #[error("the encryption context is not the one that the object was sealed under")]
    WrongContext,
    /// The key service refused or failed.
    #[error("the key service: {0}")]
    KeyService(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The data key is not the one that the object was sealed with: its commitment differs.
    #[error("the object's data key is not the one that it was sealed with")]
    Commitment,
    /// The content does not open: changed, cut or sealed by another key.
    #[error("the object does not open: it was changed, cut, or sealed by another key")]
    Content,
    /// More than one GCM message may have: 2^36 - 32 bytes.
    #[error("an object of more than 68,719,476,704 bytes cannot be encrypted by a client")]
    TooLong,
    /// A range that the object does not have.
    #[error("the range is outside the object")]
    Range,
    /// Settings, keys or contexts that make no sense.
    #[error("{0}")]
    Config(&'static str),
    /// The object store refused or failed.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    Transport(#[from] crate::transport::TransportError),
    /// The object is another one than it was when its reading, copying or re-wrapping began.
    #[cfg(feature = "s3")]
    #[error("the object was changed by somebody meanwhile")]
    Changed,
    /// The plaintext is another one than when the upload began. A part is encrypted once only,
    /// so such an upload does not go on.
    #[cfg(feature = "s3")]
    #[error("the source was changed since the upload began; begin a new upload")]
    SourceChanged {
        /// The part that is another one; `None` if only the file's size or time shows it.
        part: Option<u32>,
    },
    /// The record of an interrupted upload is damaged, or another upload's.
    #[cfg(feature = "s3")]
    #[error("the record of the interrupted upload cannot be used: {0}")]
    State(&'static str),
    /// Reading the source, or writing the result, the record or a temporary file.
    #[cfg(feature = "s3")]
    #[error("input and output: {0}")]
    Io(#[from] std::io::Error),
    /// The system's cryptographic module failed.
    #[error("the cryptographic module failed")]
    Module,
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Module
    }
}

#[cfg(feature = "s3")]
impl Error {
    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        use crate::transport::TransportErrorKind::NotFound;
        matches!(self, Self::Transport(error) if error.kind == NotFound)
    }
}
