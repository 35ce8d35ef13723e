// SPDX-License-Identifier: Apache-2.0
//! ListKeyRotations.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::model::{Origin, RotationType};
use crate::page;
use crate::rows::{KeyRow, MaterialRow};
use crate::service::{Kms, Version};

/// Parameters of ListKeyRotations.
#[derive(Clone, Debug, Default)]
pub struct ListKeyRotationsInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// Also the first material, and imported material that waits for its rotation.
    pub all_key_material: bool,
    /// 1 to 1,000; 100 when `None`.
    pub limit: Option<i64>,
    /// `next_marker` of the page before.
    pub marker: Option<String>,
}

/// Answer of ListKeyRotations.
#[derive(Clone, Debug)]
pub struct ListKeyRotationsOutput {
    /// Materials in the order of their versions.
    pub rotations: Vec<RotationsListEntry>,
    /// Where the next page begins, if there is one (`Truncated` on the wire).
    pub next_marker: Option<String>,
}

/// One version of a key's material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationsListEntry {
    /// Key id.
    pub key_id: String,
    /// 64 hexadecimal digits.
    pub key_material_id: String,
    /// `CURRENT`, `NON_CURRENT` or `PENDING_ROTATION`.
    pub key_material_state: &'static str,
    /// When it became current, Unix time in milliseconds.
    pub rotation_ms: Option<u64>,
    /// What caused that.
    pub rotation_type: Option<RotationType>,
    /// For imported material only.
    pub imported: Option<ImportedListEntry>,
}

/// What is special about imported material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedListEntry {
    /// Whether it is there, or was deleted or has expired.
    pub is_there: bool,
    /// The account's words.
    pub description: Option<String>,
    /// When it expires, Unix time in milliseconds.
    pub valid_to_ms: Option<u64>,
}

impl Kms {
    /// The versions of a key's material, page by page.
    pub async fn list_key_rotations(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListKeyRotationsInput,
    ) -> Result<ListKeyRotationsOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id), "limit": input.limit });
        let mut event = Event::new(receipt, "ListKeyRotations", true, parameters);
        let result = self.try_list_key_rotations(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_list_key_rotations(
        &self,
        caller: &Caller,
        input: &ListKeyRotationsInput,
        event: &mut Event<'_>,
    ) -> Result<ListKeyRotationsOutput, Error> {
        let limit = page::limit(input.limit, LIMIT_DEFAULT)?;
        let after = match &input.marker {
            Some(marker) => {
                let version = page::after(LISTING, marker)?;
                let version = <[u8; 4]>::try_from(version).map_err(|_| Error::InvalidMarker)?;
                u32::from_be_bytes(version)
            }
            None => 0,
        };
        let row = self.find_without_alias(&input.key_id)?.row;
        event.touches(&row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::ListKeyRotations);
        self.authorize(&ask, &row)?;
        self.check_rotates(&row)?;
        let mut rotations = Vec::new();
        let mut last = None;
        for Version {
            number: version,
            material,
            ..
        } in self.versions_of(row.uid())?
        {
            let listed = input.all_key_material || material.rotated_ms.is_some();
            if version <= after || !listed {
                continue;
            }
            if rotations.len() == limit {
                let next_marker = last.map(|last: u32| page::marker(LISTING, &last.to_be_bytes()));
                return Ok(ListKeyRotationsOutput {
                    rotations,
                    next_marker,
                });
            }
            last = Some(version);
            rotations.push(self.entry(&row, version, &material));
        }
        Ok(ListKeyRotationsOutput {
            rotations,
            next_marker: None,
        })
    }

    fn entry(&self, row: &KeyRow, version: u32, material: &MaterialRow) -> RotationsListEntry {
        let imported = (row.origin == Origin::External).then(|| ImportedListEntry {
            is_there: material.is_there(self.now_ms()),
            description: material.description.clone(),
            valid_to_ms: material.valid_to_ms,
        });
        RotationsListEntry {
            key_id: row.uid().to_string(),
            key_material_id: hex::encode(material.material_id),
            key_material_state: match version.cmp(&row.current_version) {
                std::cmp::Ordering::Less => "NON_CURRENT",
                std::cmp::Ordering::Equal => "CURRENT",
                std::cmp::Ordering::Greater => "PENDING_ROTATION",
            },
            rotation_ms: material.rotated_ms,
            rotation_type: material.rotation,
            imported,
        }
    }
}

const LISTING: char = 'r';
const LIMIT_DEFAULT: usize = 100;
