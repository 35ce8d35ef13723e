// SPDX-License-Identifier: Apache-2.0
//! Decrypt.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::{EncryptionContext, KMS_BLOB_BYTES_MAX};
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::data_key::{Decrypted, Use};
use crate::encrypt::{ALGORITHM, Algorithm};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::shortened;
use crate::model::{CiphertextBlob, KeySpec, Plaintext};
use crate::service::Kms;

/// Parameters of Decrypt.
#[derive(Clone, Debug)]
pub struct DecryptInput {
    /// What Encrypt or GenerateDataKey made.
    pub ciphertext_blob: CiphertextBlob,
    /// The same pairs as then.
    pub context: EncryptionContext,
    /// When given, the key the ciphertext must be of: any of the four key identifiers.
    pub key_id: Option<String>,
    /// `SYMMETRIC_DEFAULT` when `None`.
    pub algorithm: Option<String>,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of Decrypt.
#[derive(Debug)]
pub struct DecryptOutput {
    /// What was encrypted.
    pub plaintext: Plaintext,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// The material that encrypted it.
    pub key_material_id: String,
    /// Algorithm.
    pub algorithm: &'static str,
}

impl Kms {
    /// Decrypts what Encrypt or GenerateDataKey made.
    pub async fn decrypt(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DecryptInput,
    ) -> Result<DecryptOutput, Error> {
        let algorithm = input.algorithm.as_deref().map_or(ALGORITHM, shortened);
        let mut event = Event::new(
            receipt,
            "Decrypt",
            true,
            json!({ "encryptionAlgorithm": algorithm }),
        );
        if let Some(key_id) = &input.key_id {
            event.parameter("keyId", asked(key_id));
        }
        event.context(&input.context);
        let result = self.try_decrypt(caller, &input, &mut event);
        let Decrypted {
            plaintext,
            key_arn,
            key_material_id,
        } = event.close(result).await?;
        Ok(DecryptOutput {
            plaintext,
            key_arn,
            key_material_id,
            algorithm: ALGORITHM,
        })
    }

    fn try_decrypt(
        &self,
        caller: &Caller,
        input: &DecryptInput,
        event: &mut Event<'_>,
    ) -> Result<Decrypted, Error> {
        Algorithm::parse(input.algorithm.as_deref())?.suits(KeySpec::SymmetricDefault)?;
        let length = |must: &str| {
            Error::Validation(format!(
                "1 validation error detected: Value at 'ciphertextBlob' failed to satisfy \
                 constraint: Member must have length {must}"
            ))
        };
        match input.ciphertext_blob.0.len() {
            0 => return Err(length("greater than or equal to 1")),
            len if len > KMS_BLOB_BYTES_MAX => return Err(length("less than or equal to 6144")),
            _ => {}
        }
        let expected = match &input.key_id {
            Some(key_id) => Some(self.find(key_id)?.row.uid()),
            None => None,
        };
        let action = KmsAction::Decrypt;
        let wish = Use {
            caller,
            action,
            context: &input.context,
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
        };
        self.decrypt_blob(wish, &input.ciphertext_blob, expected, event)
    }
}
