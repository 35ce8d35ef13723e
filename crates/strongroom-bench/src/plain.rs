// SPDX-License-Identifier: Apache-2.0
//! The sealer and opener of the comparison: the bytes stay as they are.
//!
//! The one copy of the pipeline, from the socket's buffer into the slot, is made all the same, so
//! what this leaves out is the cipher and nothing else.

use std::ops::Range;

use strongroom_format::{OpenError, segment_sealed_len};
use strongroom_object::pipeline::{BodySealer, Layers, SegmentOpener};
use strongroom_store::{UnitNotSealed, UnitSealer};

/// Seals nothing.
#[derive(Debug)]
pub(crate) struct PlainSealer;

impl UnitSealer for PlainSealer {
    fn seal_unit(&self, _: u64, _: bool, _: &mut [u8]) -> Result<(), UnitNotSealed> {
        Ok(())
    }
}

impl BodySealer for PlainSealer {
    fn layers(&self) -> Layers {
        Layers::One
    }
}

/// Opens nothing.
#[derive(Debug)]
pub(crate) struct PlainOpener {
    pub(crate) plain_len: u64,
}

impl SegmentOpener for PlainOpener {
    fn open_segment(&self, index: u64, _: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let sealed = segment_sealed_len(self.plain_len, index).ok_or(OpenError)?;
        let sealed = usize::try_from(sealed).map_err(|_| OpenError)?;
        let prefix = Layers::One.prefix_bytes();
        Ok(prefix..sealed - prefix)
    }
}
