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
        let _ok = writeln!(text, "DAMAGED {damage}");
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
