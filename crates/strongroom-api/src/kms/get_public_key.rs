// SPDX-License-Identifier: Apache-2.0
//! GetPublicKey.

use serde::Serialize;
use strongroom_kms::GetPublicKeyInput;

use super::Call;
use super::fault::KmsFault;
use super::key_metadata::Algorithms;
use super::members::Members;
use super::parameters::{KEY_ID, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .get_public_key(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        public_key: Blob(&output.public_key),
        customer_master_key_spec: output.spec.as_str(),
        key_spec: output.spec.as_str(),
        key_usage: output.usage.as_str(),
        algorithms: Algorithms::new(output.usage, output.algorithms),
    })
}

pub(super) fn decode(mut members: Members) -> Result<GetPublicKeyInput, KmsFault> {
    let input = GetPublicKeyInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        grant_tokens: grant_tokens(&mut members)?,
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    public_key: Blob<'a>,
    /// The older name of the key spec, which clients still read.
    customer_master_key_spec: &'static str,
    key_spec: &'static str,
    key_usage: &'static str,
    #[serde(flatten)]
    algorithms: Algorithms,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let input = decode(members(r#"{"KeyId":"alias/a","GrantTokens":["t"]}"#)).unwrap();
        assert_eq!(
            (input.key_id.as_str(), input.grant_tokens.len()),
            ("alias/a", 1)
        );
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"KeyId":""}"#, "ValidationException"),
            (r#"{"KeyId":["a"]}"#, "SerializationException"),
            (
                r#"{"KeyId":"a","GrantTokens":"t"}"#,
                "SerializationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
