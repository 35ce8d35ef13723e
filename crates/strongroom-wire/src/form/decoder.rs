// SPDX-License-Identifier: Apache-2.0
//! The decoder: a state machine over whatever pieces of the form arrive.

use std::ops::Range;

use super::{FIELDS_MAX, HEAD_BYTES_MAX, part};

/// A field before the file.
#[derive(Clone, PartialEq, Eq)]
pub struct FormField {
    /// Its name, as sent.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Values may be keys and tokens.
impl std::fmt::Debug for FormField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormField")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Everything before the content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormHead {
    /// The fields, in order.
    pub fields: Vec<FormField>,
    /// The name that the client gives to the file: any text, no path.
    pub file_name: Option<String>,
}

/// What one call of [`FormDecoder::decode`] found.
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
    /// All input is consumed and the form goes on.
    NeedMore,
    /// The file begins here.
    Head(FormHead),
    /// This range of the input is content of the file.
    Data(Range<usize>),
    /// The content goes on with this many bytes from the beginning of
    /// [`FormDecoder::delimiter`]: they came with earlier input and looked like the end.
    Delimiter(usize),
}

/// Why a form was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not well-formed `multipart/form-data`.
    #[error("the form is malformed")]
    Malformed,
    /// What stands before the file, or behind it, is too long.
    #[error("the fields of the form are too long")]
    TooLong,
    /// There is no file, or more than one.
    #[error("the form holds {count} files")]
    Files {
        /// How many there are, as far as it was read.
        count: u32,
    },
    /// The form ended before its closing boundary.
    #[error("the form ended early")]
    Incomplete,
}

/// Decodes one form.
///
/// Call [`decode`](Self::decode) for each piece of the body and again for the rest of it until all
/// is consumed; when the body ends, call [`finish`](Self::finish): only then is the content whole.
/// After an error the decoder stays in error.
#[derive(Debug)]
pub struct FormDecoder {
    /// CRLF, two hyphens, boundary.
    delimiter: Vec<u8>,
    state: State,
    /// Bytes of the head or the tail that are not dealt with.
    text: Vec<u8>,
    /// Bytes of head or tail so far.
    taken: usize,
    fields: Vec<FormField>,
    failed: Option<FormError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Begin,
    /// Behind a boundary.
    Boundary { after_file: bool },
    /// In the headers of a part.
    Headers { after_file: bool },
    /// In the value of a field.
    Value { after_file: bool, name: String },
    /// In the content of the file; the last `matched` bytes may be a delimiter.
    File { matched: usize },
    /// Behind the closing boundary.
    Ended { after_file: bool },
}

/// What one look at the text brought.
enum Look {
    /// More text is needed.
    More,
    /// The text went on by a step.
    On,
    /// The file begins, with this name.
    File(Option<String>),
}

impl FormDecoder {
    /// A decoder for forms with this boundary, as [`super::parse_content_type`] gives it.
    pub fn new(boundary: &str) -> Self {
        Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            state: State::Begin,
            text: Vec::new(),
            taken: 0,
            fields: Vec::new(),
            failed: None,
        }
    }

    /// What ends the content of the file.
    pub fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }

    /// Decodes some of `input`.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, FormError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let step = match self.state {
            State::File { matched } => Ok(self.file(input, matched)),
            _ => self.fields(input),
        };
        step.inspect_err(|error| self.failed = Some(*error))
    }

    /// To be called at the end of the body: whether the form was complete.
    pub fn finish(&self) -> Result<(), FormError> {
        match (self.failed, &self.state) {
            (Some(error), _) => Err(error),
            (None, State::Ended { after_file: true }) => Ok(()),
            (None, State::Ended { after_file: false }) => Err(FormError::Files { count: 0 }),
            (None, _) => Err(FormError::Incomplete),
        }
    }

    /// Head and tail: everything but the content of the file.
    fn fields(&mut self, input: &[u8]) -> Result<Step, FormError> {
        let room = HEAD_BYTES_MAX.saturating_sub(self.taken);
        let taken = input.get(..input.len().min(room)).unwrap_or_default();
        self.text.extend_from_slice(taken);
        self.taken = self.taken.saturating_add(taken.len());
        loop {
            match self.look()? {
                Look::On => {}
                Look::More if taken.len() < input.len() => return Err(FormError::TooLong),
                Look::More => {
                    return Ok(Step {
                        consumed: input.len(),
                        event: Event::NeedMore,
                    });
                }
                Look::File(file_name) => {
                    // What is left of the text came with this input: it was looked at before.
                    let consumed = taken.len().saturating_sub(self.text.len());
                    self.text.clear();
                    self.taken = 0;
                    self.state = State::File { matched: 0 };
                    let fields = std::mem::take(&mut self.fields);
                    return Ok(Step {
                        consumed,
                        event: Event::Head(FormHead { fields, file_name }),
                    });
                }
            }
        }
    }

    fn look(&mut self) -> Result<Look, FormError> {
        match &self.state {
            State::Begin => Ok(self.begin()?),
            State::Boundary { after_file } => {
                let after_file = *after_file;
                self.boundary(after_file)
            }
            State::Headers { after_file } => {
                let after_file = *after_file;
                self.headers(after_file)
            }
            State::Value { after_file, name } => {
                let (after_file, name) = (*after_file, name.clone());
                self.value(after_file, name)
            }
            // Nothing may follow but the end of the last line.
            State::Ended { .. } if b"\r\n".starts_with(&self.text) => Ok(Look::More),
            State::Ended { .. } | State::File { .. } => Err(FormError::Malformed),
        }
    }

    /// The first boundary stands at the beginning of the body.
    fn begin(&mut self) -> Result<Look, FormError> {
        let first = self.delimiter.get(2..).unwrap_or_default();
        if self.text.starts_with(first) {
            self.text.drain(..first.len());
            self.state = State::Boundary { after_file: false };
            Ok(Look::On)
        } else if first.starts_with(&self.text) {
            Ok(Look::More)
        } else {
            Err(FormError::Malformed)
        }
    }

    /// A boundary is followed by a line end, or by two hyphens where it is the last.
    fn boundary(&mut self, after_file: bool) -> Result<Look, FormError> {
        let (length, state) = match self.text.as_slice() {
            [b'-', b'-', ..] => (2, State::Ended { after_file }),
            [b'\r', b'\n', ..] => (2, State::Headers { after_file }),
            [] | [b'-' | b'\r'] => return Ok(Look::More),
            _ => return Err(FormError::Malformed),
        };
        self.text.drain(..length);
        self.state = state;
        Ok(Look::On)
    }

    fn headers(&mut self, after_file: bool) -> Result<Look, FormError> {
        let Some(end) = find(&self.text, b"\r\n\r\n") else {
            return Ok(Look::More);
        };
        let headers = part::parse(self.text.get(..end).unwrap_or_default());
        let headers = headers.ok_or(FormError::Malformed)?;
        self.text.drain(..end.saturating_add(4));
        if headers.name.eq_ignore_ascii_case("file") {
            if after_file {
                return Err(FormError::Files { count: 2 });
            }
            return Ok(Look::File(headers.file_name));
        }
        if self.fields.len() == FIELDS_MAX {
            return Err(FormError::TooLong);
        }
        self.state = State::Value {
            after_file,
            name: headers.name,
        };
        Ok(Look::On)
    }

    fn value(&mut self, after_file: bool, name: String) -> Result<Look, FormError> {
        let Some(end) = find(&self.text, &self.delimiter) else {
            return Ok(Look::More);
        };
        let value = self.text.get(..end).unwrap_or_default().to_vec();
        let value = String::from_utf8(value).map_err(|_| FormError::Malformed)?;
        self.text.drain(..end.saturating_add(self.delimiter.len()));
        // What follows the file is ignored.
        if !after_file {
            self.fields.push(FormField { name, value });
        }
        self.state = State::Boundary { after_file };
        Ok(Look::On)
    }

    /// The content of the file. A delimiter begins with its only carriage return, so where a match
    /// breaks off, the next one can begin at the byte that broke it, never before.
    fn file(&mut self, input: &[u8], matched: usize) -> Step {
        let step = |consumed, event| Step { consumed, event };
        if matched > 0 {
            let missing = self.delimiter.get(matched..).unwrap_or_default();
            let more = common(missing, input);
            let now = matched.saturating_add(more);
            if more == missing.len() {
                self.state = State::Boundary { after_file: true };
                return step(more, Event::NeedMore);
            }
            if more == input.len() {
                self.state = State::File { matched: now };
                return step(more, Event::NeedMore);
            }
            self.state = State::File { matched: 0 };
            return step(more, Event::Delimiter(now));
        }
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\r', input.get(from..).unwrap_or_default()) {
            let at = from.saturating_add(found);
            let rest = input.get(at..).unwrap_or_default();
            let same = common(&self.delimiter, rest);
            if same == self.delimiter.len() || same == rest.len() {
                if at > 0 {
                    return step(at, Event::Data(0..at));
                }
                self.state = if same == self.delimiter.len() {
                    State::Boundary { after_file: true }
                } else {
                    State::File { matched: same }
                };
                return step(same, Event::NeedMore);
            }
            from = at.saturating_add(1);
        }
        match input.len() {
            0 => step(0, Event::NeedMore),
            all => step(all, Event::Data(0..all)),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

/// How many bytes two slices begin with in common.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
