// SPDX-License-Identifier: Apache-2.0
//! One store on simulated drives: opening it, and the few things that stories do with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_store::blob::BlobOptions;
use strongroom_store::drive::{Drive, DriveNo, DriveSet, SetMember};
use strongroom_store::layout::{DriveUid, Redundancy, UnitLayout};
use strongroom_store::table::TableOptions;
use strongroom_store::{AtRest, BlobId, BlobLocation, BlobProof, Error, Store, StoreOptions};
use strongroom_testkit::{SimDrive, SimRng, TestSealer, UnsealedUnits};

/// Units of this many bytes: small, so that short bodies have many.
pub(crate) const UNIT: usize = 64;

/// How a store is kept; drawn once for each story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    tables: TableOptions,
    pub(crate) redundancy: Redundancy,
    pub(crate) drives: usize,
}

impl Shape {
    pub(crate) fn draw(rng: &mut SimRng) -> Self {
        let tables = tables(rng);
        let codes = [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (4, 2)];
        // Half of all stories have one drive.
        let (data, parity) = codes[rng.index(2 * codes.len()).saturating_sub(codes.len())];
        let redundancy = Redundancy::new(data, parity).unwrap();
        let shards = usize::from(data + parity);
        let more = if parity == 0 { 0 } else { rng.index(3) };
        Self {
            tables,
            redundancy,
            drives: shards + more,
        }
    }

    /// Opens the store: another process would do the same.
    pub(crate) async fn open(&self, set: DriveSet) -> Result<Store, Error> {
        let options = StoreOptions {
            redundancy: self.redundancy,
            ..options(self.tables)
        };
        Store::open_over(set, at_rest(), options).await
    }
}

/// How tables are kept.
pub(crate) fn tables(rng: &mut SimRng) -> TableOptions {
    TableOptions {
        log_file_bytes: 2_048 << rng.below(6),
        checkpoint_bytes: 1 << 20,
        retain_log_files: rng.index(3),
        background_checkpoints: false,
        index_cache_bytes: 1 << 20,
        inline: true,
    }
}

/// How a store is kept on the caller's thread.
pub(crate) fn options(tables: TableOptions) -> StoreOptions {
    StoreOptions {
        blobs: BlobOptions {
            layout: layout(),
            inline: true,
            ..BlobOptions::default()
        },
        tables,
        ..StoreOptions::default()
    }
}

/// The seal of rows.
pub(crate) fn at_rest() -> Arc<dyn AtRest> {
    Arc::new(TestSealer::new(1))
}

/// The drives of a cluster as a process finds them; `gone` are not there.
pub(crate) fn set(drives: &[SimDrive], gone: &BTreeSet<usize>) -> DriveSet {
    let member = |(number, drive): (usize, &SimDrive)| {
        let at = u8::try_from(number).unwrap();
        let facility = format!("f{}", at % 3);
        let drive: Arc<dyn Drive> = Arc::new(drive.clone());
        let uid = DriveUid([at; 16]);
        let mut member = SetMember::online(DriveNo(at.into()), uid, facility, drive);
        if gone.contains(&number) {
            member.drive = None;
        }
        member
    };
    DriveSet::new(drives.iter().enumerate().map(member).collect()).unwrap()
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
