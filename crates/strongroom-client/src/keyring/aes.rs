// SPDX-License-Identifier: Apache-2.0
//! Data keys under an AES wrapping key.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use zeroize::Zeroizing;

use crate::envelope::{Cipher, Wrap};
use crate::error::Error;
use crate::secret::AesKey;

/// An AES wrapping key of 16, 24 or 32 bytes.
pub struct AesMasterKey(AesKey);

impl AesMasterKey {
    /// Uses this key to wrap data keys. Use 32 bytes for new ones.
    pub fn new(key: AesKey) -> Self {
        Self(key)
    }

    /// `nonce 12 || ciphertext || tag 16`, the cipher's name authenticated along.
    pub(super) fn wrap(&self, data_key: &AesKey, cipher: Cipher) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; 12];
        aws_lc_rs::rand::fill(&mut nonce)?;
        let mut sealed = Zeroizing::new(data_key.expose().to_vec());
        let aad = Aad::from(cipher.name());
        let key = self.gcm()?;
        let tag = key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            aad,
            sealed.as_mut_slice(),
        )?;
        Ok([nonce.as_slice(), &sealed, tag.as_ref()].concat())
    }

    pub(super) fn unwrap(
        &self,
        wrapped: &[u8],
        wrap: Wrap,
        cipher: Cipher,
    ) -> Result<AesKey, Error> {
        let opened = match wrap {
            Wrap::AesGcm => self.open_gcm(wrapped, cipher),
            Wrap::AesWrap => self.open_rfc3394(wrapped),
            Wrap::AesEcb => self.open_ecb(wrapped),
            _ => None,
        };
        opened
            .and_then(|bytes| AesKey::new(bytes).ok())
            .ok_or(Error::WrongKey)
    }

    fn gcm(&self) -> Result<LessSafeKey, Error> {
        let algorithm = match self.0.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            _ => &AES_256_GCM,
        };
        Ok(LessSafeKey::new(UnboundKey::new(
            algorithm,
            self.0.expose(),
        )?))
    }

    fn open_gcm(&self, wrapped: &[u8], cipher: Cipher) -> Option<Vec<u8>> {
        let (nonce, sealed) = wrapped.split_first_chunk::<12>()?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let plain = self
            .gcm()
            .ok()?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(cipher.name()),
                bytes.as_mut_slice(),
            )
            .ok()?;
        Some(plain.to_vec())
    }

    fn open_rfc3394(&self, wrapped: &[u8]) -> Option<Vec<u8>> {
        let cipher = match self.0.len() {
            16 => &key_wrap::AES_128,
            32 => &key_wrap::AES_256,
            // The module has no AES-192 here.
            _ => return None,
        };
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let kek = AesKek::new(cipher, self.0.expose()).ok()?;
        let plain = kek.unwrap(wrapped, &mut out).ok()?;
        Some(plain.to_vec())
    }

    fn open_ecb(&self, wrapped: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match self.0.len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, self.0.expose()).ok()?;
        let mut stream = StreamingDecryptingKey::ecb_pkcs7(key, DecryptionContext::None).ok()?;
        let mut out = Zeroizing::new(vec![0; wrapped.len().checked_add(32)?]);
        let written = stream.update(wrapped, &mut out).ok()?.written().len();
        let last = stream.finish(out.get_mut(written..)?).ok()?.written().len();
        Some(out.get(..written.checked_add(last)?)?.to_vec())
    }
}

impl fmt::Debug for AesMasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesMasterKey(..)")
    }
}
