// SPDX-License-Identifier: Apache-2.0
//! TagResource.

use strongroom_kms::TagResourceInput;

use super::Call;
use super::create_key::tags;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    members.required_list("Tags")?;
    let input = TagResourceInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        tags: tags(&mut members)?,
    };
    members.finish()?;
    call.kms
        .tag_resource(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}
