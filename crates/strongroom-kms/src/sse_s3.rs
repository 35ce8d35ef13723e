// SPDX-License-Identifier: Apache-2.0
//! The keys of SSE-S3: one for each bucket, derived from a root of its own list of epochs, so that
//! nothing is stored and no KMS key is involved. Each object still has its own random object key, wrapped under it.

use strongroom_format::ExternalKey;

use crate::error::Error;
use crate::root::EpochKind;
use crate::service::Kms;

impl Kms {
    /// The SSE-S3 key of a bucket for new objects, and the reference to store with them:
    /// `u8 version 1 || u32 epoch || bucket uid`.
    pub fn sse_s3_key(&self, bucket_uid: &[u8; 16]) -> Result<(ExternalKey, Vec<u8>), Error> {
        let (epoch, key) = self.keyring().newest_sse_s3(bucket_uid);
        Ok((key, reference(epoch, bucket_uid)))
    }

    /// The SSE-S3 key that a stored reference names, for an object of the bucket.
    pub fn sse_s3_open(&self, ek_ref: &[u8], bucket_uid: &[u8; 16]) -> Result<ExternalKey, Error> {
        let epoch = self.sse_s3_epoch(ek_ref, bucket_uid)?;
        let key = self.keyring().sse_s3(epoch, bucket_uid);
        key.ok_or_else(damaged)
    }

    /// The epoch of the SSE-S3 root that a stored reference names.
    pub fn sse_s3_epoch(&self, ek_ref: &[u8], bucket_uid: &[u8; 16]) -> Result<u32, Error> {
        let epoch = ek_ref.get(1..5).and_then(|epoch| epoch.try_into().ok());
        let epoch = u32::from_be_bytes(epoch.ok_or_else(damaged)?);
        if ek_ref == reference(epoch, bucket_uid) {
            Ok(epoch)
        } else {
            Err(damaged())
        }
    }

    /// The epoch of the SSE-S3 root for new objects.
    pub fn newest_sse_s3_epoch(&self) -> u32 {
        self.keyring().newest(EpochKind::SseS3).epoch
    }
}

fn damaged() -> Error {
    Error::Corrupted {
        what: "reference to an SSE-S3 key".to_owned(),
    }
}

fn reference(epoch: u32, bucket_uid: &[u8; 16]) -> Vec<u8> {
    [
        [REFERENCE_VERSION].as_slice(),
        &epoch.to_be_bytes(),
        bucket_uid,
    ]
    .concat()
}

const REFERENCE_VERSION: u8 = 1;
