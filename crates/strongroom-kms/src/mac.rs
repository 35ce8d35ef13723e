// SPDX-License-Identifier: Apache-2.0
//! Message authentication codes: what GenerateMac and VerifyMac have in common.

use aws_lc_rs::hmac;
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{KmsAction, Permit};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::shortened;
use crate::message::message_length;
use crate::model::Plaintext;
use crate::service::{Found, Kms};
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
    pub(crate) async fn mac_key(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &GenerateMacInput,
        event: &mut Event<'_>,
    ) -> Result<MacKey, Error> {
        let ask = |event: &mut Event<'_>| self.may_use_mac_key(caller, action, input, event);
        self.reach_key(&input.key_id, event, ask).await?;
        let (found, permit, word, algorithm) = ask(event)?;
        let material = self.current_material(&permit, &found.row)?.material;
        Ok(MacKey {
            key: hmac::Key::new(algorithm, material.expose_secret()),
            key_arn: found.row.arn(self.place()),
            algorithm: word,
        })
    }

    fn may_use_mac_key(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &GenerateMacInput,
        event: &mut Event<'_>,
    ) -> Result<(Found, Permit, &'static str, hmac::Algorithm), Error> {
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
        Ok((found, permit, word, algorithm))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1 and 2.
    #[test]
    fn codes_of_the_rfc() {
        let cases: [(&[u8], &[u8], [&str; 4]); 2] = [
            (
                &[0x0b; 20],
                b"Hi There",
                [
                    "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
                    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c\
                     faea9ea9076ede7f4af152e8b2fa9cb6",
                    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                     daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                ],
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                [
                    "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                     8e2240ca5e69e2c78b3239ecfab21649",
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                     9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                ],
            ),
        ];
        for (key, message, codes) in cases {
            for ((word, algorithm), code) in ALGORITHMS.iter().zip(codes) {
                let key = hmac::Key::new(*algorithm, key);
                let made = hmac::sign(&key, message);
                assert_eq!(hex::encode(made.as_ref()), code, "{word}");
            }
        }
    }
}
