// SPDX-License-Identifier: Apache-2.0
//! One store on simulated drives: opening it, and the few things that stories do with it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use strongroom_store::blob::{BlobOptions, Keeping};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, DriveSet, Folder, SetMember};
use strongroom_store::layout::{DriveUid, Redundancy, UnitLayout};
use strongroom_store::table::TableOptions;
use strongroom_store::{
    AtRest, BlobId, BlobLocation, BlobProof, CatalogueEntry, Error, Store, StoreOptions,
};
use strongroom_testkit::{SimDrive, SimRng, TestSealer, UnsealedUnits};

use crate::model::{Model, ROWS};
use crate::story::{Done, Rows};

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

/// One of them, each as often as it weighs; `None` when none weighs anything.
pub(crate) fn draw<S>(
    rng: &mut SimRng,
    weighed: impl Iterator<Item = (S, u64)> + Clone,
) -> Option<S> {
    let sum = weighed.clone().map(|(_, weight)| weight).sum();
    let mut at = rng.below(sum);
    for (what, weight) in weighed {
        if at < weight {
            return Some(what);
        }
        at -= weight;
    }
    None
}

/// All rows of the stories' table.
pub(crate) fn rows(store: &Store) -> Result<Rows, String> {
    let all = Bound::Unbounded;
    let rows = store.tables().scan(ROWS, all, all, usize::MAX, false);
    let rows = rows.map_err(|error| error.to_string())?;
    let pairs = rows
        .into_iter()
        .map(|(key, row)| (key, (row.value, row.seq)));
    Ok(pairs.collect())
}

/// Whether a scan from `start` on shows what the model has; the store's own error if it fails.
pub(crate) fn scan(
    store: &Store,
    model: &Model,
    start: &[u8],
    limit: usize,
    reverse: bool,
) -> Result<Done, Error> {
    let bound = Bound::Included(start);
    let (from, to) = if reverse {
        (Bound::Unbounded, bound)
    } else {
        (bound, Bound::Unbounded)
    };
    let found = store.tables().scan(ROWS, from, to, limit, reverse)?;
    let inside = model.rows.range::<[u8], _>((from, to));
    let mut expected: Vec<_> = inside
        .map(|(key, row)| (key.clone(), row.value.clone(), row.seq))
        .collect();
    if reverse {
        expected.reverse();
    }
    expected.truncate(limit);
    let found = found
        .into_iter()
        .map(|(key, row)| (key, row.value, row.seq));
    Ok(if found.collect::<Vec<_>>() == expected {
        Ok(())
    } else {
        Err("a scan shows other rows".to_owned())
    })
}

/// On a drive that is there: the shards that it should have, and nothing else but those that it is
/// owed and what is `allowed` besides.
pub(crate) fn files_are_those_of(
    catalogue: &[CatalogueEntry],
    drive: &SimDrive,
    number: DriveNo,
    mut allowed: BTreeSet<DrivePath>,
) -> Done {
    let of_blobs = |path: &DrivePath| matches!(path.folder(), Folder::Blobs(_) | Folder::Temporary);
    let files: BTreeSet<_> = drive.files().into_iter().filter(of_blobs).collect();
    let mut due = BTreeSet::new();
    for entry in catalogue {
        let Keeping {
            placement, owed, ..
        } = entry.keeping;
        let path = DrivePath::blob(entry.location.blob);
        if let Some(shard) = placement.shard_on(number) {
            allowed.insert(path.clone());
            if !owed.has(shard) {
                due.insert(path);
            }
        }
    }
    let shown = |paths: Vec<&DrivePath>| {
        let names: Vec<String> = paths.into_iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    let (more, missing) = (files.difference(&allowed), due.difference(&files));
    let (more, missing) = (shown(more.collect()), shown(missing.collect()));
    if more.is_empty() && missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "drive {number}: files without a row: {more}; missing: {missing}"
    ))
}
