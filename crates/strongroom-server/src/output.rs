// SPDX-License-Identifier: Apache-2.0
//! Standard output, written so that a closed pipe (`strongroom user list | head -1`) is no panic.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::error::Error;

/// Writes lines. Whatever in them could command a terminal is written as an escape.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write(&escaped(text, |c| {
        c.is_control() && !matches!(c, '\n' | '\t')
    }))
}

/// Writes a JSON document. JSON lets a string hold U+007F to U+009F as they are; a terminal should
/// not get them.
pub(crate) fn print_json(document: &serde_json::Value) -> Result<(), Error> {
    write(&json(document))
}

fn json(document: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in format!("{document:#}\n").chars() {
        if c.is_control() && c != '\n' {
            // Every control character is below U+10000. Writing to a string cannot fail.
            let _ok = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn write(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", e))
        }
        _ => Ok(()),
    }
}

/// Names are the clients': one of them must neither write a line of a report nor command the
/// terminal that it is shown on.
pub(crate) fn on_one_line(text: &str) -> String {
    escaped(text, char::is_control)
}

fn escaped(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if which(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_names_write_no_lines_and_command_no_terminal() {
        let name = "s3://b/k\u{1b}[2J\r\n0 damaged\u{9b}\u{7f}: gr\u{fc}n";
        let shown = on_one_line(name);
        assert!(!shown.chars().any(char::is_control), "{shown}");
        assert_eq!(shown.lines().count(), 1);
        assert!(shown.ends_with(": gr\u{fc}n"));
        let lines = escaped("a\u{1b}c\nb\u{9b}", |c| c.is_control() && c != '\n');
        assert_eq!(lines, "a\\u{1b}c\nb\\u{9b}");
    }

    #[test]
    fn sec_documents_command_no_terminal_and_stay_documents() {
        let document = serde_json::json!({ "name": "a\u{1b}[2J\n\u{9b}\u{7f}\u{fc}" });
        let shown = json(&document);
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "{shown}"
        );
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, document);
    }
}
