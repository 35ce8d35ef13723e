// SPDX-License-Identifier: Apache-2.0
//! Which encryption a new object gets: what the request says, else what its bucket says.
//!
//! ```text
//!   customer key      SSE-C, whatever the bucket says, unless it blocks that
//!   AES256            SSE-S3; the bucket's KMS key is not inherited
//!   aws:kms           the key named, else aws/s3; bucket key as asked, else as the bucket says
//!   aws:kms:dsse      the key named, else aws/s3
//!   nothing           the bucket's rule; SSE-S3 where it was given none; under SSE-KMS a bucket
//!                     key as asked, else as the bucket says
//! ```

use strongroom_format::{EncryptionContext, SseMode};

use crate::error::Error;
use crate::model::{BucketEncryption, DefaultAlgorithm, EncryptionRequest, Scope};
use crate::multipart::OpenUpload;
use crate::objects::{Bucket, Objects};
use crate::rows::{self, BucketEncryptionRow};
use crate::table_key::BUCKET_ENCRYPTION;

/// An encryption request that the bucket's rule was applied to, as it was when the operation
/// started. Only such a one gets a key.
#[derive(Debug)]
pub(crate) struct Resolved(EncryptionRequest);

impl Resolved {
    /// Whether it is SSE-S3.
    pub(crate) fn is_s3(&self) -> bool {
        matches!(self.0, EncryptionRequest::S3)
    }

    pub(super) fn into_request(self) -> EncryptionRequest {
        self.0
    }
}

/// Apply the bucket's rule to what a request says.
pub(crate) fn resolve(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    object_key: &str,
    request: EncryptionRequest,
) -> Result<Resolved, Error> {
    let rule = objects.bucket_encryption(bucket)?;
    Ok(Resolved(match request {
        EncryptionRequest::Customer(_) if rule.blocks_customer_keys => {
            return Err(blocked(scope, bucket, object_key));
        }
        EncryptionRequest::Default { bucket_key } => match rule.algorithm {
            DefaultAlgorithm::S3 => EncryptionRequest::S3,
            DefaultAlgorithm::Kms => EncryptionRequest::Kms {
                key_id: rule.kms_key_id,
                context: EncryptionContext::default(),
                bucket_key: Some(bucket_key.unwrap_or(rule.bucket_key)),
            },
            DefaultAlgorithm::Dsse => EncryptionRequest::Dsse {
                key_id: rule.kms_key_id,
                context: EncryptionContext::default(),
            },
        },
        EncryptionRequest::Kms {
            key_id,
            context,
            bucket_key,
        } => EncryptionRequest::Kms {
            key_id,
            context,
            bucket_key: Some(bucket_key.unwrap_or(rule.bucket_key)),
        },
        explicit @ (EncryptionRequest::S3
        | EncryptionRequest::Dsse { .. }
        | EncryptionRequest::Customer(_)) => explicit,
    }))
}

/// An upload under a customer key that was open when its bucket began to block those goes no
/// further; it can only be aborted.
pub(crate) fn refuse_blocked_upload(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    object_key: &str,
    upload: &OpenUpload,
) -> Result<(), Error> {
    if upload.row.key.mode()? == SseMode::C
        && objects.bucket_encryption(bucket)?.blocks_customer_keys
    {
        return Err(blocked(scope, bucket, object_key));
    }
    Ok(())
}

fn blocked(scope: Scope<'_>, bucket: &Bucket, object_key: &str) -> Error {
    Error::CustomerKeysBlocked {
        principal: scope.caller.arn().to_owned(),
        resource: format!("arn:aws:s3:::{}/{object_key}", bucket.name),
    }
}

impl Objects {
    /// The encryption rule of a bucket; new buckets have one too.
    pub(crate) fn bucket_encryption(&self, bucket: &Bucket) -> Result<BucketEncryption, Error> {
        match self.encryption_row(bucket)? {
            Some(row) => BucketEncryption::try_from(row),
            None => Ok(BucketEncryption {
                algorithm: DefaultAlgorithm::S3,
                kms_key_id: None,
                bucket_key: false,
                blocks_customer_keys: self.compat().blocks_customer_keys_by_default(),
            }),
        }
    }

    /// Whether the bucket was given a default of its own. A rule that says only what is blocked
    /// gives none.
    pub(crate) fn has_default_encryption(&self, bucket: &Bucket) -> Result<bool, Error> {
        let row = self.encryption_row(bucket)?;
        Ok(row.is_some_and(|row| row.names_default))
    }

    fn encryption_row(&self, bucket: &Bucket) -> Result<Option<BucketEncryptionRow>, Error> {
        let found = self.tables().get(BUCKET_ENCRYPTION, bucket.uid())?;
        found
            .map(|found| rows::decode(&found.value, "encryption rule of a bucket"))
            .transpose()
    }

    /// Whether a request with a customer key may write to the bucket: asked by adapters before
    /// they look at the key. The operation itself asks again.
    pub fn admit_customer_key(
        &self,
        scope: Scope<'_>,
        bucket: &str,
        object_key: &str,
    ) -> Result<(), Error> {
        let bucket = self.bucket(bucket)?;
        if self.bucket_encryption(&bucket)?.blocks_customer_keys {
            return Err(blocked(scope, &bucket, object_key));
        }
        Ok(())
    }
}
