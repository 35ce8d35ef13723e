// SPDX-License-Identifier: Apache-2.0
//! GetBucketEncryption: a bucket always has a rule.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketEncryption, Scope};
use crate::objects::Objects;

impl Objects {
    /// The encryption rule of a bucket, the key as it was configured.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn get_bucket_encryption(
        &self,
        scope: Scope<'_>,
        name: &str,
    ) -> Result<BucketEncryption, Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::GetEncryptionConfiguration)?;
        self.bucket_encryption(&bucket)
    }
}
