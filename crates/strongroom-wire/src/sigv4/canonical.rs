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
        push_query(&mut text, request.query, input.presigned);
        text.push(b'\n');
        let mut header_missing = false;
        for name in input.signed_headers {
            header_missing |= !push_header(&mut text, request, name, false);
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
    let request = input.request;
    let mut text = Vec::new();
    text.extend_from_slice(request.method.as_bytes());
    text.push(b'\n');
    if input.s3_path_rules {
        push_path_once(&mut text, request.path);
    } else {
        push_path_normalised_twice(&mut text, request.path);
    }
    text.push(b'\n');
    push_query(&mut text, &masked_query(request.query), input.presigned);
    text.push(b'\n');
    for name in input.signed_headers {
        push_header(&mut text, request, name, true);
    }
    text.push(b'\n');
    push_joined(&mut text, input.signed_headers);
    text.push(b'\n');
    text.extend_from_slice(input.payload_text.as_bytes());
    String::from_utf8_lossy(&text).into_owned()
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
    if segments.is_empty() || raw_path.ends_with('/') {
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
fn push_header(out: &mut Vec<u8>, request: &RequestToVerify<'_>, name: &str, mask: bool) -> bool {
    let mut present = false;
    for value in request.values_of(name) {
        if present {
            out.push(b',');
        } else {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
        }
        present = true;
        if mask && SECRET_HEADERS.contains(&name) {
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

/// Writes a value without its outer white space and with each run of spaces as one space.
fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let mut after_space = false;
    for &byte in value.trim_ascii() {
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
