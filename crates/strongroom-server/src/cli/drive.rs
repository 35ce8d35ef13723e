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

pub(super) const STATUS_HELP: &str = "\
The first line is `full redundancy` when, and only when, nothing is owed: every drive is there, no
shard is missing, damaged or on its way, and every copy of the tables is whole. Otherwise it says
what is owed. Exit status: 0 full redundancy, 1 anything else, 2 wrong usage.";
