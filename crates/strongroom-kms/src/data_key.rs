// SPDX-License-Identifier: Apache-2.0
//! The inner half of everything that uses key material: find, authorize, state, then use.
//!
//! The wire operations and S3 come through here; nothing else unwraps material.

use strongroom_format::{
    EncryptionContext, KmsBlobRandom, kms_blob_open, kms_blob_parse, kms_blob_seal,
};
use strongroom_iam::Caller;
use zeroize::Zeroizing;

use crate::authorize::{Ask, KmsAction, Permit};
use crate::error::Error;
use crate::event::Event;
use crate::key_id::KeyUid;
use crate::key_state::refusal;
use crate::material;
use crate::model::{CiphertextBlob, KeyUsage, Plaintext};
use crate::rows::KeyRow;
use crate::service::{Found, Kms};

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

    fn bytes(self) -> Result<usize, Error> {
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

/// What is asked of a found key.
#[derive(Clone, Copy)]
pub(crate) struct Use<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) action: KmsAction,
    pub(crate) context: &'a EncryptionContext,
    pub(crate) grant_tokens: &'a [String],
    pub(crate) dry_run: bool,
}

impl Kms {
    /// Makes a data key under `found`.
    pub(crate) fn make_data_key(
        &self,
        wish: Use<'_>,
        found: &Found,
        spec: DataKeySpec,
        event: &mut Event<'_>,
    ) -> Result<DataKey, Error> {
        let len = spec.bytes()?;
        let permit = self.permit(wish, &found.row, event)?;
        let mut plaintext = Zeroizing::new(vec![0; len]);
        material::fill(&mut plaintext)?;
        let encrypted = self.encrypt_under(&permit, wish, &found.row, &plaintext, event)?;
        Ok(DataKey {
            plaintext: Plaintext::from(plaintext),
            encrypted,
        })
    }

    /// Encrypts the caller's bytes under `found`.
    pub(crate) fn encrypt_bytes(
        &self,
        wish: Use<'_>,
        found: &Found,
        plaintext: &Plaintext,
        event: &mut Event<'_>,
    ) -> Result<Encrypted, Error> {
        let permit = self.permit(wish, &found.row, event)?;
        self.encrypt_under(&permit, wish, &found.row, plaintext.expose_secret(), event)
    }

    /// Decrypts a blob; `expected` is the key the caller named, if it named one.
    pub(crate) fn decrypt_blob(
        &self,
        wish: Use<'_>,
        blob: &CiphertextBlob,
        expected: Option<KeyUid>,
        event: &mut Event<'_>,
    ) -> Result<Decrypted, Error> {
        check_context(wish.context)?;
        let CiphertextBlob(blob) = blob;
        // Whatever is wrong with a blob, the answer is the same: InvalidCiphertext.
        let header = kms_blob_parse(blob).map_err(|_| Error::InvalidCiphertext)?;
        let uid = KeyUid(header.key_uid);
        let Found { row, .. } = self.key(uid)?.ok_or(Error::InvalidCiphertext)?;
        if expected.is_some_and(|expected| expected != uid) {
            return Err(Error::IncorrectKey);
        }
        let permit = self.permit(wish, &row, event)?;
        let stored = self
            .material(uid, header.version)?
            .ok_or(Error::InvalidCiphertext)?;
        let key = self
            .unwrap_material(&permit, &row, header.version, &stored)?
            .symmetric()?;
        let plaintext =
            kms_blob_open(&key, blob, wish.context).map_err(|_| Error::InvalidCiphertext)?;
        let key_material_id = hex::encode(stored.material_id);
        event.material_id(&key_material_id);
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        Ok(Decrypted {
            plaintext: Plaintext::from(plaintext),
            key_arn: row.arn(self.place()),
            key_material_id,
        })
    }

    /// Permission first, then the key's state and purpose, as AWS answers.
    fn permit(&self, wish: Use<'_>, row: &KeyRow, event: &mut Event<'_>) -> Result<Permit, Error> {
        check_context(wish.context)?;
        let arn = row.arn(self.place());
        event.touches(&arn);
        let ask = Ask::new(wish.caller, event.via(), wish.action)
            .context(wish.context)
            .grant_tokens(wish.grant_tokens);
        let permit = self.authorize(&ask, row)?;
        if let Some(refusal) = refusal(&arn, row.state) {
            return Err(refusal);
        }
        if row.usage != KeyUsage::EncryptDecrypt {
            let usage = row.usage.as_str();
            let operation = wish.action.name().trim_start_matches("kms:");
            return Err(Error::InvalidKeyUsage(format!(
                "{arn} key usage is {usage} which is not valid for {operation}."
            )));
        }
        Ok(permit)
    }

    fn encrypt_under(
        &self,
        permit: &Permit,
        wish: Use<'_>,
        row: &KeyRow,
        plaintext: &[u8],
        event: &mut Event<'_>,
    ) -> Result<Encrypted, Error> {
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        let version = row.current_version;
        let missing = || Error::Corrupted {
            what: format!("material {version} of KMS key {}", row.uid()),
        };
        let stored = self.material(row.uid(), version)?.ok_or_else(missing)?;
        let key = self
            .unwrap_material(permit, row, version, &stored)?
            .symmetric()?;
        let mut random = KmsBlobRandom { n: [0; 16] };
        material::fill(&mut random.n)?;
        let blob = kms_blob_seal(&key, row.uid, version, &random, plaintext, wish.context)
            .map_err(|_| Error::Internal("sealing a ciphertext blob"))?;
        let key_material_id = hex::encode(stored.material_id);
        event.material_id(&key_material_id);
        Ok(Encrypted {
            blob: CiphertextBlob(blob),
            key_arn: row.arn(self.place()),
            key_material_id,
        })
    }
}

/// Names and values of an encryption context may not be empty, nor the whole too long.
fn check_context(context: &EncryptionContext) -> Result<(), Error> {
    if context
        .iter()
        .any(|(name, value)| name.is_empty() || value.is_empty())
    {
        return Err(Error::Validation(
            "1 validation error detected: Value at 'encryptionContext' failed to satisfy \
             constraint: Map keys and values must satisfy constraint: [Member must have length \
             greater than or equal to 1]"
                .to_owned(),
        ));
    }
    let characters: usize = context
        .iter()
        .map(|(name, value)| name.chars().count().saturating_add(value.chars().count()))
        .sum();
    if characters > CONTEXT_CHARACTERS_MAX {
        return Err(Error::Validation(
            "1 validation error detected: Value at 'encryptionContext' failed to satisfy \
             constraint: Map must have length less than or equal to 8192"
                .to_owned(),
        ));
    }
    Ok(())
}

const BYTES_MAX: u16 = 1024;
const CONTEXT_CHARACTERS_MAX: usize = 8192;
