// SPDX-License-Identifier: Apache-2.0
//! How much of what is stored depends on a KMS key.

use std::collections::BTreeMap;
use std::ops::Bound;

use strongroom_store::TableId;

use crate::error::Error;
use crate::objects::Objects;
use crate::rows::{self, BucketRow, UploadRow, VersionEntry};
use crate::table_key::{BUCKETS, UPLOADS, VERSIONS};

/// What depends on a key in one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KmsImpact {
    /// Object versions.
    pub versions: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// Multipart uploads that are not complete.
    pub uploads: u64,
}

impl Objects {
    /// What depends on the key with this ARN, by name of the bucket. Reads the rows of all
    /// versions and uploads; `tell` hears how many.
    pub async fn kms_impact(
        &self,
        key_arn: &str,
        tell: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<BTreeMap<String, KmsImpact>, Error> {
        let mut names = BTreeMap::new();
        self.each_row(BUCKETS, |key, value| {
            let row: BucketRow = rows::decode(value, "bucket row")?;
            names.insert(row.uid, String::from_utf8_lossy(key).into_owned());
            Ok(())
        })
        .await?;
        let mut found: BTreeMap<String, KmsImpact> = BTreeMap::new();
        let mut seen = 0_u64;
        let bucket = |key: &[u8]| {
            let uid = key.first_chunk::<16>();
            let name = uid.and_then(|uid| names.get(uid)).cloned();
            name.unwrap_or_else(|| "(no bucket)".to_owned())
        };
        self.each_row(VERSIONS, |key, value| {
            seen = seen.saturating_add(1);
            tell(seen);
            let entry: VersionEntry = rows::decode(value, "version row")?;
            if let Some(row) = entry.object()
                && row.key.kms_arn == key_arn
            {
                let impact = found.entry(bucket(key)).or_default();
                impact.versions = impact.versions.saturating_add(1);
                impact.bytes = impact.bytes.saturating_add(row.size);
            }
            Ok(())
        })
        .await?;
        self.each_row(UPLOADS, |key, value| {
            seen = seen.saturating_add(1);
            tell(seen);
            let row: UploadRow = rows::decode(value, "upload row")?;
            if row.key.kms_arn == key_arn {
                let impact = found.entry(bucket(key)).or_default();
                impact.uploads = impact.uploads.saturating_add(1);
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    async fn each_row(
        &self,
        table: TableId,
        mut show: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after: Vec<u8> = Vec::new();
        loop {
            let lower = if after.is_empty() {
                Bound::Unbounded
            } else {
                Bound::Excluded(after.as_slice())
            };
            let page = self
                .tables()
                .scan(table, lower, Bound::Unbounded, ROWS_PER_SCAN, false)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (key, row) in &page {
                show(key, &row.value)?;
            }
            // Requests go on between two pages.
            tokio::task::yield_now().await;
        }
    }
}

const ROWS_PER_SCAN: usize = 256;
