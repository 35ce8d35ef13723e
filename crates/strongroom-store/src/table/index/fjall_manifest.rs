// SPDX-License-Identifier: Apache-2.0
//! The checks that fjall leaves out before it opens a database: whether everything is there, and
//! whether the manifests of its trees are what was written.
//!
//! A tree of fjall is a folder `keyspaces/<number>`: 0 is its own, 1 the one that a database of ours
//! is made with, and there are no others. The file `v<id>` of a tree lists the sorted tables that make
//! it up, and its file `current` names that file and holds its checksum.
//!
//! fjall (3.1) takes a tree without `current` for one that was never finished: it removes it with all
//! its sorted tables, makes an empty one in its place, of the next number, and fills that with what its
//! journal still has, which may be the mark of what was applied last. So a database to which a file
//! was lost would count as whole once it was opened, and nothing older would be in it. A database is
//! made beside its place, and moved there when it is finished (`FjallIndex::open`): what is missing
//! there was lost.
//!
//! fjall also reads the list without comparing the checksum. A changed bit there can make it reserve
//! any amount of memory, which ends the process without a word, or give the rows of a table another
//! age, which hides them.
//!
//! ```text
//! current = id of the manifest (8) || XXH3-128 of the manifest (16) || 0     little-endian
//! ```

use std::path::Path;

use twox_hash::XxHash3_128;

use crate::drive::small_file::{self, folders_in};
use crate::error::Error;

/// Refuses the database at `dir`, which was finished, unless both of its trees are there, no other is,
/// and their manifests have their checksums. Changes nothing.
pub(super) fn check(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::from_io("read the manifests of", "index", source);
    // Without its mark fjall would make a database there.
    if small_file::read(&dir.join("version"))
        .map_err(failed)?
        .is_none()
    {
        return Err(damaged("version", "it is missing"));
    }
    let trees = dir.join("keyspaces");
    for tree in folders_in(&trees).map_err(failed)? {
        let name = tree.file_name().unwrap_or_default().to_string_lossy();
        if !TREES.contains(&&*name) {
            let place = format!("keyspaces/{name}");
            return Err(damaged(
                &place,
                "it stands in the place of one that was lost",
            ));
        }
    }
    for tree in TREES {
        let place = |file: &str| format!("keyspaces/{tree}/{file}");
        let read = |file: &str| small_file::read(&trees.join(tree).join(file)).map_err(failed);
        let Some(current) = read("current")? else {
            return Err(damaged(&place("current"), "it is missing"));
        };
        let (id, sum) = parse(&current).ok_or_else(|| damaged(&place("current"), CHANGED))?;
        let name = format!("v{id}");
        if read(&name)?.map(|manifest| XxHash3_128::oneshot(&manifest)) != Some(sum) {
            return Err(damaged(&place(&name), CHANGED));
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

fn damaged(place: &str, reason: &'static str) -> Error {
    Error::Corrupted {
        place: format!("table index, {place}"),
        reason,
    }
}

/// fjall's own tree, and that of the rows.
const TREES: [&str; 2] = ["0", "1"];
const CHANGED: &str = "it is not what was written";
