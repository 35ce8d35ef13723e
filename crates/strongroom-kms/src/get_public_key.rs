// SPDX-License-Identifier: Apache-2.0
//! GetPublicKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{KmsAction, Permit};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::key_pair::KeyPair;
use crate::model::{KeySpec, KeyUsage};
use crate::service::{Found, Kms};
use crate::use_key::Use;

/// Parameters of GetPublicKey.
#[derive(Clone, Debug)]
pub struct GetPublicKeyInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
}

/// Answer of GetPublicKey.
#[derive(Clone, Debug)]
pub struct GetPublicKeyOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// What kind of key it is.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// The algorithms of what it is for.
    pub algorithms: &'static [&'static str],
}

impl Kms {
    /// The public half of an asymmetric key.
    pub async fn get_public_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GetPublicKeyInput,
    ) -> Result<GetPublicKeyOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id) });
        let mut event = Event::new(receipt, "GetPublicKey", true, parameters);
        let result = self.try_get_public_key(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_get_public_key(
        &self,
        caller: &Caller,
        input: &GetPublicKeyInput,
        event: &mut Event<'_>,
    ) -> Result<GetPublicKeyOutput, Error> {
        let is_heavy = |(found, _): &(Found, Permit)| found.row.spec.is_rsa();
        let ask = |event: &mut Event<'_>| self.readable(caller, input, event);
        self.reach_key(&input.key_id, event, ask).await?;
        let ((found, permit), turn) = heavy::in_turn(event, is_heavy, ask).await?;
        let row = &found.row;
        let (spec, key_arn) = (row.spec, row.arn(self.place()));
        let material = self.current_material(&permit, row)?.material;
        let read = move || KeyPair::read(spec, &material)?.public_key();
        Ok(GetPublicKeyOutput {
            key_arn,
            public_key: turn.run(read).await?,
            spec,
            usage: row.usage,
            algorithms: spec.algorithms(row.usage),
        })
    }

    /// A key that has a public half, which the caller may have.
    fn readable(
        &self,
        caller: &Caller,
        input: &GetPublicKeyInput,
        event: &mut Event<'_>,
    ) -> Result<(Found, Permit), Error> {
        let found = self.find(&input.key_id)?;
        let wish = Use {
            caller,
            action: KmsAction::GetPublicKey,
            context: None,
            grant_tokens: &input.grant_tokens,
            dry_run: false,
            conditions: &[],
        };
        let permit = self.permit(&wish, &found, event)?;
        let row = &found.row;
        if !row.spec.is_asymmetric() {
            return Err(Error::UnsupportedOperation(format!(
                "{} key spec is {} which is not valid for GetPublicKey.",
                row.arn(self.place()),
                row.spec.as_str()
            )));
        }
        Ok((found, permit))
    }
}
