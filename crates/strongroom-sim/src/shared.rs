// SPDX-License-Identifier: Apache-2.0
//! What stories of both kinds do alike.

use std::collections::BTreeSet;
use std::ops::Bound;

use strongroom_store::blob::Keeping;
use strongroom_store::drive::{DriveNo, DrivePath, Folder};
use strongroom_store::{CatalogueEntry, Error, Store};
use strongroom_testkit::{SimDrive, SimRng};

use crate::model::{Model, ROWS};
use crate::story::{Done, Rows};

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
