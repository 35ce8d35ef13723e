// SPDX-License-Identifier: Apache-2.0
//! GetParametersForImport.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::import_token::{ImportToken, WrappingAlgorithm, wrapping_key_size};
use crate::key_id::shortened;
use crate::schedule_key_deletion::DAY_MS;
use crate::service::Kms;

/// Parameters of GetParametersForImport.
#[derive(Clone, Debug)]
pub struct GetParametersForImportInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// `RSAES_OAEP_SHA_1`, `RSAES_OAEP_SHA_256`, `RSA_AES_KEY_WRAP_SHA_1` or
    /// `RSA_AES_KEY_WRAP_SHA_256`.
    pub wrapping_algorithm: String,
    /// `RSA_2048`, `RSA_3072` or `RSA_4096`.
    pub wrapping_key_spec: String,
}

/// Answer of GetParametersForImport.
#[derive(Clone, Debug)]
pub struct GetParametersForImportOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// To be given back with the wrapped material.
    pub import_token: Vec<u8>,
    /// The wrapping key: `SubjectPublicKeyInfo`, DER.
    pub public_key: Vec<u8>,
    /// How long the token is good for, Unix time in milliseconds.
    pub valid_to_ms: u64,
}

impl Kms {
    /// A key to wrap material with, and the token that goes with it.
    pub async fn get_parameters_for_import(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GetParametersForImportInput,
    ) -> Result<GetParametersForImportOutput, Error> {
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "wrappingAlgorithm": shortened(&input.wrapping_algorithm),
            "wrappingKeySpec": shortened(&input.wrapping_key_spec),
        });
        let mut event = Event::new(receipt, "GetParametersForImport", true, parameters);
        let result = self
            .try_get_parameters_for_import(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_get_parameters_for_import(
        &self,
        caller: &Caller,
        input: &GetParametersForImportInput,
        event: &mut Event<'_>,
    ) -> Result<GetParametersForImportOutput, Error> {
        let algorithm = WrappingAlgorithm::parse(&input.wrapping_algorithm)?;
        let size = wrapping_key_size(&input.wrapping_key_spec)?;
        let conditions = [
            ("kms:WrappingAlgorithm", input.wrapping_algorithm.clone()),
            ("kms:WrappingKeySpec", input.wrapping_key_spec.clone()),
        ];
        let ask = Ask {
            conditions: &conditions,
            ..Ask::new(caller, event.via(), KmsAction::GetParametersForImport)
        };
        let uid = self.importing(&ask, &input.key_id, event)?;
        let valid_to_ms = self.now_ms().saturating_add(DAY_MS);
        let made = heavy::beside(move || ImportToken::generate(algorithm, size, valid_to_ms));
        let (token, public_key) = made.await?;
        Ok(GetParametersForImportOutput {
            key_arn: self.place().key_arn(uid),
            import_token: token.seal(self.keyring(), uid)?,
            public_key,
            valid_to_ms,
        })
    }
}
