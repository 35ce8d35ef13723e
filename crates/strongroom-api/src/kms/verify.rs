// SPDX-License-Identifier: Apache-2.0
//! Verify.

use serde::Serialize;
use strongroom_kms::VerifyInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::PROOF;
use super::reply::Reply;
use super::sign::signed;

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call.kms.verify(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        signature_valid: true,
        signing_algorithm: output.algorithm,
    })
}

pub(super) fn decode(mut members: Members) -> Result<VerifyInput, KmsFault> {
    let input = VerifyInput {
        signed: signed(&mut members)?,
        signature: members.required_blob("Signature", PROOF)?.to_vec(),
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    signature_valid: bool,
    signing_algorithm: &'static str,
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let with = |signature: &str| {
            format!(
                r#"{{"KeyId":"a","Message":"AAEC","SigningAlgorithm":"X","Signature":{signature}}}"#
            )
        };
        let input = decode(members(&with(r#""AA==""#))).unwrap();
        assert_eq!(input.signature, [0]);
        let long = format!("\"{}\"", STANDARD.encode([0; 6_145]));
        for (bad, code) in [
            ("null", "ValidationException"),
            ("\"\"", "ValidationException"),
            (long.as_str(), "ValidationException"),
            ("\"AA\"", "SerializationException"),
            ("true", "SerializationException"),
        ] {
            let fault = decode(members(&with(bad))).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
