// SPDX-License-Identifier: Apache-2.0
//! ListKeyRotations.

use serde::Serialize;
use strongroom_kms::{ListKeyRotationsInput, RotationType, RotationsListEntry};

use super::Call;
use super::fault::KmsFault;
use super::key_metadata::expiration_model;
use super::members::Members;
use super::parameters::{KEY_ID, LIMIT, MARKER};
use super::reply::{EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let include = members.word("IncludeKeyMaterial", &[ALL_KEY_MATERIAL, "ROTATIONS_ONLY"])?;
    let input = ListKeyRotationsInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        all_key_material: include == Some(ALL_KEY_MATERIAL),
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    members.finish()?;
    let output = call
        .kms
        .list_key_rotations(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        rotations: output.rotations.iter().map(Rotation::from).collect(),
        truncated: output.next_marker.is_some(),
        next_marker: output.next_marker.as_deref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    rotations: Vec<Rotation<'a>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
struct Rotation<'a> {
    key_id: &'a str,
    key_material_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import_state: Option<&'static str>,
    key_material_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_to: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_date: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_type: Option<&'static str>,
}

impl<'a> From<&'a RotationsListEntry> for Rotation<'a> {
    fn from(entry: &'a RotationsListEntry) -> Self {
        let imported = entry.imported.as_ref();
        let there = imported.filter(|imported| imported.is_there);
        Self {
            key_id: &entry.key_id,
            key_material_id: &entry.key_material_id,
            key_material_description: imported.and_then(|imported| imported.description.as_deref()),
            import_state: imported.map(|imported| {
                if imported.is_there {
                    "IMPORTED"
                } else {
                    "PENDING_IMPORT"
                }
            }),
            key_material_state: entry.key_material_state,
            expiration_model: there.map(|imported| expiration_model(imported.valid_to_ms)),
            valid_to: there
                .and_then(|imported| imported.valid_to_ms)
                .map(EpochSeconds),
            rotation_date: entry.rotation_ms.map(EpochSeconds),
            rotation_type: entry.rotation_type.map(RotationType::as_str),
        }
    }
}

const ALL_KEY_MATERIAL: &str = "ALL_KEY_MATERIAL";
