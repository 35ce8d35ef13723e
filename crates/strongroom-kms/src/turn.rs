// SPDX-License-Identifier: Apache-2.0
//! Changes that are counted by key, one after the other.
//!
//! What counts is a precondition of the commit: of two changes at once only one would get through,
//! and of a hundred only one, a hundred times. So they wait for each other before they read.

use std::fmt;

use tokio::sync::{Mutex, MutexGuard};

use crate::key_id::KeyUid;
use crate::service::Kms;

/// One lock for each first byte of a uid, which is random.
pub(crate) struct Turns([Mutex<()>; 256]);

impl Default for Turns {
    fn default() -> Turns {
        Turns([const { Mutex::const_new(()) }; 256])
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns(..)")
    }
}

impl Kms {
    /// Waits until nobody else changes how many grants or aliases this key has; the turn ends when
    /// the guard goes. Nobody takes two.
    pub(crate) async fn turn(&self, uid: KeyUid) -> Option<MutexGuard<'_, ()>> {
        let [first, ..] = uid.0;
        match self.turns().0.get(usize::from(first)) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}
