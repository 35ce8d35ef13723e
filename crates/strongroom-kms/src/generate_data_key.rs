// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::data_key::{DataKey, DataKeySpec};
use crate::encryption::SYMMETRIC_DEFAULT;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::model::{CiphertextBlob, Plaintext};
use crate::service::Kms;
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// Parameters of GenerateDataKey and GenerateDataKeyWithoutPlaintext.
#[derive(Clone, Debug)]
pub struct GenerateDataKeyInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// How long the data key is.
    pub spec: DataKeySpec,
    /// What the encrypted data key is bound to.
    pub context: EncryptionContext,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of GenerateDataKey.
#[derive(Debug)]
pub struct GenerateDataKeyOutput {
    /// The data key.
    pub plaintext: Plaintext,
    /// The data key, encrypted.
    pub ciphertext_blob: CiphertextBlob,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// The material that encrypted it.
    pub key_material_id: String,
}

impl Kms {
    /// A new data key, in clear and encrypted.
    pub async fn generate_data_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GenerateDataKeyInput,
    ) -> Result<GenerateDataKeyOutput, Error> {
        let mut event = input.event(receipt, "GenerateDataKey");
        let action = KmsAction::GenerateDataKey;
        let result = self.wire_data_key(caller, action, &input, &mut event).await;
        let DataKey {
            plaintext,
            encrypted,
        } = event.close(result).await?;
        Ok(GenerateDataKeyOutput {
            plaintext,
            ciphertext_blob: encrypted.blob,
            key_arn: encrypted.key_arn,
            key_material_id: encrypted.key_material_id,
        })
    }

    pub(crate) async fn wire_data_key(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &GenerateDataKeyInput,
        event: &mut Event<'_>,
    ) -> Result<DataKey, Error> {
        let wish = Use {
            caller,
            action,
            context: Some(&input.context),
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[(ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT.to_owned())],
        };
        let ask = |event: &mut Event<'_>| {
            input.spec.bytes()?;
            self.permit(&wish, &self.find(&input.key_id)?, event)
        };
        self.reach_key(&input.key_id, event, ask).await?;
        let found = self.find(&input.key_id)?;
        self.make_data_key(&wish, &found, input.spec, &input.context, event)
    }
}

impl GenerateDataKeyInput {
    pub(crate) fn event<'a>(&self, receipt: &'a Receipt, name: &'static str) -> Event<'a> {
        let mut event = Event::new(receipt, name, true, json!({ "keyId": asked(&self.key_id) }));
        self.spec.tell(&mut event);
        event.context(&self.context);
        event
    }
}
