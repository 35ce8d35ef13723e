// SPDX-License-Identifier: Apache-2.0
//! Destroying a key whose time has come.
//!
//! ```text
//!  1 commit: key, material, aliases gone; tombstone "not finished"   from here on it is no more
//!  2 shred keys overwritten and unlinked in the vault                from here on it cannot be
//!  3 event DeleteKey
//!  4 commit: tombstone "finished"
//! ```
//!
//! A crash between any two of them is made good by the next [`Kms::run_due`], which goes on where
//! the tombstone says; the start sweeps the vault besides. The tombstone stays: a uid is never
//! used again.

use std::collections::BTreeSet;

use minicbor::bytes::ByteArray;
use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_store::{Precondition, TableId, Write};

use crate::error::Error;
use crate::event::Event;
use crate::key_id::KeyUid;
use crate::rows::{KEYS, KeyRow, LAST_USE, MATERIALS, MaterialRow, TOMBSTONES, TombstoneRow};
use crate::service::Kms;

impl Kms {
    /// Destroys a key. `seq` is of the commit that wrote the row; `false` when the key was
    /// changed since.
    pub(crate) async fn destroy_key(
        &self,
        receipt: &Receipt,
        row: &KeyRow,
        seq: u64,
    ) -> Result<bool, Error> {
        let uid = row.uid();
        self.remove_all_grants(uid).await?;
        // From here to the commit nobody gives the key another name, which would stay behind.
        let turn = self.turn(uid).await;
        // A damaged row does not say which shred key is its own. Nor need it: the vault does.
        let versions = self.rows_of(MATERIALS, uid, usize::MAX)?;
        let shred_ids: BTreeSet<[u8; 16]> = versions
            .iter()
            .filter_map(|(_, stored)| MaterialRow::decode(uid, &stored.value).ok())
            .filter(MaterialRow::is_wrapped)
            .map(|material| material.shred_id)
            .collect();
        let tombstone = TombstoneRow {
            destroyed_ms: self.now_ms(),
            created_ms: row.created_ms,
            spec: row.spec,
            shred_ids: shred_ids.into_iter().map(ByteArray::from).collect(),
            finished: false,
        };
        let delete = |table: TableId, key: Vec<u8>| Write::Delete { table, key };
        let mut writes = vec![
            delete(KEYS, uid.0.to_vec()),
            delete(LAST_USE, uid.0.to_vec()),
        ];
        // INVARIANT: no version is wrapped again, under a shred key that the tombstone does not
        // name, before the commit.
        let mut preconditions = Vec::new();
        for (row_key, stored) in versions {
            preconditions.push(Precondition::SeqIs {
                table: MATERIALS,
                key: row_key.clone(),
                seq: stored.seq,
            });
            writes.push(delete(MATERIALS, row_key));
        }
        let (unchanged, removal) = self.alias_removal(uid)?;
        preconditions.extend(unchanged);
        writes.extend(removal);
        writes.push(put(uid, &tombstone)?);
        preconditions.push(Precondition::SeqIs {
            table: KEYS,
            key: uid.0.to_vec(),
            seq,
        });
        if self.commit(preconditions, writes).await?.is_err() {
            return Ok(false);
        }
        drop(turn);
        self.forget(uid);
        self.finish_tombstone(receipt, uid, tombstone).await?;
        Ok(true)
    }

    /// Carries out what the tombstone of a key says is left to do.
    pub(crate) async fn finish_tombstone(
        &self,
        receipt: &Receipt,
        uid: KeyUid,
        mut tombstone: TombstoneRow,
    ) -> Result<(), Error> {
        for id in &tombstone.shred_ids {
            self.destroy_shred_key(**id).await?;
        }
        // The vault knows whose its files are: whatever else is this key's goes, too, like what a
        // change that came too late has put there.
        for entry in self.store().vault().list()? {
            if entry.owner == Some(uid.0) {
                self.destroy_shred_key(entry.id).await?;
            }
        }
        let mut event = Event::new(receipt, "DeleteKey", false, Value::Null);
        let arn = self.place().key_arn(uid);
        event.touches(&arn);
        event.response(json!({ "keyId": arn }));
        event.close(Ok(())).await?;
        tombstone.finished = true;
        // Nobody else writes tombstones.
        let _done = self.commit(Vec::new(), vec![put(uid, &tombstone)?]).await?;
        Ok(())
    }
}

fn put(uid: KeyUid, tombstone: &TombstoneRow) -> Result<Write, Error> {
    Ok(Write::Put {
        table: TOMBSTONES,
        key: uid.0.to_vec(),
        value: tombstone.encode()?,
    })
}
