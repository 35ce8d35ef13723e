// SPDX-License-Identifier: Apache-2.0
//! One store on simulated drives: opening it, and the few things that stories do with it.

use std::sync::Arc;

use strongroom_store::blob::BlobOptions;
use strongroom_store::layout::UnitLayout;
use strongroom_store::table::TableOptions;
use strongroom_store::{BlobId, BlobLocation, BlobProof, Error, Store, StoreOptions};
use strongroom_testkit::{SimDrive, SimRng, TestSealer, UnsealedUnits};

/// Units of this many bytes: small, so that short bodies have many.
pub(crate) const UNIT: usize = 64;

/// How a store is kept; drawn once for each story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    tables: TableOptions,
}

impl Shape {
    pub(crate) fn draw(rng: &mut SimRng) -> Self {
        let tables = TableOptions {
            log_file_bytes: 2_048 << rng.below(6),
            checkpoint_bytes: 1 << 20,
            retain_log_files: rng.index(3),
            background_checkpoints: false,
            index_cache_bytes: 1 << 20,
            inline: true,
        };
        Self { tables }
    }

    /// Opens the store of a drive: another process would do the same.
    pub(crate) async fn open(&self, drive: &SimDrive) -> Result<Store, Error> {
        let options = StoreOptions {
            blobs: BlobOptions {
                layout: layout(),
                inline: true,
                ..BlobOptions::default()
            },
            tables: self.tables,
            ..StoreOptions::default()
        };
        let at_rest = Arc::new(TestSealer::new(1));
        Store::open(Arc::new(drive.clone()), at_rest, options).await
    }
}

pub(crate) fn layout() -> UnitLayout {
    UnitLayout::new(64).unwrap()
}

/// Where a blob of so many bytes is.
pub(crate) fn location(blob: BlobId, len: usize) -> BlobLocation {
    BlobLocation {
        blob,
        sealed_bytes: u64::try_from(len).unwrap(),
        layout: layout(),
    }
}

/// Writes a blob in buffers of `units` units. `None`: given up after `units_max` of them.
pub(crate) async fn write(
    store: &Store,
    blob: BlobId,
    bytes: &[u8],
    units: usize,
    buffers_max: Option<usize>,
) -> Result<Option<BlobProof>, Error> {
    let layout = layout();
    let mut writer = store.blobs().create(blob, layout, UnsealedUnits).await?;
    for (number, run) in bytes.chunks(UNIT * units).enumerate() {
        if buffers_max == Some(number) {
            return Ok(None);
        }
        let mut buffer = store.blobs().buffer(layout, units);
        let mut used = 0;
        for piece in run.chunks(UNIT) {
            buffer.slot_mut(used)[..piece.len()].copy_from_slice(piece);
            used += 1;
            if piece.len() < UNIT {
                buffer.set_last_len(u32::try_from(piece.len()).unwrap());
            }
        }
        writer.write(buffer, used).await?;
    }
    if buffers_max.is_some() {
        return Ok(None);
    }
    writer.finish().await.map(Some)
}

/// Reads units of a blob as plain bytes.
pub(crate) async fn read(
    store: &Store,
    location: &BlobLocation,
    first_unit: u64,
    units: u32,
) -> Result<Vec<u8>, Error> {
    let buffer = store.blobs().read(location, first_unit, units).await?;
    let slots = 0..buffer.capacity_units();
    Ok(slots.flat_map(|unit| buffer.slot(unit).to_vec()).collect())
}
