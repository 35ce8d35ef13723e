// SPDX-License-Identifier: Apache-2.0
//! Reading a range of an object, which nothing authenticates, with the semantics of S3's ranges
//! in terms of plaintext.

use super::EncryptedS3;
use super::body::{Opening, UnverifiedBody};
use super::read::{Reading, own_metadata, reading_settings};
use crate::content::{CiphertextRange, RangeDecryptor, range_of};
use crate::envelope::{Cipher, Envelope, Fields};
use crate::error::Error;
use crate::object::Content;
use crate::transport::{Address, ByteRange, TransportErrorKind};

/// A read of a range, to be sent.
#[derive(Clone)]
#[must_use]
pub struct GetRange {
    reading: Reading,
    range: ByteRange,
}

/// A range of an object, in terms of its plaintext.
#[derive(Debug)]
#[non_exhaustive]
pub struct GetRangeOutput {
    /// The bytes, which **nothing authenticates**.
    pub body: UnverifiedBody,
    /// Number of the first byte.
    pub first: u64,
    /// Number of the last byte.
    pub last: u64,
    /// Bytes of the whole plaintext.
    pub total: u64,
    /// ETag of the object.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// User metadata without the envelope.
    pub metadata: Fields,
    /// How it is encrypted.
    pub envelope: Envelope,
}

impl GetRange {
    reading_settings!();

    pub(super) fn new(s3: EncryptedS3, at: Address, range: ByteRange) -> Self {
        Self {
            reading: Reading::new(s3, at),
            range,
        }
    }

    /// Fetches the range with one request.
    pub async fn send(self) -> Result<GetRangeOutput, Error> {
        let reading = &self.reading;
        let (_, legacy) = reading.s3.inner.client.judges();
        if !legacy.unauthenticated_modes {
            return Err(Error::Refused {
                what: "to be read by a range, which nothing authenticates",
                remedy: "enable legacy unauthenticated modes to read ranges",
            });
        }
        let fetched = match reading.fetch(Some(widened(self.range)?)).await {
            Ok(fetched) => fetched,
            Err(error) if error.kind == TransportErrorKind::InvalidRange => {
                return Err(self.outside().await);
            }
            Err(error) => return Err(error.into()),
        };
        let facts = fetched.facts;
        let metadata = &facts.attributes.metadata;
        let (envelope, _) = reading.envelope(metadata).await?;
        if envelope.cipher() == Cipher::Cbc {
            return Err(Error::Refused {
                what: "under AES-CBC, of which no ranges are read",
                remedy: "read it whole",
            });
        }
        let (wanted, first, last, total) = within(self.range, facts.stored_bytes)?;
        let skip = wanted
            .first
            .checked_sub(fetched.first)
            .ok_or(Error::Changed)?;
        let take = wanted.last.saturating_sub(wanted.first).saturating_add(1);
        if fetched.bytes < skip.saturating_add(take) {
            return Err(Error::Changed);
        }
        let Content::Gcm(key) = reading.open(&envelope).await? else {
            return Err(Error::Content);
        };
        let opening = Opening::Range(RangeDecryptor::new(&key, wanted)?);
        Ok(GetRangeOutput {
            body: UnverifiedBody::new(fetched.body, opening, skip, take),
            first,
            last,
            total,
            metadata: own_metadata(metadata),
            e_tag: facts.e_tag,
            version_id: facts.version_id,
            envelope,
        })
    }

    /// The store has no such bytes: outside the object, if it is one of ours.
    async fn outside(&self) -> Error {
        let reading = &self.reading;
        let version = reading.version_id.as_deref();
        let head = reading.s3.transport().head_object(&reading.at, version);
        let facts = match head.await {
            Ok(facts) => facts,
            Err(error) => return error.into(),
        };
        match reading.envelope(&facts.attributes.metadata).await {
            Ok(_) => Error::Range,
            Err(error) => error,
        }
    }
}

/// What to ask the store for. It does not know of blocks and tags: so from the beginning of a
/// block on, and of the last bytes so many more that a block's beginning and the tag are there.
fn widened(range: ByteRange) -> Result<ByteRange, Error> {
    Ok(match range {
        ByteRange::FromTo(first, last) if first > last => return Err(Error::Range),
        ByteRange::FromTo(first, last) => ByteRange::FromTo(first & !15, last),
        ByteRange::From(first) => ByteRange::From(first & !15),
        ByteRange::Last(0) => return Err(Error::Range),
        ByteRange::Last(count) => ByteRange::Last(count.saturating_add(31)),
    })
}

/// What of the ciphertext is needed; first and last byte, and length, of the plaintext.
fn within(range: ByteRange, stored: u64) -> Result<(CiphertextRange, u64, u64, u64), Error> {
    let total = stored.checked_sub(16).ok_or(Error::Content)?;
    let end = total.checked_sub(1).ok_or(Error::Range)?;
    let (first, last) = match range {
        ByteRange::FromTo(first, last) => (first, last.min(end)),
        ByteRange::From(first) => (first, end),
        ByteRange::Last(count) => (total.saturating_sub(count), end),
    };
    Ok((range_of(stored, first, last)?, first, last, total))
}

impl std::fmt::Debug for GetRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetRange")
            .field("at", &self.reading.at)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
