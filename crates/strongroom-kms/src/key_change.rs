// SPDX-License-Identifier: Apache-2.0
//! Changing the row of a key: find, authorize, change, commit if nobody else did meanwhile.

use std::sync::Arc;

use strongroom_store::{Precondition, Write};

use crate::authorize::Ask;
use crate::error::Error;
use crate::event::Event;
use crate::model::KeyManager;
use crate::rows::{KEYS, KeyRow};
use crate::service::{Found, Kms};

/// What a change of a key's row amounts to.
pub(crate) enum Change<T> {
    /// The row is as it should be.
    Nothing(T),
    /// The row was changed and has to be committed.
    Row(T),
    /// With further rows: these preconditions, and these writes.
    Rows(T, Vec<Precondition>, Vec<Write>),
}

impl Kms {
    /// Changes the key that a key id or key ARN names. `change` is called again when somebody
    /// else changed the key first; it is shown the row as it counts now.
    pub(crate) async fn change_key<T>(
        &self,
        key_id: &str,
        ask: &Ask<'_>,
        event: &mut Event<'_>,
        change: impl FnMut(&mut KeyRow) -> Result<Change<T>, Error>,
    ) -> Result<(KeyRow, T), Error> {
        let row = self.find_without_alias(key_id)?.row;
        event.touches(&row.arn(self.place()));
        self.change_named_key(key_id, ask, change).await
    }

    /// Like [`Kms::change_key`], for a key that the event names already.
    pub(crate) async fn change_named_key<T>(
        &self,
        key_id: &str,
        ask: &Ask<'_>,
        mut change: impl FnMut(&mut KeyRow) -> Result<Change<T>, Error>,
    ) -> Result<(KeyRow, T), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Found { row, seq, .. } = self.find_without_alias(key_id)?;
            let mut row = Arc::unwrap_or_clone(row);
            self.authorize(ask, &row)?;
            self.check_manager(&row)?;
            let (done, mut preconditions, mut writes) = match change(&mut row)? {
                Change::Nothing(done) => return Ok((row, done)),
                Change::Row(done) => (done, Vec::new(), Vec::new()),
                Change::Rows(done, preconditions, writes) => (done, preconditions, writes),
            };
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
            if self.commit(preconditions, writes).await?.is_ok() {
                return Ok((row, done));
            }
        }
        Err(Error::Internal("the key is being changed by others"))
    }

    /// Nobody changes the keys of services, whatever a policy says.
    fn check_manager(&self, row: &KeyRow) -> Result<(), Error> {
        match row.manager {
            KeyManager::Customer => Ok(()),
            KeyManager::Aws => Err(Error::UnsupportedOperation(format!(
                "{} is managed by a service, which is not valid for this operation.",
                row.arn(self.place())
            ))),
        }
    }
}

const ATTEMPTS_MAX: usize = 16;
