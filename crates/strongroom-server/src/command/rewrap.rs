// SPDX-License-Identifier: Apache-2.0
//! `strongroom rewrap`: bring wrapped keys forward to the newest epochs, or a bucket under another
//! KMS key.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::root::RewrapArgs;
use crate::config::Place;
use crate::control::{
    Answer, Progress, Request, RewrapCounts, Rewrapped, RewrappedBucket, Stage, client,
};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(args: RewrapArgs) -> Result<(), Error> {
    let (place, _file) = Place::resolve(&args.place)?;
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        progress_bar()
    };
    let request = match (args.bucket, args.to) {
        (Some(bucket), Some(to)) => Request::RewrapBucket {
            bucket,
            prefix: args.prefix.unwrap_or_default(),
            to,
            dry_run: args.dry_run,
        },
        (_, _) => Request::Rewrap {},
    };
    let answer = client::ask(&place, &request, &|now| show(&bar, now)).await;
    bar.finish_and_clear();
    let (text, not_well) = match answer? {
        Answer::Rewrapped(found) => (
            summary(&found),
            found.material.damaged.saturating_add(found.objects.damaged),
        ),
        Answer::RewrappedBucket(found) => (bucket_summary(&found, args.dry_run), found.left.total),
        _ => return Err(Error::Refused("the server gave another answer".to_owned())),
    };
    output::print(&text)?;
    match not_well {
        0 => Ok(()),
        count => Err(Error::Damaged(count)),
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

fn bucket_summary(found: &RewrappedBucket, dry_run: bool) -> String {
    let mut text = String::new();
    let RewrappedBucket {
        key_arn,
        seen,
        rewrapped,
        current,
        left,
    } = found;
    // Writing to a string cannot fail.
    for line in &left.lines {
        let _ok = writeln!(text, "left: {line}");
    }
    let more = left
        .total
        .saturating_sub(u64::try_from(left.lines.len()).unwrap_or(u64::MAX));
    if more > 0 {
        let _ok = writeln!(text, "left: {more} more");
    }
    let done = if dry_run { "would come" } else { "came" };
    let _ok = writeln!(
        text,
        "{seen} versions: {rewrapped} {done} under {key_arn}, {current} were under it, {} left",
        left.total
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_of_a_bucket_names_what_was_left() {
        let mut found = RewrappedBucket {
            key_arn: "arn:K".to_owned(),
            seen: 7,
            rewrapped: 3,
            current: 1,
            left: crate::control::Found {
                total: 3,
                lines: vec!["s3://b/k: under a customer key (SSE-C)".to_owned()],
            },
        };
        assert_eq!(
            bucket_summary(&found, false),
            "left: s3://b/k: under a customer key (SSE-C)\nleft: 2 more\n\
             7 versions: 3 came under arn:K, 1 were under it, 3 left\n"
        );
        found.left.total = 0;
        found.left.lines.clear();
        assert_eq!(
            bucket_summary(&found, true),
            "7 versions: 3 would come under arn:K, 1 were under it, 0 left\n"
        );
    }

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
