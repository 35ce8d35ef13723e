// SPDX-License-Identifier: Apache-2.0
//! UploadPart: one sealed body under the upload's object key; the last attempt counts.

use strongroom_format::{ObjectDataId, SseMode};
use strongroom_store::{Batch, CommitError, Precondition, Row, Write};

use super::upload::OpenUpload;
use crate::encryption::{self, PartSum, WrapKey};
use crate::error::Error;
use crate::model::{
    Body, BodyLength, Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumType, CustomerKey,
    Encryption, ObjectName, PUT_BYTES_MAX, Scope,
};
use crate::objects::{Bucket, Objects};
use crate::part_store::Incoming;
use crate::rows::{self, PartRowStored};
use crate::table_key::{self, PARTS};
use crate::turns::COMMIT_TRIES_MAX;
use crate::version::remove_body;

/// An UploadPart request.
pub struct UploadPart {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// The upload.
    pub upload_id: String,
    /// From 1 to 10,000.
    pub part_number: u16,
    /// The key of an SSE-C upload.
    pub customer_key: Option<CustomerKey>,
    /// Plaintext bytes to come.
    pub content_length: u64,
    /// What is announced about them.
    pub checksum: ChecksumRequest,
    /// The bytes.
    pub body: Body,
}

impl std::fmt::Debug for UploadPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadPart")
            .field("bucket", &self.bucket)
            .field("object_key", &self.object_key)
            .field("upload_id", &self.upload_id)
            .field("part_number", &self.part_number)
            .finish_non_exhaustive()
    }
}

/// A part that was stored.
#[derive(Debug, Clone)]
pub struct UploadPartOutput {
    /// Without quotes.
    pub etag: String,
    /// How it is sealed.
    pub encryption: Encryption,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// A part to be stored: of an upload, or of a copy.
pub(crate) struct NewPart<'a> {
    pub bucket: &'a Bucket,
    pub object_key: &'a str,
    pub upload: &'a OpenUpload,
    pub upload_id: &'a str,
    pub part_number: u16,
    pub content_length: u64,
    pub checksum: ChecksumRequest,
}

impl Objects {
    /// Store a part of an open upload.
    pub async fn upload_part(
        &self,
        scope: Scope<'_>,
        input: UploadPart,
    ) -> Result<UploadPartOutput, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let permit = self.authorize_part(scope, &bucket, &input.object_key, &input.upload_id)?;
        if input.content_length > PUT_BYTES_MAX {
            let proposed_size = input.content_length;
            return Err(Error::EntityTooLarge {
                proposed_size,
                max_size: PUT_BYTES_MAX,
            });
        }
        let upload = self.find_upload(&permit, &bucket, &input.object_key, &input.upload_id)?;
        encryption::refuse_blocked_upload(self, scope, &bucket, &input.object_key, &upload)?;
        let wrap_key = self
            .reopen_upload(scope, &bucket, &upload, input.customer_key)
            .await?;
        // A composite is made of what clients said of their parts, so they have to say it.
        let composite = upload.checksum_type() == ChecksumType::Composite;
        if composite && input.checksum.algorithm.is_none() {
            return Err(Error::ChecksumAlgorithmMismatch {
                expected: upload.checksum_algorithm()?,
                actual: None,
            });
        }
        let new = NewPart {
            bucket: &bucket,
            object_key: &input.object_key,
            upload: &upload,
            upload_id: &input.upload_id,
            part_number: input.part_number,
            content_length: input.content_length,
            checksum: input.checksum,
        };
        let (written, _) = self.store_part(new, &wrap_key, input.body).await?;
        Ok(UploadPartOutput {
            etag: written.etag,
            encryption: wrap_key.encryption()?,
            checksum: written.checksum,
        })
    }

    /// Seal and store a part; also answers when, in Unix milliseconds.
    pub(crate) async fn store_part(
        &self,
        new: NewPart<'_>,
        wrap_key: &WrapKey,
        body: Body,
    ) -> Result<(StoredPartFacts, u64), Error> {
        let upload = new.upload;
        let fixed = upload.checksum_algorithm()?;
        if let (Some(expected), Some(actual)) = (fixed, new.checksum.algorithm)
            && expected != actual
        {
            return Err(Error::ChecksumAlgorithmMismatch {
                expected: fixed,
                actual: Some(actual),
            });
        }
        let oek =
            encryption::unwrap_upload(self, wrap_key, new.bucket, new.object_key, &upload.row)?;
        let mode = wrap_key.mode();
        let incoming = Incoming {
            oek: &oek,
            odi: ObjectDataId(upload.row.odi),
            part_number: new.part_number,
            class: upload.row.class,
            length: BodyLength::Exactly(new.content_length),
            checksum: &new.checksum,
            default_algorithm: Some(fixed.unwrap_or(ChecksumAlgorithm::Crc64Nvme)),
            crc64: fixed.is_none() && mode != SseMode::C,
            md5_etag: mode == SseMode::S3,
        };
        let sealed = self.seal_part(incoming, body).await?;
        let (checksum, crc64) = (&sealed.checksum, &sealed.crc64);
        // An upload without a checksum algorithm gets CRC64NVME over the whole object, whatever
        // its parts announced; under a customer key it gets none, since Complete may have no key.
        // What a part announced is kept in any case: Complete may name it.
        let (own, besides) = match (&crc64, &checksum) {
            (None, announced) if fixed.is_none() && mode == SseMode::C => {
                (None, announced.as_ref())
            }
            (Some(crc64), announced) => (Some(crc64), announced.as_ref()),
            (None, announced) => (announced.as_ref(), None),
        };
        let kept = |which, sum: Option<&Checksum>| {
            sum.map(|sum| {
                let odi = ObjectDataId(upload.row.odi);
                encryption::seal_sum_of_part(mode, &oek, &odi, &sealed.part, which, sum)
            })
            .transpose()
        };
        let row = PartRowStored {
            part: sealed.part.clone(),
            etag: sealed.etag.clone(),
            modified_ms: self.now_ms(),
            checksum: kept(PartSum::Own, own)?,
            announced: kept(PartSum::Announced, besides)?,
        };
        let modified_ms = row.modified_ms;
        let (etag, checksum) = (row.etag.clone(), checksum.clone());
        let manifest = self.part_manifest(new.bucket, new.object_key, &upload.row, &row)?;
        let write = sealed.store(manifest).await?;
        self.commit_part(upload, new.upload_id, new.part_number, &row, write)
            .await?;
        Ok((StoredPartFacts { etag, checksum }, modified_ms))
    }

    async fn commit_part(
        &self,
        upload: &OpenUpload,
        upload_id: &str,
        part_number: u16,
        row: &PartRowStored,
        body: Write,
    ) -> Result<(), Error> {
        let key = table_key::part(&upload.row.upload_uid, part_number);
        let put = Write::Put {
            table: PARTS,
            key: key.clone(),
            value: rows::encode(row)?,
        };
        let mut batch = Batch {
            preconditions: vec![upload.still_open()],
            writes: vec![put, body],
        };
        let mut turn = None;
        for _ in 0..COMMIT_TRIES_MAX {
            batch.preconditions.truncate(1);
            batch.writes.truncate(2);
            let earlier = self.tables().get(PARTS, &key)?;
            batch.preconditions.push(match &earlier {
                Some(Row { seq, .. }) => Precondition::SeqIs {
                    table: PARTS,
                    key: key.clone(),
                    seq: *seq,
                },
                None => Precondition::Absent {
                    table: PARTS,
                    key: key.clone(),
                },
            });
            if let Some(earlier) = earlier {
                let earlier: PartRowStored = rows::decode(&earlier.value, "part row")?;
                batch.writes.push(remove_body(&earlier.part));
            }
            match self.tables().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Precondition { index: 0, .. }) => {
                    return Err(Error::NoSuchUpload {
                        upload_id: upload_id.to_owned(),
                    });
                }
                Err(CommitError::Precondition { batch: again, .. }) => {
                    batch = *again;
                    if turn.is_none() {
                        turn = Some(self.turns().take(&key).await);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::TooManyWriters)
    }
}

/// What answers say about a part that was stored.
pub(crate) struct StoredPartFacts {
    pub etag: String,
    pub checksum: Option<Checksum>,
}
