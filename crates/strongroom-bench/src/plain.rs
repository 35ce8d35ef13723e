// SPDX-License-Identifier: Apache-2.0
//! The sealer and opener of the comparison: the bytes stay as they are.
//!
//! The one copy of the pipeline, from the socket's buffer into the slot, is made all the same, so
//! what this leaves out is the cipher and nothing else.

use strongroom_format::{OpenError, segment_sealed_len};
use strongroom_object::pipeline::SegmentOpener;
use strongroom_store::{UnitNotSealed, UnitSealer};

/// Seals nothing.
#[derive(Debug)]
pub(crate) struct PlainSealer;

impl UnitSealer for PlainSealer {
    fn seal_unit(&self, _: u64, _: bool, _: &mut [u8]) -> Result<(), UnitNotSealed> {
        Ok(())
    }
}

/// Opens nothing.
#[derive(Debug)]
pub(crate) struct PlainOpener {
    pub(crate) plain_len: u64,
}

impl SegmentOpener for PlainOpener {
    fn open_segment(&self, index: u64, _: &mut [u8]) -> Result<usize, OpenError> {
        let sealed = segment_sealed_len(self.plain_len, index).ok_or(OpenError)?;
        usize::try_from(sealed - 32).map_err(|_| OpenError)
    }
}
