// SPDX-License-Identifier: Apache-2.0
//! The open key service, and how a key is found.

use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use strongroom_iam::Iam;
use strongroom_store::env::Clock;
use strongroom_store::{Batch, CommitError, Precondition, Row, Store, TableId, Write};

use crate::authorize::{Doors, Told};
use crate::bucket_key_cache::{BucketKeyCache, Counts};
use crate::error::Error;
use crate::key_id::{KeyName, KeyUid, Place, invalid_key_id};
use crate::key_policy::KeyPolicies;
use crate::last_use::LastUses;
use crate::material_cache::MaterialCache;
use crate::opened_rows::OpenedRows;
use crate::page::LIMIT_MAX;
use crate::patience::VaultReads;
use crate::root::Keyring;
use crate::rows::{
    ALIASES, AliasRow, KEYS, KeyRow, MATERIALS, MaterialRow, TOMBSTONES, alias_key, material_key,
    material_version,
};
use crate::seen_time::SeenTime;
use crate::shred::Doomed;
use crate::turn::Turns;

/// The key service of one region and account.
#[derive(Clone)]
pub struct Kms {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    place: Place,
    doors: Doors,
    opened_keys: OpenedRows<KeyUid, OpenedKey>,
    opened_aliases: OpenedRows<String, KeyUid>,
    opened_materials: OpenedRows<(KeyUid, u32), Arc<MaterialRow>>,
    materials: MaterialCache,
    bucket_keys: BucketKeyCache,
    key_policies: KeyPolicies,
    iam: OnceLock<Iam>,
    last_uses: LastUses,
    seen_time: SeenTime,
    doomed: Doomed,
    turns: Turns,
    vault_reads: VaultReads,
}

/// A key's row as it is stored, and the commit that wrote it.
#[derive(Clone)]
struct OpenedKey {
    row: Arc<KeyRow>,
    seq: u64,
    told: Arc<Told>,
}

/// A key as it is stored now.
pub(crate) struct Found {
    pub(crate) row: Arc<KeyRow>,
    /// Commit that wrote the row.
    pub(crate) seq: u64,
    /// What the row says that does not change with time.
    pub(crate) told: Arc<Told>,
    /// The alias that the request names it by, if it does.
    pub(crate) alias: Option<String>,
}

impl Kms {
    /// Opens the key service over a store.
    pub async fn open(
        store: &Store,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        region: String,
        account_id: String,
    ) -> Result<Kms, Error> {
        let place = Place { region, account_id };
        let key_policies = KeyPolicies::new(&place)?;
        let doors = Doors::new(&place);
        let kms = Kms {
            inner: Arc::new(Inner {
                store: store.clone(),
                keyring,
                clock,
                place,
                doors,
                opened_keys: OpenedRows::of(KEYS),
                opened_aliases: OpenedRows::of(ALIASES),
                opened_materials: OpenedRows::of(MATERIALS),
                materials: MaterialCache::default(),
                bucket_keys: BucketKeyCache::default(),
                key_policies,
                iam: OnceLock::new(),
                last_uses: LastUses::default(),
                seen_time: SeenTime::default(),
                doomed: Doomed::default(),
                turns: Turns::default(),
                vault_reads: VaultReads::default(),
            }),
        };
        kms.begin_seeing().await?;
        // Tables that came from a backup or from manifests do not know every key: secrets of those
        // that they do not know are kept until an operator says that the restore is over.
        if store.is_restored().map_err(Error::Store)? {
            return match kms.settle_rebuilt().await {
                Err(error) if error.is_corruption() => Ok(kms),
                settled => settled.map(|()| kms),
            };
        }
        match kms.sweep_vault().await {
            // What cannot be read refers to something, nobody knows to what: so nothing more is
            // swept. Using the key, and verification, will say so.
            Err(error) if error.is_corruption() => Ok(kms),
            swept => swept.map(|()| kms),
        }
    }

    /// Says who the users are that policies and grants can name; before that there are none. Only
    /// the first one counts.
    pub fn know_users_of(&self, iam: &Iam) {
        self.inner.iam.get_or_init(|| iam.clone());
    }

    /// The unique id of the principal that has this ARN now; `None` for an ARN of nobody.
    pub(crate) fn unique_id(&self, arn: &str) -> Option<String> {
        let account_id = &self.place().account_id;
        if arn == crate::key_id::root_arn(account_id) {
            return Some(account_id.clone());
        }
        self.inner.iam.get()?.unique_id(arn)
    }

    /// Whether a principal has this unique id.
    pub(crate) fn is_unique_id(&self, id: &str) -> bool {
        self.inner
            .iam
            .get()
            .is_some_and(|iam| iam.arn_of(id).is_some())
    }

    pub(crate) fn key_policies(&self) -> &KeyPolicies {
        &self.inner.key_policies
    }

    pub(crate) fn doors(&self) -> &Doors {
        &self.inner.doors
    }

    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    pub(crate) fn last_uses(&self) -> &LastUses {
        &self.inner.last_uses
    }

    pub(crate) fn seen_time(&self) -> &SeenTime {
        &self.inner.seen_time
    }

    pub(crate) fn running_ms(&self) -> u64 {
        self.inner.clock.running_ms()
    }

    pub(crate) fn materials(&self) -> &MaterialCache {
        &self.inner.materials
    }

    pub(crate) fn doomed(&self) -> &Doomed {
        &self.inner.doomed
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    pub(crate) fn vault_reads(&self) -> &VaultReads {
        &self.inner.vault_reads
    }

    pub(crate) fn bucket_keys(&self) -> &BucketKeyCache {
        &self.inner.bucket_keys
    }

    /// Lets go of everything in memory that is of a key or was decrypted with it.
    pub(crate) fn forget(&self, uid: KeyUid) {
        self.materials().forget(uid);
        self.bucket_keys().forget(uid);
        // These know by themselves when they count no more; but of a key that is destroyed nothing
        // is left.
        self.inner.opened_keys.clear();
        self.inner.opened_aliases.clear();
        self.inner.opened_materials.clear();
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// The key that any of the four identifiers names.
    pub(crate) fn find(&self, key_id: &str) -> Result<Found, Error> {
        match self.uid_of(key_id)? {
            (uid, None) => self
                .key(uid)?
                .ok_or_else(|| self.place().key_not_found(uid)),
            (uid, Some(alias)) => {
                let found = self.target(uid, &alias)?;
                let alias = Some(alias);
                Ok(Found { alias, ..found })
            }
        }
    }

    /// The uid that any of the four identifiers names, whether or not there is such a key, and the
    /// alias if it is one.
    pub(crate) fn uid_of(&self, key_id: &str) -> Result<(KeyUid, Option<String>), Error> {
        match self.place().parse(key_id)? {
            KeyName::Key(uid) => Ok((uid, None)),
            KeyName::Alias(alias) => {
                let target = self.alias(&alias)?;
                let target = target.ok_or_else(|| self.place().alias_not_found(&alias))?;
                Ok((target, Some(alias)))
            }
        }
    }

    /// How often the rows of keys and of their material were changed; `None` while they are. To be
    /// asked before any of them is read.
    pub(crate) fn counts_of_keys(&self) -> Option<Counts> {
        let tables = self.store().tables();
        Some(Counts {
            keys: tables.change_count(KEYS)?,
            materials: tables.change_count(MATERIALS)?,
        })
    }

    /// The key that a key id or key ARN names; operations that manage keys take no alias.
    pub(crate) fn find_without_alias(&self, key_id: &str) -> Result<Found, Error> {
        match self.place().parse(key_id)? {
            KeyName::Key(uid) => self
                .key(uid)?
                .ok_or_else(|| self.place().key_not_found(uid)),
            KeyName::Alias(_) => Err(invalid_key_id(key_id)),
        }
    }

    /// The key an alias stands for. An alias goes with its key, so a key that is not there is
    /// due for deletion.
    pub(crate) fn target(&self, uid: KeyUid, alias: &str) -> Result<Found, Error> {
        self.key(uid)?
            .ok_or_else(|| self.place().alias_not_found(alias))
    }

    /// A key as it counts now; `None` for one whose time of deletion has come.
    pub(crate) fn key(&self, uid: KeyUid) -> Result<Option<Found>, Error> {
        let decode = |stored: Row| {
            let row = KeyRow::decode(uid, &stored.value)?;
            Ok(OpenedKey {
                told: Arc::new(Told::by(&row, self.place())),
                row: Arc::new(row),
                seq: stored.seq,
            })
        };
        let rows = &self.inner.opened_keys;
        let key = rows.get(self.store().tables(), &uid, || uid.0.to_vec(), decode)?;
        let now_ms = self.now_ms();
        Ok(key.and_then(|OpenedKey { row, seq, told }| {
            let row = KeyRow::at(row, now_ms)?;
            Some(Found {
                row,
                seq,
                told,
                alias: None,
            })
        }))
    }

    pub(crate) fn alias(&self, alias: &str) -> Result<Option<KeyUid>, Error> {
        let row_key = || alias_key(&self.place().account_id, alias);
        let target =
            |stored: Row| AliasRow::decode(alias, &stored.value).map(|row| KeyUid(row.target));
        let rows = &self.inner.opened_aliases;
        rows.get(self.store().tables(), alias, row_key, target)
    }

    pub(crate) fn material(
        &self,
        uid: KeyUid,
        version: u32,
    ) -> Result<Option<Arc<MaterialRow>>, Error> {
        let row_key = || material_key(uid, version);
        let decode = |stored: Row| MaterialRow::decode(uid, &stored.value).map(Arc::new);
        let rows = &self.inner.opened_materials;
        rows.get(self.store().tables(), &(uid, version), row_key, decode)
    }

    /// A version of a key's material, read from the table whatever was read before.
    pub(crate) fn version(&self, uid: KeyUid, number: u32) -> Result<Option<Version>, Error> {
        let key = material_key(uid, number);
        let Some(stored) = self.store().tables().get(MATERIALS, &key)? else {
            return Ok(None);
        };
        Ok(Some(Version {
            number,
            material: MaterialRow::decode(uid, &stored.value)?,
            seq: stored.seq,
        }))
    }

    /// Every version of a key's material, oldest first.
    pub(crate) fn versions_of(&self, uid: KeyUid) -> Result<Vec<Version>, Error> {
        let rows = self.rows_of(MATERIALS, uid, usize::MAX)?;
        rows.into_iter()
            .map(|(key, stored)| {
                Ok(Version {
                    number: material_version(&key)?,
                    material: MaterialRow::decode(uid, &stored.value)?,
                    seq: stored.seq,
                })
            })
            .collect()
    }

    /// The next rows of a whole table, after the key `after`, which moves on; `None` at the end.
    pub(crate) fn next_rows(
        &self,
        table: TableId,
        after: &mut Vec<u8>,
    ) -> Result<Option<Vec<KeyedRow>>, Error> {
        let start = if after.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(after.as_slice())
        };
        let tables = self.store().tables();
        let rows = tables.scan(table, start, Bound::Unbounded, LIMIT_MAX, false)?;
        if let Some((last, _)) = rows.last() {
            after.clone_from(last);
        }
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    /// Whether there was a key of this uid that is destroyed now, or is due to be.
    pub(crate) fn was_deleted(&self, uid: KeyUid) -> Result<bool, Error> {
        let tables = self.store().tables();
        Ok(tables.get(TOMBSTONES, &uid.0)?.is_some() || tables.get(KEYS, &uid.0)?.is_some())
    }

    /// Commits, and tells which precondition did not hold, if one did not.
    pub(crate) async fn commit(
        &self,
        preconditions: Vec<Precondition>,
        writes: Vec<Write>,
    ) -> Result<Result<(), Conflict>, Error> {
        match self
            .store()
            .tables()
            .commit(Batch {
                preconditions,
                writes,
            })
            .await
        {
            Ok(_) => Ok(Ok(())),
            Err(CommitError::Precondition { index, .. }) => Ok(Err(Conflict { index })),
            Err(CommitError::Unknown) => Err(Error::Internal(
                "the drive failed while committing: the outcome is unknown",
            )),
            Err(CommitError::Store(error)) => Err(Error::Store(error)),
        }
    }
}

/// A version of a key's material as it is stored now.
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) material: MaterialRow,
    /// Commit that wrote the row.
    pub(crate) seq: u64,
}

impl Version {
    /// Holds while nobody wraps it again or deletes it.
    pub(crate) fn is_unchanged(&self, uid: KeyUid) -> Precondition {
        Precondition::SeqIs {
            table: MATERIALS,
            key: material_key(uid, self.number),
            seq: self.seq,
        }
    }

    pub(crate) fn put(&self, uid: KeyUid) -> Result<Write, Error> {
        Ok(Write::Put {
            table: MATERIALS,
            key: material_key(uid, self.number),
            value: self.material.encode()?,
        })
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

/// A row with the key that it is stored under.
pub(crate) type KeyedRow = (Vec<u8>, Row);

/// Another commit came first: this precondition did not hold.
pub(crate) struct Conflict {
    pub(crate) index: usize,
}
