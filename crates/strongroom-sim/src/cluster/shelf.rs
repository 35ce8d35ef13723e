// SPDX-License-Identifier: Apache-2.0
//! Places with simulated drives, as a machine has directories.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::{AtPlace, DriveOpener, Error};
use strongroom_testkit::{SimDrive, SimPower};

/// The places of a machine, and the drives that are in them now.
#[derive(Debug)]
pub(super) struct Shelf {
    drives: Mutex<BTreeMap<String, SimDrive>>,
    power: SimPower,
    seed: u64,
}

impl Shelf {
    /// Without a drive; those that are made get their chances from `seed` and their place.
    pub(super) fn new(power: &SimPower, seed: u64) -> Self {
        Self {
            drives: Mutex::default(),
            power: power.clone(),
            seed,
        }
    }

    /// The drive at a place.
    pub(super) fn at(&self, place: &str) -> Option<SimDrive> {
        self.lock().get(place).cloned()
    }

    /// Puts a drive into a place.
    pub(super) fn put(&self, place: &str, drive: SimDrive) {
        drive.plug_in(&self.power);
        self.lock().insert(place.to_owned(), drive);
    }

    /// Takes the drive out of a place.
    pub(super) fn take(&self, place: &str) -> Option<SimDrive> {
        self.lock().remove(place)
    }

    /// All places with drives, in order.
    pub(super) fn places(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// All drives, in the order of their places.
    pub(super) fn drives(&self) -> Vec<SimDrive> {
        self.lock().values().cloned().collect()
    }

    /// What becomes of every drive when the process ends; `trace` hears of each before.
    pub(super) fn end(&self, end: fn(&SimDrive) -> SimDrive, mut trace: impl FnMut(u64)) {
        for drive in self.lock().values_mut() {
            trace(drive.trace());
            *drive = end(drive);
            drive.plug_in(&self.power);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SimDrive>> {
        self.drives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DriveOpener for Shelf {
    fn look(&self, place: &str) -> Result<AtPlace, Error> {
        let Some(drive) = self.at(place) else {
            return Ok(AtPlace::Nothing);
        };
        let top = drive.list(Folder::Top)?;
        Ok(if top.contains(&superblock()) {
            AtPlace::Drive
        } else if drive.files().is_empty() {
            AtPlace::Empty
        } else {
            AtPlace::Foreign
        })
    }

    fn open(&self, place: &str) -> Result<Arc<dyn Drive>, Error> {
        if let Some(drive) = self.at(place) {
            return Ok(Arc::new(drive));
        }
        let of_place = place.bytes().fold(self.seed, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let drive = SimDrive::new(of_place);
        self.put(place, drive.clone());
        Ok(Arc::new(drive))
    }
}

fn superblock() -> DrivePath {
    DrivePath::fixed(Folder::Top, "superblock")
}
