// SPDX-License-Identifier: Apache-2.0
//! DeleteBucket: only an empty one goes.

use strongroom_store::{Batch, CommitError, Precondition, TableId, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::model::Scope;
use crate::objects::Objects;
use crate::table_key::{BUCKET_ENCRYPTION, BUCKETS, LIFECYCLE, UPLOADS, VERSIONS, prefix_end};
use crate::turns::COMMIT_TRIES_MAX;
use crate::version::bucket_unchanged;

impl Objects {
    /// Delete an empty bucket. Objects and open uploads both keep it.
    pub async fn delete_bucket(&self, scope: Scope<'_>, name: &str) -> Result<(), Error> {
        let mut bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::DeleteBucket)?;
        let start = bucket.uid().to_vec();
        let end = prefix_end(&start).unwrap_or_else(|| vec![0xFF; 17]);
        let empty = |table: TableId| Precondition::RangeEmpty {
            table,
            start: start.clone(),
            end: end.clone(),
        };
        for _ in 0..COMMIT_TRIES_MAX {
            let batch = Batch {
                preconditions: vec![bucket_unchanged(&bucket), empty(VERSIONS), empty(UPLOADS)],
                writes: vec![
                    Write::Delete {
                        table: BUCKETS,
                        key: name.as_bytes().to_vec(),
                    },
                    Write::Delete {
                        table: BUCKET_ENCRYPTION,
                        key: start.clone(),
                    },
                    Write::Delete {
                        table: LIFECYCLE,
                        key: start.clone(),
                    },
                ],
            };
            match self.tables().commit(batch).await {
                Ok(_) => {
                    self.lifecycle().forget(bucket.uid());
                    return Ok(());
                }
                // Its settings changed meanwhile.
                Err(CommitError::Precondition { index: 0, .. }) => {
                    bucket = self.same_bucket(&bucket)?;
                }
                Err(CommitError::Precondition { .. }) => {
                    return Err(Error::BucketNotEmpty {
                        bucket: name.to_owned(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::TooManyWriters)
    }
}
