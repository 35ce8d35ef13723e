// SPDX-License-Identifier: Apache-2.0
//! ListObjects: names in byte order, common prefixes rolled up, one page at a time.

use std::ops::Bound;

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{ChecksumAlgorithm, ListedObject, Scope};
use crate::objects::{Bucket, Objects};
use crate::rows::{self, VersionEntry, VersionRow};
use crate::table_key::{self, VERSIONS, name_prefix, object_prefix, prefix_end};

/// Rows read from the table at a time.
pub(crate) const ROWS_PER_SCAN: usize = 256;

/// A ListObjects request.
#[derive(Debug, Clone)]
pub struct ListObjects {
    /// Bucket name.
    pub bucket: String,
    /// Only names that start with this.
    pub prefix: String,
    /// Names are rolled up behind the first of these after the prefix; empty for none.
    pub delimiter: String,
    /// Names up to this one are left out, and so is the common prefix that it is.
    pub after: Option<String>,
    /// At most this many names and common prefixes.
    pub max_keys: u32,
}

/// A page of names.
#[derive(Debug, Clone, Default)]
pub struct ListObjectsOutput {
    /// Objects.
    pub objects: Vec<ListedObject>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// Where the next page goes on; `None` when this is the last.
    pub next_after: Option<String>,
}

impl Objects {
    /// List names of a bucket.
    pub async fn list_objects(
        &self,
        scope: Scope<'_>,
        input: ListObjects,
    ) -> Result<ListObjectsOutput, Error> {
        let bucket = self.bucket(&input.bucket)?;
        let mut conditions = vec![
            ("s3:prefix", input.prefix.clone()),
            ("s3:max-keys", input.max_keys.to_string()),
        ];
        if !input.delimiter.is_empty() {
            conditions.push(("s3:delimiter", input.delimiter.clone()));
        }
        bucket.authorize_if(scope, Action::ListBucket, &conditions)?;
        let mut page = ListObjectsOutput::default();
        if input.max_keys == 0 {
            return Ok(page);
        }
        let mut position = start(&bucket, &input);
        let end = prefix_end(&name_prefix(bucket.uid(), &input.prefix));
        let mut last: Option<String> = None;
        // The name whose newest entry was looked at: what is older is passed over.
        let mut decided: Option<String> = None;
        let mut count = 0_u32;
        'pages: while let Some(from) = position.take() {
            let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let lower = Bound::Included(from.as_slice());
            let found = self
                .tables()
                .scan(VERSIONS, lower, upper, ROWS_PER_SCAN, false)?;
            let full = found.len() == ROWS_PER_SCAN;
            for (key, row) in found {
                let (name, _) =
                    table_key::split_object_key(&key).ok_or_else(|| Error::Corrupted {
                        what: "key of a version row".to_owned(),
                    })?;
                if decided.as_ref() == Some(&name) {
                    continue;
                }
                decided = Some(name.clone());
                position = prefix_end(&object_prefix(bucket.uid(), &name));
                let VersionEntry::Object(version) = rows::decode(&row.value, "version row")? else {
                    continue;
                };
                if count == input.max_keys {
                    page.next_after = last;
                    return Ok(page);
                }
                count += 1;
                if let Some(common) = common_prefix(&name, &input) {
                    position = prefix_end(&name_prefix(bucket.uid(), &common));
                    page.common_prefixes.push(common.clone());
                    last = Some(common);
                    continue 'pages;
                }
                page.objects
                    .push(listed(name.clone(), *version, self.now_ms())?);
                last = Some(name);
            }
            if !full {
                break;
            }
            // Names that were deleted are rows, too, and fill no page.
            tokio::task::yield_now().await;
        }
        Ok(page)
    }
}

/// Where the page starts: behind `after`, and behind everything it stands for.
fn start(bucket: &Bucket, input: &ListObjects) -> Option<Vec<u8>> {
    let first = name_prefix(bucket.uid(), &input.prefix);
    let Some(after) = &input.after else {
        return Some(first);
    };
    let rolled_up = common_prefix(after, input).is_some_and(|common| common == *after);
    let behind = if rolled_up {
        prefix_end(&name_prefix(bucket.uid(), after))?
    } else {
        prefix_end(&object_prefix(bucket.uid(), after))?
    };
    Some(first.max(behind))
}

fn common_prefix(name: &str, input: &ListObjects) -> Option<String> {
    roll_up(name, &input.prefix, &input.delimiter)
}

/// The common prefix that a name is rolled up into: up to the first delimiter behind the prefix.
pub(crate) fn roll_up(name: &str, prefix: &str, delimiter: &str) -> Option<String> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = name.strip_prefix(prefix)?;
    let end = rest.find(delimiter)?;
    let len = prefix.len() + end + delimiter.len();
    name.get(..len).map(str::to_owned)
}

pub(crate) fn listed(
    object_key: String,
    version: VersionRow,
    now_ms: u64,
) -> Result<ListedObject, Error> {
    let checksum = version
        .checksum
        .as_ref()
        .map(|sum| {
            Ok((
                ChecksumAlgorithm::from_number(sum.algorithm)?,
                sum.checksum_type(),
            ))
        })
        .transpose()
        .map_err(|error: Error| error)?;
    Ok(ListedObject {
        object_key,
        storage_class: version.class,
        restore: version.restore_status(now_ms),
        etag: version.etag,
        size: version.size,
        last_modified_ms: version.created_ms,
        checksum,
    })
}
