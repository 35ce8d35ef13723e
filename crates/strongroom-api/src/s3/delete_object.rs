// SPDX-License-Identifier: Apache-2.0
//! `DELETE /bucket/key`: DeleteObject.

use http::{HeaderName, StatusCode, header};
use strongroom_audit::Receipt;

use super::{S3Request, names};
use crate::error::{S3Code, S3Error};
use crate::response::Answer;

/// Conditions and permissions that this server cannot honour on a delete yet.
const REFUSED: [HeaderName; 5] = [
    header::IF_MATCH,
    names::MFA,
    HeaderName::from_static("x-amz-if-match-last-modified-time"),
    HeaderName::from_static("x-amz-if-match-size"),
    HeaderName::from_static("x-amz-bypass-governance-retention"),
];

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    if let Some(name) = REFUSED.iter().find(|name| req.headers.contains_key(*name)) {
        return Err(S3Error::from_code(S3Code::NotImplemented).with("Header", name.as_str()));
    }
    let version_id = req.version_id()?;
    let (bucket, object_key) = (req.bucket()?, req.object_key()?);
    req.objects()
        .delete_object(
            req.scope(receipt),
            bucket,
            object_key,
            version_id.as_deref(),
        )
        .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
