// SPDX-License-Identifier: Apache-2.0
//! FLOE (Fast Lightweight Online Encryption, c2sp.org/FLOE, ePrint 2025/2275), unchanged.
//!
//! A message is a header, then segments that can be sealed and opened in any order and in parallel,
//! because each carries its own random nonce and is bound to its index. The header tag commits to
//! the key. The parameters are fields here because the two layers have segments of different
//! length, and because the published known answers, which use short segments and quick key
//! rotation, are to run through the very code that seals bodies.
//!
//! ```text
//! header   PARAMS 10 | IV 32 | header tag 32
//! segment  marker 4 | nonce 12 | ciphertext | tag 16
//! ```

use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::error::{OpenError, SealError};
use crate::primitives::Primitives;

#[cfg(test)]
mod tests;

/// Segment length and key rotation of a message. AES-256-GCM, HKDF-Expand-SHA-384 and a 32-byte IV
/// are fixed.
#[derive(Clone, Copy)]
pub(crate) struct Params {
    /// Whole length of a segment that is not the last.
    pub(crate) enc_seg_len: u32,
    /// A new segment key every 2^this segments.
    pub(crate) rotation_bits: u32,
}

impl Params {
    //= docs/spec/object-format.md#the-body
    //# PARAMS = 0x00 || 0x00 || u32 65568 || u32 32
    fn encode(self) -> [u8; PARAMS_BYTES] {
        let [a, b, c, d] = self.enc_seg_len.to_be_bytes();
        [0, 0, a, b, c, d, 0, 0, 0, 32]
    }

    /// The index with its low bits cleared: what the segment key depends on.
    fn epoch(self, index: u64) -> u64 {
        let low = 1_u64
            .checked_shl(self.rotation_bits)
            .map_or(u64::MAX, |bit| bit.wrapping_sub(1));
        index & !low
    }

    /// Checks the length of a buffer for one whole segment.
    fn allows(self, is_final: bool, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| {
            if is_final {
                (OVERHEAD_BYTES..=self.enc_seg_len).contains(&len)
            } else {
                len == self.enc_seg_len
            }
        })
    }
}

/// One message that is being sealed.
pub(crate) struct SealingMessage<P: Primitives> {
    derived: Derived,
    first_epoch: OnceLock<P::SealKey>,
}

impl<P: Primitives> SealingMessage<P> {
    pub(crate) fn start(key: &[u8; 32], params: Params, iv: &[u8; IV_BYTES], aad: &[u8]) -> Self {
        Self {
            derived: Derived::derive::<P>(key, params, iv, aad),
            first_epoch: OnceLock::new(),
        }
    }

    pub(crate) fn header(&self) -> &[u8; HEADER_BYTES] {
        &self.derived.header
    }

    /// Seals `marker 4 | nonce 12 | plaintext | tag 16` in place.
    pub(crate) fn seal(&self, index: u64, is_final: bool, buf: &mut [u8]) -> Result<(), SealError> {
        let len = buf.len();
        let refused = SealError::SegmentLength { len };
        if !self.derived.params.allows(is_final, len) {
            return Err(refused);
        }
        let (marker, nonce, text, tag) = split(buf).ok_or(refused)?;
        let aad = segment_aad(index, is_final);
        let epoch = self.derived.params.epoch(index);
        let (new_nonce, new_tag) = if epoch == 0 {
            P::seal(self.first_epoch_key()?, &aad, text)?
        } else {
            let key = P::seal_key(&self.derived.segment_key::<P>(epoch))?;
            P::seal(&key, &aad, text)?
        };
        *marker = final_marker(is_final, len).ok_or(refused)?;
        *nonce = new_nonce;
        *tag = new_tag;
        Ok(())
    }

    /// Two threads may derive the first key at once; both get the same key, one copy stays.
    fn first_epoch_key(&self) -> Result<&P::SealKey, SealError> {
        if let Some(key) = self.first_epoch.get() {
            return Ok(key);
        }
        let key = P::seal_key(&self.derived.segment_key::<P>(0))?;
        Ok(self.first_epoch.get_or_init(|| key))
    }
}

/// One message that is being opened; exists only if its header is authentic.
pub(crate) struct OpeningMessage<P: Primitives> {
    derived: Derived,
    first_epoch: P::OpenKey,
}

impl<P: Primitives> OpeningMessage<P> {
    //= docs/spec/object-format.md#the-body
    //# A reader MUST compare PARAMS with the parameters it expects and the header tag with the one it derives, the tag in constant time, before it uses any other byte of the body.
    pub(crate) fn resume(
        key: &[u8; 32],
        params: Params,
        header: &[u8; HEADER_BYTES],
        aad: &[u8],
    ) -> Result<Self, OpenError> {
        let iv = header
            .get(PARAMS_BYTES..PARAMS_BYTES + IV_BYTES)
            .and_then(|iv| <&[u8; IV_BYTES]>::try_from(iv).ok())
            .ok_or(OpenError)?;
        let derived = Derived::derive::<P>(key, params, iv, aad);
        if !P::are_equal(&derived.header, header) {
            return Err(OpenError);
        }
        let first_epoch = P::open_key(&derived.segment_key::<P>(0))?;
        Ok(Self {
            derived,
            first_epoch,
        })
    }

    /// Opens a whole segment in place and returns its plaintext. After an error the buffer holds
    /// zeros only.
    pub(crate) fn open<'a>(
        &self,
        index: u64,
        is_final: bool,
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        if self.open_checked(index, is_final, buf).is_err() {
            buf.fill(0);
            return Err(OpenError);
        }
        split(buf).map(|(_, _, text, _)| text).ok_or(OpenError)
    }

    fn open_checked(&self, index: u64, is_final: bool, buf: &mut [u8]) -> Result<(), OpenError> {
        let len = buf.len();
        if !self.derived.params.allows(is_final, len) {
            return Err(OpenError);
        }
        let expected_marker = final_marker(is_final, len).ok_or(OpenError)?;
        let (marker, nonce, text, tag) = split(buf).ok_or(OpenError)?;
        if *marker != expected_marker {
            return Err(OpenError);
        }
        let aad = segment_aad(index, is_final);
        let epoch = self.derived.params.epoch(index);
        if epoch == 0 {
            P::open(&self.first_epoch, *nonce, &aad, tag, text)
        } else {
            let key = P::open_key(&self.derived.segment_key::<P>(epoch))?;
            P::open(&key, *nonce, &aad, tag, text)
        }
    }
}

/// What sealing and opening derive alike.
struct Derived {
    params: Params,
    iv: [u8; IV_BYTES],
    header: [u8; HEADER_BYTES],
    aad: Box<[u8]>,
    message_key: Zeroizing<[u8; 48]>,
}

impl Derived {
    fn derive<P: Primitives>(
        key: &[u8; 32],
        params: Params,
        iv: &[u8; IV_BYTES],
        aad: &[u8],
    ) -> Self {
        let prk = P::prk(key);
        let encoded = params.encode();
        let tag: Zeroizing<[u8; 32]> = floe_kdf::<P, 32>(&prk, &encoded, iv, b"HEADER_TAG:", aad);
        let mut header = [0; HEADER_BYTES];
        let source = encoded.iter().chain(iv).chain(tag.iter());
        for (to, from) in header.iter_mut().zip(source) {
            *to = *from;
        }
        Self {
            params,
            iv: *iv,
            header,
            aad: aad.into(),
            message_key: floe_kdf::<P, 48>(&prk, &encoded, iv, b"MESSAGE_KEY:", aad),
        }
    }

    //= docs/spec/object-format.md#the-body
    //# DEK(i) = KDF(MessageKey, "DEK:" || u64 (i with its low 20 bits cleared), 32)
    fn segment_key<P: Primitives>(&self, epoch: u64) -> Zeroizing<[u8; 32]> {
        let purpose = [b"DEK:".as_slice(), &epoch.to_be_bytes()].concat();
        let prk = P::prk::<48>(&self.message_key);
        floe_kdf::<P, 32>(&prk, &self.params.encode(), &self.iv, &purpose, &self.aad)
    }
}

//= docs/spec/object-format.md#the-body
//# KDF(k, purpose, n) = HKDF-Expand-SHA-384(k, PARAMS || iv || purpose || aad, n)
fn floe_kdf<P: Primitives, const N: usize>(
    prk: &P::Prk,
    params: &[u8; PARAMS_BYTES],
    iv: &[u8; IV_BYTES],
    purpose: &[u8],
    aad: &[u8],
) -> Zeroizing<[u8; N]> {
    P::expand(prk, &[params, iv, purpose, aad])
}

//= docs/spec/object-format.md#the-body
//# The AEAD AAD of segment i is u64 i || u8 (0x01 if the segment is final, else 0x00).
fn segment_aad(index: u64, is_final: bool) -> [u8; 9] {
    let mut aad = [0; 9];
    let source = index.to_be_bytes().into_iter().chain([u8::from(is_final)]);
    for (to, from) in aad.iter_mut().zip(source) {
        *to = from;
    }
    aad
}

fn final_marker(is_final: bool, len: usize) -> Option<[u8; MARKER_BYTES]> {
    if is_final {
        u32::try_from(len).ok().map(u32::to_be_bytes)
    } else {
        Some([0xff; MARKER_BYTES])
    }
}

type SegmentFields<'a> = (
    &'a mut [u8; MARKER_BYTES],
    &'a mut [u8; NONCE_BYTES],
    &'a mut [u8],
    &'a mut [u8; TAG_BYTES],
);

fn split(buf: &mut [u8]) -> Option<SegmentFields<'_>> {
    let (marker, rest) = buf.split_first_chunk_mut()?;
    let (nonce, rest) = rest.split_first_chunk_mut()?;
    let (text, tag) = rest.split_last_chunk_mut()?;
    Some((marker, nonce, text, tag))
}

const PARAMS_BYTES: usize = 10;
pub(crate) const IV_BYTES: usize = 32;
pub(crate) const HEADER_BYTES: usize = 74;
pub(crate) const MARKER_BYTES: usize = 4;
/// Marker, nonce and tag of a segment.
pub(crate) const OVERHEAD_BYTES: u32 = 32;

const _: () = {
    assert!(PARAMS_BYTES + IV_BYTES + 32 == HEADER_BYTES);
    assert!(MARKER_BYTES + NONCE_BYTES + TAG_BYTES == 32 && OVERHEAD_BYTES == 32);
};
