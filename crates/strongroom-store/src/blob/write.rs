// SPDX-License-Identifier: Apache-2.0
//! Writing a blob, once, from its first unit to its last; there is no writer without a sealer.
//!
//! ```text
//!   create -> write* -> finish -> BlobProof -> Write::AdoptBlob
//!     |         |          |          |
//!     +---------+----------+----------+---- dropped: the file goes
//! ```
//!
//! The checksums are computed and the bytes written on a thread that may block, one buffer behind
//! the caller: while a buffer is on its way to the drive the caller fills the next one.

use std::fmt;
use std::sync::Arc;

use super::buffer::UnitBuffer;
use super::reclaim::{Stage, Ticket};
use super::shard::{ShardHeader, ShardTrailer, UnitSums};
use super::workers::{Running, Workers};
use crate::drive::{Drive, DriveFile, DrivePath};
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, ShardIndex, UnitLayout};

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
    /// Index of the next unit; `None` behind the last.
    next: Option<u64>,
    workers: Workers,
    /// Empty while a write is on its way, and after one failed.
    writing: Option<Writing>,
    pending: Option<Running<Writing>>,
    /// Given up with the writer, unless there is a proof.
    ticket: Option<Arc<Ticket>>,
}

/// Proof that every byte of a blob is durable under its final name. To be consumed by the commit
/// that adopts the blob; dropped instead, the file is removed.
pub struct BlobProof {
    location: BlobLocation,
    ticket: Arc<Ticket>,
}

/// The file so far. Moves between the writer and the blocking thread.
struct Writing {
    drive: Arc<dyn Drive>,
    layout: UnitLayout,
    sums: UnitSums,
    file: Option<Arc<dyn DriveFile>>,
    units: u64,
    sealed_bytes: u64,
    /// INVARIANT: dropped after the last write ended, since its drop removes the file.
    ticket: Arc<Ticket>,
}

impl<S: UnitSealer> BlobWriter<S> {
    pub(crate) fn new(
        sealer: S,
        drive: Arc<dyn Drive>,
        layout: UnitLayout,
        workers: Workers,
        ticket: Arc<Ticket>,
    ) -> Self {
        let of_writer = Arc::clone(&ticket);
        let writing = Writing {
            drive,
            layout,
            sums: UnitSums::new(ticket.blob(), ShardIndex(0)),
            file: None,
            units: 0,
            sealed_bytes: 0,
            ticket,
        };
        Self {
            sealer,
            layout,
            next: Some(0),
            workers,
            writing: Some(writing),
            pending: None,
            ticket: Some(of_writer),
        }
    }

    /// Seals and appends the first `used_units` units of `buffer`, all of them full, and more will
    /// follow. Returns when the write *before* this one is done: an error belongs to either.
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
        self.settle().await?;
        if used_units == 0 {
            return Ok(());
        }
        let mut writing = self.writing.take().ok_or(FAILED_BEFORE)?;
        let started = self.workers.start(move || {
            writing.append(buffer)?;
            Ok(writing)
        });
        self.pending = Some(started.await?);
        Ok(())
    }

    /// Makes the blob durable under its final name: trailer, rename, flush of the file, flush of
    /// the folder.
    pub async fn finish(mut self) -> Result<BlobProof, Error> {
        self.settle().await?;
        let writing = self.writing.take().ok_or(FAILED_BEFORE)?;
        let proof = self.workers.run(move || writing.finish()).await?;
        self.ticket = None;
        Ok(proof)
    }

    /// Waits for the write on its way.
    async fn settle(&mut self) -> Result<(), Error> {
        if let Some(pending) = self.pending.as_mut() {
            let done = pending.await;
            self.pending = None;
            self.writing = Some(done?);
        }
        Ok(())
    }
}

impl<S> Drop for BlobWriter<S> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.give_up();
        }
    }
}

impl BlobProof {
    /// Where the blob is: what a version row keeps.
    pub fn location(&self) -> BlobLocation {
        self.location
    }

    /// The blob.
    pub fn blob(&self) -> BlobId {
        self.location.blob
    }

    /// The commit with the blob's catalogue row is durable and visible to readers: the file
    /// stays.
    pub fn adopted(self) {
        self.ticket.reached(Stage::Adopted);
    }

    /// Whether the commit is durable is not known (its flush failed): the file stays until the
    /// next start, which has the log to decide by.
    pub fn undecided(self) {
        self.ticket.reached(Stage::Undecided);
    }
}

impl Writing {
    fn blob(&self) -> BlobId {
        self.ticket.blob()
    }

    fn file(&mut self) -> Result<Arc<dyn DriveFile>, Error> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = self
            .drive
            .create(&DrivePath::blob_in_writing(self.blob()))?;
        file.write_at(0, &ShardHeader::single(self.blob(), self.layout).to_bytes())?;
        Ok(Arc::clone(self.file.insert(file)))
    }

    fn append(&mut self, mut buffer: UnitBuffer) -> Result<(), Error> {
        let full_units = self.layout.unit_count(self.sealed_bytes) == self.units
            && self
                .sealed_bytes
                .is_multiple_of(u64::from(self.layout.unit_bytes()));
        if !full_units {
            return Err(Error::Misuse {
                what: "a unit written behind a short one",
            });
        }
        if buffer.last_len() == 0 {
            return Err(Error::Misuse {
                what: "an empty unit",
            });
        }
        let offset = self.layout.file_offset(self.units).ok_or(TOO_LONG)?;
        let units = u64::try_from(buffer.capacity_units()).map_err(|_| TOO_LONG)?;
        let sealed = units
            .checked_sub(1)
            .and_then(|full| full.checked_mul(u64::from(self.layout.unit_bytes())))
            .zip(u64::try_from(buffer.last_len()).ok())
            .and_then(|(full, last)| full.checked_add(last));
        let sealed_bytes = sealed
            .and_then(|sealed| self.sealed_bytes.checked_add(sealed))
            .ok_or(TOO_LONG)?;

        let bytes = buffer.file_bytes_mut();
        self.sums.write(self.layout, self.units, bytes);
        super::room_on(self.drive.as_ref())?;
        self.file()?.write_at(offset, bytes)?;
        metrics::counter!("strongroom_blob_bytes_written_total")
            .increment(u64::try_from(bytes.len()).unwrap_or(0));
        self.units = self.units.checked_add(units).ok_or(TOO_LONG)?;
        self.sealed_bytes = sealed_bytes;
        Ok(())
    }

    fn finish(mut self) -> Result<BlobProof, Error> {
        let blob = self.blob();
        let end = self
            .layout
            .slots_bytes(self.sealed_bytes)
            .and_then(|slots| slots.checked_add(u64::from(crate::layout::HEADER_BYTES)))
            .ok_or(TOO_LONG)?;
        let file = self.file()?;
        let trailer =
            ShardTrailer::new(blob, self.layout, self.sealed_bytes, &[]).ok_or(TOO_LONG)?;
        file.write_at(end, &trailer.to_bytes())?;
        let published = DrivePath::blob(blob);
        self.drive
            .rename(&DrivePath::blob_in_writing(blob), &published)?;
        self.ticket.reached(Stage::Published);
        // The name first, then both flushes: a journaling file system commits bytes and name with
        // the first one, and has nothing left to do for the second. A crash in between leaves a
        // file without a catalogue row, which the next start removes.
        file.sync()?;
        self.drive.sync_folder(published.folder())?;
        let location = BlobLocation {
            blob,
            sealed_bytes: self.sealed_bytes,
            layout: self.layout,
        };
        Ok(BlobProof {
            location,
            ticket: self.ticket,
        })
    }
}

impl<S> fmt::Debug for BlobWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobWriter")
            .field("pending", &self.pending.is_some())
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

const FAILED_BEFORE: Error = Error::Misuse {
    what: "a blob writer used after it failed",
};
const TOO_LONG: Error = Error::TooLarge { what: "the blob" };
