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

use super::ContentKey;
use crate::error::Error;

/// A block of AES.
pub(super) type Block = [u8; 16];

/// What one part of a message adds to its tag.
///
/// A secret, like the key: who has it and the part's ciphertext can solve for H, and with H make
/// tags for ciphertexts of his own. So it has no bytes to store, and does not show itself.
#[derive(Clone, Copy, PartialEq, Eq)]
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
}

impl fmt::Debug for PartDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartDigest")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
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
pub fn combine(key: &ContentKey, parts: &[PartDigest]) -> Result<[u8; 16], Error> {
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
fn power(key: &Block, exponent: u64) -> Zeroizing<Block> {
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
    result
}

/// The neutral element: GCM's first bit is the coefficient of x^0.
const ONE: Block = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::PLAINTEXT_BYTES_MAX;
    use crate::secret::AesKey;

    fn key(byte: u8) -> ContentKey {
        ContentKey::v2(&AesKey::new(vec![byte; 32]).unwrap(), [3; 12])
    }

    fn digest(bytes: u64) -> PartDigest {
        PartDigest {
            bytes,
            hash: [0x5A; 16],
        }
    }

    #[test]
    fn a_digest_does_not_show_its_hash() {
        assert!(!format!("{:?}", digest(48)).contains("90"));
    }

    #[test]
    fn no_message_is_put_together_that_is_too_long() {
        assert!(combine(&key(1), &[digest(PLAINTEXT_BYTES_MAX)]).is_ok());
        for parts in [
            vec![digest(PLAINTEXT_BYTES_MAX + 1)],
            vec![digest(PLAINTEXT_BYTES_MAX & !15), digest(64)],
            vec![digest(1 << 63), digest(1 << 63)],
        ] {
            assert!(matches!(combine(&key(1), &parts), Err(Error::TooLong)));
        }
    }

    #[test]
    fn empty_parts_add_nothing() {
        let empty = PartDigest {
            bytes: 0,
            hash: [0; 16],
        };
        let tag = |parts: &[PartDigest]| combine(&key(1), parts).unwrap();
        assert_eq!(tag(&[]), tag(&[empty]));
        assert_eq!(
            tag(&[digest(32), digest(5)]),
            tag(&[digest(32), empty, digest(5)])
        );
        assert_eq!(tag(&[digest(32)]), tag(&[empty, digest(32), empty]));
    }
}
