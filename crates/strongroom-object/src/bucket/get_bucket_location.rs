// SPDX-License-Identifier: Apache-2.0
//! GetBucketLocation.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::Scope;
use crate::objects::Objects;

impl Objects {
    /// The region of a bucket.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn get_bucket_location(&self, scope: Scope<'_>, name: &str) -> Result<String, Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::GetBucketLocation)?;
        Ok(bucket.row.region)
    }
}
