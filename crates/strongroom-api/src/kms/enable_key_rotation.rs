// SPDX-License-Identifier: Apache-2.0
//! EnableKeyRotation.

use strongroom_kms::EnableKeyRotationInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = EnableKeyRotationInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        rotation_period_in_days: members.integer("RotationPeriodInDays", 90..=2_560)?,
    };
    members.finish()?;
    call.kms
        .enable_key_rotation(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
