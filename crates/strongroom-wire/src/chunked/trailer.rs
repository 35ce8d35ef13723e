// SPDX-License-Identifier: Apache-2.0
//! Trailer lines: only the announced checksum, and the trailer's signature.
//!
//! A trailer arrives after everything was authorized, so it may carry nothing but a checksum of
//! the data: a header that acts (`x-amz-meta-*`, `authorization`) is refused.

use aws_lc_rs::digest::{Context, SHA256};

use super::ChunkError;

/// Collects trailer lines against their announcement.
#[derive(Debug)]
pub(super) struct Trailers {
    announced: Option<String>,
    received: Vec<(String, String)>,
    signature: Option<String>,
}

impl Trailers {
    /// `announcement` is the value of `x-amz-trailer`: one name of a checksum.
    pub(super) fn announced(announcement: Option<&[u8]>) -> Result<Self, ChunkError> {
        let announced = match announcement {
            None => None,
            Some(value) => {
                let text = std::str::from_utf8(value)
                    .map_err(|_| ChunkError::InvalidAnnouncement)?
                    .trim_matches([' ', '\t'])
                    .to_ascii_lowercase();
                if !is_checksum_name(&text) {
                    return Err(ChunkError::InvalidAnnouncement);
                }
                Some(text)
            }
        };
        Ok(Self {
            announced,
            received: Vec::new(),
            signature: None,
        })
    }

    pub(super) fn is_announced(&self) -> bool {
        self.announced.is_some()
    }

    /// Takes one line, without its line end.
    pub(super) fn take_line(&mut self, line: &[u8], signed: bool) -> Result<(), ChunkError> {
        let text = std::str::from_utf8(line).map_err(|_| ChunkError::MalformedTrailer)?;
        let (name, value) = text.split_once(':').ok_or(ChunkError::MalformedTrailer)?;
        let name = name.to_ascii_lowercase();
        let value = value.trim_matches([' ', '\t']);
        let printable = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
        if !printable || self.signature.is_some() {
            return Err(ChunkError::MalformedTrailer);
        }
        if name == SIGNATURE_NAME {
            if !signed {
                return Err(ChunkError::MalformedTrailer);
            }
            self.signature = Some(value.to_owned());
            return Ok(());
        }
        if self.announced.as_deref() != Some(name.as_str()) {
            return Err(ChunkError::TrailerNotAnnounced);
        }
        if !self.received.is_empty() {
            return Err(ChunkError::MalformedTrailer);
        }
        self.received.push((name, value.to_owned()));
        Ok(())
    }

    /// Whether the announced trailer came.
    pub(super) fn complete(&self) -> Result<(), ChunkError> {
        match &self.announced {
            Some(name) if self.received.is_empty() => {
                Err(ChunkError::TrailerNotSent { name: name.clone() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        sha256_of_lines(
            self.received
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    pub(super) fn into_received(self) -> Vec<(String, String)> {
        self.received
    }
}

/// SHA-256 of trailer lines in their canonical form, `name:value\n`.
pub(super) fn sha256_of_lines<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for (name, value) in lines {
        for piece in [name, ":", value, "\n"] {
            context.update(piece.as_bytes());
        }
    }
    let mut hash = [0u8; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn is_checksum_name(name: &str) -> bool {
    name.strip_prefix("x-amz-checksum-")
        .is_some_and(|algorithm| {
            (1..=32).contains(&algorithm.len())
                && algorithm
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && algorithm != "type"
                && algorithm != "mode"
                && algorithm != "algorithm"
        })
}

pub(super) const SIGNATURE_NAME: &str = "x-amz-trailer-signature";
