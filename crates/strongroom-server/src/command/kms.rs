// SPDX-License-Identifier: Apache-2.0
//! `strongroom kms list | impact | verify-destroyed | confirm-clock`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use strongroom_store::drive::small_file;

use crate::cli::kms::{KmsCommand, VerifyDestroyedArgs};
use crate::config::Place;
use crate::control::{Answer, BucketImpact, KmsClock, KmsDestruction, KmsKey, Request, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(command: KmsCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        KmsCommand::List(_) => match client::ask(&place, &Request::KmsList {}, &|_| ()).await? {
            Answer::KmsKeys(keys) => output::print(&list(&keys)),
            _ => Err(other_answer()),
        },
        KmsCommand::Impact(args) => {
            let bar = bar(
                args.quiet,
                "{spinner} {pos} versions and uploads, {per_sec}",
            );
            let request = Request::KmsImpact { key: args.key };
            let tell = |now: crate::control::Progress| bar.set_position(now.objects);
            let answer = client::ask(&place, &request, &tell).await;
            bar.finish_and_clear();
            match answer? {
                Answer::KmsImpact(key, buckets) => output::print(&impact(&key, &buckets)),
                _ => Err(other_answer()),
            }
        }
        KmsCommand::VerifyDestroyed(args) => verify_destroyed(&place, args).await,
        KmsCommand::ConfirmClock(args) => {
            let request = Request::KmsClock { confirm: args.yes };
            match client::ask(&place, &request, &|_| ()).await? {
                Answer::KmsClock(found) => output::print(&clock(&found, args.yes)),
                _ => Err(other_answer()),
            }
        }
    }
}

async fn verify_destroyed(place: &Place, args: VerifyDestroyedArgs) -> Result<(), Error> {
    let request = Request::KmsDestruction { key: args.key };
    let answer = client::ask(place, &request, &|_| ()).await?;
    let Answer::KmsDestruction(found) = answer else {
        return Err(other_answer());
    };
    let mark = hex::decode(&found.mark).map_err(|_| other_answer())?;
    let top =
        std::path::absolute(place.data.top()).map_err(Error::file("find", place.data.top()))?;
    let elsewhere = found
        .drives
        .iter()
        .filter(|of| of.is_dir() && !of.starts_with(&top));
    let mut dirs = vec![place.data.top().to_owned()];
    dirs.extend(elsewhere.cloned());
    dirs.extend(args.also);
    let bar = bar(
        args.quiet,
        "{spinner} {binary_bytes} searched, {binary_bytes_per_sec}",
    );
    let mut copies = Vec::new();
    for dir in &dirs {
        let searched = small_file::files_holding(dir, &mark, &mut |read| bar.inc(read));
        copies.extend(searched.map_err(Error::file("search", dir))?);
    }
    let searched = bar.position();
    bar.finish_and_clear();
    output::print(&proof(&found, &dirs, searched, &copies))?;
    let missing = usize::from(found.destroyed.is_none());
    match found
        .remains
        .len()
        .saturating_add(copies.len())
        .saturating_add(missing)
    {
        0 => Ok(()),
        bad => Err(Error::Damaged(u64::try_from(bad).unwrap_or(u64::MAX))),
    }
}

fn bar(quiet: bool, template: &str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn other_answer() -> Error {
    Error::Refused("the server gave another answer".to_owned())
}

fn list(keys: &[KmsKey]) -> String {
    let mut text = String::new();
    for key in keys {
        // Writing to a string cannot fail.
        let _ok = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}",
            key.key_id,
            key.state,
            rotation(key),
            last_use(key),
            key.aliases.join(",")
        );
    }
    if keys.is_empty() {
        text.push_str("No keys.\n");
    }
    text
}

fn impact(key: &KmsKey, buckets: &[BucketImpact]) -> String {
    let mut text = String::new();
    let versions: u64 = buckets.iter().map(|bucket| bucket.versions).sum();
    let uploads: u64 = buckets.iter().map(|bucket| bucket.uploads).sum();
    let aliases = if key.aliases.is_empty() {
        "none".to_owned()
    } else {
        key.aliases.join(", ")
    };
    let lines = [
        format!("key: {} ({})", key.key_arn, key.state),
        format!("aliases: {aliases}"),
        format!("grants: {}", key.grants),
        format!("last use: {}", last_use(key)),
        format!(
            "depend on it: {versions} object versions and {uploads} open uploads in {} buckets",
            buckets.len()
        ),
    ];
    for line in lines {
        let _ok = writeln!(text, "{line}");
    }
    for bucket in buckets {
        let _ok = writeln!(
            text,
            "  s3://{}\t{} versions\t{} bytes\t{} uploads",
            bucket.bucket, bucket.versions, bucket.bytes, bucket.uploads
        );
    }
    text.push_str(
        "Not counted: what clients encrypted with this key themselves. Disable it first and watch \
         the audit log for DisabledException.\n",
    );
    text
}

fn proof(found: &KmsDestruction, dirs: &[PathBuf], searched: u64, copies: &[PathBuf]) -> String {
    let mut text = String::new();
    let _ok = writeln!(text, "key: {}", found.key_arn);
    let _ok = match &found.destroyed {
        Some(at) => writeln!(text, "tombstone: destroyed {at}"),
        None => writeln!(text, "REMAINS no tombstone: it was never destroyed here"),
    };
    for what in &found.remains {
        let _ok = writeln!(text, "REMAINS {what}");
    }
    for path in copies {
        let _ok = writeln!(text, "REMAINS a shred key in {}", path.display());
    }
    for dir in dirs {
        let _ok = writeln!(text, "searched: {}", dir.display());
    }
    let _ok = writeln!(text, "searched: {searched} bytes, tables and vault");
    let total = found.remains.len().saturating_add(copies.len());
    if total == 0 && found.destroyed.is_some() {
        text.push_str("found: nothing; what the key wrapped cannot be opened any more\n");
    } else {
        let _ok = writeln!(text, "found: {total}");
    }
    text
}

fn clock(found: &KmsClock, confirmed: bool) -> String {
    let mut text = String::new();
    let _ok = writeln!(text, "clock: {}", found.now);
    let _ok = writeln!(text, "seen to pass until: {}", found.seen);
    for key in &found.waiting {
        let _ok = writeln!(text, "waits to be destroyed: {key}");
    }
    text.push_str(match (confirmed, found.waiting.is_empty()) {
        (true, true) => "confirmed: what was due is destroyed\n",
        (true, false) => "confirmed: the log says why these are still there\n",
        (false, true) => "nothing waits\n",
        (false, false) => "If the clock is right, repeat this with --yes: it destroys them.\n",
    });
    text
}

fn rotation(key: &KmsKey) -> String {
    key.rotation_period_days
        .map_or_else(|| "-".to_owned(), |days| format!("every {days} days"))
}

fn last_use(key: &KmsKey) -> String {
    match &key.last_use {
        Some((operation, at)) => format!("{operation} {at}"),
        None => "never".to_owned(),
    }
}
