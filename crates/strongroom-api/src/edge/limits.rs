// SPDX-License-Identifier: Apache-2.0
//! What any request must keep to, before anything in it is believed.

use http::{HeaderMap, HeaderName, header};

use crate::error::{S3Code, S3Error};
use crate::s3::names::USER_METADATA_PREFIX;

/// Most bytes of header names and values together.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Most header lines.
const HEADER_LINES_MAX: usize = 128;

/// Headers besides `x-amz-*` that decide something and may therefore be there only once.
const SINGLE: [HeaderName; 20] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::REFERER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("content-md5"),
];

/// Refuses heads that are too large, or in which a header that decides something is repeated:
/// of two values, two readers could take different ones.
pub(super) fn check(headers: &HeaderMap) -> Result<(), S3Error> {
    let size = headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(0_usize, usize::saturating_add);
    if size > HEADER_BYTES_MAX || headers.len() > HEADER_LINES_MAX {
        return Err(S3Error::from_code(S3Code::RequestHeaderSectionTooLarge)
            .with("MaxSizeAllowed", HEADER_BYTES_MAX.to_string()));
    }
    for name in headers.keys() {
        let amz =
            name.as_str().starts_with("x-amz-") && !name.as_str().starts_with(USER_METADATA_PREFIX);
        if (amz || SINGLE.contains(name)) && headers.get_all(name).iter().count() > 1 {
            return Err(S3Error::invalid_request(format!(
                "The header {name} was given more than once."
            )));
        }
    }
    Ok(())
}

/// The declared length of the body as it comes over the wire.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, S3Error> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    strongroom_wire::chunked::parse_decoded_length(value.as_bytes())
        .map(Some)
        .ok_or_else(|| {
            S3Error::invalid_argument(
                "The Content-Length header is not a number.",
                "Content-Length",
                "",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn sec_n67_repeated_headers_that_decide_are_refused() {
        for name in [
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-customer-key",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-acl",
            "host",
            "content-length",
            "content-encoding",
            "range",
            "if-match",
        ] {
            let error = check(&headers(&[(name, "1"), (name, "1")])).unwrap_err();
            assert_eq!(error.code, S3Code::InvalidRequest, "{name}");
        }
        for name in ["x-amz-meta-a", "accept", "cookie", "via"] {
            assert!(
                check(&headers(&[(name, "1"), (name, "2")])).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn sec_n92_large_heads_are_refused() {
        let long = "x".repeat(HEADER_BYTES_MAX);
        assert_eq!(
            check(&headers(&[("a", &long)])).unwrap_err().code,
            S3Code::RequestHeaderSectionTooLarge
        );
        let many: Vec<String> = (0..=HEADER_LINES_MAX).map(|n| format!("h{n}")).collect();
        let pairs: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
        assert!(check(&headers(&pairs)).is_err());
        assert!(check(&headers(&pairs[1..])).is_ok());
    }

    #[test]
    fn sec_n60_content_length_is_digits() {
        assert_eq!(content_length(&headers(&[])).unwrap(), None);
        assert_eq!(
            content_length(&headers(&[("content-length", "5")])).unwrap(),
            Some(5)
        );
        for bad in [
            "",
            "+5",
            "-5",
            "5,5",
            "5 5",
            "0x5",
            "99999999999999999999",
            "5.0",
        ] {
            assert!(
                content_length(&headers(&[("content-length", bad)])).is_err(),
                "{bad}"
            );
        }
    }
}
