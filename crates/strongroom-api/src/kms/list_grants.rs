// SPDX-License-Identifier: Apache-2.0
//! ListGrants, and the entries that ListRetirableGrants shows too.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_kms::{GrantConstraints, GrantListEntry, ListGrantsInput, ListGrantsOutput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{GRANT_ID, KEY_ID, LIMIT, MARKER, PRINCIPAL};
use super::reply::{EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    if members.present("GranteeServicePrincipal") {
        return Err(KmsFault::not_yet("The parameter GranteeServicePrincipal"));
    }
    let input = ListGrantsInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
        grant_id: members.text("GrantId", GRANT_ID)?,
        grantee_principal: members.text("GranteePrincipal", PRINCIPAL)?,
    };
    members.finish()?;
    let output = call
        .kms
        .list_grants(call.caller, call.receipt, input)
        .await?;
    reply(&output)
}

/// A page of grants.
pub(super) fn reply(output: &ListGrantsOutput) -> Result<Reply, KmsFault> {
    Reply::new(&Answer {
        grants: output.grants.iter().map(Grant::from).collect(),
        truncated: output.next_marker.is_some(),
        next_marker: output.next_marker.as_deref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    grants: Vec<Grant<'a>>,
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
struct Grant<'a> {
    key_id: &'a str,
    grant_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    creation_date: EpochSeconds,
    grantee_principal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_principal: Option<&'a str>,
    issuing_account: &'a str,
    operations: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<Constraints<'a>>,
}

#[derive(Serialize)]
enum Constraints<'a> {
    EncryptionContextEquals(&'a BTreeMap<String, String>),
    EncryptionContextSubset(&'a BTreeMap<String, String>),
}

impl<'a> From<&'a GrantListEntry> for Grant<'a> {
    fn from(entry: &'a GrantListEntry) -> Self {
        Self {
            key_id: &entry.key_arn,
            grant_id: &entry.grant_id,
            name: entry.name.as_deref(),
            creation_date: EpochSeconds(entry.created_ms),
            grantee_principal: &entry.grantee_principal,
            retiring_principal: entry.retiring_principal.as_deref(),
            issuing_account: &entry.issuing_account,
            operations: entry.operations.iter().map(|op| op.as_str()).collect(),
            constraints: entry
                .constraints
                .as_ref()
                .map(|constraints| match constraints {
                    GrantConstraints::EncryptionContextEquals(pairs) => {
                        Constraints::EncryptionContextEquals(pairs)
                    }
                    GrantConstraints::EncryptionContextSubset(pairs) => {
                        Constraints::EncryptionContextSubset(pairs)
                    }
                }),
        }
    }
}
