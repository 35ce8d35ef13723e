// SPDX-License-Identifier: Apache-2.0
//! Decrypt.

use serde::Serialize;
use strongroom_kms::DecryptInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{
    ALGORITHM, KEY_ID, ciphertext_blob, dry_run, encryption_context, grant_tokens,
    ignore_ciphertext,
};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call.kms.decrypt(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        plaintext: Blob(output.plaintext.expose_secret()),
        encryption_algorithm: output.algorithm,
        key_material_id: output.key_material_id.as_deref(),
    })
}

pub(super) fn decode(mut members: Members) -> Result<DecryptInput, KmsFault> {
    let ignore_ciphertext = ignore_ciphertext(&mut members)?;
    let input = DecryptInput {
        ciphertext_blob: ciphertext_blob(&mut members, ignore_ciphertext)?,
        context: encryption_context(&mut members, "EncryptionContext")?,
        key_id: members.text("KeyId", KEY_ID)?,
        algorithm: members.text("EncryptionAlgorithm", ALGORITHM)?,
        grant_tokens: grant_tokens(&mut members)?,
        dry_run: dry_run(&mut members)?,
        ignore_ciphertext,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<&'a str>,
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
                r#"{"CiphertextBlob":"AAEC","DryRunModifiers":["IGNORE_ALL"]}"#,
                "ValidationException",
            ),
            (
                r#"{"DryRunModifiers":"IGNORE_CIPHERTEXT"}"#,
                "SerializationException",
            ),
            (r#"{"DryRun":true}"#, "ValidationException"),
        ] {
            assert_eq!(
                decode(members(bad)).unwrap_err().kind.as_str(),
                code,
                "{bad}"
            );
        }
    }

    #[test]
    fn ciphertext_may_be_left_out_where_it_is_ignored() {
        let text = r#"{"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"],"KeyId":"a"}"#;
        let input = decode(members(text)).unwrap();
        assert!(input.dry_run && input.ignore_ciphertext && input.ciphertext_blob.0.is_empty());
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
