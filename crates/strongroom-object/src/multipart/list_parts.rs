// SPDX-License-Identifier: Apache-2.0
//! ListParts.

use strongroom_format::{ObjectDataId, SseMode};

use crate::authorize::Action;
use crate::encryption::{self, PartSum};
use crate::error::Error;
use crate::lifecycle::ObjectExpiry;
use crate::model::{Checksum, ChecksumAlgorithm, ChecksumType, CustomerKey, ObjectName, Scope};
use crate::objects::Objects;
use crate::storage_class::StorageClass;

/// A ListParts request.
#[derive(Debug)]
pub struct ListParts {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// The upload.
    pub upload_id: String,
    /// Only parts behind this number.
    pub part_number_marker: u32,
    /// At most this many.
    pub max_parts: u32,
    /// The key of an SSE-C upload; needed only where there are checksums to show.
    pub customer_key: Option<CustomerKey>,
}

/// A part of an open upload.
#[derive(Debug, Clone)]
pub struct ListedPart {
    /// From 1 to 10,000.
    pub part_number: u16,
    /// Without quotes.
    pub etag: String,
    /// Plaintext bytes.
    pub size: u64,
    /// Unix time in milliseconds.
    pub last_modified_ms: u64,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// A page of parts.
#[derive(Debug, Clone)]
pub struct ListPartsOutput {
    /// Parts in order.
    pub parts: Vec<ListedPart>,
    /// Where the next page goes on; `None` when this is the last.
    pub next_marker: Option<u32>,
    /// As fixed by Create.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// As fixed by Create.
    pub checksum_type: Option<ChecksumType>,
    /// Class of the object to be.
    pub storage_class: StorageClass,
    /// When a rule aborts it.
    pub abort: Option<ObjectExpiry>,
}

impl Objects {
    /// List the parts of an open upload.
    pub async fn list_parts(
        &self,
        scope: Scope<'_>,
        input: ListParts,
    ) -> Result<ListPartsOutput, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let permit =
            bucket.authorize_object(scope, Action::ListMultipartUploadParts, &input.object_key)?;
        let upload = self.find_upload(&permit, &bucket, &input.object_key, &input.upload_id)?;
        let checksum_algorithm = upload.checksum_algorithm()?;
        // A checksum of the plaintext tells of the plaintext.
        let sse_mode = upload.row.key.mode()?;
        let wants_key = sse_mode == SseMode::C && checksum_algorithm.is_some();
        if wants_key || input.customer_key.is_some() {
            upload.check_customer_key(input.customer_key.as_ref())?;
        }
        let oek = if checksum_algorithm.is_some() && sse_mode != SseMode::S3 {
            let customer = input.customer_key.filter(|_| sse_mode == SseMode::C);
            let key = encryption::reopen(self, scope, &bucket, &upload.row.key, customer).await?;
            let name = &input.object_key;
            let oek = encryption::unwrap_upload(self, &key, &bucket, name, &upload.row)?;
            Some(oek)
        } else {
            None
        };
        let after = u16::try_from(input.part_number_marker).unwrap_or(u16::MAX);
        let max = usize::try_from(input.max_parts).unwrap_or(usize::MAX);
        let mut found = self.find_parts(&upload.row.upload_uid, after, max.saturating_add(1))?;
        let more = found.len() > max;
        found.truncate(max);
        let parts = found
            .into_iter()
            .map(|part| {
                let row = part.row;
                // An upload without an algorithm shows none for its parts either.
                let shown = row.checksum.filter(|_| checksum_algorithm.is_some());
                let open = |stored| {
                    let odi = ObjectDataId(upload.row.odi);
                    let (oek, part) = (oek.as_ref(), &row.part);
                    encryption::open_sum_of_part(sse_mode, oek, &odi, part, PartSum::Own, &stored)
                };
                Ok(ListedPart {
                    part_number: row.part.part_number,
                    etag: row.etag,
                    size: row.part.plain_len,
                    last_modified_ms: row.modified_ms,
                    checksum: shown.map(open).transpose()?,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let last = parts.last().map(|part| u32::from(part.part_number));
        Ok(ListPartsOutput {
            next_marker: if more {
                Some(last.unwrap_or(input.part_number_marker))
            } else {
                None
            },
            parts,
            checksum_algorithm,
            checksum_type: checksum_algorithm.map(|_| upload.checksum_type()),
            storage_class: upload.row.class,
            abort: self.upload_expiry(&bucket, &input.object_key, upload.row.initiated_ms),
        })
    }
}
