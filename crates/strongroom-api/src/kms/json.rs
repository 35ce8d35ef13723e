// SPDX-License-Identifier: Apache-2.0
//! AWS JSON 1.1 documents, in.
//!
//! Our own small tree instead of `serde_json::Value`: every string is wiped when the tree goes (a
//! request may carry plaintext), a member given twice is an error instead of the last one winning,
//! and nesting is counted.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A JSON value.
pub(crate) enum Json {
    /// `null`.
    Null,
    /// `true`, `false`.
    Boolean(bool),
    /// A number that is whole and fits.
    Integer(i64),
    /// Any other number; infinite when it is whole and does not fit. Only times take one.
    Fraction(f64),
    /// A string.
    Text(Zeroizing<String>),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Map(BTreeMap<String, Json>),
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) | Self::Fraction(_) => "number",
            Self::Text(_) => "text [redacted]",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        })
    }
}

/// The body is not a JSON object that this service reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object")]
pub(crate) struct NotJson;

impl Json {
    /// Parse a request body: one object, or nothing at all, which stands for `{}`.
    pub(crate) fn parse_object(body: &[u8]) -> Result<BTreeMap<String, Json>, NotJson> {
        if body.trim_ascii().is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let value = Nested { depth: 0 }
            .deserialize(&mut deserializer)
            .map_err(|_| NotJson)?;
        deserializer.end().map_err(|_| NotJson)?;
        match value {
            Json::Map(members) => Ok(members),
            _ => Err(NotJson),
        }
    }
}

/// A value at some depth.
#[derive(Clone, Copy)]
struct Nested {
    depth: usize,
}

impl Nested {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom("nested too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Fraction(f64::INFINITY), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut map = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member given twice"));
            }
        }
        Ok(Json::Map(map))
    }
}

/// Levels of arrays and objects; the deepest document of the service has four.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read() {
        let members = Json::parse_object(
            b" {\"a\":\"x\\u0041\",\"n\":1024,\"f\":1.5,\"t\":true,\"z\":null,\"l\":[\"p\"],\"m\":{\"k\":\"v\"}} ",
        )
        .unwrap();
        assert!(matches!(members.get("a"), Some(Json::Text(text)) if text.as_str() == "xA"));
        assert!(matches!(members.get("n"), Some(Json::Integer(1024))));
        assert!(matches!(members.get("f"), Some(Json::Fraction(_))));
        assert!(matches!(members.get("t"), Some(Json::Boolean(true))));
        assert!(matches!(members.get("z"), Some(Json::Null)));
        assert!(matches!(members.get("l"), Some(Json::List(list)) if list.len() == 1));
        assert!(matches!(members.get("m"), Some(Json::Map(map)) if map.len() == 1));
        assert!(Json::parse_object(b"").unwrap().is_empty());
        assert!(Json::parse_object(b" \n").unwrap().is_empty());
        assert!(Json::parse_object(b"{}").unwrap().is_empty());
    }

    #[test]
    fn sec_n42_doubled_members_and_byte_order_marks_are_refused() {
        for bad in [
            &b"{\"a\":1,\"a\":1}"[..],
            b"{\"a\":1,\"\\u0061\":2}",
            b"{\"m\":{\"k\":\"v\",\"k\":\"v\"}}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\xed\xa0\x80\"}",
            b"{\"a\":\"\\ud800\"}",
        ] {
            assert_eq!(Json::parse_object(bad).unwrap_err(), NotJson);
        }
    }

    #[test]
    fn sec_n88_deep_and_broken_documents_are_refused() {
        let deep_lists = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_maps = format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17));
        let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        for bad in [
            deep_lists.as_bytes(),
            deep_maps.as_bytes(),
            &gzip,
            b"{",
            b"}",
            b"[]",
            b"\"x\"",
            b"1",
            b"null",
            b"{}{}",
            b"{} x",
            b"{'a':1}",
            b"{a:1}",
            b"{\"a\":1,}",
            b"{\"a\":01}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\x01\"}",
            b"{\"a\"}",
            b"// x\n{}",
        ] {
            assert_eq!(Json::parse_object(bad).unwrap_err(), NotJson);
        }
        let at_limit = format!("{}1{}", "{\"a\":".repeat(16), "}".repeat(16));
        assert!(Json::parse_object(at_limit.as_bytes()).is_ok());
    }

    #[test]
    fn values_do_not_show_in_debug_output() {
        let members = Json::parse_object(b"{\"Plaintext\":\"c2VjcmV0\"}").unwrap();
        assert!(!format!("{members:?}").contains("c2Vj"));
    }
}
