// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?uploads`: ListMultipartUploads.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::{ListMultipartUploads, ListMultipartUploadsOutput};

use super::{S3Request, checksum_headers, listing};
use crate::error::S3Error;
use crate::query::Query;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let asked = Asked::parse(&req.query)?;
    let input = ListMultipartUploads {
        bucket: req.bucket()?.to_owned(),
        prefix: asked.prefix.clone(),
        delimiter: asked.delimiter.clone(),
        key_marker: asked.key_marker.clone(),
        upload_id_marker: asked.upload_id_marker.clone(),
        max_uploads: asked.max_uploads,
    };
    let output = req
        .objects()
        .list_multipart_uploads(req.scope(receipt), input)
        .await?;
    let owner = listing::canonical_id(req.caller.account_id());
    Ok(Answer::xml(document(
        req.bucket()?,
        &asked,
        &output,
        &owner,
    )))
}

/// The parameters.
#[derive(Debug)]
struct Asked {
    prefix: String,
    delimiter: String,
    key_marker: Option<String>,
    /// Says something together with a key marker only.
    upload_id_marker: Option<String>,
    max_uploads: u32,
    url: bool,
}

impl Asked {
    fn parse(query: &Query) -> Result<Self, S3Error> {
        let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
        let key_marker = text("key-marker");
        let upload_id_marker = text("upload-id-marker").filter(|_| key_marker.is_some());
        Ok(Self {
            prefix: text("prefix").unwrap_or_default(),
            delimiter: text("delimiter").unwrap_or_default(),
            key_marker,
            upload_id_marker,
            max_uploads: listing::limit(query, "max-uploads", "maxUploads")?,
            url: listing::url_encoding(query)?,
        })
    }
}

fn document(
    bucket: &str,
    asked: &Asked,
    output: &ListMultipartUploadsOutput,
    owner: &str,
) -> Bytes {
    let mut xml = Xml::document("ListMultipartUploadsResult");
    xml.text("Bucket", bucket);
    xml.name(
        "KeyMarker",
        asked.key_marker.as_deref().unwrap_or_default(),
        asked.url,
    );
    xml.text(
        "UploadIdMarker",
        asked.upload_id_marker.as_deref().unwrap_or_default(),
    );
    if let Some((next_key, next_upload_id)) = &output.next {
        xml.name("NextKeyMarker", next_key, asked.url);
        xml.text("NextUploadIdMarker", next_upload_id);
    }
    xml.name("Prefix", &asked.prefix, asked.url);
    if !asked.delimiter.is_empty() {
        xml.name("Delimiter", &asked.delimiter, asked.url);
    }
    xml.number("MaxUploads", asked.max_uploads);
    if asked.url {
        xml.text("EncodingType", "url");
    }
    xml.boolean("IsTruncated", output.next.is_some());
    for upload in &output.uploads {
        xml.open("Upload");
        xml.name("Key", &upload.object_key, asked.url);
        xml.text("UploadId", &upload.upload_id);
        listing::person(&mut xml, "Initiator", owner);
        listing::person(&mut xml, "Owner", owner);
        xml.text("StorageClass", upload.storage_class.name());
        xml.time("Initiated", upload.initiated_ms);
        if let Some(algorithm) = upload.checksum_algorithm {
            xml.text("ChecksumAlgorithm", checksum_headers::name(algorithm));
        }
        if let Some(checksum_type) = upload.checksum_type {
            xml.text("ChecksumType", checksum_headers::type_name(checksum_type));
        }
        xml.close();
    }
    listing::common_prefixes(&mut xml, &output.common_prefixes, asked.url);
    xml.finish()
}

#[cfg(test)]
mod tests {
    use strongroom_object::ListedUpload;

    use super::*;

    fn parse(raw: &str) -> Result<Asked, S3Error> {
        Asked::parse(&Query::parse(raw).unwrap())
    }

    #[test]
    fn answer_has_the_elements_of_s3_in_order() {
        let output = ListMultipartUploadsOutput {
            uploads: vec![ListedUpload {
                object_key: "a b".to_owned(),
                upload_id: "u".to_owned(),
                initiated_ms: 0,
                checksum_algorithm: None,
                checksum_type: None,
                storage_class: strongroom_object::StorageClass::Standard,
            }],
            common_prefixes: vec!["p/".to_owned()],
            next: Some(("a b".to_owned(), "u".to_owned())),
        };
        let asked = parse("uploads&delimiter=/&encoding-type=url&upload-id-marker=lost").unwrap();
        assert_eq!(asked.upload_id_marker, None);
        let text = document("b", &asked, &output, "id");
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.ends_with(
            "<Bucket>b</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>\
             <NextKeyMarker>a%20b</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>\
             <Prefix></Prefix><Delimiter>/</Delimiter><MaxUploads>1000</MaxUploads>\
             <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Upload>\
             <Key>a%20b</Key><UploadId>u</UploadId><Initiator><ID>id</ID></Initiator><Owner>\
             <ID>id</ID></Owner><StorageClass>STANDARD</StorageClass>\
             <Initiated>1970-01-01T00:00:00.000Z</Initiated></Upload>\
             <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListMultipartUploadsResult>"
        ));
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in [
            "max-uploads=-1",
            "max-uploads=x",
            "encoding-type=x",
            "max-uploads=2147483648",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
