// SPDX-License-Identifier: Apache-2.0
//! ListKeys.

use serde::Serialize;
use strongroom_kms::{KeyListEntry, ListKeysInput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{LIMIT, MARKER};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = ListKeysInput {
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    members.finish()?;
    let output = call.kms.list_keys(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        keys: output.keys.iter().map(Key::from).collect(),
        truncated: output.next_marker.is_some(),
        next_marker: output.next_marker.as_deref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    keys: Vec<Key<'a>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Key<'a> {
    key_id: &'a str,
    key_arn: &'a str,
}

impl<'a> From<&'a KeyListEntry> for Key<'a> {
    fn from(entry: &'a KeyListEntry) -> Self {
        Self {
            key_id: &entry.key_id,
            key_arn: &entry.key_arn,
        }
    }
}
