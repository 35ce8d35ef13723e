// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket/key?partNumber=&uploadId=`: UploadPart.

use http::{StatusCode, header};
use strongroom_audit::Receipt;
use strongroom_object::UploadPart;

use super::encryption_headers::{self, Trio};
use super::{S3Request, checksum_headers, upload};
use crate::error::S3Error;
use crate::response::Answer;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit_part(receipt)?;
    encryption_headers::refuse_on_part(req)?;
    let upload_id = upload::upload_id(&req.query)?;
    let part_number = upload::part_number(&req.query)?;
    let customer_key = encryption_headers::customer_key(req, Trio::Object)?;
    let checksum = checksum_headers::request(req)?;
    let body = req.take_body()?;
    let content_length = body.length()?;
    let input = UploadPart {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        upload_id,
        part_number,
        customer_key,
        content_length,
        checksum,
        body: body.into_source(),
    };
    let output = req.objects().upload_part(req.scope(receipt), input).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set_text(header::ETAG, &format!("\"{}\"", output.etag));
    let headers = answer.response.headers_mut();
    encryption_headers::echo(headers, &output.encryption, false);
    upload::echo_part_checksum(headers, output.checksum.as_ref());
    Ok(answer)
}
