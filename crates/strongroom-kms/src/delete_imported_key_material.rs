// SPDX-License-Identifier: Apache-2.0
//! DeleteImportedKeyMaterial, and what expiry does by itself.
//!
//! The row of a material stays, with its id, so that the same material can be imported again and
//! nothing else; what it wrapped is gone, since its shred key is destroyed.

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::key_id::{KeyUid, shortened};
use crate::model::{KeyState, Origin};
use crate::rows::{KEYS, KeyRow, MATERIALS, MaterialRow, material_key};
use crate::service::Kms;

/// Parameters of DeleteImportedKeyMaterial.
#[derive(Clone, Debug)]
pub struct DeleteImportedKeyMaterialInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 64 hexadecimal digits; the current material when `None`.
    pub key_material_id: Option<String>,
}

/// Answer of DeleteImportedKeyMaterial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteImportedKeyMaterialOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// What was deleted; `None` for a key that never had material.
    pub key_material_id: Option<String>,
}

impl Kms {
    /// Destroys imported material. The key waits until the same material is imported again.
    pub async fn delete_imported_key_material(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DeleteImportedKeyMaterialInput,
    ) -> Result<DeleteImportedKeyMaterialOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id) });
        let mut event = Event::new(receipt, "DeleteImportedKeyMaterial", false, parameters);
        if let Some(id) = &input.key_material_id {
            event.parameter("keyMaterialId", shortened(id).into());
        }
        let result = self
            .try_delete_imported_key_material(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_delete_imported_key_material(
        &self,
        caller: &Caller,
        input: &DeleteImportedKeyMaterialInput,
        event: &mut Event<'_>,
    ) -> Result<DeleteImportedKeyMaterialOutput, Error> {
        let ask = Ask::new(caller, event.via(), KmsAction::DeleteImportedKeyMaterial);
        let change = self.change_key(&input.key_id, &ask, event, |row| {
            let arn = row.arn(self.place());
            check_imports(row, &arn)?;
            let mut materials = self.materials_of(row.uid())?;
            let found = match &input.key_material_id {
                Some(id) => {
                    let of_id = |(_, material): &&mut (u32, MaterialRow)| {
                        hex::encode(material.material_id) == *id
                    };
                    let unknown = || Error::NotFound(format!("Key material '{id}' does not exist"));
                    Some(materials.iter_mut().find(of_id).ok_or_else(unknown)?)
                }
                None => materials
                    .iter_mut()
                    .find(|(version, _)| *version == row.current_version),
            };
            let Some((version, material)) = found else {
                return Ok(Change::Nothing(None));
            };
            let id = hex::encode(material.material_id);
            let Some((shred_id, write)) = unwrapped(row.uid(), *version, material)? else {
                return Ok(Change::Nothing(Some((id, None))));
            };
            self.settle(row, &materials);
            let writes = vec![write];
            Ok(Change::Rows(Some((id, Some(shred_id))), Vec::new(), writes))
        });
        let (row, done) = change.await?;
        self.materials().forget(row.uid());
        let key_arn = row.arn(self.place());
        event.response(json!({ "keyId": key_arn }));
        let Some((id, shred_id)) = done else {
            return Ok(DeleteImportedKeyMaterialOutput {
                key_arn,
                key_material_id: None,
            });
        };
        event.material_id(&id);
        if let Some(shred_id) = shred_id {
            self.destroy_shred_key(shred_id).await?;
        }
        Ok(DeleteImportedKeyMaterialOutput {
            key_arn,
            key_material_id: Some(id),
        })
    }

    /// Destroys what has expired of a key's imported material. `false` when nothing has, or the
    /// key is being changed by somebody else.
    pub(crate) async fn expire_material(
        &self,
        receipt: &Receipt,
        mut row: KeyRow,
        seq: u64,
    ) -> Result<bool, Error> {
        let now_ms = self.now_ms();
        let uid = row.uid();
        let mut materials = self.materials_of(uid)?;
        let mut writes = Vec::new();
        let mut gone = Vec::new();
        for (version, material) in &mut materials {
            if material.is_there(now_ms) {
                continue;
            }
            if let Some((shred_id, write)) = unwrapped(uid, *version, material)? {
                writes.push(write);
                gone.push((hex::encode(material.material_id), shred_id));
            }
        }
        if gone.is_empty() {
            return Ok(false);
        }
        self.settle(&mut row, &materials);
        writes.push(Write::Put {
            table: KEYS,
            key: uid.0.to_vec(),
            value: row.encode()?,
        });
        let unchanged = Precondition::SeqIs {
            table: KEYS,
            key: uid.0.to_vec(),
            seq,
        };
        if self.commit(vec![unchanged], writes).await?.is_err() {
            return Ok(false);
        }
        self.materials().forget(uid);
        for (id, shred_id) in gone {
            self.destroy_shred_key(shred_id).await?;
            let arn = row.arn(self.place());
            let mut event = Event::new(receipt, "DeleteExpiredKeyMaterial", false, Value::Null);
            event.touches(&arn);
            event.material_id(&id);
            event.response(json!({ "keyId": arn }));
            event.close(Ok(())).await?;
        }
        Ok(true)
    }

    /// Brings a key's row in line with its imported material: what it lacks, when the first of
    /// it expires, and the state that follows. Material that waits for its rotation does not
    /// count.
    pub(crate) fn settle(&self, row: &mut KeyRow, materials: &[(u32, MaterialRow)]) {
        let now_ms = self.now_ms();
        let used = || {
            let current = row.current_version;
            materials
                .iter()
                .filter(move |(version, _)| *version <= current)
        };
        row.lacks_material = !used().all(|(_, material)| material.is_there(now_ms));
        row.valid_to_ms = used()
            .filter(|(_, material)| material.is_wrapped())
            .filter_map(|(_, material)| material.valid_to_ms)
            .min();
        let state = match (row.state, row.lacks_material) {
            (KeyState::PendingImport, false) => KeyState::Enabled,
            (KeyState::Enabled | KeyState::Disabled, true) => KeyState::PendingImport,
            (same, _) => same,
        };
        row.enter(state);
    }
}

/// Refuses keys whose material is made here.
pub(crate) fn check_imports(row: &KeyRow, arn: &str) -> Result<(), Error> {
    match row.origin {
        Origin::External => Ok(()),
        Origin::AwsKms => Err(Error::UnsupportedOperation(format!(
            "{arn} origin is AWS_KMS which is not valid for this operation."
        ))),
    }
}

/// Takes the wrapped bytes out of a row: the shred key that can be destroyed then, and the write.
/// `None` when they are gone already.
fn unwrapped(
    uid: KeyUid,
    version: u32,
    material: &mut MaterialRow,
) -> Result<Option<([u8; 16], Write)>, Error> {
    if !material.is_wrapped() {
        return Ok(None);
    }
    let shred_id = material.shred_id;
    material.wrapped = Vec::new();
    material.shred_id = [0; 16];
    let write = Write::Put {
        table: MATERIALS,
        key: material_key(uid, version),
        value: material.encode()?,
    };
    Ok(Some((shred_id, write)))
}
