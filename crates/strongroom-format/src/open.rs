// SPDX-License-Identifier: Apache-2.0
//! Opens one body, segment by segment, in buffers the caller owns.

use core::fmt;

use crate::body::{BodyContext, FloeHeader, Layer};
use crate::error::OpenError;
use crate::floe::{OpeningMessage, Params};
use crate::key::PayloadKey;
use crate::primitives::AwsLc;
use crate::range::{BODY_PLAIN_BYTES_MAX, SEGMENT_SEALED_BYTES, segment_count, segment_sealed_len};

/// The opening half of one body. Exists only if the header is authentic for the key and the place.
///
/// Takes `&self` and is `Sync`: segments may be opened in parallel and in any order.
pub struct Opener {
    message: OpeningMessage<AwsLc>,
    plain_bytes: u64,
}

impl Opener {
    /// Checks the header and takes the authenticated size of the body.
    ///
    /// `plain_bytes` must come from what the sealed-key record binds (the object's size, or the row
    /// of the part table), never from the length of a file.
    //= docs/spec/object-format.md#the-body
    //# Whether a segment is final, and how long it is, MUST be derived from the authenticated plaintext size, never from the length of stored data.
    pub fn new(
        key: &PayloadKey,
        ctx: &BodyContext,
        header: &FloeHeader,
        plain_bytes: u64,
    ) -> Result<Self, OpenError> {
        if plain_bytes > BODY_PLAIN_BYTES_MAX {
            return Err(OpenError);
        }
        let key = key.expose_secret();
        let message =
            OpeningMessage::resume(key, BODY_PARAMS, header.as_bytes(), &ctx.aad(Layer::Inner))?;
        Ok(Self {
            message,
            plain_bytes,
        })
    }

    /// Opens one whole segment in place and returns its plaintext, a part of `buf`.
    ///
    /// After an error `buf` holds zeros only.
    //= docs/spec/object-format.md#the-body
    //# A reader MUST NOT release any byte of a segment before the tag of that segment is verified.
    pub fn open_in_place<'a>(
        &self,
        index: u64,
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let is_expected_length = segment_sealed_len(self.plain_bytes, index)
            .is_some_and(|expected| u32::try_from(buf.len()) == Ok(expected));
        if !is_expected_length {
            buf.fill(0);
            return Err(OpenError);
        }
        let is_final = index.saturating_add(1) == segment_count(self.plain_bytes);
        self.message.open(index, is_final, buf)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

/// The parameters of every body, and of the inner layer of two.
pub(crate) const BODY_PARAMS: Params = Params {
    enc_seg_len: SEGMENT_SEALED_BYTES,
    rotation_bits: 20,
};
