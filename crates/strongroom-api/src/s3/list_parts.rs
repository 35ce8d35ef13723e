// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket/key?uploadId=`: ListParts.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::{Action, ListParts, ListPartsOutput};

use super::encryption_headers::{self, Trio};
use super::{S3Request, checksum_headers, get_bucket_lifecycle, listing, upload};
use crate::error::S3Error;
use crate::query::Query;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, Action::ListMultipartUploadParts)?;
    let asked = Asked::parse(&req.query)?;
    let input = ListParts {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        upload_id: asked.upload_id.clone(),
        part_number_marker: asked.marker,
        max_parts: asked.max_parts,
        customer_key: encryption_headers::customer_key(req, Trio::Object)?,
    };
    let output = req.objects().list_parts(req.scope(receipt), input).await?;
    let owner = listing::canonical_id(req.caller.account_id());
    let document = document(req.bucket()?, req.object_key()?, &asked, &output, &owner);
    let mut answer = Answer::xml(document);
    get_bucket_lifecycle::echo_abort(answer.response.headers_mut(), output.abort.as_ref());
    Ok(answer)
}

/// The parameters.
#[derive(Debug)]
struct Asked {
    upload_id: String,
    marker: u32,
    max_parts: u32,
    url: bool,
}

impl Asked {
    fn parse(query: &Query) -> Result<Self, S3Error> {
        let marker = match query
            .get("part-number-marker")
            .filter(|text| !text.is_empty())
        {
            None => 0,
            Some(text) => text
                .parse::<i64>()
                .ok()
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| {
                    S3Error::invalid_argument(
                        "Argument part-number-marker must be an integer between 0 and 2147483647",
                        "part-number-marker",
                        text,
                    )
                })?,
        };
        Ok(Self {
            upload_id: upload::upload_id(query)?,
            marker,
            max_parts: listing::limit(query, "max-parts", "maxParts")?,
            url: listing::url_encoding(query)?,
        })
    }
}

fn document(
    bucket: &str,
    object_key: &str,
    asked: &Asked,
    output: &ListPartsOutput,
    owner: &str,
) -> Bytes {
    let mut xml = Xml::document("ListPartsResult");
    xml.text("Bucket", bucket);
    xml.name("Key", object_key, asked.url);
    xml.text("UploadId", &asked.upload_id);
    listing::person(&mut xml, "Initiator", owner);
    listing::person(&mut xml, "Owner", owner);
    xml.text("StorageClass", output.storage_class.name());
    xml.number("PartNumberMarker", asked.marker);
    let last = output
        .parts
        .last()
        .map_or(0, |part| u32::from(part.part_number));
    xml.number("NextPartNumberMarker", output.next_marker.unwrap_or(last));
    xml.number("MaxParts", asked.max_parts);
    if asked.url {
        xml.text("EncodingType", "url");
    }
    xml.boolean("IsTruncated", output.next_marker.is_some());
    if let Some(algorithm) = output.checksum_algorithm {
        xml.text("ChecksumAlgorithm", checksum_headers::name(algorithm));
    }
    if let Some(checksum_type) = output.checksum_type {
        xml.text("ChecksumType", checksum_headers::type_name(checksum_type));
    }
    for part in &output.parts {
        xml.open("Part");
        xml.number("PartNumber", part.part_number);
        xml.time("LastModified", part.last_modified_ms);
        xml.etag(&part.etag);
        if let Some(checksum) = &part.checksum {
            xml.text(
                checksum_headers::element(checksum.algorithm),
                &checksum_headers::text(checksum),
            );
        }
        xml.number("Size", part.size);
        xml.close();
    }
    xml.finish()
}

#[cfg(test)]
mod tests {
    use strongroom_object::{Checksum, ChecksumAlgorithm, ChecksumType, ListedPart};

    use super::*;

    fn parse(raw: &str) -> Result<Asked, S3Error> {
        Asked::parse(&Query::parse(raw).unwrap())
    }

    #[test]
    fn answer_has_the_elements_of_s3_in_order() {
        let output = ListPartsOutput {
            parts: vec![ListedPart {
                part_number: 7,
                etag: "e".to_owned(),
                size: 5_242_880,
                last_modified_ms: 0,
                checksum: Some(Checksum {
                    algorithm: ChecksumAlgorithm::Crc32,
                    checksum_type: ChecksumType::FullObject,
                    value: vec![0, 0, 0, 1],
                    parts: None,
                }),
            }],
            next_marker: None,
            checksum_algorithm: Some(ChecksumAlgorithm::Crc32),
            checksum_type: Some(ChecksumType::Composite),
            storage_class: strongroom_object::StorageClass::Standard,
            abort: None,
        };
        let asked = parse("uploadId=u&max-parts=5&part-number-marker=6").unwrap();
        let text = document("b", "k", &asked, &output, "id");
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.ends_with(
            "<Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId><Initiator><ID>id</ID>\
             </Initiator><Owner><ID>id</ID></Owner><StorageClass>STANDARD</StorageClass>\
             <PartNumberMarker>6</PartNumberMarker><NextPartNumberMarker>7</NextPartNumberMarker>\
             <MaxParts>5</MaxParts><IsTruncated>false</IsTruncated>\
             <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>\
             <Part><PartNumber>7</PartNumber><LastModified>1970-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;e&quot;</ETag><ChecksumCRC32>AAAAAQ==</ChecksumCRC32><Size>5242880</Size>\
             </Part></ListPartsResult>"
        ));
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in [
            "",
            "uploadId=",
            "uploadId=u&max-parts=-1",
            "uploadId=u&max-parts=x",
            "uploadId=u&part-number-marker=-1",
            "uploadId=u&part-number-marker=x",
            "uploadId=u&part-number-marker=4294967296",
            "uploadId=u&encoding-type=x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
