// SPDX-License-Identifier: Apache-2.0
//! CancelKeyDeletion.

use serde::Serialize;
use strongroom_kms::CancelKeyDeletionInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = CancelKeyDeletionInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
    };
    members.finish()?;
    let key_id = call
        .kms
        .cancel_key_deletion(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer { key_id: &key_id })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
}
