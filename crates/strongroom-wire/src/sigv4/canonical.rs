// SPDX-License-Identifier: Apache-2.0
//! The canonical request: the one text both sides hash.
//!
//! S3 takes the path as it is, encoded once, with empty and dot segments kept, because object
//! names may contain them. Every other service removes dot and empty segments and encodes twice.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{ALGORITHM, RequestToVerify, Scope, Timestamp};
use crate::query;

/// Which rules of path and query apply.
pub(super) struct CanonicalInput<'a> {
    pub(super) request: &'a RequestToVerify<'a>,
    pub(super) signed_headers: &'a [String],
    /// Leave `X-Amz-Signature` out of the query.
    pub(super) presigned: bool,
    pub(super) s3_path_rules: bool,
    pub(super) payload_text: &'a str,
}

/// The canonical request and whether every signed header was there.
pub(super) struct CanonicalRequest {
    text: Zeroizing<Vec<u8>>,
    /// A header the signature claims to cover is absent: the request cannot be the signed one.
    pub(super) header_missing: bool,
}

impl CanonicalRequest {
    pub(super) fn build(input: &CanonicalInput<'_>) -> Self {
        Self::write(input, input.request.query, Secrets::Kept)
    }

    fn write(input: &CanonicalInput<'_>, raw_query: &str, secrets: Secrets) -> Self {
        let request = input.request;
        let mut text = Zeroizing::new(Vec::with_capacity(capacity(input)));
        text.extend_from_slice(request.method.as_bytes());
        text.push(b'\n');
        if input.s3_path_rules {
            push_path_once(&mut text, request.path);
        } else {
            push_path_normalised_twice(&mut text, request.path);
        }
        text.push(b'\n');
        push_query(&mut text, raw_query, input.presigned);
        text.push(b'\n');
        let mut header_missing = false;
        for name in input.signed_headers {
            header_missing |= !push_header(&mut text, request, name, secrets);
        }
        text.push(b'\n');
        push_joined(&mut text, input.signed_headers);
        text.push(b'\n');
        text.extend_from_slice(input.payload_text.as_bytes());
        Self {
            text,
            header_missing,
        }
    }

    pub(super) fn string_to_sign(&self, timestamp: Timestamp, scope: &Scope) -> String {
        let hash = hex::encode(digest(&SHA256, &self.text));
        format!("{ALGORITHM}\n{timestamp}\n{scope}\n{hash}")
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// The canonical request as it may be shown: values of secret headers are masked.
pub(super) fn masked(input: &CanonicalInput<'_>) -> String {
    let query = masked_query(input.request.query);
    let shown = CanonicalRequest::write(input, &query, Secrets::Masked);
    String::from_utf8_lossy(&shown.text).into_owned()
}

/// What becomes of the values of secret headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Kept,
    Masked,
}

fn capacity(input: &CanonicalInput<'_>) -> usize {
    let request = input.request;
    let headers: usize = input
        .signed_headers
        .iter()
        .map(|name| {
            let values: usize = request.values_of(name).map(|value| value.len() + 1).sum();
            2 * name.len() + 3 + values
        })
        .sum();
    // A byte of path or query becomes at most three, and twice encoded at most five.
    128 + request.method.len() + 5 * request.path.len() + 3 * request.query.len() + headers
}

fn push_path_once(out: &mut Vec<u8>, raw_path: &str) {
    if raw_path.is_empty() {
        out.push(b'/');
        return;
    }
    let decoded = query::decode_path(raw_path);
    for piece in query::encode_path(&decoded) {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn push_path_normalised_twice(out: &mut Vec<u8>, raw_path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw_path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    for segment in &segments {
        out.push(b'/');
        let decoded = query::decode_path(segment);
        let once: String = query::encode_component(&decoded).collect();
        for piece in query::encode_component(once.as_bytes()) {
            out.extend_from_slice(piece.as_bytes());
        }
    }
    let ends_with_slash = ["/", "/.", "/.."].iter().any(|end| raw_path.ends_with(end));
    if segments.is_empty() || ends_with_slash {
        out.push(b'/');
    }
}

fn push_query(out: &mut Vec<u8>, raw_query: &str, presigned: bool) {
    let mut parameters: Vec<(String, String)> = query::pairs(raw_query)
        .filter(|(name, _)| !(presigned && name.as_ref() == b"X-Amz-Signature"))
        .map(|(name, value)| {
            (
                query::encode_component(&name).collect(),
                query::encode_component(&value).collect(),
            )
        })
        .collect();
    // By name first and value second: `a-` sorts after `a`, although `-` is less than `=`.
    parameters.sort_unstable();
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
}

/// Writes `name:value[,value]\n`; false when the header is absent.
fn push_header(
    out: &mut Vec<u8>,
    request: &RequestToVerify<'_>,
    name: &str,
    secrets: Secrets,
) -> bool {
    let mut present = false;
    for value in request.values_of(name) {
        if present {
            out.push(b',');
        } else {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
        }
        present = true;
        if secrets == Secrets::Masked && SECRET_HEADERS.contains(&name) {
            out.extend_from_slice(MASK.as_bytes());
        } else {
            push_folded(out, value);
        }
    }
    if present {
        out.push(b'\n');
    }
    present
}

/// Writes a value without its outer spaces and with each run of spaces as one space.
fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let mut after_space = false;
    let start = value.iter().position(|b| *b != b' ').unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| *b != b' ')
        .map_or(start, |last| last + 1);
    for &byte in value.get(start..end).unwrap_or_default() {
        if byte == b' ' && after_space {
            continue;
        }
        after_space = byte == b' ';
        out.push(byte);
    }
}

fn push_joined(out: &mut Vec<u8>, names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.push(b';');
        }
        out.extend_from_slice(name.as_bytes());
    }
}

fn masked_query(raw_query: &str) -> Cow<'_, str> {
    let is_secret = |piece: &str| {
        query::pairs(piece).any(|(name, _)| {
            SECRET_HEADERS
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
        })
    };
    if !raw_query.split('&').any(is_secret) {
        return Cow::Borrowed(raw_query);
    }
    let pieces: Vec<String> = raw_query
        .split('&')
        .map(|piece| match piece.split_once('=') {
            Some((name, _)) if is_secret(piece) => format!("{name}={MASK}"),
            _ => piece.to_owned(),
        })
        .collect();
    Cow::Owned(pieces.join("&"))
}

/// Headers (and query parameters of the same name) whose values never leave the server again.
const SECRET_HEADERS: [&str; 3] = [
    "x-amz-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-security-token",
];
const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(method: &str, path: &str, query: &str, s3_path_rules: bool) -> String {
        let names: Vec<String> = ["host", "x-amz-meta-a"].map(str::to_owned).to_vec();
        let headers: [(&str, &[u8]); 3] = [
            ("host", b"h"),
            ("x-amz-meta-a", b"  one   two "),
            ("x-amz-meta-a", b"three"),
        ];
        let request = RequestToVerify {
            method,
            path,
            query,
            headers: &headers,
            secure: true,
            body_sha256: None,
        };
        let input = CanonicalInput {
            request: &request,
            signed_headers: &names,
            presigned: true,
            s3_path_rules,
            payload_text: "UNSIGNED-PAYLOAD",
        };
        let built = CanonicalRequest::build(&input);
        assert!(!built.header_missing);
        let text = String::from_utf8(built.text().to_vec()).unwrap();
        assert_eq!(
            text,
            masked(&input),
            "without secrets the shown text is the signed one"
        );
        text
    }

    fn path_line(path: &str, s3_path_rules: bool) -> String {
        canonical("GET", path, "", s3_path_rules)
            .lines()
            .nth(1)
            .unwrap()
            .to_owned()
    }

    fn query_line(query: &str) -> String {
        canonical("GET", "/", query, true)
            .lines()
            .nth(2)
            .unwrap()
            .to_owned()
    }

    #[test]
    fn all_lines_are_there() {
        assert_eq!(
            canonical("PUT", "/b/k", "uploadId=x&partNumber=1", true),
            "PUT\n/b/k\npartNumber=1&uploadId=x\nhost:h\nx-amz-meta-a:one two,three\n\n\
             host;x-amz-meta-a\nUNSIGNED-PAYLOAD"
        );
    }

    #[test]
    fn s3_paths_keep_their_segments() {
        assert_eq!(path_line("", true), "/");
        assert_eq!(path_line("/a//b/../c/./", true), "/a//b/../c/./");
        assert_eq!(path_line("/b/a%20b%2Fc+d*e", true), "/b/a%20b/c%2Bd%2Ae");
        assert_eq!(path_line("/b/%e2%82%ac", true), "/b/%E2%82%AC");
    }

    #[test]
    fn other_paths_are_normalised_and_encoded_twice() {
        assert_eq!(path_line("", false), "/");
        assert_eq!(path_line("/a//b/../c/./", false), "/a/c/");
        assert_eq!(path_line("/../..", false), "/");
        assert_eq!(path_line("/a/.", false), "/a/");
        assert_eq!(path_line("/a%20b", false), "/a%2520b");
    }

    #[test]
    fn queries_sort_by_name_then_value() {
        assert_eq!(query_line("a-=1&a=2&a=1&A=0"), "A=0&a=1&a=2&a-=1");
        assert_eq!(
            query_line("lifecycle&prefix=a+b%2B"),
            "lifecycle=&prefix=a%20b%2B"
        );
        assert_eq!(query_line("X-Amz-Signature=x&b=1"), "b=1");
    }

    #[test]
    fn shown_text_masks_customer_keys_and_tokens() {
        let name = "x-amz-server-side-encryption-customer-key";
        let names = vec![name.to_owned(), "x-amz-security-token".to_owned()];
        let headers: [(&str, &[u8]); 2] = [
            (name, b"planted-key"),
            ("x-amz-security-token", b"planted-token"),
        ];
        let request = RequestToVerify {
            method: "GET",
            path: "/",
            query: "X-Amz-Security-Token=planted-token&a=b",
            headers: &headers,
            secure: true,
            body_sha256: None,
        };
        let input = CanonicalInput {
            request: &request,
            signed_headers: &names,
            presigned: false,
            s3_path_rules: true,
            payload_text: "UNSIGNED-PAYLOAD",
        };
        let shown = masked(&input);
        assert!(!shown.contains("planted"), "{shown}");
        assert!(
            shown.contains("X-Amz-Security-Token=%2A%2A%2A&a=b"),
            "{shown}"
        );
    }
}
