// SPDX-License-Identifier: Apache-2.0
//! A body into sealed bytes: a few in memory, or a blob on the drives.

use std::future::poll_fn;

use bytes::Bytes;
use strongroom_format::{
    SEGMENT_OVERHEAD_BYTES, SEGMENT_PLAIN_BYTES, SEGMENT_PREFIX_BYTES, SEGMENT_SEALED_BYTES,
};
use strongroom_store::{BlobId, BlobProof, BlobWriter, Blobs, UnitBuffer, UnitSealer};

use crate::digest::{Digester, Digests};
use crate::error::Error;
use crate::model::{Body, ChecksumAlgorithm};

/// Sealed bodies up to this size live in the tables, bytes.
pub const INLINE_SEALED_BYTES_MAX: u64 = 32 * 1024;
/// Segments written with one call.
const UNITS_PER_WRITE: usize = 8;
const SEGMENT_PLAIN: usize = 65_536;
const SEGMENT_OVERHEAD: usize = 32;

const _: () = {
    assert!(SEGMENT_PLAIN_BYTES == 65_536 && SEGMENT_OVERHEAD_BYTES == 32);
    assert!(SEGMENT_SEALED_BYTES == SEGMENT_PLAIN_BYTES + SEGMENT_OVERHEAD_BYTES);
    assert!(
        INLINE_SEALED_BYTES_MAX < 65_568,
        "an inline body is one segment"
    );
};

/// A sealed body, durable or about to become so with its row.
#[derive(Debug)]
pub enum SealedBody {
    /// For the table of small bodies.
    Inline(Vec<u8>),
    /// On the drives, to be adopted by a commit; removed when dropped.
    Blob(BlobProof),
}

/// Read `body` to its end, which must come after exactly `plain_len` bytes, digest and seal it.
///
/// Nothing stays behind when this fails. `md5` asks for an MD5, `checksum` for a checksum besides.
pub async fn seal_body<S: UnitSealer>(
    blobs: &Blobs,
    blob: BlobId,
    sealer: &S,
    body: &mut Body,
    plain_len: u64,
    md5: bool,
    checksum: Option<ChecksumAlgorithm>,
) -> Result<(SealedBody, Digests), Error> {
    let mut digester = Digester::new(md5, checksum);
    let written = write(blobs, blob, sealer, body, plain_len, &mut digester).await?;
    Ok((written, digester.finish().await?))
}

async fn write<S: UnitSealer>(
    blobs: &Blobs,
    blob: BlobId,
    sealer: &S,
    body: &mut Body,
    plain_len: u64,
    digester: &mut Digester,
) -> Result<SealedBody, Error> {
    let sealed_len =
        strongroom_format::sealed_bytes(plain_len).ok_or(Error::Internal("impossible length"))?;
    if sealed_len <= INLINE_SEALED_BYTES_MAX {
        write_inline(sealer, body, plain_len, digester)
            .await
            .map(SealedBody::Inline)
    } else {
        write_blob(blobs, blob, sealer, body, plain_len, digester)
            .await
            .map(SealedBody::Blob)
    }
}

async fn write_inline<S: UnitSealer>(
    sealer: &S,
    body: &mut Body,
    plain_len: u64,
    digester: &mut Digester,
) -> Result<Vec<u8>, Error> {
    let plain = usize::try_from(plain_len).map_err(|_| Error::Internal("impossible length"))?;
    let mut slot = vec![0; plain + SEGMENT_OVERHEAD];
    let mut filled = 0;
    while let Some(piece) = next(body).await? {
        digester.update(&piece).await?;
        let start = SEGMENT_PREFIX_BYTES + filled;
        let room = slot
            .get_mut(start..start + piece.len())
            .filter(|_| filled + piece.len() <= plain)
            .ok_or(Error::IncompleteBody)?;
        room.copy_from_slice(&piece);
        filled += piece.len();
    }
    if filled != plain {
        return Err(Error::IncompleteBody);
    }
    sealer
        .seal_unit(0, true, &mut slot)
        .map_err(|_| Error::Internal("sealing failed"))?;
    Ok(slot)
}

async fn write_blob<S: UnitSealer>(
    blobs: &Blobs,
    blob: BlobId,
    sealer: &S,
    body: &mut Body,
    plain_len: u64,
    digester: &mut Digester,
) -> Result<BlobProof, Error> {
    let writer = blobs.create(blob, blobs.layout(), sealer).await?;
    let mut segments = Segments {
        blobs,
        writer,
        buffer: None,
    };
    let mut left = plain_len;
    while let Some(mut piece) = next(body).await? {
        digester.update(&piece).await?;
        let len = u64::try_from(piece.len()).map_err(|_| Error::IncompleteBody)?;
        left = left.checked_sub(len).ok_or(Error::IncompleteBody)?;
        while !piece.is_empty() {
            segments.fill(&mut piece, left).await?;
        }
    }
    if left != 0 {
        return Err(Error::IncompleteBody);
    }
    segments.finish().await
}

/// Segments under way: a buffer of slots that fills up and is sealed and written.
struct Segments<'a, S> {
    blobs: &'a Blobs,
    writer: BlobWriter<S>,
    buffer: Option<Filling>,
}

struct Filling {
    buffer: UnitBuffer,
    slot: usize,
    filled: usize,
}

impl<S: UnitSealer> Segments<'_, S> {
    /// Move as much of `piece` as fits into the current slot; write the buffer when it is full or
    /// the body ends. `left` is what the body still holds after `piece`.
    async fn fill(&mut self, piece: &mut Bytes, left: u64) -> Result<(), Error> {
        let mut filling = match self.buffer.take() {
            Some(filling) => filling,
            None => Filling {
                buffer: self.blobs.buffer(self.blobs.layout(), UNITS_PER_WRITE),
                slot: 0,
                filled: 0,
            },
        };
        let take = piece.len().min(SEGMENT_PLAIN - filling.filled);
        let from = piece.split_to(take);
        let start = SEGMENT_PREFIX_BYTES + filling.filled;
        filling
            .buffer
            .slot_mut(filling.slot)
            .get_mut(start..start + take)
            .ok_or(Error::Internal("a slot is too short"))?
            .copy_from_slice(&from);
        filling.filled += take;
        if left == 0 && piece.is_empty() {
            let sealed_len = u32::try_from(filling.filled + SEGMENT_OVERHEAD)
                .map_err(|_| Error::Internal("a slot is too long"))?;
            filling.buffer.set_last_len(sealed_len);
            return Ok(self
                .writer
                .write_end(filling.buffer, filling.slot + 1)
                .await?);
        }
        if filling.filled == SEGMENT_PLAIN {
            filling.slot += 1;
            filling.filled = 0;
        }
        if filling.slot == UNITS_PER_WRITE {
            self.writer.write(filling.buffer, filling.slot).await?;
        } else {
            self.buffer = Some(filling);
        }
        Ok(())
    }

    async fn finish(self) -> Result<BlobProof, Error> {
        Ok(self.writer.finish().await?)
    }
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Error> {
    match poll_fn(|cx| body.as_mut().poll_data(cx)).await {
        Some(Ok(piece)) => Ok(Some(piece)),
        Some(Err(error)) => Err(Error::Body(error)),
        None => Ok(None),
    }
}
