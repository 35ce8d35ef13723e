// SPDX-License-Identifier: Apache-2.0
//! The record of an upload, to go on with it after a crash.
//!
//! A part may be encrypted a second time only with the same bytes: two plaintexts under one nonce
//! give themselves away. So before the first byte of a part leaves the process, a fingerprint of its
//! ciphertext is on the drive, which for a given place in the object stands for the plaintext; and
//! a part whose ciphertext has another fingerprint than the one on record is not sent, ever.
//!
//! ```text
//!   {"line":{"begun":{bucket, key, upload id, part size, attributes, envelope, key}},"mac":".."}
//!   {"line":{"part":{number, bytes, print}},"mac":".."}          before the part is sent
//!   {"line":{"stored":{number, ETag}},"mac":".."}                after it was stored
//! ```
//! There is no secret in it: the data key is wrapped, and what the parts add to the tag is computed
//! again. A fingerprint is HMAC-SHA-256 of that, which is computed in any case, so that no further
//! hash of all bytes is needed: GHASH under a key that nobody else knows has collisions as rarely as
//! tags are guessed, and HMAC keeps the key unknown. Each line, too, is authenticated under a key that
//! follows from the content key, so that whoever can write the file cannot have a part sent that is not
//! the recorded one. Who can put an older file back could; that the store has no part that the
//! file does not know is checked for that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::files::{Durability, RecordFile};
use crate::content::{ContentKey, PartDigest};
use crate::envelope::Stored;
use crate::error::Error;
use crate::transport::{Address, Attributes};

/// What does not change during an upload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begun {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) part_bytes: u64,
    /// The caller's, without the envelope.
    pub(super) attributes: Attributes,
    pub(super) envelope: Stored,
    /// What the key is called that wrapped the data key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) under: Option<String>,
}

impl Begun {
    pub(super) fn to(&self) -> Address {
        Address::new(&self.bucket, &self.key)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Begun(Box<Begun>),
    Part {
        number: u32,
        bytes: u64,
        print: String,
    },
    Stored {
        number: u32,
        e_tag: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    line: Line,
    mac: String,
}

/// What the file of a record says, before anything vouches for it.
pub(super) struct Unverified {
    file: RecordFile,
    pub(super) begun: Begun,
    lines: Vec<Signed>,
}

/// An empty file, or a record.
pub(super) enum Found {
    Nothing(RecordFile),
    Record(Box<Unverified>),
}

/// Reads the file of a record; makes it if there is none. Blocks.
pub(super) fn read(path: &Path) -> Result<Found, Error> {
    let (mut file, text) = RecordFile::open(path)?;
    if !is_record(&text) {
        return Err(Error::State(IS_NONE));
    }
    // A line without an end was being written when the process ended: what it speaks of was not
    // yet sent.
    let whole = text.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |end| end.saturating_add(1));
    let text = text.get(..whole).unwrap_or_default();
    let mut lines = Vec::new();
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let damaged = |_| Error::State("it is damaged");
        lines.push(serde_json::from_slice::<Signed>(line).map_err(damaged)?);
    }
    file.keep(u64::try_from(whole).unwrap_or(u64::MAX))?;
    match lines.first() {
        None => Ok(Found::Nothing(file)),
        Some(Signed {
            line: Line::Begun(begun),
            ..
        }) => Ok(Found::Record(Box::new(Unverified {
            begun: (**begun).clone(),
            file,
            lines,
        }))),
        Some(_) => Err(Error::State("it is damaged")),
    }
}

/// What is needed to end the upload of a record, although lines of it may be damaged; nothing if
/// its first one is. Blocks.
pub(super) fn read_to_end_it(path: &Path) -> Result<(RecordFile, Option<Begun>), Error> {
    let (file, text) = RecordFile::open(path)?;
    if !is_record(&text) {
        return Err(Error::State(IS_NONE));
    }
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let begun = match serde_json::from_slice(first) {
        Ok(Signed {
            line: Line::Begun(begun),
            ..
        }) => Some(*begun),
        _ => None,
    };
    Ok((file, begun))
}

/// Whether a file is a record, or the beginning of one, or empty. INVARIANT: any other file was
/// named by mistake, and is neither cut nor removed.
fn is_record(text: &[u8]) -> bool {
    text.iter().zip(BEGINNING).all(|(is, should)| is == should)
}

impl Unverified {
    /// Whether the record is that of the content key that its envelope leads to.
    pub(super) fn verify(self, key: &ContentKey) -> Result<Record, Error> {
        let key = key.record_key();
        let mut known = Known::default();
        for (index, Signed { line, mac }) in self.lines.iter().enumerate() {
            let mac = STANDARD
                .decode(mac)
                .map_err(|_| Error::State("it is damaged"))?;
            hmac::verify(&key, &bytes_of(line)?, &mac)
                .map_err(|_| Error::State("it was changed, or is another object's"))?;
            match line {
                Line::Begun(_) if index == 0 => {}
                Line::Begun(_) => return Err(Error::State("it begins twice")),
                Line::Part {
                    number,
                    bytes,
                    print,
                } => {
                    let part = (*bytes, print.clone());
                    if known.parts.insert(*number, part).is_some() {
                        return Err(Error::State("it has a part twice"));
                    }
                }
                Line::Stored { number, e_tag } => {
                    known.stored.insert(*number, e_tag.clone());
                }
            }
        }
        known.file = Some(self.file);
        Ok(Record {
            key,
            known: Mutex::new(known),
        })
    }

    /// The file, for an upload that has nothing to do with this one.
    pub(super) fn discard(mut self) -> Result<RecordFile, Error> {
        self.file.keep(0)?;
        Ok(self.file)
    }
}

/// The record of an upload that is under way.
pub(super) struct Record {
    key: hmac::Key,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    file: Option<RecordFile>,
    /// Bytes and fingerprint.
    parts: BTreeMap<u32, (u64, String)>,
    /// ETags.
    stored: BTreeMap<u32, String>,
}

impl Record {
    /// The record of an upload that begins. Blocks.
    pub(super) fn begin(file: RecordFile, begun: &Begun, key: &ContentKey) -> Result<Self, Error> {
        let known = Known {
            file: Some(file),
            ..Known::default()
        };
        let record = Self {
            key: key.record_key(),
            known: Mutex::new(known),
        };
        let line = Line::Begun(Box::new(begun.clone()));
        record.append(&mut record.known(), line, Durability::Now)?;
        Ok(record)
    }

    /// Whether this part may be sent. When it may, that it was is on the drive. Blocks.
    pub(super) fn admit(&self, number: u32, digest: &PartDigest) -> Result<(), Error> {
        let bytes = digest.ciphertext_bytes();
        let print = STANDARD.encode(digest.fingerprint(&self.key));
        let mut known = self.known();
        match known.parts.get(&number) {
            // INVARIANT: a part that was perhaps sent is never sent with other bytes.
            Some(earlier) if *earlier == (bytes, print.clone()) => Ok(()),
            Some(_) => Err(Error::SourceChanged { part: Some(number) }),
            None => {
                let line = Line::Part {
                    number,
                    bytes,
                    print: print.clone(),
                };
                self.append(&mut known, line, Durability::Now)?;
                known.parts.insert(number, (bytes, print));
                Ok(())
            }
        }
    }

    /// Remembers that the store has a part. Should the machine forget it, the part is sent again. Blocks.
    pub(super) fn stored(&self, number: u32, e_tag: &str) -> Result<(), Error> {
        let mut known = self.known();
        let line = Line::Stored {
            number,
            e_tag: e_tag.to_owned(),
        };
        self.append(&mut known, line, Durability::Later)?;
        known.stored.insert(number, e_tag.to_owned());
        Ok(())
    }

    /// The ETag of a part that the store had.
    pub(super) fn e_tag(&self, number: u32) -> Option<String> {
        self.known().stored.get(&number).cloned()
    }

    /// Whether this part was perhaps sent.
    pub(super) fn knows(&self, number: u32) -> bool {
        self.known().parts.contains_key(&number)
    }

    /// The upload is over. Blocks.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match self.known().file.take() {
            Some(file) => Ok(file.remove()?),
            None => Ok(()),
        }
    }

    fn append(&self, known: &mut Known, line: Line, when: Durability) -> Result<(), Error> {
        let mac = STANDARD.encode(hmac::sign(&self.key, &bytes_of(&line)?));
        let json = serde_json::to_vec(&Signed { line, mac });
        let json = json.map_err(|_| Error::State("it cannot be written"))?;
        let over = Error::State("the upload is over");
        Ok(known.file.as_mut().ok_or(over)?.append(&json, when)?)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(line: &Line) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(line).map_err(|_| Error::State("it cannot be written"))
}

/// How each record begins.
const BEGINNING: &[u8] = br#"{"line":{"begun":"#;
const IS_NONE: &str = "it is no record of an upload";
