// SPDX-License-Identifier: Apache-2.0
//! Why an aws-chunked body was refused.

/// Every refusal of an aws-chunked body. All of them are the client's fault but
/// [`ChunkError::MissingSigner`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The body ended before its last line. S3: `IncompleteBody`.
    #[error("the body ended before the last chunk and trailer")]
    IncompleteBody,
    /// The chunks carry more or fewer bytes than `x-amz-decoded-content-length`.
    /// S3: `IncompleteBody`.
    #[error("the chunks do not carry the {expected} bytes of x-amz-decoded-content-length")]
    DecodedLengthMismatch {
        /// The declared number of bytes.
        expected: u64,
    },
    /// The size line of a chunk cannot be read. S3: `InvalidRequest`.
    #[error("the header of chunk {chunk} is malformed")]
    MalformedChunkHeader {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// A chunk extension other than `chunk-signature`, or one where none may be.
    /// S3: `InvalidRequest`.
    #[error("chunk {chunk} has an extension that is not known here")]
    UnknownExtension {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// The data of a chunk is not followed by a line end: its size is a lie.
    /// S3: `IncompleteBody`.
    #[error("the data of chunk {chunk} is longer than its size")]
    ChunkSizeMismatch {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// A chunk that others follow is smaller than it may be. S3: `InvalidChunkSizeError`.
    #[error("chunk {chunk} comes after one of {size} bytes only")]
    ChunkTooSmall {
        /// Number of the chunk that came after it, from 0.
        chunk: u64,
        /// Size of the small one, bytes.
        size: u64,
    },
    /// A line is longer than any valid one. S3: `InvalidRequest`.
    #[error("a line of the chunked body is too long")]
    LineTooLong,
    /// The signature of a chunk or of the trailer is missing or wrong.
    /// S3: `SignatureDoesNotMatch`.
    #[error("the signature of chunk {chunk} does not match")]
    SignatureDoesNotMatch {
        /// Number of the chunk, from 0; the trailer counts as one more.
        chunk: u64,
    },
    /// A trailer line cannot be read, or has no place there. S3: `MalformedTrailerError`.
    #[error("the trailer is malformed")]
    MalformedTrailer,
    /// A trailer that `x-amz-trailer` did not announce. S3: `MalformedTrailerError`.
    #[error("a trailer was sent that was not announced")]
    TrailerNotAnnounced,
    /// An announced trailer that did not come. S3: `MalformedTrailerError`.
    #[error("the trailer `{name}` was announced and not sent")]
    TrailerNotSent {
        /// Its name.
        name: String,
    },
    /// `x-amz-trailer` names something else than one `x-amz-checksum-*`. S3: `InvalidRequest`.
    #[error("x-amz-trailer must name one x-amz-checksum- header")]
    InvalidAnnouncement,
    /// Bytes after the end of the body. S3: `IncompleteBody`.
    #[error("there are bytes after the end of the chunked body")]
    TrailingBytes,
    /// The caller passed no signer for a signed framing, or one for an unsigned framing.
    #[error("the chunk signer does not go with the framing")]
    MissingSigner,
}
