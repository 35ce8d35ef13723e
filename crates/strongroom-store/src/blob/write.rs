// SPDX-License-Identifier: Apache-2.0
//! Writing a blob, once, from its first unit to its last; there is no writer without a sealer.
//!
//! ```text
//!   create -> write* -> finish -> BlobProof -> Write::AdoptBlob
//!     |         |          |          |
//!     +---------+----------+----------+---- dropped: the files go
//! ```
//!
//! Checksums and parity are computed and the bytes written on threads that may block, one buffer
//! behind the caller: while a buffer is on its way to the drives the caller fills the next one.
//! What becomes of it there is told in [`super::stripe_writer`].

use std::fmt;
use std::sync::Arc;

use super::Inner;
use super::buffer::UnitBuffer;
use super::catalog::Keeping;
use super::damage::DamageQueue;
use super::flow::Flow;
use super::reclaim::Ticket;
use super::shard_writer::ShardWriter;
use super::stripe_writer::StripeWriter;
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, MANIFEST_BYTES_MAX, UnitLayout};

/// Seals the units of one blob in place, before they go to a drive.
///
/// The store knows no keys: whoever begins a blob hands in its sealer, and the writer hands every
/// unit to it. So no byte of a blob can reach a drive without having gone through a sealer.
pub trait UnitSealer: Send + Sync {
    /// Seals unit `index` of the blob, which is as long as it will be on the drive. The writer
    /// calls this once for each unit, in order; `is_last` for the one that ends the blob.
    fn seal_unit(&self, index: u64, is_last: bool, unit: &mut [u8]) -> Result<(), UnitNotSealed>;
}

/// A unit could not be sealed; the blob must be given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a unit could not be sealed")]
pub struct UnitNotSealed;

impl<S: UnitSealer + ?Sized> UnitSealer for &S {
    fn seal_unit(&self, index: u64, is_last: bool, unit: &mut [u8]) -> Result<(), UnitNotSealed> {
        (**self).seal_unit(index, is_last, unit)
    }
}

/// Seals and writes the units of one blob in order.
pub struct BlobWriter<S> {
    sealer: S,
    layout: UnitLayout,
    units_per_write: usize,
    /// Index of the next unit; `None` behind the last.
    next: Option<u64>,
    flow: Flow,
}

/// Proof that every byte of a blob is durable under its final name, on as many drives as the
/// write quorum asks for. To be consumed by the commit that adopts the blob; dropped instead, the
/// files are removed.
pub struct BlobProof {
    location: BlobLocation,
    keeping: Keeping,
    shards: Vec<ShardWriter>,
    ticket: Arc<Ticket>,
    /// Where whoever heals listens.
    damage: DamageQueue,
}

impl<S: UnitSealer> BlobWriter<S> {
    pub(super) fn new(sealer: S, blobs: Arc<Inner>, writing: StripeWriter) -> Self {
        Self {
            sealer,
            layout: writing.layout(),
            units_per_write: usize::try_from(writing.stripes().stripe_units()).unwrap_or(1),
            next: Some(0),
            flow: Flow::new(blobs, writing),
        }
    }

    /// How many units are best handed over at once: whole stripes are written from where they were
    /// sealed, others are gathered first.
    pub fn units_per_write(&self) -> usize {
        self.units_per_write
    }

    /// Seals and appends the first `used_units` units of `buffer`, all of them full, and more will
    /// follow. Returns before it is written: an error belongs to any write before it.
    /// After an error the writer is of no more use.
    pub async fn write(&mut self, buffer: UnitBuffer, used_units: usize) -> Result<(), Error> {
        self.seal_and_append(buffer, used_units, false).await
    }

    /// The same with the end of the blob: the last unit may be short
    /// ([`UnitBuffer::set_last_len`]), and nothing follows it.
    pub async fn write_end(&mut self, buffer: UnitBuffer, used_units: usize) -> Result<(), Error> {
        self.seal_and_append(buffer, used_units, true).await
    }

    async fn seal_and_append(
        &mut self,
        mut buffer: UnitBuffer,
        used_units: usize,
        is_end: bool,
    ) -> Result<(), Error> {
        if used_units > buffer.capacity_units() {
            return Err(Error::Misuse {
                what: "more units written than the buffer has",
            });
        }
        if buffer.layout() != self.layout {
            return Err(Error::Misuse {
                what: "units written that are not as long as the blob's",
            });
        }
        let first = self.next.take().ok_or(Error::Misuse {
            what: "a unit written behind the last one",
        })?;
        buffer.set_units(used_units);
        let mut index = first;
        for slot in 0..used_units {
            let is_last = is_end && slot.checked_add(1) == Some(used_units);
            self.sealer
                .seal_unit(index, is_last, buffer.slot_mut(slot))
                .map_err(|UnitNotSealed| Error::Seal)?;
            index = index.checked_add(1).ok_or(TOO_LONG)?;
        }
        if !is_end {
            self.next = Some(index);
        }
        if used_units == 0 {
            return self.flow.settle().await;
        }
        self.flow.append(buffer).await
    }

    /// The same as [`Self::finish_with`] nothing.
    pub async fn finish(self) -> Result<BlobProof, Error> {
        self.finish_with(Vec::new()).await
    }

    /// Makes the blob durable under its final name: manifest and trailer, rename, flush of the
    /// file, flush of the folder, on every drive that has a shard of it. The manifest is what the
    /// writer leaves for the day when there are no tables: sealed, by whoever knows how. One that is
    /// longer than [`MANIFEST_BYTES_MAX`] is left out.
    pub async fn finish_with(self, manifest: Vec<u8>) -> Result<BlobProof, Error> {
        self.flow.finish(fitting(manifest)).await
    }
}

/// A body's manifest if it fits, else nothing.
pub(super) fn fitting(manifest: Vec<u8>) -> Vec<u8> {
    if u32::try_from(manifest.len()).is_ok_and(|bytes| bytes <= MANIFEST_BYTES_MAX) {
        return manifest;
    }
    metrics::counter!("strongroom_manifests_left_out_total").increment(1);
    tracing::debug!(
        bytes = manifest.len(),
        "a manifest is too long and left out"
    );
    Vec::new()
}

impl BlobProof {
    pub(super) fn new(
        location: BlobLocation,
        keeping: Keeping,
        shards: Vec<ShardWriter>,
        ticket: Arc<Ticket>,
        damage: DamageQueue,
    ) -> Self {
        Self {
            location,
            keeping,
            shards,
            ticket,
            damage,
        }
    }

    /// Where the blob is: what a version row keeps.
    pub fn location(&self) -> BlobLocation {
        self.location
    }

    /// The blob.
    pub fn blob(&self) -> BlobId {
        self.location.blob
    }

    /// How it is kept: what the catalogue says of it.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// The commit with the blob's catalogue row is durable and visible to readers: the files
    /// stay.
    pub fn adopted(self) {
        // Until it is healed the blob survives less than it should. What no drive can take now is
        // not worth a look.
        let Keeping {
            placement, owed, ..
        } = self.keeping;
        if owed.each().any(|shard| placement.drive(shard).is_some()) {
            self.damage.announce();
        }
        self.shards.into_iter().for_each(ShardWriter::keep);
    }

    /// Whether the commit is durable is not known (its flush failed): the files stay until the
    /// next start, which has the log to decide by.
    pub fn undecided(self) {
        self.ticket.undecided();
        self.shards.into_iter().for_each(ShardWriter::keep);
    }
}

impl<S> fmt::Debug for BlobWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobWriter")
            .field("pending", &self.flow.is_pending())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BlobProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobProof")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

const TOO_LONG: Error = Error::TooLarge { what: "the blob" };
