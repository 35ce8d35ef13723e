// SPDX-License-Identifier: Apache-2.0
//! `strongroom drive list | add | drain | remove | replace`, `strongroom status`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::drive::{DriveCommand, StatusArgs};
use crate::config::{self, Place};
use crate::control::drive::{ClassReport, DriveReport, DriveRequest, StatusReport};
use crate::control::{Answer, Request, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(command: DriveCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        DriveCommand::List(_) => output::print(&list(&ask_status(&place).await?.drives)),
        DriveCommand::Add(args) => {
            let given = config::given_drive(&args.drive)?;
            let (number, _) = act(
                &place,
                DriveRequest::Add {
                    facility: given.facility,
                    place: given.place,
                },
            )
            .await?;
            output::print(&format!("{} is drive {number}\n", args.drive))
        }
        DriveCommand::Drain(args) => {
            let (number, cancel) = (args.number, args.cancel);
            act(&place, DriveRequest::Drain { number, cancel }).await?;
            if cancel {
                return output::print(&format!("drive {number} is used as before\n"));
            }
            if args.wait.wait {
                wait(&place, |now| now.leaving_shards).await?;
                return output::print(&format!(
                    "drive {number} is drained: strongroom drive remove {number}\n"
                ));
            }
            output::print(&format!(
                "drive {number} is being drained; `strongroom status` shows how far it is\n"
            ))
        }
        DriveCommand::Remove(args) => {
            let number = args.number;
            act(&place, DriveRequest::Remove { number }).await?;
            output::print(&format!(
                "drive {number} has nothing to do with this store any more\n"
            ))
        }
        DriveCommand::GiveUp(args) => super::give_up::run(place, args).await,
        DriveCommand::Replace(args) => {
            let given = config::given_drive(&args.drive)?;
            let request = DriveRequest::Replace {
                facility: given.facility,
                place: given.place,
                number: args.number,
                accept_loss: args.accept_loss,
            };
            let (number, lost) = act(&place, request).await?;
            let lost = lost.map_or_else(String::new, |lost| lost.to_string());
            output::print(&format!(
                "{} is drive {number}, in the place of drive {lost}\n",
                args.drive
            ))?;
            if args.wait.wait {
                wait(&place, |now| {
                    now.lost_shards.saturating_add(now.owed_shards)
                })
                .await?;
                return output::print("what was on it is made again\n");
            }
            output::print(
                "what was on it is being made again; `strongroom status` shows how far it is\n",
            )
        }
    }
}

pub(crate) async fn status(args: StatusArgs) -> Result<(), Error> {
    let (place, _file) = Place::resolve(&args.place)?;
    let report = ask_status(&place).await?;
    if args.json {
        let document = serde_json::to_value(&report);
        output::print_json(&document.map_err(Error::room("cannot encode the status"))?)?;
    } else {
        output::print(&words(&report))?;
    }
    if let Some(why) = report.out_of_service {
        return Err(Error::Refused(format!("requests are refused: {why}")));
    }
    if report.full_redundancy {
        return Ok(());
    }
    let owed = u64::try_from(report.owed.len()).unwrap_or(u64::MAX);
    Err(Error::NotRedundant(owed))
}

async fn act(place: &Place, act: DriveRequest) -> Result<(u16, Option<u16>), Error> {
    match client::ask(place, &Request::Drive { act }, &|_| ()).await? {
        Answer::Drive { number, replaces } => Ok((number, replaces)),
        _ => Err(other_answer()),
    }
}

async fn ask_status(place: &Place) -> Result<StatusReport, Error> {
    match client::ask(place, &Request::Status {}, &|_| ()).await? {
        Answer::Status(report) => Ok(*report),
        _ => Err(other_answer()),
    }
}

/// Shows how many shards are left until there are none.
async fn wait(place: &Place, left: impl Fn(&StatusReport) -> u64) -> Result<(), Error> {
    // Without a server nobody moves anything.
    if client::ask_server(&place.data, &Request::Status {}, &|_| ())
        .await?
        .is_none()
    {
        return Err(Error::Refused(
            "no server is running, and only a running server moves shards".to_owned(),
        ));
    }
    let mut all = left(&ask_status(place).await?);
    let bar = ProgressBar::new(all);
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} shards, {per_sec}, {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        let now = left(&ask_status(place).await?);
        all = all.max(now);
        bar.set_length(all);
        bar.set_position(all.saturating_sub(now));
        if now == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn other_answer() -> Error {
    Error::Refused("the server gave another answer".to_owned())
}

fn list(drives: &[DriveReport]) -> String {
    let mut text = String::new();
    for drive in drives {
        // Writing to a string cannot fail.
        let _ok = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}",
            drive.number,
            drive.facility,
            state(drive),
            drive.tables.as_deref().unwrap_or("-"),
            drive.place,
            drive.note.as_deref().unwrap_or("")
        );
    }
    text
}

fn state(drive: &DriveReport) -> String {
    match drive.replaced_by {
        Some(by) => format!("{}, replaced by {by}", drive.state),
        None if drive.full => format!("{}, full", drive.state),
        None => drive.state.clone(),
    }
}

/// What `strongroom status` says: the worst first, the details below.
fn words(report: &StatusReport) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if let Some(why) = &report.out_of_service {
        line(format!("OUT OF SERVICE, requests are refused: {why}"));
    }
    if report.full_redundancy {
        line("full redundancy".to_owned());
    } else {
        line("redundancy is not full:".to_owned());
        for owed in &report.owed {
            line(format!("  - {owed}"));
        }
    }
    line(String::new());
    line(format!(
        "redundancy   {}: {}",
        report.redundancy,
        survives(report)
    ));
    if let Some(wished) = &report.wished {
        line(format!(
            "             {wished} was asked for; the drives do not suffice for it"
        ));
    }
    for class in &report.classes {
        line(format!(
            "             {}: {}: {}",
            class.names.join(", "),
            class.redundancy,
            class_survives(class, report.facilities.len())
        ));
    }
    for facility in &report.facilities {
        line(format!(
            "facility     {}: {} of {} drives online",
            facility.name, facility.online, facility.drives
        ));
    }
    for drive in &report.drives {
        let tables = drive.tables.as_ref();
        let tables = tables.map_or_else(String::new, |copy| format!(", tables {copy}"));
        line(format!(
            "drive {:<6} {}, facility {}{tables}, {}",
            drive.number,
            state(drive),
            drive.facility,
            drive.place
        ));
        if let Some(note) = &drive.note {
            line(format!("             {note}"));
        }
    }
    if let Some(care) = &report.care {
        text.push('\n');
        text.push_str(&super::scrub::words(care));
    }
    text
}

/// What the redundancy is worth when nothing is owed.
fn survives(report: &StatusReport) -> String {
    let facilities = report.facilities.len();
    let copies = report.drives.iter().filter(|drive| drive.tables.is_some());
    if copies.count() == 1 && report.parity_shards > 0 {
        return "of bodies; but the tables are on one drive alone, and with it all would be lost"
            .to_owned();
    }
    let tables = tables_may_lose(report);
    let of_copies = if u64::from(report.parity_shards) > tables {
        let drives = if tables == 1 {
            "one".to_owned()
        } else {
            tables.to_string()
        };
        format!(", but of those with a copy of the tables only {drives}")
    } else {
        String::new()
    };
    match (
        report.parity_shards,
        facilities >= 3 && facility_may_go(report, tables),
    ) {
        (0, _) => {
            "nothing may be lost; more drives make it safer (`strongroom drive add`)".to_owned()
        }
        (1, true) => "any one drive, or any one facility, may be lost".to_owned(),
        (1, false) => "any one drive may be lost".to_owned(),
        (drives, true) => {
            format!("any {drives} drives, or any one facility, may be lost{of_copies}")
        }
        (drives, false) => format!("any {drives} drives may be lost{of_copies}"),
    }
}

/// How many drives with a copy of the tables may be lost while the others still are a majority; the data
/// directory is one of an even number.
fn tables_may_lose(report: &StatusReport) -> u64 {
    let copies = report.drives.iter().filter(|drive| drive.tables.is_some());
    let copies = u64::try_from(copies.count()).unwrap_or(u64::MAX);
    let voters = copies.saturating_add(u64::from(copies.is_multiple_of(2)));
    voters.saturating_sub(1) / 2
}

/// Whether no facility has more copies of the tables than may be lost.
fn facility_may_go(report: &StatusReport, tables: u64) -> bool {
    let facilities = report.facilities.iter().map(|facility| {
        let drives = report
            .drives
            .iter()
            .filter(|drive| drive.tables.is_some() && drive.facility == facility.name);
        u64::try_from(drives.count()).unwrap_or(u64::MAX)
    });
    facilities.max().unwrap_or(0) <= tables
}

/// The same of a class.
fn class_survives(class: &ClassReport, facilities: usize) -> String {
    let drives = match class.parity_shards {
        1 => "any one drive".to_owned(),
        drives => format!("any {drives} drives"),
    };
    if class.one_facility {
        format!("{drives} of its facility may be lost, the facility not")
    } else if facilities >= 3 {
        format!("{drives}, or any one facility, may be lost")
    } else {
        format!("{drives} may be lost")
    }
}

/// The path of a drive as it is remembered: absolute, so that it is the same from everywhere.
pub(crate) fn absolute_place(path: &Path) -> Result<String, Error> {
    let path = std::path::absolute(path).map_err(Error::file("find", path))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| Error::Config(format!("`{}` is not UTF-8", Path::new(&path).display())))
}

const LOOK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::drive::FacilityReport;

    fn report() -> StatusReport {
        let drive = |number: u16, facility: &str| DriveReport {
            number,
            facility: facility.to_owned(),
            state: "online".to_owned(),
            full: false,
            tables: Some("whole".to_owned()),
            place: format!("/data/{facility}1"),
            uid: String::new(),
            note: None,
            replaced_by: None,
        };
        StatusReport {
            out_of_service: None,
            full_redundancy: true,
            owed: Vec::new(),
            redundancy: "1+2".to_owned(),
            data_shards: 1,
            parity_shards: 2,
            classes: Vec::new(),
            wished: None,
            owed_shards: 0,
            lost_shards: 0,
            leaving_shards: 0,
            damaged_blobs: 0,
            care: None,
            facilities: Vec::new(),
            drives: vec![drive(0, "a"), drive(1, "b"), drive(2, "c")],
        }
    }

    #[test]
    fn full_redundancy_is_said_only_when_it_is() {
        let full = report();
        assert_eq!(words(&full).lines().next(), Some("full redundancy"));
        // All shards may be there while nothing can be written.
        let refusing = StatusReport {
            out_of_service: Some("the audit log is out of service".to_owned()),
            ..report()
        };
        let text = words(&refusing);
        let first = text.lines().next().unwrap();
        assert!(first.contains("refused: the audit log"), "{text}");
        let owing = StatusReport {
            full_redundancy: false,
            owed: vec!["drive 2 of facility c is missing".to_owned()],
            wished: Some("2+2".to_owned()),
            ..report()
        };
        let class = |name: &str, redundancy: &str, parity_shards, one_facility| ClassReport {
            names: vec![name.to_owned()],
            redundancy: redundancy.to_owned(),
            parity_shards,
            one_facility,
        };
        let classes = [
            (
                class("ONEZONE_IA", "1+1", 1, true),
                3,
                "ONEZONE_IA: 1+1: any one drive of its facility may be lost, the facility not",
            ),
            (
                class("GLACIER", "8+3", 3, false),
                4,
                "GLACIER: 8+3: any 3 drives, or any one facility, may be lost",
            ),
            (
                class("GLACIER", "8+3", 3, false),
                2,
                "GLACIER: 8+3: any 3 drives may be lost",
            ),
        ];
        for (class, facilities, said) in classes {
            let facility = || FacilityReport {
                name: "a".to_owned(),
                drives: 1,
                online: 1,
            };
            let text = words(&StatusReport {
                classes: vec![class],
                facilities: (0..facilities).map(|_| facility()).collect(),
                ..report()
            });
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            assert!(lines.contains(&said), "{text}");
        }
        let text = words(&owing);
        assert!(!text.contains("full redundancy"), "{text}");
        assert!(
            text.contains("  - drive 2 of facility c is missing"),
            "{text}"
        );
        assert!(text.contains("2+2 was asked for"), "{text}");
    }

    #[test]
    fn what_may_be_lost_is_said_as_it_is() {
        for (parity, facilities, said) in [
            (0, 1, "nothing may be lost"),
            (1, 1, "any one drive may be lost"),
            (1, 3, "any one drive, or any one facility"),
            (2, 2, "any 2 drives may be lost"),
            (4, 3, "any 4 drives, or any one facility"),
        ] {
            let mut of = report();
            of.parity_shards = parity;
            for number in 0..facilities {
                of.facilities.push(FacilityReport {
                    name: format!("f{number}"),
                    drives: 1,
                    online: 1,
                });
            }
            assert!(survives(&of).contains(said), "{}", survives(&of));
        }
    }

    /// With 1+2 on three drives it said that any two may be lost; the store stood without two of them.
    #[test]
    fn no_more_may_be_lost_than_the_copies_of_the_tables_bear() {
        let facility = |name: &str| FacilityReport {
            name: name.to_owned(),
            drives: 2,
            online: 2,
        };
        let mut of = report();
        of.facilities = ["a", "b", "c"].map(facility).into();
        let said = "any 2 drives, or any one facility, may be lost, but of those with a copy of the tables only one";
        assert_eq!(survives(&of), said);
        of.parity_shards = 1;
        assert_eq!(
            survives(&of),
            "any one drive, or any one facility, may be lost"
        );
        // Of two copies one may be lost: the data directory votes.
        of.drives[2].tables = None;
        assert_eq!(
            survives(&of),
            "any one drive, or any one facility, may be lost"
        );
        of.parity_shards = 3;
        assert!(survives(&of).ends_with("of the tables only one"));
        // Two of three copies in one facility do not bear the loss of that facility.
        of.drives[2].tables = Some("whole".to_owned());
        of.drives[1].facility = "a".to_owned();
        let said = "any 3 drives may be lost, but of those with a copy of the tables only one";
        assert_eq!(survives(&of), said);
    }
}
