// SPDX-License-Identifier: Apache-2.0
//! AES-256-GCM with nonces drawn by the cryptographic module: `nonce 12 || ciphertext || tag 16`.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

/// A key that seals and opens.
pub(crate) struct AeadKey(RandomizedNonceKey);

/// The module refused, or the bytes are not what was sealed; which of them is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AeadError;

impl AeadKey {
    pub(crate) fn new(key: &[u8; 32]) -> Result<AeadKey, AeadError> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(AeadKey)
            .map_err(|_| AeadError)
    }

    /// Appends the sealed form of `plain` to `out`. The copy of `plain` that is turned into
    /// ciphertext holds zeros if the module refuses.
    pub(crate) fn seal_to(
        &self,
        aad: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), AeadError> {
        let mut text = Zeroizing::new(plain.to_vec());
        let (nonce, tag) = self
            .0
            .seal_in_place_separate_tag(Aad::from(aad), text.as_mut_slice())
            .map_err(|_| AeadError)?;
        out.reserve(text.len().saturating_add(OVERHEAD_BYTES));
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&text);
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AeadError> {
        let mut out = Vec::new();
        self.seal_to(aad, plain, &mut out)?;
        Ok(out)
    }

    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AeadError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(AeadError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| AeadError)?;
        let mut text = Zeroizing::new(text.to_vec());
        let len = self
            .0
            .open_in_place(nonce, Aad::from(aad), &mut text)
            .map_err(|_| AeadError)?
            .len();
        text.truncate(len);
        Ok(text)
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

/// What sealing adds.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_BYTES + 16;
const NONCE_BYTES: usize = 12;
