// SPDX-License-Identifier: Apache-2.0
//! Words about backups: `strongroom backup`, `strongroom restore`.

use std::path::PathBuf;

use clap::Subcommand;

use super::PlaceArgs;
use super::drive::NamedDrives;

/// `strongroom backup ..`
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy the tables (buckets, versions, users, keys) into one sealed file, while the server runs
    #[command(after_help = BACKUP_HELP)]
    Metadata {
        /// The file to make; it must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not draw a progress bar
        #[arg(long)]
        quiet: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Tell what a backup is of and read all of it again, changing nothing
    Check {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// `strongroom restore ..`
#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    /// Put the tables of a backup back where every copy of them is lost; no server may run
    #[command(after_help = RESTORE_HELP)]
    Metadata {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Go on although a drive that should have a copy of the tables is not there: if it comes back,
        /// its tables are given up
        #[arg(long)]
        accept_loss: bool,
        #[command(flatten)]
        named: NamedDrives,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Put the keyring of a backup into a data directory that has none, and nothing else
    Keyring {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Let go of the files of objects that were written after the backup, at the next start
    Finish {
        #[command(flatten)]
        place: PlaceArgs,
    },
}

impl BackupCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::Metadata { place, .. } | Self::Check { place, .. } => place,
        }
    }
}

impl RestoreCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::Metadata { place, .. } | Self::Keyring { place, .. } | Self::Finish { place } => {
                place
            }
        }
    }
}

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  strongroom backup metadata /backup/tables-2026-11-21
  strongroom backup check /backup/tables-2026-11-21
  strongroom restore metadata /backup/tables-2026-11-21 --data /srv/new";

const BACKUP_HELP: &str = "\
The file holds the tables as they are at one moment, the secrets that the vault keeps, and the
sealed keyring: with the root key (which it does not hold) it is all that a machine needs besides
the shards of the objects. Everything in it is sealed. It does not hold the objects' bytes, nor
the audit log.

A KMS key that is destroyed later is still in this file: remove backups that are older than a
destruction that has to mean something.";

const RESTORE_HELP: &str = "\
For the day when every copy of the tables is lost and the shards of the objects are not. Put the
drive (or drives) in place without the folders `log` and `index`, and the root key where --data or
--root-key-file says; then restore, start the server, and run `strongroom verify`. The drives are
found as `strongroom serve` finds them. Where any of them has tables nothing is restored. Where a
majority of the drives with a copy is lost for good, `strongroom drive give-up` comes first.

Objects that were written after the backup are in no table any more. Their files are kept until
`strongroom restore finish`.";
