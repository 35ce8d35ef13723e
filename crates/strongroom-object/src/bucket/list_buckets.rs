// SPDX-License-Identifier: Apache-2.0
//! ListBuckets.

use std::ops::Bound;

use crate::authorize::{Action, Resource, authorize};
use crate::error::Error;
use crate::model::{BucketInfo, Scope};
use crate::objects::Objects;
use crate::rows::{self, BucketRow};
use crate::table_key::BUCKETS;

/// As many buckets as an account may have.
pub(crate) const BUCKETS_MAX: usize = 10_000;

impl Objects {
    /// The account's buckets in name order.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn list_buckets(&self, scope: Scope<'_>) -> Result<Vec<BucketInfo>, Error> {
        let owner = &self.options().account_id;
        authorize(
            scope.caller,
            Action::ListAllMyBuckets,
            Resource::Account,
            owner,
            &[],
        )?;
        let rows = self.tables().scan(
            BUCKETS,
            Bound::Unbounded,
            Bound::Unbounded,
            // With room for creations that met at the limit.
            2 * BUCKETS_MAX,
            false,
        )?;
        rows.into_iter()
            .map(|(key, found)| {
                let row: BucketRow = rows::decode(&found.value, "bucket row")?;
                let name = String::from_utf8(key).map_err(|_| Error::Corrupted {
                    what: "key of a bucket row".to_owned(),
                })?;
                Ok(BucketInfo {
                    name,
                    created_ms: row.created_ms,
                })
            })
            .collect()
    }
}
