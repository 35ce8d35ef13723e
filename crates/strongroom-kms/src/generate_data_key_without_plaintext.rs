// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyWithoutPlaintext.

use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::data_key::DataKey;
use crate::error::Error;
use crate::generate_data_key::GenerateDataKeyInput;
use crate::model::CiphertextBlob;
use crate::service::Kms;

/// Answer of GenerateDataKeyWithoutPlaintext.
#[derive(Clone, Debug)]
pub struct GenerateDataKeyWithoutPlaintextOutput {
    /// The data key, encrypted.
    pub ciphertext_blob: CiphertextBlob,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// The material that encrypted it.
    pub key_material_id: String,
}

impl Kms {
    /// A new data key, encrypted only.
    pub async fn generate_data_key_without_plaintext(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GenerateDataKeyInput,
    ) -> Result<GenerateDataKeyWithoutPlaintextOutput, Error> {
        let mut event = input.event(receipt, "GenerateDataKeyWithoutPlaintext");
        let action = KmsAction::GenerateDataKeyWithoutPlaintext;
        let result = self.wire_data_key(caller, action, &input, &mut event).await;
        let DataKey {
            plaintext: _,
            encrypted,
        } = event.close(result).await?;
        Ok(GenerateDataKeyWithoutPlaintextOutput {
            ciphertext_blob: encrypted.blob,
            key_arn: encrypted.key_arn,
            key_material_id: encrypted.key_material_id,
        })
    }
}
