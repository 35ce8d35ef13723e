// SPDX-License-Identifier: Apache-2.0
//! Whether a manifest and the shards it was found in tell the same.

use strongroom_format::SseMode;
use strongroom_store::blob::SurveyedBlob;

use crate::manifest::{InlinePart, ManifestOf, ManifestRow, NoteRow};
use crate::model::{BucketName, ObjectName};
use crate::pipeline::Layers;
use crate::rows::{Place, StoredPart, VersionRow};

/// `Err` says what does not fit, in words.
pub(crate) fn check(blob: &SurveyedBlob, manifest: &ManifestRow) -> Result<(), &'static str> {
    if BucketName::parse(&manifest.bucket_name).is_err()
        || ObjectName::parse(&manifest.object_key).is_err()
    {
        return Err("its manifest has a name that no object can have");
    }
    let (part, key) = match &manifest.of {
        ManifestOf::Object(row) => {
            let body = row.body.as_ref().filter(|_| row.parts == 0);
            let body = body.ok_or("its manifest names no body")?;
            if row.size != body.plain_len {
                return Err(CONTRADICTS);
            }
            (body, Some(&row.key))
        }
        ManifestOf::Part(upload, part) => (&part.part, Some(&upload.key)),
        ManifestOf::Piece(piece) => (&piece.part, None),
        ManifestOf::Note(row, note) => return check_note(blob, row, note),
    };
    let is_of_upload = !matches!(manifest.of, ManifestOf::Object(_));
    if is_of_upload && part.part_number == 0 {
        return Err("its manifest names no part");
    }
    let layers = match key {
        Some(key) => layers_of(key.mode().map_err(|_| DAMAGED_RECORD)?),
        None => layers_by_header(part),
    };
    if !is_whole(blob, part, layers) {
        return Err("its shards have another length than its manifest says");
    }
    Ok(())
}

fn check_note(blob: &SurveyedBlob, row: &VersionRow, note: &NoteRow) -> Result<(), &'static str> {
    let layers = layers_of(row.key.mode().map_err(|_| DAMAGED_RECORD)?);
    if row.note != Some(blob.location()) || blob.sealed_bytes != 0 {
        return Err("its shards have another length than its manifest says");
    }
    let in_order = note
        .parts
        .is_sorted_by(|a, b| a.part_number < b.part_number);
    let is_right = |inline: &InlinePart, number, uid| {
        let part = &inline.part;
        let bytes = u64::try_from(inline.body.len()).ok();
        matches!(part.place, Place::Inline)
            && (part.part_number, part.part_uid) == (number, uid)
            && layers_by_header(part) == layers
            && layers.sealed_bytes(part.plain_len) == bytes
    };
    let inline_right = note.parts.iter().all(|part| {
        let (number, uid) = (part.part_number, part.part_uid);
        let inline = part.inline.as_ref();
        number > 0 && inline.is_none_or(|inline| is_right(inline, number, uid))
    });
    if note.parts.len() != usize::from(row.parts)
        || row.parts == 0
        || row.body.is_some()
        || !(in_order && inline_right)
    {
        return Err(CONTRADICTS);
    }
    Ok(())
}

/// Whether the parts that were found are those of the object, in its length and its layers.
pub(super) fn are_all_of(row: &VersionRow, parts: &[StoredPart]) -> bool {
    let Ok(mode) = row.key.mode() else {
        return false;
    };
    let size = parts
        .iter()
        .try_fold(0_u64, |sum, part| sum.checked_add(part.plain_len));
    let layers = layers_of(mode);
    size == Some(row.size) && parts.iter().all(|part| layers_by_header(part) == layers)
}

fn layers_of(mode: SseMode) -> Layers {
    match mode {
        SseMode::Dsse => Layers::Two,
        SseMode::S3 | SseMode::Kms | SseMode::C => Layers::One,
    }
}

fn layers_by_header(part: &StoredPart) -> Layers {
    match part.outer_floe_header {
        Some(_) => Layers::Two,
        None => Layers::One,
    }
}

fn is_whole(blob: &SurveyedBlob, part: &StoredPart, layers: Layers) -> bool {
    let is_here = matches!(&part.place, Place::Blob(location) if *location == blob.location());
    is_here
        && layers.sealed_bytes(part.plain_len) == Some(blob.sealed_bytes)
        && layers_by_header(part) == layers
}

const CONTRADICTS: &str = "its manifest contradicts itself";
const DAMAGED_RECORD: &str = "its manifest has a damaged key record";
