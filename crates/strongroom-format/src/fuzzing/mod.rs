// SPDX-License-Identifier: Apache-2.0
//! Bodies of the fuzz targets in `/fuzz`. Each takes any bytes and panics only on a broken promise.
//!
//! The corpora in `/fuzz/corpus` run through the same functions in the ordinary tests.

use crate::body::{BodyContext, FloeHeader};
use crate::context::EncryptionContext;
use crate::cursor::Cursor;
use crate::error::ParseError;
use crate::key::{ExternalKey, KeyMaterial, ObjectDataId, PartUid, PayloadKey};
use crate::open::Opener;
use crate::range;
use crate::record::SealedKeyRecord;
use crate::seal::Sealer;
use crate::{commitment_matches, kms_blob, part_table};

#[cfg(test)]
mod tests;

/// A record that parses is encoded to the bytes it was parsed from, and no foreign key matches it.
pub fn osk1_record(data: &[u8]) {
    if let Ok(record) = SealedKeyRecord::parse(data) {
        assert_eq!(record.to_bytes(), data);
        assert!(!commitment_matches(
            &ExternalKey::from_bytes([0x5a; 32]),
            &record
        ));
    }
}

/// A blob that parses has an allowed length, and does not open under foreign material.
pub fn kms_blob(data: &[u8]) {
    if kms_blob::kms_blob_parse(data).is_ok() {
        assert!(
            (kms_blob::KMS_BLOB_OVERHEAD_BYTES..=kms_blob::KMS_BLOB_BYTES_MAX)
                .contains(&data.len())
        );
    }
    let material = KeyMaterial::from_bytes([0x5a; 32]);
    assert!(kms_blob::kms_blob_open(&material, data, &EncryptionContext::new()).is_err());
}

/// A part table that parses is encoded to the bytes it was parsed from.
pub fn part_table(data: &[u8]) {
    if let Ok(rows) = part_table::parse_part_table(data) {
        assert_eq!(part_table::part_table_bytes(&rows), data);
    }
}

/// `u64 size || u64 index || header 74 || segment`: a foreign header is refused; under an authentic
/// one, a segment that the key has not sealed is refused and leaves only zeros.
pub fn floe_opener(data: &[u8]) {
    if let Ok((size, index, header, segment)) = split_opener_input(data) {
        let key = PayloadKey::from_bytes([0x5a; 32]);
        let ctx = BodyContext {
            odi: ObjectDataId([1; 16]),
            part_no: 0,
            part_uid: PartUid([2; 16]),
        };
        assert!(Opener::new(&key, &ctx, &FloeHeader::from_bytes(header), size).is_err());
        let authentic = Sealer::new(&key, &ctx, [3; 32]);
        if let Ok(opener) = Opener::new(&key, &ctx, authentic.header(), size) {
            let mut buf = segment.to_vec();
            assert!(opener.open_in_place(index, &mut buf).is_err());
            assert!(buf.iter().all(|byte| *byte == 0));
        }
    }
}

/// `u64 total || u64 start || u64 length`: a plan covers the range, no more than needed, and lies
/// inside the body.
pub fn range_plan(data: &[u8]) {
    let mut cursor = Cursor::new(data);
    let (Ok(total), Ok(start), Ok(len)) = (cursor.u64(), cursor.u64(), cursor.u64()) else {
        return;
    };
    if let Some(plain) = range::plain_bytes(total) {
        assert_eq!(range::sealed_bytes(plain), Some(total));
    }
    let Some(sealed_total) = range::sealed_bytes(total) else {
        assert_eq!(range::span(total, start, len), None);
        return;
    };
    assert_eq!(range::plain_bytes(sealed_total), Some(total));
    let is_inside = start.checked_add(len).is_some_and(|end| end <= total);
    let plan = range::span(total, start, len);
    assert_eq!(plan.is_some(), is_inside && (len > 0 || total == 0));
    if let Some(plan) = plan {
        let last = plan.first + plan.count - 1;
        let (first_start, first_len) =
            range::segment_plain_range(total, plan.first).unwrap_or((u64::MAX, 0));
        let (last_start, last_len) =
            range::segment_plain_range(total, last).unwrap_or((u64::MAX, 0));
        assert_eq!(first_start + u64::from(plan.skip_plain), start);
        assert!(plan.skip_plain < first_len || total == 0);
        let end = start + len;
        assert!((last_start < end || total == 0) && end <= last_start + u64::from(last_len));
        assert!(plan.sealed_len > 0);
        assert!(plan.sealed_offset + plan.sealed_len <= sealed_total);
    }
}

type OpenerInput<'a> = (u64, u64, [u8; FloeHeader::BYTES], &'a [u8]);

fn split_opener_input(data: &[u8]) -> Result<OpenerInput<'_>, ParseError> {
    let mut cursor = Cursor::new(data);
    Ok((cursor.u64()?, cursor.u64()?, cursor.array()?, cursor.rest()))
}
