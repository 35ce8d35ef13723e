// SPDX-License-Identifier: Apache-2.0
//! Ranges of AES-GCM objects: AES-CTR from the right block on. Nothing authenticates them.

use super::gcm::Keystream;
use super::{ContentKey, PLAINTEXT_BYTES_MAX};
use crate::error::Error;

/// The bytes of ciphertext that a range of plaintext needs, first and last, and what to leave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CiphertextRange {
    /// First byte to fetch: at a whole block of 16.
    pub first: u64,
    /// Last byte to fetch; never one of the tag.
    pub last: u64,
    /// Bytes at the start that were not asked for, 0 to 15.
    pub skip: u8,
}

/// What to fetch for bytes `first..=last` of the plaintext of an object that is stored in `stored`
/// bytes. A `last` behind the end is taken for the end, as S3 does; a `first` there is an error.
pub fn range_of(stored: u64, first: u64, last: u64) -> Result<CiphertextRange, Error> {
    let plain = stored
        .checked_sub(16)
        .filter(|len| *len <= PLAINTEXT_BYTES_MAX)
        .ok_or(Error::Content)?;
    let end = plain.checked_sub(1).ok_or(Error::Range)?;
    if first > end || last < first {
        return Err(Error::Range);
    }
    let skip = first % 16;
    Ok(CiphertextRange {
        first: first.saturating_sub(skip),
        last: last.min(end),
        skip: u8::try_from(skip).unwrap_or(0),
    })
}

/// Appends to `out` the plaintext of a fetched range, which is **not authenticated**: whoever can
/// change the object can change any bit of it.
pub fn decrypt_range(
    key: &ContentKey,
    range: CiphertextRange,
    ciphertext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let expected = range
        .last
        .checked_sub(range.first)
        .and_then(|len| len.checked_add(1));
    if !range.first.is_multiple_of(16) || range.last >= PLAINTEXT_BYTES_MAX {
        return Err(Error::Range);
    }
    if u64::try_from(ciphertext.len()).ok() != expected {
        return Err(Error::Content);
    }
    let start = out.len();
    Keystream::new(key, range.first / 16)?.apply(ciphertext, out)?;
    let kept = start.saturating_add(usize::from(range.skip));
    if kept > out.len() {
        return Err(Error::Content);
    }
    out.drain(start..kept);
    Ok(())
}
