// SPDX-License-Identifier: Apache-2.0
//! DeleteImportedKeyMaterial.

use serde::Serialize;
use strongroom_kms::DeleteImportedKeyMaterialInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, MATERIAL_ID};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = DeleteImportedKeyMaterialInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        key_material_id: members.text("KeyMaterialId", MATERIAL_ID)?,
    };
    members.finish()?;
    let output = call
        .kms
        .delete_imported_key_material(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        key_material_id: output.key_material_id.as_deref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<&'a str>,
}
