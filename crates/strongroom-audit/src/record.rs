// SPDX-License-Identifier: Apache-2.0
//! Turns facts and detail into the JSON text of one CloudTrail record, without its chain link.
//!
//! Pure: time, event id and account are arguments. Fields stand in CloudTrail's usual order so
//! that the file is readable as it is.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::Value;

use crate::clip::{Cuts, FIELD_BYTES_MAX, TEXT_BYTES_MAX, TOLD_BYTES_MAX, bounded, cut};
use crate::error::Error;
use crate::event::{Category, EventDetail, EventId, RequestFacts, Resource, UserIdentity};

/// Who the caller of this event is, seen from the service that records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The client spoke to the service.
    Client,
    /// Another service of this server spoke for the client.
    Internal,
}

/// The account and region that every record names.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// `recipientAccountId`, twelve digits.
    pub account_id: String,
    /// `awsRegion`.
    pub region: String,
}

/// The text of a record; it ends with `}` and has no newline in it.
pub(crate) fn render(
    options: &AuditOptions,
    facts: &RequestFacts,
    detail: &EventDetail,
    origin: Origin,
    event_id: EventId,
    now_ms: u64,
) -> Result<Vec<u8>, Error> {
    let internal = origin == Origin::Internal;
    let mut cuts = Cuts::default();
    let request_parameters = bounded("requestParameters", &detail.request_parameters, &mut cuts);
    let response_elements = bounded("responseElements", &detail.response_elements, &mut cuts);
    let additional = match &detail.additional {
        Value::Null => None,
        additional => Some(bounded("additionalEventData", additional, &mut cuts)),
    };
    let record = Record {
        event_version: "1.11",
        user_identity: Identity {
            identity: &facts.identity,
            internal,
        },
        event_time: event_time(now_ms)?,
        event_source: detail.event_source.as_str(),
        event_name: detail.event_name,
        aws_region: &options.region,
        source_ip_address: if internal {
            AWS_INTERNAL
        } else {
            &facts.source_ip
        },
        user_agent: if internal {
            AWS_INTERNAL
        } else {
            clipped(&facts.user_agent)
        },
        error_code: detail.error.as_ref().map(|error| error.code.as_str()),
        error_message: detail.error.as_ref().map(|error| clipped(&error.message)),
        request_parameters: &request_parameters,
        response_elements: &response_elements,
        additional_event_data: cuts.told(additional),
        request_id: &facts.request_id,
        event_id: event_id.to_string(),
        read_only: detail.read_only,
        resources: detail
            .resources
            .iter()
            .take(RESOURCES_MAX)
            .map(|resource| Touched::new(resource, &options.account_id))
            .collect(),
        event_type: if detail.is_service_event {
            "AwsServiceEvent"
        } else {
            "AwsApiCall"
        },
        management_event: detail.category == Category::Management,
        recipient_account_id: &options.account_id,
        shared_event_id: detail.shared_event_id.as_deref(),
        event_category: match detail.category {
            Category::Management => "Management",
            Category::Data => "Data",
        },
        tls_details: facts.tls.as_ref().filter(|_| !internal).map(|tls| Tls {
            version: &tls.version,
            cipher_suite: &tls.cipher_suite,
            client_provided_host_header: clipped(&facts.host),
        }),
    };
    let mut text = Vec::with_capacity(TYPICAL_BYTES);
    serde_json::to_writer(&mut text, &record).map_err(|_| Error::Unprintable)?;
    Ok(text)
}

/// `2026-11-21T10:01:02Z`
fn event_time(now_ms: u64) -> Result<String, Error> {
    let millisecond = i64::try_from(now_ms).map_err(|_| Error::ClockOutOfRange)?;
    let time =
        jiff::Timestamp::from_millisecond(millisecond).map_err(|_| Error::ClockOutOfRange)?;
    Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// At most 1 KiB of client text, cut at a character.
fn clipped(text: &str) -> &str {
    cut(text, TEXT_BYTES_MAX)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    user_identity: Identity<'a>,
    event_time: String,
    event_source: &'static str,
    event_name: &'static str,
    aws_region: &'a str,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
    user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    request_parameters: &'a Value,
    response_elements: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_event_data: Option<Cow<'a, Value>>,
    #[serde(rename = "requestID")]
    request_id: &'a str,
    #[serde(rename = "eventID")]
    event_id: String,
    read_only: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Touched<'a>>,
    event_type: &'static str,
    management_event: bool,
    recipient_account_id: &'a str,
    #[serde(rename = "sharedEventID", skip_serializing_if = "Option::is_none")]
    shared_event_id: Option<&'a str>,
    event_category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_details: Option<Tls<'a>>,
}

#[derive(Serialize)]
struct Touched<'a> {
    #[serde(rename = "accountId", skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(rename = "type")]
    type_name: &'static str,
    #[serde(rename = "ARN")]
    arn: &'a str,
}

impl<'a> Touched<'a> {
    /// CloudTrail names no account for an object: its owner is the bucket's.
    fn new(resource: &'a Resource, account_id: &'a str) -> Touched<'a> {
        let owned = resource.type_name != "AWS::S3::Object";
        Touched {
            account_id: owned.then_some(account_id),
            type_name: resource.type_name,
            arn: cut(&resource.arn, ARN_BYTES_MAX),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls<'a> {
    #[serde(rename = "tlsVersion")]
    version: &'a str,
    cipher_suite: &'a str,
    client_provided_host_header: &'a str,
}

struct Identity<'a> {
    identity: &'a UserIdentity,
    internal: bool,
}

impl Serialize for Identity<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.identity {
            UserIdentity::Root {
                account_id,
                access_key_id,
            } => {
                map.serialize_entry("type", "Root")?;
                map.serialize_entry("principalId", account_id)?;
                map.serialize_entry("arn", &format!("arn:aws:iam::{account_id}:root"))?;
                map.serialize_entry("accountId", account_id)?;
                map.serialize_entry("accessKeyId", access_key_id)?;
            }
            UserIdentity::IamUser {
                account_id,
                user_name,
                principal_id,
                arn,
                access_key_id,
            } => {
                map.serialize_entry("type", "IAMUser")?;
                map.serialize_entry("principalId", principal_id)?;
                map.serialize_entry("arn", arn)?;
                map.serialize_entry("accountId", account_id)?;
                map.serialize_entry("accessKeyId", access_key_id)?;
                map.serialize_entry("userName", user_name)?;
            }
            UserIdentity::AwsService { invoked_by } => {
                map.serialize_entry("type", "AWSService")?;
                map.serialize_entry("invokedBy", invoked_by)?;
                return map.end();
            }
            UserIdentity::Anonymous => {
                map.serialize_entry("type", "AWSAccount")?;
                map.serialize_entry("principalId", "")?;
                map.serialize_entry("accountId", "anonymous")?;
            }
            UserIdentity::Unknown { access_key_id } => {
                map.serialize_entry("type", "Unknown")?;
                map.serialize_entry("principalId", "")?;
                if let Some(access_key_id) = access_key_id {
                    map.serialize_entry("accessKeyId", clipped(access_key_id))?;
                }
            }
        }
        if self.internal {
            map.serialize_entry("invokedBy", AWS_INTERNAL)?;
        }
        map.end()
    }
}

/// Few records are longer; those move once.
const TYPICAL_BYTES: usize = 2 << 10;
const AWS_INTERNAL: &str = "AWS Internal";
/// Longer than the ARN of any object: a name that a client made up may be longer.
const ARN_BYTES_MAX: usize = 2048;
const RESOURCES_MAX: usize = 16;

// A record that the log could not read back would keep the server from starting. Each byte of a
// text becomes at most six; the fixed members and identities are well below 64 KiB.
const _: () = assert!(
    3 * FIELD_BYTES_MAX
        + TOLD_BYTES_MAX
        + 6 * (RESOURCES_MAX * ARN_BYTES_MAX + 16 * TEXT_BYTES_MAX)
        + (64 << 10)
        < crate::log::LINE_BYTES_MAX
);
