// SPDX-License-Identifier: Apache-2.0
//! DeleteBucketLifecycle: nothing happens to objects by itself any more.

use strongroom_store::{Batch, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::lifecycle::to_its_end;
use crate::model::Scope;
use crate::objects::Objects;
use crate::table_key::LIFECYCLE;

impl Objects {
    /// Forget the lifecycle rules of a bucket; a repetition changes nothing.
    pub async fn delete_bucket_lifecycle(&self, scope: Scope<'_>, name: &str) -> Result<(), Error> {
        let bucket = self.bucket(name)?;
        bucket.authorize(scope, Action::PutLifecycleConfiguration)?;
        let (objects, uid) = (self.clone(), *bucket.uid());
        to_its_end(async move { objects.remove_lifecycle(uid).await }).await
    }

    async fn remove_lifecycle(&self, bucket_uid: [u8; 16]) -> Result<(), Error> {
        let _changing = self.lifecycle().changing().await;
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::Delete {
                table: LIFECYCLE,
                key: bucket_uid.to_vec(),
            }],
        };
        self.tables().commit(batch).await?;
        self.lifecycle().forget(&bucket_uid);
        Ok(())
    }
}
