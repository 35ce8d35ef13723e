// SPDX-License-Identifier: Apache-2.0
//! VerifyMac.

use serde::Serialize;
use strongroom_kms::VerifyMacInput;

use super::Call;
use super::fault::KmsFault;
use super::generate_mac::message;
use super::members::Members;
use super::parameters::PROOF;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .verify_mac(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        mac_valid: true,
        mac_algorithm: output.algorithm,
    })
}

pub(super) fn decode(mut members: Members) -> Result<VerifyMacInput, KmsFault> {
    let input = VerifyMacInput {
        message: message(&mut members)?,
        mac: members.required_blob("Mac", PROOF)?.to_vec(),
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    mac_valid: bool,
    mac_algorithm: &'static str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let with = |mac: &str| {
            format!(r#"{{"KeyId":"a","Message":"AAEC","MacAlgorithm":"X","Mac":{mac}}}"#)
        };
        let input = decode(members(&with(r#""AA==""#))).unwrap();
        assert_eq!(input.mac, [0]);
        for (bad, code) in [
            ("null", "ValidationException"),
            ("\"\"", "ValidationException"),
            ("\"AA\"", "SerializationException"),
            ("[\"AA==\"]", "SerializationException"),
        ] {
            let fault = decode(members(&with(bad))).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
