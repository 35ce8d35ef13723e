// SPDX-License-Identifier: Apache-2.0
//! Keys of the key service, each of its own object or from the bucket key of the requester.

use std::collections::BTreeMap;

use strongroom_format::{EncryptionContext, ExternalKey, SealedKeyRecord};
use strongroom_kms::S3DataKey;

use super::context::{pairs, refuse_look_alikes, whole_context};
use crate::error::Error;
use crate::model::Scope;
use crate::objects::{Bucket, Objects};

/// A new key, and the context that it was made with.
pub(super) struct NewKey {
    pub(super) data_key: S3DataKey,
    pub(super) context: EncryptionContext,
    pub(super) caller_context: BTreeMap<String, String>,
}

/// A key for a new object under the KMS key `key_id`.
pub(super) async fn new_key(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    object_key: &str,
    key_id: Option<&str>,
    caller_context: &EncryptionContext,
    bucket_key: bool,
) -> Result<NewKey, Error> {
    let kms = objects.kms();
    let Scope { caller, receipt } = scope;
    let caller_context = pairs(caller_context);
    refuse_look_alikes(&caller_context)?;
    let context = whole_context(&caller_context, &bucket.name, object_key, bucket_key)?;
    let uid = bucket.uid();
    let data_key = if bucket_key {
        kms.bucket_key_for_s3(caller, receipt, key_id, uid, &context)
            .await?
    } else {
        // What every write may wait for once need not lie in every write's own memory.
        Box::pin(kms.generate_data_key_for_s3(caller, receipt, key_id, &context)).await?
    };
    Ok(NewKey {
        data_key,
        context,
        caller_context,
    })
}

/// The key of a stored object: the record says which way it was made.
pub(super) async fn stored_key(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    record: &SealedKeyRecord,
    context: &EncryptionContext,
) -> Result<ExternalKey, Error> {
    let kms = objects.kms();
    let Scope { caller, receipt } = scope;
    let (ek_ref, uid) = (record.ek_ref(), bucket.uid());
    let opened = if record.flags().bucket_key {
        kms.open_bucket_key_for_s3(caller, receipt, ek_ref, uid, context)
            .await
    } else {
        Box::pin(kms.decrypt_for_s3(caller, receipt, ek_ref, context)).await
    };
    Ok(opened?)
}
