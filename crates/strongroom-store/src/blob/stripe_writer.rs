// SPDX-License-Identifier: Apache-2.0
//! The units of a new blob on their way to the drives.
//!
//! ```text
//!   sealed units -> stripe full? -> sums, parity -> one job for each shard ----> quorum there?
//!                     waits                          |  drive 4 fails: owed       yes: go on
//!                                                    |  drive 2 is slow: owed     no:  an error
//! ```
//!
//! A blob of one shard is written as it comes, by one job for each buffer. Else units gather
//! until a stripe is full (a writer that hands over whole stripes never waits, and nothing is
//! copied), parity is computed, and each shard's cells go to its drive in a job of its own, from
//! the memory in which they were sealed. When the quorum is through, the others are waited for a
//! little longer and then left behind: the blob is owed those shards, and what they still write is
//! removed when it ends.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::Inner;
use super::buffer::UnitBuffer;
use super::catalog::Keeping;
use super::placement::{Placement, ShardSet};
use super::quorum::write_quorum;
use super::reclaim::Ticket;
use super::shard::UnitSums;
use super::shard_writer::ShardWriter;
use super::workers::Running;
use super::write::BlobProof;
use crate::drive::DriveNo;
use crate::erasure::{Codec, StripeLayout};
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, BlobPolicy, ShardIndex, UnitLayout};

/// A new blob between two writes. Moves between its writer and the jobs.
pub(super) struct StripeWriter {
    stripes: StripeLayout,
    codec: Codec,
    policy: BlobPolicy,
    placement: Placement,
    /// By shard; `None` for those that failed or were left behind.
    shards: Vec<Option<ShardWriter>>,
    /// The beginning of a stripe that is not full.
    waiting: Option<Waiting>,
    /// All units so far.
    units: u64,
    sealed_bytes: u64,
    /// Rows of the stripes that are on their way.
    rows: u64,
    /// How long the shards beyond the quorum will still be waited for, altogether.
    patience: Duration,
    full: Option<Error>,
    ticket: Arc<Ticket>,
}

/// Units that wait for the rest of their stripe.
struct Waiting {
    buffer: UnitBuffer,
    units: usize,
    last_len: usize,
}

/// A run of units for one shard.
struct Piece {
    memory: Arc<UnitBuffer>,
    bytes: Range<usize>,
    first_row: u64,
}

/// What the files of a blob end with.
#[derive(Clone)]
struct End {
    sealed_bytes: u64,
    manifest: Arc<[u8]>,
}

/// A stripe in a buffer.
struct Cut {
    slots: Range<usize>,
    /// Units of its fullest cell: its rows.
    cell: usize,
    /// Rows of the stripes before it in the buffer.
    before: usize,
}

/// What each shard is to write.
type Pieces = Vec<Vec<Piece>>;

impl StripeWriter {
    pub(super) fn new(
        blobs: &Arc<Inner>,
        stripes: StripeLayout,
        policy: BlobPolicy,
        placement: Placement,
        shards: Vec<Option<ShardWriter>>,
        ticket: Arc<Ticket>,
    ) -> Self {
        Self {
            stripes,
            codec: Codec::new(stripes.redundancy()),
            policy,
            placement,
            shards,
            waiting: None,
            units: 0,
            sealed_bytes: 0,
            rows: 0,
            patience: blobs.options.patience.write,
            full: None,
            ticket,
        }
    }

    pub(super) fn layout(&self) -> UnitLayout {
        self.stripes.unit()
    }

    pub(super) fn stripes(&self) -> StripeLayout {
        self.stripes
    }

    pub(super) fn ticket(&self) -> &Arc<Ticket> {
        &self.ticket
    }

    fn blob(&self) -> BlobId {
        self.ticket.blob()
    }

    /// Starts to write the units of `buffers`, of which all but the last are full.
    pub(super) async fn append(
        mut self: Box<Self>,
        blobs: &Arc<Inner>,
        buffers: Vec<UnitBuffer>,
    ) -> Result<Running<Box<Self>>, Error> {
        if let Some(drive) = self.only_drive() {
            let job = move || {
                for buffer in buffers {
                    self.append_alone(buffer)?;
                }
                Ok(self)
            };
            return blobs.writers.on(drive).start(job).await;
        }
        let shared = Arc::clone(blobs);
        let round = async move {
            let of_job = Arc::clone(&shared);
            let take = move || {
                let mut pieces = self.no_pieces();
                for buffer in buffers {
                    self.take(&of_job, buffer, &mut pieces)?;
                }
                Ok((self, pieces))
            };
            let (mut this, pieces) = shared.coders.run(take).await?;
            this.carry_out(&shared, pieces, None).await?;
            Ok(this)
        };
        Ok(Running::task(round, blobs.options.inline).await)
    }

    /// Ends the blob, with the same `manifest` in every shard.
    pub(super) async fn finish(
        mut self: Box<Self>,
        blobs: &Arc<Inner>,
        manifest: Vec<u8>,
    ) -> Result<BlobProof, Error> {
        if let Some(drive) = self.only_drive() {
            let of_job = Arc::clone(blobs);
            let job = move || {
                let sealed_bytes = self.sealed_bytes;
                for shard in self.shards.iter_mut().flatten() {
                    shard.finish(sealed_bytes, &manifest)?;
                }
                (*self).into_proof(&of_job)
            };
            return blobs.writers.on(drive).run(job).await;
        }
        let sealed_bytes = self.sealed_bytes;
        let of_job = Arc::clone(blobs);
        let rest = move || {
            let mut pieces = self.no_pieces();
            if let Some(waiting) = self.waiting.take() {
                let Waiting {
                    mut buffer,
                    units,
                    last_len,
                } = waiting;
                buffer.set_units(units);
                buffer.set_last_len(u32::try_from(last_len).map_err(|_| TOO_LONG)?);
                self.code(&of_job, buffer, 0..units, &mut pieces)?;
            }
            Ok((self, pieces))
        };
        let (mut this, pieces) = blobs.coders.run(rest).await?;
        let end = End {
            sealed_bytes,
            manifest: manifest.into(),
        };
        this.carry_out(blobs, pieces, Some(end)).await?;
        (*this).into_proof(blobs)
    }

    /// The drive of a blob that has one shard.
    fn only_drive(&self) -> Option<DriveNo> {
        match self.shards.as_slice() {
            [Some(shard)] => Some(shard.drive()),
            _ => None,
        }
    }

    /// Takes note of the units of a buffer; the number of the first.
    fn count(&mut self, buffer: &UnitBuffer) -> Result<u64, Error> {
        let unit_bytes = u64::from(self.layout().unit_bytes());
        let full_units = self.layout().unit_count(self.sealed_bytes) == self.units
            && self.sealed_bytes.is_multiple_of(unit_bytes);
        if !full_units {
            return Err(Error::Misuse {
                what: "a unit written behind a short one",
            });
        }
        if buffer.last_len() == 0 {
            return Err(Error::Misuse {
                what: "an empty unit",
            });
        }
        let first = self.units;
        let units = u64::try_from(buffer.capacity_units()).map_err(|_| TOO_LONG)?;
        let sealed = units
            .checked_sub(1)
            .and_then(|full| full.checked_mul(unit_bytes))
            .zip(u64::try_from(buffer.last_len()).ok())
            .and_then(|(full, last)| full.checked_add(last));
        self.sealed_bytes = sealed
            .and_then(|sealed| self.sealed_bytes.checked_add(sealed))
            .ok_or(TOO_LONG)?;
        self.units = first.checked_add(units).ok_or(TOO_LONG)?;
        Ok(first)
    }

    /// All of a blob of one shard: checksums, and one write.
    fn append_alone(&mut self, mut buffer: UnitBuffer) -> Result<(), Error> {
        let first = self.count(&buffer)?;
        let (blob, layout) = (self.blob(), self.layout());
        let bytes = buffer.file_bytes_mut();
        UnitSums::new(blob, ShardIndex(0)).write(layout, first, bytes);
        match self.shards.as_mut_slice() {
            [Some(shard)] => shard.write_units(first, bytes),
            _ => Err(Error::WorkerGone),
        }
    }

    /// Makes what can be written of the units so far and those of `buffer`; the rest waits.
    fn take(
        &mut self,
        blobs: &Inner,
        buffer: UnitBuffer,
        pieces: &mut Pieces,
    ) -> Result<(), Error> {
        self.count(&buffer)?;
        let units = buffer.capacity_units();
        if self.stripes.redundancy().data() == 1 {
            // Where a unit lies does not depend on the stripe's length.
            return self.code(blobs, buffer, 0..units, pieces);
        }
        let stripe = usize::try_from(self.stripes.stripe_units()).map_err(|_| TOO_LONG)?;
        let mut next = 0;
        if let Some(mut waiting) = self.waiting.take() {
            next = stripe.saturating_sub(waiting.units).min(units);
            waiting.copy(&buffer, 0..next);
            if waiting.units == stripe {
                let Waiting {
                    mut buffer,
                    last_len,
                    ..
                } = waiting;
                buffer.set_last_len(u32::try_from(last_len).map_err(|_| TOO_LONG)?);
                self.code(blobs, buffer, 0..stripe, pieces)?;
            } else {
                self.waiting = Some(waiting);
            }
        }
        let left = units.saturating_sub(next);
        let whole = left
            .checked_rem(stripe)
            .and_then(|rest| left.checked_sub(rest))
            .unwrap_or(0);
        let end = next.saturating_add(whole);
        if end < units {
            let mut waiting = Waiting {
                buffer: blobs.pool.take(self.layout(), stripe),
                units: 0,
                last_len: 0,
            };
            waiting.copy(&buffer, end..units);
            self.waiting = Some(waiting);
        }
        if whole > 0 {
            self.code(blobs, buffer, next..end, pieces)?;
        }
        Ok(())
    }

    fn no_pieces(&self) -> Pieces {
        self.shards.iter().map(|_| Vec::new()).collect()
    }

    /// Checksums and parity of whole stripes, or of the last one.
    fn code(
        &mut self,
        blobs: &Inner,
        mut buffer: UnitBuffer,
        slots: Range<usize>,
        pieces: &mut Pieces,
    ) -> Result<(), Error> {
        let redundancy = self.stripes.redundancy();
        let data = usize::from(redundancy.data());
        let first_row = self.rows;
        let stripes = self.cut(&slots)?;
        let rows = stripes.iter().map(|stripe| stripe.cell).sum();
        let runs = self.sum_data(&mut buffer, &stripes)?;
        let parity = self.compute_parity(blobs, &buffer, &stripes, rows)?;
        for (shard, mut rows) in redundancy.each_shard().skip(data).zip(parity) {
            let bytes = rows.file_bytes_mut();
            UnitSums::new(self.blob(), shard).write(self.layout(), first_row, bytes);
            let bytes = 0..bytes.len();
            let memory = Arc::new(rows);
            let piece = Piece {
                memory,
                bytes,
                first_row,
            };
            push(pieces, shard, piece);
        }
        let memory = Arc::new(buffer);
        for (shard, bytes, first_row) in runs {
            let memory = Arc::clone(&memory);
            let piece = Piece {
                memory,
                bytes,
                first_row,
            };
            push(pieces, shard, piece);
        }
        self.rows = self.row(rows)?;
        Ok(())
    }

    /// The stripes in a run of slots.
    fn cut(&self, slots: &Range<usize>) -> Result<Vec<Cut>, Error> {
        let data = usize::from(self.stripes.redundancy().data());
        let stripe_units = match data {
            1 => slots.len(),
            _ => usize::try_from(self.stripes.stripe_units()).map_err(|_| TOO_LONG)?,
        };
        let mut stripes = Vec::new();
        let (mut start, mut before) = (slots.start, 0_usize);
        while start < slots.end {
            let end = start.saturating_add(stripe_units).min(slots.end);
            let cell = end.saturating_sub(start).div_ceil(data);
            stripes.push(Cut {
                slots: start..end,
                cell,
                before,
            });
            (start, before) = (end, before.saturating_add(cell));
        }
        Ok(stripes)
    }

    /// The row so many behind those that are on their way.
    fn row(&self, within: usize) -> Result<u64, Error> {
        let within = u64::try_from(within).map_err(|_| TOO_LONG)?;
        self.rows.checked_add(within).ok_or(TOO_LONG)
    }

    /// Checksums of the data units, where they are; the runs of each shard.
    fn sum_data(
        &self,
        buffer: &mut UnitBuffer,
        stripes: &[Cut],
    ) -> Result<Vec<(ShardIndex, Range<usize>, u64)>, Error> {
        let redundancy = self.stripes.redundancy();
        let mut runs = Vec::new();
        for stripe in stripes {
            let first_row = self.row(stripe.before)?;
            let mut at = stripe.slots.start;
            for shard in redundancy.each_shard().filter(|of| redundancy.is_data(*of)) {
                let end = at.saturating_add(stripe.cell).min(stripe.slots.end);
                if at < end {
                    let bytes = buffer.slots_range(at..end);
                    let sums = UnitSums::new(self.blob(), shard);
                    sums.write(self.layout(), first_row, buffer.range_mut(bytes.clone()));
                    runs.push((shard, bytes, first_row));
                }
                at = end;
            }
        }
        Ok(runs)
    }

    /// The parity units, in memory of their own.
    fn compute_parity(
        &self,
        blobs: &Inner,
        buffer: &UnitBuffer,
        stripes: &[Cut],
        rows: usize,
    ) -> Result<Vec<UnitBuffer>, Error> {
        let redundancy = self.stripes.redundancy();
        let data = usize::from(redundancy.data());
        // A row is as long as its first unit.
        let last_len = stripes.last().map_or(0, |stripe| {
            let last = stripe.cell.saturating_sub(1);
            buffer.slot(stripe.slots.start.saturating_add(last)).len()
        });
        let mut parity = Vec::new();
        for _ in 0..redundancy.parity() {
            let mut rows = blobs.pool.take(self.layout(), rows);
            rows.set_last_len(u32::try_from(last_len).map_err(|_| TOO_LONG)?);
            parity.push(rows);
        }
        for stripe in stripes {
            for within in 0..stripe.cell {
                let unit = |shard: usize| {
                    let slot = shard
                        .saturating_mul(stripe.cell)
                        .saturating_add(within)
                        .saturating_add(stripe.slots.start);
                    if slot < stripe.slots.end {
                        buffer.slot(slot)
                    } else {
                        &[]
                    }
                };
                let units: Vec<&[u8]> = (0..data).map(unit).collect();
                let at = stripe.before.saturating_add(within);
                let mut out: Vec<&mut [u8]> =
                    parity.iter_mut().map(|rows| rows.slot_mut(at)).collect();
                self.codec.encode(&units, &mut out).map_err(|_| NOT_CODED)?;
            }
        }
        Ok(parity)
    }

    /// Has every shard write its pieces, and end its file when the blob's length is given.
    /// Returns when the quorum did, and the others did or were left behind.
    async fn carry_out(
        &mut self,
        blobs: &Arc<Inner>,
        pieces: Pieces,
        end: Option<End>,
    ) -> Result<(), Error> {
        let (answer, mut answers) = unbounded_channel();
        let mut waiters: Vec<AbortHandle> = Vec::new();
        let mut out = ShardSet::EMPTY;
        let mut done = 0_u8;
        for ((index, place), pieces) in (0_u8..).zip(&mut self.shards).zip(pieces) {
            if pieces.is_empty() && end.is_none() {
                done = done.saturating_add(u8::from(place.is_some()));
                continue;
            }
            let Some(mut shard) = place.take() else {
                continue;
            };
            let index = ShardIndex(index);
            out = out.with(index);
            let (answer, end) = (answer.clone(), end.clone());
            let workers = blobs.writers.on(shard.drive());
            let job = move || {
                let outcome = carry_out(&mut shard, pieces, end);
                // Nobody waits for a shard that was left behind: its file goes with the answer.
                let _ = answer.send((index, outcome.map(|()| shard)));
            };
            waiters.extend(workers.launch(job));
        }
        drop(answer);
        let quorum = write_quorum(self.stripes.redundancy());
        while !out.is_empty() {
            if done.saturating_add(out.len()) < quorum {
                break;
            }
            let next = if blobs.options.inline {
                answers.try_recv().ok()
            } else {
                let started = Instant::now();
                let limit = self.limit(blobs, out, done >= quorum);
                let next = timeout(limit, answers.recv()).await;
                if done >= quorum {
                    self.patience = self.patience.saturating_sub(started.elapsed());
                }
                next.ok().flatten()
            };
            let Some((shard, outcome)) = next else {
                break;
            };
            out = out.without(shard);
            match outcome {
                Ok(writer) => {
                    done = done.saturating_add(1);
                    if let Some(place) = self.shards.get_mut(usize::from(shard.0)) {
                        *place = Some(writer);
                    }
                }
                Err(error) => self.failed(blobs, shard, error),
            }
        }
        for waiter in waiters {
            waiter.abort();
        }
        if done < quorum {
            return Err(self.full.take().unwrap_or(Error::TooFewDrives {
                there: done,
                needed: quorum,
            }));
        }
        for shard in out.each() {
            if let Some(drive) = self.placement.drive(shard) {
                tracing::warn!(blob = %self.blob(), shard = shard.0, %drive, "a slow drive was left behind; the blob is owed a shard");
                metrics::counter!("strongroom_blob_shards_left_behind_total").increment(1);
                blobs.slow_writes.add(drive, blobs.options.patience.avoid);
            }
        }
        Ok(())
    }

    /// How long the next answer is waited for.
    fn limit(&self, blobs: &Inner, out: ShardSet, has_quorum: bool) -> Duration {
        let patience = blobs.options.patience;
        if !has_quorum {
            return patience.quorum;
        }
        let is_slow = |shard| {
            let drive = self.placement.drive(shard);
            drive.is_some_and(|drive| blobs.slow_writes.has(drive))
        };
        if out.each().all(is_slow) {
            self.patience.min(patience.read)
        } else {
            self.patience
        }
    }

    fn failed(&mut self, blobs: &Inner, shard: ShardIndex, error: Error) {
        if let Some(drive) = self.placement.drive(shard) {
            tracing::warn!(blob = %self.blob(), shard = shard.0, %drive, %error, "a drive failed a write; the blob is owed a shard");
            blobs.drive_failed(drive, &error);
        }
        metrics::counter!("strongroom_blob_shards_failed_total").increment(1);
        if matches!(error, Error::NoSpace { .. }) {
            self.full.get_or_insert(error);
        }
    }

    /// Proof of what counts: shards on drives that the cluster gave up meanwhile do not.
    fn into_proof(mut self, blobs: &Inner) -> Result<BlobProof, Error> {
        for place in &mut self.shards {
            let is_given_up = |shard: &ShardWriter| blobs.is_given_up(shard.drive());
            if place.as_ref().is_some_and(is_given_up) {
                *place = None;
            }
        }
        let there = self.shards.iter().flatten().count();
        let there = u8::try_from(there).unwrap_or(u8::MAX);
        let needed = write_quorum(self.stripes.redundancy());
        if there < needed {
            return Err(Error::TooFewDrives { there, needed });
        }
        let location = BlobLocation {
            blob: self.ticket.blob(),
            sealed_bytes: self.sealed_bytes,
            layout: self.stripes.unit(),
        };
        let missing = (0_u8..)
            .zip(&self.shards)
            .filter(|(_, shard)| shard.is_none());
        let keeping = Keeping {
            stripes: self.stripes,
            policy: self.policy,
            placement: self.placement,
            owed: missing.map(|(index, _)| ShardIndex(index)).collect(),
        };
        let shards = self.shards.into_iter().flatten().collect();
        let damage = blobs.damage.clone();
        Ok(BlobProof::new(
            location,
            keeping,
            shards,
            self.ticket,
            damage,
        ))
    }
}

impl Waiting {
    /// Copies units behind those that wait: only when whoever writes does not hand over whole
    /// stripes.
    fn copy(&mut self, from: &UnitBuffer, slots: Range<usize>) {
        for slot in slots {
            let unit = from.slot(slot);
            if let Some(room) = self.buffer.slot_mut(self.units).get_mut(..unit.len()) {
                room.copy_from_slice(unit);
            }
            self.last_len = unit.len();
            self.units = self.units.saturating_add(1);
        }
    }
}

fn push(pieces: &mut Pieces, shard: ShardIndex, piece: Piece) {
    if let Some(of_shard) = pieces.get_mut(usize::from(shard.0)) {
        of_shard.push(piece);
    }
}

fn carry_out(shard: &mut ShardWriter, pieces: Vec<Piece>, end: Option<End>) -> Result<(), Error> {
    for piece in pieces {
        let bytes = piece.memory.as_ref().as_ref();
        let bytes = bytes.get(piece.bytes).unwrap_or_default();
        shard.write_units(piece.first_row, bytes)?;
    }
    match end {
        Some(end) => shard.finish(end.sealed_bytes, &end.manifest),
        None => Ok(()),
    }
}

const NOT_CODED: Error = Error::Misuse {
    what: "units that are not those of the code",
};
const TOO_LONG: Error = Error::TooLarge { what: "the blob" };
