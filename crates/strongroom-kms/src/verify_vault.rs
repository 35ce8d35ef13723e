// SPDX-License-Identifier: Apache-2.0
//! Verification of the vault: every wrapped key material opens, with the shred key that it names,
//! and every file of the vault is named by one.
//!
//! ```text
//!  1 list the files of the vault
//!  2 every row of material: read its shred key's file whole, open it, open the material
//!  3 files of 1 that no row of 2 names, and that are still there: orphans
//! ```
//!
//! It runs while keys are made, wrapped again and destroyed. So whatever is about to be reported is
//! looked at again, and what a moment explains is left out: a file lies in the vault for a moment
//! before and after the commits that name it and name it no more.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use strongroom_store::{TableId, VaultEntry};

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::rows::{KEYS, KeyRow, MATERIALS, MaterialRow, material_uid, material_version};
use crate::service::Kms;

/// What a verification of the vault found.
#[derive(Clone, Debug, Default)]
pub struct VaultReport {
    /// Files of the vault.
    pub files: u64,
    /// Versions of key material that are wrapped.
    pub materials: u64,
    /// Everything that is damaged, each with what is wrong.
    pub damaged: Vec<String>,
    /// Files that no material names: left by a crash, and swept at the next start.
    pub unreferred: Vec<String>,
}

/// What the rows name.
#[derive(Default)]
struct Named {
    shred_ids: BTreeSet<[u8; 16]>,
    /// Keys with rows that cannot be read: nobody knows what those name.
    unreadable: BTreeSet<KeyUid>,
}

impl Kms {
    /// Reads every file of the vault and opens all key material. Nothing is kept of it, and no key
    /// counts as used.
    pub async fn verify_vault(&self) -> Result<VaultReport, Error> {
        let mut report = VaultReport::default();
        let entries = match self.store().vault().list() {
            Ok(entries) => entries,
            Err(error) => {
                report.push_damage("vault", error.into())?;
                Vec::new()
            }
        };
        report.files = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let named = self.verify_materials(&mut report).await?;
        self.verify_keys_have_material(&mut report).await?;
        let mut orphans: Vec<VaultEntry> = entries
            .into_iter()
            .filter(|entry| !named.shred_ids.contains(&entry.id))
            .collect();
        let mut pause = LOOK_AGAIN;
        for _ in 0..LOOKS {
            if orphans.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
            let still_there = self.store().vault().list()?;
            orphans.retain(|entry| still_there.contains(entry));
            let mut kept = Vec::new();
            for entry in orphans {
                if !self.is_named(&entry)? {
                    kept.push(entry);
                }
            }
            orphans = kept;
        }
        for entry in orphans {
            let file = format!("shred key {} in the vault", hex::encode(entry.id));
            let Some(uid) = entry.owner.map(KeyUid) else {
                report
                    .damaged
                    .push(format!("{file}: the file is not whole"));
                continue;
            };
            if named.unreadable.contains(&uid) {
                continue;
            }
            let line = format!("{file}: no material of KMS key {uid} refers to it");
            report.unreferred.push(line);
            if let Err(error) = self.shred_key(uid, entry.id) {
                report.push_damage(&file, error)?;
            }
        }
        Ok(report)
    }

    /// Opens every material.
    async fn verify_materials(&self, report: &mut VaultReport) -> Result<Named, Error> {
        let mut named = Named::default();
        let mut after = Vec::new();
        loop {
            let page = self.page(MATERIALS, &after)?;
            let Some((last, _)) = page.last() else {
                return Ok(named);
            };
            after.clone_from(last);
            for (key, value) in page {
                let (uid, version) = match (material_uid(&key), material_version(&key)) {
                    (Ok(uid), Ok(version)) => (uid, version),
                    (Err(error), _) | (_, Err(error)) => {
                        report.push_damage("key material", error)?;
                        continue;
                    }
                };
                let decoded = value.map(|value| MaterialRow::decode(uid, &value));
                match decoded {
                    // Told by the verification of the tables.
                    None => {
                        named.unreadable.insert(uid);
                    }
                    Some(Err(error)) => {
                        named.unreadable.insert(uid);
                        report.push_damage(&what(uid, version), error)?;
                    }
                    Some(Ok(row)) if row.is_wrapped() => {
                        named.shred_ids.insert(row.shred_id);
                        report.materials = report.materials.saturating_add(1);
                        if let Err(error) = self.verify_material(uid, version, row) {
                            report.push_damage(&what(uid, version), error)?;
                        }
                    }
                    Some(Ok(_)) => {}
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Opens a material. What was changed or destroyed meanwhile is opened as it is now.
    fn verify_material(
        &self,
        uid: KeyUid,
        version: u32,
        mut row: MaterialRow,
    ) -> Result<(), Error> {
        loop {
            let opened = match self.store().tables().get(KEYS, &uid.0) {
                Ok(Some(key)) => KeyRow::decode(uid, &key.value)
                    .and_then(|key| self.check_material(&key, version, &row)),
                Ok(None) => Err(Error::Corrupted {
                    what: format!("KMS key {uid}: its record is missing"),
                }),
                Err(error) => Err(error.into()),
            };
            let Err(error) = opened else { return Ok(()) };
            // From the table: this looks for damage.
            match self.version(uid, version)?.map(|found| found.material) {
                Some(now) if now == row => return Err(error),
                Some(now) if now.is_wrapped() => row = now,
                _ => return Ok(()),
            }
        }
    }

    /// Every key that has a current version has a row for it.
    async fn verify_keys_have_material(&self, report: &mut VaultReport) -> Result<(), Error> {
        let mut after = Vec::new();
        loop {
            let page = self.page(KEYS, &after)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (key, value) in page {
                let Some(value) = value else { continue };
                let row = KeyUid::from_row_key(&key).and_then(|uid| KeyRow::decode(uid, &value));
                let row = match row {
                    Ok(row) => row,
                    Err(error) => {
                        report.push_damage("KMS key", error)?;
                        continue;
                    }
                };
                let (uid, version) = (row.uid(), row.current_version);
                let lacks = |version| match self.version(uid, version) {
                    Ok(found) => found.is_none(),
                    // Told with the material.
                    Err(_) => false,
                };
                // Destroyed meanwhile?
                if version > 0
                    && lacks(version)
                    && self.store().tables().get(KEYS, &uid.0)?.is_some()
                {
                    let line = format!("{}: its record is missing", what(uid, version));
                    report.damaged.push(line);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether a material of the owner names this file now.
    fn is_named(&self, entry: &VaultEntry) -> Result<bool, Error> {
        let Some(owner) = entry.owner else {
            return Ok(false);
        };
        match self.versions_of(KeyUid(owner)) {
            Ok(versions) => Ok(versions.iter().any(|version| {
                version.material.is_wrapped() && version.material.shred_id == entry.id
            })),
            Err(error) if error.is_corruption() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next rows of a table; `None` for the value of one that does not open.
    fn page(&self, table: TableId, after: &[u8]) -> Result<Vec<ReadRow>, Error> {
        let start = if after.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(after)
        };
        let tables = self.store().tables();
        let page = tables.scan_each(table, start, Bound::Unbounded, ROWS_PER_SCAN, false)?;
        page.into_iter()
            .map(|(key, row)| match row {
                Ok(row) => Ok((key, Some(row.value))),
                Err(error) if error.is_corruption() => Ok((key, None)),
                Err(error) => Err(error.into()),
            })
            .collect()
    }
}

impl VaultReport {
    /// Notes damage. A store that cannot go on is an error of the whole verification.
    fn push_damage(&mut self, what: &str, error: Error) -> Result<(), Error> {
        if let Error::Store(strongroom_store::Error::DriveOutOfService { .. }) = error {
            return Err(error);
        }
        self.damaged.push(format!("{what}: {error}"));
        Ok(())
    }
}

fn what(uid: KeyUid, version: u32) -> String {
    format!("version {version} of KMS key {uid}")
}

type ReadRow = (Vec<u8>, Option<Vec<u8>>);

const ROWS_PER_SCAN: usize = 256;
/// How often an orphan is looked at again, and how long after for the first time; then twice as long each
/// time, more than six seconds altogether. A file is one for a moment when the commit that is to refer to
/// it is on its way, and for longer on a machine that is short of time.
const LOOKS: u32 = 6;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
