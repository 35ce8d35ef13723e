// SPDX-License-Identifier: Apache-2.0
//! Reads every stored byte again: checksums of all, tags of all whose key can be had.

use std::ops::Bound;

use futures_util::StreamExt;
use strongroom_format::SseMode;
use strongroom_store::Row;

use crate::encryption;
use crate::error::Error;
use crate::model::{Scope, Served};
use crate::objects::{Bucket, Objects};
use crate::rows::{self, Place, StoredPart, VersionRow};
use crate::table_key::{self, BODIES, PARTS, VERSIONS};

/// Rows read from the table at a time.
const ROWS_PER_SCAN: usize = 64;

/// How far a verification has come.
#[derive(Debug, Clone, Default)]
pub struct VerifyProgress {
    /// Objects done.
    pub objects: u64,
    /// Plaintext bytes of them.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Objects read.
    pub objects: u64,
    /// Plaintext bytes of them.
    pub bytes: u64,
    /// Objects and rows that are damaged, each with what is wrong.
    pub damaged: Vec<String>,
    /// Objects of which only the stored checksums could be checked: under a customer key, or
    /// under a KMS key that cannot be used now.
    pub unopened: u64,
    /// Parts of open uploads whose stored checksums were checked.
    pub open_parts: u64,
}

/// How far one object could be checked.
enum Depth {
    Tags,
    ChecksumsOnly,
}

impl Objects {
    /// Verify every object and every part of every open upload, as the caller of `scope`.
    pub async fn verify(
        &self,
        scope: Scope<'_>,
        progress: &(dyn Fn(VerifyProgress) + Send + Sync),
    ) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        for bucket in self.list_buckets(scope).await? {
            let bucket = self.bucket(&bucket.name)?;
            self.verify_bucket(scope, &bucket, &mut report, progress)
                .await?;
        }
        self.verify_open_parts(&mut report).await?;
        Ok(report)
    }

    async fn verify_bucket(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        report: &mut VerifyReport,
        progress: &(dyn Fn(VerifyProgress) + Send + Sync),
    ) -> Result<(), Error> {
        let end = table_key::prefix_end(bucket.uid());
        let mut from = bucket.uid().to_vec();
        loop {
            let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = self.tables().scan(
                VERSIONS,
                Bound::Excluded(&from),
                upper,
                ROWS_PER_SCAN,
                false,
            )?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            from.clone_from(last);
            for (key, row) in page {
                let name = table_key::split_object_key(&key).map(|(name, _)| name);
                let Some(name) = name else {
                    report
                        .damaged
                        .push(format!("a row of bucket {}: its key", bucket.name));
                    continue;
                };
                report.objects += 1;
                match self.verify_object(scope, bucket, &name, &row).await {
                    Ok((size, depth)) => {
                        report.bytes = report.bytes.saturating_add(size);
                        if matches!(depth, Depth::ChecksumsOnly) {
                            report.unopened += 1;
                        }
                    }
                    Err(error) => {
                        report
                            .damaged
                            .push(format!("s3://{}/{name}: {error}", bucket.name));
                    }
                }
                progress(VerifyProgress {
                    objects: report.objects,
                    bytes: report.bytes,
                });
            }
        }
    }

    async fn verify_object(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        object_key: &str,
        row: &Row,
    ) -> Result<(u64, Depth), Error> {
        let row: VersionRow = rows::decode(&row.value, "version row")?;
        let held = self.hold(&row)?;
        let key = match row.key.mode()? {
            SseMode::C | SseMode::Dsse => None,
            SseMode::S3 | SseMode::Kms => {
                match encryption::reopen(self, scope, bucket, &row.key, None).await {
                    Ok(key) => Some(key),
                    Err(Error::Kms(_)) => None,
                    Err(error) => return Err(error),
                }
            }
        };
        let Some(key) = key else {
            for part in &held.parts {
                self.verify_part(part).await?;
            }
            return Ok((row.size, Depth::ChecksumsOnly));
        };
        let oek = encryption::unwrap_version(self, &key, bucket, object_key, &row, &held.parts)?;
        if let Some(sum) = &row.checksum {
            encryption::open_checksum(sum, &oek, &row.object_data_id())?;
        }
        let served = Served {
            start: 0,
            len: row.size,
            partial: false,
        };
        for part in &held.parts {
            if let Place::Blob(location) = &part.place {
                self.blobs().verify_trailer(location).await?;
            }
        }
        let mut body = self.open_body(&oek, &row, held, served).await?;
        let mut read = 0_u64;
        while let Some(piece) = body.next().await {
            read = read.saturating_add(u64::try_from(piece?.len()).unwrap_or(u64::MAX));
        }
        if read == row.size {
            Ok((row.size, Depth::Tags))
        } else {
            Err(Error::Corrupted {
                what: "length of the object's body".to_owned(),
            })
        }
    }

    /// Check the stored checksums of a body without its key.
    async fn verify_part(&self, part: &StoredPart) -> Result<(), Error> {
        match &part.place {
            Place::Inline => {
                let missing = || Error::Corrupted {
                    what: "body of the object".to_owned(),
                };
                let row = self
                    .tables()
                    .get(BODIES, &part.part_uid)?
                    .ok_or_else(missing)?;
                let sealed = u64::try_from(row.value.len()).ok();
                if sealed == strongroom_format::sealed_bytes(part.plain_len) {
                    Ok(())
                } else {
                    Err(missing())
                }
            }
            Place::Blob(location) => {
                self.blobs().verify(location).await?;
                Ok(())
            }
        }
    }

    async fn verify_open_parts(&self, report: &mut VerifyReport) -> Result<(), Error> {
        let mut from = Vec::new();
        loop {
            let lower = Bound::Excluded(from.as_slice());
            let page = self
                .tables()
                .scan(PARTS, lower, Bound::Unbounded, ROWS_PER_SCAN, false)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            let last = last.clone();
            for (_, row) in page {
                report.open_parts += 1;
                let checked = match rows::decode::<rows::PartRowStored>(&row.value, "part row") {
                    Ok(row) => self.verify_part(&row.part).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = checked {
                    report
                        .damaged
                        .push(format!("a part of an open upload: {error}"));
                }
            }
            from = last;
        }
    }
}
