// SPDX-License-Identifier: Apache-2.0
//! What GetParametersForImport gives and ImportKeyMaterial takes: a wrapping key, and a token
//! that carries its private half, sealed. Nothing is stored in between.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    PrivateDecryptingKey,
};
use minicbor::{Decode, Encode};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Error;
use crate::key_id::{KeyUid, shortened};
use crate::root::Keyring;

/// How imported material is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum WrappingAlgorithm {
    #[n(0)]
    OaepSha1,
    #[n(1)]
    OaepSha256,
    #[n(2)]
    AesKeyWrapSha1,
    #[n(3)]
    AesKeyWrapSha256,
}

impl WrappingAlgorithm {
    pub(crate) fn parse(word: &str) -> Result<WrappingAlgorithm, Error> {
        match word {
            "RSAES_OAEP_SHA_1" => Ok(WrappingAlgorithm::OaepSha1),
            "RSAES_OAEP_SHA_256" => Ok(WrappingAlgorithm::OaepSha256),
            "RSA_AES_KEY_WRAP_SHA_1" => Ok(WrappingAlgorithm::AesKeyWrapSha1),
            "RSA_AES_KEY_WRAP_SHA_256" => Ok(WrappingAlgorithm::AesKeyWrapSha256),
            "RSAES_PKCS1_V1_5" | "SM2PKE" => Err(Error::UnsupportedOperation(format!(
                "WrappingAlgorithm {word} is not supported here."
            ))),
            other => Err(Error::constraint(
                shortened(other),
                "wrappingAlgorithm",
                "satisfy enum value set: [RSAES_PKCS1_V1_5, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, \
                 RSA_AES_KEY_WRAP_SHA_1, RSA_AES_KEY_WRAP_SHA_256, SM2PKE]",
            )),
        }
    }

    fn oaep(self) -> &'static OaepAlgorithm {
        match self {
            WrappingAlgorithm::OaepSha1 | WrappingAlgorithm::AesKeyWrapSha1 => &OAEP_SHA1_MGF1SHA1,
            WrappingAlgorithm::OaepSha256 | WrappingAlgorithm::AesKeyWrapSha256 => {
                &OAEP_SHA256_MGF1SHA256
            }
        }
    }

    fn wraps_by_aes(self) -> bool {
        matches!(
            self,
            WrappingAlgorithm::AesKeyWrapSha1 | WrappingAlgorithm::AesKeyWrapSha256
        )
    }
}

/// How long the wrapping key is.
pub(crate) fn wrapping_key_size(word: &str) -> Result<KeySize, Error> {
    match word {
        "RSA_2048" => Ok(KeySize::Rsa2048),
        "RSA_3072" => Ok(KeySize::Rsa3072),
        "RSA_4096" => Ok(KeySize::Rsa4096),
        "SM2" => Err(Error::UnsupportedOperation(
            "WrappingKeySpec SM2 is not supported here.".to_owned(),
        )),
        other => Err(Error::constraint(
            shortened(other),
            "wrappingKeySpec",
            "satisfy enum value set: [RSA_2048, RSA_3072, RSA_4096, SM2]",
        )),
    }
}

/// An import token, open.
#[derive(Encode, Decode)]
pub(crate) struct ImportToken {
    #[n(0)]
    algorithm: WrappingAlgorithm,
    #[n(1)]
    pub(crate) valid_to_ms: u64,
    /// PKCS#8.
    #[cbor(n(2), with = "minicbor::bytes")]
    private_key: Vec<u8>,
}

impl ImportToken {
    /// A new wrapping key: the token, and the public half (`SubjectPublicKeyInfo`). Takes up to
    /// seconds.
    pub(crate) fn generate(
        algorithm: WrappingAlgorithm,
        size: KeySize,
        valid_to_ms: u64,
    ) -> Result<(ImportToken, Vec<u8>), Error> {
        let refused = |_| Error::Internal("making a wrapping key");
        let key = PrivateDecryptingKey::generate(size).map_err(refused)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(refused)?;
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(refused)?;
        let token = ImportToken {
            algorithm,
            valid_to_ms,
            private_key: der.as_ref().to_vec(),
        };
        Ok((token, public.as_ref().to_vec()))
    }

    /// Seals it for one key.
    pub(crate) fn seal(&self, keyring: &Keyring, uid: KeyUid) -> Result<Vec<u8>, Error> {
        let plain = minicbor::to_vec(self).map(Zeroizing::new);
        let plain = plain.map_err(|_| Error::Internal("encoding an import token"))?;
        keyring.seal_private(&label(uid), &plain)
    }

    /// Opens what was sealed for this key.
    pub(crate) fn open(keyring: &Keyring, uid: KeyUid, bytes: &[u8]) -> Result<ImportToken, Error> {
        let wrong = || Error::InvalidImportToken("The import token is not valid.".to_owned());
        let plain = keyring
            .open_private(&label(uid), bytes)
            .map_err(|_| wrong())?;
        minicbor::decode(&plain).map_err(|_| wrong())
    }

    /// What was wrapped under the public half. Whatever is wrong with it, the answer is the same.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let wrong = |_| Error::InvalidCiphertext;
        let key = PrivateDecryptingKey::from_pkcs8(&self.private_key)
            .map_err(|_| Error::Internal("the wrapping key of a token"))?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(wrong)?;
        let (first, rest) = wrapped
            .split_at_checked(key.key_size_bytes())
            .ok_or(Error::InvalidCiphertext)?;
        let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
        let len = key
            .decrypt(self.algorithm.oaep(), first, &mut out, None)
            .map_err(wrong)?
            .len();
        out.truncate(len);
        if !self.algorithm.wraps_by_aes() {
            return if rest.is_empty() {
                Ok(out)
            } else {
                Err(Error::InvalidCiphertext)
            };
        }
        let cipher = match out.len() {
            16 => &AES_128,
            32 => &AES_256,
            _ => return Err(Error::InvalidCiphertext),
        };
        let kek = AesKek::new(cipher, &out).map_err(wrong)?;
        let mut material = Zeroizing::new(vec![0; rest.len()]);
        let len = kek
            .unwrap_with_padding(rest, &mut material)
            .map_err(wrong)?
            .len();
        material.truncate(len);
        Ok(material)
    }
}

impl Drop for ImportToken {
    fn drop(&mut self) {
        self.private_key.zeroize();
    }
}

impl fmt::Debug for ImportToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImportToken(..)")
    }
}

fn label(uid: KeyUid) -> String {
    format!("kms-import/{uid}")
}
