// SPDX-License-Identifier: Apache-2.0
//! What a story does with its store, each with what must come of it.

use strongroom_store::blob::{Keeping, write_quorum};
use strongroom_store::drive::default_redundancy;
use strongroom_store::layout::BlobPolicy;
use strongroom_store::{Batch, BlobId, BlobProof, CommitError, Precondition, Write};
use strongroom_testkit::SimDrive;
use strongroom_testkit::linear::Answer;

use super::{ClusterStory, key_of, name};
use crate::model::{Blob, Change, ROWS, Row, bytes};
use crate::story::Done;
use crate::world::{self, UNIT};

/// A commit in the making: what the store is told, and what the model is.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) preconditions: Vec<Precondition>,
    changes: Vec<Change>,
    writes: Vec<Write>,
}

impl Draft {
    pub(super) fn adopt(&mut self, proof: BlobProof, change: Change) {
        self.changes.push(change);
        self.writes.push(Write::AdoptBlob(proof));
    }

    fn share(&mut self, blob: BlobId) {
        self.changes.push(Change::Share(blob));
        self.writes.push(Write::ShareBlob(blob));
    }

    pub(super) fn release(&mut self, blob: Option<BlobId>) {
        if let Some(blob) = blob {
            self.changes.push(Change::Release(blob));
            self.writes.push(Write::ReleaseBlob(blob));
        }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>, blob: Option<BlobId>) {
        self.writes.push(Write::Put {
            table: ROWS,
            key: key.clone(),
            value: value.clone(),
        });
        self.changes.push(Change::Put { key, value, blob });
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.changes.push(Change::Delete { key: key.clone() });
        self.writes.push(Write::Delete { table: ROWS, key });
    }
}

impl ClusterStory {
    pub(super) async fn put(&mut self) -> Done {
        let (blob, seed) = (BlobId(self.rng.id()), self.rng.next_u64());
        let len = self.any_len();
        let units = 1 + self.rng.index(5);
        let key = self.any_key();
        self.told.operations += 1;
        let written = world::write(&self.store(), blob, &bytes(seed, len), units, None).await;
        let proof = match written {
            Ok(Some(proof)) => proof,
            Ok(None) => return Err("a writer was given up by nobody".to_owned()),
            Err(_) if !self.takes_bodies() => return Ok(()),
            Err(error) => return self.explained("writing a blob", &error),
        };
        self.say(&format!("  {} = {blob}, {len} bytes", name(&key)));
        let mut draft = self.draft(&key);
        draft.adopt(proof, Change::Adopt { blob, seed, len });
        draft.release(self.blob_of(&key));
        let value = self.any_value(24);
        draft.put(key, value, Some(blob));
        self.commit(draft).await
    }

    pub(super) async fn put_row(&mut self) -> Done {
        let (key, len) = (self.any_key(), self.rng.index(300));
        let value = self.any_value(len);
        let mut draft = self.draft(&key);
        draft.release(self.blob_of(&key));
        draft.put(key, value, None);
        self.commit(draft).await
    }

    pub(super) async fn delete(&mut self) -> Done {
        let key = self.any_key();
        let mut draft = self.draft(&key);
        draft.release(self.blob_of(&key));
        draft.delete(key);
        self.commit(draft).await
    }

    /// Another row that stands on the same blob.
    pub(super) async fn copy(&mut self) -> Done {
        let (from, to) = (self.any_key(), self.any_key());
        let Some(Row {
            seq,
            blob: Some(blob),
            ..
        }) = self.model.rows.get(&from).cloned()
        else {
            return Ok(());
        };
        if from == to {
            return Ok(());
        }
        let mut draft = Draft::default();
        draft.preconditions.push(Precondition::SeqIs {
            table: ROWS,
            key: from,
            seq,
        });
        draft.share(blob);
        draft.release(self.blob_of(&to));
        let value = self.any_value(24);
        draft.put(to, value, Some(blob));
        self.commit(draft).await
    }

    /// A body goes over to another class: its bytes as they are into another blob.
    pub(super) async fn move_body(&mut self) -> Done {
        let key = self.any_key();
        let policy = [
            BlobPolicy::Standard,
            BlobPolicy::OneFacility,
            BlobPolicy::Archive,
        ][self.rng.index(3)];
        let Some(Row {
            seq,
            blob: Some(from),
            ..
        }) = self.model.rows.get(&key).cloned()
        else {
            return Ok(());
        };
        let (to, of) = (BlobId(self.rng.id()), self.model.blobs[&from]);
        let must = self.is_readable(from)? && self.are_all_well();
        self.told.operations += 1;
        let store = self.store();
        let blobs = store.blobs();
        let _pin = blobs.pin(vec![from]);
        match blobs.lies_as(from, policy) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return self.explained("looking where a body lies", &error),
        }
        let location = world::location(from, of.len);
        let proof = match blobs.transcribe(&location, to, policy, Vec::new()).await {
            Ok(proof) => proof,
            Err(_) if !must => return Ok(()),
            Err(error) => return self.explained("moving a body", &error),
        };
        self.say(&format!("  {} from {from} to {to}, {policy:?}", name(&key)));
        let mut draft = Draft::default();
        draft.preconditions.push(Precondition::SeqIs {
            table: ROWS,
            key: key.clone(),
            seq,
        });
        let (seed, len) = (of.seed, of.len);
        let blob = to;
        draft.adopt(proof, Change::Adopt { blob, seed, len });
        draft.release(Some(from));
        let value = self.any_value(24);
        draft.put(key, value, Some(to));
        self.commit(draft).await
    }

    /// An upload that ends in the middle, or whose commit never comes.
    pub(super) async fn give_up(&mut self) -> Done {
        let (blob, seed) = (BlobId(self.rng.id()), self.rng.next_u64());
        let body = bytes(seed, 1 + self.rng.index(12 * UNIT));
        let at = (!self.rng.one_in(3)).then(|| self.rng.index(4));
        self.told.operations += 1;
        match world::write(&self.store(), blob, &body, 2, at).await {
            Err(error) if self.takes_bodies() => self.explained("giving up an upload", &error),
            _ => Ok(()),
        }
    }

    pub(super) async fn commit(&mut self, draft: Draft) -> Done {
        let Draft {
            preconditions,
            changes,
            writes,
        } = draft;
        let refused = self.model.refuses(&preconditions);
        let after = self.model.after(&changes);
        self.told.operations += 1;
        let is_explained = self.is_faulty || !self.takes_commits();
        let conditions = preconditions.clone();
        let batch = Batch {
            preconditions,
            writes,
        };
        let outcome = self.store().tables().commit(batch).await;
        let answer = match &outcome {
            Ok(_) => Some(Answer::Done),
            Err(CommitError::Precondition { .. }) => Some(Answer::Refused),
            Err(CommitError::Unknown) => Some(Answer::Unknown),
            // It did not happen: whoever sees it later has seen what was never written.
            Err(CommitError::Store(_)) => None,
        };
        if let Some(answer) = answer {
            let rows = &self.model.rows;
            self.record.committed(rows, &conditions, &changes, answer);
        }
        match (outcome, refused) {
            (Ok(seq), None) if seq.0 == after.seq && self.doubt.is_none() => {
                self.model = after;
                Ok(())
            }
            (Ok(seq), _) => Err(format!(
                "commit {} where {refused:?}, {}, doubt: {}",
                seq.0,
                after.seq,
                self.doubt.is_some()
            )),
            (Err(CommitError::Precondition { index, .. }), Some(expected)) if index == expected => {
                Ok(())
            }
            (Err(CommitError::Precondition { index, .. }), _) => {
                Err(format!("precondition {index} failed, not {refused:?}"))
            }
            (Err(CommitError::Unknown), None) if is_explained && self.doubt.is_none() => {
                self.say("  outcome unknown");
                self.knows_copies = false;
                self.undecided.extend(adopted(&changes));
                self.doubt = Some(after);
                Ok(())
            }
            (Err(CommitError::Unknown), _) => Err("an outcome unknown without a fault".to_owned()),
            (Err(CommitError::Store(error)), _) => self.explained("committing", &error),
        }
    }

    pub(super) async fn read(&mut self) -> Done {
        let key = self.any_key();
        let expected = self.model.rows.get(&key).cloned();
        self.told.operations += 1;
        let found = match self.store().tables().get(ROWS, &key) {
            Ok(found) => found,
            Err(error) => return self.explained("reading a row", &error),
        };
        let value = found.as_ref().map(|row| row.value.as_slice());
        self.record.found(&key, value);
        let wanted = expected.as_ref().map(|row| (&row.value, row.seq));
        if wanted != found.as_ref().map(|row| (&row.value, row.seq)) {
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
        let must = self.is_readable(blob)?;
        match world::read(&self.store(), &location, at, units).await {
            Ok(found) => {
                let end = of.len.min((first + count) * UNIT);
                if found == of.bytes()[first * UNIT..end] {
                    Ok(())
                } else {
                    Err(format!("{blob}: other bytes in units {first}+{count}"))
                }
            }
            Err(error) if must => Err(format!(
                "{blob} has enough shards, and reading it fails: {error}"
            )),
            Err(error) => {
                self.say(&format!("  {blob} has too few shards: {error}"));
                Ok(())
            }
        }
    }

    /// Whether as many shards as it takes are on drives that serve. Where no drive is away it is
    /// an error if they are not, whatever the catalogue says.
    pub(super) fn is_readable(&self, blob: BlobId) -> Result<bool, String> {
        if self.is_faulty {
            return Ok(false);
        }
        let Keeping {
            stripes,
            placement,
            owed,
            ..
        } = self.keeping(blob)?;
        let whole = placement
            .each()
            .filter(|(shard, on)| !owed.has(*shard) && self.is_well(*on));
        let is_readable = whole.count() >= usize::from(stripes.redundancy().data());
        if !is_readable && self.places.keys().all(|number| self.is_well(*number)) {
            return Err(format!(
                "all drives are there, and {blob} has too few shards: {placement:?}, owed {owed:?}"
            ));
        }
        Ok(is_readable)
    }

    pub(super) fn keeping(&self, blob: BlobId) -> Result<Keeping, String> {
        let entry = self.store().catalogued(blob);
        let entry = entry.map_err(|error| error.to_string())?;
        let entry = entry.ok_or(format!("{blob} is not catalogued"))?;
        Ok(entry.keeping)
    }

    /// Whether bodies must be taken: all drives but so many are well as the write quorum can miss.
    pub(super) fn takes_bodies(&self) -> bool {
        let view = self.store().drives().view();
        let code = default_redundancy(&view);
        let may_miss = usize::from(code.shards().saturating_sub(write_quorum(code)));
        let expected = self.places.keys();
        expected.filter(|number| !self.is_well(**number)).count() <= may_miss
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

    pub(super) fn checkpoint(&mut self) -> Done {
        self.told.operations += 1;
        match self.store().tables().checkpoint() {
            Ok(()) => Ok(()),
            Err(error) => self.explained("a checkpoint", &error),
        }
    }

    pub(super) async fn close(&mut self) -> Done {
        let store = self.store.clone().unwrap();
        self.told.operations += 1;
        if let Err(error) = store.close().await {
            self.explained("closing", &error)?;
        }
        drop(store);
        self.end_process(SimDrive::kill);
        Ok(())
    }

    pub(super) fn any_blob(&mut self) -> Option<(BlobId, Blob)> {
        let at = self.rng.index(self.model.blobs.len());
        let found = self.model.blobs.iter().nth(at);
        found.map(|(blob, of)| (*blob, *of))
    }

    pub(super) fn any_key(&mut self) -> Vec<u8> {
        key_of(self.rng.below(self.keys))
    }

    /// A value that no other row ever has.
    fn any_value(&mut self, len: usize) -> Vec<u8> {
        let seed = self.rng.next_u64();
        [self.record.number().as_slice(), &bytes(seed, len)].concat()
    }

    fn any_len(&mut self) -> usize {
        match self.rng.below(4) {
            0 => 1 + self.rng.index(UNIT),
            1 => UNIT * (1 + self.rng.index(4)),
            _ => 1 + self.rng.index(14 * UNIT),
        }
    }

    pub(super) fn blob_of(&self, key: &[u8]) -> Option<BlobId> {
        self.model.rows.get(key).and_then(|row| row.blob)
    }

    /// A commit about a key: sometimes with a condition, sometimes with one that does not hold.
    fn draft(&mut self, key: &[u8]) -> Draft {
        let (table, key) = (ROWS, key.to_vec());
        let present = self.model.rows.get(&key).map(|row| row.seq);
        let one = match (self.rng.below(8), present) {
            (0, Some(seq)) => Some(Precondition::SeqIs { table, key, seq }),
            (1, Some(seq)) => {
                let seq = seq - 1;
                Some(Precondition::SeqIs { table, key, seq })
            }
            (2, Some(_)) => Some(Precondition::Present { table, key }),
            (3, _) => Some(Precondition::Absent { table, key }),
            _ => None,
        };
        Draft {
            preconditions: one.into_iter().collect(),
            ..Draft::default()
        }
    }

    pub(super) fn used_bytes(drive: &SimDrive) -> u64 {
        let files = drive.files();
        let lens = files.iter().filter_map(|path| drive.contents(path));
        lens.map(|file| u64::try_from(file.len()).unwrap()).sum()
    }
}

fn adopted(changes: &[Change]) -> impl Iterator<Item = BlobId> {
    changes.iter().filter_map(|change| match change {
        Change::Adopt { blob, .. } => Some(*blob),
        _ => None,
    })
}
