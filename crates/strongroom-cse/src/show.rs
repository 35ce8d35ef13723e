// SPDX-License-Identifier: Apache-2.0
//! Standard output and standard error. A closed pipe is no panic, and no name commands a terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use strongroom_client::Storage;

use crate::error::Error;
use crate::place::Object;

/// Writes lines; whatever in them could command a terminal is written as an escape.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let safe = escaped(text, |c| c.is_control() && !matches!(c, '\n' | '\t'));
    write(safe.as_bytes())
}

/// Writes a JSON document, in which control characters are escapes already, or become some.
pub(crate) fn print_json(document: &serde_json::Value, pretty: bool) -> Result<(), Error> {
    let text = if pretty {
        format!("{document:#}\n")
    } else {
        format!("{document}\n")
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            // Writing to a string cannot fail.
            let _ok = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    write(out.as_bytes())
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error::Io {
            doing: "cannot write to standard output".to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// One line on standard error. Nobody is left to tell if that is gone.
pub(crate) fn warn(words: &str) {
    let _unheard = writeln!(io::stderr(), "strongroom: {}", on_one_line(words));
}

/// Says where the wrapped key of an object is, if it is not in the instruction file that was asked
/// for.
pub(crate) fn place_of_key(object: &Object, storage: Storage) {
    if storage == Storage::Metadata {
        warn(&format!(
            "{object}: its wrapped key stays in its metadata: there was an object already, and the store cannot \
             copy this one onto itself"
        ));
    }
}

/// Names are other people's: none of them writes a line of its own.
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
