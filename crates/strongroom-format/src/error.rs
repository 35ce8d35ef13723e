// SPDX-License-Identifier: Apache-2.0
//! Errors, grouped by whose fault they are.
//!
//! [`SealError`] is the calling code's fault, [`ParseError`] means stored or received bytes are not
//! in the format, [`OpenError`] says nothing but "no": which check refused is an oracle.

/// Sealed data did not open. Deliberately carries no cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data did not open")]
pub struct OpenError;

/// Why nothing was sealed. The caller broke an obligation, or the cryptographic module refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The buffer is not as long as a segment at this place of a body must be.
    #[error("segment buffer of {len} bytes is not allowed here")]
    SegmentLength {
        /// Length of the refused buffer.
        len: usize,
    },
    /// The segment lies outside the largest body.
    #[error("segment index {index} is beyond the largest body")]
    SegmentIndex {
        /// The refused index.
        index: u64,
    },
    /// A field is longer than its length prefix or its limit.
    #[error("{field} is too long")]
    TooLong {
        /// Name of the field in the specification.
        field: &'static str,
    },
    /// A list that must hold each name once holds one twice.
    #[error("{field} is given twice")]
    Duplicate {
        /// Name of the field in the specification.
        field: &'static str,
    },
    /// The combination of mode, flags and reference has no meaning in this version.
    #[error("{field} is not allowed in this encryption mode")]
    NotAllowed {
        /// Name of the field in the specification.
        field: &'static str,
    },
    /// The cryptographic module refused to seal (for example: no randomness).
    #[error("cryptographic module refused to seal")]
    Module,
}

/// Why bytes are not in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The input ends before the structure does, or is no multiple of a row.
    #[error("input is too short or cut")]
    Truncated,
    /// The input is longer than the structure, or than the structure may be.
    #[error("input is too long")]
    TooLong,
    /// The first bytes are not those of this structure.
    #[error("not a structure of this kind")]
    Magic,
    /// The version is not known.
    #[error("unknown version {0}")]
    Version(u8),
    /// The suite or algorithm is not known.
    #[error("unknown suite {0}")]
    Suite(u8),
    /// A field has a value the format does not allow.
    #[error("{field} has a value that is not allowed")]
    Value {
        /// Name of the field in the specification.
        field: &'static str,
    },
}

/// Why an object key was not unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The record commits to another external key. For SSE-C this is the caller's mistake.
    #[error("the key is not the one the record was sealed with")]
    WrongKey,
    /// The key is right and the record, or what it is bound to, was changed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Why a pair was not taken into an encryption context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The name or value does not fit its two-byte length, or the whole is too long.
    #[error("encryption context is too long")]
    TooLong,
    /// The name is there already.
    #[error("encryption context name is given twice")]
    Duplicate,
}
