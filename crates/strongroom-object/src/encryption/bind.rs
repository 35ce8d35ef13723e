// SPDX-License-Identifier: Apache-2.0
//! What a sealed-key record is bound to (`docs/spec/object-format.md`).

use strongroom_format::{Bind, BindChecksum, BindDigest, CompletionKey, ObjectDataId};

use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::rows::{
    ChecksumRow, KeyRow, PropertiesRow, StoredPart, UploadBindRow, UploadRow, VersionRow,
};

/// BIND of a version: everything that an answer will say about it.
pub(crate) fn bind_version(
    objects: &Objects,
    bucket: &Bucket,
    object_key: &str,
    row: &VersionRow,
    parts: &[StoredPart],
) -> Result<BindDigest, Error> {
    let part_rows: Vec<_> = parts.iter().map(StoredPart::bound).collect();
    let part_table = strongroom_format::part_table_bytes(&part_rows);
    let checksums: Vec<BindChecksum<'_>> = row.checksum.iter().map(bound_checksum).collect();
    Bind {
        cluster_id: &objects.cluster_id(),
        bucket_uid: bucket.uid(),
        object_key: object_key.as_bytes(),
        version_uid: &row.version_uid,
        null_version: row.null_version,
        odi: &row.object_data_id(),
        plain_size: row.size,
        created_ms: row.created_ms,
        etag: row.etag.as_bytes(),
        checksums: &checksums,
        parts: row.parts,
        part_table_sha384: strongroom_format::sha384(&part_table),
        properties_sha384: row.properties.digest(),
        kms_arn: &row.key.kms_arn,
        context_sha384: row.key.context_digest()?,
    }
    .digest()
    .map_err(|_| Error::Internal("BIND could not be computed"))
}

/// BIND of an open upload: the same fields, before there is a body.
pub(crate) fn bind_upload(
    objects: &Objects,
    bucket: &Bucket,
    object_key: &str,
    upload: &UploadBindRow,
    key: &KeyRow,
    properties: &PropertiesRow,
    odi: [u8; 16],
) -> Result<BindDigest, Error> {
    Bind {
        cluster_id: &objects.cluster_id(),
        bucket_uid: bucket.uid(),
        object_key: object_key.as_bytes(),
        version_uid: &upload.upload_uid,
        null_version: false,
        odi: &ObjectDataId(odi),
        plain_size: 0,
        created_ms: upload.initiated_ms,
        etag: &[],
        checksums: &[],
        parts: 0,
        part_table_sha384: strongroom_format::sha384(&[]),
        properties_sha384: properties.digest(),
        kms_arn: &key.kms_arn,
        context_sha384: key.context_digest()?,
    }
    .digest()
    .map_err(|_| Error::Internal("BIND could not be computed"))
}

impl UploadRow {
    /// What its BIND is made of.
    pub(crate) fn bind_row(&self) -> UploadBindRow {
        UploadBindRow {
            upload_uid: self.upload_uid,
            initiated_ms: self.initiated_ms,
        }
    }

    /// The key that tags the finished object, for SSE-C uploads.
    pub(crate) fn completion(&self) -> Result<Option<CompletionKey>, Error> {
        let Some(bytes) = &self.completion_key else {
            return Ok(None);
        };
        let bytes = bytes.as_slice().try_into().map_err(|_| Error::Corrupted {
            what: "completion key".to_owned(),
        })?;
        Ok(Some(CompletionKey::from_bytes(bytes)))
    }
}

fn bound_checksum(row: &ChecksumRow) -> BindChecksum<'_> {
    BindChecksum {
        algorithm: row.algorithm,
        kind: if row.composite { 2 } else { 1 },
        bytes: &row.value,
    }
}
