// SPDX-License-Identifier: Apache-2.0
//! An upload that is completed once more: whoever did not hear the answer asks again.
//!
//! S3 answers as it did the first time, if the same parts are named. The version says which upload it
//! was; when it is gone, or many others came after it, nothing is known of the upload any more.

use std::ops::Bound;

use strongroom_format::SseMode;

use super::complete_multipart_upload::{
    CompleteMultipartUpload, CompletedPart, KeyToComplete, etag_of, invalid,
};
use super::upload::parse_upload_id;
use crate::digest;
use crate::encryption;
use crate::error::Error;
use crate::model::{Checksum, ChecksumAlgorithm, ChecksumType, Encryption, Scope};
use crate::objects::{Bucket, Objects};
use crate::put_object::PutObjectOutput;
use crate::rows::{StoredPart, VersionEntry, VersionRow};
use crate::table_key::{self, VERSIONS};
use crate::version::{Found, Standing};

impl Objects {
    /// The answer to an upload that was completed before with these parts; [`Error::NoSuchUpload`]
    /// where nothing is known of that. Conditions were met when it was, and its object would not
    /// meet them now. The caller is permitted to complete it, and must be to use its key, too.
    pub(super) async fn completed_before(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        input: &CompleteMultipartUpload,
        key: KeyToComplete,
    ) -> Result<PutObjectOutput, Error> {
        let name = &input.object_key;
        let unknown = || Error::NoSuchUpload {
            upload_id: input.upload_id.clone(),
        };
        let uid = parse_upload_id(&input.upload_id).ok_or_else(unknown)?;
        let (found, row, parts) = self
            .completed_with_parts(bucket, name, &uid)?
            .filter(|(_, row, parts)| are_named(row, parts, &input.parts))
            .ok_or_else(unknown)?;
        if let Some(expected) = input.object_size.filter(|size| *size != row.size) {
            return Err(Error::MultipartSizeMismatch {
                actual: row.size,
                expected,
            });
        }
        let (encryption, checksum) = self
            .sealed_as(scope, bucket, name, &row, &parts, key)
            .await?;
        check_sums(input, &parts, checksum.as_ref())?;
        Ok(PutObjectOutput {
            version_id: bucket.shown_id(found.id),
            etag: row.etag.clone(),
            size: row.size,
            encryption,
            checksum,
            expiry: self.expiry(bucket, name, row.size, row.created_ms),
        })
    }

    /// How the object is sealed, and its checksum: for who may use its key, as the first time.
    async fn sealed_as(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        object_key: &str,
        row: &VersionRow,
        parts: &[StoredPart],
        key: KeyToComplete,
    ) -> Result<(Encryption, Option<Checksum>), Error> {
        let record = row.key.sealed_record()?;
        let is_customers = record.mode() == SseMode::C;
        let customer = match key {
            KeyToComplete::NotAskedFor(customer) => customer,
            KeyToComplete::Opened(opened) if is_customers => {
                let (key, _) = *opened;
                let encryption = key.encryption()?;
                let key = key.reading(record);
                let oek = encryption::unwrap_version(self, &key, bucket, object_key, row, parts)?;
                return Ok((encryption, encryption::open_checksum(row, &oek)?));
            }
            // As the caller, on the key as it is now.
            KeyToComplete::Opened(_) | KeyToComplete::NotGiven => None,
        };
        if is_customers && customer.is_none() {
            if self.compat().completes_with_customer_key_only() {
                return Err(Error::CustomerKeyNeededToComplete);
            }
            if row.checksum.is_some() {
                return Err(Error::CustomerKeyRequired);
            }
            return Ok((Encryption::Customer { md5_base64: None }, None));
        }
        let wrong = |error| match error {
            Error::CustomerKeyWrong => Error::MultipartEncryptionMismatch,
            Error::CustomerKeyNotApplicable => Error::MultipartEncryptionMissing,
            other => other,
        };
        encryption::check_customer_key(&record, customer.as_ref()).map_err(wrong)?;
        let encryption = encryption::describe(&row.key, &record, customer.as_ref());
        let key = encryption::open(self, scope, bucket, &row.key, record, customer).await?;
        let oek = encryption::unwrap_version(self, &key, bucket, object_key, row, parts)?;
        Ok((encryption, encryption::open_checksum(row, &oek)?))
    }

    /// The version that an upload became, with its parts.
    fn completed_with_parts(
        &self,
        bucket: &Bucket,
        object_key: &str,
        uid: &[u8; 16],
    ) -> Result<Option<(Standing, VersionRow, Vec<StoredPart>)>, Error> {
        for _ in 0..READ_TRIES_MAX {
            let Some((found, row)) = self.find_completed(bucket, object_key, uid)? else {
                return Ok(None);
            };
            let parts = self.parts(&row);
            // Only a row that still stands says that what was read, or missed, is its own.
            let now = self.tables().get(VERSIONS, &found.table_key)?;
            if now.is_some_and(|now| now.seq == found.seq) {
                return Ok(Some((found, row, parts?)));
            }
        }
        Err(Error::ConditionalConflict)
    }

    /// The version that an upload became, if it is among the newest of its name.
    pub(super) fn find_completed(
        &self,
        bucket: &Bucket,
        object_key: &str,
        uid: &[u8; 16],
    ) -> Result<Option<(Standing, VersionRow)>, Error> {
        let prefix = table_key::object_prefix(bucket.uid(), object_key);
        let end = table_key::prefix_end(&prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let start = Bound::Included(prefix.as_slice());
        let newest = self
            .tables()
            .scan(VERSIONS, start, end, LOOKED_AT_MAX, false)?;
        for (key, row) in newest {
            let found = Found::read(key, &row)?;
            let id = found.id();
            if let VersionEntry::Object(row) = found.entry
                && row
                    .completed
                    .as_ref()
                    .is_some_and(|of| of.upload_uid == *uid)
            {
                let standing = Standing {
                    table_key: found.table_key,
                    id,
                    seq: found.seq,
                };
                return Ok(Some((standing, *row)));
            }
        }
        Ok(None)
    }
}

/// Whether an object is made of the parts that are named: ETags tell them from all others.
fn are_named(row: &VersionRow, parts: &[StoredPart], named: &[CompletedPart]) -> bool {
    let etag = etag_of(named.iter().map(|part| part.etag.as_str()));
    let numbers = parts.iter().map(|part| u32::from(part.part_number));
    etag.as_ref() == Some(&row.etag) && numbers.eq(named.iter().map(|part| part.part_number))
}

/// The checksums that are named, as far as what is kept decides about them: those of parts are in a
/// composite, and give that of the whole where they are of the same algorithm.
fn check_sums(
    input: &CompleteMultipartUpload,
    parts: &[StoredPart],
    whole: Option<&Checksum>,
) -> Result<(), Error> {
    let expected = whole.map_or(ChecksumType::FullObject, |whole| whole.checksum_type);
    if input.checksum_type.is_some_and(|wanted| wanted != expected) {
        return Err(Error::ChecksumTypeMismatch { expected });
    }
    if let Some((algorithm, value)) = &input.checksum {
        if input.checksum_parts.is_some() && expected == ChecksumType::FullObject {
            return Err(Error::ChecksumOfParts {
                algorithm: *algorithm,
            });
        }
        let holds = |whole: &Checksum| whole.algorithm == *algorithm && whole.value == *value;
        if !whole.is_some_and(holds) {
            return Err(Error::ChecksumMismatch {
                algorithm: *algorithm,
            });
        }
    }
    let Some(whole) = whole else {
        return Ok(());
    };
    let algorithm = whole.algorithm;
    let composite = whole.checksum_type == ChecksumType::Composite;
    let mut named = Vec::new();
    for part in &input.parts {
        match &part.checksum {
            Some((of, value)) if *of == algorithm => named.push(value.as_slice()),
            Some(_) if composite => return Err(invalid(input, part)),
            None if composite => {
                return Err(Error::ChecksumMissingForPart {
                    part_number: part.part_number,
                    algorithm,
                });
            }
            Some(_) | None => return Ok(()),
        }
    }
    let computed = if composite {
        Some(digest::digest(algorithm, &named.concat()))
    } else {
        combined(algorithm, &named, parts)
    };
    match input.parts.first() {
        // Which of them it is, is not known any more.
        Some(part) if computed.as_ref() != Some(&whole.value) => Err(invalid(input, part)),
        _ => Ok(()),
    }
}

/// The checksum of the whole from those of all its parts.
fn combined(algorithm: ChecksumAlgorithm, sums: &[&[u8]], parts: &[StoredPart]) -> Option<Vec<u8>> {
    let (first, rest) = sums.split_first()?;
    let mut lens = parts.iter().skip(1).map(|part| part.plain_len);
    rest.iter().try_fold(first.to_vec(), |sum, next| {
        digest::combine(algorithm, &sum, next, lens.next()?)
    })
}

/// So many of a name's newest versions are looked at.
const LOOKED_AT_MAX: usize = 32;
/// How often a version is looked for again that changed while it was read.
const READ_TRIES_MAX: usize = 8;
