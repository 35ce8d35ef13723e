// SPDX-License-Identifier: Apache-2.0
//! Message authentication codes: what GenerateMac and VerifyMac have in common.

use aws_lc_rs::hmac;
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::shortened;
use crate::message::message_length;
use crate::model::Plaintext;
use crate::service::Kms;
use crate::use_key::Use;

/// Parameters of GenerateMac, and of VerifyMac besides the code.
#[derive(Debug)]
pub struct GenerateMacInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// 1 to 4,096 bytes.
    pub message: Plaintext,
    /// The key's algorithm.
    pub algorithm: String,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// A key that may make and compare codes.
pub(crate) struct MacKey {
    pub(crate) key: hmac::Key,
    pub(crate) key_arn: String,
    pub(crate) algorithm: &'static str,
}

impl Kms {
    /// Everything before the code.
    pub(crate) fn mac_key(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &GenerateMacInput,
        event: &mut Event<'_>,
    ) -> Result<MacKey, Error> {
        let known = ALGORITHMS.iter().find(|(word, _)| *word == input.algorithm);
        let (word, algorithm) = known.copied().ok_or_else(|| {
            Error::constraint(
                shortened(&input.algorithm),
                "macAlgorithm",
                "satisfy enum value set: [HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512]",
            )
        })?;
        message_length(&input.message)?;
        let found = self.find(&input.key_id)?;
        let wish = Use {
            caller,
            action,
            context: None,
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[("kms:MacAlgorithm", word.to_owned())],
        };
        let permit = self.permit(&wish, &found, event)?;
        found.row.has_algorithm(word)?;
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        let material = self.current_material(&permit, &found.row)?.material;
        Ok(MacKey {
            key: hmac::Key::new(algorithm, material.expose_secret()),
            key_arn: found.row.arn(self.place()),
            algorithm: word,
        })
    }
}

impl GenerateMacInput {
    /// The message is not recorded.
    pub(crate) fn event<'a>(&self, receipt: &'a Receipt, name: &'static str) -> Event<'a> {
        let parameters = json!({
            "keyId": asked(&self.key_id),
            "macAlgorithm": shortened(&self.algorithm),
        });
        Event::new(receipt, name, true, parameters)
    }
}

const ALGORITHMS: [(&str, hmac::Algorithm); 4] = [
    ("HMAC_SHA_224", hmac::HMAC_SHA224),
    ("HMAC_SHA_256", hmac::HMAC_SHA256),
    ("HMAC_SHA_384", hmac::HMAC_SHA384),
    ("HMAC_SHA_512", hmac::HMAC_SHA512),
];
