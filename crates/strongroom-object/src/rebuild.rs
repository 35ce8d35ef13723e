// SPDX-License-Identifier: Apache-2.0
//! Rows made of manifests, where every table is lost: what comes back, and what does not.
//!
//! ```text
//!   SurveyedBlob -> manifest opens? says the same as the shards? --no--> skipped, named
//!        | yes
//!        v
//!   objects   version row, in the order in which bodies became whole
//!   parts     upload row and part row: an upload that is open again
//!   buckets   the newest account of each; nothing configured, so private
//!   keys      of the key service, those under which something lies
//! ```
//!
//! Nothing is put back that its manifest does not prove: a manifest opens under a key of this
//! store, for this blob, or it is none. What manifests cannot know is told and not guessed:
//! whether something was deleted later, or changed, and whether an upload was completed.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_format::SseMode;
use strongroom_kms::root::Keyring;
use strongroom_kms::{RebuiltKey, RebuiltKeys};
use strongroom_store::BlobId;
use strongroom_store::blob::SurveyedBlob;
use strongroom_store::rebuild::Rebuild;

use crate::error::Error;
use crate::manifest::{ManifestOf, ManifestRow};
use crate::model::{BucketName, ObjectName};
use crate::pipeline::Layers;
use crate::rows::{
    self, BucketRow, PartRowStored, Place, StoredPart, UploadRow, VersionEntry, VersionRow,
};
use crate::table_key::{self, BUCKETS, PARTS, UPLOADS, VERSIONS};

/// Takes in blobs, one after the other.
pub struct Rebuilder<'a> {
    keyring: &'a Keyring,
    cluster_id: [u8; 16],
    bodies: Vec<Body>,
    skipped: Vec<SkippedBlob>,
    missing_shards: u64,
    seen: BTreeSet<BlobId>,
}

/// A body whose manifest is authentic and fits its shards.
struct Body {
    blob: SurveyedBlob,
    manifest: ManifestRow,
}

/// A blob that is not put back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedBlob {
    /// The blob, and the name of its files.
    pub blob: BlobId,
    /// What it is of, where an authentic manifest says so.
    pub of: Option<String>,
    /// Why.
    pub reason: &'static str,
}

/// An upload that is open again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RebuiltUpload {
    /// Its bucket.
    pub bucket: String,
    /// The name of the object to be.
    pub object_key: String,
    /// Its id.
    pub upload_id: String,
    /// Numbers and lengths of its parts.
    pub parts: Vec<(u16, u64)>,
}

/// What comes back.
#[derive(Clone, Debug, Default)]
pub struct RebuildReport {
    /// Buckets.
    pub buckets: Vec<String>,
    /// Versions of objects.
    pub objects: u64,
    /// Bytes of plaintext in them.
    pub object_bytes: u64,
    /// Uploads.
    pub uploads: Vec<RebuiltUpload>,
    /// Keys of the key service.
    pub kms_keys: Vec<RebuiltKey>,
    /// Blobs that are not put back.
    pub skipped: Vec<SkippedBlob>,
    /// Blobs that lack shards and will be healed.
    pub missing_shards: u64,
}

/// Everything that is to be put into tables.
pub struct RebuildPlan {
    report: RebuildReport,
    /// In the order of commits.
    bodies: Vec<PlannedBody>,
    rows: Vec<strongroom_kms::TableRow>,
    first_seq: u64,
}

struct PlannedBody {
    blob: SurveyedBlob,
    rows: Vec<strongroom_kms::TableRow>,
}

impl<'a> Rebuilder<'a> {
    /// For the store of this cluster, whose keys are in this keyring.
    pub fn new(keyring: &'a Keyring, cluster_id: [u8; 16]) -> Self {
        Self {
            keyring,
            cluster_id,
            bodies: Vec::new(),
            skipped: Vec::new(),
            missing_shards: 0,
            seen: BTreeSet::new(),
        }
    }

    /// Takes in a blob that can be read.
    pub fn take(&mut self, mut blob: SurveyedBlob) {
        self.seen.insert(blob.blob);
        let sealed = std::mem::take(&mut blob.manifest);
        match self.read(&blob, &sealed) {
            Ok(manifest) => {
                let lacks = u64::from(blob.missing().next().is_some());
                self.missing_shards = self.missing_shards.saturating_add(lacks);
                self.bodies.push(Body { blob, manifest });
            }
            Err((reason, of)) => self.skipped.push(SkippedBlob {
                blob: blob.blob,
                of,
                reason,
            }),
        }
    }

    /// Takes in a blob that several accounts are given of, each by shards that would do: the one with
    /// a manifest that is authentic and says the same as its shards, if there is one such.
    pub fn take_one_of(&mut self, accounts: Vec<SurveyedBlob>) {
        let Some(blob) = accounts.first().map(|account| account.blob) else {
            return;
        };
        let fits = |account: &SurveyedBlob| self.read(account, &account.manifest).is_ok();
        let mut right: Vec<_> = accounts.into_iter().filter(fits).collect();
        match (right.pop(), right.is_empty()) {
            (Some(account), true) => self.take(account),
            _ => self.skip_unless_seen(blob, "its shards tell different stories"),
        }
    }

    /// A blob that was found and cannot be read.
    pub fn skip(&mut self, blob: &SurveyedBlob, reason: &'static str) {
        self.seen.insert(blob.blob);
        let manifest = self.read(blob, &blob.manifest);
        self.skipped.push(SkippedBlob {
            blob: blob.blob,
            of: manifest.map_or_else(|(_, of)| of, |manifest| Some(manifest.name())),
            reason,
        });
    }

    /// A blob of which some file was found that says nothing: it is skipped if no other does.
    pub fn skip_unless_seen(&mut self, blob: BlobId, reason: &'static str) {
        if self.seen.insert(blob) {
            let of = None;
            self.skipped.push(SkippedBlob { blob, of, reason });
        }
    }

    fn read(
        &self,
        blob: &SurveyedBlob,
        sealed: &[u8],
    ) -> Result<ManifestRow, (&'static str, Option<String>)> {
        if sealed.is_empty() {
            return Err(("it has no manifest", None));
        }
        let opened = self
            .keyring
            .open_manifest(&self.cluster_id, &blob.blob.0, sealed);
        let content = opened.map_err(|_| ("its manifest is not authentic", None))?;
        let manifest: ManifestRow = rows::decode(&content, "manifest")
            .map_err(|_| ("its manifest does not parse", None))?;
        match check(blob, &manifest) {
            Ok(()) => Ok(manifest),
            Err(reason) => Err((reason, Some(manifest.name()))),
        }
    }

    /// Decides what comes back.
    pub fn plan(self) -> Result<RebuildPlan, Error> {
        let mut report = RebuildReport {
            skipped: self.skipped,
            missing_shards: self.missing_shards,
            ..RebuildReport::default()
        };
        let mut bodies = self.bodies;
        bodies.sort_by_key(Body::order);
        // Far behind everything that the lost tables may have committed: what was sealed in their
        // name is not sealed again under the same keys.
        let highest = bodies.iter().map(|body| body.manifest.after_seq).max();
        let first_seq = highest.unwrap_or(0).saturating_add(SEQ_GAP);
        let buckets = newest_buckets(&bodies);
        let mut keys = RebuiltKeys::default();
        let mut kept = Vec::with_capacity(bodies.len());
        for body in bodies {
            let bucket = buckets.get(&body.manifest.bucket_name);
            if bucket.is_none_or(|bucket| bucket.uid != body.manifest.bucket.uid) {
                report.skip(
                    &body,
                    "its bucket was deleted, and made again under that name",
                );
                continue;
            }
            if let Some(key) = &body.manifest.kms_key {
                keys.add(key, body.manifest.after_seq).map_err(Error::Kms)?;
            }
            kept.push(body);
        }
        let kept = only_newest(kept, &mut report);
        let planned = plan_bodies(kept, first_seq, &mut report)?;
        let mut rows = Vec::new();
        for (name, bucket) in buckets {
            rows.push((BUCKETS, name.clone().into_bytes(), rows::encode(&bucket)?));
            report.buckets.push(name);
        }
        let (key_rows, rebuilt) = keys.rows().map_err(Error::Kms)?;
        rows.extend(key_rows);
        report.kms_keys = rebuilt;
        Ok(RebuildPlan {
            report,
            bodies: planned,
            rows,
            first_seq,
        })
    }
}

impl RebuildPlan {
    /// What comes back.
    pub fn report(&self) -> &RebuildReport {
        &self.report
    }

    /// Puts everything into tables; how many rows there are.
    pub fn put(self, mut tables: Rebuild) -> Result<u64, Error> {
        let mut seq = self.first_seq;
        for body in &self.bodies {
            for (table, key, value) in &body.rows {
                tables.row(*table, key, seq, value)?;
            }
            tables.blob(&body.blob, seq)?;
            seq = seq.saturating_add(1);
        }
        for (table, key, value) in &self.rows {
            tables.row(*table, key, seq, value)?;
            seq = seq.saturating_add(1);
        }
        Ok(tables.finish(seq)?)
    }
}

impl RebuildReport {
    fn skip(&mut self, body: &Body, reason: &'static str) {
        self.skipped.push(SkippedBlob {
            blob: body.blob.blob,
            of: Some(body.manifest.name()),
            reason,
        });
    }
}

impl Body {
    /// Bodies that became whole one after the other come in that order, whatever the clock said;
    /// the clock decides between those that were written at once.
    fn order(&self) -> (u64, u64, BlobId) {
        let written_ms = match &self.manifest.of {
            ManifestOf::Object(row) => row.created_ms,
            ManifestOf::Part(_, part) => part.modified_ms,
        };
        (self.manifest.after_seq, written_ms, self.blob.blob)
    }

    /// What only one body can be: the null version of a name, a part of an upload.
    fn only_one(&self) -> Option<OnlyOne> {
        match &self.manifest.of {
            ManifestOf::Object(row) => row.null_version.then(|| {
                OnlyOne::NullVersion(self.manifest.bucket.uid, self.manifest.object_key.clone())
            }),
            ManifestOf::Part(upload, part) => {
                Some(OnlyOne::Part(upload.upload_uid, part.part.part_number))
            }
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum OnlyOne {
    NullVersion([u8; 16], String),
    Part([u8; 16], u16),
}

impl ManifestRow {
    /// What the body is of, for reports.
    fn name(&self) -> String {
        let name = format!("s3://{}/{}", self.bucket_name, self.object_key);
        match &self.of {
            ManifestOf::Object(_) => name,
            ManifestOf::Part(_, part) => format!("{name}, part {}", part.part.part_number),
        }
    }
}

/// Whether a manifest and the shards it was found in tell the same.
pub(crate) fn check(blob: &SurveyedBlob, manifest: &ManifestRow) -> Result<(), &'static str> {
    let (part, key) = match &manifest.of {
        ManifestOf::Object(row) => {
            let body = row.body.as_ref().filter(|_| row.parts == 0);
            let body = body.ok_or("its manifest names no body")?;
            if row.size != body.plain_len {
                return Err("its manifest contradicts itself");
            }
            (body, &row.key)
        }
        ManifestOf::Part(upload, part) => {
            if part.part.part_number == 0 {
                return Err("its manifest names no part");
            }
            (&part.part, &upload.key)
        }
    };
    if BucketName::parse(&manifest.bucket_name).is_err()
        || ObjectName::parse(&manifest.object_key).is_err()
    {
        return Err("its manifest has a name that no object can have");
    }
    let mode = key.mode();
    let mode = mode.map_err(|_| "its manifest has a damaged key record")?;
    if !is_whole(blob, part, mode) {
        return Err("its shards have another length than its manifest says");
    }
    Ok(())
}

fn is_whole(blob: &SurveyedBlob, part: &StoredPart, mode: SseMode) -> bool {
    let layers = match mode {
        SseMode::Dsse => Layers::Two,
        SseMode::S3 | SseMode::Kms | SseMode::C => Layers::One,
    };
    let is_here = matches!(&part.place, Place::Blob(location) if *location == blob.location());
    is_here
        && layers.sealed_bytes(part.plain_len) == Some(blob.sealed_bytes)
        && (layers == Layers::Two) == part.outer_floe_header.is_some()
}

/// Each bucket as the newest body in it tells of it; of two that had one name, the newer.
fn newest_buckets(in_order: &[Body]) -> BTreeMap<String, BucketRow> {
    let mut buckets: BTreeMap<String, BucketRow> = BTreeMap::new();
    for body in in_order {
        let manifest = &body.manifest;
        buckets.insert(manifest.bucket_name.clone(), manifest.bucket.clone());
    }
    buckets
}

/// Leaves out what was replaced: files of such bodies are there when a drive was away, or a crash
/// came, while they were removed.
fn only_newest(in_order: Vec<Body>, report: &mut RebuildReport) -> Vec<Body> {
    let mut newest: BTreeMap<OnlyOne, BlobId> = BTreeMap::new();
    for body in &in_order {
        if let Some(only) = body.only_one() {
            newest.insert(only, body.blob.blob);
        }
    }
    let is_newest = |body: &Body| {
        let only = body.only_one();
        only.is_none_or(|only| newest.get(&only) == Some(&body.blob.blob))
    };
    let (kept, replaced): (Vec<_>, Vec<_>) = in_order.into_iter().partition(is_newest);
    for body in &replaced {
        report.skip(body, "a newer one took its place");
    }
    kept
}

/// The rows of each body, at its place in the order of commits.
fn plan_bodies(
    in_order: Vec<Body>,
    first_seq: u64,
    report: &mut RebuildReport,
) -> Result<Vec<PlannedBody>, Error> {
    // Where the null version of each name stands, for the entries in front of it.
    let mut nulls: BTreeMap<([u8; 16], String), u64> = BTreeMap::new();
    let mut uploads: BTreeMap<[u8; 16], RebuiltUpload> = BTreeMap::new();
    let mut planned = Vec::with_capacity(in_order.len());
    for (stamp, body) in (first_seq..).zip(in_order) {
        let ManifestRow {
            bucket_name,
            bucket,
            object_key,
            of,
            ..
        } = body.manifest;
        let rows = match of {
            ManifestOf::Object(mut row) => {
                report.objects = report.objects.saturating_add(1);
                report.object_bytes = report.object_bytes.saturating_add(row.size);
                let name = (bucket.uid, object_key.clone());
                row.null_at = None;
                if row.null_version {
                    nulls.insert(name, stamp);
                } else {
                    row.null_at = nulls.get(&name).copied();
                }
                vec![version_row(&bucket, &object_key, stamp, row)?]
            }
            ManifestOf::Part(upload, part) => {
                let told = uploads
                    .entry(upload.upload_uid)
                    .or_insert_with(|| RebuiltUpload {
                        bucket: bucket_name.clone(),
                        object_key: object_key.clone(),
                        upload_id: hex::encode(upload.upload_uid),
                        parts: Vec::new(),
                    });
                told.parts
                    .push((part.part.part_number, part.part.plain_len));
                upload_rows(&bucket, &object_key, &upload, &part)?
            }
        };
        planned.push(PlannedBody {
            blob: body.blob,
            rows,
        });
    }
    report.uploads = uploads.into_values().collect();
    for upload in &mut report.uploads {
        upload.parts.sort_unstable();
    }
    Ok(planned)
}

fn version_row(
    bucket: &BucketRow,
    object_key: &str,
    stamp: u64,
    row: Box<VersionRow>,
) -> Result<strongroom_kms::TableRow, Error> {
    let key = table_key::version(&bucket.uid, object_key, stamp);
    let value = rows::encode(&VersionEntry::Object(row))?;
    Ok((VERSIONS, key, value))
}

/// The upload's row comes with each of its parts: the last one stays.
fn upload_rows(
    bucket: &BucketRow,
    object_key: &str,
    upload: &UploadRow,
    part: &PartRowStored,
) -> Result<Vec<strongroom_kms::TableRow>, Error> {
    let uid = &upload.upload_uid;
    Ok(vec![
        (
            UPLOADS,
            table_key::upload(&bucket.uid, object_key, uid),
            rows::encode(upload)?,
        ),
        (
            PARTS,
            table_key::part(uid, part.part.part_number),
            rows::encode(part)?,
        ),
    ])
}

/// What one body alone would come back as.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn planned_alone(blob: SurveyedBlob, manifest: ManifestRow) -> Result<usize, Error> {
    let body = Body { blob, manifest };
    let planned = plan_bodies(vec![body], 1, &mut RebuildReport::default())?;
    Ok(planned.len())
}

impl std::fmt::Debug for Rebuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuilder")
            .field("bodies", &self.bodies.len())
            .field("skipped", &self.skipped.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RebuildPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RebuildPlan")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// More commits than a store makes between the last body and the loss of its tables.
const SEQ_GAP: u64 = 1 << 32;
