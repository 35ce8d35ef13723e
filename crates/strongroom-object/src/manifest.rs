// SPDX-License-Identifier: Apache-2.0
//! What a body's files say about it, for the day when there are no tables.
//!
//! ```text
//!   version row, or upload and part row ---+
//!   name, bucket row, last commit seen  ---+--CBOR--> sealed for the blob --> every shard file
//!   wrapped material of the KMS key     ---+
//! ```
//!
//! A manifest is made when a body becomes durable and is not written again: it knows nothing of
//! what was decided about the object later. Bodies that live in the tables have none, and neither
//! has what stands on bodies of something else. `docs/spec/manifest.md`.

use minicbor::{Decode, Encode};
use strongroom_store::BlobId;

use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::rows::{self, BucketRow, KeyRow, PartRowStored, StoredPart, UploadRow, VersionRow};

/// What is sealed into the files of a blob.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ManifestRow {
    /// The last commit that had been made when the body was whole: its own came later. What was
    /// committed before another body of the same name was whole comes before that one.
    #[n(0)]
    pub after_seq: u64,
    #[n(1)]
    pub bucket_name: String,
    /// As it was then.
    #[n(2)]
    pub bucket: BucketRow,
    #[n(3)]
    pub object_key: String,
    #[n(4)]
    pub of: ManifestOf,
    /// What the key service keeps of the KMS key.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub kms_key: Option<Vec<u8>>,
}

/// Whose body it is.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) enum ManifestOf {
    /// All of an object's.
    #[n(0)]
    Object(#[n(0)] Box<VersionRow>),
    /// One part of an upload that was open then.
    #[n(1)]
    Part(#[n(0)] Box<UploadRow>, #[n(1)] Box<PartRowStored>),
}

impl Objects {
    /// The manifest of an object's only body; empty where that lives in the tables.
    pub(crate) fn object_manifest(
        &self,
        bucket: &Bucket,
        object_key: &str,
        row: &VersionRow,
    ) -> Result<Vec<u8>, Error> {
        let Some(blob) = row.body.as_ref().and_then(StoredPart::blob) else {
            return Ok(Vec::new());
        };
        let of = ManifestOf::Object(Box::new(row.clone()));
        self.manifest(blob, bucket, object_key, &row.key, of)
    }

    /// The manifest of a part; empty where its body lives in the tables.
    pub(crate) fn part_manifest(
        &self,
        bucket: &Bucket,
        object_key: &str,
        upload: &UploadRow,
        part: &PartRowStored,
    ) -> Result<Vec<u8>, Error> {
        let Some(blob) = part.part.blob() else {
            return Ok(Vec::new());
        };
        let of = ManifestOf::Part(Box::new(upload.clone()), Box::new(part.clone()));
        self.manifest(blob, bucket, object_key, &upload.key, of)
    }

    fn manifest(
        &self,
        blob: BlobId,
        bucket: &Bucket,
        object_key: &str,
        key: &KeyRow,
        of: ManifestOf,
    ) -> Result<Vec<u8>, Error> {
        let row = ManifestRow {
            after_seq: self.tables().last_commit().0,
            bucket_name: bucket.name.clone(),
            bucket: bucket.row.clone(),
            object_key: object_key.to_owned(),
            of,
            kms_key: self.kept_kms_key(key)?,
        };
        Ok(self.kms().seal_manifest(&blob.0, &rows::encode(&row)?)?)
    }

    /// What the key service keeps of the key of a body under a KMS key. A key that went away
    /// meanwhile is no reason to refuse the body: what was decided about it was decided before, and
    /// nobody reads it again. What cannot be read is one: the body could not be read either.
    fn kept_kms_key(&self, key: &KeyRow) -> Result<Option<Vec<u8>>, Error> {
        if key.kms_arn.is_empty() {
            return Ok(None);
        }
        let record = key.sealed_record()?;
        let kept = self
            .kms()
            .key_for_rebuild(record.ek_ref(), record.flags().bucket_key);
        match kept {
            Ok(kept) => Ok(Some(kept)),
            Err(strongroom_kms::Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
