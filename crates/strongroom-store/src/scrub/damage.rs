// SPDX-License-Identifier: Apache-2.0
//! What is known to be damaged, kept durably until it is healed.
//!
//! One row for each blob with a damaged shard (table 29, key `1 || blob`). A shard that is damaged is
//! not the same as one that is owed: its other units are still good, and when several shards are
//! damaged in different places every good unit counts. Rows vanish when the shard was healed, or the
//! blob released.

use std::fmt;
use std::ops::Bound;

use crate::blob::ShardSet;
use crate::error::Error;
use crate::layout::{BlobId, ShardIndex};
use crate::table::{Batch, CommitError, Precondition, Row, TableId, Tables, Write};

/// What is wrong with one shard file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ShardFault {
    /// There is no file.
    Missing,
    /// The drive cannot read it.
    Unreadable,
    /// The file is longer or shorter than the shard.
    Length,
    /// The header does not hold.
    Header,
    /// The header is that of another shard or another blob: swapped, or put back.
    Misplaced {
        /// What the header says.
        blob: BlobId,
        /// Of this shard.
        shard: ShardIndex,
    },
    /// Units do not match their checksums.
    Units {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// The trailer does not hold.
    Trailer,
}

/// One damaged shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DamagedShard {
    /// The blob.
    pub blob: BlobId,
    /// Which of its shards.
    pub shard: ShardIndex,
    /// What is wrong.
    pub fault: ShardFault,
}

/// What is kept of a damaged blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
pub(crate) struct DamageRow {
    /// The damaged shards, one bit each.
    #[n(0)]
    shards: u32,
    /// When it was found first, by the wall clock: for people.
    #[n(1)]
    pub(crate) found_ms: u64,
    /// Whether its shards contradict each other while all checksums hold: nobody without the key
    /// can say which is right, so none is changed.
    #[n(2)]
    pub(crate) is_doubtful: bool,
}

impl fmt::Display for ShardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the file is missing"),
            Self::Unreadable => f.write_str("the drive cannot read the file"),
            Self::Length => f.write_str("the file does not have the length of the shard"),
            Self::Header => f.write_str("the header is damaged"),
            Self::Misplaced { blob, shard } => {
                write!(f, "the file is shard {} of blob {blob}", shard.0)
            }
            Self::Units { first, count } => {
                write!(f, "{count} units are damaged, the first is {first}")
            }
            Self::Trailer => f.write_str("the trailer is damaged"),
        }
    }
}

impl fmt::Display for DamagedShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "blob {}, shard {}: {}",
            self.blob, self.shard.0, self.fault
        )
    }
}

impl DamageRow {
    /// The damaged shards.
    pub(crate) fn shards(&self) -> ShardSet {
        ShardSet::from_bits(self.shards)
    }

    /// The row with other shards; `None` when nothing is left to be said.
    pub(crate) fn with(self, shards: ShardSet) -> Option<Self> {
        let shards = shards.bits();
        (shards != 0 || self.is_doubtful).then_some(Self { shards, ..self })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        // INVARIANT: encoding into memory cannot fail (the error type is `Infallible`).
        match minicbor::encode(self, &mut bytes) {
            Ok(()) | Err(_) => bytes,
        }
    }

    fn decode(blob: BlobId, row: &Row) -> Result<Self, Error> {
        minicbor::decode(&row.value).map_err(|_| Error::Corrupted {
            place: format!("row of the damaged blob {blob}"),
            reason: "the row does not parse",
        })
    }
}

/// The row of a blob, and the commit that wrote it.
pub(crate) fn find(tables: &Tables, blob: BlobId) -> Result<Option<(DamageRow, u64)>, Error> {
    let row = tables.get(SCRUB_TABLE, &key(blob))?;
    row.map(|row| Ok((DamageRow::decode(blob, &row)?, row.seq)))
        .transpose()
}

/// Up to `limit` damaged blobs behind `after`; `None` for one whose row does not open: the next
/// whole look at the blob makes it anew.
pub(crate) fn list(
    tables: &Tables,
    after: Option<BlobId>,
    limit: usize,
) -> Result<Vec<(BlobId, Option<DamageRow>)>, Error> {
    let mut first = after.map(key);
    loop {
        let start = match &first {
            Some(key) => Bound::Excluded(key.as_slice()),
            None => Bound::Included([DAMAGED].as_slice()),
        };
        let end = [DAMAGED.saturating_add(1)];
        let rows = tables.scan_each(SCRUB_TABLE, start, Bound::Excluded(&end), limit, false)?;
        let Some((last, _)) = rows.last() else {
            return Ok(Vec::new());
        };
        first = Some(last.clone());
        let mut found = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            // Without a blob in its key a row says nothing; the walk of all rows tells of it.
            let Ok(blob) = blob_of(&key) else { continue };
            match row.and_then(|row| DamageRow::decode(blob, &row)) {
                Ok(row) => found.push((blob, Some(row))),
                Err(error) if error.is_corruption() => found.push((blob, None)),
                Err(error) => return Err(error),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

/// What a look at a blob has to add.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    /// Shards that are damaged.
    pub(crate) shards: ShardSet,
    /// Whether shards contradict each other; `None` when that was not looked at.
    pub(crate) is_doubtful: Option<bool>,
    /// The wall clock.
    pub(crate) now_ms: u64,
}

/// Notes what is wrong with a blob that is in the catalogue.
pub(crate) async fn note(tables: &Tables, blob: BlobId, news: News) -> Result<(), Error> {
    loop {
        let found = match find(tables, blob) {
            Err(error) if error.is_corruption() => return renew(tables, blob, news).await,
            found => found?,
        };
        let before = found.map(|(row, _)| row);
        let was = before.unwrap_or(DamageRow {
            shards: 0,
            found_ms: news.now_ms,
            is_doubtful: false,
        });
        let row = DamageRow {
            is_doubtful: news.is_doubtful.unwrap_or(was.is_doubtful),
            ..was
        };
        let row = row.with(ShardSet::from_bits(was.shards | news.shards.bits()));
        if row == before {
            return Ok(());
        }
        // Without its row in the catalogue the blob is gone, and its damage with it.
        let alive = Precondition::Present {
            table: TableId::BLOB_CATALOGUE,
            key: blob.0.to_vec(),
        };
        let unchanged = unchanged(blob, found.map(|(_, seq)| seq));
        match commit(tables, vec![unchanged, alive], write(blob, row)).await? {
            Outcome::Refused { index: 0 } => {}
            Outcome::Done | Outcome::Refused { .. } => return Ok(()),
        }
    }
}

/// The same where the row does not open. Who looked at the whole blob knows what is wrong with it,
/// and makes the row anew; others know less than the row did, and leave it as it is.
async fn renew(tables: &Tables, blob: BlobId, news: News) -> Result<(), Error> {
    let Some(is_doubtful) = news.is_doubtful else {
        return Ok(());
    };
    let row = DamageRow {
        shards: 0,
        found_ms: news.now_ms,
        is_doubtful,
    };
    tracing::warn!(%blob, "the row of a damaged blob did not open and is made anew");
    let alive = Precondition::Present {
        table: TableId::BLOB_CATALOGUE,
        key: blob.0.to_vec(),
    };
    commit(tables, vec![alive], write(blob, row.with(news.shards))).await?;
    Ok(())
}

/// Takes the row of a blob away that is gone. Nothing when it is not.
pub(crate) async fn forget(tables: &Tables, blob: BlobId) -> Result<(), Error> {
    let gone = Precondition::Absent {
        table: TableId::BLOB_CATALOGUE,
        key: blob.0.to_vec(),
    };
    commit(tables, vec![gone], write(blob, None)).await?;
    Ok(())
}

/// The write that gives the row of a blob another value, or takes it away.
pub(crate) fn write(blob: BlobId, row: Option<DamageRow>) -> Write {
    let (table, key) = (SCRUB_TABLE, key(blob));
    match row {
        Some(row) => Write::Put {
            table,
            key,
            value: row.encode(),
        },
        None => Write::Delete { table, key },
    }
}

/// That the row of a blob is still the one of commit `seq`, or still missing.
pub(crate) fn unchanged(blob: BlobId, seq: Option<u64>) -> Precondition {
    let (table, key) = (SCRUB_TABLE, key(blob));
    match seq {
        Some(seq) => Precondition::SeqIs { table, key, seq },
        None => Precondition::Absent { table, key },
    }
}

/// What became of a commit under conditions.
enum Outcome {
    Done,
    Refused { index: usize },
}

async fn commit(
    tables: &Tables,
    preconditions: Vec<Precondition>,
    write: Write,
) -> Result<Outcome, Error> {
    let batch = Batch {
        preconditions,
        writes: vec![write],
    };
    match tables.commit(batch).await {
        Ok(_) => Ok(Outcome::Done),
        Err(CommitError::Precondition { index, .. }) => Ok(Outcome::Refused { index }),
        Err(CommitError::Store(error)) => Err(error),
        // Nothing is lost: what was found will be found again.
        Err(CommitError::Unknown) => Err(Error::Closed),
    }
}

fn key(blob: BlobId) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.push(DAMAGED);
    key.extend_from_slice(&blob.0);
    key
}

fn blob_of(key: &[u8]) -> Result<BlobId, Error> {
    let blob = key
        .split_first()
        .map(|(_, blob)| <[u8; 16]>::try_from(blob));
    match blob {
        Some(Ok(blob)) => Ok(BlobId(blob)),
        _ => Err(Error::Corrupted {
            place: "table of scrub".to_owned(),
            reason: "a row's key is no blob id",
        }),
    }
}

/// Progress and findings of scrub.
pub(crate) const SCRUB_TABLE: TableId = TableId(29);
const DAMAGED: u8 = 1;
