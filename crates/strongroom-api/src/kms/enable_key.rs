// SPDX-License-Identifier: Apache-2.0
//! EnableKey.

use strongroom_kms::EnableKeyInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = EnableKeyInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
    };
    members.finish()?;
    call.kms
        .enable_key(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
