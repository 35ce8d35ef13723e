// SPDX-License-Identifier: Apache-2.0
//! AES-GCM over pieces.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, EncryptionContext, StreamingEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::ghash_parts::{Block, Hasher, PartDigest, whole, xor};
use super::{ContentKey, PLAINTEXT_BYTES_MAX, TAG_BYTES};
use crate::error::Error;

/// AES-CTR from some block of a message on.
pub(super) struct Keystream(StreamingEncryptingKey);

impl Keystream {
    /// `block` 0 is the first block of the message.
    pub(super) fn new(key: &ContentKey, block: u64) -> Result<Self, Error> {
        let counter = block
            .checked_add(2)
            .and_then(|counter| u32::try_from(counter).ok())
            .ok_or(Error::TooLong)?;
        Self::at(key, &counter_block(&key.nonce, counter))
    }

    fn at(key: &ContentKey, counter: &Block) -> Result<Self, Error> {
        let algorithm: &'static Algorithm = match key.key.len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        let unbound = UnboundCipherKey::new(algorithm, key.key.expose())?;
        let context = EncryptionContext::Iv128(FixedLength::from(*counter));
        Ok(Self(StreamingEncryptingKey::less_safe_ctr(
            unbound, context,
        )?))
    }

    /// Appends `input` under the keystream to `out`.
    pub(super) fn apply(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        // The module wants room for a block more than it writes.
        let room = start
            .checked_add(input.len())
            .and_then(|len| len.checked_add(16))
            .ok_or(Error::TooLong)?;
        out.resize(room, 0);
        let to = out.get_mut(start..).ok_or(Error::Module)?;
        let written = self.0.update(input, to)?.written().len();
        if written != input.len() {
            return Err(Error::Module);
        }
        out.truncate(start.saturating_add(written));
        Ok(())
    }
}

impl fmt::Debug for Keystream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keystream(..)")
    }
}

fn counter_block(nonce: &[u8; 12], counter: u32) -> Block {
    let mut block = [0; 16];
    let bytes = nonce.iter().copied().chain(counter.to_be_bytes());
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = from;
    }
    block
}

impl ContentKey {
    /// GHASH's key, and what its result is masked with to become the tag.
    pub(super) fn hash_key_and_mask(&self) -> Result<(Zeroizing<Block>, Zeroizing<Block>), Error> {
        let one = |counter: &Block| -> Result<Zeroizing<Block>, Error> {
            let mut out = Zeroizing::new(Vec::with_capacity(32));
            Keystream::at(self, counter)?.apply(&[0; 16], &mut out)?;
            let block = <Block>::try_from(out.as_slice()).map_err(|_| Error::Module)?;
            Ok(Zeroizing::new(block))
        };
        Ok((one(&[0; 16])?, one(&counter_block(&self.nonce, 1))?))
    }

    /// Encrypts a part whose first byte is byte `first` of the message; `first` is a multiple
    /// of 16. Parts may be encrypted in any order and at the same time.
    ///
    /// The obligation of the caller: a part is encrypted again only with the same bytes.
    pub fn part_encryptor(&self, first: u64) -> Result<PartEncryptor, Error> {
        if !first.is_multiple_of(16) {
            return Err(Error::Config("a part begins at a whole block of 16 bytes"));
        }
        if first > PLAINTEXT_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let (hash_key, _) = self.hash_key_and_mask()?;
        Ok(PartEncryptor {
            stream: Keystream::new(self, first / 16)?,
            hasher: Hasher::new(self, &hash_key)?,
            room: PLAINTEXT_BYTES_MAX.saturating_sub(first),
        })
    }
}

/// Encrypts one part of a message.
#[derive(Debug)]
pub struct PartEncryptor {
    stream: Keystream,
    hasher: Hasher,
    /// Bytes that the message may still have.
    room: u64,
}

impl PartEncryptor {
    /// Appends the ciphertext of `plain` to `out`.
    pub fn update(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let len = u64::try_from(plain.len()).map_err(|_| Error::TooLong)?;
        self.room = self.room.checked_sub(len).ok_or(Error::TooLong)?;
        out.reserve(plain.len().saturating_add(TAG_BYTES));
        for piece in plain.chunks(PIECE_BYTES) {
            let start = out.len();
            self.stream.apply(piece, out)?;
            // Hashed while it is in the processor's cache.
            self.hasher.update(out.get(start..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// What the part adds to the tag.
    pub fn finish(self) -> PartDigest {
        self.hasher.finish()
    }
}

/// Decrypts one part of a message, and computes what the part adds to the tag.
#[derive(Debug)]
pub struct PartDecryptor {
    stream: Keystream,
    hasher: Hasher,
}

impl PartDecryptor {
    /// Appends to `out` what the next ciphertext decrypts to, which nothing has verified: it is
    /// the message's when [`super::verify`] says so of the digests of all parts.
    pub fn update_unverified(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.reserve(ciphertext.len().saturating_add(TAG_BYTES));
        for piece in ciphertext.chunks(PIECE_BYTES) {
            self.hasher.update(piece)?;
            self.stream.apply(piece, out)?;
        }
        Ok(())
    }

    /// What the part adds to the tag.
    pub fn finish(self) -> PartDigest {
        self.hasher.finish()
    }
}

impl ContentKey {
    /// Decrypts a part whose first byte is byte `first` of the message; `first` is a multiple
    /// of 16. Parts may be decrypted in any order and at the same time.
    pub fn part_decryptor(&self, first: u64) -> Result<PartDecryptor, Error> {
        if !first.is_multiple_of(16) {
            return Err(Error::Config("a part begins at a whole block of 16 bytes"));
        }
        let (hash_key, _) = self.hash_key_and_mask()?;
        Ok(PartDecryptor {
            stream: Keystream::new(self, first / 16)?,
            hasher: Hasher::new(self, &hash_key)?,
        })
    }

    /// What a part adds to the tag, from its ciphertext alone: nothing is decrypted.
    pub fn part_digest(&self, ciphertext: &[u8]) -> Result<PartDigest, Error> {
        let (hash_key, _) = self.hash_key_and_mask()?;
        let mut hasher = Hasher::new(self, &hash_key)?;
        hasher.update(ciphertext)?;
        Ok(hasher.finish())
    }
}

/// Encrypts a message from its first byte to its last.
pub struct Encryptor {
    part: PartEncryptor,
    hash_key: Zeroizing<Block>,
    mask: Zeroizing<Block>,
    aad: &'static [u8],
}

impl Encryptor {
    /// Begins a message. A content key is for one message.
    pub fn new(key: &ContentKey) -> Result<Self, Error> {
        let (hash_key, mask) = key.hash_key_and_mask()?;
        Ok(Self {
            part: key.part_encryptor(0)?,
            hash_key,
            mask,
            aad: key.aad,
        })
    }

    /// Appends the ciphertext of `plain` to `out`.
    pub fn update(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.part.update(plain, out)
    }

    /// The tag: the last 16 bytes of the stored object.
    pub fn finish(self) -> Result<[u8; TAG_BYTES], Error> {
        let hash = whole(&self.hash_key, self.aad, &[self.part.finish()])?;
        Ok(xor(&hash, &self.mask))
    }
}

/// Decrypts a message from its first byte to its last.
///
/// What [`Decryptor::update_unverified`] gives may be anything until [`Decryptor::finish`] has
/// said that it is the message: keep it where nobody sees it.
pub struct Decryptor {
    stream: Keystream,
    hasher: Hasher,
    hash_key: Zeroizing<Block>,
    mask: Zeroizing<Block>,
    aad: &'static [u8],
    /// Bytes of ciphertext still to come, before the tag.
    ciphertext_left: u64,
    tag: Vec<u8>,
}

impl Decryptor {
    /// Begins a message that is stored in `stored` bytes, ciphertext and tag.
    pub fn new(key: &ContentKey, stored: u64) -> Result<Self, Error> {
        let ciphertext_left = stored
            .checked_sub(16)
            .filter(|len| *len <= PLAINTEXT_BYTES_MAX)
            .ok_or(Error::Content)?;
        let (hash_key, mask) = key.hash_key_and_mask()?;
        Ok(Self {
            stream: Keystream::new(key, 0)?,
            hasher: Hasher::new(key, &hash_key)?,
            hash_key,
            mask,
            aad: key.aad,
            ciphertext_left,
            tag: Vec::with_capacity(TAG_BYTES),
        })
    }

    /// Takes the next bytes as they are stored and appends to `out` what they decrypt to, which
    /// nothing has verified yet.
    pub fn update_unverified(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let left = usize::try_from(self.ciphertext_left).unwrap_or(usize::MAX);
        let (ciphertext, tag) = stored.split_at(left.min(stored.len()));
        let taken = u64::try_from(ciphertext.len()).map_err(|_| Error::Content)?;
        self.ciphertext_left = self.ciphertext_left.saturating_sub(taken);
        for piece in ciphertext.chunks(PIECE_BYTES) {
            self.hasher.update(piece)?;
            self.stream.apply(piece, out)?;
        }
        if self.tag.len().saturating_add(tag.len()) > TAG_BYTES {
            return Err(Error::Content);
        }
        self.tag.extend_from_slice(tag);
        Ok(())
    }

    /// Whether all that was decrypted is the message.
    pub fn finish(self) -> Result<(), Error> {
        if self.ciphertext_left > 0 || self.tag.len() != TAG_BYTES {
            return Err(Error::Content);
        }
        let hash = whole(&self.hash_key, self.aad, &[self.hasher.finish()])?;
        verify_slices_are_equal(&xor(&hash, &self.mask), &self.tag).map_err(|_| Error::Content)
    }
}

// With GHASH's key or the mask of a tag anybody could make right tags: neither is shown.

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryptor").finish_non_exhaustive()
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor")
            .field("ciphertext_left", &self.ciphertext_left)
            .finish_non_exhaustive()
    }
}

/// Encrypted and hashed in turns, in pieces that stay in the processor's cache.
const PIECE_BYTES: usize = 32 * 1024;
