// SPDX-License-Identifier: Apache-2.0
//! Brings sealed-key records under SSE-S3 forward to the newest root: those of objects under SSE-S3,
//! and those of the outer layer of objects under two.
//!
//! The object key is unwrapped and wrapped again, over the same BIND; the body is neither read
//! nor written. Uploads come first: one that is completed meanwhile becomes a version, which is
//! still to come.

use std::ops::Bound;

use strongroom_kms::{REWRAP_MARKS, RewrapMark, RewrapReport, TellRewrap};
use strongroom_store::table::ScannedRow;
use strongroom_store::{Batch, CommitError, Precondition, Row, TableId, Write};

use crate::encryption;
use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::rows::{self, BucketRow, KeyRow, UploadRow, VersionEntry};
use crate::table_key::{self, BUCKETS, UPLOADS, VERSIONS};

impl Objects {
    /// Wraps object keys again that are not under the newest SSE-S3 root.
    pub async fn rewrap_object_keys(&self, tell: TellRewrap<'_>) -> Result<RewrapReport, Error> {
        let mut run = Run {
            objects: self,
            epoch: self.kms().newest_sse_s3_epoch(),
            report: RewrapReport::default(),
            buckets: Vec::new(),
            total: self.count(UPLOADS)?.saturating_add(self.count(VERSIONS)?),
            tell,
        };
        for (table, name) in [(UPLOADS, "uploads"), (VERSIONS, "versions")] {
            run.table(table, name).await?;
        }
        Ok(run.report)
    }

    fn count(&self, table: TableId) -> Result<u64, Error> {
        let (mut count, mut after) = (0_u64, Vec::new());
        loop {
            let page = page(self, table, &after)?;
            let Some((last, _)) = page.last() else {
                return Ok(count);
            };
            after.clone_from(last);
            count = count.saturating_add(u64::try_from(page.len()).unwrap_or(0));
        }
    }
}

struct Run<'a> {
    objects: &'a Objects,
    epoch: u32,
    report: RewrapReport,
    /// Those seen so far.
    buckets: Vec<Bucket>,
    total: u64,
    tell: TellRewrap<'a>,
}

impl Run<'_> {
    async fn table(&mut self, table: TableId, name: &str) -> Result<(), Error> {
        let tables = self.objects.tables();
        let stored = tables.get(REWRAP_MARKS, name.as_bytes())?;
        let stored = stored.as_ref().map(|row| row.value.as_slice());
        let mut mark = RewrapMark::resume(stored, self.epoch);
        loop {
            let page = page(self.objects, table, mark.after())?;
            let Some((last, _)) = page.last() else {
                break;
            };
            mark = mark.at(last);
            self.page(table, name, page, &mark).await?;
            (self.tell)(self.report.seen, self.total.max(self.report.seen));
            tokio::task::yield_now().await;
        }
        // The next run begins at the first row again.
        let end = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::Delete {
                table: REWRAP_MARKS,
                key: name.as_bytes().to_vec(),
            }],
        };
        tables.commit(end).await?;
        Ok(())
    }

    /// One commit for the old rows of a page and the mark behind it. If somebody changes one of
    /// them meanwhile, each is tried by itself.
    async fn page(
        &mut self,
        table: TableId,
        name: &str,
        page: Vec<ScannedRow>,
        mark: &RewrapMark,
    ) -> Result<(), Error> {
        let (mut changes, mut doubtful) = (Vec::new(), Vec::new());
        for (key, row) in page {
            self.report.seen = self.report.seen.saturating_add(1);
            let rewrapped = match row {
                Ok(row) => self.row(table, &key, &row).map(|value| (row.seq, value)),
                Err(error) => Err(error.into()),
            };
            match rewrapped {
                Ok((_, None)) => {}
                Ok((seq, Some(value))) => changes.push((key, seq, value)),
                // Or deleted since the page was read, with what belongs to it.
                Err(error) if is_damage(&error) => doubtful.push(key),
                Err(error) => return Err(error),
            }
        }
        for key in doubtful {
            self.one(table, key).await?;
        }
        if changes.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let mark = mark.write(name).map_err(Error::Kms)?;
        let keys: Vec<Vec<u8>> = changes.iter().map(|(key, _, _)| key.clone()).collect();
        if self.commit(table, changes, Some(mark)).await? {
            self.report.rewrapped = self.report.rewrapped.saturating_add(count);
            return Ok(());
        }
        for key in keys {
            self.one(table, key).await?;
        }
        Ok(())
    }

    async fn one(&mut self, table: TableId, key: Vec<u8>) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let row = match self.objects.tables().get(table, &key).map_err(Error::from) {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(error) if is_damage(&error) => {
                    self.report.damaged = self.report.damaged.saturating_add(1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let value = match self.row(table, &key, &row) {
                Ok(Some(value)) => value,
                Ok(None) => return Ok(()),
                Err(error) if is_damage(&error) => {
                    let now = self.objects.tables().get(table, &key)?;
                    if now.is_none_or(|now| now.seq != row.seq) {
                        continue;
                    }
                    self.report.damaged = self.report.damaged.saturating_add(1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let change = vec![(key.clone(), row.seq, value)];
            if self.commit(table, change, None).await? {
                self.report.rewrapped = self.report.rewrapped.saturating_add(1);
                return Ok(());
            }
        }
        Err(Error::Internal("a row is being changed by others"))
    }

    /// False if a row was changed by somebody else.
    async fn commit(
        &self,
        table: TableId,
        changes: Vec<(Vec<u8>, u64, Vec<u8>)>,
        mark: Option<Write>,
    ) -> Result<bool, Error> {
        let mut batch = Batch::default();
        for (key, seq, value) in changes {
            batch.preconditions.push(Precondition::SeqIs {
                table,
                key: key.clone(),
                seq,
            });
            batch.writes.push(Write::Put { table, key, value });
        }
        batch.writes.extend(mark);
        match self.objects.tables().commit(batch).await {
            Ok(_) => Ok(true),
            Err(CommitError::Precondition { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The row with its object key, or that of its outer layer, under the newest root; `None` if
    /// it is there already, or has neither under SSE-S3.
    fn row(&mut self, table: TableId, key: &[u8], row: &Row) -> Result<Option<Vec<u8>>, Error> {
        let damaged = || Error::Corrupted {
            what: "key of an object's row".to_owned(),
        };
        let (name, _) = table_key::split_object_key(key).ok_or_else(damaged)?;
        let uid = key.first_chunk::<16>().ok_or_else(damaged)?;
        if table == UPLOADS {
            let mut upload: UploadRow = rows::decode(&row.value, "upload row")?;
            if !self.is_due(uid, &upload.key)? {
                return Ok(None);
            }
            let bucket = self.bucket(uid)?;
            let objects = self.objects;
            let bind = encryption::bind_upload(
                objects,
                &bucket,
                &name,
                &upload.bind_row(),
                &upload.key,
                &upload.properties,
                upload.odi,
            )?;
            upload.key = encryption::under_newest_root(objects, &bucket, &upload.key, &bind)?;
            return rows::encode(&upload).map(Some);
        }
        let mut version = match rows::decode(&row.value, "version row")? {
            VersionEntry::Object(version) => version,
            VersionEntry::DeleteMarker(_) => return Ok(None),
        };
        if !self.is_due(uid, &version.key)? {
            return Ok(None);
        }
        let bucket = self.bucket(uid)?;
        let objects = self.objects;
        let parts = objects.parts(&version)?;
        let bind = match &version.key.upload {
            None => encryption::bind_version(objects, &bucket, &name, &version, &parts)?,
            Some(upload) => encryption::bind_upload(
                objects,
                &bucket,
                &name,
                upload,
                &version.key,
                &version.properties,
                version.odi,
            )?,
        };
        version.key = encryption::under_newest_root(objects, &bucket, &version.key, &bind)?;
        rows::encode(&VersionEntry::Object(version)).map(Some)
    }

    /// Whether a record of the row is under an older root of SSE-S3.
    fn is_due(&self, uid: &[u8; 16], key: &KeyRow) -> Result<bool, Error> {
        let Some(record) = encryption::record_under_root(key)? else {
            return Ok(false);
        };
        let epoch = self.objects.kms().sse_s3_epoch(record.ek_ref(), uid)?;
        Ok(epoch != self.epoch)
    }

    fn bucket(&mut self, uid: &[u8; 16]) -> Result<Bucket, Error> {
        let known = |buckets: &[Bucket]| buckets.iter().find(|b| b.uid() == uid).cloned();
        if let Some(bucket) = known(&self.buckets) {
            return Ok(bucket);
        }
        self.buckets.clear();
        let mut after = Vec::new();
        loop {
            let page = page(self.objects, BUCKETS, &after)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after.clone_from(last);
            for (name, found) in page {
                let Ok(found) = found else { continue };
                let row = rows::decode::<BucketRow>(&found.value, "bucket row");
                if let (Ok(row), Ok(name)) = (row, String::from_utf8(name)) {
                    let seq = found.seq;
                    self.buckets.push(Bucket { name, row, seq });
                }
            }
        }
        known(&self.buckets).ok_or_else(|| Error::Corrupted {
            what: "bucket of an object".to_owned(),
        })
    }
}

fn page(objects: &Objects, table: TableId, after: &[u8]) -> Result<Vec<ScannedRow>, Error> {
    let start = if after.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Excluded(after)
    };
    let tables = objects.tables();
    Ok(tables.scan_each(table, start, Bound::Unbounded, ROWS_PER_COMMIT, false)?)
}

pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Corrupted { .. } | Error::Kms(strongroom_kms::Error::Corrupted { .. }) => true,
        Error::Store(error) => error.is_corruption(),
        _ => false,
    }
}

const ROWS_PER_COMMIT: usize = 64;
const ATTEMPTS_MAX: usize = 16;
