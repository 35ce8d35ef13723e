// SPDX-License-Identifier: Apache-2.0
//! `strongroom verify`: read everything again and say what is damaged.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::VerifyArgs;
use crate::config::Place;
use crate::control::{Answer, Found, Progress, Request, Stage, Verification, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(args: VerifyArgs) -> Result<(), Error> {
    let (place, _file) = Place::resolve(&args.place)?;
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        progress_bar()
    };
    let answer = client::ask(&place, &Request::Verify {}, &|now| show(&bar, now)).await;
    bar.finish_and_clear();
    let Answer::Verification(found) = answer? else {
        return Err(Error::Refused("the server gave another answer".to_owned()));
    };
    output::print(&summary(&found))?;
    match found.damaged.total.saturating_add(found.unreferred.total) {
        0 => Ok(()),
        bad => Err(Error::Damaged(bad)),
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(words(Progress::default()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar with an end where the end is known, a count of bytes elsewhere. Rate and time left are
/// those of the stage.
fn show(bar: &ProgressBar, now: Progress) {
    let message = words(now);
    // The bar goes back only when a stage begins.
    if now.bytes < bar.position() || bar.length() != length(now) {
        bar.reset();
        match length(now) {
            Some(length) => bar.set_length(length),
            None => bar.unset_length(),
        }
        bar.set_style(style(now.bytes_total.is_some()));
    }
    bar.set_message(message);
    bar.set_position(now.bytes);
}

/// What is there may have grown since it was counted.
fn length(now: Progress) -> Option<u64> {
    now.bytes_total.map(|total| total.max(now.bytes))
}

fn style(has_end: bool) -> ProgressStyle {
    let template = if has_end {
        "{msg} [{bar:30}] {percent}% {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, \
         {eta} left"
    } else {
        "{spinner} {msg}, {binary_bytes}, {binary_bytes_per_sec}"
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}

fn words(now: Progress) -> String {
    match now.stage {
        Stage::Counting => format!("counting: {} objects", now.objects_total),
        Stage::Bodies => format!("{}/{} objects", now.objects, now.objects_total),
        Stage::Rows => "rows of the tables".to_owned(),
        Stage::Log => "log of the tables".to_owned(),
        Stage::Blobs => "catalogue of blobs".to_owned(),
        Stage::Vault => "vault".to_owned(),
        Stage::Audit => "audit log".to_owned(),
        Stage::KeyMaterial | Stage::ObjectKeys => "wrapped keys".to_owned(),
        Stage::Dependants => "what depends on a key".to_owned(),
        Stage::Scrub => "reading everything again".to_owned(),
    }
}

/// What was checked, and what was found.
fn summary(found: &Verification) -> String {
    let mut text = String::new();
    list(&mut text, "DAMAGED", &found.damaged);
    list(&mut text, "UNREFERRED", &found.unreferred);
    let audit = &found.audit;
    let lines = [
        format!(
            "read: {} objects ({} bytes) and {} parts of open uploads",
            found.objects, found.bytes, found.open_parts
        ),
        format!(
            "read: {} rows of the tables ({} bytes), {} commits in their log ({} bytes)",
            found.rows, found.row_bytes, found.commits, found.log_bytes
        ),
        format!(
            "compared: {} blobs of the catalogue with the rows that refer to them, {} without one",
            found.blobs, found.unreferred_blobs
        ),
        format!(
            "opened: {} versions of KMS keys with the {} shred keys of the vault",
            found.materials, found.vault_files
        ),
        format!(
            "chained: {} audit records in {} files, the last is number {} with SHA-256 {}",
            audit.records, audit.files, audit.last, audit.hash
        ),
    ];
    for line in lines {
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "{line}");
    }
    if found.unopened > 0 {
        let _ok = writeln!(
            text,
            "{} objects could not be opened here (customer key, or KMS key not usable): their \
             checksums are right, their tags were not checked",
            found.unopened
        );
    }
    let _ok = writeln!(text, "found: {} damaged", found.damaged.total);
    text
}

fn list(text: &mut String, word: &str, found: &Found) {
    for line in &found.lines {
        let _ok = writeln!(text, "{word} {}", output::on_one_line(line));
    }
    let listed = u64::try_from(found.lines.len()).unwrap_or(u64::MAX);
    let more = found.total.saturating_sub(listed);
    if more > 0 {
        let _ok = writeln!(text, "{word} and {more} more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(bytes: u64, bytes_total: u64) -> Progress {
        Progress {
            stage: Stage::Bodies,
            objects: 1,
            objects_total: 2,
            bytes,
            bytes_total: Some(bytes_total),
        }
    }

    #[test]
    fn the_bar_has_an_end_where_the_end_is_known() {
        let bar = ProgressBar::hidden();
        show(&bar, Progress::default());
        assert_eq!(bar.length(), None);
        show(&bar, bodies(0, 1_000));
        assert_eq!((bar.length(), bar.position()), (Some(1_000), 0));
        show(&bar, bodies(600, 1_000));
        assert_eq!((bar.length(), bar.position()), (Some(1_000), 600));
        assert_eq!(bar.message(), "1/2 objects");
        // More was written since it was counted.
        show(&bar, bodies(1_200, 1_000));
        assert_eq!((bar.length(), bar.position()), (Some(1_200), 1_200));
        let rows = Progress {
            stage: Stage::Rows,
            bytes: 5,
            ..Progress::default()
        };
        show(&bar, rows);
        assert_eq!((bar.length(), bar.position()), (None, 5));
        assert_eq!(bar.message(), "rows of the tables");
    }

    #[test]
    fn both_styles_are_valid() {
        for has_end in [true, false] {
            let bar = ProgressBar::hidden();
            bar.set_style(style(has_end));
            bar.tick();
        }
        let template = "{msg} [{bar:30}] {percent}% {binary_bytes}/{binary_total_bytes}";
        assert!(ProgressStyle::with_template(template).is_ok());
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let mut text = String::new();
        let found = Found {
            total: 3,
            lines: vec!["a\nfound: 0\u{1b}[2J".to_owned()],
        };
        list(&mut text, "DAMAGED", &found);
        let lines = "DAMAGED a\\nfound: 0\\u{1b}[2J\nDAMAGED and 2 more\n";
        assert_eq!(text, lines);
    }
}
