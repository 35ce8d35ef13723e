// SPDX-License-Identifier: Apache-2.0
//! DeleteAlias.

use strongroom_kms::DeleteAliasInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::ALIAS;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = DeleteAliasInput {
        alias_name: members.required_text("AliasName", ALIAS)?,
    };
    members.finish()?;
    call.kms
        .delete_alias(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
