// SPDX-License-Identifier: Apache-2.0
//! Data keys under an AES wrapping key.

use std::fmt;

use aes_kw::{KeyInit as _, KwAes192};
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
            _ => return self.open_rfc3394_of_192_bits(wrapped),
        };
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let kek = AesKek::new(cipher, self.0.expose()).ok()?;
        let plain = kek.unwrap(wrapped, &mut out).ok()?;
        Some(plain.to_vec())
    }

    /// The module has no AES key wrap of 192 bits. Java's client wraps so when it is given a key of
    /// that length.
    fn open_rfc3394_of_192_bits(&self, wrapped: &[u8]) -> Option<Vec<u8>> {
        let key = KwAes192::new_from_slice(self.0.expose()).ok()?;
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let plain = key.unwrap_key(wrapped, &mut out).ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3394, sections 4.2 and 4.4, and a key of 256 bits wrapped by another implementation.
    #[test]
    fn aes_wrap_of_192_bits_is_that_of_the_rfc() {
        let key = |text: &str| AesMasterKey::new(AesKey::new(hex::decode(text).unwrap()).unwrap());
        let master = key("000102030405060708090A0B0C0D0E0F1011121314151617");
        for (data_key, wrapped) in [
            (
                "00112233445566778899AABBCCDDEEFF",
                "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D",
            ),
            (
                "00112233445566778899AABBCCDDEEFF0001020304050607",
                "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2",
            ),
            (
                "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
                "08861E000AABFA4479C7191F9DC51CCA37C50F16CC14441C6EA4980CFCE0F41D9285758C6F74AC6D",
            ),
        ] {
            let wrapped = hex::decode(wrapped).unwrap();
            let open = |bytes: &[u8]| master.unwrap(bytes, Wrap::AesWrap, Cipher::Gcm);
            let opened = open(&wrapped).unwrap();
            assert_eq!(opened.expose(), hex::decode(data_key).unwrap());
            for bit in 0..wrapped.len() * 8 {
                let mut other = wrapped.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(open(&other), Err(Error::WrongKey)), "bit {bit}");
            }
            for cut in [0, 7, 8, 15, 16, wrapped.len() - 1] {
                assert!(open(&wrapped[..cut]).is_err(), "{cut}");
            }
            let stranger = key("000102030405060708090A0B0C0D0E0F1011121314151618");
            let refused = stranger.unwrap(&wrapped, Wrap::AesWrap, Cipher::Gcm);
            assert!(matches!(refused, Err(Error::WrongKey)));
        }
    }

    #[test]
    fn aes_wrap_of_192_bits_takes_no_longer_keys() {
        let master = AesMasterKey::new(AesKey::new(vec![7; 24]).unwrap());
        for blocks in [0, 1, 2, 6, 100] {
            let wrapped = vec![0; 8 * blocks];
            assert!(master.unwrap(&wrapped, Wrap::AesWrap, Cipher::Gcm).is_err());
        }
    }
}
