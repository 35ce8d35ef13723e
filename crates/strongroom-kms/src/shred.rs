// SPDX-License-Identifier: Apache-2.0
//! Shred keys: the half of every wrapping that can be destroyed.
//!
//! The tables remember: a wrapped material that was deleted is still in the log. So material is
//! wrapped under a domain key *and* a shred key of its KMS key, and shred keys are in the vault
//! only, each in a file of its own. When the file is destroyed, every copy of the wrapped
//! material, in the log, the index or a backup of them, has become random bytes.
//!
//! A file is in the vault before a commit refers to it, and is destroyed after the commit that
//! refers to it no more. What a crash leaves between the two is swept at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::material::fill;
use crate::rows::{KEYS, KeyRow, MATERIALS, MaterialRow, material_uid};
use crate::secret32::Secret32;
use crate::service::Kms;

/// A shred key, in clear.
pub(crate) struct ShredKey {
    id: [u8; 16],
    secret: Secret32,
}

impl ShredKey {
    /// The name of its file.
    pub(crate) fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The bytes. Every use of this method is a place to review.
    pub(crate) fn expose_secret(&self) -> &[u8; 32] {
        self.secret.expose_secret()
    }

    /// The same secret as it was called before it was sealed again.
    pub(crate) fn called(&self, id: [u8; 16]) -> ShredKey {
        ShredKey {
            id,
            secret: Secret32::copy_of(self.secret.expose_secret()),
        }
    }
}

/// Shred keys that a commit refers to no more, or will not when it is through, until they are
/// destroyed; and files of the vault that were kept at the start. A start finds both again.
#[derive(Debug, Default)]
pub(crate) struct Doomed {
    ids: Mutex<BTreeMap<[u8; 16], KeyUid>>,
    kept: Mutex<BTreeMap<[u8; 16], Option<KeyUid>>>,
}

impl Doomed {
    pub(crate) fn add<'a>(&self, uid: KeyUid, ids: impl IntoIterator<Item = &'a [u8; 16]>) {
        let ids = ids.into_iter().map(|id| (*id, uid));
        locked(&self.ids).extend(ids);
    }

    fn remove(&self, id: [u8; 16]) {
        locked(&self.ids).remove(&id);
        locked(&self.kept).remove(&id);
    }

    fn all(&self) -> Vec<([u8; 16], KeyUid)> {
        let ids = locked(&self.ids);
        ids.iter().map(|(id, uid)| (*id, *uid)).collect()
    }

    fn keep(&self, id: [u8; 16], owner: Option<KeyUid>) {
        locked(&self.kept).insert(id, owner);
    }

    /// Files that no material refers to, and that were kept since not all rows are whole; with the
    /// keys that they belong to, where they say so.
    pub(crate) fn kept(&self) -> Vec<([u8; 16], Option<KeyUid>)> {
        let kept = locked(&self.kept);
        kept.iter().map(|(id, owner)| (*id, *owner)).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for ShredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShredKey(..)")
    }
}

impl Kms {
    /// A new shred key for a KMS key, durable in the vault. Until a commit refers to it, it is
    /// the caller's to destroy.
    pub(crate) async fn new_shred_key(&self, uid: KeyUid) -> Result<ShredKey, Error> {
        self.keep_shred_key(uid, Secret32::filled(fill)?).await
    }

    /// The same secret under a new name, sealed under the newest domain key, durable in the vault;
    /// the caller's to destroy as a new one is.
    ///
    /// What lies outside of the tables and was wrapped under the secret (manifests of bodies) opens
    /// for as long as the secret is anywhere, and is found by trying ([`Kms::settle_rebuilt`]).
    pub(crate) async fn renamed_shred_key(
        &self,
        uid: KeyUid,
        id: [u8; 16],
    ) -> Result<ShredKey, Error> {
        let found = self.shred_key(uid, id)?;
        let found = found.ok_or_else(|| Error::Corrupted {
            what: format!("shred key of KMS key {uid}"),
        })?;
        let secret = Secret32::copy_of(found.expose_secret());
        self.keep_shred_key(uid, secret).await
    }

    async fn keep_shred_key(&self, uid: KeyUid, secret: Secret32) -> Result<ShredKey, Error> {
        let mut id = [0; 16];
        fill(&mut id)?;
        let shred = ShredKey { id, secret };
        let epoch = self.keyring().newest_epoch();
        let mut sealed = epoch.to_be_bytes().to_vec();
        self.keyring()
            .kms_shred(epoch)
            .ok_or(Error::Internal("the newest domain key"))?
            .seal_to(
                &aad(uid, shred.id, epoch),
                shred.expose_secret(),
                &mut sealed,
            )
            .map_err(|_| Error::Internal("sealing a shred key"))?;
        if let Err(error) = self.store().vault().put(uid.0, shred.id, &sealed).await {
            // All of it may be there. What cannot be destroyed now is remembered.
            let _tried_again_later = self.abandon_shred_keys(uid, [shred.id]).await;
            return Err(error.into());
        }
        Ok(shred)
    }

    /// A shred key of a KMS key; `None` when it is not there.
    pub(crate) fn shred_key(&self, uid: KeyUid, id: [u8; 16]) -> Result<Option<ShredKey>, Error> {
        let Some(bytes) = self.store().vault().get(uid.0, id)? else {
            return Ok(None);
        };
        match self.open_shred_key(uid, id, &bytes) {
            Err(damage @ Error::Corrupted { .. }) => {
                // Another copy of the vault may have it whole.
                let others = self.store().vault().get_each(uid.0, id)?;
                let opened = others
                    .iter()
                    .find_map(|bytes| self.open_shred_key(uid, id, bytes).ok());
                opened.map(Some).ok_or(damage)
            }
            opened => opened.map(Some),
        }
    }

    fn open_shred_key(&self, uid: KeyUid, id: [u8; 16], bytes: &[u8]) -> Result<ShredKey, Error> {
        let damaged = || Error::Corrupted {
            what: format!("shred key of KMS key {uid}"),
        };
        let (epoch, sealed) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        let epoch = u32::from_be_bytes(*epoch);
        let opened = self
            .keyring()
            .kms_shred(epoch)
            .ok_or_else(damaged)?
            .open(&aad(uid, id, epoch), sealed)
            .map_err(|_| damaged())?;
        let secret: &[u8; 32] = opened.as_slice().try_into().map_err(|_| damaged())?;
        Ok(ShredKey {
            id,
            secret: Secret32::copy_of(secret),
        })
    }

    /// Destroys a shred key, durably.
    pub(crate) async fn destroy_shred_key(&self, id: [u8; 16]) -> Result<(), Error> {
        self.store().vault().destroy(id).await?;
        self.doomed().remove(id);
        Ok(())
    }

    /// Destroys shred keys that a commit refers to no more, all that can be; those that cannot are
    /// tried again by [`Kms::run_due`] if they were added to [`Kms::doomed`] before the commit.
    pub(crate) async fn destroy_shred_keys(
        &self,
        ids: impl IntoIterator<Item = [u8; 16]>,
    ) -> Result<(), Error> {
        let mut done = Ok(());
        for id in ids {
            done = done.and(self.destroy_shred_key(id).await);
        }
        done
    }

    /// Destroys shred keys that no commit came to refer to. Those that cannot be destroyed now are
    /// tried again by [`Kms::run_due`]: a renamed one holds the secret of the key it was made for, and
    /// must not outlive it.
    ///
    /// Only when no commit that refers to them can come any more.
    pub(crate) async fn abandon_shred_keys(
        &self,
        uid: KeyUid,
        ids: impl IntoIterator<Item = [u8; 16]>,
    ) -> Result<(), Error> {
        let ids: Vec<_> = ids.into_iter().collect();
        self.doomed().add(uid, &ids);
        self.destroy_shred_keys(ids).await
    }

    /// Tries again to destroy what was to be destroyed after a commit, and was not. Returns what
    /// is still there, by key.
    pub(crate) async fn destroy_doomed(&self) -> Vec<(KeyUid, Error)> {
        let mut failed = Vec::new();
        for (id, uid) in self.doomed().all() {
            let destroyed = match self.refers_to(uid, id) {
                // The commit failed, or is not there yet.
                Ok(true) => Ok(()),
                Ok(false) => self.destroy_shred_key(id).await,
                Err(error) => Err(error),
            };
            if let Err(error) = destroyed {
                failed.push((uid, error));
            }
        }
        failed
    }

    /// Whether a version of a key is wrapped under this shred key.
    fn refers_to(&self, uid: KeyUid, id: [u8; 16]) -> Result<bool, Error> {
        let versions = self.versions_of(uid)?;
        let mut wrapped = versions.iter().filter(|v| v.material.is_wrapped());
        Ok(wrapped.any(|version| version.material.shred_id == id))
    }

    /// Destroys what a crash left in the vault: everything that no material refers to. Only while
    /// nothing else uses the key service.
    ///
    /// INVARIANT: no file goes on the word of damaged rows. A file is kept, and its key reported by
    /// every [`Kms::run_due`], unless all material of the key that it belongs to is there and opens
    /// under the shred keys that it names; a file that does not say whose it is, unless that is so
    /// for every key.
    pub(crate) async fn sweep_vault(&self) -> Result<(), Error> {
        let entries = self.store().vault().list()?;
        let mut used = BTreeSet::new();
        let mut rows_are_whole = true;
        if !entries.is_empty() {
            rows_are_whole = self.each_readable_material(|material| {
                if material.is_wrapped() {
                    used.insert(material.shred_id);
                }
            })?;
        }
        let left = entries.iter().filter(|entry| !used.contains(&entry.id));
        for entry in left {
            let goes = match entry.owner {
                Some(uid) => rows_are_whole && self.is_key_whole(KeyUid(uid))?,
                None => rows_are_whole && self.are_all_keys_whole()?,
            };
            if goes {
                self.destroy_shred_key(entry.id).await?;
            } else {
                self.doomed().keep(entry.id, entry.owner.map(KeyUid));
            }
        }
        Ok(())
    }

    /// Shows every material row that can be read; `false` if one cannot.
    fn each_readable_material(&self, mut show: impl FnMut(&MaterialRow)) -> Result<bool, Error> {
        let (mut after, mut whole) = (Vec::new(), true);
        while let Some(rows) = self.next_rows(MATERIALS, &mut after)? {
            for (key, stored) in &rows {
                let material = material_uid(key);
                match material.and_then(|uid| MaterialRow::decode(uid, &stored.value)) {
                    Ok(material) => show(&material),
                    Err(_) => whole = false,
                }
            }
        }
        Ok(whole)
    }

    fn are_all_keys_whole(&self) -> Result<bool, Error> {
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(KEYS, &mut after)? {
            for (key, _) in &rows {
                let whole = KeyUid::from_row_key(key).map(|uid| self.is_key_whole(uid));
                if !whole.unwrap_or(Ok(false))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether all material of a key is there and opens. A key that is not there has none: its
    /// making was not committed, or it is destroyed.
    fn is_key_whole(&self, uid: KeyUid) -> Result<bool, Error> {
        let stored = self.store().tables().get(KEYS, &uid.0)?;
        let row = match stored.map(|stored| KeyRow::decode(uid, &stored.value)) {
            None => return Ok(self.rows_of(MATERIALS, uid, 1)?.is_empty()),
            Some(Err(_)) => return Ok(false),
            Some(Ok(row)) => row,
        };
        let versions = match self.versions_of(uid) {
            Err(error) if error.is_corruption() => return Ok(false),
            versions => versions?,
        };
        let is_there = |number| versions.iter().any(|version| version.number == number);
        if !(1..=row.current_version).all(is_there) {
            return Ok(false);
        }
        for version in versions.iter().filter(|v| v.material.is_wrapped()) {
            if !self.is_whole(&row, version.number, &version.material)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn aad(KeyUid(uid): KeyUid, id: [u8; 16], epoch: u32) -> Vec<u8> {
    [
        b"strongroom/1/kms-shred\0".as_slice(),
        &uid,
        &id,
        &epoch.to_be_bytes(),
    ]
    .concat()
}
