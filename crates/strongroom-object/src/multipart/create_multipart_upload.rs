// SPDX-License-Identifier: Apache-2.0
//! CreateMultipartUpload: fixes mode, key, context and checksum algorithm for all parts.

use strongroom_format::{ObjectDataId, RecordFlags, SseMode};
use strongroom_store::{Batch, CommitError, Write};

use super::upload::{lasting_conditions, upload_id};
use crate::authorize::Action;
use crate::encryption;
use crate::error::Error;
use crate::lifecycle::ObjectExpiry;
use crate::model::{
    ChecksumAlgorithm, ChecksumType, Encryption, EncryptionRequest, ObjectName, Properties, Scope,
};
use crate::objects::{Objects, random_uid};
use crate::rows::{self, UploadRow};
use crate::storage_class::StorageClass;
use crate::table_key::{self, UPLOADS};
use crate::version::bucket_unchanged;

/// A CreateMultipartUpload request.
#[derive(Debug)]
pub struct CreateMultipartUpload {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// Properties of the object to be.
    pub properties: Properties,
    /// Encryption asked for.
    pub encryption: EncryptionRequest,
    /// Class of the object to be.
    pub storage_class: StorageClass,
    /// Checksum algorithm of the parts.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// What the object's checksum will cover.
    pub checksum_type: Option<ChecksumType>,
}

/// An upload that was opened.
#[derive(Debug, Clone)]
pub struct CreateMultipartUploadOutput {
    /// Names the upload.
    pub upload_id: String,
    /// How its parts are sealed.
    pub encryption: Encryption,
    /// As fixed.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// As fixed.
    pub checksum_type: Option<ChecksumType>,
    /// When a rule aborts it.
    pub abort: Option<ObjectExpiry>,
}

impl Objects {
    /// Open a multipart upload.
    pub async fn create_multipart_upload(
        &self,
        scope: Scope<'_>,
        input: CreateMultipartUpload,
    ) -> Result<CreateMultipartUploadOutput, Error> {
        ObjectName::parse(&input.object_key)?;
        let mut bucket = self.bucket(&input.bucket)?;
        bucket.authorize_object(scope, Action::PutObject, &input.object_key)?;
        let encryption =
            encryption::resolve(self, scope, &bucket, &input.object_key, input.encryption)?;
        let checksum_type = fix_type(input.checksum_algorithm, input.checksum_type)?;
        let wrap_key =
            encryption::begin(self, scope, &bucket, &input.object_key, encryption).await?;
        let oek = wrap_key.new_object_keys()?;
        let odi = ObjectDataId(random_uid()?);
        let completion_key = (wrap_key.mode() == SseMode::C)
            .then(|| oek.completion_key(&odi).expose_secret().to_vec());
        let mut row = UploadRow {
            upload_uid: random_uid()?,
            odi: odi.0,
            initiated_ms: self.now_ms(),
            properties: input.properties.into(),
            key: wrap_key.row(),
            checksum_algorithm: input.checksum_algorithm.map(ChecksumAlgorithm::number),
            composite: checksum_type == Some(ChecksumType::Composite),
            completion_key,
            conditions: lasting_conditions(&scope.caller.conditions().of_writes),
            class: input.storage_class,
        };
        let bind = encryption::bind_upload(
            self,
            &bucket,
            &input.object_key,
            &row.bind_row(),
            &row.key,
            &row.properties,
            row.odi,
        )?;
        let flags = RecordFlags {
            multipart: true,
            pending: true,
            ..RecordFlags::default()
        };
        wrap_key.wrap(&oek, &bind, flags, &mut row.key)?;
        let key = table_key::upload(bucket.uid(), &input.object_key, &row.upload_uid);
        let mut batch = Batch {
            preconditions: vec![bucket_unchanged(&bucket)],
            writes: vec![Write::Put {
                table: UPLOADS,
                key,
                value: rows::encode(&row)?,
            }],
        };
        loop {
            match self.tables().commit(batch).await {
                Ok(_) => break,
                // What the bucket does with versions is of no matter to an upload.
                Err(CommitError::Precondition { batch: again, .. }) => {
                    bucket = self.same_bucket(&bucket).map_err(|_| Error::NoSuchBucket {
                        bucket: input.bucket.clone(),
                    })?;
                    batch = *again;
                    batch.preconditions = vec![bucket_unchanged(&bucket)];
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(CreateMultipartUploadOutput {
            upload_id: upload_id(&row.upload_uid),
            encryption: wrap_key.encryption()?,
            checksum_algorithm: input.checksum_algorithm,
            checksum_type,
            abort: self.upload_expiry(&bucket, &input.object_key, row.initiated_ms),
        })
    }
}

/// The checksum type of an upload: CRC64NVME covers the object, the SHA family the parts, and the
/// other CRCs either, by default the parts.
fn fix_type(
    algorithm: Option<ChecksumAlgorithm>,
    wanted: Option<ChecksumType>,
) -> Result<Option<ChecksumType>, Error> {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    use ChecksumType::{Composite, FullObject};
    let Some(algorithm) = algorithm else {
        return Ok(None);
    };
    match (algorithm, wanted) {
        (Crc64Nvme, None | Some(FullObject)) | (Crc32 | Crc32c, Some(FullObject)) => {
            Ok(Some(FullObject))
        }
        (Crc32 | Crc32c | Sha1 | Sha256, None | Some(Composite)) => Ok(Some(Composite)),
        (Crc64Nvme, Some(checksum_type @ Composite))
        | (Sha1 | Sha256, Some(checksum_type @ FullObject)) => {
            Err(Error::ChecksumTypeUnsupported {
                algorithm,
                checksum_type,
            })
        }
    }
}
