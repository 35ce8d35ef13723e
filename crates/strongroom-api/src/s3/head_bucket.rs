// SPDX-License-Identifier: Apache-2.0
//! `HEAD /bucket`: HeadBucket.

use http::{HeaderName, HeaderValue, StatusCode, header};
use strongroom_audit::Receipt;

use super::{S3Request, names};
use crate::error::S3Error;
use crate::response::Answer;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.objects()
        .head_bucket(req.scope(receipt), req.bucket()?)
        .await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set_text(names::BUCKET_REGION, &req.services.region);
    answer.set(ACCESS_POINT_ALIAS, HeaderValue::from_static("false"));
    answer.set(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    Ok(answer)
}

const ACCESS_POINT_ALIAS: HeaderName = HeaderName::from_static("x-amz-access-point-alias");
