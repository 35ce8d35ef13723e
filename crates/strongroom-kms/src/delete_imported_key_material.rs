// SPDX-License-Identifier: Apache-2.0
//! DeleteImportedKeyMaterial, and what expiry does by itself.
//!
//! The row of a material stays, with its id, so that the same material can be imported again and
//! nothing else; what it wrapped is gone, since its shred key is destroyed.

use std::collections::BTreeSet;

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
use crate::rows::{KEYS, KeyRow};
use crate::service::{Kms, Version};
use crate::shred::ShredKey;

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
        let uid = self.importing(&ask, &input.key_id, event)?;
        let fresh = self.new_shred_key(uid).await?;
        let change = self.change_named_key(&input.key_id, &ask, |row| {
            check_imports(row, &row.arn(self.place()))?;
            let mut versions = self.versions_of(row.uid())?;
            let found = match &input.key_material_id {
                Some(id) => {
                    let unknown = || Error::NotFound(format!("Key material '{id}' does not exist"));
                    let of_id =
                        |version: &&Version| hex::encode(version.material.material_id) == *id;
                    Some(versions.iter().find(of_id).ok_or_else(unknown)?)
                }
                None => versions
                    .iter()
                    .find(|version| version.number == row.current_version),
            };
            let Some(found) = found else {
                return Ok(Change::Nothing(Deleted::default()));
            };
            let mut deleted = Deleted {
                id: Some(hex::encode(found.material.material_id)),
                ..Deleted::default()
            };
            if !found.material.is_wrapped() {
                return Ok(Change::Nothing(deleted));
            }
            let number = found.number;
            let taken = self.take_out(row, &mut versions, &[number], &fresh)?;
            self.settle(row, &versions);
            deleted.shred_ids = taken.shred_ids;
            deleted.fresh_is_used = taken.fresh_is_used;
            Ok(Change::Rows(deleted, taken.preconditions, taken.writes))
        });
        let changed = change.await;
        if !matches!(&changed, Ok((_, deleted)) if deleted.fresh_is_used) {
            self.destroy_shred_key(fresh.id()).await?;
        }
        let (row, deleted) = changed?;
        self.forget(uid);
        self.destroy_shred_keys(deleted.shred_ids).await?;
        let key_arn = row.arn(self.place());
        event.response(json!({ "keyId": key_arn }));
        if let Some(id) = &deleted.id {
            event.material_id(id);
        }
        Ok(DeleteImportedKeyMaterialOutput {
            key_arn,
            key_material_id: deleted.id,
        })
    }

    /// The key of an operation on imported material, before anything is made for it.
    pub(crate) fn importing(
        &self,
        ask: &Ask<'_>,
        key_id: &str,
        event: &mut Event<'_>,
    ) -> Result<KeyUid, Error> {
        let row = self.find_without_alias(key_id)?.row;
        let arn = row.arn(self.place());
        event.touches(&arn);
        self.authorize(ask, &row)?;
        check_imports(&row, &arn)?;
        ask.action.needs().check(&arn, row.state)?;
        Ok(row.uid())
    }

    /// Takes the wrapped bytes out of some versions. Others that share a shred key with them are
    /// wrapped again under `fresh`, so that the shred keys of those taken out can be destroyed.
    pub(crate) fn take_out(
        &self,
        row: &KeyRow,
        versions: &mut [Version],
        gone: &[u32],
        fresh: &ShredKey,
    ) -> Result<TakenOut, Error> {
        let uid = row.uid();
        let mut taken = TakenOut::default();
        for version in versions.iter() {
            if gone.contains(&version.number) && version.material.is_wrapped() {
                taken.shred_ids.insert(version.material.shred_id);
            }
        }
        // Whatever becomes of this request after the commit: they are not forgotten.
        self.doomed().add(uid, &taken.shred_ids);
        for version in versions {
            if !taken.shred_ids.contains(&version.material.shred_id) {
                continue;
            }
            taken.preconditions.push(version.is_unchanged(uid));
            if gone.contains(&version.number) {
                version.material.wrapped = Vec::new();
                version.material.shred_id = [0; 16];
            } else {
                let (number, material) = (version.number, &version.material);
                version.material = self.rewrap_material(row, number, material, fresh)?;
                taken.fresh_is_used = true;
            }
            taken.writes.push(version.put(uid)?);
        }
        Ok(taken)
    }

    /// Destroys what had expired of a key's imported material at `until_ms`. `false` when nothing
    /// had, or the key is being changed by somebody else.
    pub(crate) async fn expire_material(
        &self,
        receipt: &Receipt,
        mut row: KeyRow,
        seq: u64,
        until_ms: u64,
    ) -> Result<bool, Error> {
        let uid = row.uid();
        let mut versions = self.versions_of(uid)?;
        let expired = |version: &&Version| {
            version.material.is_wrapped() && !version.material.is_there(until_ms)
        };
        let gone: Vec<(u32, String)> = versions
            .iter()
            .filter(expired)
            .map(|version| (version.number, hex::encode(version.material.material_id)))
            .collect();
        if gone.is_empty() {
            return Ok(false);
        }
        let fresh = self.new_shred_key(uid).await?;
        let numbers: Vec<u32> = gone.iter().map(|(number, _)| *number).collect();
        let taken = match self.take_out(&row, &mut versions, &numbers, &fresh) {
            Ok(taken) => taken,
            Err(error) => {
                // Else each turn of the clock would leave one more file.
                self.abandon_shred_keys(uid, [fresh.id()]).await?;
                return Err(error);
            }
        };
        self.settle(&mut row, &versions);
        let mut writes = taken.writes;
        writes.push(Write::Put {
            table: KEYS,
            key: uid.0.to_vec(),
            value: row.encode()?,
        });
        let mut preconditions = taken.preconditions;
        preconditions.push(Precondition::SeqIs {
            table: KEYS,
            key: uid.0.to_vec(),
            seq,
        });
        let done = self.commit(preconditions, writes).await?.is_ok();
        if !(done && taken.fresh_is_used) {
            self.destroy_shred_key(fresh.id()).await?;
        }
        if !done {
            return Ok(false);
        }
        self.forget(uid);
        self.destroy_shred_keys(taken.shred_ids).await?;
        for (_, id) in gone {
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
    pub(crate) fn settle(&self, row: &mut KeyRow, versions: &[Version]) {
        let now_ms = self.now_ms();
        let used: Vec<_> = versions
            .iter()
            .filter(|version| version.number <= row.current_version)
            .map(|version| &version.material)
            .collect();
        row.lacks_material =
            used.is_empty() || !used.iter().all(|material| material.is_there(now_ms));
        let wrapped = used.iter().filter(|material| material.is_wrapped());
        row.valid_to_ms = wrapped.filter_map(|material| material.valid_to_ms).min();
        let state = match (row.state, row.lacks_material) {
            (KeyState::PendingImport, false) => KeyState::Enabled,
            (KeyState::Enabled | KeyState::Disabled, true) => KeyState::PendingImport,
            (same, _) => same,
        };
        row.enter(state);
    }
}

/// What [`Kms::take_out`] amounts to.
#[derive(Default)]
pub(crate) struct TakenOut {
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) writes: Vec<Write>,
    /// To be destroyed after the commit.
    pub(crate) shred_ids: BTreeSet<[u8; 16]>,
    pub(crate) fresh_is_used: bool,
}

#[derive(Default)]
struct Deleted {
    id: Option<String>,
    shred_ids: BTreeSet<[u8; 16]>,
    fresh_is_used: bool,
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
