// SPDX-License-Identifier: Apache-2.0
//! What lies at a place, before anything there is touched.
//!
//! A place is text that only the opener understands: the path of a directory, or a name in a
//! test. Looking never changes anything, so that a directory named by mistake stays as it is.

use std::path::Path;
use std::sync::Arc;

use crate::drive::{Drive, LocalDrive, small_file};
use crate::error::Error;

/// What is at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtPlace {
    /// Nothing at all: a drive can be made there.
    Nothing,
    /// A folder with nothing in it: a drive can be made there, too.
    Empty,
    /// A drive with an identity.
    Drive,
    /// Something else, which is to be left alone.
    Foreign,
}

/// Finds drives by their places.
pub trait DriveOpener: Send + Sync + 'static {
    /// What is there. Changes nothing.
    fn look(&self, place: &str) -> Result<AtPlace, Error>;

    /// Opens the drive there, for this process alone; makes it where nothing is.
    fn open(&self, place: &str) -> Result<Arc<dyn Drive>, Error>;

    /// Whether the place is the drive that lies in a data directory, whichever that is.
    fn is_in_data_directory(&self, place: &str) -> Result<bool, Error> {
        let _ = place;
        Ok(false)
    }
}

/// Places are directories of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalOpener;

impl DriveOpener for LocalOpener {
    fn look(&self, place: &str) -> Result<AtPlace, Error> {
        let names = small_file::names_in(Path::new(place))
            .map_err(|source| Error::from_io("look into", place, source))?;
        let Some(names) = names else {
            return Ok(AtPlace::Nothing);
        };
        if names.iter().any(|name| name == "superblock") {
            return Ok(AtPlace::Drive);
        }
        let is_nothing = |name: &String| NO_CONTENT.contains(&name.as_str());
        if names.iter().all(is_nothing) {
            return Ok(AtPlace::Empty);
        }
        Ok(AtPlace::Foreign)
    }

    fn open(&self, place: &str) -> Result<Arc<dyn Drive>, Error> {
        Ok(Arc::new(LocalDrive::open(Path::new(place))?))
    }

    fn is_in_data_directory(&self, place: &str) -> Result<bool, Error> {
        let path = Path::new(place);
        let Some(folder) = path.parent().filter(|_| path.ends_with("drive")) else {
            return Ok(false);
        };
        let names = small_file::names_in(folder)
            .map_err(|source| Error::from_io("look into", folder.display(), source))?;
        Ok(names.is_some_and(|names| names.iter().any(|name| name == "keyring")))
    }
}

/// What may be in a folder that counts as empty: what file systems put there, and what a start
/// leaves that was cut short before the drive had its identity.
const NO_CONTENT: [&str; 4] = ["lost+found", "lock", "superblock.new", "members.new"];
