// SPDX-License-Identifier: Apache-2.0
//! DeleteObject: the version row and its wrapped key go first, the bytes follow.

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{ObjectName, Scope, WriteConditions};
use crate::objects::Objects;
use crate::version_id::VersionId;

/// A DeleteObject request.
#[derive(Debug)]
pub struct DeleteObject {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// `None`: what stands under the name; else this version, for good.
    pub version_id: Option<VersionId>,
    /// Conditions on what is deleted.
    pub conditions: WriteConditions,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteObjectOutput {
    /// Id of the version that went, or of the delete marker that came.
    pub version_id: Option<VersionId>,
    /// Whether that is a delete marker.
    pub delete_marker: bool,
}

impl Objects {
    /// Delete an object. Deleting what is not there is no error.
    pub async fn delete_object(
        &self,
        scope: Scope<'_>,
        input: DeleteObject,
    ) -> Result<DeleteObjectOutput, Error> {
        let name = input.object_key.as_str();
        ObjectName::parse(name)?;
        let bucket = self.bucket(&input.bucket)?;
        // As a header or in the document of many deletes: to policies it is the same.
        let said = input.conditions.if_match.as_deref();
        let said = said.map(|tag| ("s3:if-match", spelled(tag)));
        let Some(id) = input.version_id else {
            let said = said.as_slice();
            let permit = bucket.authorize_object_if(scope, Action::DeleteObject, name, said)?;
            bucket.may_compare(scope, name, None, &input.conditions)?;
            let changed = self
                .delete_name(&permit, &bucket, name, &input.conditions)
                .await
                .map_err(not_there)?;
            return Ok(DeleteObjectOutput {
                version_id: changed.id,
                delete_marker: changed.id.is_some(),
            });
        };
        let version = [("s3:VersionId", id.to_string())];
        let shown: Vec<_> = version.into_iter().chain(said).collect();
        let permit =
            bucket.authorize_object_if(scope, Action::DeleteObjectVersion, name, &shown)?;
        bucket.may_compare(scope, name, Some(id), &input.conditions)?;
        let removed = self
            .remove_version(&permit, &bucket, name, id, &input.conditions)
            .await
            .map_err(not_there)?;
        Ok(DeleteObjectOutput {
            version_id: Some(id),
            delete_marker: removed.is_some_and(|found| found.entry.object().is_none()),
        })
    }
}

/// An entity tag as policies see it.
fn spelled(tag: &str) -> String {
    match tag {
        "*" => "*".to_owned(),
        tag => format!("\"{tag}\""),
    }
}

/// Where nothing is, no condition on it holds.
fn not_there(error: Error) -> Error {
    match error {
        Error::NoSuchKey { .. } => Error::PreconditionFailed {
            condition: "If-Match",
        },
        other => other,
    }
}
