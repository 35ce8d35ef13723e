// SPDX-License-Identifier: Apache-2.0
//! UpdateAlias.

use strongroom_kms::UpdateAliasInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALIAS, KEY_ID};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = UpdateAliasInput {
        alias_name: members.required_text("AliasName", ALIAS)?,
        target_key_id: members.required_text("TargetKeyId", KEY_ID)?,
    };
    members.finish()?;
    call.kms
        .update_alias(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
