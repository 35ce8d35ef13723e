// SPDX-License-Identifier: Apache-2.0
//! Object keys that the root of SSE-S3 stands behind: that of an object under SSE-S3, and that of
//! the outer layer of an object under two.

use strongroom_format::{BindDigest, SealedKeyRecord, SseMode};

use super::dsse::OuterWrapKey;
use super::{WrapKey, unwrap};
use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::rows::KeyRow;

/// The record that the root stands behind, if there is one.
pub(crate) fn record_under_root(key: &KeyRow) -> Result<Option<SealedKeyRecord>, Error> {
    let record = key.sealed_record()?;
    match record.mode() {
        SseMode::S3 => Ok(Some(record)),
        SseMode::Dsse => key.outer_sealed_record(),
        SseMode::Kms | SseMode::C => Ok(None),
    }
}

/// The row with that object key wrapped by the newest root, over the same BIND. For an object
/// under two layers this asks nothing of the key service: the inner record stays as it is.
pub(crate) fn under_newest_root(
    objects: &Objects,
    bucket: &Bucket,
    key: &KeyRow,
    bind: &BindDigest,
) -> Result<KeyRow, Error> {
    let mut row = key.clone();
    if let Some(record) = key.outer_sealed_record()?
        && let Some(old) = OuterWrapKey::reopen(objects, bucket.uid(), key)?
    {
        let oek = old.unwrap(&record, bind)?;
        let new = OuterWrapKey::newest(objects, bucket.uid())?;
        row.outer_record = Some(new.wrap(&oek, bind, record.flags())?);
        return Ok(row);
    }
    let record = key.sealed_record()?;
    if record.mode() != SseMode::S3 {
        return Err(Error::Internal("an object key that no root stands behind"));
    }
    let old = objects.kms().sse_s3_open(record.ek_ref(), bucket.uid())?;
    let oek = unwrap(
        &WrapKey::of_sse_s3(old, record.ek_ref().to_vec()),
        key,
        bind,
    )?;
    let (new, ek_ref) = objects.kms().sse_s3_key(bucket.uid())?;
    WrapKey::of_sse_s3(new, ek_ref).wrap(&oek, bind, record.flags(), &mut row)?;
    Ok(row)
}
