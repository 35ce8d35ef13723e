// SPDX-License-Identifier: Apache-2.0
//! DeleteBucketEncryption: back to the rule that a new bucket has.

use strongroom_store::{Batch, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::model::Scope;
use crate::objects::Objects;
use crate::table_key::BUCKET_ENCRYPTION;

impl Objects {
    /// Forget the encryption rule of a bucket; a repetition changes nothing.
    pub async fn delete_bucket_encryption(
        &self,
        scope: Scope<'_>,
        name: &str,
    ) -> Result<(), Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::PutEncryptionConfiguration)?;
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::Delete {
                table: BUCKET_ENCRYPTION,
                key: bucket.uid().to_vec(),
            }],
        };
        self.tables().commit(batch).await?;
        Ok(())
    }
}
