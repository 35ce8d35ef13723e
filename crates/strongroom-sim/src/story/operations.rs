// SPDX-License-Identifier: Apache-2.0
//! What a story does with its store, each with what must come of it.

use std::collections::BTreeSet;

use strongroom_store::blob::Keeping;
use strongroom_store::drive::DrivePath;
use strongroom_store::{BlobId, Error, Precondition, Write};
use strongroom_testkit::SimDrive;

use super::{Done, Story, name};
use crate::model::{Blob, Change, ROWS, Row, bytes};
use crate::world::{self, UNIT};

impl Story {
    pub(super) async fn put(&mut self) -> Done {
        let Some((blob, len, proof, adopt)) = self.new_blob().await? else {
            return Ok(());
        };
        let key = self.any_key();
        self.say(&format!("  {} = {blob}, {len} bytes", name(&key)));
        let value = bytes(self.rng.next_u64(), 24);
        let (mut changes, mut writes) = (vec![adopt], vec![Write::AdoptBlob(proof)]);
        self.put_over(key.clone(), value, Some(blob), &mut changes, &mut writes);
        let preconditions = self.any_preconditions(&key);
        self.commit(preconditions, changes, writes).await
    }

    pub(super) async fn put_row(&mut self) -> Done {
        let (key, seed) = (self.any_key(), self.rng.next_u64());
        let len = self.rng.index(300);
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        self.put_over(
            key.clone(),
            bytes(seed, len),
            None,
            &mut changes,
            &mut writes,
        );
        let preconditions = self.any_preconditions(&key);
        self.commit(preconditions, changes, writes).await
    }

    pub(super) async fn delete(&mut self) -> Done {
        let key = self.any_key();
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        self.release_of(&key, &mut changes, &mut writes);
        changes.push(Change::Delete { key: key.clone() });
        writes.push(Write::Delete {
            table: ROWS,
            key: key.clone(),
        });
        let preconditions = self.any_preconditions(&key);
        self.commit(preconditions, changes, writes).await
    }

    /// Another row that stands on the same blob.
    pub(super) async fn copy(&mut self) -> Done {
        let (from, to) = (self.any_key(), self.any_key());
        let Some(Row { seq, blob, .. }) = self.model.rows.get(&from).cloned() else {
            return Ok(());
        };
        let Some(blob) = blob.filter(|_| from != to) else {
            return Ok(());
        };
        let (mut changes, mut writes) = (vec![Change::Share(blob)], vec![Write::ShareBlob(blob)]);
        let value = bytes(self.rng.next_u64(), 24);
        self.put_over(to, value, Some(blob), &mut changes, &mut writes);
        let known = Precondition::SeqIs {
            table: ROWS,
            key: from,
            seq,
        };
        self.commit(vec![known], changes, writes).await
    }

    /// One commit of many rows and two blobs.
    pub(super) async fn several(&mut self) -> Done {
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        let mut keys = BTreeSet::new();
        for _ in 0..2 {
            let Some((blob, _, proof, adopt)) = self.new_blob().await? else {
                return Ok(());
            };
            changes.push(adopt);
            writes.push(Write::AdoptBlob(proof));
            let key = self.any_key();
            if keys.insert(key.clone()) {
                let value = bytes(self.rng.next_u64(), 24);
                self.put_over(key, value, Some(blob), &mut changes, &mut writes);
            } else {
                // Adopted and released at once: it never counts.
                changes.push(Change::Release(blob));
                writes.push(Write::ReleaseBlob(blob));
            }
        }
        for _ in 0..self.rng.below(8) {
            let key = self.any_key();
            if keys.insert(key.clone()) {
                let value = bytes(self.rng.next_u64(), 40);
                self.put_over(key, value, None, &mut changes, &mut writes);
            }
        }
        self.commit(Vec::new(), changes, writes).await
    }

    /// An upload that ends in the middle, or whose commit never comes.
    pub(super) async fn give_up(&mut self) -> Done {
        let (blob, seed) = (BlobId(self.rng.id()), self.rng.next_u64());
        let body = bytes(seed, 1 + self.rng.index(12 * UNIT));
        let at = (!self.rng.one_in(3)).then(|| self.rng.index(4));
        let store = self.store();
        let written = world::write(&store, blob, &body, 2, at).await;
        self.told.operations += 1;
        if let Err(error) = written {
            if self.lost_drives() > self.lost_drives_allowed() {
                return Ok(());
            }
            return self.explained("giving up an upload", &error);
        }
        drop(written);
        let left = |path: &DrivePath| path.name() == DrivePath::blob(blob).name();
        let mut drives = self.drives.iter();
        if !self.is_faulty && drives.any(|drive| drive.files().iter().any(left)) {
            return Err(format!(
                "the upload {blob} was given up, and its file is there"
            ));
        }
        Ok(())
    }

    pub(super) async fn read(&mut self) -> Done {
        let key = self.any_key();
        let expected = self.model.rows.get(&key).cloned();
        self.told.operations += 1;
        let found = match self.store().tables().get(ROWS, &key) {
            Ok(found) => found,
            Err(error) => return self.explained("reading a row", &error),
        };
        let same = match (&expected, &found) {
            (Some(expected), Some(found)) => {
                expected.value == found.value && expected.seq == found.seq
            }
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Err(format!("{}: found {found:?}, not {expected:?}", name(&key)));
        }
        let Some(blob) = expected.and_then(|row| row.blob) else {
            return Ok(());
        };
        let of = self.model.blobs[&blob];
        let units = of.len.div_ceil(UNIT);
        let first = self.rng.index(units);
        let count = 1 + self.rng.index(units - first);
        self.read_units(blob, of, first, count).await
    }

    pub(super) async fn read_units(
        &mut self,
        blob: BlobId,
        of: Blob,
        first: usize,
        count: usize,
    ) -> Done {
        let at = u64::try_from(first).unwrap();
        let units = u32::try_from(count).unwrap();
        let location = world::location(blob, of.len);
        self.told.operations += 1;
        match world::read(&self.store(), &location, at, units).await {
            Ok(found) => {
                let end = of.len.min((first + count) * UNIT);
                if found == of.bytes()[first * UNIT..end] {
                    Ok(())
                } else {
                    Err(format!("{blob}: other bytes in units {first}+{count}"))
                }
            }
            Err(error) if self.is_readable(blob)? => Err(format!(
                "{blob} has enough shards, and reading it fails: {error}"
            )),
            Err(error) => {
                self.say(&format!("  {blob} has too few shards: {error}"));
                Ok(())
            }
        }
    }

    /// Whether as many shards as it takes are there and as they were written.
    pub(super) fn is_readable(&self, blob: BlobId) -> Result<bool, String> {
        if self.is_failing {
            return Ok(false);
        }
        let Keeping {
            stripes,
            placement,
            owed,
            ..
        } = self.keeping(blob)?;
        let damaged = self.damaged;
        let whole = placement.each().filter(|(shard, on)| {
            let is_damaged = damaged == Some(usize::from(on.0));
            !owed.has(*shard) && !is_damaged && self.set.get(*on).is_some()
        });
        Ok(whole.count() >= usize::from(stripes.redundancy().data()))
    }

    pub(super) fn keeping(&self, blob: BlobId) -> Result<Keeping, String> {
        let entry = self.store().catalogued(blob);
        let entry = entry.map_err(|error| error.to_string())?;
        let entry = entry.ok_or(format!("{blob} is not catalogued"))?;
        Ok(entry.keeping)
    }

    pub(super) fn scan(&mut self) -> Done {
        let reverse = self.rng.one_in(2);
        let limit = 1 + self.rng.index(40);
        let start = self.any_key();
        self.told.operations += 1;
        match world::scan(&self.store(), &self.model, &start, limit, reverse) {
            Ok(as_expected) => as_expected,
            Err(error) => self.explained("scanning", &error),
        }
    }

    pub(super) async fn verify(&mut self) -> Done {
        match self.any_blob() {
            Some((blob, of)) => self.verify_one(blob, of).await,
            None => Ok(()),
        }
    }

    pub(super) async fn verify_one(&mut self, blob: BlobId, of: Blob) -> Done {
        self.told.operations += 1;
        match (self.verified(blob, of).await, self.is_readable(blob)?) {
            (Ok(()), true) | (Err(_), false) => Ok(()),
            (Ok(()), false) => Err(format!("{blob} has too few shards, and verifies")),
            (Err(error), true) => self.explained(&format!("verifying {blob}"), &error),
        }
    }

    /// Compares all shards that are there. That a drive is gone may be found out by that.
    pub(super) async fn verified(&self, blob: BlobId, of: Blob) -> Result<(), Error> {
        let (store, location) = (self.store(), world::location(blob, of.len));
        for _ in &self.gone {
            match store.blobs().verify(&location).await {
                Err(error) if !error.is_corruption() => {}
                other => return other.map(drop),
            }
        }
        store.blobs().verify(&location).await.map(drop)
    }

    pub(super) fn checkpoint(&mut self) -> Done {
        self.told.operations += 1;
        match self.store().tables().checkpoint() {
            Ok(()) => Ok(()),
            Err(error) => self.explained("a checkpoint", &error),
        }
    }

    pub(super) async fn close(&mut self) -> Done {
        let store = self.store.take().unwrap();
        self.told.operations += 1;
        if let Err(error) = store.close().await {
            return self.explained("closing", &error);
        }
        self.end_process(SimDrive::kill);
        Ok(())
    }
}
