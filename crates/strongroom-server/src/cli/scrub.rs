// SPDX-License-Identifier: Apache-2.0
//! Words about scrub and heal: `strongroom scrub`, and what `serve` is told of them.

use clap::{Args, Subcommand};

use super::PlaceArgs;

/// `strongroom scrub ..`
#[derive(Debug, Subcommand)]
pub(crate) enum ScrubCommand {
    /// Show how far scrub and heal have come, what was found, and what cannot be healed
    Status(ScrubStatusArgs),
    /// Read everything again now instead of in its turn
    #[command(after_help = START_HELP)]
    Start(ScrubStartArgs),
}

/// `strongroom scrub status`
#[derive(Debug, Args)]
pub(crate) struct ScrubStatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom scrub start`
#[derive(Debug, Args)]
pub(crate) struct ScrubStartArgs {
    /// Do not draw a progress bar
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// How fast `serve` scrubs and heals.
#[derive(Debug, Default, Clone, Copy, Args)]
pub(crate) struct CareArgs {
    /// Days within which every stored byte is read again and compared [default: 7]
    #[arg(long, value_name = "DAYS", env = "STRONGROOM_SCRUB_DAYS", help_heading = super::CARE)]
    pub(crate) scrub_days: Option<u32>,

    /// Mebibytes in a second that scrub reads at most, even when it is late [default: 256]
    #[arg(long, value_name = "MIB", env = "STRONGROOM_SCRUB_MIB_PER_SECOND", help_heading = super::CARE)]
    pub(crate) scrub_mib_per_second: Option<u32>,

    /// Mebibytes in a second that heal reads and writes at most [default: 256]
    #[arg(long, value_name = "MIB", env = "STRONGROOM_HEAL_MIB_PER_SECOND", help_heading = super::CARE)]
    pub(crate) heal_mib_per_second: Option<u32>,

    /// Minutes after which the shards of a drive that is away are made anew on others, where there
    /// are any to take them [default: 60]
    #[arg(long, value_name = "MINUTES", env = "STRONGROOM_HEAL_AFTER_MINUTES", help_heading = super::CARE)]
    pub(crate) heal_after_minutes: Option<u32>,
}

impl CareArgs {
    /// Fills what was left open.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            scrub_days: self.scrub_days.or(file.scrub_days),
            scrub_mib_per_second: self.scrub_mib_per_second.or(file.scrub_mib_per_second),
            heal_mib_per_second: self.heal_mib_per_second.or(file.heal_mib_per_second),
            heal_after_minutes: self.heal_after_minutes.or(file.heal_after_minutes),
        }
    }
}

impl ScrubCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::Status(args) => &args.place,
            Self::Start(args) => &args.place,
        }
    }
}

pub(super) const SCRUB_EXAMPLES: &str = "\
Examples:
  strongroom scrub status
  strongroom scrub start

A server scrubs all the time, so that everything is read within --scrub-days. What is damaged and can
be healed is healed without being asked. `strongroom verify` also opens what it reads, with the keys.";
const START_HELP: &str = "\
A running server is told to begin a pass (or to hurry the one it is in), and goes on in the background.
Without a server the pass is done here, and what can be healed is healed. Exit status: 0 nothing is
damaged, 1 something is and could not be healed, 2 wrong usage.";
