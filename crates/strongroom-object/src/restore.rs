// SPDX-License-Identifier: Apache-2.0
//! Whether an archived object can be read: what RestoreObject wrote into its row, and the clock.
//!
//! ```text
//!   archived --RestoreObject--> ongoing --delay of the tier--> readable --expiry--> archived
//! ```
//!
//! There is no second copy that could be lost or left behind: the sealed bytes lie where they lay.
//! What a restored copy is in S3 is here a time in which the object may be read.

use minicbor::{Decode, Encode};

use crate::error::Error;
use crate::objects::{Objects, ObjectsOptions};
use crate::rows::VersionRow;
use crate::storage_class::StorageClass;

/// How fast an archived object is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RestoreTier {
    /// `Expedited`; not for DEEP_ARCHIVE.
    #[n(0)]
    Expedited,
    /// `Standard`
    #[n(1)]
    Standard,
    /// `Bulk`
    #[n(2)]
    Bulk,
}

impl RestoreTier {
    /// The tier of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Expedited, Self::Standard, Self::Bulk];
        all.into_iter().find(|tier| tier.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expedited => "Expedited",
            Self::Standard => "Standard",
            Self::Bulk => "Bulk",
        }
    }
}

/// How long a restore takes by tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreDelays {
    /// Expedited, from GLACIER.
    pub expedited_ms: u64,
    /// Standard, from GLACIER.
    pub standard_ms: u64,
    /// Bulk, from GLACIER.
    pub bulk_ms: u64,
    /// Standard, from DEEP_ARCHIVE.
    pub deep_standard_ms: u64,
    /// Bulk, from DEEP_ARCHIVE.
    pub deep_bulk_ms: u64,
}

impl RestoreDelays {
    /// The delay of a tier; `None` where the class does not have the tier.
    pub(crate) fn of(self, class: StorageClass, tier: RestoreTier) -> Option<u64> {
        match (class, tier) {
            (StorageClass::DeepArchive, RestoreTier::Expedited) => None,
            (StorageClass::DeepArchive, RestoreTier::Standard) => Some(self.deep_standard_ms),
            (StorageClass::DeepArchive, RestoreTier::Bulk) => Some(self.deep_bulk_ms),
            (_, RestoreTier::Expedited) => Some(self.expedited_ms),
            (_, RestoreTier::Standard) => Some(self.standard_ms),
            (_, RestoreTier::Bulk) => Some(self.bulk_ms),
        }
    }

    /// No delay at all: an object can be read as soon as it was asked for.
    pub const NONE: Self = Self::same(0);

    /// The same delay for every tier.
    pub const fn same(ms: u64) -> Self {
        Self {
            expedited_ms: ms,
            standard_ms: ms,
            bulk_ms: ms,
            deep_standard_ms: ms,
            deep_bulk_ms: ms,
        }
    }
}

impl Default for RestoreDelays {
    /// The upper ends of what S3 names for each tier.
    fn default() -> Self {
        const MINUTE: u64 = 60_000;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            expedited_ms: 5 * MINUTE,
            standard_ms: 5 * HOUR,
            bulk_ms: 12 * HOUR,
            deep_standard_ms: 12 * HOUR,
            deep_bulk_ms: 48 * HOUR,
        }
    }
}

/// A restore, in the row of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RestoreRow {
    #[n(0)]
    pub tier: RestoreTier,
    #[n(1)]
    pub days: u32,
    /// From when on it can be read, Unix time in milliseconds.
    #[n(2)]
    pub ready_ms: u64,
    /// Until when, Unix time in milliseconds.
    #[n(3)]
    pub expires_ms: u64,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreStatus {
    /// It is on its way.
    Ongoing,
    /// The object can be read until then, Unix time in milliseconds.
    Until(u64),
}

impl RestoreRow {
    pub(crate) fn status(&self, now_ms: u64) -> Option<RestoreStatus> {
        if now_ms < self.ready_ms {
            Some(RestoreStatus::Ongoing)
        } else if now_ms < self.expires_ms {
            Some(RestoreStatus::Until(self.expires_ms))
        } else {
            None
        }
    }
}

impl VersionRow {
    /// How far the restore of an archived object is; nothing where there is none.
    pub(crate) fn restore_status(&self, now_ms: u64) -> Option<RestoreStatus> {
        let restore = self.restore.as_ref().filter(|_| self.class.is_archive())?;
        restore.status(now_ms)
    }
}

impl Objects {
    /// Refuses to read an archived object that is not restored.
    pub(crate) fn check_readable(&self, row: &VersionRow, copy_source: bool) -> Result<(), Error> {
        match (row.class.is_archive(), row.restore_status(self.now_ms())) {
            (false, _) | (true, Some(RestoreStatus::Until(_))) => Ok(()),
            (true, None | Some(RestoreStatus::Ongoing)) => Err(Error::Archived {
                class: row.class,
                copy_source,
            }),
        }
    }
}

impl ObjectsOptions {
    /// A time some days later, rounded up to the next midnight, as S3 counts: never earlier.
    pub(crate) fn days_later(&self, from_ms: u64, days: u32) -> u64 {
        let day = self.day_ms.max(1);
        let later = from_ms.saturating_add(day.saturating_mul(u64::from(days)));
        let behind = later % day;
        if behind == 0 {
            later
        } else {
            later.saturating_sub(behind).saturating_add(day)
        }
    }
}

/// A day, milliseconds.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::Compat;

    fn options(day_ms: u64) -> ObjectsOptions {
        ObjectsOptions {
            region: String::new(),
            account_id: String::new(),
            compat: Compat::default(),
            day_ms,
            restore_delays: RestoreDelays::default(),
        }
    }

    #[test]
    fn days_end_at_the_next_midnight() {
        let short = options(0);
        let options = options(DAY_MS);
        // S3's example: made on 15 January at 10:30, three days: 19 January.
        let made = 14 * DAY_MS + DAY_MS / 2;
        assert_eq!(options.days_later(made, 3), 18 * DAY_MS);
        assert_eq!(options.days_later(14 * DAY_MS, 3), 17 * DAY_MS);
        assert_eq!(options.days_later(14 * DAY_MS + 1, 0), 15 * DAY_MS);
        assert_eq!(
            options.days_later(u64::MAX, u32::MAX) / DAY_MS,
            u64::MAX / DAY_MS
        );
        assert_eq!(short.days_later(7, 2), 9);
    }

    #[test]
    fn a_restore_is_ongoing_then_readable_then_gone() {
        let row = RestoreRow {
            tier: RestoreTier::Bulk,
            days: 1,
            ready_ms: 10,
            expires_ms: 20,
        };
        for (now, status) in [
            (0, Some(RestoreStatus::Ongoing)),
            (9, Some(RestoreStatus::Ongoing)),
            (10, Some(RestoreStatus::Until(20))),
            (19, Some(RestoreStatus::Until(20))),
            (20, None),
            (u64::MAX, None),
        ] {
            assert_eq!(row.status(now), status, "{now}");
        }
    }

    #[test]
    fn deep_archive_has_no_expedited_tier() {
        let delays = RestoreDelays::default();
        let of = |class, tier| delays.of(class, tier);
        assert_eq!(of(StorageClass::DeepArchive, RestoreTier::Expedited), None);
        for class in [StorageClass::Glacier, StorageClass::DeepArchive] {
            assert!(of(class, RestoreTier::Standard) < of(class, RestoreTier::Bulk));
        }
        assert!(
            of(StorageClass::Glacier, RestoreTier::Expedited)
                < of(StorageClass::Glacier, RestoreTier::Standard)
        );
        for name in ["Expedited", "Standard", "Bulk"] {
            assert_eq!(RestoreTier::parse(name).unwrap().name(), name);
        }
        for bad in ["", "standard", "Fast", "Bulk "] {
            assert_eq!(RestoreTier::parse(bad), None);
        }
    }
}
