// SPDX-License-Identifier: Apache-2.0
//! `strongroom scrub`: how far scrub and heal are, and a pass at once.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::cli::scrub::ScrubCommand;
use crate::config::Place;
use crate::control::{Answer, CareStatus, Progress, Request, ShownPass, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(command: ScrubCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        ScrubCommand::Status(args) => {
            let answer = client::ask(&place, &Request::ScrubStatus {}, &|_| {}).await?;
            let Answer::Scrub(status) = answer else {
                return Err(other());
            };
            if args.json {
                let json = serde_json::to_value(&status);
                return output::print_json(&json.map_err(Error::room("cannot encode the status"))?);
            }
            output::print(&words(&status))
        }
        ScrubCommand::Start(args) => {
            let bar = if args.quiet {
                ProgressBar::hidden()
            } else {
                progress_bar()
            };
            let answer = client::ask(&place, &Request::ScrubStart {}, &|now| show(&bar, now)).await;
            bar.finish_and_clear();
            match answer? {
                Answer::ScrubStarted {} => output::print(
                    "The server reads everything again now. See how it goes: strongroom scrub status\n",
                ),
                Answer::Scrub(status) => {
                    output::print(&words(&status))?;
                    let damaged_rows = status.last.as_ref().map_or(0, |last| last.damaged_rows);
                    match status.heal.damaged_blobs.saturating_add(damaged_rows) {
                        0 => Ok(()),
                        bad => Err(Error::Damaged(bad)),
                    }
                }
                _ => Err(other()),
            }
        }
    }
}

fn other() -> Error {
    Error::Refused("the server gave another answer".to_owned())
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0).with_message("reading everything again");
    let template = "{msg} [{bar:30}] {percent}% {binary_bytes}/{binary_total_bytes}, \
                    {binary_bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, now: Progress) {
    bar.set_length(now.bytes_total.unwrap_or(0).max(now.bytes));
    bar.set_position(now.bytes);
}

/// Everything a tired operator wants to know, the worst first.
pub(super) fn words(status: &CareStatus) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |words: &str| {
        let _ok = writeln!(text, "{}", output::on_one_line(words));
    };
    let heal = &status.heal;
    for words in &heal.unhealed {
        line(&format!("CANNOT BE HEALED NOW  {words}"));
    }
    let listed = u64::try_from(heal.unhealed.len()).unwrap_or(u64::MAX);
    if heal.unhealed_blobs > listed {
        let more = heal.unhealed_blobs.saturating_sub(listed);
        line(&format!("CANNOT BE HEALED NOW  and {more} blobs more"));
    }
    for words in &heal.found {
        line(&format!("found  {words}"));
    }
    let is_scrubbing = status.phase != "resting";
    let state = match (status.running, is_scrubbing, status.phase.as_str()) {
        (false, false, _) => "no server is running; a pass is over".to_owned(),
        (false, true, phase) => format!("no server is running; a pass stands still ({phase})"),
        (true, false, _) => "resting".to_owned(),
        (true, true, "counting") => "adding up what is to be read".to_owned(),
        (true, true, "blobs") => "reading every shard".to_owned(),
        (true, true, "files") => "looking for files that belong nowhere".to_owned(),
        (true, true, _) => "reading the tables and their log".to_owned(),
    };
    line(&format!("scrub: {state}"));
    if is_scrubbing {
        let part = status.pass.bytes.saturating_mul(100);
        let part = part.checked_div(status.bytes_total).unwrap_or(100).min(100);
        line(&format!(
            "  this pass, since {}: {} of {} ({part} %), {}",
            status.pass.started,
            HumanBytes(status.pass.bytes),
            HumanBytes(status.bytes_total),
            findings(&status.pass)
        ));
    }
    match &status.last {
        Some(last) => line(&format!(
            "  last pass, ended {}: {} blobs, {} shards, {}, {} rows; {}",
            last.ended.as_deref().unwrap_or("unknown"),
            last.blobs,
            last.shards,
            HumanBytes(last.bytes),
            last.rows,
            findings(last)
        )),
        None => line("  no pass has been finished yet"),
    }
    if let Some(due) = &status.due {
        line(&match (status.late, is_scrubbing) {
            (true, _) => format!("  LATE: it should have been through at {due}"),
            (false, true) => format!("  to be through at {due}"),
            (false, false) => format!("  the next pass begins at {due}"),
        });
    }
    let left = [heal.owed_blobs, heal.damaged_blobs, heal.leaving_blobs];
    line(&match left {
        [0, 0, 0] => "heal: nothing to do".to_owned(),
        [owed, damaged, leaving] => format!(
            "heal: {owed} blobs lack shards, {damaged} have damaged ones, {leaving} are on drives to \
             be emptied"
        ),
    });
    if heal.healed_shards > 0 {
        line(&format!(
            "  healed since the start: {} shards, {}",
            heal.healed_shards,
            HumanBytes(heal.healed_bytes)
        ));
    }
    if let Some(since) = &heal.since {
        line(&format!("  at work since {since}"));
    }
    if let Some(seconds) = heal.last_took_seconds {
        let took = HumanDuration(Duration::from_secs(seconds));
        line(&format!("  full redundancy was back after {took}"));
    }
    text
}

fn findings(pass: &ShownPass) -> String {
    let counts = [
        (pass.damaged_shards, "damaged shards"),
        (pass.damaged_rows, "damaged rows or log files"),
        (pass.stray_files, "files that belong nowhere"),
        (pass.foreign_files, "files that are none of ours"),
        (pass.absent_shards, "shards not looked at (drive away)"),
    ];
    let found: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if found.is_empty() {
        return "nothing found".to_owned();
    }
    found.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::scrub::ShownHeal;

    fn pass() -> ShownPass {
        ShownPass {
            started: "2026-01-01T00:00:00Z".to_owned(),
            ended: Some("2026-01-02T00:00:00Z".to_owned()),
            blobs: 3,
            shards: 6,
            bytes: 1024,
            absent_shards: 0,
            damaged_shards: 0,
            stray_files: 0,
            foreign_files: 0,
            rows: 9,
            damaged_rows: 0,
        }
    }

    fn status() -> CareStatus {
        CareStatus {
            running: true,
            phase: "resting".to_owned(),
            due: Some("2026-01-08T00:00:00Z".to_owned()),
            late: false,
            pass: pass(),
            bytes_total: 1024,
            last: Some(pass()),
            heal: ShownHeal {
                owed_blobs: 0,
                damaged_blobs: 0,
                leaving_blobs: 0,
                healed_shards: 0,
                healed_bytes: 0,
                since: None,
                last_took_seconds: None,
                unhealed_blobs: 0,
                unhealed: Vec::new(),
                found: Vec::new(),
            },
        }
    }

    #[test]
    fn a_sound_store_is_said_in_few_words() {
        let text = words(&status());
        let expected = "scrub: resting\n  \
            last pass, ended 2026-01-02T00:00:00Z: 3 blobs, 6 shards, 1.00 KiB, 9 rows; nothing found\n  \
            the next pass begins at 2026-01-08T00:00:00Z\nheal: nothing to do\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_worst_comes_first() {
        let mut bad = status();
        bad.phase = "blobs".to_owned();
        bad.late = true;
        bad.heal.damaged_blobs = 7;
        bad.heal.unhealed_blobs = 5;
        bad.heal.unhealed =
            vec!["blob 01: 1 shards are there, 2 are needed\nheal: fine".to_owned()];
        let text = words(&bad);
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("CANNOT BE HEALED NOW  blob 01: 1 shards are there, 2 are needed\\nheal: fine")
        );
        assert_eq!(lines.next(), Some("CANNOT BE HEALED NOW  and 4 blobs more"));
        assert!(text.contains("LATE: it should have been through"));
        assert!(text.contains("heal: 0 blobs lack shards, 7 have damaged ones"));
    }
}
