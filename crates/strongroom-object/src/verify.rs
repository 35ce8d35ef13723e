// SPDX-License-Identifier: Apache-2.0
//! Reads every stored byte again.
//!
//! ```text
//!  count ---> one pass over the rows of objects and parts: how much there is to read
//!  bodies --> parts of open uploads, then objects: checksums of all, tags of all whose key can
//!             be had, and the catalogue's word on each of their blobs
//!  rows ----> every row of every table opens      |
//!  log -----> sums, chain and seals of the log    | verify_store.rs
//!  blobs ---> no blob without a row that needs it |
//! ```
//!
//! It runs while requests are served, so nothing is damage that another request explains: what is
//! about to be reported is looked at again, and what was written after the start is left out.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;

use futures_util::StreamExt;
use strongroom_format::SseMode;
use strongroom_store::table::ScannedRow;
use strongroom_store::{BlobId, CommitSeq, Row, TableId};

use crate::authorize::{Action, Resource, authorize};
use crate::encryption;
use crate::error::Error;
use crate::get_object_attributes::part_checksums;
use crate::model::{Scope, Served};
use crate::objects::{Bucket, Objects};
use crate::rows::{self, BucketRow, PartRowStored, Place, StoredPart, VersionEntry, VersionRow};
use crate::table_key::{self, BODIES, BUCKETS, PARTS, VERSIONS};

/// What a verification is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VerifyStage {
    /// Counting what there is to read.
    #[default]
    Counting,
    /// Reading the bodies of open uploads and of objects.
    Bodies,
    /// Opening the rows of the tables.
    Rows,
    /// Reading the log of the tables.
    Log,
    /// Comparing the catalogue of blobs with the rows.
    Blobs,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What it is doing.
    pub stage: VerifyStage,
    /// Objects read.
    pub objects: u64,
    /// Objects there were at the start; grows while they are counted.
    pub objects_total: u64,
    /// Bytes read in this stage: plaintext bytes of bodies, stored bytes of everything else.
    pub bytes: u64,
    /// Bytes that this stage will read; `None` where nobody knows before.
    pub bytes_total: Option<u64>,
}

/// Where a verification tells how far it has come.
pub type TellProgress<'a> = &'a (dyn Fn(VerifyProgress) + Send + Sync);

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Objects read.
    pub objects: u64,
    /// Plaintext bytes of those that are sound.
    pub bytes: u64,
    /// Objects of which only the stored checksums could be checked: under a customer key, or
    /// under a KMS key that cannot be used now.
    pub unopened: u64,
    /// Parts of open uploads whose stored checksums were checked.
    pub open_parts: u64,
    /// Rows opened, of all tables.
    pub rows: u64,
    /// Stored bytes of them.
    pub row_bytes: u64,
    /// Commits in the files of the log.
    pub commits: u64,
    /// Bytes of those files.
    pub log_bytes: u64,
    /// Blobs in the catalogue.
    pub blobs: u64,
    /// Everything that is damaged, each with what is wrong.
    pub damaged: Findings,
    /// Blobs that fewer rows refer to than the catalogue counts: lost room, or all that is left of
    /// a row that was lost.
    pub unreferred: Findings,
}

/// Findings, of which the first are kept in words and all are counted.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    lines: Vec<String>,
    total: u64,
}

impl Findings {
    /// One line for each of the first findings.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(crate) fn push(&mut self, line: String) {
        self.total = self.total.saturating_add(1);
        if self.lines.len() < FINDINGS_KEPT_MAX {
            self.lines.push(line);
        }
    }
}

impl Objects {
    /// Verify everything in the store, as the caller of `scope`.
    pub async fn verify(
        &self,
        scope: Scope<'_>,
        tell: TellProgress<'_>,
    ) -> Result<VerifyReport, Error> {
        let account = &self.options().account_id;
        let action = Action::ListAllMyBuckets;
        authorize(scope.caller, action, Resource::Account, account, &[])?;
        let mut run = Run {
            objects: self,
            scope,
            tell,
            since: self.tables().last_commit(),
            now: VerifyProgress::default(),
            report: VerifyReport::default(),
            buckets: HashMap::new(),
            told: HashSet::new(),
            referred_by_parts: Vec::new(),
            referred: Vec::new(),
        };
        let bytes = run.count().await?;
        run.enter(VerifyStage::Bodies, Some(bytes));
        // INVARIANT: parts before objects. A part becomes part of an object and never the other
        // way round, so the blob of neither is missed.
        run.open_parts().await?;
        run.all_objects().await?;
        run.rows().await?;
        run.log().await?;
        run.blobs().await?;
        Ok(run.report)
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
                if sealed == part.sealed_bytes() {
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
}

/// How far one object could be checked.
enum Depth {
    Tags,
    ChecksumsOnly,
}

/// A verification under way.
pub(crate) struct Run<'a> {
    pub(crate) objects: &'a Objects,
    scope: Scope<'a>,
    tell: TellProgress<'a>,
    /// The last commit before the start.
    pub(crate) since: CommitSeq,
    pub(crate) now: VerifyProgress,
    pub(crate) report: VerifyReport,
    /// Buckets by uid; `None` for a uid of which there is no readable record.
    buckets: HashMap<[u8; 16], Option<Bucket>>,
    /// What the store said of damage that was told with the object it belongs to.
    pub(crate) told: HashSet<String>,
    /// The blobs that parts of open uploads refer to: 16 bytes for each.
    pub(crate) referred_by_parts: Vec<BlobId>,
    /// The blobs that objects refer to, as often as they do.
    pub(crate) referred: Vec<BlobId>,
}

impl Run<'_> {
    /// Begins a stage.
    pub(crate) fn enter(&mut self, stage: VerifyStage, bytes_total: Option<u64>) {
        self.now.stage = stage;
        self.now.bytes = 0;
        self.now.bytes_total = bytes_total;
        self.tell();
    }

    pub(crate) fn tell(&self) {
        (self.tell)(self.now);
    }

    /// Notes damage. A store that cannot go on is an error of the whole verification.
    pub(crate) fn damage(&mut self, what: &str, error: Error) -> Result<(), Error> {
        if let Error::Store(strongroom_store::Error::DriveOutOfService { .. }) = error {
            return Err(error);
        }
        self.report.damaged.push(format!("{what}: {error}"));
        if let Error::Store(inner) = error {
            self.told.insert(inner.to_string());
        }
        Ok(())
    }

    /// The next rows of a table; none at its end, or where the table itself is damaged.
    fn page(&mut self, table: TableId, after: &mut Vec<u8>) -> Result<Vec<ScannedRow>, Error> {
        let lower = if after.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(after.as_slice())
        };
        let page =
            self.objects
                .tables()
                .scan_each(table, lower, Bound::Unbounded, ROWS_PER_SCAN, false);
        match page {
            Ok(page) => {
                if let Some((last, _)) = page.last() {
                    after.clone_from(last);
                }
                Ok(page)
            }
            Err(error) if error.is_corruption() && self.told.contains(&error.to_string()) => {
                Ok(Vec::new())
            }
            Err(error) if error.is_corruption() => {
                let what = format!("table {}", table.0);
                self.damage(&what, error.into()).map(|()| Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How many bytes of bodies there are.
    async fn count(&mut self) -> Result<u64, Error> {
        let mut bytes = 0_u64;
        for table in [PARTS, VERSIONS] {
            let mut after = Vec::new();
            loop {
                let page = self.page(table, &mut after)?;
                if page.is_empty() {
                    break;
                }
                for (_, row) in page {
                    bytes = bytes.saturating_add(row.map_or(0, |row| body_bytes(table, &row)));
                    if table == VERSIONS {
                        self.now.objects_total = self.now.objects_total.saturating_add(1);
                    }
                }
                self.tell();
                tokio::task::yield_now().await;
            }
        }
        Ok(bytes)
    }

    async fn open_parts(&mut self) -> Result<(), Error> {
        let mut after = Vec::new();
        loop {
            let page = self.page(PARTS, &mut after)?;
            if page.is_empty() {
                return Ok(());
            }
            for (key, row) in page {
                self.report.open_parts = self.report.open_parts.saturating_add(1);
                let checked = match &row {
                    Ok(row) => self.open_part(row).await,
                    Err(_) => Ok(()),
                };
                let error = match (checked, row) {
                    (Err(error), Ok(row)) if self.still_stands(PARTS, &key, &row) => error,
                    (_, Err(error)) => error.into(),
                    (_, Ok(_)) => {
                        self.tell();
                        continue;
                    }
                };
                self.damage(&part_name(&key), error)?;
            }
        }
    }

    async fn open_part(&mut self, row: &Row) -> Result<(), Error> {
        let row: PartRowStored = rows::decode(&row.value, "part row")?;
        if let Place::Blob(location) = &row.part.place {
            self.referred_by_parts.push(location.blob);
        }
        self.catalogued(&row.part)?;
        let checked = self.objects.verify_part(&row.part).await;
        self.now.bytes = self.now.bytes.saturating_add(row.part.plain_len);
        checked
    }

    async fn all_objects(&mut self) -> Result<(), Error> {
        let mut after = Vec::new();
        loop {
            let page = self.page(VERSIONS, &mut after)?;
            if page.is_empty() {
                return Ok(());
            }
            for (key, row) in page {
                self.object(&key, row).await?;
                self.now.objects = self.now.objects.saturating_add(1);
                self.tell();
            }
        }
    }

    async fn object(
        &mut self,
        key: &[u8],
        row: Result<Row, strongroom_store::Error>,
    ) -> Result<(), Error> {
        self.report.objects = self.report.objects.saturating_add(1);
        let bucket = self.bucket_of(key)?;
        let name = table_key::split_object_key(key).map(|(name, _)| name);
        let shown = match (&bucket, &name) {
            (Some(bucket), Some(name)) => format!("s3://{}/{name}", bucket.name),
            (None, Some(name)) => format!("an object `{name}` of no bucket"),
            (_, None) => "an object without a name".to_owned(),
        };
        let row = match row {
            Ok(row) => row,
            Err(error) => return self.damage(&shown, error.into()),
        };
        let checked = match (bucket, name) {
            (Some(bucket), Some(name)) => self.verify_object(&bucket, &name, &row).await,
            (_, _) => Err(Error::Corrupted {
                what: "key of a version row".to_owned(),
            }),
        };
        match checked {
            Ok((size, depth, note)) => {
                self.report.bytes = self.report.bytes.saturating_add(size);
                if matches!(depth, Depth::ChecksumsOnly) {
                    self.report.unopened = self.report.unopened.saturating_add(1);
                }
                match note {
                    Err(error) if self.still_stands(VERSIONS, key, &row) => {
                        self.damage(&format!("{shown} is whole, its note is not"), error)
                    }
                    Ok(()) | Err(_) => Ok(()),
                }
            }
            Err(error) if self.still_stands(VERSIONS, key, &row) => self.damage(&shown, error),
            // Replaced or deleted meanwhile.
            Err(_) => Ok(()),
        }
    }

    async fn verify_object(
        &mut self,
        bucket: &Bucket,
        object_key: &str,
        row: &Row,
    ) -> Result<(u64, Depth, Result<(), Error>), Error> {
        let row = match rows::decode(&row.value, "version row")? {
            VersionEntry::Object(row) => row,
            // All there is to it is that it opens.
            VersionEntry::DeleteMarker(_) => return Ok((0, Depth::Tags, Ok(()))),
        };
        let note = self.note(&row).await;
        let before = self.now.bytes;
        let depth = self.verify_version(bucket, object_key, &row).await;
        self.now.bytes = before.saturating_add(row.size);
        Ok((row.size, depth?, note))
    }

    async fn verify_version(
        &mut self,
        bucket: &Bucket,
        object_key: &str,
        row: &VersionRow,
    ) -> Result<Depth, Error> {
        let Self { objects, scope, .. } = *self;
        let held = objects.hold(row)?;
        for part in &held.parts {
            if let Place::Blob(location) = &part.place {
                self.referred.push(location.blob);
            }
            self.catalogued(part)?;
        }
        let record = row.key.sealed_record()?;
        let key = match record.mode() {
            SseMode::C => None,
            SseMode::S3 | SseMode::Kms | SseMode::Dsse => {
                match encryption::open(objects, scope, bucket, &row.key, record, None).await {
                    Ok(key) => Some(key),
                    // The key service has the key and what is stored does not open under it: that
                    // is no key which is disabled or deleted, it is a changed record.
                    Err(Error::Kms(strongroom_kms::Error::InvalidCiphertext)) => {
                        return Err(Error::Corrupted {
                            what: "sealed-key record, or the context kept with it".to_owned(),
                        });
                    }
                    Err(Error::Kms(_)) => None,
                    Err(error) => return Err(error),
                }
            }
        };
        let Some(key) = key else {
            for part in &held.parts {
                objects.verify_part(part).await?;
                self.read(part.plain_len);
            }
            return Ok(Depth::ChecksumsOnly);
        };
        let oek = encryption::unwrap_version(objects, &key, bucket, object_key, row, &held.parts)?;
        encryption::open_checksum(row, &oek)?;
        part_checksums(row, held.sums.as_ref(), &oek)?;
        for part in &held.parts {
            if let Place::Blob(location) = &part.place {
                objects.blobs().verify_trailer(location).await?;
            }
        }
        let served = Served {
            start: 0,
            len: row.size,
            partial: false,
        };
        let mut body = objects.open_body(&oek, row, held, served).await?;
        let mut read = 0_u64;
        while let Some(piece) = body.next().await {
            let piece = u64::try_from(piece?.len()).unwrap_or(u64::MAX);
            read = read.saturating_add(piece);
            self.read(piece);
        }
        if read == row.size {
            Ok(Depth::Tags)
        } else {
            Err(Error::Corrupted {
                what: "length of the object's body".to_owned(),
            })
        }
    }

    /// Checks what the object would come back by if the tables were lost. Whether it is whole does
    /// not depend on that.
    async fn note(&mut self, row: &VersionRow) -> Result<(), Error> {
        let Some(note) = row.note else {
            return Ok(());
        };
        self.referred.push(note.blob);
        let entry = self.objects.store().catalogued(note.blob)?;
        if note.sealed_bytes > 0 || entry.is_none_or(|entry| entry.location != note) {
            return Err(Error::Corrupted {
                what: "catalogue entry of the object's note".to_owned(),
            });
        }
        self.objects.blobs().verify(&note).await?;
        Ok(())
    }

    fn read(&mut self, bytes: u64) {
        self.now.bytes = self.now.bytes.saturating_add(bytes);
        self.tell();
    }

    /// The catalogue must have a part's blob as the part has it: otherwise the next start would
    /// take the file for an orphan.
    fn catalogued(&self, part: &StoredPart) -> Result<(), Error> {
        let Place::Blob(location) = &part.place else {
            return Ok(());
        };
        let entry = self.objects.store().catalogued(location.blob)?;
        if entry.is_some_and(|entry| entry.location == *location) {
            Ok(())
        } else {
            Err(Error::Corrupted {
                what: "catalogue entry of the object's blob".to_owned(),
            })
        }
    }

    /// The bucket of a version row's key.
    fn bucket_of(&mut self, key: &[u8]) -> Result<Option<Bucket>, Error> {
        let Some(uid) = key.first_chunk::<16>() else {
            return Ok(None);
        };
        if !self.buckets.contains_key(uid) {
            self.learn_buckets()?;
        }
        Ok(self.buckets.entry(*uid).or_insert(None).clone())
    }

    fn learn_buckets(&mut self) -> Result<(), Error> {
        let mut after = Vec::new();
        loop {
            let page = self.page(BUCKETS, &mut after)?;
            if page.is_empty() {
                return Ok(());
            }
            for (name, found) in page {
                // A row that does not open is told with the rows.
                let Ok(found) = found else { continue };
                let row = rows::decode::<BucketRow>(&found.value, "bucket row");
                let (Ok(row), Ok(name)) = (row, String::from_utf8(name)) else {
                    continue;
                };
                let (uid, seq) = (row.uid, found.seq);
                self.buckets.insert(uid, Some(Bucket { name, row, seq }));
            }
        }
    }

    /// Whether a row is what it was when it was read.
    fn still_stands(&self, table: TableId, key: &[u8], row: &Row) -> bool {
        match self.objects.tables().get(table, key) {
            Ok(Some(now)) => now.seq == row.seq,
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

/// Plaintext bytes of the body of a row.
fn body_bytes(table: TableId, row: &Row) -> u64 {
    if table == VERSIONS {
        let entry = rows::decode::<VersionEntry>(&row.value, "version row").ok();
        entry
            .and_then(|e| e.object().map(|row| row.size))
            .unwrap_or(0)
    } else {
        rows::decode::<PartRowStored>(&row.value, "part row").map_or(0, |row| row.part.plain_len)
    }
}

fn part_name(key: &[u8]) -> String {
    match key.split_first_chunk::<16>() {
        Some((uid, [high, low])) => {
            let number = u16::from_be_bytes([*high, *low]);
            format!("part {number} of open upload {}", hex::encode(uid))
        }
        _ => "a part of an open upload".to_owned(),
    }
}

/// Rows read from a table at a time.
const ROWS_PER_SCAN: usize = 64;
/// Findings kept in words: a drive that goes bad as a whole must not fill the memory.
const FINDINGS_KEPT_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_beyond_those_kept() {
        let mut findings = Findings::default();
        assert!(findings.is_empty());
        for at in 0..FINDINGS_KEPT_MAX + 5 {
            findings.push(at.to_string());
        }
        assert_eq!(findings.total(), 1_005);
        assert_eq!(findings.lines().len(), 1_000);
    }

    #[test]
    fn parts_are_named_by_upload_and_number() {
        let key = table_key::part(&[0xAB; 16], 7);
        let uid = "ab".repeat(16);
        assert_eq!(part_name(&key), format!("part 7 of open upload {uid}"));
        assert_eq!(part_name(&key[..17]), "a part of an open upload");
        assert_eq!(part_name(b""), "a part of an open upload");
    }
}
