// SPDX-License-Identifier: Apache-2.0
//! Request documents: bytes in, a small tree out, or `Malformed`.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::reader::Reader;

use super::NAMESPACE;

/// What one operation's document may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes on the wire.
    pub(crate) bytes: usize,
    /// Elements in all.
    pub(crate) elements: usize,
}

/// The document is not well-formed, not UTF-8, uses a part of XML that S3 documents do not have,
/// goes beyond the limits, or does not follow the operation's schema. The detail is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed XML: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// An element with its text and its children, attributes left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Parse a document whose root element is `root`, in S3's namespace or in none.
    pub(crate) fn parse(body: &[u8], root: &str, limits: &Limits) -> Result<Self, Malformed> {
        if body.len() > limits.bytes {
            return Err(Malformed("more bytes than this operation takes"));
        }
        let text = std::str::from_utf8(body).map_err(|_| Malformed("not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(c) = text.chars().find(|c| !is_xml_char(*c)) {
            tracing::debug!(
                code_point = u32::from(c),
                "a character that XML does not have"
            );
            return Err(Malformed("a character that XML does not have"));
        }
        let document = Builder::new(limits).run(text)?;
        if document.name == root {
            Ok(document)
        } else {
            Err(Malformed("another root element"))
        }
    }

    /// The text of an element without children, as written.
    pub(crate) fn text(&self) -> Result<&str, Malformed> {
        if self.children.is_empty() {
            Ok(&self.text)
        } else {
            Err(Malformed("elements where text was expected"))
        }
    }

    /// Hold the children against a schema: every name is in `once` or in `many`, those in `once`
    /// come at most once, and there is no text between them.
    pub(crate) fn expect_children(&self, once: &[&str], many: &[&str]) -> Result<(), Malformed> {
        if !self.text.trim_ascii().is_empty() {
            return Err(Malformed("text where elements were expected"));
        }
        let mut seen: Vec<&str> = Vec::with_capacity(once.len());
        for child in &self.children {
            if many.contains(&child.name.as_str()) {
                continue;
            }
            if !once.contains(&child.name.as_str()) {
                return Err(Malformed("an unknown element"));
            }
            if seen.contains(&child.name.as_str()) {
                return Err(Malformed("an element given twice"));
            }
            seen.push(&child.name);
        }
        Ok(())
    }

    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of that name, in order.
    pub(crate) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// All children, in order.
    pub(crate) fn all_children(&self) -> &[Element] {
        &self.children
    }

    /// The text of a child that may be absent.
    pub(crate) fn text_of(&self, name: &str) -> Result<Option<&str>, Malformed> {
        self.child(name).map(Element::text).transpose()
    }

    /// The text of a child that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Malformed> {
        self.text_of(name)?
            .ok_or(Malformed("a required element is missing"))
    }

    /// An `xsd:boolean` child.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Malformed> {
        self.text_of(name)?
            .map(|text| match text.trim_ascii() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(Malformed("not a boolean")),
            })
            .transpose()
    }

    /// A whole number without sign.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Malformed> {
        self.text_of(name)?
            .map(|text| {
                let text = text.trim_ascii();
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Malformed("not a number"));
                }
                text.parse().map_err(|_| Malformed("a number out of range"))
            })
            .transpose()
    }

    fn empty(name: String) -> Self {
        Self {
            name,
            text: String::new(),
            children: Vec::new(),
        }
    }
}

/// The parser's state between two events.
struct Builder<'l> {
    limits: &'l Limits,
    elements: usize,
    open: Vec<Element>,
    root: Option<Element>,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            elements: 0,
            open: Vec::new(),
            root: None,
        }
    }

    fn run(mut self, text: &str) -> Result<Element, Malformed> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        let mut first = true;
        loop {
            let event = reader
                .read_event()
                .map_err(|_| Malformed("not well-formed"))?;
            match event {
                Event::Start(start) => self.start(&start)?,
                Event::Empty(start) => {
                    self.start(&start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(text) => self.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let c = match reference.resolve_char_ref() {
                        Ok(Some(c)) => c,
                        Ok(None) => predefined_entity(&reference.xml10_content())?,
                        Err(_) => return Err(Malformed("a character reference to no character")),
                    };
                    if c == '\0' || self.open.is_empty() {
                        return Err(Malformed("a reference that may not stand here"));
                    }
                    self.text(c.encode_utf8(&mut [0; 4]))?;
                }
                Event::Decl(declaration) => {
                    if !first {
                        return Err(Malformed("a declaration after the beginning"));
                    }
                    check_declaration(&declaration)?;
                }
                Event::Comment(_) => {}
                Event::PI(_) => return Err(Malformed("a processing instruction")),
                Event::DocType(_) => return Err(Malformed("a document type")),
                Event::Eof => break,
            }
            first = false;
        }
        if !self.open.is_empty() {
            return Err(Malformed("an element that is not closed"));
        }
        self.root.ok_or(Malformed("no element"))
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Malformed> {
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(Malformed("more elements than this operation takes"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Malformed("elements nested too deep"));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(Malformed("a second root element"));
        }
        let qualified_name = start.name();
        let name = qualified_name.as_ref();
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !plain {
            return Err(Malformed("an element name that S3 does not have"));
        }
        check_attributes(start)?;
        self.open.push(Element::empty(name.to_owned()));
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        let element = self.open.pop().ok_or(Malformed("an end without a start"))?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Malformed> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_ascii().is_empty() => {}
            None => return Err(Malformed("text outside the document")),
        }
        Ok(())
    }
}

/// XML 1.0, UTF-8, and nothing but that.
fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), Malformed> {
    match declaration.version() {
        Ok(version) if version == "1.0" || version == "1.1" => {}
        _ => return Err(Malformed("another version of XML")),
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(Malformed("another encoding than UTF-8")),
    }
}

/// The default namespace may be S3's; other attributes (schema locations, `xsi:type`) say nothing
/// to us, but there are few of them and they are well-formed.
fn check_attributes(start: &BytesStart<'_>) -> Result<(), Malformed> {
    for (count, attribute) in start.attributes().enumerate() {
        let attribute = attribute.map_err(|_| Malformed("attributes not well-formed"))?;
        if count >= ATTRIBUTES_MAX || attribute.value.len() > ATTRIBUTE_BYTES_MAX {
            return Err(Malformed("attributes too many or too long"));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|_| Malformed("attributes not well-formed"))?;
        let foreign = attribute.key.as_ref() == "xmlns" && !value.is_empty() && value != NAMESPACE;
        if foreign {
            return Err(Malformed("another namespace"));
        }
    }
    Ok(())
}

fn predefined_entity(name: &str) -> Result<char, Malformed> {
    match name {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Malformed("an entity that XML does not define")),
    }
}

/// The characters that may stand in an XML 1.0 document (production `Char`).
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Levels of elements; S3's deepest request document has six.
const DEPTH_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 64;
const ATTRIBUTES_MAX: usize = 8;
const ATTRIBUTE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1 << 20,
        elements: 100,
    };

    fn parse(text: &str) -> Result<Element, Malformed> {
        Element::parse(text.as_bytes(), "Delete", &LIMITS)
    }

    #[test]
    fn documents_of_stock_clients_are_read() {
        let boto = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a&amp;b\
                    </Key></Object><Quiet>true</Quiet></Delete>";
        let document = parse(boto).unwrap();
        assert_eq!(document.name, "Delete");
        assert_eq!(
            document.child("Object").unwrap().required("Key").unwrap(),
            "a&b"
        );
        assert_eq!(document.boolean("Quiet").unwrap(), Some(true));

        let java = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete>\n  <Object>\n    <Key>\
                    <![CDATA[<x>]]></Key>\n  </Object>\n<!-- none --></Delete>\n";
        let document = parse(java).unwrap();
        document.expect_children(&["Quiet"], &["Object"]).unwrap();
        assert_eq!(
            document.child("Object").unwrap().required("Key").unwrap(),
            "<x>"
        );
    }

    #[test]
    fn character_references_give_every_character_but_nul() {
        let document = parse("<Delete><Key>a&#xD;&#x1;&#10;&#x1F600;\r\nb</Key></Delete>").unwrap();
        assert_eq!(document.required("Key").unwrap(), "a\r\u{1}\n\u{1f600}\nb");
        for bad in [
            "&#0;",
            "&#x0;",
            "&#xD800;",
            "&#x110000;",
            "&#;",
            "&#x;",
            "&#-1;",
            "&#99999999999;",
        ] {
            assert!(
                parse(&format!("<Delete><Key>{bad}</Key></Delete>")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn sec_n56_document_types_entities_and_instructions_are_refused() {
        let laughs =
            "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><Delete>&b;</Delete>";
        let quadratic = format!(
            "<!DOCTYPE l [<!ENTITY a \"{}\">]><Delete>{}</Delete>",
            "x".repeat(10_000),
            "&a;".repeat(10_000)
        );
        for bad in [
            laughs,
            quadratic.as_str(),
            "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><Delete/>",
            "<!DOCTYPE x SYSTEM \"http://127.0.0.1/x.dtd\"><Delete/>",
            "<!DOCTYPE x PUBLIC \"-//X//Y\" \"http://127.0.0.1/x.dtd\"><Delete/>",
            "<!DOCTYPE Delete><Delete/>",
            "<!doctype Delete><Delete/>",
            "<Delete>&nbsp;</Delete>",
            "<Delete>&a;</Delete>",
            "<Delete>&</Delete>",
            "<Delete>&amp</Delete>",
            "<?xml-stylesheet href=\"x\"?><Delete/>",
            "<Delete><?php echo 1 ?></Delete>",
            "<Delete/><?x y?>",
            "<Delete xmlns:xi=\"http://www.w3.org/2001/XInclude\"><xi:include href=\"x\"/></Delete>",
        ] {
            assert!(parse(bad).is_err(), "{bad:.80}");
        }
    }

    #[test]
    fn sec_n57_size_depth_number_namespace_and_encoding_are_limited() {
        let deep = format!(
            "{}{}",
            "<Delete>".repeat(10_000),
            "</Delete>".repeat(10_000)
        );
        let many = format!("<Delete>{}</Delete>", "<Object/>".repeat(101));
        let long_attribute = format!("<Delete a=\"{}\"/>", "x".repeat(2_000));
        let attributes = (0..9)
            .map(|n| format!(" a{n}=\"\""))
            .collect::<Vec<_>>()
            .concat();
        let many_attributes = format!("<Delete{attributes}/>");
        let long_name = format!("<{0}></{0}>", "D".repeat(65));
        let big = format!("<Delete>{}</Delete>", " ".repeat(1 << 20));
        for bad in [
            deep.as_str(),
            &many,
            &long_attribute,
            &many_attributes,
            &long_name,
            &big,
            "<Delete xmlns=\"http://example.com/\"/>",
            "<s3:Delete xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete/>",
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Delete/>",
            "<?xml version=\"2.0\"?><Delete/>",
            " <?xml version=\"1.0\"?><Delete/>",
            "<Delete/><?xml version=\"1.0\"?>",
        ] {
            assert!(parse(bad).is_err(), "{bad:.80}");
        }
        let utf16: Vec<u8> = "\u{feff}<Delete/>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(Element::parse(&utf16, "Delete", &LIMITS).is_err());
        let utf16: Vec<u8> = "\u{feff}<Delete/>"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert!(Element::parse(&utf16, "Delete", &LIMITS).is_err());
        assert!(Element::parse(b"<Delete>\xff</Delete>", "Delete", &LIMITS).is_err());
        assert!(Element::parse(b"<Delete>\xc0\x80</Delete>", "Delete", &LIMITS).is_err());
        assert!(Element::parse(b"<Delete>\xed\xa0\x80</Delete>", "Delete", &LIMITS).is_err());
        assert!(Element::parse("\u{feff}<Delete/>".as_bytes(), "Delete", &LIMITS).is_ok());
        let at_limit = format!("<Delete>{}</Delete>", "<Object/>".repeat(99));
        assert!(parse(&at_limit).is_ok());
        let depth_at_limit = format!("{}{}", "<Delete>".repeat(16), "</Delete>".repeat(16));
        assert!(parse(&depth_at_limit).is_ok());
    }

    #[test]
    fn ill_formed_documents_are_refused() {
        for bad in [
            "",
            " ",
            "text",
            "<Delete>",
            "</Delete>",
            "<Delete></Other>",
            "<Delete/><Delete/>",
            "<Delete/>text",
            "text<Delete/>",
            "&amp;<Delete/>",
            "<Delete/>&amp;",
            "<Delete",
            "<Delete a></Delete>",
            "<Delete a=b/>",
            "<Delete a=\"1\" a=\"2\"/>",
            "<Delete a=\"<\"/",
            "<Delete a=\"&x;\"/>",
            "<Delete><![CDATA[x</Delete>",
            "<Delete><!-- x</Delete>",
            "<Delete><!-- a -- b --></Delete>",
            "<Delete><Key>\u{1}</Key></Delete>",
            "<Delete><Key>\0</Key></Delete>",
            "<Delete><Key>\u{ffff}</Key></Delete>",
            "<delete/>",
            "<Other/>",
            "<Del\u{e9}te/>",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sec_n58_schema_refuses_unknown_doubled_and_misplaced_content() {
        let schema = |text: &str| {
            parse(text).and_then(|document| document.expect_children(&["Quiet"], &["Object"]))
        };
        schema("<Delete><Object/><Quiet/><Object/></Delete>").unwrap();
        for bad in [
            "<Delete><Quiet/><Quiet/></Delete>",
            "<Delete><quiet/></Delete>",
            "<Delete><Objects/></Delete>",
            "<Delete>x<Object/></Delete>",
            "<Delete><Object/>&lt;</Delete>",
        ] {
            assert!(schema(bad).is_err(), "{bad}");
        }
        let number = |text: &str| {
            parse(&format!("<Delete><N>{text}</N></Delete>"))
                .unwrap()
                .number("N")
        };
        assert_eq!(number("0").unwrap(), Some(0));
        assert_eq!(number(" 10000 ").unwrap(), Some(10_000));
        assert_eq!(number("18446744073709551615").unwrap(), Some(u64::MAX));
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "0x1",
            "1e3",
            "18446744073709551616",
            "\u{661}",
            "1 2",
        ] {
            assert!(number(bad).is_err(), "{bad}");
        }
        let boolean = |text: &str| {
            parse(&format!("<Delete><B>{text}</B></Delete>"))
                .unwrap()
                .boolean("B")
        };
        assert_eq!(boolean("true").unwrap(), Some(true));
        assert_eq!(boolean("false").unwrap(), Some(false));
        for bad in ["", "yes", "TRUE", "True", "2", "<x/>"] {
            assert!(boolean(bad).is_err(), "{bad}");
        }
    }
}
