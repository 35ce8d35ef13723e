// SPDX-License-Identifier: Apache-2.0
//! What a body is bound to, and the header of its FLOE message.

use crate::floe;
use crate::key::{ObjectDataId, PartUid};

/// Which layer of sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The only layer, or the first of two.
    Inner = 1,
    /// The second of two layers.
    Outer = 2,
}

impl Layer {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Inner => 1,
            Self::Outer => 2,
        }
    }
}

/// The place a body has in its object. A body opens only in the place it was sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyContext {
    /// Identity of the object's data.
    pub odi: ObjectDataId,
    /// Number of the part; 0 for a body that is not a part.
    pub part_no: u16,
    /// Identity of this attempt at the body.
    pub part_uid: PartUid,
}

impl BodyContext {
    //= docs/spec/object-format.md#the-body
    //# aad = "strongroom/1/body" || u8 layer || odi || u16 part_no || part_uid
    pub(crate) fn aad(&self, layer: Layer) -> Vec<u8> {
        [
            b"strongroom/1/body".as_slice(),
            &[layer.byte()],
            &self.odi.0,
            &self.part_no.to_be_bytes(),
            &self.part_uid.0,
        ]
        .concat()
    }
}

/// The 74 stored bytes that start a FLOE message: parameters, message IV, header tag.
///
/// Not authenticated by itself: [`crate::Opener::new`] is the only place that trusts it, after
/// checking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloeHeader([u8; floe::HEADER_BYTES]);

impl FloeHeader {
    /// Length of a header.
    pub const BYTES: usize = floe::HEADER_BYTES;

    /// A header as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}
