// SPDX-License-Identifier: Apache-2.0
//! What comes by itself: destroying keys, expiring imported material, automatic rotation.
//!
//! Whatever is due counts as done at every use already (`KeyRow::at`); here it is carried out. What
//! destroys waits until this server has seen its time pass, too (`seen_time.rs`).

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_store::{Precondition, Write};

use crate::error::Error;
use crate::event::Event;
use crate::key_id::KeyUid;
use crate::model::{KeyState, Origin, RotationType};
use crate::rotation::next_rotation_ms;
use crate::rows::{KEYS, KeyRow, TOMBSTONES, TombstoneRow};
use crate::service::Kms;

/// What was carried out.
#[derive(Debug, Default)]
pub struct DueReport {
    /// Keys destroyed.
    pub destroyed: u64,
    /// Keys whose imported material expired.
    pub expired: u64,
    /// Keys rotated.
    pub rotated: u64,
    /// Keys that are due by the wall clock, which is ahead of the time this server has seen pass.
    pub waiting: u64,
    /// What could not be done, by key; it is tried again the next time.
    pub failed: Vec<(String, Error)>,
}

impl Kms {
    /// Carries out what is due now. To be called every minute or so, and at the start; `receipt`
    /// is the server's own, for the events. One key that fails does not hold up the others.
    pub async fn run_due(&self, receipt: &Receipt) -> Result<DueReport, Error> {
        let now_ms = self.now_ms();
        let destroys_until_ms = self.see_time().await?.min(now_ms);
        self.materials().expire(now_ms);
        self.bucket_keys().expire(now_ms);
        let mut report = DueReport::default();
        // They stay noted, and nothing that is due waits for them.
        if let Err(error) = self.flush_last_uses().await {
            report.failed.push(("last uses".to_owned(), error));
        }
        for (uid, error) in self.destroy_doomed().await {
            report.failed.push((uid.to_string(), error));
        }
        for (id, owner) in self.doomed().kept() {
            let of = owner.map_or_else(|| "a key".to_owned(), |uid| format!("KMS key {uid}"));
            let what = format!(
                "material of {of}: file {} of the vault is kept",
                hex::encode(id)
            );
            report
                .failed
                .push((hex::encode(id), Error::Corrupted { what }));
        }
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(TOMBSTONES, &mut after)? {
            for (key, stored) in rows {
                let uid = match KeyUid::from_row_key(&key) {
                    Ok(uid) => uid,
                    Err(error) => {
                        report.failed.push((hex::encode(&key), error));
                        continue;
                    }
                };
                let done = match TombstoneRow::decode(uid, &stored.value) {
                    Ok(tombstone) if tombstone.finished => Ok(Done::Nothing),
                    Ok(tombstone) => {
                        let done = self.finish_tombstone(receipt, uid, tombstone).await;
                        done.map(|()| Done::Destroyed)
                    }
                    Err(error) => Err(error),
                };
                report.count(uid, done);
            }
        }
        let mut after = Vec::new();
        while let Some(rows) = self.next_rows(KEYS, &mut after)? {
            for (key, stored) in rows {
                let uid = match KeyUid::from_row_key(&key) {
                    Ok(uid) => uid,
                    Err(error) => {
                        report.failed.push((hex::encode(&key), error));
                        continue;
                    }
                };
                let done = match KeyRow::decode(uid, &stored.value) {
                    Ok(row) => {
                        let until_ms = destroys_until_ms;
                        self.run_due_of(receipt, row, stored.seq, until_ms).await
                    }
                    Err(error) => Err(error),
                };
                report.count(uid, done);
            }
        }
        Ok(report)
    }

    async fn run_due_of(
        &self,
        receipt: &Receipt,
        row: KeyRow,
        seq: u64,
        destroys_until_ms: u64,
    ) -> Result<Done, Error> {
        let now_ms = self.now_ms();
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if row.is_due_for_deletion(now_ms) {
            if !row.is_due_for_deletion(destroys_until_ms) {
                return Ok(Done::Waits);
            }
            let destroyed = self.destroy_key(receipt, &row, seq).await?;
            return Ok(if destroyed {
                Done::Destroyed
            } else {
                Done::Nothing
            });
        }
        if row.origin == Origin::External {
            let waits = is_due(row.valid_to_ms);
            let expired = self
                .expire_material(receipt, row, seq, destroys_until_ms)
                .await?;
            return Ok(if expired {
                Done::Expired
            } else if waits {
                Done::Waits
            } else {
                Done::Nothing
            });
        }
        if row.state == KeyState::Enabled && is_due(row.next_rotation_ms) {
            let rotated = self.rotate_by_itself(receipt, row, seq).await?;
            return Ok(if rotated {
                Done::Rotated
            } else {
                Done::Nothing
            });
        }
        Ok(Done::Nothing)
    }

    async fn rotate_by_itself(
        &self,
        receipt: &Receipt,
        mut row: KeyRow,
        seq: u64,
    ) -> Result<bool, Error> {
        let before = hex::encode(row.current_material_id);
        let (mut preconditions, mut writes) = self.rotate(&mut row, RotationType::Automatic)?;
        row.next_rotation_ms = row
            .rotation_period_days
            .map(|days| next_rotation_ms(self.now_ms(), days));
        let arn = row.arn(self.place());
        let mut event = Event::new(receipt, "RotateKey", false, Value::Null);
        event.touches(&arn);
        event.detail(
            "serviceEventDetails",
            json!({
                "keyId": row.uid().to_string(),
                "keyArn": arn,
                "rotationType": RotationType::Automatic.as_str(),
                "keyOrigin": row.origin.as_str(),
                "previousKeyMaterialId": before,
                "currentKeyMaterialId": hex::encode(row.current_material_id),
            }),
        );
        preconditions.push(Precondition::SeqIs {
            table: KEYS,
            key: row.uid.to_vec(),
            seq,
        });
        writes.push(Write::Put {
            table: KEYS,
            key: row.uid.to_vec(),
            value: row.encode()?,
        });
        if self.commit(preconditions, writes).await?.is_err() {
            event.discard();
            return Ok(false);
        }
        event.close(Ok(true)).await
    }
}

impl DueReport {
    fn count(&mut self, uid: KeyUid, done: Result<Done, Error>) {
        let counter = match done {
            Ok(Done::Nothing) => return,
            Ok(Done::Destroyed) => &mut self.destroyed,
            Ok(Done::Expired) => &mut self.expired,
            Ok(Done::Rotated) => &mut self.rotated,
            Ok(Done::Waits) => &mut self.waiting,
            Err(error) => return self.failed.push((uid.to_string(), error)),
        };
        *counter = counter.saturating_add(1);
    }
}

enum Done {
    Nothing,
    Waits,
    Destroyed,
    Expired,
    Rotated,
}
