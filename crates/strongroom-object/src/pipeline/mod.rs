// SPDX-License-Identifier: Apache-2.0
//! Bodies on their way to and from the drives.
//!
//! ```text
//!  write:  body piece -> copied once into a segment slot -> sealed in place -> written as it is
//!  read:   sealed run -> checksums verified -> opened in place -> sliced into the answer
//! ```
//!
//! One copy of the data on the way in (from the socket's buffer into the slot), none on the way
//! out. [`write::write`] takes a [`SegmentSealer`]; the only implementation in the product is
//! the object format's [`Sealer`].

pub mod read;
pub mod write;

use strongroom_format::{SealError, Sealer};

/// Seals one segment in place: `4 marker | 12 nonce | plaintext | 16 tag`.
///
/// The product has one implementation, [`Sealer`]. The trait exists so that the benchmark can
/// measure the same pipeline without a cipher; `xtask tidy` refuses it anywhere else.
pub trait SegmentSealer: Send + Sync {
    /// Seal segment `index`. Each index must be sealed once per sealer, which [`write::write`]
    /// does.
    fn seal_segment(&self, index: u64, is_final: bool, slot: &mut [u8]) -> Result<(), SealError>;
}

impl SegmentSealer for Sealer {
    fn seal_segment(&self, index: u64, is_final: bool, slot: &mut [u8]) -> Result<(), SealError> {
        self.seal_in_place(index, is_final, slot)
    }
}
