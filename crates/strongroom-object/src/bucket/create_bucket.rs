// SPDX-License-Identifier: Apache-2.0
//! CreateBucket.

use std::ops::Bound;

use strongroom_store::{Batch, CommitError, Precondition, Write};

use super::list_buckets::BUCKETS_MAX;
use crate::authorize::{Action, Resource, authorize};
use crate::error::Error;
use crate::model::{BucketInfo, BucketName, Scope};
use crate::objects::{Objects, random_uid};
use crate::rows::{self, BucketRow, Versioning};
use crate::table_key::BUCKETS;

impl Objects {
    /// Create a bucket that belongs to the caller's account.
    pub async fn create_bucket(&self, scope: Scope<'_>, name: &str) -> Result<BucketInfo, Error> {
        let bucket = BucketName::parse(name)?;
        let owner = &self.options().account_id;
        authorize(
            scope.caller,
            Action::CreateBucket,
            Resource::Bucket(name),
            owner,
            &[],
        )?;
        if self.find_bucket(name)?.is_none() {
            self.check_room()?;
        }
        let row = BucketRow {
            uid: random_uid()?,
            created_ms: self.now_ms(),
            owner_account: owner.clone(),
            region: self.options().region.clone(),
            versioning: Versioning::Off,
        };
        let key = bucket.as_str().as_bytes().to_vec();
        let batch = Batch {
            preconditions: vec![Precondition::Absent {
                table: BUCKETS,
                key: key.clone(),
            }],
            writes: vec![Write::Put {
                table: BUCKETS,
                key,
                value: rows::encode(&row)?,
            }],
        };
        match self.tables().commit(batch).await {
            Ok(_) => Ok(BucketInfo {
                name: name.to_owned(),
                created_ms: row.created_ms,
            }),
            Err(CommitError::Precondition { .. }) => Err(Error::BucketAlreadyOwnedByYou {
                bucket: name.to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// More buckets than a listing shows would be hidden from it, and from `verify`. Creations
    /// that meet here may pass the limit by their number: listings have room for those.
    fn check_room(&self) -> Result<(), Error> {
        let found = self.tables().scan(
            BUCKETS,
            Bound::Unbounded,
            Bound::Unbounded,
            BUCKETS_MAX,
            false,
        )?;
        if found.len() < BUCKETS_MAX {
            Ok(())
        } else {
            Err(Error::TooManyBuckets)
        }
    }
}
