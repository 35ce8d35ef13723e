// SPDX-License-Identifier: Apache-2.0
//! Sealed bytes that go over into another blob, because another class is kept otherwise.
//!
//! ```text
//!   part -> blob A, STANDARD's code       part -> blob B, the archives' code
//!           sealed units  ------ as they are ------>  the same sealed units
//! ```
//!
//! No key is asked for and nothing is opened. What the bytes are bound to (object-data id, part,
//! attempt) is not where they lie: record, BIND and tags hold for them as before.

use strongroom_store::{BlobId, BlobLocation, Write};

use crate::error::Error;
use crate::objects::{Objects, random_uid};
use crate::rows::{Place, StoredPart};
use crate::storage_class::StorageClass;

/// A body that is to go over into a blob of its own.
pub(crate) struct Transcript {
    from: BlobLocation,
    to: BlobLocation,
}

impl Transcript {
    /// The body at `from` as it will be: for the manifest, which has to be made before.
    pub(crate) fn of(part: &StoredPart, from: &BlobLocation) -> Result<(StoredPart, Self), Error> {
        let to = BlobLocation {
            blob: BlobId(random_uid()?),
            ..*from
        };
        let part = StoredPart {
            place: Place::Blob(to),
            ..part.clone()
        };
        Ok((part, Self { from: *from, to }))
    }
}

impl Objects {
    /// Writes a body into its new blob, that is kept as `class` has it; the write that adopts that.
    /// The old blob stays as it is, and has to be held by the caller.
    pub(crate) async fn transcribed(
        &self,
        transcript: Transcript,
        class: StorageClass,
        manifest: Vec<u8>,
    ) -> Result<Write, Error> {
        let Transcript { from, to } = transcript;
        let blobs = self.blobs();
        let written = blobs.transcribe(&from, to.blob, class.policy(), manifest);
        let proof = written.await?;
        if proof.location() == to {
            Ok(Write::AdoptBlob(proof))
        } else {
            Err(Error::Internal("a blob is not where it was to be"))
        }
    }
}
