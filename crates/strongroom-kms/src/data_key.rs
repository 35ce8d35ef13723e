// SPDX-License-Identifier: Apache-2.0
//! Data keys, and ciphertext blobs under symmetric keys; of the wire and of S3.

use strongroom_format::{
    EncryptionContext, KmsBlobRandom, kms_blob_open, kms_blob_parse, kms_blob_seal,
};
use zeroize::Zeroizing;

use crate::authorize::Permit;
use crate::error::Error;
use crate::event::Event;
use crate::key_id::KeyUid;
use crate::material;
use crate::model::{CiphertextBlob, Plaintext};
use crate::rows::KeyRow;
use crate::service::{Found, Kms};
use crate::use_key::Use;

/// How long a data key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKeySpec {
    /// 16 bytes.
    Aes128,
    /// 32 bytes.
    Aes256,
    /// 1 to 1,024 bytes.
    Bytes(u16),
}

impl DataKeySpec {
    /// Reads the two parameters of the wire, of which exactly one must be given.
    pub fn from_request(
        key_spec: Option<&str>,
        number_of_bytes: Option<i64>,
    ) -> Result<DataKeySpec, Error> {
        match (key_spec, number_of_bytes) {
            (Some("AES_128"), None) => Ok(DataKeySpec::Aes128),
            (Some("AES_256"), None) => Ok(DataKeySpec::Aes256),
            (Some(other), None) => Err(Error::constraint(
                crate::key_id::shortened(other),
                "keySpec",
                "satisfy enum value set: [AES_256, AES_128]",
            )),
            (None, Some(bytes)) if bytes > i64::from(BYTES_MAX) => Err(Error::constraint(
                bytes,
                "numberOfBytes",
                "have value less than or equal to 1024",
            )),
            (None, Some(bytes)) => match u16::try_from(bytes) {
                Ok(bytes) if bytes > 0 => Ok(DataKeySpec::Bytes(bytes)),
                _ => Err(Error::constraint(
                    bytes,
                    "numberOfBytes",
                    "have value greater than or equal to 1",
                )),
            },
            (Some(_), Some(_)) | (None, None) => Err(Error::Validation(
                "Please specify either number of bytes or key spec.".to_owned(),
            )),
        }
    }

    pub(crate) fn bytes(self) -> Result<usize, Error> {
        match self {
            DataKeySpec::Aes128 => Ok(16),
            DataKeySpec::Aes256 => Ok(32),
            DataKeySpec::Bytes(bytes) => {
                DataKeySpec::from_request(None, Some(i64::from(bytes)))?;
                Ok(usize::from(bytes))
            }
        }
    }

    /// Writes the request's parameter into the event.
    pub(crate) fn tell(self, event: &mut Event<'_>) {
        match self {
            DataKeySpec::Aes128 => event.parameter("keySpec", "AES_128".into()),
            DataKeySpec::Aes256 => event.parameter("keySpec", "AES_256".into()),
            DataKeySpec::Bytes(bytes) => event.parameter("numberOfBytes", bytes.into()),
        }
    }
}

/// A new data key, in clear and encrypted.
pub(crate) struct DataKey {
    pub(crate) plaintext: Plaintext,
    pub(crate) encrypted: Encrypted,
}

/// Something encrypted under a key.
pub(crate) struct Encrypted {
    pub(crate) blob: CiphertextBlob,
    pub(crate) key_arn: String,
    pub(crate) key_material_id: String,
}

/// Something decrypted.
pub(crate) struct Decrypted {
    pub(crate) plaintext: Plaintext,
    pub(crate) key_arn: String,
    pub(crate) key_material_id: String,
}

impl Kms {
    /// Makes a data key under `found`.
    pub(crate) fn make_data_key(
        &self,
        wish: &Use<'_>,
        found: &Found,
        spec: DataKeySpec,
        context: &EncryptionContext,
        event: &mut Event<'_>,
    ) -> Result<DataKey, Error> {
        let len = spec.bytes()?;
        let permit = self.permit(wish, found, event)?;
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        let mut plaintext = Zeroizing::new(vec![0; len]);
        material::fill(&mut plaintext)?;
        let encrypted = self.seal_blob(&permit, &found.row, &plaintext, context)?;
        event.material_id(&encrypted.key_material_id);
        Ok(DataKey {
            plaintext: Plaintext::from(plaintext),
            encrypted,
        })
    }

    /// Decrypts the blob of a data key.
    pub(crate) fn open_data_key(
        &self,
        wish: &Use<'_>,
        blob: &CiphertextBlob,
        context: &EncryptionContext,
        event: &mut Event<'_>,
    ) -> Result<Decrypted, Error> {
        let found = self.key_of_blob(&blob.0, None)?;
        let permit = self.permit(wish, &found, event)?;
        let decrypted = self.open_blob(&permit, &found.row, blob, context)?;
        event.material_id(&decrypted.key_material_id);
        Ok(decrypted)
    }

    /// The key that a blob says it is of; `expected` is the key that the caller named, if one was
    /// named. Nothing of a blob is authenticated before it opens.
    pub(crate) fn key_of_blob(
        &self,
        blob: &[u8],
        expected: Option<KeyUid>,
    ) -> Result<Found, Error> {
        // Whatever is wrong with a blob, the answer is the same: InvalidCiphertext.
        let header = kms_blob_parse(blob).map_err(|_| Error::InvalidCiphertext)?;
        let uid = KeyUid(header.key_uid);
        let Some(found) = self.key(uid)? else {
            return Err(if self.was_deleted(uid)? {
                self.place().key_not_found(uid)
            } else {
                Error::InvalidCiphertext
            });
        };
        match expected {
            Some(expected) if expected != uid => Err(Error::IncorrectKey),
            Some(_) | None => Ok(found),
        }
    }

    /// Opens a blob with the material that it names.
    pub(crate) fn open_blob(
        &self,
        permit: &Permit,
        row: &KeyRow,
        blob: &CiphertextBlob,
        context: &EncryptionContext,
    ) -> Result<Decrypted, Error> {
        let header = kms_blob_parse(&blob.0).map_err(|_| Error::InvalidCiphertext)?;
        let unwrapped = self
            .material_of(permit, row, header.version)?
            .ok_or(Error::InvalidCiphertext)?;
        let key = unwrapped.material.symmetric()?;
        let plaintext =
            kms_blob_open(&key, &blob.0, context).map_err(|_| Error::InvalidCiphertext)?;
        Ok(Decrypted {
            plaintext: Plaintext::from(plaintext),
            key_arn: row.arn(self.place()),
            key_material_id: unwrapped.id,
        })
    }

    /// Seals a blob under the current material.
    pub(crate) fn seal_blob(
        &self,
        permit: &Permit,
        row: &KeyRow,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Encrypted, Error> {
        let unwrapped = self.current_material(permit, row)?;
        let key = unwrapped.material.symmetric()?;
        let mut random = KmsBlobRandom { n: [0; 16] };
        material::fill(&mut random.n)?;
        let version = row.current_version;
        let blob = kms_blob_seal(&key, row.uid, version, &random, plaintext, context)
            .map_err(|_| Error::Internal("sealing a ciphertext blob"))?;
        Ok(Encrypted {
            blob: CiphertextBlob(blob),
            key_arn: row.arn(self.place()),
            key_material_id: unwrapped.id,
        })
    }
}

const BYTES_MAX: u16 = 1024;
