// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket/key?attributes`: GetObjectAttributes.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use strongroom_audit::Receipt;
use strongroom_object::{
    Checksum, GetObjectAttributes, GetObjectAttributesOutput, ObjectParts, PartsPage,
};

use super::encryption_headers::{self, Trio};
use super::reading_key::{ReadPlace, reading_key};
use super::{S3Request, checksum_headers, get_object, names, upload};
use crate::error::S3Error;
use crate::response::Answer;
use crate::timestamp::http_date;
use crate::xml::Xml;

const ATTRIBUTES: HeaderName = HeaderName::from_static("x-amz-object-attributes");
const MAX_PARTS: HeaderName = HeaderName::from_static("x-amz-max-parts");
const MARKER: HeaderName = HeaderName::from_static("x-amz-part-number-marker");
/// Most parts on one page.
const PAGE_PARTS_MAX: u32 = 1_000;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, get_object::read_action(req)?)?;
    encryption_headers::refuse_on_read(req)?;
    let asked = Asked::parse(req.header(&ATTRIBUTES)?)?;
    let page = PartsPage {
        marker: number(req, &MARKER)?.unwrap_or(0),
        max_parts: number(req, &MAX_PARTS)?
            .unwrap_or(PAGE_PARTS_MAX)
            .min(PAGE_PARTS_MAX),
    };
    let place = ReadPlace {
        bucket: req.bucket()?,
        object_key: req.object_key()?,
        version_id: req.version_id()?,
    };
    let input = GetObjectAttributes {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        version_id: req.version_id()?,
        customer_key: reading_key(req, receipt, Trio::Object, place).await?,
        checksum: asked.checksum,
        parts: asked.parts.then_some(page),
    };
    let objects = req.objects();
    let output = objects
        .get_object_attributes(req.scope(receipt), input)
        .await?;
    let mut answer = Answer::xml(document(asked, page, &output));
    if let Ok(date) = HeaderValue::try_from(http_date(output.last_modified_ms)) {
        answer.set(header::LAST_MODIFIED, date);
    }
    let headers = answer.response.headers_mut();
    upload::echo_version(headers, names::VERSION_ID, output.version_id);
    Ok(answer)
}

/// Which attributes are asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set")]
struct Asked {
    etag: bool,
    checksum: bool,
    parts: bool,
    storage_class: bool,
    size: bool,
}

impl Asked {
    fn parse(header: Option<&str>) -> Result<Self, S3Error> {
        let header = header.map(str::trim).filter(|text| !text.is_empty());
        let Some(header) = header else {
            return Err(S3Error::invalid_request(
                "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
            ));
        };
        let mut asked = Self::default();
        for name in header.split(',').map(str::trim) {
            match name {
                "ETag" => asked.etag = true,
                "Checksum" => asked.checksum = true,
                "ObjectParts" => asked.parts = true,
                "StorageClass" => asked.storage_class = true,
                "ObjectSize" => asked.size = true,
                other => {
                    return Err(S3Error::invalid_argument(
                        "Invalid attribute name specified.",
                        ATTRIBUTES.as_str(),
                        other,
                    ));
                }
            }
        }
        Ok(asked)
    }
}

fn number(req: &S3Request, name: &HeaderName) -> Result<Option<u32>, S3Error> {
    let Some(text) = req.header(name)? else {
        return Ok(None);
    };
    let number = text.parse::<u32>().ok().filter(|number| {
        text.bytes().all(|b| b.is_ascii_digit()) && i32::try_from(*number).is_ok()
    });
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(S3Error::invalid_argument(
            format!("Provided {name} not an integer or within integer range"),
            name.as_str(),
            text,
        )),
    }
}

fn document(asked: Asked, page: PartsPage, output: &GetObjectAttributesOutput) -> Bytes {
    let mut xml = Xml::document("GetObjectAttributesResponse");
    if asked.etag {
        xml.text("ETag", &output.etag);
    }
    if let Some(checksum) = &output.checksum {
        xml.open("Checksum");
        value(&mut xml, checksum);
        let checksum_type = checksum_headers::type_name(checksum.checksum_type);
        xml.text("ChecksumType", checksum_type);
        xml.close();
    }
    if let Some(parts) = &output.parts {
        object_parts(&mut xml, page, parts);
    }
    if asked.storage_class {
        xml.text("StorageClass", output.storage_class.name());
    }
    if asked.size {
        xml.number("ObjectSize", output.size);
    }
    xml.finish()
}

fn object_parts(xml: &mut Xml, page: PartsPage, parts: &ObjectParts) {
    xml.open("ObjectParts");
    if parts.listed {
        let last = parts.page.last().map_or(0, |part| part.part_number);
        xml.boolean("IsTruncated", parts.next_marker.is_some());
        xml.number("MaxParts", page.max_parts);
        xml.number("NextPartNumberMarker", parts.next_marker.unwrap_or(last));
        xml.number("PartNumberMarker", page.marker);
        for part in &parts.page {
            xml.open("Part");
            xml.number("PartNumber", part.part_number);
            xml.number("Size", part.size);
            value(xml, &part.checksum);
            xml.close();
        }
    }
    xml.number("PartsCount", parts.count);
    xml.close();
}

/// The digest by itself: a composite one is shown here without its number of parts.
fn value(xml: &mut Xml, checksum: &Checksum) {
    let bare = Checksum {
        parts: None,
        ..checksum.clone()
    };
    let element = checksum_headers::element(checksum.algorithm);
    xml.text(element, &checksum_headers::text(&bare));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_a_list_of_known_names() {
        let all = Asked::parse(Some("ETag,Checksum, ObjectParts,StorageClass,ObjectSize")).unwrap();
        assert!(all.etag && all.checksum && all.parts && all.storage_class && all.size);
        let one = Asked::parse(Some("ObjectSize")).unwrap();
        assert!(one.size && !one.etag && !one.checksum);
        for missing in [None, Some(""), Some(" ")] {
            let error = Asked::parse(missing).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidRequest");
        }
        for bad in ["etag", "ETag,", ",", "ETag,Owner", "ETag;Checksum", "*"] {
            let error = Asked::parse(Some(bad)).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
    }
}
