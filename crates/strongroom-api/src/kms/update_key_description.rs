// SPDX-License-Identifier: Apache-2.0
//! UpdateKeyDescription.

use strongroom_kms::UpdateKeyDescriptionInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = UpdateKeyDescriptionInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        description: members.required_text("Description", 0..=8_192)?,
    };
    members.finish()?;
    call.kms
        .update_key_description(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
