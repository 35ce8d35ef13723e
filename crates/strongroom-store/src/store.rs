// SPDX-License-Identifier: Apache-2.0
//! Opening and closing: drive, superblock, tables, blobs, orphans.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::at_rest::AtRest;
use crate::backup::restored_mark;
use crate::blob::{self, BlobOptions, BlobReclaimer, Blobs, OrphanReport, RowOf};
use crate::care::Care;
use crate::catalogue;
use crate::cluster::{Cluster, Roster, StoreDrives, for_mirror};
use crate::drive::{Drive, DriveNo, DriveSet, Folder, HealthState};
use crate::drives;
use crate::error::Error;
use crate::layout::{BlobId, DriveUid, Redundancy};
use crate::mirror::{DriveIndexes, FileJudge, Mirror, MirrorOptions, Patience};
use crate::rebuild::refuse_lost_tables;
use crate::superblock::Superblock;
use crate::table::{TableOptions, Tables};
use crate::vault::Vault;

/// The store of one cluster: its tables and its blobs. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    tables: Tables,
}

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The facility of a drive that is new.
    pub facility: String,
    /// The redundancy of new blobs.
    pub redundancy: Redundancy,
    /// Blobs.
    pub blobs: BlobOptions,
    /// Tables.
    pub tables: TableOptions,
    /// Knows how the files of the audit log should look, which lie beside the tables.
    pub audit: Option<Arc<dyn FileJudge>>,
}

/// How the store is, for health checks and operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreStatus {
    /// The drive, by its label.
    pub drive: String,
    /// The drive, by its own name.
    pub drive_uid: DriveUid,
    /// The drive's facility.
    pub facility: String,
    /// Whether the drive serves.
    pub health: HealthState,
    /// Memory kept for the next buffers.
    pub pooled_bytes: usize,
}

/// What a store stands on, found and identified.
struct Ground {
    /// Where the tables, the vault and the audit log lie.
    home: Arc<dyn Drive>,
    superblock: Superblock,
    set: DriveSet,
    cluster: Option<Cluster>,
    mirror: Option<Arc<Mirror>>,
}

pub(crate) struct Inner {
    drive: Arc<dyn Drive>,
    superblock: Superblock,
    set: DriveSet,
    cluster: Option<Cluster>,
    mirror: Option<Arc<Mirror>>,
    inline: bool,
    tables: Tables,
    blobs: Blobs,
    vault: Vault,
    orphans: tokio::sync::Mutex<Orphans>,
    stop_collecting: Arc<AtomicBool>,
    care: Arc<Care>,
    /// Where the catalogue still names a shard on a drive that is lost: no blob before that does.
    lost_seen: Mutex<BTreeMap<DriveNo, BlobId>>,
}

/// The collection of orphans that runs while the store serves.
enum Orphans {
    Collecting(JoinHandle<Result<OrphanReport, Error>>),
    Collected(OrphanReport),
    Failed,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            facility: "main".to_owned(),
            redundancy: Redundancy::SINGLE,
            blobs: BlobOptions::default(),
            tables: TableOptions::default(),
            audit: None,
        }
    }
}

impl Store {
    /// Opens the store of a drive, making it when the drive is empty. Returns when the tables
    /// are replayed; orphans of the last process are collected in the background.
    pub async fn open(
        drive: Arc<dyn Drive>,
        at_rest: Arc<dyn AtRest>,
        options: StoreOptions,
    ) -> Result<Self, Error> {
        if options.redundancy != Redundancy::SINGLE {
            return Err(Error::Misuse {
                what: "more shards than the store has drives",
            });
        }
        let make = {
            let (layout, facility) = (options.blobs.layout, options.facility.clone());
            move || {
                let superblock = Superblock::open_or_create(drive.as_ref(), layout, &facility)?;
                let set = DriveSet::single(Arc::clone(&drive));
                refuse_lost_tables(&[&drive], &set)?;
                let removed = blob::clear_temporary(drive.as_ref())?;
                if removed > 0 {
                    tracing::info!(removed, "unfinished uploads of the last process removed");
                }
                Ok(Ground {
                    set,
                    home: drive,
                    superblock,
                    cluster: None,
                    mirror: None,
                })
            }
        };
        let ground = blocking(options.blobs.inline, make).await?;
        Self::open_on(ground, at_rest, options).await
    }

    /// Opens the store of all drives of a cluster, founding it where there is none. Goes on
    /// without drives that are not there as long as the rules allow, and takes them when they
    /// come back.
    pub async fn open_set(
        drives: StoreDrives,
        at_rest: Arc<dyn AtRest>,
        options: StoreOptions,
    ) -> Result<Self, Error> {
        let inline = options.blobs.inline;
        let make = {
            let (at_rest, options) = (Arc::clone(&at_rest), options.clone());
            move || {
                let layout = options.blobs.layout;
                let cluster = Cluster::open(drives, &at_rest, layout, inline)?;
                cluster.refuse_if_stuck()?;
                let copies = cluster.copies();
                let copies: Vec<_> = copies.iter().filter_map(|of| of.drive.as_ref()).collect();
                refuse_lost_tables(&copies, cluster.set())?;
                let mirror = Arc::new(mirror_of(&cluster, at_rest, options)?);
                let superblock = Superblock::read(mirror.drive().as_ref(), layout)?;
                Ok(Ground {
                    set: cluster.set().clone(),
                    superblock: superblock.ok_or(Error::NoMajority)?,
                    home: mirror.drive(),
                    cluster: Some(cluster),
                    mirror: Some(mirror),
                })
            }
        };
        let ground = blocking(inline, make).await?;
        let store = Self::open_on(ground, at_rest, options).await?;
        if !inline {
            tokio::spawn(drives::look_after(store.watched()));
        }
        Ok(store)
    }

    /// Opens a store whose blobs are spread over the drives of a set that keeps no members: tables
    /// and vault lie on the first one, which must be there. For simulations and tests.
    pub async fn open_over(
        set: DriveSet,
        at_rest: Arc<dyn AtRest>,
        options: StoreOptions,
    ) -> Result<Self, Error> {
        let view = set.view();
        let first = view.members().first().and_then(|of| of.drive.clone());
        let home = first.ok_or(Error::Misuse {
            what: "a store without its first drive",
        })?;
        if usize::from(options.redundancy.shards()) > view.members().len() {
            return Err(Error::Misuse {
                what: "more shards than the store has drives",
            });
        }
        let make = {
            let (layout, facility) = (options.blobs.layout, options.facility.clone());
            move || {
                let superblock = Superblock::open_or_create(home.as_ref(), layout, &facility)?;
                for member in view.members() {
                    if let Some(drive) = member.serving() {
                        blob::clear_temporary(drive.as_ref())?;
                    }
                }
                Ok(Ground {
                    set,
                    home,
                    superblock,
                    cluster: None,
                    mirror: None,
                })
            }
        };
        let ground = blocking(options.blobs.inline, make).await?;
        Self::open_on(ground, at_rest, options).await
    }

    async fn open_on(
        ground: Ground,
        at_rest: Arc<dyn AtRest>,
        options: StoreOptions,
    ) -> Result<Self, Error> {
        let Ground {
            home: drive,
            superblock,
            set,
            cluster,
            mirror,
        } = ground;
        let StoreOptions {
            redundancy,
            blobs,
            tables,
            ..
        } = options;
        let (inline, patience) = (blobs.inline, blobs.patience);
        let reclaimer = BlobReclaimer::new(set.clone(), inline, blobs.removals_max);
        let open = {
            let (drive, reclaimer) = (Arc::clone(&drive), reclaimer.clone());
            let mirror = mirror.clone();
            move || {
                let released = Arc::new(move |release| reclaimer.release(release));
                match mirror {
                    Some(mirror) => mirror.open_tables(tables, released),
                    None => Tables::open(drive, at_rest, tables, released),
                }
            }
        };
        let tables = blocking(inline, open).await?;
        let of_blobs = tables.clone();
        let row_of: RowOf = Arc::new(move |blob| catalogue::row(&of_blobs, blob));
        let of_placer = cluster.clone();
        let standard = move || {
            let of_cluster = of_placer.as_ref().map(Cluster::redundancy);
            of_cluster.unwrap_or(redundancy)
        };
        let placer = blob::Placer::new(set.clone(), standard);
        let blobs = Blobs::new(set.clone(), placer, row_of, reclaimer, blobs);
        let stop_collecting = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stop_collecting);
        let collect = collect_orphans(Arc::clone(&drive), blobs.clone(), stop);
        let orphans = if inline {
            collect.await.map_or(Orphans::Failed, Orphans::Collected)
        } else {
            Orphans::Collecting(tokio::spawn(collect))
        };
        let orphans = tokio::sync::Mutex::new(orphans);
        let vault = Vault::new(Arc::clone(&drive));
        let limit = (!inline).then_some(patience.care);
        let care = Arc::new(Care::new(&set, limit));
        let inner = Inner {
            drive,
            superblock,
            set,
            cluster,
            mirror,
            inline,
            tables,
            blobs,
            vault,
            orphans,
            stop_collecting,
            lost_seen: Mutex::default(),
            care,
        };
        Ok(Self {
            tables: inner.tables.clone(),
            inner: Arc::new(inner),
        })
    }

    /// The same store for who works in the background: reads of its tables wait for no copy that
    /// does not answer, as long as there is another.
    pub(crate) fn patient(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            tables: self.inner.tables.patient(),
        }
    }

    pub(crate) fn lost_seen(&self) -> MutexGuard<'_, BTreeMap<DriveNo, BlobId>> {
        let seen = self.inner.lost_seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner)
    }

    /// The drives.
    pub fn drives(&self) -> &DriveSet {
        &self.inner.set
    }

    /// Where the tables, the vault and the audit log lie: one drive to whoever uses it, whatever
    /// copies there are.
    pub fn home(&self) -> Arc<dyn Drive> {
        Arc::clone(&self.inner.drive)
    }

    /// Whether everything runs on the caller's thread.
    pub(crate) fn is_inline(&self) -> bool {
        self.inner.inline
    }

    /// The copies of the tables, where there can be several.
    pub(crate) fn mirror(&self) -> Option<&Arc<Mirror>> {
        self.inner.mirror.as_ref()
    }

    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.inner.cluster.as_ref()
    }

    pub(crate) fn watched(&self) -> Weak<Inner> {
        Arc::downgrade(&self.inner)
    }

    pub(crate) fn of_watched(inner: &Weak<Inner>) -> Option<Self> {
        let inner = inner.upgrade()?;
        let is_open = !inner.stop_collecting.load(Ordering::Acquire);
        is_open.then(|| Self {
            tables: inner.tables.clone(),
            inner,
        })
    }

    /// The tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// What scrub and heal share.
    pub(crate) fn care(&self) -> &Arc<Care> {
        &self.inner.care
    }

    /// The vault: what can be destroyed.
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// The cluster's name: 16 random bytes, given when the first drive was made.
    pub fn cluster_id(&self) -> [u8; 16] {
        self.inner.superblock.cluster_id
    }

    /// How the store is.
    pub fn status(&self) -> StoreStatus {
        let Inner {
            drive,
            superblock,
            blobs,
            ..
        } = self.inner.as_ref();
        StoreStatus {
            drive: drive.label(),
            drive_uid: superblock.drive_uid,
            facility: superblock.facility.clone(),
            health: drive.health(),
            pooled_bytes: blobs.pooled_bytes(),
        }
    }

    /// Waits until the orphans of the last process are gone. `None` when the collection failed;
    /// the next start tries again.
    pub async fn orphans_collected(&self) -> Option<OrphanReport> {
        let mut orphans = self.inner.orphans.lock().await;
        if let Orphans::Collecting(collecting) = &mut *orphans {
            *orphans = match collecting.await {
                Ok(Ok(report)) => Orphans::Collected(report),
                Ok(Err(_)) | Err(_) => Orphans::Failed,
            };
        }
        match &*orphans {
            Orphans::Collected(report) => Some(*report),
            Orphans::Collecting(_) | Orphans::Failed => None,
        }
    }

    /// Whether the tables came from a backup and files that no row stands for are still kept.
    pub fn is_restored(&self) -> Result<bool, Error> {
        Ok(self.inner.drive.read_small(&restored_mark())?.is_some())
    }

    /// Ends the time after a restore: the next start removes files that no row stands for. `false`
    /// if there was nothing to end. Blocks.
    pub fn finish_restore(&self) -> Result<bool, Error> {
        let drive = &self.inner.drive;
        let ended = drive.remove(&restored_mark())?;
        drive.sync_folder(Folder::Top)?;
        Ok(ended)
    }

    /// Ends the store: commits that were accepted are answered, removals are carried out, the
    /// index is brought up to date. Later commits are refused.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.stop_collecting.store(true, Ordering::Release);
        self.stop_care().await?;
        let collected = self.orphans_collected();
        if self.is_inline() {
            collected.await;
        } else if tokio::time::timeout(COLLECTION_MAX, collected)
            .await
            .is_err()
        {
            tracing::warn!(
                "a drive does not answer: the collection of its orphans is not waited for"
            );
        }
        let closed = self.inner.tables.close().await;
        self.inner.blobs.reclaimed().await?;
        closed
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The drive is not let go while the collection runs.
        self.stop_collecting.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("drive", &self.inner.drive)
            .finish_non_exhaustive()
    }
}

/// Puts the copies of the tables together.
fn mirror_of(
    cluster: &Cluster,
    at_rest: Arc<dyn AtRest>,
    options: StoreOptions,
) -> Result<Mirror, Error> {
    let copies = for_mirror(cluster.copies());
    let options = MirrorOptions {
        ledger: Arc::<Roster>::clone(cluster.roster()),
        indexes: Arc::new(DriveIndexes {
            cache_bytes: options.tables.index_cache_bytes,
        }),
        audit: options.audit,
        inline: options.blobs.inline,
        patience: Patience::default(),
    };
    Mirror::open(copies, at_rest, options)
}

/// Runs what may block, on this thread when everything runs here.
pub(crate) async fn blocking<T: Send + 'static>(
    inline: bool,
    job: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if inline {
        return job();
    }
    spawn_blocking(job).await.map_err(|_| Error::WorkerGone)?
}

async fn collect_orphans(
    drive: Arc<dyn Drive>,
    blobs: Blobs,
    stop: Arc<AtomicBool>,
) -> Result<OrphanReport, Error> {
    if drive.read_small(&restored_mark())?.is_some() {
        tracing::warn!(
            "the tables came from a backup: files that no row stands for are kept, since they may be \
             objects written after it; `strongroom restore finish` lets them go"
        );
        return Ok(OrphanReport::default());
    }
    let collected = blobs.collect_orphans(stop).await;
    match &collected {
        Ok(report) if report.removed > 0 => {
            tracing::info!(
                report.removed,
                report.examined,
                "orphaned blob files removed"
            );
        }
        Ok(_) => {}
        Err(Error::Closed) => tracing::info!("orphan collection left to the next start"),
        Err(error) => {
            tracing::warn!(%error, "orphan collection stopped; the next start tries again");
        }
    }
    collected
}

/// How long a close waits for the collection of orphans, which looks up after each file.
const COLLECTION_MAX: Duration = Duration::from_secs(30);
