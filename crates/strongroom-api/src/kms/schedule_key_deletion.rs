// SPDX-License-Identifier: Apache-2.0
//! ScheduleKeyDeletion.

use serde::Serialize;
use strongroom_kms::ScheduleKeyDeletionInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::{EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = ScheduleKeyDeletionInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        pending_window_in_days: members.integer("PendingWindowInDays", 7..=30)?,
    };
    members.finish()?;
    let output = call
        .kms
        .schedule_key_deletion(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        deletion_date: EpochSeconds(output.deletion_ms),
        key_state: output.state.as_str(),
        pending_window_in_days: output.pending_window_in_days,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    deletion_date: EpochSeconds,
    key_state: &'static str,
    pending_window_in_days: u32,
}
