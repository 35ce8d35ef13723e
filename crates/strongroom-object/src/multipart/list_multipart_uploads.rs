// SPDX-License-Identifier: Apache-2.0
//! ListMultipartUploads.

use std::ops::Bound;

use super::upload::{parse_upload_id, upload_id};
use crate::authorize::Action;
use crate::error::Error;
use crate::model::{ChecksumAlgorithm, ChecksumType, Scope};
use crate::objects::{Bucket, Objects};
use crate::rows::{self, UploadRow};
use crate::storage_class::StorageClass;
use crate::table_key::{self, UPLOADS, name_prefix, object_prefix, prefix_end};

/// Rows read from the table at a time.
const ROWS_PER_SCAN: usize = 256;

/// A ListMultipartUploads request.
#[derive(Debug, Clone)]
pub struct ListMultipartUploads {
    /// Bucket name.
    pub bucket: String,
    /// Only names that start with this.
    pub prefix: String,
    /// Names are rolled up behind the first of these after the prefix; empty for none.
    pub delimiter: String,
    /// Only names behind this one (or of it, behind the upload marker).
    pub key_marker: Option<String>,
    /// Of the name that is the key marker, only uploads behind this one.
    pub upload_id_marker: Option<String>,
    /// At most this many uploads and common prefixes.
    pub max_uploads: u32,
}

/// An open upload.
#[derive(Debug, Clone)]
pub struct ListedUpload {
    /// Object name.
    pub object_key: String,
    /// Its id.
    pub upload_id: String,
    /// Unix time in milliseconds.
    pub initiated_ms: u64,
    /// As fixed by Create.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// As fixed by Create.
    pub checksum_type: Option<ChecksumType>,
    /// Class of the object to be.
    pub storage_class: StorageClass,
}

/// A page of open uploads.
#[derive(Debug, Clone, Default)]
pub struct ListMultipartUploadsOutput {
    /// Uploads by name, then id.
    pub uploads: Vec<ListedUpload>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// Key and upload markers of the next page; `None` when this is the last.
    pub next: Option<(String, String)>,
}

impl Objects {
    /// List the open uploads of a bucket.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn list_multipart_uploads(
        &self,
        scope: Scope<'_>,
        input: ListMultipartUploads,
    ) -> Result<ListMultipartUploadsOutput, Error> {
        let bucket = self.bucket(&input.bucket)?;
        bucket.authorize(scope, Action::ListBucketMultipartUploads)?;
        let mut page = ListMultipartUploadsOutput::default();
        // Nothing was asked for: whoever followed markers that lead nowhere would never end.
        if input.max_uploads == 0 {
            return Ok(page);
        }
        let end = prefix_end(&name_prefix(bucket.uid(), &input.prefix));
        let mut position = start(&bucket, &input);
        let mut last = (String::new(), String::new());
        let mut count = 0_u32;
        'pages: while let Some(from) = position.take() {
            let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let lower = Bound::Included(from.as_slice());
            let found = self
                .tables()
                .scan(UPLOADS, lower, upper, ROWS_PER_SCAN, false)?;
            let full = found.len() == ROWS_PER_SCAN;
            for (key, found) in found {
                let (name, _) =
                    table_key::split_object_key(&key).ok_or_else(|| Error::Corrupted {
                        what: "key of an upload row".to_owned(),
                    })?;
                if count == input.max_uploads {
                    page.next = Some(last);
                    return Ok(page);
                }
                count += 1;
                if let Some(common) = common_prefix(&name, &input) {
                    position = prefix_end(&name_prefix(bucket.uid(), &common));
                    page.common_prefixes.push(common.clone());
                    last = (common, String::new());
                    continue 'pages;
                }
                let row: UploadRow = rows::decode(&found.value, "upload row")?;
                let upload = listed(name, &row)?;
                last = (upload.object_key.clone(), upload.upload_id.clone());
                page.uploads.push(upload);
                position = Some([key.as_slice(), &[0]].concat());
            }
            if !full {
                break;
            }
        }
        Ok(page)
    }
}

fn start(bucket: &Bucket, input: &ListMultipartUploads) -> Option<Vec<u8>> {
    let first = name_prefix(bucket.uid(), &input.prefix);
    let Some(marker) = &input.key_marker else {
        return Some(first);
    };
    let rolled_up = common_prefix(marker, input).is_some_and(|common| common == *marker);
    let uid = input.upload_id_marker.as_deref().and_then(parse_upload_id);
    let behind = match uid {
        Some(uid) => [
            table_key::upload(bucket.uid(), marker, &uid).as_slice(),
            &[0],
        ]
        .concat(),
        None if rolled_up => prefix_end(&name_prefix(bucket.uid(), marker))?,
        None => prefix_end(&object_prefix(bucket.uid(), marker))?,
    };
    Some(first.max(behind))
}

fn common_prefix(name: &str, input: &ListMultipartUploads) -> Option<String> {
    crate::list_objects::roll_up(name, &input.prefix, &input.delimiter)
}

fn listed(object_key: String, row: &UploadRow) -> Result<ListedUpload, Error> {
    let algorithm = row
        .checksum_algorithm
        .map(ChecksumAlgorithm::from_number)
        .transpose()?;
    let kind = if row.composite {
        ChecksumType::Composite
    } else {
        ChecksumType::FullObject
    };
    Ok(ListedUpload {
        object_key,
        upload_id: upload_id(&row.upload_uid),
        initiated_ms: row.initiated_ms,
        checksum_algorithm: algorithm,
        checksum_type: algorithm.map(|_| kind),
        storage_class: row.class,
    })
}
