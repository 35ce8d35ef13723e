// SPDX-License-Identifier: Apache-2.0
//! PutBucketLifecycleConfiguration: what becomes of objects with time.

use strongroom_store::{Batch, CommitError, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::lifecycle::{LifecycleConfiguration, LifecycleRow, to_its_end};
use crate::model::Scope;
use crate::objects::{Bucket, Objects};
use crate::rows;
use crate::table_key::LIFECYCLE;
use crate::turns::COMMIT_TRIES_MAX;
use crate::version::bucket_unchanged;

impl Objects {
    /// Replace the lifecycle rules of a bucket.
    pub async fn put_bucket_lifecycle(
        &self,
        scope: Scope<'_>,
        name: &str,
        configuration: LifecycleConfiguration,
    ) -> Result<(), Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::PutLifecycleConfiguration)?;
        let objects = self.clone();
        to_its_end(async move { objects.replace_lifecycle(bucket, configuration).await }).await
    }

    async fn replace_lifecycle(
        &self,
        mut bucket: Bucket,
        configuration: LifecycleConfiguration,
    ) -> Result<(), Error> {
        // What is remembered follows the order of commits.
        let _changing = self.lifecycle().changing().await;
        for _ in 0..COMMIT_TRIES_MAX {
            let row = LifecycleRow {
                bucket: bucket.name.clone(),
                configuration: configuration.clone(),
            };
            let batch = Batch {
                preconditions: vec![bucket_unchanged(&bucket)],
                writes: vec![Write::Put {
                    table: LIFECYCLE,
                    key: bucket.uid().to_vec(),
                    value: rows::encode(&row)?,
                }],
            };
            match self.tables().commit(batch).await {
                Ok(_) => {
                    self.lifecycle().set(*bucket.uid(), configuration);
                    return Ok(());
                }
                Err(CommitError::Precondition { .. }) => bucket = self.same_bucket(&bucket)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::TooManyWriters)
    }
}
