// SPDX-License-Identifier: Apache-2.0
//! The headers of one part of a form.

/// What the headers of a part say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartHeaders {
    /// Name of the field.
    pub(super) name: String,
    /// The file's name, where there is one.
    pub(super) file_name: Option<String>,
}

/// Reads the header lines of a part, without the empty line; `None`: not a part of a form.
pub(super) fn parse(lines: &[u8]) -> Option<PartHeaders> {
    let text = std::str::from_utf8(lines).ok()?;
    let mut found = None;
    for line in text.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || !name.bytes().all(is_token) || value.bytes().any(is_control) {
            return None;
        }
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-disposition") {
            if found.replace(disposition(value)?).is_some() {
                return None;
            }
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            // Content that would have to be decoded first; no browser sends it.
            let plain = ["7bit", "8bit", "binary"];
            if !plain.iter().any(|p| value.eq_ignore_ascii_case(p)) {
                return None;
            }
        }
    }
    found
}

fn disposition(value: &str) -> Option<PartHeaders> {
    let (kind, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    if !kind
        .trim_matches([' ', '\t'])
        .eq_ignore_ascii_case("form-data")
    {
        return None;
    }
    let mut field = None;
    let mut file_name = None;
    for (name, value) in parameters(rest)?.0 {
        let slot = match name.as_str() {
            "name" => &mut field,
            "filename" => &mut file_name,
            // `filename*` has no place in a form (RFC 7578, section 4.2).
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    Some(PartHeaders {
        name: field?,
        file_name,
    })
}

/// Parameters of a header, names in lower case.
pub(super) struct Parameters(pub(super) Vec<(String, String)>);

/// Reads `; name=value; name="value"`; `None` if it is anything else. In quotes only `\"` is an
/// escape: browsers write paths with plain backslashes.
pub(super) fn parameters(text: &str) -> Option<Parameters> {
    let mut found = Vec::new();
    let mut rest = text.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        rest = rest.strip_prefix(';')?.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            break;
        }
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            quoted_value(quoted)?
        } else {
            let (value, after) = after.split_at(after.find(';').unwrap_or(after.len()));
            let value = value.trim_end_matches([' ', '\t']);
            if value.is_empty() || !value.bytes().all(|b| is_token(b) || b >= 0x80) {
                return None;
            }
            (value.to_owned(), after)
        };
        found.push((name.to_ascii_lowercase(), value));
        rest = after.trim_start_matches([' ', '\t']);
    }
    Some(Parameters(found))
}

/// The value up to its closing quote, and what stands behind that.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                value.push('"');
            }
            c if c.is_ascii_control() => return None,
            c => value.push(c),
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Option<(String, Option<String>)> {
        parse(lines.as_bytes()).map(|part| (part.name, part.file_name))
    }

    #[test]
    fn parts_of_real_clients() {
        for (lines, name, file_name) in [
            ("Content-Disposition: form-data; name=\"key\"", "key", None),
            ("content-disposition:form-data;name=key", "key", None),
            (
                "Content-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a b.txt\"\r\nContent-Type: text/plain",
                "file",
                Some("C:\\dir\\a b.txt"),
            ),
            (
                "Content-Type: text/plain\r\nContent-Disposition: form-data; filename=\"\"; name=\"file\"",
                "file",
                Some(""),
            ),
            (
                "Content-Disposition: form-data; name=\"a\\\"b\"; filename=\"\u{e9}\"\r\nContent-Transfer-Encoding: binary",
                "a\"b",
                Some("\u{e9}"),
            ),
            (
                "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''x",
                "file",
                None,
            ),
        ] {
            assert_eq!(
                read(lines),
                Some((name.to_owned(), file_name.map(str::to_owned))),
                "{lines}"
            );
        }
    }

    #[test]
    fn parts_that_are_none() {
        for lines in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition",
            "Content-Disposition: form-data",
            "Content-Disposition: file; name=\"file\"",
            "Content-Disposition: attachment; name=\"key\"",
            "Content-Disposition: form-data; name=\"key",
            "Content-Disposition: form-data; name=\"key\" x",
            "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
            "Content-Disposition: form-data; name=\"a\"; NAME=\"b\"",
            "Content-Disposition: form-data; name=\"a\"; filename=x; filename=y",
            "Content-Disposition: form-data; name = \"a\"",
            "Content-Disposition: form-data, name=\"a\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            "Content-Disposition: form-data; name=\"a\"\r\n folded",
            "Content-Disposition : form-data; name=\"a\"",
            "Content-Disposition: form-data; name=\"a\nb\"",
            "Content-Disposition: form-data; name=\"a\0\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
        assert_eq!(
            parse(b"Content-Disposition: form-data; name=\"\xff\""),
            None
        );
    }
}
