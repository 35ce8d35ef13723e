// SPDX-License-Identifier: Apache-2.0
//! `POST /bucket/key?uploads`: CreateMultipartUpload.

use bytes::Bytes;
use http::HeaderValue;
use strongroom_audit::Receipt;
use strongroom_object::{
    Action, ChecksumAlgorithm, ChecksumType, CreateMultipartUpload, EncryptionRequest,
};

use super::{
    S3Request, checksum_headers, encryption_headers, get_bucket_lifecycle, names, properties,
};
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, Action::PutObject)?;
    properties::refuse_unsupported(req)?;
    let checksum_algorithm = checksum_headers::algorithm(req)?;
    let checksum_type = checksum_headers::checksum_type(req)?;
    check_type(checksum_algorithm, checksum_type)?;
    let encryption = encryption_headers::for_write(req)?;
    let by_default = matches!(encryption, EncryptionRequest::Default { .. });
    let bucket = req.bucket()?.to_owned();
    let object_key = req.object_key()?.to_owned();
    let input = CreateMultipartUpload {
        bucket: bucket.clone(),
        object_key: object_key.clone(),
        properties: properties::from_headers(req)?,
        encryption,
        storage_class: properties::storage_class(req)?.unwrap_or_default(),
        checksum_algorithm,
        checksum_type,
    };
    let output = req
        .objects()
        .create_multipart_upload(req.scope(receipt), input)
        .await?;
    let mut answer = Answer::xml(document(&bucket, &object_key, &output.upload_id));
    answer.audit.sse_applied = Some(encryption_headers::sse_applied(
        by_default,
        &output.encryption,
    ));
    answer
        .audit
        .response
        .insert("uploadId".to_owned(), output.upload_id.as_str().into());
    let headers = answer.response.headers_mut();
    encryption_headers::echo(headers, &output.encryption, true);
    get_bucket_lifecycle::echo_abort(headers, output.abort.as_ref());
    // S3 says nothing about the checksum that it computes of its own accord.
    if let (Some(_), Some(algorithm)) = (checksum_algorithm, output.checksum_algorithm) {
        let name = checksum_headers::name(algorithm);
        headers.insert(names::CHECKSUM_ALGORITHM, HeaderValue::from_static(name));
        if let Some(checksum_type) = output.checksum_type {
            let name = checksum_headers::type_name(checksum_type);
            headers.insert(names::CHECKSUM_TYPE, HeaderValue::from_static(name));
        }
    }
    Ok(answer)
}

/// A type says how checksums of parts become one, so it needs an algorithm.
fn check_type(
    algorithm: Option<ChecksumAlgorithm>,
    checksum_type: Option<ChecksumType>,
) -> Result<(), S3Error> {
    if checksum_type.is_some() && algorithm.is_none() {
        return Err(S3Error::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm \
             header.",
        ));
    }
    Ok(())
}

fn document(bucket: &str, object_key: &str, upload_id: &str) -> Bytes {
    let mut xml = Xml::document("InitiateMultipartUploadResult");
    xml.text("Bucket", bucket);
    xml.text("Key", object_key);
    xml.text("UploadId", upload_id);
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_n79_a_type_needs_an_algorithm() {
        check_type(None, None).unwrap();
        check_type(Some(ChecksumAlgorithm::Sha256), None).unwrap();
        check_type(
            Some(ChecksumAlgorithm::Crc32),
            Some(ChecksumType::FullObject),
        )
        .unwrap();
        for checksum_type in [ChecksumType::FullObject, ChecksumType::Composite] {
            let error = check_type(None, Some(checksum_type)).unwrap_err();
            assert_eq!(
                error.message,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm \
                 header."
            );
        }
    }

    #[test]
    fn answer_has_the_elements_of_s3() {
        let text = String::from_utf8(document("b", "a<b", "u").to_vec()).unwrap();
        assert!(text.ends_with("<Bucket>b</Bucket><Key>a&lt;b</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>"));
    }
}
