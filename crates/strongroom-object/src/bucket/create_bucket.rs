// SPDX-License-Identifier: Apache-2.0
//! CreateBucket.

use strongroom_store::{Batch, CommitError, Precondition, Write};

use crate::authorize::{Action, Resource, authorize};
use crate::error::Error;
use crate::model::{BucketInfo, BucketName, Scope};
use crate::objects::{Objects, random_uid};
use crate::rows::{self, BucketRow};
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
        )?;
        let row = BucketRow {
            uid: random_uid()?,
            created_ms: self.now_ms(),
            owner_account: owner.clone(),
            region: self.options().region.clone(),
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
}
