// SPDX-License-Identifier: Apache-2.0
//! Verify.

use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::error::Error;
use crate::event::Event;
use crate::key_pair::KeyPair;
use crate::message::proof_length;
use crate::service::Kms;
use crate::sign::{SignInput, Signing};

/// Parameters of Verify.
#[derive(Debug)]
pub struct VerifyInput {
    /// What was asked of Sign.
    pub signed: SignInput,
    /// What Sign answered.
    pub signature: Vec<u8>,
}

/// Answer of Verify: that the signature is valid.
#[derive(Clone, Debug)]
pub struct VerifyOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm.
    pub algorithm: &'static str,
}

impl Kms {
    /// Tells whether a signature is of a message and by a key; if not it is an error.
    pub async fn verify(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: VerifyInput,
    ) -> Result<VerifyOutput, Error> {
        let mut event = input.signed.event(receipt, "Verify");
        let result = self.try_verify(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_verify(
        &self,
        caller: &Caller,
        input: &VerifyInput,
        event: &mut Event<'_>,
    ) -> Result<VerifyOutput, Error> {
        proof_length(&input.signature, "signature")?;
        let (signing, turn) = self
            .signing(caller, KmsAction::Verify, &input.signed, event)
            .await?;
        let Signing {
            algorithm,
            message,
            found,
            permit,
        } = signing;
        let row = &found.row;
        let (spec, material) = (row.spec, self.current_material(&permit, row)?.material);
        let signature = input.signature.clone();
        let verify =
            move || algorithm.verify(&KeyPair::read(spec, &material)?, &message, &signature);
        turn.run(verify).await?;
        Ok(VerifyOutput {
            key_arn: row.arn(self.place()),
            algorithm: algorithm.as_str(),
        })
    }
}
