// SPDX-License-Identifier: Apache-2.0
//! ReEncrypt.

use serde::Serialize;
use strongroom_kms::ReEncryptInput;

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
    let output = call
        .kms
        .re_encrypt(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        ciphertext_blob: Blob(&output.ciphertext_blob.0),
        source_key_id: &output.source_key_arn,
        key_id: &output.key_arn,
        source_encryption_algorithm: output.source_algorithm,
        destination_encryption_algorithm: output.destination_algorithm,
        source_key_material_id: output.source_key_material_id.as_deref(),
        destination_key_material_id: output.destination_key_material_id.as_deref(),
    })
}

pub(super) fn decode(mut members: Members) -> Result<ReEncryptInput, KmsFault> {
    let ignore_ciphertext = ignore_ciphertext(&mut members)?;
    let input = ReEncryptInput {
        ciphertext_blob: ciphertext_blob(&mut members, ignore_ciphertext)?,
        source_context: encryption_context(&mut members, "SourceEncryptionContext")?,
        source_key_id: members.text("SourceKeyId", KEY_ID)?,
        source_algorithm: members.text("SourceEncryptionAlgorithm", ALGORITHM)?,
        destination_key_id: members.required_text("DestinationKeyId", KEY_ID)?,
        destination_context: encryption_context(&mut members, "DestinationEncryptionContext")?,
        destination_algorithm: members.text("DestinationEncryptionAlgorithm", ALGORITHM)?,
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
    ciphertext_blob: Blob<'a>,
    source_key_id: &'a str,
    key_id: &'a str,
    source_encryption_algorithm: &'static str,
    destination_encryption_algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_material_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_key_material_id: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let input = decode(members(
            r#"{"CiphertextBlob":"AAEC","DestinationKeyId":"b","SourceEncryptionContext":{"a":"1"},
                "DestinationEncryptionContext":{"b":"2"},"SourceKeyId":"a",
                "SourceEncryptionAlgorithm":"S","DestinationEncryptionAlgorithm":"D"}"#,
        ))
        .unwrap();
        assert_eq!(input.ciphertext_blob.0, [0, 1, 2]);
        assert_eq!(input.source_context.get("a"), Some("1"));
        assert_eq!(input.destination_context.get("b"), Some("2"));
        assert_eq!(input.source_algorithm.as_deref(), Some("S"));
        assert_eq!(input.destination_algorithm.as_deref(), Some("D"));
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"CiphertextBlob":"AAEC"}"#, "ValidationException"),
            (r#"{"DestinationKeyId":"b"}"#, "ValidationException"),
            (
                r#"{"CiphertextBlob":"","DestinationKeyId":"b"}"#,
                "ValidationException",
            ),
            (
                r#"{"CiphertextBlob":"!","DestinationKeyId":"b"}"#,
                "SerializationException",
            ),
            (
                r#"{"CiphertextBlob":"AAEC","DestinationKeyId":"b","SourceEncryptionContext":[]}"#,
                "SerializationException",
            ),
            (
                r#"{"DestinationKeyId":"b","DryRunModifiers":["IGNORE"]}"#,
                "ValidationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
