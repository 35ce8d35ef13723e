// SPDX-License-Identifier: Apache-2.0
//! AES-256-GCM as this format uses it: the module draws the nonce, a failed open leaves zeros.
//!
//! Sealing goes through [`RandomizedNonceKey`] only, the interface whose nonces the cryptographic
//! module generates inside its own boundary (SP 800-38D section 8.2.2). Opening is given the stored
//! nonce and the tag apart, so that a segment is opened in place without being moved.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, RandomizedNonceKey, UnboundKey};

use crate::error::{OpenError, SealError};

/// An AES-256-GCM key that only seals.
pub(crate) struct SealKey(RandomizedNonceKey);

impl SealKey {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Result<Self, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(Self)
            .map_err(|_| SealError::Module)
    }

    /// Turns `in_out` into ciphertext and returns the nonce and the tag.
    ///
    /// After an error `in_out` holds zeros only, so that plaintext cannot be stored by mistake.
    pub(crate) fn seal(
        &self,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<([u8; NONCE_BYTES], [u8; TAG_BYTES]), SealError> {
        let sealed = self.0.seal_in_place_separate_tag(Aad::from(aad), in_out);
        let parts = sealed.ok().and_then(|(nonce, tag)| {
            let tag = <[u8; TAG_BYTES]>::try_from(tag.as_ref()).ok()?;
            Some((*nonce.as_ref(), tag))
        });
        if parts.is_none() {
            in_out.fill(0);
        }
        parts.ok_or(SealError::Module)
    }
}

/// An AES-256-GCM key that only opens.
pub(crate) struct OpenKey(LessSafeKey);

impl OpenKey {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Result<Self, OpenError> {
        UnboundKey::new(&AES_256_GCM, key)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| OpenError)
    }

    /// Turns `in_out` into plaintext if the tag is right; otherwise leaves zeros in it.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        tag: &[u8; TAG_BYTES],
        in_out: &mut [u8],
    ) -> Result<(), OpenError> {
        let opened = self
            .0
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                tag,
                in_out,
            )
            .is_ok();
        if !opened {
            in_out.fill(0);
            return Err(OpenError);
        }
        Ok(())
    }
}

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
