// SPDX-License-Identifier: Apache-2.0
//! Tables, audit log and vault on up to three drives at once.
//!
//! The problem: the loss of the drive that holds the tables would be the loss of everything, and
//! a copy that silently misses the last commits is worse than none. The approach: below the
//! tables, the audit log and the vault lies a [`Drive`] that is several. None of them knows.
//!
//! ```text
//!   Tables      audit log    Vault
//!      |  \        |           |
//!      |   +-------+-----------+--> MirroredDrive --> copy 0: log/ audit/ vault/
//!      |                              every change     copy 1: log/ audit/ vault/
//!      +--> MirroredIndex --------->  to all of them   copy 2: log/ audit/ vault/
//!                                         |
//!                                     CopyLedger: which copies count (durable elsewhere)
//! ```
//!
//! - A change succeeds when every live copy has it. A copy that fails is fenced in the ledger
//!   before anything is acknowledged without it ([`copies`]).
//! - Opening makes the live copies equal, by what can be proven from each ([`level`]).
//! - A copy that comes back is caught up while the others go on, compared, and only then counts
//!   ([`catch_up`]).
//! - After the loss of a majority, changes go on when enough copies are level again ([`revive`]).
//! - [`Mirror::verify_copies`], or bit by bit [`Mirror::verify_some`], compares what should be equal, for scrub.
//!
//! Format and rules: `docs/spec/table-journal.md`, section 10.

mod bounded;
mod catch_up;
mod copies;
mod crew;
mod drive;
mod files;
mod index;
mod level;
mod revive;
mod verify;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use catch_up::CaughtUp;
pub use level::LevelReport;
pub use verify::{CopiesReport, CopiesWalk, Difference};

pub(crate) use self::bounded::bounded;
use self::copies::{Copies, Slot};
pub(crate) use self::crew::{Crew, hangs, is_late};
use self::drive::MirroredDrive;
use self::index::MirroredIndex;
use self::level::{Candidate, Leveller};
use crate::at_rest::AtRest;
use crate::drive::{Drive, DriveFile, DriveNo, DrivePath, Folder};
use crate::error::Error;
use crate::table::{FjallIndex, Index, MemoryIndex, ReleasedBlobs, TableOptions, Tables};
use crate::vault::Vault;

/// Remembers which copies count, where a majority of them can be asked.
///
/// Obligation of who implements it: what a call returned `Ok` for is durable on a majority of the
/// copies that the cluster has (with a witness outside of them when their number is even), so
/// that no later start takes a fenced copy for a live one.
pub trait CopyLedger: Send + Sync + fmt::Debug {
    /// The copies on these drives do not count any more. An error when no majority is left that
    /// could remember it; then nothing is changed for any of them.
    fn fence(&self, copies: &[DriveNo]) -> Result<(), Error>;

    /// After a majority was lost: of all copies these are level, and no other counts from now on.
    /// An error when they are no majority; then nothing is changed.
    fn only(&self, live: &[DriveNo]) -> Result<(), Error>;

    /// The copy on this drive is level with the others and counts from now on.
    fn caught_up(&self, copy: DriveNo) -> Result<(), Error>;
}

/// Knows how a file of the audit log should look, for those who keep copies of it.
pub trait FileJudge: Send + Sync + fmt::Debug {
    /// Looks at a file from its beginning on, as far as it makes sense.
    fn judge(&self, path: &DrivePath, file: &dyn DriveFile) -> Result<Soundness, Error>;
}

/// How much of a file can be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Soundness {
    /// Bytes that something behind them speaks for: they are what was written.
    pub proven: u64,
    /// Bytes against which nothing speaks; at least the proven ones.
    pub plausible: u64,
}

/// Opens and makes the indexes of the copies.
pub trait Indexes: Send + Sync + fmt::Debug {
    /// The index of the copy on this drive, as it was left.
    fn open(&self, copy: DriveNo, drive: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error>;

    /// An empty index in its place; nobody has the old one open.
    fn renew(&self, copy: DriveNo, drive: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error>;
}

/// The index that suits each drive: `fjall` in its directory, else one in memory.
#[derive(Clone, Copy, Debug)]
pub struct DriveIndexes {
    /// Memory for the cache of each.
    pub cache_bytes: u64,
}

/// The part that a copy has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyState {
    /// It has everything and counts.
    Live,
    /// It does not count: it failed, or its drive is not there.
    Fenced,
    /// It is being brought level with the others.
    CatchingUp,
    /// It failed, and no majority was left to remember that: changes are refused.
    Failed,
}

/// How long a copy is waited for whose drive does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For one operation, after others have carried it out.
    pub hang: Duration,
    /// For all that was gathered to be made durable.
    pub persist: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hang: Duration::from_secs(10),
            persist: Duration::from_mins(4),
        }
    }
}

/// The copies of a cluster, as the ledger has them, and the drives that are there.
#[derive(Debug, Default)]
pub struct MirrorCopies {
    /// Live copies whose drives are there.
    pub live: Vec<(DriveNo, Arc<dyn Drive>)>,
    /// Live copies whose drives are not there. They are fenced before anything is served.
    pub absent: Vec<DriveNo>,
    /// Copies that are fenced already.
    pub fenced: Vec<DriveNo>,
}

/// What a mirror works with.
#[derive(Clone, Debug)]
pub struct MirrorOptions {
    /// Remembers which copies count.
    pub ledger: Arc<dyn CopyLedger>,
    /// Indexes.
    pub indexes: Arc<dyn Indexes>,
    /// Knows the audit log. Without, the longest copy of a file that differs is kept.
    pub audit: Option<Arc<dyn FileJudge>>,
    /// Everything on the caller's thread, one copy after the other, for simulations.
    pub inline: bool,
    /// How long a copy is waited for.
    pub patience: Patience,
}

/// One copy, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyStatus {
    /// Its drive.
    pub drive: DriveNo,
    /// The part it has.
    pub state: CopyState,
    /// Its drive's label, while it has one.
    pub label: Option<String>,
}

/// Several copies of tables, audit log and vault.
pub struct Mirror {
    copies: Arc<Copies>,
    drive: Arc<MirroredDrive>,
    index: Arc<MirroredIndex>,
    at_rest: Arc<dyn AtRest>,
    indexes: Arc<dyn Indexes>,
    audit: Option<Arc<dyn FileJudge>>,
    catching_up: Mutex<()>,
    report: LevelReport,
}

impl Mirror {
    /// Makes the live copies equal and puts them together. Blocks while their logs are compared.
    pub fn open(
        copies: MirrorCopies,
        at_rest: Arc<dyn AtRest>,
        options: MirrorOptions,
    ) -> Result<Self, Error> {
        let MirrorCopies {
            live,
            absent,
            fenced,
        } = copies;
        if live.is_empty() {
            return Err(Error::Misuse {
                what: "a mirror without a copy",
            });
        }
        let mut leveller = Leveller {
            at_rest: at_rest.as_ref(),
            indexes: options.indexes.as_ref(),
            judge: options.audit.as_deref(),
            ledger: options.ledger.as_ref(),
            report: LevelReport::default(),
        };
        let candidates = live
            .into_iter()
            .map(|(no, drive)| Candidate::open(no, drive, options.indexes.as_ref()));
        let level = leveller.run(candidates.collect(), &absent)?;
        let report = leveller.report;
        let set = Arc::new(Copies::new(
            Arc::clone(&options.ledger),
            !options.inline,
            options.patience,
        ));
        for Candidate {
            no, drive, index, ..
        } in level
        {
            set.set(set.slot(no, drive, CopyState::Live, Some(index?))?);
        }
        for no in fenced.into_iter().chain(report.fenced.clone()) {
            set.set(Slot::fenced(no));
        }
        Ok(Self {
            drive: Arc::new(MirroredDrive::new(Arc::clone(&set))),
            index: Arc::new(MirroredIndex::new(Arc::clone(&set))),
            copies: set,
            at_rest,
            indexes: options.indexes,
            audit: options.audit,
            catching_up: Mutex::default(),
            report,
        })
    }

    /// The drive that is all copies: for the log, the audit log and the vault.
    pub fn drive(&self) -> Arc<dyn Drive> {
        Arc::<MirroredDrive>::clone(&self.drive)
    }

    /// The index that is all indexes.
    pub fn index(&self) -> Arc<dyn Index> {
        Arc::<MirroredIndex>::clone(&self.index)
    }

    /// Opens the tables on the copies. Blocks while the log is replayed.
    pub fn open_tables(
        &self,
        options: TableOptions,
        released: ReleasedBlobs,
    ) -> Result<Tables, Error> {
        let at_rest = Arc::clone(&self.at_rest);
        Tables::open_with_index(self.drive(), at_rest, self.index(), options, released)
    }

    /// The vault on the copies.
    pub fn open_vault(&self) -> Vault {
        Vault::new(self.drive())
    }

    /// What opening found and did.
    pub fn report(&self) -> &LevelReport {
        &self.report
    }

    /// The copies as they are now. One that is fenced may still hold what was destroyed since:
    /// it is destroyed there, too, before the copy counts again.
    pub fn status(&self) -> Vec<CopyStatus> {
        let status = |slot: &Slot| CopyStatus {
            drive: slot.no,
            state: slot.state,
            label: slot.drive.as_ref().map(|drive| drive.label()),
        };
        self.copies.view().slots.iter().map(status).collect()
    }

    /// Whether the copy works on this drive, as it was opened, and on no other.
    pub(crate) fn works_on(&self, copy: DriveNo, drive: &Arc<dyn Drive>) -> bool {
        let view = self.copies.view();
        let slot = view.slots.iter().find(|slot| slot.no == copy);
        let held = slot.and_then(|slot| slot.drive.as_ref());
        held.is_some_and(|held| Arc::ptr_eq(held, drive))
    }

    /// Whether changes are refused, because no majority of copies was left.
    pub fn refuses_changes(&self) -> bool {
        self.copies.refuses_changes()
    }

    /// From now on a copy is waited for no longer than this where it would be waited for longer,
    /// whatever part it has; `None` for as long as the others. For tests in which nobody is to be
    /// given up but the copy that is meant to hang, however slow the machine is.
    pub fn wait_no_longer_for(&self, copy: DriveNo, at_most: Option<Duration>) {
        self.copies.haste.set(copy, at_most);
    }

    /// Takes a copy out of use whose drive is gone. Without a majority changes are refused.
    pub fn fence(&self, copy: DriveNo) -> Result<(), Error> {
        let view = self.copies.view();
        let Some(slot) = view.live().find(|slot| slot.no == copy) else {
            return Ok(());
        };
        if view.live().count() < 2 {
            return Err(LAST_COPY);
        }
        let drive = slot.label();
        self.copies.fence(slot, &Error::DriveOutOfService { drive })
    }

    /// Takes a copy out of use that is well, before its drive is let go. Without a majority it
    /// stays.
    pub fn release(&self, copy: DriveNo) -> Result<(), Error> {
        if self.copies.view().live().count() < 2 {
            return Err(LAST_COPY);
        }
        self.copies.release(copy)
    }

    /// Forgets a copy that the ledger does not know any more. It must be fenced. What its vault
    /// holds is destroyed, if its drive is there: nobody would destroy it there later.
    pub fn forget(&self, copy: DriveNo, drive: Option<&Arc<dyn Drive>>) -> Result<(), Error> {
        if self.copies.view().live().any(|slot| slot.no == copy) {
            return Err(Error::Misuse {
                what: "a copy that counts was forgotten",
            });
        }
        if let Some(drive) = drive {
            self.copies.let_go(copy)?;
            let doomed = drive.list(Folder::Vault)?;
            for path in &doomed {
                files::destroy(drive.as_ref(), path)?;
            }
            // Where nothing was ever kept there is no folder, and to flush what is not there fails as
            // a broken drive does.
            if !doomed.is_empty() {
                drive.sync_folder(Folder::Vault)?;
            }
        }
        self.copies.forget(copy);
        Ok(())
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("copies", &self.copies)
            .finish_non_exhaustive()
    }
}

impl Indexes for DriveIndexes {
    fn open(&self, _: DriveNo, drive: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error> {
        Ok(match drive.index_dir() {
            Some(dir) => Arc::new(FjallIndex::open(&dir, self.cache_bytes)?),
            None => Arc::new(MemoryIndex::open(Arc::clone(drive))?),
        })
    }

    fn renew(&self, _: DriveNo, drive: &Arc<dyn Drive>) -> Result<Arc<dyn Index>, Error> {
        Ok(match drive.index_dir() {
            Some(dir) => Arc::new(FjallIndex::renew(&dir, self.cache_bytes)?),
            None => Arc::new(MemoryIndex::renew(Arc::clone(drive))?),
        })
    }
}

const LAST_COPY: Error = Error::Misuse {
    what: "the last copy of the tables cannot be fenced",
};
