// SPDX-License-Identifier: Apache-2.0
//! The aws-chunked body framing, decoded incrementally.
//!
//! ```text
//! 10000;chunk-signature=<64 hex>\r\n  <65,536 bytes>  \r\n
//! 0;chunk-signature=<64 hex>\r\n
//! x-amz-checksum-crc32c:sOO8/Q==\r\n          only in the two trailer modes
//! x-amz-trailer-signature:<64 hex>\r\n        only with signed chunks
//! \r\n
//! ```
//!
//! Each signature covers the one before it, the first one the signature of the request, so that
//! chunks can be neither swapped nor dropped nor taken from another upload. Data is handed out
//! before its chunk is complete; the caller must not commit anything before [`Event::End`].
//!
//! Cf. "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
//! Chunks" and "... Including Trailing Headers" in the Amazon S3 API reference.

mod decoder;
mod encode;
mod error;
mod header;
mod signer;
mod trailer;

pub use decoder::{ChunkDecoder, Event, Step};
pub use encode::encode_body;
pub use error::ChunkError;
pub use signer::ChunkSigner;

/// The three framings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkMode {
    /// Signed chunks, no trailer.
    Signed,
    /// Signed chunks and a signed trailer.
    SignedTrailer,
    /// Unsigned chunks and an unsigned trailer.
    UnsignedTrailer,
}

impl ChunkMode {
    /// Whether chunks carry signatures.
    pub fn is_signed(self) -> bool {
        match self {
            Self::Signed | Self::SignedTrailer => true,
            Self::UnsignedTrailer => false,
        }
    }

    /// Whether trailer lines may follow the last chunk.
    pub fn has_trailer(self) -> bool {
        match self {
            Self::SignedTrailer | Self::UnsignedTrailer => true,
            Self::Signed => false,
        }
    }
}

/// Reads `x-amz-decoded-content-length`: decimal digits and nothing else.
pub fn parse_decoded_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
