// SPDX-License-Identifier: Apache-2.0
//! What is kept apart from the tables of an object in parts: that it is one, and of which.
//!
//! ```text
//!   part 1 -> blob, manifest: upload row, part row   (made before anybody knew how it ends)
//!   part 2 -> blob, manifest: upload row, part row
//!   Complete -> note, a blob without units:          version row, parts by uid, small bodies
//!                  \--> adopted in the commit of the version, whose row names it
//! ```
//!
//! The note goes with its version. A version without one, or with one that is lost, is as whole as
//! any other; only tables made anew from files ([`crate::Rebuilder`]) do not know it. So nothing is
//! refused for want of a note. `docs/spec/manifest.md`, ADR 0043.

use std::collections::HashMap;

use strongroom_store::{BlobId, BlobLocation, Write};

use crate::error::Error;
use crate::manifest::{ManifestOf, ManifestTime, NoteRow, NotedPart};
use crate::objects::{Bucket, Objects, random_uid};
use crate::rows::{ChecksumRow, Place, StoredPart, VersionRow};
use crate::table_key::BODIES;

/// An object in parts, as its rows are about to be.
pub(crate) struct Noted<'a> {
    pub bucket: &'a Bucket,
    pub object_key: &'a str,
    /// With the record that it is to have.
    pub row: &'a VersionRow,
    pub parts: &'a [StoredPart],
    pub checksums: Option<&'a ChecksumRow>,
    /// Sealed bodies of its parts that live in the tables, by part uid.
    pub inline: HashMap<[u8; 16], Vec<u8>>,
    pub time: ManifestTime,
}

impl Objects {
    /// Writes the note of an object in parts: where it is, and the write that adopts it. `None`
    /// where the drives cannot take it; the store counts that.
    pub(crate) async fn write_note(
        &self,
        noted: Noted<'_>,
    ) -> Result<Option<(BlobLocation, Write)>, Error> {
        let location = self.blobs().note_location(BlobId(random_uid()?));
        let Some(parts) = noted_parts(noted.parts, noted.inline) else {
            // A part came anew meanwhile; the commit will say so.
            return Ok(None);
        };
        let row = VersionRow {
            note: Some(location),
            ..noted.row.clone()
        };
        let note = NoteRow {
            parts,
            checksums: noted.checksums.cloned(),
        };
        let of = ManifestOf::Note(Box::new(row), Box::new(note));
        let (bucket, name, key) = (noted.bucket, noted.object_key, &noted.row.key);
        let sealed = self.manifest(location.blob, bucket, name, Some(key), of, noted.time)?;
        match self.blobs().write_note(location.blob, sealed).await? {
            Some(proof) if proof.location() == location => {
                Ok(Some((location, Write::AdoptBlob(proof))))
            }
            Some(_) => Err(Error::Internal("a note is not where it was to be")),
            None => Ok(None),
        }
    }

    /// Sealed bodies of parts that live in the tables. Those that are not there are left out.
    pub(crate) fn inline_bodies(
        &self,
        parts: &[StoredPart],
    ) -> Result<HashMap<[u8; 16], Vec<u8>>, Error> {
        let mut bodies = HashMap::new();
        for part in parts {
            if matches!(part.place, Place::Inline)
                && let Some(body) = self.tables().get(BODIES, &part.part_uid)?
            {
                bodies.insert(part.part_uid, body.value);
            }
        }
        Ok(bodies)
    }

    /// The write that takes the note of a version away, if it has one.
    ///
    /// INVARIANT: what goes is a note. The record does not bind where it is, and a row that was
    /// tampered with must not take a body away that other rows stand on: a body has units.
    pub(crate) fn release_note(&self, row: &VersionRow) -> Result<Option<Write>, Error> {
        let Some(note) = row.note else {
            return Ok(None);
        };
        let is_one = note.sealed_bytes == 0
            && self
                .store()
                .catalogued(note.blob)?
                .is_some_and(|entry| entry.location == note);
        Ok(is_one.then_some(Write::ReleaseBlob(note.blob)))
    }
}

/// Parts as a note has them; `None` if a body is missing that it should have.
fn noted_parts(
    parts: &[StoredPart],
    mut inline: HashMap<[u8; 16], Vec<u8>>,
) -> Option<Vec<NotedPart>> {
    let noted = parts.iter().map(|part| {
        Some(match part.place {
            Place::Blob(_) => NotedPart::new(part, None),
            Place::Inline => NotedPart::new(part, Some(inline.remove(&part.part_uid)?)),
        })
    });
    noted.collect()
}
