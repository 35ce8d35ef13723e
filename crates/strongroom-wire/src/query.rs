// SPDX-License-Identifier: Apache-2.0
//! The one reading of paths and query strings: what a signature covers.
//!
//! A request could be signed under one reading of its query and executed under another. So there
//! is one reading, and it is here. An adapter may refuse more than this does (a broken escape, a
//! repeated parameter, bytes that are not UTF-8), but where it accepts, it must read the same.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// Splits a raw query string into decoded name and value pairs, in the order received.
///
/// Empty pieces (`a&&b`) are skipped, a name without `=` has an empty value, and a raw `+` is a
/// space, as S3 reads it. A malformed percent sequence stays as it is.
pub fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    raw.split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decode_component(name), decode_component(value))
        })
}

/// Decodes the percent sequences of a raw path; a `+` stays a `+`.
pub fn decode_path(raw: &str) -> Cow<'_, [u8]> {
    percent_decode(raw.as_bytes()).into()
}

/// Encodes everything but `A-Z a-z 0-9 - . _ ~`, with upper-case hex digits.
pub fn encode_component(bytes: &[u8]) -> impl Iterator<Item = &str> {
    percent_encode(bytes, OUTSIDE_COMPONENT)
}

/// As [`encode_component`], but leaves `/` alone.
pub fn encode_path(bytes: &[u8]) -> impl Iterator<Item = &str> {
    percent_encode(bytes, OUTSIDE_PATH)
}

fn decode_component(raw: &str) -> Cow<'_, [u8]> {
    if raw.contains('+') {
        let spaced = raw.replace('+', " ");
        let decoded: Cow<'_, [u8]> = percent_decode(spaced.as_bytes()).into();
        return Cow::Owned(decoded.into_owned());
    }
    percent_decode(raw.as_bytes()).into()
}

const OUTSIDE_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const OUTSIDE_PATH: &AsciiSet = &OUTSIDE_COMPONENT.remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(raw: &str) -> Vec<(String, String)> {
        pairs(raw)
            .map(|(name, value)| {
                (
                    String::from_utf8(name.into_owned()).unwrap(),
                    String::from_utf8(value.into_owned()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn pairs_decode_as_s3_does() {
        let expected: Vec<(String, String)> = [("a", "b c"), ("d", ""), ("e", "="), ("f", "+")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        assert_eq!(decoded("a=b+c&&d&e==&f=%2B"), expected);
        assert!(decoded("").is_empty());
        assert_eq!(decoded("%zz=%")[0], ("%zz".to_owned(), "%".to_owned()));
    }

    #[test]
    fn encoding_keeps_only_unreserved_characters() {
        let text: String = encode_component(b"aZ09-._~/ *+\xff").collect();
        assert_eq!(text, "aZ09-._~%2F%20%2A%2B%FF");
        let path: String = encode_path(b"/a b/c").collect();
        assert_eq!(path, "/a%20b/c");
    }
}
