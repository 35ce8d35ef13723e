// SPDX-License-Identifier: Apache-2.0
//! The key service as S3 uses it, for the caller of S3: the same functions as on the wire, with
//! events that say so, and with the key `aws/s3` of the account.

use std::sync::LazyLock;

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::{EncryptionContext, ExternalKey, kms_blob_parse};
use strongroom_iam::Caller;
use strongroom_store::Precondition;

use crate::alias::AliasChange;
use crate::authorize::{Ask, KmsAction, Via};
use crate::create_key::NewKey;
use crate::data_key::{DataKey, DataKeySpec, Decrypted};
use crate::encryption::SYMMETRIC_DEFAULT;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::KeyName;
use crate::model::{CiphertextBlob, KeyManager, KeySpec, KeyUsage, Origin, Plaintext};
use crate::patience::Patience;
use crate::rows::{ALIASES, AliasRow, alias_key};
use crate::service::{Found, Kms};
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// A data key for an object or a bucket.
#[derive(Debug)]
pub struct S3DataKey {
    /// The data key: the EK of an object.
    pub plaintext: ExternalKey,
    /// The data key, encrypted, or with a bucket key what leads to it: the reference to EK in the
    /// object's sealed-key record.
    pub blob: Vec<u8>,
    /// ARN of the KMS key.
    pub key_arn: String,
    /// The material that encrypted it.
    pub key_material_id: String,
}

impl Kms {
    /// A data key under `key`, or under `alias/aws/s3`, which is made on first use.
    pub async fn generate_data_key_for_s3(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        key: Option<&str>,
        context: &EncryptionContext,
    ) -> Result<S3DataKey, Error> {
        let key_id = key.unwrap_or(AWS_S3_ALIAS);
        let parameters = json!({ "keyId": asked(key_id) });
        let mut event =
            Event::new(receipt, "GenerateDataKey", true, parameters).via_s3(self.place());
        DataKeySpec::Aes256.tell(&mut event);
        event.context(context);
        let action = KmsAction::GenerateDataKey;
        let ask = Ask::new(caller, Via::S3, action).context(context);
        let patience = Patience::new();
        let found = patience.wait(self.find_or_make(&ask, receipt, key_id));
        let result = match found.await {
            Err(error) => Err(error),
            Ok(found) => {
                event.parameter("keyId", found.told.arn.clone().into());
                let wish = Use {
                    caller,
                    action: KmsAction::GenerateDataKey,
                    context: Some(context),
                    grant_tokens: &[],
                    dry_run: false,
                    conditions: &*SYMMETRIC,
                };
                let version = found.row.current_version;
                let reached = self
                    .reach(&patience, &wish, &found, version, &mut event)
                    .await;
                // What was decided before the vault was waited for may not hold any more.
                let again = match reached {
                    Ok(()) => {
                        patience
                            .wait(self.find_or_make(&ask, receipt, key_id))
                            .await
                    }
                    Err(error) => Err(error),
                };
                again.and_then(|found| {
                    event.parameter("keyId", found.told.arn.clone().into());
                    self.make_data_key(&wish, &found, DataKeySpec::Aes256, context, &mut event)
                })
            }
        };
        let DataKey {
            plaintext,
            encrypted,
        } = patience.wait(event.close(result)).await?;
        Ok(S3DataKey {
            plaintext: external_key(&plaintext).ok_or(Error::Internal("a data key's length"))?,
            blob: encrypted.blob.0,
            key_arn: encrypted.key_arn,
            key_material_id: encrypted.key_material_id,
        })
    }

    /// The data key in a blob that [`Kms::generate_data_key_for_s3`] made.
    pub async fn decrypt_for_s3(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> Result<ExternalKey, Error> {
        let parameters = json!({ "encryptionAlgorithm": SYMMETRIC_DEFAULT });
        let mut event = Event::new(receipt, "Decrypt", true, parameters).via_s3(self.place());
        event.context(context);
        let wish = Use {
            caller,
            action: KmsAction::Decrypt,
            context: Some(context),
            grant_tokens: &[],
            dry_run: false,
            conditions: &*SYMMETRIC,
        };
        let blob = CiphertextBlob(blob.to_vec());
        let patience = Patience::new();
        let reached = self.reach_for(&patience, &wish, &blob, &mut event).await;
        let result = reached.and_then(|()| self.open_data_key(&wish, &blob, context, &mut event));
        let Decrypted { plaintext, .. } = patience.wait(event.close(result)).await?;
        external_key(&plaintext).ok_or(Error::InvalidCiphertext)
    }

    /// [`Kms::reach`] for the material that a blob names.
    pub(crate) async fn reach_for(
        &self,
        patience: &Patience,
        wish: &Use<'_>,
        blob: &CiphertextBlob,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let found = self.key_of_blob(&blob.0, None)?;
        let header = kms_blob_parse(&blob.0).map_err(|_| Error::InvalidCiphertext)?;
        self.reach(patience, wish, &found, header.version, event)
            .await
    }

    /// Like [`Kms::find`], but the alias of S3's key exists for everyone who may do with that key
    /// what `ask` says.
    pub(crate) async fn find_or_make(
        &self,
        ask: &Ask<'_>,
        receipt: &Receipt,
        key_id: &str,
    ) -> Result<Found, Error> {
        let name = self.place().parse(key_id)?;
        if name != KeyName::Alias(AWS_S3_ALIAS.to_owned()) {
            return self.find(key_id);
        }
        if self.alias(AWS_S3_ALIAS)?.is_some() {
            return self.find(AWS_S3_ALIAS);
        }
        self.authorize_first_use(ask)?;
        self.make_aws_s3_key(receipt).await?;
        self.find(AWS_S3_ALIAS)
    }

    /// Makes S3's key; of several first uses one makes it and the others find it.
    async fn make_aws_s3_key(&self, receipt: &Receipt) -> Result<(), Error> {
        let new = NewKey {
            description: AWS_S3_DESCRIPTION.to_owned(),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            origin: Origin::AwsKms,
            multi_region: false,
            manager: KeyManager::Aws,
            key_policy: None,
            tags: Vec::new(),
        };
        let made = self.new_key(new).await?;
        let arn = made.row.arn(self.place());
        let mut event =
            Event::new(receipt, "CreateKey", false, made.parameters()).via_s3(self.place());
        event.parameter("aliasName", AWS_S3_ALIAS.into());
        event.touches(&arn);
        event.response(json!({ "keyId": arn }));
        let now_ms = made.row.created_ms;
        let alias = AliasRow {
            target: made.row.uid,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let alias_key = alias_key(&self.place().account_id, AWS_S3_ALIAS);
        let (mut preconditions, mut writes) = made.batch()?;
        preconditions.push(Precondition::Absent {
            table: ALIASES,
            key: alias_key,
        });
        let change = AliasChange {
            name: AWS_S3_ALIAS,
            old: None,
            new: Some(&alias),
        };
        writes.extend(change.writes(&self.place().account_id)?);
        if self.commit(preconditions, writes).await?.is_ok() {
            event.close(Ok(())).await
        } else {
            // Somebody else made it.
            event.discard();
            made.undo(self).await
        }
    }
}

/// The algorithm that S3 asks for.
pub(crate) static SYMMETRIC: LazyLock<[(&str, String); 1]> =
    LazyLock::new(|| [(ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT.to_owned())]);

fn external_key(plaintext: &Plaintext) -> Option<ExternalKey> {
    let bytes: &[u8; 32] = plaintext.expose_secret().try_into().ok()?;
    Some(ExternalKey::copied_from(bytes))
}

pub(crate) const AWS_S3_ALIAS: &str = "alias/aws/s3";
const AWS_S3_DESCRIPTION: &str =
    "Default key that protects my S3 objects when no other key is defined";
