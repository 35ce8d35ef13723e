// SPDX-License-Identifier: Apache-2.0
//! UntagResource.

use strongroom_kms::UntagResourceInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    members.required_list("TagKeys")?;
    let input = UntagResourceInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        tag_keys: members.text_list("TagKeys")?,
    };
    members.finish()?;
    call.kms
        .untag_resource(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
