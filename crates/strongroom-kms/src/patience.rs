// SPDX-License-Identifier: Apache-2.0
//! How long S3, and who uses a key over the wire, waits for the key service: what takes longer has
//! failed, and the client is told to come again. Without a limit a drive that hangs would hold every
//! request for an object under a KMS key, and a client cannot tell that from a lost connection.
//!
//! What can wait is the vault, the audit log, and another request that gets the same bucket key.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use strongroom_format::kms_blob_parse;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::authorize::Via;
use crate::encryption::Source;
use crate::error::Error;
use crate::event::Event;
use crate::service::{Found, Kms};
use crate::use_key::Use;

/// What is left of the time for one call.
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    /// The call begins now.
    pub(crate) fn new() -> Patience {
        Patience {
            until: Instant::now() + LIMIT,
        }
    }

    /// Waits while there is time left. What is given up in the middle has an unknown outcome, as
    /// when the client goes away.
    pub(crate) async fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = timeout_at(self.until, work).await;
        done.unwrap_or(Err(Error::Timeout))
    }
}

/// Files of the vault that are being read, each by one thread: a file that cannot be read holds
/// one thread, however many requests want it.
#[derive(Debug, Default)]
pub(crate) struct VaultReads {
    turns: Mutex<HashMap<[u8; 16], Weak<Turn>>>,
}

type Turn = tokio::sync::Mutex<()>;

impl VaultReads {
    fn turn(&self, id: [u8; 16]) -> Arc<Turn> {
        // Every change of the map is whole before anything can panic.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&id).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        turns.insert(id, Arc::downgrade(&turn));
        turn
    }
}

impl Kms {
    /// Waits until the vault gives what a use of this key will read there at once: on a thread of
    /// its own, since threads that serve connections must not wait for a drive. What is wrong with
    /// it, the use will tell.
    pub(crate) async fn reach(
        &self,
        patience: &Patience,
        wish: &Use<'_>,
        found: &Found,
        version: u32,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let uid = found.row.uid();
        let Some(stored) = self.material(uid, version)? else {
            return Ok(());
        };
        let now_ms = self.now_ms();
        let cached = self
            .materials()
            .get(&found.row, version, &stored, now_ms)
            .is_some();
        // Who is refused waits for nothing.
        if cached || !stored.is_there(now_ms) || self.decide(wish, found, Via::S3).is_err() {
            return Ok(());
        }
        self.reach_file(patience, found, stored.shred_id, event)
            .await
    }

    /// The same for an operation of the wire that names its key. `ask` is everything that the
    /// operation asks before it touches the material: who is refused waits for nothing. What it may
    /// do is decided once more after the wait, by what holds then.
    pub(crate) async fn reach_key<T>(
        &self,
        key_id: &str,
        event: &mut Event<'_>,
        ask: impl FnOnce(&mut Event<'_>) -> Result<T, Error>,
    ) -> Result<(), Error> {
        match self.find(key_id) {
            Ok(found) => {
                let version = found.row.current_version;
                self.reach_version(&found, version, event, ask).await
            }
            // The operation tells, in its order.
            Err(_) => Ok(()),
        }
    }

    /// The same for an operation that brings a ciphertext.
    pub(crate) async fn reach_source<T>(
        &self,
        source: &Source<'_>,
        event: &mut Event<'_>,
        ask: impl FnOnce(&mut Event<'_>) -> Result<T, Error>,
    ) -> Result<(), Error> {
        let Ok(found) = self.key_of(source) else {
            return Ok(());
        };
        let version = kms_blob_parse(&source.blob.0).map_or(found.row.current_version, |header| {
            if source.algorithm.is_rsa() {
                found.row.current_version
            } else {
                header.version
            }
        });
        self.reach_version(&found, version, event, ask).await
    }

    async fn reach_version<T>(
        &self,
        found: &Found,
        version: u32,
        event: &mut Event<'_>,
        ask: impl FnOnce(&mut Event<'_>) -> Result<T, Error>,
    ) -> Result<(), Error> {
        let Ok(Some(stored)) = self.material(found.row.uid(), version) else {
            return Ok(());
        };
        let now_ms = self.now_ms();
        let cached = self
            .materials()
            .get(&found.row, version, &stored, now_ms)
            .is_some();
        if cached || !stored.is_there(now_ms) {
            return Ok(());
        }
        drop(ask(event)?);
        event.start_over();
        self.reach_file(&Patience::new(), found, stored.shred_id, event)
            .await
    }

    async fn reach_file(
        &self,
        patience: &Patience,
        found: &Found,
        shred_id: [u8; 16],
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let uid = found.row.uid();
        let vault = self.store().vault().clone();
        let turn = self.vault_reads().turn(shred_id);
        let reached = patience.wait(async {
            let turn = turn.lock_owned().await;
            let read = spawn_blocking(move || {
                let read = vault.get(uid.0, shred_id);
                drop(turn);
                read
            });
            let _ = read.await;
            Ok(())
        });
        let reached = reached.await;
        if reached.is_err() {
            event.touches(&found.row.arn(self.place()));
        }
        reached
    }
}

const LIMIT: Duration = Duration::from_secs(10);
