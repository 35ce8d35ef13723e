// SPDX-License-Identifier: Apache-2.0
//! `DELETE /bucket/key?uploadId=`: AbortMultipartUpload.

use http::StatusCode;
use strongroom_audit::Receipt;

use super::{S3Request, upload};
use crate::error::S3Error;
use crate::response::Answer;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    if req.header_named(IF_INITIATED)?.is_some() {
        return Err(S3Error::not_implemented(format!(
            "The header `{IF_INITIATED}`"
        )));
    }
    let upload_id = upload::upload_id(&req.query)?;
    req.objects()
        .abort_multipart_upload(
            req.scope(receipt),
            req.bucket()?,
            req.object_key()?,
            &upload_id,
        )
        .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// A condition of directory buckets: not kept, so not ignored.
const IF_INITIATED: &str = "x-amz-if-match-initiated-time";
