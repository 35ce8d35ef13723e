// SPDX-License-Identifier: Apache-2.0
//! Material that was unwrapped a moment ago.
//!
//! It saves reading the vault and unwrapping, nothing else: the key's row and the material's row
//! are read at every use, and an entry counts only while both are what they were when it was made
//! and its lease has not run out. A state change acts at once, since it changes the row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key_id::KeyUid;
use crate::material::Material;
use crate::rows::{KeyRow, MaterialRow, is_same};

/// Unwrapped material by key and version, a bounded number of them.
#[derive(Debug, Default)]
pub(crate) struct MaterialCache {
    entries: Mutex<HashMap<(KeyUid, u32), Leased>>,
}

#[derive(Debug)]
struct Leased {
    material: Arc<Material>,
    state_epoch: u64,
    stored: Arc<MaterialRow>,
    since_ms: u64,
}

impl Leased {
    /// A clock that was set back ends the lease, too.
    fn runs(&self, now_ms: u64) -> bool {
        now_ms
            .checked_sub(self.since_ms)
            .is_some_and(|age_ms| age_ms < LEASE_MS)
    }
}

impl MaterialCache {
    pub(crate) fn get(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &Arc<MaterialRow>,
        now_ms: u64,
    ) -> Option<Arc<Material>> {
        let entries = self.entries();
        let leased = entries.get(&(row.uid(), version))?;
        let same = leased.state_epoch == row.state_epoch && is_same(&leased.stored, stored);
        (same && leased.runs(now_ms)).then(|| Arc::clone(&leased.material))
    }

    pub(crate) fn put(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &Arc<MaterialRow>,
        now_ms: u64,
        material: &Arc<Material>,
    ) {
        let mut entries = self.entries();
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, leased| leased.runs(now_ms));
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        let leased = Leased {
            material: Arc::clone(material),
            state_epoch: row.state_epoch,
            stored: Arc::clone(stored),
            since_ms: now_ms,
        };
        entries.insert((row.uid(), version), leased);
    }

    /// Lets go of the material of a key.
    pub(crate) fn forget(&self, uid: KeyUid) {
        self.entries().retain(|(of, _), _| *of != uid);
    }

    /// Lets go of everything whose lease has run out.
    pub(crate) fn expire(&self, now_ms: u64) {
        self.entries().retain(|_, leased| leased.runs(now_ms));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(KeyUid, u32), Leased>> {
        // Every change of the map is whole before anything can panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LEASE_MS: u64 = 5_000;
const ENTRIES_MAX: usize = 1_024;
