// SPDX-License-Identifier: Apache-2.0
//! AbortMultipartUpload: the upload's wrapped key and all of its parts go together.

use strongroom_store::CommitError;

use crate::authorize::{Action, Permit};
use crate::error::Error;
use crate::model::{ObjectName, PART_NUMBER_MAX, Scope};
use crate::objects::{Bucket, Objects};
use crate::turns::COMMIT_TRIES_MAX;
use crate::version::remove_body;

impl Objects {
    /// Give up an upload. Needs no key.
    pub async fn abort_multipart_upload(
        &self,
        scope: Scope<'_>,
        bucket: &str,
        object_key: &str,
        upload_id: &str,
    ) -> Result<(), Error> {
        ObjectName::parse(object_key)?;
        let bucket = self.bucket(bucket)?;
        let permit = bucket.authorize_object(scope, Action::AbortMultipartUpload, object_key)?;
        self.abort_upload(&permit, &bucket, object_key, upload_id)
            .await
    }

    /// The same, permitted otherwise.
    pub(crate) async fn abort_upload(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        upload_id: &str,
    ) -> Result<(), Error> {
        for _ in 0..COMMIT_TRIES_MAX {
            let upload = self.find_upload(permit, bucket, object_key, upload_id)?;
            let parts = self.find_parts(&upload.row.upload_uid, 0, usize::from(PART_NUMBER_MAX))?;
            let mut batch = upload.removal(&parts);
            batch
                .writes
                .extend(parts.iter().map(|part| remove_body(&part.row.part)));
            match self.tables().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::TooManyWriters)
    }
}
