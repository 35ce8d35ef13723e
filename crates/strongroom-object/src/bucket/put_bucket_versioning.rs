// SPDX-License-Identifier: Apache-2.0
//! PutBucketVersioning.

use strongroom_store::{Batch, CommitError, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketVersioning, Scope};
use crate::objects::Objects;
use crate::rows::{self, Versioning};
use crate::table_key::BUCKETS;
use crate::turns::COMMIT_TRIES_MAX;
use crate::version::bucket_unchanged;

impl Objects {
    /// Say what becomes of what is replaced. Writes under way notice: their commits fail while
    /// the bucket's row is not the one they were made for, and are made again.
    pub async fn put_bucket_versioning(
        &self,
        scope: Scope<'_>,
        name: &str,
        status: BucketVersioning,
    ) -> Result<(), Error> {
        let mut turn = None;
        for _ in 0..COMMIT_TRIES_MAX {
            let bucket = self.bucket(name)?;
            bucket.authorize(scope, Action::PutBucketVersioning)?;
            let versioning = match status {
                BucketVersioning::Enabled => Versioning::Enabled,
                BucketVersioning::Suspended => Versioning::Suspended,
            };
            if bucket.row.versioning == versioning {
                return Ok(());
            }
            let precondition = bucket_unchanged(&bucket);
            let uid = *bucket.uid();
            let mut row = bucket.row;
            row.versioning = versioning;
            let batch = Batch {
                preconditions: vec![precondition],
                writes: vec![Write::Put {
                    table: BUCKETS,
                    key: name.as_bytes().to_vec(),
                    value: rows::encode(&row)?,
                }],
            };
            match self.tables().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Precondition { .. }) => {
                    if turn.is_none() {
                        turn = Some(self.turns().take(&uid).await);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::TooManyWriters)
    }
}
