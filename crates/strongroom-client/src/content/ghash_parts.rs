// SPDX-License-Identifier: Apache-2.0
//! GHASH over pieces, and over parts that were hashed apart.
//!
//! For blocks `X1 .. Xn` GHASH is `X1*H^n + .. + Xn*H`. So a part's own hash, times H to the number
//! of blocks behind it, is its share of the whole: parts are hashed in any order and put together.
//! A product in GCM's field is itself a GHASH of one block: `a*b = GHASH_b(a)`.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
#[cfg(feature = "s3")]
use aws_lc_rs::hmac;
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
    /// GHASH of its ciphertext alone, the last block filled with zeros, times GHASH's key.
    pub(super) hash: Block,
}

impl PartDigest {
    /// Bytes of ciphertext in the part.
    pub fn ciphertext_bytes(&self) -> u64 {
        self.bytes
    }

    /// What stands for the part in a record: as hard to meet with another part as a tag is, and of
    /// no use to who does not have the key.
    #[cfg(feature = "s3")]
    pub(crate) fn fingerprint(&self, key: &hmac::Key) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        context.update(b"part\0");
        context.update(&self.bytes.to_be_bytes());
        context.update(&self.hash);
        context.sign()
    }
}

impl fmt::Debug for PartDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartDigest")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// GHASH of bytes that come in pieces of any length, times GHASH's key.
pub(super) struct Hasher {
    bulk: Bulk,
    state: Zeroizing<Block>,
    /// The beginning of a run that is not whole yet.
    open: Vec<u8>,
    bytes: u64,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    pub(super) fn new(key: &ContentKey, hash_key: &Block) -> Result<Self, Error> {
        Ok(Self {
            bulk: Bulk::new(key, hash_key)?,
            state: Zeroizing::default(),
            open: Vec::new(),
            bytes: 0,
        })
    }

    pub(super) fn update(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        let len = u64::try_from(piece.len()).map_err(|_| Error::TooLong)?;
        self.bytes = self.bytes.checked_add(len).ok_or(Error::TooLong)?;
        if !self.open.is_empty() {
            let room = RUN_BYTES.saturating_sub(self.open.len());
            let (taken, rest) = piece.split_at(room.min(piece.len()));
            self.open.extend_from_slice(taken);
            piece = rest;
            if self.open.len() < RUN_BYTES {
                return Ok(());
            }
            *self.state = self.bulk.add(&self.state, &self.open)?;
            self.open.clear();
        }
        let runs = piece.chunks_exact(RUN_BYTES);
        self.open.extend_from_slice(runs.remainder());
        for run in runs {
            *self.state = self.bulk.add(&self.state, run)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> PartDigest {
        let key = &self.bulk.hash_key;
        // Less than a run of them.
        let blocks = u16::try_from(self.open.len().div_ceil(16)).unwrap_or(u16::MAX);
        let rest = product(&hash_padded(key, &self.open), key);
        PartDigest {
            bytes: self.bytes,
            hash: xor(&product(&self.state, &power(key, blocks.into())), &rest),
        }
    }
}

/// GHASH of whole runs by the cryptographic module, which has the fastest one there is but does not
/// give it out: only within a tag. The tag of a message that has nothing but associated data A is
/// `(GHASH(A) + length of A)*H + mask`; mask and length are the same for each run, and what is left
/// is `GHASH(A)*H`. No tag leaves this place.
struct Bulk {
    key: LessSafeKey,
    hash_key: Zeroizing<Block>,
    /// `mask + (length of a run)*H`.
    correction: Zeroizing<Block>,
    /// `H` to the number of blocks of a run.
    shift: Zeroizing<Block>,
}

impl Bulk {
    fn new(key: &ContentKey, hash_key: &Block) -> Result<Self, Error> {
        let algorithm = match key.key.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            _ => &AES_256_GCM,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.key.expose())?);
        let length = product(&lengths(RUN_BYTES_WIDE, 0)?, hash_key);
        Ok(Self {
            correction: Zeroizing::new(xor(&tag_of(&key, &[])?, &length)),
            shift: power(hash_key, RUN_BYTES_WIDE / 16),
            key,
            hash_key: Zeroizing::new(*hash_key),
        })
    }

    fn add(&self, state: &Block, run: &[u8]) -> Result<Block, Error> {
        let hash = xor(&tag_of(&self.key, run)?, &self.correction);
        Ok(xor(&product(state, &self.shift), &hash))
    }
}

fn tag_of(key: &LessSafeKey, associated: &[u8]) -> Result<Block, Error> {
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), &mut [])?;
    Block::try_from(tag.as_ref()).map_err(|_| Error::Module)
}

/// The whole's GHASH: associated data, the parts in order, the lengths.
pub(super) fn whole(key: &Block, aad: &[u8], parts: &[PartDigest]) -> Result<Block, Error> {
    let mut total = 0_u64;
    let mut sum = product(&hash_padded(key, aad), key);
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
    let aad_bytes = u64::try_from(aad.len()).map_err(|_| Error::TooLong)?;
    Ok(xor(&sum, &product(&lengths(aad_bytes, total)?, key)))
}

/// GHASH's last block.
fn lengths(aad_bytes: u64, bytes: u64) -> Result<Block, Error> {
    let bits = |bytes: u64| bytes.checked_mul(8).ok_or(Error::TooLong);
    Ok(((u128::from(bits(aad_bytes)?) << 64) | u128::from(bits(bytes)?)).to_be_bytes())
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

/// Whether a message is what its key's owner wrote: the digests of all its parts in order, and the
/// tag stored behind it.
pub fn verify(key: &ContentKey, parts: &[PartDigest], tag: &[u8; 16]) -> Result<(), Error> {
    let expected = combine(key, parts)?;
    verify_slices_are_equal(&expected, tag).map_err(|_| Error::Content)
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

/// Hashed by the module in one call.
const RUN_BYTES: usize = 16 * 1024;
const RUN_BYTES_WIDE: u64 = 16 * 1024;
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

    #[cfg(feature = "s3")]
    #[test]
    fn a_fingerprint_tells_parts_and_keys_apart_and_not_the_hash() {
        let print = |key: u8, bytes: u64, first: u8| {
            let mut hash = [0x5A; 16];
            hash[0] = first;
            let key = hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]);
            let print = PartDigest { bytes, hash }.fingerprint(&key);
            print.as_ref().to_vec()
        };
        let one = print(1, 48, 0x5A);
        assert_eq!(one, print(1, 48, 0x5A));
        assert!(!one.windows(2).any(|pair| pair == [0x5A; 2]));
        // Zeros behind the end give the same GHASH: the length tells.
        for other in [print(2, 48, 0x5A), print(1, 47, 0x5A), print(1, 48, 0x5B)] {
            assert_ne!(one, other);
        }
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
