// SPDX-License-Identifier: Apache-2.0
//! ReEncrypt: from one key to another, or to the newest material of the same, without showing the
//! plaintext. Who asks needs `kms:ReEncryptFrom` on the one and `kms:ReEncryptTo` on the other.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::{KmsAction, Permit};
use crate::data_key::{Decrypted, Encrypted};
use crate::decrypt::ignores_ciphertext;
use crate::encryption::{EncryptionAlgorithm, SYMMETRIC_DEFAULT, Source};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::key_id::shortened;
use crate::model::CiphertextBlob;
use crate::service::{Found, Kms};
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// Parameters of ReEncrypt.
#[derive(Clone, Debug)]
pub struct ReEncryptInput {
    /// What Encrypt, GenerateDataKey or ReEncrypt made.
    pub ciphertext_blob: CiphertextBlob,
    /// The pairs that it is bound to.
    pub source_context: EncryptionContext,
    /// The key that it must be of; must be given for an RSA key.
    pub source_key_id: Option<String>,
    /// `SYMMETRIC_DEFAULT` when `None`.
    pub source_algorithm: Option<String>,
    /// The key to encrypt under: any of the four key identifiers.
    pub destination_key_id: String,
    /// What the new ciphertext is bound to.
    pub destination_context: EncryptionContext,
    /// `SYMMETRIC_DEFAULT` when `None`.
    pub destination_algorithm: Option<String>,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
    /// With `dry_run`: only say whether the caller may, with no ciphertext.
    pub ignore_ciphertext: bool,
}

/// Answer of ReEncrypt.
#[derive(Clone, Debug)]
pub struct ReEncryptOutput {
    /// The new ciphertext.
    pub ciphertext_blob: CiphertextBlob,
    /// ARN of the key it was of.
    pub source_key_arn: String,
    /// ARN of the key it is of (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm it was made with.
    pub source_algorithm: &'static str,
    /// Algorithm it is made with.
    pub destination_algorithm: &'static str,
    /// The material that it was of, of a symmetric key.
    pub source_key_material_id: Option<String>,
    /// The material that it is of, of a symmetric key.
    pub destination_key_material_id: Option<String>,
}

impl Kms {
    /// Decrypts and encrypts again, within the key service.
    pub async fn re_encrypt(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ReEncryptInput,
    ) -> Result<ReEncryptOutput, Error> {
        let mut event = input.event(receipt);
        let result = self.try_re_encrypt(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_re_encrypt(
        &self,
        caller: &Caller,
        input: &ReEncryptInput,
        event: &mut Event<'_>,
    ) -> Result<ReEncryptOutput, Error> {
        let word = input.source_algorithm.as_deref();
        let from = EncryptionAlgorithm::parse(word, "sourceEncryptionAlgorithm")?;
        let word = input.destination_algorithm.as_deref();
        let to = EncryptionAlgorithm::parse(word, "destinationEncryptionAlgorithm")?;
        to.takes(&input.destination_context)?;
        let source = Source {
            blob: &input.ciphertext_blob,
            algorithm: from,
            context: &input.source_context,
            key_id: input.source_key_id.as_deref(),
            key_id_member: "sourceKeyId",
            ignore_ciphertext: ignores_ciphertext(input.dry_run, input.ignore_ciphertext)?,
        };
        let ask = |event: &mut Event<'_>| self.re_encrypting(caller, input, &source, to, event);
        self.reach_source(&source, event, ask).await?;
        let destination = &input.destination_key_id;
        self.reach_key(destination, event, ask).await?;
        let (asked, turn) = heavy::in_turn(event, |_| from.is_rsa(), ask).await?;
        let Asked { may_decrypt, .. } = &asked;
        let row = &asked.source.row;
        let decrypted = self.decrypt_with(may_decrypt, row, &source, turn).await?;
        if input.dry_run {
            return Err(Error::DryRun);
        }
        event.start_over();
        let (asked, turn) = heavy::in_turn(event, |_| to.is_rsa(), ask).await?;
        let (plaintext, context) = (&decrypted.plaintext, &input.destination_context);
        let (may_encrypt, row) = (&asked.may_encrypt, &asked.destination.row);
        let encrypted = self
            .encrypt_with(may_encrypt, row, to, plaintext, context, turn)
            .await?;
        let output = ReEncryptOutput::new(decrypted, from, encrypted, to);
        if let Some(id) = &output.source_key_material_id {
            event.additional("sourceKeyMaterialId", json!(id));
        }
        if let Some(id) = &output.destination_key_material_id {
            event.additional("destinationKeyMaterialId", json!(id));
        }
        Ok(output)
    }

    /// Both keys, if the caller may decrypt with the one and encrypt with the other.
    fn re_encrypting(
        &self,
        caller: &Caller,
        input: &ReEncryptInput,
        source: &Source<'_>,
        to: EncryptionAlgorithm,
        event: &mut Event<'_>,
    ) -> Result<Asked, Error> {
        let from = source.algorithm;
        let source_key = self.key_of(source)?;
        let destination = self.find(&input.destination_key_id)?;
        let same = source_key.row.uid == destination.row.uid;
        let conditions = |algorithm: EncryptionAlgorithm| {
            [
                (ENCRYPTION_ALGORITHM, algorithm.as_str().to_owned()),
                ("kms:ReEncryptOnSameKey", same.to_string()),
            ]
        };
        let wish = Use {
            caller,
            action: KmsAction::ReEncryptFrom,
            context: Some(&input.source_context),
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &conditions(from),
        };
        let may_decrypt = self.permit(&wish, &source_key, event)?;
        source_key.row.has_algorithm(from.as_str())?;
        let wish = Use {
            action: KmsAction::ReEncryptTo,
            context: Some(&input.destination_context),
            conditions: &conditions(to),
            ..wish
        };
        let may_encrypt = self.permit(&wish, &destination, event)?;
        destination.row.has_algorithm(to.as_str())?;
        if source.ignore_ciphertext {
            return Err(Error::DryRun);
        }
        Ok(Asked {
            source: source_key,
            may_decrypt,
            destination,
            may_encrypt,
        })
    }
}

/// Two keys and what may be done with them.
struct Asked {
    source: Found,
    may_decrypt: Permit,
    destination: Found,
    may_encrypt: Permit,
}

impl ReEncryptInput {
    fn event<'a>(&self, receipt: &'a Receipt) -> Event<'a> {
        let word = |word: &Option<String>| {
            let word = word.as_deref();
            json!(word.map_or(SYMMETRIC_DEFAULT, shortened))
        };
        let parameters = json!({
            "sourceEncryptionAlgorithm": word(&self.source_algorithm),
            "destinationKeyId": asked(&self.destination_key_id),
            "destinationEncryptionAlgorithm": word(&self.destination_algorithm),
        });
        let mut event = Event::new(receipt, "ReEncrypt", true, parameters);
        if let Some(key_id) = &self.source_key_id {
            event.parameter("sourceKeyId", asked(key_id));
        }
        event.context_as("sourceEncryptionContext", &self.source_context);
        event.context_as("destinationEncryptionContext", &self.destination_context);
        event
    }
}

impl ReEncryptOutput {
    fn new(
        decrypted: Decrypted,
        from: EncryptionAlgorithm,
        encrypted: Encrypted,
        to: EncryptionAlgorithm,
    ) -> ReEncryptOutput {
        let told = |id: String, algorithm: EncryptionAlgorithm| {
            Some(id).filter(|_| algorithm == EncryptionAlgorithm::Symmetric)
        };
        ReEncryptOutput {
            ciphertext_blob: encrypted.blob,
            source_key_arn: decrypted.key_arn,
            key_arn: encrypted.key_arn,
            source_algorithm: from.as_str(),
            destination_algorithm: to.as_str(),
            source_key_material_id: told(decrypted.key_material_id, from),
            destination_key_material_id: told(encrypted.key_material_id, to),
        }
    }
}
