// SPDX-License-Identifier: Apache-2.0
//! Reading units back, each compared with its checksum before it is handed out.
//!
//! A range of units is one read of each shard that has units of it, into one pooled buffer; a
//! small range lies in one shard. A reader keeps its files open: a blob released in the middle of
//! a download stays readable to its end.
//!
//! Ranges that the operating system has in memory are read at once, without a change of thread;
//! the rest is read on threads that may block. When a shard is missing, damaged or late, its units
//! are computed from those of the others: see [`super::gather`].

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Inner;
use super::buffer::UnitBuffer;
use super::catalog::{CatalogRow, Keeping};
use super::damage::{Damage, DamageKind};
use super::gather;
use super::open_shard::{OpenShard, damage_of};
use crate::drive::DriveNo;
use crate::erasure::Codec;
use crate::error::Error;
use crate::layout::{BlobLocation, ShardIndex};

/// An open blob.
#[derive(Clone)]
pub struct BlobReader {
    pub(super) blobs: Arc<Inner>,
    pub(super) blob: Arc<OpenBlob>,
}

/// A blob and those of its shard files that were opened so far.
pub(super) struct OpenBlob {
    pub(super) location: BlobLocation,
    pub(super) keeping: Keeping,
    codec: OnceLock<Codec>,
    /// By shard.
    shards: Vec<ShardPlace>,
}

/// One shard of an open blob.
#[derive(Default)]
struct ShardPlace {
    open: OnceLock<OpenShard>,
    /// Why it cannot be used, if it cannot. Not tried again.
    refused: RwLock<Option<Refusal>>,
}

/// Why a shard is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The blob is owed it, or its drive is not there.
    Away,
    /// It is not what was written.
    Damaged,
}

impl BlobReader {
    pub(super) async fn open(blobs: &Arc<Inner>, location: BlobLocation) -> Result<Self, Error> {
        let blob = Arc::new(OpenBlob::find(blobs, location)?);
        let reader = Self {
            blobs: Arc::clone(blobs),
            blob,
        };
        if reader.is_alone() {
            reader.on_drive(ShardIndex(0), OpenBlob::shard).await?;
        }
        Ok(reader)
    }

    /// The blob that is open.
    pub fn location(&self) -> BlobLocation {
        self.blob.location
    }

    /// Reads `units` units from `first_unit` on. Every unit in the answer is what was written.
    pub async fn read(&self, first_unit: u64, units: u32) -> Result<UnitBuffer, Error> {
        let mut buffer = self.buffer(first_unit, units)?;
        if units <= CACHED_UNITS_MAX && self.fill_cached(first_unit, &mut buffer)? {
            return Ok(buffer);
        }
        if !self.is_alone() {
            drop(buffer);
            return gather::read(self, first_unit, units).await;
        }
        let fill = move |blob: &OpenBlob, blobs: &Inner, shard| {
            let open = blob.shard(blobs, shard)?;
            let filled = open.fill(first_unit, buffer.file_bytes_mut(), false);
            filled.inspect_err(|error| blob.report(blobs, shard, error))?;
            Ok(buffer)
        };
        self.on_drive(ShardIndex(0), fill).await
    }

    /// Whether the blob has one shard.
    fn is_alone(&self) -> bool {
        self.blob.shards.len() == 1
    }

    /// Does something with a shard on a thread that may wait for its drive.
    async fn on_drive<T, F>(&self, shard: ShardIndex, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&OpenBlob, &Inner, ShardIndex) -> Result<T, Error> + Send + 'static,
    {
        let number = self.blob.keeping.placement.drive(shard);
        let workers = self.blobs.readers.on(number.unwrap_or(DriveNo::NOWHERE));
        let (blob, blobs) = (Arc::clone(&self.blob), Arc::clone(&self.blobs));
        workers.run(move || job(&blob, &blobs, shard)).await
    }

    /// Reads a range from memory into `buffer`, if all of it is there and whole: straight to where
    /// it is wanted, from each shard that has a part of it.
    fn fill_cached(&self, first_unit: u64, buffer: &mut UnitBuffer) -> Result<bool, Error> {
        let OpenBlob {
            location, keeping, ..
        } = self.blob.as_ref();
        let units = u32::try_from(buffer.capacity_units()).unwrap_or(u32::MAX);
        let runs = keeping
            .stripes
            .runs(location.sealed_bytes, first_unit, units);
        for run in runs.ok_or_else(|| self.outside(first_unit, units))? {
            let Some(open) = self.blob.opened(run.shard) else {
                return Ok(false);
            };
            let start = run.first_unit.saturating_sub(first_unit);
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(run.units).unwrap_or(usize::MAX));
            let bytes = buffer.slots_range(start..end);
            match open.fill(run.first_row, buffer.range_mut(bytes), true) {
                Ok(true) => {}
                Err(error) if self.is_alone() => {
                    self.blob.report(&self.blobs, run.shard, &error);
                    return Err(error);
                }
                // Damage is told apart, unit for unit, where the other shards are read too.
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// A buffer of the right form for a range of this blob.
    pub(super) fn buffer(&self, first_unit: u64, units: u32) -> Result<UnitBuffer, Error> {
        if units > READ_UNITS_MAX {
            return Err(Error::TooLarge {
                what: "the range of units",
            });
        }
        let BlobLocation {
            layout,
            sealed_bytes,
            ..
        } = self.blob.location;
        let outside = || self.outside(first_unit, units);
        let last = u64::from(units)
            .checked_sub(1)
            .and_then(|more| first_unit.checked_add(more))
            .ok_or_else(outside)?;
        let last_len = layout.unit_len(sealed_bytes, last).ok_or_else(outside)?;
        let units = usize::try_from(units).map_err(|_| outside())?;
        let mut buffer = self.blobs.pool.take(layout, units);
        buffer.set_last_len(last_len);
        Ok(buffer)
    }

    pub(super) fn outside(&self, first_unit: u64, units: u32) -> Error {
        Error::OutOfRange {
            blob: self.blob.location.blob,
            first_unit,
            units,
        }
    }
}

impl OpenBlob {
    /// Finds where the shards of a blob lie.
    pub(super) fn find(blobs: &Inner, location: BlobLocation) -> Result<Self, Error> {
        let blob = location.blob;
        let damaged = |reason| Error::CorruptedShard { blob, reason };
        if !blobs.allows(location.layout) {
            return Err(damaged("the store has no units of that length"));
        }
        let row = blobs.row(blob)?.ok_or(Error::BlobNotFound { blob })?;
        if row.location(blob) != location {
            return Err(damaged("the catalogue knows it by another length"));
        }
        let keeping = row
            .keeping()
            .ok_or_else(|| damaged("its shards do not fit"))?;
        Ok(Self::new(location, keeping))
    }

    /// A blob that is kept so.
    pub(super) fn new(location: BlobLocation, keeping: Keeping) -> Self {
        let places = keeping.stripes.redundancy().each_shard();
        let shards = places.map(|shard| ShardPlace {
            open: OnceLock::new(),
            refused: RwLock::new(keeping.owed.has(shard).then_some(Refusal::Away)),
        });
        Self {
            location,
            keeping,
            codec: OnceLock::new(),
            shards: shards.collect(),
        }
    }

    /// The code of the blob.
    pub(super) fn codec(&self) -> &Codec {
        let redundancy = self.keeping.stripes.redundancy();
        self.codec.get_or_init(|| Codec::new(redundancy))
    }

    fn place(&self, shard: ShardIndex) -> Option<&ShardPlace> {
        self.shards.get(usize::from(shard.0))
    }

    /// A shard that is open and was not found damaged.
    pub(super) fn opened(&self, shard: ShardIndex) -> Option<&OpenShard> {
        self.place(shard)?.open.get()
    }

    /// Why a shard is not to be tried any more.
    pub(super) fn refused(&self, shard: ShardIndex) -> Option<Refusal> {
        let refused = self.place(shard)?.refused.read();
        *refused.unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, shard: ShardIndex, why: Refusal) {
        if let Some(place) = self.place(shard) {
            let refused = place.refused.write();
            *refused.unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }

    /// Opens a shard, or gives the one that is open. Blocks.
    pub(super) fn shard(&self, blobs: &Inner, shard: ShardIndex) -> Result<OpenShard, Error> {
        if let Some(open) = self.opened(shard) {
            return Ok(open.clone());
        }
        let place = self.place(shard).ok_or(Error::BlobNotFound {
            blob: self.location.blob,
        })?;
        let opened = self.open(blobs, &self.keeping, shard);
        let open = match opened {
            Err(error) => {
                // It may have been moved since the catalogue was asked.
                let moved = match self.moved(blobs, shard) {
                    Some(now) => self.open(blobs, &now, shard),
                    None => Err(error),
                };
                moved.inspect_err(|error| self.report(blobs, shard, error))?
            }
            Ok(open) => open,
        };
        Ok(place.open.get_or_init(|| open).clone())
    }

    fn open(
        &self,
        blobs: &Inner,
        keeping: &Keeping,
        shard: ShardIndex,
    ) -> Result<OpenShard, Error> {
        let drive = keeping.placement.drive(shard);
        let drive = drive
            .and_then(|number| blobs.drive(number))
            .ok_or_else(|| self.unreadable())?;
        OpenShard::open(drive.as_ref(), self.location, keeping, shard)
    }

    /// How the blob is kept now, if the shard lies elsewhere than it did.
    fn moved(&self, blobs: &Inner, shard: ShardIndex) -> Option<Keeping> {
        let row = blobs.row(self.location.blob).ok().flatten()?;
        let now = row.keeping()?;
        let lies = |keeping: &Keeping| (keeping.placement.drive(shard), keeping.owed.has(shard));
        (lies(&now) != lies(&self.keeping)).then_some(now)
    }

    /// Too little of the blob is there.
    pub(super) fn unreadable(&self) -> Error {
        Error::TooFewShards {
            blob: self.location.blob,
            there: 0,
            needed: self.keeping.stripes.redundancy().data(),
        }
    }

    /// Takes note of what is wrong with a shard, for this reader and for whoever heals.
    pub(super) fn report(&self, blobs: &Inner, shard: ShardIndex, error: &Error) {
        let Some(kind) = damage_of(error) else {
            self.refuse(shard, Refusal::Away);
            return;
        };
        // One bad unit says nothing of the others.
        if kind != DamageKind::Unit {
            self.refuse(shard, Refusal::Damaged);
        }
        self.damaged(blobs, shard, kind);
    }

    /// Tells whoever heals of damage, unless the shard does not count any more.
    pub(super) fn damaged(&self, blobs: &Inner, shard: ShardIndex, kind: DamageKind) {
        let Some(drive) = self.keeping.placement.drive(shard) else {
            return;
        };
        // A drive whose folder was taken away has no files either.
        if matches!(kind, DamageKind::Unreadable | DamageKind::Missing) {
            blobs.drives.suspect(drive);
            if blobs.drives.get(drive).is_none() {
                return;
            }
        }
        let blob = self.location.blob;
        let counts = |row: CatalogRow| {
            let owed = row.keeping().is_none_or(|keeping| keeping.owed.has(shard));
            row.placement.drive(shard) == Some(drive) && !owed
        };
        // A blob without a row was released, and its files go.
        if matches!((blobs.row_of)(blob), Ok(Some(row)) if counts(row)) {
            blobs.damage.push(Damage {
                blob,
                shard,
                drive,
                kind,
            });
        }
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("location", &self.blob.location)
            .finish_non_exhaustive()
    }
}

/// The longest range that is read on the caller's thread when it is in memory: copying it takes
/// about as long as sending it.
const CACHED_UNITS_MAX: u32 = 16;
/// The longest range of one read.
const READ_UNITS_MAX: u32 = 512;
