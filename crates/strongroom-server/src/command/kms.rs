// SPDX-License-Identifier: Apache-2.0
//! `strongroom kms list | impact | verify-destroyed | confirm-clock`.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use strongroom_store::drive::small_file;

use crate::cli::kms::{KmsCommand, VerifyDestroyedArgs};
use crate::config::Place;
use crate::control::{
    Answer, BucketImpact, KmsClock, KmsDestruction, KmsKey, LostDrive, Request, client, date,
};
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
    let mut remains = found.remains.clone();
    remains.extend(
        copies
            .iter()
            .map(|path| format!("a shred key in {}", path.display())),
    );
    remains.extend(other_traces(&dirs, found.destroyed_ms)?);
    let unseen = found
        .lost
        .iter()
        .filter(|lost| !args.gone.contains(&lost.number));
    remains.extend(unseen.map(unseen_drive));
    let searched = bar.position();
    bar.finish_and_clear();
    output::print(&proof(&found, &dirs, searched, &remains))?;
    let missing = usize::from(found.destroyed.is_none());
    match remains.len().saturating_add(missing) {
        0 => Ok(()),
        bad => Err(Error::Damaged(u64::try_from(bad).unwrap_or(u64::MAX))),
    }
}

fn unseen_drive(lost: &LostDrive) -> String {
    let LostDrive {
        number,
        facility,
        place,
    } = lost;
    format!(
        "perhaps on drive {number} of facility {facility} (last at {place}): it was lost, and may hold the key \
         if it had a copy of the vault; destroy or wipe it, then say --gone {number}"
    )
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

fn proof(found: &KmsDestruction, dirs: &[PathBuf], searched: u64, remains: &[String]) -> String {
    let mut text = String::new();
    let _ok = writeln!(text, "key: {}", found.key_arn);
    let _ok = match &found.destroyed {
        Some(at) => writeln!(text, "tombstone: destroyed {at}"),
        None => writeln!(text, "REMAINS no tombstone: it was never destroyed here"),
    };
    for what in remains {
        let _ok = writeln!(text, "REMAINS {}", output::on_one_line(what));
    }
    for dir in dirs {
        let _ok = writeln!(text, "searched: {}", dir.display());
    }
    let _ok = writeln!(text, "searched: {searched} bytes, tables and vault");
    if remains.is_empty() && found.destroyed.is_some() {
        text.push_str("found: nothing; what the key wrapped cannot be opened any more\n");
    } else {
        let _ok = writeln!(text, "found: {}", remains.len());
    }
    text
}

/// What the search for the key's own bytes does not see: backups of the tables, which are sealed, and
/// what symbolic links lead to.
fn other_traces(dirs: &[PathBuf], destroyed_ms: Option<u64>) -> Result<Vec<String>, Error> {
    let tops: Vec<_> = dirs
        .iter()
        .filter_map(|dir| dir.canonicalize().ok())
        .collect();
    let mut found = Vec::new();
    let mut folders = dirs.to_vec();
    while let Some(folder) = folders.pop() {
        let failed = || Error::file("search", &folder);
        let entries = match folder.read_dir() {
            // Taken away meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(failed())?,
        };
        for entry in entries {
            let entry = entry.map_err(failed())?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed())?);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                let target = path.canonicalize().ok();
                // One that leads nowhere leads to no key.
                if target.is_some_and(|target| !tops.iter().any(|top| target.starts_with(top))) {
                    found.push(format!(
                        "perhaps behind the symbolic link {}, which was not followed: search its target, too \
                         (--also)",
                        path.display()
                    ));
                }
            } else if kind.is_file()
                && let Some(made_ms) = backup_made_ms(&path)?
                && destroyed_ms.is_none_or(|destroyed_ms| made_ms <= destroyed_ms)
            {
                found.push(format!(
                    "the key in {}: a backup of the tables of {}, from before the destruction, which brings the \
                     key back",
                    path.display(),
                    date(made_ms)
                ));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// When a file was made that `strongroom backup metadata` made; `None` of another.
fn backup_made_ms(path: &Path) -> Result<Option<u64>, Error> {
    let mut head = [0; BACKUP_HEAD_BYTES];
    let read = small_file::open_large(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        // One that is taken away meanwhile holds nothing, nor does a shorter one.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
        Err(e) => Err(Error::file("search", path)(e)),
        Ok(()) if !head.starts_with(BACKUP_MAGIC) => Ok(None),
        Ok(()) => Ok(head.last_chunk::<8>().map(|made| u64::from_be_bytes(*made))),
    }
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

/// `docs/spec/metadata-backup.md`: how a backup begins, and where in its head the time is.
const BACKUP_MAGIC: &[u8] = b"SRBACK01";
const BACKUP_HEAD_BYTES: usize = 8 + 16 + 16 + 8 + 8;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A backup in a searched folder was passed over, and what lay behind a link was not searched: both
    /// times it was said that nothing can be opened any more.
    #[test]
    fn backups_and_links_are_no_silence() {
        let top = tempfile::tempdir().unwrap();
        let (dir, beside) = (top.path().join("backups"), top.path().join("beside"));
        std::fs::create_dir_all(dir.join("below")).unwrap();
        std::fs::create_dir(&beside).unwrap();
        let mut backup = [BACKUP_MAGIC, &[7; 16 + 16 + 8]].concat();
        backup.extend_from_slice(&1_000_u64.to_be_bytes());
        backup.extend_from_slice(b"the rest");
        std::fs::write(dir.join("below/tables"), &backup).unwrap();
        std::fs::write(dir.join("short"), BACKUP_MAGIC).unwrap();
        std::fs::write(dir.join("else"), vec![0; 1_000]).unwrap();
        symlink(dir.join("below"), dir.join("latest")).unwrap();
        symlink(top.path().join("nowhere"), dir.join("broken")).unwrap();
        let dirs = [dir.clone()];
        let traces = |destroyed_ms| other_traces(&dirs, destroyed_ms).unwrap();
        for destroyed_ms in [None, Some(1_000), Some(u64::MAX)] {
            let found = traces(destroyed_ms);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("below/tables"), "{found:?}");
        }
        assert!(traces(Some(999)).is_empty());
        symlink(&beside, dir.join("out")).unwrap();
        let found = traces(Some(999));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("backups/out"), "{found:?}");
        assert!(other_traces(&[dir, beside], Some(999)).unwrap().is_empty());
    }
}
