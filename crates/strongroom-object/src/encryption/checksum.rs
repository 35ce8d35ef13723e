// SPDX-License-Identifier: Apache-2.0
//! Checksums as rows keep them.

use strongroom_format::{ObjectDataId, SseMode};

use super::ObjectKeys;
use crate::digest::digest_len;
use crate::error::Error;
use crate::model::{Checksum, ChecksumType};
use crate::rows::{ChecksumRow, VersionRow};

/// Store a checksum: sealed under the object's own key, or keys, unless the object is under SSE-S3.
pub(crate) fn seal_checksum(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    checksum: &Checksum,
) -> Result<ChecksumRow, Error> {
    let use_byte = u8::from(checksum.checksum_type == ChecksumType::Composite);
    seal(mode, oek, odi, checksum, use_byte)
}

/// Store the checksums of an object's parts, one after another, as [`seal_checksum`] does.
pub(crate) fn seal_part_checksums(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    checksums: &Checksum,
) -> Result<ChecksumRow, Error> {
    seal(mode, oek, odi, checksums, PARTS)
}

fn seal(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    checksum: &Checksum,
    use_byte: u8,
) -> Result<ChecksumRow, Error> {
    let mut row = ChecksumRow::clear(checksum);
    if mode != SseMode::S3 {
        row.value = oek.seal_sum(odi, &row.value, &[row.algorithm, use_byte])?;
        row.sealed = true;
    }
    Ok(row)
}

/// The checksum of a version, the inverse of [`seal_checksum`].
///
/// BIND covers what is stored as the digest, but not whether it is sealed, nor the number of parts:
/// a sealed digest that is said to be clear has the wrong length, and the version knows its parts.
pub(crate) fn open_checksum(row: &VersionRow, oek: &ObjectKeys) -> Result<Option<Checksum>, Error> {
    let Some(stored) = &row.checksum else {
        return Ok(None);
    };
    let checksum = open(row, stored, oek, u8::from(stored.composite))?;
    let parts = stored.composite.then(|| u32::from(row.parts));
    if checksum.value.len() == digest_len(checksum.algorithm) && checksum.parts == parts {
        Ok(Some(checksum))
    } else {
        Err(damaged())
    }
}

/// The inverse of [`seal_part_checksums`].
pub(crate) fn open_part_checksums(
    version: &VersionRow,
    stored: &ChecksumRow,
    oek: &ObjectKeys,
) -> Result<Checksum, Error> {
    open(version, stored, oek, PARTS)
}

/// Whether a checksum is sealed is for the mode to say, not for the row: one that is said to be
/// clear would be believed.
fn open(
    version: &VersionRow,
    stored: &ChecksumRow,
    oek: &ObjectKeys,
    use_byte: u8,
) -> Result<Checksum, Error> {
    let is_clear = version.key.mode()? == SseMode::S3;
    if stored.sealed == is_clear {
        return Err(damaged());
    }
    if is_clear {
        return stored.with_value(stored.value.clone());
    }
    let odi = version.object_data_id();
    let value = oek
        .open_sum(&odi, &stored.value, &[stored.algorithm, use_byte])
        .map_err(|_| damaged())?;
    stored.with_value(value)
}

fn damaged() -> Error {
    Error::Corrupted {
        what: "stored checksum".to_owned(),
    }
}

/// The use that the additional data names for checksums of parts; 0 and 1 are the object's own.
const PARTS: u8 = 2;
