// SPDX-License-Identifier: Apache-2.0
//! Making a backup while the store serves.

use std::io::Write;
use std::ops::ControlFlow;

use super::format::{
    BackupHead, Kind, PIECE_BYTES_FULL, PieceHead, Pieces, Totals, file_piece, push_row,
};
use crate::at_rest::AtRest;
use crate::error::Error;
use crate::store::Store;

/// How far a backup has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BackupStep {
    /// Rows written so far.
    pub rows: u64,
    /// Bytes written so far.
    pub bytes: u64,
}

/// What a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupReport {
    /// Its name.
    pub backup_id: [u8; 16],
    /// The last commit in it.
    pub seq: u64,
    /// Rows of tables.
    pub rows: u64,
    /// Small files: secrets of the vault and those of the caller.
    pub files: u64,
    /// Bytes of the backup.
    pub bytes: u64,
}

impl Store {
    /// Writes the tables as they are at one moment, the vault, and the small files that the caller
    /// keeps beside the store. Blocks; commits go on meanwhile. The caller makes `out` durable.
    ///
    /// `told` hears of the progress and may break off, which is [`Error::Closed`].
    pub fn backup(
        &self,
        at_rest: &dyn AtRest,
        keyring: Vec<u8>,
        created_ms: u64,
        files: &[(&str, Vec<u8>)],
        out: &mut dyn Write,
        mut told: impl FnMut(BackupStep) -> ControlFlow<()>,
    ) -> Result<BackupReport, Error> {
        let moment = self.tables().moment()?;
        let mut backup_id = [0; 16];
        aws_lc_rs::rand::fill(&mut backup_id).map_err(|_| Error::Random)?;
        let head = BackupHead {
            backup_id,
            cluster_id: self.cluster_id(),
            seq: moment.seq(),
            created_ms,
            keyring,
        };
        let head_bytes = head.to_bytes()?;
        let mut to = To {
            out,
            pieces: Pieces::new(at_rest, &head_bytes),
            number: 0,
            bytes: 0,
        };
        to.raw(&head_bytes)?;
        let mut totals = Totals::default();
        let mut piece = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = moment.rows(after.as_deref(), ROWS_PER_LOOK)?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            after = Some(last.clone());
            for (key, row) in &rows {
                push_row(&mut piece, key, row)?;
                totals.rows = totals.rows.saturating_add(1);
                if piece.len() >= PIECE_BYTES_FULL {
                    to.piece(Kind::Rows, &std::mem::take(&mut piece))?;
                }
            }
            let step = BackupStep {
                rows: totals.rows,
                bytes: to.bytes,
            };
            if told(step).is_break() {
                return Err(Error::Closed);
            }
        }
        if !piece.is_empty() {
            to.piece(Kind::Rows, &piece)?;
        }
        // Behind the rows: a secret that a row of this moment needs is there unless it was
        // destroyed meanwhile, and then it has to be missing.
        for entry in self.vault().list()? {
            if let Some(bytes) = self.vault().file(entry.id)? {
                let name = format!("{VAULT}{}", crate::layout::BlobId(entry.id));
                to.piece(Kind::File, &file_piece(&name, &bytes)?)?;
                totals.files = totals.files.saturating_add(1);
            }
        }
        for (name, bytes) in files {
            to.piece(Kind::File, &file_piece(name, bytes)?)?;
            totals.files = totals.files.saturating_add(1);
        }
        to.piece(Kind::End, &totals.to_bytes())?;
        Ok(BackupReport {
            backup_id,
            seq: head.seq,
            rows: totals.rows,
            files: totals.files,
            bytes: to.bytes,
        })
    }
}

struct To<'a> {
    out: &'a mut dyn Write,
    pieces: Pieces<'a>,
    number: u64,
    bytes: u64,
}

impl To<'_> {
    fn piece(&mut self, kind: Kind, plain: &[u8]) -> Result<(), Error> {
        let sealed = self.pieces.seal(kind, self.number, plain)?;
        let head = PieceHead {
            kind,
            number: self.number,
            sealed_len: sealed.len(),
        };
        self.raw(&head.to_bytes()?)?;
        self.raw(&sealed)?;
        self.number = self.number.saturating_add(1);
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out
            .write_all(bytes)
            .map_err(|source| Error::from_io("write", "the backup", source))?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(len);
        Ok(())
    }
}

/// How names of the vault's files begin.
pub(super) const VAULT: &str = "vault/";
const ROWS_PER_LOOK: usize = 512;
