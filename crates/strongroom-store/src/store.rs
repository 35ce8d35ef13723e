// SPDX-License-Identifier: Apache-2.0
//! Opening and closing: drive, superblock, tables, blobs, orphans.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::at_rest::AtRest;
use crate::blob::{self, BlobOptions, BlobReclaimer, Blobs, OrphanReport};
use crate::catalogue;
use crate::drive::{Drive, HealthState};
use crate::error::Error;
use crate::layout::{DriveUid, Redundancy};
use crate::superblock::Superblock;
use crate::table::{TableOptions, Tables};
use crate::vault::Vault;

/// The store of one cluster: its tables and its blobs. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
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

struct Inner {
    drive: Arc<dyn Drive>,
    superblock: Superblock,
    tables: Tables,
    blobs: Blobs,
    vault: Vault,
    orphans: tokio::sync::Mutex<Orphans>,
    stop_collecting: Arc<AtomicBool>,
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
        let StoreOptions {
            facility,
            redundancy,
            blobs,
            tables,
        } = options;
        if redundancy != Redundancy::SINGLE {
            return Err(Error::Misuse {
                what: "more shards than the store has drives",
            });
        }
        let inline = blobs.inline;
        let reclaimer = if inline {
            BlobReclaimer::inline(Arc::clone(&drive))
        } else {
            BlobReclaimer::start(Arc::clone(&drive))?
        };
        let open = {
            let (drive, reclaimer) = (Arc::clone(&drive), reclaimer.clone());
            move || {
                let superblock =
                    Superblock::open_or_create(drive.as_ref(), blobs.layout, &facility)?;
                let removed = blob::clear_temporary(drive.as_ref())?;
                if removed > 0 {
                    tracing::info!(removed, "unfinished uploads of the last process removed");
                }
                let released = Arc::new(move |blob| reclaimer.released(blob));
                let tables = Tables::open(drive, at_rest, tables, released)?;
                Ok::<_, Error>((superblock, tables))
            }
        };
        let (superblock, tables) = if inline {
            open()?
        } else {
            spawn_blocking(open)
                .await
                .map_err(|_| Error::WorkerGone)??
        };
        let blobs = Blobs::new(Arc::clone(&drive), reclaimer, blobs);
        let stop_collecting = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stop_collecting);
        let collect = collect_orphans(blobs.clone(), tables.clone(), stop);
        let orphans = if inline {
            collect.await.map_or(Orphans::Failed, Orphans::Collected)
        } else {
            Orphans::Collecting(tokio::spawn(collect))
        };
        let orphans = tokio::sync::Mutex::new(orphans);
        let vault = Vault::new(Arc::clone(&drive));
        let inner = Inner {
            drive,
            superblock,
            tables,
            blobs,
            vault,
            orphans,
            stop_collecting,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The tables.
    pub fn tables(&self) -> &Tables {
        &self.inner.tables
    }

    /// The blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
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

    /// Ends the store: commits that were accepted are answered, removals are carried out, the
    /// index is brought up to date. Later commits are refused.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.stop_collecting.store(true, Ordering::Release);
        self.orphans_collected().await;
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

async fn collect_orphans(
    blobs: Blobs,
    tables: Tables,
    stop: Arc<AtomicBool>,
) -> Result<OrphanReport, Error> {
    let collected = blobs
        .collect_orphans(move |blob| catalogue::contains(&tables, blob), stop)
        .await;
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
