// SPDX-License-Identifier: Apache-2.0
//! GetKeyRotationStatus.

use serde::Serialize;
use strongroom_kms::GetKeyRotationStatusInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::{EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = GetKeyRotationStatusInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
    };
    members.finish()?;
    let output = call
        .kms
        .get_key_rotation_status(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_rotation_enabled: output.rotation_period_in_days.is_some(),
        key_id: &output.key_id,
        rotation_period_in_days: output.rotation_period_in_days,
        next_rotation_date: output.next_rotation_ms.map(EpochSeconds),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_rotation_enabled: bool,
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_period_in_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<EpochSeconds>,
}
