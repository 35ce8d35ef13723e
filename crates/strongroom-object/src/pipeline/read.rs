// SPDX-License-Identifier: Apache-2.0
//! Sealed bytes back into a body: whole verified segments, in order.
//!
//! Nothing leaves before its segment's tag was verified. While the pieces of one run of segments
//! are on their way to the client, the next run is read.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use strongroom_format::SegmentSpan;
use strongroom_store::{BlobLocation, BlobPin, BlobReader, Blobs, UnitBuffer};
use tokio::task::JoinHandle;

use super::SegmentOpener;
use crate::error::Error;

/// Segments read with one call.
const UNITS_PER_READ: u64 = 8;

/// The plaintext of an object, or of a range of it, as a stream of verified pieces.
///
/// An error ends the stream: the connection must then be dropped, since the answer has begun.
pub struct ObjectBody {
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
    first: Option<Bytes>,
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBody").finish_non_exhaustive()
    }
}

impl Stream for ObjectBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        self.stream.as_mut().poll_next(cx)
    }
}

/// A body over sealed parts; the first run of segments is read and verified before this returns.
/// `pin` keeps the files they lie in.
pub async fn open_body(
    blobs: Blobs,
    parts: VecDeque<SealedPart>,
    pin: BlobPin,
) -> Result<ObjectBody, Error> {
    ObjectBody::open(blobs, parts, pin).await
}

impl ObjectBody {
    /// A body without bytes.
    pub(crate) fn empty() -> Self {
        Self {
            stream: Box::pin(futures_util::stream::empty()),
            first: None,
        }
    }

    async fn open(blobs: Blobs, parts: VecDeque<SealedPart>, pin: BlobPin) -> Result<Self, Error> {
        let mut reader = Reader {
            blobs,
            parts,
            current: None,
            ready: VecDeque::new(),
            _pin: pin,
        };
        let Some(first) = reader.next().await? else {
            return Ok(Self::empty());
        };
        let stream = futures_util::stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Self {
            stream: Box::pin(stream),
            first: Some(first),
        })
    }
}

/// One part's share of an answer.
pub struct SealedPart {
    /// Opens its segments.
    pub opener: Box<dyn SegmentOpener>,
    /// Which segments, and what of them.
    pub span: SegmentSpan,
    /// Where they are.
    pub source: SealedSource,
}

/// Where sealed bytes come from.
#[derive(Debug)]
pub enum SealedSource {
    /// The sealed body itself.
    Inline(Vec<u8>),
    /// A blob.
    Blob(BlobLocation),
}

impl std::fmt::Debug for SealedPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedPart")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

struct Reader {
    blobs: Blobs,
    parts: VecDeque<SealedPart>,
    current: Option<Current>,
    ready: VecDeque<Bytes>,
    /// Keeps the files until the last byte was read.
    _pin: BlobPin,
}

/// A blob part being read: `ahead` is the run on its way.
struct Current {
    opener: Box<dyn SegmentOpener>,
    reader: Arc<BlobReader>,
    trim: Trim,
    next: u64,
    end: u64,
    ahead: Option<Run>,
}

struct Run {
    first: u64,
    count: u64,
    read: JoinHandle<Result<UnitBuffer, strongroom_store::Error>>,
}

/// What of the opened segments belongs to the answer.
struct Trim {
    skip: usize,
    left: u64,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if let Some(mut current) = self.current.take() {
                if current.read_run(&mut self.ready).await? {
                    self.current = Some(current);
                }
                continue;
            }
            match self.parts.pop_front() {
                Some(part) => self.begin(part).await?,
                None => return Ok(None),
            }
        }
    }

    async fn begin(&mut self, part: SealedPart) -> Result<(), Error> {
        let SealedPart {
            opener,
            span,
            source,
        } = part;
        let mut trim = Trim {
            skip: usize::try_from(span.skip_plain).map_err(|_| Error::Internal("range"))?,
            left: span.plain_len,
        };
        match source {
            SealedSource::Inline(mut sealed) => {
                // Where a body lies is not bound: a long one that is said to lie here would be
                // its first segment, whatever was asked for.
                if span.first != 0 || span.count > 1 {
                    return Err(damaged(span.first));
                }
                let plain = opener
                    .open_segment(0, &mut sealed)
                    .map_err(|_| damaged(0))?;
                let (start, len) = (plain.start, plain.len());
                self.ready
                    .extend(trim.take(&Bytes::from(sealed), start, len)?);
                if trim.left > 0 {
                    return Err(damaged(0));
                }
            }
            SealedSource::Blob(location) => {
                let reader = Arc::new(self.blobs.open(&location).await?);
                let end = span.first.saturating_add(span.count);
                let mut current = Current {
                    opener,
                    reader,
                    trim,
                    next: span.first,
                    end,
                    ahead: None,
                };
                current.read_ahead();
                self.current = Some(current);
            }
        }
        Ok(())
    }
}

impl Current {
    fn read_ahead(&mut self) {
        let first = self.next;
        let count = self.end.saturating_sub(first).min(UNITS_PER_READ);
        let Some(units) = u32::try_from(count).ok().filter(|n| *n > 0) else {
            return;
        };
        self.next = first.saturating_add(count);
        let reader = Arc::clone(&self.reader);
        let read = tokio::spawn(async move { reader.read(first, units).await });
        self.ahead = Some(Run { first, count, read });
    }

    /// Open the run on its way into `ready`; `false` when there was none left.
    async fn read_run(&mut self, ready: &mut VecDeque<Bytes>) -> Result<bool, Error> {
        let Some(run) = self.ahead.take() else {
            return Ok(false);
        };
        let mut buffer = run
            .read
            .await
            .map_err(|_| Error::Internal("a read task ended early"))??;
        self.read_ahead();
        let mut opened = Vec::new();
        for (slot, index) in (0..run.count).enumerate() {
            let segment = run.first.saturating_add(index);
            let plain = self
                .opener
                .open_segment(segment, buffer.slot_mut(slot))
                .map_err(|_| damaged(segment))?;
            opened.push((buffer.slot_offset(slot) + plain.start, plain.len()));
        }
        let bytes = buffer.into_bytes();
        for (start, len) in opened {
            ready.extend(self.trim.take(&bytes, start, len)?);
        }
        Ok(true)
    }
}

impl Trim {
    /// The share of the answer in an opened segment; `None` when it has none.
    fn take(&mut self, bytes: &Bytes, start: usize, len: usize) -> Result<Option<Bytes>, Error> {
        let skip = std::mem::take(&mut self.skip).min(len);
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let take = left.min(len - skip);
        let from = start.checked_add(skip).ok_or(Error::Internal("range"))?;
        let to = from.checked_add(take).ok_or(Error::Internal("range"))?;
        if to > bytes.len() {
            return Err(Error::Internal("range"));
        }
        self.left -= u64::try_from(take).map_err(|_| Error::Internal("range"))?;
        Ok((take > 0).then(|| bytes.slice(from..to)))
    }
}

fn damaged(segment: u64) -> Error {
    Error::Corrupted {
        what: format!("segment {segment} of the object's body"),
    }
}
