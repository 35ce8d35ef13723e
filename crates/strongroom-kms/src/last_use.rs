// SPDX-License-Identifier: Apache-2.0
//! When each key was last used with success. It is kept in memory and written down every minute
//! and at the end, so a crash may lose the last minute of it. The first use is written down at once:
//! that a key was never used is what somebody asks before it is destroyed.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minicbor::{Decode, Encode};
use strongroom_store::{Precondition, Write};

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::rows::{KEYS, LAST_USE};
use crate::service::Kms;

/// The last successful cryptographic operation of a key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LastUse {
    /// For example `Decrypt`.
    #[n(0)]
    pub operation: String,
    /// Unix time in milliseconds.
    #[n(1)]
    pub at_ms: u64,
    /// Of the event in the audit log.
    #[n(2)]
    pub event_id: String,
    /// Of the request.
    #[n(3)]
    pub request_id: String,
}

/// Uses that are not written down yet.
#[derive(Debug, Default)]
pub(crate) struct LastUses {
    uses: Mutex<HashMap<KeyUid, LastUse>>,
    /// Keys of which some use is written down for certain.
    known: Mutex<HashSet<KeyUid>>,
}

impl LastUses {
    fn note(&self, uid: KeyUid, last: LastUse) {
        self.uses().insert(uid, last);
    }

    fn is_known(&self, uid: KeyUid) -> bool {
        self.known().contains(&uid)
    }

    fn know(&self, uid: KeyUid) {
        self.known().insert(uid);
    }

    /// Uses that could not be written down stay noted, but for those that are older by now.
    fn put_back(&self, uses: impl IntoIterator<Item = (KeyUid, LastUse)>) {
        let mut noted = self.uses();
        for (uid, last) in uses {
            noted.entry(uid).or_insert(last);
        }
    }

    fn get(&self, uid: KeyUid) -> Option<LastUse> {
        self.uses().get(&uid).cloned()
    }

    fn take(&self) -> HashMap<KeyUid, LastUse> {
        mem::take(&mut *self.uses())
    }

    fn known(&self) -> MutexGuard<'_, HashSet<KeyUid>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<KeyUid, LastUse>> {
        // Every change of the map is whole before anything can panic.
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an operation counts as a use.
pub(crate) fn counts(operation: &str) -> bool {
    matches!(
        operation,
        "Decrypt"
            | "DeriveSharedSecret"
            | "Encrypt"
            | "GenerateDataKey"
            | "GenerateDataKeyPair"
            | "GenerateDataKeyPairWithoutPlaintext"
            | "GenerateDataKeyWithoutPlaintext"
            | "GenerateMac"
            | "ReEncrypt"
            | "Sign"
            | "Verify"
            | "VerifyMac"
    )
}

impl Kms {
    pub(crate) fn last_use(&self, uid: KeyUid) -> Result<Option<LastUse>, Error> {
        if let Some(last) = self.last_uses().get(uid) {
            return Ok(Some(last));
        }
        let Some(stored) = self.store().tables().get(LAST_USE, &uid.0)? else {
            return Ok(None);
        };
        let last = minicbor::decode(&stored.value).map_err(|_| Error::Corrupted {
            what: format!("last use of KMS key {uid}"),
        })?;
        Ok(Some(last))
    }

    /// Notes a use. Until one of the key is written down, each is before anybody is answered; where that
    /// fails it stays noted.
    pub(crate) async fn note_use(&self, uid: KeyUid, last: LastUse) {
        let uses = self.last_uses();
        uses.note(uid, last.clone());
        if uses.is_known(uid) {
            return;
        }
        if let Ok(Some(_)) = self.store().tables().get(LAST_USE, &uid.0) {
            uses.know(uid);
            return;
        }
        // The key was used all the same. The next flush tries again, and says what fails.
        let _or_later = self.write_last_use(uid, &last).await;
    }

    /// Writes down what is only in memory. The server does so every minute, and before it closes
    /// the store.
    pub async fn flush_last_uses(&self) -> Result<(), Error> {
        let uses = self.last_uses().take();
        let mut done = Ok(());
        let mut left = Vec::new();
        for (uid, last) in uses {
            if let Err(error) = self.write_last_use(uid, &last).await {
                left.push((uid, last));
                done = Err(error);
            }
        }
        self.last_uses().put_back(left);
        done
    }

    async fn write_last_use(&self, uid: KeyUid, last: &LastUse) -> Result<(), Error> {
        let value = minicbor::to_vec(last);
        let value = value.map_err(|_| Error::Internal("encoding a last use"))?;
        // A key that was destroyed meanwhile leaves nothing behind.
        let present = Precondition::Present {
            table: KEYS,
            key: uid.0.to_vec(),
        };
        let put = Write::Put {
            table: LAST_USE,
            key: uid.0.to_vec(),
            value,
        };
        let _kept = self.commit(vec![present], vec![put]).await?;
        self.last_uses().know(uid);
        Ok(())
    }
}
