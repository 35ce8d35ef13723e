// SPDX-License-Identifier: Apache-2.0
//! Standard output, written so that a closed pipe (`strongroom user list | head -1`) is no panic.

use std::fmt::Write as _;
use std::io::Write as _;

use zeroize::Zeroizing;

use crate::error::Error;

/// Writes lines. Whatever in them could command a terminal is written as an escape.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write(&escaped(text, |c| {
        c.is_control() && !matches!(c, '\n' | '\t')
    }))
}

/// Writes lines that cannot be had again. That nobody reads them is an error as well, which says what is
/// `true_now` and what to do.
pub(crate) fn print_once(text: &str, true_now: &str) -> Result<(), Error> {
    let shown = Zeroizing::new(escaped(text, |c| {
        c.is_control() && !matches!(c, '\n' | '\t')
    }));
    write_once(&mut std::io::stdout().lock(), &shown, true_now)
}

fn write_once(out: &mut impl std::io::Write, text: &str, true_now: &str) -> Result<(), Error> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::Refused(format!("cannot write to standard output: {e}; {true_now}")))
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

    struct Closed(std::io::ErrorKind);

    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Shares went to a pipe that nobody read, and the command had succeeded.
    #[test]
    fn what_cannot_be_had_again_is_missed_by_nobody() {
        use std::io::ErrorKind::{BrokenPipe, StorageFull};

        for kind in [BrokenPipe, StorageFull] {
            let lost = write_once(&mut Closed(kind), "telling-share", "make new shares");
            let said = lost.unwrap_err().to_string();
            assert!(said.ends_with("; make new shares"), "{said}");
            assert!(!said.contains("telling"), "{said}");
        }
        let mut out = Vec::new();
        write_once(&mut out, "a\n", "").unwrap();
        assert_eq!(out, b"a\n");
    }

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
