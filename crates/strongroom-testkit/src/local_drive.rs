// SPDX-License-Identifier: Apache-2.0
//! A local drive that was just closed, opened again in the same process.

use std::path::Path;
use std::time::{Duration, Instant};

use strongroom_store::Error;
use strongroom_store::drive::LocalDrive;

/// Opens the drive in a directory, waiting for a store of this process that was closed to let go
/// of it: it does so a moment later, when its threads have ended. A real restart is another
/// process. Blocks.
pub fn local_drive(directory: &Path) -> Result<LocalDrive, Error> {
    let start = Instant::now();
    loop {
        match LocalDrive::open(directory) {
            Err(Error::DriveInUse { .. }) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

const PATIENCE: Duration = Duration::from_mins(2);
