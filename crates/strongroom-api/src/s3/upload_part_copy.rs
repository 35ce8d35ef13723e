// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket/key?partNumber=&uploadId=` with a copy source: UploadPartCopy.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::{CopyObjectOutput, UploadPartCopy};

use super::encryption_headers::{self, Trio};
use super::{S3Request, checksum_headers, copy_source, names, range, upload};
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit_part(receipt)?;
    encryption_headers::refuse_on_part(req)?;
    let upload_id = upload::upload_id(&req.query)?;
    let part_number = upload::part_number(&req.query)?;
    let source = copy_source::from_headers(req, receipt).await?;
    let range_text = req.header(&names::COPY_SOURCE_RANGE)?;
    let input = UploadPartCopy {
        source,
        range: copy_range(range_text)?,
        range_text: range_text.unwrap_or_default().to_owned(),
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        upload_id,
        part_number,
        customer_key: encryption_headers::customer_key(req, Trio::Object)?,
    };
    let output = req
        .objects()
        .upload_part_copy(req.scope(receipt), input)
        .await?;
    let mut answer = Answer::xml(document(&output));
    let headers = answer.response.headers_mut();
    upload::echo_version(
        headers,
        names::COPY_SOURCE_VERSION_ID,
        output.source_version_id,
    );
    encryption_headers::echo(headers, &output.encryption, false);
    Ok(answer)
}

/// Unlike a range of GET, one that cannot be read is an error: the copy would be another.
fn copy_range(text: Option<&str>) -> Result<Option<(u64, u64)>, S3Error> {
    text.map(|text| {
        range::parse_copy_source(text).ok_or_else(|| {
            S3Error::invalid_argument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where \
                 first and last are the zero-based offsets of the first and last bytes to copy",
                names::COPY_SOURCE_RANGE.as_str(),
                text,
            )
        })
    })
    .transpose()
}

fn document(output: &CopyObjectOutput) -> Bytes {
    let mut xml = Xml::document("CopyPartResult");
    xml.time("LastModified", output.last_modified_ms);
    xml.etag(&output.etag);
    if let Some(checksum) = &output.checksum {
        xml.text(
            checksum_headers::element(checksum.algorithm),
            &checksum_headers::text(checksum),
        );
    }
    xml.finish()
}

#[cfg(test)]
mod tests {
    use strongroom_object::Encryption;

    use super::*;

    #[test]
    fn sec_n44_copy_ranges_have_both_ends() {
        assert_eq!(copy_range(None).unwrap(), None);
        assert_eq!(copy_range(Some("bytes=0-0")).unwrap(), Some((0, 0)));
        assert_eq!(copy_range(Some("bytes=5-10")).unwrap(), Some((5, 10)));
        for bad in [
            "",
            "bytes=",
            "bytes=0-",
            "bytes=-5",
            "0-5",
            "bytes=a-b",
            "bytes=0-5,7-9",
            "bytes=+0-5",
            "bytes=0-18446744073709551616",
            "items=0-5",
        ] {
            let error = copy_range(Some(bad)).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
    }

    #[test]
    fn answer_has_the_elements_of_s3() {
        let output = CopyObjectOutput {
            etag: "e".to_owned(),
            last_modified_ms: 0,
            encryption: Encryption::S3,
            checksum: None,
            version_id: None,
            source_version_id: None,
            expiry: None,
        };
        let text = String::from_utf8(document(&output).to_vec()).unwrap();
        assert!(text.ends_with(
            "<LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             </CopyPartResult>"
        ));
    }
}
