// SPDX-License-Identifier: Apache-2.0
//! The bytes of a backup. Integers are big-endian.
//!
//! ```text
//! head    0   8  "SRBACK01"
//!         8  16  backup id, random
//!        24  16  cluster id
//!        40   8  the last commit in it
//!        48   8  when it was made, milliseconds since 1970
//!        56   4  length n of the keyring file
//!        60   n  the keyring file, sealed by its root key
//!         .   8  XXH3-64 of all before
//! piece   0   1  kind: 1 rows, 2 file, 3 end
//!         1   8  number, from 0
//!         9   4  length n
//!        13   n  sealed content
//! ```
//!
//! A piece is sealed with the associated data `"strongroom backup v1" || SHA-256(head) || kind ||
//! number`: pieces cannot be left out, exchanged or taken from another backup, and the last one
//! says how much there was.

use aws_lc_rs::digest::{SHA256, digest};
use twox_hash::XxHash3_64;

use super::damaged;
use crate::at_rest::AtRest;
use crate::error::Error;
use crate::table::IndexRow;

/// What stands at the start of a backup.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupHead {
    /// Names the backup.
    pub backup_id: [u8; 16],
    /// The cluster whose tables it holds.
    pub cluster_id: [u8; 16],
    /// The last commit in it.
    pub seq: u64,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// The keyring file that opens it, sealed by its root key.
    pub keyring: Vec<u8>,
}

impl std::fmt::Debug for BackupHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupHead")
            .field("seq", &self.seq)
            .field("created_ms", &self.created_ms)
            .finish_non_exhaustive()
    }
}

/// What a piece holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Rows,
    File,
    End,
}

/// The header of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PieceHead {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) sealed_len: usize,
}

/// What the last piece says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Totals {
    pub(super) rows: u64,
    pub(super) files: u64,
}

impl BackupHead {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let too_large = Error::TooLarge {
            what: "the keyring of a backup",
        };
        let len = u32::try_from(self.keyring.len())
            .ok()
            .filter(|len| *len <= KEYRING_BYTES_MAX)
            .ok_or(too_large)?;
        let mut out = Vec::with_capacity(self.keyring.len().saturating_add(68));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.backup_id);
        out.extend_from_slice(&self.cluster_id);
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.created_ms.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&self.keyring);
        let sum = XxHash3_64::oneshot(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        Ok(out)
    }

    /// How many bytes follow the fixed part, by the fixed part.
    pub(super) fn rest_len(fixed: &[u8; FIXED_BYTES]) -> Result<usize, Error> {
        let (magic, _) = fixed
            .split_first_chunk::<8>()
            .ok_or(damaged("it is no backup of Strongroom"))?;
        if magic != MAGIC {
            return Err(damaged("it is no backup of Strongroom"));
        }
        let (_, len) = fixed
            .split_last_chunk::<4>()
            .ok_or(damaged("its head is damaged"))?;
        let len = u32::from_be_bytes(*len);
        if len > KEYRING_BYTES_MAX {
            return Err(damaged("its head is damaged"));
        }
        usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(8))
            .ok_or(damaged("its head is damaged"))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = || damaged("its head is damaged");
        let (fields, sum) = bytes.split_last_chunk::<8>().ok_or_else(wrong)?;
        if XxHash3_64::oneshot(fields).to_be_bytes() != *sum {
            return Err(wrong());
        }
        let (_, rest) = fields.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (backup_id, rest) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
        let (cluster_id, rest) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
        let (seq, rest) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (created_ms, rest) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (_, keyring) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        let head = Self {
            backup_id: *backup_id,
            cluster_id: *cluster_id,
            seq: u64::from_be_bytes(*seq),
            created_ms: u64::from_be_bytes(*created_ms),
            keyring: keyring.to_vec(),
        };
        if head.to_bytes()? != bytes {
            return Err(wrong());
        }
        Ok(head)
    }
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Rows => 1,
            Self::File => 2,
            Self::End => 3,
        }
    }
}

impl PieceHead {
    pub(super) fn to_bytes(self) -> Result<[u8; PIECE_HEAD_BYTES], Error> {
        let len = u32::try_from(self.sealed_len)
            .ok()
            .filter(|len| *len <= PIECE_BYTES_MAX)
            .ok_or(Error::TooLarge {
                what: "a piece of a backup",
            })?;
        let mut out = [0; PIECE_HEAD_BYTES];
        let fields = [self.kind.code()]
            .into_iter()
            .chain(self.number.to_be_bytes())
            .chain(len.to_be_bytes());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        Ok(out)
    }

    pub(super) fn parse(bytes: &[u8; PIECE_HEAD_BYTES]) -> Result<Self, Error> {
        let wrong = || damaged("the head of a piece is damaged");
        let (kind, rest) = bytes.split_first().ok_or_else(wrong)?;
        let kind = match kind {
            1 => Kind::Rows,
            2 => Kind::File,
            3 => Kind::End,
            _ => return Err(wrong()),
        };
        let (number, rest) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        let len = <[u8; 4]>::try_from(rest).map_err(|_| wrong())?;
        let len = u32::from_be_bytes(len);
        if len > PIECE_BYTES_MAX {
            return Err(wrong());
        }
        Ok(Self {
            kind,
            number: u64::from_be_bytes(*number),
            sealed_len: usize::try_from(len).map_err(|_| wrong())?,
        })
    }
}

impl Totals {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.rows.to_be_bytes(), self.files.to_be_bytes()].concat()
    }
}

/// Seals and opens the pieces of one backup.
pub(super) struct Pieces<'a> {
    at_rest: &'a dyn AtRest,
    head_digest: Vec<u8>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(at_rest: &'a dyn AtRest, head: &[u8]) -> Self {
        Self {
            at_rest,
            head_digest: digest(&SHA256, head).as_ref().to_vec(),
        }
    }

    pub(super) fn seal(&self, kind: Kind, number: u64, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.at_rest
            .seal(stream(number), &self.aad(kind, number), plain)
            .map_err(|_| Error::Seal)
    }

    pub(super) fn open(&self, kind: Kind, number: u64, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.at_rest
            .open(stream(number), &self.aad(kind, number), sealed)
            .map_err(|_| damaged("a piece does not open"))
    }

    fn aad(&self, kind: Kind, number: u64) -> Vec<u8> {
        [
            b"strongroom backup v1".as_slice(),
            &self.head_digest,
            &[kind.code()],
            &number.to_be_bytes(),
        ]
        .concat()
    }
}

/// Each backup seals one value in each of its streams: 2^20 backups are within the bound.
fn stream(number: u64) -> u64 {
    (6 << 60) | (number & ((1 << 60) - 1))
}

/// Appends a row as it lies in a piece.
pub(super) fn push_row(out: &mut Vec<u8>, key: &[u8], row: &[u8]) -> Result<(), Error> {
    let too_large = |_| Error::TooLarge { what: "a row" };
    out.extend_from_slice(&u16::try_from(key.len()).map_err(too_large)?.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&u32::try_from(row.len()).map_err(too_large)?.to_be_bytes());
    out.extend_from_slice(row);
    Ok(())
}

/// The rows of a piece.
pub(super) fn rows(mut piece: &[u8]) -> Result<Vec<IndexRow>, Error> {
    let mut rows = Vec::new();
    while !piece.is_empty() {
        let (key, row, rest) = row(piece).ok_or_else(|| damaged("a piece does not parse"))?;
        rows.push((key.to_vec(), bytes::Bytes::copy_from_slice(row)));
        piece = rest;
    }
    Ok(rows)
}

fn row(piece: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = piece.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (row, rest) = rest.split_at_checked(len)?;
    Some((key, row, rest))
}

/// A small file as it lies in a piece.
pub(super) fn file_piece(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let len = u16::try_from(name.len()).map_err(|_| Error::TooLarge {
        what: "the name of a file",
    })?;
    Ok([&len.to_be_bytes(), name.as_bytes(), bytes].concat())
}

/// The file of a piece: name and content.
pub(super) fn file(piece: &[u8]) -> Result<(String, Vec<u8>), Error> {
    let parsed = || {
        let (len, rest) = piece.split_first_chunk::<2>()?;
        let (name, bytes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        let name = std::str::from_utf8(name).ok()?;
        Some((name.to_owned(), bytes.to_vec()))
    };
    parsed().ok_or_else(|| damaged("a piece does not parse"))
}

const MAGIC: &[u8; 8] = b"SRBACK01";
/// Bytes before the keyring.
pub(super) const FIXED_BYTES: usize = 60;
pub(super) const PIECE_HEAD_BYTES: usize = 13;
/// The largest row, and what is left of a piece that it is added to.
const PIECE_BYTES_MAX: u32 = 32 << 20;
const KEYRING_BYTES_MAX: u32 = 1 << 20;
/// A piece of rows that has reached this is closed.
pub(super) const PIECE_BYTES_FULL: usize = 1 << 20;
