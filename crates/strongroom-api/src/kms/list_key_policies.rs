// SPDX-License-Identifier: Apache-2.0
//! ListKeyPolicies.

use serde::Serialize;
use strongroom_kms::ListKeyPoliciesInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, LIMIT, MARKER};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = ListKeyPoliciesInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    members.finish()?;
    let policy_names = call
        .kms
        .list_key_policies(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        policy_names,
        truncated: false,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    policy_names: Vec<&'static str>,
    truncated: bool,
}
