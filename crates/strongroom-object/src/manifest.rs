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
//! what was decided about the object later. A body that goes over into another blob gets another,
//! from the rows of then. Bodies that live in the tables have none, and neither has what stands on
//! bodies of something else. `docs/spec/manifest.md`.

use minicbor::{Decode, Encode};
use strongroom_store::BlobId;

use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::rows::{
    self, BucketRow, ChecksumRow, KeyRow, PartRowStored, StoredPart, UploadRow, VersionRow,
};

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
    /// The last commit that had been made when this was written, where that is not `after_seq`: of
    /// several accounts of one thing the one with the highest counts.
    #[n(6)]
    pub written_after: Option<u64>,
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
    /// One part of an object, in a blob that it was moved to.
    #[n(2)]
    Piece(#[n(0)] Box<PieceRow>),
    /// None: that an object is made of these parts.
    #[n(3)]
    Note(#[n(0)] Box<VersionRow>, #[n(1)] Box<NoteRow>),
}

/// A part of an object that is complete.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PieceRow {
    /// The object. Its copies have parts of the same uids.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub version_uid: [u8; 16],
    #[n(1)]
    pub part: StoredPart,
}

/// What the tables have of an object in parts besides its version row.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct NoteRow {
    /// In order.
    #[n(0)]
    pub parts: Vec<NotedPart>,
    /// As in the part table.
    #[n(1)]
    pub checksums: Option<ChecksumRow>,
}

/// A part as a note names it.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct NotedPart {
    #[n(0)]
    pub part_number: u16,
    /// What its own manifest calls it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub part_uid: [u8; 16],
    /// All of it, where it lives in the tables.
    #[n(2)]
    pub inline: Option<InlinePart>,
}

/// A part whose body lives in the tables.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct InlinePart {
    #[n(0)]
    pub part: StoredPart,
    /// Sealed.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub body: Vec<u8>,
}

/// Where in the order of commits a manifest belongs, and when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ManifestTime {
    after_seq: u64,
    written_after: Option<u64>,
}

impl ManifestTime {
    /// Of what is about to be committed.
    pub(crate) fn now(objects: &Objects) -> Self {
        Self {
            after_seq: objects.tables().last_commit().0,
            written_after: None,
        }
    }

    /// Of what stands at `stamp` in the order of versions, whatever is done with it now.
    pub(crate) fn of_version(objects: &Objects, stamp: u64) -> Self {
        Self {
            after_seq: stamp.saturating_sub(1),
            written_after: Some(objects.tables().last_commit().0),
        }
    }
}

impl NotedPart {
    /// A part, and its body if that lives in the tables.
    pub(crate) fn new(part: &StoredPart, inline: Option<Vec<u8>>) -> Self {
        Self {
            part_number: part.part_number,
            part_uid: part.part_uid,
            inline: inline.map(|body| InlinePart {
                part: part.clone(),
                body,
            }),
        }
    }
}

impl Objects {
    /// The manifest of an object's only body; empty where that lives in the tables.
    pub(crate) fn object_manifest(
        &self,
        bucket: &Bucket,
        object_key: &str,
        row: &VersionRow,
        time: ManifestTime,
    ) -> Result<Vec<u8>, Error> {
        let Some(blob) = row.body.as_ref().and_then(StoredPart::blob) else {
            return Ok(Vec::new());
        };
        let of = ManifestOf::Object(Box::new(row.clone()));
        self.manifest(blob, bucket, object_key, Some(&row.key), of, time)
    }

    /// The manifest of a body that goes over into the blob that `part` names, of the object that
    /// `row` is about to be.
    pub(crate) fn moved_manifest(
        &self,
        bucket: &Bucket,
        object_key: &str,
        row: &VersionRow,
        part: &StoredPart,
        time: ManifestTime,
    ) -> Result<Vec<u8>, Error> {
        if row.parts == 0 {
            return self.object_manifest(bucket, object_key, row, time);
        }
        let Some(blob) = part.blob() else {
            return Ok(Vec::new());
        };
        // What is kept of the KMS key, the note has.
        let of = ManifestOf::Piece(Box::new(PieceRow {
            version_uid: row.version_uid,
            part: part.clone(),
        }));
        self.manifest(blob, bucket, object_key, None, of, time)
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
        let time = ManifestTime::now(self);
        self.manifest(blob, bucket, object_key, Some(&upload.key), of, time)
    }

    /// The manifest of a blob: with what the key service keeps of the key that `key` is wrapped
    /// under.
    pub(crate) fn manifest(
        &self,
        blob: BlobId,
        bucket: &Bucket,
        object_key: &str,
        key: Option<&KeyRow>,
        of: ManifestOf,
        time: ManifestTime,
    ) -> Result<Vec<u8>, Error> {
        let kms_key = match key {
            Some(key) => self.kept_kms_key(key)?,
            None => None,
        };
        let row = ManifestRow {
            after_seq: time.after_seq,
            written_after: time.written_after,
            bucket_name: bucket.name.clone(),
            bucket: bucket.row.clone(),
            object_key: object_key.to_owned(),
            of,
            kms_key,
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
