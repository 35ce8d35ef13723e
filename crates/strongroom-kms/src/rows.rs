// SPDX-License-Identifier: Apache-2.0
//! What the tables hold: keys, their material (wrapped), and aliases.
//!
//! | table | key | row |
//! |---|---|---|
//! | `kms_keys` | key uid | [`KeyRow`] |
//! | `kms_materials` | key uid, version as u32 | [`MaterialRow`] |
//! | `kms_aliases` | account id, alias name with its prefix | [`AliasRow`] |
//! | `kms_key_aliases` | key uid, alias name with its prefix | one byte |
//! | `kms_tombstones` | key uid | [`TombstoneRow`] |
//!
//! Fields are numbered, and readers skip numbers they do not know, so later operations add fields
//! without a new format.

use std::sync::Arc;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use strongroom_store::TableId;

use crate::error::Error;
use crate::key_id::{KeyUid, Place};
use crate::key_policy::NamedPrincipal;
use crate::model::{
    KeyManager, KeyMetadata, KeySpec, KeyState, KeyUsage, Origin, RotationType, Tag,
};

/// A KMS key.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct KeyRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) uid: [u8; 16],
    #[n(1)]
    pub(crate) account_id: String,
    #[n(2)]
    pub(crate) state: KeyState,
    /// Counts the changes of `state`.
    #[n(3)]
    pub(crate) state_epoch: u64,
    #[n(4)]
    pub(crate) description: String,
    #[n(5)]
    pub(crate) usage: KeyUsage,
    #[n(6)]
    pub(crate) spec: KeySpec,
    #[n(7)]
    pub(crate) origin: Origin,
    #[n(8)]
    pub(crate) manager: KeyManager,
    #[n(9)]
    pub(crate) created_ms: u64,
    #[n(10)]
    pub(crate) tags: Vec<Tag>,
    /// The key policy as it was given.
    #[n(11)]
    pub(crate) key_policy: Option<String>,
    /// The version new encryptions use; 0 while there is no material.
    #[n(12)]
    pub(crate) current_version: u32,
    #[cbor(n(13), with = "minicbor::bytes")]
    pub(crate) current_material_id: [u8; 32],
    #[n(14)]
    pub(crate) deletion_ms: Option<u64>,
    #[n(15)]
    pub(crate) valid_to_ms: Option<u64>,
    #[n(16)]
    pub(crate) multi_region: bool,
    /// Automatic rotation: days between two versions; `None` while it is off.
    #[n(17)]
    pub(crate) rotation_period_days: Option<u32>,
    /// When the next automatic rotation is due.
    #[n(18)]
    pub(crate) next_rotation_ms: Option<u64>,
    /// How many rotations were made on demand.
    #[n(19)]
    #[cbor(default)]
    pub(crate) on_demand_rotations: u32,
    /// Whether imported material that it needs was deleted or has expired.
    #[n(20)]
    #[cbor(default)]
    pub(crate) lacks_material: bool,
    /// Whose ARNs the key policy names, since it was set.
    #[n(21)]
    #[cbor(default)]
    pub(crate) key_policy_principals: Vec<NamedPrincipal>,
}

impl KeyRow {
    /// Bytes of the texts in it, which make most of its size in memory.
    pub(crate) fn text_bytes(&self) -> usize {
        let policy = self.key_policy.iter().map(String::len);
        let tags = self.tags.iter();
        let tags = tags.map(|tag| tag.key.len().saturating_add(tag.value.len()));
        let principals = self.key_policy_principals.iter();
        let principals =
            principals.map(|named| named.arn.len().saturating_add(named.unique_id.len()));
        let lens = policy.chain(tags).chain(principals);
        lens.fold(self.description.len(), usize::saturating_add)
    }

    pub(crate) fn uid(&self) -> KeyUid {
        KeyUid(self.uid)
    }

    pub(crate) fn arn(&self, place: &Place) -> String {
        place.key_arn(self.uid())
    }

    pub(crate) fn describe(&self, place: &Place) -> KeyMetadata {
        // Material that has expired is gone before it is removed.
        let lacks_material = self.has_gaps() || self.state == KeyState::PendingImport;
        KeyMetadata {
            account_id: self.account_id.clone(),
            key_id: self.uid().to_string(),
            arn: self.arn(place),
            created_ms: self.created_ms,
            enabled: self.state == KeyState::Enabled,
            description: self.description.clone(),
            usage: self.usage,
            state: self.state,
            deletion_ms: self.deletion_ms,
            valid_to_ms: self.valid_to_ms.filter(|_| !lacks_material),
            has_imported_material: self.origin == Origin::External && !lacks_material,
            origin: self.origin,
            manager: self.manager,
            spec: self.spec,
            algorithms: self.spec.algorithms(self.usage),
            multi_region: self.multi_region,
            region: place.region.clone(),
            current_key_material_id: (self.current_version > 0
                && self.spec == KeySpec::SymmetricDefault)
                .then(|| hex::encode(self.current_material_id)),
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::Internal("encoding a key row"))
    }

    pub(crate) fn decode(uid: KeyUid, bytes: &[u8]) -> Result<KeyRow, Error> {
        let wrong = || Error::Corrupted {
            what: format!("KMS key {uid}"),
        };
        let row: KeyRow = minicbor::decode(bytes).map_err(|_| wrong())?;
        if row.uid == uid.0 {
            Ok(row)
        } else {
            Err(wrong())
        }
    }
}

/// One version of the material of a key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MaterialRow {
    /// Epoch of the domain key that wraps it.
    #[n(0)]
    pub(crate) wrap_epoch: u32,
    /// EKT.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) wrapped: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) material_id: [u8; 32],
    #[n(3)]
    pub(crate) created_ms: u64,
    /// The shred key that wraps it, with the domain key.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) shred_id: [u8; 16],
    /// When it became current by a rotation.
    #[n(5)]
    pub(crate) rotated_ms: Option<u64>,
    #[n(6)]
    pub(crate) rotation: Option<RotationType>,
    /// When imported material expires.
    #[n(7)]
    pub(crate) valid_to_ms: Option<u64>,
    /// The account's words about imported material.
    #[n(8)]
    pub(crate) description: Option<String>,
}

impl MaterialRow {
    /// Whether there is anything wrapped: imported material can be deleted, and is then known
    /// by its id only.
    pub(crate) fn is_wrapped(&self) -> bool {
        !self.wrapped.is_empty()
    }

    /// Whether it can be used at this time.
    pub(crate) fn is_there(&self, now_ms: u64) -> bool {
        self.is_wrapped() && self.valid_to_ms.is_none_or(|end_ms| now_ms < end_ms)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::Internal("encoding a material row"))
    }

    pub(crate) fn decode(uid: KeyUid, bytes: &[u8]) -> Result<MaterialRow, Error> {
        minicbor::decode(bytes).map_err(|_| Error::Corrupted {
            what: format!("material of KMS key {uid}"),
        })
    }
}

/// Whether two rows say the same; mostly they are one.
pub(crate) fn is_same(one: &Arc<MaterialRow>, other: &Arc<MaterialRow>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// What is left of a key that was destroyed.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct TombstoneRow {
    #[n(0)]
    pub(crate) destroyed_ms: u64,
    #[n(1)]
    pub(crate) created_ms: u64,
    #[n(2)]
    pub(crate) spec: KeySpec,
    /// Its shred keys, to be destroyed.
    #[n(3)]
    pub(crate) shred_ids: Vec<ByteArray<16>>,
    /// Whether they are, and the event is recorded.
    #[n(4)]
    pub(crate) finished: bool,
}

impl TombstoneRow {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::Internal("encoding a tombstone"))
    }

    pub(crate) fn decode(uid: KeyUid, bytes: &[u8]) -> Result<TombstoneRow, Error> {
        minicbor::decode(bytes).map_err(|_| Error::Corrupted {
            what: format!("tombstone of KMS key {uid}"),
        })
    }
}

/// An alias.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct AliasRow {
    /// The key it stands for.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) target: [u8; 16],
    #[n(1)]
    pub(crate) created_ms: u64,
    #[n(2)]
    pub(crate) updated_ms: u64,
}

impl AliasRow {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::Internal("encoding an alias row"))
    }

    pub(crate) fn decode(alias: &str, bytes: &[u8]) -> Result<AliasRow, Error> {
        minicbor::decode(bytes).map_err(|_| Error::Corrupted {
            what: format!("KMS {alias}"),
        })
    }
}

/// The key that a material row belongs to.
pub(crate) fn material_uid(row_key: &[u8]) -> Result<KeyUid, Error> {
    let uid = row_key.first_chunk::<16>().filter(|_| row_key.len() == 20);
    uid.map(|uid| KeyUid(*uid)).ok_or_else(|| Error::Corrupted {
        what: "key of a material of a KMS key".to_owned(),
    })
}

/// The version in the key of a material row.
pub(crate) fn material_version(row_key: &[u8]) -> Result<u32, Error> {
    material_uid(row_key)?;
    let version = row_key.last_chunk::<4>();
    version
        .map(|version| u32::from_be_bytes(*version))
        .ok_or(Error::Internal("a row's key"))
}

/// Key of a material row.
pub(crate) fn material_key(uid: KeyUid, version: u32) -> Vec<u8> {
    [uid.0.as_slice(), &version.to_be_bytes()].concat()
}

/// Key of an alias row; account ids have one length, so no two accounts overlap.
pub(crate) fn alias_key(account_id: &str, alias: &str) -> Vec<u8> {
    [account_id.as_bytes(), alias.as_bytes()].concat()
}

/// What every row of `kms_key_aliases` holds: its key says everything.
pub(crate) const KEY_ALIAS: &[u8] = &[0];

/// Key of the row that lists an alias under its key.
pub(crate) fn key_alias_key(uid: KeyUid, alias: &str) -> Vec<u8> {
    [uid.0.as_slice(), alias.as_bytes()].concat()
}

pub(crate) const KEYS: TableId = TableId(1);
pub(crate) const MATERIALS: TableId = TableId(2);
pub(crate) const ALIASES: TableId = TableId(3);
pub(crate) const GRANTS: TableId = TableId(4);
pub(crate) const LAST_USE: TableId = TableId(6);
pub(crate) const TOMBSTONES: TableId = TableId(8);
pub(crate) const KEY_ALIASES: TableId = TableId(31);
