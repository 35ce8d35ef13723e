// SPDX-License-Identifier: Apache-2.0
//! Walks of the catalogue for drives that are lost, or are to be emptied.
//!
//! The first walk turns what was on lost drives into owed shards: rows only, so it is through soon,
//! and everything is known by how little of it is left before the first is healed. The second
//! finds what is to be moved while nothing is missing; it comes last, and begins again until it
//! finds nothing.

use std::ops::Bound;

use crate::blob::{Placement, ShardSet};
use crate::drive::{DriveNo, DriveState, SetView};
use crate::error::Error;
use crate::layout::{BlobId, ShardIndex};
use crate::scrub::BlobShards;
use crate::store::Store;
use crate::table::{Batch, CommitError, TableId, Write};

/// Where the walks are.
#[derive(Debug, Default)]
pub(super) struct Walk {
    lost: Cursor,
    leaving: Cursor,
    /// Drives that are away for too long.
    absent: Vec<DriveNo>,
    /// Blobs that the second walk has found so far.
    found: u64,
    /// Those that the whole of it found last time.
    found_last: u64,
    /// Whether any of them had not been tried in vain.
    has_work: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Cursor {
    #[default]
    Start,
    After(BlobId),
    Done,
}

impl Walk {
    /// Both walks begin again.
    pub(super) fn again(&mut self) {
        self.lost = Cursor::Start;
        self.again_for_leaving();
    }

    /// The second walk begins again: an upload that began before the decision may end after it.
    pub(super) fn again_for_leaving(&mut self) {
        self.leaving = Cursor::Start;
        self.found = 0;
    }

    /// The first walk begins again, for the same reason.
    pub(super) fn again_for_lost(&mut self) {
        self.lost = Cursor::Start;
    }

    /// Which drives are away for too long. Whether that is news.
    pub(super) fn set_leaving(&mut self, absent: &[DriveNo]) -> bool {
        if self.absent == absent {
            return false;
        }
        self.absent = absent.to_vec();
        true
    }

    /// Blobs with shards on drives that are to be emptied, as far as is known.
    pub(super) fn leaving_blobs(&self) -> u64 {
        self.found.max(self.found_last)
    }

    /// Turns shards on lost drives into owed ones, one page of the catalogue at a time. Returns the
    /// rows looked at; `None` when there is nothing to look at.
    pub(super) async fn mark_lost(
        &mut self,
        store: &Store,
        view: &SetView,
    ) -> Result<Option<u64>, Error> {
        let is_lost = |drive: DriveNo| {
            let state = view.state(drive);
            matches!(state, DriveState::Lost | DriveState::Removed)
        };
        // Without a lost drive no row can name one: numbers are never given twice.
        if !view.members().iter().any(|member| is_lost(member.number)) {
            self.lost = Cursor::Done;
        }
        let Some((page, next)) = page(store, self.lost)? else {
            self.lost = Cursor::Done;
            return Ok(None);
        };
        let rows = u64::try_from(page.len()).unwrap_or(0);
        let moves: Vec<_> = page
            .iter()
            .filter_map(|shards| Some((shards.blob, moved(shards, is_lost)?)))
            .collect();
        commit(store, moves).await?;
        self.lost = next;
        Ok(Some(rows))
    }

    /// The next blobs that have shards on drives that are to be emptied, without those that were
    /// `tried` in vain. Empty when a whole walk finds no others.
    pub(super) fn find_leaving(
        &mut self,
        store: &Store,
        view: &SetView,
        leaving: &[DriveNo],
        tried: impl Fn(&BlobId) -> bool,
    ) -> Result<Vec<BlobId>, Error> {
        let leaves =
            |drive: DriveNo| view.state(drive) == DriveState::Draining || leaving.contains(&drive);
        if !view.members().iter().any(|member| leaves(member.number)) {
            (self.found, self.found_last) = (0, 0);
            self.leaving = Cursor::Done;
        }
        loop {
            let Some((page, next)) = page(store, self.leaving)? else {
                if matches!(self.leaving, Cursor::Done) {
                    return Ok(Vec::new());
                }
                self.found_last = self.found;
                self.leaving = Cursor::Done;
                if std::mem::take(&mut self.has_work) {
                    self.again_for_leaving();
                }
                continue;
            };
            self.leaving = next;
            let on_them = |shards: &&BlobShards| shards.placed().any(|(_, drive)| leaves(drive));
            let mut found: Vec<_> = page
                .iter()
                .filter(on_them)
                .map(|shards| shards.blob)
                .collect();
            let count = u64::try_from(found.len()).unwrap_or(0);
            self.found = self.found.saturating_add(count);
            found.retain(|blob| !tried(blob));
            if !found.is_empty() {
                self.has_work = true;
                return Ok(found);
            }
        }
    }
}

type Move = ((Placement, ShardSet), (Placement, ShardSet));

/// How a blob is kept without its lost drives; `None` when it has nothing on them.
fn moved(shards: &BlobShards, is_lost: impl Fn(DriveNo) -> bool) -> Option<Move> {
    let before = (shards.keeping.placement, shards.keeping.owed);
    let mut after = before;
    let lost = shards
        .keeping
        .placement
        .each()
        .filter(|(_, drive)| is_lost(*drive));
    let lost: Vec<(ShardIndex, DriveNo)> = lost.collect();
    for (shard, _) in &lost {
        after.0 = after.0.moved(*shard, DriveNo::NOWHERE)?;
        after.1 = after.1.with(*shard);
    }
    (!lost.is_empty()).then_some((before, after))
}

/// Commits a page of moves; one by one when some of the blobs changed meanwhile.
async fn commit(store: &Store, moves: Vec<(BlobId, Move)>) -> Result<(), Error> {
    if moves.is_empty() {
        return Ok(());
    }
    let write = |(blob, (expected, to)): &(BlobId, Move)| Write::MoveShards {
        blob: *blob,
        expected: *expected,
        to: *to,
    };
    let batch = |writes| Batch {
        preconditions: Vec::new(),
        writes,
    };
    match store
        .tables()
        .commit(batch(moves.iter().map(write).collect()))
        .await
    {
        Ok(_) => return Ok(()),
        Err(CommitError::Store(Error::ShardsChanged { .. } | Error::BlobNotFound { .. })) => {}
        Err(error) => return Err(refused(error)),
    }
    for one in &moves {
        match store.tables().commit(batch(vec![write(one)])).await {
            // What changed meanwhile is seen by the next walk as it is now.
            Ok(_)
            | Err(CommitError::Store(Error::ShardsChanged { .. } | Error::BlobNotFound { .. })) => {
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(())
}

fn refused(error: CommitError) -> Error {
    match error {
        CommitError::Store(error) => error,
        CommitError::Precondition { .. } | CommitError::Unknown => Error::Closed,
    }
}

/// The next page of the catalogue, without rows that are damaged. `None` behind the last.
fn page(store: &Store, at: Cursor) -> Result<Option<(Vec<BlobShards>, Cursor)>, Error> {
    let start = match &at {
        Cursor::Start => Bound::Unbounded,
        Cursor::After(blob) => Bound::Excluded(blob.0.as_slice()),
        Cursor::Done => return Ok(None),
    };
    let rows = store.tables().scan_each(
        TableId::BLOB_CATALOGUE,
        start,
        Bound::Unbounded,
        PAGE_ROWS,
        false,
    )?;
    let blob_of = |key: &[u8]| <[u8; 16]>::try_from(key).map(BlobId).ok();
    let Some(last) = rows.iter().rev().find_map(|(key, _)| blob_of(key)) else {
        return Ok(None);
    };
    let shards = rows.into_iter().filter_map(|(key, row)| {
        let blob = blob_of(&key)?;
        row.and_then(|row| BlobShards::of(blob, &row)).ok()
    });
    Ok(Some((shards.collect(), Cursor::After(last))))
}

/// Rows of the catalogue looked at, and moves committed, at once.
const PAGE_ROWS: usize = 64;
