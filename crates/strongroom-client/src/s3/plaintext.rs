// SPDX-License-Identifier: Apache-2.0
//! Where the plaintext of a new object comes from.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::files::SourceFile;
use crate::content::{ContentKey, PartDigest, PartEncryptor};
use crate::error::Error;

/// Where the plaintext of a new object comes from.
pub struct Plaintext(pub(super) Source);

pub(super) enum Source {
    /// Can be read anywhere, at the same time.
    Seekable(Seekable),
    /// Comes once, from its beginning to its end.
    Stream(Stream),
}

impl Plaintext {
    /// A regular file, read in several places at the same time.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = Arc::new(SourceFile::open(path.as_ref())?);
        Ok(Self(Source::Seekable(Seekable::File(file))))
    }

    /// A stream of unknown length.
    pub fn from_reader(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Source::Stream(Stream {
            reader: Mutex::new(Box::new(reader)),
            buffer: Vec::new(),
        }))
    }

    /// How many bytes there are, where that is known.
    pub fn len_hint(&self) -> Option<u64> {
        match &self.0 {
            Source::Seekable(seekable) => Some(seekable.bytes()),
            Source::Stream(_) => None,
        }
    }
}

impl Default for Plaintext {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for Plaintext {
    fn from(bytes: Bytes) -> Self {
        Self(Source::Seekable(Seekable::Bytes(bytes)))
    }
}

impl From<Vec<u8>> for Plaintext {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Plaintext {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Plaintext {
    fn from(bytes: &'static [u8; N]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Plaintext {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plaintext")
            .field("len_hint", &self.len_hint())
            .finish_non_exhaustive()
    }
}

/// The ciphertext of a part, still to be stored.
#[derive(Debug)]
pub(super) struct SealedPart {
    pub(super) ciphertext: Vec<u8>,
    pub(super) digest: PartDigest,
}

impl SealedPart {
    pub(super) fn plain_bytes(&self) -> u64 {
        self.digest.ciphertext_bytes()
    }
}

/// Plaintext that can be read anywhere.
#[derive(Clone)]
pub(super) enum Seekable {
    Bytes(Bytes),
    File(Arc<SourceFile>),
}

impl Seekable {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File(file) => file.bytes(),
        }
    }

    /// Encrypts `bytes` of it from byte `first` on. Blocks.
    pub(super) fn seal(
        &self,
        key: &ContentKey,
        first: u64,
        bytes: u64,
    ) -> Result<SealedPart, Error> {
        self.seal_into(Vec::new(), key, first, bytes)
    }

    /// The same, into a buffer that was used before. Blocks.
    pub(super) fn seal_into(
        &self,
        buffer: Vec<u8>,
        key: &ContentKey,
        first: u64,
        bytes: u64,
    ) -> Result<SealedPart, Error> {
        let mut part = key.part_encryptor(first)?;
        let len = usize::try_from(bytes).map_err(|_| Error::TooLong)?;
        let mut ciphertext = room(buffer, len);
        match self {
            Self::Bytes(all) => {
                let from = usize::try_from(first).map_err(|_| Error::TooLong)?;
                let plain = all.get(from..from.saturating_add(len)).unwrap_or_default();
                part.update(plain, &mut ciphertext)?;
            }
            Self::File(file) => {
                let mut buffer = vec![0; PIECE_BYTES.min(len)];
                let mut at = first;
                let mut left = len;
                while left > 0 {
                    let piece = buffer.get_mut(..left.min(PIECE_BYTES)).unwrap_or_default();
                    file.read_at(piece, at).map_err(cut)?;
                    part.update(piece, &mut ciphertext)?;
                    left = left.saturating_sub(piece.len());
                    at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                }
            }
        }
        let digest = part.finish();
        if digest.ciphertext_bytes() != bytes {
            return Err(Error::SourceChanged { part: None });
        }
        Ok(SealedPart { ciphertext, digest })
    }

    /// Whether it is still what it was when it was opened. Blocks.
    pub(super) fn is_unchanged(&self) -> Result<bool, Error> {
        match self {
            Self::Bytes(_) => Ok(true),
            Self::File(file) => Ok(file.is_unchanged()?),
        }
    }
}

fn cut(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::SourceChanged { part: None },
        _ => Error::Io(error),
    }
}

/// Plaintext that comes once.
pub(super) struct Stream {
    /// Nobody ever waits for it: it makes a write one that any thread can go on with.
    reader: Mutex<Box<dyn AsyncRead + Send + Unpin>>,
    buffer: Vec<u8>,
}

impl Stream {
    /// Encrypts the next bytes, `most` of them if there are so many; they are those from byte
    /// `first` on.
    pub(super) async fn seal_next(
        &mut self,
        key: &Arc<ContentKey>,
        first: u64,
        most: usize,
    ) -> Result<SealedPart, Error> {
        self.seal_next_into(Vec::new(), key, first, most).await
    }

    /// The same, into a buffer that was used before.
    pub(super) async fn seal_next_into(
        &mut self,
        buffer: Vec<u8>,
        key: &Arc<ContentKey>,
        first: u64,
        most: usize,
    ) -> Result<SealedPart, Error> {
        let mut part = key.part_encryptor(first)?;
        let mut ciphertext = room(buffer, most);
        let mut left = most;
        loop {
            let len = self.fill(left.min(PIECE_BYTES)).await?;
            left = left.saturating_sub(len);
            let buffer = std::mem::take(&mut self.buffer);
            let sealed = blocking(move || seal_piece(part, buffer, len, ciphertext)).await?;
            (part, self.buffer, ciphertext) = sealed;
            if len == 0 || left == 0 {
                break;
            }
        }
        let digest = part.finish();
        Ok(SealedPart { ciphertext, digest })
    }

    /// Fills the buffer with `most` bytes, fewer at the end only.
    async fn fill(&mut self, most: usize) -> Result<usize, Error> {
        self.buffer.resize(most, 0);
        let mut filled = 0;
        loop {
            let free = self.buffer.get_mut(filled..).unwrap_or_default();
            if free.is_empty() {
                return Ok(filled);
            }
            let reader = self.reader.get_mut();
            match reader
                .unwrap_or_else(PoisonError::into_inner)
                .read(free)
                .await?
            {
                0 => return Ok(filled),
                read => filled = filled.saturating_add(read),
            }
        }
    }
}

type Sealing = (PartEncryptor, Vec<u8>, Vec<u8>);

fn seal_piece(
    mut part: PartEncryptor,
    buffer: Vec<u8>,
    len: usize,
    mut ciphertext: Vec<u8>,
) -> Result<Sealing, Error> {
    part.update(buffer.get(..len).unwrap_or_default(), &mut ciphertext)?;
    Ok((part, buffer, ciphertext))
}

/// Room for the ciphertext of a part, the tag, and what the module wants besides.
fn room(mut buffer: Vec<u8>, bytes: usize) -> Vec<u8> {
    buffer.reserve_exact(bytes.saturating_add(64));
    buffer
}

/// Runs what computes or waits for files where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Io(io::Error::other(error))))
}

/// Read and encrypted at a time.
const PIECE_BYTES: usize = 256 * 1024;
