// SPDX-License-Identifier: Apache-2.0
//! Answer documents.

use std::fmt::Write as _;

use bytes::Bytes;

use super::NAMESPACE;
use crate::body::SMALL_BYTES_MAX;

/// A document under construction; open elements close themselves at the end.
#[derive(Debug)]
pub(crate) struct Xml {
    out: String,
    open: Vec<&'static str>,
}

impl Xml {
    /// A document with its declaration and its root element in S3's namespace.
    pub(crate) fn document(root: &'static str) -> Self {
        let mut xml = Self {
            out: String::with_capacity(512),
            open: Vec::with_capacity(4),
        };
        xml.out
            .push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        xml.out.push_str(root);
        xml.out.push_str(" xmlns=\"");
        xml.out.push_str(NAMESPACE);
        xml.out.push_str("\">");
        xml.open.push(root);
        xml
    }

    /// A document whose root element is in no namespace.
    pub(crate) fn plain_document(root: &'static str) -> Self {
        let mut xml = Self {
            out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
            open: Vec::with_capacity(2),
        };
        xml.open(root);
        xml
    }

    /// Open an element.
    pub(crate) fn open(&mut self, name: &'static str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        self.open.push(name);
    }

    /// Close the element opened last.
    pub(crate) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// An element that holds text.
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        self.open(name);
        self.content(value);
        self.close();
    }

    /// Text of the element opened last.
    pub(crate) fn content(&mut self, value: &str) {
        escape_into(&mut self.out, value);
    }

    /// An element that holds text, where there is some.
    pub(crate) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element that holds an object name, percent-encoded when the client asked for
    /// `encoding-type=url`.
    pub(crate) fn name(&mut self, name: &'static str, value: &str, url: bool) {
        if url {
            self.text(name, &url_encoded(value));
        } else {
            self.text(name, value);
        }
    }

    /// An element that holds a number.
    pub(crate) fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        let value: u64 = value.into();
        self.text(name, &value.to_string());
    }

    /// An element that holds `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &'static str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    /// An element that holds an ETag, which S3 shows in quotes.
    pub(crate) fn etag(&mut self, value: &str) {
        self.text("ETag", &format!("\"{value}\""));
    }

    /// An element that holds a time.
    pub(crate) fn time(&mut self, name: &'static str, unix_ms: u64) {
        self.text(name, &iso8601(unix_ms));
    }

    /// The document.
    pub(crate) fn finish(mut self) -> Bytes {
        while !self.open.is_empty() {
            self.close();
        }
        // A long one may lie about for as long as its reader likes, with all that it has grown by.
        if self.out.len() > SMALL_BYTES_MAX {
            self.out.shrink_to_fit();
        }
        Bytes::from(self.out)
    }
}

/// `2026-11-21T10:00:00.000Z`: whole seconds, as in `Last-Modified`, so that the two agree.
pub(crate) fn iso8601(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// S3's `encoding-type=url`: bytes of UTF-8, everything escaped but `A-Za-z0-9-._*` and `/`.
pub(crate) fn url_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*' | b'/') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Escape for text content. Carriage returns and control characters become references, as S3
/// writes them: a parser would otherwise fold the first and refuse the others.
fn escape_into(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#x{:X};", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Element, Limits};
    use super::*;

    #[test]
    fn text_is_escaped_and_comes_back() {
        let hostile = "</Key><Key>&amp;\"'<![CDATA[x]]>\r\n\u{1}\u{7f}\u{85}\u{1f600}";
        let mut xml = Xml::document("Delete");
        xml.open("Object");
        xml.text("Key", hostile);
        let document = xml.finish();
        let limits = Limits {
            bytes: 10_000,
            elements: 10,
        };
        let parsed = Element::parse(&document, "Delete", &limits).unwrap();
        assert_eq!(
            parsed.child("Object").unwrap().required("Key").unwrap(),
            hostile
        );
        assert!(
            !std::str::from_utf8(&document)
                .unwrap()
                .contains("<Key>&amp;amp")
        );
    }

    #[test]
    fn documents_look_as_s3_writes_them() {
        let mut xml = Xml::document("A");
        xml.etag("0123");
        xml.number("N", 7_u32);
        xml.boolean("B", false);
        xml.optional("None", None);
        xml.time("T", 1_700_000_000_999);
        let text = String::from_utf8(xml.finish().to_vec()).unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <A xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ETag>&quot;0123&quot;</ETag>\
             <N>7</N><B>false</B><T>2023-11-14T22:13:20.000Z</T></A>"
        );
    }

    #[test]
    fn url_encoding_follows_s3() {
        assert_eq!(url_encoded("foo+1/b r"), "foo%2B1/b%20r");
        assert_eq!(url_encoded("a-b._*~"), "a-b._*%7E");
        assert_eq!(url_encoded("\u{e9}\u{1}%"), "%C3%A9%01%25");
    }

    #[test]
    fn times_beyond_the_calendar_do_not_fail() {
        assert_eq!(iso8601(0), "1970-01-01T00:00:00.000Z");
        assert!(iso8601(u64::MAX).starts_with("9999-12-3"));
    }
}
