// SPDX-License-Identifier: Apache-2.0
//! Bodies on their way to and from the drives.
//!
//! ```text
//!  write:  body piece -> copied once into a segment slot -> sealed in place -> written as it is
//!  read:   sealed run -> checksums verified -> opened in place -> sliced into the answer
//! ```
//!
//! One copy of the data on the way in (from the socket's buffer into the slot), none on the way
//! out. [`write::seal_body`] takes a [`SegmentSealer`] and [`read::open_body`] a [`SegmentOpener`];
//! the only implementations in the product are the object format's [`Sealer`] and [`Opener`].

pub mod read;
pub mod write;

use strongroom_format::{OpenError, Opener, SealError, Sealer};

/// Seals one segment in place: `4 marker | 12 nonce | plaintext | 16 tag`.
///
/// The product has one implementation, [`Sealer`]. The trait exists so that the benchmark can
/// measure the same pipeline without a cipher; `xtask tidy` refuses it anywhere else.
pub trait SegmentSealer: Send + Sync {
    /// Seal segment `index`. Each index must be sealed once per sealer, which [`write::seal_body`]
    /// does.
    fn seal_segment(&self, index: u64, is_final: bool, slot: &mut [u8]) -> Result<(), SealError>;
}

impl SegmentSealer for Sealer {
    fn seal_segment(&self, index: u64, is_final: bool, slot: &mut [u8]) -> Result<(), SealError> {
        self.seal_in_place(index, is_final, slot)
    }
}

/// Opens one segment in place, after verifying it; answers the length of its plaintext.
///
/// The product has one implementation, [`Opener`]; see [`SegmentSealer`].
pub trait SegmentOpener: Send + Sync {
    /// Open segment `index`. An error must leave no plaintext in the slot.
    fn open_segment(&self, index: u64, slot: &mut [u8]) -> Result<usize, OpenError>;
}

impl SegmentOpener for Opener {
    fn open_segment(&self, index: u64, slot: &mut [u8]) -> Result<usize, OpenError> {
        self.open_in_place(index, slot).map(|plain| plain.len())
    }
}
