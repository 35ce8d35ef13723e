// SPDX-License-Identifier: Apache-2.0
//! PutBucketEncryption: which encryption objects get that ask for none, and what is blocked.
//!
//! Whether the key exists is not asked: the first upload tells, as it would later if the key went.

use strongroom_store::{Batch, CommitError, Precondition, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{BucketEncryption, DefaultAlgorithm, Scope};
use crate::objects::Objects;
use crate::rows::{self, BucketEncryptionRow};
use crate::table_key::BUCKET_ENCRYPTION;
use crate::turns::COMMIT_TRIES_MAX;
use crate::version::bucket_unchanged;

/// A PutBucketEncryption request.
#[derive(Debug, Clone)]
pub struct PutBucketEncryption {
    /// Bucket name.
    pub bucket: String,
    /// For objects that ask for none. `None` is SSE-S3 as in a new bucket: a default of its own the
    /// bucket has not.
    pub algorithm: Option<DefaultAlgorithm>,
    /// Key id, ARN, alias or alias ARN; `None` is `alias/aws/s3`.
    pub kms_key_id: Option<String>,
    /// Whether SSE-KMS uses bucket keys where the request does not say.
    pub bucket_key: bool,
    /// Whether uploads under customer keys are refused; `None` leaves that as it is.
    pub block_customer_keys: Option<bool>,
}

impl Objects {
    /// Replace the encryption rule of a bucket.
    pub async fn put_bucket_encryption(
        &self,
        scope: Scope<'_>,
        input: PutBucketEncryption,
    ) -> Result<(), Error> {
        let mut turn = None;
        for _ in 0..COMMIT_TRIES_MAX {
            let bucket = self.bucket(&input.bucket)?;
            bucket.authorize(scope, Action::PutEncryptionConfiguration)?;
            let key = bucket.uid().to_vec();
            let found = self.tables().get(BUCKET_ENCRYPTION, &key)?;
            let unchanged = match &found {
                Some(row) => Precondition::SeqIs {
                    table: BUCKET_ENCRYPTION,
                    key: key.clone(),
                    seq: row.seq,
                },
                None => Precondition::Absent {
                    table: BUCKET_ENCRYPTION,
                    key: key.clone(),
                },
            };
            let blocks_customer_keys = match input.block_customer_keys {
                Some(block) => block,
                None => self.bucket_encryption(&bucket)?.blocks_customer_keys,
            };
            let rule = BucketEncryption {
                algorithm: input.algorithm.unwrap_or(DefaultAlgorithm::S3),
                kms_key_id: input.kms_key_id.clone(),
                bucket_key: input.bucket_key,
                blocks_customer_keys,
            };
            let row = BucketEncryptionRow::new(rule, input.algorithm.is_some());
            let batch = Batch {
                preconditions: vec![bucket_unchanged(&bucket), unchanged],
                writes: vec![Write::Put {
                    table: BUCKET_ENCRYPTION,
                    key: key.clone(),
                    value: rows::encode(&row)?,
                }],
            };
            match self.tables().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Precondition { .. }) => {
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
