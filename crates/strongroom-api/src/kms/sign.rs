// SPDX-License-Identifier: Apache-2.0
//! Sign.

use serde::Serialize;
use strongroom_kms::{Plaintext, SignInput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, KEY_ID, PLAINTEXT, dry_run, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call.kms.sign(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        signature: Blob(&output.signature),
        signing_algorithm: output.algorithm,
    })
}

pub(super) fn decode(mut members: Members) -> Result<SignInput, KmsFault> {
    let input = signed(&mut members)?;
    members.finish()?;
    Ok(input)
}

/// What Sign and Verify have in common.
pub(super) fn signed(members: &mut Members) -> Result<SignInput, KmsFault> {
    Ok(SignInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        message: Plaintext::from(members.required_blob("Message", PLAINTEXT)?),
        message_type: members.text("MessageType", ALGORITHM)?,
        algorithm: members.required_text("SigningAlgorithm", ALGORITHM)?,
        grant_tokens: grant_tokens(members)?,
        dry_run: dry_run(members)?,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    signature: Blob<'a>,
    signing_algorithm: &'static str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let input = decode(members(
            r#"{"KeyId":"a","Message":"AAEC","SigningAlgorithm":"X","MessageType":"DIGEST"}"#,
        ))
        .unwrap();
        assert_eq!(input.message.expose_secret(), [0, 1, 2]);
        assert_eq!(input.message_type.as_deref(), Some("DIGEST"));
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"KeyId":"a","Message":"AAEC"}"#, "ValidationException"),
            (
                r#"{"KeyId":"a","SigningAlgorithm":"X"}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","Message":"","SigningAlgorithm":"X"}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","Message":"!","SigningAlgorithm":"X"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","Message":"AAEC","SigningAlgorithm":{}}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","Message":"AAEC","SigningAlgorithm":"X","MessageType":1}"#,
                "SerializationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
