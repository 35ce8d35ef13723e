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

/// Decrypts a range in pieces. Nothing of it is authenticated.
#[derive(Debug)]
pub struct RangeDecryptor {
    stream: Keystream,
    skip: usize,
}

impl RangeDecryptor {
    /// For the ciphertext of a range of [`range_of`].
    pub fn new(key: &ContentKey, range: CiphertextRange) -> Result<Self, Error> {
        if !range.first.is_multiple_of(16) || range.last >= PLAINTEXT_BYTES_MAX {
            return Err(Error::Range);
        }
        Ok(Self {
            stream: Keystream::new(key, range.first / 16)?,
            skip: usize::from(range.skip),
        })
    }

    /// Appends to `out` the plaintext of the next ciphertext, which is **not authenticated**.
    pub fn update_unverified(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        self.stream.apply(ciphertext, out)?;
        let dropped = self.skip.min(ciphertext.len());
        out.drain(start..start.saturating_add(dropped));
        self.skip = self.skip.saturating_sub(dropped);
        Ok(())
    }
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
    let mut decryptor = RangeDecryptor::new(key, range)?;
    if u64::try_from(ciphertext.len()).ok() != expected {
        return Err(Error::Content);
    }
    decryptor.update_unverified(ciphertext, out)
}
