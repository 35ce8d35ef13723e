// SPDX-License-Identifier: Apache-2.0
//! GetObjectAttributes: facts about an object, without its bytes.
//!
//! Checksums are plaintext digests, so those of an object under a key are sealed under that key:
//! whoever asks for them needs it, as for the bytes. All other facts need no key.

use crate::authorize::Action;
use crate::digest::{digest, digest_len};
use crate::encryption::{self, ObjectKeys};
use crate::error::Error;
use crate::get_object::{GetObject, Opened};
use crate::model::{Checksum, ChecksumType, CustomerKey, ReadConditions, Scope};
use crate::objects::Objects;
use crate::rows::{ChecksumRow, StoredPart, VersionRow};
use crate::storage_class::StorageClass;
use crate::version_id::VersionId;

/// A GetObjectAttributes request.
#[derive(Debug)]
pub struct GetObjectAttributes {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// `None` for the current version.
    pub version_id: Option<VersionId>,
    /// The key of an SSE-C object.
    pub customer_key: Option<CustomerKey>,
    /// Whether the object's checksum is asked for.
    pub checksum: bool,
    /// The page of parts that is asked for.
    pub parts: Option<PartsPage>,
}

/// Which parts are asked for.
#[derive(Debug, Clone, Copy)]
pub struct PartsPage {
    /// Only parts behind this number.
    pub marker: u32,
    /// At most this many.
    pub max_parts: u32,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct GetObjectAttributesOutput {
    /// The version; `None` in a bucket that never had versions.
    pub version_id: Option<VersionId>,
    /// Without quotes.
    pub etag: String,
    /// Plaintext bytes.
    pub size: u64,
    /// Unix time in milliseconds.
    pub last_modified_ms: u64,
    /// The object's checksum.
    pub checksum: Option<Checksum>,
    /// Its parts, where it was made of parts.
    pub parts: Option<ObjectParts>,
    /// Its class.
    pub storage_class: StorageClass,
}

/// The parts of an object.
#[derive(Debug, Clone)]
pub struct ObjectParts {
    /// How many there are in all.
    pub count: u32,
    /// Those of the page; only an object with a composite checksum lists any, as in S3.
    pub page: Vec<ObjectPart>,
    /// Where the next page goes on; `None` when this is the last.
    pub next_marker: Option<u32>,
    /// Whether the object lists its parts.
    pub listed: bool,
}

/// A part of an object.
#[derive(Debug, Clone)]
pub struct ObjectPart {
    /// Its number.
    pub part_number: u32,
    /// Plaintext bytes.
    pub size: u64,
    /// Its checksum.
    pub checksum: Checksum,
}

impl Objects {
    /// Tell facts about an object. The key service is asked only for checksums.
    pub async fn get_object_attributes(
        &self,
        scope: Scope<'_>,
        input: GetObjectAttributes,
    ) -> Result<GetObjectAttributesOutput, Error> {
        let action = match input.version_id {
            None => Action::GetObjectAttributes,
            Some(_) => Action::GetObjectVersionAttributes,
        };
        let read = GetObject {
            bucket: input.bucket,
            object_key: input.object_key,
            version_id: input.version_id,
            range: None,
            range_text: String::new(),
            part_number: None,
            conditions: ReadConditions::default(),
            customer_key: input.customer_key,
            checksum_mode: input.checksum,
        };
        let found = self.open_object(scope, &read)?;
        let name = &read.object_key;
        found.bucket.authorize_object(scope, action, name)?;
        let version_id = found.shown_id();
        let Opened {
            bucket,
            row,
            record,
            held,
            ..
        } = found;
        let shows_parts = row.shows_parts()?;
        let (mut checksum, mut parts) = (None, None);
        if row.checksum.is_some() && (input.checksum || (input.parts.is_some() && shows_parts)) {
            let customer_key = read.customer_key;
            let key = encryption::open(self, scope, &bucket, &row.key, record, customer_key);
            let key = key.await?;
            let oek = encryption::unwrap_version(self, &key, &bucket, name, &row, &held.parts)?;
            if let Some(page) = input.parts.filter(|_| shows_parts) {
                let sums = part_checksums(&row, held.sums.as_ref(), &oek)?;
                let sums = sums.map_or_else(Vec::new, |all| each(&all));
                parts = Some(object_parts(&held.parts, page, &sums));
            }
            checksum = encryption::open_checksum(&row, &oek)?.filter(|_| input.checksum);
        } else if let Some(page) = input.parts.filter(|_| shows_parts) {
            parts = Some(object_parts(&held.parts, page, &[]));
        }
        Ok(GetObjectAttributesOutput {
            version_id,
            etag: row.etag,
            size: row.size,
            last_modified_ms: row.created_ms,
            checksum,
            parts,
            storage_class: row.class,
        })
    }
}

/// The checksum of the part of this number, from 1, of an object with a composite checksum.
pub(crate) fn checksum_of_part(
    row: &VersionRow,
    stored: Option<&ChecksumRow>,
    oek: &ObjectKeys,
    number: u32,
) -> Result<Option<Checksum>, Error> {
    let Some(all) = part_checksums(row, stored, oek)? else {
        return Ok(None);
    };
    let place = number.checked_sub(1).map(usize::try_from);
    let Some(Ok(place)) = place else {
        return Ok(None);
    };
    let one = each(&all).into_iter().nth(place);
    Ok(one.map(|one| Checksum {
        checksum_type: ChecksumType::Composite,
        ..one
    }))
}

/// The checksums of the parts of an object with a composite checksum, one after another: that
/// is a digest over them, so BIND, which covers it, covers them. `stored` is what the part table has
/// of them, read with the row.
pub(crate) fn part_checksums(
    row: &VersionRow,
    stored: Option<&ChecksumRow>,
    oek: &ObjectKeys,
) -> Result<Option<Checksum>, Error> {
    let whole = encryption::open_checksum(row, oek)?;
    let composite = whole.filter(|sum| sum.checksum_type == ChecksumType::Composite);
    let (whole, sealed) = match (composite, stored) {
        (None, None) => return Ok(None),
        (Some(whole), Some(sealed)) => (whole, sealed),
        (_, _) => return Err(damaged()),
    };
    let all = encryption::open_part_checksums(row, sealed, oek)?;
    let length = digest_len(all.algorithm).saturating_mul(usize::from(row.parts));
    let belongs = all.value.len() == length
        && digest(all.algorithm, &all.value) == whole.value
        && Checksum {
            value: whole.value.clone(),
            ..all.clone()
        } == whole;
    belongs.then_some(Some(all)).ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::Corrupted {
        what: "checksums of the parts".to_owned(),
    }
}

/// Checksums that stand one after another.
fn each(all: &Checksum) -> Vec<Checksum> {
    let one = |value: &[u8]| Checksum {
        algorithm: all.algorithm,
        checksum_type: ChecksumType::FullObject,
        value: value.to_vec(),
        parts: None,
    };
    all.value
        .chunks(digest_len(all.algorithm))
        .map(one)
        .collect()
}

fn object_parts(parts: &[StoredPart], page: PartsPage, sums: &[Checksum]) -> ObjectParts {
    let mut shown: Vec<ObjectPart> = parts
        .iter()
        .zip(sums)
        .map(|(part, checksum)| ObjectPart {
            part_number: u32::from(part.part_number),
            size: part.plain_len,
            checksum: checksum.clone(),
        })
        .filter(|part| part.part_number > page.marker)
        .collect();
    let max = usize::try_from(page.max_parts).unwrap_or(usize::MAX);
    let more = shown.len() > max;
    shown.truncate(max);
    let last = shown.last().map_or(page.marker, |part| part.part_number);
    ObjectParts {
        count: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        page: shown,
        next_marker: more.then_some(last),
        listed: !sums.is_empty(),
    }
}
