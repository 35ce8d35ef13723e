// SPDX-License-Identifier: Apache-2.0
//! UploadPartCopy: a range of a stored object as a part, opened and sealed anew.

use super::upload_part::NewPart;
use crate::copy_object::{CopyObjectOutput, CopySource, within_one_copy};
use crate::encryption;
use crate::error::Error;
use crate::model::{ChecksumRequest, CustomerKey, ObjectName, Scope, Served};
use crate::objects::Objects;

/// An UploadPartCopy request.
#[derive(Debug)]
pub struct UploadPartCopy {
    /// The source.
    pub source: CopySource,
    /// First and last byte of the source, inclusive; `None` for all of it.
    pub range: Option<(u64, u64)>,
    /// The range as it was written, for the error.
    pub range_text: String,
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// The upload.
    pub upload_id: String,
    /// From 1 to 10,000.
    pub part_number: u16,
    /// The key of an SSE-C upload.
    pub customer_key: Option<CustomerKey>,
}

impl Objects {
    /// Store a range of an object as a part.
    pub async fn upload_part_copy(
        &self,
        scope: Scope<'_>,
        input: UploadPartCopy,
    ) -> Result<CopyObjectOutput, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let permit = self.authorize_part(scope, &bucket, &input.object_key, &input.upload_id)?;
        let upload = self.find_upload(&permit, &bucket, &input.object_key, &input.upload_id)?;
        encryption::refuse_blocked_upload(self, scope, &bucket, &input.object_key, &upload)?;
        let (opened, request) = self.find_source(scope, input.source)?;
        let source_version_id = opened.shown_id();
        let size = opened.row.size;
        let served = match input.range {
            None => Served {
                start: 0,
                len: size,
                partial: false,
            },
            Some((first, last)) if first <= last && last < size => Served {
                start: first,
                len: last - first + 1,
                partial: true,
            },
            Some(_) => {
                let requested = input.range_text;
                return Err(Error::InvalidCopySourceRange {
                    actual_size: size,
                    requested,
                });
            }
        };
        within_one_copy(served.len)?;
        let wrap_key = self
            .reopen_upload(scope, &bucket, &upload, input.customer_key)
            .await?;
        let body = self.open_source(scope, opened, request, served).await?;
        let new = NewPart {
            bucket: &bucket,
            object_key: &input.object_key,
            upload: &upload,
            upload_id: &input.upload_id,
            part_number: input.part_number,
            content_length: served.len,
            checksum: ChecksumRequest::default(),
        };
        let (stored, last_modified_ms) = self.store_part(new, &wrap_key, body).await?;
        Ok(CopyObjectOutput {
            etag: stored.etag,
            last_modified_ms,
            encryption: wrap_key.encryption()?,
            checksum: stored.checksum,
            expiry: None,
            version_id: None,
            source_version_id,
        })
    }
}
