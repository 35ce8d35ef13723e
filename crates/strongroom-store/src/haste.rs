// SPDX-License-Identifier: Apache-2.0
//! Drives that are waited for less long than all others.
//!
//! The problem: a drive that hangs is told from one that is slow by time alone. Where time is short
//! for all drives, one that is merely slow for a moment is given up with it; a test of what happens
//! to the one would depend on how fast the machine is. So whoever knows which drive is to be given
//! up soon says so of that one, and there is time for the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::drive::DriveNo;

/// How long some drives are waited for, where that is less than the usual. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Haste(Arc<Mutex<BTreeMap<DriveNo, Duration>>>);

impl Haste {
    /// From now on the drive is waited for no longer than this; `None` for as long as the others.
    pub(crate) fn set(&self, drive: DriveNo, at_most: Option<Duration>) {
        let mut all = self.lock();
        match at_most {
            Some(at_most) => drop(all.insert(drive, at_most)),
            None => drop(all.remove(&drive)),
        }
    }

    /// How long a drive is waited for when the usual is `limit`.
    pub(crate) fn of(&self, drive: DriveNo, limit: Duration) -> Duration {
        let all = self.lock();
        all.get(&drive).map_or(limit, |at_most| limit.min(*at_most))
    }

    /// How long is waited at least before it matters which drive is waited for.
    pub(crate) fn least(&self, limit: Duration) -> Duration {
        let all = self.lock();
        all.values()
            .fold(limit, |least, at_most| least.min(*at_most))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DriveNo, Duration>> {
        // One entry is put there or taken away as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_drive_that_is_named_is_waited_for_less() {
        let (haste, usual) = (Haste::default(), Duration::from_secs(10));
        let [one, other] = [DriveNo(1), DriveNo(2)];
        haste.set(one, Some(Duration::from_secs(3)));
        haste.set(other, Some(Duration::from_secs(30)));
        assert_eq!(haste.of(one, usual), Duration::from_secs(3));
        assert_eq!(haste.of(other, usual), usual, "never longer");
        assert_eq!(haste.least(usual), Duration::from_secs(3));
        haste.set(one, None);
        assert_eq!((haste.of(one, usual), haste.least(usual)), (usual, usual));
    }
}
