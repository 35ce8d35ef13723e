// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket`: ListObjects, the first version of the listing.

use strongroom_audit::Receipt;
use strongroom_object::{ListObjects, ListObjectsOutput};

use super::S3Request;
use super::listing;
use crate::error::S3Error;
use crate::query::Query;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let asked = Asked::parse(&req.query)?;
    let bucket = req.bucket()?.to_owned();
    let input = ListObjects {
        bucket: bucket.clone(),
        prefix: asked.prefix.clone(),
        delimiter: asked.delimiter.clone(),
        after: Some(asked.marker.clone()).filter(|marker| !marker.is_empty()),
        max_keys: asked.max_keys,
    };
    let wants_restore = listing::wants_restore_status(req)?;
    let mut output = req
        .objects()
        .list_objects(req.scope(receipt), input)
        .await?;
    if !wants_restore {
        listing::without_restore_status(output.objects.iter_mut());
    }
    let owner = listing::canonical_id(req.caller.account_id());
    Ok(Answer::xml(document(&bucket, &asked, &output, &owner)))
}

/// The parameters.
#[derive(Debug)]
struct Asked {
    prefix: String,
    delimiter: String,
    marker: String,
    max_keys: u32,
    url: bool,
}

impl Asked {
    fn parse(query: &Query) -> Result<Self, S3Error> {
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        Ok(Self {
            max_keys: listing::limit(query, "max-keys", "maxKeys")?,
            url: listing::url_encoding(query)?,
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            marker: text("marker"),
        })
    }
}

fn document(bucket: &str, asked: &Asked, output: &ListObjectsOutput, owner: &str) -> bytes::Bytes {
    let mut xml = Xml::document("ListBucketResult");
    xml.text("Name", bucket);
    xml.name("Prefix", &asked.prefix, asked.url);
    xml.name("Marker", &asked.marker, asked.url);
    // Without a delimiter the last name of the page is the next marker, and S3 leaves it unsaid.
    if let Some(next) = output
        .next_after
        .as_deref()
        .filter(|_| !asked.delimiter.is_empty())
    {
        xml.name("NextMarker", next, asked.url);
    }
    xml.number("MaxKeys", asked.max_keys);
    if !asked.delimiter.is_empty() {
        xml.name("Delimiter", &asked.delimiter, asked.url);
    }
    if asked.url {
        xml.text("EncodingType", "url");
    }
    xml.boolean("IsTruncated", output.next_after.is_some());
    for object in &output.objects {
        listing::contents(&mut xml, object, asked.url, Some(owner));
    }
    listing::common_prefixes(&mut xml, &output.common_prefixes, asked.url);
    xml.finish()
}

#[cfg(test)]
mod tests {
    use strongroom_object::{ChecksumAlgorithm, ChecksumType, ListedObject};

    use super::*;

    fn page(next_after: Option<&str>) -> ListObjectsOutput {
        ListObjectsOutput {
            objects: vec![ListedObject {
                object_key: "a b&<\u{1}".to_owned(),
                etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
                size: 65_536,
                last_modified_ms: 1_700_000_000_999,
                checksum: Some((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject)),
                storage_class: strongroom_object::StorageClass::Standard,
                restore: None,
            }],
            common_prefixes: vec!["p/".to_owned()],
            next_after: next_after.map(str::to_owned),
        }
    }

    fn text(raw: &str, next_after: Option<&str>) -> String {
        let asked = Asked::parse(&Query::parse(raw).unwrap()).unwrap();
        String::from_utf8(document("b", &asked, &page(next_after), "id").to_vec()).unwrap()
    }

    #[test]
    fn answer_has_the_elements_of_s3_in_order() {
        assert_eq!(
            text("prefix=&delimiter=%2F&marker=", None),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix></Prefix>\
             <Marker></Marker><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter>\
             <IsTruncated>false</IsTruncated><Contents><Key>a b&amp;&lt;&#x1;</Key>\
             <LastModified>2023-11-14T22:13:20.000Z</LastModified>\
             <ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag>\
             <ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
             <ChecksumType>FULL_OBJECT</ChecksumType><Size>65536</Size>\
             <Owner><ID>id</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"
        );
    }

    #[test]
    fn next_marker_comes_only_with_a_delimiter() {
        assert!(text("delimiter=%2F", Some("p/")).contains("<NextMarker>p/</NextMarker>"));
        let plain = text("", Some("p/"));
        assert!(!plain.contains("NextMarker"));
        assert!(plain.contains("<IsTruncated>true</IsTruncated>"));
        assert!(!text("delimiter=%2F", None).contains("NextMarker"));
    }

    #[test]
    fn encoding_type_covers_every_name() {
        let text = text(
            "encoding-type=url&prefix=%C3%A9&delimiter=%20&marker=%2B",
            Some("n m"),
        );
        for part in [
            "<Key>a%20b%26%3C%01</Key>",
            "<Prefix>%C3%A9</Prefix>",
            "<Delimiter>%20</Delimiter>",
            "<Marker>%2B</Marker>",
            "<NextMarker>n%20m</NextMarker>",
            "<EncodingType>url</EncodingType>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in ["max-keys=-1", "max-keys=x", "encoding-type=xml"] {
            let error = Asked::parse(&Query::parse(bad).unwrap()).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
    }
}
