// SPDX-License-Identifier: Apache-2.0
//! GetBucketEncryption: a bucket always has a rule.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketEncryption, Scope};
use crate::objects::Objects;
use crate::table_key::BUCKET_ENCRYPTION;

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
        if !self.compat().shows_the_default_rule()
            && self
                .tables()
                .get(BUCKET_ENCRYPTION, bucket.uid())?
                .is_none()
        {
            return Err(Error::NoBucketEncryption {
                bucket: name.to_owned(),
            });
        }
        self.bucket_encryption(&bucket)
    }
}
