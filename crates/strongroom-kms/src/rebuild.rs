// SPDX-License-Identifier: Apache-2.0
//! KMS keys as the manifests of bodies keep them, for the day when there are no tables.
//!
//! A data key that a KMS key wrapped is worth nothing without that key's material, which lies in
//! the tables: so the manifest of a body under a KMS key has the material, wrapped as it is in its
//! row. Half of what unwraps it is a shred key in the vault: who destroys a key destroys it in
//! every manifest, too.
//!
//! Material that was wrapped again since (`strongroom rewrap`) lies in manifests as it was before,
//! under the same secret of the vault by its older name: [`Kms::settle_rebuilt`] finds it.
//!
//! What is kept of a key is what makes it open; policies, grants, tags and aliases are lost with
//! the tables. So a key of the account comes back disabled, for somebody to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use strongroom_format::{BucketKeyRef, kms_blob_parse};
use strongroom_store::{Precondition, TableId};

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::model::{KeyManager, KeyState};
use crate::rows::{
    ALIASES, AliasRow, KEY_ALIAS, KEY_ALIASES, KEYS, KeyRow, MATERIALS, MaterialRow, alias_key,
    key_alias_key, material_key,
};
use crate::s3::AWS_S3_ALIAS;
use crate::service::Kms;

/// What a manifest has of a key.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct KeptKey {
    #[n(0)]
    key: KeyRow,
    /// The version of the material that wrapped the data key.
    #[n(1)]
    version: u32,
    #[n(2)]
    material: MaterialRow,
}

/// Keys that are gathered from manifests.
#[derive(Debug, Default)]
pub struct RebuiltKeys {
    keys: BTreeMap<[u8; 16], Gathered>,
}

/// A key that came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RebuiltKey {
    /// Its id.
    pub key_id: String,
    /// Whether it can be used at once: only the keys of services can.
    pub is_enabled: bool,
}

#[derive(Debug)]
struct Gathered {
    order: u64,
    key: KeyRow,
    materials: BTreeMap<u32, (u64, MaterialRow)>,
}

/// A row of a table.
pub type TableRow = (TableId, Vec<u8>, Vec<u8>);

impl Kms {
    /// Seals the manifest of a blob of this store.
    pub fn seal_manifest(&self, blob: &[u8; 16], content: &[u8]) -> Result<Vec<u8>, Error> {
        let cluster_id = self.store().cluster_id();
        self.keyring().seal_manifest(&cluster_id, blob, content)
    }

    /// What it takes to open what lies under a data key again: `ek_ref` is what a sealed-key record
    /// keeps of it. Sealed and wrapped as in the tables; nothing is unwrapped here.
    pub fn key_for_rebuild(&self, ek_ref: &[u8], bucket_key: bool) -> Result<Vec<u8>, Error> {
        let reference;
        let blob = if bucket_key {
            reference = BucketKeyRef::parse(ek_ref).map_err(|_| Error::InvalidCiphertext)?;
            reference.blob()
        } else {
            ek_ref
        };
        let header = kms_blob_parse(blob).map_err(|_| Error::InvalidCiphertext)?;
        let uid = KeyUid(header.key_uid);
        let found = self.key(uid)?;
        let found = found.ok_or_else(|| self.place().key_not_found(uid))?;
        let mut key = Arc::unwrap_or_clone(found.row);
        key.description.clear();
        key.tags.clear();
        key.key_policy = None;
        key.key_policy_principals.clear();
        let Some(material) = self.material(uid, header.version)? else {
            // Gone with its key, unless that is still there.
            return Err(match self.key(uid)? {
                None => self.place().key_not_found(uid),
                Some(_) => Error::Corrupted {
                    what: format!("version {} of KMS key {uid}", header.version),
                },
            });
        };
        let kept = KeptKey {
            key,
            version: header.version,
            material: MaterialRow {
                description: None,
                ..Arc::unwrap_or_clone(material)
            },
        };
        minicbor::to_vec(&kept).map_err(|_| Error::Internal("encoding a kept key"))
    }
}

impl Kms {
    /// Where tables were made of manifests: brings material that names a secret of the vault by an
    /// older name under its present one. What does not open by any is left, and is reported when it
    /// is used or verified: its key was destroyed, or the vault is not whole.
    pub(crate) async fn settle_rebuilt(&self) -> Result<(), Error> {
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(KEYS, &mut after)? {
            for (key, stored) in rows {
                let row =
                    KeyUid::from_row_key(&key).and_then(|uid| KeyRow::decode(uid, &stored.value));
                match row {
                    Ok(row) => self.settle_key(&row, stored.seq).await?,
                    Err(error) if error.is_corruption() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn settle_key(&self, row: &KeyRow, seq: u64) -> Result<(), Error> {
        let uid = row.uid();
        let versions = match self.versions_of(uid) {
            Err(error) if error.is_corruption() => return Ok(()),
            versions => versions?,
        };
        let mut preconditions = vec![Precondition::SeqIs {
            table: KEYS,
            key: uid.0.to_vec(),
            seq,
        }];
        let mut writes = Vec::new();
        for mut version in versions {
            let (number, material) = (version.number, &version.material);
            if !material.is_wrapped() || self.is_whole(row, number, material)? {
                continue;
            }
            if let Some(material) = self.found_in_vault(row, number, material)? {
                preconditions.push(version.is_unchanged(uid));
                version.material = material;
                writes.push(version.put(uid)?);
            }
        }
        if !writes.is_empty() && self.commit(preconditions, writes).await?.is_err() {
            return Err(Error::Internal("a key changed while the store was opened"));
        }
        Ok(())
    }

    /// Material that one of the key's secrets in the vault opens by the name that it had.
    fn found_in_vault(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
    ) -> Result<Option<MaterialRow>, Error> {
        let uid = row.uid();
        for entry in self.store().vault().list()? {
            if entry.owner != Some(uid.0) {
                continue;
            }
            let shred = match self.shred_key(uid, entry.id) {
                Err(error) if error.is_corruption() => None,
                found => found?,
            };
            if let Some(shred) = shred
                && let Some(material) = self.rewrap_renamed(row, version, stored, &shred)?
            {
                return Ok(Some(material));
            }
        }
        Ok(None)
    }
}

impl RebuiltKeys {
    /// Takes in what a manifest has of a key; of two accounts the one of the later `order` counts.
    pub fn add(&mut self, kept: &[u8], order: u64) -> Result<(), Error> {
        let damaged = || Error::Corrupted {
            what: "KMS key in a manifest".to_owned(),
        };
        let KeptKey {
            key,
            version,
            material,
        } = minicbor::decode(kept).map_err(|_| damaged())?;
        if version == 0 || version > key.current_version {
            return Err(damaged());
        }
        let gathered = self.keys.entry(key.uid).or_insert_with(|| Gathered {
            order,
            key: key.clone(),
            materials: BTreeMap::new(),
        });
        if gathered.order <= order {
            (gathered.order, gathered.key) = (order, key);
        }
        let known = gathered.materials.get(&version);
        if known.is_none_or(|(of, _)| *of <= order) {
            gathered.materials.insert(version, (order, material));
        }
        Ok(())
    }

    /// The rows of all keys, and what they are.
    pub fn rows(self) -> Result<(Vec<TableRow>, Vec<RebuiltKey>), Error> {
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        for (uid, gathered) in self.keys {
            let Gathered {
                mut key, materials, ..
            } = gathered;
            let uid = KeyUid(uid);
            // Automatic rotation goes on when somebody says so; what was decided about the key
            // after the last body was written is not known.
            key.rotation_period_days = None;
            key.next_rotation_ms = None;
            key.deletion_ms = None;
            key.state_epoch = key.state_epoch.saturating_add(1);
            // The newest of which there is material: what is encrypted from now on has to open.
            if let Some((version, (_, material))) = materials.last_key_value() {
                key.current_version = *version;
                key.current_material_id = material.material_id;
            }
            let is_enabled = key.manager == KeyManager::Aws;
            key.state = if is_enabled {
                KeyState::Enabled
            } else {
                KeyState::Disabled
            };
            if is_enabled {
                let alias = AliasRow {
                    target: uid.0,
                    created_ms: key.created_ms,
                    updated_ms: key.created_ms,
                };
                let alias_key = alias_key(&key.account_id, AWS_S3_ALIAS);
                rows.push((ALIASES, alias_key, alias.encode()?));
                let listed = key_alias_key(uid, AWS_S3_ALIAS);
                rows.push((KEY_ALIASES, listed, KEY_ALIAS.to_vec()));
            }
            for (version, (_, material)) in materials {
                rows.push((MATERIALS, material_key(uid, version), material.encode()?));
            }
            rows.push((KEYS, uid.0.to_vec(), key.encode()?));
            keys.push(RebuiltKey {
                key_id: uid.to_string(),
                is_enabled,
            });
        }
        Ok((rows, keys))
    }
}
