// SPDX-License-Identifier: Apache-2.0
//! How far a pass of scrub has come: one row (table 29, key `0`), so that a restart goes on where the
//! last process was, and the last finished pass is known.

use crate::error::Error;
use crate::layout::BlobId;
use crate::table::{Batch, CommitError, Tables, Write};

use super::damage::SCRUB_TABLE;

/// What a pass is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ScrubPhase {
    /// Nothing: the last pass is over, and the next is not due.
    #[default]
    Resting,
    /// Adding up what is to be read.
    Counting,
    /// Reading every shard of every blob.
    Blobs,
    /// Looking for files that belong nowhere.
    Files,
    /// Opening every row, reading the log, comparing the copies of the tables.
    Tables,
}

/// What was gone through, and what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, minicbor::Encode, minicbor::Decode)]
pub struct ScrubTotals {
    /// Blobs gone through.
    #[n(0)]
    pub blobs: u64,
    /// Shard files read.
    #[n(1)]
    pub shards: u64,
    /// Bytes of shard files read.
    #[n(2)]
    pub bytes: u64,
    /// Shards that could not be looked at: their drive is not there.
    #[n(3)]
    pub absent_shards: u64,
    /// Damaged shards.
    #[n(4)]
    pub damaged_shards: u64,
    /// Shard files that no row stands for, on the drive that they lie on.
    #[n(5)]
    pub stray_files: u64,
    /// Files in a folder of blobs that are none of ours.
    #[n(6)]
    pub foreign_files: u64,
    /// Rows of the tables opened.
    #[n(7)]
    pub rows: u64,
    /// Damaged places of the tables and their log.
    #[n(8)]
    pub damaged_rows: u64,
}

/// A pass that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct FinishedPass {
    /// When it began, by the wall clock.
    #[n(0)]
    pub started_ms: u64,
    /// When it ended, by the wall clock.
    #[n(1)]
    pub ended_ms: u64,
    /// What it came to.
    #[n(2)]
    pub totals: ScrubTotals,
}

/// The durable row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, minicbor::Encode, minicbor::Decode)]
pub(crate) struct PassRow {
    /// Passes begun.
    #[n(0)]
    pub(crate) number: u64,
    #[n(1)]
    pub(crate) phase: ScrubPhase,
    /// The last blob that is done with.
    #[n(2)]
    pub(crate) after: Option<BlobId>,
    /// When the pass began, by the wall clock.
    #[n(3)]
    pub(crate) started_ms: u64,
    /// What counting came to.
    #[n(4)]
    pub(crate) bytes_total: u64,
    #[n(5)]
    pub(crate) totals: ScrubTotals,
    #[n(6)]
    pub(crate) last: Option<FinishedPass>,
}

impl ScrubPhase {
    /// The phase in one word, as operators see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Counting => "counting",
            Self::Blobs => "blobs",
            Self::Files => "files",
            Self::Tables => "tables",
        }
    }

    const NUMBERED: [(u8, Self); 5] = [
        (0, Self::Resting),
        (1, Self::Counting),
        (2, Self::Blobs),
        (3, Self::Files),
        (4, Self::Tables),
    ];
}

impl<C> minicbor::Encode<C> for ScrubPhase {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let number = Self::NUMBERED.iter().find(|(_, phase)| phase == self);
        e.u8(number.map_or(0, |(number, _)| *number))?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for ScrubPhase {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let number = d.u8()?;
        let phase = Self::NUMBERED.iter().find(|(of, _)| *of == number);
        phase
            .map(|(_, phase)| *phase)
            .ok_or_else(|| minicbor::decode::Error::message("no such phase"))
    }
}

impl PassRow {
    /// What is stored. A row that makes no sense is an error: it is sealed, so it is damage.
    pub(crate) fn load(tables: &Tables) -> Result<Option<Self>, Error> {
        let Some(row) = tables.get(SCRUB_TABLE, &KEY)? else {
            return Ok(None);
        };
        let row = minicbor::decode(&row.value).map_err(|_| Error::Corrupted {
            place: "row of the pass of scrub".to_owned(),
            reason: "the row does not parse",
        })?;
        Ok(Some(row))
    }

    /// Makes the row durable.
    pub(crate) async fn save(&self, tables: &Tables) -> Result<(), Error> {
        let mut value = Vec::with_capacity(96);
        // INVARIANT: encoding into memory cannot fail (the error type is `Infallible`).
        let _infallible = minicbor::encode(self, &mut value);
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::Put {
                table: SCRUB_TABLE,
                key: KEY.to_vec(),
                value,
            }],
        };
        match tables.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
            // Without preconditions only an unknown outcome is left.
            Err(CommitError::Precondition { .. } | CommitError::Unknown) => Err(Error::Closed),
        }
    }
}

const KEY: [u8; 1] = [0];

#[cfg(test)]
mod tests {
    use super::*;

    fn back(row: &PassRow) -> PassRow {
        let mut bytes = Vec::new();
        minicbor::encode(row, &mut bytes).unwrap();
        minicbor::decode(&bytes).unwrap()
    }

    #[test]
    fn a_pass_comes_back_in_every_phase() {
        for (_, phase) in ScrubPhase::NUMBERED {
            let row = PassRow {
                number: 7,
                phase,
                after: Some(BlobId([3; 16])),
                started_ms: u64::MAX,
                bytes_total: 9,
                totals: ScrubTotals {
                    blobs: 1,
                    damaged_rows: 2,
                    ..ScrubTotals::default()
                },
                last: Some(FinishedPass {
                    started_ms: 1,
                    ended_ms: 2,
                    totals: ScrubTotals::default(),
                }),
            };
            assert_eq!(back(&row), row);
        }
        assert_eq!(back(&PassRow::default()), PassRow::default());
    }

    #[test]
    fn unknown_phases_and_cut_rows_are_refused() {
        let mut bytes = Vec::new();
        minicbor::encode(PassRow::default(), &mut bytes).unwrap();
        for cut in 0..bytes.len() {
            assert!(minicbor::decode::<PassRow>(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(minicbor::decode::<ScrubPhase>(&[5]).is_err());
        assert!(minicbor::decode::<ScrubPhase>(&[0x20]).is_err());
    }
}
