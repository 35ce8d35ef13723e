// SPDX-License-Identifier: Apache-2.0
//! Maps of text to text as JSON: materials descriptions, encryption contexts, instruction files.
//!
//! Written in pure ASCII, since user metadata travels in HTTP headers and not every client decodes
//! what S3 does to other characters. Read strictly: one object, texts only, no name twice.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// A map of text to text.
pub type TextMap = BTreeMap<String, String>;

/// Whether spaces are written as they are. In instruction files they are not: a reader in C++
/// splits the file at white space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spaces {
    Plain,
    Escaped,
}

/// The map as one line of ASCII.
pub(crate) fn write(map: &TextMap, spaces: Spaces) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        text(&mut out, name, spaces);
        out.push(':');
        text(&mut out, value, spaces);
    }
    out.push('}');
    out
}

fn text(out: &mut String, text: &str, spaces: Spaces) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' ' if spaces == Spaces::Plain => out.push(' '),
            '!'..='~' => out.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Reads a map; `None` for anything but one JSON object of texts with every name once.
pub(crate) fn read(json: &[u8]) -> Option<TextMap> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let map = reader.deserialize_map(Once { numbers: &[] }).ok()?;
    reader.end().ok()?;
    Some(map)
}

/// Like [`read`], where some writers leave the values of these names without quotes.
pub(crate) fn read_with_numbers(json: &[u8], names: &[&str]) -> Option<TextMap> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let map = reader.deserialize_map(Once { numbers: names }).ok()?;
    reader.end().ok()?;
    Some(map)
}

struct Once<'n> {
    /// Names whose values may be numbers.
    numbers: &'n [&'n str],
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = TextMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<TextMap, A::Error> {
        let mut map = TextMap::new();
        while let Some((name, value)) = access.next_entry::<String, serde_json::Value>()? {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number)
                    if number.is_u64() && self.numbers.contains(&name.as_str()) =>
                {
                    number.to_string()
                }
                _ => return Err(A::Error::custom("a value is no text")),
            };
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> TextMap {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_written_is_ascii_and_comes_back() {
        let odd = map(&[
            ("n\u{e4}me", "h\u{e9}llo \u{65e5}\u{672c} \u{1f600}"),
            ("q", "\"\\\n\u{7f}"),
        ]);
        for spaces in [Spaces::Plain, Spaces::Escaped] {
            let json = write(&odd, spaces);
            assert!(json.is_ascii(), "{json}");
            assert_eq!(json.contains(' '), spaces == Spaces::Plain);
            assert_eq!(read(json.as_bytes()), Some(odd.clone()));
        }
        assert_eq!(write(&TextMap::new(), Spaces::Plain), "{}");
    }

    #[test]
    fn only_maps_of_texts_are_read() {
        for bad in [
            "",
            "null",
            "[]",
            "\"a\"",
            "{",
            "{\"a\":1}",
            "{\"a\":null}",
            "{\"a\":{}}",
            "{} {}",
            "{\"a\":\"1\",\"a\":\"2\"}",
            "{\"a\":\"1\",}",
            "{\"a\":\"\\ud800\"}",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(read(b" { } "), Some(TextMap::new()));
        assert_eq!(
            read_with_numbers(b"{\"a\":128}", &["a"]),
            Some(map(&[("a", "128")]))
        );
        for bad in ["{\"a\":-1}", "{\"a\":1.5}", "{\"b\":1}", "{\"a\":[1]}"] {
            assert_eq!(read_with_numbers(bad.as_bytes(), &["a"]), None, "{bad}");
        }
    }
}
