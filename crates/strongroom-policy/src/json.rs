// SPDX-License-Identifier: Apache-2.0
//! A JSON reader for policy documents.
//!
//! Readers that keep the last of two equal keys let a document mean one thing to the person who
//! reviews it and another to the machine. This one refuses them, has a limit of depth, keeps
//! numbers as they were written and knows the place of every value. It accepts RFC 8259 and
//! nothing more.

use std::collections::BTreeSet;

use crate::error::{PolicyError, Reason};

/// A value, where it begins and the first byte behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) offset: usize,
    pub(crate) end: usize,
    pub(crate) value: Value,
}

/// A JSON value; numbers as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Reads a whole document.
pub(crate) fn read(text: &str) -> Result<Node, PolicyError> {
    if text.starts_with('\u{feff}') {
        return Err(PolicyError::new(text, 0, "", Reason::ByteOrderMark));
    }
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    reader.skip_space();
    let node = reader.value()?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.refuse("text behind the end"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Node, PolicyError> {
        let offset = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.refuse("expected a value")),
            None => return Err(self.refuse("the document ends early")),
        };
        let end = self.at;
        Ok(Node { offset, end, value })
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, PolicyError>,
    ) -> Result<Value, PolicyError> {
        if self.depth >= DEPTH_MAX {
            let reason = Reason::TooDeep { max: DEPTH_MAX };
            return Err(PolicyError::new(self.text, self.at, "", reason));
        }
        self.depth = self.depth.saturating_add(1);
        let value = read(self);
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn object(&mut self) -> Result<Value, PolicyError> {
        self.step();
        let mut members: Vec<(String, Node)> = Vec::new();
        let mut known = BTreeSet::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key_at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.refuse("expected a key in quotes"));
            }
            let key = self.string()?;
            if !known.insert(key.clone()) {
                let reason = Reason::DuplicateKey(key);
                return Err(PolicyError::new(self.text, key_at, "", reason));
            }
            self.skip_space();
            if !self.take(b':') {
                return Err(self.refuse("expected `:`"));
            }
            self.skip_space();
            let node = self.value()?;
            members.push((key, node));
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.refuse("expected `,` or `}`"));
            }
            self.skip_space();
        }
    }

    fn array(&mut self) -> Result<Value, PolicyError> {
        self.step();
        let mut elements = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.take(b',') {
                return Err(self.refuse("expected `,` or `]`"));
            }
            self.skip_space();
        }
    }

    fn string(&mut self) -> Result<String, PolicyError> {
        self.step();
        let mut out = String::new();
        loop {
            let plain_from = self.at;
            while matches!(self.peek(), Some(byte) if byte >= 0x20 && byte != b'"' && byte != b'\\')
            {
                self.step();
            }
            out.push_str(self.text.get(plain_from..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.refuse("a control character in a string")),
                None => return Err(self.refuse("a string without an end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, PolicyError> {
        self.step();
        let escaped = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.step();
                return self.unicode_escape();
            }
            _ => return Err(self.refuse("an unknown escape")),
        };
        self.step();
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, PolicyError> {
        let first = self.four_digits()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        let is_high = (0xd800..0xdc00).contains(&first);
        if !is_high || !self.take(b'\\') || !self.take(b'u') {
            return Err(self.refuse("half a surrogate pair"));
        }
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.refuse("half a surrogate pair"));
        }
        let high = first.saturating_sub(0xd800) << 10;
        let code = high
            .saturating_add(second.saturating_sub(0xdc00))
            .saturating_add(0x1_0000);
        char::from_u32(code).ok_or_else(|| self.refuse("not a character"))
    }

    fn four_digits(&mut self) -> Result<u32, PolicyError> {
        let end = self.at.saturating_add(4);
        let digits = self.text.get(self.at..end).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.refuse("expected four hexadecimal digits"));
        }
        let value = u32::from_str_radix(digits, 16);
        self.at = end;
        value.map_err(|_| self.refuse("expected four hexadecimal digits"))
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<String, PolicyError> {
        let from = self.at;
        self.take(b'-');
        if !self.take(b'0') && !self.digits() {
            return Err(self.refuse("expected a digit"));
        }
        if self.take(b'.') && !self.digits() {
            return Err(self.refuse("expected a digit"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            if !self.digits() {
                return Err(self.refuse("expected a digit"));
            }
        }
        Ok(self.text.get(from..self.at).unwrap_or_default().to_owned())
    }

    /// Whether there was at least one.
    fn digits(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.step();
        }
        self.at > from
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, PolicyError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.refuse("expected a value"));
        }
        self.at = self.at.saturating_add(word.len());
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.step();
        }
        there
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn refuse(&self, what: &'static str) -> PolicyError {
        PolicyError::new(self.text, self.at, "", Reason::Json(what))
    }
}

/// A policy needs six levels.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn as_serde(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::String(text) => text.clone().into(),
            Value::Array(nodes) => nodes.iter().map(as_serde).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, node)| (key.clone(), as_serde(node)))
                .collect(),
        }
    }

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            "null",
            " [ ] ",
            "{}",
            r#"{"a":[1,-0,1.5,-2e9,3E+2,4e-1,true,false,null],"b":{"c":""}}"#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00x""#,
            "\"\u{e9}\u{1f600}\u{7f}\"",
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(as_serde(&read(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "nul",
            "True",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"\\ud800\"",
            "\"\\ud800x\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\n\"",
            "\"\t\"",
            "1 1",
            "{} x",
            "[1 2]",
            "{\"a\" 1}",
            "// x\n1",
            "NaN",
            "\u{a0}1",
            "\u{0}",
        ] {
            let error = read(text).expect_err(text);
            assert!(matches!(error.reason(), Reason::Json(_)), "{text}: {error}");
            assert!(
                serde_json::from_str::<serde_json::Value>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn equal_keys_are_refused_however_they_are_written() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"a":1,"b":2,"a":3}}]"#,
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(
                *error.reason(),
                Reason::DuplicateKey("a".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        let error = read(&nested(DEPTH_MAX + 1)).unwrap_err();
        assert_eq!(*error.reason(), Reason::TooDeep { max: DEPTH_MAX });
        assert!(read(&nested(1_000_000)).is_err());
        assert!(read(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let error = read("{\n \"\u{e9}\": x}").unwrap_err();
        assert_eq!(error.position(), (2, 7));
    }
}
