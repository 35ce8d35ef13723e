// SPDX-License-Identifier: Apache-2.0
//! Blobs: sequences of sealed units, each blob a shard file of its own.
//!
//! Never sees plaintext, keys or protocols: a unit is bytes with a checksum. See
//! `docs/spec/shard-format.md` for the file and [`BlobWriter`] for its life.

mod buffer;
mod catalog;
mod ends;
mod orphans;
mod read;
mod reclaim;
mod shard;
mod survey;
#[cfg(test)]
mod tests;
mod workers;
mod write;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use buffer::UnitBuffer;
pub use catalog::CatalogRow;
pub use ends::ShardEnds;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use ends::fuzzing;
pub use orphans::OrphanReport;
pub use read::{BlobReader, VerifyReport};
pub use reclaim::{BlobPin, BlobReclaimer};
pub use shard::{ShardHeader, ShardTrailer, UnitSums};
pub use survey::{SurveyDamage, SurveyReport, SurveyedBlob, survey};
pub use write::{BlobProof, BlobWriter, UnitNotSealed, UnitSealer};

use self::buffer::UnitPool;
use self::workers::Workers;
use crate::drive::Drive;
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, UnitLayout};

/// The blobs of a store. Clones share everything.
#[derive(Clone, Debug)]
pub struct Blobs {
    inner: Arc<Inner>,
}

/// How the blobs of a store are kept.
#[derive(Clone, Copy, Debug)]
pub struct BlobOptions {
    /// The unit length of most blobs.
    pub layout: UnitLayout,
    /// Threads that may be writing or flushing at once.
    pub write_workers: usize,
    /// Threads that may be reading at once.
    pub read_workers: usize,
    /// Memory kept for the next buffers.
    pub pool_bytes_max: usize,
    /// No threads at all: every job runs on the caller's thread, to its end, before the call
    /// returns. For simulations, in which a seed has to tell the whole story.
    pub inline: bool,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self {
            layout: UnitLayout::PRODUCT,
            write_workers: 32,
            read_workers: 16,
            pool_bytes_max: 64 << 20,
            inline: false,
        }
    }
}

#[derive(Debug)]
struct Inner {
    drive: Arc<dyn Drive>,
    layout: UnitLayout,
    pool: Arc<UnitPool>,
    writers: Workers,
    readers: Workers,
    reclaimer: BlobReclaimer,
}

impl Blobs {
    /// The blobs of a drive whose temporary folder is empty.
    pub(crate) fn new(
        drive: Arc<dyn Drive>,
        reclaimer: BlobReclaimer,
        options: BlobOptions,
    ) -> Self {
        let workers = |count| {
            if options.inline {
                Workers::inline()
            } else {
                Workers::new(count)
            }
        };
        let inner = Inner {
            drive,
            layout: options.layout,
            pool: UnitPool::new(
                options.layout.wider().unwrap_or(options.layout),
                options.pool_bytes_max,
            ),
            writers: workers(options.write_workers),
            readers: workers(options.read_workers),
            reclaimer,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The unit length of this store; blobs may also have units of [`UnitLayout::wider`].
    pub fn layout(&self) -> UnitLayout {
        self.inner.layout
    }

    /// A buffer of `units` units. It holds what its last user left: fill what you use.
    pub fn buffer(&self, layout: UnitLayout, units: usize) -> UnitBuffer {
        self.inner.pool.take(layout, units)
    }

    /// Refuses when the drive has no room for new content, wherever it would lie. Blobs ask again
    /// as they grow; what is to lie in the tables has to be asked for here.
    pub fn check_room(&self) -> Result<(), Error> {
        room_on(self.inner.drive.as_ref())
    }

    /// Begins a blob whose units `sealer` will seal. Touches the drive only with the first write.
    /// Refuses unit lengths other than this store's and [`UnitLayout::wider`].
    #[expect(
        clippy::unused_async,
        reason = "choosing drives for a blob will have to wait"
    )]
    pub async fn create<S: UnitSealer>(
        &self,
        blob: BlobId,
        layout: UnitLayout,
        sealer: S,
    ) -> Result<BlobWriter<S>, Error> {
        let Inner {
            drive,
            writers,
            reclaimer,
            ..
        } = self.inner.as_ref();
        if !self.inner.allows(layout) {
            return Err(Error::Misuse {
                what: "a unit length that the store does not have",
            });
        }
        let ticket = reclaimer.admit(blob)?;
        Ok(BlobWriter::new(
            sealer,
            Arc::clone(drive),
            layout,
            writers.clone(),
            ticket,
        ))
    }

    /// Opens a blob for reading; the reader outlives a release of the blob.
    pub async fn open(&self, location: &BlobLocation) -> Result<BlobReader, Error> {
        BlobReader::open(&self.inner, *location).await
    }

    /// Keeps the files of `blobs` from being removed while an answer is read from them. A blob may
    /// have been released just before: look at the row that named it again, after this.
    pub fn pin(&self, blobs: Vec<BlobId>) -> BlobPin {
        self.inner.reclaimer.pin(blobs)
    }

    /// Reads one range of a blob.
    pub async fn read(
        &self,
        location: &BlobLocation,
        first_unit: u64,
        units: u32,
    ) -> Result<UnitBuffer, Error> {
        self.open(location).await?.read(first_unit, units).await
    }

    /// Reads a whole blob and compares every byte of its file with a checksum.
    pub async fn verify(&self, location: &BlobLocation) -> Result<VerifyReport, Error> {
        read::verify(&self.inner, *location).await
    }

    /// Compares the end of a blob's file, which no reading of units touches, with what was written.
    pub async fn verify_trailer(&self, location: &BlobLocation) -> Result<(), Error> {
        read::verify_trailer(&self.inner, *location).await
    }

    /// What the header of a blob's file says.
    pub async fn header(&self, blob: BlobId) -> Result<ShardHeader, Error> {
        read::header(&self.inner, blob).await
    }

    /// The files that hold a blob, by their names on the drive.
    pub fn files(&self, blob: BlobId) -> Vec<String> {
        vec![crate::drive::DrivePath::blob(blob).to_string()]
    }

    /// Bytes of memory kept for the next buffers.
    pub fn pooled_bytes(&self) -> usize {
        self.inner.pool.free_bytes()
    }

    /// Waits until the files of everything dropped or released so far are gone.
    pub async fn reclaimed(&self) -> Result<(), Error> {
        let reclaimer = self.inner.reclaimer.clone();
        let wait = move || {
            reclaimer.wait();
            Ok(())
        };
        self.inner.writers.run(wait).await
    }

    /// Removes the files that no row of the catalogue stands for, until told to `stop`.
    pub(crate) async fn collect_orphans(
        &self,
        is_adopted: impl Fn(BlobId) -> Result<bool, Error> + Send + 'static,
        stop: Arc<AtomicBool>,
    ) -> Result<OrphanReport, Error> {
        let inner = Arc::clone(&self.inner);
        let collect =
            move || orphans::collect(inner.drive.as_ref(), &inner.reclaimer, is_adopted, &stop);
        self.inner.readers.run(collect).await
    }
}

impl Inner {
    /// Whether blobs may have units of this length.
    fn allows(&self, layout: UnitLayout) -> bool {
        layout == self.layout || Some(layout) == self.layout.wider()
    }
}

fn room_on(drive: &dyn Drive) -> Result<(), Error> {
    if drive.has_room()? {
        return Ok(());
    }
    Err(Error::NoSpace {
        action: "store new content on",
        path: drive.label(),
    })
}

/// Empties the temporary folder: first step of opening a store, before any writer exists.
pub(crate) fn clear_temporary(drive: &dyn Drive) -> Result<u64, Error> {
    orphans::clear_temporary(drive)
}
