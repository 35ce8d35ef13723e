// SPDX-License-Identifier: Apache-2.0
//! Tables made anew where all of them are lost: the last resort.
//!
//! ```text
//!   FoundDrives::open   the drives of the cluster, each with its number; no tables are touched
//!   survey              every shard file of all of them        (blob/survey.rs)
//!   Rebuild             rows that somebody above made of the manifests, and the catalogue's
//! ```
//!
//! The store knows what a blob is and where its shards are; what its manifest means, who wrote it
//! knows. Rows are put on one drive, as a backup's are; the other copies are made level with it
//! when the store opens. Files that no row stands for are kept until an operator says otherwise.

use std::fmt;
use std::io::{Read, Seek};
use std::sync::Arc;

use bytes::Bytes;

use crate::at_rest::AtRest;
use crate::backup::{BackupFile, Restored, restore, restored_mark};
use crate::blob::{
    CatalogRow, Keeping, Placement, ShardSet, SurveyOptions, SurveyReport, SurveyedBlob,
    survey_with,
};
use crate::cluster::{Cluster, StoreDrives};
use crate::drive::{Drive, DriveNo, DriveSet, DriveState, Folder};
use crate::error::Error;
use crate::layout::{BlobLocation, UnitLayout};
use crate::table::{OWED_ROW, Restore, TableId, TableOptions, has_log, index_key, seal_row};

/// The drives of a cluster whose tables are not looked at. Nobody else has them open.
pub struct FoundDrives {
    cluster: Cluster,
    at_rest: Arc<dyn AtRest>,
}

/// A drive, as reports name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundDrive {
    /// Its number.
    pub number: DriveNo,
    /// Where it is, or was last.
    pub place: String,
    /// Whether it is there.
    pub is_there: bool,
}

/// Tables on their way.
pub struct Rebuild {
    restore: Restore,
    at_rest: Arc<dyn AtRest>,
    waiting: Vec<(Vec<u8>, Bytes)>,
    rows: u64,
}

impl FoundDrives {
    /// Finds the drives as a start does. Blocks.
    pub fn open(
        drives: StoreDrives,
        at_rest: Arc<dyn AtRest>,
        layout: UnitLayout,
    ) -> Result<Self, Error> {
        let cluster = Cluster::open(drives, &at_rest, layout, false)?;
        Ok(Self { cluster, at_rest })
    }

    /// Finds the drives of a store that is there, as a start does, and writes nothing. `None` where a
    /// start would make one, or take over a drive from before there were members. Blocks.
    pub fn look(
        drives: StoreDrives,
        at_rest: Arc<dyn AtRest>,
        layout: UnitLayout,
    ) -> Result<Option<Self>, Error> {
        let cluster = Cluster::look_at(drives, &at_rest, layout)?;
        Ok(cluster.map(|cluster| Self { cluster, at_rest }))
    }

    /// Puts the tables of a backup back. Refused, and nothing is written, as [`Self::may_put_back`] does;
    /// no table is written before the whole backup is verified. Returns where they were put, too. Blocks.
    pub fn put_back<R: Read + Seek>(
        &self,
        options: TableOptions,
        backup: &mut BackupFile<R>,
        accept_loss: bool,
    ) -> Result<(Restored, String), Error> {
        let drive = self.may_put_back(&backup.head().cluster_id, accept_loss)?;
        // What was found has to count before anything is made of it.
        self.cluster.roster().begin(|_| Ok(()))?;
        for other in self
            .cluster
            .copies()
            .iter()
            .filter_map(|of| of.drive.as_ref())
        {
            mark(other.as_ref())?;
        }
        let layout = self.cluster.layout();
        let restored = restore(&drive, &self.at_rest, layout, options, backup)?;
        Ok((restored, drive.label()))
    }

    /// The drive that the tables of a backup of this cluster are put on. Refused where a drive has tables,
    /// where the backup is another cluster's, and, unless their loss is accepted, where a drive that
    /// should have all of them is not there.
    pub fn may_put_back(
        &self,
        cluster_id: &[u8; 16],
        accept_loss: bool,
    ) -> Result<Arc<dyn Drive>, Error> {
        let refused = |drive: String, reason| Err(Error::DriveRefused { drive, reason });
        if let Some(drive) = self.with_tables()? {
            return refused(drive, HAS_TABLES_ALREADY);
        }
        let copies = self.cluster.copies();
        let mut live = copies.iter().filter(|copy| copy.is_live);
        let first = live.clone().find_map(|copy| copy.drive.as_ref());
        let away = live.find(|copy| copy.drive.is_none());
        if let Some(copy) = away.filter(|_| !accept_loss) {
            return refused(self.place_of(copy.number), AWAY_FROM_BACKUP);
        }
        self.cluster.refuse_if_stuck()?;
        let drive = first.ok_or(Error::NoMajority)?;
        if self.cluster.id() != *cluster_id {
            return refused(drive.label(), OF_ANOTHER);
        }
        Ok(Arc::clone(drive))
    }

    /// The cluster's name.
    pub fn cluster_id(&self) -> [u8; 16] {
        self.cluster.id()
    }

    /// Every drive that belongs to the cluster.
    pub fn drives(&self) -> Vec<FoundDrive> {
        let of_status = |of: crate::cluster::DriveStatus| FoundDrive {
            number: of.number,
            is_there: of.state.serves(),
            place: of.place,
        };
        let all = self.cluster.status().into_iter();
        all.filter(|of| of.state != DriveState::Removed)
            .map(of_status)
            .collect()
    }

    /// Goes through every shard file of every drive that is there.
    pub fn survey<E>(
        &self,
        options: SurveyOptions,
        tell: impl Fn(u64),
        each: impl FnMut(SurveyedBlob) -> Result<(), E>,
    ) -> Result<SurveyReport, E> {
        let view = self.cluster.set().view();
        let there = view.members().iter().filter_map(|member| {
            let drive = member.serving()?;
            Some((member.number, Arc::clone(drive)))
        });
        survey_with(&there.collect::<Vec<_>>(), options, tell, each)
    }

    /// The place of a drive that has tables, or something of them; `None` if all are gone.
    fn with_tables(&self) -> Result<Option<String>, Error> {
        for member in self.cluster.set().view().members() {
            if let Some(drive) = member.serving()
                && has_log(drive.as_ref())?
            {
                return Ok(Some(drive.label()));
            }
        }
        Ok(None)
    }

    /// Refuses where a drive has tables; and, unless their loss is accepted, where a drive that should
    /// have all of them is not there to be looked at: once others are made, its own count for older.
    pub fn refuse_tables(&self, accept_loss: bool) -> Result<(), Error> {
        if let Some(drive) = self.with_tables()? {
            return Err(Error::DriveRefused {
                drive,
                reason: HAS_TABLES,
            });
        }
        let copies = self.cluster.copies().into_iter();
        let mut away = copies.filter(|copy| copy.is_live && copy.drive.is_none());
        match away.next().filter(|_| !accept_loss) {
            Some(copy) => Err(Error::DriveRefused {
                drive: self.place_of(copy.number),
                reason: AWAY,
            }),
            None => self.cluster.refuse_if_stuck(),
        }
    }

    fn place_of(&self, number: DriveNo) -> String {
        let found = self.drives().into_iter().find(|of| of.number == number);
        found.map_or_else(|| format!("drive {number}"), |of| of.place)
    }

    /// Begins tables on a drive that should have a copy of them. Refused as
    /// [`Self::refuse_tables`] does.
    pub fn begin(&self, options: TableOptions, accept_loss: bool) -> Result<Rebuild, Error> {
        self.refuse_tables(accept_loss)?;
        let copies = self.cluster.copies();
        let mut live = copies.iter().filter(|copy| copy.is_live);
        let drive = live.find_map(|copy| copy.drive.as_ref());
        let drive = drive.ok_or(Error::NoMajority)?;
        for other in copies.iter().filter_map(|copy| copy.drive.as_ref()) {
            mark(other.as_ref())?;
        }
        Rebuild::begin(drive, &self.at_rest, options)
    }
}

impl Rebuild {
    /// Begins tables on a drive that has none.
    pub fn begin(
        drive: &Arc<dyn Drive>,
        at_rest: &Arc<dyn AtRest>,
        options: TableOptions,
    ) -> Result<Self, Error> {
        let restore = Restore::begin(drive, at_rest, options)?;
        // INVARIANT: the mark is there before the tables are: nothing is removed in between.
        mark(drive.as_ref())?;
        Ok(Self {
            restore,
            at_rest: Arc::clone(at_rest),
            waiting: Vec::new(),
            rows: 0,
        })
    }

    /// Puts a row in a table, as commit `seq` would have.
    pub fn row(&mut self, table: TableId, key: &[u8], seq: u64, value: &[u8]) -> Result<(), Error> {
        let key = index_key(table, key);
        let row = seal_row(self.at_rest.as_ref(), &key, seq, value)?;
        self.waiting.push((key, row));
        self.rows = self.rows.saturating_add(1);
        if self.waiting.len() >= ROWS_AT_ONCE {
            self.restore.rows(std::mem::take(&mut self.waiting))?;
        }
        Ok(())
    }

    /// Puts a blob in the catalogue that one row stands on: where its shards were found, and owed
    /// those that were not.
    pub fn blob(&mut self, blob: &SurveyedBlob, seq: u64) -> Result<(), Error> {
        let (location, keeping) = kept(blob)?;
        let row = CatalogRow::adopted(location, keeping, seq);
        self.row(TableId::BLOB_CATALOGUE, &blob.blob.0, seq, &row.encode())?;
        match row.owed_key(blob.blob) {
            Some(key) => self.row(TableId::OWED_SHARDS, &key, seq, &OWED_ROW),
            None => Ok(()),
        }
    }

    /// Makes tables of the rows, whose next commit is the one after `seq`. Returns how many rows
    /// there are.
    pub fn finish(mut self, seq: u64) -> Result<u64, Error> {
        self.restore.rows(std::mem::take(&mut self.waiting))?;
        self.restore.finish(seq)?;
        Ok(self.rows)
    }
}

impl SurveyedBlob {
    /// Where the blob is: what a row that stands on it keeps.
    pub fn location(&self) -> BlobLocation {
        BlobLocation {
            blob: self.blob,
            sealed_bytes: self.sealed_bytes,
            layout: self.layout.unit(),
        }
    }
}

/// Has a drive remember that its tables are not those that its files were written under.
fn mark(drive: &dyn Drive) -> Result<(), Error> {
    drive.replace(&restored_mark(), &0_u64.to_be_bytes())
}

fn kept(blob: &SurveyedBlob) -> Result<(BlobLocation, Keeping), Error> {
    let unfit = || Error::CorruptedShard {
        blob: blob.blob,
        reason: "its shards lie where they cannot be",
    };
    // Of a shard that is on two drives the second is a stale copy: both are the same bytes.
    let mut taken: Vec<DriveNo> = Vec::new();
    let mut owed = ShardSet::EMPTY;
    for (shard, drives) in blob.layout.redundancy().each_shard().zip(&blob.drives) {
        let free = drives.iter().find(|drive| !taken.contains(drive));
        if free.is_none() {
            owed = owed.with(shard);
        }
        taken.push(free.copied().unwrap_or(DriveNo::NOWHERE));
    }
    let keeping = Keeping {
        stripes: blob.layout,
        policy: blob.policy,
        placement: Placement::new(&taken).ok_or_else(unfit)?,
        owed,
    };
    Ok((blob.location(), keeping))
}

/// Refuses to take drives for new whose tables are gone: a store that began anew on them would
/// remove every body as one that nobody knows, and every secret of the vault.
pub(crate) fn refuse_lost_tables(copies: &[&Arc<dyn Drive>], set: &DriveSet) -> Result<(), Error> {
    for drive in copies {
        if has_log(drive.as_ref())? {
            return Ok(());
        }
    }
    let refused = |drive: &Arc<dyn Drive>| Error::DriveRefused {
        drive: drive.label(),
        reason: LOST_TABLES,
    };
    for drive in copies {
        if !drive.list(Folder::Vault)?.is_empty() {
            return Err(refused(drive));
        }
    }
    for member in set.view().members() {
        let Some(drive) = member.serving() else {
            continue;
        };
        for first in 0..=u8::MAX {
            if !drive.list(Folder::Blobs(first))?.is_empty() {
                return Err(refused(drive));
            }
        }
    }
    Ok(())
}

impl fmt::Debug for FoundDrives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundDrives")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuild")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

const ROWS_AT_ONCE: usize = 1_024;
const HAS_TABLES: &str = "it has tables, and they say more than any manifest: nothing is rebuilt. If \
     they cannot be read any more, move the folders `log` and `index` of every drive away first";
const HAS_TABLES_ALREADY: &str = "it has tables: a backup is put back where every copy of them is lost. If they \
     cannot be read any more, move the folders `log` and `index` of every drive away first, and keep them";
const AWAY_FROM_BACKUP: &str = "it should have a copy of the tables and is not there: bring it back, its tables are \
     newer than any backup. If it is lost for good, `--accept-loss`; it will not count if it comes back";
const OF_ANOTHER: &str = "it belongs to another cluster than the backup";
const AWAY: &str = "it should have a copy of the tables and is not there: bring it back, its tables say more \
     than any manifest. If it is lost for good, `--accept-loss`; it will not count if it comes back";
const LOST_TABLES: &str = "its tables are gone and files of objects or keys are there: nothing is begun \
     anew. Put the folders `log` and `index` back, or a backup (`strongroom restore metadata`); as \
     the last resort make tables from the files (`strongroom rebuild`)";
