// SPDX-License-Identifier: Apache-2.0
//! Names under a prefix.

use super::{EncryptedS3, INSTRUCTION_SUFFIX, persistently};
use crate::error::Error;
use crate::transport::ListQuery;

/// A list, to be asked for.
#[derive(Clone, Debug)]
#[must_use]
pub struct ListObjectsV2 {
    s3: EncryptedS3,
    bucket: String,
    query: ListQuery,
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ListObjectsV2Output {
    /// Objects, instruction files among them.
    pub contents: Vec<ListedObject>,
    /// Names that were folded at the delimiter.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins; `None` on the last.
    pub next_continuation_token: Option<String>,
}

/// An object in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ListedObject {
    /// Its name.
    pub key: String,
    /// Bytes that are stored: under AES-GCM 16 more than those of the plaintext.
    pub stored_bytes: u64,
    /// Its ETag.
    pub e_tag: Option<String>,
    /// When it was written, seconds since 1970.
    pub last_modified_s: Option<i64>,
    /// Whether its name is that of an instruction file.
    pub is_instruction_file: bool,
}

impl ListObjectsV2 {
    pub(super) fn new(s3: EncryptedS3, bucket: String) -> Self {
        Self {
            s3,
            bucket,
            query: ListQuery::default(),
        }
    }

    /// Names that begin so.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.query.prefix = Some(prefix.into());
        self
    }

    /// Folds names that have this behind the prefix.
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.query.delimiter = Some(delimiter.into());
        self
    }

    /// Names behind this one.
    pub fn start_after(mut self, name: impl Into<String>) -> Self {
        self.query.start_after = Some(name.into());
        self
    }

    /// At most so many on a page.
    pub fn max_keys(mut self, count: i32) -> Self {
        self.query.max_keys = Some(count);
        self
    }

    /// Where the page before ended.
    pub fn continuation_token(mut self, token: impl Into<String>) -> Self {
        self.query.continuation_token = Some(token.into());
        self
    }

    /// One page.
    pub async fn send(self) -> Result<ListObjectsV2Output, Error> {
        let transport = self.s3.transport();
        let page = persistently(|| transport.list_objects_v2(&self.bucket, &self.query)).await?;
        let listed = page.contents.into_iter().map(|entry| ListedObject {
            is_instruction_file: entry.key.ends_with(INSTRUCTION_SUFFIX),
            key: entry.key,
            stored_bytes: entry.stored_bytes,
            e_tag: entry.e_tag,
            last_modified_s: entry.last_modified_s,
        });
        Ok(ListObjectsV2Output {
            contents: listed.collect(),
            common_prefixes: page.common_prefixes,
            next_continuation_token: page.next_continuation_token,
        })
    }
}
