// SPDX-License-Identifier: Apache-2.0
//! Checksums as rows keep them.

use strongroom_format::{ObjectDataId, SseMode};

use super::ObjectKeys;
use crate::digest::digest_len;
use crate::error::Error;
use crate::model::{Checksum, ChecksumType};
use crate::rows::{ChecksumRow, StoredPart, VersionRow};

/// What a checksum of a part is to its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartSum {
    /// What the object's is made of.
    Own,
    /// What its request announced besides.
    Announced,
}

/// Store a checksum: sealed under the object's own key, or keys, unless the object is under SSE-S3.
pub(crate) fn seal_checksum(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    checksum: &Checksum,
) -> Result<ChecksumRow, Error> {
    let use_byte = u8::from(checksum.checksum_type == ChecksumType::Composite);
    seal(mode, oek, odi, checksum, &[use_byte])
}

/// Store a checksum of a part while its upload is open, as [`seal_checksum`] does. The row of the
/// part stays in the files of its body for as long as the object is there.
pub(crate) fn seal_sum_of_part(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    part: &StoredPart,
    which: PartSum,
    checksum: &Checksum,
) -> Result<ChecksumRow, Error> {
    seal(mode, oek, odi, checksum, &use_of_part(part, which))
}

/// Store the checksums of an object's parts, one after another, as [`seal_checksum`] does.
pub(crate) fn seal_part_checksums(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    checksums: &Checksum,
) -> Result<ChecksumRow, Error> {
    seal(mode, oek, odi, checksums, &[PARTS])
}

fn seal(
    mode: SseMode,
    oek: &ObjectKeys,
    odi: &ObjectDataId,
    checksum: &Checksum,
    use_bytes: &[u8],
) -> Result<ChecksumRow, Error> {
    let mut row = ChecksumRow::clear(checksum);
    if mode != SseMode::S3 {
        row.value = oek.seal_sum(odi, &row.value, &aad(row.algorithm, use_bytes))?;
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

/// The inverse of [`seal_sum_of_part`]; `oek` is not needed under SSE-S3.
///
/// Uploads that an earlier build began have parts with checksums in clear, whatever the mode. To
/// believe them is to believe the seal of the row alone, as that build did: who can break that
/// has an object told a wrong checksum, and learns none.
pub(crate) fn open_sum_of_part(
    mode: SseMode,
    oek: Option<&ObjectKeys>,
    odi: &ObjectDataId,
    part: &StoredPart,
    which: PartSum,
    stored: &ChecksumRow,
) -> Result<Checksum, Error> {
    let value = match (mode, stored.sealed) {
        (_, false) => stored.value.clone(),
        (SseMode::S3, true) => return Err(damaged()),
        (SseMode::C | SseMode::Kms | SseMode::Dsse, true) => {
            let oek = oek.ok_or(Error::Internal("a sealed checksum is read without its key"))?;
            let aad = aad(stored.algorithm, &use_of_part(part, which));
            oek.open_sum(odi, &stored.value, &aad)
                .map_err(|_| damaged())?
        }
    };
    let checksum = stored.with_value(value)?;
    let is_of_a_part = checksum.checksum_type == ChecksumType::FullObject
        && checksum.parts.is_none()
        && checksum.value.len() == digest_len(checksum.algorithm);
    if is_of_a_part {
        Ok(checksum)
    } else {
        Err(damaged())
    }
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
        .open_sum(&odi, &stored.value, &aad(stored.algorithm, &[use_byte]))
        .map_err(|_| damaged())?;
    stored.with_value(value)
}

fn damaged() -> Error {
    Error::Corrupted {
        what: "stored checksum".to_owned(),
    }
}

//= docs/spec/object-format.md#sealed-checksums
//# for a checksum of a part of an open upload it is u8 alg || u8 (0x03, or 0x04 for what the part's
//# request announced besides) || u16 part_no || part_uid
fn use_of_part(part: &StoredPart, which: PartSum) -> Vec<u8> {
    let use_byte = match which {
        PartSum::Own => PART,
        PartSum::Announced => PART_ANNOUNCED,
    };
    let number = part.part_number.to_be_bytes();
    [[use_byte].as_slice(), &number, &part.part_uid].concat()
}

fn aad(algorithm: u8, use_bytes: &[u8]) -> Vec<u8> {
    [&[algorithm], use_bytes].concat()
}

/// The use that the additional data names for checksums of parts, one after another; 0 and 1 are the
/// object's own.
const PARTS: u8 = 2;
/// For one of a part of an open upload.
const PART: u8 = 3;
/// The same, of what its request announced besides.
const PART_ANNOUNCED: u8 = 4;
