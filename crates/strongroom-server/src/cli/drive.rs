// SPDX-License-Identifier: Apache-2.0
//! Words about drives: `strongroom drive`, `strongroom status`.

use clap::{Args, Subcommand};

use super::PlaceArgs;

/// `strongroom drive ..`
#[derive(Debug, Subcommand)]
pub(crate) enum DriveCommand {
    /// List all drives, with what each is good for
    List(DriveListArgs),
    /// Take an empty folder in as a new drive, or take a drive back that has moved
    Add(DriveAddArgs),
    /// Move everything off a drive, so that it can be removed
    Drain(DriveDrainArgs),
    /// Let a drive go that was drained
    Remove(DriveRemoveArgs),
    /// Take an empty folder in the place of a drive that is lost; what was on it is made again
    Replace(DriveReplaceArgs),
    /// Go on without drives that are lost for good, where those that are left are no majority; no
    /// server may run
    #[command(after_help = GIVE_UP_HELP)]
    GiveUp(DriveGiveUpArgs),
}

/// `strongroom drive list`
#[derive(Debug, Args)]
pub(crate) struct DriveListArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom drive add FACILITY:PATH`
#[derive(Debug, Args)]
pub(crate) struct DriveAddArgs {
    /// The facility that the drive stands in, and its folder
    #[arg(value_name = "FACILITY:PATH")]
    pub(crate) drive: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom drive drain NUMBER`
#[derive(Debug, Args)]
pub(crate) struct DriveDrainArgs {
    /// The drive's number, as `drive list` shows it
    #[arg(value_name = "NUMBER")]
    pub(crate) number: u16,
    /// Stop, and use the drive as before
    #[arg(long, conflicts_with = "wait")]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom drive remove NUMBER`
#[derive(Debug, Args)]
pub(crate) struct DriveRemoveArgs {
    /// The drive's number, as `drive list` shows it
    #[arg(value_name = "NUMBER")]
    pub(crate) number: u16,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom drive replace FACILITY:PATH`
#[derive(Debug, Args)]
pub(crate) struct DriveReplaceArgs {
    /// The facility of the lost drive, and the empty folder of the new one
    #[arg(value_name = "FACILITY:PATH")]
    pub(crate) drive: String,
    /// Which drive is lost, when more than one of the facility is missing
    #[arg(long = "drive", value_name = "NUMBER")]
    pub(crate) number: Option<u16>,
    /// Give up bodies that cannot be read without the lost drive; refused without this
    #[arg(long)]
    pub(crate) accept_loss: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom drive give-up NUMBER..`
#[derive(Debug, Args)]
pub(crate) struct DriveGiveUpArgs {
    /// The numbers of the drives that are lost for good, as the refused start names them
    #[arg(value_name = "NUMBER", required = true)]
    pub(crate) numbers: Vec<u16>,
    /// Do it; without this it is only said what would be done
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Go on with the copy of the tables on this drive though it missed changes, which are lost then
    #[arg(long, value_name = "NUMBER")]
    pub(crate) tables_of: Option<u16>,
    #[command(flatten)]
    pub(crate) named: NamedDrives,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Drives that a command names.
#[derive(Debug, Args)]
pub(crate) struct NamedDrives {
    /// A drive and the facility that it stands in; may be repeated. Drives that the store knows
    /// are found without it
    #[arg(
        long = "drive",
        value_name = "FACILITY:PATH",
        env = "STRONGROOM_DRIVE",
        value_delimiter = ','
    )]
    pub(crate) drives: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Wait until it is finished, and show how far it is
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `strongroom status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

impl DriveCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::List(args) => &args.place,
            Self::Add(args) => &args.place,
            Self::Drain(args) => &args.place,
            Self::Remove(args) => &args.place,
            Self::Replace(args) => &args.place,
            Self::GiveUp(args) => &args.place,
        }
    }
}

pub(super) const DRIVE_EXAMPLES: &str = "\
Examples:
  strongroom drive list
  strongroom drive add c:/data/c3
  strongroom drive drain 4 --wait && strongroom drive remove 4
  strongroom drive replace b:/data/b1        # an empty folder, where the lost drive was or elsewhere

FACILITY is the name of a place that shares power, network and fire: 1 to 64 of a-z, 0-9 and `-`.
While a server runs on the data directory the command asks it; otherwise it opens the store.";

const GIVE_UP_HELP: &str = "\
For the day when `strongroom serve` refuses to start, because no majority of the drives with a copy of the
tables is there, and those that are missing will never come back. Which drives there are, and which copies
count, is then what those know that are left. Name every drive that is lost for good, and no other: a drive
that was given up is refused when it comes back, with all that is on it.

Tables go on from a copy that has every change that was answered, if one is there. If there is only one that
missed changes, `--tables-of` has to name it. If there is none, `strongroom restore metadata FILE` comes
next, or without a backup `strongroom rebuild`. No copy of the tables and no body is removed.

Afterwards start the server, take in new drives with `strongroom drive add`, and run `strongroom verify`.

Examples:
  strongroom drive give-up 1 2                   # says what would be done
  strongroom drive give-up 1 2 --accept-loss";

pub(super) const STATUS_HELP: &str = "\
The first line is `full redundancy` when, and only when, nothing is owed: every drive is there, no
shard is missing, damaged or on its way, and every copy of the tables is whole. Otherwise it says
what is owed. Exit status: 0 full redundancy, 1 anything else, 2 wrong usage.";
