// SPDX-License-Identifier: Apache-2.0
//! Request bodies: from HTTP frames to verified plaintext pieces, without copying.
//!
//! ```text
//! HTTP frames -> [aws-chunked framing and its signatures] -> length, SHA-256 -> pieces
//! ```
//!
//! The end of the stream is only reported when framing, signatures, length and the declared
//! SHA-256 hold: whoever commits at the end commits what was signed. Nothing is read, and so no
//! `100 Continue` is sent, before the first poll.

mod frames;
mod pace;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::{Buf, Bytes, BytesMut};
use strongroom_object::{Body, BodyError, BodySource, ChecksumAlgorithm};
use strongroom_wire::chunked::Event;
use strongroom_wire::{ChunkDecoder, ChunkError};

use crate::error::{S3Code, S3Error};
use crate::s3::checksum_headers;
pub(crate) use frames::Frames;
pub(crate) use pace::STALL_TIMEOUT;

/// A request's body.
pub(crate) struct RequestBody {
    frames: Frames,
    framing: Framing,
    declared_length: Option<u64>,
    delivered: u64,
    trailing: Option<(ChecksumAlgorithm, Vec<u8>)>,
    wire_bytes: Arc<AtomicU64>,
    done: bool,
}

/// How the body is framed and covered by the signature.
pub(crate) enum Framing {
    /// As it is.
    Plain,
    /// As it is, with the SHA-256 that the signature covers.
    Hashed {
        /// Declared by `x-amz-content-sha256`.
        declared: [u8; 32],
        /// Of what came so far.
        digest: Box<Digest>,
    },
    /// aws-chunked.
    Chunked {
        /// The decoder.
        decoder: Box<ChunkDecoder>,
        /// What came and is not decoded yet.
        input: Bytes,
    },
}

impl Framing {
    /// A plain body with a declared hash.
    pub(crate) fn hashed(declared: [u8; 32]) -> Self {
        Self::Hashed {
            declared,
            digest: Box::new(Digest::new(&SHA256)),
        }
    }

    /// A chunked body.
    pub(crate) fn chunked(decoder: ChunkDecoder) -> Self {
        Self::Chunked {
            decoder: Box::new(decoder),
            input: Bytes::new(),
        }
    }
}

impl RequestBody {
    /// A body of `declared_length` bytes after decoding.
    pub(crate) fn new(
        frames: Frames,
        framing: Framing,
        declared_length: Option<u64>,
        wire_bytes: Arc<AtomicU64>,
    ) -> Self {
        Self {
            frames,
            framing,
            declared_length,
            delivered: 0,
            trailing: None,
            wire_bytes,
            done: false,
        }
    }

    /// The decoded length; 411 where the client did not say.
    pub(crate) fn length(&self) -> Result<u64, S3Error> {
        self.declared_length
            .ok_or_else(|| S3Error::from_code(S3Code::MissingContentLength))
    }

    /// For the conductor.
    pub(crate) fn into_source(self) -> Body {
        Box::pin(self)
    }

    /// Reads all of a small body and the checksum of its trailer.
    pub(crate) async fn collect(
        mut self,
        limit_bytes: usize,
    ) -> Result<(Bytes, Option<(ChecksumAlgorithm, Vec<u8>)>), S3Error> {
        let too_long = || {
            S3Error::from_code(S3Code::MaxMessageLengthExceeded)
                .with("MaxMessageLengthBytes", limit_bytes.to_string())
        };
        let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
        if self.declared_length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let mut all = BytesMut::new();
        while let Some(piece) = std::future::poll_fn(|cx| self.poll_piece(cx))
            .await
            .transpose()?
        {
            if all.len().saturating_add(piece.len()) > limit_bytes {
                return Err(too_long());
            }
            all.extend_from_slice(&piece);
        }
        Ok((all.freeze(), self.trailing.take()))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, S3Error>>> {
        loop {
            if self.done {
                return Poll::Ready(None);
            }
            match self.decode_waiting_input() {
                Ok(None) => {}
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => return self.fail(error),
            }
            let frame = match self.frames.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            let outcome = match frame {
                Some(Ok(data)) => self.take_in(data),
                Some(Err(error)) => Err(error),
                None => {
                    self.done = true;
                    self.verify_end().map(|()| None)
                }
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Takes in a frame: a piece of a plain body, or input for the decoder.
    fn take_in(&mut self, data: Bytes) -> Result<Option<Bytes>, S3Error> {
        self.wire_bytes
            .fetch_add(count(data.len()), Ordering::Relaxed);
        match &mut self.framing {
            Framing::Plain => {}
            Framing::Hashed { digest, .. } => digest.update(&data),
            Framing::Chunked { input, .. } => {
                *input = data;
                return Ok(None);
            }
        }
        self.deliver(data)
    }

    /// The next piece of a chunked body from the input at hand.
    fn decode_waiting_input(&mut self) -> Result<Option<Bytes>, S3Error> {
        let Framing::Chunked { decoder, input } = &mut self.framing else {
            return Ok(None);
        };
        while !input.is_empty() {
            let step = decoder.decode(input).map_err(|error| chunk_error(&error))?;
            match step.event {
                Event::Data(range) => {
                    let piece = input.slice(range);
                    input.advance(step.consumed);
                    return self.deliver(piece);
                }
                Event::NeedMore => input.clear(),
                Event::End { trailers } => {
                    input.advance(step.consumed);
                    self.trailing = trailing_checksum(&trailers)?;
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    fn deliver(&mut self, piece: Bytes) -> Result<Option<Bytes>, S3Error> {
        self.delivered = self.delivered.saturating_add(count(piece.len()));
        if self
            .declared_length
            .is_some_and(|length| self.delivered > length)
        {
            return Err(S3Error::from_code(S3Code::IncompleteBody));
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn verify_end(&mut self) -> Result<(), S3Error> {
        if let Framing::Chunked { decoder, .. } = &self.framing {
            decoder.finish().map_err(|error| chunk_error(&error))?;
        }
        if self
            .declared_length
            .is_some_and(|length| self.delivered != length)
        {
            return Err(S3Error::from_code(S3Code::IncompleteBody));
        }
        if let Framing::Hashed { declared, digest } = &mut self.framing {
            let digest = std::mem::replace(&mut **digest, Digest::new(&SHA256)).finish();
            if digest.as_ref() != declared.as_slice() {
                return Err(S3Error::from_code(S3Code::XAmzContentSha256Mismatch)
                    .with("ClientComputedContentSHA256", hex::encode(declared))
                    .with("S3ComputedContentSHA256", hex::encode(digest)));
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: S3Error) -> Poll<Option<Result<Bytes, S3Error>>> {
        self.done = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl BodySource for RequestBody {
    fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.poll_piece(cx)
            .map(|piece| piece.map(|p| p.map_err(|e| BodyError(Box::new(e)))))
    }

    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)> {
        self.trailing.clone()
    }
}

/// The framing errors in S3's words.
pub(crate) fn chunk_error(error: &ChunkError) -> S3Error {
    match error {
        ChunkError::IncompleteBody
        | ChunkError::DecodedLengthMismatch { .. }
        | ChunkError::ChunkSizeMismatch { .. }
        | ChunkError::TrailingBytes => S3Error::from_code(S3Code::IncompleteBody),
        ChunkError::SignatureDoesNotMatch { .. } => {
            S3Error::from_code(S3Code::SignatureDoesNotMatch)
        }
        ChunkError::MalformedChunkHeader { .. }
        | ChunkError::UnknownExtension { .. }
        | ChunkError::LineTooLong => {
            S3Error::invalid_request(format!("The aws-chunked body is malformed: {error}."))
        }
        ChunkError::MalformedTrailer
        | ChunkError::TrailerNotAnnounced
        | ChunkError::TrailerNotSent { .. } => S3Error::from_code(S3Code::MalformedTrailer),
        ChunkError::InvalidAnnouncement => S3Error::invalid_request(
            "The value specified in the x-amz-trailer header is not supported",
        ),
        ChunkError::MissingSigner => S3Error::internal(error),
    }
}

fn trailing_checksum(
    trailers: &[(String, String)],
) -> Result<Option<(ChecksumAlgorithm, Vec<u8>)>, S3Error> {
    let mut found = None;
    for (name, value) in trailers {
        let Some(algorithm) = checksum_headers::trailer_algorithm(name) else {
            return Err(S3Error::from_code(S3Code::MalformedTrailer));
        };
        let digest = checksum_headers::decode(algorithm, value).ok_or_else(|| {
            S3Error::invalid_request(format!("Value for {name} trailing header is invalid."))
        })?;
        if found.replace((algorithm, digest)).is_some() {
            return Err(S3Error::from_code(S3Code::MalformedTrailer));
        }
    }
    Ok(found)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
