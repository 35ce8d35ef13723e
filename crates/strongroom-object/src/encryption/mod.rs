// SPDX-License-Identifier: Apache-2.0
//! Which key wraps an object key, and how to get it back.
//!
//! ```text
//!   EK   from the SSE-S3 hierarchy, the key service, or the customer     (per request)
//!   OEK  random per object version or upload, wrapped under EK in the sealed-key record
//! ```
//!
//! Under two layers there are two of each: see `dsse.rs`.
//!
//! [`begin`] is called once before the first body byte is read, so that a refusal of the key
//! service costs nothing and leaves nothing. The record is wrapped last, over BIND, which covers
//! everything an answer will say about the object (`docs/spec/object-format.md`).

use std::collections::BTreeMap;

use strongroom_format::{
    BindDigest, EncryptionContext, ExternalKey, RecordFlags, SealedKeyRecord, SseMode, UnwrapError,
};

use crate::error::Error;
use crate::model::{CustomerKey, Encryption, EncryptionRequest, Scope};
use crate::objects::{Bucket, Objects, random_32};
use crate::rows::{KeyRow, StoredPart, UploadRow, VersionRow, context_from};

mod bind;
mod bucket_key;
mod checksum;
mod context;
mod dsse;
mod resolve;
mod root;

pub(crate) use bind::{bind_upload, bind_version};
use bucket_key::NewKey;
pub(crate) use checksum::{
    PartSum, open_checksum, open_part_checksums, open_sum_of_part, seal_checksum,
    seal_part_checksums, seal_sum_of_part,
};
use context::is_whole;
pub(crate) use context::{whole_context, without_arn};
pub(crate) use dsse::ObjectKeys;
use dsse::OuterWrapKey;
pub(crate) use resolve::{Resolved, refuse_blocked_upload, resolve};
pub(crate) use root::{record_under_root, under_newest_root};

/// A key that can unwrap object keys.
pub(crate) struct OpenKey {
    external_key: ExternalKey,
    /// For the outer of two layers.
    outer: Option<OuterWrapKey>,
    /// What it was found by: it unwraps no other record than this one, and that only over the BIND of
    /// the row that has it.
    record: SealedKeyRecord,
}

/// A key that can wrap object keys, with what is stored to find it again.
pub(crate) struct WrapKey {
    external_key: ExternalKey,
    /// For the outer of two layers.
    outer: Option<OuterWrapKey>,
    mode: SseMode,
    ek_ref: Vec<u8>,
    kms_arn: String,
    context: EncryptionContext,
    caller_context: BTreeMap<String, String>,
    customer_md5: Option<String>,
    /// Whether the external key comes from a bucket key.
    bucket_key: bool,
}

/// Obtain the key for a new object, as the caller.
pub(crate) async fn begin(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    object_key: &str,
    request: Resolved,
) -> Result<WrapKey, Error> {
    let plain = |external_key, mode, ek_ref| WrapKey {
        external_key,
        outer: None,
        mode,
        ek_ref,
        kms_arn: String::new(),
        context: EncryptionContext::new(),
        caller_context: BTreeMap::new(),
        customer_md5: None,
        bucket_key: false,
    };
    let under_kms = |mode, new: NewKey| {
        let mut key = plain(new.data_key.plaintext, mode, new.data_key.blob);
        key.kms_arn = new.data_key.key_arn;
        key.context = new.context;
        key.caller_context = new.caller_context;
        key
    };
    match request.into_request() {
        EncryptionRequest::Default { .. } | EncryptionRequest::S3 => {
            let (external_key, ek_ref) = objects.kms().sse_s3_key(bucket.uid())?;
            Ok(plain(external_key, SseMode::S3, ek_ref))
        }
        EncryptionRequest::Customer(customer) => {
            let mut key = plain(customer.secret, SseMode::C, Vec::new());
            key.customer_md5 = Some(customer.md5_base64);
            Ok(key)
        }
        EncryptionRequest::Dsse { key_id, context } => {
            need_secure_transport(scope, SseMode::Dsse)?;
            let key_id = key_id.as_deref();
            // Never from a bucket key, whatever the bucket says.
            let new =
                bucket_key::new_key(objects, scope, bucket, object_key, key_id, &context, false)
                    .await?;
            let mut key = under_kms(SseMode::Dsse, new);
            key.outer = Some(OuterWrapKey::newest(objects, bucket.uid())?);
            Ok(key)
        }
        EncryptionRequest::Kms {
            key_id,
            context,
            bucket_key,
        } => {
            need_secure_transport(scope, SseMode::Kms)?;
            let bucket_key = bucket_key.unwrap_or(false);
            let key_id = key_id.as_deref();
            let new = bucket_key::new_key(
                objects, scope, bucket, object_key, key_id, &context, bucket_key,
            )
            .await?;
            let mut key = under_kms(SseMode::Kms, new);
            key.bucket_key = bucket_key;
            Ok(key)
        }
    }
}

impl WrapKey {
    /// The SSE-S3 key of a bucket, by itself.
    fn of_sse_s3(external_key: ExternalKey, ek_ref: Vec<u8>) -> Self {
        Self {
            external_key,
            outer: None,
            mode: SseMode::S3,
            ek_ref,
            kms_arn: String::new(),
            context: EncryptionContext::new(),
            caller_context: BTreeMap::new(),
            customer_md5: None,
            bucket_key: false,
        }
    }

    /// The same key, to open what `record` wraps under it: that of a version in place of its upload's.
    pub(crate) fn reading(self, record: SealedKeyRecord) -> OpenKey {
        OpenKey {
            external_key: self.external_key,
            outer: self.outer,
            record,
        }
    }

    /// The mode.
    pub(crate) fn mode(&self) -> SseMode {
        self.mode
    }

    /// What answers say about it.
    pub(crate) fn encryption(&self) -> Result<Encryption, Error> {
        Ok(match self.mode {
            SseMode::S3 => Encryption::S3,
            SseMode::C => Encryption::Customer {
                md5_base64: self.customer_md5.clone(),
            },
            SseMode::Kms => Encryption::Kms {
                key_arn: self.kms_arn.clone(),
                context: self.caller_context()?,
                bucket_key: self.bucket_key,
            },
            SseMode::Dsse => Encryption::Dsse {
                key_arn: self.kms_arn.clone(),
                context: self.caller_context()?,
            },
        })
    }

    fn caller_context(&self) -> Result<Option<EncryptionContext>, Error> {
        if self.caller_context.is_empty() {
            return Ok(None);
        }
        context_from(&self.caller_context).map(Some)
    }

    /// Whether the object key of a stored object may be wrapped under this key, too. Only in the
    /// mode it is in, and for those who can unwrap it already: else the holder of one key could
    /// open what lies under another.
    pub(crate) fn is_as_trusted_as(&self, key: &KeyRow) -> Result<bool, Error> {
        let record = key.sealed_record()?;
        Ok(record.mode() == self.mode
            && match self.mode {
                // One root, held by the server; which bucket it is derived for, BIND says.
                SseMode::S3 => true,
                // The outer of two layers has the root behind it in either object.
                SseMode::Kms | SseMode::Dsse => self.kms_arn == key.kms_arn,
                SseMode::C => strongroom_format::commitment_matches(&self.external_key, &record),
            })
    }

    /// The row of the key, the record still to be wrapped by [`Self::wrap`].
    pub(crate) fn row(&self) -> KeyRow {
        KeyRow {
            record: Vec::new(),
            outer_record: None,
            kms_arn: self.kms_arn.clone(),
            context: self.context.pairs().clone(),
            caller_context: self.caller_context.clone(),
            completion_tag: None,
            upload: None,
        }
    }

    /// New object keys for what this key is to wrap.
    pub(crate) fn new_object_keys(&self) -> Result<ObjectKeys, Error> {
        ObjectKeys::generate(self.outer.as_ref())
    }

    /// Wrap the object keys over BIND, into the row.
    pub(crate) fn wrap(
        &self,
        keys: &ObjectKeys,
        bind: &BindDigest,
        flags: RecordFlags,
        row: &mut KeyRow,
    ) -> Result<(), Error> {
        let salt = random_32()?;
        let flags = RecordFlags {
            bucket_key: self.bucket_key,
            ..flags
        };
        let record = strongroom_format::wrap_object_key(
            &self.external_key,
            keys.inner(),
            self.mode,
            flags,
            &self.ek_ref,
            bind,
            salt,
        )
        .map_err(|_| Error::Internal("an object key could not be wrapped"))?;
        let outer_record = match (&self.outer, keys.outer()) {
            (None, None) => None,
            (Some(key), Some(oek)) => Some(key.wrap(oek, bind, flags)?),
            // What was sealed under two layers is never said to have one, nor the other way.
            (None, Some(_)) | (Some(_), None) => {
                return Err(Error::Internal("an object's layers and its keys differ"));
            }
        };
        row.record = record.to_bytes();
        row.outer_record = outer_record;
        Ok(())
    }
}

/// What a stored object answers about its encryption; `customer` is the key of this request.
pub(crate) fn describe(
    key: &KeyRow,
    record: &SealedKeyRecord,
    customer: Option<&CustomerKey>,
) -> Encryption {
    match record.mode() {
        SseMode::S3 => Encryption::S3,
        SseMode::C => Encryption::Customer {
            md5_base64: customer.map(|c| c.md5_base64.clone()),
        },
        SseMode::Kms => Encryption::Kms {
            key_arn: key.kms_arn.clone(),
            context: None,
            bucket_key: record.flags().bucket_key,
        },
        SseMode::Dsse => Encryption::Dsse {
            key_arn: key.kms_arn.clone(),
            context: None,
        },
    }
}

/// Decide whether a read carries the customer key that the object needs, before anything else is
/// looked at. Constant time in the key.
pub(crate) fn check_customer_key(
    record: &SealedKeyRecord,
    customer: Option<&CustomerKey>,
) -> Result<(), Error> {
    match (record.mode(), customer) {
        (SseMode::C, None) => Err(Error::CustomerKeyRequired),
        (SseMode::C, Some(customer)) => {
            if strongroom_format::commitment_matches(&customer.secret, record) {
                Ok(())
            } else {
                Err(Error::CustomerKeyWrong)
            }
        }
        (_, Some(_)) => Err(Error::CustomerKeyNotApplicable),
        (_, None) => Ok(()),
    }
}

/// Get back the key that wraps a stored object key, as the caller. `record` is that of `key`.
pub(crate) async fn open(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    key: &KeyRow,
    record: SealedKeyRecord,
    customer: Option<CustomerKey>,
) -> Result<OpenKey, Error> {
    let external_key = match (record.mode(), customer) {
        (SseMode::C, Some(customer)) => customer.secret,
        (SseMode::C, None) => return Err(Error::CustomerKeyRequired),
        (_, Some(_)) => return Err(Error::CustomerKeyNotApplicable),
        (SseMode::S3, None) => objects.kms().sse_s3_open(record.ek_ref(), bucket.uid())?,
        (mode @ (SseMode::Kms | SseMode::Dsse), None) => {
            need_secure_transport(scope, mode)?;
            let context = key.kms_context()?;
            bucket_key::stored_key(objects, scope, bucket, &record, &context).await?
        }
    };
    Ok(OpenKey {
        external_key,
        outer: OuterWrapKey::reopen(objects, bucket.uid(), key)?,
        record,
    })
}

/// The same, to wrap with it again.
pub(crate) async fn reopen(
    objects: &Objects,
    scope: Scope<'_>,
    bucket: &Bucket,
    key: &KeyRow,
    customer: Option<CustomerKey>,
) -> Result<WrapKey, Error> {
    let record = key.sealed_record()?;
    let customer_md5 = customer.as_ref().map(|c| c.md5_base64.clone());
    let OpenKey {
        external_key,
        outer,
        record,
    } = open(objects, scope, bucket, key, record, customer).await?;
    Ok(WrapKey {
        external_key,
        outer,
        mode: record.mode(),
        ek_ref: record.ek_ref().to_vec(),
        kms_arn: key.kms_arn.clone(),
        context: key.kms_context()?,
        caller_context: key.caller_context.clone(),
        customer_md5,
        bucket_key: record.flags().bucket_key,
    })
}

/// Unwrap the object key of a version: commitment first, then BIND, then the completion tag
/// where the version has one.
pub(crate) fn unwrap_version(
    objects: &Objects,
    key: &OpenKey,
    bucket: &Bucket,
    object_key: &str,
    row: &VersionRow,
    parts: &[StoredPart],
) -> Result<ObjectKeys, Error> {
    check_caller_context(bucket, object_key, &row.key, &key.record)?;
    let unwrap = |bind: &BindDigest| {
        unwrap_record(
            &key.external_key,
            key.outer.as_ref(),
            &key.record,
            &row.key,
            bind,
        )
    };
    let bind = bind_version(objects, bucket, object_key, row, parts)?;
    match (&row.key.completion_tag, &row.key.upload) {
        (None, None) => unwrap(&bind),
        (Some(tag), Some(upload)) => {
            let upload_bind = bind_upload(
                objects,
                bucket,
                object_key,
                upload,
                &row.key,
                &row.properties,
                row.odi,
            )?;
            let oek = unwrap(&upload_bind)?;
            oek.completion_key(&row.object_data_id())
                .verify(&bind, tag)
                .map_err(|_| Error::Corrupted {
                    what: "completion tag".to_owned(),
                })?;
            Ok(oek)
        }
        _ => Err(Error::Corrupted {
            what: "completion tag".to_owned(),
        }),
    }
}

/// Unwrap the object key of an open upload.
pub(crate) fn unwrap_upload(
    objects: &Objects,
    wrap_key: &WrapKey,
    bucket: &Bucket,
    object_key: &str,
    upload: &UploadRow,
) -> Result<ObjectKeys, Error> {
    check_caller_context(
        bucket,
        object_key,
        &upload.key,
        &upload.key.sealed_record()?,
    )?;
    let bind = bind_upload(
        objects,
        bucket,
        object_key,
        &upload.bind_row(),
        &upload.key,
        &upload.properties,
        upload.odi,
    )?;
    unwrap(wrap_key, &upload.key, &bind)
}

fn unwrap(wrap_key: &WrapKey, row: &KeyRow, bind: &BindDigest) -> Result<ObjectKeys, Error> {
    let (key, outer) = (&wrap_key.external_key, wrap_key.outer.as_ref());
    unwrap_record(key, outer, &row.sealed_record()?, row, bind)
}

/// `record` is that of `row`.
fn unwrap_record(
    external_key: &ExternalKey,
    outer: Option<&OuterWrapKey>,
    record: &SealedKeyRecord,
    row: &KeyRow,
    bind: &BindDigest,
) -> Result<ObjectKeys, Error> {
    let damaged = || Error::Corrupted {
        what: "sealed-key record".to_owned(),
    };
    let inner = strongroom_format::unwrap_object_key(external_key, record, bind).map_err(
        |error| match (error, record.mode()) {
            (UnwrapError::WrongKey, SseMode::C) => Error::CustomerKeyWrong,
            (UnwrapError::WrongKey | UnwrapError::Open(_), _) => damaged(),
        },
    )?;
    let outer = match (outer, row.outer_sealed_record()?) {
        (None, None) => None,
        (Some(key), Some(record)) => Some(key.unwrap(&record, bind)?),
        (None, Some(_)) | (Some(_), None) => return Err(damaged()),
    };
    Ok(ObjectKeys::new(inner, outer))
}

/// The caller's pairs are not in BIND by themselves: they must be what the bound context was made
/// of.
fn check_caller_context(
    bucket: &Bucket,
    object_key: &str,
    key: &KeyRow,
    record: &SealedKeyRecord,
) -> Result<(), Error> {
    let is_whole = match record.mode() {
        SseMode::Kms | SseMode::Dsse => {
            let bucket_key = record.flags().bucket_key;
            let (context, own) = (&key.context, &key.caller_context);
            is_whole(context, own, &bucket.name, object_key, bucket_key)
        }
        SseMode::S3 | SseMode::C => key.caller_context == key.context,
    };
    if is_whole {
        Ok(())
    } else {
        Err(Error::Corrupted {
            what: "encryption context of the caller".to_owned(),
        })
    }
}

/// Objects under KMS keys, in whichever `mode`, are not for connections in clear.
pub(crate) fn need_secure_transport(scope: Scope<'_>, mode: SseMode) -> Result<(), Error> {
    if scope.caller.secure_transport() {
        Ok(())
    } else {
        Err(Error::KmsNeedsSecureTransport {
            two_layers: mode == SseMode::Dsse,
        })
    }
}
