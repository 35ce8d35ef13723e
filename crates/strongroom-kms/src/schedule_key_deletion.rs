// SPDX-License-Identifier: Apache-2.0
//! ScheduleKeyDeletion.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_state::StateChange;
use crate::model::KeyState;
use crate::service::Kms;

/// Parameters of ScheduleKeyDeletion.
#[derive(Clone, Debug)]
pub struct ScheduleKeyDeletionInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 7 to 30; 30 when `None`.
    pub pending_window_in_days: Option<i64>,
}

/// Answer of ScheduleKeyDeletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleKeyDeletionOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// When the key is destroyed, Unix time in milliseconds.
    pub deletion_ms: u64,
    /// The state the key is in now.
    pub state: KeyState,
    /// How many days are left to change one's mind.
    pub pending_window_in_days: u32,
}

impl Kms {
    /// Stops a key from being used, at once, and destroys it after some days.
    pub async fn schedule_key_deletion(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ScheduleKeyDeletionInput,
    ) -> Result<ScheduleKeyDeletionOutput, Error> {
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "pendingWindowInDays": input.pending_window_in_days.unwrap_or(DAYS_DEFAULT),
        });
        let mut event = Event::new(receipt, "ScheduleKeyDeletion", false, parameters);
        let result = self
            .try_schedule_key_deletion(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_schedule_key_deletion(
        &self,
        caller: &Caller,
        input: &ScheduleKeyDeletionInput,
        event: &mut Event<'_>,
    ) -> Result<ScheduleKeyDeletionOutput, Error> {
        let days = window(input.pending_window_in_days)?;
        let conditions = [(
            "kms:ScheduleKeyDeletionPendingWindowInDays",
            days.to_string(),
        )];
        let ask = Ask {
            conditions: &conditions,
            ..Ask::new(caller, event.via(), KmsAction::ScheduleKeyDeletion)
        };
        let deletion_ms = self
            .now_ms()
            .saturating_add(u64::from(days).saturating_mul(DAY_MS));
        let change = StateChange::ScheduleDeletion;
        let row = self
            .change_state(&ask, &input.key_id, change, Some(deletion_ms), event)
            .await?;
        let key_arn = row.arn(self.place());
        event.response(json!({
            "keyId": key_arn,
            "keyState": row.state.as_str(),
            "deletionDate": deletion_ms / 1_000,
            "pendingWindowInDays": days,
        }));
        Ok(ScheduleKeyDeletionOutput {
            key_arn,
            deletion_ms,
            state: row.state,
            pending_window_in_days: days,
        })
    }
}

fn window(days: Option<i64>) -> Result<u32, Error> {
    let days = days.unwrap_or(DAYS_DEFAULT);
    let bound = |must: &str| Error::constraint(days, "pendingWindowInDays", must);
    match u32::try_from(days) {
        Ok(window @ DAYS_MIN..=DAYS_MAX) => Ok(window),
        Ok(window) if window > DAYS_MAX => Err(bound("have value less than or equal to 30")),
        Err(_) if days > 0 => Err(bound("have value less than or equal to 30")),
        _ => Err(bound("have value greater than or equal to 7")),
    }
}

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const DAYS_DEFAULT: i64 = 30;
const DAYS_MIN: u32 = 7;
const DAYS_MAX: u32 = 30;
