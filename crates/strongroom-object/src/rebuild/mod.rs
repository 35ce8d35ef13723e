// SPDX-License-Identifier: Apache-2.0
//! Rows made of manifests, where every table is lost: what comes back, and what does not.
//!
//! ```text
//!   SurveyedBlob -> manifest opens? says the same as the shards? --no--> skipped, named (check.rs)
//!        | yes
//!        v                    what belongs together: bodies and notes       (assemble.rs)
//!   objects   version row, part table, in the order in which bodies became whole
//!   parts     of no object: an upload that is open again
//!   buckets   the newest account of each; nothing configured, so private
//!   keys      of the key service, those under which something lies
//! ```
//!
//! Nothing is put back that its manifest does not prove: a manifest opens under a key of this
//! store, for this blob, or it is none. What manifests cannot know is told and not guessed:
//! whether something was deleted later, or changed.

mod assemble;
mod check;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_kms::root::Keyring;
use strongroom_kms::{RebuiltKey, RebuiltKeys};
use strongroom_store::BlobId;
use strongroom_store::blob::SurveyedBlob;
use strongroom_store::rebuild::Rebuild;

use self::assemble::{Table, Thing, ThingOf, assemble, skip};
pub(crate) use self::check::check;
use crate::error::Error;
use crate::manifest::ManifestRow;
use crate::rows::{
    self, BucketRow, PartRowStored, UploadRow, VersionEntry, VersionRow, Versioning,
};
use crate::table_key::{self, BODIES, BUCKETS, PART_TABLES, PARTS, UPLOADS, VERSIONS};

/// Takes in blobs, one after the other.
pub struct Rebuilder<'a> {
    keyring: &'a Keyring,
    cluster_id: [u8; 16],
    bodies: Vec<Body>,
    skipped: Vec<SkippedBlob>,
    missing_shards: u64,
    seen: BTreeSet<BlobId>,
    drives_away: usize,
    /// Files of each blob that are damaged.
    damaged_files: BTreeMap<BlobId, usize>,
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
    /// What is back although it may have been deleted: files of it are gone that neither damage
    /// nor a drive that is away explains.
    pub possible_returns: Vec<PossibleReturn>,
    /// Buckets that keep versions: names that a delete marker hid are visible again.
    pub without_markers: Vec<String>,
}

/// Something that is back and may have been deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PossibleReturn {
    /// What it is.
    pub of: String,
    /// Files of it that were found.
    pub files: usize,
    /// Files that it had.
    pub files_once: usize,
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
    blobs: Vec<SurveyedBlob>,
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
            drives_away: 0,
            damaged_files: BTreeMap::new(),
        }
    }

    /// How many drives of the cluster were not looked at: as many shards of each blob may be there.
    pub fn drives_away(&mut self, drives: usize) {
        self.drives_away = drives;
    }

    /// A file that should be a shard of a blob is damaged: it was not removed.
    pub fn damaged_file(&mut self, blob: BlobId) {
        let files = self.damaged_files.entry(blob).or_default();
        *files = files.saturating_add(1);
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
        let highest = bodies.iter().map(|body| body.manifest.written()).max();
        let first_seq = highest.unwrap_or(0).saturating_add(SEQ_GAP);
        let buckets = newest_buckets(&bodies);
        let mut keys = RebuiltKeys::default();
        let things = assemble(bodies, &mut report.skipped);
        let mut kept = Vec::with_capacity(things.len());
        for thing in things {
            let bucket = buckets.get(&thing.head.bucket_name);
            if bucket.is_none_or(|bucket| bucket.uid != thing.head.bucket.uid) {
                report.skip(
                    &thing,
                    "its bucket was deleted, and made again under that name",
                );
                continue;
            }
            if let Some(key) = &thing.head.kms_key {
                keys.add(key, thing.head.written_after)
                    .map_err(Error::Kms)?;
            }
            kept.push(thing);
        }
        let kept = only_newest(kept, &mut report);
        for thing in &kept {
            let unexplained = |blob: &SurveyedBlob| {
                let damaged = self.damaged_files.get(&blob.blob).copied().unwrap_or(0);
                blob.missing().count() > damaged.saturating_add(self.drives_away)
            };
            if thing.blobs.iter().any(unexplained) {
                report.possible_returns.push(PossibleReturn::of(thing));
            }
        }
        let planned = plan_things(kept, first_seq, &mut report)?;
        let mut rows = Vec::new();
        for (name, bucket) in buckets {
            rows.push((BUCKETS, name.clone().into_bytes(), rows::encode(&bucket)?));
            if bucket.versioning != Versioning::Off {
                report.without_markers.push(name.clone());
            }
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
            for blob in &body.blobs {
                tables.blob(blob, seq)?;
            }
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
    fn skip(&mut self, thing: &Thing, reason: &'static str) {
        for blob in &thing.blobs {
            skip(&mut self.skipped, blob, &thing.name(), reason);
        }
    }
}

impl PossibleReturn {
    fn of(thing: &Thing) -> Self {
        let (mut files, mut files_once) = (0_usize, 0_usize);
        for blob in &thing.blobs {
            let shards = usize::from(blob.layout.redundancy().shards());
            files_once = files_once.saturating_add(shards);
            let missing = blob.missing().count();
            files = files.saturating_add(shards.saturating_sub(missing));
        }
        Self {
            of: thing.name(),
            files,
            files_once,
        }
    }
}

/// What only one thing can be: the null version of a name, a part of an upload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum OnlyOne {
    NullVersion([u8; 16], String),
    Part([u8; 16], u16),
}

impl Thing {
    fn only_one(&self) -> Option<OnlyOne> {
        match &self.of {
            ThingOf::Object(row, _) => row
                .null_version
                .then(|| OnlyOne::NullVersion(self.head.bucket.uid, self.head.object_key.clone())),
            ThingOf::Part(upload, part) => {
                Some(OnlyOne::Part(upload.upload_uid, part.part.part_number))
            }
        }
    }
}

/// Each bucket as the manifest tells of it that was made last; of two that had one name, the newer.
fn newest_buckets(bodies: &[Body]) -> BTreeMap<String, BucketRow> {
    let mut by_age: Vec<&Body> = bodies.iter().collect();
    by_age.sort_by_key(|body| (body.manifest.written(), body.order()));
    let accounts = by_age.into_iter().map(|body| {
        let manifest = &body.manifest;
        (manifest.bucket_name.clone(), manifest.bucket.clone())
    });
    accounts.collect()
}

/// Leaves out what was replaced: files of such bodies are there when a drive was away, or a crash
/// came, while they were removed.
fn only_newest(in_order: Vec<Thing>, report: &mut RebuildReport) -> Vec<Thing> {
    let mut newest = BTreeMap::new();
    for thing in &in_order {
        if let Some(only) = thing.only_one() {
            newest.insert(only, thing.head.order);
        }
    }
    let is_newest = |thing: &Thing| {
        let only = thing.only_one();
        only.is_none_or(|only| newest.get(&only) == Some(&thing.head.order))
    };
    let (kept, replaced): (Vec<_>, Vec<_>) = in_order.into_iter().partition(is_newest);
    for thing in &replaced {
        report.skip(thing, "a newer one took its place");
    }
    kept
}

/// The rows of each thing, at its place in the order of commits.
fn plan_things(
    in_order: Vec<Thing>,
    first_seq: u64,
    report: &mut RebuildReport,
) -> Result<Vec<PlannedBody>, Error> {
    // Where the null version of each name stands, for the entries in front of it.
    let mut nulls: BTreeMap<([u8; 16], String), u64> = BTreeMap::new();
    let mut uploads: BTreeMap<[u8; 16], RebuiltUpload> = BTreeMap::new();
    let mut planned = Vec::with_capacity(in_order.len());
    for (stamp, thing) in (first_seq..).zip(in_order) {
        let Thing { head, of, blobs } = thing;
        let (bucket, object_key) = (&head.bucket, &head.object_key);
        let rows = match of {
            ThingOf::Object(mut row, table) => {
                report.objects = report.objects.saturating_add(1);
                report.object_bytes = report.object_bytes.saturating_add(row.size);
                let name = (bucket.uid, object_key.clone());
                row.null_at = None;
                if row.null_version {
                    nulls.insert(name, stamp);
                } else {
                    row.null_at = nulls.get(&name).copied();
                }
                version_rows(bucket, object_key, stamp, row, table)?
            }
            ThingOf::Part(upload, part) => {
                let told = uploads
                    .entry(upload.upload_uid)
                    .or_insert_with(|| RebuiltUpload {
                        bucket: head.bucket_name.clone(),
                        object_key: object_key.clone(),
                        upload_id: hex::encode(upload.upload_uid),
                        parts: Vec::new(),
                    });
                told.parts
                    .push((part.part.part_number, part.part.plain_len));
                upload_rows(bucket, object_key, &upload, &part)?
            }
        };
        planned.push(PlannedBody { blobs, rows });
    }
    report.uploads = uploads.into_values().collect();
    for upload in &mut report.uploads {
        upload.parts.sort_unstable();
    }
    Ok(planned)
}

/// An object's row, and of one in parts their table and the bodies that are in no file of their own.
fn version_rows(
    bucket: &BucketRow,
    object_key: &str,
    stamp: u64,
    row: Box<VersionRow>,
    table: Option<Table>,
) -> Result<Vec<strongroom_kms::TableRow>, Error> {
    let mut rows = Vec::new();
    if let Some(Table { row: parts, inline }) = table {
        let key = row.version_uid.to_vec();
        rows.push((PART_TABLES, key, rows::encode(&parts)?));
        let bodies = inline.into_iter();
        rows.extend(bodies.map(|(uid, body)| (BODIES, uid.to_vec(), body)));
    }
    let key = table_key::version(&bucket.uid, object_key, stamp);
    rows.push((VERSIONS, key, rows::encode(&VersionEntry::Object(row))?));
    Ok(rows)
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
    let things = assemble(vec![Body { blob, manifest }], &mut Vec::new());
    let planned = plan_things(things, 1, &mut RebuildReport::default())?;
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
