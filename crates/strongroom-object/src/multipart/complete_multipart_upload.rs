// SPDX-License-Identifier: Apache-2.0
//! CompleteMultipartUpload: the parts become one object, in one commit, without touching data.
//! That they did is noted in a blob of its own before, for the day when there are no tables (`note.rs`).

use std::collections::HashSet;

use strongroom_format::{ObjectDataId, RecordFlags, SseMode};
use strongroom_md5::Md5;
use strongroom_store::Batch;

use super::upload::{OpenPart, OpenUpload};
use crate::authorize::Permit;
use crate::conditions::check_write;
use crate::digest;
use crate::encryption::{self, ObjectKeys, PartSum, WrapKey};
use crate::error::Error;
use crate::manifest::ManifestTime;
use crate::model::{
    Checksum, ChecksumAlgorithm, ChecksumType, CustomerKey, Encryption, OBJECT_BYTES_MAX,
    ObjectName, PART_BYTES_MIN, PART_NUMBER_MAX, Scope, WriteConditions,
};
use crate::note::Noted;
use crate::objects::{Bucket, Objects, random_uid};
use crate::put_object::PutObjectOutput;
use crate::rows::{ChecksumRow, CompletedRow, PartRowStored, StoredPart, VersionRow, Versioning};
use crate::version::{Found, NewVersion, remove_body};

/// A part as Complete names it.
#[derive(Debug, Clone)]
pub struct CompletedPart {
    /// Its number.
    pub part_number: u32,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its checksum, where it is named.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
}

/// A CompleteMultipartUpload request.
#[derive(Debug)]
pub struct CompleteMultipartUpload {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// The upload.
    pub upload_id: String,
    /// The parts, in order.
    pub parts: Vec<CompletedPart>,
    /// The object's checksum, where it is named.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// Of how many parts that says it is; one of a whole object says nothing of parts.
    pub checksum_parts: Option<usize>,
    /// The checksum's type, where it is named.
    pub checksum_type: Option<ChecksumType>,
    /// The object's size, where it is named.
    pub object_size: Option<u64>,
    /// Conditions on what is there.
    pub conditions: WriteConditions,
    /// The key of an SSE-C upload; needed only where a checksum has to be stored or compared.
    pub customer_key: Option<CustomerKey>,
}

/// How often it starts again after parts changed under it.
const TRIES_MAX: usize = 64;

/// The key of an upload, asked for once however often it is tried to complete it.
pub(super) enum KeyToComplete {
    NotAskedFor(Option<CustomerKey>),
    /// An SSE-C upload is completed without its key.
    NotGiven,
    Opened(Box<(WrapKey, ObjectKeys)>),
}

impl KeyToComplete {
    fn opened(&self) -> Option<&(WrapKey, ObjectKeys)> {
        match self {
            Self::Opened(opened) => Some(opened),
            Self::NotAskedFor(_) | Self::NotGiven => None,
        }
    }

    /// How the object is sealed, as far as is known.
    fn encryption(&self) -> Result<Encryption, Error> {
        match self.opened() {
            Some((key, _)) => key.encryption(),
            None => Ok(Encryption::Customer { md5_base64: None }),
        }
    }
}

impl Objects {
    /// Make the parts of an upload an object.
    pub async fn complete_multipart_upload(
        &self,
        scope: Scope<'_>,
        input: CompleteMultipartUpload,
    ) -> Result<PutObjectOutput, Error> {
        let mut input = input;
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let permit = self.authorize_part(scope, &bucket, &input.object_key, &input.upload_id)?;
        let name = &input.object_key;
        bucket.may_compare(scope, name, None, &input.conditions)?;
        let mut key = KeyToComplete::NotAskedFor(input.customer_key.take());
        let found = self.find_upload(&permit, &bucket, &input.object_key, &input.upload_id);
        let mut upload = match found {
            Err(Error::NoSuchUpload { .. }) => {
                return self.completed_before(scope, &bucket, &input, key).await;
            }
            found => found?,
        };
        encryption::refuse_blocked_upload(self, scope, &bucket, &input.object_key, &upload)?;
        for _ in 0..TRIES_MAX {
            let tried = self
                .try_to_complete(scope, &permit, &bucket, &input, &upload, &mut key)
                .await;
            let Err(error) = tried else {
                return tried;
            };
            let now = self.find_upload(&permit, &bucket, &input.object_key, &input.upload_id);
            match (error, now) {
                // The same was asked twice at a time, and the other was quicker: that its object is
                // there now, or its parts are not, is what this one fell for.
                (
                    Error::ConditionalConflict
                    | Error::PreconditionFailed { .. }
                    | Error::InvalidPart { .. },
                    Err(Error::NoSuchUpload { .. }),
                ) => {
                    return self.completed_before(scope, &bucket, &input, key).await;
                }
                // A part came, or came again, while this was under way: what is named may be
                // another one now.
                (Error::ConditionalConflict, now) => {
                    let now = now?;
                    // Wrapped again meanwhile: the older key is not to come back. There is no
                    // customer key that this could be about.
                    if now.row.key.record != upload.row.key.record {
                        key = KeyToComplete::NotAskedFor(None);
                    }
                    upload = now;
                }
                (error, _) => return Err(bucket.hide(scope, error)),
            }
        }
        Err(Error::ConditionalConflict)
    }

    async fn try_to_complete(
        &self,
        scope: Scope<'_>,
        permit: &Permit,
        bucket: &Bucket,
        input: &CompleteMultipartUpload,
        upload: &OpenUpload,
        key: &mut KeyToComplete,
    ) -> Result<PutObjectOutput, Error> {
        let name = &input.object_key;
        let found = self.find_parts(&upload.row.upload_uid, 0, usize::from(PART_NUMBER_MAX))?;
        let chosen = choose(input, &found)?;
        let size = chosen_size(input, &chosen)?;
        check_request(input, upload)?;
        let current = self.find_version(bucket, name)?;
        let current = current.as_ref().and_then(Found::current);
        check_write(&input.conditions, current, name)?;

        if let KeyToComplete::NotAskedFor(customer) = key {
            let customer = customer.take();
            *key = self
                .key_to_complete(scope, bucket, name, upload, customer)
                .await?;
        }
        let opened = key.opened();
        let odi = ObjectDataId(upload.row.odi);
        let mode = upload.row.key.mode()?;
        let oek = opened.map(|(_, oek)| oek);
        let sums = open_sums(input, mode, oek, &odi, &chosen)?;
        check_named(input, &sums)?;
        let checksum = object_checksum(input, upload, &chosen, &sums)?;
        let parts: Vec<StoredPart> = chosen.iter().map(|part| part.row.part.clone()).collect();
        let (sealed_checksum, part_checksums) =
            seal_checksums(mode, oek, &odi, checksum.as_ref(), &sums)?;
        let mut row = VersionRow {
            version_uid: random_uid()?,
            odi: upload.row.odi,
            size,
            created_ms: self.now_ms(),
            etag: etag_of(chosen.iter().map(|part| part.row.etag.as_str()))
                .ok_or(Error::Internal("the ETag of a part"))?,
            properties: upload.row.properties.clone(),
            key: upload.row.key.clone(),
            checksum: sealed_checksum,
            parts: u16::try_from(parts.len()).map_err(|_| Error::InvalidPartList)?,
            body: None,
            null_version: bucket.row.versioning != Versioning::Enabled,
            null_at: None,
            class: upload.row.class,
            restore: None,
            note: None,
            older_bodies: false,
            completed: Some(CompletedRow {
                upload_uid: upload.row.upload_uid,
                conditions: upload.row.conditions.clone(),
            }),
        };
        let seal = |row: &mut VersionRow| self.rewrap(bucket, name, upload, opened, row, &parts);
        // Before the note is durable: it is to have the record.
        seal(&mut row)?;
        let expiry = self.expiry(bucket, name, size, row.created_ms);
        let etag = row.etag.clone();
        let encryption = key.encryption()?;
        let mut batch = adopt(upload, found, &parts);
        let noted = Noted {
            bucket,
            object_key: name,
            row: &row,
            parts: &parts,
            checksums: part_checksums.as_ref(),
            inline: self.inline_bodies(&parts)?,
            time: ManifestTime::now(self),
        };
        if let Some((note, adoption)) = self.write_note(noted).await? {
            row.note = Some(note);
            batch.writes.push(adoption);
        }
        let version = NewVersion {
            row,
            part_table: parts.clone(),
            part_checksums,
            batch,
            seal: &seal,
            is_sealed: true,
        };
        let changed = self
            .store_version(permit, bucket, name, version, &input.conditions)
            .await?;
        Ok(PutObjectOutput {
            version_id: changed.id,
            etag,
            size,
            encryption,
            checksum,
            expiry,
        })
    }

    /// Ask for the key of the upload.
    async fn key_to_complete(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        object_key: &str,
        upload: &OpenUpload,
        customer: Option<CustomerKey>,
    ) -> Result<KeyToComplete, Error> {
        if upload.row.key.mode()? == SseMode::C && customer.is_none() {
            if self.compat().completes_with_customer_key_only() {
                return Err(Error::CustomerKeyNeededToComplete);
            }
            return Ok(KeyToComplete::NotGiven);
        }
        let key = self.reopen_upload(scope, bucket, upload, customer).await?;
        let oek = encryption::unwrap_upload(self, &key, bucket, object_key, &upload.row)?;
        Ok(KeyToComplete::Opened(Box::new((key, oek))))
    }

    /// Bind the finished object: by wrapping its key again where the key is at hand, else by the
    /// completion tag.
    fn rewrap(
        &self,
        bucket: &Bucket,
        object_key: &str,
        upload: &OpenUpload,
        opened: Option<&(WrapKey, ObjectKeys)>,
        row: &mut VersionRow,
        parts: &[StoredPart],
    ) -> Result<(), Error> {
        let bind = encryption::bind_version(self, bucket, object_key, row, parts)?;
        if let Some((key, oek)) = opened {
            let flags = RecordFlags {
                multipart: true,
                ..RecordFlags::default()
            };
            return key.wrap(oek, &bind, flags, &mut row.key);
        }
        let completion = upload.row.completion()?.ok_or_else(|| Error::Corrupted {
            what: "upload row".to_owned(),
        })?;
        row.key.completion_tag = Some(completion.tag(&bind));
        row.key.upload = Some(upload.row.bind_row());
        Ok(())
    }
}

/// The checksums of a part, of its plaintext.
struct PartSums {
    own: Option<Checksum>,
    announced: Option<Checksum>,
}

/// The checksums of the chosen parts.
///
/// What a checksum is, or whether it is the one that a request names, is only for who may use the key:
/// each answer about it would be one about a guess of the plaintext. So nothing is compared before.
fn open_sums(
    input: &CompleteMultipartUpload,
    mode: SseMode,
    oek: Option<&ObjectKeys>,
    odi: &ObjectDataId,
    chosen: &[&OpenPart],
) -> Result<Vec<PartSums>, Error> {
    let sums = chosen.iter().zip(&input.parts).map(|(part, named)| {
        let PartRowStored {
            part,
            checksum,
            announced,
            ..
        } = &part.row;
        if oek.is_none() {
            // Without a key there is an object, as long as nothing is to be compared.
            let compared = announced.is_some() && named.checksum.is_some();
            if checksum.is_some() || compared {
                return Err(Error::CustomerKeyRequired);
            }
            return Ok(PartSums {
                own: None,
                announced: None,
            });
        }
        let open = |which, stored: &Option<ChecksumRow>| {
            let stored = stored.as_ref();
            stored
                .map(|stored| encryption::open_sum_of_part(mode, oek, odi, part, which, stored))
                .transpose()
        };
        Ok(PartSums {
            own: open(PartSum::Own, checksum)?,
            announced: open(PartSum::Announced, announced)?,
        })
    });
    sums.collect()
}

/// The parts that Complete names, as they are stored.
fn choose<'a>(
    input: &CompleteMultipartUpload,
    found: &'a [OpenPart],
) -> Result<Vec<&'a OpenPart>, Error> {
    if input.parts.is_empty() || input.parts.len() > usize::from(PART_NUMBER_MAX) {
        return Err(Error::InvalidPartList);
    }
    let in_order = input.parts.windows(2).all(|pair| match pair {
        [a, b] => a.part_number < b.part_number,
        _ => true,
    });
    if !in_order || has_gaps_under_checksums(&input.parts) {
        return Err(Error::InvalidPartOrder {
            upload_id: input.upload_id.clone(),
        });
    }
    let last = input.parts.last().map(|part| part.part_number);
    let mut chosen = Vec::with_capacity(input.parts.len());
    for named in &input.parts {
        let part = found
            .binary_search_by_key(&named.part_number, |p| u32::from(p.row.part.part_number))
            .ok()
            .and_then(|index| found.get(index))
            .ok_or_else(|| invalid(input, named))?;
        if part.row.etag != named.etag {
            return Err(invalid(input, named));
        }
        if part.row.part.plain_len < PART_BYTES_MIN && Some(named.part_number) != last {
            return Err(Error::EntityTooSmall {
                part_number: named.part_number,
                proposed_size: part.row.part.plain_len,
                min_size: PART_BYTES_MIN,
                etag: named.etag.clone(),
            });
        }
        chosen.push(part);
    }
    Ok(chosen)
}

/// Whether parts that all have a checksum of their own are not numbered from 1 on: S3 wants them to
/// be, and allows gaps to others (`CompletedPart` in its API reference, which does not count
/// CRC64NVME among those checksums).
fn has_gaps_under_checksums(parts: &[CompletedPart]) -> bool {
    let is_named = |part: &CompletedPart| {
        let algorithm = part.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        algorithm.is_some_and(|algorithm| algorithm != ChecksumAlgorithm::Crc64Nvme)
    };
    let mut numbered = (1_u32..).zip(parts);
    parts.iter().all(is_named) && numbered.any(|(number, part)| part.part_number != number)
}

pub(super) fn invalid(input: &CompleteMultipartUpload, named: &CompletedPart) -> Error {
    Error::InvalidPart {
        part_number: named.part_number,
        etag: named.etag.clone(),
        upload_id: input.upload_id.clone(),
    }
}

/// The checksums that Complete names for parts, where the parts have some.
fn check_named(input: &CompleteMultipartUpload, sums: &[PartSums]) -> Result<(), Error> {
    let mut of_parts = input.parts.iter().zip(sums);
    let differs = |(named, sums): &(&CompletedPart, &PartSums)| {
        named.checksum.as_ref().is_some_and(|(algorithm, value)| {
            let mut known = [&sums.own, &sums.announced]
                .into_iter()
                .flatten()
                .peekable();
            known.peek().is_some()
                && !known.any(|sum| sum.algorithm == *algorithm && sum.value == *value)
        })
    };
    match of_parts.find(differs) {
        Some((named, _)) => Err(invalid(input, named)),
        None => Ok(()),
    }
}

fn chosen_size(input: &CompleteMultipartUpload, chosen: &[&OpenPart]) -> Result<u64, Error> {
    let size = chosen
        .iter()
        .fold(0_u64, |sum, p| sum.saturating_add(p.row.part.plain_len));
    match input.object_size {
        Some(expected) if expected != size => Err(Error::MultipartSizeMismatch {
            actual: size,
            expected,
        }),
        _ if size > OBJECT_BYTES_MAX => Err(Error::EntityTooLarge {
            proposed_size: size,
            max_size: OBJECT_BYTES_MAX,
        }),
        _ => Ok(size),
    }
}

/// What can be refused of the checksums that Complete names without knowing any.
fn check_request(input: &CompleteMultipartUpload, upload: &OpenUpload) -> Result<(), Error> {
    // Without an algorithm it is that of the default, FULL_OBJECT.
    let expected = upload.checksum_type();
    if input.checksum_type.is_some_and(|wanted| wanted != expected) {
        return Err(Error::ChecksumTypeMismatch { expected });
    }
    if let (Some((algorithm, _)), Some(_)) = (&input.checksum, input.checksum_parts)
        && expected == ChecksumType::FullObject
    {
        return Err(Error::ChecksumOfParts {
            algorithm: *algorithm,
        });
    }
    let Some(algorithm) = upload.checksum_algorithm()? else {
        return Ok(());
    };
    let unnamed = input.parts.iter().find(|part| part.checksum.is_none());
    match unnamed.filter(|_| expected == ChecksumType::Composite) {
        Some(part) => Err(Error::ChecksumMissingForPart {
            part_number: part.part_number,
            algorithm,
        }),
        None => Ok(()),
    }
}

/// The object's checksum from those of its parts.
fn object_checksum(
    input: &CompleteMultipartUpload,
    upload: &OpenUpload,
    chosen: &[&OpenPart],
    sums: &[PartSums],
) -> Result<Option<Checksum>, Error> {
    let fixed = upload.checksum_algorithm()?;
    let algorithm = fixed.unwrap_or(ChecksumAlgorithm::Crc64Nvme);
    let composite = fixed.is_some() && upload.checksum_type() == ChecksumType::Composite;
    let checksum = if composite {
        Some(composite_checksum(algorithm, chosen, sums)?)
    } else {
        full_checksum(algorithm, chosen, sums)
    };
    // One that there is nothing to compare with does not hold, either.
    let holds = |(algorithm, value): &(ChecksumAlgorithm, Vec<u8>)| {
        let sum = checksum.as_ref();
        sum.is_some_and(|sum| *algorithm == sum.algorithm && *value == sum.value)
    };
    match &input.checksum {
        Some(named) if !holds(named) => Err(Error::ChecksumMismatch { algorithm: named.0 }),
        _ => Ok(checksum),
    }
}

fn composite_checksum(
    algorithm: ChecksumAlgorithm,
    chosen: &[&OpenPart],
    sums: &[PartSums],
) -> Result<Checksum, Error> {
    let mut all = Vec::new();
    for (part, sums) in chosen.iter().zip(sums) {
        let own = sums
            .own
            .as_ref()
            .ok_or_else(|| Error::ChecksumMissingForPart {
                part_number: u32::from(part.row.part.part_number),
                algorithm,
            })?;
        all.extend_from_slice(&own.value);
    }
    Ok(Checksum {
        algorithm,
        checksum_type: ChecksumType::Composite,
        value: digest::digest(algorithm, &all),
        parts: u32::try_from(chosen.len()).ok(),
    })
}

/// The object's checksum, and for a composite one those of the parts, as they are stored; nothing
/// where there is no checksum or no key to seal it with.
fn seal_checksums(
    mode: SseMode,
    oek: Option<&ObjectKeys>,
    odi: &ObjectDataId,
    checksum: Option<&Checksum>,
    sums: &[PartSums],
) -> Result<(Option<ChecksumRow>, Option<ChecksumRow>), Error> {
    let (Some(oek), Some(whole)) = (oek, checksum) else {
        return Ok((None, None));
    };
    let sealed = encryption::seal_checksum(mode, oek, odi, whole)?;
    let parts = if whole.checksum_type == ChecksumType::Composite {
        let digests = part_digests(whole, sums);
        Some(encryption::seal_part_checksums(mode, oek, odi, &digests)?)
    } else {
        None
    };
    Ok((Some(sealed), parts))
}

/// The digests that a composite checksum was computed over, one after another.
fn part_digests(whole: &Checksum, sums: &[PartSums]) -> Checksum {
    let own = sums.iter().filter_map(|sums| sums.own.as_ref());
    Checksum {
        value: own.flat_map(|sum| sum.value.clone()).collect(),
        ..whole.clone()
    }
}

/// CRC of the whole object out of the CRCs of its parts; `None` when a part has none.
fn full_checksum(
    algorithm: ChecksumAlgorithm,
    chosen: &[&OpenPart],
    sums: &[PartSums],
) -> Option<Checksum> {
    let mut value: Option<Vec<u8>> = None;
    for (part, sums) in chosen.iter().zip(sums) {
        let own = sums.own.as_ref()?;
        if own.algorithm != algorithm {
            return None;
        }
        value = Some(match value {
            None => own.value.clone(),
            Some(sum) => digest::combine(algorithm, &sum, &own.value, part.row.part.plain_len)?,
        });
    }
    Some(Checksum {
        algorithm,
        checksum_type: ChecksumType::FullObject,
        value: value?,
        parts: None,
    })
}

/// MD5 over the parts' binary ETags, and their number; `None` if one of them is no ETag of a part.
pub(super) fn etag_of<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> Option<String> {
    let count = parts.len();
    let mut md5 = Md5::new();
    for etag in parts {
        // One spelling only, as they are compared.
        if etag.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; strongroom_md5::DIGEST_BYTES];
        hex::decode_to_slice(etag, &mut bytes).ok()?;
        md5.update(&bytes);
    }
    Some(format!("{}-{count}", hex::encode(md5.finish())))
}

/// The upload and its part rows go; bodies of parts that were not chosen go with them.
fn adopt(upload: &OpenUpload, found: Vec<OpenPart>, chosen: &[StoredPart]) -> Batch {
    let kept: HashSet<[u8; 16]> = chosen.iter().map(|part| part.part_uid).collect();
    let mut batch = upload.removal(&found);
    for part in found {
        if !kept.contains(&part.row.part.part_uid) {
            batch.writes.push(remove_body(&part.row.part));
        }
    }
    batch
}
