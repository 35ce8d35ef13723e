// SPDX-License-Identifier: Apache-2.0
//! A start, and the look at everything after it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use strongroom_store::BlobId;

use super::{Done, Rows, Story, drive_no};
use crate::model::Model;
use crate::world::{self, UNIT};

impl Story {
    pub(super) async fn restart(&mut self) -> Done {
        self.told.restarts += 1;
        self.told.operations += 1;
        self.store = None;
        self.note_traces();
        for drive in &self.drives {
            drive.plug_in(&self.power);
        }
        self.set = world::set(&self.drives, &self.gone);
        let opened = self.shape.open(self.set.clone()).await;
        let store = opened.map_err(|error| format!("the store does not open: {error}"))?;
        self.store = Some(store);
        self.look_at_everything().await
    }

    /// Everything answered is there, and nothing else.
    pub(super) async fn look_at_everything(&mut self) -> Done {
        let store = self.store();
        let found = self.found()?;
        let agrees = |model: &Model| {
            let rows = model.rows.iter();
            let rows = rows.map(|(key, row)| (key.clone(), (row.value.clone(), row.seq)));
            let last = store.tables().last_commit().0;
            let is_last = model.seq == last || (self.heals && model.seq < last);
            is_last && rows.collect::<BTreeMap<_, _>>() == found
        };
        let models = std::iter::once(&self.model).chain(&self.doubt);
        let Some(model) = models.into_iter().find(|model| agrees(model)).cloned() else {
            return Err(format!(
                "{} rows at commit {}: neither what was answered nor that and the last commit",
                found.len(),
                store.tables().last_commit().0
            ));
        };
        self.model = model;
        self.model.seq = store.tables().last_commit().0;
        self.doubt = None;
        let entries = store
            .catalogue(None, usize::MAX)
            .map_err(|error| error.to_string())?;
        let listed: BTreeMap<BlobId, (u64, u32)> = entries
            .iter()
            .map(|entry| {
                let location = entry.location;
                (location.blob, (location.sealed_bytes, entry.refs))
            })
            .collect();
        let blobs = self.model.blobs.iter();
        let blobs = blobs.map(|(blob, of)| (*blob, (u64::try_from(of.len).unwrap(), of.refs)));
        if listed != blobs.collect() {
            return Err("the catalogue is not that of the blobs".to_owned());
        }
        self.files_are_those_of_the_catalogue(0..=self.drives.len() - 1)?;
        for (blob, of) in self.model.blobs.clone() {
            self.read_units(blob, of, 0, of.len.div_ceil(UNIT)).await?;
            self.verify_one(blob, of).await?;
        }
        Ok(())
    }

    pub(super) fn found(&mut self) -> Result<Rows, String> {
        self.told.operations += 1;
        world::rows(&self.store())
    }

    /// On every drive that is there: the shards that it should have, and nothing else. An owed
    /// shard may be there.
    pub(super) fn files_are_those_of_the_catalogue(&self, on: RangeInclusive<usize>) -> Done {
        let entries = self.store().catalogue(None, usize::MAX);
        let entries = entries.map_err(|error| error.to_string())?;
        for number in on {
            let drive = &self.drives[number];
            if self.set.get(drive_no(number)).is_none() || self.gone.contains(&number) {
                continue;
            }
            world::files_are_those_of(&entries, drive, drive_no(number), BTreeSet::new())?;
        }
        Ok(())
    }
}
