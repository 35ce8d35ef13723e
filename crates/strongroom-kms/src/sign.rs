// SPDX-License-Identifier: Apache-2.0
//! Sign.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{KmsAction, Permit};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy::{self, Turn};
use crate::key_id::shortened;
use crate::key_pair::KeyPair;
use crate::message::message_length;
use crate::model::Plaintext;
use crate::service::{Found, Kms};
use crate::signing::{Message, MessageType, SigningAlgorithm};
use crate::use_key::Use;

/// Parameters of Sign.
#[derive(Debug)]
pub struct SignInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// 1 to 4,096 bytes, or their digest.
    pub message: Plaintext,
    /// `RAW` when `None`.
    pub message_type: Option<String>,
    /// One of the key's signature algorithms.
    pub algorithm: String,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of Sign.
#[derive(Clone, Debug)]
pub struct SignOutput {
    /// The signature: DER for ECDSA, else its bytes.
    pub signature: Vec<u8>,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm.
    pub algorithm: &'static str,
}

impl Kms {
    /// Signs a message or a digest.
    pub async fn sign(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: SignInput,
    ) -> Result<SignOutput, Error> {
        let mut event = input.event(receipt, "Sign");
        let result = self.try_sign(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_sign(
        &self,
        caller: &Caller,
        input: &SignInput,
        event: &mut Event<'_>,
    ) -> Result<SignOutput, Error> {
        let (signing, turn) = self.signing(caller, KmsAction::Sign, input, event).await?;
        let Signing {
            algorithm,
            message,
            found,
            permit,
        } = signing;
        let row = &found.row;
        let (spec, material) = (row.spec, self.current_material(&permit, row)?.material);
        let sign = move || algorithm.sign(&KeyPair::read(spec, &material)?, &message);
        Ok(SignOutput {
            signature: turn.run(sign).await?,
            key_arn: row.arn(self.place()),
            algorithm: algorithm.as_str(),
        })
    }

    /// What Sign and Verify have in common: everything before the signature, and the turn for it.
    pub(crate) async fn signing(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &SignInput,
        event: &mut Event<'_>,
    ) -> Result<(Signing, Turn), Error> {
        let is_heavy = |signing: &Signing| signing.found.row.spec.is_rsa();
        let ask = |event: &mut Event<'_>| self.try_signing(caller, action, input, event);
        self.reach_key(&input.key_id, event, ask).await?;
        heavy::in_turn(event, is_heavy, ask).await
    }

    fn try_signing(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &SignInput,
        event: &mut Event<'_>,
    ) -> Result<Signing, Error> {
        let algorithm = SigningAlgorithm::parse(&input.algorithm)?;
        let kind = MessageType::parse(input.message_type.as_deref())?;
        message_length(&input.message)?;
        let found = self.find(&input.key_id)?;
        let wish = Use {
            caller,
            action,
            context: None,
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[
                ("kms:SigningAlgorithm", algorithm.as_str().to_owned()),
                ("kms:MessageType", kind.as_str().to_owned()),
            ],
        };
        let permit = self.permit(&wish, &found, event)?;
        algorithm.suits(&found.row)?;
        let message = algorithm.message(&input.message, kind, &found.row)?;
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        Ok(Signing {
            algorithm,
            message,
            found,
            permit,
        })
    }
}

/// A message that a key may sign, or that it may be asked whether it did.
pub(crate) struct Signing {
    pub(crate) algorithm: SigningAlgorithm,
    pub(crate) message: Message,
    pub(crate) found: Found,
    pub(crate) permit: Permit,
}

impl SignInput {
    /// The message is not recorded.
    pub(crate) fn event<'a>(&self, receipt: &'a Receipt, name: &'static str) -> Event<'a> {
        let kind = self.message_type.as_deref().map_or("RAW", shortened);
        let parameters = json!({
            "keyId": asked(&self.key_id),
            "messageType": kind,
            "signingAlgorithm": shortened(&self.algorithm),
        });
        Event::new(receipt, name, true, parameters)
    }
}
