// SPDX-License-Identifier: Apache-2.0
//! GetKeyPolicy.

use serde::Serialize;
use strongroom_kms::GetKeyPolicyInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, POLICY_NAME};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = GetKeyPolicyInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        policy_name: members.text("PolicyName", POLICY_NAME)?,
    };
    members.finish()?;
    let output = call
        .kms
        .get_key_policy(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        policy: &output.policy,
        policy_name: output.policy_name,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    policy: &'a str,
    policy_name: &'a str,
}
