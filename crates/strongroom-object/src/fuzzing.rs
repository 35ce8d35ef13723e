// SPDX-License-Identifier: Apache-2.0
//! Entry points for fuzzing: any bytes may be given.

use strongroom_kms::RebuiltKeys;
use strongroom_store::BlobId;
use strongroom_store::blob::SurveyedBlob;
use strongroom_store::drive::DriveNo;
use strongroom_store::erasure::StripeLayout;
use strongroom_store::layout::{BlobPolicy, UnitLayout};

use crate::manifest::{ManifestOf, ManifestRow};
use crate::rebuild::{self, check};
use crate::rows::{self, Place};

/// Takes `bytes` for what was under the seal of a manifest, in the file of a blob that the manifest
/// fits if it fits any.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = rows::decode::<ManifestRow>(bytes, "manifest") else {
        return;
    };
    let place = match &manifest.of {
        ManifestOf::Object(row) => row.body.as_ref().map(|body| body.place.clone()),
        ManifestOf::Part(_, part) => Some(part.part.place.clone()),
        ManifestOf::Piece(piece) => Some(piece.part.place.clone()),
        ManifestOf::Note(row, _) => row.note.map(Place::Blob),
    };
    let mut blob = SurveyedBlob {
        blob: BlobId([0; 16]),
        sealed_bytes: 0,
        layout: StripeLayout::single(UnitLayout::PRODUCT),
        policy: BlobPolicy::Standard,
        manifest: Vec::new(),
        drives: vec![vec![DriveNo::FIRST]],
    };
    if let Some(Place::Blob(location)) = place {
        blob.blob = location.blob;
        blob.sealed_bytes = location.sealed_bytes;
        blob.layout = StripeLayout::single(location.layout);
    }
    if check(&blob, &manifest).is_err() {
        return;
    }
    if let Some(key) = &manifest.kms_key {
        let mut keys = RebuiltKeys::default();
        if keys.add(key, manifest.after_seq).is_ok() {
            assert!(keys.rows().is_ok());
        }
    }
    assert!(rebuild::planned_alone(blob, manifest).is_ok());
}

#[cfg(test)]
mod tests {
    /// Replays the seed corpus, and short, cut and changed forms of every seed.
    #[test]
    fn manifest() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/manifest");
        let mut seeds = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            super::manifest(&seed);
            for at in 0..seed.len() {
                super::manifest(&seed[..at]);
                let mut changed = seed.clone();
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    changed[at] = value;
                    super::manifest(&changed);
                }
            }
            seeds += 1;
        }
        assert!(seeds >= 9, "{dir}");
    }
}
