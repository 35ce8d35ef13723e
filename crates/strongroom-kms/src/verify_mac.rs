// SPDX-License-Identifier: Apache-2.0
//! VerifyMac.

use aws_lc_rs::hmac;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::error::Error;
use crate::event::Event;
use crate::mac::{GenerateMacInput, MacKey};
use crate::message::proof_length;
use crate::service::Kms;

/// Parameters of VerifyMac.
#[derive(Debug)]
pub struct VerifyMacInput {
    /// What was asked of GenerateMac.
    pub message: GenerateMacInput,
    /// What GenerateMac answered, whole.
    pub mac: Vec<u8>,
}

/// Answer of VerifyMac: that the code is valid.
#[derive(Clone, Debug)]
pub struct VerifyMacOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm.
    pub algorithm: &'static str,
}

impl Kms {
    /// Tells whether a code is of a message and by a key; if not it is an error.
    pub async fn verify_mac(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: VerifyMacInput,
    ) -> Result<VerifyMacOutput, Error> {
        let mut event = input.message.event(receipt, "VerifyMac");
        let result = self.try_verify_mac(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_verify_mac(
        &self,
        caller: &Caller,
        input: &VerifyMacInput,
        event: &mut Event<'_>,
    ) -> Result<VerifyMacOutput, Error> {
        proof_length(&input.mac, "mac")?;
        let action = KmsAction::VerifyMac;
        let MacKey {
            key,
            key_arn,
            algorithm,
        } = self.mac_key(caller, action, &input.message, event).await?;
        let message = input.message.message.expose_secret();
        // Compares whole codes, in a time that does not depend on them.
        hmac::verify(&key, message, &input.mac).map_err(|_| Error::InvalidMac)?;
        Ok(VerifyMacOutput { key_arn, algorithm })
    }
}
