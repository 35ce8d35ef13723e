// SPDX-License-Identifier: Apache-2.0
//! The decoder: a state machine over whatever pieces of the body arrive.

use std::ops::Range;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};

use super::trailer::Trailers;
use super::{ChunkError, ChunkMode, ChunkSigner, header};

/// What one call of [`ChunkDecoder::decode`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input are dealt with; pass the rest again.
    pub consumed: usize,
    /// What they mean.
    pub event: Event,
}

/// The meaning of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// This range of the input is data of the object. It is not yet authenticated: see
    /// [`Event::End`].
    Data(Range<usize>),
    /// All input is consumed and the body goes on.
    NeedMore,
    /// The body is complete, every signature matched, and the length is the declared one.
    End {
        /// Trailers that came: lower-case names and values. Empty when the end was reported
        /// before.
        trailers: Vec<(String, String)>,
    },
}

/// Decodes one aws-chunked body.
///
/// Call [`decode`](Self::decode) for each piece of the body and again for the rest of it until it
/// says [`Event::NeedMore`] or [`Event::End`]; when the body ends, call [`finish`](Self::finish).
/// After an error the decoder stays in error.
#[derive(Debug)]
pub struct ChunkDecoder {
    mode: ChunkMode,
    signer: Option<ChunkSigner>,
    decoded_length: u64,
    /// Bytes of data that are still to come, in all chunks together.
    missing: u64,
    chunk: u64,
    /// Least size of a chunk that others follow.
    least_bytes: u64,
    /// Size of the chunk before.
    previous_bytes: Option<u64>,
    state: State,
    line: Vec<u8>,
    hasher: Hasher,
    chunk_signature: String,
    trailers: Option<Trailers>,
    failed: Option<ChunkError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    SizeLine,
    Data { remaining: u64 },
    DataEnd,
    TrailerLine { after_bare_line_feed: bool },
    Ended,
}

struct Hasher(Context);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(..)")
    }
}

/// A complete line, or that there is none yet.
enum Line {
    Partial,
    Complete { consumed: usize },
}

impl ChunkDecoder {
    /// A decoder for a body of `decoded_length` bytes of data.
    ///
    /// `signer` must be there exactly if the mode has signed chunks; `announcement` is the value
    /// of the `x-amz-trailer` header.
    pub fn new(
        mode: ChunkMode,
        decoded_length: u64,
        signer: Option<ChunkSigner>,
        announcement: Option<&[u8]>,
    ) -> Result<Self, ChunkError> {
        if mode.is_signed() != signer.is_some() {
            return Err(ChunkError::MissingSigner);
        }
        let trailers = Trailers::announced(announcement)?;
        if trailers.is_announced() && !mode.has_trailer() {
            return Err(ChunkError::InvalidAnnouncement);
        }
        Ok(Self {
            mode,
            signer,
            decoded_length,
            missing: decoded_length,
            chunk: 0,
            least_bytes: 0,
            previous_bytes: None,
            state: State::SizeLine,
            line: Vec::new(),
            hasher: Hasher(Context::new(&SHA256)),
            chunk_signature: String::new(),
            trailers: Some(trailers),
            failed: None,
        })
    }

    /// The same that refuses a chunk of fewer than `bytes` bytes, unless it is the last with data.
    #[must_use]
    pub fn with_least_chunk(self, bytes: u64) -> Self {
        Self {
            least_bytes: bytes,
            ..self
        }
    }

    /// Decodes some of `input`.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.step(input)
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// To be called at the end of the body: whether it was complete.
    pub fn finish(&self) -> Result<(), ChunkError> {
        match (&self.failed, self.state) {
            (Some(error), _) => Err(error.clone()),
            (None, State::Ended) => Ok(()),
            (None, _) => Err(ChunkError::IncompleteBody),
        }
    }

    fn step(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut consumed = 0usize;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            match self.state {
                State::SizeLine => match self.read_line(rest)? {
                    Line::Partial => return Ok(need_more(input)),
                    Line::Complete { consumed: used } => {
                        consumed = consumed.saturating_add(used);
                        self.size_line()?;
                    }
                },
                State::Data { remaining } => {
                    if rest.is_empty() {
                        return Ok(need_more(input));
                    }
                    let data = self.data(rest, remaining)?;
                    let end = consumed.saturating_add(data);
                    return Ok(Step {
                        consumed: end,
                        event: Event::Data(consumed..end),
                    });
                }
                State::DataEnd => match self.read_line(rest)? {
                    Line::Partial => return Ok(need_more(input)),
                    Line::Complete { consumed: used } => {
                        consumed = consumed.saturating_add(used);
                        self.line.clear();
                        self.chunk = self.chunk.saturating_add(1);
                        self.state = State::SizeLine;
                    }
                },
                State::TrailerLine {
                    after_bare_line_feed,
                } => match self.read_line(rest)? {
                    Line::Partial => return Ok(need_more(input)),
                    Line::Complete { consumed: used } => {
                        consumed = consumed.saturating_add(used);
                        self.trailer_line(after_bare_line_feed)?;
                        if self.state == State::Ended {
                            return self.end(input, consumed);
                        }
                    }
                },
                State::Ended if rest.is_empty() => {
                    return Ok(Step {
                        consumed,
                        event: Event::End {
                            trailers: Vec::new(),
                        },
                    });
                }
                State::Ended => return Err(ChunkError::TrailingBytes),
            }
        }
    }

    /// Moves bytes up to a line feed into `self.line`.
    fn read_line(&mut self, rest: &[u8]) -> Result<Line, ChunkError> {
        let (limit, too_long) = match self.state {
            // INVARIANT: after data only `\r\n` may come; a longer line is a chunk longer than
            // its size, and is refused at its first byte.
            State::DataEnd => (2, ChunkError::ChunkSizeMismatch { chunk: self.chunk }),
            State::SizeLine => (SIZE_LINE_BYTES_MAX, ChunkError::LineTooLong),
            State::TrailerLine { .. } | State::Data { .. } | State::Ended => {
                (TRAILER_LINE_BYTES_MAX, ChunkError::LineTooLong)
            }
        };
        for (index, &byte) in rest.iter().enumerate() {
            if self.line.len() == limit {
                return Err(too_long);
            }
            if self.state == State::DataEnd && Some(&byte) != b"\r\n".get(self.line.len()) {
                return Err(too_long);
            }
            self.line.push(byte);
            if byte == b'\n' {
                return Ok(Line::Complete {
                    consumed: index.saturating_add(1),
                });
            }
        }
        Ok(Line::Partial)
    }

    fn size_line(&mut self) -> Result<(), ChunkError> {
        let chunk = self.chunk;
        let line = std::mem::take(&mut self.line);
        let text = line
            .strip_suffix(b"\r\n")
            .ok_or(ChunkError::MalformedChunkHeader { chunk })?;
        let parsed = header::parse(text, self.mode.is_signed(), chunk)?;
        self.missing = self
            .missing
            .checked_sub(parsed.size)
            .ok_or_else(|| self.wrong_length())?;
        self.chunk_signature.clear();
        self.chunk_signature
            .push_str(parsed.signature.unwrap_or_default());
        if parsed.size > 0 {
            let previous = self.previous_bytes.replace(parsed.size);
            if let Some(size) = previous.filter(|size| *size < self.least_bytes) {
                return Err(ChunkError::ChunkTooSmall { chunk, size });
            }
            self.state = State::Data {
                remaining: parsed.size,
            };
            return Ok(());
        }
        if self.missing > 0 {
            return Err(self.wrong_length());
        }
        self.verify_chunk()?;
        self.state = State::TrailerLine {
            after_bare_line_feed: false,
        };
        Ok(())
    }

    /// Takes data of the current chunk from the front of `rest`, verifying the chunk's signature
    /// with its last byte; returns how many bytes.
    fn data(&mut self, rest: &[u8], remaining: u64) -> Result<usize, ChunkError> {
        let take = usize::try_from(remaining).map_or(rest.len(), |r| r.min(rest.len()));
        let data = rest.get(..take).unwrap_or_default();
        if self.mode.is_signed() {
            self.hasher.0.update(data);
        }
        let taken = u64::try_from(take).unwrap_or(remaining);
        let left = remaining.saturating_sub(taken);
        if left == 0 {
            self.verify_chunk()?;
            self.state = State::DataEnd;
        } else {
            self.state = State::Data { remaining: left };
        }
        Ok(take)
    }

    fn verify_chunk(&mut self) -> Result<(), ChunkError> {
        let Some(signer) = &mut self.signer else {
            return Ok(());
        };
        let context = std::mem::replace(&mut self.hasher.0, Context::new(&SHA256));
        let mut hash = [0u8; 32];
        hash.copy_from_slice(context.finish().as_ref());
        let computed = signer.sign_chunk(&hash);
        verify_slices_are_equal(computed.as_bytes(), self.chunk_signature.as_bytes())
            .map_err(|_| ChunkError::SignatureDoesNotMatch { chunk: self.chunk })
    }

    fn trailer_line(&mut self, after_bare_line_feed: bool) -> Result<(), ChunkError> {
        let line = std::mem::take(&mut self.line);
        let signed = self.mode.is_signed();
        let Some(trailers) = &mut self.trailers else {
            return Err(ChunkError::MalformedTrailer);
        };
        let text = match line.strip_suffix(b"\r\n") {
            Some([]) if after_bare_line_feed => {
                self.state = State::TrailerLine {
                    after_bare_line_feed: false,
                };
                return Ok(());
            }
            Some([]) => {
                self.state = State::Ended;
                return self.verify_trailer();
            }
            Some(text) => {
                self.state = State::TrailerLine {
                    after_bare_line_feed: false,
                };
                text
            }
            // AWS's own description and minio-go end a trailer with `\n\r\n`.
            None => {
                self.state = State::TrailerLine {
                    after_bare_line_feed: true,
                };
                line.strip_suffix(b"\n").unwrap_or_default()
            }
        };
        if !self.mode.has_trailer() {
            return Err(ChunkError::MalformedTrailer);
        }
        trailers.take_line(text, signed)
    }

    fn verify_trailer(&mut self) -> Result<(), ChunkError> {
        let Some(trailers) = &self.trailers else {
            return Err(ChunkError::MalformedTrailer);
        };
        trailers.complete()?;
        if self.mode != ChunkMode::SignedTrailer {
            return Ok(());
        }
        let refused = ChunkError::SignatureDoesNotMatch {
            chunk: self.chunk.saturating_add(1),
        };
        let (Some(signer), Some(provided)) = (&mut self.signer, trailers.signature()) else {
            return Err(refused);
        };
        let computed = signer.sign_trailer(&trailers.sha256());
        verify_slices_are_equal(computed.as_bytes(), provided.as_bytes()).map_err(|_| refused)
    }

    fn end(&mut self, input: &[u8], consumed: usize) -> Result<Step, ChunkError> {
        if consumed < input.len() {
            return Err(ChunkError::TrailingBytes);
        }
        let trailers = self
            .trailers
            .take()
            .map(Trailers::into_received)
            .unwrap_or_default();
        Ok(Step {
            consumed,
            event: Event::End { trailers },
        })
    }

    fn wrong_length(&self) -> ChunkError {
        ChunkError::DecodedLengthMismatch {
            expected: self.decoded_length,
        }
    }
}

fn need_more(input: &[u8]) -> Step {
    Step {
        consumed: input.len(),
        event: Event::NeedMore,
    }
}

/// 16 digits, `;chunk-signature=`, 64 digits and the line end are 99 bytes.
const SIZE_LINE_BYTES_MAX: usize = 256;
const TRAILER_LINE_BYTES_MAX: usize = 512;
