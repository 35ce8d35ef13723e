// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyPair.

use serde::Serialize;
use strongroom_kms::GenerateDataKeyPairInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, KEY_ID, dry_run, encryption_context, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .generate_data_key_pair(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        private_key_ciphertext_blob: Blob(&output.private_key_blob.0),
        private_key_plaintext: Blob(output.private_key.expose_secret()),
        public_key: Blob(&output.public_key),
        key_id: &output.key_arn,
        key_pair_spec: output.key_pair_spec.as_str(),
        key_material_id: &output.key_material_id,
    })
}

/// Also of GenerateDataKeyPairWithoutPlaintext.
pub(super) fn decode(mut members: Members) -> Result<GenerateDataKeyPairInput, KmsFault> {
    let input = GenerateDataKeyPairInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        key_pair_spec: members.required_text("KeyPairSpec", ALGORITHM)?,
        context: encryption_context(&mut members, "EncryptionContext")?,
        grant_tokens: grant_tokens(&mut members)?,
        dry_run: dry_run(&mut members)?,
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    private_key_ciphertext_blob: Blob<'a>,
    private_key_plaintext: Blob<'a>,
    public_key: Blob<'a>,
    key_id: &'a str,
    key_pair_spec: &'static str,
    key_material_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_held_against_the_model() {
        let input = decode(members(
            r#"{"KeyId":"a","KeyPairSpec":"RSA_2048","EncryptionContext":{"a":"b"}}"#,
        ))
        .unwrap();
        assert_eq!(input.key_pair_spec, "RSA_2048");
        assert_eq!(input.context.get("a"), Some("b"));
        for (bad, code) in [
            ("{}", "ValidationException"),
            (r#"{"KeyId":"a"}"#, "ValidationException"),
            (r#"{"KeyPairSpec":"RSA_2048"}"#, "ValidationException"),
            (
                r#"{"KeyId":"a","KeyPairSpec":2048}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","KeyPairSpec":"RSA_2048","EncryptionContext":[]}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","KeyPairSpec":"RSA_2048","Recipient":{}}"#,
                "UnsupportedOperationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }

    #[test]
    fn the_largest_key_pair_fits_without_moving() {
        let (private_key, public_key) = ([0; 2_400], [0; 550]);
        let answer = Answer {
            private_key_ciphertext_blob: Blob(&[0; 2_466]),
            private_key_plaintext: Blob(&private_key),
            public_key: Blob(&public_key),
            key_id: "arn:aws:kms:ap-northeast-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef",
            key_pair_spec: "RSA_4096",
            key_material_id: &"0".repeat(64),
        };
        assert!(Reply::new(&answer).unwrap().has_not_moved());
    }
}
