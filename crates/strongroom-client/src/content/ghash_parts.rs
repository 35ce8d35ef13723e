// SPDX-License-Identifier: Apache-2.0
//! GHASH over pieces, and over parts that were hashed apart.
//!
//! For blocks `X1 .. Xn` GHASH is `X1*H^n + .. + Xn*H`. So a part's own hash, times H to the number
//! of blocks behind it, is its share of the whole: parts are hashed in any order and put together.
//! A product in GCM's field is itself a GHASH of one block: `a*b = GHASH_b(a)`.

use std::fmt;

use ghash::GHash;
use ghash::universal_hash::UniversalHash as _;
use zeroize::Zeroizing;

use crate::error::Error;

/// A block of AES.
pub(super) type Block = [u8; 16];

/// What one part of a message adds to its tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartDigest {
    /// Bytes of the part.
    pub(super) bytes: u64,
    /// GHASH of its ciphertext alone, the last block filled with zeros.
    pub(super) hash: Block,
}

impl PartDigest {
    /// Bytes of ciphertext in the part.
    pub fn ciphertext_bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest as 24 bytes, for the record of an upload that is to go on later. It is no
    /// secret in itself: it follows from the ciphertext and the tag.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut out = [0; 24];
        let fields = self.bytes.to_be_bytes().into_iter().chain(self.hash);
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        out
    }

    /// Reads [`Self::to_bytes`] back.
    pub fn from_bytes(bytes: &[u8; 24]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (hash, _) = rest.split_first_chunk()?;
        Some(Self {
            bytes: u64::from_be_bytes(*len),
            hash: *hash,
        })
    }
}

/// GHASH of bytes that come in pieces of any length.
pub(super) struct Hasher {
    hash: GHash,
    /// The beginning of a block that is not whole yet.
    open: Block,
    open_len: usize,
    bytes: u64,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    pub(super) fn new(key: &Block) -> Self {
        Self {
            hash: GHash::new(&(*key).into()),
            open: [0; 16],
            open_len: 0,
            bytes: 0,
        }
    }

    pub(super) fn update(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        let len = u64::try_from(piece.len()).map_err(|_| Error::TooLong)?;
        self.bytes = self.bytes.checked_add(len).ok_or(Error::TooLong)?;
        if self.open_len > 0 {
            let room = self.open.get_mut(self.open_len..).unwrap_or_default();
            let taken = room.len().min(piece.len());
            for (to, from) in room.iter_mut().zip(piece) {
                *to = *from;
            }
            self.open_len = self.open_len.saturating_add(taken);
            piece = piece.get(taken..).unwrap_or_default();
            if self.open_len < 16 {
                return Ok(());
            }
            self.hash.update_padded(&self.open);
            self.open = [0; 16];
            self.open_len = 0;
        }
        let whole = piece.len() - piece.len() % 16;
        let (blocks, rest) = piece.split_at(whole);
        self.hash.update_padded(blocks);
        for (to, from) in self.open.iter_mut().zip(rest) {
            *to = *from;
        }
        self.open_len = rest.len();
        Ok(())
    }

    pub(super) fn finish(mut self) -> PartDigest {
        if self.open_len > 0 {
            self.hash.update_padded(&self.open);
        }
        PartDigest {
            bytes: self.bytes,
            hash: self.hash.finalize().into(),
        }
    }
}

/// The whole's GHASH: associated data, the parts in order, the lengths.
pub(super) fn whole(key: &Block, aad: &[u8], parts: &[PartDigest]) -> Result<Block, Error> {
    let mut total = 0_u64;
    let mut sum = hash_padded(key, aad);
    for (index, part) in parts.iter().enumerate() {
        let is_last = index.checked_add(1) == Some(parts.len());
        if !is_last && !part.bytes.is_multiple_of(16) {
            return Err(Error::Config(
                "every part but the last has whole blocks of 16 bytes",
            ));
        }
        let shift = power(key, part.bytes.div_ceil(16));
        sum = xor(&product(&sum, &shift), &part.hash);
        total = total.checked_add(part.bytes).ok_or(Error::TooLong)?;
    }
    let bits = |bytes: u64| bytes.checked_mul(8).ok_or(Error::TooLong);
    let aad_bits = bits(u64::try_from(aad.len()).map_err(|_| Error::TooLong)?)?;
    let lengths = (u128::from(aad_bits) << 64) | u128::from(bits(total)?);
    Ok(product(&xor(&sum, &lengths.to_be_bytes()), key))
}

/// The tag of a message whose parts were encrypted by [`super::ContentKey::part_encryptor`], in
/// order.
pub fn combine(key: &super::ContentKey, parts: &[PartDigest]) -> Result<[u8; 16], Error> {
    let total = parts
        .iter()
        .try_fold(0_u64, |sum, part| sum.checked_add(part.bytes));
    if total.is_none_or(|total| total > super::PLAINTEXT_BYTES_MAX) {
        return Err(Error::TooLong);
    }
    let (hash_key, mask) = key.hash_key_and_mask()?;
    Ok(xor(&whole(&hash_key, key.aad, parts)?, &mask))
}

pub(super) fn xor(a: &Block, b: &Block) -> Block {
    (u128::from_be_bytes(*a) ^ u128::from_be_bytes(*b)).to_be_bytes()
}

fn hash_padded(key: &Block, bytes: &[u8]) -> Block {
    let mut hash = GHash::new(&(*key).into());
    hash.update_padded(bytes);
    hash.finalize().into()
}

fn product(a: &Block, b: &Block) -> Block {
    hash_padded(b, a)
}

/// `key` to the power of `exponent`, in GCM's field.
fn power(key: &Block, exponent: u64) -> Block {
    let mut result = Zeroizing::new(ONE);
    let mut square = Zeroizing::new(*key);
    let mut left = exponent;
    while left > 0 {
        if left & 1 == 1 {
            *result = product(&result, &square);
        }
        *square = product(&square, &square);
        left >>= 1;
    }
    *result
}

/// The neutral element: GCM's first bit is the coefficient of x^0.
const ONE: Block = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
