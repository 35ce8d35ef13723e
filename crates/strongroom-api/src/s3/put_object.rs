// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket/key`: PutObject.
//!
//! Everything a header can be refused for is refused before the body is polled, and so before
//! the client hears `100 Continue`.

use http::{HeaderValue, StatusCode, header};
use strongroom_audit::Receipt;
use strongroom_object::{Action, EncryptionRequest, PutObject};

use super::{
    S3Request, checksum_headers, conditions, encryption_headers, get_bucket_lifecycle, names,
    properties, upload,
};
use crate::error::S3Error;
use crate::response::Answer;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    store(req, receipt).await
}

/// Stores the body under the request's headers: of a PUT, or of a form.
pub(super) async fn store(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, Action::PutObject)?;
    properties::refuse_unsupported(req)?;
    let encryption = encryption_headers::for_write(req)?;
    let by_default = matches!(encryption, EncryptionRequest::Default { .. });
    let properties = properties::from_headers(req)?;
    let storage_class = properties::storage_class(req)?.unwrap_or_default();
    let conditions = conditions::write(req)?;
    let checksum = checksum_headers::request(req)?;
    let (body, content_length) = req.take_streaming_body()?;
    let input = PutObject {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        properties,
        encryption,
        storage_class,
        conditions,
        content_length,
        checksum,
        body,
    };
    let output = req.objects().put_object(req.scope(receipt), input).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.audit.sse_applied = Some(encryption_headers::sse_applied(
        by_default,
        &output.encryption,
    ));
    let headers = answer.response.headers_mut();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", output.etag)) {
        headers.insert(header::ETAG, etag);
    }
    upload::echo_version(headers, names::VERSION_ID, output.version_id);
    encryption_headers::echo(headers, &output.encryption, true);
    get_bucket_lifecycle::echo_expiry(headers, output.expiry.as_ref());
    if let Some(checksum) = &output.checksum {
        checksum_headers::echo(headers, checksum);
    }
    Ok(answer)
}
