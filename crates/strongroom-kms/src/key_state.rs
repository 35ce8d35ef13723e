// SPDX-License-Identifier: Apache-2.0
//! The life of a key: which state allows what.

use strongroom_iam::Caller;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::Event;
use crate::model::KeyState;
use crate::rows::KEYS;
use crate::service::Kms;

/// A wish to change the state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateChange {
    Enable,
    Disable,
}

impl StateChange {
    /// The state after the change; `None` where it is not allowed.
    pub(crate) fn from(self, state: KeyState) -> Option<KeyState> {
        match (self, state) {
            (StateChange::Enable, KeyState::Enabled | KeyState::Disabled) => {
                Some(KeyState::Enabled)
            }
            (StateChange::Disable, KeyState::Enabled | KeyState::Disabled) => {
                Some(KeyState::Disabled)
            }
            (
                StateChange::Enable | StateChange::Disable,
                KeyState::PendingDeletion | KeyState::PendingImport | KeyState::Unavailable,
            ) => None,
        }
    }

    fn action(self) -> KmsAction {
        match self {
            StateChange::Enable => KmsAction::EnableKey,
            StateChange::Disable => KmsAction::DisableKey,
        }
    }
}

/// Why a key in `state` cannot be used or changed; `None` for an enabled key.
pub(crate) fn refusal(arn: &str, state: KeyState) -> Option<Error> {
    match state {
        KeyState::Enabled => None,
        KeyState::Disabled => Some(Error::Disabled {
            arn: arn.to_owned(),
        }),
        KeyState::PendingDeletion => Some(invalid(arn, "pending deletion")),
        KeyState::PendingImport => Some(invalid(arn, "pending import")),
        KeyState::Unavailable => Some(invalid(arn, "unavailable")),
    }
}

impl Kms {
    /// Changes the state of a key; to the state it has already is no change.
    pub(crate) async fn change_state(
        &self,
        caller: &Caller,
        key_id: &str,
        change: StateChange,
        mut event: Event<'_>,
    ) -> Result<(), Error> {
        let result = self
            .try_change_state(caller, key_id, change, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_change_state(
        &self,
        caller: &Caller,
        key_id: &str,
        change: StateChange,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let mut named = false;
        for _ in 0..ATTEMPTS_MAX {
            let mut found = self.find_without_alias(key_id)?;
            let arn = found.row.arn(self.place());
            if !named {
                named = true;
                event.touches(&arn);
            }
            let ask = Ask::new(caller, event.via(), change.action());
            self.authorize(&ask, &found.row)?;
            let Some(state) = change.from(found.row.state) else {
                let error = refusal(&arn, found.row.state);
                return Err(error.unwrap_or(Error::Internal("a state without a change")));
            };
            event.response(serde_json::json!({ "keyId": arn }));
            if state == found.row.state {
                return Ok(());
            }
            found.row.state = state;
            found.row.state_epoch = found.row.state_epoch.saturating_add(1);
            let key = found.row.uid.to_vec();
            let unchanged = Precondition::SeqIs {
                table: KEYS,
                key: key.clone(),
                seq: found.seq,
            };
            let write = Write::Put {
                table: KEYS,
                key,
                value: found.row.encode()?,
            };
            if self.commit(vec![unchanged], vec![write]).await?.is_ok() {
                return Ok(());
            }
        }
        Err(Error::Internal("the key is being changed by others"))
    }
}

fn invalid(arn: &str, what: &str) -> Error {
    Error::InvalidState(format!("{arn} is {what}."))
}

const ATTEMPTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_states() {
        let states = [
            KeyState::Enabled,
            KeyState::Disabled,
            KeyState::PendingDeletion,
            KeyState::PendingImport,
            KeyState::Unavailable,
        ];
        let mut table = String::new();
        for state in states {
            let next = |change: StateChange| change.from(state).map_or("-", KeyState::as_str);
            let line = format!(
                "{} enable={} disable={} use={}\n",
                state.as_str(),
                next(StateChange::Enable),
                next(StateChange::Disable),
                refusal("K", state).map_or("ok".to_owned(), |error| error.to_string()),
            );
            table.push_str(&line);
        }
        assert_eq!(
            table,
            "Enabled enable=Enabled disable=Disabled use=ok\n\
             Disabled enable=Enabled disable=Disabled use=K is disabled.\n\
             PendingDeletion enable=- disable=- use=K is pending deletion.\n\
             PendingImport enable=- disable=- use=K is pending import.\n\
             Unavailable enable=- disable=- use=K is unavailable.\n"
        );
    }
}
