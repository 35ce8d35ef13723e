// SPDX-License-Identifier: Apache-2.0
//! GenerateMac.

use aws_lc_rs::hmac;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::error::Error;
use crate::mac::{GenerateMacInput, MacKey};
use crate::service::Kms;

/// Answer of GenerateMac.
#[derive(Clone, Debug)]
pub struct GenerateMacOutput {
    /// The code.
    pub mac: Vec<u8>,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm.
    pub algorithm: &'static str,
}

impl Kms {
    /// The message authentication code of a message.
    pub async fn generate_mac(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GenerateMacInput,
    ) -> Result<GenerateMacOutput, Error> {
        let mut event = input.event(receipt, "GenerateMac");
        let action = KmsAction::GenerateMac;
        let result = self.mac_key(caller, action, &input, &mut event).await;
        let MacKey {
            key,
            key_arn,
            algorithm,
        } = event.close(result).await?;
        let mac = hmac::sign(&key, input.message.expose_secret());
        Ok(GenerateMacOutput {
            mac: mac.as_ref().to_vec(),
            key_arn,
            algorithm,
        })
    }
}
