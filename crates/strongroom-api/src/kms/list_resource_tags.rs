// SPDX-License-Identifier: Apache-2.0
//! ListResourceTags.

use serde::Serialize;
use strongroom_kms::ListResourceTagsInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, LIMIT, MARKER};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = ListResourceTagsInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    members.finish()?;
    let output = call
        .kms
        .list_resource_tags(call.caller, call.receipt, input)
        .await?;
    let tags = output.tags.iter().map(|tag| Tag {
        tag_key: &tag.key,
        tag_value: &tag.value,
    });
    Reply::new(&Answer {
        tags: tags.collect(),
        truncated: output.next_marker.is_some(),
        next_marker: output.next_marker.as_deref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    tags: Vec<Tag<'a>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    tag_key: &'a str,
    tag_value: &'a str,
}
