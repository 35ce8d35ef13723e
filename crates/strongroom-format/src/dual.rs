// SPDX-License-Identifier: Apache-2.0
//! Two layers around one body: each sealed segment is the plaintext of one segment of another FLOE
//! message, under a key that has nothing to do with the first, sealed by the second implementation.
//!
//! ```text
//! outer   marker 4 | nonce 12 | ----------------- ciphertext ----------------- | tag 16
//! inner                         marker 4 | nonce 12 | ciphertext      | tag 16
//! plaintext                                           up to 65,536
//! ```
//!
//! Segments of the layers are the same, one to one: same index, same last one. So a range needs no
//! more of them than under one layer, and each is sealed and opened in place, inner layer first
//! when sealing and last when opening.

use core::fmt;

use crate::body::{BodyContext, FloeHeader, Layer};
use crate::error::{OpenError, SealError};
use crate::floe::{OpeningMessage, Params, SealingMessage};
use crate::key::{OuterPayloadKey, PayloadKey};
use crate::open::{BODY_PARAMS, Opener};
use crate::primitives::RustCrypto;
use crate::range::{
    BODY_PLAIN_BYTES_MAX, DUAL_SEGMENT_SEALED_BYTES, SEGMENT_OVERHEAD_BYTES, segment_count,
    segment_sealed_len,
};
use crate::seal::{SEGMENT_PREFIX_BYTES, SEGMENT_TAG_BYTES, Sealer};

/// The sealing half of one body under two layers. The caller has the obligations of [`Sealer`].
pub struct DualSealer {
    inner: Sealer,
    outer: SealingMessage<RustCrypto>,
    outer_header: FloeHeader,
}

impl DualSealer {
    /// Starts a body. `ivs`, inner and outer, must each be 32 bytes of the cryptographic module's
    /// generator that are used for nothing else.
    #[must_use]
    pub fn new(
        inner: &PayloadKey,
        outer: &OuterPayloadKey,
        ctx: &BodyContext,
        ivs: [[u8; 32]; 2],
    ) -> Self {
        let [inner_iv, outer_iv] = ivs;
        let aad = ctx.aad(Layer::Outer);
        let message = SealingMessage::start(outer.expose_secret(), OUTER_PARAMS, &outer_iv, &aad);
        Self {
            inner: Sealer::new(inner, ctx, inner_iv),
            outer_header: FloeHeader::from_bytes(*message.header()),
            outer: message,
        }
    }

    /// The inner header, to store beside the body.
    pub fn header(&self) -> &FloeHeader {
        self.inner.header()
    }

    /// The outer header, to store beside the body.
    pub fn outer_header(&self) -> &FloeHeader {
        &self.outer_header
    }

    /// Seals one whole segment in place, twice.
    ///
    /// `buf` is `prefix 32 | plaintext | tags 32`, with the plaintext in place and the rest of any
    /// content. A segment that is not final is exactly [`DUAL_SEGMENT_SEALED_BYTES`] long. After an
    /// error `buf` must not be stored.
    //= docs/spec/object-format.md#dual-layer-encryption
    //# Segment i of the outer layer is the seal of segment i of the inner layer, whole, and is final if and only if that is.
    pub fn seal_in_place(
        &self,
        index: u64,
        is_final: bool,
        buf: &mut [u8],
    ) -> Result<(), SealError> {
        let refused = SealError::SegmentLength { len: buf.len() };
        let segment = within(buf).ok_or(refused)?;
        self.inner.seal_in_place(index, is_final, segment)?;
        self.outer.seal(index, is_final, buf)
    }
}

/// Opens the outer layer of one body: what comes out are sealed segments.
pub struct OuterOpener {
    message: OpeningMessage<RustCrypto>,
    plain_bytes: u64,
}

impl OuterOpener {
    /// Checks the outer header. `plain_bytes` as for [`Opener::new`].
    pub fn new(
        key: &OuterPayloadKey,
        ctx: &BodyContext,
        header: &FloeHeader,
        plain_bytes: u64,
    ) -> Result<Self, OpenError> {
        if plain_bytes > BODY_PLAIN_BYTES_MAX {
            return Err(OpenError);
        }
        let (key, aad) = (key.expose_secret(), ctx.aad(Layer::Outer));
        let message = OpeningMessage::resume(key, OUTER_PARAMS, header.as_bytes(), &aad)?;
        Ok(Self {
            message,
            plain_bytes,
        })
    }

    /// Opens one whole segment in place and returns the sealed segment of the inner layer, a part
    /// of `buf`. After an error `buf` holds zeros only.
    pub fn open_in_place<'a>(
        &self,
        index: u64,
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let expected = segment_sealed_len(self.plain_bytes, index)
            .and_then(|inner| inner.checked_add(SEGMENT_OVERHEAD_BYTES));
        if !expected.is_some_and(|expected| u32::try_from(buf.len()) == Ok(expected)) {
            buf.fill(0);
            return Err(OpenError);
        }
        let is_final = index.saturating_add(1) == segment_count(self.plain_bytes);
        self.message.open(index, is_final, buf)
    }
}

/// The opening half of one body under two layers. Exists only if both headers are authentic.
pub struct DualOpener {
    outer: OuterOpener,
    inner: Opener,
}

impl DualOpener {
    /// Both halves must be of the same body; otherwise nothing opens.
    #[must_use]
    pub fn new(outer: OuterOpener, inner: Opener) -> Self {
        Self { outer, inner }
    }

    /// Opens both layers of one whole segment in place and returns its plaintext, a part of `buf`.
    ///
    /// After an error `buf` holds zeros only.
    //= docs/spec/object-format.md#dual-layer-encryption
    //# A reader MUST NOT release any byte of a segment before the tags of both layers are verified.
    pub fn open_in_place<'a>(
        &self,
        index: u64,
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let opened = self
            .outer
            .open_in_place(index, buf)
            .and_then(|segment| self.inner.open_in_place(index, segment))
            .map(|plain| plain.len());
        let Ok(len) = opened else {
            buf.fill(0);
            return Err(OpenError);
        };
        let end = DUAL_SEGMENT_PREFIX_BYTES.saturating_add(len);
        buf.get_mut(DUAL_SEGMENT_PREFIX_BYTES..end).ok_or(OpenError)
    }
}

/// The inner segment of a buffer for both layers.
fn within(buf: &mut [u8]) -> Option<&mut [u8]> {
    let end = buf.len().checked_sub(SEGMENT_TAG_BYTES)?;
    buf.get_mut(SEGMENT_PREFIX_BYTES..end)
}

macro_rules! opaque {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

opaque!(DualSealer, OuterOpener, DualOpener);

/// What stands before the plaintext of a segment under two layers: marker and nonce of each.
pub const DUAL_SEGMENT_PREFIX_BYTES: usize = 2 * SEGMENT_PREFIX_BYTES;

/// The parameters of the outer layer.
pub(crate) const OUTER_PARAMS: Params = Params {
    enc_seg_len: DUAL_SEGMENT_SEALED_BYTES,
    rotation_bits: BODY_PARAMS.rotation_bits,
};
