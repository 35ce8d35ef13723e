// SPDX-License-Identifier: Apache-2.0
//! Decrypt.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::{KmsAction, Permit};
use crate::data_key::Decrypted;
use crate::encryption::{EncryptionAlgorithm, SYMMETRIC_DEFAULT, Source};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::key_id::shortened;
use crate::model::{CiphertextBlob, Plaintext};
use crate::service::{Found, Kms};
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// Parameters of Decrypt.
#[derive(Clone, Debug)]
pub struct DecryptInput {
    /// What Encrypt or GenerateDataKey made.
    pub ciphertext_blob: CiphertextBlob,
    /// The same pairs as then.
    pub context: EncryptionContext,
    /// The key that the ciphertext must be of: any of the four key identifiers. An RSA ciphertext
    /// does not name its key, so there it must be given.
    pub key_id: Option<String>,
    /// `SYMMETRIC_DEFAULT` when `None`.
    pub algorithm: Option<String>,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
    /// With `dry_run`: only say whether the caller may, with no ciphertext.
    pub ignore_ciphertext: bool,
}

/// Answer of Decrypt.
#[derive(Debug)]
pub struct DecryptOutput {
    /// What was encrypted.
    pub plaintext: Plaintext,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// The material that encrypted it, of a symmetric key.
    pub key_material_id: Option<String>,
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
        let word = input.algorithm.as_deref();
        let parameters =
            json!({ "encryptionAlgorithm": word.map_or(SYMMETRIC_DEFAULT, shortened) });
        let mut event = Event::new(receipt, "Decrypt", true, parameters);
        if let Some(key_id) = &input.key_id {
            event.parameter("keyId", asked(key_id));
        }
        event.context(&input.context);
        let result = self.try_decrypt(caller, &input, &mut event).await;
        let (decrypted, algorithm) = event.close(result).await?;
        Ok(DecryptOutput {
            plaintext: decrypted.plaintext,
            key_arn: decrypted.key_arn,
            key_material_id: Some(decrypted.key_material_id)
                .filter(|_| algorithm == EncryptionAlgorithm::Symmetric),
            algorithm: algorithm.as_str(),
        })
    }

    async fn try_decrypt(
        &self,
        caller: &Caller,
        input: &DecryptInput,
        event: &mut Event<'_>,
    ) -> Result<(Decrypted, EncryptionAlgorithm), Error> {
        let word = input.algorithm.as_deref();
        let algorithm = EncryptionAlgorithm::parse(word, "encryptionAlgorithm")?;
        let source = Source {
            blob: &input.ciphertext_blob,
            algorithm,
            context: &input.context,
            key_id: input.key_id.as_deref(),
            key_id_member: "keyId",
            ignore_ciphertext: ignores_ciphertext(input.dry_run, input.ignore_ciphertext)?,
        };
        let wish = Use {
            caller,
            action: KmsAction::Decrypt,
            context: Some(&input.context),
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[(ENCRYPTION_ALGORITHM, algorithm.as_str().to_owned())],
        };
        let ask = |event: &mut Event<'_>| {
            let found = self.key_of(&source)?;
            let permit = self.permit(&wish, &found, event)?;
            found.row.has_algorithm(algorithm.as_str())?;
            if source.ignore_ciphertext {
                return Err(Error::DryRun);
            }
            Ok((found, permit))
        };
        let is_heavy = |_: &(Found, Permit)| algorithm.is_rsa();
        if !source.ignore_ciphertext {
            self.reach_source(&source, event, ask).await?;
        }
        let ((found, permit), turn) = heavy::in_turn(event, is_heavy, ask).await?;
        let row = &found.row;
        let decrypted = self.decrypt_with(&permit, row, &source, turn).await?;
        if algorithm == EncryptionAlgorithm::Symmetric {
            event.material_id(&decrypted.key_material_id);
        }
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        Ok((decrypted, algorithm))
    }
}

/// Whether a dry run goes without the ciphertext; nothing else may.
pub(crate) fn ignores_ciphertext(dry_run: bool, ignore: bool) -> Result<bool, Error> {
    if ignore && !dry_run {
        return Err(Error::Validation(
            "DryRunModifiers can be used with DryRun only.".to_owned(),
        ));
    }
    Ok(ignore)
}
