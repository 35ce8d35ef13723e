// SPDX-License-Identifier: Apache-2.0
//! Reading a backup: its head without any key, its pieces with the keyring that is in the head.

use std::io::{Read, Seek, SeekFrom};

use super::damaged;
use super::format::{
    BackupHead, FIXED_BYTES, Kind, PIECE_HEAD_BYTES, PieceHead, Pieces, Totals, file, rows,
};
use crate::at_rest::AtRest;
use crate::error::Error;
use crate::table::IndexRow;

/// A backup that was found, its head read.
#[derive(Debug)]
pub struct BackupFile<R> {
    from: R,
    head: BackupHead,
    head_bytes: Vec<u8>,
}

/// What a backup holds, one piece after the other.
pub(super) enum Content {
    Rows(Vec<IndexRow>),
    File(String, Vec<u8>),
}

impl<R: Read + Seek> BackupFile<R> {
    /// Reads the head: what the backup is of, and the keyring that opens it.
    pub fn open(mut from: R) -> Result<Self, Error> {
        let mut fixed = [0; FIXED_BYTES];
        read_exact(&mut from, &mut fixed)?;
        let mut rest = vec![0; BackupHead::rest_len(&fixed)?];
        read_exact(&mut from, &mut rest)?;
        let head_bytes = [fixed.as_slice(), &rest].concat();
        let head = BackupHead::parse(&head_bytes)?;
        Ok(Self {
            from,
            head,
            head_bytes,
        })
    }

    /// The head.
    pub fn head(&self) -> &BackupHead {
        &self.head
    }

    /// Reads the whole backup from its first piece on and hands out what it holds. An error says
    /// that the backup is not whole, and may come after some of it was handed out: whoever
    /// changes anything by it reads it through once before.
    pub(super) fn each(
        &mut self,
        at_rest: &dyn AtRest,
        mut take: impl FnMut(Content) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = u64::try_from(self.head_bytes.len()).unwrap_or(u64::MAX);
        self.from
            .seek(SeekFrom::Start(start))
            .map_err(|source| Error::from_io("read", "the backup", source))?;
        let pieces = Pieces::new(at_rest, &self.head_bytes);
        let mut totals = Totals::default();
        let mut last_key: Option<Vec<u8>> = None;
        for number in 0.. {
            let mut bytes = [0; PIECE_HEAD_BYTES];
            read_exact(&mut self.from, &mut bytes)?;
            let head = PieceHead::parse(&bytes)?;
            if head.number != number {
                return Err(damaged("a piece is missing"));
            }
            let mut sealed = vec![0; head.sealed_len];
            read_exact(&mut self.from, &mut sealed)?;
            let plain = pieces.open(head.kind, number, &sealed)?;
            match head.kind {
                Kind::Rows => {
                    let rows = rows(&plain)?;
                    for (key, _) in &rows {
                        if last_key.as_ref().is_some_and(|last| last >= key) {
                            return Err(damaged("its rows are not in order"));
                        }
                        last_key = Some(key.clone());
                        totals.rows = totals.rows.saturating_add(1);
                    }
                    take(Content::Rows(rows))?;
                }
                Kind::File => {
                    let (name, bytes) = file(&plain)?;
                    totals.files = totals.files.saturating_add(1);
                    take(Content::File(name, bytes))?;
                }
                Kind::End => {
                    if plain != totals.to_bytes() {
                        return Err(damaged("a piece is missing"));
                    }
                    break;
                }
            }
        }
        let mut more = [0; 1];
        match self.from.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged("something follows its end")),
            Err(source) => Err(Error::from_io("read", "the backup", source)),
        }
    }

    /// Reads everything and changes nothing.
    pub fn verify(&mut self, at_rest: &dyn AtRest) -> Result<(), Error> {
        self.each(at_rest, |_| Ok(()))
    }
}

fn read_exact(from: &mut impl Read, to: &mut [u8]) -> Result<(), Error> {
    from.read_exact(to).map_err(|source| {
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            damaged("it is cut")
        } else {
            Error::from_io("read", "the backup", source)
        }
    })
}
