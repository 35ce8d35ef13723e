// SPDX-License-Identifier: Apache-2.0
//! Encrypt.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::data_key::{Encrypted, Use};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::shortened;
use crate::model::{CiphertextBlob, KeySpec, Plaintext};
use crate::service::Kms;

/// Parameters of Encrypt.
#[derive(Debug)]
pub struct EncryptInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// 1 to 4,096 bytes.
    pub plaintext: Plaintext,
    /// What the ciphertext is bound to.
    pub context: EncryptionContext,
    /// `SYMMETRIC_DEFAULT` when `None`.
    pub algorithm: Option<String>,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of Encrypt.
#[derive(Clone, Debug)]
pub struct EncryptOutput {
    /// The ciphertext.
    pub ciphertext_blob: CiphertextBlob,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm.
    pub algorithm: &'static str,
}

impl Kms {
    /// Encrypts up to 4,096 bytes.
    pub async fn encrypt(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: EncryptInput,
    ) -> Result<EncryptOutput, Error> {
        let algorithm = input.algorithm.as_deref().map_or(ALGORITHM, shortened);
        let parameters = json!({ "keyId": asked(&input.key_id), "encryptionAlgorithm": algorithm });
        let mut event = Event::new(receipt, "Encrypt", true, parameters);
        event.context(&input.context);
        let result = self.try_encrypt(caller, &input, &mut event);
        let Encrypted { blob, key_arn, .. } = event.close(result).await?;
        Ok(EncryptOutput {
            ciphertext_blob: blob,
            key_arn,
            algorithm: ALGORITHM,
        })
    }

    fn try_encrypt(
        &self,
        caller: &Caller,
        input: &EncryptInput,
        event: &mut Event<'_>,
    ) -> Result<Encrypted, Error> {
        let algorithm = Algorithm::parse(input.algorithm.as_deref())?;
        match input.plaintext.expose_secret().len() {
            0 => return Err(plaintext_length("greater than or equal to 1")),
            len if len > PLAINTEXT_BYTES_MAX => {
                return Err(plaintext_length("less than or equal to 4096"));
            }
            _ => {}
        }
        let found = self.find(&input.key_id)?;
        algorithm.suits(found.row.spec)?;
        let action = KmsAction::Encrypt;
        let wish = Use {
            caller,
            action,
            context: &input.context,
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
        };
        self.encrypt_bytes(wish, &found, &input.plaintext, event)
    }
}

/// Unlike other refusals this one does not repeat the value, which is secret.
fn plaintext_length(must: &str) -> Error {
    Error::Validation(format!(
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member \
         must have length {must}"
    ))
}

/// `EncryptionAlgorithm` of a request.
#[derive(Clone, Copy)]
pub(crate) enum Algorithm {
    Symmetric,
    /// One for asymmetric keys.
    Other(&'static str),
}

impl Algorithm {
    pub(crate) fn parse(text: Option<&str>) -> Result<Algorithm, Error> {
        let Some(text) = text else {
            return Ok(Algorithm::Symmetric);
        };
        if text == ALGORITHM {
            return Ok(Algorithm::Symmetric);
        }
        let other = OTHER_ALGORITHMS
            .into_iter()
            .find(|algorithm| *algorithm == text);
        other.map(Algorithm::Other).ok_or_else(|| {
            Error::constraint(
                shortened(text),
                "encryptionAlgorithm",
                "satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, \
                 RSAES_OAEP_SHA_256, SM2PKE]",
            )
        })
    }

    pub(crate) fn suits(self, spec: KeySpec) -> Result<(), Error> {
        let algorithm = match (self, spec) {
            (Algorithm::Symmetric, KeySpec::SymmetricDefault) => return Ok(()),
            (Algorithm::Symmetric, _) => ALGORITHM,
            (Algorithm::Other(algorithm), _) => algorithm,
        };
        Err(Error::InvalidKeyUsage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            spec.as_str()
        )))
    }
}

pub(crate) const ALGORITHM: &str = "SYMMETRIC_DEFAULT";
const OTHER_ALGORITHMS: [&str; 3] = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"];
const PLAINTEXT_BYTES_MAX: usize = 4096;
