// SPDX-License-Identifier: Apache-2.0
//! DisableKeyRotation.

use strongroom_kms::DisableKeyRotationInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = DisableKeyRotationInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
    };
    members.finish()?;
    call.kms
        .disable_key_rotation(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
