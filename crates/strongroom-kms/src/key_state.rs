// SPDX-License-Identifier: Apache-2.0
//! The life of a key: which state allows what, and what comes by itself as time goes by.
//!
//! ```text
//!              Enable                        ScheduleDeletion
//!  Disabled <==========> Enabled    any other state ------> PendingDeletion ---> destroyed
//!      ^       Disable     |  ^                                  |         (at its time)
//!      |                   v  | import                           |
//!      |             PendingImport                               |
//!      `---------------------------------------------------------'  CancelDeletion
//! ```

use std::sync::Arc;

use serde_json::json;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::Event;
use crate::key_change::Change;
use crate::model::KeyState;
use crate::rows::KeyRow;
use crate::service::Kms;

/// A wish to change the state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateChange {
    Enable,
    Disable,
    ScheduleDeletion,
    CancelDeletion,
}

impl StateChange {
    /// The state after the change; `None` where it is not allowed.
    pub(crate) fn from(self, state: KeyState) -> Option<KeyState> {
        match (self, state) {
            (StateChange::Enable, KeyState::Enabled | KeyState::Disabled) => {
                Some(KeyState::Enabled)
            }
            (StateChange::Disable, KeyState::Enabled | KeyState::Disabled)
            | (StateChange::CancelDeletion, KeyState::PendingDeletion) => Some(KeyState::Disabled),
            (
                StateChange::ScheduleDeletion,
                KeyState::Enabled
                | KeyState::Disabled
                | KeyState::PendingImport
                | KeyState::Unavailable,
            ) => Some(KeyState::PendingDeletion),
            (
                StateChange::Enable | StateChange::Disable,
                KeyState::PendingDeletion | KeyState::PendingImport | KeyState::Unavailable,
            )
            | (StateChange::ScheduleDeletion, KeyState::PendingDeletion)
            | (
                StateChange::CancelDeletion,
                KeyState::Enabled
                | KeyState::Disabled
                | KeyState::PendingImport
                | KeyState::Unavailable,
            ) => None,
        }
    }

    fn action(self) -> KmsAction {
        match self {
            StateChange::Enable => KmsAction::EnableKey,
            StateChange::Disable => KmsAction::DisableKey,
            StateChange::ScheduleDeletion => KmsAction::ScheduleKeyDeletion,
            StateChange::CancelDeletion => KmsAction::CancelKeyDeletion,
        }
    }
}

/// What an action asks of the state of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Looking at a key, and taking rights away, is always possible.
    AnyState,
    /// Material that can be used.
    Enabled,
    /// Enabled or disabled.
    Settled,
    /// A key that is to stay.
    NotPendingDeletion,
    /// A key whose material can come from outside.
    Importing,
    /// Only a key that is to be deleted can be kept.
    PendingDeletion,
}

impl KmsAction {
    /// The table of states, by action.
    pub(crate) fn needs(self) -> Needs {
        match self {
            KmsAction::CreateKey
            | KmsAction::DeleteAlias
            | KmsAction::DeleteImportedKeyMaterial
            | KmsAction::DescribeKey
            | KmsAction::GenerateRandom
            | KmsAction::GetKeyLastUsage
            | KmsAction::GetKeyPolicy
            | KmsAction::GetKeyRotationStatus
            | KmsAction::ListAliases
            | KmsAction::ListGrants
            | KmsAction::ListKeyPolicies
            | KmsAction::ListKeyRotations
            | KmsAction::ListKeys
            | KmsAction::ListResourceTags
            | KmsAction::ListRetirableGrants
            | KmsAction::PutKeyPolicy
            | KmsAction::RetireGrant
            | KmsAction::RevokeGrant => Needs::AnyState,
            KmsAction::CreateGrant
            | KmsAction::Decrypt
            | KmsAction::DeriveSharedSecret
            | KmsAction::DisableKeyRotation
            | KmsAction::EnableKeyRotation
            | KmsAction::Encrypt
            | KmsAction::GenerateDataKey
            | KmsAction::GenerateDataKeyPair
            | KmsAction::GenerateDataKeyPairWithoutPlaintext
            | KmsAction::GenerateDataKeyWithoutPlaintext
            | KmsAction::GenerateMac
            | KmsAction::GetPublicKey
            | KmsAction::ReEncryptFrom
            | KmsAction::ReEncryptTo
            | KmsAction::RotateKeyOnDemand
            | KmsAction::Sign
            | KmsAction::Verify
            | KmsAction::VerifyMac => Needs::Enabled,
            KmsAction::DisableKey | KmsAction::EnableKey => Needs::Settled,
            KmsAction::CreateAlias
            | KmsAction::ScheduleKeyDeletion
            | KmsAction::TagResource
            | KmsAction::UntagResource
            | KmsAction::UpdateAlias
            | KmsAction::UpdateKeyDescription => Needs::NotPendingDeletion,
            KmsAction::GetParametersForImport | KmsAction::ImportKeyMaterial => Needs::Importing,
            KmsAction::CancelKeyDeletion => Needs::PendingDeletion,
        }
    }
}

impl Needs {
    /// Whether the action can work with a key in a state.
    pub(crate) fn fit(self, state: KeyState) -> bool {
        match self {
            Needs::AnyState => true,
            Needs::Enabled => state == KeyState::Enabled,
            Needs::Settled => matches!(state, KeyState::Enabled | KeyState::Disabled),
            Needs::NotPendingDeletion => state != KeyState::PendingDeletion,
            Needs::Importing => matches!(
                state,
                KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport
            ),
            Needs::PendingDeletion => state == KeyState::PendingDeletion,
        }
    }

    /// Refuses a key in a state that the action cannot work with.
    pub(crate) fn check(self, arn: &str, state: KeyState) -> Result<(), Error> {
        if self.fit(state) {
            return Ok(());
        }
        if matches!(self, Needs::PendingDeletion) {
            return Err(invalid(arn, "not pending deletion"));
        }
        Err(refusal(arn, state).unwrap_or(Error::Internal("a state without a refusal")))
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

impl KeyRow {
    /// The row as it counts at a time: what is due has happened, whether or not it was carried
    /// out yet. `None` for a key whose time has come.
    pub(crate) fn at(mut row: Arc<KeyRow>, now_ms: u64) -> Option<Arc<KeyRow>> {
        if row.is_due_for_deletion(now_ms) {
            return None;
        }
        if row.is_due_to_expire(now_ms) {
            Arc::make_mut(&mut row).state = KeyState::PendingImport;
        }
        Some(row)
    }

    /// Whether [`KeyRow::at`] that time is the row itself.
    pub(crate) fn is_as_stored(&self, now_ms: u64) -> bool {
        !self.is_due_for_deletion(now_ms) && !self.is_due_to_expire(now_ms)
    }

    fn is_due_to_expire(&self, now_ms: u64) -> bool {
        let expired = self.valid_to_ms.is_some_and(|end_ms| end_ms <= now_ms);
        expired && matches!(self.state, KeyState::Enabled | KeyState::Disabled)
    }

    pub(crate) fn is_due_for_deletion(&self, now_ms: u64) -> bool {
        self.state == KeyState::PendingDeletion
            && self.deletion_ms.is_some_and(|end_ms| end_ms <= now_ms)
    }

    /// Whether it needs material that is not there.
    pub(crate) fn has_gaps(&self) -> bool {
        self.lacks_material || self.current_version == 0
    }

    /// Puts the key into another state. Everything that was made of its state before is void.
    pub(crate) fn enter(&mut self, state: KeyState) {
        self.state = state;
        self.state_epoch = self.state_epoch.saturating_add(1);
    }
}

impl Kms {
    /// Changes the state of a key; to the state it has already is no change. `deletion_ms` goes
    /// with `ScheduleDeletion`. The answer is the row as it is then.
    pub(crate) async fn change_state(
        &self,
        ask: &Ask<'_>,
        key_id: &str,
        change: StateChange,
        deletion_ms: Option<u64>,
        event: &mut Event<'_>,
    ) -> Result<KeyRow, Error> {
        debug_assert_eq!(ask.action, change.action(), "asked for something else");
        let changed = self.change_key(key_id, ask, event, |row| {
            let arn = row.arn(self.place());
            change.action().needs().check(&arn, row.state)?;
            let no_way = Error::Internal("a state without a change");
            let mut state = change.from(row.state).ok_or(no_way)?;
            if change == StateChange::CancelDeletion && row.has_gaps() {
                state = KeyState::PendingImport;
            }
            if state == row.state {
                return Ok(Change::Nothing(()));
            }
            row.enter(state);
            row.deletion_ms = deletion_ms;
            Ok(Change::Row(()))
        });
        let (row, ()) = changed.await?;
        self.forget(row.uid());
        event.response(json!({ "keyId": row.arn(self.place()) }));
        Ok(row)
    }
}

fn invalid(arn: &str, what: &str) -> Error {
    Error::InvalidState(format!("{arn} is {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [KeyState; 5] = [
        KeyState::Enabled,
        KeyState::Disabled,
        KeyState::PendingDeletion,
        KeyState::PendingImport,
        KeyState::Unavailable,
    ];

    #[test]
    fn the_table_of_states() {
        let mut table = String::new();
        for state in STATES {
            let next = |change: StateChange| change.from(state).map_or("-", KeyState::as_str);
            let line = format!(
                "{} enable={} disable={} schedule={} cancel={} use={}\n",
                state.as_str(),
                next(StateChange::Enable),
                next(StateChange::Disable),
                next(StateChange::ScheduleDeletion),
                next(StateChange::CancelDeletion),
                refusal("K", state).map_or("ok".to_owned(), |error| error.to_string()),
            );
            table.push_str(&line);
        }
        assert_eq!(
            table,
            "Enabled enable=Enabled disable=Disabled schedule=PendingDeletion cancel=- use=ok\n\
             Disabled enable=Enabled disable=Disabled schedule=PendingDeletion cancel=- use=K is disabled.\n\
             PendingDeletion enable=- disable=- schedule=- cancel=Disabled use=K is pending deletion.\n\
             PendingImport enable=- disable=- schedule=PendingDeletion cancel=- use=K is pending import.\n\
             Unavailable enable=- disable=- schedule=PendingDeletion cancel=- use=K is unavailable.\n"
        );
    }

    /// One line for each action, one column for each of `STATES`.
    const ACTIONS: &str = "\
CancelKeyDeletion                    N N + N N
CreateAlias                          + + S + +
CreateGrant                          + D S S S
CreateKey                            + + + + +
Decrypt                              + D S S S
DeleteAlias                          + + + + +
DeleteImportedKeyMaterial            + + + + +
DeriveSharedSecret                   + D S S S
DescribeKey                          + + + + +
DisableKey                           + + S S S
DisableKeyRotation                   + D S S S
EnableKey                            + + S S S
EnableKeyRotation                    + D S S S
Encrypt                              + D S S S
GenerateDataKey                      + D S S S
GenerateDataKeyPair                  + D S S S
GenerateDataKeyPairWithoutPlaintext  + D S S S
GenerateDataKeyWithoutPlaintext      + D S S S
GenerateMac                          + D S S S
GenerateRandom                       + + + + +
GetKeyLastUsage                      + + + + +
GetKeyPolicy                         + + + + +
GetKeyRotationStatus                 + + + + +
GetParametersForImport               + + S + S
GetPublicKey                         + D S S S
ImportKeyMaterial                    + + S + S
ListAliases                          + + + + +
ListGrants                           + + + + +
ListKeyPolicies                      + + + + +
ListKeyRotations                     + + + + +
ListKeys                             + + + + +
ListResourceTags                     + + + + +
ListRetirableGrants                  + + + + +
PutKeyPolicy                         + + + + +
ReEncryptFrom                        + D S S S
ReEncryptTo                          + D S S S
RetireGrant                          + + + + +
RevokeGrant                          + + + + +
RotateKeyOnDemand                    + D S S S
ScheduleKeyDeletion                  + + S + +
Sign                                 + D S S S
TagResource                          + + S + +
UntagResource                        + + S + +
UpdateAlias                          + + S + +
UpdateKeyDescription                 + + S + +
Verify                               + D S S S
VerifyMac                            + D S S S
";

    #[test]
    fn what_each_action_may_do_in_each_state() {
        let mut table = String::new();
        for action in KmsAction::ALL {
            let name = action.name().trim_start_matches("kms:");
            let mut line = format!("{name:<36}");
            for state in STATES {
                line.push_str(match action.needs().check("K", state) {
                    Ok(()) => " +",
                    Err(Error::Disabled { .. }) => " D",
                    Err(Error::InvalidState(text)) if text.contains("not pending") => " N",
                    Err(Error::InvalidState(_)) => " S",
                    Err(_) => " ?",
                });
            }
            table.push_str(&line);
            table.push('\n');
        }
        assert_eq!(table, ACTIONS);
    }
}
