// SPDX-License-Identifier: Apache-2.0
//! `POST /bucket/key?uploadId=`: CompleteMultipartUpload.
//!
//! The answer comes when the object is durable: there is no early 200 with an error inside.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_audit::Receipt;
use strongroom_object::{
    ChecksumAlgorithm, ChecksumRequest, CompleteMultipartUpload, CompletedPart, Error,
    PutObjectOutput,
};

use super::encryption_headers::{self, Trio};
use super::{S3Request, checksum_headers, conditions, get_bucket_lifecycle, names, upload};
use crate::body::Collected;
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::{Element, Limits, Malformed, Xml, url_encoded};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit_part(receipt)?;
    encryption_headers::refuse_on_part(req)?;
    let upload_id = upload::upload_id(&req.query)?;
    let customer_key = encryption_headers::customer_key(req, Trio::Object)?;
    let announced = object_checksum(&req.headers)?;
    let checksum_type = checksum_headers::checksum_type(req)?;
    let object_size = object_size(req.header_named(OBJECT_SIZE)?)?;
    let conditions = conditions::write(req)?;
    // The checksum headers are about the object, not about this document; Content-MD5 and a
    // trailer are about the document.
    let of_document = ChecksumRequest {
        content_md5: checksum_headers::content_md5(&req.headers)?,
        ..ChecksumRequest::default()
    };
    let Collected {
        bytes: body,
        trailing,
        room: _room,
    } = req.take_body()?.collect(LIMITS.bytes).await?;
    checksum_headers::verify_small_body(&of_document, trailing.as_ref(), &body)?;
    if body.is_empty() {
        return Err(S3Error::invalid_request(
            "You must specify at least one part",
        ));
    }
    let parts = parse(&body)?;
    if let Some(announced) = &announced {
        announced.check_count(parts.len())?;
    }
    let input = CompleteMultipartUpload {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        upload_id,
        parts,
        checksum_parts: announced.as_ref().and_then(|announced| announced.parts),
        checksum: announced.map(|announced| (announced.algorithm, announced.value)),
        checksum_type,
        object_size,
        conditions,
        customer_key,
    };
    let output = req
        .objects()
        .complete_multipart_upload(req.scope(receipt), input)
        .await
        .map_err(|error| match error {
            Error::ChecksumMismatch { algorithm } => checksum_headers::mismatch_of_parts(algorithm),
            other => other.into(),
        })?;
    let host = req
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let location = location(
        req.secure,
        host.unwrap_or_default(),
        req.bucket()?,
        req.object_key()?,
    );
    let with_customer_key = req.objects().compat().completes_with_customer_key_only();
    let mut answer = Answer::xml(document(
        &location,
        req.bucket()?,
        req.object_key()?,
        &output,
    ));
    let headers = answer.response.headers_mut();
    upload::echo_version(headers, names::VERSION_ID, output.version_id);
    get_bucket_lifecycle::echo_expiry(headers, output.expiry.as_ref());
    if with_customer_key {
        encryption_headers::echo(headers, &output.encryption, false);
    } else {
        upload::echo_without_customer_key(headers, &output.encryption);
    }
    Ok(answer)
}

/// A checksum of the whole object as announced by the request.
#[derive(Debug, PartialEq, Eq)]
struct ObjectChecksum {
    algorithm: ChecksumAlgorithm,
    value: Vec<u8>,
    /// Of a composite: how many parts it is of.
    parts: Option<usize>,
}

impl ObjectChecksum {
    fn check_count(&self, parts: usize) -> Result<(), S3Error> {
        match self.parts {
            Some(announced) if announced != parts => {
                Err(checksum_headers::mismatch_of_parts(self.algorithm))
            }
            _ => Ok(()),
        }
    }
}

/// `x-amz-checksum-<algorithm>`, where a composite may end in `-<number of parts>`.
fn object_checksum(headers: &HeaderMap) -> Result<Option<ObjectChecksum>, S3Error> {
    let mut digests = HeaderMap::new();
    let mut parts = None;
    for (name, value) in headers {
        if !name.as_str().starts_with(names::CHECKSUM_PREFIX) {
            continue;
        }
        let (digest, count) = split_count(name, value)?;
        parts = parts.or(count);
        digests.append(name.clone(), digest);
    }
    let found = checksum_headers::value(&digests)?;
    Ok(found.map(|(algorithm, value)| ObjectChecksum {
        algorithm,
        value,
        parts,
    }))
}

fn split_count(
    name: &HeaderName,
    value: &HeaderValue,
) -> Result<(HeaderValue, Option<usize>), S3Error> {
    let Some((digest, count)) = value.to_str().ok().and_then(|text| text.split_once('-')) else {
        return Ok((value.clone(), None));
    };
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    match (count.parse(), HeaderValue::from_str(digest)) {
        (Ok(count), Ok(digest)) if digits => Ok((digest, Some(count))),
        _ => Err(S3Error::invalid_request(format!(
            "Value for {name} header is invalid."
        ))),
    }
}

fn object_size(text: Option<&str>) -> Result<Option<u64>, S3Error> {
    let Some(text) = text else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(size) if digits => Ok(Some(size)),
        _ => Err(S3Error::invalid_request(format!(
            "Value for {OBJECT_SIZE} header is invalid."
        ))),
    }
}

/// The list of parts. Which numbers and ETags are right is for the conductor to say.
fn parse(body: &[u8]) -> Result<Vec<CompletedPart>, S3Error> {
    let document = Element::parse(body, "CompleteMultipartUpload", &LIMITS)?;
    document.expect_children(&[], &["Part"])?;
    let parts = document
        .children("Part")
        .map(parse_part)
        .collect::<Result<Vec<_>, _>>()?;
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(Malformed("no part, or more than ten thousand").into());
    }
    Ok(parts)
}

fn parse_part(part: &Element) -> Result<CompletedPart, S3Error> {
    part.expect_children(&PART_ELEMENTS, &[])?;
    let number = part
        .number("PartNumber")?
        .ok_or(Malformed("a part without a number"))?;
    let etag = part.required("ETag")?.trim_ascii();
    let mut checksum = None;
    for algorithm in ALGORITHMS {
        let element = checksum_headers::element(algorithm);
        let Some(text) = part.text_of(element)?.map(str::trim_ascii) else {
            continue;
        };
        if text.is_empty() {
            continue;
        }
        let refused = || {
            S3Error::invalid_argument(
                "Invalid Base64 or multiple checksums present in request",
                "Checksum",
                format!("{}:{text};", checksum_headers::name(algorithm)),
            )
        };
        let value = checksum_headers::decode(algorithm, text).ok_or_else(refused)?;
        if checksum.replace((algorithm, value)).is_some() {
            return Err(refused());
        }
    }
    Ok(CompletedPart {
        // A number beyond any part's is a part that is not there.
        part_number: u32::try_from(number).unwrap_or(u32::MAX),
        etag: etag.trim_matches('"').to_owned(),
        checksum,
    })
}

/// Fuzzing: any document.
pub(crate) fn fuzz(body: &[u8]) {
    if let Ok(parts) = parse(body) {
        assert!(
            (1..=PARTS_MAX).contains(&parts.len()),
            "a list of another length"
        );
    }
}

/// The object's URL as S3 shows it: the endpoint that was asked, with the bucket in the path
/// unless the host names it.
pub(super) fn location(secure: bool, host: &str, bucket: &str, object_key: &str) -> String {
    let scheme = if secure { "https" } else { "http" };
    let object_key = url_encoded(object_key);
    let in_host = host
        .strip_prefix(bucket)
        .is_some_and(|rest| rest.starts_with('.'));
    if in_host {
        format!("{scheme}://{host}/{object_key}")
    } else {
        format!("{scheme}://{host}/{bucket}/{object_key}")
    }
}

fn document(location: &str, bucket: &str, object_key: &str, output: &PutObjectOutput) -> Bytes {
    let mut xml = Xml::document("CompleteMultipartUploadResult");
    xml.text("Location", location);
    xml.text("Bucket", bucket);
    xml.text("Key", object_key);
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

const OBJECT_SIZE: &str = "x-amz-mp-object-size";
const PARTS_MAX: usize = 10_000;
/// 10,000 parts with the longest checksum, spread over lines.
pub(crate) const LIMITS: Limits = Limits {
    bytes: 4 * 1024 * 1024,
    elements: 4 * PARTS_MAX + 16,
};
const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];
const PART_ELEMENTS: [&str; 7] = [
    "PartNumber",
    "ETag",
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumSHA1",
    "ChecksumSHA256",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "CompleteMultipartUpload";

    fn parts(inner: &str) -> Result<Vec<CompletedPart>, S3Error> {
        parse(format!("<{ROOT}>{inner}</{ROOT}>").as_bytes())
    }

    #[test]
    fn documents_of_stock_clients_are_read() {
        let list = parts(
            "<Part><ETag>\"e1\"</ETag><PartNumber>1</PartNumber>\
             <ChecksumCRC32>AAAAAQ==</ChecksumCRC32></Part>\n<Part><PartNumber> 10000 </PartNumber>\
             <ETag>&quot;e2&quot;</ETag><ChecksumSHA256></ChecksumSHA256></Part>",
        )
        .unwrap();
        assert_eq!((list[0].part_number, list[0].etag.as_str()), (1, "e1"));
        assert_eq!(
            list[0].checksum,
            Some((ChecksumAlgorithm::Crc32, vec![0, 0, 0, 1]))
        );
        assert_eq!((list[1].part_number, list[1].etag.as_str()), (10_000, "e2"));
        assert_eq!(list[1].checksum, None);
    }

    #[test]
    fn sec_n76_ten_thousand_parts_are_the_most() {
        let list = |count: usize| {
            (1..=count)
                .map(|n| {
                    format!(
                        "<Part><ETag>&quot;{:032}&quot;</ETag><PartNumber>{n}</PartNumber>\
                         <ChecksumSHA256>{}=</ChecksumSHA256></Part>\n",
                        n,
                        "A".repeat(43)
                    )
                })
                .collect::<Vec<_>>()
                .concat()
        };
        assert_eq!(parts(&list(10_000)).unwrap().len(), 10_000);
        for count in [0, 10_001, 20_000] {
            assert_eq!(
                parts(&list(count)).unwrap_err().code.as_str(),
                "MalformedXML",
                "{count}"
            );
        }
    }

    #[test]
    fn sec_n76_other_lists_are_refused() {
        let part = |inner: &str| format!("<Part>{inner}</Part>");
        for (bad, code) in [
            (String::new(), "MalformedXML"),
            ("<Parts/>".to_owned(), "MalformedXML"),
            (part(""), "MalformedXML"),
            (part("<PartNumber>1</PartNumber>"), "MalformedXML"),
            (part("<ETag>e</ETag>"), "MalformedXML"),
            (
                part("<ETag>e</ETag><PartNumber>x</PartNumber>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><PartNumber>-1</PartNumber>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><PartNumber></PartNumber>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><PartNumber>1.5</PartNumber>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><ETag>e</ETag><PartNumber>1</PartNumber>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><PartNumber>1</PartNumber><PartNumber>2</PartNumber>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><PartNumber>1</PartNumber><Size>1</Size>"),
                "MalformedXML",
            ),
            (
                part("<ETag>e</ETag><PartNumber>1</PartNumber><ChecksumCRC32>AA==</ChecksumCRC32>"),
                "InvalidArgument",
            ),
            (
                part("<ETag>e</ETag><PartNumber>1</PartNumber><ChecksumSHA1>x</ChecksumSHA1>"),
                "InvalidArgument",
            ),
            (
                part(
                    "<ETag>e</ETag><PartNumber>1</PartNumber><ChecksumCRC32>AAAAAQ==\
                     </ChecksumCRC32><ChecksumCRC32C>AAAAAQ==</ChecksumCRC32C>",
                ),
                "InvalidArgument",
            ),
        ] {
            assert_eq!(parts(&bad).unwrap_err().code.as_str(), code, "{bad}");
        }
        let beyond = part("<ETag>e</ETag><PartNumber>99999999999</PartNumber>");
        assert_eq!(parts(&beyond).unwrap()[0].part_number, u32::MAX);
        assert!(parse(b"<Complete/>").is_err());
    }

    #[test]
    fn sec_n79_object_checksums_may_count_their_parts() {
        let checksum = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            object_checksum(&headers)
        };
        assert_eq!(checksum("x-other", "1").unwrap(), None);
        assert_eq!(checksum("x-amz-checksum-type", "COMPOSITE").unwrap(), None);
        let plain = checksum("x-amz-checksum-crc32", "AAAAAQ==")
            .unwrap()
            .unwrap();
        assert_eq!(plain.parts, None);
        plain.check_count(7).unwrap();
        let composite = checksum("x-amz-checksum-crc32", "AAAAAQ==-3")
            .unwrap()
            .unwrap();
        assert_eq!(
            (composite.value.as_slice(), composite.parts),
            (&[0, 0, 0, 1][..], Some(3))
        );
        composite.check_count(3).unwrap();
        assert_eq!(
            composite.check_count(2).unwrap_err().code.as_str(),
            "BadDigest"
        );
        for bad in [
            "AAAAAQ==-",
            "AAAAAQ==-x",
            "AAAAAQ==--1",
            "AAAAAQ==-+1",
            "-3",
            "AA==-3",
            "x",
        ] {
            assert!(checksum("x-amz-checksum-crc32", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn object_sizes_are_numbers() {
        assert_eq!(object_size(None).unwrap(), None);
        assert_eq!(object_size(Some("0")).unwrap(), Some(0));
        assert_eq!(
            object_size(Some("53687091200000")).unwrap(),
            Some(53_687_091_200_000)
        );
        for bad in ["", "-1", "+1", "1.0", "x", "18446744073709551616", "1 "] {
            assert!(object_size(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn locations_follow_the_addressing() {
        assert_eq!(
            location(true, "h:9443", "b", "a b/c"),
            "https://h:9443/b/a%20b/c"
        );
        assert_eq!(location(false, "b.h:9000", "b", "k"), "http://b.h:9000/k");
        assert_eq!(location(false, "bh:9000", "b", "k"), "http://bh:9000/b/k");
    }
}
