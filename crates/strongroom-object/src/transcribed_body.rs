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

impl Objects {
    /// The same body in a blob of its own that is kept as `class` has it, and the write that adopts
    /// that. The blob at `location` stays as it is, and has to be held by the caller.
    pub(crate) async fn transcribed(
        &self,
        part: &StoredPart,
        location: &BlobLocation,
        class: StorageClass,
    ) -> Result<(StoredPart, Write), Error> {
        let blob = BlobId(random_uid()?);
        let blobs = self.blobs();
        let proof = blobs
            .transcribe(location, blob, class.policy(), Vec::new())
            .await?;
        let part = StoredPart {
            place: Place::Blob(proof.location()),
            ..part.clone()
        };
        Ok((part, Write::AdoptBlob(proof)))
    }
}
