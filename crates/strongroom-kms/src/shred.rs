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

use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::material::fill;
use crate::rows::{MATERIALS, MaterialRow, material_uid};
use crate::service::Kms;

/// A shred key, in clear.
pub(crate) struct ShredKey {
    id: [u8; 16],
    secret: Zeroizing<[u8; 32]>,
}

impl ShredKey {
    /// The name of its file.
    pub(crate) fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The bytes. Every use of this method is a place to review.
    pub(crate) fn expose_secret(&self) -> &[u8; 32] {
        &self.secret
    }
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
        let mut shred = ShredKey {
            id: [0; 16],
            secret: Zeroizing::new([0; 32]),
        };
        fill(&mut shred.id)?;
        fill(shred.secret.as_mut_slice())?;
        let epoch = self.keyring().newest_epoch();
        let mut sealed = epoch.to_be_bytes().to_vec();
        self.keyring()
            .kms_shred(epoch)
            .ok_or(Error::Internal("the newest domain key"))?
            .seal_to(
                &aad(uid, shred.id, epoch),
                shred.secret.as_slice(),
                &mut sealed,
            )
            .map_err(|_| Error::Internal("sealing a shred key"))?;
        self.store().vault().put(uid.0, shred.id, &sealed).await?;
        Ok(shred)
    }

    /// A shred key of a KMS key; `None` when it is not there.
    pub(crate) fn shred_key(&self, uid: KeyUid, id: [u8; 16]) -> Result<Option<ShredKey>, Error> {
        let Some(bytes) = self.store().vault().get(uid.0, id)? else {
            return Ok(None);
        };
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
        Ok(Some(ShredKey {
            id,
            secret: Zeroizing::new(*secret),
        }))
    }

    /// Destroys a shred key, durably.
    pub(crate) async fn destroy_shred_key(&self, id: [u8; 16]) -> Result<(), Error> {
        self.store().vault().destroy(id).await?;
        Ok(())
    }

    /// Destroys what a crash left in the vault: everything that no material refers to. Returns
    /// how many. Only while nothing else uses the key service.
    pub(crate) async fn sweep_vault(&self) -> Result<u64, Error> {
        let entries = self.store().vault().list()?;
        if entries.is_empty() {
            return Ok(0);
        }
        let mut used = BTreeSet::new();
        self.each_material(|_, material| {
            if material.is_wrapped() {
                used.insert(material.shred_id);
            }
        })?;
        let mut swept = 0_u64;
        for entry in entries {
            if !used.contains(&entry.id) {
                self.destroy_shred_key(entry.id).await?;
                swept = swept.saturating_add(1);
            }
        }
        Ok(swept)
    }

    /// Shows every material row of every key.
    pub(crate) fn each_material(
        &self,
        mut show: impl FnMut(KeyUid, &MaterialRow),
    ) -> Result<(), Error> {
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(MATERIALS, &mut after)? {
            for (key, stored) in &rows {
                let uid = material_uid(key)?;
                show(uid, &MaterialRow::decode(uid, &stored.value)?);
            }
        }
        Ok(())
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
