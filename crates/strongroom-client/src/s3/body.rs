// SPDX-License-Identifier: Apache-2.0
//! Plaintext as it is handed out.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::fetch::{PIECE_BYTES, Place, Received};
use super::plaintext::blocking;
use crate::content::{CbcDecryptor, Decryptor, PartDigest, RangeDecryptor};
use crate::error::Error;
use crate::object::Content;
use crate::transport::Pieces;

/// The plaintext of an object that was verified as a whole (under AES-CBC, which has nothing to
/// verify, that its padding is one).
pub struct VerifiedBody {
    kept: Arc<Kept>,
    at: u64,
    cbc: Option<CbcDecryptor>,
}

struct Kept {
    place: Place,
    content: Arc<Content>,
    digests: Vec<PartDigest>,
    ciphertext_bytes: u64,
}

impl VerifiedBody {
    /// The body of an object, and its length.
    pub(super) async fn new(
        received: Received,
        content: Arc<Content>,
    ) -> Result<(Self, u64), Error> {
        let kept = Arc::new(Kept {
            place: received.place,
            content,
            digests: received.digests,
            ciphertext_bytes: received.ciphertext_bytes,
        });
        let mut bytes = kept.ciphertext_bytes;
        let body = || Self {
            kept: Arc::clone(&kept),
            at: 0,
            cbc: kept.cbc(),
        };
        if let Content::Cbc { .. } = *kept.content {
            bytes = 0;
            let mut rehearsal = body();
            while let Some(piece) = rehearsal.next().await? {
                bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            }
        }
        Ok((body(), bytes))
    }

    /// The next bytes; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let left = self.kept.ciphertext_bytes.saturating_sub(self.at);
            if left == 0 {
                return Ok(None);
            }
            let (at, bytes) = (self.at, left.min(PIECE_BYTES));
            let kept = Arc::clone(&self.kept);
            let cbc = self.cbc.take();
            let piece = blocking(move || kept.open(at, bytes, bytes == left, cbc)).await;
            let (plain, cbc) = piece?;
            self.cbc = cbc;
            self.at = at.saturating_add(bytes);
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
    }

    /// All of it, in memory.
    pub async fn collect(mut self) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// Writes all of it; gives the number of bytes.
    pub async fn copy_to(mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<u64, Error> {
        let mut written = 0_u64;
        while let Some(piece) = self.next().await? {
            to.write_all(&piece).await?;
            written = written.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        to.flush().await?;
        Ok(written)
    }
}

impl VerifiedBody {
    /// As a reader.
    pub fn into_async_read(self) -> Reader {
        Reader {
            body: Some(self),
            piece: Bytes::new(),
            coming: None,
        }
    }
}

/// Verified plaintext as a reader.
pub struct Reader {
    body: Option<VerifiedBody>,
    piece: Bytes,
    coming: Option<Coming>,
}

type Coming = Pin<Box<dyn Future<Output = (VerifiedBody, Result<Option<Bytes>, Error>)> + Send>>;

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            if let Some(mut body) = self.body.take() {
                self.coming = Some(Box::pin(async move {
                    let next = body.next().await;
                    (body, next)
                }));
            }
            let Some(coming) = &mut self.coming else {
                return Poll::Ready(Ok(()));
            };
            let (body, next) = ready!(coming.as_mut().poll(context));
            self.coming = None;
            match next {
                Ok(Some(piece)) => {
                    self.piece = piece;
                    self.body = Some(body);
                }
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let len = self.piece.len().min(to.remaining());
        to.put_slice(&self.piece.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Kept {
    fn cbc(&self) -> Option<CbcDecryptor> {
        match &*self.content {
            Content::Cbc { key, iv } => CbcDecryptor::new(key, *iv).ok(),
            Content::Gcm(_) => None,
        }
    }

    /// The plaintext of one piece. Blocks.
    fn open(
        &self,
        at: u64,
        bytes: u64,
        is_last: bool,
        cbc: Option<CbcDecryptor>,
    ) -> Result<(Vec<u8>, Option<CbcDecryptor>), Error> {
        let ciphertext = self.place.read_at(at, bytes)?;
        let mut plain = Vec::with_capacity(ciphertext.len().saturating_add(64));
        match (&*self.content, cbc) {
            (Content::Gcm(key), _) => {
                let mut part = key.part_decryptor(at)?;
                part.update_unverified(&ciphertext, &mut plain)?;
                // INVARIANT: what comes back from the temporary file is what was verified.
                let index = usize::try_from(at / PIECE_BYTES).ok();
                let expected = index.and_then(|index| self.digests.get(index));
                if expected != Some(&part.finish()) {
                    return Err(Error::Content);
                }
                Ok((plain, None))
            }
            (Content::Cbc { .. }, Some(mut decryptor)) => {
                decryptor.update_unverified(&ciphertext, &mut plain)?;
                if is_last {
                    decryptor.finish(&mut plain)?;
                    return Ok((plain, None));
                }
                Ok((plain, Some(decryptor)))
            }
            (Content::Cbc { .. }, None) => Err(Error::Content),
        }
    }
}

impl fmt::Debug for VerifiedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBody").finish_non_exhaustive()
    }
}

/// Plaintext that comes before it is verified, or that nothing ever verifies.
///
/// Whoever can write to the bucket can change any bit of what [`Self::next`] gives. Of a whole
/// object, what came before is only to be believed once `next` has given `Ok(None)`; of a range,
/// never.
pub struct UnverifiedBody {
    pieces: Pieces,
    opening: Opening,
    /// Bytes to leave out, then bytes to take, of what comes.
    skip: u64,
    take: u64,
}

pub(super) enum Opening {
    Gcm(Box<Decryptor>),
    Cbc(CbcDecryptor),
    Range(RangeDecryptor),
    /// The end was reached, and held.
    Over,
    /// Nothing is to be believed any more.
    Broken,
}

impl UnverifiedBody {
    pub(super) fn new(pieces: Pieces, opening: Opening, skip: u64, take: u64) -> Self {
        Self {
            pieces,
            opening,
            skip,
            take,
        }
    }

    /// The next bytes, **unverified**; `None` at the end. An object that was changed ends in an
    /// error, and every further call gives an error, too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let result = match self.opening {
                Opening::Over => return Ok(None),
                Opening::Broken => return Err(Error::Content),
                _ if self.take == 0 => self.end(),
                _ => match self.pieces.next().await {
                    Some(Ok(piece)) => self.piece(&piece),
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Error::Content),
                },
            };
            match result {
                Ok(plain) if plain.is_empty() => {}
                Ok(plain) => return Ok(Some(plain.into())),
                Err(error) => {
                    self.opening = Opening::Broken;
                    return Err(error);
                }
            }
        }
    }

    /// Writes all of it as it comes, **unverified**; gives the number of bytes. After an error,
    /// what was written must not be used.
    pub async fn copy_to(mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<u64, Error> {
        let mut written = 0_u64;
        while let Some(piece) = self.next().await? {
            to.write_all(&piece).await?;
            written = written.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        to.flush().await?;
        Ok(written)
    }

    /// All of it, in memory.
    pub async fn collect(mut self) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    fn piece(&mut self, piece: &[u8]) -> Result<Vec<u8>, Error> {
        let len = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let dropped = len(self.skip).min(piece.len());
        let piece = piece.get(dropped..).unwrap_or_default();
        self.skip = self
            .skip
            .saturating_sub(u64::try_from(dropped).unwrap_or(u64::MAX));
        let is_range = matches!(self.opening, Opening::Range(_));
        if !is_range && piece.len() > len(self.take) {
            return Err(Error::Content);
        }
        let piece = piece
            .get(..len(self.take).min(piece.len()))
            .unwrap_or_default();
        self.take = self
            .take
            .saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let mut plain = Vec::new();
        match &mut self.opening {
            Opening::Gcm(decryptor) => decryptor.update_unverified(piece, &mut plain)?,
            Opening::Cbc(decryptor) => decryptor.update_unverified(piece, &mut plain)?,
            Opening::Range(decryptor) => decryptor.update_unverified(piece, &mut plain)?,
            Opening::Over | Opening::Broken => {}
        }
        Ok(plain)
    }

    fn end(&mut self) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        match std::mem::replace(&mut self.opening, Opening::Over) {
            Opening::Gcm(decryptor) => decryptor.finish()?,
            Opening::Cbc(decryptor) => decryptor.finish(&mut plain)?,
            Opening::Range(_) | Opening::Over | Opening::Broken => {}
        }
        Ok(plain)
    }
}

impl fmt::Debug for UnverifiedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedBody").finish_non_exhaustive()
    }
}
