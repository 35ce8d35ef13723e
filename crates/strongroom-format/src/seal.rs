// SPDX-License-Identifier: Apache-2.0
//! Seals one body, segment by segment, in buffers the caller owns.

use core::fmt;

use crate::body::{BodyContext, FloeHeader, Layer};
use crate::error::SealError;
use crate::floe::{self, SealingMessage};
use crate::key::PayloadKey;
use crate::open::BODY_PARAMS;
use crate::primitives::AwsLc;
use crate::range::{BODY_SEGMENTS_MAX, SEGMENT_OVERHEAD_BYTES};

/// The sealing half of one body.
///
/// Takes `&self` and is `Sync`: segments may be sealed in parallel and in any order.
///
/// The caller must seal each index once, must mark exactly the last one final, and must store the
/// header; a second sealing of an index would leave two segments that are both valid there.
pub struct Sealer {
    message: SealingMessage<AwsLc>,
    header: FloeHeader,
}

impl Sealer {
    /// Starts a body. `iv` must be 32 bytes of the cryptographic module's generator that are used
    /// for nothing else.
    #[must_use]
    pub fn new(key: &PayloadKey, ctx: &BodyContext, iv: [u8; 32]) -> Self {
        let message = SealingMessage::start(
            key.expose_secret(),
            BODY_PARAMS,
            &iv,
            &ctx.aad(Layer::Inner),
        );
        let header = FloeHeader::from_bytes(*message.header());
        Self { message, header }
    }

    /// The header to store beside the body.
    pub fn header(&self) -> &FloeHeader {
        &self.header
    }

    /// Seals one whole segment in place.
    ///
    /// `buf` is `marker 4 | nonce 12 | plaintext | tag 16`, with the plaintext in place and the rest
    /// of any content. A segment that is not final is exactly `SEGMENT_SEALED_BYTES` long; the final
    /// one holds at least one byte of plaintext, unless it is the only one.
    //= docs/spec/object-format.md#the-body
    //# Every segment that is not final holds exactly 65,536 bytes of plaintext; the final segment holds 1 to 65,536, or 0 if it is the only one.
    pub fn seal_in_place(
        &self,
        index: u64,
        is_final: bool,
        buf: &mut [u8],
    ) -> Result<(), SealError> {
        if index >= BODY_SEGMENTS_MAX {
            return Err(SealError::SegmentIndex { index });
        }
        let is_empty = u32::try_from(buf.len()).is_ok_and(|len| len <= SEGMENT_OVERHEAD_BYTES);
        if is_empty && index > 0 {
            return Err(SealError::SegmentLength { len: buf.len() });
        }
        self.message.seal(index, is_final, buf)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// Marker and nonce, before the plaintext of a segment.
pub const SEGMENT_PREFIX_BYTES: usize = 16;
/// The tag, after the plaintext of a segment.
pub const SEGMENT_TAG_BYTES: usize = 16;

const _: () = {
    assert!(SEGMENT_PREFIX_BYTES == floe::MARKER_BYTES + crate::aead::NONCE_BYTES);
    assert!(SEGMENT_TAG_BYTES == crate::aead::TAG_BYTES);
    assert!(SEGMENT_PREFIX_BYTES + SEGMENT_TAG_BYTES == 32);
    assert!(SEGMENT_OVERHEAD_BYTES == floe::OVERHEAD_BYTES && SEGMENT_OVERHEAD_BYTES == 32);
};
