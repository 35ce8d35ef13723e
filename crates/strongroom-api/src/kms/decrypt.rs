// SPDX-License-Identifier: Apache-2.0
//! Decrypt.

use serde::Serialize;
use strongroom_kms::{CiphertextBlob, DecryptInput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, CIPHERTEXT, KEY_ID, dry_run, encryption_context, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call.kms.decrypt(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        plaintext: Blob(output.plaintext.expose_secret()),
        encryption_algorithm: output.algorithm,
        key_material_id: &output.key_material_id,
    })
}

pub(super) fn decode(mut members: Members) -> Result<DecryptInput, KmsFault> {
    let blob = members.required_blob("CiphertextBlob", CIPHERTEXT)?;
    let input = DecryptInput {
        ciphertext_blob: CiphertextBlob(blob.to_vec()),
        context: encryption_context(&mut members, "EncryptionContext")?,
        key_id: members.text("KeyId", KEY_ID)?,
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
    key_id: &'a str,
    plaintext: Blob<'a>,
    encryption_algorithm: &'a str,
    key_material_id: &'a str,
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::tests::members;
    use super::*;

    #[test]
    fn sec_n80_requests_are_held_against_the_model() {
        let input = decode(members(r#"{"CiphertextBlob":"AAEC"}"#)).unwrap();
        assert_eq!(input.ciphertext_blob.0, [0, 1, 2]);
        assert!(input.key_id.is_none() && input.context.is_empty());
        let long = format!("{{\"CiphertextBlob\":\"{}\"}}", STANDARD.encode([0; 6_145]));
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"CiphertextBlob":""}"#, "ValidationException"),
            (long.as_str(), "ValidationException"),
            (
                r#"{"CiphertextBlob":"AAEC","KeyId":""}"#,
                "ValidationException",
            ),
            (r#"{"CiphertextBlob":"AAE"}"#, "SerializationException"),
            (r#"{"CiphertextBlob":{}}"#, "SerializationException"),
            (
                r#"{"CiphertextBlob":"AAEC","Recipient":{}}"#,
                "UnsupportedOperationException",
            ),
            (
                r#"{"CiphertextBlob":"AAEC","DryRunModifiers":["IGNORE_CIPHERTEXT"]}"#,
                "UnsupportedOperationException",
            ),
        ] {
            assert_eq!(
                decode(members(bad)).unwrap_err().kind.as_str(),
                code,
                "{bad}"
            );
        }
    }

    #[test]
    fn sec_n81_absent_and_empty_contexts_are_one() {
        let absent = decode(members(r#"{"CiphertextBlob":"AAEC"}"#)).unwrap();
        let empty = decode(members(
            r#"{"CiphertextBlob":"AAEC","EncryptionContext":{}}"#,
        ))
        .unwrap();
        assert_eq!(
            absent.context.canonical_bytes(),
            empty.context.canonical_bytes()
        );
        let one = r#"{"CiphertextBlob":"AAEC","EncryptionContext":{"a":"1","b":"2"}}"#;
        let other = r#"{"CiphertextBlob":"AAEC","EncryptionContext":{"b":"2","a":"1"}}"#;
        assert_eq!(
            decode(members(one)).unwrap().context.canonical_bytes(),
            decode(members(other)).unwrap().context.canonical_bytes()
        );
    }
}
