// SPDX-License-Identifier: Apache-2.0
//! The members file: which drives a cluster has, and what was decided about each.
//!
//! The problem: a drive that is not there cannot say that it belongs here, and a drive that comes
//! back does not know what was decided without it. The approach: one small sealed record, whole
//! on every drive and in the data directory, with a number that goes up with each change
//! (*epoch*). The highest epoch that opens wins; [`super::roster`] says how many places have to
//! keep a change before it counts.
//!
//! ```text
//! members = "SRMEMB01" || epoch (8) || seal(record as CBOR)        integers big-endian
//! ```
//!
//! The format is written down in `docs/spec/members.md`.

use crate::at_rest::AtRest;
use crate::drive::{DriveNo, DrivePath, Folder, Standing};
use crate::error::Error;
use crate::layout::{DriveUid, Redundancy};
use crate::table::members_stream;

/// Everything that was decided about the drives of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
pub(crate) struct Members {
    /// Goes up with every change.
    #[n(0)]
    pub(crate) epoch: u64,
    /// The cluster.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) cluster_id: [u8; 16],
    /// True until every drive of a new cluster has its identity: until then an empty folder at
    /// the place of one gets it.
    #[n(2)]
    pub(crate) is_founding: bool,
    /// What was asked for: data and parity shards. Absent: what suits the number of drives.
    #[n(3)]
    pub(crate) wished: Option<(u8, u8)>,
    /// Every drive that ever was, in the order of their numbers.
    #[n(4)]
    pub(crate) drives: Vec<MemberRow>,
}

/// What was decided about one drive.
#[derive(Clone, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
pub(crate) struct MemberRow {
    /// Its number.
    #[n(0)]
    pub(crate) number: DriveNo,
    /// Its own name.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) uid: [u8; 16],
    /// The facility that it stands in.
    #[n(2)]
    pub(crate) facility: String,
    /// What it is to the cluster.
    #[n(3)]
    pub(crate) standing: StoredStanding,
    /// Where it was seen last.
    #[n(4)]
    pub(crate) place: String,
    /// Whether it has a copy of the tables, and of what worth.
    #[n(5)]
    pub(crate) copy: Option<StoredCopy>,
    /// The drive that took its place.
    #[n(6)]
    pub(crate) replaced_by: Option<DriveNo>,
}

/// [`Standing`] as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub(crate) enum StoredStanding {
    #[n(0)]
    Member,
    #[n(1)]
    Draining,
    #[n(2)]
    Lost,
    #[n(3)]
    Removed,
}

/// What the copy of the tables on a drive is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub(crate) enum StoredCopy {
    /// It has every commit that was acknowledged.
    #[n(0)]
    Live,
    /// It may lack commits.
    #[n(1)]
    Fenced,
}

impl MemberRow {
    pub(crate) fn drive_uid(&self) -> DriveUid {
        DriveUid(self.uid)
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.standing {
            StoredStanding::Member => Standing::Member,
            StoredStanding::Draining => Standing::Draining,
            StoredStanding::Lost => Standing::Lost,
            StoredStanding::Removed => Standing::Removed,
        }
    }

    /// Whether the drive is looked for.
    pub(crate) fn is_expected(&self) -> bool {
        matches!(
            self.standing,
            StoredStanding::Member | StoredStanding::Draining
        )
    }
}

impl Members {
    /// The number for the next drive: one above all that were given. `None` when none are left.
    pub(crate) fn next_number(&self) -> Option<DriveNo> {
        let highest = self.drives.iter().map(|row| row.number.0).max();
        let next = highest.map_or(Some(0), |highest| highest.checked_add(1))?;
        (next < DriveNo::NOWHERE.0).then_some(DriveNo(next))
    }

    pub(crate) fn row(&self, number: DriveNo) -> Option<&MemberRow> {
        self.drives.iter().find(|row| row.number == number)
    }

    pub(crate) fn row_mut(&mut self, number: DriveNo) -> Option<&mut MemberRow> {
        self.drives.iter_mut().find(|row| row.number == number)
    }

    pub(crate) fn by_uid(&self, uid: DriveUid) -> Option<&MemberRow> {
        self.drives.iter().find(|row| row.uid == uid.0)
    }

    /// The drives that have a copy of the tables.
    pub(crate) fn copies(&self) -> impl Iterator<Item = &MemberRow> {
        self.drives.iter().filter(|row| row.copy.is_some())
    }

    /// The redundancy that was asked for, if it is one that is offered.
    pub(crate) fn wish(&self) -> Option<Redundancy> {
        let (data, parity) = self.wished?;
        Redundancy::new(data, parity).ok()
    }

    /// The bytes of the members file.
    pub(crate) fn seal(&self, at_rest: &dyn AtRest) -> Result<Vec<u8>, Error> {
        let sealed = at_rest
            .seal(
                members_stream(self.epoch),
                &aad(self.epoch),
                &self.to_cbor(),
            )
            .map_err(|_| Error::Seal)?;
        Ok([MAGIC.as_slice(), &self.epoch.to_be_bytes(), &sealed].concat())
    }

    /// Reads a members file; `None` for anything that [`Self::seal`] did not make.
    pub(crate) fn open(at_rest: &dyn AtRest, bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (epoch, sealed) = rest.split_first_chunk::<8>()?;
        if magic != MAGIC {
            return None;
        }
        let epoch = u64::from_be_bytes(*epoch);
        let plain = at_rest
            .open(members_stream(epoch), &aad(epoch), sealed)
            .ok()?;
        let members: Self = minicbor::decode(&plain).ok()?;
        (members.epoch == epoch && members.to_cbor() == plain && members.is_sound())
            .then_some(members)
    }

    fn to_cbor(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        // INVARIANT: encoding into memory cannot fail (the error type is `Infallible`).
        match minicbor::encode(self, &mut bytes) {
            Ok(()) | Err(_) => bytes,
        }
    }

    /// Numbers go up, names are there once, and nobody is nowhere.
    fn is_sound(&self) -> bool {
        let ascending = |pair: &[MemberRow]| match pair {
            [one, other] => one.number < other.number,
            _ => true,
        };
        let mut uids: Vec<_> = self.drives.iter().map(|row| row.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        self.drives.windows(2).all(ascending)
            && uids.len() == self.drives.len()
            && self.row(DriveNo::NOWHERE).is_none()
            && !self.drives.is_empty()
    }
}

/// The age that an epoch lies in. Drives are given up without a majority by a leap into the next age, so
/// that whatever those drives decided among themselves, in more starts than anybody makes, is older.
pub(crate) fn age_of(epoch: u64) -> u64 {
    epoch >> AGE_BITS
}

/// The first epoch of the age after that of `epoch`.
pub(crate) fn next_age(epoch: u64) -> Option<u64> {
    age_of(epoch).checked_add(1)?.checked_mul(1 << AGE_BITS)
}

/// Where the file lies on a drive and in the data directory.
pub(crate) fn path() -> DrivePath {
    DrivePath::fixed(Folder::Top, "members")
}

/// The epoch that stands in clear at the beginning of a members file, whether or not that opens.
pub(crate) fn epoch_of(bytes: &[u8]) -> Option<u64> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (epoch, _) = rest.split_first_chunk::<8>()?;
    (magic == MAGIC).then(|| u64::from_be_bytes(*epoch))
}

fn aad(epoch: u64) -> Vec<u8> {
    [b"strongroom members v1".as_slice(), &epoch.to_be_bytes()].concat()
}

const MAGIC: &[u8; 8] = b"SRMEMB01";
/// 65,536 starts in an age, and as many ages.
const AGE_BITS: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::at_rest::AtRestError;

    /// Turns every byte around and appends a sum of everything.
    struct Toy;

    fn sum(stream: u64, aad: &[u8], plain: &[u8]) -> [u8; 8] {
        let all = [&stream.to_be_bytes(), aad, plain].concat();
        twox_hash::XxHash3_64::oneshot(&all).to_be_bytes()
    }

    impl AtRest for Toy {
        fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
            let body: Vec<u8> = plain.iter().map(|byte| !byte).collect();
            Ok([body, sum(stream, aad, plain).to_vec()].concat())
        }

        fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
            let (body, found) = sealed.split_last_chunk::<8>().ok_or(AtRestError::Open)?;
            let plain: Vec<u8> = body.iter().map(|byte| !byte).collect();
            if sum(stream, aad, &plain) != *found {
                return Err(AtRestError::Open);
            }
            Ok(plain)
        }
    }

    fn row(number: u16) -> MemberRow {
        MemberRow {
            number: DriveNo(number),
            uid: [number.to_be_bytes()[1]; 16],
            facility: "a".to_owned(),
            standing: StoredStanding::Member,
            place: format!("/data/a{number}"),
            copy: (number == 0).then_some(StoredCopy::Live),
            replaced_by: None,
        }
    }

    fn sample() -> Members {
        Members {
            epoch: 7,
            cluster_id: [9; 16],
            is_founding: false,
            wished: Some((4, 2)),
            drives: vec![row(0), row(2)],
        }
    }

    #[test]
    fn members_come_back() {
        let bytes = sample().seal(&Toy).unwrap();
        assert_eq!(Members::open(&Toy, &bytes), Some(sample()));
        assert_eq!(sample().next_number(), Some(DriveNo(3)));
        assert_eq!(sample().wish(), Redundancy::new(4, 2).ok());
    }

    #[test]
    fn members_any_bit_flipped_or_cut() {
        let good = sample().seal(&Toy).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Members::open(&Toy, &bad), None, "bit {bit}");
        }
        for cut in 0..good.len() {
            assert_eq!(Members::open(&Toy, &good[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn members_of_an_older_epoch_under_a_newer_number() {
        let mut newer = sample();
        newer.epoch = 8;
        let old = sample().seal(&Toy).unwrap();
        let mut forged = newer.seal(&Toy).unwrap();
        forged.truncate(16);
        forged.extend_from_slice(&old[16..]);
        assert_eq!(Members::open(&Toy, &forged), None);
    }

    #[test]
    fn members_that_make_no_sense() {
        let mut twice = sample();
        twice.drives = vec![row(2), row(2)];
        let mut backwards = sample();
        backwards.drives = vec![row(2), row(0)];
        let mut one_uid = sample();
        one_uid.drives[1].uid = one_uid.drives[0].uid;
        let mut nowhere = sample();
        nowhere.drives.push(row(u16::MAX));
        let mut nobody = sample();
        nobody.drives.clear();
        for bad in [twice, backwards, one_uid, nowhere, nobody] {
            assert_eq!(Members::open(&Toy, &bad.seal(&Toy).unwrap()), None);
        }
    }

    #[test]
    fn an_age_is_above_all_starts_of_the_age_before() {
        let start = 1_u64 << 32;
        for epoch in [0, 7, start, 9 * start + 3, (1 << 48) - 1] {
            assert_eq!(next_age(epoch), Some(1 << 48));
            assert_eq!(age_of(epoch), 0);
        }
        assert_eq!(next_age(1 << 48), Some(2 << 48));
        assert_eq!(next_age(u64::MAX), None);
    }

    #[test]
    fn numbers_run_out_before_nowhere() {
        let mut full = sample();
        full.drives.push(row(u16::MAX - 1));
        assert_eq!(full.next_number(), None);
    }
}
