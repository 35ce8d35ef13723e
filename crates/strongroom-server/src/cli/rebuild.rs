// SPDX-License-Identifier: Apache-2.0
//! Words about the last resort: `strongroom rebuild`.

use clap::Args;

use super::PlaceArgs;
use super::drive::NamedDrives;

/// `strongroom rebuild`
#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Tell what would come back, and make no tables
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Read every byte of every file and compare it with its checksum, instead of the ends only
    #[arg(long)]
    pub(crate) read_all: bool,

    /// Go on although a drive that should have a copy of the tables is not there: if it comes back,
    /// its tables are given up
    #[arg(long)]
    pub(crate) accept_loss: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Do not draw a progress bar
    #[arg(long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) named: NamedDrives,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

pub(super) const REBUILD_HELP: &str = "\
For the day when every copy of the tables is lost, and every backup of them, and the files of the
objects are not. It needs the keyring and the root key, and no server may run. If there is a backup,
restore that instead: it knows more. Where a majority of the drives with a copy of the tables is lost for
good, `strongroom drive give-up` comes first.

Every file of an object says, sealed, what the tables said when it was written. So back come: objects
that were written by one request and are larger than 32 KiB, their buckets, and the KMS keys they lie
under (disabled, until somebody has looked at their policy). Objects that were uploaded in parts come
back as uploads that are still open: a last part of up to 32 KiB is lost, so compare before you complete
one. Not back come: smaller objects; copies that stand on the bytes of their source; users and policies;
what buckets were configured to do; and whatever was decided about an object after it was written. Some
of what was deleted may be back. What cannot be brought back is named.

Exit status: 0 everything found is back, 1 something is not, 2 wrong usage.

Examples:
  strongroom rebuild --dry-run
  strongroom rebuild --read-all --json";
