// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket/key` with `x-amz-copy-source`: CopyObject.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::{
    Action, CopyObject, CopyObjectOutput, EncryptionRequest, PropertiesDirective,
};

use super::{
    S3Request, checksum_headers, conditions, copy_source, encryption_headers, get_bucket_lifecycle,
    names, properties, upload,
};
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, Action::PutObject)?;
    properties::refuse_unsupported(req)?;
    let encryption = encryption_headers::for_write(req)?;
    let by_default = matches!(encryption, EncryptionRequest::Default { .. });
    let source = copy_source::from_headers(req, receipt).await?;
    let input = CopyObject {
        source,
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        directive: directive(req)?,
        encryption,
        storage_class: properties::storage_class(req)?,
        conditions: conditions::write(req)?,
        checksum_algorithm: checksum_headers::algorithm(req)?,
    };
    let output = req.objects().copy_object(req.scope(receipt), input).await?;
    let mut answer = Answer::xml(document(&output));
    answer.audit.sse_applied = Some(encryption_headers::sse_applied(
        by_default,
        &output.encryption,
    ));
    let headers = answer.response.headers_mut();
    encryption_headers::echo(headers, &output.encryption, true);
    get_bucket_lifecycle::echo_expiry(headers, output.expiry.as_ref());
    upload::echo_version(headers, names::VERSION_ID, output.version_id);
    upload::echo_version(
        headers,
        names::COPY_SOURCE_VERSION_ID,
        output.source_version_id,
    );
    Ok(answer)
}

fn directive(req: &S3Request) -> Result<PropertiesDirective, S3Error> {
    match req.header(&names::METADATA_DIRECTIVE)? {
        None | Some("COPY") => {
            let asked = properties::from_headers(req)?.website_redirect_location;
            Ok(asked.map_or(
                PropertiesDirective::Copy,
                PropertiesDirective::CopyWithRedirect,
            ))
        }
        Some("REPLACE") => Ok(PropertiesDirective::Replace(properties::from_headers(req)?)),
        Some(other) => Err(S3Error::invalid_argument(
            "Unknown metadata directive.",
            names::METADATA_DIRECTIVE.as_str(),
            other,
        )),
    }
}

fn document(output: &CopyObjectOutput) -> Bytes {
    let mut xml = Xml::document("CopyObjectResult");
    xml.time("LastModified", output.last_modified_ms);
    xml.etag(&output.etag);
    if let Some(checksum) = &output.checksum {
        xml.text(
            checksum_headers::element(checksum.algorithm),
            &checksum_headers::text(checksum),
        );
        xml.text(
            "ChecksumType",
            checksum_headers::type_name(checksum.checksum_type),
        );
    }
    xml.finish()
}
