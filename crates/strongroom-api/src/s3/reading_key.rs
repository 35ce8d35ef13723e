// SPDX-License-Identifier: Apache-2.0
//! The customer key of a read, and in which order one is refused.
//!
//! S3 looks for the object first: whether it is there, and what it wants, comes before what is wrong
//! with the key. A key that has its MD5 and not the length of one is another key than the
//! object's, as any wrong one is.

use strongroom_audit::Receipt;
use strongroom_object::{CustomerKey, Error as ObjectError, GetObject, ReadConditions, VersionId};

use super::S3Request;
use super::encryption_headers::{self, Trio};
use crate::error::S3Error;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadPlace<'a> {
    /// Bucket.
    pub(super) bucket: &'a str,
    /// Object name.
    pub(super) object_key: &'a str,
    /// `None` for the current version.
    pub(super) version_id: Option<VersionId>,
}

/// The key that a read of `place` brings, if it brings one.
pub(super) async fn reading_key(
    req: &S3Request,
    receipt: &Receipt,
    trio: Trio,
    place: ReadPlace<'_>,
) -> Result<Option<CustomerKey>, S3Error> {
    let refusal = match encryption_headers::customer_key(req, trio) {
        Ok(key) => return Ok(key),
        Err(refusal) => refusal,
    };
    // A question without a key, which uses none.
    let looked_for = GetObject {
        bucket: place.bucket.to_owned(),
        object_key: place.object_key.to_owned(),
        version_id: place.version_id,
        range: None,
        range_text: String::new(),
        part_number: None,
        conditions: ReadConditions::default(),
        customer_key: None,
        checksum_mode: false,
    };
    let found = req
        .objects()
        .head_object(req.scope(receipt), looked_for)
        .await;
    match found {
        Err(ObjectError::CustomerKeyRequired)
            if encryption_headers::has_key_of_another_length(req, trio) =>
        {
            Err(ObjectError::CustomerKeyWrong.into())
        }
        Ok(_) | Err(ObjectError::CustomerKeyRequired) => Err(refusal),
        Err(other) => Err(other.into()),
    }
}
