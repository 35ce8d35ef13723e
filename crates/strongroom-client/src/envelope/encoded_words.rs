// SPDX-License-Identifier: Apache-2.0
//! What S3 makes of user metadata that is not ASCII, undone.
//!
//! Clients send UTF-8. S3 takes the bytes for Latin-1, encodes those characters as UTF-8 and
//! returns the result as RFC 2047 encoded words. Both steps are taken back here.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The text as its writer meant it. What is not encoded in this way is returned as it is.
pub(crate) fn undo(value: &str) -> Cow<'_, str> {
    if !value.starts_with("=?") {
        return Cow::Borrowed(value);
    }
    match words(value) {
        Some(text) => Cow::Owned(from_latin1(&text)),
        None => Cow::Borrowed(value),
    }
}

/// Decodes encoded words; white space between two of them belongs to neither.
fn words(value: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = value;
    while let Some(word) = rest.strip_prefix("=?") {
        let (charset, word) = word.split_once('?')?;
        let (encoding, word) = word.split_once('?')?;
        let (text, behind) = word.split_once("?=")?;
        if !charset.eq_ignore_ascii_case("utf-8") {
            return None;
        }
        let bytes = match encoding {
            "B" | "b" => STANDARD.decode(text).ok()?,
            "Q" | "q" => quoted(text)?,
            _ => return None,
        };
        out.push_str(std::str::from_utf8(&bytes).ok()?);
        let next = behind.trim_start_matches([' ', '\t', '\r', '\n']);
        if next.starts_with("=?") {
            rest = next;
        } else {
            rest = "";
            out.push_str(behind);
        }
    }
    Some(out)
}

fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b' ',
            b'=' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(out)
}

/// Replaces each run of U+0080..U+00FF by the text whose UTF-8 bytes have those numbers, where
/// there is such a text.
fn from_latin1(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = Vec::new();
    for character in text.chars() {
        match u8::try_from(u32::from(character)) {
            Ok(byte) if byte >= 0x80 => run.push(byte),
            _ => {
                end_run(&mut out, &mut run);
                out.push(character);
            }
        }
    }
    end_run(&mut out, &mut run);
    out
}

fn end_run(out: &mut String, run: &mut Vec<u8>) {
    match std::str::from_utf8(run) {
        Ok(text) => out.push_str(text),
        Err(_) => out.extend(run.iter().map(|byte| char::from(*byte))),
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As S3 returns it: UTF-8 taken for Latin-1, as UTF-8 again, in one encoded word.
    fn as_s3_returns(text: &str) -> String {
        let latin: String = text.bytes().map(char::from).collect();
        format!("=?UTF-8?B?{}?=", STANDARD.encode(latin))
    }

    #[test]
    fn what_s3_did_is_undone() {
        let text = "{\"name\":\"h\u{e9}llo \u{65e5}\u{672c}\"}";
        assert_eq!(undo(&as_s3_returns(text)), text);
        assert_eq!(undo("=?UTF-8?Q?a_=C3=83=C2=A9?="), "a \u{e9}");
        let two = format!("{} {}", as_s3_returns("\u{e9}"), as_s3_returns("\u{e8}"));
        assert_eq!(undo(&two), "\u{e9}\u{e8}");
    }

    #[test]
    fn everything_else_is_left_alone() {
        for value in [
            "",
            "{}",
            "plain",
            "=?",
            "=?UTF-8?B?!!?=",
            "=?UTF-8?X?aa?=",
            "=?UTF-8?Q?=+A?=",
            "=?UTF-8?Q?=4?=",
            "=?UTF-8?Q?=zz?=",
            "=?UTF-8?B?/w==?=",
            "=?x?B?YQ==?=",
        ] {
            assert_eq!(undo(value), value);
        }
    }
}
