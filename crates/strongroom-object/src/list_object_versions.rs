// SPDX-License-Identifier: Apache-2.0
//! ListObjectVersions: every entry of every name, names in byte order and the newest entry of each
//! first, common prefixes rolled up, one page at a time.

use std::ops::Bound;

use crate::authorize::Action;
use crate::error::Error;
use crate::list_objects::{ROWS_PER_SCAN, listed, roll_up};
use crate::model::{ListedObject, Scope};
use crate::objects::{Bucket, Objects};
use crate::rows::VersionEntry;
use crate::table_key::{self, VERSIONS, name_prefix, object_prefix, prefix_end};
use crate::version::Found;
use crate::version_id::VersionId;

/// A ListObjectVersions request.
#[derive(Debug, Clone)]
pub struct ListObjectVersions {
    /// Bucket name.
    pub bucket: String,
    /// Only names that start with this.
    pub prefix: String,
    /// Names are rolled up behind the first of these after the prefix; empty for none.
    pub delimiter: String,
    /// Names up to this one are left out, and so is the common prefix that it is.
    pub after: Option<String>,
    /// Of the name in `after`, only what is older than this version is listed.
    pub after_version: Option<VersionId>,
    /// At most this many entries and common prefixes.
    pub max_keys: u32,
}

/// An entry of a name.
#[derive(Debug, Clone)]
pub enum ListedVersion {
    /// An object.
    Object {
        /// Its id.
        id: VersionId,
        /// Whether nothing is newer.
        is_latest: bool,
        /// The object.
        object: ListedObject,
    },
    /// A delete marker.
    DeleteMarker {
        /// Its id.
        id: VersionId,
        /// Whether nothing is newer.
        is_latest: bool,
        /// Name.
        object_key: String,
        /// When it was made, Unix time in milliseconds.
        last_modified_ms: u64,
    },
}

/// A page of entries.
#[derive(Debug, Clone, Default)]
pub struct ListObjectVersionsOutput {
    /// Entries.
    pub versions: Vec<ListedVersion>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// Where the next page goes on: a name, or a common prefix, and there the version. `None`
    /// when this is the last.
    pub next_after: Option<(String, Option<VersionId>)>,
}

impl Objects {
    /// List the versions in a bucket.
    #[expect(
        clippy::unused_async,
        reason = "remote tables will be asked over a network"
    )]
    pub async fn list_object_versions(
        &self,
        scope: Scope<'_>,
        input: ListObjectVersions,
    ) -> Result<ListObjectVersionsOutput, Error> {
        let bucket = self.bucket(&input.bucket)?;
        let mut conditions = vec![
            ("s3:prefix", input.prefix.clone()),
            ("s3:max-keys", input.max_keys.to_string()),
        ];
        if !input.delimiter.is_empty() {
            conditions.push(("s3:delimiter", input.delimiter.clone()));
        }
        bucket.authorize_if(scope, Action::ListBucketVersions, &conditions)?;
        let mut page = ListObjectVersionsOutput::default();
        if input.max_keys == 0 {
            return Ok(page);
        }
        let mut position = self.start(&bucket, &input)?;
        let end = prefix_end(&name_prefix(bucket.uid(), &input.prefix));
        let mut last = None;
        // The name of the entry before, to tell its newest.
        let mut before: Option<String> = None;
        let mut count = 0_u32;
        'pages: while let Some(from) = position.take() {
            let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let lower = Bound::Included(from.as_slice());
            let rows = self
                .tables()
                .scan(VERSIONS, lower, upper, ROWS_PER_SCAN, false)?;
            let full = rows.len() == ROWS_PER_SCAN;
            for (key, row) in rows {
                let (name, _) =
                    table_key::split_version_key(&key).ok_or_else(|| Error::Corrupted {
                        what: "key of a version row".to_owned(),
                    })?;
                if count == input.max_keys {
                    page.next_after = last;
                    return Ok(page);
                }
                count += 1;
                if let Some(common) = roll_up(&name, &input.prefix, &input.delimiter) {
                    position = prefix_end(&name_prefix(bucket.uid(), &common));
                    page.common_prefixes.push(common.clone());
                    last = Some((common, None));
                    continue 'pages;
                }
                position = Some(behind(&key));
                let found = Found::read(key, &row)?;
                let is_latest = if before.as_ref() == Some(&name) {
                    false
                } else if before.is_none() && input.after.as_ref() == Some(&name) {
                    // The page begins in the middle of a name.
                    self.find_version(&bucket, &name)?
                        .is_some_and(|newest| newest.table_key == found.table_key)
                } else {
                    true
                };
                before = Some(name.clone());
                last = Some((name.clone(), Some(found.id())));
                page.versions
                    .push(listed_version(name, is_latest, found, self.now_ms())?);
            }
            if !full {
                break;
            }
        }
        Ok(page)
    }

    /// Where the page starts: behind the version that is the marker, or behind everything that
    /// the name stands for.
    fn start(&self, bucket: &Bucket, input: &ListObjectVersions) -> Result<Option<Vec<u8>>, Error> {
        let first = name_prefix(bucket.uid(), &input.prefix);
        let Some(after) = &input.after else {
            return Ok(Some(first));
        };
        let rolled_up = roll_up(after, &input.prefix, &input.delimiter);
        let start = match input.after_version {
            _ if rolled_up.as_ref() == Some(after) => prefix_end(&name_prefix(bucket.uid(), after)),
            None => prefix_end(&object_prefix(bucket.uid(), after)),
            Some(id) => match id.place() {
                Some((stamp, _)) => Some(behind(&table_key::version(bucket.uid(), after, stamp))),
                None => match self.find_by_id(bucket, after, id)? {
                    Some(null) => Some(behind(&null.table_key)),
                    // It went between two pages, and its place with it: the name is listed again
                    // from its newest, since what is shown twice does less harm than what is not
                    // shown.
                    None => Some(object_prefix(bucket.uid(), after)),
                },
            },
        };
        Ok(start.map(|start| first.max(start)))
    }
}

/// The first key behind a key.
fn behind(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

fn listed_version(
    object_key: String,
    is_latest: bool,
    found: Found,
    now_ms: u64,
) -> Result<ListedVersion, Error> {
    let id = found.id();
    Ok(match found.entry {
        VersionEntry::Object(row) => ListedVersion::Object {
            id,
            is_latest,
            object: listed(object_key, *row, now_ms)?,
        },
        VersionEntry::DeleteMarker(row) => ListedVersion::DeleteMarker {
            id,
            is_latest,
            object_key,
            last_modified_ms: row.created_ms,
        },
    })
}
