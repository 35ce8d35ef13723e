// SPDX-License-Identifier: Apache-2.0
//! A body into sealed bytes: a few in memory, or a blob on the drives.

use std::fmt;
use std::future::poll_fn;

use bytes::Bytes;
use strongroom_format::SEGMENT_PLAIN_BYTES;
use strongroom_store::layout::{BlobPolicy, UnitLayout};
use strongroom_store::{BlobId, BlobLocation, BlobProof, BlobWriter, Blobs, UnitBuffer};

use super::{BodySealer, Layers};
use crate::digest::{Digester, Digests, WantedDigests};
use crate::error::Error;
use crate::model::{Body, BodyLength};

/// Sealed bodies up to this size live in the tables, bytes under one layer.
pub const INLINE_SEALED_BYTES_MAX: u64 = 32 * 1024;
const SEGMENT_PLAIN: usize = 65_536;
/// Plaintext of the longest body that lives in the tables.
const INLINE_PLAIN_BYTES_MAX: u64 = INLINE_SEALED_BYTES_MAX - 32;
const INLINE_PLAIN_MAX: usize = 32 * 1024 - 32;

const _: () = {
    assert!(SEGMENT_PLAIN_BYTES == 65_536);
    assert!(
        INLINE_SEALED_BYTES_MAX < 65_568,
        "an inline body is one segment"
    );
};

/// A sealed body that is not durable yet.
pub enum Unstored<S> {
    /// For the table of small bodies.
    Inline(Vec<u8>),
    /// On its way to the drives, to the last unit; and where it will be.
    Blob(Box<BlobWriter<S>>, BlobLocation),
}

impl<S: BodySealer> Unstored<S> {
    /// Makes what goes to the drives durable there. A blob gets the manifest, which says what the
    /// tables would have to say about it.
    pub async fn store(self, manifest: Vec<u8>) -> Result<SealedBody, Error> {
        match self {
            Self::Inline(sealed) => Ok(SealedBody::Inline(sealed)),
            Self::Blob(writer, location) => {
                let proof = writer.finish_with(manifest).await?;
                if proof.location() == location {
                    Ok(SealedBody::Blob(proof))
                } else {
                    Err(Error::Internal("a blob is not where it was to be"))
                }
            }
        }
    }
}

impl<S> fmt::Debug for Unstored<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "Unstored::Inline",
            Self::Blob(..) => "Unstored::Blob",
        })
    }
}

/// A sealed body, durable or about to become so with its row.
#[derive(Debug)]
pub enum SealedBody {
    /// For the table of small bodies.
    Inline(Vec<u8>),
    /// On the drives, to be adopted by a commit; removed when dropped.
    Blob(BlobProof),
}

/// A body that was read to its end.
#[derive(Debug)]
pub struct SealedBytes<S> {
    /// What is to be stored.
    pub body: Unstored<S>,
    /// How many bytes of plaintext it holds.
    pub plain_len: u64,
    /// Digests of the plaintext.
    pub digests: Digests,
}

/// The blob that a body is to lie in, unless it is small.
#[derive(Debug, Clone, Copy)]
pub struct NewBlob {
    /// Its name.
    pub id: BlobId,
    /// How it is to be kept.
    pub policy: BlobPolicy,
}

/// Read `body` to its end, which must come where `length` says, digest and seal it.
///
/// Nothing stays behind when this fails.
pub async fn seal_body<S: BodySealer>(
    blobs: &Blobs,
    blob: NewBlob,
    sealer: S,
    body: &mut Body,
    length: BodyLength,
    wanted: WantedDigests,
) -> Result<SealedBytes<S>, Error> {
    let mut incoming = Incoming {
        body,
        length,
        plain_len: 0,
        digester: Digester::new(wanted),
    };
    let body = write(blobs, blob, sealer, &mut incoming).await?;
    Ok(SealedBytes {
        body,
        plain_len: incoming.plain_len,
        digests: incoming.digester.finish().await?,
    })
}

async fn write<S: BodySealer>(
    blobs: &Blobs,
    blob: NewBlob,
    sealer: S,
    incoming: &mut Incoming<'_>,
) -> Result<Unstored<S>, Error> {
    let (BodyLength::Exactly(bytes) | BodyLength::AtMost(bytes)) = incoming.length;
    strongroom_format::sealed_bytes(bytes).ok_or(Error::Internal("impossible length"))?;
    let layers = sealer.layers();
    let prefix = layers.prefix_bytes();
    let mut slot = vec![0; slot_bytes(incoming.length, layers)];
    let mut filled = 0;
    while let Some(piece) = incoming.next().await? {
        let start = prefix + filled;
        match slot.get_mut(start..start + piece.len()) {
            Some(room) if filled + piece.len() <= INLINE_PLAIN_MAX => {
                room.copy_from_slice(&piece);
                filled += piece.len();
            }
            _ => {
                let plain = prefix..start;
                let before = Bytes::copy_from_slice(slot.get(plain).unwrap_or_default());
                drop(slot);
                return write_blob(blobs, blob, sealer, incoming, [before, piece]).await;
            }
        }
    }
    slot.truncate(filled + layers.overhead_bytes());
    sealer
        .seal_unit(0, true, &mut slot)
        .map_err(|_| Error::Internal("sealing failed"))?;
    Ok(Unstored::Inline(slot))
}

/// Room for a body that stays in memory; none for one that is known not to.
fn slot_bytes(length: BodyLength, layers: Layers) -> usize {
    let plain = match length {
        BodyLength::Exactly(bytes) => usize::try_from(bytes).ok(),
        BodyLength::AtMost(bytes) => usize::try_from(bytes.min(INLINE_PLAIN_BYTES_MAX)).ok(),
    };
    let plain = plain.filter(|plain| *plain <= INLINE_PLAIN_MAX);
    plain.unwrap_or_default() + layers.overhead_bytes()
}

async fn write_blob<S: BodySealer>(
    blobs: &Blobs,
    blob: NewBlob,
    sealer: S,
    incoming: &mut Incoming<'_>,
    first: [Bytes; 2],
) -> Result<Unstored<S>, Error> {
    let layers = sealer.layers();
    let layout = layers
        .layout(blobs)
        .ok_or(Error::Internal("no units for two layers"))?;
    let writer = blobs
        .create_with(blob.id, layout, blob.policy, sealer)
        .await?;
    let mut segments = Segments {
        blobs,
        layers,
        layout,
        writer,
        buffer: None,
    };
    for piece in first {
        segments.take(piece).await?;
    }
    while let Some(piece) = incoming.next().await? {
        segments.take(piece).await?;
    }
    let writer = segments.finish().await?;
    let sealed_bytes = layers.sealed_bytes(incoming.plain_len);
    let location = BlobLocation {
        blob: blob.id,
        sealed_bytes: sealed_bytes.ok_or(Error::Internal("impossible length"))?,
        layout,
    };
    Ok(Unstored::Blob(Box::new(writer), location))
}

/// A body on its way in: counted, digested, and not longer or shorter than it may be.
struct Incoming<'a> {
    body: &'a mut Body,
    length: BodyLength,
    plain_len: u64,
    digester: Digester,
}

impl Incoming<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = match poll_fn(|cx| self.body.as_mut().poll_data(cx)).await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Err(Error::Body(error)),
            None => return self.length.ends_at(self.plain_len).map(|()| None),
        };
        let len = u64::try_from(piece.len()).map_err(|_| Error::IncompleteBody)?;
        self.plain_len = self.plain_len.saturating_add(len);
        self.length.reaches(self.plain_len)?;
        self.digester.update(&piece).await?;
        Ok(Some(piece))
    }
}

impl BodyLength {
    /// The body has come this far.
    fn reaches(self, plain_len: u64) -> Result<(), Error> {
        match self {
            Self::Exactly(bytes) if plain_len > bytes => Err(Error::IncompleteBody),
            Self::AtMost(bytes) if plain_len > bytes => Err(Error::EntityTooLarge {
                proposed_size: plain_len,
                max_size: bytes,
            }),
            Self::Exactly(_) | Self::AtMost(_) => Ok(()),
        }
    }

    /// The body ends here.
    fn ends_at(self, plain_len: u64) -> Result<(), Error> {
        match self {
            Self::Exactly(bytes) if plain_len != bytes => Err(Error::IncompleteBody),
            Self::Exactly(_) | Self::AtMost(_) => Ok(()),
        }
    }
}

/// Segments under way: a buffer of slots that fills up and is sealed and written.
///
/// A segment is known not to be the last when the byte behind it comes, so a full one waits for
/// that: nobody has to know beforehand where the body ends.
struct Segments<'a, S> {
    blobs: &'a Blobs,
    layers: Layers,
    layout: UnitLayout,
    writer: BlobWriter<S>,
    buffer: Option<Filling>,
}

struct Filling {
    buffer: UnitBuffer,
    slot: usize,
    filled: usize,
}

impl<S: BodySealer> Segments<'_, S> {
    async fn take(&mut self, mut piece: Bytes) -> Result<(), Error> {
        while !piece.is_empty() {
            let mut filling = self.room().await?;
            let take = piece.len().min(SEGMENT_PLAIN - filling.filled);
            let from = piece.split_to(take);
            let start = self.layers.prefix_bytes() + filling.filled;
            filling
                .buffer
                .slot_mut(filling.slot)
                .get_mut(start..start + take)
                .ok_or(Error::Internal("a slot is too short"))?
                .copy_from_slice(&from);
            filling.filled += take;
            self.buffer = Some(filling);
        }
        Ok(())
    }

    /// A slot that is not full; full buffers are written.
    async fn room(&mut self) -> Result<Filling, Error> {
        match self.buffer.take() {
            Some(filling) if filling.filled < SEGMENT_PLAIN => return Ok(filling),
            Some(filling) if filling.slot + 1 < self.writer.units_per_write() => {
                return Ok(Filling {
                    slot: filling.slot + 1,
                    filled: 0,
                    ..filling
                });
            }
            Some(filling) => self.writer.write(filling.buffer, filling.slot + 1).await?,
            None => {}
        }
        Ok(Filling {
            buffer: self
                .blobs
                .buffer(self.layout, self.writer.units_per_write()),
            slot: 0,
            filled: 0,
        })
    }

    async fn finish(mut self) -> Result<BlobWriter<S>, Error> {
        let mut last = self.buffer.ok_or(Error::Internal("a blob without bytes"))?;
        let sealed_len = u32::try_from(last.filled + self.layers.overhead_bytes())
            .map_err(|_| Error::Internal("a slot is too long"))?;
        last.buffer.set_last_len(sealed_len);
        self.writer.write_end(last.buffer, last.slot + 1).await?;
        Ok(self.writer)
    }
}
