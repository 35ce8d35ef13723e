// SPDX-License-Identifier: Apache-2.0
//! GetObject and HeadObject: verified bytes, or a clean refusal before the first of them.

use std::collections::VecDeque;

use strongroom_format::SealedKeyRecord;
use strongroom_store::Precondition;

use crate::authorize::Action;
use crate::conditions::{ReadKind, check_read};
use crate::encryption::{self, ObjectKeys};
use crate::error::Error;
use crate::get_object_attributes::checksum_of_part;
use crate::lifecycle::ObjectExpiry;
use crate::model::{
    ByteRange, Checksum, ChecksumType, CustomerKey, ObjectHead, ObjectName, ReadConditions, Scope,
    Served,
};
use crate::objects::{Bucket, Objects};
use crate::pipeline::read::{ObjectBody, SealedPart, SealedSource, open_body};
use crate::rows::{ChecksumRow, Place, StoredPart, VersionRow};
use crate::version::{Held, HeldVersion};
use crate::version_id::VersionId;

/// A GetObject or HeadObject request.
#[derive(Debug)]
pub struct GetObject {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// `None` for the current version.
    pub version_id: Option<VersionId>,
    /// The range asked for.
    pub range: Option<ByteRange>,
    /// The range as it was written, for the error.
    pub range_text: String,
    /// The part asked for, from 1.
    pub part_number: Option<u32>,
    /// Conditions.
    pub conditions: ReadConditions,
    /// The key of an SSE-C object.
    pub customer_key: Option<CustomerKey>,
    /// Whether the stored checksum is asked for.
    pub checksum_mode: bool,
}

/// An object, or a range of it.
#[derive(Debug)]
pub struct GetObjectOutput {
    /// What is said about it.
    pub head: ObjectHead,
    /// Which bytes.
    pub served: Served,
    /// The bytes.
    pub body: ObjectBody,
}

/// An object found, permitted and conditions met; no key used yet.
pub(crate) struct Opened {
    pub bucket: Bucket,
    pub row: VersionRow,
    /// The record in the row's key.
    pub record: SealedKeyRecord,
    pub id: VersionId,
    pub served: Served,
    pub held: Held,
    /// Holds as long as the row is what it was.
    pub stands: Precondition,
}

impl Opened {
    /// The version's id as answers show it: not in a bucket that never had versions.
    pub(crate) fn shown_id(&self) -> Option<VersionId> {
        self.bucket.shown_id(self.id)
    }
}

impl Objects {
    /// Read an object.
    pub async fn get_object(
        &self,
        scope: Scope<'_>,
        input: GetObject,
    ) -> Result<GetObjectOutput, Error> {
        let opened = self.open_object(scope, &input)?;
        self.check_readable(&opened.row, false)?;
        let version_id = opened.shown_id();
        let expiry = self.expiry_of(&opened, &input);
        let Opened {
            bucket,
            row,
            record,
            served,
            held,
            ..
        } = opened;
        let name = &input.object_key;
        let asked = asked_checksum(&input);
        let customer_key = input.customer_key;
        let encryption = encryption::describe(&row.key, &record, customer_key.as_ref());
        let key = encryption::open(self, scope, &bucket, &row.key, record, customer_key).await?;
        let oek = encryption::unwrap_version(self, &key, &bucket, name, &row, &held.parts)?;
        let checksum = match asked {
            Some(of) => shown_checksum(of, &row, held.sums.as_ref(), &oek)?,
            None => None,
        };
        let body = self.open_body(&oek, &row, held, served).await?;
        let mut head = self.head_of(row, encryption)?;
        head.checksum = checksum;
        head.version_id = version_id;
        head.expiry = expiry;
        Ok(GetObjectOutput { head, served, body })
    }

    /// Read what is said about an object. The key service is asked only for a stored checksum
    /// that is sealed under the object's key.
    pub async fn head_object(
        &self,
        scope: Scope<'_>,
        input: GetObject,
    ) -> Result<(ObjectHead, Served), Error> {
        let opened = self.open_object(scope, &input)?;
        let version_id = opened.shown_id();
        let expiry = self.expiry_of(&opened, &input);
        let Opened {
            bucket,
            row,
            record,
            served,
            held,
            ..
        } = opened;
        let asked = asked_checksum(&input);
        let customer_key = input.customer_key;
        let encryption = encryption::describe(&row.key, &record, customer_key.as_ref());
        let checksum = match (&row.checksum, asked) {
            (Some(_), Some(of)) => {
                let name = &input.object_key;
                let key = encryption::open(self, scope, &bucket, &row.key, record, customer_key);
                let key = key.await?;
                let oek = encryption::unwrap_version(self, &key, &bucket, name, &row, &held.parts)?;
                shown_checksum(of, &row, held.sums.as_ref(), &oek)?
            }
            _ => None,
        };
        let mut head = self.head_of(row, encryption)?;
        head.checksum = checksum;
        head.version_id = version_id;
        head.expiry = expiry;
        Ok((head, served))
    }

    /// Find an object, ask for permission, check the customer key, the conditions and the range,
    /// in this order.
    pub(crate) fn open_object(&self, scope: Scope<'_>, input: &GetObject) -> Result<Opened, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let action = match input.version_id {
            None => Action::GetObject,
            Some(_) => Action::GetObjectVersion,
        };
        // Both may have come as those of a copy source, which the adapter does not look at.
        let version = input.version_id.map(|id| ("s3:VersionId", id.to_string()));
        let customer_key = input.customer_key.as_ref();
        let algorithm = customer_key.map(|_| (CUSTOMER_ALGORITHM, "AES256".to_owned()));
        let shown: Vec<_> = version.into_iter().chain(algorithm).collect();
        let permit = bucket.authorize_object_if(scope, action, &input.object_key, &shown)?;
        let HeldVersion {
            row,
            id,
            held,
            stands,
        } = self
            .hold_version(&permit, &bucket, &input.object_key, input.version_id)
            .map_err(|error| bucket.hide(scope, error))?;
        let record = row.key.sealed_record()?;
        encryption::check_customer_key(&record, input.customer_key.as_ref())?;
        check_read(&input.conditions, ReadKind::Read, &row.etag, row.created_ms)?;
        let served = serve(input, &row, &held.parts)?;
        Ok(Opened {
            bucket,
            row,
            record,
            id,
            served,
            held,
            stands,
        })
    }

    /// When a rule deletes an object that was asked for without a version id, as in S3.
    fn expiry_of(&self, opened: &Opened, input: &GetObject) -> Option<ObjectExpiry> {
        let Opened { bucket, row, .. } = opened;
        let is_current = input.version_id.is_none();
        is_current
            .then(|| self.expiry(bucket, &input.object_key, row.size, row.created_ms))
            .flatten()
    }

    /// What an answer says about a version.
    fn head_of(
        &self,
        row: VersionRow,
        encryption: crate::model::Encryption,
    ) -> Result<ObjectHead, Error> {
        let parts_count = row.shows_parts()?.then(|| u32::from(row.parts));
        Ok(ObjectHead {
            version_id: None,
            storage_class: row.class,
            restore: row.restore_status(self.now_ms()),
            expiry: None,
            etag: row.etag,
            size: row.size,
            last_modified_ms: row.created_ms,
            properties: row.properties.into(),
            encryption,
            checksum: None,
            parts_count,
        })
    }

    /// The bytes of a range of an object whose key is at hand.
    pub(crate) async fn open_body(
        &self,
        oek: &ObjectKeys,
        row: &VersionRow,
        held: Held,
        served: Served,
    ) -> Result<ObjectBody, Error> {
        if served.len == 0 && row.size > 0 {
            return Ok(ObjectBody::empty());
        }
        let Held {
            parts,
            sums: _,
            mut inline,
            pin,
        } = held;
        let mut sealed = VecDeque::new();
        for (part, start, len) in spans(&parts, served) {
            let source = match &part.place {
                Place::Inline => {
                    SealedSource::Inline(inline.remove(&part.part_uid).unwrap_or_default())
                }
                Place::Blob(location) => SealedSource::Blob(*location),
            };
            sealed.push_back(sealed_part(oek, row, part, source, start, len)?);
        }
        open_body(self.blobs().clone(), sealed, pin).await
    }
}

/// The stored checksum of what is asked for: of the object, or of one of its parts. Only a composite
/// checksum is one of parts; another one is told with a part that is all there is.
fn shown_checksum(
    of: Whole,
    row: &VersionRow,
    of_parts: Option<&ChecksumRow>,
    oek: &ObjectKeys,
) -> Result<Option<Checksum>, Error> {
    let object = encryption::open_checksum(row, oek)?;
    let Whole::Part(number) = of else {
        return Ok(object);
    };
    let Some(object) = object else {
        return Ok(None);
    };
    match object.checksum_type {
        ChecksumType::FullObject => Ok(Some(object).filter(|_| row.parts <= 1)),
        ChecksumType::Composite => checksum_of_part(row, of_parts, oek, number),
    }
}

/// Something that may have a checksum.
#[derive(Clone, Copy)]
enum Whole {
    Object,
    /// Its number, from 1.
    Part(u32),
}

/// What the answer is to have the checksum of; a range has none.
fn asked_checksum(input: &GetObject) -> Option<Whole> {
    let of = input.part_number.map_or(Whole::Object, Whole::Part);
    (input.checksum_mode && input.range.is_none()).then_some(of)
}

/// One part's share of a range, ready to be opened.
fn sealed_part(
    oek: &ObjectKeys,
    row: &VersionRow,
    part: &StoredPart,
    source: SealedSource,
    start: u64,
    len: u64,
) -> Result<SealedPart, Error> {
    let damaged = || Error::Corrupted {
        what: "body of the object".to_owned(),
    };
    let opener = oek
        .opener(row.object_data_id(), part)
        .map_err(|_| damaged())?;
    let span = strongroom_format::span(part.plain_len, start, len).ok_or_else(damaged)?;
    Ok(SealedPart {
        opener,
        span,
        source,
    })
}

/// Which bytes a request asks for.
fn serve(input: &GetObject, row: &VersionRow, parts: &[StoredPart]) -> Result<Served, Error> {
    if let Some(requested) = input.part_number {
        let shown: Vec<u64> = if row.shows_parts()? {
            parts.iter().map(|part| part.plain_len).collect()
        } else {
            vec![row.size]
        };
        return serve_part(requested, &shown);
    }
    let whole = Served {
        start: 0,
        len: row.size,
        partial: false,
    };
    let Some(range) = input.range else {
        return Ok(whole);
    };
    // The last bytes of an empty object are all of it, as in S3.
    if row.size == 0 && matches!(range, ByteRange::Suffix(1..)) {
        return Ok(whole);
    }
    let (start, len) = resolve_range(range, row.size).ok_or_else(|| Error::InvalidRange {
        actual_size: row.size,
        requested: input.range_text.clone(),
    })?;
    Ok(Served {
        start,
        len,
        partial: true,
    })
}

fn serve_part(requested: u32, lengths: &[u64]) -> Result<Served, Error> {
    let mut start = 0_u64;
    for (index, len) in lengths.iter().copied().enumerate() {
        if u32::try_from(index + 1) == Ok(requested) {
            // Nothing has no place in a `Content-Range`: transfer managers open downloads by the
            // first part, also those of empty objects.
            return Ok(Served {
                start,
                len,
                partial: len > 0,
            });
        }
        start = start.saturating_add(len);
    }
    let actual_count = u32::try_from(lengths.len()).unwrap_or(u32::MAX);
    Err(Error::InvalidPartNumber {
        actual_count,
        requested,
    })
}

/// First byte and length of a range of an object of `size` bytes; `None`: unsatisfiable.
pub(crate) fn resolve_range(range: ByteRange, size: u64) -> Option<(u64, u64)> {
    match range {
        ByteRange::FromTo(first, last) if first <= last && first < size => {
            Some((first, last.min(size - 1) - first + 1))
        }
        ByteRange::From(first) if first < size => Some((first, size - first)),
        ByteRange::Suffix(len) if len > 0 && size > 0 => {
            let len = len.min(size);
            Some((size - len, len))
        }
        _ => None,
    }
}

/// Each part's share of a range: part, offset in it, length. An empty object has one empty share,
/// so that its emptiness is authenticated.
fn spans(parts: &[StoredPart], served: Served) -> Vec<(&StoredPart, u64, u64)> {
    let mut shares = Vec::new();
    let end = served.start.saturating_add(served.len);
    let mut part_start = 0_u64;
    for part in parts {
        let part_end = part_start.saturating_add(part.plain_len);
        let from = served.start.max(part_start);
        let to = end.min(part_end);
        if from < to || (served.len == 0 && parts.len() == 1) {
            shares.push((
                part,
                from.saturating_sub(part_start),
                to.saturating_sub(from),
            ));
        }
        part_start = part_end;
    }
    shares
}

const CUSTOMER_ALGORITHM: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

#[cfg(test)]
mod tests {
    use super::*;

    fn part(plain_len: u64) -> StoredPart {
        StoredPart {
            part_number: 0,
            part_uid: [0; 16],
            plain_len,
            floe_header: [0; 74],
            place: Place::Inline,
            outer_floe_header: None,
        }
    }

    #[test]
    fn range_table() {
        use ByteRange::{From, FromTo, Suffix};
        let cases = [
            (FromTo(0, 0), 10, Some((0, 1))),
            (FromTo(0, 9), 10, Some((0, 10))),
            (FromTo(0, u64::MAX), 10, Some((0, 10))),
            (FromTo(9, 9), 10, Some((9, 1))),
            (FromTo(10, 10), 10, None),
            (FromTo(5, 4), 10, None),
            (FromTo(0, 0), 0, None),
            (From(0), 10, Some((0, 10))),
            (From(9), 10, Some((9, 1))),
            (From(10), 10, None),
            (From(u64::MAX), 10, None),
            (From(0), 0, None),
            (Suffix(0), 10, None),
            (Suffix(3), 10, Some((7, 3))),
            (Suffix(u64::MAX), 10, Some((0, 10))),
            (Suffix(1), 0, None),
        ];
        for (range, size, expected) in cases {
            assert_eq!(resolve_range(range, size), expected, "{range:?} of {size}");
        }
    }

    #[test]
    fn shares_of_parts_add_up_to_the_range() {
        let parts = [part(5), part(1), part(7)];
        for start in 0..13 {
            for len in 1..=(13 - start) {
                let served = Served {
                    start,
                    len,
                    partial: true,
                };
                let shares = spans(&parts, served);
                let total: u64 = shares.iter().map(|(_, _, len)| len).sum();
                assert_eq!(total, len);
                for (part, from, len) in shares {
                    assert!(len > 0 && from + len <= part.plain_len);
                }
            }
        }
    }

    #[test]
    fn an_empty_object_has_one_empty_share() {
        let served = Served {
            start: 0,
            len: 0,
            partial: false,
        };
        assert_eq!(spans(&[part(0)], served).len(), 1);
    }

    #[test]
    fn part_numbers_outside_the_object_are_refused() {
        let second = serve_part(2, &[5, 1]).unwrap();
        assert_eq!(
            second,
            Served {
                start: 5,
                len: 1,
                partial: true
            }
        );
        let empty = serve_part(1, &[0]).unwrap();
        assert_eq!((empty.len, empty.partial), (0, false));
        for number in [0, 3, 10_001] {
            let refused = serve_part(number, &[5, 1]);
            assert!(matches!(
                refused,
                Err(Error::InvalidPartNumber {
                    actual_count: 2,
                    ..
                })
            ));
        }
    }
}
