// SPDX-License-Identifier: Apache-2.0
//! Pages of a listing: how many, and where to go on.
//!
//! A marker names the last entry of the page before, in hexadecimal digits behind a letter that
//! says of which listing, so that a marker of one listing is refused by the other.

use crate::error::Error;

/// `Limit`, from 1 to 1,000.
pub(crate) fn limit(asked: Option<i64>, default: usize) -> Result<usize, Error> {
    let Some(asked) = asked else {
        return Ok(default);
    };
    match usize::try_from(asked) {
        Ok(limit @ 1..=LIMIT_MAX) => Ok(limit),
        _ if asked < 1 => Err(Error::constraint(
            asked,
            "limit",
            "have value greater than or equal to 1",
        )),
        _ => Err(Error::constraint(
            asked,
            "limit",
            "have value less than or equal to 1000",
        )),
    }
}

/// The marker after the entry with this name.
pub(crate) fn marker(listing: char, last: &[u8]) -> String {
    format!("{listing}{}", hex::encode(last))
}

/// The name of the last entry that was listed.
pub(crate) fn after(listing: char, marker: &str) -> Result<Vec<u8>, Error> {
    let digits = marker.strip_prefix(listing).ok_or(Error::InvalidMarker)?;
    hex::decode(digits)
        .ok()
        .filter(|last| !last.is_empty() && last.len() <= NAME_BYTES_MAX)
        .ok_or(Error::InvalidMarker)
}

pub(crate) const LIMIT_MAX: usize = 1000;
const NAME_BYTES_MAX: usize = 256;
