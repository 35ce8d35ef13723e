// SPDX-License-Identifier: Apache-2.0
//! PutBucketVersioning.

use strongroom_store::{Batch, CommitError, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketVersioning, Scope};
use crate::objects::Objects;
use crate::rows::{self, Versioning};
use crate::table_key::BUCKETS;
use crate::version::bucket_unchanged;

/// How often the change is tried again after another change of the bucket came first.
const COMMIT_TRIES_MAX: usize = 64;

impl Objects {
    /// Say what becomes of what is replaced. Writes under way notice: their commits fail while
    /// the bucket's row is not the one they were made for, and are made again.
    pub async fn put_bucket_versioning(
        &self,
        scope: Scope<'_>,
        name: &str,
        status: BucketVersioning,
    ) -> Result<(), Error> {
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
                Err(CommitError::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Internal("too many changes of one bucket"))
    }
}
