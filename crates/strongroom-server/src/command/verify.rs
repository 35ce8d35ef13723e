// SPDX-License-Identifier: Apache-2.0
//! `strongroom verify`: read everything again and say what is damaged.

use std::fmt::Write as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::VerifyArgs;
use crate::config::Place;
use crate::control::{Answer, Request, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(args: VerifyArgs) -> Result<(), Error> {
    let (place, _file) = Place::resolve(&args.place)?;
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        progress_bar()
    };
    let answer = client::ask(&place, &Request::Verify {}, &|now| {
        bar.set_message(format!("{} objects", now.objects));
        bar.set_position(now.bytes);
    })
    .await;
    bar.finish_and_clear();
    let Answer::Verification(found) = answer? else {
        return Err(Error::Refused("the server gave another answer".to_owned()));
    };
    let mut text = String::new();
    for damage in &found.damaged {
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "DAMAGED {}", on_one_line(damage));
    }
    let _ok = writeln!(
        text,
        "{} objects ({} bytes) and {} parts of open uploads read, {} damaged",
        found.objects,
        found.bytes,
        found.open_parts,
        found.damaged.len(),
    );
    if found.unopened > 0 {
        let _ok = writeln!(
            text,
            "{} objects could not be opened here (customer key, or KMS key not usable): their \
             checksums are right, their tags were not checked",
            found.unopened
        );
    }
    output::print(&text)?;
    match u64::try_from(found.damaged.len()) {
        Ok(0) => Ok(()),
        Ok(n) => Err(Error::Damaged(n)),
        Err(_) => Err(Error::Damaged(u64::MAX)),
    }
}

/// Names are the clients': one of them must neither write a line of this report nor command the
/// terminal it is shown on.
fn on_one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Drawn on standard error, and only if that is a terminal.
fn progress_bar() -> ProgressBar {
    let template = "{spinner} {msg}, {binary_bytes} read, {binary_bytes_per_sec}, {elapsed}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message("0 objects");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
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
    }
}
