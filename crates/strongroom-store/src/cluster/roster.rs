// SPDX-License-Identifier: Apache-2.0
//! Who keeps the members file, and when a change of it counts.
//!
//! Voters are the drives with a copy of the tables, whatever that copy is worth, and the data
//! directory (the *witness*) when their number is even. A change counts when a majority of the
//! voters before it and a majority of the voters after it keep it durably. A start therefore
//! finds the newest epoch as soon as it finds a majority of the voters that the newest epoch *it
//! finds* names: had there been a newer one, one of them would have it.
//!
//! A try that did not reach a majority is somewhere, and its place may be away at the next start. So
//! that it never wins over what counted since, each process begins with epochs above all that
//! the one before it can have tried, and with one change that says nothing new and has to count
//! before anything else happens.
//!
//! INVARIANT: live copies and the witness are written before fenced copies. A change that makes a
//! copy live and does not reach a majority is thus never found on that copy alone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lanes::{Lanes, Who, Work};
use super::members::{self, Members, StoredCopy};
use crate::at_rest::AtRest;
use crate::drive::{Drive, DriveNo, DriveSet, SetMember};
use crate::error::Error;
use crate::mirror::is_late;

/// The members of a cluster, and where they are kept. Shared.
pub(crate) struct Roster {
    at_rest: Arc<dyn AtRest>,
    set: DriveSet,
    witness: Option<Arc<dyn Drive>>,
    lanes: Lanes,
    /// Held for no longer than it takes to copy: every upload asks, and drives may hang.
    members: Mutex<Members>,
    /// Held by whoever writes members files. The highest epoch that was ever tried: a try that did
    /// not reach a majority is somewhere.
    tried: Mutex<u64>,
}

/// Who votes.
struct Voters {
    drives: Vec<DriveNo>,
    witness: bool,
}

impl Voters {
    fn of(members: &Members) -> Self {
        let drives: Vec<_> = members.copies().map(|row| row.number).collect();
        let witness = drives.len().is_multiple_of(2);
        Self { drives, witness }
    }

    fn have_majority(&self, kept: &[DriveNo], witness: bool) -> bool {
        let votes = self.drives.iter().filter(|of| kept.contains(of)).count();
        let votes = votes.saturating_add(usize::from(self.witness && witness));
        let all = self.drives.len().saturating_add(usize::from(self.witness));
        votes.saturating_mul(2) > all
    }
}

/// Whether those who are there suffice to know the newest members: `present` are the drives whose
/// members file opened, `witness` whether that of the data directory did.
pub(crate) fn is_quorate(members: &Members, present: &[DriveNo], witness: bool) -> bool {
    Voters::of(members).have_majority(present, witness)
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").finish_non_exhaustive()
    }
}

impl Roster {
    pub(crate) fn new(
        at_rest: Arc<dyn AtRest>,
        set: DriveSet,
        witness: Option<Arc<dyn Drive>>,
        members: Members,
        lanes: Lanes,
    ) -> Self {
        // The next change is the first of the next block.
        let before = members.epoch.checked_div(EPOCHS_OF_A_START).unwrap_or(0);
        let first = before.saturating_add(1).saturating_mul(EPOCHS_OF_A_START);
        let tried = first.saturating_sub(1);
        Self {
            at_rest,
            set,
            witness,
            lanes,
            members: Mutex::new(members),
            tried: Mutex::new(tried),
        }
    }

    /// The members as they are now.
    pub(crate) fn members(&self) -> Members {
        lock(&self.members).clone()
    }

    /// The first change of a process: it is kept even if it says nothing new. See the module.
    pub(crate) fn begin<T>(
        &self,
        change: impl FnOnce(&mut Members) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.carry_out(change, None, true)
    }

    /// Carries out a change; returns when it counts. When it does not, nothing has changed here,
    /// and what was kept of it is outbid by the next change.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Members) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.carry_out(change, None, false)
    }

    /// A change that takes a drive in which is not in the set yet. It may be one of those on which
    /// the change has to be kept, and keeps it first: a start that finds the change anywhere else
    /// finds that drive to agree. A change that does not count is outbid at once, so that no start
    /// waits for a drive that nobody took in.
    pub(crate) fn change_with<T>(
        &self,
        newcomer: (DriveNo, &Arc<dyn Drive>),
        change: impl FnOnce(&mut Members) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let changed = self.carry_out(change, Some(newcomer), false);
        if let Err(Error::NoMajority) = changed
            && let Err(error) = self.begin(|_| Ok(()))
        {
            tracing::error!(%error, "a change of the drives that did not count could not be taken back");
        }
        changed
    }

    /// Whether the change that a drive keeps, which nobody here knows, can never count any more:
    /// where it could, it is tried to outbid it.
    pub(crate) fn outbids(&self, drive: &dyn Drive) -> bool {
        let Ok(kept) = drive.read_small(&members::path()) else {
            return false;
        };
        let kept = kept.and_then(|bytes| Members::open(self.at_rest.as_ref(), &bytes));
        let is_outbid = || {
            let now = self.members();
            kept.as_ref().is_none_or(|kept| kept.epoch < now.epoch)
        };
        is_outbid() || (self.begin(|_| Ok(())).is_ok() && is_outbid())
    }

    /// Whether a drive keeps members of a later age than these: others were given up with it.
    pub(crate) fn is_of_a_later_age(&self, drive: &dyn Drive) -> Result<bool, Error> {
        let kept = drive.read_small(&members::path())?;
        let kept = kept.and_then(|bytes| Members::open(self.at_rest.as_ref(), &bytes));
        let now = members::age_of(self.members().epoch);
        Ok(kept.is_some_and(|kept| members::age_of(kept.epoch) > now))
    }

    fn carry_out<T>(
        &self,
        change: impl FnOnce(&mut Members) -> Result<T, Error>,
        newcomer: Option<(DriveNo, &Arc<dyn Drive>)>,
        whatever_it_says: bool,
    ) -> Result<T, Error> {
        let mut tried = lock(&self.tried);
        let before = self.members();
        let mut members = before.clone();
        let done = change(&mut members)?;
        if members == before && !whatever_it_says {
            return Ok(done);
        }
        members.epoch = tried.checked_add(1).ok_or(Error::TooLarge {
            what: "the number of changes to the members",
        })?;
        *tried = members.epoch;
        self.keep(&before, &members, newcomer)?;
        *lock(&self.members) = members;
        Ok(done)
    }

    /// Writes the members as they are to one drive, which may not have the newest.
    pub(crate) fn bring_up_to_date(
        &self,
        number: DriveNo,
        drive: &Arc<dyn Drive>,
    ) -> Result<(), Error> {
        self.bring(vec![(Some(number), Arc::clone(drive))])
            .into_iter()
            .try_for_each(|(_, outcome)| outcome)
    }

    /// Writes the members as they are wherever they are not; who fails is told in the log.
    pub(crate) fn bring_all_up_to_date(&self) {
        let view = self.set.view();
        let serving = |member: &SetMember| {
            let drive = member.serving()?;
            Some((Some(member.number), Arc::clone(drive)))
        };
        let mut drives: Vec<_> = view.members().iter().filter_map(serving).collect();
        drives.extend(self.witness.clone().map(|witness| (None, witness)));
        for (who, outcome) in self.bring(drives) {
            if let Err(error) = outcome {
                tracing::warn!(%error, drive = ?who, "the members file cannot be written");
            }
        }
    }

    fn bring(&self, drives: Vec<(Who, Arc<dyn Drive>)>) -> Vec<(Who, Result<(), Error>)> {
        // Held meanwhile, so that nothing older is written over something newer.
        let _tried = lock(&self.tried);
        let now = self.members();
        let bytes = match now.seal(self.at_rest.as_ref()) {
            Ok(bytes) => Arc::new(bytes),
            Err(error) => {
                let first = drives.first().and_then(|(who, _)| *who);
                return vec![(first, Err(error))];
            }
        };
        let work = drives.into_iter().map(|(who, drive)| {
            let (at_rest, bytes) = (Arc::clone(&self.at_rest), Arc::clone(&bytes));
            let members = now.clone();
            let work: Work = Box::new(move || {
                let found = drive.read_small(&members::path())?;
                let opened = found.and_then(|found| Members::open(at_rest.as_ref(), &found));
                if opened.as_ref() == Some(&members) {
                    return Ok(());
                }
                drive.replace(&members::path(), &bytes)
            });
            (who, work)
        });
        self.lanes.run(work.collect(), |_| true)
    }

    /// Writes a change to everyone who is there; an error when it does not count, and nothing is
    /// written where it could not.
    fn keep(
        &self,
        before: &Members,
        after: &Members,
        newcomer: Option<(DriveNo, &Arc<dyn Drive>)>,
    ) -> Result<(), Error> {
        let bytes = Arc::new(after.seal(self.at_rest.as_ref())?);
        let (voters_before, voters_after) = (Voters::of(before), Voters::of(after));
        let counts = |kept: &[Who]| {
            let drives: Vec<_> = kept.iter().copied().flatten().collect();
            let witness = kept.contains(&None);
            voters_before.have_majority(&drives, witness)
                && voters_after.have_majority(&drives, witness)
        };
        let view = self.set.view();
        let is_live = |member: &&SetMember| {
            let row = before.row(member.number);
            row.is_some_and(|row| row.copy == Some(StoredCopy::Live))
        };
        let serving = |member: &SetMember| {
            let drive = member.serving()?;
            Some((Some(member.number), Arc::clone(drive)))
        };
        let (live, others): (Vec<_>, Vec<_>) = view.members().iter().partition(is_live);
        let mut first: Vec<_> = live.into_iter().filter_map(serving).collect();
        let witness = self.witness.clone();
        first.extend(witness.map(|witness| (None, witness)));
        let newcomer = newcomer.map(|(number, drive)| (Some(number), Arc::clone(drive)));
        let there = first.iter().chain(&newcomer).map(|(who, _)| *who);
        let there = there.chain(
            others
                .iter()
                .filter_map(|of| serving(of))
                .map(|(who, _)| who),
        );
        if !counts(&there.collect::<Vec<_>>()) {
            return Err(Error::NoMajority);
        }
        let mut kept = self.write(newcomer.into_iter().collect(), &bytes, |_| true);
        let so_far = kept.clone();
        let with_newcomer = |more: &[Who]| counts(&[so_far.as_slice(), more].concat());
        kept.extend(self.write(first, &bytes, with_newcomer));
        if kept.iter().any(Option::is_some) {
            let others: Vec<_> = others.into_iter().filter_map(serving).collect();
            let so_far = kept.clone();
            let with_others = |more: &[Who]| counts(&[so_far.as_slice(), more].concat());
            kept.extend(self.write(others, &bytes, with_others));
        }
        counts(&kept).then_some(()).ok_or(Error::NoMajority)
    }

    /// Writes the bytes to these places; returns those that keep them.
    fn write(
        &self,
        places: Vec<(Who, Arc<dyn Drive>)>,
        bytes: &Arc<Vec<u8>>,
        enough: impl Fn(&[Who]) -> bool,
    ) -> Vec<Who> {
        let work = places.into_iter().map(|(who, drive)| {
            let bytes = Arc::clone(bytes);
            let work: Work = Box::new(move || drive.replace(&members::path(), &bytes));
            (who, work)
        });
        let mut kept = Vec::new();
        for (who, outcome) in self.lanes.run(work.collect(), enough) {
            match (outcome, who) {
                (Ok(()), who) => kept.push(who),
                (Err(error), Some(number)) => {
                    tracing::warn!(%error, drive = %number, "the members file cannot be written");
                    // A look at a drive that hangs could hang, too.
                    if !is_late(&error) {
                        self.set.suspect(number);
                    }
                }
                (Err(error), None) => {
                    tracing::error!(%error, "the members file in the data directory cannot be written");
                }
            }
        }
        kept
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Replaced as a whole, after everything that can fail.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More tries than a process makes; and there are more starts of so many than anybody makes.
const EPOCHS_OF_A_START: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use super::super::members::{MemberRow, StoredStanding};
    use super::*;
    use crate::at_rest::AtRestError;
    use crate::drive::{Access, DriveFile, DrivePath, Folder, HealthState};
    use crate::layout::DriveUid;

    /// A drive that has one small file.
    #[derive(Debug, Default)]
    struct OneFile {
        bytes: Mutex<Option<Vec<u8>>>,
        fails: AtomicBool,
        hangs: AtomicBool,
    }

    const NO: Error = Error::Misuse {
        what: "a drive of one file",
    };

    impl Drive for OneFile {
        fn label(&self) -> String {
            "one file".to_owned()
        }
        fn health(&self) -> HealthState {
            HealthState::Online
        }
        fn create(&self, _: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
            Err(NO)
        }
        fn open(&self, _: &DrivePath, _: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
            Err(NO)
        }
        fn rename(&self, _: &DrivePath, _: &DrivePath) -> Result<(), Error> {
            Err(NO)
        }
        fn remove(&self, _: &DrivePath) -> Result<bool, Error> {
            Err(NO)
        }
        fn list(&self, _: Folder) -> Result<Vec<DrivePath>, Error> {
            Err(NO)
        }
        fn sync_folder(&self, _: Folder) -> Result<(), Error> {
            Err(NO)
        }
        fn read_small(&self, _: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.bytes.lock().unwrap().clone())
        }
        fn replace(&self, _: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
            while self.hangs.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(2));
            }
            if self.fails.load(Ordering::SeqCst) {
                return Err(NO);
            }
            *self.bytes.lock().unwrap() = Some(bytes.to_vec());
            Ok(())
        }
        fn index_dir(&self) -> Option<PathBuf> {
            None
        }
    }

    struct Plain;

    impl AtRest for Plain {
        fn seal(&self, _: u64, _: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
            Ok(plain.to_vec())
        }
        fn open(&self, _: u64, _: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
            Ok(sealed.to_vec())
        }
    }

    struct Rig {
        roster: Roster,
        drives: Vec<Arc<OneFile>>,
        witness: Arc<OneFile>,
    }

    use StoredCopy::{Fenced, Live};

    impl Rig {
        fn new(copies: &[Option<StoredCopy>]) -> Self {
            Self::with_limit(copies, None)
        }

        fn with_limit(copies: &[Option<StoredCopy>], limit: Option<Duration>) -> Self {
            let drives: Vec<_> = copies
                .iter()
                .map(|_| Arc::new(OneFile::default()))
                .collect();
            let number = |at: usize| DriveNo(u16::try_from(at).unwrap());
            let uid = |at: usize| [u8::try_from(at).unwrap(); 16];
            let rows = copies.iter().enumerate().map(|(at, copy)| MemberRow {
                number: number(at),
                uid: uid(at),
                facility: "a".to_owned(),
                standing: StoredStanding::Member,
                place: String::new(),
                copy: *copy,
                replaced_by: None,
            });
            let members = Members {
                epoch: 1,
                cluster_id: [1; 16],
                is_founding: false,
                wished: None,
                drives: rows.collect(),
            };
            let in_set = drives.iter().enumerate().map(|(at, drive)| {
                let drive: Arc<dyn Drive> = Arc::<OneFile>::clone(drive);
                SetMember::online(number(at), DriveUid(uid(at)), "a", drive)
            });
            let set = DriveSet::new(in_set.collect()).unwrap();
            let witness = Arc::new(OneFile::default());
            let remembers: Arc<dyn Drive> = Arc::<OneFile>::clone(&witness);
            let roster = Roster::new(
                Arc::new(Plain),
                set,
                Some(remembers),
                members,
                Lanes::new(limit),
            );
            roster.bring_all_up_to_date();
            Self {
                roster,
                drives,
                witness,
            }
        }

        fn fail(&self, numbers: &[usize]) {
            for at in numbers {
                self.drives[*at].fails.store(true, Ordering::SeqCst);
            }
        }

        fn make(&self, number: u16, copy: StoredCopy) -> Result<(), Error> {
            self.roster.change(|members| {
                members.row_mut(DriveNo(number)).unwrap().copy = Some(copy);
                Ok(())
            })
        }

        /// The newest that a start finds with these drives, if it goes on with it.
        fn start(&self, drives: &[usize], witness: bool) -> Option<Members> {
            let read = |file: &Arc<OneFile>| {
                let bytes = file.bytes.lock().unwrap().clone()?;
                Members::open(&Plain, &bytes)
            };
            let found = drives.iter().map(|at| read(&self.drives[*at]));
            let remembered = witness.then(|| read(&self.witness)).flatten();
            let newest = found
                .flatten()
                .chain(remembered)
                .max_by_key(|of| of.epoch)?;
            let present: Vec<_> = drives
                .iter()
                .map(|at| DriveNo(u16::try_from(*at).unwrap()))
                .collect();
            is_quorate(&newest, &present, witness).then_some(newest)
        }
    }

    fn copy_of(members: &Members, number: u16) -> Option<StoredCopy> {
        members.row(DriveNo(number)).and_then(|row| row.copy)
    }

    #[test]
    fn a_change_counts_on_a_majority_of_the_copies() {
        for (copies, failing, counts) in [
            (1, &[][..], true),
            (1, &[0], false),
            // The witness breaks the tie.
            (2, &[1], true),
            (2, &[0, 1], false),
            (3, &[2], true),
            (3, &[1, 2], false),
        ] {
            let rig = Rig::new(&vec![Some(Live); copies]);
            rig.fail(failing);
            let fenced = rig.roster.change(|members| {
                members.wished = Some((1, 0));
                Ok(())
            });
            assert_eq!(
                fenced.is_ok(),
                counts,
                "{copies} copies, failing {failing:?}"
            );
            assert_eq!(rig.roster.members().wished.is_some(), counts);
        }
    }

    #[test]
    fn dur_d9_what_counted_is_found_by_every_start_that_goes_on() {
        for copies in 1..=3_usize {
            for failing in 0..1_u32 << copies {
                let rig = Rig::new(&vec![Some(Live); copies]);
                let is_failing = |at: &usize| failing & (1 << at) != 0;
                rig.fail(&(0..copies).filter(is_failing).collect::<Vec<_>>());
                let counted = rig.make(0, Fenced).is_ok();
                for present in 0..1_u32 << (copies + 1) {
                    let drives: Vec<_> =
                        (0..copies).filter(|at| present & (1 << at) != 0).collect();
                    let witness = present & (1 << copies) != 0;
                    let Some(found) = rig.start(&drives, witness) else {
                        continue;
                    };
                    assert!(!counted || copy_of(&found, 0) == Some(Fenced));
                }
            }
        }
    }

    #[test]
    fn dur_d9_a_copy_that_did_not_become_live_is_not_found_so_on_it_alone() {
        // Drive 0 is whole and fails, drive 1 has caught up: what would make it count is on no
        // majority, and drive 1 must not believe it.
        let rig = Rig::new(&[Some(Live), Some(Fenced), None]);
        rig.fail(&[0]);
        rig.witness.fails.store(true, Ordering::SeqCst);
        rig.make(1, Live).unwrap_err();
        assert_eq!(copy_of(&rig.roster.members(), 1), Some(Fenced));
        let found = rig.start(&[1], true).unwrap();
        assert_eq!(copy_of(&found, 1), Some(Fenced));
    }

    #[test]
    fn a_change_that_did_not_count_is_outbid() {
        let rig = Rig::new(&[Some(Live), Some(Live), Some(Live)]);
        rig.fail(&[1, 2]);
        rig.make(2, Fenced).unwrap_err();
        let tried = rig.start(&[0, 1], false).unwrap().epoch;
        for drive in &rig.drives {
            drive.fails.store(false, Ordering::SeqCst);
        }
        rig.make(1, Fenced).unwrap();
        let members = rig.roster.members();
        assert!(members.epoch > tried);
        assert_eq!(
            (copy_of(&members, 1), copy_of(&members, 2)),
            (Some(Fenced), Some(Live))
        );
        let epoch = members.epoch;
        rig.make(1, Fenced).unwrap();
        assert_eq!(rig.roster.members().epoch, epoch, "nothing changed");
    }

    /// One of two drives is away. The change that takes a third in needs its vote; where it does not
    /// count, the drives that are there start without it.
    #[test]
    fn dur_d9_a_newcomer_keeps_the_change_that_takes_it_in() {
        for (failing, counts) in [("nobody", true), ("witness", false), ("newcomer", false)] {
            let rig = Rig::new(&[Some(Live), Some(Live)]);
            rig.roster.set.set_drive(DriveNo(1), None);
            let newcomer = Arc::new(OneFile::default());
            newcomer
                .fails
                .store(failing == "newcomer", Ordering::SeqCst);
            rig.witness
                .fails
                .store(failing == "witness", Ordering::SeqCst);
            let drive: Arc<dyn Drive> = Arc::<OneFile>::clone(&newcomer);
            let taken = rig.roster.change_with((DriveNo(2), &drive), |members| {
                let mut row = members.drives.first().cloned().unwrap();
                (row.number, row.uid, row.copy) = (DriveNo(2), [2; 16], Some(Fenced));
                members.drives.push(row);
                Ok(())
            });
            assert_eq!(taken.is_ok(), counts, "{failing} fails");
            assert_eq!(
                newcomer.bytes.lock().unwrap().is_some(),
                failing != "newcomer"
            );
            let found = rig.start(&[0], true).map(|found| found.drives.len());
            assert_eq!(found, (!counts).then_some(2), "{failing} fails");
        }
    }

    /// A drive hung in the middle of a change, and every upload with it: each asks which redundancy
    /// is wished for.
    #[test]
    fn members_are_told_while_a_change_is_being_written() {
        let rig = Rig::new(&[Some(Live)]);
        let hangs = rig.drives[0].bytes.lock().unwrap();
        std::thread::scope(|scope| {
            let change = scope.spawn(|| rig.make(0, Fenced));
            while rig.roster.tried.try_lock().is_ok() {
                std::thread::yield_now();
            }
            assert_eq!(copy_of(&rig.roster.members(), 0), Some(Live));
            drop(hangs);
            change.join().unwrap().unwrap();
        });
        assert_eq!(copy_of(&rig.roster.members(), 0), Some(Fenced));
    }

    /// The drive with what was tried in vain is away at the next start; at the one after that it is
    /// back, and another is away. The witness is lost.
    #[test]
    fn dur_d9_what_was_tried_in_vain_loses_against_what_counted_since() {
        for tries in 0..4 {
            for begins_in_vain in [false, true] {
                let rig = Rig::new(&[Some(Live), Some(Live), Some(Live)]);
                let (set, drives) = (rig.roster.set.clone(), &rig.drives);
                rig.witness.fails.store(true, Ordering::SeqCst);
                if !begins_in_vain {
                    rig.roster.begin(|_| Ok(())).unwrap();
                }
                rig.fail(&[1, 2]);
                if begins_in_vain {
                    rig.roster.begin(|_| Ok(())).unwrap_err();
                } else {
                    for _ in 0..tries {
                        rig.make(1, Fenced).unwrap_err();
                    }
                }
                for drive in drives {
                    drive.fails.store(false, Ordering::SeqCst);
                }
                let found = rig.start(&[1, 2], false).unwrap();
                set.set_drive(DriveNo(0), None);
                let sealer: Arc<dyn AtRest> = Arc::new(Plain);
                let second = Roster::new(sealer, set, None, found, Lanes::new(None));
                second.begin(|_| Ok(())).unwrap();
                let fence_first = |members: &mut Members| {
                    members.row_mut(DriveNo(0)).unwrap().copy = Some(Fenced);
                    Ok(())
                };
                second.change(fence_first).unwrap();
                for present in [[0, 1], [0, 2], [1, 2]] {
                    let found = rig.start(&present, false).unwrap();
                    let copies = (copy_of(&found, 0), copy_of(&found, 1));
                    assert_eq!(
                        copies,
                        (Some(Fenced), Some(Live)),
                        "{present:?}, {tries} tries"
                    );
                }
            }
        }
    }

    #[test]
    fn dur_d10_a_drive_that_hangs_holds_up_no_change_and_keeps_the_order() {
        // Six times as long for those that are needed.
        let limit = Duration::from_secs(5);
        let rig = Rig::with_limit(&[Some(Live), Some(Live), Some(Live)], Some(limit));
        let hang = |hangs| rig.drives[2].hangs.store(hangs, Ordering::SeqCst);
        hang(true);
        rig.make(2, Fenced).unwrap();
        let start = Instant::now();
        for wish in 1..=40 {
            rig.roster
                .change(|members| {
                    members.wished = Some((wish, 0));
                    Ok(())
                })
                .unwrap();
        }
        assert!(start.elapsed() < limit * 30, "waited for again and again");
        let newest = rig.start(&[0, 1], false).unwrap();
        assert_eq!(newest.wished, Some((40, 0)));
        // What comes late comes in order: the newest is last.
        hang(false);
        let start = Instant::now();
        while rig.start(&[2, 0], false).is_none_or(|_| {
            let bytes = rig.drives[2].bytes.lock().unwrap().clone().unwrap();
            Members::open(&Plain, &bytes).as_ref() != Some(&newest)
        }) {
            assert!(start.elapsed() < Duration::from_mins(2));
            std::thread::sleep(Duration::from_millis(5));
        }
        // It votes again, as soon as its thread has told that it is not late any more.
        rig.fail(&[1]);
        while rig.make(2, Live).is_err() {
            assert!(start.elapsed() < Duration::from_mins(2));
        }
    }

    #[test]
    fn a_change_without_a_majority_that_answers_does_not_count() {
        let limit = Duration::from_millis(300);
        let rig = Rig::with_limit(&[Some(Live), Some(Live), Some(Live)], Some(limit));
        for at in [1, 2] {
            rig.drives[at].hangs.store(true, Ordering::SeqCst);
        }
        rig.make(2, Fenced).unwrap_err();
        assert_eq!(copy_of(&rig.roster.members(), 2), Some(Live));
        for at in [1, 2] {
            rig.drives[at].hangs.store(false, Ordering::SeqCst);
        }
    }

    #[test]
    fn drives_without_a_copy_and_the_witness_of_an_odd_number_do_not_vote() {
        let rig = Rig::new(&[Some(Live), None, None]);
        assert!(rig.start(&[0], false).is_some());
        assert!(rig.start(&[1, 2], true).is_none());
        let rig = Rig::new(&[Some(Live), Some(Fenced), None]);
        assert!(rig.start(&[0], true).is_some());
        assert!(rig.start(&[0, 1], false).is_some());
        assert!(rig.start(&[0, 2], false).is_none());
    }
}
