// SPDX-License-Identifier: Apache-2.0
//! The bytes of a blob in another one, that is kept under another policy.
//!
//! ```text
//!   old blob --verified units, computed where damaged--> new blob --read back--> BlobProof
//! ```
//!
//! Nobody's key is needed: units are bytes with checksums, and go over as they are. What is
//! written here comes from a blob, and into a blob it came through a sealer; so there is still no
//! byte of a blob that no sealer gave.
//!
//! Whoever adopts the new blob may release the old one, and then nothing else has the bytes: so
//! every shard is read back and compared before there is a proof.

use std::sync::Arc;

use super::flow::Flow;
use super::read::BlobReader;
use super::write::{BlobProof, fitting};
use super::{Inner, verify};
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, BlobPolicy};

/// Writes the units of a blob that stays held by the caller into a new one.
pub(super) async fn transcribe(
    blobs: &Arc<Inner>,
    from: &BlobLocation,
    to: BlobId,
    policy: BlobPolicy,
    manifest: Vec<u8>,
) -> Result<BlobProof, Error> {
    let reader = BlobReader::open(blobs, *from).await?;
    let writing = blobs.begin(to, from.layout, policy)?;
    let stripe = u64::from(writing.stripes().stripe_units().max(1));
    // Whole stripes: nothing waits for the rest of one.
    let at_once = stripe.saturating_mul(UNITS_AT_ONCE.checked_div(stripe).unwrap_or(1).max(1));
    let mut flow = Flow::new(Arc::clone(blobs), writing);
    let units = from.layout.unit_count(from.sealed_bytes);
    let mut next = 0_u64;
    while next < units {
        let count = units.saturating_sub(next).min(at_once);
        let read = u32::try_from(count).map_err(|_| TOO_LONG)?;
        let buffer = reader.read(next, read).await?;
        flow.append(buffer).await?;
        next = next.saturating_add(count);
    }
    // The old blob's manifest would not open here: the caller made another.
    let proof = flow.finish(fitting(manifest)).await?;
    let written = proof.location();
    if (written.sealed_bytes, written.layout) != (from.sealed_bytes, from.layout) {
        return Err(Error::CorruptedShard {
            blob: from.blob,
            reason: "another number of bytes was read than it has",
        });
    }
    verify::read_back(blobs, written, proof.keeping()).await?;
    Ok(proof)
}

/// Units read and written at once: about two stripes.
const UNITS_AT_ONCE: u64 = 16;
const TOO_LONG: Error = Error::TooLarge { what: "the blob" };
