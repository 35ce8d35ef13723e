// SPDX-License-Identifier: Apache-2.0
//! PutObject: one body, sealed, durable, then visible.

use strongroom_format::{ObjectDataId, RecordFlags, SseMode};
use strongroom_store::Batch;

use crate::authorize::{Action, Permit};
use crate::conditions::{check_write, is_conditional};
use crate::encryption::{self, WrapKey};
use crate::error::Error;
use crate::lifecycle::ObjectExpiry;
use crate::manifest::ManifestTime;
use crate::model::{
    Body, BodyLength, Checksum, ChecksumAlgorithm, ChecksumRequest, Encryption, EncryptionRequest,
    ObjectName, Properties, Scope, WriteConditions,
};
use crate::objects::{Bucket, Objects, random_uids};
use crate::part_store::Incoming;
use crate::rows::{PropertiesRow, VersionRow, Versioning};
use crate::storage_class::StorageClass;
use crate::version::{Found, NewVersion};
use crate::version_id::VersionId;

/// A PutObject request.
pub struct PutObject {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// System and user properties.
    pub properties: Properties,
    /// Encryption asked for.
    pub encryption: EncryptionRequest,
    /// Its class.
    pub storage_class: StorageClass,
    /// Conditions on what is there.
    pub conditions: WriteConditions,
    /// Plaintext bytes to come.
    pub content_length: BodyLength,
    /// What is announced about them.
    pub checksum: ChecksumRequest,
    /// The bytes.
    pub body: Body,
}

impl std::fmt::Debug for PutObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutObject")
            .field("bucket", &self.bucket)
            .field("object_key", &self.object_key)
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}

/// What was stored.
#[derive(Debug, Clone)]
pub struct PutObjectOutput {
    /// Id of the version; `None` in a bucket that never had versions.
    pub version_id: Option<VersionId>,
    /// Without quotes.
    pub etag: String,
    /// Plaintext bytes.
    pub size: u64,
    /// How it is sealed.
    pub encryption: Encryption,
    /// The checksum stored with it.
    pub checksum: Option<Checksum>,
    /// When a rule deletes it.
    pub expiry: Option<ObjectExpiry>,
}

/// A body to be stored as a whole object: of a PUT, or of a copy.
pub(crate) struct NewObject<'a> {
    pub permit: &'a Permit,
    pub bucket: &'a Bucket,
    pub object_key: &'a str,
    pub properties: PropertiesRow,
    pub content_length: BodyLength,
    pub checksum: ChecksumRequest,
    pub conditions: WriteConditions,
    pub class: StorageClass,
}

/// An object that was stored.
pub(crate) struct StoredObject {
    pub version_id: Option<VersionId>,
    pub etag: String,
    pub size: u64,
    pub created_ms: u64,
    pub encryption: Encryption,
    pub checksum: Option<Checksum>,
}

impl Objects {
    /// Store an object.
    pub async fn put_object(
        &self,
        scope: Scope<'_>,
        input: PutObject,
    ) -> Result<PutObjectOutput, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let permit = bucket.authorize_object(scope, Action::PutObject, &input.object_key)?;
        let name = &input.object_key;
        bucket.may_compare(scope, name, None, &input.conditions)?;
        let encryption =
            encryption::resolve(self, scope, &bucket, &input.object_key, input.encryption)?;
        let content_length = input.content_length.within_one_put()?;
        // The commit looks again; what asks for nothing can only fail there.
        if is_conditional(&input.conditions) {
            let current = self.find_version(&bucket, &input.object_key)?;
            let current = current.as_ref().and_then(Found::current);
            check_write(&input.conditions, current, &input.object_key)
                .map_err(|error| bucket.hide(scope, error))?;
        }
        let wrap_key =
            encryption::begin(self, scope, &bucket, &input.object_key, encryption).await?;
        let new = NewObject {
            permit: &permit,
            bucket: &bucket,
            object_key: &input.object_key,
            properties: input.properties.into(),
            content_length,
            checksum: input.checksum,
            conditions: input.conditions,
            class: input.storage_class,
        };
        let stored = self
            .store_object(new, &wrap_key, input.body)
            .await
            .map_err(|error| bucket.hide(scope, error))?;
        Ok(PutObjectOutput {
            version_id: stored.version_id,
            etag: stored.etag,
            size: stored.size,
            encryption: stored.encryption,
            checksum: stored.checksum,
            expiry: self.expiry(&bucket, name, stored.size, stored.created_ms),
        })
    }

    /// Seal and store a whole body under a fresh object key.
    pub(crate) async fn store_object(
        &self,
        new: NewObject<'_>,
        wrap_key: &WrapKey,
        body: Body,
    ) -> Result<StoredObject, Error> {
        let oek = wrap_key.new_object_keys()?;
        let [odi, version_uid] = random_uids()?;
        let odi = ObjectDataId(odi);
        let mode = wrap_key.mode();
        let incoming = Incoming {
            oek: &oek,
            odi,
            part_number: 0,
            class: new.class,
            length: new.content_length,
            checksum: &new.checksum,
            default_algorithm: Some(ChecksumAlgorithm::Crc64Nvme),
            crc64: false,
            md5_etag: mode == SseMode::S3,
        };
        let sealed = self.seal_part(incoming, body).await?;
        let mut row = VersionRow {
            version_uid,
            odi: odi.0,
            size: sealed.part.plain_len,
            created_ms: self.now_ms(),
            etag: sealed.etag.clone(),
            properties: new.properties,
            key: wrap_key.row(),
            checksum: sealed
                .checksum
                .as_ref()
                .map(|sum| encryption::seal_checksum(mode, &oek, &odi, sum))
                .transpose()?,
            parts: 0,
            body: Some(sealed.part.clone()),
            null_version: new.bucket.row.versioning != Versioning::Enabled,
            null_at: None,
            class: new.class,
            restore: None,
            note: None,
            older_bodies: false,
            completed: None,
        };
        let part = sealed.part.clone();
        let seal = |row: &mut VersionRow| {
            let parts = std::slice::from_ref(&part);
            let bind = encryption::bind_version(self, new.bucket, new.object_key, row, parts)?;
            wrap_key.wrap(&oek, &bind, RecordFlags::default(), &mut row.key)
        };
        // Before the body is durable: its manifest is to have the record.
        seal(&mut row)?;
        let now = ManifestTime::now(self);
        let manifest = self.object_manifest(new.bucket, new.object_key, &row, now)?;
        let (etag, checksum) = (sealed.etag.clone(), sealed.checksum.clone());
        let (created_ms, size) = (row.created_ms, row.size);
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![sealed.store(manifest).await?],
        };
        let version = NewVersion {
            row,
            part_table: Vec::new(),
            part_checksums: None,
            batch,
            seal: &seal,
            is_sealed: true,
        };
        let changed = self
            .store_version(
                new.permit,
                new.bucket,
                new.object_key,
                version,
                &new.conditions,
            )
            .await?;
        Ok(StoredObject {
            version_id: changed.id,
            etag,
            size,
            created_ms,
            encryption: wrap_key.encryption()?,
            checksum,
        })
    }
}
