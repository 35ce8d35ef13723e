// SPDX-License-Identifier: Apache-2.0
//! Rows as the index keeps them: the key in order, the value sealed.
//!
//! ```text
//! index key  = table number (2, big-endian) || row key
//! stored row = commit sequence (8, big-endian) || sealed value
//! ```
//!
//! The seal is bound to table, key and sequence, so a row cannot be moved to another key, shown
//! in another table, or given another age. It cannot prove that it is the *newest* row of its
//! key: that is the log's part.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::batch::{Row, TableId};
use super::index::Index;
use super::stream;
use crate::at_rest::AtRest;
use crate::error::Error;
use crate::layout::write_hex;

/// The table that holds the index's own rows; never sealed, never shown.
pub(crate) const INDEX_TABLE: TableId = TableId(u16::MAX);

/// Where the index keeps the row.
pub(crate) fn index_key(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len().saturating_add(2));
    out.extend_from_slice(&table.0.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// Seals a value for its place.
pub(crate) fn seal_row(
    at_rest: &dyn AtRest,
    index_key: &[u8],
    seq: u64,
    value: &[u8],
) -> Result<Bytes, Error> {
    let aad = row_aad(index_key, seq);
    let sealed = at_rest
        .seal(stream::row(seq), &aad, value)
        .map_err(|_| Error::Seal)?;
    let mut stored = Vec::with_capacity(sealed.len().saturating_add(8));
    stored.extend_from_slice(&seq.to_be_bytes());
    stored.extend_from_slice(&sealed);
    Ok(Bytes::from(stored))
}

/// Opens what the index returned for `index_key`.
pub(crate) fn open_row(
    at_rest: &dyn AtRest,
    index_key: &[u8],
    stored: &[u8],
) -> Result<Row, Error> {
    let damaged = |reason| Error::Corrupted {
        place: row_place(index_key),
        reason,
    };
    let (seq, sealed) = stored
        .split_first_chunk::<8>()
        .ok_or_else(|| damaged("too short"))?;
    let seq = u64::from_be_bytes(*seq);
    let aad = row_aad(index_key, seq);
    let value = at_rest
        .open(stream::row(seq), &aad, sealed)
        .map_err(|_| damaged("the row's seal does not hold"))?;
    Ok(Row { value, seq })
}

/// Whether a stored row is one that was written for this key. The index's own rows are not sealed.
pub(crate) fn row_opens(at_rest: &dyn AtRest, index_key: &[u8], stored: &[u8]) -> bool {
    index_key.starts_with(&INDEX_TABLE.0.to_be_bytes())
        || open_row(at_rest, index_key, stored).is_ok()
}

/// Opens what the index returned; a row that does not open is taken from another copy of the
/// index, if one has it, and put right.
pub(crate) fn open_or_mend(
    index: &dyn Index,
    at_rest: &dyn AtRest,
    index_key: &[u8],
    stored: &Bytes,
) -> Result<Row, Error> {
    let error = match open_row(at_rest, index_key, stored) {
        Err(error) if error.is_corruption() => error,
        opened => return opened,
    };
    for other in index.others(index_key, stored) {
        if let Ok(row) = open_row(at_rest, index_key, &other) {
            tracing::warn!(%error, "a row is damaged in one copy and was read from another");
            metrics::counter!("strongroom_rows_mended_total").increment(1);
            if let Err(error) = index.mend(index_key, stored, &other) {
                tracing::warn!(%error, "a damaged row could not be put right");
            }
            return Ok(row);
        }
    }
    Err(error)
}

/// The place of a row in words that do not tell its key.
pub(crate) fn row_place(index_key: &[u8]) -> String {
    let (table, key) = index_key.split_at_checked(2).unwrap_or((index_key, &[]));
    let table = table
        .iter()
        .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    let mut place = format!("table {table}, row with key hash ");
    let hash = digest(&SHA256, key);
    // Writing into a string cannot fail.
    let _ = write_hex(&mut place, hash.as_ref().get(..8).unwrap_or_default());
    place
}

fn row_aad(index_key: &[u8], seq: u64) -> Vec<u8> {
    let mut aad = Vec::with_capacity(index_key.len().saturating_add(32));
    aad.extend_from_slice(b"strongroom row v1");
    aad.extend_from_slice(&seq.to_be_bytes());
    aad.extend_from_slice(index_key);
    aad
}
