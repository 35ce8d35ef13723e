// SPDX-License-Identifier: Apache-2.0
//! Encrypt.

use serde::Serialize;
use strongroom_kms::{EncryptInput, Plaintext};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, KEY_ID, PLAINTEXT, dry_run, encryption_context, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call.kms.encrypt(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        ciphertext_blob: Blob(&output.ciphertext_blob.0),
        key_id: &output.key_arn,
        encryption_algorithm: output.algorithm,
    })
}

pub(super) fn decode(mut members: Members) -> Result<EncryptInput, KmsFault> {
    let input = EncryptInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        plaintext: Plaintext::from(members.required_blob("Plaintext", PLAINTEXT)?),
        context: encryption_context(&mut members, "EncryptionContext")?,
        algorithm: members.text("EncryptionAlgorithm", ALGORITHM)?,
        grant_tokens: grant_tokens(&mut members)?,
        dry_run: dry_run(&mut members)?,
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    ciphertext_blob: Blob<'a>,
    key_id: &'a str,
    encryption_algorithm: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn sec_n83_requests_are_held_against_the_model() {
        let input = decode(members(
            r#"{"KeyId":"alias/a","Plaintext":"AAEC","EncryptionContext":{"a":"b"},"Unknown":{}}"#,
        ))
        .unwrap();
        assert_eq!(input.plaintext.expose_secret(), [0, 1, 2]);
        assert_eq!(input.context.get("a"), Some("b"));
        assert!(!input.dry_run);
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"KeyId":"a"}"#, "ValidationException"),
            (r#"{"Plaintext":"AAEC"}"#, "ValidationException"),
            (r#"{"KeyId":"","Plaintext":"AAEC"}"#, "ValidationException"),
            (r#"{"KeyId":"a","Plaintext":""}"#, "ValidationException"),
            (
                r#"{"KeyId":null,"Plaintext":"AAEC"}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":1,"Plaintext":"AAEC"}"#,
                "SerializationException",
            ),
            (r#"{"KeyId":"a","Plaintext":"!"}"#, "SerializationException"),
            (r#"{"KeyId":"a","Plaintext":[0]}"#, "SerializationException"),
            (
                r#"{"KeyId":"a","Plaintext":"AAEC","EncryptionContext":{"a":1}}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","Plaintext":"AAEC","GrantTokens":"t"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","Plaintext":"AAEC","DryRun":"true"}"#,
                "SerializationException",
            ),
        ] {
            assert_eq!(
                decode(members(bad)).unwrap_err().kind.as_str(),
                code,
                "{bad}"
            );
        }
    }
}
