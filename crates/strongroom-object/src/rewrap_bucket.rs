// SPDX-License-Identifier: Apache-2.0
//! Puts every version of a bucket under another KMS key, without touching data.
//!
//! One row of the table after the other, each by UpdateObjectEncryption, with its permissions, its
//! conditions and its events. A row says itself under which key it is, so there is no mark of how
//! far a run came: the next one looks at all rows and leaves alone what is under the key already.

use std::ops::Bound;

use futures_util::StreamExt;
use strongroom_format::SseMode;
use strongroom_kms::{KeyState, TellRewrap};
use strongroom_store::Row;
use strongroom_store::table::ScannedRow;

use crate::authorize::Action;
use crate::error::Error;
use crate::model::Scope;
use crate::objects::{Bucket, Objects};
use crate::rewrap::is_damage;
use crate::table_key::{self, VERSIONS, name_prefix, prefix_end};
use crate::update_object_encryption::{KmsKeyArn, UpdateObjectEncryption};
use crate::verify::Findings;
use crate::version::Found;

/// Which versions, and which key.
#[derive(Debug, Clone)]
pub struct RewrapBucket {
    /// Bucket name.
    pub bucket: String,
    /// Only objects whose names begin so; empty: all.
    pub prefix: String,
    /// The KMS key to be.
    pub key_arn: KmsKeyArn,
    /// Only count what would be done.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct RewrapBucketReport {
    /// Versions that are objects.
    pub seen: u64,
    /// Those that came under the key, or would have.
    pub rewrapped: u64,
    /// Those that were under it already.
    pub current: u64,
    /// Those that were left as they are, each with the reason.
    pub left: Findings,
}

/// What happened to one version.
enum Outcome {
    Rewrapped,
    Current,
    Left(String),
    /// Deleted or replaced meanwhile.
    Gone,
}

impl Objects {
    /// Put the versions of a bucket under a KMS key. What UpdateObjectEncryption refuses, and what
    /// is damaged, is left and told.
    pub async fn rewrap_bucket(
        &self,
        scope: Scope<'_>,
        input: RewrapBucket,
        tell: TellRewrap<'_>,
    ) -> Result<RewrapBucketReport, Error> {
        let bucket = self.bucket(&input.bucket)?;
        bucket.authorize(scope, Action::ListBucketVersions)?;
        let total = self.count_versions(&bucket, &input.prefix).await?;
        let mut report = RewrapBucketReport::default();
        let mut rows_seen = 0_u64;
        let mut after = None;
        loop {
            let page = self.versions_after(&bucket, &input.prefix, after.as_deref())?;
            let Some((last, _)) = page.last() else {
                return Ok(report);
            };
            after = Some(last.clone());
            let tried = page.into_iter().map(|(key, row)| {
                let (bucket, input) = (&bucket, &input);
                async move {
                    let name = table_key::split_version_key(&key).map(|(name, _)| name);
                    let name = name.unwrap_or_default();
                    let tried = self.rewrap_version(scope, bucket, input, key, row).await;
                    (name, tried)
                }
            });
            let mut tried = futures_util::stream::iter(tried).buffered(VERSIONS_AT_ONCE);
            while let Some((name, outcome)) = tried.next().await {
                rows_seen = rows_seen.saturating_add(1);
                match outcome? {
                    None => {}
                    Some(outcome) => report.add(&bucket.name, &name, outcome),
                }
                tell(rows_seen, total.max(rows_seen));
            }
        }
    }

    /// `None` for a delete marker.
    async fn rewrap_version(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        input: &RewrapBucket,
        key: Vec<u8>,
        row: Result<Row, strongroom_store::Error>,
    ) -> Result<Option<Outcome>, Error> {
        let found = match row
            .map_err(Error::from)
            .and_then(|row| Found::read(key, &row))
        {
            Ok(found) => found,
            Err(error) if is_damage(&error) => return Ok(Some(Outcome::Left(error.to_string()))),
            Err(error) => return Err(error),
        };
        let Some(row) = found.entry.object() else {
            return Ok(None);
        };
        let id = found.id();
        let shown = |why: String| {
            let version = if id.is_null() {
                String::new()
            } else {
                format!(" (version {id})")
            };
            Ok(Some(Outcome::Left(format!("{why}{version}"))))
        };
        // Who uses a bucket key goes on using one; others do if the bucket's rule says so.
        let record = row.key.sealed_record();
        let bucket_key = match &record {
            Ok(record) if record.mode() == SseMode::Kms => record.flags().bucket_key,
            _ => self.bucket_encryption(bucket)?.bucket_key,
        };
        let under_it = row.key.kms_arn == input.key_arn.as_str();
        match record.map(|record| record.mode()) {
            Ok(SseMode::Kms) if under_it => return Ok(Some(Outcome::Current)),
            Ok(SseMode::S3 | SseMode::Kms) if input.dry_run => return Ok(Some(Outcome::Rewrapped)),
            Ok(SseMode::S3 | SseMode::Kms) => {}
            Ok(SseMode::C) => return shown("under a customer key (SSE-C)".to_owned()),
            Ok(SseMode::Dsse) => return shown("under two keys (DSSE-KMS)".to_owned()),
            Err(error) => return shown(error.to_string()),
        }
        let (name, _) =
            table_key::split_version_key(&found.table_key).ok_or_else(|| Error::Corrupted {
                what: "key of a version row".to_owned(),
            })?;
        let update = UpdateObjectEncryption {
            bucket: bucket.name.clone(),
            object_key: name,
            version_id: Some(id),
            key_arn: input.key_arn.clone(),
            bucket_key,
        };
        match self.update_object_encryption(scope, update).await {
            Ok(()) => Ok(Some(Outcome::Rewrapped)),
            Err(
                Error::NoSuchVersion { .. } | Error::NoSuchKey { .. } | Error::DeleteMarker { .. },
            ) => Ok(Some(Outcome::Gone)),
            Err(
                error @ (Error::ConditionalConflict
                | Error::EncryptionNotChangeable { .. }
                | Error::AccessDenied(_)),
            ) => shown(error.to_string()),
            Err(error) if is_damage(&error) => shown(error.to_string()),
            // The key of now cannot be used; without the one to be there is nothing to go on for.
            Err(error @ Error::Kms(_)) if self.is_enabled(&input.key_arn) => {
                shown(error.to_string())
            }
            Err(error) => Err(error),
        }
    }

    fn is_enabled(&self, key: &KmsKeyArn) -> bool {
        let found = self.kms().overview(key.as_str());
        found.is_ok_and(|key| key.state == KeyState::Enabled)
    }

    async fn count_versions(&self, bucket: &Bucket, prefix: &str) -> Result<u64, Error> {
        let (mut count, mut after) = (0_u64, None);
        loop {
            let page = self.versions_after(bucket, prefix, after.as_deref())?;
            let Some((last, _)) = page.last() else {
                return Ok(count);
            };
            after = Some(last.clone());
            count = count.saturating_add(u64::try_from(page.len()).unwrap_or(0));
            tokio::task::yield_now().await;
        }
    }

    fn versions_after(
        &self,
        bucket: &Bucket,
        prefix: &str,
        after: Option<&[u8]>,
    ) -> Result<Vec<ScannedRow>, Error> {
        let first = name_prefix(bucket.uid(), prefix);
        let end = prefix_end(&first);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let lower = after.map_or(Bound::Included(first.as_slice()), Bound::Excluded);
        let tables = self.tables();
        Ok(tables.scan_each(VERSIONS, lower, upper, ROWS_PER_SCAN, false)?)
    }
}

impl RewrapBucketReport {
    fn add(&mut self, bucket: &str, name: &str, outcome: Outcome) {
        self.seen = self.seen.saturating_add(1);
        match outcome {
            Outcome::Rewrapped => self.rewrapped = self.rewrapped.saturating_add(1),
            Outcome::Current => self.current = self.current.saturating_add(1),
            Outcome::Left(why) => self.left.push(format!("s3://{bucket}/{name}: {why}")),
            Outcome::Gone => {}
        }
    }
}

const ROWS_PER_SCAN: usize = 256;
/// Their commits and events share flushes.
const VERSIONS_AT_ONCE: usize = 16;
