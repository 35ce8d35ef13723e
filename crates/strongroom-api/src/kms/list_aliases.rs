// SPDX-License-Identifier: Apache-2.0
//! ListAliases.

use serde::Serialize;
use strongroom_kms::{AliasListEntry, ListAliasesInput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, LIMIT, MARKER};
use super::reply::{EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = ListAliasesInput {
        key_id: members.text("KeyId", KEY_ID)?,
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    members.finish()?;
    let output = call
        .kms
        .list_aliases(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        aliases: output.aliases.iter().map(Alias::from).collect(),
        truncated: output.next_marker.is_some(),
        next_marker: output.next_marker.as_deref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    aliases: Vec<Alias<'a>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    clippy::struct_field_names,
    reason = "the members are as the wire has them"
)]
struct Alias<'a> {
    alias_name: &'a str,
    alias_arn: &'a str,
    target_key_id: &'a str,
    creation_date: EpochSeconds,
    last_updated_date: EpochSeconds,
}

impl<'a> From<&'a AliasListEntry> for Alias<'a> {
    fn from(entry: &'a AliasListEntry) -> Self {
        Self {
            alias_name: &entry.alias_name,
            alias_arn: &entry.alias_arn,
            target_key_id: &entry.target_key_id,
            creation_date: EpochSeconds(entry.created_ms),
            last_updated_date: EpochSeconds(entry.updated_ms),
        }
    }
}
