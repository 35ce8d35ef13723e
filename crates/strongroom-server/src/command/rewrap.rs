// SPDX-License-Identifier: Apache-2.0
//! `strongroom rewrap`: bring wrapped keys forward to the newest epochs.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::root::RewrapArgs;
use crate::config::Place;
use crate::control::{Answer, Progress, Request, RewrapCounts, Rewrapped, Stage, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(args: RewrapArgs) -> Result<(), Error> {
    let (place, _file) = Place::resolve(&args.place)?;
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        progress_bar()
    };
    let answer = client::ask(&place, &Request::Rewrap {}, &|now| show(&bar, now)).await;
    bar.finish_and_clear();
    let Answer::Rewrapped(found) = answer? else {
        return Err(Error::Refused("the server gave another answer".to_owned()));
    };
    output::print(&summary(&found))?;
    match found.material.damaged.saturating_add(found.objects.damaged) {
        0 => Ok(()),
        damaged => Err(Error::Damaged(damaged)),
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0).with_message("private files");
    bar.set_style(style());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, now: Progress) {
    bar.set_message(match now.stage {
        Stage::ObjectKeys => "object keys",
        _ => "KMS key material",
    });
    bar.set_length(now.objects_total);
    bar.set_position(now.objects);
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} [{bar:30}] {percent}% {pos}/{len}, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn summary(found: &Rewrapped) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ok = writeln!(text, "private files: {} sealed again", found.files);
    for (name, counts) in [
        ("KMS key material", &found.material),
        ("object keys", &found.objects),
    ] {
        let RewrapCounts {
            seen,
            rewrapped,
            damaged,
        } = counts;
        let _ok = writeln!(
            text,
            "{name}: {rewrapped} wrapped again, {} current or of another kind, {damaged} damaged",
            seen.saturating_sub(*rewrapped).saturating_sub(*damaged)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_is_valid_and_follows() {
        let bar = ProgressBar::hidden();
        bar.set_style(style());
        show(
            &bar,
            Progress {
                stage: Stage::ObjectKeys,
                objects: 3,
                objects_total: 7,
                ..Progress::default()
            },
        );
        assert_eq!((bar.position(), bar.length()), (3, Some(7)));
        assert_eq!(bar.message(), "object keys");
    }
}
