// SPDX-License-Identifier: Apache-2.0
//! Blobs: sequences of sealed units, each blob spread over shard files on as many drives.
//!
//! Never sees plaintext, keys or protocols: a unit is bytes with a checksum. See
//! `docs/spec/shard-format.md` for the file and [`BlobWriter`] for its life.
//!
//! ```text
//!   BlobWriter -> stripe_writer -> shard_writer, one for each drive
//!                      |  quorum: what must be durable, how long the rest is waited for
//!   transcribe: a blob's bytes as they are into a new one, under another policy
//!   note: a blob that is nothing but its manifest
//!   BlobReader -> open_shard: a range of one shard, compared with its checksums
//!                      |  gather: other shards, when one is missing, damaged or late
//!                      +--> damage: for whoever heals
//!   reclaim, orphans: files that do not count go
//! ```

mod buffer;
mod catalog;
mod damage;
mod ends;
mod flow;
mod gather;
mod note;
mod open_shard;
mod orphans;
mod placement;
mod quorum;
mod read;
mod reclaim;
pub(crate) mod shard;
mod shard_writer;
mod stripe_writer;
mod survey;
#[cfg(test)]
mod tests;
mod transcribe;
mod verify;
mod workers;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use buffer::UnitBuffer;
pub(crate) use catalog::owed_key;
pub use catalog::{CatalogRow, Keeping, parse_owed_key};
pub use damage::{Damage, DamageKind, DamageQueue};
pub use ends::ShardEnds;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use ends::fuzzing;
pub use open_shard::OpenShard;
pub use orphans::OrphanReport;
pub use placement::{Placement, SHARDS_MAX, ShardSet};
pub use quorum::{Patience, write_quorum};
pub use read::BlobReader;
pub use reclaim::{BlobPin, BlobReclaimer, Departure, Release};
pub(crate) use reclaim::{ShardTicket, Stage as Landing};
pub use shard::{ShardHeader, ShardTrailer, UnitSums};
pub use shard_writer::ShardWriter;
pub use survey::{
    SURVEY_FOLDERS, SurveyDamage, SurveyOptions, SurveyReport, SurveyedBlob, survey, survey_with,
};
pub use verify::VerifyReport;
pub use write::{BlobProof, BlobWriter, UnitNotSealed, UnitSealer};

use self::buffer::UnitPool;
use self::quorum::SlowDrives;
use self::stripe_writer::StripeWriter;
use self::workers::{DriveWorkers, Workers};
use crate::drive::{
    Drive, DriveNo, DrivePath, DriveSet, DriveState, Placed, Standing, place, policy_for,
    redundancy_for,
};
use crate::erasure::StripeLayout;
use crate::error::Error;
#[cfg(doc)]
use crate::layout::NOTE_BYTES_MAX;
use crate::layout::{BlobId, BlobLocation, BlobPolicy, Redundancy, ShardIndex, UnitLayout};

/// The blobs of a store. Clones share everything.
#[derive(Clone, Debug)]
pub struct Blobs {
    inner: Arc<Inner>,
}

/// How the blobs of a store are kept.
#[derive(Clone, Copy, Debug)]
pub struct BlobOptions {
    /// The unit length of most blobs.
    pub layout: UnitLayout,
    /// Threads that may be writing to, or flushing, one drive at once.
    pub write_workers: usize,
    /// Threads that may be reading from one drive at once.
    pub read_workers: usize,
    /// Memory kept for the next buffers.
    pub pool_bytes_max: usize,
    /// How long slow drives are waited for.
    pub patience: Patience,
    /// Files that may wait to be removed from one drive, some 100 bytes of memory each; more are
    /// counted, and looked for when the drive answers again. What is counted is owed: a bucket that
    /// is emptied on healthy drives should stay below it.
    pub removals_max: usize,
    /// No threads at all: every job runs on the caller's thread, to its end, before the call
    /// returns. For simulations, in which a seed has to tell the whole story.
    pub inline: bool,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self {
            layout: UnitLayout::PRODUCT,
            write_workers: 32,
            read_workers: 16,
            pool_bytes_max: 64 << 20,
            patience: Patience::default(),
            removals_max: 65_536,
            inline: false,
        }
    }
}

/// Chooses the drives of new blobs.
pub(crate) struct Placer {
    drives: DriveSet,
    /// The redundancy of the cluster at this moment.
    standard: Box<dyn Fn() -> Redundancy + Send + Sync>,
}

/// Looks up the catalogue's row of a blob.
pub type RowOf = Arc<dyn Fn(BlobId) -> Result<Option<CatalogRow>, Error> + Send + Sync>;

struct Inner {
    drives: DriveSet,
    options: BlobOptions,
    placer: Placer,
    row_of: RowOf,
    pool: Arc<UnitPool>,
    /// Jobs that touch no drive.
    coders: Workers,
    writers: DriveWorkers,
    readers: DriveWorkers,
    slow_writes: SlowDrives,
    slow_reads: SlowDrives,
    damage: DamageQueue,
    reclaimer: BlobReclaimer,
}

impl Blobs {
    /// The blobs of drives whose temporary folders are empty.
    pub(crate) fn new(
        drives: DriveSet,
        placer: Placer,
        row_of: RowOf,
        reclaimer: BlobReclaimer,
        options: BlobOptions,
    ) -> Self {
        let inline = options.inline;
        let longest = options.layout.wider().unwrap_or(options.layout);
        let inner = Inner {
            drives,
            placer,
            row_of,
            pool: UnitPool::new(longest, options.pool_bytes_max),
            coders: if inline {
                Workers::inline()
            } else {
                Workers::new(options.write_workers)
            },
            writers: DriveWorkers::new(options.write_workers, inline),
            readers: DriveWorkers::new(options.read_workers, inline),
            slow_writes: SlowDrives::default(),
            slow_reads: SlowDrives::default(),
            damage: DamageQueue::default(),
            reclaimer,
            options,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The unit length of this store; blobs may also have units of [`UnitLayout::wider`].
    pub fn layout(&self) -> UnitLayout {
        self.inner.options.layout
    }

    /// A buffer of `units` units. It holds what its last user left: fill what you use.
    pub fn buffer(&self, layout: UnitLayout, units: usize) -> UnitBuffer {
        self.inner.pool.take(layout, units)
    }

    /// Refuses when the drives have no room for new content, wherever it would lie. Blobs ask
    /// again as they grow; what is to lie in the tables has to be asked for here.
    pub fn check_room(&self) -> Result<(), Error> {
        let view = self.inner.drives.view();
        let mut full = Err(Error::TooFewDrives {
            there: 0,
            needed: 1,
        });
        for member in view.members() {
            let (Some(drive), Standing::Member) = (&member.drive, member.standing) else {
                continue;
            };
            match room_on(drive.as_ref()) {
                Ok(()) => return Ok(()),
                Err(error) => full = Err(error),
            }
        }
        full
    }

    /// Begins a blob whose units `sealer` will seal. Touches the drives only with the first write.
    /// Refuses unit lengths other than this store's and [`UnitLayout::wider`].
    pub async fn create<S: UnitSealer>(
        &self,
        blob: BlobId,
        layout: UnitLayout,
        sealer: S,
    ) -> Result<BlobWriter<S>, Error> {
        self.create_with(blob, layout, BlobPolicy::Standard, sealer)
            .await
    }

    /// The same where another redundancy is wished for.
    #[expect(
        clippy::unused_async,
        reason = "choosing drives over a network will have to wait"
    )]
    pub async fn create_with<S: UnitSealer>(
        &self,
        blob: BlobId,
        layout: UnitLayout,
        policy: BlobPolicy,
        sealer: S,
    ) -> Result<BlobWriter<S>, Error> {
        let writing = self.inner.begin(blob, layout, policy)?;
        Ok(BlobWriter::new(sealer, Arc::clone(&self.inner), writing))
    }

    /// Whether a blob is kept as a new one would be that is begun with `policy`.
    pub fn lies_as(&self, blob: BlobId, policy: BlobPolicy) -> Result<bool, Error> {
        let placer = &self.inner.placer;
        if placer.is_alone() {
            return Ok(true);
        }
        let row = self.inner.row(blob)?.ok_or(Error::BlobNotFound { blob })?;
        Ok(row.policy == policy || row.policy == placer.policy(policy))
    }

    /// Writes the sealed bytes of a blob, as they are, into a new one that is kept as `policy`
    /// has it. Every unit is compared with its checksum on the way, and every shard of the new
    /// blob is read back. Obligation of the caller: the old blob is pinned and the row stands that
    /// names it; who adopts the new one in place of the old releases that in the same commit. The
    /// manifest is the new blob's: as of [`BlobWriter::finish_with`].
    pub async fn transcribe(
        &self,
        from: &BlobLocation,
        to: BlobId,
        policy: BlobPolicy,
        manifest: Vec<u8>,
    ) -> Result<BlobProof, Error> {
        transcribe::transcribe(&self.inner, from, to, policy, manifest).await
    }

    /// Where a note of that name lies, once it is written.
    pub fn note_location(&self, blob: BlobId) -> BlobLocation {
        BlobLocation {
            blob,
            sealed_bytes: 0,
            layout: self.layout(),
        }
    }

    /// Writes a blob without units, which is nothing but a manifest, whole in each of its shards:
    /// what is to be known without tables of a thing that has no body of its own. Sealed by
    /// whoever knows how. `None` where it is left out, which is counted: it is longer than
    /// [`NOTE_BYTES_MAX`], or the drives are full, or too few of them are there.
    pub async fn write_note(
        &self,
        blob: BlobId,
        manifest: Vec<u8>,
    ) -> Result<Option<BlobProof>, Error> {
        let written = match self.check_room() {
            Ok(()) => note::write(&self.inner, blob, manifest).await,
            Err(error) => Err(error),
        };
        note::or_left_out(written)
    }

    /// Opens a blob for reading; the reader outlives a release of the blob.
    pub async fn open(&self, location: &BlobLocation) -> Result<BlobReader, Error> {
        BlobReader::open(&self.inner, *location).await
    }

    /// Keeps the files of `blobs` from being removed while an answer is read from them. A blob may
    /// have been released just before: look at the row that named it again, after this.
    pub fn pin(&self, blobs: Vec<BlobId>) -> BlobPin {
        self.inner.reclaimer.pin(blobs)
    }

    /// Reads one range of a blob.
    pub async fn read(
        &self,
        location: &BlobLocation,
        first_unit: u64,
        units: u32,
    ) -> Result<UnitBuffer, Error> {
        self.open(location).await?.read(first_unit, units).await
    }

    /// Reads every shard of a blob that is there, compares every byte of its file with a checksum,
    /// and parity with the data.
    pub async fn verify(&self, location: &BlobLocation) -> Result<VerifyReport, Error> {
        verify::verify(&self.inner, *location).await
    }

    /// Compares what no reading of units touches, the ends of a blob's files, with what was
    /// written.
    pub async fn verify_trailer(&self, location: &BlobLocation) -> Result<(), Error> {
        verify::verify_trailers(&self.inner, *location).await
    }

    /// What the header of a blob's first shard that is there says.
    pub async fn header(&self, blob: BlobId) -> Result<ShardHeader, Error> {
        verify::header(&self.inner, blob).await
    }

    /// Whether a writer or a proof of this process still holds the blob.
    pub(crate) fn is_in_flight(&self, blob: BlobId, drive: DriveNo) -> bool {
        self.inner.reclaimer.is_in_flight(blob, drive)
    }

    /// Shards that are being written to a drive and that the catalogue does not count yet.
    pub(crate) fn writes_to(&self, drive: DriveNo) -> u64 {
        u64::try_from(self.inner.reclaimer.writes_to(drive)).unwrap_or(u64::MAX)
    }

    /// Registers a shard of a blob of the catalogue that is about to be written anew. `None` while
    /// another write of it to that drive is not over.
    pub(crate) fn admit_shard(&self, blob: BlobId, drive: DriveNo) -> Option<ShardTicket> {
        self.inner.reclaimer.admit_shard(blob, drive, None)
    }

    /// The files that hold a blob: by their names on the drive where there is one drive, else
    /// with the drive before and the shard behind.
    pub fn files(&self, blob: BlobId) -> Vec<String> {
        let path = DrivePath::blob(blob).to_string();
        let Ok(Some(row)) = self.inner.row(blob) else {
            return vec![path];
        };
        let view = self.inner.drives.view();
        if view.members().len() <= 1 {
            return vec![path];
        }
        let owed = ShardSet::from_bits(row.owed);
        let shards = row.redundancy.each_shard().map(|shard| {
            let what = if row.redundancy.is_data(shard) {
                "data"
            } else {
                "parity"
            };
            let what = format!("shard {} of {}, {what}", shard.0, row.redundancy);
            let number = row.placement.drive(shard);
            let place = number.map(|number| (number, view.member(number)));
            match place {
                _ if owed.has(shard) => format!("nowhere ({what}, owed)"),
                None => format!("nowhere ({what}, owed)"),
                Some((number, None)) => format!("drive {number}: {path} ({what})"),
                Some((number, Some(member))) => {
                    let place = member.drive.as_ref().map_or_else(
                        || format!("drive {number}, not there:"),
                        |drive| drive.label(),
                    );
                    let facility = &member.facility;
                    format!("{facility}:{place} {path} ({what})")
                }
            }
        });
        shards.collect()
    }

    /// Damage that reads came across.
    pub fn damage(&self) -> &DamageQueue {
        &self.inner.damage
    }

    /// Opens one shard of a blob, to be read as it is: for scrub and heal. Blocks.
    pub fn open_shard(
        &self,
        location: BlobLocation,
        keeping: &Keeping,
        shard: ShardIndex,
    ) -> Result<OpenShard, Error> {
        let BlobLocation { blob, .. } = location;
        let drive = keeping.placement.drive(shard);
        let drive = drive.and_then(|number| self.inner.drive(number));
        let drive = drive.ok_or(Error::BlobNotFound { blob })?;
        OpenShard::open(drive.as_ref(), location, keeping, shard)
    }

    /// Begins to write one shard of a blob of the catalogue anew, for heal and drain. `None` when
    /// the drive is not there, or while another write of that shard to it is not over. The shard
    /// counts by [`crate::Write::MoveShards`]; after that: [`ShardWriter::keep`].
    pub fn rewrite_shard(
        &self,
        blob: BlobId,
        keeping: &Keeping,
        shard: ShardIndex,
        to: DriveNo,
    ) -> Option<ShardWriter> {
        let drive = self.inner.drive(to)?;
        let ticket = self.inner.reclaimer.admit_shard(blob, to, None)?;
        let header = ShardHeader {
            blob,
            shard,
            layout: keeping.stripes,
            policy: keeping.policy,
        };
        Some(ShardWriter::new(drive, to, header, true, ticket))
    }

    /// Bytes of memory kept for the next buffers.
    pub fn pooled_bytes(&self) -> usize {
        self.inner.pool.free_bytes()
    }

    /// Waits until the files of everything dropped or released so far are gone.
    pub async fn reclaimed(&self) -> Result<(), Error> {
        let reclaimer = self.inner.reclaimer.clone();
        let wait = move || {
            reclaimer.wait();
            Ok(())
        };
        self.inner.coders.run(wait).await
    }

    /// Removes the files that no row of the catalogue stands for, on every drive that is there,
    /// until told to `stop`.
    pub(crate) async fn collect_orphans(
        &self,
        stop: Arc<AtomicBool>,
    ) -> Result<OrphanReport, Error> {
        let view = self.inner.drives.view();
        let mut report = OrphanReport::default();
        let mut failed = Ok(());
        for member in view.members() {
            if member.serving().is_some() {
                match self.collect_orphans_of(member.number, &stop).await {
                    Ok(found) => report = report.and(found),
                    Err(Error::Closed) => return Err(Error::Closed),
                    Err(error) => failed = Err(error),
                }
            }
        }
        failed.map(|()| report)
    }

    /// Removes what is left on one drive: all of a drive that came back.
    pub(crate) async fn collect_orphans_of(
        &self,
        number: DriveNo,
        stop: &Arc<AtomicBool>,
    ) -> Result<OrphanReport, Error> {
        let inner = Arc::clone(&self.inner);
        let stop = Arc::clone(stop);
        let collect = move || {
            let Some(drive) = inner.drives.get(number) else {
                return Ok(OrphanReport::default());
            };
            let row = |blob| (inner.row_of)(blob);
            orphans::collect(number, drive.as_ref(), &inner.reclaimer, row, &stop)
        };
        self.inner.readers.on(number).run(collect).await
    }

    /// How many files of each drive should have gone and are not remembered one by one.
    pub(crate) fn left_behind(&self) -> std::collections::BTreeMap<DriveNo, u64> {
        self.inner.reclaimer.left_behind()
    }

    /// Whether nothing waits to be removed from a drive.
    pub(crate) fn has_removed_all(&self, drive: DriveNo) -> bool {
        self.inner.reclaimer.is_idle(drive)
    }

    /// A collection of orphans went through a drive that began when so many were left behind.
    pub(crate) fn collected(&self, drive: DriveNo, count: u64) {
        self.inner.reclaimer.collected(drive, count);
    }

    /// Makes a drive that came back ready: unfinished uploads and files without a row go. To be
    /// called after it is part of the set; blocks no one.
    pub async fn drive_returned(&self, number: DriveNo) -> Result<OrphanReport, Error> {
        let inner = Arc::clone(&self.inner);
        let clear = move || match inner.drives.get(number) {
            Some(drive) => orphans::clear_temporary(drive.as_ref(), |blob| {
                inner.reclaimer.is_in_flight(blob, number)
            }),
            None => Ok(0),
        };
        self.inner.readers.on(number).run(clear).await?;
        self.collect_orphans_of(number, &Arc::default()).await
    }
}

impl Inner {
    /// Begins a blob: chooses its drives, and registers it and its shards.
    fn begin(
        self: &Arc<Self>,
        blob: BlobId,
        layout: UnitLayout,
        policy: BlobPolicy,
    ) -> Result<StripeWriter, Error> {
        if !self.allows(layout) {
            return Err(Error::Misuse {
                what: "a unit length that the store does not have",
            });
        }
        let (policy, Placed { redundancy, drives }) = self.placer.place(policy, blob)?;
        let placement = Placement::new(&drives).ok_or(Error::Misuse {
            what: "shards placed where they cannot be",
        })?;
        let stripes = StripeLayout::for_new_blobs(layout, redundancy);
        let ticket = self.reclaimer.admit(blob)?;
        let mut shards = Vec::with_capacity(usize::from(redundancy.shards()));
        for shard in redundancy.each_shard() {
            let header = ShardHeader {
                blob,
                shard,
                layout: stripes,
                policy,
            };
            let ticket = Some(Arc::clone(&ticket));
            // INVARIANT: first on its way, then a look at the drive. So a drive that is let go either
            // waits for this shard or is seen to be gone.
            let writer = placement.drive(shard).and_then(|number| {
                let ticket = self.reclaimer.admit_shard(blob, number, ticket)?;
                let drive = self.drive(number)?;
                Some(ShardWriter::new(drive, number, header, false, ticket))
            });
            shards.push(writer);
        }
        let there = shards.iter().flatten().count();
        let there = u8::try_from(there).unwrap_or(u8::MAX);
        let needed = write_quorum(redundancy);
        if there < needed {
            return Err(Error::TooFewDrives { there, needed });
        }
        Ok(StripeWriter::new(
            self, stripes, policy, placement, shards, ticket,
        ))
    }

    /// Whether the cluster has given a drive up: what is written to it counts for nothing.
    fn is_given_up(&self, number: DriveNo) -> bool {
        let state = self.drives.view().state(number);
        matches!(state, DriveState::Lost | DriveState::Removed)
    }

    /// Whether blobs may have units of this length.
    fn allows(&self, layout: UnitLayout) -> bool {
        layout == self.options.layout || Some(layout) == self.options.layout.wider()
    }

    /// A drive, if there is one: it may be out of service, and then says so itself.
    fn drive(&self, number: DriveNo) -> Option<Arc<dyn Drive>> {
        let view = self.drives.view();
        let member = view.member(number)?;
        let may_serve = matches!(member.standing, Standing::Member | Standing::Draining);
        member.drive.clone().filter(|_| may_serve)
    }

    /// The catalogue's row of a blob, or its last one while an answer is read from it.
    fn row(&self, blob: BlobId) -> Result<Option<CatalogRow>, Error> {
        match (self.row_of)(blob)? {
            Some(row) => Ok(Some(row)),
            None => Ok(self.reclaimer.released_row(blob)),
        }
    }

    /// A drive failed an operation.
    fn drive_failed(&self, number: DriveNo, error: &Error) {
        if matches!(error, Error::NoSpace { .. }) {
            self.drives.set_room(number, false);
        } else {
            self.drives.suspect(number);
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs")
            .field("drives", &self.drives)
            .finish_non_exhaustive()
    }
}

fn room_on(drive: &dyn Drive) -> Result<(), Error> {
    if drive.has_room()? {
        return Ok(());
    }
    Err(Error::NoSpace {
        action: "store new content on",
        path: drive.label(),
    })
}

/// Empties the temporary folder: first step of opening a store, before any writer exists.
pub(crate) fn clear_temporary(drive: &dyn Drive) -> Result<u64, Error> {
    orphans::clear_temporary(drive, |_| false)
}

impl Placer {
    /// Places the shards of new blobs on these drives: under the redundancy that is `standard` at
    /// that moment, where nothing else is asked for.
    pub(crate) fn new(
        drives: DriveSet,
        standard: impl Fn() -> Redundancy + Send + Sync + 'static,
    ) -> Self {
        Self {
            drives,
            standard: Box::new(standard),
        }
    }

    /// Whether there is one drive: then every blob has one shard, and every policy is the same.
    fn is_alone(&self) -> bool {
        self.drives.view().members().len() == 1
    }

    /// The policy that new blobs get that are begun with `policy`.
    fn policy(&self, policy: BlobPolicy) -> BlobPolicy {
        policy_for(&self.drives.view(), policy, (self.standard)())
    }

    /// The policy and the drives of a new blob.
    fn place(&self, policy: BlobPolicy, blob: BlobId) -> Result<(BlobPolicy, Placed), Error> {
        let view = self.drives.view();
        if let [only] = view.members() {
            // What is wrong with it, it says itself.
            let alone = Placed {
                redundancy: Redundancy::SINGLE,
                drives: vec![only.number],
            };
            return Ok((BlobPolicy::Standard, alone));
        }
        let standard = (self.standard)();
        let policy = policy_for(&view, policy, standard);
        let wished = redundancy_for(&view, policy, standard);
        let placed = place(&view, policy, wished, blob).ok_or(Error::TooFewDrives {
            there: 0,
            needed: write_quorum(wished),
        })?;
        Ok((policy, placed))
    }
}
