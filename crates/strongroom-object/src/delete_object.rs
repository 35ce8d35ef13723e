// SPDX-License-Identifier: Apache-2.0
//! DeleteObject: the version row and its wrapped key go first, the bytes follow.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{ObjectName, Scope};
use crate::objects::Objects;

impl Objects {
    /// Delete an object. Deleting what is not there is no error.
    pub async fn delete_object(
        &self,
        scope: Scope<'_>,
        bucket: &str,
        object_key: &str,
        version_id: Option<&str>,
    ) -> Result<(), Error> {
        ObjectName::parse(object_key)?;
        let bucket = self.bucket(bucket)?;
        let action = match version_id {
            None => Action::DeleteObject,
            Some(_) => Action::DeleteObjectVersion,
        };
        let permit = bucket.authorize_object(scope, action, object_key)?;
        if version_id.is_some_and(|id| id != "null") {
            return Err(Error::NoSuchVersion {
                object_key: object_key.to_owned(),
                version_id: version_id.unwrap_or_default().to_owned(),
            });
        }
        self.remove_version(&permit, &bucket, object_key).await?;
        Ok(())
    }
}
