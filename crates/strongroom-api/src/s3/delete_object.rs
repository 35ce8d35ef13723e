// SPDX-License-Identifier: Apache-2.0
//! `DELETE /bucket/key`: DeleteObject.

use http::{HeaderName, HeaderValue, StatusCode, header};
use strongroom_audit::Receipt;
use strongroom_object::DeleteObject;

use super::{S3Request, conditions, names, upload};
use crate::error::{S3Code, S3Error};
use crate::response::Answer;

/// Conditions and permissions that this server cannot honour on a delete.
const REFUSED: [HeaderName; 5] = [
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    names::MFA,
    names::BYPASS_GOVERNANCE,
];

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    if let Some(name) = REFUSED.iter().find(|name| req.headers.contains_key(*name)) {
        return Err(S3Error::from_code(S3Code::NotImplemented).with("Header", name.as_str()));
    }
    let input = DeleteObject {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        version_id: req.version_id()?,
        conditions: conditions::delete(req)?,
    };
    let output = req
        .objects()
        .delete_object(req.scope(receipt), input)
        .await?;
    let mut answer = Answer::empty(StatusCode::NO_CONTENT);
    if output.delete_marker {
        answer.set(names::DELETE_MARKER, HeaderValue::from_static("true"));
    }
    let headers = answer.response.headers_mut();
    upload::echo_version(headers, names::VERSION_ID, output.version_id);
    Ok(answer)
}
