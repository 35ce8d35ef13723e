// SPDX-License-Identifier: Apache-2.0
//! GetBucketLifecycleConfiguration.

use crate::authorize::Action;
use crate::error::Error;
use crate::lifecycle::{LifecycleConfiguration, LifecycleRow};
use crate::model::Scope;
use crate::objects::Objects;
use crate::rows;
use crate::table_key::LIFECYCLE;

impl Objects {
    /// The lifecycle rules of a bucket, as they were given.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn get_bucket_lifecycle(
        &self,
        scope: Scope<'_>,
        name: &str,
    ) -> Result<LifecycleConfiguration, Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::GetLifecycleConfiguration)?;
        let found = self.tables().get(LIFECYCLE, bucket.uid())?;
        let found = found.ok_or_else(|| Error::NoLifecycle {
            bucket: name.to_owned(),
        })?;
        let row: LifecycleRow = rows::decode(&found.value, "lifecycle configuration")?;
        Ok(row.configuration)
    }
}
