// SPDX-License-Identifier: Apache-2.0
//! GenerateMac.

use serde::Serialize;
use strongroom_kms::{GenerateMacInput, Plaintext};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, KEY_ID, PLAINTEXT, dry_run, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .generate_mac(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        mac: Blob(&output.mac),
        mac_algorithm: output.algorithm,
        key_id: &output.key_arn,
    })
}

pub(super) fn decode(mut members: Members) -> Result<GenerateMacInput, KmsFault> {
    let input = message(&mut members)?;
    members.finish()?;
    Ok(input)
}

/// What GenerateMac and VerifyMac have in common.
pub(super) fn message(members: &mut Members) -> Result<GenerateMacInput, KmsFault> {
    Ok(GenerateMacInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        message: Plaintext::from(members.required_blob("Message", PLAINTEXT)?),
        algorithm: members.required_text("MacAlgorithm", ALGORITHM)?,
        grant_tokens: grant_tokens(members)?,
        dry_run: dry_run(members)?,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    mac: Blob<'a>,
    mac_algorithm: &'static str,
    key_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let input = decode(members(
            r#"{"KeyId":"a","Message":"AAEC","MacAlgorithm":"HMAC_SHA_256"}"#,
        ))
        .unwrap();
        assert_eq!(input.message.expose_secret(), [0, 1, 2]);
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"KeyId":"a","Message":"AAEC"}"#, "ValidationException"),
            (r#"{"KeyId":"a","MacAlgorithm":"X"}"#, "ValidationException"),
            (
                r#"{"KeyId":"a","Message":"","MacAlgorithm":"X"}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","Message":"A","MacAlgorithm":"X"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","Message":"AAEC","MacAlgorithm":1}"#,
                "SerializationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
