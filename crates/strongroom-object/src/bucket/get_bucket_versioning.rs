// SPDX-License-Identifier: Apache-2.0
//! GetBucketVersioning.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketVersioning, Scope};
use crate::objects::Objects;
use crate::rows::Versioning;

impl Objects {
    /// What becomes of what is replaced; `None` if nobody ever said.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn get_bucket_versioning(
        &self,
        scope: Scope<'_>,
        name: &str,
    ) -> Result<Option<BucketVersioning>, Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::GetBucketVersioning)?;
        Ok(match bucket.row.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioning::Enabled),
            Versioning::Suspended => Some(BucketVersioning::Suspended),
        })
    }
}
