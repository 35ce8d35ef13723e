// SPDX-License-Identifier: Apache-2.0
//! RevokeGrant.

use strongroom_kms::RevokeGrantInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{GRANT_ID, KEY_ID};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = RevokeGrantInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        grant_id: members.required_text("GrantId", GRANT_ID)?,
        dry_run: members.boolean("DryRun")?.unwrap_or(false),
    };
    members.finish()?;
    call.kms
        .revoke_grant(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
