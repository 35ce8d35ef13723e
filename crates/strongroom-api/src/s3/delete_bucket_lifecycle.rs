// SPDX-License-Identifier: Apache-2.0
//! `DELETE /bucket?lifecycle`: DeleteBucketLifecycle.

use http::StatusCode;
use strongroom_audit::Receipt;

use super::S3Request;
use crate::error::S3Error;
use crate::response::Answer;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.objects()
        .delete_bucket_lifecycle(req.scope(receipt), req.bucket()?)
        .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
