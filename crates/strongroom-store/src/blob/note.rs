// SPDX-License-Identifier: Apache-2.0
//! A blob without units: its manifest, whole in every shard, and nothing else.
//!
//! ```text
//!   blob 4+2, S = 0      each of six files: header, manifest, trailer
//! ```
//!
//! It is in the catalogue like any other, and so is scrubbed, healed and released as they are. Any
//! one of its shards tells all that it says. There is no unit in it that a sealer could have been
//! asked for; what its manifest says was sealed by whoever made that.

use std::sync::Arc;

use super::Inner;
use super::flow::Flow;
use super::write::BlobProof;
use crate::error::Error;
use crate::layout::{BlobId, BlobPolicy, NOTE_BYTES_MAX};

pub(super) async fn write(
    blobs: &Arc<Inner>,
    blob: BlobId,
    manifest: Vec<u8>,
) -> Result<BlobProof, Error> {
    if manifest.is_empty() {
        return Err(Error::Misuse {
            what: "a note that says nothing",
        });
    }
    if !u32::try_from(manifest.len()).is_ok_and(|bytes| bytes <= NOTE_BYTES_MAX) {
        return Err(Error::TooLarge { what: "the note" });
    }
    let writing = blobs.begin(blob, blobs.options.layout, BlobPolicy::Standard)?;
    Flow::new(Arc::clone(blobs), writing).finish(manifest).await
}

/// Nothing stands on a note while there are tables: what it belongs to is not to fail with it.
pub(super) fn or_left_out(written: Result<BlobProof, Error>) -> Result<Option<BlobProof>, Error> {
    match written {
        Ok(proof) => Ok(Some(proof)),
        Err(
            error @ (Error::NoSpace { .. } | Error::TooFewDrives { .. } | Error::TooLarge { .. }),
        ) => {
            metrics::counter!("strongroom_manifests_left_out_total").increment(1);
            tracing::warn!(%error, "a note is left out: tables made anew from files would not know what it tells");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
