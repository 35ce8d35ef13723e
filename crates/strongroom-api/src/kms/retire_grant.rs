// SPDX-License-Identifier: Apache-2.0
//! RetireGrant.

use strongroom_kms::RetireGrantInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{GRANT_ID, GRANT_TOKEN, KEY_ID};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = RetireGrantInput {
        grant_token: members.text("GrantToken", GRANT_TOKEN)?,
        key_id: members.text("KeyId", KEY_ID)?,
        grant_id: members.text("GrantId", GRANT_ID)?,
        dry_run: members.boolean("DryRun")?.unwrap_or(false),
    };
    members.finish()?;
    call.kms
        .retire_grant(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
