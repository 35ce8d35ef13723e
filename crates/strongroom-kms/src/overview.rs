// SPDX-License-Identifier: Apache-2.0
//! What an operator asks about keys: which there are, and whether a key is really gone.

use std::sync::Arc;

use strongroom_store::{TableId, Vault};

use crate::error::Error;
use crate::key_id::{KeyName, KeyUid};
use crate::last_use::LastUse;
use crate::model::KeyState;
use crate::rows::{
    GRANTS, KEY_ALIASES, KEYS, KeyRow, LAST_USE, MATERIALS, TOMBSTONES, TombstoneRow,
};
use crate::service::Kms;

/// A key as an operator sees it.
#[derive(Clone, Debug)]
pub struct KeyOverview {
    /// Key id.
    pub key_id: String,
    /// Key ARN.
    pub key_arn: String,
    /// State.
    pub state: KeyState,
    /// Names of its aliases.
    pub aliases: Vec<String>,
    /// Days between two automatic rotations.
    pub rotation_period_days: Option<u32>,
    /// Grants.
    pub grants: u64,
    /// The last successful use.
    pub last_use: Option<LastUse>,
}

/// What there is to find of a key.
#[derive(Clone, Debug)]
pub struct Destruction {
    /// Key ARN.
    pub key_arn: String,
    /// When it was destroyed, Unix time in milliseconds; `None` without a tombstone.
    pub destroyed_ms: Option<u64>,
    /// What remains of it in tables and vault, in words.
    pub remains: Vec<String>,
    /// How each file of the vault that belongs to it begins.
    pub mark: Vec<u8>,
}

impl Kms {
    /// One key, by any of the four identifiers.
    pub fn overview(&self, key_id: &str) -> Result<KeyOverview, Error> {
        self.overview_of(&self.find(key_id)?.row)
    }

    /// All keys, in the order of their ids.
    pub fn overviews(&self) -> Result<Vec<KeyOverview>, Error> {
        let mut found = Vec::new();
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(KEYS, &mut after)? {
            for (key, stored) in rows {
                let row = KeyRow::decode(KeyUid::from_row_key(&key)?, &stored.value)?;
                if let Some(row) = KeyRow::at(Arc::new(row), self.now_ms()) {
                    found.push(self.overview_of(&row)?);
                }
            }
        }
        Ok(found)
    }

    fn overview_of(&self, row: &KeyRow) -> Result<KeyOverview, Error> {
        let uid = row.uid();
        let (grants, _) = self.grant_count(uid)?;
        Ok(KeyOverview {
            key_id: uid.to_string(),
            key_arn: row.arn(self.place()),
            state: row.state,
            aliases: self.alias_names_of(uid, None, usize::MAX)?,
            rotation_period_days: row.rotation_period_days,
            grants: u64::from(grants),
            last_use: self.last_use(uid)?,
        })
    }

    /// Looks for everything that could remain of a key, by key id or key ARN. An alias went with
    /// its key, so it names none here.
    pub fn destruction(&self, key_id: &str) -> Result<Destruction, Error> {
        let KeyName::Key(uid) = self.place().parse(key_id)? else {
            return Err(Error::Validation(
                "name the key by its key id or key ARN: an alias goes with its key".to_owned(),
            ));
        };
        let mut remains = Vec::new();
        let tables = self.store().tables();
        let tombstone = match tables.get(TOMBSTONES, &uid.0)? {
            Some(stored) => Some(TombstoneRow::decode(uid, &stored.value)?),
            None => None,
        };
        if tables.get(KEYS, &uid.0)?.is_some() {
            remains.push("the key itself is there".to_owned());
        }
        let of = |table: TableId| self.count_rows_of(table, uid);
        for (count, what) in [
            (of(MATERIALS)?, "versions of its material"),
            (of(GRANTS)?, "grants"),
            (of(LAST_USE)?, "records of its last use"),
            (of(KEY_ALIASES)?, "aliases"),
        ] {
            if count > 0 {
                remains.push(format!("{count} {what} in the tables"));
            }
        }
        let named = tombstone.iter().flat_map(|row| row.shred_ids.iter());
        let named: Vec<[u8; 16]> = named.map(|id| **id).collect();
        for entry in self.store().vault().list()? {
            if entry.owner == Some(uid.0) || named.contains(&entry.id) {
                remains.push(format!(
                    "its shred key {} in the vault",
                    hex::encode(entry.id)
                ));
            }
        }
        if tombstone.as_ref().is_some_and(|row| !row.finished) {
            remains.push("its destruction has begun and is not finished".to_owned());
        }
        Ok(Destruction {
            key_arn: self.place().key_arn(uid),
            destroyed_ms: tombstone.map(|row| row.destroyed_ms),
            remains,
            mark: Vault::mark(&uid.0),
        })
    }
}
