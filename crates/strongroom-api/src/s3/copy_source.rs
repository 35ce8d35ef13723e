// SPDX-License-Identifier: Apache-2.0
//! `x-amz-copy-source`: `[/]bucket/object-key[?versionId=id]`, percent-encoded.

use strongroom_audit::Receipt;
use strongroom_object::CopySource;

use super::encryption_headers::Trio;
use super::reading_key::{ReadPlace, reading_key};
use super::request::version_id;
use super::{S3Request, conditions, names};
use crate::error::{S3Code, S3Error};
use crate::query::percent_decode;

/// The source of a copy with its conditions and customer key.
pub(crate) async fn from_headers(
    req: &S3Request,
    receipt: &Receipt,
) -> Result<CopySource, S3Error> {
    let text = req.header(&names::COPY_SOURCE)?.unwrap_or_default();
    let address = parse(text).ok_or_else(|| {
        S3Error::invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            "x-amz-copy-source",
            text,
        )
    })?;
    if let Some(owner) = req.header(&names::SOURCE_EXPECTED_BUCKET_OWNER)?
        && owner != req.services.account_id
    {
        return Err(S3Error::from_code(S3Code::AccessDenied));
    }
    let version_id = address
        .version_id
        .map(|text| version_id("versionId", &text))
        .transpose()?;
    let conditions = conditions::copy_source(req)?;
    let place = ReadPlace {
        bucket: &address.bucket,
        object_key: &address.object_key,
        version_id,
    };
    let customer_key = reading_key(req, receipt, Trio::CopySource, place).await?;
    Ok(CopySource {
        bucket: address.bucket,
        object_key: address.object_key,
        version_id,
        conditions,
        customer_key,
    })
}

/// Names in a copy source, decoded; validated by the same parsers as names from a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceAddress {
    /// Bucket.
    pub(crate) bucket: String,
    /// Object key.
    pub(crate) object_key: String,
    /// Version id.
    pub(crate) version_id: Option<String>,
}

/// Parses the header; `None` if bucket or object key is missing or the encoding is broken.
pub(crate) fn parse(text: &str) -> Option<SourceAddress> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let (path, version_id) = match text.split_once("?versionId=") {
        Some((path, id)) => (path, Some(percent_decode(id).filter(|id| !id.is_empty())?)),
        None => (text, None),
    };
    // Some clients encode the slash between bucket and key as well.
    let decoded = percent_decode(path)?;
    let (bucket, object_key) = decoded.split_once('/')?;
    let named = !bucket.is_empty() && !object_key.is_empty() && !bucket.starts_with("arn:");
    named.then(|| SourceAddress {
        bucket: bucket.to_owned(),
        object_key: object_key.to_owned(),
        version_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "compared with what may be none")]
    fn address(bucket: &str, object_key: &str, version_id: Option<&str>) -> Option<SourceAddress> {
        Some(SourceAddress {
            bucket: bucket.to_owned(),
            object_key: object_key.to_owned(),
            version_id: version_id.map(str::to_owned),
        })
    }

    #[test]
    fn well_formed_sources_parse() {
        let table = [
            ("b/k", address("b", "k", None)),
            ("/b/k", address("b", "k", None)),
            ("b/a%20b", address("b", "a b", None)),
            ("b/a+b", address("b", "a+b", None)),
            ("b%2Fk", address("b", "k", None)),
            ("b/k?versionId=null", address("b", "k", Some("null"))),
            ("b/k%3FversionId=x", address("b", "k?versionId=x", None)),
            ("b//k", address("b", "/k", None)),
            ("b/../k", address("b", "../k", None)),
            ("b/%E2%82%AC", address("b", "\u{20ac}", None)),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn sec_n54_malformed_sources_are_refused() {
        for text in [
            "",
            "/",
            "b",
            "/b",
            "b/",
            "/b/",
            "//k",
            "b/%",
            "b/%2",
            "b/%zz",
            "b/%ff",
            "b/%c0%ae",
            "b/%ed%a0%80",
            "b/k?versionId=",
            "b/k?versionId=%",
            "arn:aws:s3:us-east-1:1:accesspoint/x/object/k",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
