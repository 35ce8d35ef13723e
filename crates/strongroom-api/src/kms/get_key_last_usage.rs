// SPDX-License-Identifier: Apache-2.0
//! GetKeyLastUsage.

use serde::Serialize;
use strongroom_kms::{GetKeyLastUsageInput, LastUse};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::KEY_ID;
use super::reply::{EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = GetKeyLastUsageInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
    };
    members.finish()?;
    let output = call
        .kms
        .get_key_last_usage(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_id,
        key_last_usage: output
            .last_use
            .as_ref()
            .map_or_else(Usage::default, Usage::from),
        tracking_start_date: EpochSeconds(output.tracking_start_ms),
        key_creation_date: EpochSeconds(output.created_ms),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    key_last_usage: Usage<'a>,
    tracking_start_date: EpochSeconds,
    key_creation_date: EpochSeconds,
}

/// Empty for a key that was never used.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Usage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_trail_event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_request_id: Option<&'a str>,
}

impl<'a> From<&'a LastUse> for Usage<'a> {
    fn from(last: &'a LastUse) -> Self {
        Self {
            operation: Some(&last.operation),
            timestamp: Some(EpochSeconds(last.at_ms)),
            cloud_trail_event_id: Some(&last.event_id),
            kms_request_id: Some(&last.request_id),
        }
    }
}
