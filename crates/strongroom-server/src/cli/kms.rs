// SPDX-License-Identifier: Apache-2.0
//! Words about KMS keys: `strongroom kms`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PlaceArgs;

/// `strongroom kms ..`
#[derive(Debug, Subcommand)]
pub(crate) enum KmsCommand {
    /// List all keys with their aliases, states, rotation and last use
    List(KmsListArgs),
    /// Say what depends on a key: do this before you schedule its deletion
    Impact(KmsImpactArgs),
    /// Prove that nothing is left of a key whose time of deletion has come
    #[command(after_help = VERIFY_DESTROYED_HELP)]
    VerifyDestroyed(VerifyDestroyedArgs),
    /// Say that the clock is right, so that what is due by it is destroyed at once
    #[command(after_help = CONFIRM_CLOCK_HELP)]
    ConfirmClock(ConfirmClockArgs),
}

/// `strongroom kms list`
#[derive(Debug, Args)]
pub(crate) struct KmsListArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom kms impact KEY`
#[derive(Debug, Args)]
pub(crate) struct KmsImpactArgs {
    /// Key id, key ARN, alias or alias ARN
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// Do not draw a progress bar
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom kms verify-destroyed KEY`
#[derive(Debug, Args)]
pub(crate) struct VerifyDestroyedArgs {
    /// Key id or key ARN
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// A further directory to search, such as one with backups; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) also: Vec<PathBuf>,
    /// A lost drive that you have destroyed or wiped, by its number; may be repeated
    #[arg(long, value_name = "NUMBER")]
    pub(crate) gone: Vec<u16>,
    /// Do not draw a progress bar
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `strongroom kms confirm-clock`
#[derive(Debug, Args)]
pub(crate) struct ConfirmClockArgs {
    /// Confirm; without it the clocks and what waits for them are shown, and nothing is done
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

impl KmsCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::List(args) => &args.place,
            Self::Impact(args) => &args.place,
            Self::VerifyDestroyed(args) => &args.place,
            Self::ConfirmClock(args) => &args.place,
        }
    }
}

pub(super) const KMS_EXAMPLES: &str = "\
Examples:
  strongroom kms list
  strongroom kms impact alias/photos
  strongroom kms confirm-clock
  strongroom kms verify-destroyed 1234abcd-12ab-44cd-96ef-1234567890ab --also /backups";
const VERIFY_DESTROYED_HELP: &str = "\
It looks for the tombstone, for rows of the key, for its files in the vault, and then searches all
files below the data directory and each --also DIR for the beginning of such a file. It finds copies
of files as they are; compressed or encrypted archives have to be unpacked first, and free blocks of a
drive are not searched. Backups of the tables (`strongroom backup metadata`) from before the destruction
bring the key back and are named, as are symbolic links that lead out of what is searched, and drives
that were lost: they may hold the key until they are destroyed or wiped (--gone says so of one). It
exits with 1 when the key was not destroyed or anything remains or was not searched.";
const CONFIRM_CLOCK_HELP: &str = "\
Keys and imported material whose time has come are of no use at once, by the clock of the machine. They
are destroyed when the server has also seen that time pass: while it runs, and for at most a day more
after a stop or a leap of the clock; what is missing then comes up twice as fast as it runs. So a clock
that is wrong destroys nothing. If the server was stopped for days and the clock is right, say so here.";
