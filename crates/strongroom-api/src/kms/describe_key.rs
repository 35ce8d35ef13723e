// SPDX-License-Identifier: Apache-2.0
//! DescribeKey.

use strongroom_kms::DescribeKeyInput;

use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, grant_tokens};
use super::reply::Reply;
use super::{Call, key_metadata};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = DescribeKeyInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        grant_tokens: grant_tokens(&mut members)?,
    };
    members.finish()?;
    let metadata = call
        .kms
        .describe_key(call.caller, call.receipt, input)
        .await?;
    key_metadata::reply(&metadata)
}
