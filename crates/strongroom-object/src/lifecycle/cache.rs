// SPDX-License-Identifier: Apache-2.0
//! The rules of all buckets in memory: every answer about an object says when a rule deletes it,
//! and most buckets have none.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use strongroom_store::Tables;
use tokio::sync::{Mutex, MutexGuard};

use super::due::{ObjectExpiry, Rules};
use super::rules::{LifecycleConfiguration, LifecycleRow};
use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::rows;
use crate::table_key::LIFECYCLE;

/// Rows read from the table at a time.
const ROWS_PER_SCAN: usize = 256;

/// Lifecycle rules by bucket uid.
#[derive(Debug, Default)]
pub(crate) struct LifecycleCache {
    rules: RwLock<HashMap<[u8; 16], Arc<LifecycleConfiguration>>>,
    /// Held over a commit and what follows from it here.
    changing: Mutex<()>,
    /// How often rules were set.
    changes: AtomicU64,
}

impl LifecycleCache {
    /// What is stored. Rules that cannot be read do not act: the worker tells of them, and so does
    /// the answer to whoever asks for them.
    pub(crate) fn load(tables: &Tables) -> Result<Self, Error> {
        let cache = Self::default();
        let mut after: Vec<u8> = Vec::new();
        loop {
            let lower = if after.is_empty() {
                Bound::Unbounded
            } else {
                Bound::Excluded(after.as_slice())
            };
            let page =
                tables.scan_each(LIFECYCLE, lower, Bound::Unbounded, ROWS_PER_SCAN, false)?;
            let Some((last, _)) = page.last() else {
                return Ok(cache);
            };
            let last = last.clone();
            for (key, row) in page {
                let read = row.map_err(Error::from).and_then(|row| {
                    rows::decode::<LifecycleRow>(&row.value, "lifecycle configuration")
                });
                if let (Ok(uid), Ok(row)) = (<[u8; 16]>::try_from(key), read) {
                    cache.set(uid, row.configuration);
                }
            }
            after = last;
        }
    }

    pub(crate) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    pub(crate) fn set(&self, bucket_uid: [u8; 16], configuration: LifecycleConfiguration) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.insert(bucket_uid, Arc::new(configuration));
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn forget(&self, bucket_uid: &[u8; 16]) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.remove(bucket_uid);
    }

    pub(crate) fn of(&self, bucket_uid: &[u8; 16]) -> Option<Arc<LifecycleConfiguration>> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.get(bucket_uid).cloned()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// Carries a change of rules through though its caller goes away: what is stored and what is in
/// memory would else say two things until the next start.
pub(crate) async fn to_its_end(
    change: impl Future<Output = Result<(), Error>> + Send + 'static,
) -> Result<(), Error> {
    let ended = tokio::spawn(change).await;
    ended.map_err(|_| Error::Internal("a change of lifecycle rules did not end"))?
}

impl Objects {
    /// When a rule deletes a current object.
    pub(crate) fn expiry(
        &self,
        bucket: &Bucket,
        object_key: &str,
        size: u64,
        created_ms: u64,
    ) -> Option<ObjectExpiry> {
        let configuration = self.lifecycle().of(bucket.uid())?;
        let rules = Rules {
            configuration: &configuration,
            options: self.options(),
        };
        rules.expiry(object_key, size, created_ms)
    }

    /// When a rule aborts an upload.
    pub(crate) fn upload_expiry(
        &self,
        bucket: &Bucket,
        object_key: &str,
        initiated_ms: u64,
    ) -> Option<ObjectExpiry> {
        let configuration = self.lifecycle().of(bucket.uid())?;
        let rules = Rules {
            configuration: &configuration,
            options: self.options(),
        };
        let (at_ms, rule) = rules.abort(object_key, initiated_ms)?;
        Some(ObjectExpiry {
            at_ms,
            rule_id: rule.id.clone(),
        })
    }
}
