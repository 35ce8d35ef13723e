// SPDX-License-Identifier: Apache-2.0
//! Seals small values that tell about the plaintext (checksums, MD5) under the object's sums key.
//!
//! At rest a plain checksum would answer any guess of the content. `aad` says which value it is, so
//! that one sealed value cannot stand in for another of the same object.

use zeroize::Zeroizing;

use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::cursor::Cursor;
use crate::error::{OpenError, SealError};
use crate::key::{OuterSumsKey, SumsKey};
use crate::primitives::{AwsLc, Primitives, RustCrypto};

impl SumsKey {
    /// Seals `plain` for the use named by `aad`. The result is 29 bytes longer.
    pub fn seal(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        seal::<AwsLc>(self.expose_secret(), plain, aad)
    }

    /// Opens what [`Self::seal`] made for the same `aad`.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, OpenError> {
        open::<AwsLc>(self.expose_secret(), sealed, aad)
    }
}

impl OuterSumsKey {
    /// Seals once more what [`SumsKey::seal`] made for the same `aad`.
    pub fn seal(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        seal::<RustCrypto>(self.expose_secret(), sealed, aad)
    }

    /// Opens what [`Self::seal`] made for the same `aad`.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, OpenError> {
        open::<RustCrypto>(self.expose_secret(), sealed, aad)
    }
}

//= docs/spec/object-format.md#sealed-checksums
//# sealed = 0x01 || nonce || ciphertext || tag
fn seal<P: Primitives>(key: &[u8; 32], plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut text = Zeroizing::new(plain.to_vec());
    let (nonce, tag) = P::seal(&P::seal_key(key)?, &full_aad(aad), &mut text)?;
    Ok([[VERSION].as_slice(), &nonce, &text, &tag].concat())
}

fn open<P: Primitives>(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut cursor = Cursor::new(sealed);
    if cursor.u8() != Ok(VERSION) {
        return Err(OpenError);
    }
    let nonce = cursor.array::<NONCE_BYTES>().map_err(|_| OpenError)?;
    let (text, tag) = cursor
        .rest()
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(OpenError)?;
    let mut text = text.to_vec();
    P::open(&P::open_key(key)?, nonce, &full_aad(aad), tag, &mut text)?;
    Ok(text)
}

//= docs/spec/object-format.md#sealed-checksums
//# AAD = "strongroom/1/sums-seal" || 0x01 || aad
fn full_aad(aad: &[u8]) -> Vec<u8> {
    [b"strongroom/1/sums-seal".as_slice(), &[VERSION], aad].concat()
}

const VERSION: u8 = 1;
