// SPDX-License-Identifier: Apache-2.0
//! The query string: percent-decoded, in order, without judgement on its names.

use std::borrow::Cow;

use crate::error::{S3Code, S3Error};

/// Most parameters one request may have.
const PARAMETERS_MAX: usize = 128;

/// A parsed query string.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, Option<String>)>,
}

impl Query {
    /// Parses the raw query string. Names and values are UTF-8 after decoding; a parameter that
    /// is there twice is refused, since two readers could pick different ones.
    pub(crate) fn parse(raw: &str) -> Result<Self, S3Error> {
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                return Err(S3Error::new(
                    S3Code::InvalidUri,
                    "Too many query parameters.",
                ));
            }
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (decode(name)?, Some(decode(value)?)),
                None => (decode(piece)?, None),
            };
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(S3Error::invalid_argument(
                    "A query parameter was given more than once.",
                    name,
                    value.unwrap_or_default(),
                ));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter; a parameter without `=` has the empty value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// Whether the parameter is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// All parameters in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()))
    }
}

/// Decodes `%XX` and `+`; anything that is not UTF-8 or a broken escape is refused.
fn decode(text: &str) -> Result<String, S3Error> {
    let spaced: Cow<'_, str> = if text.contains('+') {
        text.replace('+', " ").into()
    } else {
        text.into()
    };
    percent_decode(&spaced)
        .ok_or_else(|| S3Error::new(S3Code::InvalidUri, "Couldn't parse the specified URI."))
}

/// Strict percent-decoding to UTF-8: every `%` is followed by two hexadecimal digits.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
