// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKey.

use serde::Serialize;
use strongroom_kms::{DataKeySpec, GenerateDataKeyInput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, dry_run, encryption_context, grant_tokens};
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .generate_data_key(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        ciphertext_blob: Blob(&output.ciphertext_blob.0),
        plaintext: Blob(output.plaintext.expose_secret()),
        key_id: &output.key_arn,
        key_material_id: &output.key_material_id,
    })
}

/// Also of GenerateDataKeyWithoutPlaintext.
pub(super) fn decode(mut members: Members) -> Result<GenerateDataKeyInput, KmsFault> {
    let key_id = members.required_text("KeyId", KEY_ID)?;
    let key_spec = members.word("KeySpec", &["AES_256", "AES_128"])?;
    let number_of_bytes = members.integer("NumberOfBytes", 1..=1_024)?;
    let context = encryption_context(&mut members, "EncryptionContext")?;
    let grant_tokens = grant_tokens(&mut members)?;
    let dry_run = dry_run(&mut members)?;
    members.finish()?;
    // This rule stands outside of the service's model and comes after it.
    let spec = DataKeySpec::from_request(key_spec, number_of_bytes).map_err(|error| KmsFault {
        recorded: false,
        ..KmsFault::from(error)
    })?;
    Ok(GenerateDataKeyInput {
        key_id,
        spec,
        context,
        grant_tokens,
        dry_run,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    ciphertext_blob: Blob<'a>,
    plaintext: Blob<'a>,
    key_id: &'a str,
    key_material_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn sec_n83_one_of_two_sizes_is_given() {
        for (good, spec) in [
            (r#"{"KeyId":"a","KeySpec":"AES_256"}"#, DataKeySpec::Aes256),
            (r#"{"KeyId":"a","KeySpec":"AES_128"}"#, DataKeySpec::Aes128),
            (r#"{"KeyId":"a","NumberOfBytes":1}"#, DataKeySpec::Bytes(1)),
            (
                r#"{"KeyId":"a","NumberOfBytes":1024}"#,
                DataKeySpec::Bytes(1_024),
            ),
        ] {
            assert_eq!(decode(members(good)).unwrap().spec, spec, "{good}");
        }
        for (bad, code) in [
            (r#"{"KeyId":"a"}"#, "ValidationException"),
            (
                r#"{"KeyId":"a","KeySpec":"AES_256","NumberOfBytes":32}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","KeySpec":"AES_512"}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","KeySpec":"aes_256"}"#,
                "ValidationException",
            ),
            (r#"{"KeyId":"a","KeySpec":""}"#, "ValidationException"),
            (r#"{"KeyId":"a","NumberOfBytes":0}"#, "ValidationException"),
            (r#"{"KeyId":"a","NumberOfBytes":-1}"#, "ValidationException"),
            (
                r#"{"KeyId":"a","NumberOfBytes":1025}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","NumberOfBytes":4294967297}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"a","NumberOfBytes":"32"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"a","NumberOfBytes":1.5}"#,
                "SerializationException",
            ),
            (r#"{"KeyId":"a","KeySpec":256}"#, "SerializationException"),
            (r#"{"KeySpec":"AES_256"}"#, "ValidationException"),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
            assert!(!fault.recorded, "{bad}");
        }
    }
}
