// SPDX-License-Identifier: Apache-2.0
//! Bodies on their way to and from the drives.
//!
//! ```text
//!  write:  body piece -> copied once into a segment slot -> sealed in place -> written as it is
//!  read:   sealed run -> checksums verified -> opened in place -> sliced into the answer
//! ```
//!
//! One copy of the data on the way in (from the socket's buffer into the slot), none on the way
//! out. The store's writer cannot be had without a [`UnitSealer`], and [`read::open_body`] takes a
//! [`SegmentOpener`]: the only ones in the product are the object format's.

pub mod read;
pub mod write;

use strongroom_format::{OpenError, Opener, Sealer};
use strongroom_store::{UnitNotSealed, UnitSealer};

/// Seals the units of a blob as segments of one body.
///
/// The product's only [`UnitSealer`]. The benchmark has another one, to measure the same pipeline
/// without a cipher; `xtask tidy` refuses it anywhere else.
#[derive(Debug)]
pub struct SegmentSealer<'a>(pub &'a Sealer);

impl UnitSealer for SegmentSealer<'_> {
    fn seal_unit(&self, index: u64, is_last: bool, unit: &mut [u8]) -> Result<(), UnitNotSealed> {
        self.0
            .seal_in_place(index, is_last, unit)
            .map_err(|_| UnitNotSealed)
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
