// SPDX-License-Identifier: Apache-2.0
//! Request bodies: from HTTP frames to verified plaintext pieces, without copying.
//!
//! ```text
//! HTTP frames -> [aws-chunked framing and its signatures] -> length, SHA-256 -> pieces
//! HTTP frames -> [form, of which the fields are read first] -> length of the file -> pieces
//! ```
//!
//! The end of the stream is only reported when framing, signatures, length and the declared
//! SHA-256 hold: whoever commits at the end commits what was signed. Nothing is read, and so no
//! `100 Continue` is sent, before the first poll.

mod documents;
mod frames;
mod pace;

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::{Buf, Bytes, BytesMut};
use strongroom_object::{Body, BodyError, BodySource, ChecksumAlgorithm, PUT_BYTES_MAX};
use strongroom_wire::chunked::Event;
use strongroom_wire::form::{self, FormDecoder, FormError, FormHead, HEAD_BYTES_MAX};
use strongroom_wire::{ChunkDecoder, ChunkError};
use tokio::time::{Instant, timeout_at};

use crate::error::{S3Code, S3Error};
use crate::s3::object_error::entity_too_large;
use crate::s3::{checksum_headers, form_fields};
pub(crate) use documents::{Documents, Room, SMALL_BYTES_MAX};
pub(crate) use frames::Frames;
pub(crate) use pace::STALL_TIMEOUT;

/// How long a document may take for which room is kept that others wait for.
const DOCUMENT_TIME_MAX: Duration = Duration::from_mins(2);

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
    /// The file of an upload form.
    Form {
        /// The decoder.
        decoder: Box<FormDecoder>,
        /// What came and is not decoded yet.
        input: Bytes,
        /// How long the file may be.
        file_bytes: RangeInclusive<u64>,
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

    /// A form with this boundary.
    pub(crate) fn form(boundary: &str) -> Self {
        Self::Form {
            decoder: Box::new(FormDecoder::new(boundary)),
            input: Bytes::new(),
            file_bytes: 0..=PUT_BYTES_MAX,
        }
    }
}

/// A document that is whole in memory.
pub(crate) struct Collected {
    /// All of it.
    pub(crate) bytes: Bytes,
    /// The checksum in its trailer.
    pub(crate) trailing: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// To be kept as long as the bytes are.
    pub(crate) room: Room,
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

    /// How long the file of a form may be; `None` where the body is no form.
    pub(crate) fn file_bytes_max(&self) -> Option<u64> {
        match &self.framing {
            Framing::Form { file_bytes, .. } => Some(*file_bytes.end()),
            Framing::Plain | Framing::Hashed { .. } | Framing::Chunked { .. } => None,
        }
    }

    /// What the policy of a form permits its file's length to be.
    pub(crate) fn limit_file(&mut self, permitted: RangeInclusive<u64>) {
        if let Framing::Form { file_bytes, .. } = &mut self.framing {
            let most = (*permitted.end()).min(PUT_BYTES_MAX);
            *file_bytes = *permitted.start()..=most;
        }
    }

    /// Reads a form up to the content of its file.
    pub(crate) async fn form_head(&mut self) -> Result<FormHead, S3Error> {
        loop {
            let Framing::Form { decoder, input, .. } = &mut self.framing else {
                return Err(S3Error::internal("the head of a body that is no form"));
            };
            while !input.is_empty() {
                let step = decoder.decode(input).map_err(|error| match error {
                    FormError::TooLong => S3Error::from_code(S3Code::MaxPostPreDataLengthExceeded)
                        .with("MaxPostPreDataLengthBytes", HEAD_BYTES_MAX.to_string()),
                    other => form_error(other),
                })?;
                input.advance(step.consumed);
                if let form::Event::Head(head) = step.event {
                    return Ok(head);
                }
            }
            let Some(data) = std::future::poll_fn(|cx| self.frames.poll_data(cx)).await else {
                let error = decoder.finish().err().unwrap_or(FormError::Incomplete);
                return Err(form_error(error));
            };
            let data = data?;
            self.wire_bytes
                .fetch_add(count(data.len()), Ordering::Relaxed);
            *input = data;
        }
    }

    /// For the conductor.
    pub(crate) fn into_source(self) -> Body {
        Box::pin(self)
    }

    /// Reads all of a document of at most `limit_bytes`, and the checksum of its trailer. A long one
    /// waits for room ([`Documents`]) and then has [`DOCUMENT_TIME_MAX`] to arrive.
    pub(crate) async fn collect(mut self, limit_bytes: usize) -> Result<Collected, S3Error> {
        let too_long = || {
            S3Error::from_code(S3Code::MaxMessageLengthExceeded)
                .with("MaxMessageLengthBytes", limit_bytes.to_string())
        };
        let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
        if self.declared_length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let announced = self.declared_length.map(usize::try_from);
        let announced = announced.and_then(Result::ok);
        let mut all = BytesMut::new();
        let mut room = Room::none();
        let mut until = None;
        if let Some(length) = announced {
            room = self.frames.documents().for_request(length).await?;
        }
        loop {
            if !room.is_none() && until.is_none() {
                until = Some(Instant::now() + DOCUMENT_TIME_MAX);
                // As long as it will be, so that it does not grow by doubling.
                all.reserve(announced.unwrap_or(limit_bytes).saturating_sub(all.len()));
            }
            let next = std::future::poll_fn(|cx| self.poll_piece(cx));
            let next = match until {
                None => next.await,
                Some(until) => timeout_at(until, next)
                    .await
                    .map_err(|_| S3Error::from_code(S3Code::RequestTimeout))?,
            };
            let Some(piece) = next.transpose()? else {
                break;
            };
            let length = all.len().saturating_add(piece.len());
            if length > limit_bytes {
                return Err(too_long());
            }
            if length > SMALL_BYTES_MAX && room.is_none() {
                room = self.frames.documents().for_request(limit_bytes).await?;
            }
            all.extend_from_slice(&piece);
        }
        Ok(Collected {
            bytes: all.freeze(),
            trailing: self.trailing.take(),
            room,
        })
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
            Framing::Chunked { input, .. } | Framing::Form { input, .. } => {
                *input = data;
                return Ok(None);
            }
        }
        self.deliver(data)
    }

    /// The next piece of a chunked body or a form from the input at hand.
    fn decode_waiting_input(&mut self) -> Result<Option<Bytes>, S3Error> {
        let (decoder, input) = match &mut self.framing {
            Framing::Plain | Framing::Hashed { .. } => return Ok(None),
            Framing::Chunked { decoder, input } => (decoder, input),
            Framing::Form { decoder, input, .. } => {
                return match next_of_file(decoder, input)? {
                    Some(piece) => self.deliver(piece),
                    None => Ok(None),
                };
            }
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
        if let Framing::Form { file_bytes, .. } = &self.framing
            && self.delivered > *file_bytes.end()
        {
            return Err(entity_too_large(self.delivered, *file_bytes.end()));
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn verify_end(&mut self) -> Result<(), S3Error> {
        if let Framing::Chunked { decoder, .. } = &self.framing {
            decoder.finish().map_err(|error| chunk_error(&error))?;
        }
        if let Framing::Form {
            decoder,
            file_bytes,
            ..
        } = &self.framing
        {
            decoder.finish().map_err(form_error)?;
            if self.delivered < *file_bytes.start() {
                return Err(S3Error::from_code(S3Code::EntityTooSmall)
                    .with("ProposedSize", self.delivered.to_string())
                    .with("MinSizeAllowed", file_bytes.start().to_string()));
            }
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

/// The next piece of a form's file from the input at hand.
fn next_of_file(decoder: &mut FormDecoder, input: &mut Bytes) -> Result<Option<Bytes>, S3Error> {
    while !input.is_empty() {
        let step = decoder.decode(input).map_err(form_error)?;
        let piece = match step.event {
            form::Event::NeedMore => None,
            form::Event::Data(range) => Some(input.slice(range)),
            form::Event::Delimiter(length) => {
                let held_back = decoder.delimiter().get(..length);
                Some(Bytes::copy_from_slice(held_back.unwrap_or_default()))
            }
            form::Event::Head(_) => return Err(form_fields::malformed()),
        };
        input.advance(step.consumed);
        if piece.is_some() {
            return Ok(piece);
        }
    }
    Ok(None)
}

/// The errors of a form in S3's words.
fn form_error(error: FormError) -> S3Error {
    match error {
        FormError::Malformed | FormError::TooLong | FormError::Incomplete => {
            form_fields::malformed()
        }
        FormError::Files { count } => S3Error::invalid_argument(
            "POST requires exactly one file upload per request.",
            "file",
            count.to_string(),
        ),
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
        ChunkError::ChunkTooSmall { chunk, size } => S3Error::from_code(S3Code::InvalidChunkSize)
            .with("Chunk", chunk.saturating_add(1).to_string())
            .with("BadChunkSize", size.to_string()),
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
