// SPDX-License-Identifier: Apache-2.0
//! Another class for a version: its bodies go to where that class keeps them, then its row says so.
//!
//! ```text
//!   pin the bodies -> row still the one? -> sealed bytes, as they are, into new blobs
//!        |                                            |
//!        |               one commit, if the row still is the one:
//!        |                 new blobs adopted, old ones released, places (and at last the class) written;
//!        |        of an object in parts a new note, which knows the class
//!        +---- again, until no body lies otherwise than the class has it
//! ```
//!
//! A body has one owner at every moment, and one that is not in the commit goes by itself. Large
//! uploads go over a part of their parts at a time, so that a stop costs one of these, and so much
//! room at most is needed twice. A write that comes meanwhile wins. Where bodies lie as the class
//! has it (always so with one drive), one row changes and nothing else.

use std::future::pending;
use std::pin::pin;

use futures_util::future::{Either, select};
use strongroom_store::{Batch, BlobPin, CommitError, Write};
use tokio::sync::{Semaphore, watch};

use super::carry_out::Done;
use crate::error::Error;
use crate::manifest::ManifestTime;
use crate::note::Noted;
use crate::objects::{Bucket, Objects};
use crate::rows::{self, PartTableRow, Place, StoredPart, VersionEntry, VersionRow};
use crate::storage_class::StorageClass;
use crate::table_key::{PART_TABLES, VERSIONS};
use crate::transcribed_body::Transcript;
use crate::version::{Found, stands};

/// What all moves of bodies have in common: one goes at a time, and none goes on when the server
/// stops.
#[derive(Debug)]
pub(super) struct Moves {
    turn: Semaphore,
    /// True when none is to go on.
    pub(super) stop: Option<watch::Receiver<bool>>,
    /// When so much was moved of an upload, that is committed.
    pub(super) bytes_per_commit: u64,
}

/// The bodies of a version, held.
struct Bodies {
    parts: Vec<StoredPart>,
    /// Of a multipart object.
    table: Option<PartTableRow>,
    _kept: BlobPin,
}

/// Whose version it is.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub bucket: &'a Bucket,
    pub object_key: &'a str,
}

/// What is moved, and to where.
struct Move<'a> {
    name: Name<'a>,
    row: &'a VersionRow,
    time: ManifestTime,
    class: StorageClass,
}

/// Bodies that lie in new blobs.
#[derive(Default)]
struct Moved {
    adopted: Vec<Write>,
    released: Vec<Write>,
    /// There are others, for the next commit.
    more: bool,
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            stop: None,
            bytes_per_commit: BYTES_PER_COMMIT,
        }
    }
}

impl Moves {
    /// Looked at once before anything waits: a receiver that was often polled lets others of its
    /// task go first, although what it waits for has come.
    async fn stopped(&self) {
        if self.stop.as_ref().is_some_and(|stop| *stop.borrow()) {
            return;
        }
        if let Some(mut stop) = self.stop.clone()
            && stop.wait_for(|stops| *stops).await.is_ok()
        {
            return;
        }
        pending::<()>().await;
    }

    /// The outcome of `work`, unless the server stops first: it is not begun then, or given up
    /// with what it wrote.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match select(pin!(self.stopped()), pin!(work)).await {
            Either::Left(_) => Err(Error::Store(strongroom_store::Error::Closed)),
            Either::Right((done, _)) => done,
        }
    }
}

impl Objects {
    /// Another class for a version. Its restored copy, if it had one, ends with the class.
    pub(super) async fn move_version(
        &self,
        moves: &Moves,
        name: Name<'_>,
        found: &Found,
        class: StorageClass,
    ) -> Result<Done, Error> {
        let mut found = found.clone();
        loop {
            let Some(old) = found.entry.object().cloned() else {
                return Ok(Done::Nothing);
            };
            let Some(mut bodies) = self.bodies(&found, &old)? else {
                return Ok(Done::Nothing);
            };
            let moving = Move {
                name,
                row: &old,
                time: ManifestTime::of_version(self, found.stamp),
                class,
            };
            let mut taken = self.move_bodies(moves, &moving, &mut bodies.parts).await?;
            let is_last = !taken.more;
            let mut row = moved_row(&old, &bodies.parts, is_last.then_some(class));
            self.note_again(&moving, &mut row, &bodies, &mut taken, is_last)
                .await?;
            let batch = moved_batch(&found, &row, bodies, taken)?;
            match self.tables().commit(batch).await {
                Ok(_) if is_last => return Ok(Done::Moved(class)),
                Ok(seq) => {
                    found.seq = seq.0;
                    found.entry = VersionEntry::Object(Box::new(row));
                }
                Err(CommitError::Precondition { .. }) => return Ok(Done::Nothing),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The bodies of a version; `None` if it is not what was found any more.
    fn bodies(&self, found: &Found, row: &VersionRow) -> Result<Option<Bodies>, Error> {
        let table = (row.parts > 0).then(|| self.part_table(row)).transpose();
        let parts = match &table {
            Ok(Some(table)) => Ok(table.parts.clone()),
            Ok(None) | Err(_) => self.parts(row),
        };
        let blobs = parts.iter().flatten().filter_map(StoredPart::blob);
        let kept = self.blobs().pin(blobs.collect());
        // Only a row that still stands says that what was pinned, or missed, is its own.
        let now = self.tables().get(VERSIONS, &found.table_key)?;
        if now.is_none_or(|now| now.seq != found.seq) {
            return Ok(None);
        }
        Ok(Some(Bodies {
            parts: parts?,
            table: table?,
            _kept: kept,
        }))
    }

    /// Writes the bodies that do not lie as the class has it into new blobs, up to as many as one
    /// commit takes.
    async fn move_bodies(
        &self,
        moves: &Moves,
        moving: &Move<'_>,
        parts: &mut [StoredPart],
    ) -> Result<Moved, Error> {
        let class = moving.class;
        let mut taken = Moved::default();
        let mut bytes = 0_u64;
        let mut turn = None;
        for part in parts {
            let Place::Blob(location) = part.place else {
                continue;
            };
            if self.blobs().lies_as(location.blob, class.policy())? {
                continue;
            }
            if bytes >= moves.bytes_per_commit || taken.adopted.len() >= PARTS_PER_COMMIT {
                taken.more = true;
                break;
            }
            if turn.is_none() {
                turn = moves.turn.acquire().await.ok();
            }
            let (now, transcript) = Transcript::of(part, &location)?;
            let row = moved_row(moving.row, std::slice::from_ref(&now), Some(class));
            let Name { bucket, object_key } = moving.name;
            let manifest = self.moved_manifest(bucket, object_key, &row, &now, moving.time)?;
            let work = self.transcribed(transcript, class, manifest);
            let adopt = moves.unless_stopped(work).await?;
            bytes = bytes.saturating_add(location.sealed_bytes);
            taken.adopted.push(adopt);
            taken.released.push(Write::ReleaseBlob(location.blob));
            *part = now;
        }
        Ok(taken)
    }

    /// A new note with the last bodies of an object in parts, in place of the one that knows
    /// nothing of the class; and with the first, where there was none. Where nothing moved, as
    /// with one drive, nothing is written.
    async fn note_again(
        &self,
        moving: &Move<'_>,
        row: &mut VersionRow,
        bodies: &Bodies,
        taken: &mut Moved,
        is_last: bool,
    ) -> Result<(), Error> {
        let Some(table) = bodies.table.as_ref().filter(|_| !taken.adopted.is_empty()) else {
            return Ok(());
        };
        if !is_last && row.note.is_some() {
            return Ok(());
        }
        let noted = Noted {
            bucket: moving.name.bucket,
            object_key: moving.name.object_key,
            row,
            parts: &bodies.parts,
            checksums: table.checksums.as_ref(),
            inline: self.inline_bodies(&bodies.parts)?,
            time: moving.time,
        };
        if let Some((note, adoption)) = self.write_note(noted).await? {
            taken.adopted.push(adoption);
            taken.released.extend(self.release_note(row)?);
            row.note = Some(note);
        }
        Ok(())
    }
}

/// The row of a version whose bodies were moved; in its new class when all were.
fn moved_row(old: &VersionRow, parts: &[StoredPart], class: Option<StorageClass>) -> VersionRow {
    let body = match old.body {
        Some(_) => parts.first().cloned(),
        None => None,
    };
    VersionRow {
        body,
        class: class.unwrap_or(old.class),
        restore: old.restore.filter(|_| class.is_none()),
        ..old.clone()
    }
}

fn moved_batch(
    found: &Found,
    row: &VersionRow,
    bodies: Bodies,
    moved: Moved,
) -> Result<Batch, Error> {
    let Moved {
        adopted: mut writes,
        mut released,
        ..
    } = moved;
    if let Some(table) = bodies.table.filter(|_| !released.is_empty()) {
        writes.push(Write::Put {
            table: PART_TABLES,
            key: row.version_uid.to_vec(),
            value: rows::encode(&PartTableRow {
                parts: bodies.parts,
                ..table
            })?,
        });
    }
    writes.push(Write::Put {
        table: VERSIONS,
        key: found.table_key.clone(),
        value: rows::encode(&VersionEntry::Object(Box::new(row.clone())))?,
    });
    writes.append(&mut released);
    Ok(Batch {
        preconditions: vec![stands(found)],
        writes,
    })
}

/// Whether the drives are why a body was not moved: not enough of them are there, or they are full.
pub(super) fn is_for_now(error: &Error) -> bool {
    use strongroom_store::Error as Store;
    matches!(
        error,
        Error::Store(
            Store::TooFewShards { .. } | Store::TooFewDrives { .. } | Store::NoSpace { .. }
        )
    )
}

const BYTES_PER_COMMIT: u64 = 1 << 30;
/// As many parts at most.
const PARTS_PER_COMMIT: usize = 256;
