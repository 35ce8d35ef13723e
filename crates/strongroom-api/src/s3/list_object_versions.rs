// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?versions`: ListObjectVersions.

use strongroom_audit::Receipt;
use strongroom_object::{
    ListObjectVersions, ListObjectVersionsOutput, ListedObject, ListedVersion, VersionId,
};

use super::S3Request;
use super::request::version_id;
use super::{checksum_headers, listing};
use crate::error::S3Error;
use crate::query::Query;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let asked = Asked::parse(&req.query)?;
    let bucket = req.bucket()?.to_owned();
    let input = ListObjectVersions {
        bucket: bucket.clone(),
        prefix: asked.prefix.clone(),
        delimiter: asked.delimiter.clone(),
        after: Some(asked.key_marker.clone()).filter(|marker| !marker.is_empty()),
        after_version: asked.version_id_marker,
        max_keys: asked.max_keys,
    };
    let wants_restore = listing::wants_restore_status(req)?;
    let mut output = req
        .objects()
        .list_object_versions(req.scope(receipt), input)
        .await?;
    if !wants_restore {
        let objects = output.versions.iter_mut().filter_map(object_of);
        listing::without_restore_status(objects);
    }
    let owner = listing::canonical_id(req.caller.account_id());
    Ok(Answer::xml(document(&bucket, &asked, &output, &owner)))
}

fn object_of(version: &mut ListedVersion) -> Option<&mut ListedObject> {
    match version {
        ListedVersion::Object { object, .. } => Some(object),
        ListedVersion::DeleteMarker { .. } => None,
    }
}

/// The parameters.
#[derive(Debug)]
struct Asked {
    prefix: String,
    delimiter: String,
    key_marker: String,
    version_id_marker: Option<VersionId>,
    max_keys: u32,
    url: bool,
}

impl Asked {
    fn parse(query: &Query) -> Result<Self, S3Error> {
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        let key_marker = text("key-marker");
        let version_id_marker = text("version-id-marker");
        if key_marker.is_empty() && !version_id_marker.is_empty() {
            return Err(S3Error::invalid_argument(
                "A version-id marker cannot be specified without a key marker.",
                "version-id-marker",
                version_id_marker,
            ));
        }
        if query.get("version-id-marker") == Some("") {
            return Err(S3Error::invalid_argument(
                "A version-id marker cannot be empty.",
                "version-id-marker",
                "",
            ));
        }
        let version_id_marker = if version_id_marker.is_empty() {
            None
        } else {
            Some(version_id("version-id-marker", &version_id_marker)?)
        };
        Ok(Self {
            max_keys: listing::limit(query, "max-keys", "maxKeys")?,
            url: listing::url_encoding(query)?,
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            key_marker,
            version_id_marker,
        })
    }
}

fn document(
    bucket: &str,
    asked: &Asked,
    output: &ListObjectVersionsOutput,
    owner: &str,
) -> bytes::Bytes {
    let mut xml = Xml::document("ListVersionsResult");
    xml.text("Name", bucket);
    xml.name("Prefix", &asked.prefix, asked.url);
    xml.name("KeyMarker", &asked.key_marker, asked.url);
    let marker = asked.version_id_marker.map(|id| id.to_string());
    xml.text("VersionIdMarker", marker.as_deref().unwrap_or_default());
    if let Some((key, id)) = &output.next_after {
        xml.name("NextKeyMarker", key, asked.url);
        xml.optional(
            "NextVersionIdMarker",
            id.map(|id| id.to_string()).as_deref(),
        );
    }
    xml.number("MaxKeys", asked.max_keys);
    if !asked.delimiter.is_empty() {
        xml.name("Delimiter", &asked.delimiter, asked.url);
    }
    if asked.url {
        xml.text("EncodingType", "url");
    }
    xml.boolean("IsTruncated", output.next_after.is_some());
    for version in &output.versions {
        entry(&mut xml, version, asked.url, owner);
    }
    listing::common_prefixes(&mut xml, &output.common_prefixes, asked.url);
    xml.finish()
}

/// One `Version` or `DeleteMarker` element.
fn entry(xml: &mut Xml, version: &ListedVersion, url: bool, owner: &str) {
    match version {
        ListedVersion::Object {
            id,
            is_latest,
            object,
        } => {
            xml.open("Version");
            xml.name("Key", &object.object_key, url);
            xml.text("VersionId", &id.to_string());
            xml.boolean("IsLatest", *is_latest);
            xml.time("LastModified", object.last_modified_ms);
            xml.etag(&object.etag);
            if let Some((algorithm, checksum_type)) = object.checksum {
                xml.text("ChecksumAlgorithm", checksum_headers::name(algorithm));
                xml.text("ChecksumType", checksum_headers::type_name(checksum_type));
            }
            xml.number("Size", object.size);
            listing::person(xml, "Owner", owner);
            xml.text("StorageClass", object.storage_class.name());
            listing::restore_status(xml, object);
            xml.close();
        }
        ListedVersion::DeleteMarker {
            id,
            is_latest,
            object_key,
            last_modified_ms,
        } => {
            xml.open("DeleteMarker");
            xml.name("Key", object_key, url);
            xml.text("VersionId", &id.to_string());
            xml.boolean("IsLatest", *is_latest);
            xml.time("LastModified", *last_modified_ms);
            listing::person(xml, "Owner", owner);
            xml.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Asked, S3Error> {
        Asked::parse(&Query::parse(raw).unwrap())
    }

    #[test]
    fn answer_has_the_elements_of_s3_in_order() {
        let asked =
            parse("versions&delimiter=%2F&key-marker=a%20b&version-id-marker=null&max-keys=2")
                .unwrap();
        let output = ListObjectVersionsOutput {
            versions: vec![
                ListedVersion::DeleteMarker {
                    id: VersionId::NULL,
                    is_latest: true,
                    object_key: "k".to_owned(),
                    last_modified_ms: 0,
                },
                ListedVersion::Object {
                    id: VersionId::NULL,
                    is_latest: false,
                    object: ListedObject {
                        object_key: "k".to_owned(),
                        etag: "e".to_owned(),
                        size: 7,
                        last_modified_ms: 0,
                        checksum: None,
                        storage_class: strongroom_object::StorageClass::Standard,
                        restore: None,
                    },
                },
            ],
            common_prefixes: vec!["p/".to_owned()],
            next_after: Some(("k".to_owned(), Some(VersionId::NULL))),
        };
        let text = String::from_utf8(document("b", &asked, &output, "id").to_vec()).unwrap();
        let time = "<LastModified>1970-01-01T00:00:00.000Z</LastModified>";
        assert_eq!(
            text,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListVersionsResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
                 <Prefix></Prefix><KeyMarker>a b</KeyMarker>\
                 <VersionIdMarker>null</VersionIdMarker><NextKeyMarker>k</NextKeyMarker>\
                 <NextVersionIdMarker>null</NextVersionIdMarker><MaxKeys>2</MaxKeys>\
                 <Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>\
                 <DeleteMarker><Key>k</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>\
                 {time}<Owner><ID>id</ID></Owner></DeleteMarker>\
                 <Version><Key>k</Key><VersionId>null</VersionId><IsLatest>false</IsLatest>{time}\
                 <ETag>&quot;e&quot;</ETag><Size>7</Size><Owner><ID>id</ID></Owner>\
                 <StorageClass>STANDARD</StorageClass></Version>\
                 <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListVersionsResult>"
            )
        );
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in [
            "version-id-marker=null",
            "version-id-marker=",
            "key-marker=k&version-id-marker=",
            "key-marker=&version-id-marker=null",
            "key-marker=k&version-id-marker=x",
            "key-marker=k&version-id-marker=NULL",
            "max-keys=-1",
            "encoding-type=xml",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
        assert_eq!(parse("key-marker=k").unwrap().version_id_marker, None);
    }
}
