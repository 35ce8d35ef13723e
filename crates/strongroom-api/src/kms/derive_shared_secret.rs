// SPDX-License-Identifier: Apache-2.0
//! DeriveSharedSecret.

use serde::Serialize;
use strongroom_kms::DeriveSharedSecretInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, KEY_ID, dry_run, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .derive_shared_secret(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        shared_secret: Blob(output.shared_secret.expose_secret()),
        key_agreement_algorithm: output.algorithm,
        key_origin: output.origin.as_str(),
    })
}

pub(super) fn decode(mut members: Members) -> Result<DeriveSharedSecretInput, KmsFault> {
    let input = DeriveSharedSecretInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        algorithm: members.required_text("KeyAgreementAlgorithm", ALGORITHM)?,
        public_key: members.required_blob("PublicKey", PUBLIC_KEY)?.to_vec(),
        grant_tokens: grant_tokens(&mut members)?,
        dry_run: dry_run(&mut members)?,
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    shared_secret: Blob<'a>,
    key_agreement_algorithm: &'static str,
    key_origin: &'static str,
}

/// Bytes of a public key.
const PUBLIC_KEY: std::ops::RangeInclusive<usize> = 1..=8_192;

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let input = decode(members(
            r#"{"KeyId":"a","KeyAgreementAlgorithm":"ECDH","PublicKey":"AAEC"}"#,
        ))
        .unwrap();
        assert_eq!(input.public_key, [0, 1, 2]);
        for (bad, code) in [
            ("{}", "ValidationException"),
            (
                r#"{"KeyId":"a","KeyAgreementAlgorithm":"ECDH"}"#,
                "ValidationException",
            ),
            (r#"{"KeyId":"a","PublicKey":"AAEC"}"#, "ValidationException"),
            (
                r#"{"KeyId":"a","KeyAgreementAlgorithm":"ECDH","PublicKey":""}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","KeyAgreementAlgorithm":"ECDH","PublicKey":"-----BEGIN"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","KeyAgreementAlgorithm":"ECDH","PublicKey":"AAEC","Recipient":{}}"#,
                "UnsupportedOperationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
