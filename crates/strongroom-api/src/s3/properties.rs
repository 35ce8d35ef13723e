// SPDX-License-Identifier: Apache-2.0
//! Content headers and user metadata: from the request into [`Properties`] and back.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_object::{Properties, StorageClass};

use super::request::header_text;
use super::{S3Request, names};
use crate::error::{S3Code, S3Error};

/// Most bytes of user metadata, names and values together.
const USER_METADATA_BYTES_MAX: usize = 2 * 1024;

/// The properties of a new object.
pub(crate) fn from_headers(req: &S3Request) -> Result<Properties, S3Error> {
    parse(&req.headers)
}

/// Refuses headers of writes that this server cannot honour: they are never ignored.
pub(crate) fn refuse_unsupported(req: &S3Request) -> Result<(), S3Error> {
    refuse(&req.headers)
}

/// The storage class of a new object, where one is asked for.
pub(crate) fn storage_class(req: &S3Request) -> Result<Option<StorageClass>, S3Error> {
    class(&req.headers)
}

fn parse(headers: &HeaderMap) -> Result<Properties, S3Error> {
    let text = |name: &HeaderName| -> Result<Option<String>, S3Error> {
        Ok(header_text(headers, name)?.map(str::to_owned))
    };
    let redirect = text(&names::WEBSITE_REDIRECT)?;
    if let Some(target) = &redirect
        && !["/", "http://", "https://"]
            .iter()
            .any(|prefix| target.starts_with(prefix))
    {
        return Err(S3Error::from_code(S3Code::InvalidRedirectLocation));
    }
    Ok(Properties {
        content_type: text(&header::CONTENT_TYPE)?.filter(|value| !value.is_empty()),
        content_encoding: text(&header::CONTENT_ENCODING)?
            .map(|value| without_aws_chunked(&value))
            .filter(|value| !value.is_empty()),
        content_disposition: text(&header::CONTENT_DISPOSITION)?,
        content_language: text(&header::CONTENT_LANGUAGE)?,
        cache_control: text(&header::CACHE_CONTROL)?,
        expires: text(&header::EXPIRES)?,
        website_redirect_location: redirect,
        user: user_metadata(headers)?,
    })
}

/// `aws-chunked` describes the transfer, not the object.
fn without_aws_chunked(value: &str) -> String {
    value
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect::<Vec<_>>()
        .join(",")
}

fn user_metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>, S3Error> {
    let mut user = BTreeMap::new();
    let mut size = 0_usize;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(names::USER_METADATA_PREFIX) else {
            continue;
        };
        if short.is_empty() {
            return Err(S3Error::invalid_argument(
                "Metadata names must not be empty.",
                name.as_str(),
                "",
            ));
        }
        let mut values = Vec::new();
        for value in headers.get_all(name) {
            values.push(metadata_value(name, value)?);
        }
        let value = values.join(",");
        size = size.saturating_add(short.len()).saturating_add(value.len());
        user.insert(short.to_owned(), value);
    }
    if size > USER_METADATA_BYTES_MAX {
        return Err(S3Error::from_code(S3Code::MetadataTooLarge)
            .with("Size", size.to_string())
            .with("MaxSizeAllowed", USER_METADATA_BYTES_MAX.to_string()));
    }
    Ok(user)
}

fn metadata_value<'h>(name: &HeaderName, value: &'h HeaderValue) -> Result<&'h str, S3Error> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text),
        _ => Err(S3Error::invalid_argument(
            "Metadata values must be printable text.",
            name.as_str(),
            "",
        )),
    }
}

/// Writes the stored properties into an answer. Names and values were checked when they came in;
/// what a header cannot carry (text beyond ASCII) is an encoded word of RFC 2047, as S3 has it: S3 takes
/// the bytes of a header for Latin-1, and says in UTF-8 what it read so. Clients undo both (Amazon S3
/// User Guide, "Working with object metadata", which has the second example of the test).
pub(crate) fn echo(headers: &mut HeaderMap, properties: &Properties) {
    let content_type = properties
        .content_type
        .as_deref()
        .unwrap_or("binary/octet-stream");
    let pairs = [
        (header::CONTENT_TYPE, Some(content_type)),
        (
            header::CONTENT_ENCODING,
            properties.content_encoding.as_deref(),
        ),
        (
            header::CONTENT_DISPOSITION,
            properties.content_disposition.as_deref(),
        ),
        (
            header::CONTENT_LANGUAGE,
            properties.content_language.as_deref(),
        ),
        (header::CACHE_CONTROL, properties.cache_control.as_deref()),
        (header::EXPIRES, properties.expires.as_deref()),
        (
            names::WEBSITE_REDIRECT,
            properties.website_redirect_location.as_deref(),
        ),
    ];
    for (name, value) in pairs {
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
        {
            headers.insert(name, value);
        }
    }
    for (name, value) in &properties.user {
        let name = HeaderName::try_from(format!("{}{name}", names::USER_METADATA_PREFIX));
        let value = if value.is_ascii() {
            HeaderValue::from_str(value)
        } else {
            let as_latin: String = value.bytes().map(char::from).collect();
            HeaderValue::from_str(&format!("=?UTF-8?B?{}?=", STANDARD.encode(as_latin)))
        };
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
}

fn refuse(headers: &HeaderMap) -> Result<(), S3Error> {
    if let Some(acl) = headers.get(names::ACL)
        && acl != "private"
        && acl != "bucket-owner-full-control"
    {
        return Err(not_implemented(&names::ACL));
    }
    let refused = [
        names::TAGGING,
        names::TAGGING_DIRECTIVE,
        names::OBJECT_LOCK_MODE,
        names::OBJECT_LOCK_RETAIN_UNTIL,
        names::OBJECT_LOCK_LEGAL_HOLD,
        names::WRITE_OFFSET,
    ];
    for name in refused {
        // No object has tags yet: copying them and replacing them by none are the same.
        let harmless = name == names::TAGGING_DIRECTIVE
            && headers
                .get(&name)
                .is_some_and(|value| value == "COPY" || value == "REPLACE");
        if headers.contains_key(&name) && !harmless {
            return Err(not_implemented(&name));
        }
    }
    match headers
        .keys()
        .find(|name| name.as_str().starts_with("x-amz-grant-"))
    {
        Some(name) => Err(not_implemented(name)),
        None => Ok(()),
    }
}

/// The storage class that is asked for. What S3 has and this server has not is refused: a class
/// is a promise.
fn class(headers: &HeaderMap) -> Result<Option<StorageClass>, S3Error> {
    let Some(asked) = headers.get(names::STORAGE_CLASS) else {
        return Ok(None);
    };
    let known = asked.to_str().ok().and_then(StorageClass::parse);
    known.map(Some).ok_or_else(|| {
        S3Error::from_code(S3Code::InvalidStorageClass).with(
            "StorageClassRequested",
            String::from_utf8_lossy(asked.as_bytes()),
        )
    })
}

fn not_implemented(name: &HeaderName) -> S3Error {
    S3Error::from_code(S3Code::NotImplemented).with("Header", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn sec_n65_aws_chunked_is_stripped_and_the_rest_kept() {
        let table = [
            ("aws-chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, aws-chunked", Some("gzip")),
            ("AWS-Chunked , gzip,br", Some("gzip,br")),
            ("gzip", Some("gzip")),
            ("", None),
        ];
        for (sent, stored) in table {
            let parsed = parse(&headers(&[("content-encoding", sent.as_bytes())])).unwrap();
            assert_eq!(parsed.content_encoding.as_deref(), stored, "{sent}");
        }
    }

    #[test]
    fn sec_n55_user_metadata_up_to_2_kib() {
        let fits = vec![b'x'; 2048 - 1];
        let parsed = parse(&headers(&[("x-amz-meta-a", &fits)])).unwrap();
        assert_eq!(parsed.user.len(), 1);
        let error = parse(&headers(&[("x-amz-meta-a", &fits), ("x-amz-meta-b", b"")])).unwrap_err();
        assert_eq!(error.code, S3Code::MetadataTooLarge);
        assert_eq!(
            error.elements,
            [("Size", "2049".into()), ("MaxSizeAllowed", "2048".into())]
        );
    }

    #[test]
    fn sec_n55_metadata_names_and_values() {
        let error = parse(&headers(&[("x-amz-meta-", b"v")])).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidArgument);
        for bad in [&b"a\tb"[..], b"\xff", b"\xc0\xae", "\u{0085}".as_bytes()] {
            let result = parse(&headers(&[("x-amz-meta-a", bad)]));
            assert_eq!(result.unwrap_err().code, S3Code::InvalidArgument, "{bad:?}");
        }
        let twice = parse(&headers(&[("x-amz-meta-a", b"1"), ("x-amz-meta-a", b"2")])).unwrap();
        assert_eq!(twice.user.get("a").unwrap(), "1,2");
    }

    #[test]
    fn text_beyond_ascii_comes_back_encoded() {
        // The second is Amazon's example.
        let sent = [
            ("x-amz-meta-a", "\u{e9}"),
            ("x-amz-meta-b", "\u{c4}M\u{c4}Z\u{d5}\u{d1} S3"),
        ];
        let sent = sent.map(|(name, value)| (name, value.as_bytes()));
        let parsed = parse(&headers(&sent)).unwrap();
        let mut out = HeaderMap::new();
        echo(&mut out, &parsed);
        assert_eq!(out.get("x-amz-meta-a").unwrap(), "=?UTF-8?B?w4PCqQ==?=");
        let word = "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=";
        assert_eq!(out.get("x-amz-meta-b").unwrap(), word);
        assert_eq!(out.get("content-type").unwrap(), "binary/octet-stream");
    }

    #[test]
    fn headers_that_cannot_be_honoured_are_refused() {
        for (name, value) in [
            ("x-amz-acl", "public-read"),
            ("x-amz-acl", ""),
            ("x-amz-grant-read", "id=1"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-tagging-directive", "copy"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
            (
                "x-amz-object-lock-retain-until-date",
                "2030-01-01T00:00:00Z",
            ),
            ("x-amz-object-lock-legal-hold", "OFF"),
            ("x-amz-write-offset-bytes", "0"),
        ] {
            let error = refuse(&headers(&[(name, value.as_bytes())])).unwrap_err();
            assert_eq!(error.code, S3Code::NotImplemented, "{name}: {value}");
        }
        for (name, value) in [
            ("x-amz-acl", "private"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-tagging-directive", "COPY"),
            ("x-amz-tagging-directive", "REPLACE"),
        ] {
            assert!(
                refuse(&headers(&[(name, value.as_bytes())])).is_ok(),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn storage_classes_are_those_that_are_kept() {
        assert_eq!(class(&HeaderMap::new()).unwrap(), None);
        for name in [
            "STANDARD",
            "STANDARD_IA",
            "ONEZONE_IA",
            "GLACIER",
            "DEEP_ARCHIVE",
        ] {
            let asked = class(&headers(&[("x-amz-storage-class", name.as_bytes())])).unwrap();
            assert_eq!(asked.map(StorageClass::name), Some(name));
        }
        for name in [
            "",
            "standard",
            "Glacier",
            " STANDARD",
            "STANDARD,GLACIER",
            "REDUCED_REDUNDANCY",
            "INTELLIGENT_TIERING",
            "GLACIER_IR",
            "EXPRESS_ONEZONE",
            "OUTPOSTS",
            "SNOW",
            "\u{e9}",
        ] {
            let asked = class(&headers(&[("x-amz-storage-class", name.as_bytes())]));
            assert_eq!(
                asked.unwrap_err().code,
                S3Code::InvalidStorageClass,
                "{name}"
            );
        }
    }

    #[test]
    fn redirects_name_a_place() {
        for bad in ["", "x", "ftp://x", "javascript:0"] {
            let result = parse(&headers(&[(
                "x-amz-website-redirect-location",
                bad.as_bytes(),
            )]));
            assert_eq!(
                result.unwrap_err().code,
                S3Code::InvalidRedirectLocation,
                "{bad}"
            );
        }
    }
}
