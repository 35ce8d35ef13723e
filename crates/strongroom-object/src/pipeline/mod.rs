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
//! [`SegmentOpener`]: the only ones in the product are the object format's. A body under two layers
//! goes the same way, in longer slots.

pub mod read;
pub mod write;

use std::ops::Range;

use strongroom_format::{
    DUAL_SEGMENT_PREFIX_BYTES, DualOpener, DualSealer, FloeHeader, OpenError, Opener,
    SEGMENT_PLAIN_BYTES, SEGMENT_PREFIX_BYTES, Sealer,
};
use strongroom_store::layout::UnitLayout;
use strongroom_store::{Blobs, UnitNotSealed, UnitSealer};

/// How many layers of sealing a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// As everything but dual-layer encryption has it.
    One,
    /// One within the other, segment by segment.
    Two,
}

impl Layers {
    /// What stands before the plaintext of a segment; as much stands in all around it twice.
    pub fn prefix_bytes(self) -> usize {
        match self {
            Self::One => SEGMENT_PREFIX_BYTES,
            Self::Two => DUAL_SEGMENT_PREFIX_BYTES,
        }
    }

    /// What a segment has besides its plaintext.
    pub fn overhead_bytes(self) -> usize {
        2 * self.prefix_bytes()
    }

    /// All bytes of a sealed body of so much plaintext: at least one segment.
    pub fn sealed_bytes(self, plain_len: u64) -> Option<u64> {
        let segments = plain_len.div_ceil(u64::from(SEGMENT_PLAIN_BYTES)).max(1);
        let overhead = u64::try_from(self.overhead_bytes()).ok()?;
        segments.checked_mul(overhead)?.checked_add(plain_len)
    }

    /// The units of a blob of such segments.
    pub fn layout(self, blobs: &Blobs) -> Option<UnitLayout> {
        match self {
            Self::One => Some(blobs.layout()),
            Self::Two => blobs.layout().wider(),
        }
    }
}

/// Seals the units of a blob as segments of a body.
pub trait BodySealer: UnitSealer {
    /// How much room it needs around the plaintext.
    fn layers(&self) -> Layers;
}

impl<S: BodySealer + ?Sized> BodySealer for &S {
    fn layers(&self) -> Layers {
        (**self).layers()
    }
}

/// Seals the units of a blob as segments of one body.
///
/// The product's only [`UnitSealer`]. The benchmark has another one, to measure the same pipeline
/// without a cipher; `xtask tidy` refuses it anywhere else.
#[derive(Debug)]
pub enum SegmentSealer {
    /// In one layer.
    One(Box<Sealer>),
    /// In two.
    Two(Box<DualSealer>),
}

impl SegmentSealer {
    /// The header to store beside the body.
    pub fn header(&self) -> &FloeHeader {
        match self {
            Self::One(sealer) => sealer.header(),
            Self::Two(sealer) => sealer.header(),
        }
    }

    /// The header of the outer layer, to store beside the other.
    pub fn outer_header(&self) -> Option<&FloeHeader> {
        match self {
            Self::One(_) => None,
            Self::Two(sealer) => Some(sealer.outer_header()),
        }
    }
}

impl UnitSealer for SegmentSealer {
    fn seal_unit(&self, index: u64, is_last: bool, unit: &mut [u8]) -> Result<(), UnitNotSealed> {
        match self {
            Self::One(sealer) => sealer.seal_in_place(index, is_last, unit),
            Self::Two(sealer) => sealer.seal_in_place(index, is_last, unit),
        }
        .map_err(|_| UnitNotSealed)
    }
}

impl BodySealer for SegmentSealer {
    fn layers(&self) -> Layers {
        match self {
            Self::One(_) => Layers::One,
            Self::Two(_) => Layers::Two,
        }
    }
}

/// Opens one segment in place, after verifying it; answers where in the slot its plaintext is.
///
/// The product has two implementations, one for each number of layers; see [`SegmentSealer`].
pub trait SegmentOpener: Send + Sync {
    /// Open segment `index`. An error must leave no plaintext in the slot.
    fn open_segment(&self, index: u64, slot: &mut [u8]) -> Result<Range<usize>, OpenError>;
}

impl SegmentOpener for Opener {
    fn open_segment(&self, index: u64, slot: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let len = self.open_in_place(index, slot)?.len();
        Ok(behind(SEGMENT_PREFIX_BYTES, len))
    }
}

impl SegmentOpener for DualOpener {
    fn open_segment(&self, index: u64, slot: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let len = self.open_in_place(index, slot)?.len();
        Ok(behind(DUAL_SEGMENT_PREFIX_BYTES, len))
    }
}

fn behind(start: usize, len: usize) -> Range<usize> {
    start..start.saturating_add(len)
}

const _: () = assert!(DUAL_SEGMENT_PREFIX_BYTES == 2 * SEGMENT_PREFIX_BYTES);
