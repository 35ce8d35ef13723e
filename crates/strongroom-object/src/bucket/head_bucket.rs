// SPDX-License-Identifier: Apache-2.0
//! HeadBucket.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketInfo, Scope};
use crate::objects::Objects;

impl Objects {
    /// What is known about a bucket.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn head_bucket(&self, scope: Scope<'_>, name: &str) -> Result<BucketInfo, Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::ListBucket)?;
        Ok(BucketInfo {
            name: bucket.name,
            created_ms: bucket.row.created_ms,
        })
    }
}
