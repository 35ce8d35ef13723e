// SPDX-License-Identifier: Apache-2.0
//! One blob, all of its shards: every header, unit and trailer, and parity against data.
//!
//! The rows of a blob are gone through in windows, each read from every shard that is there. A unit
//! that fails its checksum is damage of its shard. Where every unit of a row passes, parity is
//! computed again: this finds what no checksum can, a shard that was written wrong and then summed.
//! Such a contradiction is told and not healed.

use std::sync::Arc;

use crate::blob::ShardSet;
use crate::drive::{DriveNo, DriveSet};
use crate::layout::ShardIndex;
use crate::mirror::is_late;
use crate::watch::Watch;

use super::damage::{DamagedShard, ShardFault};
use super::row_code::{Agreement, RowCode};
use super::shard_file::{BlobShards, OpenedShard, Rows, ShardFile};

/// A check on its way.
pub(crate) struct BlobCheck {
    blob: BlobShards,
    shards: Vec<Shard>,
    code: RowCode,
    next_row: u64,
    rows_in_all: u64,
    doubt: Option<Doubt>,
    watch: Arc<Watch>,
}

/// Shards contradict each other though every checksum holds. Media do not do that: somebody wrote
/// it. Which shard is right only the keys can say, and no majority of shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Doubt {
    /// The first row.
    pub(crate) row: u64,
    /// Without these the others would fit each other; none when that says nothing.
    pub(crate) suspects: ShardSet,
}

/// What a whole check came to.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) damaged: Vec<DamagedShard>,
    /// Shard files looked at.
    pub(crate) files: u64,
    /// Shards whose drive is not there.
    pub(crate) absent: u64,
    pub(crate) doubt: Option<Doubt>,
}

struct Shard {
    index: ShardIndex,
    state: State,
    rows: Rows,
}

enum State {
    /// Owed, or its drive is not there or does not answer.
    Absent { is_owed: bool },
    /// Being read.
    Open(DriveNo, ShardFile, Manifest, BadUnits),
    /// Not worth reading on.
    Faulty(ShardFault),
}

/// What stands in front of a shard's trailer.
type Manifest = Vec<u8>;

#[derive(Default)]
struct BadUnits {
    first: Option<u64>,
    count: u64,
}

impl BlobCheck {
    /// Opens every shard that is there.
    pub(crate) fn begin(blob: BlobShards, drives: &DriveSet, watch: &Arc<Watch>) -> Self {
        let all = blob.redundancy().each_shard();
        let shards = all.map(|index| {
            let drive = blob.placed().find(|(shard, _)| *shard == index);
            let state = match drive {
                Some((_, drive)) => open(&blob, drives, watch, drive, index),
                None => State::Absent { is_owed: true },
            };
            Shard {
                index,
                state,
                rows: Rows::default(),
            }
        });
        let mut shards: Vec<Shard> = shards.collect();
        compare_manifests(&blob, &mut shards);
        Self {
            shards,
            code: RowCode::new(blob.stripes()),
            next_row: 0,
            rows_in_all: blob.rows(),
            doubt: None,
            watch: Arc::clone(watch),
            blob,
        }
    }

    /// The blob.
    pub(crate) fn blob(&self) -> &BlobShards {
        &self.blob
    }

    /// Whether every row was read.
    pub(crate) fn is_done(&self) -> bool {
        self.next_row >= self.rows_in_all
    }

    /// Reads the next window; returns the bytes read.
    pub(crate) fn step(&mut self) -> u64 {
        let first = self.next_row;
        let count = WINDOW_ROWS.min(self.rows_in_all.saturating_sub(first));
        let mut bytes = 0_u64;
        for shard in &mut self.shards {
            let State::Open(drive, file, _, bad) = &mut shard.state else {
                continue;
            };
            let (file, mut rows) = (file.clone(), std::mem::take(&mut shard.rows));
            let read = self.watch.ask(*drive, move || {
                file.read(first, count, &mut rows);
                Ok(rows)
            });
            match read {
                Ok(rows) => {
                    shard.rows = rows;
                    bytes = bytes.saturating_add(shard.rows.len());
                    bad.add(first, shard.rows.good());
                }
                // Only the drive fails here, by not answering: that is no damage, and what was
                // found before is found again.
                Err(_) => shard.state = State::Absent { is_owed: false },
            }
        }
        for row in first..first.saturating_add(count) {
            self.compare_parity(row, usize::try_from(row.saturating_sub(first)).unwrap_or(0));
        }
        self.next_row = first.saturating_add(count);
        bytes
    }

    /// What was found, after the last step.
    pub(crate) fn finish(self) -> Checked {
        let mut checked = Checked {
            doubt: self.doubt,
            ..Checked::default()
        };
        for shard in self.shards {
            let fault = match shard.state {
                State::Absent { is_owed } => {
                    let absent = u64::from(!is_owed);
                    checked.absent = checked.absent.saturating_add(absent);
                    continue;
                }
                State::Faulty(fault) => Some(fault),
                State::Open(.., bad) => bad.fault(),
            };
            checked.files = checked.files.saturating_add(1);
            checked.damaged.extend(fault.map(|fault| DamagedShard {
                blob: self.blob.blob,
                shard: shard.index,
                fault,
            }));
        }
        checked
    }
}

impl BlobCheck {
    /// Computes one row again where all of it is there and passed.
    fn compare_parity(&mut self, row: u64, index: usize) {
        let sealed_bytes = self.blob.sealed_bytes;
        let units = self.shards.iter().filter_map(|shard| match &shard.state {
            State::Open(..) => Some((shard.index, shard.rows.unit(index)?)),
            State::Absent { .. } | State::Faulty(_) => None,
        });
        let units: Vec<_> = units.collect();
        let suspects = match self.code.compare(sealed_bytes, row, &units) {
            Agreement::Whole | Agreement::Unknown => return,
            Agreement::Doubtful => ShardSet::EMPTY,
            Agreement::Wrong(suspects) => suspects,
        };
        self.doubt.get_or_insert(Doubt { row, suspects });
    }
}

impl BadUnits {
    fn add(&mut self, first: u64, good: &[bool]) {
        for (row, _) in (first..).zip(good).filter(|(_, good)| !**good) {
            self.first.get_or_insert(row);
            self.count = self.count.saturating_add(1);
        }
    }

    fn fault(&self) -> Option<ShardFault> {
        let count = self.count;
        self.first.map(|first| ShardFault::Units { first, count })
    }
}

/// A shard without the manifest that others have was healed when it could not be read: it gets
/// it now. Two that differ are told; which one is right only the keys can say.
fn compare_manifests(blob: &BlobShards, shards: &mut [Shard]) {
    let mut some: Option<&Manifest> = None;
    let (mut lacks, mut differs) = (false, false);
    for shard in &*shards {
        match &shard.state {
            State::Open(_, _, manifest, _) if manifest.is_empty() => lacks = true,
            State::Open(_, _, manifest, _) => {
                differs |= *some.get_or_insert(manifest) != manifest;
            }
            State::Absent { .. } | State::Faulty(_) => {}
        }
    }
    if differs {
        tracing::error!(blob = %blob.blob, "the shards of a blob have different manifests");
        metrics::counter!("strongroom_scrub_manifests_differ_total").increment(1);
    }
    if !lacks || some.is_none() {
        return;
    }
    for shard in shards {
        if matches!(&shard.state, State::Open(_, _, manifest, _) if manifest.is_empty()) {
            shard.state = State::Faulty(ShardFault::Trailer);
        }
    }
}

/// Opens one shard. What a drive cannot read is damage, unless the drive itself is gone or does not
/// answer.
fn open(
    blob: &BlobShards,
    drives: &DriveSet,
    watch: &Watch,
    number: DriveNo,
    shard: ShardIndex,
) -> State {
    let absent = State::Absent { is_owed: false };
    let Some(drive) = drives.get(number) else {
        return absent;
    };
    let of = *blob;
    match watch.ask(number, move || of.open(drive.as_ref(), shard)) {
        Ok(OpenedShard {
            file: Some(file),
            fault: None,
            manifest,
            ..
        }) => {
            let manifest = manifest.unwrap_or_default();
            State::Open(number, file, manifest, BadUnits::default())
        }
        // A drive whose folder was taken away has no files either.
        Ok(OpenedShard { file: None, .. }) if !watch.suspect(number).serves() => absent,
        Ok(opened) => State::Faulty(opened.fault.unwrap_or(ShardFault::Missing)),
        Err(error) if !is_late(&error) && watch.suspect(number).serves() => {
            State::Faulty(ShardFault::Unreadable)
        }
        Err(_) => absent,
    }
}

/// Rows read from every shard at once.
const WINDOW_ROWS: u64 = 8;
