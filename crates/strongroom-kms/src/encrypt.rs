// SPDX-License-Identifier: Apache-2.0
//! Encrypt.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::{KmsAction, Permit};
use crate::data_key::Encrypted;
use crate::encryption::{EncryptionAlgorithm, SYMMETRIC_DEFAULT};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::key_id::shortened;
use crate::model::{CiphertextBlob, Plaintext};
use crate::service::{Found, Kms};
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// Parameters of Encrypt.
#[derive(Debug)]
pub struct EncryptInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// 1 to 4,096 bytes; for an RSA key as many as fit one modulus.
    pub plaintext: Plaintext,
    /// What the ciphertext is bound to; empty for an RSA key.
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
        let word = input.algorithm.as_deref();
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "encryptionAlgorithm": word.map_or(SYMMETRIC_DEFAULT, shortened),
        });
        let mut event = Event::new(receipt, "Encrypt", true, parameters);
        event.context(&input.context);
        let result = self.try_encrypt(caller, &input, &mut event).await;
        let (Encrypted { blob, key_arn, .. }, algorithm) = event.close(result).await?;
        Ok(EncryptOutput {
            ciphertext_blob: blob,
            key_arn,
            algorithm: algorithm.as_str(),
        })
    }

    async fn try_encrypt(
        &self,
        caller: &Caller,
        input: &EncryptInput,
        event: &mut Event<'_>,
    ) -> Result<(Encrypted, EncryptionAlgorithm), Error> {
        let word = input.algorithm.as_deref();
        let algorithm = EncryptionAlgorithm::parse(word, "encryptionAlgorithm")?;
        match input.plaintext.expose_secret().len() {
            0 => return Err(plaintext_length("greater than or equal to 1")),
            len if len > PLAINTEXT_BYTES_MAX => {
                return Err(plaintext_length("less than or equal to 4096"));
            }
            _ => {}
        }
        algorithm.takes(&input.context)?;
        let wish = Use {
            caller,
            action: KmsAction::Encrypt,
            context: Some(&input.context),
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[(ENCRYPTION_ALGORITHM, algorithm.as_str().to_owned())],
        };
        let ask = |event: &mut Event<'_>| {
            let found = self.find(&input.key_id)?;
            let permit = self.permit(&wish, &found, event)?;
            found.row.has_algorithm(algorithm.as_str())?;
            if wish.dry_run {
                return Err(Error::DryRun);
            }
            Ok((found, permit))
        };
        let is_heavy = |_: &(Found, Permit)| algorithm.is_rsa();
        self.reach_key(&input.key_id, event, ask).await?;
        let ((found, permit), turn) = heavy::in_turn(event, is_heavy, ask).await?;
        let (plaintext, context) = (&input.plaintext, &input.context);
        let encrypted = self
            .encrypt_with(&permit, &found.row, algorithm, plaintext, context, turn)
            .await?;
        if algorithm == EncryptionAlgorithm::Symmetric {
            event.material_id(&encrypted.key_material_id);
        }
        Ok((encrypted, algorithm))
    }
}

/// Unlike other refusals this one does not repeat the value, which is secret.
fn plaintext_length(must: &str) -> Error {
    Error::Validation(format!(
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member \
         must have length {must}"
    ))
}

const PLAINTEXT_BYTES_MAX: usize = 4096;
