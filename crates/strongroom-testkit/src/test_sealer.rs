// SPDX-License-Identifier: Apache-2.0
//! A sealer with a fixed key, for tests of what stands on it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use strongroom_store::{AtRest, AtRestError, UnitNotSealed, UnitSealer};

/// AES-256-GCM with one key for all streams; the stream is bound as associated data.
pub struct TestSealer {
    key: [u8; 32],
}

impl TestSealer {
    /// A sealer whose key is made of `seed`: another seed opens nothing of this one.
    pub fn new(seed: u8) -> Self {
        Self { key: [seed; 32] }
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.key)
            .ok()
            .map(LessSafeKey::new)
    }
}

impl AtRest for TestSealer {
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let cipher = self.cipher().ok_or(AtRestError::Seal)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| AtRestError::Seal)?;
        let mut body = plain.to_vec();
        let bound = Nonce::assume_unique_for_key(nonce);
        cipher
            .seal_in_place_append_tag(bound, Aad::from(bind(stream, aad)), &mut body)
            .map_err(|_| AtRestError::Seal)?;
        Ok([nonce.as_slice(), &body].concat())
    }

    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let cipher = self.cipher().ok_or(AtRestError::Open)?;
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(AtRestError::Open)?;
        let mut body = body.to_vec();
        let bound = Nonce::assume_unique_for_key(*nonce);
        let plain = cipher
            .open_in_place(bound, Aad::from(bind(stream, aad)), &mut body)
            .map_err(|_| AtRestError::Open)?;
        Ok(plain.to_vec())
    }
}

impl std::fmt::Debug for TestSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestSealer").finish_non_exhaustive()
    }
}

fn bind(stream: u64, aad: &[u8]) -> Vec<u8> {
    [stream.to_be_bytes().as_slice(), aad].concat()
}

/// Leaves units as they are: for tests of what the store does with bytes that are sealed already.
#[derive(Clone, Copy, Debug)]
pub struct UnsealedUnits;

impl UnitSealer for UnsealedUnits {
    fn seal_unit(&self, _: u64, _: bool, _: &mut [u8]) -> Result<(), UnitNotSealed> {
        Ok(())
    }
}
