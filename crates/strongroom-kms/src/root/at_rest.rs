// SPDX-License-Identifier: Apache-2.0
//! Seals rows and log records: `version 1 || epoch u32 || nonce 12 || ciphertext || tag 16`.
//!
//! Each stream has its own AES key, derived from the epoch's root, because nonces are random: the
//! store seals at most 2^20 values under one stream. Derived keys are kept in two generations, so
//! that the ones in use stay and the rest is dropped without bookkeeping.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use strongroom_store::{AtRest, AtRestError};

use super::keyring::Keys;
use crate::aead::{AeadKey, OVERHEAD_BYTES};
use crate::kdf;

/// The sealer handed to the store.
pub(super) struct RowSealer {
    /// Shared with the keyring: a new epoch is used from the next value on.
    roots: Arc<ArcSwap<Keys>>,
    keys: RwLock<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<StreamKey, Arc<AeadKey>>,
    old: HashMap<StreamKey, Arc<AeadKey>>,
}

/// Epoch and stream.
type StreamKey = (u32, u64);

impl RowSealer {
    pub(super) fn new(roots: Arc<ArcSwap<Keys>>) -> RowSealer {
        RowSealer {
            roots,
            keys: RwLock::default(),
        }
    }

    /// The key of a stream; `None` for an epoch that is not in the keyring.
    fn key(&self, epoch: u32, stream: u64) -> Option<Arc<AeadKey>> {
        let id = (epoch, stream);
        let young = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.young.get(&id).cloned()
        };
        if young.is_some() {
            return young;
        }
        let roots = self.roots.load();
        let root = roots.rows(epoch)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let key = if let Some(key) = keys.old.remove(&id) {
            key
        } else {
            let key = kdf::expand(&root, &[b"strongroom/1/stream\0", &stream.to_be_bytes()]);
            Arc::new(AeadKey::new(&key).ok()?)
        };
        if keys.young.len() >= GENERATION_KEYS_MAX {
            keys.old = mem::take(&mut keys.young);
        }
        keys.young.insert(id, Arc::clone(&key));
        Some(key)
    }
}

impl AtRest for RowSealer {
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let newest = self.roots.load().newest_domain();
        let key = self.key(newest, stream).ok_or(AtRestError::Seal)?;
        let head = head(newest);
        let capacity = HEAD_BYTES + OVERHEAD_BYTES;
        let mut sealed = Vec::with_capacity(plain.len().saturating_add(capacity));
        sealed.extend_from_slice(&head);
        key.seal_to(&bound(head, stream, aad), plain, &mut sealed)
            .map_err(|_| AtRestError::Seal)?;
        Ok(sealed)
    }

    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let (head, rest) = sealed
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or(AtRestError::Open)?;
        let [version, epoch @ ..] = *head;
        if version != VERSION {
            return Err(AtRestError::Open);
        }
        let key = self
            .key(u32::from_be_bytes(epoch), stream)
            .ok_or(AtRestError::Open)?;
        let mut plain = key
            .open(&bound(*head, stream, aad), rest)
            .map_err(|_| AtRestError::Open)?;
        Ok(mem::take(&mut *plain))
    }
}

fn head(epoch: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = epoch.to_be_bytes();
    [VERSION, a, b, c, d]
}

fn bound(head: [u8; HEAD_BYTES], stream: u64, aad: &[u8]) -> Vec<u8> {
    [head.as_slice(), &stream.to_be_bytes(), aad].concat()
}

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;
const GENERATION_KEYS_MAX: usize = 512;
