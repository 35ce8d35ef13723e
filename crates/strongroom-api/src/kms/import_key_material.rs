// SPDX-License-Identifier: Apache-2.0
//! ImportKeyMaterial.

use serde::Serialize;
use strongroom_kms::ImportKeyMaterialInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, CIPHERTEXT, KEY_ID, MATERIAL_ID};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .import_key_material(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        key_material_id: &output.key_material_id,
    })
}

pub(super) fn decode(mut members: Members) -> Result<ImportKeyMaterialInput, KmsFault> {
    let input = ImportKeyMaterialInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        import_token: members.required_blob("ImportToken", CIPHERTEXT)?.to_vec(),
        encrypted_key_material: members
            .required_blob("EncryptedKeyMaterial", CIPHERTEXT)?
            .to_vec(),
        expiration_model: members.text("ExpirationModel", ALGORITHM)?,
        valid_to_ms: members.time("ValidTo")?,
        import_type: members.text("ImportType", ALGORITHM)?,
        key_material_description: members.text("KeyMaterialDescription", 0..=256)?,
        key_material_id: members.text("KeyMaterialId", MATERIAL_ID)?,
    };
    members.finish()?;
    Ok(input)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    key_material_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn times_come_whole_and_with_a_fraction() {
        let read = |valid_to: &str| {
            decode(members(&format!(
                r#"{{"KeyId":"k","ImportToken":"AA==","EncryptedKeyMaterial":"AA==","ValidTo":{valid_to}}}"#
            )))
        };
        assert_eq!(
            read("1795255262").unwrap().valid_to_ms,
            Some(1_795_255_262_000)
        );
        assert_eq!(
            read("1795255262.5").unwrap().valid_to_ms,
            Some(1_795_255_262_500)
        );
        assert_eq!(
            read("1.795255262E9").unwrap().valid_to_ms,
            Some(1_795_255_262_000)
        );
        assert_eq!(read("null").unwrap().valid_to_ms, None);
        for (bad, code) in [
            ("-1", "ValidationException"),
            ("1e300", "ValidationException"),
            ("18446744073709551615", "ValidationException"),
            ("\"2026-11-21\"", "SerializationException"),
            ("[1]", "SerializationException"),
        ] {
            assert_eq!(read(bad).unwrap_err().kind.as_str(), code, "{bad}");
        }
    }
}
