// SPDX-License-Identifier: Apache-2.0
//! Encryption algorithms, and both directions of each under one key; of Encrypt, Decrypt and
//! ReEncrypt.
//!
//! A symmetric ciphertext is a blob that names its key. An asymmetric one is what RSAES-OAEP (RFC
//! 8017) makes, as long as the modulus, with nothing added: whoever decrypts says which key it is.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use strongroom_format::{EncryptionContext, KMS_BLOB_BYTES_MAX};
use zeroize::Zeroizing;

use crate::authorize::Permit;
use crate::data_key::{Decrypted, Encrypted};
use crate::error::Error;
use crate::heavy::Turn;
use crate::key_id::shortened;
use crate::material::Material;
use crate::model::{CiphertextBlob, KeySpec, Plaintext};
use crate::rows::KeyRow;
use crate::service::{Found, Kms};

/// An encryption algorithm that is offered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncryptionAlgorithm {
    /// AES-256-GCM.
    Symmetric,
    /// RSAES-OAEP with SHA-1.
    OaepSha1,
    /// RSAES-OAEP with SHA-256.
    OaepSha256,
    /// What no key here has.
    Sm2,
}

impl EncryptionAlgorithm {
    /// Reads the word of the wire.
    pub(crate) fn parse(word: Option<&str>, member: &str) -> Result<EncryptionAlgorithm, Error> {
        match word {
            None | Some(SYMMETRIC_DEFAULT) => Ok(EncryptionAlgorithm::Symmetric),
            Some("RSAES_OAEP_SHA_1") => Ok(EncryptionAlgorithm::OaepSha1),
            Some("RSAES_OAEP_SHA_256") => Ok(EncryptionAlgorithm::OaepSha256),
            Some("SM2PKE") => Ok(EncryptionAlgorithm::Sm2),
            Some(other) => Err(Error::constraint(
                shortened(other),
                member,
                "satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, \
                 RSAES_OAEP_SHA_256, SM2PKE]",
            )),
        }
    }

    /// The word of the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EncryptionAlgorithm::Symmetric => SYMMETRIC_DEFAULT,
            EncryptionAlgorithm::OaepSha1 => "RSAES_OAEP_SHA_1",
            EncryptionAlgorithm::OaepSha256 => "RSAES_OAEP_SHA_256",
            EncryptionAlgorithm::Sm2 => "SM2PKE",
        }
    }

    /// Only what symmetric keys encrypt can be bound to a context.
    pub(crate) fn takes(self, context: &EncryptionContext) -> Result<(), Error> {
        if self == EncryptionAlgorithm::Symmetric || context.is_empty() {
            return Ok(());
        }
        Err(Error::Validation(format!(
            "An encryption context is not supported with algorithm {}.",
            self.as_str()
        )))
    }

    /// Whether it is work for a while.
    pub(crate) fn is_rsa(self) -> bool {
        self != EncryptionAlgorithm::Symmetric
    }

    fn oaep(self) -> Result<&'static OaepAlgorithm, Error> {
        match self {
            EncryptionAlgorithm::OaepSha1 => Ok(&OAEP_SHA1_MGF1SHA1),
            EncryptionAlgorithm::OaepSha256 => Ok(&OAEP_SHA256_MGF1SHA256),
            EncryptionAlgorithm::Symmetric | EncryptionAlgorithm::Sm2 => {
                Err(Error::Internal("an algorithm that is not of RSA"))
            }
        }
    }
}

/// What there is to decrypt, and what the request says about it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) blob: &'a CiphertextBlob,
    pub(crate) algorithm: EncryptionAlgorithm,
    pub(crate) context: &'a EncryptionContext,
    /// The key identifier in the request.
    pub(crate) key_id: Option<&'a str>,
    /// A dry run that does not look at the ciphertext.
    pub(crate) ignore_ciphertext: bool,
    /// The member that `key_id` is.
    pub(crate) key_id_member: &'static str,
}

impl Kms {
    /// The key that has to decrypt `source`.
    pub(crate) fn key_of(&self, source: &Source<'_>) -> Result<Found, Error> {
        source.algorithm.takes(source.context)?;
        let length = |must: &str| {
            Error::Validation(format!(
                "1 validation error detected: Value at 'ciphertextBlob' failed to satisfy \
                 constraint: Member must have length {must}"
            ))
        };
        match source.blob.0.len() {
            0 if !source.ignore_ciphertext => return Err(length("greater than or equal to 1")),
            len if len > KMS_BLOB_BYTES_MAX => return Err(length("less than or equal to 6144")),
            _ => {}
        }
        let named = source.key_id.map(|key_id| self.find(key_id)).transpose()?;
        let by_blob = source.algorithm == EncryptionAlgorithm::Symmetric;
        match named {
            // It may be of another type; then its algorithms are not the one asked for.
            Some(named)
                if source.ignore_ciphertext
                    || !by_blob
                    || named.row.spec != KeySpec::SymmetricDefault =>
            {
                Ok(named)
            }
            Some(named) => {
                self.key_of_blob(&source.blob.0, Some(named.row.uid()))?;
                Ok(named)
            }
            None if by_blob && !source.ignore_ciphertext => self.key_of_blob(&source.blob.0, None),
            None => Err(Error::Validation(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: \
                 Member must not be null",
                source.key_id_member
            ))),
        }
    }

    /// Decrypts with the key that was found and permitted for this turn.
    pub(crate) async fn decrypt_with(
        &self,
        permit: &Permit,
        row: &KeyRow,
        source: &Source<'_>,
        turn: Turn,
    ) -> Result<Decrypted, Error> {
        if source.algorithm == EncryptionAlgorithm::Symmetric {
            return self.open_blob(permit, row, source.blob, source.context);
        }
        let oaep = source.algorithm.oaep()?;
        let unwrapped = self.current_material(permit, row)?;
        let (material, ciphertext) = (unwrapped.material, source.blob.0.clone());
        let opened = turn
            .run(move || rsa_open(&material, oaep, &ciphertext))
            .await?;
        Ok(Decrypted {
            plaintext: Plaintext::from(opened),
            key_arn: row.arn(self.place()),
            key_material_id: unwrapped.id,
        })
    }

    /// Encrypts under the key that was found and permitted for this turn.
    pub(crate) async fn encrypt_with(
        &self,
        permit: &Permit,
        row: &KeyRow,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext,
        context: &EncryptionContext,
        turn: Turn,
    ) -> Result<Encrypted, Error> {
        if algorithm == EncryptionAlgorithm::Symmetric {
            return self.seal_blob(permit, row, plaintext.expose_secret(), context);
        }
        let oaep = algorithm.oaep()?;
        let unwrapped = self.current_material(permit, row)?;
        let too_long = |max: usize| {
            Error::Validation(format!(
                "Algorithm {} and key spec {} cannot encrypt data larger than {max} bytes.",
                algorithm.as_str(),
                row.spec.as_str()
            ))
        };
        let material = unwrapped.material;
        let plain = Zeroizing::new(plaintext.expose_secret().to_vec());
        let sealed = turn.run(move || rsa_seal(&material, oaep, &plain)).await?;
        Ok(Encrypted {
            blob: CiphertextBlob(sealed.map_err(|TooLong(max)| too_long(max))?),
            key_arn: row.arn(self.place()),
            key_material_id: unwrapped.id,
        })
    }
}

/// More bytes than one modulus holds, which is so many.
struct TooLong(usize);

fn private_key(material: &Material) -> Result<PrivateDecryptingKey, Error> {
    PrivateDecryptingKey::from_pkcs8(material.expose_secret()).map_err(|_| Error::Corrupted {
        what: "a private key of RSA".to_owned(),
    })
}

fn rsa_seal(
    material: &Material,
    algorithm: &'static OaepAlgorithm,
    plaintext: &[u8],
) -> Result<Result<Vec<u8>, TooLong>, Error> {
    let refused = |_| Error::Internal("encrypting with RSA");
    let key = OaepPublicEncryptingKey::new(private_key(material)?.public_key()).map_err(refused)?;
    let max = key.max_plaintext_size(algorithm);
    if plaintext.len() > max {
        return Ok(Err(TooLong(max)));
    }
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let written = key.encrypt(algorithm, plaintext, &mut ciphertext, None);
    let len = written.map_err(refused)?.len();
    ciphertext.truncate(len);
    Ok(Ok(ciphertext))
}

/// Whatever is wrong with the ciphertext, the answer is the same.
fn rsa_open(
    material: &Material,
    algorithm: &'static OaepAlgorithm,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let refused = |_| Error::InvalidCiphertext;
    let key = OaepPrivateDecryptingKey::new(private_key(material)?).map_err(refused)?;
    if ciphertext.len() != key.key_size_bytes() {
        return Err(Error::InvalidCiphertext);
    }
    let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
    let written = key.decrypt(algorithm, ciphertext, &mut plaintext, None);
    let len = written.map_err(refused)?.len();
    plaintext.truncate(len);
    Ok(plaintext)
}

pub(crate) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_pair::openssl::vectors;

    #[test]
    fn ciphertexts_of_openssl_open() {
        let mut count = 0;
        for vector in vectors() {
            for (word, ciphertext) in vector.map("ciphertexts") {
                let algorithm = EncryptionAlgorithm::parse(Some(&word), "m").unwrap();
                let oaep = algorithm.oaep().unwrap();
                let opened = rsa_open(&vector.private, oaep, &ciphertext).unwrap();
                assert_eq!(*opened, vector.message);
                let mut changed = ciphertext.clone();
                changed[100] ^= 1;
                let refused = rsa_open(&vector.private, oaep, &changed).unwrap_err();
                assert!(matches!(refused, Error::InvalidCiphertext));
                count += 1;
            }
        }
        assert_eq!(count, 2);
    }
}
