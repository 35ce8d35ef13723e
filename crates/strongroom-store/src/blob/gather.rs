// SPDX-License-Identifier: Apache-2.0
//! Reading a range of units from several drives, and around what is missing, damaged or late.
//!
//! ```text
//!   ask the data shards of the range
//!        |  all there?  -> answer
//!        |  no: one is missing, damaged, or late by more than the patience for reads
//!        v
//!   ask as many other shards for the same rows as it takes, parity last
//!        |  every unit there, or k of its row?  -> compute what is missing -> answer
//!        |  no shard left to ask: wait for the late ones
//!        v
//!   an error; never a unit that was not compared with its checksum
//! ```
//!
//! A shard that is late is not damaged: it is left alone for a while, that is all. Damage goes
//! into the queue for whoever heals.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::Inner;
use super::buffer::UnitBuffer;
use super::damage::DamageKind;
use super::open_shard::OpenShard;
use super::placement::ShardSet;
use super::read::{BlobReader, OpenBlob, Refusal};
use crate::drive::DriveNo;
use crate::erasure::{Combination, Run, StripeLayout};
use crate::error::Error;
use crate::layout::ShardIndex;

/// Reads a range of units.
pub(super) async fn read(
    reader: &BlobReader,
    first_unit: u64,
    units: u32,
) -> Result<UnitBuffer, Error> {
    let stripes = reader.blob.keeping.stripes;
    let runs = stripes.runs(reader.blob.location.sealed_bytes, first_unit, units);
    let runs: Vec<Run> = runs
        .ok_or_else(|| reader.outside(first_unit, units))?
        .collect();
    let mut gather = Gather::new(reader);
    let mut wanted = BTreeMap::<u8, BTreeSet<u64>>::new();
    for run in &runs {
        let end = run.first_row.saturating_add(u64::from(run.units));
        wanted
            .entry(run.shard.0)
            .or_default()
            .extend(run.first_row..end);
    }
    let avoid = gather.avoided(&wanted);
    for (shard, rows) in &wanted {
        let shard = ShardIndex(*shard);
        if !avoid.has(shard) {
            gather.ask(shard, rows);
        }
    }
    gather.wait(true).await;
    gather.make_up_for(&wanted).await?;
    gather.answer(&runs, first_unit, units)
}

/// One read on its way.
struct Gather<'a> {
    reader: &'a BlobReader,
    stripes: StripeLayout,
    sealed_bytes: u64,
    /// What was read.
    fetched: Vec<Fetched>,
    /// Where in it each good unit is: the number in `fetched`, and the slot.
    have: HashMap<(u8, u64), (usize, usize)>,
    asked: BTreeSet<(u8, u64)>,
    /// Jobs on their way, by shard.
    out: BTreeMap<u8, usize>,
    waiters: Vec<AbortHandle>,
    answer: UnboundedSender<Answer>,
    answers: UnboundedReceiver<Answer>,
    /// The first damage that was met.
    damage: Option<Error>,
}

/// Units of one shard.
struct Fetched {
    shard: ShardIndex,
    first_row: u64,
    buffer: UnitBuffer,
    good: Vec<bool>,
}

struct Answer {
    shard: ShardIndex,
    fetched: Result<Fetched, Error>,
}

impl<'a> Gather<'a> {
    fn new(reader: &'a BlobReader) -> Self {
        let (answer, answers) = unbounded_channel();
        Self {
            reader,
            stripes: reader.blob.keeping.stripes,
            sealed_bytes: reader.blob.location.sealed_bytes,
            fetched: Vec::new(),
            have: HashMap::new(),
            asked: BTreeSet::new(),
            out: BTreeMap::new(),
            waiters: Vec::new(),
            answer,
            answers,
            damage: None,
        }
    }

    /// Shards that are not asked at first: those known to be missing or damaged, and slow ones as
    /// long as there are enough others.
    fn avoided(&self, wanted: &BTreeMap<u8, BTreeSet<u64>>) -> ShardSet {
        let redundancy = self.stripes.redundancy();
        let mut spare = redundancy.parity();
        let mut avoided = ShardSet::EMPTY;
        for shard in redundancy.each_shard() {
            if self.reader.blob.refused(shard).is_some() {
                avoided = avoided.with(shard);
                spare = spare.saturating_sub(1);
            }
        }
        for shard in wanted.keys().map(|shard| ShardIndex(*shard)) {
            if spare > 0 && !avoided.has(shard) && self.is_slow(shard) {
                avoided = avoided.with(shard);
                spare = spare.saturating_sub(1);
            }
        }
        avoided
    }

    fn drive(&self, shard: ShardIndex) -> DriveNo {
        let drive = self.reader.blob.keeping.placement.drive(shard);
        drive.unwrap_or(DriveNo::NOWHERE)
    }

    fn is_slow(&self, shard: ShardIndex) -> bool {
        self.reader.blobs.slow_reads.has(self.drive(shard))
    }

    /// Asks a shard for rows of which it has units.
    fn ask(&mut self, shard: ShardIndex, rows: &BTreeSet<u64>) {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for row in rows {
            if !self.asked.insert((shard.0, *row)) {
                continue;
            }
            match spans.last_mut() {
                Some((_, end)) if *end == *row => *end = row.saturating_add(1),
                _ => spans.push((*row, row.saturating_add(1))),
            }
        }
        for (first, end) in spans {
            self.fetch(shard, first, end);
        }
    }

    fn fetch(&mut self, shard: ShardIndex, first_row: u64, end: u64) {
        let Some(mut buffer) = self.room(shard, first_row, end) else {
            return;
        };
        // What is in memory needs no thread.
        if let Some(open) = self.reader.blob.opened(shard)
            && matches!(
                open.load(first_row, buffer.file_bytes_mut(), true),
                Ok(true)
            )
        {
            let fetched = compared(open, first_row, buffer);
            return self.take(Answer {
                shard,
                fetched: Ok(fetched),
            });
        }
        let number = self.drive(shard);
        let (blobs, blob) = (
            Arc::clone(&self.reader.blobs),
            Arc::clone(&self.reader.blob),
        );
        let workers = blobs.readers.on(number);
        let answer = self.answer.clone();
        let job = move || {
            let fetched = fetch(&blobs, &blob, shard, first_row, buffer);
            // Nobody waits for what came too late.
            let _ = answer.send(Answer { shard, fetched });
        };
        let count = self.out.entry(shard.0).or_default();
        *count = count.saturating_add(1);
        self.waiters.extend(workers.launch(job));
    }

    /// Memory for rows of a shard.
    fn room(&self, shard: ShardIndex, first_row: u64, end: u64) -> Option<UnitBuffer> {
        let last = end.checked_sub(1)?;
        let last_len = self.stripes.unit_len(self.sealed_bytes, shard, last)?;
        let rows = usize::try_from(end.checked_sub(first_row)?).ok()?;
        let layout = self.reader.blob.location.layout;
        let mut buffer = self.reader.blobs.pool.take(layout, rows);
        buffer.set_last_len(last_len);
        Some(buffer)
    }

    /// Waits for everything that was asked for; with `hedge` only as long as reads have patience.
    async fn wait(&mut self, hedge: bool) {
        let patience = self.reader.blobs.options.patience;
        while !self.out.is_empty() {
            let next = if self.reader.blobs.options.inline {
                self.answers.try_recv().ok()
            } else {
                let limit = if hedge {
                    patience.read
                } else {
                    patience.quorum
                };
                timeout(limit, self.answers.recv()).await.ok().flatten()
            };
            let Some(answer) = next else {
                for shard in self.out.keys() {
                    let drive = self.drive(ShardIndex(*shard));
                    self.reader.blobs.slow_reads.add(drive, patience.avoid);
                    metrics::counter!("strongroom_blob_reads_hedged_total").increment(1);
                }
                return;
            };
            if let Some(count) = self.out.get_mut(&answer.shard.0) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.out.remove(&answer.shard.0);
                }
            }
            self.take(answer);
        }
    }

    fn take(&mut self, answer: Answer) {
        let shard = answer.shard;
        match answer.fetched {
            Ok(fetched) => {
                let number = self.fetched.len();
                let rows = (fetched.first_row..).zip(&fetched.good).enumerate();
                for (slot, (row, good)) in rows {
                    if *good {
                        self.have.insert((shard.0, row), (number, slot));
                    }
                }
                if fetched.good.contains(&false) {
                    let BlobReader { blob, blobs } = self.reader;
                    blob.damaged(blobs, shard, DamageKind::Unit);
                    let at = fetched.good.iter().position(|good| !good).unwrap_or(0);
                    let row = fetched
                        .first_row
                        .saturating_add(u64::try_from(at).unwrap_or(0));
                    let place = crate::erasure::UnitPlace { shard, row };
                    let unit = self.stripes.unit_at(self.sealed_bytes, place);
                    self.damage.get_or_insert(Error::CorruptedUnit {
                        blob: blob.location.blob,
                        unit: unit.unwrap_or(row),
                    });
                }
                self.fetched.push(fetched);
            }
            Err(error) if error.is_corruption() => {
                self.damage.get_or_insert(error);
            }
            Err(_) => {}
        }
    }

    /// Asks others until what is wanted is there or can be computed.
    async fn make_up_for(&mut self, wanted: &BTreeMap<u8, BTreeSet<u64>>) -> Result<(), Error> {
        let mut hedge = true;
        loop {
            let short = self.short_rows(wanted);
            if short.is_empty() {
                return Ok(());
            }
            let asked = self.ask_others(&short);
            if !asked {
                if self.out.is_empty() {
                    return Err(self.too_few(&short));
                }
                if !hedge {
                    // Whoever is still out had all the time there is.
                    return Err(self.too_few(&short));
                }
                hedge = false;
            }
            self.wait(hedge).await;
        }
    }

    /// The rows with a wanted unit that is not there and cannot be computed yet: how many more
    /// units each needs.
    fn short_rows(&self, wanted: &BTreeMap<u8, BTreeSet<u64>>) -> BTreeMap<u64, u8> {
        let mut short = BTreeMap::new();
        for (shard, rows) in wanted {
            for row in rows {
                if self.have.contains_key(&(*shard, *row)) {
                    continue;
                }
                let there = self
                    .sources(*row)
                    .filter(|(_, unit)| unit.is_some())
                    .count();
                let there = u8::try_from(there).unwrap_or(u8::MAX);
                let more = self.stripes.redundancy().data().saturating_sub(there);
                if more > 0 {
                    short.insert(*row, more);
                }
            }
        }
        short
    }

    /// Every shard's unit of a row, if it is there; what has no unit in the row counts as zeros.
    fn sources(&self, row: u64) -> impl Iterator<Item = (ShardIndex, Option<&[u8]>)> {
        self.stripes.redundancy().each_shard().map(move |shard| {
            let unit = match self.stripes.unit_len(self.sealed_bytes, shard, row) {
                None => Some(&[][..]),
                Some(_) => self.unit(shard, row),
            };
            (shard, unit)
        })
    }

    fn unit(&self, shard: ShardIndex, row: u64) -> Option<&[u8]> {
        let (number, slot) = self.have.get(&(shard.0, row))?;
        Some(self.fetched.get(*number)?.buffer.slot(*slot))
    }

    /// Asks as many shards as the rows need, those that are likely to answer first. `false` when
    /// there is none left to ask.
    fn ask_others(&mut self, short: &BTreeMap<u64, u8>) -> bool {
        let mut by_shard = BTreeMap::<u8, BTreeSet<u64>>::new();
        for (row, more) in short {
            let mut candidates: Vec<(u8, u8)> = Vec::new();
            for shard in self.stripes.redundancy().each_shard() {
                let has_unit = self
                    .stripes
                    .unit_len(self.sealed_bytes, shard, *row)
                    .is_some();
                if !has_unit || self.asked.contains(&(shard.0, *row)) {
                    continue;
                }
                let rank = match self.reader.blob.refused(shard) {
                    // Nothing is there.
                    Some(Refusal::Away | Refusal::Damaged) => continue,
                    None if self.is_slow(shard) || self.out.contains_key(&shard.0) => 1,
                    None => 0,
                };
                candidates.push((rank, shard.0));
            }
            candidates.sort_unstable();
            for (_, shard) in candidates.into_iter().take(usize::from(*more)) {
                by_shard.entry(shard).or_default().insert(*row);
            }
        }
        let asked = !by_shard.is_empty();
        for (shard, rows) in by_shard {
            self.ask(ShardIndex(shard), &rows);
        }
        asked
    }

    /// Why the rows cannot be computed: damage, if that is why, else drives that are away.
    fn too_few(&mut self, short: &BTreeMap<u64, u8>) -> Error {
        let needed = self.stripes.redundancy().data();
        let worst = short.values().max().copied().unwrap_or(0);
        let away = |shard| self.reader.blob.refused(shard) == Some(Refusal::Away);
        let is_away = self.stripes.redundancy().each_shard().any(away) || !self.out.is_empty();
        match self.damage.take() {
            Some(damage) if !is_away => damage,
            _ => Error::TooFewShards {
                blob: self.reader.blob.location.blob,
                there: needed.saturating_sub(worst),
                needed,
            },
        }
    }

    /// The range, with what is missing computed.
    fn answer(mut self, runs: &[Run], first_unit: u64, units: u32) -> Result<UnitBuffer, Error> {
        if let ([run], 1) = (runs, self.fetched.len())
            && let Some(only) = self.fetched.pop()
        {
            let whole = only.first_row == run.first_row
                && only.shard == run.shard
                && only.good.iter().all(|good| *good);
            if whole {
                return Ok(only.buffer);
            }
            self.fetched.push(only);
        }
        let mut buffer = self.reader.buffer(first_unit, units)?;
        let mut missing = BTreeMap::<u64, Vec<(ShardIndex, usize)>>::new();
        for run in runs {
            let start = run.first_unit.saturating_sub(first_unit);
            let rows = run.first_row..run.first_row.saturating_add(u64::from(run.units));
            for (row, slot) in rows.zip(usize::try_from(start).unwrap_or(usize::MAX)..) {
                match self.unit(run.shard, row) {
                    Some(unit) => copy(unit, buffer.slot_mut(slot)),
                    None => missing.entry(row).or_default().push((run.shard, slot)),
                }
            }
        }
        // Rows of one stripe miss the same shards: the same combination serves them.
        let mut last: Option<(ShardIndex, Vec<ShardIndex>, Combination)> = None;
        for (row, lost) in missing {
            let sources = self.sources(row);
            let there = sources.filter_map(|(shard, unit)| Some((shard, unit?)));
            let data = usize::from(self.stripes.redundancy().data());
            let (shards, there): (Vec<ShardIndex>, Vec<&[u8]>) = there.take(data).unzip();
            for (shard, slot) in lost {
                let combination = match &last {
                    Some((of, from, combination)) if *of == shard && *from == shards => combination,
                    _ => {
                        let rebuild = self.reader.blob.codec().rebuild(shard, &shards);
                        let rebuild = rebuild.map_err(|_| self.reader.blob.unreadable())?;
                        &last.insert((shard, shards.clone(), rebuild)).2
                    }
                };
                combination.apply(&there, buffer.slot_mut(slot));
                metrics::counter!("strongroom_blob_units_rebuilt_total").increment(1);
            }
        }
        Ok(buffer)
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        for waiter in &self.waiters {
            waiter.abort();
        }
    }
}

/// Reads rows of one shard. Blocks.
fn fetch(
    blobs: &Inner,
    blob: &OpenBlob,
    shard: ShardIndex,
    first_row: u64,
    mut buffer: UnitBuffer,
) -> Result<Fetched, Error> {
    let open = blob.shard(blobs, shard)?;
    open.load(first_row, buffer.file_bytes_mut(), false)
        .inspect_err(|error| blob.report(blobs, shard, error))?;
    Ok(compared(&open, first_row, buffer))
}

fn compared(open: &OpenShard, first_row: u64, buffer: UnitBuffer) -> Fetched {
    let good = open.good_rows(first_row, buffer.as_ref());
    Fetched {
        shard: open.shard(),
        first_row,
        buffer,
        good,
    }
}

/// Both are as long as the unit; a rebuilt one may have zeros behind its end.
fn copy(from: &[u8], to: &mut [u8]) {
    let len = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
}
