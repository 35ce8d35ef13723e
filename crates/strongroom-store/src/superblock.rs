// SPDX-License-Identifier: Apache-2.0
//! Whose drive it is: a small file at the top of each drive.
//!
//! The problem: a directory given by mistake (another cluster's, another program's, an empty
//! mount point where a full drive should be) must be refused before anything is written to it.
//!
//! ```text
//!   magic (8) | version (4) | cluster id (16) | drive uid (16) | unit bytes (4)
//!   | length of facility name (2) | facility name | XXH3-64 of all before (8)      little-endian
//! ```

use aws_lc_rs::rand;
use twox_hash::XxHash3_64;

use crate::drive::{Drive, DrivePath, Folder};
use crate::error::Error;
use crate::layout::{DriveUid, UnitLayout};

/// The identity of a drive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Superblock {
    /// The cluster that the drive belongs to.
    pub(crate) cluster_id: [u8; 16],
    /// The drive's own name.
    pub(crate) drive_uid: DriveUid,
    /// The unit length of the blobs on it; some may be wider (`UnitLayout::wider`).
    pub(crate) layout: UnitLayout,
    /// The facility that the drive stands in.
    pub(crate) facility: String,
}

impl Superblock {
    /// Reads the identity of a drive, or gives one to an empty drive.
    pub(crate) fn open_or_create(
        drive: &dyn Drive,
        layout: UnitLayout,
        facility: &str,
    ) -> Result<Self, Error> {
        let refused = |reason| Error::DriveRefused {
            drive: drive.label(),
            reason,
        };
        if let Some(found) = Self::read(drive, layout)? {
            return Ok(found);
        }
        if !is_facility_name(facility) {
            return Err(refused("a facility name has 1 to 64 of a-z, 0-9 and `-`"));
        }
        let new = Self {
            cluster_id: random_id()?,
            drive_uid: DriveUid(random_id()?),
            layout,
            facility: facility.to_owned(),
        };
        new.write_to_empty(drive)?;
        Ok(new)
    }

    /// Reads the identity of a drive; `None` when it has none.
    pub(crate) fn read(drive: &dyn Drive, layout: UnitLayout) -> Result<Option<Self>, Error> {
        let refused = |reason| Error::DriveRefused {
            drive: drive.label(),
            reason,
        };
        let Some(bytes) = drive.read_small(&Self::path())? else {
            return Ok(None);
        };
        let found = Self::parse(&bytes).map_err(refused)?;
        if found.layout != layout {
            return Err(refused("its blobs have another unit length"));
        }
        Ok(Some(found))
    }

    /// Gives this identity to a drive that has none and holds nothing.
    pub(crate) fn write_to_empty(&self, drive: &dyn Drive) -> Result<(), Error> {
        if drive.read_small(&Self::path())?.is_some() || !holds_nothing(drive)? {
            return Err(Error::DriveRefused {
                drive: drive.label(),
                reason: "it holds data but no superblock",
            });
        }
        drive.replace(&Self::path(), &self.to_bytes())
    }

    /// Reads the identity of a drive of this cluster, or makes an empty drive one of it.
    pub(crate) fn open_or_create_for(
        drive: &dyn Drive,
        layout: UnitLayout,
        cluster_id: [u8; 16],
    ) -> Result<Self, Error> {
        if let Some(found) = Self::read(drive, layout)? {
            if found.cluster_id == cluster_id {
                return Ok(found);
            }
            return Err(Error::DriveRefused {
                drive: drive.label(),
                reason: "it belongs to another cluster than the backup",
            });
        }
        let new = Self {
            cluster_id,
            drive_uid: DriveUid(random_id()?),
            layout,
            facility: "main".to_owned(),
        };
        new.write_to_empty(drive)?;
        Ok(new)
    }

    /// Where it lies.
    pub(crate) fn path() -> DrivePath {
        DrivePath::fixed(Folder::Top, "superblock")
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.cluster_id);
        bytes.extend_from_slice(&self.drive_uid.0);
        bytes.extend_from_slice(&self.layout.unit_bytes().to_le_bytes());
        // INVARIANT: a facility name has at most 64 bytes, checked when it was made or parsed.
        let name_len = u16::try_from(self.facility.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&name_len.to_le_bytes());
        bytes.extend_from_slice(self.facility.as_bytes());
        let sum = XxHash3_64::oneshot_with_seed(SEED, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        const FOREIGN: &str = "its superblock is not one of a Strongroom drive";
        const DAMAGED: &str = "its superblock is damaged";
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(FOREIGN)?;
        if *magic != MAGIC {
            return Err(FOREIGN);
        }
        let (fields, sum) = bytes.split_last_chunk::<8>().ok_or(DAMAGED)?;
        if XxHash3_64::oneshot_with_seed(SEED, fields).to_le_bytes() != *sum {
            return Err(DAMAGED);
        }
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(DAMAGED)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err("its format is of another version");
        }
        let (cluster_id, rest) = rest.split_first_chunk::<16>().ok_or(DAMAGED)?;
        let (drive_uid, rest) = rest.split_first_chunk::<16>().ok_or(DAMAGED)?;
        let (unit_bytes, rest) = rest.split_first_chunk::<4>().ok_or(DAMAGED)?;
        let (name_len, rest) = rest.split_first_chunk::<2>().ok_or(DAMAGED)?;
        let name = rest
            .get(..usize::from(u16::from_le_bytes(*name_len)))
            .ok_or(DAMAGED)?;
        let facility = String::from_utf8(name.to_vec()).map_err(|_| DAMAGED)?;
        let layout = UnitLayout::new(u32::from_le_bytes(*unit_bytes)).ok_or(DAMAGED)?;
        let found = Self {
            cluster_id: *cluster_id,
            drive_uid: DriveUid(*drive_uid),
            layout,
            facility,
        };
        if !is_facility_name(&found.facility) || found.to_bytes() != bytes {
            return Err(DAMAGED);
        }
        Ok(found)
    }
}

const MAGIC: [u8; 8] = *b"SR-SUPER";
const VERSION: u32 = 1;
const SEED: u64 = 0x5352_5355_5000_0001;

pub(crate) fn is_facility_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(legal)
}

/// Whether the drive holds nothing of ours: only then may it get an identity.
pub(crate) fn holds_nothing(drive: &dyn Drive) -> Result<bool, Error> {
    let folders = [Folder::Log, Folder::Audit, Folder::Vault].into_iter();
    for folder in folders.chain((0..=u8::MAX).map(Folder::Blobs)) {
        if !drive.list(folder)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn random_id() -> Result<[u8; 16], Error> {
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| Error::Random)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            cluster_id: [1; 16],
            drive_uid: DriveUid([2; 16]),
            layout: UnitLayout::PRODUCT,
            facility: "main".to_owned(),
        }
    }

    #[test]
    fn superblock_comes_back() {
        assert_eq!(Superblock::parse(&sample().to_bytes()), Ok(sample()));
    }

    #[test]
    fn superblock_any_bit_flipped() {
        let good = sample().to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Superblock::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn superblock_cut_or_extended() {
        let good = sample().to_bytes();
        for cut in 0..good.len() {
            assert!(Superblock::parse(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = good;
        long.push(0);
        assert!(Superblock::parse(&long).is_err());
    }

    #[test]
    fn superblock_illegal_facility_with_a_right_checksum() {
        for facility in ["", "Main", "a/b", "caf\u{e9}", &"x".repeat(65)] {
            let bad = Superblock {
                facility: facility.to_owned(),
                ..sample()
            };
            assert!(
                Superblock::parse(&bad.to_bytes()).is_err(),
                "facility `{facility}`"
            );
        }
    }
}
