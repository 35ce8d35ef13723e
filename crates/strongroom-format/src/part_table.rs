// SPDX-License-Identifier: Apache-2.0
//! The part table: which bodies, in which order and of which sizes, make up an object.
//!
//! Its digest is in BIND, so a dropped, repeated, reordered or foreign part no longer unwraps.

use crate::body::FloeHeader;
use crate::cursor::Cursor;
use crate::error::ParseError;
use crate::key::PartUid;
use crate::range::BODY_PLAIN_BYTES_MAX;

/// One body of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRow {
    /// Number of the part, 1 to [`PART_NO_MAX`]; 0 for the only body of an object without parts.
    pub part_no: u16,
    /// Identity of the attempt that made the body.
    pub part_uid: PartUid,
    /// Plaintext size of the body.
    pub plain_len: u64,
    /// FLOE header of the body.
    pub header: FloeHeader,
    /// FLOE header of its outer layer, if it has one.
    pub outer_header: Option<FloeHeader>,
}

/// The canonical bytes of the table. The caller must give the rows in the order of the object, and
/// all of them under as many layers.
//= docs/spec/object-format.md#the-part-table
//# row = u16 part_no || part_uid || u64 plain_len || FLOE_HEADER
//= docs/spec/object-format.md#dual-layer-encryption
//# row = u16 (part_no + 0x8000) || part_uid || u64 plain_len || FLOE_HEADER || OUTER_FLOE_HEADER
#[must_use]
pub fn part_table_bytes(rows: &[PartRow]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len().saturating_mul(PART_ROW_BYTES));
    for row in rows {
        let dual = if row.outer_header.is_some() { DUAL } else { 0 };
        out.extend((row.part_no | dual).to_be_bytes());
        out.extend(row.part_uid.0);
        out.extend(row.plain_len.to_be_bytes());
        out.extend(row.header.as_bytes());
        out.extend(row.outer_header.iter().flat_map(FloeHeader::as_bytes));
    }
    out
}

/// Reads a table back.
//= docs/spec/object-format.md#the-part-table
//# A reader MUST reject a table whose part numbers do not ascend strictly, with a number above 10,000, with number 0 beside another row, or with a part of more than 5 GiB.
pub fn parse_part_table(bytes: &[u8]) -> Result<Vec<PartRow>, ParseError> {
    //= docs/spec/object-format.md#dual-layer-encryption
    //# A reader MUST reject a table that has rows of both forms.
    let is_dual = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let rows = bytes.chunks(if is_dual {
        DUAL_PART_ROW_BYTES
    } else {
        PART_ROW_BYTES
    });
    if rows.len() > usize::from(PART_NO_MAX) {
        return Err(ParseError::TooLong);
    }
    let is_alone = rows.len() == 1;
    let mut table: Vec<PartRow> = Vec::with_capacity(rows.len());
    for bytes in rows {
        let row = parse_row(bytes, is_dual)?;
        let is_next = table.last().is_none_or(|last| last.part_no < row.part_no);
        if !is_next || row.part_no > PART_NO_MAX || (row.part_no == 0 && !is_alone) {
            return Err(ParseError::Value { field: "part_no" });
        }
        if row.plain_len > BODY_PLAIN_BYTES_MAX {
            return Err(ParseError::Value { field: "plain_len" });
        }
        table.push(row);
    }
    Ok(table)
}

fn parse_row(bytes: &[u8], is_dual: bool) -> Result<PartRow, ParseError> {
    let mut cursor = Cursor::new(bytes);
    // A row of the other form has a number beyond every limit here.
    let part_no = cursor.u16()? ^ if is_dual { DUAL } else { 0 };
    let row = PartRow {
        part_no,
        part_uid: PartUid(cursor.array()?),
        plain_len: cursor.u64()?,
        header: FloeHeader::from_bytes(cursor.array()?),
        outer_header: if is_dual {
            Some(FloeHeader::from_bytes(cursor.array()?))
        } else {
            None
        },
    };
    cursor.end()?;
    Ok(row)
}

/// Length of one row.
pub const PART_ROW_BYTES: usize = 100;
/// Length of one row of a body under two layers.
pub const DUAL_PART_ROW_BYTES: usize = 174;
/// Largest part number, and largest number of parts.
pub const PART_NO_MAX: u16 = 10_000;

/// In the number of a part that is under two layers.
const DUAL: u16 = 0x8000;

const _: () = {
    assert!(2 + 16 + 8 + FloeHeader::BYTES == PART_ROW_BYTES);
    assert!(PART_ROW_BYTES + FloeHeader::BYTES == DUAL_PART_ROW_BYTES);
    assert!(PART_NO_MAX < DUAL);
};
