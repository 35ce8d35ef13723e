// SPDX-License-Identifier: Apache-2.0
//! The check that fjall leaves out: whether the manifests of its trees are what was written.
//!
//! A tree of fjall is a folder `keyspaces/<number>`. Its file `v<id>` lists the sorted tables that
//! make up the tree, and its file `current` names that file and holds its checksum. fjall (3.1)
//! reads the list without comparing the checksum. A changed bit there can make it reserve any
//! amount of memory, which ends the process without a word, or give the rows of a table another
//! age, which hides them.
//!
//! ```text
//! current = id of the manifest (8) || XXH3-128 of the manifest (16) || 0     little-endian
//! ```

use std::path::Path;

use twox_hash::XxHash3_128;

use crate::drive::small_file::{self, folders_in};
use crate::error::Error;

/// Compares the manifest of every tree in the database at `dir` with its checksum. A tree without
/// a file `current` was never finished, as far as fjall is concerned; that rows are missing then
/// shows when the log is compared with the index.
pub(super) fn check(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::from_io("read the manifests of", "index", source);
    for tree in folders_in(&dir.join("keyspaces")).map_err(failed)? {
        let Some(current) = small_file::read(&tree.join("current")).map_err(failed)? else {
            continue;
        };
        let (id, sum) = parse(&current).ok_or_else(|| damaged(&tree, "current"))?;
        let name = format!("v{id}");
        let manifest = small_file::read(&tree.join(&name)).map_err(failed)?;
        if manifest.map(|manifest| XxHash3_128::oneshot(&manifest)) != Some(sum) {
            return Err(damaged(&tree, &name));
        }
    }
    Ok(())
}

/// Number and checksum of the manifest.
fn parse(current: &[u8]) -> Option<(u64, u128)> {
    let (id, rest) = current.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    (rest == [0]).then_some((u64::from_le_bytes(*id), u128::from_le_bytes(*sum)))
}

fn damaged(tree: &Path, name: &str) -> Error {
    let tree = tree.file_name().unwrap_or_default().display();
    Error::Corrupted {
        place: format!("table index, keyspaces/{tree}/{name}"),
        reason: "it is not what was written",
    }
}
