// SPDX-License-Identifier: Apache-2.0
//! Checksums as rows keep them.

use strongroom_format::{ObjectDataId, ObjectKey, SseMode};

use crate::error::Error;
use crate::model::Checksum;
use crate::rows::ChecksumRow;

/// Store a checksum: sealed under the object's own key unless the object is under SSE-S3.
pub(crate) fn seal_checksum(
    mode: SseMode,
    oek: &ObjectKey,
    odi: &ObjectDataId,
    checksum: &Checksum,
) -> Result<ChecksumRow, Error> {
    let mut row = ChecksumRow::clear(checksum);
    if mode != SseMode::S3 {
        row.value = oek
            .sums_key(odi)
            .seal(&row.value, &checksum_aad(&row))
            .map_err(|_| Error::Internal("a checksum could not be sealed"))?;
        row.sealed = true;
    }
    Ok(row)
}

/// The inverse of [`seal_checksum`].
pub(crate) fn open_checksum(
    row: &ChecksumRow,
    oek: &ObjectKey,
    odi: &ObjectDataId,
) -> Result<Checksum, Error> {
    if !row.sealed {
        return row.with_value(row.value.clone());
    }
    let value = oek
        .sums_key(odi)
        .open(&row.value, &checksum_aad(row))
        .map_err(|_| Error::Corrupted {
            what: "stored checksum".to_owned(),
        })?;
    row.with_value(value)
}

fn checksum_aad(row: &ChecksumRow) -> [u8; 2] {
    [row.algorithm, u8::from(row.composite)]
}
