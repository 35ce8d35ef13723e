// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyPairWithoutPlaintext.

use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::error::Error;
use crate::generate_data_key_pair::{GenerateDataKeyPairInput, GenerateDataKeyPairOutput};
use crate::model::{CiphertextBlob, KeySpec};
use crate::service::Kms;

/// Answer of GenerateDataKeyPairWithoutPlaintext.
#[derive(Clone, Debug)]
pub struct GenerateDataKeyPairWithoutPlaintextOutput {
    /// The private key (PKCS#8, DER), encrypted.
    pub private_key_blob: CiphertextBlob,
    /// The public key: SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Which kind of key pair.
    pub key_pair_spec: KeySpec,
    /// The material that encrypted it.
    pub key_material_id: String,
}

impl Kms {
    /// A new key pair for use elsewhere, its private key encrypted only.
    pub async fn generate_data_key_pair_without_plaintext(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GenerateDataKeyPairInput,
    ) -> Result<GenerateDataKeyPairWithoutPlaintextOutput, Error> {
        let mut event = input.event(receipt, "GenerateDataKeyPairWithoutPlaintext");
        let action = KmsAction::GenerateDataKeyPairWithoutPlaintext;
        let result = self.data_key_pair(caller, action, &input, &mut event).await;
        let GenerateDataKeyPairOutput {
            private_key: _,
            private_key_blob,
            public_key,
            key_arn,
            key_pair_spec,
            key_material_id,
        } = event.close(result).await?;
        Ok(GenerateDataKeyPairWithoutPlaintextOutput {
            private_key_blob,
            public_key,
            key_arn,
            key_pair_spec,
            key_material_id,
        })
    }
}
