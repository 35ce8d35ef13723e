// SPDX-License-Identifier: Apache-2.0
//! How an object is sealed, for the operator: no secret, no byte of the object.

use strongroom_format::SseMode;

use crate::error::Error;
use crate::objects::Objects;
use crate::rows::Place;
use crate::version_id::VersionId;

/// What can be said about a stored object without a key.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// Id of the version; `None` in a bucket that never had versions.
    pub version_id: Option<VersionId>,
    /// Plaintext bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// `SSE-S3`, `SSE-KMS`, `SSE-C`, `DSSE-KMS`.
    pub mode: &'static str,
    /// KMS key ARN, empty for other modes.
    pub kms_key_arn: String,
    /// Whether the external key comes from a bucket key.
    pub bucket_key: bool,
    /// Names and values of the encryption context.
    pub encryption_context: Vec<(String, String)>,
    /// Size of the sealed-key record.
    pub record_bytes: usize,
    /// Size of the sealed-key record of the outer of two layers.
    pub outer_record_bytes: Option<usize>,
    /// Hexadecimal object-data id.
    pub object_data_id: String,
    /// Whether the object was made by a multipart upload.
    pub multipart: bool,
    /// Its bodies.
    pub parts: Vec<InspectedPart>,
}

/// One sealed body.
#[derive(Debug, Clone)]
pub struct InspectedPart {
    /// 0 for an object made by one PUT.
    pub part_number: u16,
    /// Plaintext bytes.
    pub plain_bytes: u64,
    /// Sealed bytes.
    pub sealed_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Names of its files relative to the drive; empty when the body lives in the tables.
    pub files: Vec<String>,
}

impl Objects {
    /// Say how an object is sealed: the current version, or the one that is named.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn inspect(
        &self,
        bucket: &str,
        object_key: &str,
        version_id: Option<VersionId>,
    ) -> Result<Inspection, Error> {
        let bucket = self.bucket(bucket)?;
        let (standing, row) = self.version(&bucket, object_key, version_id)?;
        let record = row.key.sealed_record()?;
        let multipart = row.shows_parts()?;
        let parts = self
            .parts(&row)?
            .into_iter()
            .map(|part| InspectedPart {
                part_number: part.part_number,
                plain_bytes: part.plain_len,
                sealed_bytes: part.sealed_bytes().unwrap_or(0),
                segments: strongroom_format::segment_count(part.plain_len),
                files: match &part.place {
                    Place::Inline => Vec::new(),
                    Place::Blob(location) => self.blobs().files(location.blob),
                },
            })
            .collect();
        Ok(Inspection {
            version_id: bucket.shown_id(standing.id),
            bucket: bucket.name,
            object_key: object_key.to_owned(),
            size: row.size,
            etag: row.etag,
            created_ms: row.created_ms,
            mode: match record.mode() {
                SseMode::S3 => "SSE-S3",
                SseMode::Kms => "SSE-KMS",
                SseMode::C => "SSE-C",
                SseMode::Dsse => "DSSE-KMS",
            },
            kms_key_arn: row.key.kms_arn,
            bucket_key: record.flags().bucket_key,
            encryption_context: row.key.context.into_iter().collect(),
            record_bytes: row.key.record.len(),
            outer_record_bytes: row.key.outer_record.as_ref().map(Vec::len),
            object_data_id: hex::encode(row.odi),
            multipart,
            parts,
        })
    }
}
