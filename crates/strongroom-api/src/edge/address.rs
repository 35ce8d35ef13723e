// SPDX-License-Identifier: Apache-2.0
//! Which bucket and object a request is about: virtual-host style (`bucket.domain`) or path
//! style, from the raw path.
//!
//! The object's name is whatever stands after the first slash, percent-decoded once, as UTF-8. It
//! is opaque: dots, slashes and backslashes in it mean nothing here or below.

use http::request::Parts;
use http::{HeaderMap, header};

use crate::error::{S3Code, S3Error};
use crate::query::percent_decode;

/// Longest raw path: a name of 1,024 bytes, each escaped, and a bucket.
const PATH_BYTES_MAX: usize = 4 * 1024;

/// Names in a request, decoded and not yet validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Address {
    /// Bucket.
    pub(crate) bucket: Option<String>,
    /// Object key.
    pub(crate) object_key: Option<String>,
}

impl Address {
    /// From the head of a request.
    pub(crate) fn of(parts: &Parts, domains: &[String]) -> Result<Self, S3Error> {
        let host = host(&parts.headers)?;
        if let Some(authority) = parts.uri.authority()
            && !authority.as_str().eq_ignore_ascii_case(host)
        {
            return Err(bad_host(
                "The request target names another host than the Host header.",
            ));
        }
        Self::parse(host, parts.uri.path(), domains)
    }

    /// From the Host header and the raw path.
    pub(crate) fn parse(host: &str, path: &str, domains: &[String]) -> Result<Self, S3Error> {
        let invalid = || S3Error::from_code(S3Code::InvalidUri);
        if path.len() > PATH_BYTES_MAX {
            return Err(S3Error::from_code(S3Code::KeyTooLong)
                .with("Size", path.len().to_string())
                .with("MaxSizeAllowed", "1024"));
        }
        let path = path.strip_prefix('/').ok_or_else(invalid)?;
        let (bucket, object_key) = if let Some(bucket) = bucket_of_host(host, domains) {
            (bucket, path)
        } else {
            let (bucket, object_key) = path.split_once('/').unwrap_or((path, ""));
            if bucket.is_empty() && !object_key.is_empty() {
                return Err(S3Error::from_code(S3Code::InvalidBucketName).with("BucketName", ""));
            }
            (percent_decode(bucket).ok_or_else(invalid)?, object_key)
        };
        let object_key = percent_decode(object_key).ok_or_else(invalid)?;
        let some = |name: String| (!name.is_empty()).then_some(name);
        Ok(Self {
            bucket: some(bucket),
            object_key: some(object_key),
        })
    }
}

/// The one Host header, free of anything that two readers could read differently.
fn host(headers: &HeaderMap) -> Result<&str, S3Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad_host("The request must have exactly one Host header."));
    };
    match host.to_str() {
        Ok(text) if text.len() <= 255 && is_host(text) => Ok(text),
        _ => Err(bad_host("The Host header is not valid.")),
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, and a port where there is one.
fn is_host(text: &str) -> bool {
    let (inside, rest, plain): (&str, &str, fn(u8) -> bool) =
        if let Some(bracketed) = text.strip_prefix('[') {
            let Some((address, rest)) = bracketed.split_once(']') else {
                return false;
            };
            (address, rest, |b| {
                b.is_ascii_hexdigit() || b".:".contains(&b)
            })
        } else {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (name, rest, |b| {
                b.is_ascii_alphanumeric() || b"-._".contains(&b)
            })
        };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !inside.is_empty()
        && inside.bytes().all(plain)
        && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn bad_host(message: &'static str) -> S3Error {
    S3Error::new(S3Code::BadRequest, message)
}

/// `bucket` of `bucket.domain[:port]`, in lower case as host names are.
fn bucket_of_host(host: &str, domains: &[String]) -> Option<String> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
    .to_ascii_lowercase();
    if domains.contains(&name) {
        return None;
    }
    domains
        .iter()
        .filter_map(|domain| name.strip_suffix(domain.as_str())?.strip_suffix('.'))
        .filter(|bucket| !bucket.is_empty())
        .min_by_key(|bucket| bucket.len())
        .map(str::to_owned)
}

/// Entry for fuzzing: any host and path give names or an error, and names are the path's.
#[doc(hidden)]
pub fn fuzz_address(host: &str, path: &str) {
    let domains = ["localhost".to_owned(), "s3.example.com".to_owned()];
    if let Ok(address) = Address::parse(host, path, &domains) {
        let decoded = percent_decode(path).unwrap_or_default();
        let object_key = address.object_key.unwrap_or_default();
        assert!(
            decoded.ends_with(&object_key),
            "a name that is not in the path"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(host: &str, path: &str) -> Result<(Option<String>, Option<String>), S3Code> {
        let domains = ["localhost".to_owned(), "s3.example.com".to_owned()];
        Address::parse(host, path, &domains)
            .map(|address| (address.bucket, address.object_key))
            .map_err(|error| error.code)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "compared with what may be an error"
    )]
    fn names(bucket: &str, object_key: &str) -> Result<(Option<String>, Option<String>), S3Code> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok((some(bucket), some(object_key)))
    }

    #[test]
    fn sec_n53_both_styles_agree() {
        let table = [
            ("127.0.0.1:9000", "/", names("", "")),
            ("127.0.0.1:9000", "/b", names("b", "")),
            ("127.0.0.1:9000", "/b/", names("b", "")),
            ("127.0.0.1", "/b/k", names("b", "k")),
            ("[::1]:9000", "/b/k", names("b", "k")),
            ("localhost:9443", "/b/k", names("b", "k")),
            ("LOCALHOST", "/b/k", names("b", "k")),
            ("b.localhost", "/", names("b", "")),
            ("b.localhost:9000", "/k", names("b", "k")),
            ("B.LocalHost:9000", "/k/l", names("b", "k/l")),
            ("a.b.s3.example.com", "/k", names("a.b", "k")),
            ("other.example.org", "/b/k", names("b", "k")),
            ("xlocalhost", "/b/k", names("b", "k")),
            (".localhost", "/b/k", names("b", "k")),
        ];
        for (host, path, expected) in table {
            assert_eq!(parse(host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn sec_n53_hosts_that_two_readers_could_read_differently() {
        for good in [
            "h",
            "b.h:9000",
            "127.0.0.1",
            "[::1]",
            "[::1]:9443",
            "b_c.h:65535",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", ":", ":80", "h:", "h:x", "h:+80", "h:80:80", "h:65536", "[", "[]", "[::1", "::1",
            "[::1]x", "[::1]:", "[::1]80", "[h]", "u@h", "h/x", "h x", "h,i", "h\\x", "h#x",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn sec_n48_names_are_opaque() {
        let table = [
            ("/b/..", ".."),
            ("/b/../b/k", "../b/k"),
            ("/b/a/../../b", "a/../../b"),
            ("/b/%2e%2e%2f", "../"),
            ("/b/%252e", "%2e"),
            ("/b/a%5Cb", "a\\b"),
            ("/b//k", "/k"),
            ("/b/a//b", "a//b"),
            ("/b/a/", "a/"),
            ("/b/.", "."),
            ("/b/C:/x", "C:/x"),
            ("/b/a%20b+c", "a b+c"),
            ("/b/%0d%0a%00", "\r\n\0"),
            ("/b/%EF%BF%BE", "\u{fffe}"),
            ("/b/e%CC%81", "e\u{301}"),
            ("/b/%C3%A9", "\u{e9}"),
        ];
        for (path, object_key) in table {
            assert_eq!(parse("localhost", path), names("b", object_key), "{path}");
        }
    }

    #[test]
    fn sec_n49_names_are_utf_8() {
        for path in [
            "/b/%",
            "/b/%f",
            "/b/%zz",
            "/b/%ff",
            "/b/%c0%ae",
            "/b/%ed%a0%80",
            "/%ff/k",
            "",
            "*",
        ] {
            assert_eq!(parse("localhost", path), Err(S3Code::InvalidUri), "{path}");
        }
        assert_eq!(parse("localhost", "//k"), Err(S3Code::InvalidBucketName));
        let long = format!("/b/{}", "x".repeat(PATH_BYTES_MAX));
        assert_eq!(parse("localhost", &long), Err(S3Code::KeyTooLong));
    }

    #[test]
    fn sec_n53_hosts_are_plain() {
        for hosts in [
            &[][..],
            &["a", "a"],
            &["u@h"],
            &["a b"],
            &["a/b"],
            &["a_b?"],
            &["a\u{e9}"],
            &["a,b"],
        ] {
            let mut headers = HeaderMap::new();
            for text in hosts {
                headers.append(
                    header::HOST,
                    http::HeaderValue::from_bytes(text.as_bytes()).unwrap(),
                );
            }
            assert_eq!(
                host(&headers).unwrap_err().code,
                S3Code::BadRequest,
                "{hosts:?}"
            );
        }
    }
}
