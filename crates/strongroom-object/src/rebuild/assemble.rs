// SPDX-License-Identifier: Apache-2.0
//! From bodies to what they are of: one body is an object, or many and a note are, or a part is one
//! of an upload that is open.
//!
//! ```text
//!   note: parts 1, 2, 3 by uid
//!           |   |   \--> small: its body is in the note
//!           |   \------> a blob that it was moved to, of this version
//!           \----------> the blob that it was uploaded into
//!   all there --> an object        one is not --> none: what was uploaded is an open upload
//! ```

use std::collections::{BTreeMap, BTreeSet};

use strongroom_store::BlobId;
use strongroom_store::blob::SurveyedBlob;

use super::check::are_all_of;
use super::{Body, SkippedBlob};
use crate::manifest::{ManifestOf, ManifestRow, NoteRow, PieceRow};
use crate::rows::{BucketRow, PartRowStored, PartTableRow, StoredPart, UploadRow, VersionRow};

/// What comes back as one.
pub(super) struct Thing {
    /// The manifest that tells of it, without what it is of.
    pub head: Head,
    pub of: ThingOf,
    /// All blobs that it has, that of `head` first.
    pub blobs: Vec<SurveyedBlob>,
}

/// Where it belongs.
pub(super) struct Head {
    pub bucket_name: String,
    pub bucket: BucketRow,
    pub object_key: String,
    pub order: Order,
    pub written_after: u64,
    pub kms_key: Option<Vec<u8>>,
}

/// Last commit before, time, blob: see [`Body::order`].
pub(super) type Order = (u64, u64, BlobId);

pub(super) enum ThingOf {
    Object(Box<VersionRow>, Option<Table>),
    Part(Box<UploadRow>, Box<PartRowStored>),
}

/// The rows of an object in parts besides its own.
pub(super) struct Table {
    pub row: PartTableRow,
    /// Sealed bodies that live in the tables, by part uid.
    pub inline: Vec<([u8; 16], Vec<u8>)>,
}

type Uid = [u8; 16];

/// Bodies of parts, until an object takes them.
#[derive(Default)]
struct Loose {
    /// By uid: as they were uploaded.
    parts: BTreeMap<Uid, Body>,
    /// By version and uid: where they were moved to, the last account last.
    pieces: BTreeMap<(Uid, Uid), Vec<Body>>,
}

/// Puts together what belongs together, in the order of commits.
pub(super) fn assemble(bodies: Vec<Body>, skipped: &mut Vec<SkippedBlob>) -> Vec<Thing> {
    let (versions, mut loose) = sorted_out(bodies, skipped);
    let mut in_order: Vec<_> = versions.into_values().collect();
    in_order.sort_by_key(Body::order);
    let mut things = Vec::new();
    let (mut whole, mut ended) = (BTreeSet::new(), BTreeSet::new());
    // Of two that name the same parts the newer has them: the other came to nothing.
    for body in in_order.into_iter().rev() {
        let Body { blob, manifest } = body;
        let name = manifest.name();
        let (head, of) = Head::new(manifest, blob.blob);
        match of {
            ManifestOf::Object(row) => things.push(Thing {
                head,
                of: ThingOf::Object(row, None),
                blobs: vec![blob],
            }),
            ManifestOf::Note(row, note) => match loose.take(&row, &note) {
                Some((table, parts)) => {
                    whole.insert(row.version_uid);
                    // A copy has the id of its source, whose upload it did not end.
                    if row.shows_parts().unwrap_or(false) {
                        ended.insert(row.odi);
                    }
                    let blobs = std::iter::once(blob).chain(parts).collect();
                    let of = ThingOf::Object(row, Some(table));
                    things.push(Thing { head, of, blobs });
                }
                None => skip(skipped, &blob, &name, NOT_ALL_THERE),
            },
            ManifestOf::Part(..) | ManifestOf::Piece(_) => {}
        }
    }
    for ((version, _), accounts) in loose.pieces {
        let reason = if whole.contains(&version) {
            MOVED
        } else {
            NOT_WHOLE
        };
        for body in accounts {
            skip(skipped, &body.blob, &body.manifest.name(), reason);
        }
    }
    for Body { blob, manifest } in loose.parts.into_values() {
        let name = manifest.name();
        let (head, of) = Head::new(manifest, blob.blob);
        if let ManifestOf::Part(upload, part) = of {
            if ended.contains(&upload.odi) {
                skip(skipped, &blob, &name, NOT_CHOSEN);
                continue;
            }
            things.push(Thing {
                head,
                of: ThingOf::Part(upload, part),
                blobs: vec![blob],
            });
        }
    }
    things.sort_by_key(|thing| thing.head.order);
    things
}

/// One account of each version, its body or its note, and the bodies of parts.
fn sorted_out(bodies: Vec<Body>, skipped: &mut Vec<SkippedBlob>) -> (BTreeMap<Uid, Body>, Loose) {
    let mut loose = Loose::default();
    let mut versions: BTreeMap<Uid, Body> = BTreeMap::new();
    for body in bodies {
        match &body.manifest.of {
            ManifestOf::Object(row) | ManifestOf::Note(row, _) => {
                let uid = row.version_uid;
                // Where a body was moved from, or a note stood before.
                let older = match versions.remove(&uid) {
                    Some(other) if other.written() > body.written() => {
                        versions.insert(uid, other);
                        Some(body)
                    }
                    other => {
                        versions.insert(uid, body);
                        other
                    }
                };
                if let Some(older) = older {
                    skip(skipped, &older.blob, &older.manifest.name(), MOVED);
                }
            }
            ManifestOf::Part(_, part) => {
                loose.parts.insert(part.part.part_uid, body);
            }
            ManifestOf::Piece(piece) => {
                let of = (piece.version_uid, piece.part.part_uid);
                let accounts = loose.pieces.entry(of).or_default();
                accounts.push(body);
                accounts.sort_by_key(Body::written);
            }
        }
    }
    (versions, loose)
}

impl Loose {
    /// Takes the parts of an object out, if all are there.
    fn take(&mut self, row: &VersionRow, note: &NoteRow) -> Option<(Table, Vec<SurveyedBlob>)> {
        let mut parts: Vec<StoredPart> = Vec::with_capacity(note.parts.len());
        for noted in &note.parts {
            let part = match &noted.inline {
                Some(inline) => Some(&inline.part),
                None => self.find(row, &noted.part_uid),
            };
            parts.push(
                part.filter(|part| part.part_number == noted.part_number)?
                    .clone(),
            );
        }
        if !are_all_of(row, &parts) {
            return None;
        }
        let mut blobs = Vec::new();
        let mut inline = Vec::new();
        for noted in &note.parts {
            match &noted.inline {
                Some(of) => inline.push((noted.part_uid, of.body.clone())),
                None => blobs.push(self.remove(row, &noted.part_uid)?),
            }
        }
        let row = PartTableRow {
            parts,
            checksums: note.checksums.clone(),
        };
        Some((Table { row, inline }, blobs))
    }

    fn find(&self, row: &VersionRow, uid: &Uid) -> Option<&StoredPart> {
        let pieces = self.pieces.get(&(row.version_uid, *uid));
        if let Some(piece) = pieces.and_then(|accounts| accounts.last()) {
            return piece.manifest.of.piece().map(|piece| &piece.part);
        }
        match &self.parts.get(uid)?.manifest.of {
            ManifestOf::Part(upload, part) if upload.odi == row.odi => Some(&part.part),
            _ => None,
        }
    }

    fn remove(&mut self, row: &VersionRow, uid: &Uid) -> Option<SurveyedBlob> {
        if let Some(accounts) = self.pieces.get_mut(&(row.version_uid, *uid))
            && let Some(body) = accounts.pop()
        {
            return Some(body.blob);
        }
        self.parts.remove(uid).map(|body| body.blob)
    }
}

impl Head {
    fn new(manifest: ManifestRow, blob: BlobId) -> (Self, ManifestOf) {
        let order = manifest.order(blob);
        let head = Self {
            written_after: manifest.written(),
            bucket_name: manifest.bucket_name,
            bucket: manifest.bucket,
            object_key: manifest.object_key,
            order,
            kms_key: manifest.kms_key,
        };
        (head, manifest.of)
    }
}

impl Thing {
    /// What it is, for reports.
    pub(super) fn name(&self) -> String {
        let name = format!("s3://{}/{}", self.head.bucket_name, self.head.object_key);
        match &self.of {
            ThingOf::Object(..) => name,
            ThingOf::Part(_, part) => format!("{name}, part {}", part.part.part_number),
        }
    }
}

impl ManifestRow {
    /// What the body is of, for reports.
    pub(super) fn name(&self) -> String {
        let name = format!("s3://{}/{}", self.bucket_name, self.object_key);
        match &self.of {
            ManifestOf::Object(_) => name,
            ManifestOf::Part(_, part) => format!("{name}, part {}", part.part.part_number),
            ManifestOf::Piece(piece) => format!("{name}, part {}", piece.part.part_number),
            ManifestOf::Note(..) => format!("{name}, that it is an object in parts"),
        }
    }

    /// The last commit before it was made: of two accounts of one thing the later counts.
    pub(super) fn written(&self) -> u64 {
        self.written_after.unwrap_or(self.after_seq)
    }

    fn order(&self, blob: BlobId) -> Order {
        let written_ms = match &self.of {
            ManifestOf::Object(row) | ManifestOf::Note(row, _) => row.created_ms,
            ManifestOf::Part(_, part) => part.modified_ms,
            ManifestOf::Piece(_) => 0,
        };
        (self.after_seq, written_ms, blob)
    }
}

impl ManifestOf {
    fn piece(&self) -> Option<&PieceRow> {
        match self {
            Self::Piece(piece) => Some(piece),
            Self::Object(_) | Self::Part(..) | Self::Note(..) => None,
        }
    }
}

impl Body {
    /// Bodies that became whole one after the other come in that order, whatever the clock said;
    /// the clock decides between those that were written at once.
    pub(super) fn order(&self) -> Order {
        self.manifest.order(self.blob.blob)
    }

    fn written(&self) -> (u64, BlobId) {
        (self.manifest.written(), self.blob.blob)
    }
}

pub(super) fn skip(
    skipped: &mut Vec<SkippedBlob>,
    blob: &SurveyedBlob,
    name: &str,
    reason: &'static str,
) {
    skipped.push(SkippedBlob {
        blob: blob.blob,
        of: Some(name.to_owned()),
        reason,
    });
}

const MOVED: &str = "it was moved since, and is back from there";
const NOT_ALL_THERE: &str = "some of its parts are not there";
const NOT_WHOLE: &str = "a part of an object of which not all is there, or that was deleted";
const NOT_CHOSEN: &str = "it was left out when its upload was completed";
