// SPDX-License-Identifier: Apache-2.0
//! CopyObject: the target's encryption comes from the request or the target bucket alone, never
//! from the source.
//!
//! Where that is the key and the mode of the source, the copy stands on the source's bodies and has
//! a record of its own (`shared_body.rs`). Else the source is opened and sealed anew.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use strongroom_store::Precondition;

use crate::authorize::Action;
use crate::conditions::{ReadKind, check_read, check_write};
use crate::encryption::{self, ObjectKeys};
use crate::error::{BodyError, Error};
use crate::get_object::{GetObject, Opened};
use crate::lifecycle::ObjectExpiry;
use crate::model::{
    Body, BodyLength, BodySource, Checksum, ChecksumAlgorithm, ChecksumRequest, CustomerKey,
    Encryption, EncryptionRequest, ObjectName, PUT_BYTES_MAX, Properties, ReadConditions, Scope,
    Served, WriteConditions,
};
use crate::objects::Objects;
use crate::pipeline::read::ObjectBody;
use crate::put_object::NewObject;
use crate::rows::{PropertiesRow, VersionRow};
use crate::storage_class::StorageClass;
use crate::version::{Found, Held};
use crate::version_id::VersionId;

/// Where a copy comes from.
#[derive(Debug)]
pub struct CopySource {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// `None` for the current version.
    pub version_id: Option<VersionId>,
    /// Conditions on the source.
    pub conditions: ReadConditions,
    /// The key of an SSE-C source.
    pub customer_key: Option<CustomerKey>,
}

/// Whose properties the copy gets.
#[derive(Debug)]
pub enum PropertiesDirective {
    /// The source's, but for where a website redirects: that is never copied.
    Copy,
    /// The source's, redirecting to here.
    CopyWithRedirect(String),
    /// These.
    Replace(Properties),
}

/// A CopyObject request.
#[derive(Debug)]
pub struct CopyObject {
    /// The source.
    pub source: CopySource,
    /// Target bucket.
    pub bucket: String,
    /// Target name.
    pub object_key: String,
    /// Properties of the target.
    pub directive: PropertiesDirective,
    /// Encryption of the target.
    pub encryption: EncryptionRequest,
    /// Class of the target; `None` is STANDARD, whatever the source's is.
    pub storage_class: Option<StorageClass>,
    /// Conditions on what the target replaces.
    pub conditions: WriteConditions,
    /// Checksum algorithm of the target; `None` keeps the source's.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
}

/// What was stored.
#[derive(Debug, Clone)]
pub struct CopyObjectOutput {
    /// Without quotes.
    pub etag: String,
    /// Unix time in milliseconds.
    pub last_modified_ms: u64,
    /// How the copy is sealed.
    pub encryption: Encryption,
    /// The checksum stored with it.
    pub checksum: Option<Checksum>,
    /// When a rule deletes it.
    pub expiry: Option<ObjectExpiry>,
    /// Id of the version that was stored; `None` in a bucket that never had versions.
    pub version_id: Option<VersionId>,
    /// Id of the version that was copied; `None` in a bucket that never had versions.
    pub source_version_id: Option<VersionId>,
}

/// A source whose object key is at hand.
pub(crate) struct Source {
    pub row: VersionRow,
    pub held: Held,
    pub oek: ObjectKeys,
    /// Holds as long as the row is what it was.
    pub stands: Precondition,
}

impl Source {
    fn new(opened: Opened, oek: ObjectKeys) -> Self {
        let Opened {
            row, held, stands, ..
        } = opened;
        Self {
            row,
            held,
            oek,
            stands,
        }
    }

    fn checksum_algorithm(&self) -> Result<Option<ChecksumAlgorithm>, Error> {
        let sum = self.row.checksum.as_ref();
        sum.map(|sum| ChecksumAlgorithm::from_number(sum.algorithm))
            .transpose()
    }

    /// All its bytes.
    async fn into_body(self, objects: &Objects) -> Result<Body, Error> {
        let served = Served {
            start: 0,
            len: self.row.size,
            partial: false,
        };
        let opened = objects.open_body(&self.oek, &self.row, self.held, served);
        Ok(copy_body(opened.await?))
    }
}

impl Objects {
    /// Copy an object.
    pub async fn copy_object(
        &self,
        scope: Scope<'_>,
        input: CopyObject,
    ) -> Result<CopyObjectOutput, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let permit = bucket.authorize_object(scope, Action::PutObject, &input.object_key)?;
        let name = &input.object_key;
        bucket.may_compare(scope, name, None, &input.conditions)?;
        let onto_itself =
            input.source.bucket == input.bucket && input.source.object_key == input.object_key;
        // Who writes an object back under the key it came with names one key twice.
        let same_customer_key = onto_itself
            && matches!((&input.encryption, &input.source.customer_key),
                (EncryptionRequest::Customer(to), Some(from)) if to.md5_base64 == from.md5_base64);
        let changes_nothing = matches!(
            input.encryption,
            EncryptionRequest::Default { bucket_key: None }
        ) && matches!(input.directive, PropertiesDirective::Copy)
            && input.storage_class.is_none()
            && !self.has_default_encryption(&bucket)?;
        let encryption =
            encryption::resolve(self, scope, &bucket, &input.object_key, input.encryption)?;
        let changes_nothing = changes_nothing && encryption.is_s3();
        let (opened, request) =
            self.find_source(scope, input.source)
                .map_err(|error| match error {
                    Error::CustomerKeyWrong if same_customer_key => {
                        Error::MultipartEncryptionMismatch
                    }
                    other => other,
                })?;
        let source_version_id = opened.shown_id();
        let same_mode = opened.row.key.mode()? == strongroom_format::SseMode::S3;
        let current = self.find_version(&bucket, &input.object_key)?;
        // An older version comes back by a copy onto its own name.
        let is_current = current.as_ref().is_some_and(|now| now.id() == opened.id);
        if onto_itself && is_current && changes_nothing && same_mode {
            return Err(Error::CopyOntoItself);
        }
        within_one_copy(opened.row.size)?;
        let current = current.as_ref().and_then(Found::current);
        check_write(&input.conditions, current, &input.object_key)
            .map_err(|error| bucket.hide(scope, error))?;
        let oek = self.unlock_source(scope, &opened, request).await?;
        let wrap_key =
            encryption::begin(self, scope, &bucket, &input.object_key, encryption).await?;
        let source = Source::new(opened, oek);
        let algorithm = match input.checksum_algorithm {
            Some(algorithm) => Some(algorithm),
            None => source.checksum_algorithm()?,
        };
        let new = NewObject {
            permit: &permit,
            bucket: &bucket,
            object_key: &input.object_key,
            properties: properties_of(input.directive, &source.row.properties),
            content_length: BodyLength::Exactly(source.row.size),
            checksum: ChecksumRequest {
                algorithm,
                ..ChecksumRequest::default()
            },
            conditions: input.conditions,
            class: input.storage_class.unwrap_or_default(),
        };
        let shared = self.share_bodies(&new, &wrap_key, &source).await?;
        let stored = if let Some(stored) = shared {
            stored
        } else {
            let body = source.into_body(self).await?;
            self.store_object(new, &wrap_key, body).await?
        };
        Ok(CopyObjectOutput {
            expiry: self.expiry(&bucket, name, stored.size, stored.created_ms),
            etag: stored.etag,
            last_modified_ms: stored.created_ms,
            encryption: stored.encryption,
            checksum: stored.checksum,
            version_id: stored.version_id,
            source_version_id,
        })
    }

    /// Find the source of a copy: permission, customer key and conditions, in this order.
    pub(crate) fn find_source(
        &self,
        scope: Scope<'_>,
        source: CopySource,
    ) -> Result<(Opened, GetObject), Error> {
        let request = GetObject {
            bucket: source.bucket,
            object_key: source.object_key,
            version_id: source.version_id,
            range: None,
            range_text: String::new(),
            part_number: None,
            conditions: ReadConditions::default(),
            customer_key: source.customer_key,
            checksum_mode: false,
        };
        let opened = self
            .open_object(scope, &request)
            .map_err(|error| match error {
                Error::DeleteMarker { named: true, .. } => Error::CopySourceIsDeleteMarker,
                Error::DeleteMarker { object_key, .. } => Error::NoSuchKey { object_key },
                other => other,
            })?;
        let row = &opened.row;
        check_read(
            &source.conditions,
            ReadKind::CopySource {
                now: self.now_ms() / 1000,
            },
            &row.etag,
            row.created_ms,
        )?;
        self.check_readable(row, true)?;
        Ok((opened, request))
    }

    /// Open the bytes of a copy source, as the caller.
    pub(crate) async fn open_source(
        &self,
        scope: Scope<'_>,
        opened: Opened,
        request: GetObject,
        served: Served,
    ) -> Result<Body, Error> {
        let oek = self.unlock_source(scope, &opened, request).await?;
        let Opened { row, held, .. } = opened;
        Ok(copy_body(self.open_body(&oek, &row, held, served).await?))
    }

    /// The object key of a copy source, as the caller.
    async fn unlock_source(
        &self,
        scope: Scope<'_>,
        opened: &Opened,
        request: GetObject,
    ) -> Result<ObjectKeys, Error> {
        let Opened {
            bucket, row, held, ..
        } = opened;
        let customer_key = request.customer_key;
        let record = opened.record.clone();
        let key = encryption::open(self, scope, bucket, &row.key, record, customer_key).await?;
        let name = &request.object_key;
        encryption::unwrap_version(self, &key, bucket, name, row, &held.parts)
    }
}

/// Refuses what is more than one request may copy.
pub(crate) fn within_one_copy(bytes: u64) -> Result<(), Error> {
    if bytes > PUT_BYTES_MAX {
        return Err(Error::CopySourceTooLarge {
            max_size: PUT_BYTES_MAX,
        });
    }
    Ok(())
}

fn properties_of(directive: PropertiesDirective, source: &PropertiesRow) -> PropertiesRow {
    let redirecting = |website_redirect_location| PropertiesRow {
        website_redirect_location,
        ..source.clone()
    };
    match directive {
        PropertiesDirective::Copy => redirecting(None),
        PropertiesDirective::CopyWithRedirect(target) => redirecting(Some(target)),
        PropertiesDirective::Replace(properties) => properties.into(),
    }
}

/// A verified body as the body of a write.
pub(crate) fn copy_body(body: ObjectBody) -> Body {
    Box::pin(CopyBody(body))
}

struct CopyBody(ObjectBody);

impl BodySource for CopyBody {
    fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        Pin::new(&mut self.0)
            .poll_next(cx)
            .map(|item| item.map(|piece| piece.map_err(|error| BodyError(Box::new(error)))))
    }

    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_copies_five_gib_and_no_more() {
        for bytes in [0, 1, 5_368_709_119, 5_368_709_120] {
            within_one_copy(bytes).unwrap();
        }
        for bytes in [5_368_709_121, 53_687_091_200_000, u64::MAX] {
            let refused = within_one_copy(bytes);
            assert!(matches!(
                refused,
                Err(Error::CopySourceTooLarge {
                    max_size: 5_368_709_120
                })
            ));
        }
    }
}
